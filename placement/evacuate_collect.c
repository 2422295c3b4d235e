/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to be placed: one scan of the VMs, equal wishes found by their class,
 * then a counting sort into runs. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

/* Most VMs that are looked at are not pending, and cost little. */
#define SCAN_PER_VM 4

/* Not now: it holds room on a host already, or waits for its delay. */
static bool is_left_out(const struct evacuation *evacuation,
                        const struct vm *vm)
{
    return vm_holds_claim(vm) ||
           vm->not_before_ms > state_time_ms(evacuation->state) ||
           (evacuation->enforce && !vm->recovering);
}

static enum wish_right right_of(const struct vm *vm)
{
    return vm->recovering    ? WISH_RECOVERING
           : vm->preemptible ? WISH_PREEMPTIBLE
                             : WISH_ORDINARY;
}

/* The only zone where it may run. */
static uint32_t zone_of(const struct vm *vm)
{
    return vm->moving && vm->move_zone != SLOT_NONE ? vm->move_zone : vm->zone;
}

static bool wish_matches(const struct wish *wish, const struct vm *vm)
{
    return wish->zone == zone_of(vm) && wish->driver == vm->driver &&
           wish->pool_mask == vm->pool_mask &&
           wish->disk_zone_mask == vm->disk_zone_mask &&
           wish->selector_blob == vm->selector_blob &&
           wish->right == right_of(vm);
}

static uint32_t add_wish(struct evacuation *evacuation, const struct vm *vm)
{
    const struct class *class =
        state_class_at(evacuation->state, vm->class_slot);
    struct wish *wish;

    CHECK(class != NULL);
    if (evacuation->wish_count == evacuation->wish_capacity) {
        evacuation->wish_capacity = evacuation->wish_capacity * 2 + 64;
        evacuation->wishes =
            memory_realloc_array(evacuation->wishes, evacuation->wish_capacity,
                                 sizeof(*evacuation->wishes));
    }
    wish = &evacuation->wishes[evacuation->wish_count];
    *wish = (struct wish){
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_zone_mask = class->zone_mask,
        .need = class->resources,
        .named = class->named,
        .class_slot = vm->class_slot,
        .zone = zone_of(vm),
        .selector_blob = vm->selector_blob,
        .next = evacuation->class_wish[vm->class_slot],
        .driver = vm->driver,
        .right = (uint8_t)right_of(vm),
        .extra =
            class->resources.disk_gib > 0 || class->resources.gpu_count > 0,
    };
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        wish->extra = wish->extra || class->named.of[i] > 0;
    }
    evacuation->class_wish[vm->class_slot] = evacuation->wish_count;
    return evacuation->wish_count++;
}

static uint32_t wish_of(struct evacuation *evacuation, const struct vm *vm)
{
    uint32_t number = evacuation->class_wish[vm->class_slot];

    while (number != NONE && !wish_matches(&evacuation->wishes[number], vm)) {
        number = evacuation->wishes[number].next;
    }
    return number != NONE ? number : add_wish(evacuation, vm);
}

/* A lost host's zone that is well: restarting there keeps the spread. */
static uint8_t prefer_of(const struct evacuation *evacuation,
                         const struct vm *vm)
{
    const struct host *host;

    if (!vm->recovering || vm->last_host == SLOT_NONE) {
        return ZONES_MAX;
    }
    host = state_host_at(evacuation->state, vm->last_host);
    if (host == NULL || !evacuation->zones[host->zone].open) {
        return ZONES_MAX;
    }
    return (uint8_t)host->zone;
}

static void add_item(struct evacuation *evacuation, const struct vm *vm,
                     uint32_t slot)
{
    struct item *item = &evacuation->items[evacuation->item_count++];

    item->vm = slot;
    item->wish = wish_of(evacuation, vm);
    item->tally = vm->group_plus1 == 0
                      ? NONE
                      : evacuation_tally(evacuation, vm->group_plus1 - 1);
    item->priority = vm->priority < PRIORITY_TOP ? vm->priority : PRIORITY_TOP;
    item->prefer = prefer_of(evacuation, vm);
    item->special =
        vm->home_host_plus1 != 0 || vm->moving || vm->not_before_ms != 0;
    evacuation->wishes[item->wish].count++;
}

/* Of each record a scan looks at its state alone: let these be on their way
 * while the records before them are looked at. */
static void prefetch(const struct vm *vms, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        __builtin_prefetch(&vms[i].state);
    }
}

bool evacuation_collect_vms(struct evacuation *evacuation, uint32_t *budget)
{
    const struct state *state = evacuation->state;
    uint32_t slots = state_vm_slots(state);
    uint32_t slot = evacuation->cursor;
    uint64_t end = slot + (uint64_t)*budget * SCAN_PER_VM;
    const struct vm *next = NULL;
    uint32_t next_count = 0;

    if (slot < slots) {
        next_count = state_vm_span(state, slot, &next);
    }
    while (slot < slots && slot < end) {
        const struct vm *vms = next;
        uint32_t count = next_count;

        if (slot + count < slots) {
            next_count = state_vm_span(state, slot + count, &next);
            prefetch(next, next_count);
        }
        for (uint32_t i = 0; i < count; i++) {
            if (vms[i].state == VM_PENDING &&
                !is_left_out(evacuation, &vms[i])) {
                add_item(evacuation, &vms[i], slot + i);
            }
        }
        slot += count;
    }
    evacuation->cursor = slot;
    *budget = 0;
    return slot == slots;
}

