/* SPDX-License-Identifier: Apache-2.0
 *
 * All slots for one failing zone given anew. Slots for different failing zones
 * do not depend on each other, so each zone is planned by itself: its slots are
 * taken back, the VMs sorted by size, and each is given the tightest host,
 * larger ones first; by CPU and, when that leaves more without a slot than
 * before, once more by memory. Where a few have no slot as it is (a new
 * leader's first book, mostly: the former one's grew with the region), other
 * orders of size are tried as well, and the best attempt counts; what has no
 * slot then may still get one by chains (headroom_repair.c). When none is as
 * good the old slots come back. In steps, because a zone may have hundreds
 * of thousands of VMs. */
#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "placement/headroom_book.h"

#include <stdlib.h>
#include <string.h>

enum step {
    STEP_TAKE, /* All items of the zone lose their slots. */
    STEP_SORT,
    STEP_PLACE,
    STEP_JUDGE,
    STEP_UNDO,    /* Placed ones lose their slots; */
    STEP_RESTORE, /* the old ones come back. */
    STEP_REPAIR   /* What has none still: others make way. */
};

/* Orders of size, each with both orders of cells. From ORDER_SHAKEN on the
 * first one, shaken. */
enum order {
    ORDER_DOMINANT,
    ORDER_SUM,
    ORDER_CPU,
    ORDER_MEMORY,
    ORDER_LEAN, /* With little memory for their CPU: such hosts need them. */
    ORDER_RICH,
    ORDER_SHAKEN
};
#define ORDERS_MAX (ORDER_SHAKEN + 16)

/* All are tried for so many without a slot in a zone with so many VMs; in
 * larger zones those that are not shaken. */
#define STUCK_FEW  64
#define SHAKEN_VMS 20000

/* What a size counts for is shaken by so many parts of it, less than half. */
#define SHAKE_PARTS 64

/* So many are sorted in the time that one VM takes otherwise. */
#define SORTED_A_VM 16

/* Hosts that repairs of a zone look at, some 30 ms; so many take the time that
 * one VM does otherwise. */
#define REPAIR_LOOKS 131072
#define LOOKS_A_VM   4

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

