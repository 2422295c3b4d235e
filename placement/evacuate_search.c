/* SPDX-License-Identifier: Apache-2.0
 *
 * Which pass comes next, when the passes so far left something. */
#include "base/container.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>

/* Placements of all passes together, beyond the first few passes: a failover
 * does not wait for what is hardly better. */
#define PLACEMENTS_MAX 3000000
#define PASSES_MIN     8
#define PASSES_MAX     80

/* Passes that are shaken, and what they place together with the hosts that they
 * look at: some ten milliseconds. */
#define SHAKES_MAX           128
#define SHAKE_PLACEMENTS_MAX 400000

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

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Hosts that had room for the least of CPU and of memory that any of what is
 * missing asks for, before anything was planned: in a full fleet there are
 * none, and else they are few beside all. */
static uint32_t collect_roomy(const struct evacuation *evacuation,
                              uint32_t *hosts)
{
    struct resources least = {UINT32_MAX, UINT32_MAX, 0, 0};
    uint32_t count = 0;

    for (uint32_t i = 0; i < evacuation->item_count; i++) {
        const struct wish *wish =
            &evacuation->wishes[evacuation->items[i].wish];

        if (evacuation->best[i] == NONE) {
            least.cpu_milli = smaller(least.cpu_milli, wish->need.cpu_milli);
            least.memory_mib = smaller(least.memory_mib, wish->need.memory_mib);
        }
    }
    for (uint32_t host = 0; host < evacuation->host_slots; host++) {
        const struct room *room = &evacuation->room_base[host];

        if (room->cpu_milli >= least.cpu_milli &&
            room->memory_mib >= least.memory_mib) {
            hosts[count++] = host;
        }
    }
    return count;
}

static bool had_room(const struct evacuation *evacuation,
                     const struct wish *wish, const uint32_t *hosts,
                     uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct room *room = &evacuation->room_base[hosts[i]];

        if (room->cpu_milli >= wish->need.cpu_milli &&
            room->memory_mib >= wish->need.memory_mib &&
            evacuation_host_allowed(evacuation, wish, hosts[i])) {
            return true;
        }
    }
    return false;
}

/* Whether another order may help what has no place: nothing does where no host
 * is large enough. */
static bool order_may_help(const struct evacuation *evacuation)
{
    uint32_t *hosts =
        memory_alloc_array((size_t)evacuation->host_slots + 1, sizeof(*hosts));
    uint32_t count = collect_roomy(evacuation, hosts);
    uint32_t tried = NONE; /* Equal wishes mostly follow each other. */
    bool may = false;

    for (uint32_t i = 0; count > 0 && i < evacuation->item_count && !may; i++) {
        uint32_t wish = evacuation->items[i].wish;

        if (evacuation->best[i] != NONE || wish == tried) {
            continue;
        }
        may = had_room(evacuation, &evacuation->wishes[wish], hosts, count);
        tried = wish;
    }
    free(hosts);
    return may;
}

/* As the best pass, but for some runs that come late or do not: where nothing
 * else helps, for as long as it is cheap. */
static bool next_shake(struct evacuation *evacuation, struct pass_options *out)
{
    struct search *search = &evacuation->search;
    uint64_t cost = (uint64_t)evacuation->item_count + evacuation->host_slots;

    if (search->shakes == SHAKES_MAX ||
        search->shakes * cost >= SHAKE_PLACEMENTS_MAX ||
        (search->shakes == 0 && !order_may_help(evacuation))) {
        return false;
    }
    *out = search->best;
    out->start_cap = UINT32_MAX;
    out->shake = ++search->shakes;
    return true;
}

bool evacuation_search_next(struct evacuation *evacuation, bool better,
                            struct pass_options *out)
{
    struct search *search = &evacuation->search;

    if (search->shakes > 0 || !may_go_on(evacuation)) {
        return next_shake(evacuation, out);
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
    if (search->skip == 0) {
        return next_shake(evacuation, out);
    }
    *out = search->best;
    out->start_cap = UINT32_MAX;
    out->skip = search->skip;
    out->skip_level = missing_level(evacuation);
    return true;
}
