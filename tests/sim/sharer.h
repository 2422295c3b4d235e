/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients do to VMs that they share: each creates, reads, changes and
 * deletes what the others do, often by compare-and-set. Nobody remembers what
 * they are like; the history's checker does. */
#ifndef TESTS_SIM_SHARER_H
#define TESTS_SIM_SHARER_H

#include "tests/sim/client.h"

/* One thing at random. */
void sim_sharer_acts(struct sim_client *client);

#endif