void headroom_replan_begin(struct headroom *headroom, uint32_t zone,
                           bool thorough)
{
    struct headroom_job *job = &headroom->job;

    CHECK(!job->active);
    job->active = true;
    job->turned = false;
    job->thorough = thorough;
    job->attempt = 0;
    job->looks = REPAIR_LOOKS;
    job->step = STEP_TAKE;
    job->zone = zone;
    job->at = 0;
    job->count = 0;
    job->stuck_before = headroom->witness.zones[zone].stuck.count +
                        headroom->witness.zones[zone].todo.count;
    job->stuck_least = job->stuck_before;
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
static uint64_t size_by(uint32_t order, const struct resource_sum *fleet,
                        const struct resources *size)
{
    uint64_t cpu =
        ((uint64_t)size->cpu_milli << 24) / (fleet->cpu_milli / 1024 + 1);
    uint64_t memory =
        ((uint64_t)size->memory_mib << 24) / (fleet->memory_mib / 1024 + 1);

    switch (order) {
    case ORDER_SUM:
        return cpu + memory;
    case ORDER_CPU:
        return cpu;
    case ORDER_MEMORY:
        return memory;
    case ORDER_LEAN:
        return (cpu << 16) / (memory + 1);
    case ORDER_RICH:
        return (memory << 16) / (cpu + 1);
    default:
        return cpu > memory ? cpu : memory;
    }
}

static uint64_t shake(uint64_t size, uint32_t order, uint32_t number)
{
    uint64_t parts =
        order < ORDER_SHAKEN
            ? 0
            : hash_u64((uint64_t)order << 32 | number) % (SHAKE_PARTS / 2);

    return size + size / SHAKE_PARTS * parts;
}

static struct resource_sum fleet_of(const struct witness *witness)
{
    struct resource_sum fleet = {0, 0, 0};

    for (uint32_t i = 0; i < witness->zone_count; i++) {
        fleet.cpu_milli += witness->capacity[i].cpu_milli;
        fleet.memory_mib += witness->capacity[i].memory_mib;
    }
    return fleet;
}

uint64_t *headroom_size_weights(const struct witness *witness)
{
    struct resource_sum fleet = fleet_of(witness);
    uint64_t *weights =
        memory_alloc_array(witness->size_count, sizeof(*weights));

    for (uint32_t i = 0; i < witness->size_count; i++) {
        weights[i] =
            size_by(ORDER_DOMINANT, &fleet, &witness->sizes[i].resources);
    }
    return weights;
}

static void rank_sizes(const struct witness *witness, uint32_t order,
                       uint32_t *rank_of)
{
    struct ranked *ranked =
        memory_alloc_array(witness->size_count, sizeof(*ranked));
    struct resource_sum fleet = fleet_of(witness);

    for (uint32_t i = 0; i < witness->size_count; i++) {
        const struct resources *size = &witness->sizes[i].resources;

        ranked[i] =
            (struct ranked){shake(size_by(order, &fleet, size), order, i),
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

    rank_sizes(&headroom->witness, job->attempt / 2u, rank_of);
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
                       struct headroom_job_item *entry)
{
    struct witness_item *item = &headroom->witness.items[entry->item];

    if (item->status == ITEM_JOB && is_same(headroom, entry)) {
        headroom_drop(headroom, entry->item);
        headroom_settle(headroom, entry->item);
    }
}

static void untake_item(struct headroom *headroom,
                        struct headroom_job_item *entry)
{
    struct witness_item *item = &headroom->witness.items[entry->item];

    if (is_same(headroom, entry) &&
        (item->status == ITEM_BACKED || item->status == ITEM_STUCK ||
         item->status == ITEM_TODO)) {
        if (headroom->job.better) {
            entry->host = item->host;
        }
        headroom_drop(headroom, entry->item);
        item->status = ITEM_JOB;
        headroom->zones[headroom->job.zone].in_job++;
    }
}

static void restore_item(struct headroom *headroom,
                         struct headroom_job_item *entry)
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
                                  struct headroom_job_item *))
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

/* Both orders of cells; of size more than one where that may be worth it. */
static uint32_t attempts(const struct headroom_job *job)
{
    if (!job->thorough || job->stuck_before == 0 ||
        job->stuck_before > STUCK_FEW) {
        return 2;
    }
    return 2 * (job->count <= SHAKEN_VMS ? ORDERS_MAX : ORDER_SHAKEN);
}

/* A few are left without, in a zone of which that can be said at leisure. */
static bool is_worth_repair(const struct headroom *headroom)
{
    const struct headroom_job *job = &headroom->job;
    const struct witness_zone *zone = &headroom->witness.zones[job->zone];
    uint32_t without = zone->stuck.count + zone->todo.count;

    return job->thorough && job->count <= SHAKEN_VMS && without > 0 &&
           without <= STUCK_FEW;
}

static bool needs_repair(const struct headroom *headroom,
                         const struct headroom_job_item *entry)
{
    uint8_t status = headroom->witness.items[entry->item].status;

    return is_same(headroom, entry) &&
           (status == ITEM_TODO || status == ITEM_STUCK);
}

static bool repair(struct headroom *headroom, uint32_t *budget)
{
    struct headroom_job *job = &headroom->job;

    while (job->at < job->count && job->looks > 0) {
        const struct headroom_job_item *entry = &job->items[job->at];
        uint32_t looks = job->looks;

        if (*budget == 0) {
            return false;
        }
        if (needs_repair(headroom, entry)) {
            headroom_drop(headroom, entry->item);
            if (!headroom_repair(headroom, entry->item, &job->looks)) {
                headroom_queue(headroom, entry->item, ITEM_STUCK);
            }
        }
        *budget -= least(*budget, 1 + (looks - job->looks) / LOOKS_A_VM);
        job->at++;
    }
    return true;
}

static void judge(struct headroom *headroom)
{
    struct headroom_job *job = &headroom->job;
    uint32_t stuck = headroom->witness.zones[job->zone].stuck.count;
    bool last = job->attempt + 1u == attempts(job);

    job->better = stuck < job->stuck_least;
    if (stuck == 0 ||
        (stuck <= job->stuck_least && (last || attempts(job) == 2))) {
        job->step = STEP_REPAIR;
        return;
    }
    job->stuck_least = job->better ? stuck : job->stuck_least;
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

/* The plan is not good enough: others are tried, then the best one comes back.
 */
static bool undo(struct headroom *headroom, uint32_t *budget)
{
    struct headroom_job *job = &headroom->job;

    if (!for_items(headroom, budget, untake_item)) {
        return false;
    }
    if (job->attempt + 1u < attempts(job)) {
        job->attempt++;
        job->turned = job->attempt % 2 != 0;
        job->step = job->turned ? STEP_PLACE : STEP_SORT;
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
        case STEP_RESTORE:
            if (!for_items(headroom, budget, restore_item)) {
                return false;
            }
            job->step = STEP_REPAIR;
            break;
        default:
            if (is_worth_repair(headroom) && !repair(headroom, budget)) {
                return false;
            }
            finish(headroom);
        }
    }
    return true;
}
