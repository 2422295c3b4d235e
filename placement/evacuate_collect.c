/* SPDX-License-Identifier: Apache-2.0
 *
 * What is to be placed: one scan of the VMs' marks, equal wishes found by their
 * class, then a counting sort into runs. */
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

/* Most VMs that are looked at are not pending, and what pending ones ask for
 * is mostly told by their marks; to read a record costs as much as to place a
 * VM. */
#define SCAN_PER_VM 16

/* Not now: it holds room on a host already, or waits for its delay. */
static bool is_left_out(const struct evacuation *evacuation,
                        const struct vm *vm)
{
    return vm_holds_claim(vm) ||
           vm->not_before_ms > state_time_ms(evacuation->state) ||
           (evacuation->enforce && !vm->recovering);
}

static enum wish_right right_of(const struct ask *ask, bool recovering)
{
    return recovering         ? WISH_RECOVERING
           : ask->preemptible ? WISH_PREEMPTIBLE
                              : WISH_ORDINARY;
}

static bool wish_matches(const struct wish *wish, const struct ask *ask,
                         enum wish_right right)
{
    return wish->zone == ask->zone && wish->driver == ask->driver &&
           wish->pool_mask == ask->pool_mask &&
           wish->disk_zone_mask == ask->disk_zone_mask &&
           wish->selector_blob == ask->selector_blob && wish->right == right;
}

static uint32_t add_wish(struct evacuation *evacuation, const struct ask *ask,
                         enum wish_right right)
{
    const struct class *class =
        state_class_at(evacuation->state, ask->class_slot);
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
        .pool_mask = ask->pool_mask,
        .disk_zone_mask = ask->disk_zone_mask,
        .class_zone_mask = class->zone_mask,
        .need = class->resources,
        .named = class->named,
        .class_slot = ask->class_slot,
        .zone = ask->zone,
        .selector_blob = ask->selector_blob,
        .next = evacuation->class_wish[ask->class_slot],
        .driver = ask->driver,
        .right = (uint8_t)right,
        .extra =
            class->resources.disk_gib > 0 || class->resources.gpu_count > 0,
    };
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        wish->extra = wish->extra || class->named.of[i] > 0;
    }
    evacuation->class_wish[ask->class_slot] = evacuation->wish_count;
    return evacuation->wish_count++;
}

static uint32_t wish_of(struct evacuation *evacuation, const struct ask *ask,
                        bool recovering)
{
    enum wish_right right = right_of(ask, recovering);
    uint32_t number = evacuation->class_wish[ask->class_slot];

    while (number != NONE &&
           !wish_matches(&evacuation->wishes[number], ask, right)) {
        number = evacuation->wishes[number].next;
    }
    return number != NONE ? number : add_wish(evacuation, ask, right);
}

/* An item of those who ask the same; the rest of it is each VM's own. */
static struct item item_of(struct evacuation *evacuation, const struct ask *ask,
                           bool recovering)
{
    return (struct item){
        .vm = SLOT_NONE,
        .wish = wish_of(evacuation, ask, recovering),
        .tally = ask->group_plus1 == 0
                     ? NONE
                     : evacuation_tally(evacuation, ask->group_plus1 - 1),
        .last_host = NONE,
        .priority = ask->priority < PRIORITY_TOP ? ask->priority : PRIORITY_TOP,
    };
}

static void add_item(struct evacuation *evacuation, const struct item *item)
{
    evacuation->items[evacuation->item_count++] = *item;
    evacuation->wishes[item->wish].count++;
}

/* By a mark that says all. */
static void add_marked(struct evacuation *evacuation, uint32_t slot,
                       uint32_t mark)
{
    uint32_t number = mark_ask(mark);
    bool recovering = mark_recovering(mark);
    struct item *like = &evacuation->ask_items[number * 2 + recovering];
    struct item item;

    if (evacuation->enforce && !recovering) {
        return;
    }
    if (like->wish == NONE) {
        *like = item_of(evacuation, state_ask_at(evacuation->state, number),
                        recovering);
    }
    item = *like;
    item.vm = slot;
    item.last_host = recovering ? mark_last_host(mark) : NONE;
    add_item(evacuation, &item);
}

