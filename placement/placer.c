/* SPDX-License-Identifier: Apache-2.0
 *
 * What the placer keeps between choices, and how it follows the state. It
 * compares what it knows with the records, so it may be told anything twice. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/headroom_book.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

/* VMs' entries taken at each change, after a new leader's beginning. */
#define KNOWN_BUDGET 64

struct placer *placer_create(void)
{
    struct placer *placer = memory_alloc(sizeof(*placer));

    placer->step = PLACER_STEP_READY; /* For a state without hosts. */
    placer->fleet = fleet_create();
    placer->headroom = headroom_create(placer);
    return placer;
}

void placer_destroy(struct placer *placer)
{
    if (placer == NULL) {
        return;
    }
    index_forget(&placer->index);
    ranks_table_destroy(placer->index.table);
    reserve_close(&placer->reserve);
    counts_close(&placer->counts);
    known_close(&placer->known);
    headroom_destroy(placer->headroom);
    fleet_destroy(placer->fleet);
    free(placer->index.kind_of);
    free(placer->held);
    free(placer->preemptible);
    free(placer);
}

void placer_share(struct placer *placer, const struct placer *other)
{
    index_share(&placer->index, &other->index);
}

uint64_t placer_looks(const struct placer *placer)
{
    return placer->looks + fleet_looks(placer->fleet);
}

struct headroom *placer_headroom(const struct placer *placer)
{
    return placer->headroom;
}

static uint32_t rest(uint32_t all, uint32_t part)
{
    return all > part ? all - part : 0;
}

void room_take(struct placer_room *room, const struct placer_room *part)
{
    struct resources *left = &room->resources;
    const struct resources *taken = &part->resources;

    left->cpu_milli = rest(left->cpu_milli, taken->cpu_milli);
    left->memory_mib = rest(left->memory_mib, taken->memory_mib);
    left->disk_gib = rest(left->disk_gib, taken->disk_gib);
    left->gpu_count = rest(left->gpu_count, taken->gpu_count);
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        room->named.of[i] = rest(room->named.of[i], part->named.of[i]);
    }
}

static uint32_t sum(uint32_t a, uint32_t b)
{
    return a > UINT32_MAX - b ? UINT32_MAX : a + b;
}

void room_add(struct placer_room *room, const struct resources *part,
              const struct amounts *named)
{
    struct resources *all = &room->resources;

    all->cpu_milli = sum(all->cpu_milli, part->cpu_milli);
    all->memory_mib = sum(all->memory_mib, part->memory_mib);
    all->disk_gib = sum(all->disk_gib, part->disk_gib);
    all->gpu_count = sum(all->gpu_count, part->gpu_count);
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        room->named.of[i] = sum(room->named.of[i], named->of[i]);
    }
}

void placer_free(const struct placer *placer, uint32_t host, bool reserved,
                 bool held, struct placer_room *room)
{
    const struct fleet_host *at = &fleet_hosts(placer->fleet)[host];

    *room = (struct placer_room){at->free, at->named_free};
    if (!reserved && host < placer->reserve.host_count) {
        room_take(room, &placer->reserve.rooms[host]);
    }
    if (!held && host < placer->held_size) {
        room_take(room, &placer->held[host]);
    }
}

void placer_hold(struct placer *placer, uint32_t host,
                 const struct placer_room *room)
{
    CHECK(host < fleet_slots(placer->fleet));
    if (host >= placer->held_size) {
        uint32_t former = placer->held_size;

        placer->held_size = fleet_slots(placer->fleet) * 5 / 4 + 64;
        placer->held = memory_realloc_array(placer->held, placer->held_size,
                                            sizeof(*placer->held));
        memset(placer->held + former, 0,
               (placer->held_size - former) * sizeof(*placer->held));
    }
    if (memcmp(&placer->held[host], room, sizeof(*room)) != 0) {
        placer->held[host] = *room;
        placer->version++;
        index_update(placer, host);
    }
}

static void hold_nothing(struct placer *placer)
{
    free(placer->held);
    placer->held = NULL;
    placer->held_size = 0;
}

