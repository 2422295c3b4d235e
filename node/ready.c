/* SPDX-License-Identifier: Apache-2.0 */
#include "node/ready.h"

#include "node/limits.h"

#include <inttypes.h>
#include <stdio.h>

const char *ready_why_not(const struct ready_facts *facts, char *text,
                          size_t size)
{
    if (facts->leaving) {
        return "this node is stopping";
    }
    if (!facts->leader_known) {
        return "no leader is known: a majority of the nodes cannot be reached, "
               "or an election is under way";
    }
    if (facts->elected && !facts->proved) {
        return "this node was elected and does not lead yet";
    }
    if (facts->behind > READY_LAG_ENTRIES_MAX) {
        snprintf(text, size,
                 "this node's state is %" PRIu64 " entries behind the leader's",
                 facts->behind);
        return text;
    }
    return NULL;
}