/* --- Sizes ---------------------------------------------------------------- */

/* Shares of what is free in all, in 2^-40: what is scarce weighs more. */
static void set_sizes(struct evacuation *evacuation)
{
    uint64_t cpu_free = 1;
    uint64_t memory_free = 1;

    for (uint32_t i = 0; i < evacuation->host_slots; i++) {
        if (evacuation->part_of[i] != PARTS_MAX) {
            cpu_free += evacuation->room_base[i].cpu_milli;
            memory_free += evacuation->room_base[i].memory_mib;
        }
    }
    for (uint32_t i = 0; i < evacuation->wish_count; i++) {
        struct wish *wish = &evacuation->wishes[i];
        uint64_t cpu = wish->need.cpu_milli;
        uint64_t memory = wish->need.memory_mib;
        unsigned __int128 one = 1;
        uint64_t cpu_share = (uint64_t)((one << 40) * cpu / cpu_free);
        uint64_t memory_share = (uint64_t)((one << 40) * memory / memory_free);

        wish->size[ORDER_SHARE] =
            cpu_share > memory_share ? cpu_share : memory_share;
        wish->size[ORDER_SUM] = cpu_share + memory_share;
        wish->size[ORDER_CPU] = cpu << 32 | memory;
        wish->size[ORDER_MEMORY] = memory << 32 | cpu;
    }
}

struct ranked {
    uint64_t size;
    uint32_t class_slot;
    uint32_t number;
};

/* Larger first, then by class, then as they were met. */
static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *left = a;
    const struct ranked *right = b;

    if (left->size != right->size) {
        return left->size > right->size ? -1 : 1;
    }
    if (left->class_slot != right->class_slot) {
        return left->class_slot < right->class_slot ? -1 : 1;
    }
    return left->number < right->number ? -1 : left->number > right->number;
}

/* Position of each wish in an order. */
static uint32_t *rank_wishes(const struct evacuation *evacuation,
                             enum evacuation_order order)
{
    uint32_t count = evacuation->wish_count;
    struct ranked *ranked = memory_alloc_array(count, sizeof(*ranked));
    uint32_t *ranks = memory_alloc_array(count, sizeof(*ranks));

    for (uint32_t i = 0; i < count; i++) {
        const struct wish *wish = &evacuation->wishes[i];

        ranked[i] = (struct ranked){wish->size[order], wish->class_slot, i};
    }
    qsort(ranked, count, sizeof(*ranked), compare_ranked);
    for (uint32_t i = 0; i < count; i++) {
        ranks[ranked[i].number] = i;
    }
    free(ranked);
    return ranks;
}

/* --- Runs ----------------------------------------------------------------- */

/* First what was lost, then what may use reserved room, then what waited
 * anyway; within these by priority. */
static uint32_t level_key(const struct evacuation *evacuation,
                          const struct item *item)
{
    return evacuation->wishes[item->wish].right * (uint32_t)PRIORITY_STEPS +
           PRIORITY_TOP - item->priority;
}

/* What a pass of the sort goes by. */
enum sort_key { SORT_TALLY, SORT_WISH, SORT_LEVEL };

struct sorter {
    const struct evacuation *evacuation;
    enum sort_key key;
    const uint32_t *ranks; /* Of wishes. */
};

static uint32_t key_of(const struct sorter *sorter, const struct item *item)
{
    switch (sorter->key) {
    case SORT_TALLY:
        return item->tally + 1; /* NONE: 0. */
    case SORT_WISH:
        return sorter->ranks[item->wish];
    default:
        return level_key(sorter->evacuation, item);
    }
}

