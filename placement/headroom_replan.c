/* SPDX-License-Identifier: Apache-2.0
 *
 * All slots for one failing zone given anew. Slots for different failing zones
 * do not depend on each other, so each zone is planned by itself: its slots are
 * taken back, the VMs sorted by size, and each is given the tightest host,
 * larger ones first; by CPU and, when that leaves more without a slot than
 * before, once more by memory. When both are worse the old slots come back. In
 * steps, because a zone may have hundreds of thousands of VMs. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/headroom_book.h"

#include <stdlib.h>
#include <string.h>

enum step {
    STEP_TAKE, /* All items of the zone lose their slots. */
    STEP_SORT,
    STEP_PLACE,
    STEP_JUDGE,
    STEP_UNDO,   /* Placed ones lose their slots; */
    STEP_RESTORE /* the old ones come back. */
};

/* So many are sorted in the time that one VM takes otherwise. */
#define SORTED_A_VM 16

/* A plan is worth its time again when a share of the zone's slots, or so many,
 * changed. */
#define CHANGES_SHARE 64
#define CHANGES_MIN   16

bool headroom_replan_is_due(struct headroom *headroom, uint32_t zone,
                            uint32_t size)
{
    struct headroom_zone_book *book = &headroom->zones[zone];
    uint64_t changes = headroom->witness.zones[zone].changes;
    uint64_t enough = headroom->witness.zones[zone].backed / CHANGES_SHARE;
    uint64_t bit = UINT64_C(1) << size % 64;

    if (enough < CHANGES_MIN) {
        enough = CHANGES_MIN;
    }
    if (changes - book->planned_changes >= enough) {
        book->planned_changes = changes;
        book->planned_sizes = 0;
    }
    if ((book->planned_sizes & bit) != 0) {
        return false;
    }
    book->planned_sizes |= bit;
    return true;
}

/* In one piece: growing would copy what is there, in one slice. */
static void expect_items(struct headroom_job *job, uint32_t count)
{
    if (count > job->capacity) {
        job->capacity = count;
        job->items =
            memory_realloc_array(job->items, count, sizeof(*job->items));
    }
}

void headroom_replan_begin(struct headroom *headroom, uint32_t zone)
{
    struct headroom_job *job = &headroom->job;

    CHECK(!job->active);
    job->active = true;
    job->turned = false;
    job->step = STEP_TAKE;
    job->zone = zone;
    job->at = 0;
    job->count = 0;
    job->stuck_before = headroom->witness.zones[zone].stuck.count +
                        headroom->witness.zones[zone].todo.count;
    expect_items(job, job->stuck_before + headroom->witness.zones[zone].backed);
    job->relief_before = headroom->witness.zones[zone].relief;
    job->changes_before = headroom->witness.zones[zone].changes;
}

void headroom_replan_close(struct headroom *headroom)
{
    free(headroom->job.items);
    memset(&headroom->job, 0, sizeof(headroom->job));
}

static void take_item(struct headroom *headroom, uint32_t slot)
{
    struct headroom_job *job = &headroom->job;
    struct witness_item *item = &headroom->witness.items[slot];

    if (item->zone != job->zone ||
        (item->status != ITEM_BACKED && item->status != ITEM_TODO &&
         item->status != ITEM_STUCK)) {
        return;
    }
    if (job->count == job->capacity) {
        expect_items(job, 2 * job->capacity + 1024);
    }
    job->items[job->count++] = (struct headroom_job_item){
        slot, item->host, item->generation, item->size};
    headroom_drop(headroom, slot);
    item->status = ITEM_JOB;
    headroom->zones[job->zone].in_job++;
}

/* Larger sizes get lower numbers; by the scarcer resource. */
struct ranked {
    uint64_t first;
    uint64_t second;
    uint32_t size;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *left = a;
    const struct ranked *right = b;

    if (left->first != right->first) {
        return left->first > right->first ? -1 : 1;
    }
    if (left->second != right->second) {
        return left->second > right->second ? -1 : 1;
    }
    return left->size < right->size ? -1 : left->size > right->size;
}

/* The share of the fleet's capacity that a VM of the size takes, of the
 * resource of which that is most; in parts that keep small VMs apart. */
static uint64_t dominant(const struct resource_sum *fleet,
                         const struct resources *size)
{
    uint64_t cpu =
        ((uint64_t)size->cpu_milli << 24) / (fleet->cpu_milli / 1024 + 1);
    uint64_t memory =
        ((uint64_t)size->memory_mib << 24) / (fleet->memory_mib / 1024 + 1);

    return cpu > memory ? cpu : memory;
}

static void rank_sizes(const struct witness *witness, uint32_t *rank_of)
{
    struct ranked *ranked =
        memory_alloc_array(witness->size_count, sizeof(*ranked));
    struct resource_sum fleet = {0, 0, 0};

    for (uint32_t i = 0; i < witness->zone_count; i++) {
        fleet.cpu_milli += witness->capacity[i].cpu_milli;
        fleet.memory_mib += witness->capacity[i].memory_mib;
    }
    for (uint32_t i = 0; i < witness->size_count; i++) {
        const struct resources *size = &witness->sizes[i].resources;

        ranked[i] =
            (struct ranked){dominant(&fleet, size),
                            (uint64_t)size->cpu_milli + size->memory_mib, i};
    }
    qsort(ranked, witness->size_count, sizeof(*ranked), compare_ranked);
    for (uint32_t i = 0; i < witness->size_count; i++) {
        rank_of[ranked[i].size] = i;
    }
    free(ranked);
}

