/* SPDX-License-Identifier: Apache-2.0
 *
 * The course of an evacuation: collect, sort, passes until nothing is missing
 * or there is nothing left to try, make room, write the steps. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include "base/container.h"

#include <stdlib.h>
#include <string.h>

/* Placements of all passes together, beyond the first few passes: a failover
 * does not wait for what is hardly better. */
#define PLACEMENTS_MAX 2500000
#define PASSES_MIN     6

/* Scores and orders that compete, in the order in which they are tried. What
 * each gains over the former ones: tests/bench/zone_loss.c. */
static const struct {
    enum evacuation_score score;
    enum evacuation_order order;
    uint32_t skip;
} tries[] = {
    {SCORE_SLOT_LOSS, ORDER_SHARE, 0}, {SCORE_WASTE, ORDER_SHARE, 0},
    {SCORE_SLOT_LOSS, ORDER_SUM, 0},   {SCORE_WASTE, ORDER_SUM, 0},
    {SCORE_BEST_FIT, ORDER_SHARE, 0},  {SCORE_SLOT_LOSS, ORDER_CPU, 0},
    {SCORE_WASTE, ORDER_CPU, 0},       {SCORE_SLOT_LOSS, ORDER_MEMORY, 0},
    {SCORE_WASTE, ORDER_MEMORY, 0},    {SCORE_BEST_FIT, ORDER_SUM, 0},
    {SCORE_SLOT_LOSS, ORDER_SHARE, 1}, {SCORE_WASTE, ORDER_SHARE, 1},
    {SCORE_SLOT_LOSS, ORDER_SHARE, 2}, {SCORE_WASTE, ORDER_SHARE, 2},
    {SCORE_SLOT_LOSS, ORDER_SHARE, 4}, {SCORE_WASTE, ORDER_SHARE, 4},
    {SCORE_SLOT_LOSS, ORDER_SUM, 1},   {SCORE_WASTE, ORDER_SUM, 1},
    {SCORE_SLOT_LOSS, ORDER_SUM, 2},   {SCORE_WASTE, ORDER_SUM, 2},
};

struct evacuation *evacuation_create(const struct state *state)
{
    struct evacuation *evacuation = memory_alloc(sizeof(*evacuation));
    uint32_t classes = state_class_slots(state);
    uint32_t groups = state_group_slots(state);
    uint32_t pending = state_counts(state)->vms_by_state[VM_PENDING];

    evacuation->state = state;
    evacuation->enforce = state_policy(state)->headroom == HEADROOM_ENFORCE;
    evacuation->zone_slots = state_zone_slots(state);
    evacuation->items = memory_alloc_array(pending, sizeof(struct item));
    evacuation->spare_items = memory_alloc_array(pending, sizeof(struct item));
    evacuation->class_wish = memory_alloc_array(classes, sizeof(uint32_t));
    memset(evacuation->class_wish, 0xff, classes * sizeof(uint32_t));
    evacuation->tally_of = memory_alloc_array(groups, sizeof(uint32_t));
    memset(evacuation->tally_of, 0xff, groups * sizeof(uint32_t));
    for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
        const struct zone *zone = state_zone_at(state, i);

        evacuation->zones[i].open = zone != NULL && zone->state == ZONE_UP &&
                                    !zone->cordoned && !zone->draining;
    }
    return evacuation;
}

void evacuation_destroy(struct evacuation *evacuation)
{
    if (evacuation == NULL) {
        return;
    }
    for (uint32_t i = 0; i < evacuation->part_count; i++) {
        free(evacuation->parts[i].heads);
        free(evacuation->parts[i].filled);
    }
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        free(evacuation->queues[i].entries);
    }
    free(evacuation->members.keys);
    free(evacuation->members.base);
    free(evacuation->members.now);
    free(evacuation->wishes);
    free(evacuation->class_wish);
    free(evacuation->items);
    free(evacuation->spare_items);
    free(evacuation->runs);
    free(evacuation->run_order);
    free(evacuation->part_of);
    free(evacuation->parts);
    free(evacuation->room_base);
    free(evacuation->rooms);
    free(evacuation->extra_base);
    free(evacuation->extras);
    free(evacuation->aside);
    free(evacuation->tallies);
    free(evacuation->tally_of);
    free(evacuation->zone_counts_base);
    free(evacuation->zone_counts);
    free(evacuation->potential);
    free(evacuation->placed);
    free(evacuation->missing);
    free(evacuation->best);
    free(evacuation->best_missing);
    free(evacuation->helpers);
    free(evacuation->steps);
    fleet_destroy(evacuation->fleet);
    free(evacuation);
}

void evacuation_limit(struct evacuation *evacuation,
                      const struct pass_options *options)
{
    evacuation->limited = true;
    evacuation->limit = *options;
}

/* --- Passes --------------------------------------------------------------- */

/* The first pass keeps to start_parallel, where that can do at all. */
static bool cap_may_do(const struct evacuation *evacuation)
{
    return (uint64_t)state_settings(evacuation->state)->start_parallel *
               evacuation->open_hosts >=
           evacuation->item_count;
}

static bool more_tries(const struct evacuation *evacuation)
{
    uint64_t placements =
        (uint64_t)evacuation->try * (evacuation->item_count + 1);

    return !evacuation->limited && evacuation->try < ARRAY_LEN(tries) &&
           (evacuation->try < PASSES_MIN || placements < PLACEMENTS_MAX);
}

