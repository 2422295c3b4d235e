/* SPDX-License-Identifier: Apache-2.0
 *
 * What must never happen, one named rule each (DESIGN.md section 2), looked at
 * after every step. */
#ifndef TESTS_SIM_CHECK_H
#define TESTS_SIM_CHECK_H

#include "state/state.h"
#include "tests/sim/host.h"
#include "tests/sim/node.h"
#include "tests/sim/world.h"

struct sim_check *sim_check_create(struct sim_world *world);
void sim_check_destroy(struct sim_check *check);

/* Something happened on the node, or its process begins anew. */
void sim_check_node(struct sim_node *node);
void sim_check_node_starts(struct sim_node *node);

/* A guest's process begins; or it is no more. */
void sim_check_guest_starts(struct sim_host *host,
                            const struct sim_guest *guest);
void sim_check_guest_ends(struct sim_host *host, const struct sim_guest *guest);

/* The machine goes on after a pause, and its shims have acted. */
void sim_check_host_goes_on(struct sim_host *host);

/* A client was told that its change is done at this revision. */
void sim_check_acknowledged(struct sim_world *world, uint64_t revision);

/* What was acknowledged before a call began, for sim_check_answer(). */
uint64_t sim_check_floor(const struct sim_world *world);

/* An answer that claims to be linearizable. */
void sim_check_answer(struct sim_world *world, uint64_t floor,
                      uint64_t revision, const char *what);

/* A refused call must not have decided anything. */
void sim_check_refusal(struct sim_world *world, bool decided,
                       const char *reason);

/* What became of the VMs that are to run; `other` is 1 without a
 * leader.. */
void sim_check_census(const struct sim_world *world, struct sim_census *census);

/* A zone was lost long enough ago: all that may run elsewhere does. */
void sim_check_zone_loss(struct sim_world *world, uint32_t zone);

/* The faults are over for `quiet_us`: everything must be well. */
void sim_check_rest(struct sim_world *world);

#endif
