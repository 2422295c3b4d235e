/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to be placed: one scan of the VMs, equal wishes found by their class,
 * then a counting sort into runs. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

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

bool evacuation_collect_vms(struct evacuation *evacuation, uint32_t *budget)
{
    const struct state *state = evacuation->state;
    uint32_t slots = state_vm_slots(state);
    uint32_t end = evacuation->cursor;
    /* Most of what is looked at is not pending, and costs little. */
    uint64_t left = (uint64_t)*budget * 8;

    end = slots - end > left ? end + (uint32_t)left : slots;
    for (; evacuation->cursor < end; evacuation->cursor++) {
        const struct vm *vm = state_vm_at(state, evacuation->cursor);

        if (vm != NULL && vm->state == VM_PENDING &&
            !is_left_out(evacuation, vm)) {
            add_item(evacuation, vm, evacuation->cursor);
        }
    }
    *budget = 0;
    return evacuation->cursor == slots;
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

/* One stable pass of a counting sort by `key`, which is below `keys`. */
static void sort_by(struct evacuation *evacuation, const uint32_t *key,
                    uint32_t keys)
{
    uint32_t count = evacuation->item_count;
    struct item *sorted = memory_alloc_array(count, sizeof(*sorted));
    uint32_t *starts = memory_alloc_array((size_t)keys + 1, sizeof(*starts));

    for (uint32_t i = 0; i < count; i++) {
        starts[key[i] + 1]++;
    }
    for (uint32_t i = 0; i < keys; i++) {
        starts[i + 1] += starts[i];
    }
    for (uint32_t i = 0; i < count; i++) {
        sorted[starts[key[i]]++] = evacuation->items[i];
    }
    free(starts);
    free(evacuation->items);
    evacuation->items = sorted;
}

/* First what was lost, then what may use reserved room, then what waited
 * anyway; within these by priority. */
static uint32_t level_key(const struct evacuation *evacuation,
                          const struct item *item)
{
    return evacuation->wishes[item->wish].right * (uint32_t)PRIORITY_STEPS +
           PRIORITY_TOP - item->priority;
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

void evacuation_sort(struct evacuation *evacuation)
{
    uint32_t count = evacuation->item_count;
    uint32_t *keys = memory_alloc_array(count, sizeof(*keys));
    uint32_t *ranks;
    bool mixed = false;

    set_sizes(evacuation);
    ranks = rank_wishes(evacuation, ORDER_SHARE);
    if (evacuation->tally_count > 0) {
        /* Members of a group one after another: what refuses one host refuses
         * it to the next. */
        for (uint32_t i = 0; i < count; i++) {
            keys[i] = evacuation->items[i].tally + 1;
        }
        sort_by(evacuation, keys, evacuation->tally_count + 1);
    }
    for (uint32_t i = 0; i < count; i++) {
        keys[i] = ranks[evacuation->items[i].wish];
        mixed = mixed || level_key(evacuation, &evacuation->items[i]) !=
                             level_key(evacuation, &evacuation->items[0]);
    }
    sort_by(evacuation, keys, evacuation->wish_count);
    if (mixed) {
        for (uint32_t i = 0; i < count; i++) {
            keys[i] = level_key(evacuation, &evacuation->items[i]);
        }
        sort_by(evacuation, keys, 3 * PRIORITY_STEPS);
    }
    free(keys);
    free(ranks);
    make_runs(evacuation);
    evacuation->run_order =
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
