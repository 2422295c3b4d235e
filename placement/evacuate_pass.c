/* SPDX-License-Identifier: Apache-2.0
 *
 * One pass: every run once, each VM into the zone with the lowest load and
 * there onto the best host. Zones and hosts that rules forbid are left out. */
#include "base/check.h"
#include "placement/evacuate_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* A run's own cost, in VMs: its queues are made from all cells that have hosts,
 * of which there are more with more hosts. */
#define RUN_COST       64
#define RUN_COST_HOSTS 64

static uint32_t run_cost(const struct evacuation *evacuation)
{
    return RUN_COST + evacuation->open_hosts / RUN_COST_HOSTS;
}

/* --- Queues of cells ------------------------------------------------------ */

static bool entry_before(const struct cell_entry *a, const struct cell_entry *b)
{
    if (a->key != b->key) {
        return a->key < b->key;
    }
    return a->part != b->part ? a->part < b->part : a->cell < b->cell;
}

static void sift_down(struct cell_queue *queue, uint32_t at)
{
    struct cell_entry entry = queue->entries[at];

    for (;;) {
        uint32_t child = at * 2 + 1;

        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count &&
            entry_before(&queue->entries[child + 1], &queue->entries[child])) {
            child++;
        }
        if (!entry_before(&queue->entries[child], &entry)) {
            break;
        }
        queue->entries[at] = queue->entries[child];
        at = child;
    }
    queue->entries[at] = entry;
}

static void queue_append(struct cell_queue *queue,
                         const struct cell_entry *entry)
{
    if (queue->count == queue->capacity) {
        queue->capacity = queue->capacity * 2 + 256;
        queue->entries = memory_realloc_array(queue->entries, queue->capacity,
                                              sizeof(*queue->entries));
    }
    queue->entries[queue->count++] = *entry;
}

static void queue_push(struct cell_queue *queue, const struct cell_entry *entry)
{
    uint32_t at = queue->count;

    queue_append(queue, entry);
    while (at > 0 && entry_before(entry, &queue->entries[(at - 1) / 2])) {
        queue->entries[at] = queue->entries[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    queue->entries[at] = *entry;
}

static void queue_pop(struct cell_queue *queue)
{
    queue->entries[0] = queue->entries[--queue->count];
    if (queue->count > 0) {
        sift_down(queue, 0);
    }
}

static void queue_order(struct cell_queue *queue)
{
    for (uint32_t i = queue->count / 2; i-- > 0;) {
        sift_down(queue, i);
    }
}

/* --- The run's cells ------------------------------------------------------ */

/* How much the potential falls; among equals the cell with less left. */
static uint64_t key_of(const struct evacuation *evacuation, uint32_t row,
                       uint32_t column)
{
    const struct grid *grid = &evacuation->grid;
    const struct pass *pass = &evacuation->pass;
    uint32_t row_left = row > pass->need_row ? row - pass->need_row : 0;
    uint32_t column_left =
        column > pass->need_column ? column - pass->need_column : 0;
    uint32_t before = evacuation->potential[row * grid->stride + column];
    uint32_t after =
        evacuation->potential[row_left * grid->stride + column_left];
    uint64_t left = ((uint64_t)row_left << 18) / grid->rows +
                    ((uint64_t)column_left << 18) / grid->columns;

    switch (pass->options.score) {
    case SCORE_BEST_FIT:
        return after;
    case SCORE_LEAST_ALLOCATED:
        return UINT32_MAX - after;
    default:
        return (uint64_t)(before - after) << 20 | left;
    }
}

/* Rows and columns from which on hosts fit, or may fit when cells are coarse:
 * then each host is asked. */
static uint32_t first_row(const struct evacuation *evacuation)
{
    return evacuation->pass.wish->need.cpu_milli / evacuation->grid.cpu_unit;
}

static uint32_t first_column(const struct evacuation *evacuation)
{
    return evacuation->pass.wish->need.memory_mib /
           evacuation->grid.memory_unit;
}

static void add_row(struct evacuation *evacuation, uint32_t part_number,
                    uint32_t row, uint32_t first)
{
    const struct part *part = &evacuation->parts[part_number];
    struct cell_queue *queue = &evacuation->queues[part->zone];
    uint32_t stride = evacuation->grid.stride;

    for (uint32_t word = first / 64; word < stride / 64; word++) {
        uint64_t bits = part->filled[(row * stride) / 64 + word];

        if (word == first / 64) {
            bits &= UINT64_MAX << first % 64;
        }
        while (bits != 0) {
            uint32_t column = word * 64 + (uint32_t)__builtin_ctzll(bits);
            struct cell_entry entry = {key_of(evacuation, row, column),
                                       row * stride + column, part_number};

            queue_append(queue, &entry);
            bits &= bits - 1;
        }
    }
}

static void make_queues(struct evacuation *evacuation)
{
    struct pass *pass = &evacuation->pass;

    pass->zones = 0;
    for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
        evacuation->queues[i].count = 0;
    }
    for (uint32_t i = 0; i < evacuation->part_count; i++) {
        const struct part *part = &evacuation->parts[i];

        if (!evacuation_part_allowed(evacuation, pass->wish, part)) {
            continue;
        }
        pass->zones |= UINT64_C(1) << part->zone;
        for (uint32_t row = first_row(evacuation); row < evacuation->grid.rows;
             row++) {
            add_row(evacuation, i, row, first_column(evacuation));
        }
    }
    for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
        queue_order(&evacuation->queues[i]);
    }
}

