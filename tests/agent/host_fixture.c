/* SPDX-License-Identifier: Apache-2.0 */
#include "host_fixture.h"

#include "agent/process.h"
#include "agent/vm.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "tests/support/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define NS_PER_MS 1000000ull

const char *host_shim_path(void)
{
    return HF_BIN_DIR "/holdfast-shim";
}

const char *host_guard_path(void)
{
    return HF_BIN_DIR "/holdfast-guard";
}

const char *host_guest_image(void)
{
    return HF_GUEST_IMAGE;
}

static void on_probed(struct vm_probe *probe, int status, const char *reason)
{
    (void)probe;
    (void)reason;
    assert_int_equal(status, 0);
}

int host_setup(void **state)
{
    struct host *host = memory_alloc(sizeof(*host));
    struct qemu_options options = {
        .program = "/usr/bin/qemu-system-x86_64",
        .probe_image = host_guest_image(),
    };
    struct vm_probe probe;
    char path[96];

    /* What shims leave behind when they are killed comes to us, not to a
     * process 1 that may not care. */
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
    log_set_level(LOG_WARN);
    signal(SIGPIPE, SIG_IGN);
    snprintf(host->dir, sizeof(host->dir), "/tmp/hf-host-XXXXXX");
    assert_non_null(mkdtemp(host->dir));
    snprintf(path, sizeof(path), "%s/run", host->dir);
    assert_int_equal(run_dir_create(&host->run, path), 0);
    assert_int_equal(lease_page_create(&host->lease, host->run.fd), 0);
    assert_int_equal(uv_loop_init(&host->loop), 0);
    host->vm_host.loop = &host->loop;
    host->vm_host.run = &host->run;
    host->vm_host.lease = &host->lease;
    host->vm_host.shim_path = host_shim_path();
    driver_qemu_init(&host->qemu, &host->vm_host, &options);
    driver_qemu_use(&host->qemu, ACCEL_TCG);
    driver_exec_init(&host->exec, &host->vm_host);
    assert_int_equal(vm_driver_probe(&host->exec.driver, &probe, on_probed), 0);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    host_lease_in(host, 60000);
    *state = host;
    return 0;
}

static void kill_exactly(const struct process_id *id)
{
    int fd = id->pid == 0 ? -1 : process_open(id);

    if (fd >= 0) {
        process_signal(fd, SIGKILL);
        close(fd);
    }
}

