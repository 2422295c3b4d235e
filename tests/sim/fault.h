/* SPDX-License-Identifier: Apache-2.0
 *
 * Trouble: what breaks, when, and the healing at the end. */
#ifndef TESTS_SIM_FAULT_H
#define TESTS_SIM_FAULT_H

#include "tests/sim/world.h"

/* Random faults from now until `until_us`, one after the other. */
void sim_faults_start(struct sim_world *world, uint64_t until_us);

/* Everything works again, at once; only what stands still goes on in its own
 * time. */
void sim_faults_heal(struct sim_world *world);

/* A whole zone: its node and its hosts, and what they are connected with. */
void sim_zone_power(struct sim_world *world, uint32_t zone, bool on);
void sim_zone_cut(struct sim_world *world, uint32_t zone, bool cut);

#endif
