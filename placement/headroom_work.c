/* SPDX-License-Identifier: Apache-2.0
 *
 * What is still to be worked out in the book, in slices: its first load, looks
 * at everything after rules have changed, items without a slot. */
#include "placement/headroom_book.h"

/* While so many are stuck, those are tried again at each relief; with more,
 * once for a sixteenth of their number. */
#define STUCK_FEW 4096

static struct witness_item *item_at(struct headroom *headroom, uint32_t item)
{
    return &headroom->witness.items[item];
}

/* Which of CPU and memory runs out first in the fleet. */
static void weigh(struct headroom *headroom)
{
    const struct witness *witness = &headroom->witness;
    struct resource_sum room = {0, 0, 0};
    struct resource_sum capacity = {0, 0, 0};

    for (uint32_t zone = 0; zone < witness->zone_count; zone++) {
        room.cpu_milli += witness->room[zone].cpu_milli;
        room.memory_mib += witness->room[zone].memory_mib;
        capacity.cpu_milli += witness->capacity[zone].cpu_milli;
        capacity.memory_mib += witness->capacity[zone].memory_mib;
    }
    headroom->memory_first =
        (unsigned __int128)room.memory_mib * capacity.cpu_milli <
        (unsigned __int128)room.cpu_milli * capacity.memory_mib;
}

static bool load(struct headroom *headroom, uint32_t *budget)
{
    if (headroom->phase == HEADROOM_LOAD_HOSTS) {
        witness_expect(&headroom->witness, fleet_slots(headroom->fleet), 0);
        while (*budget > 0 &&
               headroom->scan_at < fleet_slots(headroom->fleet)) {
            headroom_update_host(headroom, headroom->scan_at++);
            (*budget)--;
        }
        if (headroom->scan_at < fleet_slots(headroom->fleet)) {
            return false;
        }
        witness_expect(&headroom->witness, 0, state_vm_slots(headroom->state));
        headroom->phase = HEADROOM_LOAD_VMS;
        headroom->scan_at = 0;
        headroom->sweep_at = SLOT_NONE;
        weigh(headroom);
    }
    while (headroom->phase == HEADROOM_LOAD_VMS) {
        if (headroom->scan_at >= state_vm_slots(headroom->state)) {
            headroom->phase = HEADROOM_READY;
            break;
        }
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        headroom_update_vm(headroom, headroom->scan_at++);
        /* At once: nobody waits for the book yet. */
        headroom_settle_all(headroom, budget);
    }
    return true;
}

static bool sweep(struct headroom *headroom, uint32_t *budget)
{
    uint32_t hosts = fleet_slots(headroom->fleet);
    uint32_t vms = state_vm_slots(headroom->state);

    while (headroom->host_sweep_at != SLOT_NONE) {
        if (headroom->host_sweep_at >= hosts) {
            headroom->host_sweep_at = SLOT_NONE;
            weigh(headroom);
            break;
        }
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        headroom_update_host(headroom, headroom->host_sweep_at++);
    }
    while (headroom->sweep_at != SLOT_NONE) {
        if (headroom->sweep_at >= vms) {
            headroom->sweep_at = SLOT_NONE;
            break;
        }
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        headroom_update_vm(headroom, headroom->sweep_at);
        headroom_verify(headroom, headroom->sweep_at++);
    }
    return true;
}

static void settle_first(struct headroom *headroom, uint32_t zone)
{
    uint32_t item = headroom->witness.zones[zone].todo.first;

    headroom_drop(headroom, item);
    headroom_settle(headroom, item);
}

bool headroom_settle_all(struct headroom *headroom, uint32_t *budget)
{
    struct headroom_dirty *dirty = &headroom->dirty;

    while (headroom->phase == HEADROOM_READY && dirty->count > 0) {
        uint32_t group = dirty->slots[--dirty->count];

        dirty->marked[group] = 0;
        headroom_recheck_group(headroom, group);
        *budget -= *budget > 0;
        if (*budget == 0) {
            return false;
        }
    }
    for (uint32_t zone = 0; zone < headroom->witness.zone_count; zone++) {
        while (headroom->witness.zones[zone].todo.count > 0) {
            if (*budget == 0) {
                return false;
            }
            (*budget)--;
            settle_first(headroom, zone);
        }
    }
    return true;
}

/* What is stuck becomes TODO when there has been relief for it; a plan from
 * scratch is begun when that did not help. False: there is more to do now. */
static bool care_for_stuck(struct headroom *headroom)
{
    bool idle = true;

    for (uint32_t i = 0; i < headroom->witness.zone_count; i++) {
        struct witness_zone *zone = &headroom->witness.zones[i];
        struct headroom_zone_book *book = &headroom->zones[i];
        uint64_t relief = zone->relief - book->tried_relief;
        uint32_t count = zone->stuck.count;

        if (count == 0 || relief == 0) {
            continue;
        }
        if (count <= STUCK_FEW || relief >= count / 16) {
            book->tried_relief = zone->relief;
            witness_unstick(&headroom->witness, i);
            idle = false;
        }
    }
    for (uint32_t i = 0; idle && i < headroom->witness.zone_count; i++) {
        uint32_t first = headroom->witness.zones[i].stuck.first;

        if (first != SLOT_NONE &&
            headroom_replan_is_due(headroom, i,
                                   item_at(headroom, first)->size)) {
            headroom_replan_begin(headroom, i, true);
            idle = false;
        }
    }
    return idle;
}

bool headroom_run(struct headroom *headroom, const struct state *state,
                  uint32_t budget)
{
    headroom->state = state;
    if (headroom->phase == HEADROOM_IDLE) {
        return true;
    }
    do {
        if (!load(headroom, &budget) || !sweep(headroom, &budget)) {
            return false;
        }
        if (headroom->job.active && !headroom_replan_step(headroom, &budget)) {
            return false;
        }
        if (!headroom_settle_all(headroom, &budget)) {
            return false;
        }
    } while (!care_for_stuck(headroom) && budget > 0);
    return budget > 0;
}
