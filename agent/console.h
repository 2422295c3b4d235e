/* SPDX-License-Identifier: Apache-2.0
 *
 * What a VM's program writes, kept in two files of a bounded size: NAME has the
 * newest part and NAME.1 the part before. QEMU's own `logfile` grows without
 * end and would fill the host's memory from inside a guest, so the program
 * writes to a pipe and the shim, which must live as long as the VM anyway,
 * moves the bytes. While the shim is stopped QEMU drops serial output; the
 * guest does not wait. */
#ifndef AGENT_CONSOLE_H
#define AGENT_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>

#define CONSOLE_FILE_BYTES_MAX (128u * 1024u)

struct console {
    int dir_fd;
    const char *name; /* Static. */
    int pipe_fd;      /* Reading end, non-blocking; -1 after its end. */
    int write_fd;     /* For the program; the parent closes it. */
    int file_fd;
    size_t file_bytes;
    bool is_stderr; /* Our own stderr follows the newest file. */
};

/* IO. On success the caller closes it. */
int console_open(struct console *console, int dir_fd, const char *name,
                 bool is_stderr);
void console_close(struct console *console);

/* Moves one bounded portion; false when there is nothing now. */
bool console_pump(struct console *console);

#endif
