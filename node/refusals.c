/* SPDX-License-Identifier: Apache-2.0 */
#include "node/refusals.h"

#include "base/hash.h"
#include "base/memory.h"
#include "node/limits.h"

#include <stdlib.h>
#include <string.h>

#define TABLE_SIZE (2 * REFUSALS_KEPT_MAX)

/* Padding is zero: it is compared and hashed as bytes. */
struct kind {
    uint64_t pool_mask;
    uint64_t disk_zone_mask;
    uint32_t class_slot;
    uint32_t zone;
    uint32_t group_plus1;
    uint32_t home_host_plus1;
    uint32_t selector_blob;
    uint8_t driver;
    uint8_t preemptible;
    uint8_t recovering;
    uint8_t padding;
};

struct refusal {
    struct kind kind;
    uint32_t next1;       /* Of the same hash, plus 1. */
    uint32_t group_next1; /* Of the same group, likewise. */
    uint16_t priority;    /* The highest that it is known of. */
    uint8_t reason;       /* PENDING_NONE: forgotten. */
};

static struct kind kind_of(const struct vm *vm)
{
    return (struct kind){
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_slot = vm->class_slot,
        .zone = vm->zone,
        .group_plus1 = vm->group_plus1,
        .home_host_plus1 = vm->home_host_plus1,
        .selector_blob = vm->selector_blob,
        .driver = vm->driver,
        .preemptible = vm->preemptible,
        .recovering = vm->recovering,
    };
}

static uint32_t place_of(const struct kind *kind)
{
    return (uint32_t)(hash_bytes(kind, sizeof(*kind), 0) % TABLE_SIZE);
}

void refusals_init(struct refusals *refusals)
{
    *refusals = (struct refusals){0};
    map_init(&refusals->groups);
}

void refusals_close(struct refusals *refusals)
{
    map_close(&refusals->groups);
    free(refusals->all);
    free(refusals->table);
    refusals_init(refusals);
}

void refusals_clear(struct refusals *refusals)
{
    refusals->brief = false;
    if (refusals->count == 0) {
        return;
    }
    refusals->count = 0;
    memset(refusals->table, 0, TABLE_SIZE * sizeof(*refusals->table));
    map_close(&refusals->groups);
    map_init(&refusals->groups);
}

void refusals_begin_turn(struct refusals *refusals)
{
    if (refusals->brief) {
        refusals_clear(refusals);
    }
}

static struct refusal *find(const struct refusals *refusals,
                            const struct kind *kind)
{
    uint32_t at = refusals->count == 0 ? 0 : refusals->table[place_of(kind)];

    while (at != 0 &&
           memcmp(&refusals->all[at - 1].kind, kind, sizeof(*kind)) != 0) {
        at = refusals->all[at - 1].next1;
    }
    return at == 0 ? NULL : &refusals->all[at - 1];
}

enum pending_reason refusals_find(const struct refusals *refusals,
                                  const struct vm *vm)
{
    struct kind kind = kind_of(vm);
    const struct refusal *refusal;

    if (vm->moving != MOVE_NONE) {
        return PENDING_NONE;
    }
    refusal = find(refusals, &kind);
    return refusal != NULL && refusal->priority >= vm->priority
               ? (enum pending_reason)refusal->reason
               : PENDING_NONE;
}

static struct refusal *add(struct refusals *refusals, const struct kind *kind)
{
    uint32_t place = place_of(kind);
    struct refusal *refusal;

    if (refusals->all == NULL) {
        refusals->all =
            memory_alloc_array(REFUSALS_KEPT_MAX, sizeof(*refusals->all));
        refusals->table =
            memory_alloc_array(TABLE_SIZE, sizeof(*refusals->table));
    }
    refusal = &refusals->all[refusals->count++];
    *refusal = (struct refusal){.kind = *kind, .next1 = refusals->table[place]};
    refusals->table[place] = refusals->count;
    if (kind->group_plus1 != 0) {
        refusal->group_next1 =
            (uint32_t)(uintptr_t)map_get(&refusals->groups, kind->group_plus1);
        map_put(&refusals->groups, kind->group_plus1,
                (void *)(uintptr_t)refusals->count);
    }
    return refusal;
}

void refusals_note(struct refusals *refusals, const struct vm *vm,
                   enum pending_reason reason)
{
    struct kind kind = kind_of(vm);
    struct refusal *refusal;

    if (vm->moving != MOVE_NONE || reason == PENDING_PREEMPTING) {
        return;
    }
    refusal = find(refusals, &kind);
    if (refusal == NULL && refusals->count == REFUSALS_KEPT_MAX) {
        return;
    }
    if (refusal == NULL) {
        refusal = add(refusals, &kind);
    }
    if (refusal->reason == PENDING_NONE || refusal->priority < vm->priority) {
        refusal->priority = vm->priority;
    }
    refusal->reason = (uint8_t)reason;
    refusals->brief |= reason == PENDING_QUEUED || reason == PENDING_HEADROOM;
}

bool refusals_forget_group(struct refusals *refusals, uint32_t group_plus1)
{
    uint32_t at =
        group_plus1 == 0
            ? 0
            : (uint32_t)(uintptr_t)map_get(&refusals->groups, group_plus1);
    bool forgot = false;

    for (; at != 0; at = refusals->all[at - 1].group_next1) {
        forgot |= refusals->all[at - 1].reason != PENDING_NONE;
        refusals->all[at - 1].reason = PENDING_NONE;
    }
    return forgot;
}
