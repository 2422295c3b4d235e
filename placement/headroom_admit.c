/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether one VM more may come. First a slot is looked for; then a few other
 * VMs' slots are moved to make one (each has another place, so that costs
 * nothing but time); then the zone is planned from scratch. What all of that
 * costs is bounded: so many hosts, so many slots a host, and a plan only when
 * enough has changed since the last, at once for HEADROOM_REPLAN_AT_ONCE VMs,
 * in slices by headroom_run() for more. */
#include "base/check.h"
#include "placement/headroom_book.h"

#include <string.h>

/* Hosts that are tried for making room in a zone, and slots that are moved off
 * one of them. */
#define CLEAR_HOSTS_MAX 16
#define CLEAR_SLOTS_MAX 64

static uint64_t zone_bit(uint32_t zone)
{
    return UINT64_C(1) << zone;
}

/* Another host for an item's slot. */
static bool move_slot(struct headroom *headroom, uint32_t item)
{
    struct witness *witness = &headroom->witness;
    struct witness_item *at = &witness->items[item];
    const struct vm *vm = state_vm_at(headroom->state, item);
    uint32_t from = at->host;
    struct witness_want want = {
        .size = &witness->sizes[at->size],
        .failing = at->zone,
        .exclude = from,
        .memory_first = headroom->memory_first,
    };
    struct witness_zone before;
    uint32_t to;

    if (vm == NULL || at->status != ITEM_BACKED ||
        headroom_reason(headroom, vm, at->zone, &want.zone_mask) != PROTECTED) {
        return false;
    }
    /* Taken first: its own slot must not count against its group. A move is
     * no relief. */
    before = witness->zones[at->zone];
    witness_take(witness, item);
    to = headroom_search(headroom, vm, &want);
    witness_put(witness, item, to == SLOT_NONE ? from : to);
    witness->zones[at->zone].relief = before.relief;
    witness->zones[at->zone].changes = before.changes;
    return to != SLOT_NONE;
}

/* Moves slots of one failing zone off the host, until `done` says so. */
static bool clear_host(struct headroom *headroom, uint32_t host,
                       uint32_t failing, const struct witness_size *size,
                       bool (*done)(const struct witness *, uint32_t, uint32_t,
                                    const struct witness_size *))
{
    struct witness *witness = &headroom->witness;
    uint32_t item = witness->hosts[host].first;
    uint32_t tried = 0;

    while (item != SLOT_NONE && tried < CLEAR_SLOTS_MAX &&
           !done(witness, host, failing, size)) {
        uint32_t next = witness->items[item].next;

        if (witness->items[item].zone == failing) {
            tried++;
            move_slot(headroom, item);
        }
        item = next;
    }
    return done(witness, host, failing, size);
}

static bool has_room_beside(const struct witness *witness, uint32_t host,
                            uint32_t failing, const struct witness_size *size)
{
    return !witness_overfull(witness, host, failing, size);
}

static bool would_fit_empty(const struct witness *witness, uint32_t host,
                            const struct witness_size *size)
{
    const struct resources *room = &witness->hosts[host].room;

    return size->resources.cpu_milli <= room->cpu_milli &&
           size->resources.memory_mib <= room->memory_mib &&
           size->resources.disk_gib <= room->disk_gib &&
           size->resources.gpu_count <= room->gpu_count;
}

/* Hosts of a list of a grid's that the slot fits once they are cleared. */
struct clearable {
    uint32_t hosts[CLEAR_HOSTS_MAX];
    uint32_t count;
};

static void gather(const struct witness *witness,
                   const struct witness_want *want, uint32_t host,
                   struct clearable *found)
{
    while (host != SLOT_NONE && found->count < CLEAR_HOSTS_MAX) {
        if (would_fit_empty(witness, host, want->size)) {
            found->hosts[found->count++] = host;
        }
        host =
            witness->slots[(size_t)host * witness->zone_count + want->failing]
                .next;
    }
}

