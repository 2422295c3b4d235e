/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/files.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME_MAX_OURS 64

static int read_all(int fd, char *buf, size_t size, size_t *len)
{
    size_t used = 0;

    for (;;) {
        ssize_t n = read(fd, buf + used, size - used);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return HF_ERROR_IO;
        }
        if (n == 0) {
            break;
        }
        used += (size_t)n;
        if (used == size) {
            return HF_ERROR_TOO_LARGE;
        }
    }
    buf[used] = '\0';
    *len = used;
    return 0;
}

int files_read(int dir_fd, const char *name, char *buf, size_t size,
               size_t *len)
{
    struct stat stat;
    int error;
    /* Non-blocking: somebody's FIFO of that name must not stop us. */
    int fd = openat(dir_fd, name,
                    O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);

    CHECK(size > 0);
    if (fd < 0) {
        return errno == ENOENT ? HF_ERROR_NOT_FOUND : HF_ERROR_IO;
    }
    if (fstat(fd, &stat) < 0) {
        error = HF_ERROR_IO;
    } else if (!S_ISREG(stat.st_mode)) {
        error = HF_ERROR_INVALID;
    } else {
        error = read_all(fd, buf, size, len);
    }
    close(fd);
    return error;
}

static int write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return HF_ERROR_IO;
        }
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

static int replace(int dir_fd, const char *name, const void *data, size_t len,
                   bool synced)
{
    char temporary[NAME_MAX_OURS + 8];
    int written = snprintf(temporary, sizeof(temporary), "%s.tmp", name);
    int error;
    int fd;

    CHECK(written > 0 && (size_t)written < sizeof(temporary));
    fd = openat(dir_fd, temporary,
                O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return HF_ERROR_IO;
    }
    error = write_all(fd, data, len);
    if (error == 0 && synced && fsync(fd) < 0) {
        error = HF_ERROR_IO;
    }
    if (close(fd) < 0) {
        error = HF_ERROR_IO;
    }
    if (error == 0 && renameat(dir_fd, temporary, dir_fd, name) < 0) {
        error = HF_ERROR_IO;
    }
    if (error != 0) {
        unlinkat(dir_fd, temporary, 0);
    } else if (synced && fsync(dir_fd) < 0) {
        error = HF_ERROR_IO;
    }
    return error;
}

int files_replace(int dir_fd, const char *name, const void *data, size_t len)
{
    return replace(dir_fd, name, data, len, false);
}

int files_replace_synced(int dir_fd, const char *name, const void *data,
                         size_t len)
{
    return replace(dir_fd, name, data, len, true);
}

int files_parse_u64(const char *text, size_t len, uint64_t max, uint64_t *value)
{
    uint64_t sum = 0;

    if (len == 0 || (text[0] == '0' && len > 1)) {
        return HF_ERROR_INVALID;
    }
    for (size_t i = 0; i < len; i++) {
        uint64_t digit;

        if (text[i] < '0' || text[i] > '9') {
            return HF_ERROR_INVALID;
        }
        digit = (uint64_t)(text[i] - '0');
        if (digit > max || sum > (max - digit) / 10) {
            return HF_ERROR_INVALID;
        }
        sum = sum * 10 + digit;
    }
    *value = sum;
    return 0;
}
