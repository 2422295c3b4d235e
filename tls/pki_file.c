/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/pki_file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_ROOM 1024

static int refuse(const char *path, char *error, size_t size)
{
    snprintf(error, size, "%s: %s", path, strerror(errno));
    return HF_ERROR_IO;
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);

        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            data += written;
            len -= (size_t)written;
        }
    }
    return true;
}

int pki_save(const char *dir, const char *name, const char *suffix,
             const struct pki_text *text, char *error, size_t size)
{
    char path[PATH_ROOM];
    char temporary[PATH_ROOM + 8];
    mode_t mode = text->secret ? 0600 : 0644;
    bool done;
    int fd;

    if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
        return refuse(dir, error, size);
    }
    if (snprintf(path, sizeof(path), "%s/%s%s", dir, name, suffix) >=
        (int)sizeof(path)) {
        errno = ENAMETOOLONG;
        return refuse(dir, error, size);
    }
    snprintf(temporary, sizeof(temporary), "%s.new", path);
    (void)unlink(temporary);
    fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
              mode);
    if (fd < 0) {
        return refuse(temporary, error, size);
    }
    done = fchmod(fd, mode) == 0 && write_all(fd, text->data, text->len) &&
           fsync(fd) == 0;
    done = close(fd) == 0 && done;
    if (!done || rename(temporary, path) != 0) {
        int rv = refuse(path, error, size);

        (void)unlink(temporary);
        return rv;
    }
    return 0;
}
