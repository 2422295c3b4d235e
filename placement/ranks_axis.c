/* SPDX-License-Identifier: Apache-2.0
 *
 * How amounts of CPU or memory are cut into ranges. Every size's own value
 * begins a range, so whether it fits is known from the range alone; the rest
 * serves the score, which asks how many of each size would fit. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/ranks_internal.h"

#include <stdlib.h>

#define FIRST_LOG2 12 /* At most so many entries to begin a look-up from. */

static uint32_t divisor_of(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static int compare_amounts(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

/* The distance of cuts from `from`, a power of two, to twice that. */
static uint64_t step_of(uint64_t unit, uint64_t from, uint32_t detail)
{
    uint64_t step = unit;

    while (step * 2 * detail <= from) {
        step *= 2;
    }
    return step;
}

struct cuts {
    uint32_t *at;
    uint32_t count;
    uint32_t max;
};

static bool cut(struct cuts *cuts, uint64_t at)
{
    if (cuts->count == cuts->max) {
        return false;
    }
    cuts->at[cuts->count++] = (uint32_t)at;
    return true;
}

/* Below the smallest size nothing fits, so there is nothing to tell apart. */
static bool cut_evenly(struct cuts *cuts, uint32_t unit, uint32_t min,
                       uint32_t max, uint32_t detail)
{
    for (uint64_t from = 1; from <= max; from *= 2) {
        uint64_t step = step_of(unit, from, detail);
        uint64_t at = (from + step - 1) / step * step;

        for (; at < from * 2 && at <= max; at += step) {
            if (at >= min && !cut(cuts, at)) {
                return false;
            }
        }
    }
    return true;
}

static void sort_cuts(struct cuts *cuts)
{
    uint32_t kept = 0;

    qsort(cuts->at, cuts->count, sizeof(*cuts->at), compare_amounts);
    for (uint32_t i = 0; i < cuts->count; i++) {
        if (kept == 0 || cuts->at[kept - 1] != cuts->at[i]) {
            cuts->at[kept++] = cuts->at[i];
        }
    }
    cuts->count = kept;
}

static void prepare_look_up(struct ranks_axis *axis)
{
    uint32_t range = 0;
    uint32_t entries;

    axis->shift = 0;
    while (axis->max >> axis->shift >= 1u << FIRST_LOG2) {
        axis->shift++;
    }
    entries = (axis->max >> axis->shift) + 1;
    axis->first = memory_alloc_array(entries, sizeof(*axis->first));
    for (uint32_t i = 0; i < entries; i++) {
        while (axis->start[range + 1] <= i << axis->shift) {
            range++;
        }
        axis->first[i] = (uint16_t)range;
    }
}

bool axis_init(struct ranks_axis *axis, const uint32_t *sizes, uint32_t count,
               uint32_t max, uint32_t detail, uint32_t count_max)
{
    /* A size's value is cut twice when it is a multiple as well. */
    struct cuts cuts = {NULL, 0, count_max + count + 1};
    uint32_t unit = count == 0;
    uint32_t min = count == 0 ? 1 : UINT32_MAX;
    bool complete;

    for (uint32_t i = 0; i < count; i++) {
        unit = divisor_of(sizes[i], unit);
        min = sizes[i] < min ? sizes[i] : min;
        max = sizes[i] > max ? sizes[i] : max;
    }
    CHECK(max < UINT32_MAX && count_max <= RANKS_CELLS_MAX);
    cuts.at = memory_alloc_array(cuts.max + 1, sizeof(*cuts.at));
    cut(&cuts, 0);
    for (uint32_t i = 0; i < count; i++) {
        cut(&cuts, sizes[i]);
    }
    complete =
        detail == 0 || count == 0 || cut_evenly(&cuts, unit, min, max, detail);
    sort_cuts(&cuts);
    if (!complete || cuts.count > count_max) {
        free(cuts.at);
        return false;
    }
    cuts.at[cuts.count] = UINT32_MAX;
    *axis =
        (struct ranks_axis){.count = cuts.count, .max = max, .start = cuts.at};
    prepare_look_up(axis);
    return true;
}

void axis_close(struct ranks_axis *axis)
{
    free(axis->start);
    free(axis->first);
}
