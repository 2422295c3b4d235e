/* SPDX-License-Identifier: Apache-2.0
 *
 * The slots of reservations: each is on a host, chosen by the index as a VM
 * would be, and stays there until the host closes or the reservation shrinks.
 * VMs that may use reserved room take it from the slots of the host that come
 * last. What finds no room is missing, and looked for again when a host of the
 * zone gets some. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

/* To find a host takes as long as to put so many into an index. */
#define FIND_COST 16

void reserve_close(struct reserve *reserve)
{
    free(reserve->slots);
    free(reserve->entries);
    free(reserve->host_first1);
    free(reserve->rooms);
    *reserve = (struct reserve){0};
}

static struct reserved_slots *slots_at(const struct reserve *reserve,
                                       uint32_t index1)
{
    return &reserve->slots[index1 - 1];
}

static uint32_t slots_take(struct reserve *reserve)
{
    uint32_t index1 = reserve->slots_free1;

    if (index1 != 0) {
        reserve->slots_free1 = slots_at(reserve, index1)->own_next1;
        return index1;
    }
    if (reserve->slots_used == reserve->slots_size) {
        reserve->slots_size = reserve->slots_size * 2 + 64;
        reserve->slots = memory_realloc_array(
            reserve->slots, reserve->slots_size, sizeof(*reserve->slots));
    }
    return ++reserve->slots_used;
}

/* Takes the slots out of both lists. */
static void slots_drop(struct reserve *reserve, uint32_t index1)
{
    struct reserved_slots *slots = slots_at(reserve, index1);
    struct placer_reservation *entry = &reserve->entries[slots->reservation];
    uint32_t *link = &reserve->host_first1[slots->host];

    while (*link != index1) {
        link = &slots_at(reserve, *link)->host_next1;
    }
    *link = slots->host_next1;
    link = &entry->first1;
    while (*link != index1) {
        link = &slots_at(reserve, *link)->own_next1;
    }
    *link = slots->own_next1;
    entry->found -= slots->count;
    entry->used -= slots->used;
    slots->own_next1 = reserve->slots_free1;
    reserve->slots_free1 = index1;
}

static void grow_hosts(struct reserve *reserve, uint32_t hosts)
{
    uint32_t former = reserve->host_count;

    if (hosts <= former) {
        return;
    }
    reserve->host_count = hosts + hosts / 4 + 64;
    reserve->host_first1 =
        memory_realloc_array(reserve->host_first1, reserve->host_count,
                             sizeof(*reserve->host_first1));
    reserve->rooms = memory_realloc_array(reserve->rooms, reserve->host_count,
                                          sizeof(*reserve->rooms));
    memset(reserve->host_first1 + former, 0,
           (reserve->host_count - former) * sizeof(*reserve->host_first1));
    memset(reserve->rooms + former, 0,
           (reserve->host_count - former) * sizeof(*reserve->rooms));
}

static bool fits(const struct placer_room *room,
                 const struct placer_reservation *entry)
{
    return room_covers(room, &entry->room.resources, &entry->room.named);
}

/* Which slots of the host have room, first come first served. */
static void recount_host(struct placer *placer, uint32_t host)
{
    struct reserve *reserve = &placer->reserve;
    struct placer_room left;
    struct placer_room room = {0};

    placer_free(placer, host, true, true, &left);
    for (uint32_t at = reserve->host_first1[host]; at != 0;
         at = slots_at(reserve, at)->host_next1) {
        struct reserved_slots *slots = slots_at(reserve, at);
        struct placer_reservation *entry =
            &reserve->entries[slots->reservation];
        uint32_t whole = 0;

        while (whole < slots->count && fits(&left, entry)) {
            room_take(&left, &entry->room);
            room_add(&room, &entry->room.resources, &entry->room.named);
            whole++;
        }
        entry->used -= slots->used;
        slots->used = slots->count - whole;
        entry->used += slots->used;
    }
    reserve->rooms[host] = room;
}

/* One more slot on a host that has room for it. */
static void slot_add(struct placer *placer, uint32_t reservation, uint32_t host)
{
    struct reserve *reserve = &placer->reserve;
    struct placer_reservation *entry = &reserve->entries[reservation];
    uint32_t *link;

    grow_hosts(reserve, host + 1);
    link = &reserve->host_first1[host];
    while (*link != 0 && slots_at(reserve, *link)->reservation != reservation) {
        link = &slots_at(reserve, *link)->host_next1;
    }
    if (*link == 0) {
        uint32_t index1 = slots_take(reserve);
        uint32_t last1 = 0;

        /* The array may have moved, and the link with it. */
        for (uint32_t at = reserve->host_first1[host]; at != 0;
             at = slots_at(reserve, at)->host_next1) {
            last1 = at;
        }
        *slots_at(reserve, index1) = (struct reserved_slots){
            .reservation = reservation,
            .host = host,
            .own_next1 = entry->first1,
        };
        entry->first1 = index1;
        if (last1 == 0) {
            reserve->host_first1[host] = index1;
        } else {
            slots_at(reserve, last1)->host_next1 = index1;
        }
        slots_at(reserve, index1)->count = 1;
    } else {
        slots_at(reserve, *link)->count++;
    }
    entry->found++;
    recount_host(placer, host);
    index_update(placer, host);
}

