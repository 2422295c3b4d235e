/* SPDX-License-Identifier: Apache-2.0
 *
 * One VM as its clients know it: what each operation does to it, and which
 * answers it allows. */
#ifndef TESTS_HISTORY_MODEL_H
#define TESTS_HISTORY_MODEL_H

#include "tests/history/history.h"

enum model_presence {
    MODEL_ABSENT,
    MODEL_PRESENT,
    /* Its delete was accepted; its host may have confirmed the stop since, and
     * then it is gone. */
    MODEL_DELETING
};

/* Without padding: it is compared and hashed as bytes. */
struct model {
    uint64_t uid;      /* 0: created by an operation that was not answered. */
    uint64_t revision; /* The VM's; at least, unless it is exact. */
    uint64_t at;       /* The region's, at least. */
    uint64_t value;    /* Hashes of the texts; 0: not known. */
    uint64_t desired;
    uint32_t presence;
    uint32_t exact;
};

/* How a VM may change without its clients. */
enum model_life {
    MODEL_STILL, /* It never runs: not at all. */
    MODEL_LIVELY /* Placement and reports raise its revision at any time. */
};

/* Whether the operation can take effect in this state with its answer, or,
 * when the outcome is unknown, with any effect; then `model` is what it leaves
 * behind. */
bool model_apply(struct model *model, enum model_life life,
                 const Holdfast__History__V1__Operation *operation);

/* Whether the operation says anything about its VM at all. */
bool model_concerns(const Holdfast__History__V1__Operation *operation);

#endif
