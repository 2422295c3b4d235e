/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of groups within a plan: the state's counts and what the plan adds.
 * Same meaning as in placement/filter.c, which sees the state alone. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

/* --- Counts by (group, domain or host) ------------------------------------ */

enum member_place { MEMBER_DOMAIN = 1, MEMBER_HOST = 2 };

/* Domains and hosts have numbers below 2^30. */
static uint64_t key_of(uint32_t tally, enum member_place place, uint32_t number)
{
    return (uint64_t)tally << 32 | (uint64_t)place << 30 | number;
}

static uint32_t slot_for(const struct tally_map *map, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);
    uint32_t slot = (uint32_t)(hash >> 32) & (map->capacity - 1);

    while (map->keys[slot] != 0 && map->keys[slot] != key) {
        slot = (slot + 1) & (map->capacity - 1);
    }
    return slot;
}

static void grow(struct tally_map *map)
{
    struct tally_map old = *map;

    map->capacity = old.capacity > 0 ? old.capacity * 2 : 1024;
    map->keys = memory_alloc_array(map->capacity, sizeof(*map->keys));
    map->base = memory_alloc_array(map->capacity, sizeof(*map->base));
    map->now = memory_alloc_array(map->capacity, sizeof(*map->now));
    for (uint32_t i = 0; i < old.capacity; i++) {
        if (old.keys[i] != 0) {
            uint32_t slot = slot_for(map, old.keys[i]);

            map->keys[slot] = old.keys[i];
            map->base[slot] = old.base[i];
            map->now[slot] = old.now[i];
        }
    }
    free(old.keys);
    free(old.base);
    free(old.now);
}

static uint32_t members_at(const struct evacuation *evacuation, uint64_t key)
{
    const struct tally_map *map = &evacuation->members;

    return map->capacity == 0 ? 0 : map->now[slot_for(map, key)];
}

static uint32_t members_slot(struct evacuation *evacuation, uint64_t key)
{
    struct tally_map *map = &evacuation->members;
    uint32_t slot;

    if (map->count * 2 >= map->capacity) {
        grow(map);
    }
    slot = slot_for(map, key);
    if (map->keys[slot] == 0) {
        map->keys[slot] = key;
        map->count++;
    }
    return slot;
}

/* --- Tallies -------------------------------------------------------------- */

static const struct group *group_of(const struct evacuation *evacuation,
                                    uint32_t tally)
{
    return state_group_at(evacuation->state, evacuation->tallies[tally].group);
}

uint32_t evacuation_tally(struct evacuation *evacuation, uint32_t group_slot)
{
    uint32_t *known = &evacuation->tally_of[group_slot];

    if (*known != NONE) {
        return *known;
    }
    if (evacuation->tally_count == evacuation->tally_capacity) {
        evacuation->tally_capacity = evacuation->tally_capacity * 2 + 16;
        evacuation->tallies = memory_realloc_array(
            evacuation->tallies, evacuation->tally_capacity,
            sizeof(*evacuation->tallies));
    }
    *known = evacuation->tally_count++;
    evacuation->tallies[*known] = (struct tally){.group = group_slot};
    return *known;
}

static void count_member(struct evacuation *evacuation, uint32_t tally,
                         uint32_t host)
{
    uint32_t domain = evacuation->hosts[host].domain;
    uint32_t of_domain =
        members_slot(evacuation, key_of(tally, MEMBER_DOMAIN, domain));
    uint32_t of_host;

    /* Looking for a slot may move them all. */
    evacuation->members.base[of_domain]++;
    of_host = members_slot(evacuation, key_of(tally, MEMBER_HOST, host));
    evacuation->members.base[of_host]++;
}

static void count_members(struct evacuation *evacuation, uint32_t tally,
                          const struct group *group)
{
    uint32_t next = group->vm_first_plus1;

    while (next != 0) {
        const struct vm *vm = state_vm_at(evacuation->state, next - 1);

        CHECK(vm != NULL);
        if (vm->host != SLOT_NONE) {
            count_member(evacuation, tally, vm->host);
        }
        next = vm->group_next_plus1;
    }
}

/* Those that left one host and have not arrived at the other: items are not
 * made of them, and their places are nobody else's. */
static void count_between(struct evacuation *evacuation)
{
    const struct state *state = evacuation->state;
    uint32_t cursor = 0;
    uint32_t slot;

    while ((slot = state_next_claim(state, &cursor)) != SLOT_NONE) {
        const struct vm *vm = state_vm_at(state, slot);
        uint32_t tally = vm->group_plus1 == 0
                             ? NONE
                             : evacuation->tally_of[vm->group_plus1 - 1];
        const struct group *group;

        if (tally == NONE || vm->host != SLOT_NONE) {
            continue;
        }
        group = group_of(evacuation, tally);
        evacuation->zone_counts_base[(size_t)tally * evacuation->zone_slots +
                                     evacuation->hosts[vm->move_host].zone]++;
        if (group->domain_mode != 0 || group->host_mode != 0) {
            count_member(evacuation, tally, vm->move_host);
        }
    }
}

void evacuation_tally_members(struct evacuation *evacuation)
{
    uint32_t zones = evacuation->zone_slots;
    size_t count = (size_t)evacuation->tally_count * zones;

    evacuation->zone_counts_base = memory_alloc_array(count, sizeof(uint32_t));
    evacuation->zone_counts = memory_alloc_array(count, sizeof(uint32_t));
    for (uint32_t i = 0; i < evacuation->tally_count; i++) {
        const struct group *group = group_of(evacuation, i);

        CHECK(group != NULL);
        memcpy(evacuation->zone_counts_base + (size_t)i * zones,
               group->zone_counts, zones * sizeof(uint32_t));
        if (group->domain_mode != 0 || group->host_mode != 0) {
            count_members(evacuation, i, group);
        }
    }
    count_between(evacuation);
}