/* Hosts of a grid, those with most free first, each given to clear_host(). */
static bool clear_zone(struct headroom *headroom, uint32_t zone,
                       const struct witness_want *want)
{
    struct witness *witness = &headroom->witness;
    uint32_t pair = want->failing * witness->zone_count + zone;
    const struct witness_grid *grid = witness->grids[pair];
    struct clearable found = {.count = 0};

    if (grid == NULL) {
        return false;
    }
    /* Gathered first: clearing moves hosts between cells. */
    for (uint64_t rows = grid->row_mask;
         rows != 0 && found.count < CLEAR_HOSTS_MAX;) {
        uint32_t row = 63 - (uint32_t)__builtin_clzll(rows);
        uint64_t cells = grid->rows[row];

        rows &= ~zone_bit(row);
        while (cells != 0) {
            uint32_t column = 63 - (uint32_t)__builtin_clzll(cells);

            cells &= ~zone_bit(column);
            gather(witness, want, grid->heads[row * WITNESS_STEPS + column],
                   &found);
        }
    }
    for (uint32_t i = 0; i < found.count; i++) {
        if (clear_host(headroom, found.hosts[i], want->failing, want->size,
                       witness_fits)) {
            return true;
        }
    }
    return false;
}

/* A host for the slot, if need be after others' slots were moved. */
static uint32_t search_hard(struct headroom *headroom, const struct vm *vm,
                            const struct witness_want *want)
{
    uint32_t host = headroom_search(headroom, vm, want);

    for (uint64_t rest = want->zone_mask; host == SLOT_NONE && rest != 0;
         rest &= rest - 1) {
        uint32_t zone = (uint32_t)__builtin_ctzll(rest);

        if (zone != want->failing && clear_zone(headroom, zone, want)) {
            host = headroom_search(headroom, vm, want);
        }
    }
    return host;
}

static uint32_t stuck_count(const struct headroom *headroom)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < headroom->witness.zone_count; i++) {
        count += headroom->witness.zones[i].stuck.count;
    }
    return count;
}

/* The zone and class of which most is stuck, for a refusal. */
static void say_missing(const struct headroom *headroom, uint32_t zone,
                        uint32_t class_slot, uint32_t size,
                        struct placement_headroom *missing)
{
    const struct headroom_zone_book *book = &headroom->zones[zone];

    *missing = (struct placement_headroom){zone, class_slot, 1};
    if (size < book->missing_size) {
        missing->count += book->missing[size];
    }
}

/* Members of the group find other slots where this one, on its host, takes the
 * place of theirs. False: some do not. */
static bool group_admits(struct headroom *headroom, uint32_t group,
                         uint32_t *zone)
{
    struct witness *witness = &headroom->witness;
    uint32_t before[ZONES_MAX] = {0};
    uint32_t budget = UINT32_MAX;

    for (uint32_t i = 0; i < witness->zone_count; i++) {
        before[i] = witness->zones[i].stuck.count;
    }
    headroom_recheck_group(headroom, group);
    headroom_settle_all(headroom, &budget);
    for (uint32_t i = 0; i < witness->zone_count; i++) {
        if (witness->zones[i].stuck.count > before[i]) {
            *zone = i;
            return false;
        }
    }
    return true;
}

static enum headroom_answer plan_anew(struct headroom *headroom, uint32_t zone,
                                      uint32_t size)
{
    uint32_t budget = UINT32_MAX;

    if (!headroom_replan_is_due(headroom, zone, size)) {
        return HEADROOM_NO;
    }
    headroom_replan_begin(headroom, zone, false);
    if (headroom->witness.zones[zone].backed > HEADROOM_REPLAN_AT_ONCE) {
        return HEADROOM_ASK_AGAIN;
    }
    headroom_replan_step(headroom, &budget);
    return HEADROOM_YES;
}

static enum headroom_answer find_slot(struct headroom *headroom,
                                      const struct vm *vm, uint32_t zone,
                                      uint64_t zone_mask,
                                      struct placement_headroom *missing)
{
    uint16_t size = witness_size(
        &headroom->witness, state_class_at(headroom->state, vm->class_slot));
    struct witness_want want = {
        .size = &headroom->witness.sizes[size],
        .failing = zone,
        .zone_mask = zone_mask,
        .exclude = SLOT_NONE,
        .memory_first = headroom->memory_first,
    };
    uint32_t host = search_hard(headroom, vm, &want);

