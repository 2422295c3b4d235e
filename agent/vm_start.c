/* SPDX-License-Identifier: Apache-2.0
 *
 * How a VM comes under our care: directory, lock, disks, shim. The lock is
 * taken before anything else and handed to the shim as an open file, so a VM
 * that is on its way never looks gone. */
#include "agent/files.h"
#include "agent/guard_watch.h"
#include "agent/vm.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_FD_IN_SHIM 3

static int read_spec(int dir_fd, struct vm_spec *spec)
{
    char *text = memory_alloc(VM_SPEC_BYTES_MAX + 1);
    size_t len;
    int error =
        files_read(dir_fd, VM_FILE_SPEC, text, VM_SPEC_BYTES_MAX + 1, &len);

    if (error == 0) {
        error = vm_spec_decode(spec, text, len);
    }
    free(text);
    return error;
}

static int write_spec(int dir_fd, const struct vm_spec *spec)
{
    struct bytes text;
    char epoch[24];
    int error;
    int len = snprintf(epoch, sizeof(epoch), "%" PRIu64 "\n", spec->epoch);

    bytes_init(&text);
    vm_spec_encode(spec, &text);
    error = files_replace(dir_fd, VM_FILE_SPEC, text.data, text.len);
    bytes_close(&text);
    return error != 0
               ? error
               : files_replace(dir_fd, VM_FILE_EPOCH, epoch, (size_t)len);
}

/* Rule 1: an epoch that ran or was to run here is never started again. */
static int check_epoch(int dir_fd, uint64_t epoch)
{
    struct vm_spec old;
    int error = read_spec(dir_fd, &old);

    if (error == 0) {
        error = old.epoch < epoch ? 0 : HF_ERROR_INVALID;
        vm_spec_close(&old);
        return error;
    }
    /* None, or one that a crash left half written: it never began. */
    return error == HF_ERROR_IO ? error : 0;
}

static int check_start(const struct vm_driver *driver,
                       const struct vm_spec *spec)
{
    const struct vm_host *host = driver->host;
    const char *field;

    if (spec->driver != driver->table->kind ||
        vm_spec_check(spec, &field) != 0) {
        return HF_ERROR_INVALID;
    }
    if (driver->capabilities == 0 ||
        (!spec->keep && (driver->capabilities & VM_CAN_FENCE) == 0)) {
        return HF_ERROR_UNSUPPORTED;
    }
    if (!lease_page_live(host->lease, clock_boot_ns()) ||
        (host->guard != NULL && !guard_watch_live(host->guard))) {
        return HF_ERROR_CLOSED;
    }
    return 0;
}

/* Opens the directory, takes the lock, writes the order down. */
static int take_dir(const struct vm_host *host, const struct vm_spec *spec,
                    int *dir_fd, int *lock_fd)
{
    int error;

    *dir_fd = run_dir_open_vm(host->run, spec->uid, true);
    if (*dir_fd < 0) {
        return *dir_fd;
    }
    *lock_fd = vm_dir_lock(*dir_fd);
    if (*lock_fd < 0) {
        error = *lock_fd == HF_ERROR_BUSY ? HF_ERROR_EXISTS : HF_ERROR_IO;
        close(*dir_fd);
        return error;
    }
    error = check_epoch(*dir_fd, spec->epoch);
    if (error == 0) {
        error = vm_dir_clean(*dir_fd);
    }
    if (error == 0) {
        error = write_spec(*dir_fd, spec);
    }
    if (error != 0) {
        close(*lock_fd);
        close(*dir_fd);
    }
    return error;
}

int vm_start(struct vm_driver *driver, const struct vm_spec *spec,
             struct vm_listener *listener, struct vm **vm)
{
    struct vm *made;
    int dir_fd;
    int lock_fd;
    int error = check_start(driver, spec);

