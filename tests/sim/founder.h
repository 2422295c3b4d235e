/* SPDX-License-Identifier: Apache-2.0
 *
 * What the first client builds before anything else: zones and a class, or a
 * user's whole fleet. */
#ifndef TESTS_SIM_FOUNDER_H
#define TESTS_SIM_FOUNDER_H

#include "tests/sim/client.h"

#include <holdfast/v1/resources.pb-c.h>

/* Calls that it takes. */
uint32_t sim_founder_steps(const struct sim_world *world);

/* Asks for one of them; false: it cannot yet, for hosts are not there. */
bool sim_founder_asks(struct sim_client *client, uint32_t step);

/* A template for a VM that needs none. */
struct sim_template {
    Holdfast__V1__VmTemplate message;
    char program[12];
    char *command[1];
};

void sim_template_init(struct sim_template *template);

#endif
