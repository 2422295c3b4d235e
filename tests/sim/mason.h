/* SPDX-License-Identifier: Apache-2.0
 *
 * A person who replaces the machines of the control plane, as `holdfast node
 * replace`, add, promote and remove do it, living and dead ones; and now and
 * then asks for what must be refused. A client of its own. */
#ifndef TESTS_SIM_MASON_H
#define TESTS_SIM_MASON_H

#include "tests/sim/client.h"

struct sim_mason *sim_mason_create(struct sim_world *world);
void sim_mason_destroy(struct sim_mason *mason);
void sim_mason_start(struct sim_mason *mason);

/* Finishes what it has begun, and begins nothing more. */
void sim_mason_stop(struct sim_mason *mason);

/* Something is begun and not finished; what, in words. */
bool sim_mason_is_busy(const struct sim_mason *mason);
const char *sim_mason_words(const struct sim_mason *mason);

/* From its client: what it does next. False: nothing now. */
bool sim_mason_acts(struct sim_mason *mason);

#endif