static uint32_t up(uint32_t amount, uint32_t unit)
{
    return (uint32_t)(((uint64_t)amount + unit - 1) / unit);
}

static void open_run(struct evacuation *evacuation, const struct wish *wish)
{
    struct pass *pass = &evacuation->pass;
    const struct grid *grid = &evacuation->grid;

    pass->run_open = true;
    pass->wish = wish;
    pass->selected = wish->selector_blob == 0
                         ? NULL
                         : fleet_selected(evacuation->fleet, evacuation->state,
                                          wish->selector_blob);
    pass->need_row = up(wish->need.cpu_milli, grid->cpu_unit);
    pass->need_column = up(wish->need.memory_mib, grid->memory_unit);
    pass->shift = pass->need_row * grid->stride + pass->need_column;
    pass->aside_count = 0;
    pass->shunned = 0;
    pass->shun_tally = NONE;
    make_queues(evacuation);
}

/* --- Hosts in cells ------------------------------------------------------- */

/* Puts a host into its cell, and the cell into the queue if it is new there. */
static void put(struct evacuation *evacuation, uint32_t host, uint32_t cell)
{
    uint32_t part_number = evacuation->part_of[host];
    struct part *part = &evacuation->parts[part_number];
    uint32_t stride = evacuation->grid.stride;
    uint64_t bit = UINT64_C(1) << cell % 64;
    struct cell_entry entry;

    if ((part->filled[cell / 64] & bit) != 0) {
        evacuation->rooms[host].next = part->heads[cell];
        part->heads[cell] = host;
        return;
    }
    part->filled[cell / 64] |= bit;
    part->heads[cell] = host;
    evacuation->rooms[host].next = NONE;
    if (cell / stride >= first_row(evacuation) &&
        cell % stride >= first_column(evacuation)) {
        entry = (struct cell_entry){
            key_of(evacuation, cell / stride, cell % stride), cell,
            part_number};
        queue_push(&evacuation->queues[part->zone], &entry);
    }
}

/* Takes the first host out of a cell. */
static void drop(struct evacuation *evacuation, struct part *part,
                 uint32_t cell)
{
    uint32_t next = evacuation->rooms[part->heads[cell]].next;

    part->heads[cell] = next;
    if (next == NONE) {
        part->filled[cell / 64] &= ~(UINT64_C(1) << cell % 64);
    } else {
        __builtin_prefetch(&evacuation->rooms[next]);
    }
}

static uint32_t cell_of(const struct evacuation *evacuation, uint32_t host)
{
    return evacuation_cell(&evacuation->grid, evacuation->rooms[host].cpu_milli,
                           evacuation->rooms[host].memory_mib);
}

static void end_shunning(struct evacuation *evacuation)
{
    struct pass *pass = &evacuation->pass;

    while (pass->shunned > 0) {
        uint32_t host = evacuation->aside[--pass->aside_count];

        pass->shunned--;
        put(evacuation, host, cell_of(evacuation, host));
    }
    pass->shun_tally = NONE;
}

static void close_run(struct evacuation *evacuation)
{
    struct pass *pass = &evacuation->pass;

    end_shunning(evacuation);
    while (pass->aside_count > 0) {
        evacuation_link(evacuation, evacuation->aside[--pass->aside_count]);
    }
    pass->run_open = false;
}

/* --- One VM --------------------------------------------------------------- */

enum host_answer { HOST_TAKES, HOST_NOT_THIS_RUN, HOST_NOT_THIS_VM };

