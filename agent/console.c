/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/console.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define PORTION_BYTES 16384

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        close(*fd);
        *fd = -1;
    }
}

static int open_file(struct console *console)
{
    int fd = openat(
        console->dir_fd, console->name,
        O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return HF_ERROR_IO;
    }
    close_fd(&console->file_fd);
    console->file_fd = fd;
    console->file_bytes = 0;
    if (console->is_stderr && dup2(fd, STDERR_FILENO) < 0) {
        return HF_ERROR_IO;
    }
    return 0;
}

int console_open(struct console *console, int dir_fd, const char *name,
                 bool is_stderr)
{
    int ends[2];

    console->dir_fd = dir_fd;
    console->name = name;
    console->is_stderr = is_stderr;
    console->file_fd = -1;
    console->pipe_fd = -1;
    console->write_fd = -1;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        return HF_ERROR_IO;
    }
    console->pipe_fd = ends[0];
    console->write_fd = ends[1];
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 || open_file(console) != 0) {
        console_close(console);
        return HF_ERROR_IO;
    }
    return 0;
}

void console_close(struct console *console)
{
    close_fd(&console->pipe_fd);
    close_fd(&console->write_fd);
    close_fd(&console->file_fd);
}

/* A file that is full becomes the old one. If that fails the bytes are lost:
 * a console must never keep the shim from its work. */
static void keep(struct console *console, const char *data, size_t len)
{
    char old[32];
    ssize_t written;

    if (console->file_bytes + len > CONSOLE_FILE_BYTES_MAX) {
        int printed = snprintf(old, sizeof(old), "%s.1", console->name);

        CHECK(printed > 0 && (size_t)printed < sizeof(old));
        if (renameat(console->dir_fd, console->name, console->dir_fd, old) <
                0 ||
            open_file(console) != 0) {
            return;
        }
    }
    written = write(console->file_fd, data, len);
    if (written > 0) {
        console->file_bytes += (size_t)written;
    }
}

bool console_pump(struct console *console)
{
    char portion[PORTION_BYTES];
    ssize_t n;

    if (console->pipe_fd < 0) {
        return false;
    }
    n = read(console->pipe_fd, portion, sizeof(portion));
    if (n > 0) {
        keep(console, portion, (size_t)n);
        return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
        close_fd(&console->pipe_fd);
    }
    return false;
}