    *vm = NULL;
    if (error == 0) {
        error = take_dir(driver->host, spec, &dir_fd, &lock_fd);
    }
    if (error != 0) {
        return error;
    }
    made = driver->table->create(driver);
    CHECK(vm_init(made, driver, spec, listener, dir_fd) == 0);
    made->lock_fd = lock_fd;
    made->stage = VM_STAGE_PREPARING;
    error = vm_prepare(made);
    if (error != 0) {
        /* Nothing was started: the same epoch may be tried again. */
        vm_dir_clean(dir_fd);
        vm_destroy(made);
        return error;
    }
    *vm = made;
    return 0;
}

int vm_adopt(struct vm_driver *driver, const struct vm_spec *spec,
             struct vm_listener *listener, struct vm **vm)
{
    struct vm *made;
    int dir_fd;

    *vm = NULL;
    if (spec->driver != driver->table->kind) {
        return HF_ERROR_INVALID;
    }
    dir_fd = run_dir_open_vm(driver->host->run, spec->uid, false);
    if (dir_fd < 0) {
        return dir_fd;
    }
    made = driver->table->create(driver);
    CHECK(vm_init(made, driver, spec, listener, dir_fd) == 0);
    made->stage = VM_STAGE_SPAWNED;
    vm_awake(made);
    *vm = made;
    return 0;
}

/* It never began: the directory says so, for an agent that comes after us. */
static void never_began(struct vm *vm, const char *why)
{
    char line[VM_EXIT_BYTES_MAX + 2];
    int len = snprintf(line, sizeof(line), "%s\n", why);

    if (files_replace(vm->dir_fd, VM_FILE_EXIT, line, (size_t)len) != 0) {
        log_error("vm.exit_file_lost", "uid=%" PRIu64, vm->spec.uid);
    }
    close(vm->lock_fd);
    vm->lock_fd = -1;
    vm->stage = VM_STAGE_ENDING;
    vm_awake(vm);
}

static const struct vm_disk *disk_to_make(const struct vm *vm)
{
    for (size_t i = vm->copy_index; i < vm->spec.disk_count; i++) {
        if (vm->spec.disks[i].kind == VM_DISK_EPHEMERAL) {
            return &vm->spec.disks[i];
        }
    }
    return NULL;
}

static void on_copied(uv_fs_t *copy)
{
    struct vm *vm = container_of(copy, struct vm, copy);
    ssize_t result = copy->result;

    uv_fs_req_cleanup(copy);
    if (!vm->destroyed) {
        if (result == 0 &&
            chmod(vm->spec.disks[vm->copy_index].path, 0600) < 0) {
            result = -1;
        }
        vm->copy_index++;
        if (vm->killed_ms != 0) {
            never_began(vm, "killed before_start");
        } else if (result != 0) {
            never_began(vm, "not_started step=disk");
        } else if (vm_prepare(vm) != 0) {
            never_began(vm, "not_started step=shim");
        }
    }
    vm_release(vm);
}

int vm_prepare(struct vm *vm)
{
    const struct vm_disk *disk = disk_to_make(vm);

    if (disk == NULL) {
        return vm_spawn(vm);
    }
    vm->copy_index = (size_t)(disk - vm->spec.disks);
    if (uv_fs_copyfile(vm->driver->host->loop, &vm->copy, disk->image,
                       disk->path, UV_FS_COPYFILE_FICLONE, on_copied) < 0) {
        return HF_ERROR_IO;
    }
    vm_hold(vm);
    return 0;
}

static void add(struct vm_strings *argv, const char *string)
{
    CHECK(vm_strings_add(argv, string) == 0);
}

static int build_command(struct vm *vm, struct vm_strings *argv,
                         struct vm_strings *env)
{
    const struct vm_host *host = vm->driver->host;
    char number[24];

