/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a walk over the parts of an apply is, for those who keep one. */
#ifndef NODE_APPLY_LOOK_H
#define NODE_APPLY_LOOK_H

#include <stdint.h>

/* All zero at the beginning. */
struct apply_cursor {
    uint32_t offset;
    uint32_t slot; /* Of the part before. */
};

/* How far a look for parts that are not over has come; likewise. */
struct applies_look {
    struct apply_cursor cursor;
};

#endif