static void grow_hosts(struct placer *placer)
{
    uint32_t former = placer->host_size;
    uint32_t slots = fleet_slots(placer->fleet);

    if (slots <= former) {
        return;
    }
    placer->host_size = slots + slots / 4 + 64;
    placer->preemptible = memory_realloc_array(
        placer->preemptible, placer->host_size, sizeof(*placer->preemptible));
    memset(placer->preemptible + former, 0,
           (placer->host_size - former) * sizeof(*placer->preemptible));
}

void placer_rebuild_begin(struct placer *placer, const struct state *state)
{
    placer->version++;
    placer->step = PLACER_STEP_HOSTS;
    placer->step_at = 0;
    placer->has_policy = state_policy(state)->uid != 0;
    known_reset(&placer->known, state);
    counts_load(placer, state);
    fleet_begin(placer->fleet, state);
    hold_nothing(placer);
    free(placer->preemptible);
    placer->preemptible = NULL;
    placer->host_size = 0;
    placer->preemptible_total = 0;
    placer->preemptible_known = false;
    index_begin(placer);
    reserve_close(&placer->reserve);
    headroom_reset(placer->headroom, state);
}

static bool work_on_hosts(struct placer *placer, const struct state *state,
                          uint32_t *budget)
{
    struct fleet_host former;

    for (; placer->step_at < state_host_slots(state); placer->step_at++) {
        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        if (fleet_host_changed(placer->fleet, state, placer->step_at,
                               &former) == FLEET_TRAITS) {
            index_host_changed(placer, placer->step_at, &former);
        }
    }
    grow_hosts(placer);
    return true;
}

bool placer_work(struct placer *placer, const struct state *state,
                 uint32_t budget)
{
    if (placer->step == PLACER_STEP_HOSTS) {
        if (!work_on_hosts(placer, state, &budget)) {
            return false;
        }
        placer->step = PLACER_STEP_INDEX;
    }
    if (!index_is_ready(&placer->index) &&
        !index_work(placer, state, &budget)) {
        return false;
    }
    if (placer->step == PLACER_STEP_INDEX) {
        reserve_reset(placer, state);
        placer->step = PLACER_STEP_RESERVED;
    }
    if (placer->step == PLACER_STEP_RESERVED &&
        reserve_work(placer, state, &budget)) {
        placer->step = PLACER_STEP_READY;
    }
    return placer->step == PLACER_STEP_READY;
}

bool placer_is_ready(const struct placer *placer)
{
    return placer->step == PLACER_STEP_READY && index_is_ready(&placer->index);
}

void placer_rebuild(struct placer *placer, const struct state *state)
{
    placer_rebuild_begin(placer, state);
    while (!placer_work(placer, state, UINT32_MAX)) {
    }
}

void placer_settings_changed(struct placer *placer, const struct state *state)
{
    const struct policy *policy = state_policy(state);

    if (placer->has_policy != (policy->uid != 0)) {
        /* Moves hold room from the first policy on. */
        placer_rebuild(placer, state);
        return;
    }
    placer->version++;
    if (!headroom_mode_changed(placer->headroom, state)) {
        return;
    }
    headroom_reset(placer->headroom, state);
    if (placer->held_size > 0) {
        hold_nothing(placer);
        index_forget(&placer->index);
    }
}

/* What a host's record says beyond what is free. */
static void registered_anew(struct placer *placer, uint32_t slot,
                            const struct fleet_host *former)
{
    const struct fleet_host *host = &fleet_hosts(placer->fleet)[slot];

    grow_hosts(placer);
    if ((former->zone != host->zone || former->domain != host->domain) &&
        former->vm_count > 0) {
        /* Its members count elsewhere now. */
        counts_reset(&placer->counts);
    }
    index_host_changed(placer, slot, former);
}

