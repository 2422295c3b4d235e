/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/candidates.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void candidates_init(struct candidates *candidates)
{
    memset(candidates, 0, sizeof(*candidates));
}

void candidates_close(struct candidates *candidates)
{
    free(candidates->all);
    candidates_init(candidates);
}

void candidates_add(struct candidates *candidates,
                    const struct candidate *candidate)
{
    if (candidates->count == candidates->capacity) {
        candidates->capacity =
            candidates->capacity == 0 ? 256 : candidates->capacity * 2;
        candidates->all = memory_realloc_array(
            candidates->all, candidates->capacity, sizeof(*candidate));
    }
    candidates->all[candidates->count++] = *candidate;
}

/* A total order: the first rule that tells them apart decides. */
static bool is_better(const struct candidate *a, const struct candidate *b)
{
    /* 1. What a rule wants elsewhere. */
    if (a->wanted != b->wanted) {
        return a->wanted;
    }
    /* 2. The lowest priority: it can best do without a restart. */
    if (a->priority != b->priority) {
        return a->priority < b->priority;
    }
    /* 3. The most gain: the fewest moves. */
    if (a->gain != b->gain) {
        return a->gain > b->gain;
    }
    /* 4. The least memory. */
    if (a->memory_mib != b->memory_mib) {
        return a->memory_mib < b->memory_mib;
    }
    /* 5. The lower slot. */
    return a->vm < b->vm;
}

static void swap(struct candidate *a, struct candidate *b)
{
    struct candidate other = *a;

    *a = *b;
    *b = other;
}

static void sink(struct candidates *candidates, uint32_t at)
{
    struct candidate *all = candidates->all;
    uint32_t count = candidates->heap_count;

    while (at * 2 + 1 < count) {
        uint32_t child = at * 2 + 1;

        if (child + 1 < count && is_better(&all[child + 1], &all[child])) {
            child++;
        }
        if (!is_better(&all[child], &all[at])) {
            return;
        }
        swap(&all[child], &all[at]);
        at = child;
    }
}

void candidates_order(struct candidates *candidates)
{
    candidates->heap_count = candidates->count;
    candidates_reorder(candidates);
}

void candidates_reorder(struct candidates *candidates)
{
    for (uint32_t i = candidates->heap_count / 2; i > 0; i--) {
        sink(candidates, i - 1);
    }
}

bool candidates_take(struct candidates *candidates, struct candidate *best)
{
    if (candidates->heap_count == 0) {
        return false;
    }
    *best = candidates->all[0];
    candidates->heap_count--;
    swap(&candidates->all[0], &candidates->all[candidates->heap_count]);
    sink(candidates, 0);
    return true;
}

void candidates_return(struct candidates *candidates,
                       const struct candidate *candidate)
{
    uint32_t at = candidates->heap_count;

    CHECK(at < candidates->count && candidates->all[at].vm == candidate->vm);
    candidates->all[at] = *candidate;
    candidates->heap_count++;
    while (at > 0 &&
           is_better(&candidates->all[at], &candidates->all[(at - 1) / 2])) {
        swap(&candidates->all[at], &candidates->all[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
}
