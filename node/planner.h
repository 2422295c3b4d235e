/* SPDX-License-Identifier: Apache-2.0
 *
 * Works out a plan: on a clone of the state, with a placer of its own, the very
 * controllers that would do it, and hosts that obey at once. In slices, between
 * turns; the real state and its placer are not touched. Pure. */
#ifndef NODE_PLANNER_H
#define NODE_PLANNER_H

#include "node/failover.h"
#include "node/plan_action.h"
#include "placement/rebalance.h"

enum planner_phase {
    PLANNER_PREPARE,
    PLANNER_FENCE,
    PLANNER_PLACE,
    PLANNER_GROUP,
    PLANNER_DRAIN,
    PLANNER_REGROUP,
    PLANNER_REBALANCE,
    PLANNER_MOVE,
    PLANNER_PROVE,
    PLANNER_EXPLAIN,
    PLANNER_DONE,
    PLANNER_FAILED
};

/* What a plan begins with; lent for planner_begin(). */
struct planner_start {
    const struct state *state;
    const struct placer *placer; /* Of that state; NULL: unknown. */
    uint64_t time_ms;
    const struct turn_voters *voters;
    uint32_t start_ms; /* How long starts took lately. */
};

struct planner_reason;
struct rebalance;

struct planner {
    struct turn_plan plan; /* The clone's. */
    struct turn_voters voters;
    struct state *before;
    struct leases leases;
    struct judge judge;
    struct failover failover;
    const Holdfast__V1__PlanAction *message;
    struct api_reply *reply;
    struct plan_action action;
    struct plan *result;
    enum planner_phase phase;
    bool brief;     /* Only where everything ends up: no proof, no reasons. */
    bool recording; /* Decisions become steps. */
    bool truncated; /* There were too many. */
    uint32_t start_ms;
    struct map steps;  /* VM's uid to the number of its last step. */
    struct map starts; /* Host's slot plus 1 to the starts there so far. */
    uint64_t *leaving; /* Uids of VMs that are to stop, */
    uint32_t leaving_count;
    uint32_t leaving_capacity;
    uint64_t *arrived; /* and of those that were assigned. */
    uint32_t arrived_count;
    uint32_t arrived_capacity;
    uint32_t cursor;                /* Of the phase. */
    uint32_t rounds;                /* Likewise. */
    struct rebalance_window drains; /* Of what is drained. */
    uint32_t drained;               /* Claims of the pass over it so far. */
    struct rebalance *look;         /* REBALANCE: at which VMs; NULL: none. */
    uint32_t stuck;   /* VMs that cannot leave what the action drains, */
    uint32_t guarded; /* and those that headroom keeps there. */
    struct planner_reason *reasons; /* Explained so far. */
    uint32_t reason_count;
    uint32_t lost_message;
    uint32_t undecided_message;
};

/* Begins; action and reply are lent until the planner is closed. `brief`: see
 * there. */
void planner_begin(struct planner *planner, const struct planner_start *start,
                   const Holdfast__V1__PlanAction *action, bool brief,
                   struct api_reply *reply);
void planner_close(struct planner *planner);

/* One slice; true when the plan is complete, or the reply has failed. */
bool planner_work(struct planner *planner);

/* The complete plan; the caller's from now on. */
struct plan *planner_take(struct planner *planner);

#endif
