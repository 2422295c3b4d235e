/* SPDX-License-Identifier: Apache-2.0
 *
 * The book follows the state: what each change of a host, VM, group, zone or
 * class means for the slots. */
#include "placement/headroom_book.h"
#include "placement/internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static uint64_t zone_bit(uint32_t zone)
{
    return UINT64_C(1) << zone;
}

static struct witness_item *item_at(struct headroom *headroom, uint32_t item)
{
    return &headroom->witness.items[item];
}

/* --- Life ----------------------------------------------------------------- */

/* The placer leaves free what slots hold. */
static void held_changed(struct witness *witness, uint32_t host)
{
    struct headroom *headroom = container_of(witness, struct headroom, witness);
    struct placer_room room = {.resources = witness->hosts[host].held};

    if (headroom->mode != HEADROOM_ENFORCE) {
        return;
    }
    if (witness->named_sums != NULL) {
        witness_held_named(witness, host, &room.named);
    }
    placer_hold(headroom->placer, host, &room);
}

struct headroom *headroom_create(struct placer *placer)
{
    struct headroom *headroom = memory_alloc(sizeof(*headroom));

    headroom->placer = placer;
    headroom->fleet = placer->fleet;
    headroom->mode = HEADROOM_OFF;
    headroom->host_sweep_at = SLOT_NONE;
    headroom->sweep_at = SLOT_NONE;
    witness_init(&headroom->witness, 0);
    map_init(&headroom->kinds);
    return headroom;
}

static void clear(struct headroom *headroom)
{
    headroom_rules_close(headroom);
    headroom_replan_close(headroom);
    headroom_what_if_close(headroom);
    witness_close(&headroom->witness);
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        free(headroom->zones[i].missing);
    }
    free(headroom->dirty.slots);
    free(headroom->dirty.marked);
    memset(headroom->zones, 0, sizeof(headroom->zones));
    memset(&headroom->dirty, 0, sizeof(headroom->dirty));
    memset(&headroom->hint, 0, sizeof(headroom->hint));
    memset(&headroom->phantom, 0, sizeof(headroom->phantom));
    headroom->host_sweep_at = SLOT_NONE;
    headroom->sweep_at = SLOT_NONE;
    headroom->scan_at = 0;
}

void headroom_destroy(struct headroom *headroom)
{
    if (headroom != NULL) {
        clear(headroom);
        free(headroom);
    }
}

static void judge_zones(struct headroom *headroom)
{
    headroom->target_mask = 0;
    headroom->failing_mask = 0;
    for (uint32_t i = 0; i < state_zone_slots(headroom->state); i++) {
        const struct zone *zone = state_zone_at(headroom->state, i);

        if (zone == NULL || zone->draining) {
            continue;
        }
        if (zone->state == ZONE_UP && !zone->cordoned) {
            headroom->target_mask |= zone_bit(i);
        }
        if (zone->state != ZONE_LOST) {
            headroom->failing_mask |= zone_bit(i);
        }
    }
}

void headroom_reset(struct headroom *headroom, const struct state *state)
{
    clear(headroom);
    headroom->state = state;
    headroom->mode = (enum headroom_mode)state_policy(state)->headroom;
    headroom->phase =
        headroom->mode == HEADROOM_OFF ? HEADROOM_IDLE : HEADROOM_LOAD_HOSTS;
    witness_init(&headroom->witness, state_zone_slots(state));
    headroom->witness.held_changed = held_changed;
    judge_zones(headroom);
}

bool headroom_mode_changed(const struct headroom *headroom,
                           const struct state *state)
{
    return headroom->mode != (enum headroom_mode)state_policy(state)->headroom;
}

/* --- Items ---------------------------------------------------------------- */

static void count_missing(struct headroom *headroom,
                          const struct witness_item *item, uint32_t one)
{
    struct headroom_zone_book *zone = &headroom->zones[item->zone];
    uint32_t size = headroom->witness.size_count;

    if (item->size >= zone->missing_size) {
        zone->missing =
            memory_realloc_array(zone->missing, size, sizeof(*zone->missing));
        memset(&zone->missing[zone->missing_size], 0,
               (size - zone->missing_size) * sizeof(*zone->missing));
        zone->missing_size = size;
    }
    zone->missing[item->size] += one;
}

void headroom_queue(struct headroom *headroom, uint32_t item,
                    enum witness_status status)
{
    count_missing(headroom, item_at(headroom, item), 1);
    witness_list_add(&headroom->witness, item, status);
}