    if (host == SLOT_NONE) {
        enum headroom_answer planned = plan_anew(headroom, zone, size);

        if (planned == HEADROOM_ASK_AGAIN) {
            return planned;
        }
        if (planned == HEADROOM_YES) {
            host = search_hard(headroom, vm, &want);
        }
    }
    if (host == SLOT_NONE) {
        say_missing(headroom, zone, vm->class_slot, size, missing);
        return HEADROOM_NO;
    }
    headroom->hint = (struct headroom_hint){vm->uid, zone, host};
    return HEADROOM_YES;
}

/* Nothing is under way that could change the answer. */
static bool is_settled(struct headroom *headroom)
{
    uint32_t budget = HEADROOM_SETTLE_MAX;

    return headroom->phase == HEADROOM_READY && !headroom->job.active &&
           headroom->host_sweep_at == SLOT_NONE &&
           headroom->sweep_at == SLOT_NONE &&
           headroom_settle_all(headroom, &budget);
}

static enum headroom_answer admits(struct headroom *headroom,
                                   const struct vm *vm, uint32_t host,
                                   struct placement_headroom *missing)
{
    uint32_t zone = fleet_hosts(headroom->fleet)[host].zone;
    uint64_t mask = 0;

    if (headroom_strict_group(headroom->state, vm->group_plus1) != NULL) {
        headroom->phantom = (struct headroom_phantom){vm->group_plus1, host};
        if (!group_admits(headroom, vm->group_plus1 - 1, &zone)) {
            *missing = (struct placement_headroom){zone, vm->class_slot, 1};
            return HEADROOM_NO;
        }
    }
    if ((headroom->failing_mask >> zone & 1) == 0 ||
        headroom_reason(headroom, vm, zone, &mask) != PROTECTED) {
        return HEADROOM_YES;
    }
    return find_slot(headroom, vm, zone, mask, missing);
}

enum headroom_answer headroom_admits(struct headroom *headroom,
                                     const struct state *state,
                                     const struct vm *vm, uint32_t host,
                                     struct placement_headroom *missing)
{
    enum headroom_answer answer;

    headroom->state = state;
    headroom->hint.vm_uid = 0;
    if (headroom->mode != HEADROOM_ENFORCE) {
        return HEADROOM_YES;
    }
    if (!is_settled(headroom)) {
        return HEADROOM_ASK_AGAIN;
    }
    answer = admits(headroom, vm, host, missing);
    if (headroom->phantom.group_plus1 != 0) {
        uint32_t group = headroom->phantom.group_plus1 - 1;
        uint32_t budget = UINT32_MAX;

        headroom->phantom.group_plus1 = 0;
        if (answer != HEADROOM_YES && stuck_count(headroom) > 0) {
            /* What the phantom left without a slot gets one again. */
            for (uint32_t i = 0; i < headroom->witness.zone_count; i++) {
                witness_unstick(&headroom->witness, i);
            }
            headroom_recheck_group(headroom, group);
            headroom_settle_all(headroom, &budget);
        }
    }
    return answer;
}

bool headroom_makes_way(struct headroom *headroom, const struct state *state,
                        const struct vm *vm, uint32_t host)
{
    struct witness *witness = &headroom->witness;
    const struct class *class = state_class_at(state, vm->class_slot);
    const struct witness_size *size;
    uint32_t slot;

    headroom->state = state;
    if (headroom->mode != HEADROOM_ENFORCE || !is_settled(headroom)) {
        return false;
    }
    /* The table of sizes may move when this is a new one. */
    slot = witness_size(witness, class);
    size = &witness->sizes[slot];
    if (!would_fit_empty(witness, host, size)) {
        return false;
    }
    for (uint32_t zone = 0; zone < witness->zone_count; zone++) {
        if (!clear_host(headroom, host, zone, size, has_room_beside)) {
            return false;
        }
    }
    return true;
}

void headroom_in_the_way(struct headroom *headroom, const struct state *state,
                         const struct vm *vm, uint32_t host,
                         struct placement_headroom *missing)
{
    struct witness *witness = &headroom->witness;
    /* The table of sizes may move when this is a new one. */
    uint32_t slot =
        witness_size(witness, state_class_at(state, vm->class_slot));
    const struct witness_size *size;

    size = &witness->sizes[slot];
    *missing = (struct placement_headroom){SLOT_NONE, vm->class_slot, 1};
    for (uint32_t zone = 0; zone < witness->zone_count; zone++) {
        if (witness_overfull(witness, host, zone, size)) {
            missing->zone = zone;
            return;
        }
    }
}