/* What only its record says: where it must run, or not run. */
static bool special_refuses(const struct evacuation *evacuation,
                            const struct item *item, uint32_t host, bool strict)
{
    const struct vm *vm = state_vm_at(evacuation->state, item->vm);

    if (vm->home_host_plus1 != 0 && vm->home_host_plus1 - 1 != host) {
        return true;
    }
    if (vm->moving && vm->move_zone == SLOT_NONE && vm->last_host == host) {
        return true;
    }
    /* Not where it just failed, if it can be helped. */
    return strict && vm->not_before_ms != 0 && vm->last_host == host;
}

/* What an attempt for one VM goes by. */
struct attempt {
    const struct item *item;
    bool strict;    /* Wishes count like rules. */
    bool preferred; /* Out: wishes refused a host. */
};

static enum host_answer ask(const struct evacuation *evacuation,
                            struct attempt *attempt, uint32_t host)
{
    const struct pass *pass = &evacuation->pass;
    const struct item *item = attempt->item;

    if (!evacuation_host_fits(evacuation, pass->wish, host) ||
        (pass->selected != NULL &&
         (pass->selected[host / 64] >> host % 64 & 1) == 0)) {
        return HOST_NOT_THIS_RUN;
    }
    if (item->special &&
        special_refuses(evacuation, item, host, attempt->strict)) {
        attempt->preferred = true;
        return HOST_NOT_THIS_VM;
    }
    if (item->tally != NONE) {
        enum group_answer answer =
            evacuation_group_host(evacuation, item->tally, host);

        if (answer == GROUP_REFUSES) {
            return HOST_NOT_THIS_VM;
        }
        if (answer == GROUP_PREFERS_OTHERS && attempt->strict) {
            attempt->preferred = true;
            return HOST_NOT_THIS_VM;
        }
    }
    return HOST_TAKES;
}

/* The best host of a zone, first in the cell at the top of its queue; NONE.
 * Hosts that refuse are put aside. */
static uint32_t best_in_zone(struct evacuation *evacuation,
                             struct attempt *attempt, uint32_t zone)
{
    struct pass *pass = &evacuation->pass;
    struct cell_queue *queue = &evacuation->queues[zone];

    while (queue->count > 0) {
        const struct cell_entry *top = &queue->entries[0];
        struct part *part = &evacuation->parts[top->part];
        uint32_t cell = top->cell;
        uint32_t host = part->heads[cell];
        enum host_answer answer;

        if ((part->filled[cell / 64] >> cell % 64 & 1) == 0) {
            queue_pop(queue);
            continue;
        }
        answer = ask(evacuation, attempt, host);
        if (answer == HOST_TAKES) {
            pass->found_cell = cell;
            return host;
        }
        drop(evacuation, part, cell);
        if (answer == HOST_NOT_THIS_VM) {
            pass->shunned++;
            evacuation->aside[pass->aside_count++] = host;
        } else {
            /* Those of this VM stay at the end. */
            evacuation->aside[pass->aside_count] =
                evacuation->aside[pass->aside_count - pass->shunned];
            evacuation->aside[pass->aside_count - pass->shunned] = host;
            pass->aside_count++;
        }
    }
    return NONE;
}

static uint64_t load_of(const struct zone_room *zone)
{
    uint64_t cpu = zone->cpu_used * zone->cpu_weight;
    uint64_t memory = zone->memory_used * zone->memory_weight;

    return cpu > memory ? cpu : memory;
}

/* Of `zones`: where the group has fewest, where the VM was, least loaded. */
static uint32_t next_zone(const struct evacuation *evacuation,
                          const struct item *item, uint64_t zones)
{
    uint32_t best = NONE;
    uint64_t best_load = 0;
    uint32_t best_rank = 0;

    while (zones != 0) {
        uint32_t zone = (uint32_t)__builtin_ctzll(zones);
        uint64_t load = load_of(&evacuation->zones[zone]);
        uint32_t rank = 0;

        zones &= zones - 1;
        if (item->tally != NONE) {
            rank = evacuation_group_zone_rank(evacuation, item->tally, zone);
        }
        load = zone == item->prefer ? 0 : load + 1;
        if (best == NONE || rank < best_rank ||
            (rank == best_rank && load < best_load)) {
            best = zone;
            best_load = load;
            best_rank = rank;
        }
    }
    return best;
}