void headroom_drop(struct headroom *headroom, uint32_t item)
{
    struct witness_item *at = item_at(headroom, item);
    struct headroom_zone_book *zone = &headroom->zones[at->zone];

    switch (at->status) {
    case ITEM_NONE:
        break;
    case ITEM_KEPT:
        zone->kept--;
        witness_take(&headroom->witness, item);
        break;
    case ITEM_BACKED:
        witness_take(&headroom->witness, item);
        break;
    case ITEM_TODO:
    case ITEM_STUCK:
        count_missing(headroom, at, UINT32_MAX);
        witness_list_remove(&headroom->witness, item);
        break;
    case ITEM_JOB:
        zone->in_job--;
        break;
    default:
        zone->unprotected--;
    }
    at->status = ITEM_NONE;
}

void headroom_settle(struct headroom *headroom, uint32_t item)
{
    struct witness_item *at = item_at(headroom, item);
    const struct vm *vm = state_vm_at(headroom->state, item);
    struct witness_want want = {
        .size = &headroom->witness.sizes[at->size],
        .failing = at->zone,
        .exclude = SLOT_NONE,
        .memory_first = headroom->memory_first != headroom->job.turned,
    };
    enum unprotected_reason reason;
    uint32_t host;

    CHECK(at->status == ITEM_NONE);
    reason = headroom_reason(headroom, vm, at->zone, &want.zone_mask);
    if (reason != PROTECTED) {
        at->status = (uint8_t)(ITEM_UNPROTECTED + reason);
        headroom->zones[at->zone].unprotected++;
        return;
    }
    host = headroom_search(headroom, vm, &want);
    if (host == SLOT_NONE) {
        headroom_queue(headroom, item, ITEM_STUCK);
    } else {
        witness_put(&headroom->witness, item, host);
    }
}

/* --- Groups --------------------------------------------------------------- */

static void mark_group(struct headroom *headroom, uint32_t group)
{
    struct headroom_dirty *dirty = &headroom->dirty;

    if (group >= dirty->marked_size) {
        uint32_t size = group + group / 4 + 64;

        dirty->marked = memory_realloc_array(dirty->marked, size, 1);
        memset(dirty->marked + dirty->marked_size, 0,
               size - dirty->marked_size);
        dirty->marked_size = size;
    }
    if (dirty->marked[group]) {
        return;
    }
    dirty->marked[group] = 1;
    if (dirty->count == dirty->capacity) {
        dirty->capacity = 2 * dirty->capacity + 16;
        dirty->slots = memory_realloc_array(dirty->slots, dirty->capacity,
                                            sizeof(*dirty->slots));
    }
    dirty->slots[dirty->count++] = group;
}

/* Whether a slot is still right after rules have changed. */
void headroom_verify(struct headroom *headroom, uint32_t item)
{
    struct witness_item *at = item_at(headroom, item);
    const struct vm *vm = state_vm_at(headroom->state, item);
    uint64_t mask = 0;
    enum unprotected_reason reason;

    if (at->status == ITEM_NONE || at->status == ITEM_KEPT ||
        at->status == ITEM_JOB || at->status == ITEM_TODO) {
        return;
    }
    reason = headroom_reason(headroom, vm, at->zone, &mask);
    if (at->status >= ITEM_UNPROTECTED) {
        if (at->status == (uint8_t)(ITEM_UNPROTECTED + reason)) {
            return;
        }
    } else if (reason == PROTECTED &&
               (at->host == SLOT_NONE ||
                (mask >> headroom->witness.hosts[at->host].zone & 1) != 0)) {
        return;
    }
    headroom_drop(headroom, item);
    headroom_queue(headroom, item, ITEM_TODO);
}

static void recheck_zone(struct headroom *headroom, const struct group *group,
                         uint32_t failing)
{
    struct headroom_group_view view;
    uint32_t next = group->vm_first_plus1;

    headroom_view(headroom, group, failing, &view);
    while (next != 0) {
        uint32_t item = next - 1;
        struct witness_item *at = item_at(headroom, item);

        next = state_vm_at(headroom->state, item)->group_next_plus1;
        if (at->status == ITEM_BACKED && at->zone == failing &&
            headroom_view_breaks(headroom, &view, at->host)) {
            headroom_view_drop(headroom, &view, at->host);
            headroom_drop(headroom, item);
            headroom_queue(headroom, item, ITEM_TODO);
        }
    }
}