static void host_changed(struct placer *placer, const struct state *state,
                         uint32_t slot)
{
    struct fleet_host former;
    enum fleet_change change;

    if (placer->step == PLACER_STEP_HOSTS && slot >= placer->step_at) {
        return; /* Its turn is to come. */
    }
    change = fleet_host_changed(placer->fleet, state, slot, &former);
    if (change == FLEET_SAME) {
        return;
    }
    placer->version++;
    if (change == FLEET_TRAITS) {
        registered_anew(placer, slot, &former);
    }
    reserve_host_changed(placer, slot);
    index_update(placer, slot);
    headroom_host_changed(placer->headroom, state, slot);
}

void placer_host_changed(struct placer *placer, const struct state *state,
                         uint32_t slot)
{
    host_changed(placer, state, slot);
}

static void count_preemptible(struct placer *placer, const struct known_vm *vm,
                              bool more)
{
    uint32_t host = vm->host_plus1 - 1;

    if (vm->host_plus1 == 0 || !vm->preemptible) {
        return;
    }
    CHECK(host < placer->host_size);
    CHECK(more || placer->preemptible[host] > 0);
    placer->preemptible[host] += more ? 1 : UINT32_MAX;
    placer->preemptible_total += more ? 1 : UINT32_MAX;
}

/* Counted from the first time that somebody asks. */
void placer_know_preemptible(struct placer *placer, const struct state *state)
{
    if (placer->preemptible_known) {
        return;
    }
    known_work(&placer->known, UINT32_MAX);
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        struct known_vm vm = known_get(&placer->known, slot);

        count_preemptible(placer, &vm, true);
    }
    placer->preemptible_known = true;
}

void placer_vm_changed(struct placer *placer, const struct state *state,
                       uint32_t slot)
{
    const struct vm *vm =
        slot < state_vm_slots(state) ? state_vm_at(state, slot) : NULL;
    struct known_vm to = known_of(state, vm);
    struct known_vm from = known_exchange(&placer->known, slot, to);

    known_work(&placer->known, KNOWN_BUDGET);
    /* Before the hosts: a VM that takes its slot must have given it back when
     * the host is seen to be fuller, or the slots of others would have to go.
     */
    headroom_vm_changed(placer->headroom, state, slot);
    if (from.host_plus1 != 0 && from.host_plus1 != to.host_plus1) {
        host_changed(placer, state, from.host_plus1 - 1);
    }
    if (from.claim_plus1 != 0 && from.claim_plus1 != to.claim_plus1) {
        host_changed(placer, state, from.claim_plus1 - 1);
    }
    if (to.host_plus1 != 0) {
        host_changed(placer, state, to.host_plus1 - 1);
    }
    if (to.claim_plus1 != 0) {
        host_changed(placer, state, to.claim_plus1 - 1);
    }
    if (memcmp(&from, &to, sizeof(from)) == 0) {
        return;
    }
    if (from.group_plus1 != 0 || to.group_plus1 != 0) {
        placer->version++;
    }
    counts_change(placer, &from, &to);
    if (placer->preemptible_known) {
        count_preemptible(placer, &from, false);
        count_preemptible(placer, &to, true);
    }
}

/* Its rules are read from the record at each choice. */
void placer_group_changed(struct placer *placer, const struct state *state,
                          uint32_t slot)
{
    placer->version++;
    headroom_group_changed(placer->headroom, state, slot);
}

void placer_reservation_changed(struct placer *placer,
                                const struct state *state, uint32_t slot)
{
    placer->version++;
    if (placer->step >= PLACER_STEP_RESERVED) {
        reserve_changed(placer, state, slot);
    }
    if (placer->step == PLACER_STEP_READY) {
        reserve_find(placer, state);
    }
}

void placer_zone_changed(struct placer *placer, const struct state *state,
                         uint32_t slot)
{
    placer->version++;
    index_zones_changed(placer, state);
    headroom_zone_changed(placer->headroom, state, slot);
}

void placer_class_changed(struct placer *placer, const struct state *state,
                          uint32_t slot)
{
    placer->version++;
    index_class_changed(placer, state, slot);
    reserve_classes_changed(placer,
                            state); /* None before PLACER_STEP_RESERVED. */
    headroom_class_changed(placer->headroom, state, slot);
}
