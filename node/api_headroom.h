/* SPDX-License-Identifier: Apache-2.0
 *
 * With `headroom: enforce` a request after which the loss of a zone could not
 * be survived is refused, before anything is changed. Each returns whether all
 * is well; with other settings it always is. */
#ifndef NODE_API_HEADROOM_H
#define NODE_API_HEADROOM_H

#include "node/api.h"
#include "node/api_size.h"

/* Members of one group that a single request may add under enforce: each is
 * tried, and the loop stands still meanwhile (some microseconds each). */
#define API_TRIED_MEMBERS_MAX 5000

/* Slices of headroom's work for a refusal that tells all that is missing; with
 * more to do it tells of the first member alone. */
#define API_TRIED_SLICES_MAX 20

/* A VM that is to be made, started or moved: what its placement said. */
bool api_check_choice(struct api_reply *reply, const struct state *state,
                      const struct placement_choice *choice);

/* The VM that the change makes, of a class that may have to be made first. */
bool api_check_create_headroom(struct api_reply *reply, struct turn_plan *plan,
                               const struct api_size *size,
                               const struct change *create);

/* A VM of the state that is STOPPED and shall run. */
bool api_check_start_headroom(struct api_reply *reply, struct turn_plan *plan,
                              const struct vm *vm);

/* So many members more; the plan is that of a trial, in which the group is as
 * it shall be. */
bool api_check_members_headroom(struct api_reply *reply, struct turn_plan *plan,
                                struct group_id group, uint32_t count);

/* All VMs of a host, or of a zone (the other SLOT_NONE), placed elsewhere. */
bool api_check_drain_headroom(struct api_reply *reply,
                              const struct turn_plan *plan, uint32_t host_slot,
                              uint32_t zone_slot);

/* All VMs of a class where it stays offered: in these zones (0: in all). */
bool api_check_class_headroom(struct api_reply *reply,
                              const struct turn_plan *plan,
                              const struct class *class, uint64_t zone_mask);

bool api_headroom_is_enforced(const struct state *state);

#endif