void headroom_recheck_group(struct headroom *headroom, uint32_t slot)
{
    const struct state *state = headroom->state;
    const struct group *group =
        slot < state_group_slots(state) ? state_group_at(state, slot) : NULL;

    if (group == NULL) {
        return;
    }
    /* Members that were made since the book was loaded have items. */
    witness_reserve(&headroom->witness, 0, state_vm_slots(state));
    for (uint32_t next = group->vm_first_plus1; next != 0;) {
        headroom_verify(headroom, next - 1);
        next = state_vm_at(state, next - 1)->group_next_plus1;
    }
    if (headroom_strict_group(state, slot + 1) == NULL) {
        return;
    }
    for (uint32_t zone = 0; zone < headroom->witness.zone_count; zone++) {
        if (group->zone_counts[zone] > 0) {
            recheck_zone(headroom, group, zone);
        }
    }
}

void headroom_group_changed(struct headroom *headroom,
                            const struct state *state, uint32_t slot)
{
    headroom->state = state;
    if (headroom->phase != HEADROOM_IDLE) {
        mark_group(headroom, slot);
    }
}

/* --- VMs ------------------------------------------------------------------ */

/* The zone whose loss the VM is to be protected from, or SLOT_NONE. */
static uint32_t failing_zone(const struct headroom *headroom,
                             const struct vm *vm)
{
    uint32_t zone;

    if (vm == NULL || vm->host == SLOT_NONE || vm->desired != DESIRED_RUNNING ||
        vm->deleting) {
        return SLOT_NONE;
    }
    zone = fleet_hosts(headroom->fleet)[vm->host].zone;
    return (headroom->failing_mask >> zone & 1) != 0 ? zone : SLOT_NONE;
}

static bool is_known(const struct headroom *headroom,
                     const struct witness_item *item, const struct vm *vm,
                     uint32_t zone)
{
    return item->status != ITEM_NONE && item->zone == zone &&
           item->generation == (uint32_t)(vm->uid >> 32) &&
           item->group_plus1 == vm->group_plus1 &&
           headroom->witness.sizes[item->size].class_slot == vm->class_slot;
}

/* The slot that was found when the VM was admitted. */
static bool take_hint(struct headroom *headroom, uint32_t slot,
                      const struct vm *vm, uint32_t zone)
{
    const struct headroom_hint *hint = &headroom->hint;
    struct witness_item *item = item_at(headroom, slot);
    bool good = hint->vm_uid == vm->uid && hint->zone == zone &&
                headroom->witness.hosts[hint->host].open &&
                witness_fits(&headroom->witness, hint->host, zone,
                             &headroom->witness.sizes[item->size]);

    if (good) {
        witness_put(&headroom->witness, slot, hint->host);
    }
    headroom->hint.vm_uid = 0;
    return good;
}

static void begin_item(struct headroom *headroom, uint32_t slot,
                       const struct vm *vm, uint32_t zone)
{
    struct witness_item *item = item_at(headroom, slot);
    struct witness *witness = &headroom->witness;

    item->zone = (uint8_t)zone;
    item->generation = (uint32_t)(vm->uid >> 32);
    item->group_plus1 = vm->group_plus1;
    item->size =
        witness_size(witness, state_class_at(headroom->state, vm->class_slot));
    witness->sizes[item->size].items++;
    if (!take_hint(headroom, slot, vm, zone)) {
        headroom_queue(headroom, slot, ITEM_TODO);
    }
}

static void end_item(struct headroom *headroom, uint32_t slot)
{
    struct witness_item *item = item_at(headroom, slot);

    if (item->status != ITEM_NONE) {
        headroom_drop(headroom, slot);
        headroom->witness.sizes[item->size].items--;
        if (item->group_plus1 != 0) {
            mark_group(headroom, item->group_plus1 - 1);
        }
    }
}

void headroom_update_vm(struct headroom *headroom, uint32_t slot)
{
    const struct state *state = headroom->state;
    const struct vm *vm =
        slot < state_vm_slots(state) ? state_vm_at(state, slot) : NULL;
    uint32_t zone = failing_zone(headroom, vm);
    struct witness_item *item;

    witness_reserve(&headroom->witness, 0, slot + 1);
    item = item_at(headroom, slot);
    if (vm != NULL && vm->group_plus1 != 0 &&
        headroom_strict_group(state, vm->group_plus1) != NULL) {
        mark_group(headroom, vm->group_plus1 - 1);
    }
    if (zone == SLOT_NONE && vm != NULL && item->host != SLOT_NONE &&
        vm->recovering && vm->state == VM_PENDING &&
        is_known(headroom, item, vm, item->zone)) {
        /* On its way to where its slot is. */
        headroom->zones[item->zone].kept += item->status == ITEM_BACKED;
        item->status = ITEM_KEPT;
        return;
    }
    if (zone != SLOT_NONE && is_known(headroom, item, vm, zone)) {
        if (item->status == ITEM_KEPT) {
            headroom->zones[zone].kept--;
            item->status = ITEM_BACKED;
        }
        return;
    }
    end_item(headroom, slot);
    if (zone != SLOT_NONE) {
        begin_item(headroom, slot, vm, zone);
    }
}

