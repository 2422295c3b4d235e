/* SPDX-License-Identifier: Apache-2.0
 *
 * Naming and killing processes without hitting the wrong one. */
#ifndef AGENT_PROCESS_H
#define AGENT_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_id {
    pid_t pid;
    uint64_t start_ticks; /* Since boot, /proc/<pid>/stat field 22. */
};

/* Of a live or zombie process. NOT_FOUND; IO: it could not be read. */
int process_identify(pid_t pid, struct process_id *id);

/* A pidfd of exactly this process, close-on-exec. NOT_FOUND: it is reaped, or
 * the pid is another process now; IO. */
int process_open(const struct process_id *id);

/* Whether exactly this process is still there, zombie or not; true also when
 * that cannot be found out. */
bool process_exists(const struct process_id *id);

/* A pidfd of a child that was not waited for. */
int process_open_child(pid_t pid);

/* NOT_FOUND when it is dead already. */
int process_signal(int pid_fd, int signal);

/* Real-time priority that forked programs do not inherit, and all memory
 * locked: both as far as the system lets us, for a kill that is not late.
 * Returns what was got, for a log line. */
struct process_priority {
    bool fifo;
    bool locked;
};
struct process_priority process_raise(void);

#endif