/* One stable pass of a counting sort; keys are below `keys`. */
static void sort_pass(struct evacuation *evacuation,
                      const struct sorter *sorter, uint32_t keys)
{
    uint32_t count = evacuation->item_count;
    const struct item *from = evacuation->items;
    struct item *to = evacuation->spare_items;
    uint32_t *starts = memory_alloc_array((size_t)keys + 1, sizeof(*starts));

    for (uint32_t i = 0; i < count; i++) {
        starts[key_of(sorter, &from[i]) + 1]++;
    }
    for (uint32_t i = 0; i < keys; i++) {
        starts[i + 1] += starts[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        to[starts[key_of(sorter, &from[i])]++] = from[i];
    }
    free(starts);
    evacuation->spare_items = evacuation->items;
    evacuation->items = to;
}

static void make_runs(struct evacuation *evacuation)
{
    uint32_t capacity = 0;
    uint32_t last_key = NONE;

    for (uint32_t i = 0; i < evacuation->item_count; i++) {
        const struct item *item = &evacuation->items[i];
        uint32_t key = level_key(evacuation, item);
        struct run *run;

        if (i > 0 && key == last_key && item->wish == item[-1].wish) {
            evacuation->runs[evacuation->run_count - 1].count++;
            continue;
        }
        if (evacuation->run_count == capacity) {
            capacity = capacity * 2 + 64;
            evacuation->runs = memory_realloc_array(evacuation->runs, capacity,
                                                    sizeof(*evacuation->runs));
        }
        evacuation->level_count += key != last_key;
        last_key = key;
        run = &evacuation->runs[evacuation->run_count++];
        *run = (struct run){i, 1, item->wish,
                            (uint16_t)(evacuation->level_count - 1)};
    }
}

static bool has_levels(const struct evacuation *evacuation)
{
    for (uint32_t i = 1; i < evacuation->item_count; i++) {
        if (level_key(evacuation, &evacuation->items[i]) !=
            level_key(evacuation, &evacuation->items[0])) {
            return true;
        }
    }
    return false;
}

void evacuation_sort(struct evacuation *evacuation)
{
    struct sorter sorter = {evacuation, SORT_TALLY, NULL};
    uint32_t *ranks;

    set_sizes(evacuation);
    ranks = rank_wishes(evacuation, ORDER_SHARE);
    sorter.ranks = ranks;
    if (evacuation->tally_count > 0) {
        /* Members of a group one after another: what refuses one host refuses
         * it to the next. */
        sort_pass(evacuation, &sorter, evacuation->tally_count + 1);
    }
    sorter.key = SORT_WISH;
    sort_pass(evacuation, &sorter, evacuation->wish_count);
    if (has_levels(evacuation)) {
        sorter.key = SORT_LEVEL;
        sort_pass(evacuation, &sorter, 3 * PRIORITY_STEPS);
    }
    free(ranks);
    make_runs(evacuation);
    evacuation->run_order =
        memory_alloc_array(evacuation->run_count, sizeof(uint32_t));
    evacuation->run_skip =
        memory_alloc_array(evacuation->run_count, sizeof(uint32_t));
}

struct ordered_run {
    uint32_t level;
    uint32_t rank;
    uint32_t run;
};

static int compare_runs(const void *a, const void *b)
{
    const struct ordered_run *left = a;
    const struct ordered_run *right = b;

    if (left->level != right->level) {
        return left->level < right->level ? -1 : 1;
    }
    return left->rank < right->rank ? -1 : left->rank > right->rank;
}

void evacuation_order_runs(struct evacuation *evacuation,
                           enum evacuation_order order)
{
    uint32_t count = evacuation->run_count;
    struct ordered_run *ordered = memory_alloc_array(count, sizeof(*ordered));
    uint32_t *ranks = rank_wishes(evacuation, order);

    for (uint32_t i = 0; i < count; i++) {
        const struct run *run = &evacuation->runs[i];

        ordered[i] = (struct ordered_run){run->level, ranks[run->wish], i};
    }
    qsort(ordered, count, sizeof(*ordered), compare_runs);
    for (uint32_t i = 0; i < count; i++) {
        evacuation->run_order[i] = ordered[i].run;
    }
    free(ranks);
    free(ordered);
}

/* --- Skips ---------------------------------------------------------------- */

struct worth {
    uint64_t worth; /* CPU for its share of what is scarce. */
    uint64_t size;
    uint32_t run;
};

/* Least worth first, then the largest. */
static int compare_worths(const void *a, const void *b)
{
    const struct worth *left = a;
    const struct worth *right = b;

    if (left->worth != right->worth) {
        return left->worth < right->worth ? -1 : 1;
    }
    if (left->size != right->size) {
        return left->size > right->size ? -1 : 1;
    }
    return left->run < right->run ? -1 : left->run > right->run;
}

void evacuation_set_skips(struct evacuation *evacuation, uint32_t skip,
                          uint32_t level)
{
    struct worth *worths =
        memory_alloc_array(evacuation->run_count, sizeof(*worths));
    uint32_t count = 0;

    memset(evacuation->run_skip, 0,
           evacuation->run_count * sizeof(*evacuation->run_skip));
    for (uint32_t i = 0; skip > 0 && i < evacuation->run_count; i++) {
        const struct run *run = &evacuation->runs[i];
        const struct wish *wish = &evacuation->wishes[run->wish];

        if (run->level == level) {
            worths[count++] =
                (struct worth){((uint64_t)wish->need.cpu_milli << 32) /
                                   (wish->size[ORDER_SHARE] + 1),
                               wish->size[ORDER_SHARE], i};
        }
    }
    qsort(worths, count, sizeof(*worths), compare_worths);
    for (uint32_t i = 0; i < count && skip > 0; i++) {
        uint32_t run = worths[i].run;
        uint32_t most = evacuation->runs[run].count;

        evacuation->run_skip[run] = skip < most ? skip : most;
        skip -= evacuation->run_skip[run];
    }
    free(worths);
}
