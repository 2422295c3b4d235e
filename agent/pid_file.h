/* SPDX-License-Identifier: Apache-2.0
 *
 * vms/<uid>/pid: which processes make up a VM. The shim writes it before the
 * VM's program runs, so whoever finds the lock busy finds what to kill. A pid
 * alone can be used again; with the start time it names one process. */
#ifndef AGENT_PID_FILE_H
#define AGENT_PID_FILE_H

#include "agent/process.h"

#include <stdbool.h>

struct pid_file {
    struct process_id shim;
    struct process_id vm; /* pid 0: not forked yet. */
    bool keep;            /* The lease's end does not kill it. */
    bool running;         /* The VM's program was started. */
};

int pid_file_write(const struct pid_file *file, int dir_fd);

/* NOT_FOUND, INVALID, IO. */
int pid_file_read(struct pid_file *file, int dir_fd);

#endif
