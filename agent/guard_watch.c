/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/guard_watch.h"

#include "agent/guard.h"
#include "agent/guard_beat.h"
#include "agent/process.h"
#include "agent/vm_spec.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"

#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_PER_MS  1000000ull
#define CHECK_MS   100
#define RESTART_MS 200  /* Between two starts. */
#define START_MS   5000 /* A new guard may take this long to beat. */
/* Looks in a row at a silent guard before it is replaced. */
#define SILENT_LOOKS  5
#define LOG_BYTES_MAX (256 * 1024)

static void release(struct guard_watch *watch)
{
    CHECK(watch->handles > 0);
    watch->handles--;
    if (watch->handles == 0 && watch->closing) {
        watch->close_cb(watch);
    }
}

static void on_process_closed(uv_handle_t *handle)
{
    struct guard_watch *watch = container_of((uv_process_t *)(void *)handle,
                                             struct guard_watch, process);

    watch->process_open = false;
    release(watch);
}

static void on_process_exit(uv_process_t *process, int64_t status,
                            int signal_number)
{
    log_error("guard.ended", "status=%" PRId64 " signal=%d", status,
              signal_number);
    uv_close((uv_handle_t *)process, on_process_closed);
}

static int open_log(const struct run_dir *run)
{
    struct stat stat;
    int fd = openat(run->guard_fd, "log",
                    O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    /* It says a few lines a start; only a machine in trouble fills this. */
    if (fd >= 0 && fstat(fd, &stat) == 0 && stat.st_size > LOG_BYTES_MAX &&
        ftruncate(fd, 0) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void add(struct vm_strings *argv, const char *string)
{
    CHECK(vm_strings_add(argv, string) == 0);
}

static int spawn(struct guard_watch *watch, struct vm_strings *argv, int log_fd)
{
    uv_stdio_container_t stdio[3];
    uv_process_options_t options;
    int result;

    memset(stdio, 0, sizeof(stdio));
    stdio[0].flags = UV_IGNORE;
    stdio[1].flags = UV_INHERIT_FD;
    stdio[1].data.fd = log_fd;
    stdio[2] = stdio[1];
    memset(&options, 0, sizeof(options));
    options.file = argv->items[0];
    options.args = argv->items;
    options.cwd = "/";
    options.flags = UV_PROCESS_DETACHED;
    options.stdio = stdio;
    options.stdio_count = 3;
    options.exit_cb = on_process_exit;
    result = uv_spawn(watch->timer.loop, &watch->process, &options);
    watch->process_open = true;
    watch->handles++;
    if (result < 0) {
        log_error("guard.not_started", "program=\"%s\" error=\"%s\"",
                  argv->items[0], uv_strerror(result));
        uv_close((uv_handle_t *)&watch->process, on_process_closed);
    }
    return result;
}

static void start_guard(struct guard_watch *watch)
{
    struct vm_strings argv = {0};
    int log_fd = open_log(watch->run);

    watch->started_ms = clock_boot_ms();
    watch->start_count++;
    if (log_fd < 0) {
        return;
    }
    add(&argv, watch->options.guard_path);
    add(&argv, "--run-dir");
    add(&argv, watch->run->path);
    if (watch->options.cgroup != NULL) {
        add(&argv, "--cgroup");
        add(&argv, watch->options.cgroup);
    }
    if (watch->options.watchdog != NULL) {
        add(&argv, "--watchdog");
        add(&argv, watch->options.watchdog);
    }
    if (spawn(watch, &argv, log_fd) == 0) {
        log_info("guard.started", "pid=%d count=%" PRIu32, watch->process.pid,
                 watch->start_count);
    }
    vm_strings_close(&argv);
    close(log_fd);
}

/* A guard whose process is there but does not beat: stopped, stuck, or held up
 * as we were. */
static bool is_there(struct guard_watch *watch, bool stuck)
{
    struct process_id id;
    uint64_t beat_ns;
    int fd;

    if (guard_beat_read(watch->run->guard_fd, &beat_ns, &id) != 0) {
        return false;
    }
    fd = process_open(&id);
    if (fd < 0) {
        return false;
    }
    if (stuck) {
        log_error("guard.silent", "pid=%d", (int)id.pid);
        process_signal(fd, SIGKILL);
    }
    close(fd);
    return true;
}

/* Started by us and not beating yet. */
static bool is_starting(const struct guard_watch *watch, uint64_t since_ms)
{
    struct process_id id;
    uint64_t beat_ns;

    if (!watch->process_open || since_ms >= START_MS) {
        return false;
    }
    return guard_beat_read(watch->run->guard_fd, &beat_ns, &id) != 0 ||
           id.pid != watch->process.pid || beat_ns == 0;
}

bool guard_watch_doubts(struct guard_watch *watch, bool live, uint64_t now_ms)
{
    bool held_up = now_ms - watch->looked_ms > 2 * CHECK_MS;

    watch->looked_ms = now_ms;
    watch->silent_looks = live || held_up ? 0 : watch->silent_looks + 1;
    return watch->silent_looks >= SILENT_LOOKS;
}

static void on_timer(uv_timer_t *timer)
{
    struct guard_watch *watch = container_of(timer, struct guard_watch, timer);
    uint64_t now_ms = clock_boot_ms();
    uint64_t since_ms = now_ms - watch->started_ms;
    bool live = guard_watch_live(watch);
    bool stuck = guard_watch_doubts(watch, live, now_ms);

    if (live || is_starting(watch, since_ms) || is_there(watch, stuck)) {
        return; /* A later look starts another when it is gone. */
    }
    if (!watch->process_open && since_ms >= RESTART_MS) {
        start_guard(watch);
    }
}

int guard_watch_init(struct guard_watch *watch, uv_loop_t *loop,
                     const struct run_dir *run,
                     const struct guard_options *options)
{
    memset(watch, 0, sizeof(*watch));
    watch->run = run;
    watch->options = *options;
    if (uv_timer_init(loop, &watch->timer) < 0) {
        return HF_ERROR_IO;
    }
    watch->handles = 1;
    return uv_timer_start(&watch->timer, on_timer, 0, CHECK_MS) == 0
               ? 0
               : HF_ERROR_IO;
}

bool guard_watch_live(const struct guard_watch *watch)
{
    struct process_id id;
    uint64_t now_ns = clock_boot_ns();
    uint64_t beat_ns;

    return guard_beat_read(watch->run->guard_fd, &beat_ns, &id) == 0 &&
           beat_ns <= now_ns && beat_ns != 0 &&
           now_ns - beat_ns <= GUARD_SILENT_MS * NS_PER_MS;
}

static void on_timer_closed(uv_handle_t *handle)
{
    release(
        container_of((uv_timer_t *)(void *)handle, struct guard_watch, timer));
}

void guard_watch_close(struct guard_watch *watch, guard_watch_close_cb cb)
{
    CHECK(!watch->closing && cb != NULL);
    watch->closing = true;
    watch->close_cb = cb;
    uv_close((uv_handle_t *)&watch->timer, on_timer_closed);
    if (watch->process_open && !uv_is_closing((uv_handle_t *)&watch->process)) {
        uv_close((uv_handle_t *)&watch->process, on_process_closed);
    }
}
