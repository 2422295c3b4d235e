/* SPDX-License-Identifier: Apache-2.0
 *
 * RUN/guard/beat: one page in which the guard leaves the time whenever it has
 * looked at the lease. A guard that is stopped or stuck holds its lock and is
 * no guard; the beat tells. */
#ifndef AGENT_GUARD_BEAT_H
#define AGENT_GUARD_BEAT_H

#include "agent/process.h"

#include <stdint.h>

struct guard_beat_content;

/* Of the guard that writes. */
struct guard_beat {
    struct guard_beat_content *content;
};

/* Makes or takes over the page and writes who we are. IO. */
int guard_beat_create(struct guard_beat *beat, int guard_dir_fd);
void guard_beat_write(struct guard_beat *beat, uint64_t now_ns);

/* What the page says: the last beat (0: none yet) and the guard's process.
 * NOT_FOUND, INVALID, IO. */
int guard_beat_read(int guard_dir_fd, uint64_t *beat_ns,
                    struct process_id *guard);

#endif