/* By its record. */
static void add_read(struct evacuation *evacuation, uint32_t slot)
{
    const struct vm *vm = state_vm_at(evacuation->state, slot);
    bool moves = vm->moving && vm->move_zone != SLOT_NONE;
    struct ask ask = {
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_slot = vm->class_slot,
        .zone = moves ? vm->move_zone : vm->zone, /* Where alone it may run. */
        .selector_blob = vm->selector_blob,
        .group_plus1 = vm->group_plus1,
        .priority = vm->priority,
        .driver = vm->driver,
        .preemptible = vm->preemptible,
    };
    struct item item;

    if (is_left_out(evacuation, vm)) {
        return;
    }
    item = item_of(evacuation, &ask, vm->recovering);
    item.vm = slot;
    item.special =
        vm->home_host_plus1 != 0 || vm->moving || vm->not_before_ms != 0;
    if (vm->recovering && vm->last_host != SLOT_NONE) {
        item.last_host = vm->last_host;
    }
    add_item(evacuation, &item);
}

/* Marks that lie side by side are looked at so many at a time. */
#define MARKS_ONCE 64

/* Looks at a few marks; what that costs. Which VMs are pending follows no
 * pattern, so they are picked without a branch first. */
static uint64_t collect_marks(struct evacuation *evacuation, uint32_t slot,
                              const uint32_t *marks, uint32_t count)
{
    uint8_t picked[MARKS_ONCE];
    uint32_t picked_count = 0;
    uint64_t cost = count;

    for (uint32_t i = 0; i < count; i++) {
        picked[picked_count] = (uint8_t)i;
        picked_count += marks[i] != MARK_NONE;
    }
    for (uint32_t i = 0; i < picked_count; i++) {
        uint32_t mark = marks[picked[i]];

        if (mark == MARK_READ) {
            add_read(evacuation, slot + picked[i]);
            cost += SCAN_PER_VM;
        } else {
            add_marked(evacuation, slot + picked[i], mark);
        }
    }
    return cost;
}

bool evacuation_collect_vms(struct evacuation *evacuation, uint32_t *budget)
{
    uint32_t slots = state_vm_slots(evacuation->state);
    uint32_t *cursor = &evacuation->cursor;
    uint64_t left = (uint64_t)*budget * SCAN_PER_VM;

    while (*cursor < slots && left > 0) {
        const uint32_t *marks;
        uint32_t count = state_mark_span(evacuation->state, *cursor, &marks);
        uint64_t cost;

        count = count < MARKS_ONCE ? count : MARKS_ONCE;
        cost = collect_marks(evacuation, *cursor, marks, count);

        left -= cost < left ? cost : left;
        *cursor += count;
    }
    *budget = 0;
    return *cursor == slots;
}

/* A lost host's zone that is well: restarting there keeps the spread. */
static void set_preferences(struct evacuation *evacuation)
{
    for (uint32_t i = 0; i < evacuation->item_count; i++) {
        struct item *item = &evacuation->items[i];
        uint32_t host = item->last_host;

        item->prefer = ZONES_MAX;
        if (host < evacuation->host_slots &&
            (evacuation->well[host / 64] >> host % 64 & 1) != 0) {
            item->prefer =
                (uint8_t)state_host_at(evacuation->state, host)->zone;
        }
    }
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

    set_preferences(evacuation);
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
    evacuation->best_skip =
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

/* One to three runs. */
void evacuation_shake_skips(struct evacuation *evacuation, uint32_t seed)
{
    struct random random;
    uint32_t changes;

    random_init(&random, seed);
    changes = 1 + (uint32_t)random_below(&random, 3);
    memcpy(evacuation->run_skip, evacuation->best_skip,
           evacuation->run_count * sizeof(*evacuation->run_skip));
    for (uint32_t i = 0; i < changes; i++) {
        uint32_t run = (uint32_t)random_below(&random, evacuation->run_count);

        evacuation->run_skip[run] =
            (uint32_t)random_below(&random, evacuation->runs[run].count + 1);
    }
}
