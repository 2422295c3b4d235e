/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/save.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SUFFIX ".XXXXXX"

static bool write_all(int fd, const struct bytes *text)
{
    size_t done = 0;

    while (done < text->len) {
        ssize_t count = write(fd, text->data + done, text->len - done);

        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

static bool write_into(const char *path, const struct bytes *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool written;
    int error;

    if (fd < 0) {
        return false;
    }
    written = write_all(fd, text);
    error = errno;
    (void)close(fd);
    errno = error;
    return written;
}

/* The new name is on the disk when the folder is. */
static bool sync_folder(const char *path)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path) + 1;
    bool synced;
    int fd;

    (void)snprintf(folder, sizeof(folder), "%.*s", (int)len, path);
    fd = open(len == 0 ? "." : folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    synced = fsync(fd) == 0;
    (void)close(fd);
    return synced;
}

/* A whole file beside `path`; its name into `draft`. */
static bool write_draft(const char *path, mode_t mode, const struct bytes *text,
                        char draft[PATH_MAX])
{
    int len = snprintf(draft, PATH_MAX, "%s" SUFFIX, path);
    bool saved;
    int error;
    int fd;

    if (len < 0 || len >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return false;
    }
    fd = mkostemp(draft, O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    saved =
        write_all(fd, text) && fchmod(fd, mode & 0777) == 0 && fsync(fd) == 0;
    error = errno;
    if (close(fd) != 0 && saved) {
        saved = false;
        error = errno;
    }
    if (!saved) {
        (void)unlink(draft);
        errno = error;
    }
    return saved;
}

static bool replace(const char *path, mode_t mode, const struct bytes *text)
{
    char draft[PATH_MAX];
    int error;

    if (!write_draft(path, mode, text, draft)) {
        return false;
    }
    if (rename(draft, path) == 0) {
        return sync_folder(path);
    }
    error = errno;
    (void)unlink(draft);
    errno = error;
    return false;
}

bool save_new_file(const char *path, const struct bytes *text)
{
    char draft[PATH_MAX];
    bool there;
    int error;

    if (!write_draft(path, S_IRUSR | S_IWUSR, text, draft)) {
        return false;
    }
    there = link(draft, path) == 0; /* Unlike rename(), not over another. */
    error = errno;
    (void)unlink(draft);
    errno = error;
    return there && sync_folder(path);
}

bool save_file(const char *path, const struct bytes *text)
{
    char target[PATH_MAX];
    struct stat stats;

    if (stat(path, &stats) != 0) {
        return errno == ENOENT && replace(path, S_IRUSR | S_IWUSR, text);
    }
    if (!S_ISREG(stats.st_mode)) {
        return write_into(path, text);
    }
    return realpath(path, target) != NULL &&
           replace(target, stats.st_mode, text);
}
