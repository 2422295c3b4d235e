/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's own VMs: names that nobody else uses, so that it knows what must
 * be true of them. */
#ifndef TESTS_SIM_OWNER_H
#define TESTS_SIM_OWNER_H

#include "tests/sim/client.h"

/* One thing at random. */
void sim_owner_acts(struct sim_client *client);

/* What became of its operation; `reason` of a refusal. */
void sim_owner_hears(struct sim_client *client, bool ok, const char *reason,
                     uint64_t uid);
void sim_owner_gives_up(struct sim_client *client);

/* What it was told against what is there in the end. */
void sim_owner_checks(const struct sim_client *client);

#endif
