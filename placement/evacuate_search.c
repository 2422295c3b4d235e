/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pass comes next, when the passes so far left something. */
#include "base/container.h"
#include "placement/evacuate_internal.h"

/* Placements of all passes together, beyond the first few passes: a failover
 * does not wait for what is hardly better. */
#define PLACEMENTS_MAX 3000000
#define PASSES_MIN     8
#define PASSES_MAX     80

/* In the order in which they are tried; large losses see the first ones only.
 */
static const struct {
    enum evacuation_score score;
    enum evacuation_order order;
} combinations[] = {
    {SCORE_SLOT_LOSS, ORDER_SHARE},
    {SCORE_WASTE, ORDER_SHARE},
    {SCORE_SLOT_LOSS, ORDER_SUM},
    {SCORE_WASTE, ORDER_SUM},
    {SCORE_BEST_FIT, ORDER_SHARE},
    {SCORE_SLOT_LOSS, ORDER_CPU},
    {SCORE_WASTE, ORDER_CPU},
    {SCORE_SLOT_LOSS, ORDER_MEMORY},
    {SCORE_WASTE, ORDER_MEMORY},
    {SCORE_BEST_FIT, ORDER_SUM},
    {SCORE_LEAST_ALLOCATED, ORDER_SHARE},
};

static uint64_t placements(const struct evacuation *evacuation)
{
    return (uint64_t)evacuation->try * (evacuation->item_count + 1);
}

static bool may_go_on(const struct evacuation *evacuation)
{
    return evacuation->try < PASSES_MAX &&
           (evacuation->try < PASSES_MIN ||
            placements(evacuation) < PLACEMENTS_MAX);
}

/* Combinations get at most half of what may be spent. */
static bool more_combinations(const struct evacuation *evacuation)
{
    return evacuation->search.combination < ARRAY_LEN(combinations) &&
           (evacuation->search.combination < PASSES_MIN / 4 ||
            placements(evacuation) < PLACEMENTS_MAX / 2);
}

/* The highest level of which something is missing. */
static uint32_t missing_level(const struct evacuation *evacuation)
{
    uint32_t level = 0;

    while (level + 1 < evacuation->level_count &&
           evacuation->best_missing[level] == 0) {
        level++;
    }
    return level;
}

/* The first number to leave out: 1, or enough to get somewhere soon. */
static uint32_t first_skip(const struct evacuation *evacuation)
{
    return 1 + evacuation->item_count / 1024;
}

static uint32_t next_skip(struct evacuation *evacuation, bool better)
{
    struct search *search = &evacuation->search;
    uint32_t best = search->best.skip;

    if (search->skip == 0) {
        return first_skip(evacuation);
    }
    if (search->step == 0) {
        if (search->skip < 4 * best + 8 * first_skip(evacuation) &&
            search->skip < evacuation->item_count) {
            return search->skip * 2;
        }
        search->step = best;
        search->upward = true;
        better = true; /* Begins refining at the best. */
    }
    /* Above the best, then below it, then with half the step. */
    if (better || search->upward == false) {
        search->step = (search->step + 1) / 2;
        search->upward = true;
        if (search->step <= 1 && search->last) {
            return 0;
        }
        search->last = search->step <= 1;
        return best + search->step;
    }
    search->upward = false;
    return best > search->step ? best - search->step : 0;
}

bool evacuation_search_next(struct evacuation *evacuation, bool better,
                            struct pass_options *out)
{
    struct search *search = &evacuation->search;

    if (!may_go_on(evacuation)) {
        return false;
    }
    if (search->skip == 0 && more_combinations(evacuation)) {
        *out = (struct pass_options){
            .score = combinations[search->combination].score,
            .order = combinations[search->combination].order,
            .start_cap = UINT32_MAX,
        };
        search->combination++;
        return true;
    }
    search->skip = next_skip(evacuation, better);
    *out = search->best;
    out->start_cap = UINT32_MAX;
    out->skip = search->skip;
    out->skip_level = missing_level(evacuation);
    return search->skip != 0;
}
