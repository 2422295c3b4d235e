/* SPDX-License-Identifier: Apache-2.0
 *
 * The loss of much at once: where all of its VMs go is planned together
 * (placement/evacuate.h), on a clone, in slices between turns, and then decided
 * step by step in turns. A plan that places everybody is followed: it knows how
 * many starts a host bears. One that does not must not undo what headroom
 * promised: the slots that it kept for protected VMs hold all at once, so these
 * are filled first, and the rest is planned around them.
 *
 * Why rule 1 holds: the plan knows what was pending in the clone, which may be
 * old when a step is decided. Each step is checked against the turn's scratch
 * as any other decision: only a VM that is PENDING there, under the uid that it
 * had in the clone, is assigned, and PENDING is only reached by a proof that
 * its last epoch is gone. A VM that runs is only told to stop.
 *
 * Why rule 2 holds: a plan is never answered to anybody and never written; what
 * is written are decisions of turns. One that is lost with its leader is made
 * again by the next.
 *
 * Pure. */
#ifndef NODE_EVACUATOR_H
#define NODE_EVACUATOR_H

#include "node/turn.h"
#include "placement/evacuate.h"

struct evacuator {
    struct state *clone; /* NULL: nothing is planned or decided. */
    struct evacuation *evacuation;
    const struct evacuation_step *steps; /* NULL: still being planned. */
    uint32_t count;
    uint32_t next; /* The step that is decided next. */
    /* The plan leaves VMs without a place, so those that headroom kept slots
     * for go there, as was promised; the others are planned anew then. */
    bool by_proof;
};

void evacuator_init(struct evacuator *evacuator);

/* Forgets the plan. */
void evacuator_abandon(struct evacuator *evacuator);

/* Plans for what is pending in the state. `proved`: the slots were filled
 * already. */
void evacuator_begin(struct evacuator *evacuator, const struct state *state,
                     bool proved);

/* One slice; true when there is nothing left to plan. */
bool evacuator_work(struct evacuator *evacuator);

static inline bool evacuator_is_planning(const struct evacuator *evacuator)
{
    return evacuator->clone != NULL && evacuator->steps == NULL;
}

static inline bool evacuator_is_deciding(const struct evacuator *evacuator)
{
    return evacuator->steps != NULL;
}

enum evacuator_progress {
    EVACUATOR_GOES_ON,
    EVACUATOR_DONE,
    /* What was promised is kept; what else is pending is to be planned. */
    EVACUATOR_PROVED
};

/* Decides the next steps, at most `max`. */
enum evacuator_progress evacuator_decide(struct evacuator *evacuator,
                                         struct turn_plan *plan, uint32_t max);

#endif
