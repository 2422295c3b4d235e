/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients of the API: each changes VMs of its own through any node, repeats a
 * call with the same request id until it has an answer or gives up, and
 * remembers what it was told. */
#ifndef TESTS_SIM_CLIENT_H
#define TESTS_SIM_CLIENT_H

#include "tests/sim/world.h"

struct sim_client *sim_client_create(struct sim_world *world, uint32_t index);
void sim_client_destroy(struct sim_client *client);

/* The first one builds zones and class before anything else. */
void sim_client_start(struct sim_client *client);

/* Begins no more operations. */
void sim_client_stop(struct sim_client *client);

/* Whether the region is built. */
bool sim_clients_are_set_up(const struct sim_world *world);

/* The end: what is still open stays without an answer. */
void sim_client_stay(const struct sim_client *client);

/* What it was told against what is there in the end. */
void sim_client_check(const struct sim_client *client);

#endif