/* Takes the host, which is first in its cell, for a VM of the run. */
static void take_first(struct evacuation *evacuation, uint32_t host)
{
    struct pass *pass = &evacuation->pass;
    struct part *part = &evacuation->parts[evacuation->part_of[host]];
    uint32_t cell = pass->found_cell;

    CHECK(part->heads[cell] == host);
    drop(evacuation, part, cell);
    evacuation_take(evacuation, pass->wish, host);
    if (evacuation->rooms[host].starts >= pass->options.start_cap) {
        return; /* No more in this pass. */
    }
    put(evacuation, host,
        evacuation->grid.exact ? cell - pass->shift
                               : cell_of(evacuation, host));
}

static void settle(struct evacuation *evacuation, uint32_t item_number,
                   uint32_t host)
{
    const struct item *item = &evacuation->items[item_number];

    take_first(evacuation, host);
    if (item->tally != NONE) {
        evacuation_group_count(evacuation, item->tally, host, 1);
    }
}

/* The best host in any of the zones; NONE. */
static uint32_t find_host(struct evacuation *evacuation,
                          struct attempt *attempt, uint64_t zones)
{
    while (zones != 0) {
        uint32_t zone = next_zone(evacuation, attempt->item, zones);
        uint32_t host = best_in_zone(evacuation, attempt, zone);

        if (host != NONE) {
            return host;
        }
        zones &= ~(UINT64_C(1) << zone);
    }
    return NONE;
}

/* Wishes that all hosts refuse are lowered: a member more in a domain. */
static uint32_t find_with_wishes(struct evacuation *evacuation,
                                 const struct item *item, uint64_t zones)
{
    struct attempt attempt = {.item = item, .strict = true};
    uint32_t host = find_host(evacuation, &attempt, zones);

    for (uint32_t tries = 0; host == NONE && attempt.preferred && tries < 3;
         tries++) {
        end_shunning(evacuation);
        if (item->tally != NONE && tries < 2) {
            struct tally *tally = &evacuation->tallies[item->tally];

            for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
                tally->level[i] += 1;
            }
        }
        attempt = (struct attempt){.item = item, .strict = tries < 2};
        host = find_host(evacuation, &attempt, zones);
    }
    return host;
}

/* Its local disks are on one host, or nowhere any more. */
static uint32_t find_home(struct evacuation *evacuation,
                          const struct item *item, uint64_t zones)
{
    const struct vm *vm = state_vm_at(evacuation->state, item->vm);
    uint32_t host = vm->home_host_plus1 - 1;
    struct attempt attempt = {.item = item};

    end_shunning(evacuation);
    if (evacuation->part_of[host] == PARTS_MAX ||
        (zones >> evacuation_zone_of(evacuation, host) & 1) == 0 ||
        !evacuation_part_allowed(
            evacuation, evacuation->pass.wish,
            &evacuation->parts[evacuation->part_of[host]]) ||
        evacuation->rooms[host].starts >= evacuation->pass.options.start_cap ||
        ask(evacuation, &attempt, host) != HOST_TAKES) {
        return NONE;
    }
    /* To the front of its cell. */
    evacuation_unlink(evacuation, host);
    evacuation_link(evacuation, host);
    evacuation->pass.found_cell = cell_of(evacuation, host);
    return host;
}

static uint32_t find_special(struct evacuation *evacuation,
                             const struct item *item, uint64_t zones)
{
    const struct vm *vm = state_vm_at(evacuation->state, item->vm);

    return vm->home_host_plus1 != 0 ? find_home(evacuation, item, zones)
                                    : find_with_wishes(evacuation, item, zones);
}

static void place(struct evacuation *evacuation, uint32_t item_number)
{
    struct pass *pass = &evacuation->pass;
    const struct item *item = &evacuation->items[item_number];
    struct attempt attempt = {.item = item};
    uint64_t zones = pass->zones;
    uint32_t host;

    /* What one shunned is for the next one, if it is not of the same group. */
    if (pass->shunned > 0 && (item->special || item->tally == NONE ||
                              item->tally != pass->shun_tally)) {
        end_shunning(evacuation);
    }
    pass->shun_tally = item->special ? NONE : item->tally;
    if (item->tally != NONE) {
        zones &= evacuation_group_zones(evacuation, item->tally, pass->wish);
    }
    if (item->special) {
        host = find_special(evacuation, item, zones);
    } else if (item->tally != NONE) {
        host = find_with_wishes(evacuation, item, zones);
    } else {
        host = find_host(evacuation, &attempt, zones);
    }
    evacuation->placed[item_number] = host;
    if (host != NONE) {
        settle(evacuation, item_number, host);
    } else if (pass->zones != 0) {
        evacuation->missing[pass->level] += pass->wish->need.cpu_milli;
        evacuation->missing_count++;
    }
}

