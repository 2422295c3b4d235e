/* SPDX-License-Identifier: Apache-2.0
 *
 * What a person does for placement while clients use a rich region: drains,
 * reservations, the zones of classes, the policy. */
#ifndef TESTS_SIM_STEWARD_H
#define TESTS_SIM_STEWARD_H

#include "tests/sim/client.h"

/* One thing at random. */
void sim_steward_acts(struct sim_client *client);

/* Ends the drain of zone or host number `at`, the zones first, or leaves it,
 * once all is healed. */
void sim_steward_tidies(struct sim_client *client, uint32_t at);

#endif
