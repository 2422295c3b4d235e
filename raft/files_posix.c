/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/files.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct posix_file {
    struct file file;
    int fd;
};

static int fd_of(struct file *file)
{
    return container_of(file, struct posix_file, file)->fd;
}

static int posix_open(struct files *files, const char *path,
                      enum file_mode mode, struct file **file)
{
    static const int flags[] = {
        [FILE_READ] = O_RDONLY,
        [FILE_WRITE] = O_RDWR,
        [FILE_CREATE] = O_RDWR | O_CREAT | O_EXCL,
    };
    int fd = open(path, flags[mode] | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return -errno;
    }
    struct posix_file *posix = memory_alloc(sizeof *posix);
    posix->file.files = files;
    posix->fd = fd;
    *file = &posix->file;
    return 0;
}

/* Everything that matters was synced before: close() has nothing to report. */
static void posix_close(struct file *file)
{
    struct posix_file *posix = container_of(file, struct posix_file, file);
    close(posix->fd);
    free(posix);
}

static int posix_read(struct file *file, void *data, size_t len,
                      uint64_t offset, size_t *got)
{
    *got = 0;
    while (*got < len) {
        ssize_t n = pread(fd_of(file), (char *)data + *got, len - *got,
                          (off_t)(offset + *got));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return 0;
}

static int posix_write(struct file *file, const void *data, size_t len,
                       uint64_t offset)
{
    size_t done = 0;
    while (done < len) {
        ssize_t n = pwrite(fd_of(file), (const char *)data + done, len - done,
                           (off_t)(offset + done));
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -errno;
        }
        done += (size_t)n;
    }
    return 0;
}

static int posix_sync(struct file *file)
{
    return fdatasync(fd_of(file)) == 0 ? 0 : -errno;
}

static int posix_size(struct file *file, uint64_t *bytes)
{
    struct stat stat;
    if (fstat(fd_of(file), &stat) != 0) {
        return -errno;
    }
    *bytes = (uint64_t)stat.st_size;
    return 0;
}

static int posix_truncate(struct file *file, uint64_t bytes)
{
    return ftruncate(fd_of(file), (off_t)bytes) == 0 ? 0 : -errno;
}

static int posix_allocate(struct file *file, uint64_t bytes)
{
    int rv;
    do {
        rv = posix_fallocate(fd_of(file), 0, (off_t)bytes);
    } while (rv == EINTR);
    return -rv;
}

static int posix_lock(struct file *file)
{
    return flock(fd_of(file), LOCK_EX | LOCK_NB) == 0 ? 0 : -errno;
}

static int posix_rename(struct files *files, const char *from, const char *to)
{
    (void)files;
    return rename(from, to) == 0 ? 0 : -errno;
}

static int posix_unlink(struct files *files, const char *path)
{
    (void)files;
    return unlink(path) == 0 ? 0 : -errno;
}

static int posix_make_directory(struct files *files, const char *path)
{
    (void)files;
    return mkdir(path, 0700) == 0 ? 0 : -errno;
}

static int posix_remove_directory(struct files *files, const char *path)
{
    (void)files;
    return rmdir(path) == 0 ? 0 : -errno;
}

static int posix_sync_directory(struct files *files, const char *path)
{
    (void)files;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    int rv = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return rv;
}

static int posix_list(struct files *files, const char *path,
                      struct files_visitor *visitor)
{
    (void)files;
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return -errno;
    }
    int rv = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            rv = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0) {
            visitor->visit(visitor, entry->d_name);
        }
    }
    closedir(directory);
    return rv;
}

static const struct files_ops posix_ops = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .size = posix_size,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .lock = posix_lock,
    .rename = posix_rename,
    .unlink = posix_unlink,
    .make_directory = posix_make_directory,
    .remove_directory = posix_remove_directory,
    .sync_directory = posix_sync_directory,
    .list = posix_list,
};

struct files *files_posix(void)
{
    static struct files files = {.ops = &posix_ops};
    return &files;
}
