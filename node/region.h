/* SPDX-License-Identifier: Apache-2.0
 *
 * A region's birth: the first change of a region gives it its id. As the first
 * controller of every turn it comes before all that a turn decides, so a region
 * without an id (new, or from before there were ids) takes no host and no write
 * until it has one. Next it gets a policy, the defaults, with which format 2 of
 * its state begins (state/records.h). Pure: the random bits are an argument. */
#ifndef NODE_REGION_H
#define NODE_REGION_H

#include "node/turn.h"

#define REGION_TEXT_BYTES 33 /* 32 hexadecimal digits and a NUL. */

struct region_birth {
    struct turn_controller controller;
    struct region_id drawn; /* What the id will be, if there is none yet. */
};

/* `drawn` is set, random, and this leader's alone. */
void region_birth_init(struct region_birth *birth, struct region_id drawn);

/* The id as everybody is shown it; empty for none. */
void region_text(struct region_id id, char text[REGION_TEXT_BYTES]);

#endif
