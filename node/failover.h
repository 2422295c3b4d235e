/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives pending VMs a host, highest priority first: after a create, a start, a
 * move, a failure, the loss of a host or a zone. What finds no host keeps its
 * reason and is tried again when something changed that could help. Many that
 * lost their hosts at once are planned together first (node/evacuator.h). */
#ifndef NODE_FAILOVER_H
#define NODE_FAILOVER_H

#include "node/evacuator.h"
#include "node/judge.h"
#include "node/pending.h"
#include "node/place.h"
#include "node/refusals.h"
#include "node/turn.h"

struct failover {
    struct turn_controller controller;
    const struct judge *judge;
    struct pending pending;
    struct evacuator evacuator;
    struct refusals refusals;       /* Of the pass. */
    struct placement_search search; /* For the first of the pending VMs. */
    /* Something changed since the last look: capacity, hosts, VMs. */
    bool dirty;
    /* The pass began anew before it came to its end. It may do so once: a busy
     * region would otherwise never come to VMs of low priority. */
    bool restarted;
    bool lost;   /* Hosts were: what is planned together is not known yet. */
    bool proved; /* Of that loss, headroom's slots were filled already. */
    uint64_t next_look_ms; /* A restart delay ends; boot clock. */
    /* The first host of a new region would get every VM: after it registered,
     * the others have until then to follow. 0: not waiting. */
    uint64_t settle_until_ms;
    bool had_hosts;
    uint32_t assign_max; /* In one turn. */
};

void failover_init(struct failover *failover, const struct judge *judge);
void failover_close(struct failover *failover);

/* Leadership was proved with this state; what was planned before is void. */
void failover_lead(struct failover *failover, const struct state *state);

/* Leadership was lost: nothing is kept. */
void failover_drop(struct failover *failover);

/* Tells of an applied event; most make another look worth while. */
void failover_note(struct failover *failover, const struct event *event);

/* What a turn decided may not have come about. */
void failover_turn_failed(struct failover *failover);

/* A slice of planning, between turns, with the applied state; true when there
 * is nothing left to plan. */
bool failover_work(struct failover *failover, const struct state *state);

bool failover_is_due(const struct failover *failover, const struct state *state,
                     uint64_t now_ms);

/* Places one VM that is PENDING in this turn's scratch, as a request would:
 * assigns it or sets its reason. */
void failover_place(struct turn_plan *plan, const struct vm *vm);

#endif