void evacuation_tally_reset(struct evacuation *evacuation)
{
    size_t count = (size_t)evacuation->tally_count * evacuation->zone_slots;
    struct tally_map *map = &evacuation->members;

    if (count > 0) {
        memcpy(evacuation->zone_counts, evacuation->zone_counts_base,
               count * sizeof(uint32_t));
    }
    if (map->capacity > 0) {
        memcpy(map->now, map->base, map->capacity * sizeof(uint32_t));
    }
    for (uint32_t i = 0; i < evacuation->tally_count; i++) {
        memset(evacuation->tallies[i].level, 0,
               sizeof(evacuation->tallies[i].level));
    }
}

/* --- Zones ---------------------------------------------------------------- */

static const uint32_t *counts_of(const struct evacuation *evacuation,
                                 uint32_t tally)
{
    return evacuation->zone_counts + (size_t)tally * evacuation->zone_slots;
}

static uint32_t fewest(const struct evacuation *evacuation,
                       const uint32_t *counts, uint64_t usable)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
        if ((usable >> i & 1) != 0 && counts[i] < least) {
            least = counts[i];
        }
    }
    return least == UINT32_MAX ? 0 : least;
}

/* Whether a strict rule lets one more member into the zone. */
static bool zone_rule_allows(const struct group *group, const uint32_t *counts,
                             uint32_t zone, uint32_t least, uint64_t total)
{
    switch (group->zone_rule) {
    case ZONE_RULE_APART:
        return counts[zone] == 0;
    case ZONE_RULE_TOGETHER:
        return counts[zone] == total;
    case ZONE_RULE_SPREAD:
        return counts[zone] + 1 <=
               least + (group->max_skew > 0 ? group->max_skew : 1);
    default:
        return true;
    }
}

uint64_t evacuation_group_zones(const struct evacuation *evacuation,
                                uint32_t tally, const struct wish *wish)
{
    const struct group *group = group_of(evacuation, tally);
    const uint32_t *counts = counts_of(evacuation, tally);
    uint64_t usable =
        placement_group_zones(evacuation->state, group, NULL) &
        (wish->class_zone_mask != 0 ? wish->class_zone_mask : UINT64_MAX);
    uint32_t least = fewest(evacuation, counts, usable);
    uint64_t allowed = group->zone_mask != 0 ? group->zone_mask : UINT64_MAX;
    uint64_t total = 0;

    if (group->zone_mode != RULE_MODE_STRICT) {
        return allowed;
    }
    for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
        total += counts[i];
    }
    for (uint32_t i = 0; i < evacuation->zone_slots; i++) {
        if (!zone_rule_allows(group, counts, i, least, total)) {
            allowed &= ~(UINT64_C(1) << i);
        }
    }
    return allowed;
}

uint32_t evacuation_group_zone_rank(const struct evacuation *evacuation,
                                    uint32_t tally, uint32_t zone)
{
    uint32_t count = counts_of(evacuation, tally)[zone];

    switch (group_of(evacuation, tally)->zone_rule) {
    case ZONE_RULE_SPREAD:
    case ZONE_RULE_APART:
        return count;
    case ZONE_RULE_TOGETHER:
        return UINT32_MAX - count;
    default:
        return 0;
    }
}

/* --- Domains and hosts ---------------------------------------------------- */

static enum group_answer answer(enum rule_mode mode, uint32_t max,
                                uint32_t count, uint32_t level)
{
    if (mode == RULE_MODE_STRICT && max > 0 && count >= max) {
        return GROUP_REFUSES;
    }
    if (mode == RULE_MODE_BEST_EFFORT && count > level) {
        return GROUP_PREFERS_OTHERS;
    }
    return GROUP_ALLOWS;
}

enum group_answer evacuation_group_host(const struct evacuation *evacuation,
                                        uint32_t tally, uint32_t host)
{
    const struct group *group = group_of(evacuation, tally);
    const struct fleet_host *record = &evacuation->hosts[host];
    uint32_t level = evacuation->tallies[tally].level[record->zone];
    enum group_answer domain = GROUP_ALLOWS;
    enum group_answer own = GROUP_ALLOWS;

    if (group->domain_mode != 0) {
        domain = answer(group->domain_mode, group->domain_max,
                        members_at(evacuation, key_of(tally, MEMBER_DOMAIN,
                                                      record->domain)),
                        level);
    }
    if (group->host_mode != 0 && domain != GROUP_REFUSES) {
        own = answer(group->host_mode, group->host_max,
                     members_at(evacuation, key_of(tally, MEMBER_HOST, host)),
                     level);
    }
    if (domain == GROUP_REFUSES || own == GROUP_REFUSES) {
        return GROUP_REFUSES;
    }
    return domain == GROUP_ALLOWS ? own : domain;
}

void evacuation_group_count(struct evacuation *evacuation, uint32_t tally,
                            uint32_t host, int sign)
{
    const struct group *group = group_of(evacuation, tally);
    const struct fleet_host *record = &evacuation->hosts[host];
    uint32_t zones = evacuation->zone_slots;

    evacuation->zone_counts[(size_t)tally * zones + record->zone] +=
        (uint32_t)sign;
    if (group->domain_mode != 0 || group->host_mode != 0) {
        uint32_t slot = members_slot(
            evacuation, key_of(tally, MEMBER_DOMAIN, record->domain));

        evacuation->members.now[slot] += (uint32_t)sign;
        slot = members_slot(evacuation, key_of(tally, MEMBER_HOST, host));
        evacuation->members.now[slot] += (uint32_t)sign;
    }
}
