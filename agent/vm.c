/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/vm.h"

#include "agent/cgroup.h"
#include "agent/files.h"
#include "agent/pid_file.h"
#include "agent/process.h"
#include "agent/scan.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

void vm_hold(struct vm *vm)
{
    vm->holds++;
}

void vm_release(struct vm *vm)
{
    CHECK(vm->holds > 0);
    if (--vm->holds > 0) {
        return;
    }
    CHECK(vm->destroyed);
    close_fd(&vm->lock_fd);
    close_fd(&vm->shim_fd);
    close_fd(&vm->vm_fd);
    close_fd(&vm->dir_fd);
    vm_spec_close(&vm->spec);
    vm->driver->table->free(vm);
}

void vm_emit(struct vm *vm, enum vm_event_kind kind, const char *reason,
             bool failed)
{
    struct vm_event event = {kind, reason, failed};

    if (!vm->destroyed) {
        vm->listener->event(vm->listener, vm, &event);
    }
}

static void tell_down(struct vm *vm)
{
    if (!vm->down_told) {
        vm->down_told = true;
        vm->driver->table->down(vm);
    }
}

static void on_poll_closed(uv_handle_t *handle)
{
    struct vm *vm =
        container_of((uv_poll_t *)(void *)handle, struct vm, shim_poll);

    vm_release(vm);
}

static void close_poll(struct vm *vm)
{
    if (vm->poll_open) {
        vm->poll_open = false;
        uv_close((uv_handle_t *)&vm->shim_poll, on_poll_closed);
    }
}

static void shim_ended(struct vm *vm)
{
    close_poll(vm);
    vm->stage = VM_STAGE_ENDING;
    tell_down(vm);
    vm_awake(vm);
}

static void on_shim_poll(uv_poll_t *poll, int status, int events)
{
    struct vm *vm = container_of(poll, struct vm, shim_poll);

    (void)status;
    (void)events;
    shim_ended(vm);
}

static void send_kill(struct vm *vm)
{
    if (vm->vm_fd >= 0) {
        process_signal(vm->vm_fd, SIGKILL);
    } else if (vm->shim_fd >= 0) {
        /* It has no VM yet that we know of; PDEATHSIG covers the rest. */
        process_signal(vm->shim_fd, SIGKILL);
    }
}

static void watch_shim(struct vm *vm)
{
    CHECK(uv_poll_init(vm->driver->host->loop, &vm->shim_poll, vm->shim_fd) ==
          0);
    vm->poll_open = true;
    vm_hold(vm);
    CHECK(uv_poll_start(&vm->shim_poll, UV_READABLE, on_shim_poll) == 0);
}

/* Learns from the pid file who shim and VM are; false when the shim is dead. */
static bool learn_processes(struct vm *vm, bool *running)
{
    struct pid_file file;

    *running = false;
    if (pid_file_read(&file, vm->dir_fd) != 0) {
        return true;
    }
    if (vm->shim_fd < 0) {
        int fd = process_open(&file.shim);

        if (fd == HF_ERROR_NOT_FOUND) {
            return false;
        }
        if (fd >= 0) {
            vm->shim_fd = fd;
            watch_shim(vm);
        }
    }
    if (vm->vm_fd < 0 && file.vm.pid != 0) {
        int fd = process_open(&file.vm);

        vm->vm_fd = fd < 0 ? -1 : fd;
    }
    *running = file.running && vm->shim_fd >= 0 && vm->vm_fd >= 0;
    return true;
}

static void tick_spawned(struct vm *vm)
{
    uint64_t now_ms = clock_boot_ms();
    bool running;

    if (vm->stop_end_ms != 0 && now_ms >= vm->stop_end_ms) {
        vm_kill(vm);
    }
    if (!learn_processes(vm, &running) || vm->process_exited) {
        shim_ended(vm);
        return;
    }
    if (vm->killed_ms != 0) {
        send_kill(vm);
    }
    if (running) {
        vm->stage = VM_STAGE_UP;
        vm_emit(vm, VM_EVENT_STARTED, "", false);
        if (!vm->destroyed) {
            vm->driver->table->up(vm);
        }
        return;
    }
    if (vm->shim_fd < 0) {
        /* Adopted before its shim had written its pid, or that shim is dead:
         * a free lock tells. */
        int lock_fd = vm_dir_lock(vm->dir_fd);

        if (lock_fd >= 0) {
            close(lock_fd);
            shim_ended(vm);
        }
    }
}

static void stop_tick(struct vm *vm, uint64_t now_ms)
{
    const struct vm_driver_table *table = vm->driver->table;

    if (now_ms >= vm->stop_end_ms) {
        vm_kill(vm);
    } else if (now_ms + VM_INSIST_MS >= vm->stop_end_ms && !vm->insisted &&
               vm->asked_ms != 0) {
        vm->insisted = true;
        table->insist(vm);
    } else if (vm->asked_ms == 0 ||
               now_ms - vm->asked_ms >= VM_STOP_REPEAT_MS) {
        vm->asked_ms = now_ms;
        table->ask(vm);
    }
}

static void tick_up(struct vm *vm)
{
    uint64_t now_ms = clock_boot_ms();

    if (vm->killed_ms != 0) {
        if (now_ms - vm->killed_ms >= VM_SHIM_KILL_MS) {
            process_signal(vm->shim_fd, SIGKILL);
        }
        send_kill(vm);
    } else if (vm->stop_end_ms != 0) {
        stop_tick(vm, now_ms);
    } else {
        uv_timer_stop(&vm->tick);
    }
}

