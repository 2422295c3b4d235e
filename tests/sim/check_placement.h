/* SPDX-License-Identifier: Apache-2.0
 *
 * What must never happen to placement: rules of VMs, groups, classes and
 * drains, room that is held, preemption. Written down a second time on purpose,
 * from the documents and not from placement/. */
#ifndef TESTS_SIM_CHECK_PLACEMENT_H
#define TESTS_SIM_CHECK_PLACEMENT_H

#include "state/state.h"
#include "tests/sim/node.h"
#include "tests/sim/world.h"

struct sim_rules *sim_rules_create(void);
void sim_rules_destroy(struct sim_rules *rules);

/* The node is about to apply an entry. The first that does so has each of its
 * decisions looked at, with the state as it is at that decision. */
void sim_check_entry(struct sim_node *node, uint64_t index, const uint8_t *data,
                     size_t len);

/* Between entries: what hosts and groups count is what is there. */
void sim_check_sums(struct sim_world *world, const struct state *state);

/* A PENDING VM waits although a host could take it, or waits for room that is
 * held for it and that nobody leaves: then it has been forgotten. */
bool sim_waits_rightly(const struct state *state, const struct vm *vm);

/* All is well and quiet: groups have what they want, drains are done. */
void sim_check_groups_at_rest(struct sim_world *world,
                              const struct state *state);
void sim_check_drains_at_rest(struct sim_world *world,
                              const struct state *state);

#endif
