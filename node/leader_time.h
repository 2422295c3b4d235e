/* SPDX-License-Identifier: Apache-2.0
 *
 * The time that a leader stamps on its turns: the wall clock, made fit to wait
 * by. It never runs backwards, and it always moves as fast as the boot clock:
 * after a leader whose wall clock ran an hour ahead, the next one goes on from
 * that hour instead of standing still until it has passed, with every restart
 * delay and every held zone waiting. Pure. */
#ifndef NODE_LEADER_TIME_H
#define NODE_LEADER_TIME_H

#include <stdint.h>

struct leader_time {
    uint64_t stamp_ms; /* The last one; ms since 1970. */
    uint64_t boot_ms;  /* When that was. */
};

/* Leadership was proved; the state's time is from an earlier leader. */
void leader_time_begin(struct leader_time *time, uint64_t state_time_ms,
                       uint64_t boot_ms);

/* The stamp of now. */
uint64_t leader_time_now(struct leader_time *time, uint64_t wall_ms,
                         uint64_t boot_ms);

#endif
