/* SPDX-License-Identifier: Apache-2.0
 *
 * Gives one pending VM a host in a turn, or its reason why not: what failover,
 * groups and requests have in common. Pure. */
#ifndef NODE_PLACE_H
#define NODE_PLACE_H

#include "node/turn.h"

/* The VM is PENDING in the plan's scratch. Assigns it (PENDING_NONE); or, when
 * preemptible VMs are stopped for it, holds room for it (PENDING_PREEMPTING);
 * or sets and returns the reason. The record is not valid afterwards.
 *
 * When no work is left (turn_work_left()) it changes nothing and returns
 * PENDING_QUEUED: it is for a later turn. `search` then has what goes on, if
 * its vm_uid is that of the VM; NULL: it is left to failover, which looks at
 * every pending VM. */
enum pending_reason place_vm(struct turn_plan *plan, const struct vm *vm,
                             struct placement_search *search);

/* Its zone is lost, and headroom kept a slot for that: to that host, if it is
 * as the proof has it. What is decided so takes nothing that was kept for
 * others. False, and nothing changed: there is no such slot (any more). */
bool place_by_proof(struct turn_plan *plan, const struct vm *vm);

/* To this host, which takes it. */
void place_assign(struct turn_plan *plan, const struct vm *vm,
                  uint32_t host_slot);

/* Only if it is another one than before. */
void place_reason(struct turn_plan *plan, const struct vm *vm,
                  enum pending_reason reason);

/* Whether the host will have room beside its claims once those that leave it
 * are gone. */
bool place_fits_later(const struct state *state, const struct vm *vm,
                      uint32_t host_slot);

/* Whether it has that room now: beside what is used and what is claimed. */
bool place_fits_beside(const struct state *state, const struct vm *vm,
                       uint32_t host_slot);

/* Whether the refusal may pass when those that leave are gone: from that host,
 * for room; from the VM's group, whose strict rules count them. */
bool place_passes(const struct state *state, const struct vm *vm,
                  uint32_t host_slot, enum placement_refusal refusal);

/* Holds room for it on a host that others are about to leave, which its reason
 * then says; false, and nothing changed, when others hold too much of it. */
bool place_claim(struct turn_plan *plan, const struct vm *vm,
                 uint32_t host_slot, enum move_cause cause);

/* Its claim is given up. */
void place_unclaim(struct turn_plan *plan, const struct vm *vm);

/* A PENDING VM's move, or the room that it holds, is given up. */
const struct vm *place_free(struct turn_plan *plan, const struct vm *vm);

#endif
