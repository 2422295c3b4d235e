/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives pending VMs a host, highest priority first: after a create, a start, a
 * move, a failure, the loss of a host or a zone. The second controller of each
 * turn. What finds no host keeps its reason and is tried again when something
 * changed that could help. */
#ifndef NODE_FAILOVER_H
#define NODE_FAILOVER_H

#include "node/judge.h"
#include "node/turn.h"

struct failover {
    struct turn_controller controller;
    const struct judge *judge;
    /* Something changed since the last look: capacity, hosts, VMs. */
    bool dirty;
    bool more;             /* The last turn did not get through all of them. */
    uint64_t next_look_ms; /* A restart delay ends; boot clock. */
    /* The first host of a new region would get every VM: after it registered,
     * the others have until then to follow. 0: not waiting. */
    uint64_t settle_until_ms;
    bool had_hosts;
};

/* Leadership was proved with this state. */
void failover_init(struct failover *failover, const struct judge *judge,
                   const struct state *state);

/* Tells of an applied event; most make another look worth while. */
void failover_note(struct failover *failover, const struct event *event);

bool failover_is_due(const struct failover *failover, const struct state *state,
                     uint64_t now_ms);

/* Places one VM that is PENDING in this turn's scratch, as a request would:
 * assigns it or sets its reason. */
void failover_place(struct turn_plan *plan, const struct vm *vm);

#endif