/* A command without a namespace whose shim was killed may have left some. */
static bool group_is_empty(const struct vm *vm)
{
    const char *base = vm->driver->host->cgroup;
    bool populated;
    int fd;

    if (base == NULL) {
        return true;
    }
    fd = cgroup_open_vm(base, vm->spec.keep, vm->spec.uid);
    if (fd < 0) {
        return false;
    }
    populated = cgroup_populated(fd);
    if (populated) {
        cgroup_kill(fd);
    }
    close(fd);
    if (!populated) {
        cgroup_remove_vm(base, vm->spec.keep, vm->spec.uid);
    }
    return !populated;
}

static void gone(struct vm *vm)
{
    char reason[VM_EXIT_BYTES_MAX + 1];
    bool failed = true;

    vm->stage = VM_STAGE_GONE;
    uv_timer_stop(&vm->tick);
    if (vm->failure != NULL) {
        snprintf(reason, sizeof(reason), "%s", vm->failure);
    } else {
        scan_read_exit(vm->dir_fd, reason, &failed);
    }
    log_info("vm.gone", "uid=%" PRIu64 " epoch=%" PRIu64 " reason=\"%s\"",
             vm->spec.uid, vm->spec.epoch, reason);
    vm_emit(vm, VM_EVENT_GONE, reason, failed && !vm->ordered);
}

/* The lock is the proof: shim and VM hold it while they live. */
static void tick_ending(struct vm *vm)
{
    int lock_fd;

    if (vm->vm_fd >= 0) {
        process_signal(vm->vm_fd, SIGKILL);
    }
    lock_fd = vm_dir_lock(vm->dir_fd);
    if (lock_fd < 0) {
        return;
    }
    /* Closed before anybody is told: they may want to remove the directory. */
    close(lock_fd);
    if (group_is_empty(vm)) {
        gone(vm);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct vm *vm = container_of(timer, struct vm, tick);

    switch (vm->stage) {
    case VM_STAGE_SPAWNED:
        tick_spawned(vm);
        break;
    case VM_STAGE_UP:
        tick_up(vm);
        break;
    case VM_STAGE_ENDING:
        tick_ending(vm);
        break;
    case VM_STAGE_PREPARING:
    case VM_STAGE_GONE:
        uv_timer_stop(&vm->tick);
        break;
    }
}

void vm_awake(struct vm *vm)
{
    CHECK(uv_timer_start(&vm->tick, on_tick, VM_TICK_MS, VM_TICK_MS) == 0);
}

int vm_init(struct vm *vm, struct vm_driver *driver, const struct vm_spec *spec,
            struct vm_listener *listener, int dir_fd)
{
    vm->driver = driver;
    vm->listener = listener;
    vm->dir_fd = dir_fd;
    vm->lock_fd = -1;
    vm->shim_fd = -1;
    vm->vm_fd = -1;
    vm_spec_copy(&vm->spec, spec);
    vm_hold(vm); /* The timer. */
    return uv_timer_init(driver->host->loop, &vm->tick) == 0 ? 0 : HF_ERROR_IO;
}

void vm_stop(struct vm *vm, uint32_t grace_ms)
{
    uint64_t end_ms = clock_boot_ms() + grace_ms;

    vm->ordered = true;
    if (vm->stop_end_ms == 0 || end_ms < vm->stop_end_ms) {
        vm->stop_end_ms = end_ms;
    }
    if (vm->stage == VM_STAGE_UP) {
        vm_awake(vm);
    } else if (vm->stage == VM_STAGE_PREPARING) {
        vm_kill(vm); /* Nothing runs that could be asked. */
    }
}

void vm_kill(struct vm *vm)
{
    vm->ordered = true;
    if (vm->stage == VM_STAGE_GONE) {
        return;
    }
    send_kill(vm);
    if (vm->killed_ms == 0) {
        vm->killed_ms = clock_boot_ms();
    }
    if (vm->stage != VM_STAGE_PREPARING) {
        vm_awake(vm);
    }
}

const struct vm_spec *vm_spec(const struct vm *vm)
{
    return &vm->spec;
}

static void on_tick_closed(uv_handle_t *handle)
{
    vm_release(container_of((uv_timer_t *)(void *)handle, struct vm, tick));
}

void vm_destroy(struct vm *vm)
{
    if (vm == NULL) {
        return;
    }
    CHECK(!vm->destroyed);
    vm->destroyed = true;
    tell_down(vm);
    close_poll(vm);
    if (vm->stage != VM_STAGE_GONE) {
        vm_let_process_go(vm);
    }
    uv_close((uv_handle_t *)&vm->tick, on_tick_closed);
}

static size_t read_tail(int dir_fd, const char *name, char *buf, size_t size)
{
    struct stat stat;
    ssize_t n = -1;
    int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (fd < 0) {
        return 0;
    }
    if (fstat(fd, &stat) == 0) {
        off_t from =
            stat.st_size > (off_t)size ? stat.st_size - (off_t)size : 0;

        n = pread(fd, buf, size, from);
    }
    close(fd);
    return n < 0 ? 0 : (size_t)n;
}

size_t vm_console_read(const struct vm *vm, char *buf, size_t size)
{
    size_t newest = read_tail(vm->dir_fd, VM_FILE_SERIAL, buf, size);
    size_t before;

    /* Room is left: the end of the older part goes in front. */
    memmove(buf + (size - newest), buf, newest);
    before = read_tail(vm->dir_fd, VM_FILE_SERIAL ".1", buf, size - newest);
    memmove(buf + before, buf + (size - newest), newest);
    return before + newest;
}
