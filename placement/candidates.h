/* SPDX-License-Identifier: Apache-2.0
 *
 * VMs that might be moved, the best one first, without sorting those that never
 * come up: a heap over an array. */
#ifndef PLACEMENT_CANDIDATES_H
#define PLACEMENT_CANDIDATES_H

#include <stdbool.h>
#include <stdint.h>

struct candidate {
    uint64_t gain; /* Of moving it; more is better. */
    uint32_t vm;   /* Slot. */
    uint32_t memory_mib;
    uint16_t priority;
    uint16_t class_slot;
    uint8_t zone; /* Where it is. */
    bool wanted;  /* A rule wants it elsewhere. */
};

struct candidates {
    struct candidate *all;
    uint32_t count;
    uint32_t capacity;
    uint32_t heap_count; /* The first ones are the heap, the rest was taken. */
};

void candidates_init(struct candidates *candidates);
void candidates_close(struct candidates *candidates);

/* Adds one; then candidates_order() before the next is taken. */
void candidates_add(struct candidates *candidates,
                    const struct candidate *candidate);

/* Makes all of them the heap, also those taken before. */
void candidates_order(struct candidates *candidates);

/* Makes a heap again of those in it, whose gains were changed. */
void candidates_reorder(struct candidates *candidates);

/* The best one, taken out of the heap; false when none is left. */
bool candidates_take(struct candidates *candidates, struct candidate *best);

/* Puts the one that was taken last back into the heap, changed. */
void candidates_return(struct candidates *candidates,
                       const struct candidate *candidate);

#endif