static bool kind_may_do(const struct placer_kind *kind,
                        const struct placer_reservation *entry)
{
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        if (entry->room.named.of[i] > 0 && (kind->named_mask >> i & 1) == 0) {
            return false;
        }
    }
    return kind->gpu || entry->room.resources.gpu_count == 0;
}

/* The best host for one more slot, as for an ordinary VM. */
static uint32_t find_host(struct placer *placer, const struct state *state,
                          const struct placer_reservation *entry)
{
    struct ranks *ranks = index_view(placer, state, VIEW_ORDINARY);
    struct ranks_want want =
        ranks_want(placer->index.table, entry->room.resources.cpu_milli,
                   entry->room.resources.memory_mib);
    struct placement_candidate best = {.host = SLOT_NONE};

    for (uint32_t kind = 0; kind < placer->index.kind_count; kind++) {
        struct placement_candidate candidate = {.zone = entry->zone};
        struct ranks_walk walk;
        struct placer_room room;

        if (!kind_may_do(&placer->index.kinds[kind], entry)) {
            continue;
        }
        ranks_walk_begin(&walk, ranks,
                         entry->zone * placer->index.zone_stride + kind, &want);
        do {
            candidate.host = ranks_walk_next(&walk);
            if (candidate.host == RANKS_NONE) {
                break;
            }
            placer_free(placer, candidate.host, false, false, &room);
        } while (!fits(&room, entry));
        if (candidate.host == RANKS_NONE) {
            continue;
        }
        ranks_walk_order(&walk, &candidate.order);
        if (best.host == SLOT_NONE || compare_in_zone(&candidate, &best) < 0) {
            best = candidate;
        }
    }
    return best.host;
}

/* False: the budget was used up before all was found that can be. */
static bool find_all(struct placer *placer, const struct state *state,
                     uint32_t *budget)
{
    struct reserve *reserve = &placer->reserve;

    memset(reserve->zone_missing, 0, sizeof(reserve->zone_missing));
    for (uint32_t i = 0; i < reserve->entry_count; i++) {
        struct placer_reservation *entry = &reserve->entries[i];

        while (entry->uid != 0 && entry->found < entry->count) {
            uint32_t host;

            if (*budget == 0) {
                return false;
            }
            *budget -= *budget < FIND_COST ? *budget : FIND_COST;
            host = find_host(placer, state, entry);
            if (host == SLOT_NONE) {
                reserve->zone_missing[entry->zone] +=
                    entry->count - entry->found;
                break;
            }
            slot_add(placer, i, host);
        }
    }
    return true;
}

bool reserve_work(struct placer *placer, const struct state *state,
                  uint32_t *budget)
{
    struct reserve *reserve = &placer->reserve;

    if (reserve->todo) {
        reserve->todo = false;
        reserve->todo = !find_all(placer, state, budget);
    }
    return !reserve->todo;
}

void reserve_find(struct placer *placer, const struct state *state)
{
    uint32_t budget = UINT32_MAX;

    if (placer->reserve.todo) {
        (void)reserve_work(placer, state, &budget);
    }
}

static void forget_entry(struct placer *placer, uint32_t slot)
{
    struct reserve *reserve = &placer->reserve;
    struct placer_reservation *entry = &reserve->entries[slot];

    while (entry->first1 != 0) {
        uint32_t host = slots_at(reserve, entry->first1)->host;

        slots_drop(reserve, entry->first1);
        recount_host(placer, host);
        index_update(placer, host);
    }
    reserve->active -= entry->uid != 0;
    *entry = (struct placer_reservation){0};
    reserve->todo = true; /* Others may miss the room. */
}

/* Fewer slots: those found last go first. */
static void shrink_entry(struct placer *placer, uint32_t slot, uint32_t count)
{
    struct reserve *reserve = &placer->reserve;
    struct placer_reservation *entry = &reserve->entries[slot];

    while (entry->found > count) {
        struct reserved_slots *slots = slots_at(reserve, entry->first1);
        uint32_t host = slots->host;

        if (slots->count > entry->found - count) {
            slots->count -= entry->found - count;
            entry->found = count;
        } else {
            slots_drop(reserve, entry->first1);
        }
        recount_host(placer, host);
        index_update(placer, host);
    }
}

