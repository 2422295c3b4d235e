/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/run_dir.h"

#include "agent/files.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define UID_TEXT_BYTES 24

static void reset(struct run_dir *run)
{
    memset(run, 0, sizeof(*run));
    run->fd = -1;
    run->vms_fd = -1;
    run->guard_fd = -1;
    run->quarantine_fd = -1;
}

static int open_dir(int dir_fd, const char *name, bool create)
{
    int fd;

    if (create && mkdirat(dir_fd, name, 0700) < 0 && errno != EEXIST) {
        return HF_ERROR_IO;
    }
    fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    return fd;
}

/* Who can write here can give VMs an endless lease. */
static bool is_ours_alone(int fd)
{
    struct stat stat;

    return fstat(fd, &stat) == 0 && stat.st_uid == geteuid() &&
           (stat.st_mode & 0022) == 0;
}

static int open_run(struct run_dir *run, const char *path, bool create)
{
    struct {
        const char *name;
        int *fd;
    } children[] = {
        {"vms", &run->vms_fd},
        {"guard", &run->guard_fd},
        {"quarantine", &run->quarantine_fd},
    };

    reset(run);
    if (strlen(path) > RUN_DIR_PATH_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    if (path[0] != '/') {
        return HF_ERROR_INVALID;
    }
    memcpy(run->path, path, strlen(path) + 1);
    run->fd = open_dir(AT_FDCWD, path, create);
    if (run->fd < 0) {
        return run->fd;
    }
    if (!is_ours_alone(run->fd)) {
        run_dir_close(run);
        return HF_ERROR_INVALID;
    }
    for (size_t i = 0; i < ARRAY_LEN(children); i++) {
        int fd = open_dir(run->fd, children[i].name, create);

        if (fd < 0) {
            run_dir_close(run);
            return fd;
        }
        *children[i].fd = fd;
    }
    return 0;
}

int run_dir_create(struct run_dir *run, const char *path)
{
    return open_run(run, path, true);
}

int run_dir_open(struct run_dir *run, const char *path)
{
    return open_run(run, path, false);
}

void run_dir_close(struct run_dir *run)
{
    int fds[] = {run->fd, run->vms_fd, run->guard_fd, run->quarantine_fd};

    for (size_t i = 0; i < ARRAY_LEN(fds); i++) {
        if (fds[i] >= 0) {
            close(fds[i]);
        }
    }
    reset(run);
}

int run_dir_open_vm(const struct run_dir *run, uint64_t uid, bool create)
{
    char name[UID_TEXT_BYTES];

    CHECK(uid != 0);
    snprintf(name, sizeof(name), "%" PRIu64, uid);
    return open_dir(run->vms_fd, name, create);
}

int run_dir_parse_uid(const char *name, uint64_t *uid)
{
    if (files_parse_u64(name, strlen(name), UINT64_MAX, uid) != 0 ||
        *uid == 0) {
        return HF_ERROR_INVALID;
    }
    return 0;
}

int vm_dir_lock(int dir_fd)
{
    int fd = openat(dir_fd, VM_FILE_LOCK,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return HF_ERROR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int error = errno == EWOULDBLOCK ? HF_ERROR_BUSY : HF_ERROR_IO;

        close(fd);
        return error;
    }
    return fd;
}

/* Everything but the lock. */
static const char *const vm_files[] = {
    VM_FILE_PID,          VM_FILE_PID ".tmp",  VM_FILE_QMP,
    VM_FILE_SERIAL,       VM_FILE_SERIAL ".1", VM_FILE_LOG,
    VM_FILE_LOG ".1",     VM_FILE_EXIT,        VM_FILE_EXIT ".tmp",
    VM_FILE_SPEC,         VM_FILE_SPEC ".tmp", VM_FILE_EPOCH,
    VM_FILE_EPOCH ".tmp",
};

int vm_dir_clean(int dir_fd)
{
    for (size_t i = 0; i < ARRAY_LEN(vm_files); i++) {
        if (unlinkat(dir_fd, vm_files[i], 0) < 0 && errno != ENOENT) {
            return HF_ERROR_IO;
        }
    }
    return 0;
}

int vm_dir_remove(const struct run_dir *run, uint64_t uid)
{
    char name[UID_TEXT_BYTES];
    int lock_fd;
    int error;
    int fd = run_dir_open_vm(run, uid, false);

    if (fd < 0) {
        return fd;
    }
    lock_fd = vm_dir_lock(fd);
    if (lock_fd < 0) {
        close(fd);
        return lock_fd;
    }
    snprintf(name, sizeof(name), "%" PRIu64, uid);
    error = vm_dir_clean(fd);
    if (error == 0 && unlinkat(fd, VM_FILE_LOCK, 0) < 0) {
        error = HF_ERROR_IO;
    }
    if (error == 0 && unlinkat(run->vms_fd, name, AT_REMOVEDIR) < 0) {
        error = errno == ENOTEMPTY || errno == EEXIST
                    ? run_dir_quarantine(run, name)
                    : HF_ERROR_IO;
    }
    close(lock_fd);
    close(fd);
    return error;
}

int run_dir_quarantine(const struct run_dir *run, const char *name)
{
    char to[320];
    int len =
        snprintf(to, sizeof(to), "%.255s.%" PRIu64, name, clock_boot_ns());

    CHECK(len > 0 && (size_t)len < sizeof(to));
    return renameat(run->vms_fd, name, run->quarantine_fd, to) < 0 ? HF_ERROR_IO
                                                                   : 0;
}