static void kill_vms(struct host *host)
{
    int fd = openat(host->run.vms_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fdopendir(fd);
    struct dirent *item;

    assert_non_null(dir);
    while ((item = readdir(dir)) != NULL) {
        struct pid_file file;
        uint64_t uid;

        if (run_dir_parse_uid(item->d_name, &uid) == 0 &&
            host_pid_file(host, uid, &file)) {
            kill_exactly(&file.vm);
            kill_exactly(&file.shim);
        }
    }
    closedir(dir);
}

static void kill_guard(struct host *host)
{
    int fd = openat(host->run.guard_fd, RUN_FILE_BEAT, O_RDONLY | O_CLOEXEC);
    struct {
        uint32_t head[2];
        int32_t pid;
        uint32_t padding;
        uint64_t start_ticks;
    } page;
    struct process_id id;

    if (fd < 0) {
        return;
    }
    if (read(fd, &page, sizeof(page)) == (ssize_t)sizeof(page)) {
        id.pid = page.pid;
        id.start_ticks = page.start_ticks;
        kill_exactly(&id);
    }
    close(fd);
}

static void on_walk(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void on_watch_closed(struct guard_watch *watch)
{
    (void)watch;
}

int host_teardown(void **state)
{
    struct host *host = *state;
    char path[96];

    if (host->watching) {
        guard_watch_close(&host->watch, on_watch_closed);
    }
    for (size_t i = 0; i < host->vm_count; i++) {
        vm_destroy(host->vms[i]->vm);
    }
    kill_vms(host);
    kill_guard(host);
    for (size_t i = 0; i < host->pid_count; i++) {
        kill(host->pids[i], SIGKILL);
        waitpid(host->pids[i], NULL, 0);
    }
    uv_run(&host->loop, UV_RUN_NOWAIT);
    /* A test that failed may have left handles open. */
    uv_walk(&host->loop, on_walk, NULL);
    uv_run(&host->loop, UV_RUN_DEFAULT);
    uv_loop_close(&host->loop);
    for (size_t i = 0; i < host->vm_count; i++) {
        free(host->vms[i]);
    }
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    host_remove_cgroup(host);
    driver_qemu_close(&host->qemu);
    lease_page_close(&host->lease);
    run_dir_close(&host->run);
    if (host->mounted) {
        snprintf(path, sizeof(path), "%s/full", host->dir);
        umount2(path, MNT_DETACH);
    }
    folder_remove(host->dir);
    free(host);
    return 0;
}

void host_lease_in(struct host *host, uint32_t ms)
{
    uint64_t now_ns = clock_boot_ns();
    uint64_t deadline_ns = now_ns + ms * NS_PER_MS;

    if (ms == 0) {
        lease_page_clear(&host->lease);
    } else if (!lease_page_extend(&host->lease, deadline_ns, now_ns)) {
        lease_page_shorten(&host->lease, deadline_ns);
    }
}

void host_watch_guard(struct host *host)
{
    host->guard_options.guard_path = host_guard_path();
    assert_int_equal(guard_watch_init(&host->watch, &host->loop, &host->run,
                                      &host->guard_options),
                     0);
    host->watching = true;
    host->vm_host.guard = &host->watch;
}

pid_t host_run_guard(struct host *host)
{
    char path[] = "--run-dir";
    char *argv[] = {memory_copy_string(host_guard_path()), path, host->run.path,
                    NULL};
    pid_t pid = host_run(host, argv);
    struct guard_watch eye = {.run = &host->run};
    uint64_t end_ms = clock_boot_ms() + HOST_WAIT_MS;

    free(argv[0]);
    while (!guard_watch_live(&eye)) {
        assert_true(clock_boot_ms() < end_ms);
        host_turn(host, 10);
    }
    return pid;
}

pid_t host_run(struct host *host, char *const argv[])
{
    pid_t pid = fork();

    assert_true(pid >= 0 && host->pid_count < HOST_PIDS_MAX);
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    host->pids[host->pid_count++] = pid;
    return pid;
}

int host_wait(struct host *host, pid_t pid)
{
    uint64_t end_ms = clock_boot_ms() + HOST_WAIT_MS;
    int status;

    while (waitpid(pid, &status, WNOHANG) == 0) {
        assert_true(clock_boot_ms() < end_ms);
        host_turn(host, 5);
    }
    for (size_t i = 0; i < host->pid_count; i++) {
        if (host->pids[i] == pid) {
            host->pids[i] = host->pids[--host->pid_count];
            break;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void fill_in(uint64_t uid, uint64_t epoch, struct vm_spec *spec)
{
    vm_spec_init(spec);
    spec->uid = uid;
    spec->epoch = epoch;
    snprintf(spec->name, sizeof(spec->name), "vm-%" PRIu64, uid);
    spec->cpu_milli = 100;
    spec->memory_mib = 16;
    spec->stop_grace_ms = 10000;
}

void host_disk_path(const struct host *host, uint64_t uid, char path[96])
{
    snprintf(path, 96, "%s/disk-%" PRIu64, host->dir, uid);
}

void host_guest_spec(struct host *host, uint64_t uid, uint64_t epoch,
                     struct vm_spec *spec)
{
    char path[96];
    struct vm_disk disk = {.kind = VM_DISK_SHARED, .path = path};
    int fd;

    fill_in(uid, epoch, spec);
    spec->driver = VM_DRIVER_QEMU;
    spec->boot_image = memory_copy_string(host_guest_image());
    host_disk_path(host, uid, path);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 1024 * 1024), 0);
    close(fd);
    assert_int_equal(vm_spec_add_disk(spec, &disk), 0);
}

void host_shell_spec(struct host *host, uint64_t uid, uint64_t epoch,
                     const char *script, struct vm_spec *spec)
{
    char dir[96];

    fill_in(uid, epoch, spec);
    spec->driver = VM_DRIVER_EXEC;
    assert_int_equal(vm_strings_add(&spec->argv, "/bin/sh"), 0);
    assert_int_equal(vm_strings_add(&spec->argv, "-c"), 0);
    assert_int_equal(vm_strings_add(&spec->argv, script), 0);
    snprintf(dir, sizeof(dir), "DIR=%s", host->dir);
    assert_int_equal(vm_strings_add(&spec->env, dir), 0);
}

static void on_event(struct vm_listener *listener, struct vm *vm,
                     const struct vm_event *event)
{
    struct host_vm *host_vm = container_of(listener, struct host_vm, listener);
    size_t index = host_vm->event_count++;

    assert_true(index < HOST_EVENTS_MAX);
    host_vm->events[index].kind = event->kind;
    host_vm->events[index].failed = event->failed;
    snprintf(host_vm->events[index].reason,
             sizeof(host_vm->events[index].reason), "%s", event->reason);
    if (event->kind == VM_EVENT_GONE) {
        host_vm->vm = NULL;
        vm_destroy(vm);
    }
}

static struct vm_driver *driver_of(struct host *host,
                                   const struct vm_spec *spec)
{
    return spec->driver == VM_DRIVER_QEMU ? &host->qemu.driver
                                          : &host->exec.driver;
}

static struct host_vm *add_vm(struct host *host)
{
    struct host_vm *vm = memory_alloc(sizeof(*vm));

    assert_true(host->vm_count < HOST_VMS_MAX);
    host->vms[host->vm_count++] = vm;
    vm->listener.event = on_event;
    return vm;
}

struct host_vm *host_start(struct host *host, struct vm_spec *spec)
{
    struct host_vm *vm = add_vm(host);

    assert_int_equal(
        vm_start(driver_of(host, spec), spec, &vm->listener, &vm->vm), 0);
    vm_spec_close(spec);
    return vm;
}

struct host_vm *host_adopt(struct host *host, const struct vm_spec *spec)
{
    struct host_vm *vm = add_vm(host);

    assert_int_equal(
        vm_adopt(driver_of(host, spec), spec, &vm->listener, &vm->vm), 0);
    return vm;
}

int host_refusal(struct host *host, const struct vm_spec *spec)
{
    struct host_vm *vm = add_vm(host);
    int error = vm_start(driver_of(host, spec), spec, &vm->listener, &vm->vm);

    assert_null(vm->vm);
    return error;
}

void host_let_go(struct host_vm *vm)
{
    vm_destroy(vm->vm);
    vm->vm = NULL;
}

static size_t find(const struct host_vm *vm, enum vm_event_kind kind)
{
    for (size_t i = 0; i < vm->event_count; i++) {
        if (vm->events[i].kind == kind) {
            return i;
        }
    }
    return HOST_EVENTS_MAX;
}

bool host_saw(const struct host_vm *vm, enum vm_event_kind kind)
{
    return find(vm, kind) < HOST_EVENTS_MAX;
}

const char *host_reason(const struct host_vm *vm, enum vm_event_kind kind)
{
    assert_true(host_saw(vm, kind));
    return vm->events[find(vm, kind)].reason;
}

bool host_await(struct host *host, const struct host_vm *vm,
                enum vm_event_kind kind)
{
    uint64_t end_ms = clock_boot_ms() + HOST_WAIT_MS;

    while (!host_saw(vm, kind) && clock_boot_ms() < end_ms) {
        host_turn(host, 10);
    }
    return host_saw(vm, kind);
}

static void on_turn_end(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

void host_turn(struct host *host, uint32_t ms)
{
    uv_timer_t timer;

    assert_int_equal(uv_timer_init(&host->loop, &timer), 0);
    assert_int_equal(uv_timer_start(&timer, on_turn_end, ms, 0), 0);
    while (!uv_is_closing((uv_handle_t *)&timer)) {
        uv_run(&host->loop, UV_RUN_ONCE);
    }
    /* The turn in which the timer's memory is let go of. */
    uv_run(&host->loop, UV_RUN_NOWAIT);
}

void host_begin_waiting(struct host *host)
{
    host->wait_end_ms = clock_boot_ms() + HOST_WAIT_MS;
}

void host_keep_waiting(struct host *host, const char *what)
{
    if (clock_boot_ms() > host->wait_end_ms) {
        fail_msg("waited in vain for %s", what);
    }
    host_turn(host, 20);
}
