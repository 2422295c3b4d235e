/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether a node should be asked: it belongs to a region that has a leader, and
 * its copy of the state is current. Pure. */
#ifndef NODE_READY_H
#define NODE_READY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ready_facts {
    bool leaving;      /* The node was told to stop. */
    bool leader_known; /* It, or another. */
    bool elected;      /* This node was elected; */
    bool proved;       /* and has proved that it leads. */
    uint64_t behind;   /* Committed entries that are not applied here. */
};

/* Why it is not ready, one sentence; NULL when it is. */
const char *ready_why_not(const struct ready_facts *facts, char *text,
                          size_t size);

#endif
