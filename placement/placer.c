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
    counts_reset(&placer->counts);
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

void placer_rebuild(struct placer *placer, const struct state *state)
{
    placer->version++;
    known_reset(&placer->known, state);
    counts_reset(&placer->counts);
    fleet_load(placer->fleet, state);
    hold_nothing(placer);
    grow_hosts(placer);
    if (placer->host_size > 0) {
        memset(placer->preemptible, 0,
               placer->host_size * sizeof(*placer->preemptible));
    }
    placer->preemptible_known = false;
    index_reset(placer);
    reserve_reset(placer, state);
    reserve_find(placer, state);
    headroom_reset(placer->headroom, state);
}

/* What a host's record says beyond what is free. */
static bool is_registered_anew(const struct fleet_host *former,
                               const struct fleet_host *host)
{
    return former->zone != host->zone || former->domain != host->domain;
}

static void host_changed(struct placer *placer, const struct state *state,
                         uint32_t slot)
{
    struct fleet_host former = {.zone = SLOT_NONE};
    const struct fleet_host *host;

    if (slot < fleet_slots(placer->fleet)) {
        former = fleet_hosts(placer->fleet)[slot];
    }
    fleet_host_changed(placer->fleet, state, slot);
    if (slot >= fleet_slots(placer->fleet)) {
        return;
    }
    grow_hosts(placer);
    host = &fleet_hosts(placer->fleet)[slot];
    if (memcmp(&former, host, sizeof(former)) == 0) {
        return;
    }
    placer->version++;
    if (is_registered_anew(&former, host) && former.vm_count > 0) {
        /* Its members count elsewhere now. */
        counts_reset(&placer->counts);
    }
    index_host_changed(placer, slot, &former);
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
    struct known_vm from = known_get(&placer->known, slot);
    struct known_vm to = known_of(vm);

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
    known_set(&placer->known, slot, to);
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
    reserve_changed(placer, state, slot);
    reserve_find(placer, state);
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
    reserve_classes_changed(placer, state);
    headroom_class_changed(placer->headroom, state, slot);
}