/* By size, larger first; of one size as they were: by slot. */
static void sort_items(struct headroom *headroom)
{
    struct headroom_job *job = &headroom->job;
    uint32_t sizes = headroom->witness.size_count;
    uint32_t *rank_of = memory_alloc_array(sizes, sizeof(*rank_of));
    uint32_t *starts = memory_alloc_array((size_t)sizes + 1, sizeof(*starts));
    struct headroom_job_item *sorted =
        memory_alloc_array(job->count, sizeof(*sorted));

    rank_sizes(&headroom->witness, rank_of);
    for (uint32_t i = 0; i < job->count; i++) {
        starts[rank_of[job->items[i].size] + 1]++;
    }
    for (uint32_t i = 0; i < sizes; i++) {
        starts[i + 1] += starts[i];
    }
    for (uint32_t i = 0; i < job->count; i++) {
        sorted[starts[rank_of[job->items[i].size]]++] = job->items[i];
    }
    free(job->items);
    free(rank_of);
    free(starts);
    job->items = sorted;
    job->capacity = job->count;
}

/* Whether the VM is as it was when the plan began. */
static bool is_same(const struct headroom *headroom,
                    const struct headroom_job_item *entry)
{
    const struct witness_item *item = &headroom->witness.items[entry->item];

    return item->status != ITEM_NONE && item->zone == headroom->job.zone &&
           item->generation == entry->generation && item->size == entry->size;
}

static void place_item(struct headroom *headroom,
                       const struct headroom_job_item *entry)
{
    struct witness_item *item = &headroom->witness.items[entry->item];

    if (item->status == ITEM_JOB && is_same(headroom, entry)) {
        headroom_drop(headroom, entry->item);
        headroom_settle(headroom, entry->item);
    }
}

static void untake_item(struct headroom *headroom,
                        const struct headroom_job_item *entry)
{
    struct witness_item *item = &headroom->witness.items[entry->item];

    if (is_same(headroom, entry) &&
        (item->status == ITEM_BACKED || item->status == ITEM_STUCK ||
         item->status == ITEM_TODO)) {
        headroom_drop(headroom, entry->item);
        item->status = ITEM_JOB;
        headroom->zones[headroom->job.zone].in_job++;
    }
}

static void restore_item(struct headroom *headroom,
                         const struct headroom_job_item *entry)
{
    struct witness *witness = &headroom->witness;
    struct witness_item *item = &witness->items[entry->item];

    if (item->status != ITEM_JOB || !is_same(headroom, entry)) {
        return;
    }
    headroom_drop(headroom, entry->item);
    if (entry->host != SLOT_NONE && witness->hosts[entry->host].open &&
        witness_fits(witness, entry->host, item->zone,
                     &witness->sizes[item->size])) {
        witness_put(witness, entry->item, entry->host);
    } else {
        headroom_queue(headroom, entry->item, ITEM_TODO);
    }
}

/* Applies `act` to all items of the plan from `job->at` on. */
static bool for_items(struct headroom *headroom, uint32_t *budget,
                      void (*act)(struct headroom *,
                                  const struct headroom_job_item *))
{
    struct headroom_job *job = &headroom->job;

    while (job->at < job->count) {
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        act(headroom, &job->items[job->at++]);
    }
    job->at = 0;
    return true;
}

static uint32_t least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static void finish(struct headroom *headroom)
{
    struct headroom_job *job = &headroom->job;
    struct witness_zone *zone = &headroom->witness.zones[job->zone];

    /* What the plan did itself is no reason for another. */
    zone->relief = job->relief_before;
    zone->changes = job->changes_before;
    headroom->zones[job->zone].tried_relief = zone->relief;
    job->active = false;
    job->turned = false;
}

static void judge(struct headroom *headroom)
{
    struct headroom_job *job = &headroom->job;
    uint32_t stuck = headroom->witness.zones[job->zone].stuck.count;

    if (stuck <= job->stuck_before) {
        finish(headroom);
        return;
    }
    job->step = STEP_UNDO;
}

static bool take_all(struct headroom *headroom, uint32_t *budget)
{
    struct headroom_job *job = &headroom->job;

    while (job->at < headroom->witness.item_count) {
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        take_item(headroom, job->at++);
    }
    job->at = 0;
    job->step = STEP_SORT;
    return true;
}

/* The plan is worse: the other order is tried, then the old slots. */
static bool undo(struct headroom *headroom, uint32_t *budget)
{
    struct headroom_job *job = &headroom->job;

    if (!for_items(headroom, budget, untake_item)) {
        return false;
    }
    if (!job->turned) {
        job->turned = true;
        job->step = STEP_PLACE;
        return true;
    }
    job->step = STEP_RESTORE;
    return true;
}

bool headroom_replan_step(struct headroom *headroom, uint32_t *budget)
{
    struct headroom_job *job = &headroom->job;

    while (job->active) {
        switch (job->step) {
        case STEP_TAKE:
            if (!take_all(headroom, budget)) {
                return false;
            }
            break;
        case STEP_SORT:
            sort_items(headroom);
            *budget -= least(*budget, job->count / SORTED_A_VM);
            job->step = STEP_PLACE;
            break;
        case STEP_PLACE:
            if (!for_items(headroom, budget, place_item)) {
                return false;
            }
            job->step = STEP_JUDGE;
            break;
        case STEP_JUDGE:
            judge(headroom);
            break;
        case STEP_UNDO:
            if (!undo(headroom, budget)) {
                return false;
            }
            break;
        default:
            if (!for_items(headroom, budget, restore_item)) {
                return false;
            }
            finish(headroom);
        }
    }
    return true;
}
