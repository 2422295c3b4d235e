/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's members by fault domain and host, and how many domains of a zone
 * have how many. A group that no rule asks for is not counted at all. And what
 * claims do to its members by zone.
 *
 * Rule 6. A member that moves has two places until it has arrived: it runs in
 * one, or did, and holds room in the other. Nobody may take either from it:
 * the first is not left yet, and without the second it would find no place
 * once it has stopped. So
 * - what may stand once in a zone (APART), or so often in a domain or on a
 * host, counts in both: at no instant are there more, whichever move is next;
 * - what is compared between zones (SPREAD, TOGETHER) counts where the member
 *   will be, for a rule that held now and not then would be broken by moves
 *   that are decided, and one that had to hold both times would let nobody in
 *   while a group moves, a member whose host is lost neither. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

enum count_kind {
    COUNT_DOMAIN,
    COUNT_HOST,
    COUNT_DOMAINS_WITH,
    COUNT_CLAIMING, /* Of any zone. */
    COUNT_CLAIMED,
    COUNT_COMING
};

/* Group: 16 bits; kind: 4; zone: 6; domain, host or number of members: 36. */
static uint64_t key_of(uint32_t group_slot, enum count_kind kind, uint32_t zone,
                       uint32_t number)
{
    return (uint64_t)group_slot << 48 | (uint64_t)kind << 44 |
           (uint64_t)zone << 36 | number;
}

static uint32_t get(const struct counts *counts, uint64_t key)
{
    return (uint32_t)(uintptr_t)map_get(&counts->map, key);
}

static uint32_t add(struct counts *counts, uint64_t key, int sign)
{
    uint32_t count = get(counts, key);

    CHECK(sign > 0 || count > 0);
    count = sign > 0 ? count + 1 : count - 1;
    if (count == 0) {
        map_remove(&counts->map, key);
    } else {
        map_put(&counts->map, key, (void *)(uintptr_t)count);
    }
    return count;
}

void counts_reset(struct counts *counts)
{
    map_close(&counts->map);
    free(counts->opened);
    *counts = (struct counts){.claims = counts->claims};
}

void counts_close(struct counts *counts)
{
    counts_reset(counts);
    map_close(&counts->claims);
}

/* --- Claims, by zone ------------------------------------------------------ */

static int32_t get_signed(const struct counts *counts, uint64_t key)
{
    return (int32_t)(intptr_t)map_get(&counts->claims, key);
}

static void add_signed(struct counts *counts, uint64_t key, int sign)
{
    intptr_t count = get_signed(counts, key) + sign;

    if (count == 0) {
        map_remove(&counts->claims, key);
    } else {
        map_put(&counts->claims, key, (void *)count);
    }
}

static void count_claim(struct counts *counts, const struct known_vm *vm,
                        int sign)
{
    uint32_t slot = vm->group_plus1 - 1;
    uint32_t zone = (uint32_t)vm->claim_zone_plus1 - 1;

    if (vm->group_plus1 == 0 || vm->claim_plus1 == 0) {
        return;
    }
    add_signed(counts, key_of(slot, COUNT_CLAIMING, 0, 0), sign);
    add_signed(counts, key_of(slot, COUNT_CLAIMED, zone, 0), sign);
    if (vm->host_plus1 == 0) {
        add_signed(counts, key_of(slot, COUNT_COMING, zone, 0), sign);
    } else if (vm->leaves_zone_plus1 != 0) {
        uint32_t left = (uint32_t)vm->leaves_zone_plus1 - 1;

        add_signed(counts, key_of(slot, COUNT_COMING, zone, 0), sign);
        add_signed(counts, key_of(slot, COUNT_COMING, left, 0), -sign);
    }
}

void counts_load(struct placer *placer, const struct state *state)
{
    struct counts *counts = &placer->counts;
    uint32_t cursor = 0;
    uint32_t slot;

    counts_close(counts);
    while ((slot = state_next_claim(state, &cursor)) != SLOT_NONE) {
        struct known_vm vm = known_of(state, state_vm_at(state, slot));

        count_claim(counts, &vm, 1);
    }
}

bool counts_claims(const struct placer *placer, uint32_t group_slot)
{
    return placer->counts.claims.count > 0 &&
           get_signed(&placer->counts,
                      key_of(group_slot, COUNT_CLAIMING, 0, 0)) != 0;
}

uint32_t counts_claimed(const struct placer *placer, uint32_t group_slot,
                        uint32_t zone)
{
    int32_t count =
        get_signed(&placer->counts, key_of(group_slot, COUNT_CLAIMED, zone, 0));

    CHECK(count >= 0);
    return (uint32_t)count;
}

int32_t counts_coming(const struct placer *placer, uint32_t group_slot,
                      uint32_t zone)
{
    return get_signed(&placer->counts,
                      key_of(group_slot, COUNT_COMING, zone, 0));
}

