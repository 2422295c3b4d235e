/* SPDX-License-Identifier: Apache-2.0
 *
 * The control file, and what is done to file operations. */
#include "tests/chaos/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define VARIABLE "HF_CHAOS_CONTROL"
#define MAGIC    0x31534f414843ull
#define SLICE_US 10000 /* A wait notices that late that it was ended. */

struct control *control;

/* What the process starts gets none of this, unless it is told so. */
__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv(VARIABLE);
    if (path == NULL) {
        return;
    }
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0);
    void *at = fd < 0 ? MAP_FAILED
                      : mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE,
                             MAP_SHARED, fd, 0);
    if (at == MAP_FAILED || ((struct control *)at)->magic != MAGIC) {
        static const char text[] = "preload: no control file\n";
        (void)!syscall(SYS_write, STDERR_FILENO, text, sizeof text - 1);
        abort();
    }
    syscall(SYS_close, fd);
    control = at;
    unsetenv(VARIABLE);
    unsetenv("LD_PRELOAD");
}

static bool is_below(const char *path)
{
    size_t len = strnlen(control->below, BELOW_BYTES);
    return len > 0 && strncmp(path, control->below, len) == 0 &&
           (path[len] == '/' || path[len] == '\0');
}

static bool fd_is_below(int fd)
{
    char link[32];
    char path[PATH_MAX];
    if (control == NULL || !control->disk) {
        return false;
    }
    int error = errno;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long len = syscall(SYS_readlink, link, path, sizeof path - 1);
    errno = error;
    if (len <= 0) {
        return false;
    }
    path[len] = '\0';
    return is_below(path);
}

/* The product names files by whole paths, or by the directory they are in. */
static bool path_is_below(int dir_fd, const char *path)
{
    if (control == NULL || !control->disk) {
        return false;
    }
    return path[0] == '/' || dir_fd == AT_FDCWD ? is_below(path)
                                                : fd_is_below(dir_fd);
}

static void wait_us(const _Atomic int64_t *wanted)
{
    for (int64_t waited = 0; waited < *wanted;) {
        int64_t slice = *wanted - waited;
        slice = slice < SLICE_US ? slice : SLICE_US;
        struct timespec wait = {.tv_nsec = (long)slice * 1000};
        syscall(SYS_nanosleep, &wait, NULL);
        waited += slice;
    }
}

/* Whether this one fails; errno tells why. */
static bool fails(enum operation operation)
{
    struct fault *fault = &control->faults[operation];
    fault->seen++;
    uint64_t left = fault->countdown;
    uint64_t next;
    do {
        if (left == 0) {
            return false;
        }
        next = left > 1 ? left - 1 : fault->forever != 0;
    } while (!atomic_compare_exchange_weak(&fault->countdown, &left, next));
    if (left > 1) {
        return false;
    }
    fault->failed++;
    errno = (int)fault->error;
    return true;
}

static bool sync_fails(int fd)
{
    if (!fd_is_below(fd)) {
        return false;
    }
    wait_us(&control->sync_us);
    return fails(SYNC);
}

int fsync(int fd)
{
    return sync_fails(fd) ? -1 : (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    return sync_fails(fd) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int sync_file_range(int fd, off64_t offset, off64_t len, unsigned flags)
{
    return sync_fails(fd)
               ? -1
               : (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t offset)
{
    if (fd_is_below(fd)) {
        wait_us(&control->write_us);
        if (fails(WRITE)) {
            int error = errno;
            if (control->faults[WRITE].torn) {
                (void)!syscall(SYS_pwrite64, fd, data, len / 2, offset);
            }
            errno = error;
            return -1;
        }
    }
    return syscall(SYS_pwrite64, fd, data, len, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off64_t offset)
{
    return pwrite(fd, data, len, offset);
}

ssize_t write(int fd, const void *data, size_t len)
{
    return fd_is_below(fd) && fails(WRITE) ? -1
                                           : syscall(SYS_write, fd, data, len);
}

int fallocate(int fd, int mode, off_t offset, off_t len)
{
    return fd_is_below(fd) && fails(ALLOCATE)
               ? -1
               : (int)syscall(SYS_fallocate, fd, mode, offset, len);
}

int fallocate64(int fd, int mode, off64_t offset, off64_t len)
{
    return fallocate(fd, mode, offset, len);
}

/* Without the C library's way out for file systems that cannot. */
int posix_fallocate(int fd, off_t offset, off_t len)
{
    int before = errno;
    int error = fallocate(fd, 0, offset, len) == 0 ? 0 : errno;
    errno = before;
    return error;
}

int posix_fallocate64(int fd, off64_t offset, off64_t len)
{
    return posix_fallocate(fd, offset, len);
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    return path_is_below(to_fd, to) && fails(RENAME)
               ? -1
               : (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
}

int rename(const char *from, const char *to)
{
    return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

static int open_at(int dir_fd, const char *path, int flags, mode_t mode)
{
    bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_CREAT) != 0;
    return writes && path_is_below(dir_fd, path) && fails(OPEN)
               ? -1
               : (int)syscall(SYS_openat, dir_fd, path, flags, mode);
}

static mode_t mode_of(int flags, va_list arguments)
{
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE
               ? va_arg(arguments, mode_t)
               : 0;
}

int open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(AT_FDCWD, path, flags, mode);
}

int openat(int dir_fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(dir_fd, path, flags, mode);
}

int openat64(int dir_fd, const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    mode_t mode = mode_of(flags, arguments);
    va_end(arguments);
    return open_at(dir_fd, path, flags, mode);
}
