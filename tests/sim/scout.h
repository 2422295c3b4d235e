/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client asks of plans: losses, drains, rebalancing, scaling, hosts that
 * are not there; it looks at them again, and has some of them done. */
#ifndef TESTS_SIM_SCOUT_H
#define TESTS_SIM_SCOUT_H

#include "tests/sim/client.h"

#include <holdfast/v1/plan_service.pb-c.h>

/* The last plan that the client was shown; NULL: none. */
struct sim_scout {
    Holdfast__V1__MakePlanResponse *shown;
};

/* One thing at random. */
void sim_scout_acts(struct sim_client *client);

/* Asks what the loss of this zone would do. */
void sim_scout_asks_loss(struct sim_client *client, uint32_t zone);

void sim_scout_close(struct sim_scout *scout);

#endif