void reserve_changed(struct placer *placer, const struct state *state,
                     uint32_t slot)
{
    struct reserve *reserve = &placer->reserve;
    const struct reservation *record = slot < state_reservation_slots(state)
                                           ? state_reservation_at(state, slot)
                                           : NULL;
    struct placer_reservation *entry;
    const struct class *class;
    struct placer_room room;

    if (slot >= reserve->entry_count) {
        uint32_t former = reserve->entry_count;

        if (record == NULL) {
            return;
        }
        reserve->entry_count = slot + slot / 2 + 16;
        reserve->entries = memory_realloc_array(
            reserve->entries, reserve->entry_count, sizeof(*reserve->entries));
        memset(reserve->entries + former, 0,
               (reserve->entry_count - former) * sizeof(*reserve->entries));
    }
    entry = &reserve->entries[slot];
    if (record == NULL) {
        forget_entry(placer, slot);
        return;
    }
    class = state_class_at(state, record->class_slot);
    room = (struct placer_room){class->resources, class->named};
    if (entry->uid != record->uid || entry->zone != record->zone ||
        memcmp(&entry->room, &room, sizeof(room)) != 0) {
        forget_entry(placer, slot);
        *entry = (struct placer_reservation){
            .uid = record->uid, .room = room, .zone = record->zone};
        reserve->active++;
    }
    entry->count = record->count;
    shrink_entry(placer, slot, record->count);
    reserve->todo = true;
}

void reserve_classes_changed(struct placer *placer, const struct state *state)
{
    for (uint32_t i = 0; i < placer->reserve.entry_count; i++) {
        if (placer->reserve.entries[i].uid != 0) {
            reserve_changed(placer, state, i);
        }
    }
}

void reserve_reset(struct placer *placer, const struct state *state)
{
    reserve_close(&placer->reserve);
    for (uint32_t i = 0; i < state_reservation_slots(state); i++) {
        reserve_changed(placer, state, i);
    }
}

/* The host has more room: for slots of its zone that are missing? */
static void offer_room(struct placer *placer, uint32_t host)
{
    struct reserve *reserve = &placer->reserve;
    uint32_t zone = fleet_hosts(placer->fleet)[host].zone;
    struct placer_room room;

    for (uint32_t i = 0;
         i < reserve->entry_count && reserve->zone_missing[zone] > 0; i++) {
        struct placer_reservation *entry = &reserve->entries[i];

        while (entry->uid != 0 && entry->zone == zone &&
               entry->found < entry->count) {
            placer_free(placer, host, false, false, &room);
            if (!fits(&room, entry)) {
                break;
            }
            slot_add(placer, i, host);
            reserve->zone_missing[zone]--;
        }
    }
}

/* All slots of a host are for its zone. */
static uint32_t zone_of_slots(const struct reserve *reserve, uint32_t host)
{
    uint32_t first1 = reserve->host_first1[host];

    return reserve->entries[slots_at(reserve, first1)->reservation].zone;
}

void reserve_host_changed(struct placer *placer, uint32_t host)
{
    struct reserve *reserve = &placer->reserve;
    const struct fleet_host *at;
    bool open;

    if (reserve->active == 0) {
        return;
    }
    at = &fleet_hosts(placer->fleet)[host];
    open = at->zone != SLOT_NONE && fleet_host_is_open(at);
    grow_hosts(reserve, host + 1);
    while (reserve->host_first1[host] != 0 &&
           (!open || zone_of_slots(reserve, host) != at->zone)) {
        slots_drop(reserve, reserve->host_first1[host]);
        reserve->todo = true;
    }
    recount_host(placer, host);
    if (open && !reserve->todo) {
        offer_room(placer, host);
    }
}

void reserve_of_host(const struct placer *placer, uint32_t host,
                     struct placer_room *room)
{
    const struct reserve *reserve = &placer->reserve;

    *room = (struct placer_room){0};
    if (host >= reserve->host_count) {
        return;
    }
    for (uint32_t at = reserve->host_first1[host]; at != 0;
         at = slots_at(reserve, at)->host_next1) {
        const struct reserved_slots *slots = slots_at(reserve, at);
        const struct placer_room *one =
            &reserve->entries[slots->reservation].room;

        for (uint32_t i = 0; i < slots->count; i++) {
            room_add(room, &one->resources, &one->named);
        }
    }
}

void placer_reserved(const struct placer *placer, const struct state *state,
                     uint32_t reservation_slot, struct placement_reserved *out)
{
    const struct reserve *reserve = &placer->reserve;
    const struct placer_reservation *entry;

    *out = (struct placement_reserved){0};
    (void)state;
    if (reservation_slot >= reserve->entry_count) {
        return;
    }
    entry = &reserve->entries[reservation_slot];
    out->free_count = entry->found - entry->used;
    out->used_count = entry->used;
    out->missing_count = entry->count - entry->found;
}