const struct group *counts_bound(const struct placer *placer,
                                 const struct group *group, struct group *copy)
{
    uint32_t slot = uid_slot(group->uid);

    if (placer == NULL || !counts_claims(placer, slot)) {
        return group;
    }
    *copy = *group;
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        copy->zone_counts[i] += (uint32_t)counts_coming(placer, slot, i);
    }
    return copy;
}

/* --- Members by domain and host ------------------------------------------- */

static bool is_open(const struct counts *counts, uint32_t group_slot)
{
    return group_slot < counts->opened_size && counts->opened[group_slot] != 0;
}

/* A member comes to a host, or leaves it. */
static void count(struct placer *placer, uint32_t group_slot, uint32_t host,
                  int sign)
{
    struct counts *counts = &placer->counts;
    const struct fleet_host *at = &fleet_hosts(placer->fleet)[host];
    uint32_t members =
        add(counts, key_of(group_slot, COUNT_DOMAIN, 0, at->domain), sign);
    uint32_t before = sign > 0 ? members - 1 : members + 1;

    add(counts, key_of(group_slot, COUNT_HOST, 0, host), sign);
    /* With 0: domains that have members at all. */
    if (before > 0) {
        add(counts, key_of(group_slot, COUNT_DOMAINS_WITH, at->zone, before),
            -1);
    } else {
        add(counts, key_of(group_slot, COUNT_DOMAINS_WITH, at->zone, 0), 1);
    }
    if (members > 0) {
        add(counts, key_of(group_slot, COUNT_DOMAINS_WITH, at->zone, members),
            1);
    } else {
        add(counts, key_of(group_slot, COUNT_DOMAINS_WITH, at->zone, 0), -1);
    }
}

static void count_vm(struct placer *placer, const struct known_vm *vm, int sign)
{
    uint32_t slot = vm->group_plus1 - 1;

    if (vm->group_plus1 == 0 || !is_open(&placer->counts, slot)) {
        return;
    }
    if (vm->host_plus1 != 0) {
        count(placer, slot, vm->host_plus1 - 1, sign);
    }
    if (vm->claim_plus1 != 0) {
        count(placer, slot, vm->claim_plus1 - 1, sign);
    }
}

void counts_change(struct placer *placer, const struct known_vm *from,
                   const struct known_vm *to)
{
    count_claim(&placer->counts, from, -1);
    count_claim(&placer->counts, to, 1);
    if (placer->counts.opened_groups > 0) {
        count_vm(placer, from, -1);
        count_vm(placer, to, 1);
    }
}

/* The members as they are known: what comes later is told. */
static void count_members(struct placer *placer, const struct state *state,
                          const struct group *group)
{
    uint32_t slot = group->vm_first_plus1;

    while (slot != 0) {
        struct known_vm vm = known_get(&placer->known, slot - 1);

        count_vm(placer, &vm, 1);
        slot = state_vm_at(state, slot - 1)->group_next_plus1;
    }
}

void counts_open(struct placer *placer, const struct state *state,
                 uint32_t group_slot)
{
    struct counts *counts = &placer->counts;
    const struct group *group = state_group_at(state, group_slot);

    if (group_slot >= counts->opened_size) {
        uint32_t former = counts->opened_size;

        counts->opened_size = group_slot + group_slot / 2 + 64;
        counts->opened = memory_realloc_array(
            counts->opened, counts->opened_size, sizeof(*counts->opened));
        memset(counts->opened + former, 0,
               (counts->opened_size - former) * sizeof(*counts->opened));
    }
    if (counts->opened[group_slot] == group->uid) {
        return;
    }
    /* A group in a used slot: the former one had no members left. */
    counts->opened_groups += counts->opened[group_slot] == 0;
    counts->opened[group_slot] = group->uid;
    count_members(placer, state, group);
}

uint32_t counts_of_domain(const struct placer *placer, uint32_t group_slot,
                          uint32_t domain)
{
    return get(&placer->counts, key_of(group_slot, COUNT_DOMAIN, 0, domain));
}

uint32_t counts_of_host(const struct placer *placer, uint32_t group_slot,
                        uint32_t host)
{
    return get(&placer->counts, key_of(group_slot, COUNT_HOST, 0, host));
}

uint32_t counts_least(const struct placer *placer, uint32_t group_slot,
                      uint32_t zone)
{
    uint32_t domains = fleet_zone_domains(placer->fleet, zone);
    uint32_t members = 0;

    if (get(&placer->counts, key_of(group_slot, COUNT_DOMAINS_WITH, zone, 0)) <
        domains) {
        return 0;
    }
    while (members < VMS_MAX && domains > 0) {
        members++;
        if (get(&placer->counts,
                key_of(group_slot, COUNT_DOMAINS_WITH, zone, members)) > 0) {
            break;
        }
    }
    return members;
}
