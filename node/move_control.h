/* SPDX-License-Identifier: Apache-2.0
 *
 * Moves of VMs that run: begins queued ones in their order, empties what is
 * drained, evens out zones; all within the budgets. Each move holds room at its
 * target before its VM is stopped, and says its cause. What a plan queued for a
 * drain is given up when the drain is cancelled, or ends at its deadline. A
 * controller of each turn, before failover. Pure. */
#ifndef NODE_MOVE_CONTROL_H
#define NODE_MOVE_CONTROL_H

#include "base/map.h"
#include "node/judge.h"
#include "node/pending.h"
#include "node/turn.h"
#include "placement/rebalance.h"

struct move_queued;
struct rebalance;

struct move_control {
    struct turn_controller controller;
    const struct judge *judge;
    const struct pending *pending;
    /* VMs that run and hold room elsewhere, by move_order once it is sorted. */
    struct move_queued *queue;
    uint32_t queue_count;
    uint32_t queue_capacity;
    bool sorted;
    struct map queued;    /* Their uids. */
    struct map under_way; /* Uids of VMs whose moves count. */
    uint64_t lost_zones;  /* Bit i: the zone in slot i was lost already. */
    bool cancelling;      /* One more was: queued claims are given up. */
    bool dirty;           /* Something changed since the last look. */
    bool rebalancing;     /* It began, and has not come to its end. */
    /* Which VMs may move, looked at in slices between turns; NULL: nobody
     * asks. */
    struct rebalance *look;
    bool looked;           /* That is complete; the next turn decides. */
    uint64_t next_look_ms; /* Boot clock. */
    struct rebalance_window window; /* Of what is drained. */
    uint32_t ends_next; /* Host up to which drains' deadlines were looked at. */
    /* VMs on what is drained that cannot leave: in the last pass over all of
     * it, and so far in this one. */
    uint32_t stuck;
    uint32_t stuck_so_far;
};

void move_control_init(struct move_control *control, const struct judge *judge,
                       const struct pending *pending);
void move_control_close(struct move_control *control);

/* Leadership was proved with this state, or a turn may not have come about. */
void move_control_lead(struct move_control *control, const struct state *state);

/* No longer the leader: what was looked at is forgotten. */
void move_control_drop(struct move_control *control);

/* Tells of an applied event. */
void move_control_note(struct move_control *control, const struct event *event);

/* One slice of what is worked out between turns; true when there is none left.
 */
bool move_control_work(struct move_control *control);

bool move_control_is_due(const struct move_control *control,
                         const struct state *state, uint64_t now_ms);

/* Whether the time (ms since 1970) is within the rebalancing window. */
bool move_control_in_window(const struct policy *policy, uint64_t time_ms);

#endif
