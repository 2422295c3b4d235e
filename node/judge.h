/* SPDX-License-Identifier: Apache-2.0
 *
 * Judging failures (DESIGN.md section 7): which hosts are lost, which zones,
 * and when so much vanished at once that it is more likely we who are cut off.
 * Plans fences and zone states as the first controller of each turn. */
#ifndef NODE_JUDGE_H
#define NODE_JUDGE_H

#include "node/lease.h"
#include "node/turn.h"

struct judge {
    struct turn_controller controller;
    struct leases *leases;
    /* Bit i: the voter of the zone in slot i answers the leader. A zone that
     * has no voter counts as answering: only its hosts can tell. */
    uint64_t zones_reachable;
    bool more;               /* Further hosts are to be fenced next turn. */
    bool storm;              /* Automatic re-assignment is paused. */
    uint64_t storm_since_ms; /* Boot clock. */
    /* Per zone, since when an ended lease waits for others there that are
     * late; 0: none does. */
    uint64_t waiting_since_ms[ZONES_MAX];
    uint64_t next_look_ms; /* Boot clock; earliest. */
};

void judge_init(struct judge *judge, struct leases *leases);

/* Leadership was proved: forget what was seen before. */
void judge_reset(struct judge *judge);

/* Whether a turn is due: some lease ended or a zone's state may change. */
bool judge_is_due(const struct judge *judge, const struct state *state,
                  uint64_t now_ms, uint64_t time_ms);

#endif