/* --- Reservations --------------------------------------------------------- */

/* How many of a class the plan has placed in a zone so far. */
static uint32_t count_placed(const struct evacuation *evacuation,
                             const struct reservation *reservation)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < evacuation->item_count; i++) {
        const struct wish *wish =
            &evacuation->wishes[evacuation->items[i].wish];

        if (wish->right != WISH_ORDINARY &&
            wish->class_slot == reservation->class_slot &&
            evacuation->placed[i] != NONE &&
            evacuation_zone_of(evacuation, evacuation->placed[i]) ==
                reservation->zone) {
            count++;
        }
    }
    return count;
}

/* Takes out what is reserved, before those come that may not use it. */
static void hold(struct evacuation *evacuation,
                 const struct reservation *reservation)
{
    const struct class *class =
        state_class_at(evacuation->state, reservation->class_slot);
    struct wish wish = {
        .class_zone_mask = UINT64_C(1) << reservation->zone,
        .need = class->resources,
        .named = class->named,
        .zone = reservation->zone,
        .extra = evacuation->extras != NULL,
    };
    uint32_t used = count_placed(evacuation, reservation);
    struct item item = {.tally = NONE};
    struct attempt attempt = {.item = &item};

    open_run(evacuation, &wish);
    for (; used < reservation->count; used++) {
        uint32_t host = best_in_zone(evacuation, &attempt, reservation->zone);

        if (host == NONE) {
            break;
        }
        take_first(evacuation, host);
    }
    close_run(evacuation);
}

static void hold_all(struct evacuation *evacuation)
{
    uint32_t slots = state_reservation_slots(evacuation->state);

    for (uint32_t i = 0; i < slots; i++) {
        const struct reservation *reservation =
            state_reservation_at(evacuation->state, i);

        if (reservation != NULL) {
            hold(evacuation, reservation);
        }
    }
}

/* --- The pass ------------------------------------------------------------- */

void evacuation_pass_begin(struct evacuation *evacuation,
                           const struct pass_options *options)
{
    struct pass *pass = &evacuation->pass;

    evacuation_reset_rooms(evacuation);
    evacuation_tally_reset(evacuation);
    evacuation_score(evacuation, options->score);
    evacuation_order_runs(evacuation, options->order);
    memset(evacuation->missing, 0,
           evacuation->level_count * sizeof(*evacuation->missing));
    evacuation->missing_count = 0;
    memset(evacuation->placed, 0xff,
           evacuation->item_count * sizeof(*evacuation->placed));
    *pass = (struct pass){.options = *options};
    if (options->shake != 0) {
        evacuation_shake_skips(evacuation, options->shake);
    } else {
        evacuation_set_skips(evacuation, options->skip, options->skip_level);
    }
}

/* Which of the run's VMs are placed now: those that are skipped come late. */
static void set_range(struct evacuation *evacuation, uint32_t run)
{
    struct pass *pass = &evacuation->pass;
    uint32_t skipped = evacuation->run_skip[run];

    pass->item = pass->late ? 0 : skipped;
    pass->end = pass->late ? skipped : evacuation->runs[run].count;
}

static void begin_run(struct evacuation *evacuation, uint32_t number)
{
    struct pass *pass = &evacuation->pass;
    const struct run *run = &evacuation->runs[number];
    const struct wish *wish = &evacuation->wishes[run->wish];

    if (wish->right == WISH_ORDINARY && !pass->held) {
        pass->held = true;
        hold_all(evacuation);
    }
    open_run(evacuation, wish);
    pass->level = run->level;
    set_range(evacuation, number);
}

bool evacuation_pass_work(struct evacuation *evacuation, uint32_t *budget)
{
    struct pass *pass = &evacuation->pass;
    uint32_t cost = run_cost(evacuation);

    while (pass->run < evacuation->run_count) {
        uint32_t number = evacuation->run_order[pass->run];
        uint32_t first = evacuation->runs[number].first;

        if (*budget == 0) {
            return false;
        }
        if (!pass->run_open) {
            begin_run(evacuation, number);
            *budget -= *budget < cost ? *budget : cost;
        }
        for (; pass->item<pass->end && * budget> 0; pass->item++) {
            place(evacuation, first + pass->item);
            --*budget;
        }
        if (pass->item < pass->end) {
            return false;
        }
        close_run(evacuation);
        pass->run++;
        if (pass->run == evacuation->run_count && !pass->late &&
            pass->options.skip + pass->options.shake > 0) {
            pass->late = true;
            pass->run = 0;
        }
    }
    return true;
}
