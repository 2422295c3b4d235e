/* SPDX-License-Identifier: Apache-2.0
 *
 * The course of an evacuation: collect, sort, passes until nothing is missing
 * or there is nothing left to try, make room, write the steps. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

struct evacuation *evacuation_create(const struct state *state)
{
    struct evacuation *evacuation = memory_alloc(sizeof(*evacuation));
    uint32_t classes = state_class_slots(state);
    uint32_t asks = state_ask_slots(state);
    uint32_t groups = state_group_slots(state);
    uint32_t pending = state_counts(state)->vms_by_state[VM_PENDING];

    evacuation->state = state;
    evacuation->enforce = state_policy(state)->headroom == HEADROOM_ENFORCE;
    evacuation->zone_slots = state_zone_slots(state);
    evacuation->items = memory_alloc_array(pending, sizeof(struct item));
    evacuation->spare_items = memory_alloc_array(pending, sizeof(struct item));
    evacuation->class_wish = memory_alloc_array(classes, sizeof(uint32_t));
    memset(evacuation->class_wish, 0xff, classes * sizeof(uint32_t));
    evacuation->ask_items =
        memory_alloc_array((size_t)asks * 2, sizeof(struct item));
    memset(evacuation->ask_items, 0xff, asks * 2 * sizeof(struct item));
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
    free(evacuation->ask_items);
    free(evacuation->items);
    free(evacuation->spare_items);
    free(evacuation->runs);
    free(evacuation->run_order);
    free(evacuation->run_skip);
    free(evacuation->best_skip);
    free(evacuation->part_of);
    free(evacuation->well);
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
    free(evacuation->planned_first);
    free(evacuation->planned_next);
    free(evacuation->leaving);
    free(evacuation->freed);
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

static void begin_first(struct evacuation *evacuation)
{
    struct pass_options options = {.start_cap = UINT32_MAX};

    if (evacuation->limited) {
        options = evacuation->limit;
    } else if (cap_may_do(evacuation)) {
        evacuation->capped = true;
        options.start_cap = state_settings(evacuation->state)->start_parallel;
    }
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

/* True when the pass is the best so far. */
static bool keep_best(struct evacuation *evacuation)
{
    uint32_t *placed = evacuation->placed;
    uint64_t *missing = evacuation->missing;

    if (!is_better(evacuation)) {
        return false;
    }
    evacuation->has_best = true;
    evacuation->placed = evacuation->best;
    evacuation->best = placed;
    evacuation->missing = evacuation->best_missing;
    evacuation->best_missing = missing;
    evacuation->best_missing_count = evacuation->missing_count;
    memcpy(evacuation->best_skip, evacuation->run_skip,
           evacuation->run_count * sizeof(*evacuation->run_skip));
    return true;
}

/* True when the passes are over. */
static bool end_pass(struct evacuation *evacuation)
{
    struct pass_options options;
    bool better = keep_best(evacuation);
    bool was_capped =
        evacuation->pass.options.start_cap != UINT32_MAX && evacuation->capped;

    if (evacuation->best_missing_count == 0 || evacuation->limited) {
        return true;
    }
    if (better) {
        evacuation->search.best = evacuation->pass.options;
    }
    evacuation->try += !was_capped;
    if (!evacuation_search_next(evacuation, better, &options)) {
        return true;
    }
    evacuation_pass_begin(evacuation, &options);
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
    begin_first(evacuation);
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
    } else if (evacuation->stage == STAGE_ROOM && !evacuation->limited &&
               evacuation->best_missing_count > 0) {
        evacuation_room_begin(evacuation);
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
        return evacuation_pass_work(evacuation, budget) && end_pass(evacuation);
    case STAGE_ROOM:
        return evacuation->planned_first == NULL ||
               evacuation_room_work(evacuation, budget);
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