    add(argv, host->shim_path);
    add(argv, "--run-dir");
    add(argv, host->run->path);
    add(argv, "--uid");
    snprintf(number, sizeof(number), "%" PRIu64, vm->spec.uid);
    add(argv, number);
    add(argv, "--lock-fd");
    snprintf(number, sizeof(number), "%d", LOCK_FD_IN_SHIM);
    add(argv, number);
    if (vm->spec.keep) {
        add(argv, "--keep");
    }
    if (host->cgroup != NULL) {
        add(argv, "--cgroup");
        add(argv, host->cgroup);
    }
    return vm->driver->table->command(vm, argv, env);
}

static void on_process_closed(uv_handle_t *handle)
{
    vm_release(
        container_of((uv_process_t *)(void *)handle, struct vm, process));
}

static void close_process(struct vm *vm)
{
    vm->process_open = false;
    uv_close((uv_handle_t *)&vm->process, on_process_closed);
}

/* A shim that goes on without us; who adopts its VM watches its pidfd. One
 * that is gone is left open, for it is about to be waited for. */
void vm_let_process_go(struct vm *vm)
{
    if (vm->process_open) {
        close_process(vm);
    }
}

static void on_process_exit(uv_process_t *process, int64_t status,
                            int signal_number)
{
    struct vm *vm = container_of(process, struct vm, process);

    (void)status;
    (void)signal_number;
    vm->process_exited = true;
    close_process(vm);
}

/* Runs the shim with the lock as descriptor 3 and what it says before it has a
 * log of its own in the VM's log. */
static int run_shim(struct vm *vm, const struct vm_strings *argv,
                    const struct vm_strings *env)
{
    uv_stdio_container_t stdio[LOCK_FD_IN_SHIM + 1];
    uv_process_options_t options;
    int result;
    int log_fd = openat(vm->dir_fd, VM_FILE_LOG,
                        O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

    if (log_fd < 0) {
        return HF_ERROR_IO;
    }
    memset(stdio, 0, sizeof(stdio));
    stdio[0].flags = UV_IGNORE;
    stdio[1].flags = UV_INHERIT_FD;
    stdio[1].data.fd = log_fd;
    stdio[2] = stdio[1];
    stdio[LOCK_FD_IN_SHIM].flags = UV_INHERIT_FD;
    stdio[LOCK_FD_IN_SHIM].data.fd = vm->lock_fd;
    memset(&options, 0, sizeof(options));
    options.file = argv->items[0];
    options.args = argv->items;
    options.env = env->items;
    options.cwd = "/";
    options.flags = UV_PROCESS_DETACHED;
    options.stdio = stdio;
    options.stdio_count = LOCK_FD_IN_SHIM + 1;
    options.exit_cb = on_process_exit;
    result = uv_spawn(vm->driver->host->loop, &vm->process, &options);
    close(log_fd);
    vm_hold(vm);
    if (result < 0) {
        log_error("vm.shim_not_started", "uid=%" PRIu64 " error=\"%s\"",
                  vm->spec.uid, uv_strerror(result));
        close_process(vm);
        return HF_ERROR_IO;
    }
    vm->process_open = true;
    return 0;
}

int vm_spawn(struct vm *vm)
{
    struct vm_strings argv = {0};
    struct vm_strings env = {0};
    int error = build_command(vm, &argv, &env);

    if (error == 0) {
        error = run_shim(vm, &argv, &env);
    }
    vm_strings_close(&argv);
    vm_strings_close(&env);
    if (error == 0) {
        /* The shim has it now. */
        close(vm->lock_fd);
        vm->lock_fd = -1;
        vm->stage = VM_STAGE_SPAWNED;
        vm_awake(vm);
    }
    return error;
}

int vm_forget(const struct run_dir *run, const struct vm_spec *spec)
{
    int error = vm_dir_remove(run, spec->uid);

    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < spec->disk_count; i++) {
        if (spec->disks[i].kind == VM_DISK_EPHEMERAL) {
            unlink(spec->disks[i].path);
        }
    }
    return 0;
}