static bool vms_are_loaded(const struct headroom *headroom, uint32_t slot)
{
    return headroom->phase == HEADROOM_READY ||
           (headroom->phase == HEADROOM_LOAD_VMS && slot < headroom->scan_at);
}

void headroom_vm_changed(struct headroom *headroom, const struct state *state,
                         uint32_t slot)
{
    headroom->state = state;
    if (vms_are_loaded(headroom, slot)) {
        headroom_update_vm(headroom, slot);
    }
}

/* --- Hosts ---------------------------------------------------------------- */

/* Slots that the host can no longer hold. A KEPT one's VM is placed like any
 * other. */
static void evict(struct headroom *headroom, uint32_t item)
{
    bool kept = item_at(headroom, item)->status == ITEM_KEPT;

    if (kept) {
        end_item(headroom, item);
        return;
    }
    headroom_drop(headroom, item);
    headroom_queue(headroom, item, ITEM_TODO);
}

static void evict_all(struct headroom *headroom, uint32_t host)
{
    while (headroom->witness.hosts[host].first != SLOT_NONE) {
        evict(headroom, headroom->witness.hosts[host].first);
    }
}

static void evict_excess(struct headroom *headroom, uint32_t host)
{
    struct witness *witness = &headroom->witness;

    for (uint32_t zone = 0; zone < witness->zone_count; zone++) {
        uint32_t item = witness->hosts[host].first;

        while (item != SLOT_NONE &&
               witness_overfull(witness, host, zone, NULL)) {
            uint32_t next = witness->items[item].next;

            if (witness->items[item].zone == zone) {
                evict(headroom, item);
            }
            item = next;
        }
    }
}

void headroom_update_host(struct headroom *headroom, uint32_t slot)
{
    static const struct fleet_host hole = {.zone = SLOT_NONE};
    struct witness *witness = &headroom->witness;
    const struct fleet_host *host = slot < fleet_slots(headroom->fleet)
                                        ? &fleet_hosts(headroom->fleet)[slot]
                                        : &hole;
    struct witness_host_facts facts = {
        .room = host->free,
        .capacity = host->capacity,
        .named_room = &host->named_free,
    };

    if (headroom_traits_changed(headroom, slot)) {
        headroom->sweep_at = 0;
    }
    witness_reserve(witness, slot + 1, 0);
    facts.open = headroom->traits[slot].open;
    facts.zone =
        host->zone == SLOT_NONE ? witness->hosts[slot].zone : host->zone;
    facts.vm_room = host->vm_count >= PLACEMENT_HOST_VMS_MAX
                        ? 0
                        : PLACEMENT_HOST_VMS_MAX - host->vm_count;
    if (!facts.open || facts.zone != witness->hosts[slot].zone) {
        evict_all(headroom, slot);
    }
    witness_host_set(witness, slot, &facts);
    if (facts.open && witness->hosts[slot].first != SLOT_NONE) {
        evict_excess(headroom, slot);
    }
}

void headroom_host_changed(struct headroom *headroom, const struct state *state,
                           uint32_t slot)
{
    headroom->state = state;
    if (headroom->phase >= HEADROOM_LOAD_VMS ||
        (headroom->phase == HEADROOM_LOAD_HOSTS && slot < headroom->scan_at)) {
        headroom_update_host(headroom, slot);
    }
}

/* --- Zones, classes --------------------------------------------------------
 */

void headroom_zone_changed(struct headroom *headroom, const struct state *state,
                           uint32_t slot)
{
    uint64_t targets = headroom->target_mask;
    uint64_t failing = headroom->failing_mask;

    (void)slot;
    headroom->state = state;
    if (headroom->phase == HEADROOM_IDLE) {
        return;
    }
    if (state_zone_slots(state) > headroom->witness.zone_count) {
        headroom_reset(headroom, state);
        return;
    }
    judge_zones(headroom);
    if (targets != headroom->target_mask || failing != headroom->failing_mask) {
        headroom->host_sweep_at = 0;
        headroom->sweep_at = 0;
    }
}

void headroom_class_changed(struct headroom *headroom,
                            const struct state *state, uint32_t slot)
{
    const struct class *class =
        slot < state_class_slots(state) ? state_class_at(state, slot) : NULL;

    headroom->state = state;
    if (class != NULL && class->vm_count > 0 &&
        headroom->phase != HEADROOM_IDLE) {
        headroom->sweep_at = 0;
    }
}