static void begin_try(struct evacuation *evacuation)
{
    struct pass_options options = {
        .score = tries[evacuation->try].score,
        .order = tries[evacuation->try].order,
        .skip = tries[evacuation->try].skip,
        .start_cap = UINT32_MAX,
    };

    if (evacuation->limited) {
        options = evacuation->limit;
    } else if (evacuation->try == 0 && !evacuation->capped &&
               cap_may_do(evacuation)) {
        evacuation->capped = true;
        options.start_cap = state_settings(evacuation->state)->start_parallel;
        evacuation_pass_begin(evacuation, &options);
        return;
    }
    evacuation->try++;
    evacuation_pass_begin(evacuation, &options);
}

/* More of higher priorities, then more VMs in all. */
static bool is_better(const struct evacuation *evacuation)
{
    if (!evacuation->has_best) {
        return true;
    }
    for (uint32_t i = 0; i < evacuation->level_count; i++) {
        if (evacuation->missing[i] != evacuation->best_missing[i]) {
            return evacuation->missing[i] < evacuation->best_missing[i];
        }
    }
    return evacuation->missing_count < evacuation->best_missing_count;
}

static void keep_best(struct evacuation *evacuation)
{
    uint32_t *placed = evacuation->placed;
    uint64_t *missing = evacuation->missing;

    if (!is_better(evacuation)) {
        return;
    }
    evacuation->has_best = true;
    evacuation->placed = evacuation->best;
    evacuation->best = placed;
    evacuation->missing = evacuation->best_missing;
    evacuation->best_missing = missing;
    evacuation->best_missing_count = evacuation->missing_count;
}

/* True when the passes are over. */
static bool end_try(struct evacuation *evacuation)
{
    keep_best(evacuation);
    if (evacuation->best_missing_count == 0 || !more_tries(evacuation)) {
        return true;
    }
    begin_try(evacuation);
    return false;
}

static void prepare(struct evacuation *evacuation)
{
    uint32_t count = evacuation->item_count;

    evacuation_make_grid(evacuation);
    evacuation_tally_members(evacuation);
    evacuation_sort(evacuation);
    evacuation->placed = memory_alloc_array(count, sizeof(uint32_t));
    evacuation->best = memory_alloc_array(count, sizeof(uint32_t));
    evacuation->missing =
        memory_alloc_array(evacuation->level_count, sizeof(uint64_t));
    evacuation->best_missing =
        memory_alloc_array(evacuation->level_count, sizeof(uint64_t));
    begin_try(evacuation);
}

/* --- Steps ---------------------------------------------------------------- */

static void begin_steps(struct evacuation *evacuation)
{
    size_t count = (size_t)evacuation->item_count + evacuation->helper_count;

    /* The memory that sorting has used; a step is no larger than an item. */
    _Static_assert(sizeof(struct evacuation_step) <= sizeof(struct item),
                   "steps fit where items were");
    if (evacuation->helper_count == 0) {
        evacuation->steps =
            (struct evacuation_step *)(void *)evacuation->spare_items;
        evacuation->spare_items = NULL;
    } else {
        evacuation->steps =
            memory_alloc_array(count, sizeof(*evacuation->steps));
    }
    evacuation->cursor = 0;
    evacuation->helper = 0;
}

static void add_step(struct evacuation *evacuation, uint32_t vm, uint32_t host,
                     uint8_t kind)
{
    evacuation->steps[evacuation->step_count++] =
        (struct evacuation_step){vm, host == NONE ? SLOT_NONE : host, kind};
}

static bool write_steps(struct evacuation *evacuation, uint32_t *budget)
{
    for (; evacuation->cursor<evacuation->item_count && * budget> 0;
         evacuation->cursor++) {
        uint32_t item = evacuation->cursor;

        for (; evacuation->helper < evacuation->helper_count &&
               evacuation->helpers[evacuation->helper].before == item;
             evacuation->helper++) {
            const struct helper_step *other =
                &evacuation->helpers[evacuation->helper];

            add_step(evacuation, other->vm, other->host, other->kind);
        }
        add_step(evacuation, evacuation->items[item].vm, evacuation->best[item],
                 EVACUATION_PLACE);
        evacuation->unplaced += evacuation->best[item] == NONE;
        --*budget;
    }
    return evacuation->cursor == evacuation->item_count;
}

/* Goes on to the next stage; the rest of the slice is not used, for what a
 * stage begins with takes its time. */
static void next_stage(struct evacuation *evacuation)
{
    evacuation->stage++;
    evacuation->cursor = 0;
    if (evacuation->stage == STAGE_HOSTS) {
        evacuation_hosts_begin(evacuation);
    } else if (evacuation->stage == STAGE_STEPS) {
        begin_steps(evacuation);
    }
}

static bool stage_work(struct evacuation *evacuation, uint32_t *budget)
{
    switch (evacuation->stage) {
    case STAGE_VMS:
        return evacuation_collect_vms(evacuation, budget);
    case STAGE_HOSTS:
        return evacuation_collect_hosts(evacuation, budget);
    case STAGE_PREPARE:
        prepare(evacuation);
        return true;
    case STAGE_PASS:
        return evacuation_pass_work(evacuation, budget) && end_try(evacuation);
    case STAGE_ROOM:
        return true;
    case STAGE_STEPS:
        return write_steps(evacuation, budget);
    default:
        CHECK_UNREACHABLE("an evacuation in a stage that exists");
    }
}

bool evacuation_work(struct evacuation *evacuation, uint32_t budget)
{
    if (evacuation->stage != STAGE_DONE && stage_work(evacuation, &budget)) {
        next_stage(evacuation);
    }
    return evacuation->stage == STAGE_DONE;
}

const struct evacuation_step *evacuation_steps(
    const struct evacuation *evacuation, uint32_t *count)
{
    CHECK(evacuation->stage == STAGE_DONE);
    *count = evacuation->step_count;
    return evacuation->steps;
}

uint32_t evacuation_unplaced(const struct evacuation *evacuation)
{
    return evacuation->unplaced;
}
