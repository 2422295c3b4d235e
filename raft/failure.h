/* SPDX-License-Identifier: Apache-2.0
 *
 * Why the replica must stop, in words for the operator: what happened, where,
 * and what to do. Filled on any thread, reported once on the loop's. */
#ifndef RAFT_FAILURE_H
#define RAFT_FAILURE_H

#include "raft/replica.h"

struct failure {
    enum replica_failure code;
    char reason[768];
};

/* Returns HF_ERROR_CORRUPT, HF_ERROR_IO or HF_ERROR_INVALID after `code`. */
int failure_set(struct failure *failure, enum replica_failure code,
                const char *format, ...) __attribute__((format(printf, 3, 4)));

/* For the negative errno value `rv` of a file operation: "cannot write
 * <path>: <error>". */
int failure_io(struct failure *failure, int rv, const char *verb,
               const char *path);

/* What every refusal of damaged data ends with. */
#define FAILURE_CURE_REJOIN                                                \
    "; this copy cannot be trusted: remove the node from the region, set " \
    "its directory aside and let it rejoin under a new id"

#endif
