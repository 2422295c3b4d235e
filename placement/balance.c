/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/balance.h"

#include <string.h>

#define WHOLE 1000000u /* Loads are in millionths. */

static bool has(uint64_t zones, uint32_t zone)
{
    return (zones >> zone & 1) != 0;
}

static bool counts(const struct zone *zone)
{
    return zone != NULL && zone->state == ZONE_UP && !zone->cordoned &&
           !zone->draining && zone->capacity.cpu_milli > 0 &&
           zone->capacity.memory_mib > 0;
}

void balance_init(struct balance *balance, const struct state *state)
{
    memset(balance, 0, sizeof(*balance));
    balance->count = state_zone_slots(state);
    for (uint32_t i = 0; i < balance->count; i++) {
        const struct zone *zone = state_zone_at(state, i);

        if (counts(zone)) {
            balance->usable |= UINT64_C(1) << i;
            balance->zones[i] = (struct balance_zone){
                .cpu_milli = zone->used.cpu_milli,
                .memory_mib = zone->used.memory_mib,
                .cpu_capacity = zone->capacity.cpu_milli,
                .memory_capacity = zone->capacity.memory_mib,
            };
        }
    }
}

/* Sums of 2^18 hosts of 2^32 each do not fit 64 bits when multiplied. */
static uint32_t share(uint64_t part, uint64_t whole)
{
    unsigned __int128 millionths = (unsigned __int128)part * WHOLE / whole;

    return millionths > UINT32_MAX ? UINT32_MAX : (uint32_t)millionths;
}

uint32_t balance_load(const struct balance_zone *zone)
{
    uint32_t cpu = share(zone->cpu_milli, zone->cpu_capacity);
    uint32_t memory = share(zone->memory_mib, zone->memory_capacity);

    return cpu > memory ? cpu : memory;
}

static void add(uint64_t *sum, uint32_t amount, int sign)
{
    if (sign > 0) {
        *sum += amount;
    } else {
        *sum -= amount < *sum ? amount : *sum;
    }
}

uint32_t balance_load_with(const struct balance_zone *zone,
                           const struct resources *size, int sign)
{
    struct balance_zone other = *zone;

    add(&other.cpu_milli, size->cpu_milli, sign);
    add(&other.memory_mib, size->memory_mib, sign);
    return balance_load(&other);
}

void balance_add(struct balance *balance, uint32_t zone,
                 const struct resources *size, int sign)
{
    add(&balance->zones[zone].cpu_milli, size->cpu_milli, sign);
    add(&balance->zones[zone].memory_mib, size->memory_mib, sign);
}

uint32_t balance_spread(const struct balance *balance)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    for (uint32_t i = 0; i < balance->count; i++) {
        if (has(balance->usable, i)) {
            uint32_t load = balance_load(&balance->zones[i]);

            least = load < least ? load : least;
            most = load > most ? load : most;
        }
    }
    return least < most ? most - least : 0;
}

/* --- The band ------------------------------------------------------------ */

/* Loads weighted by each zone's part of all capacity. */
struct weighted {
    uint32_t loads[ZONES_MAX];
    uint64_t weights[ZONES_MAX];
    uint32_t count;
    uint32_t most;
};

static void weigh(const struct balance *balance, struct weighted *weighted)
{
    uint64_t cpu = 1;
    uint64_t memory = 1;

    memset(weighted, 0, sizeof(*weighted));
    for (uint32_t i = 0; i < balance->count; i++) {
        cpu += balance->zones[i].cpu_capacity;
        memory += balance->zones[i].memory_capacity;
    }
    for (uint32_t i = 0; i < balance->count; i++) {
        const struct balance_zone *zone = &balance->zones[i];
        uint32_t at = weighted->count;

        if (!has(balance->usable, i)) {
            continue;
        }
        weighted->loads[at] = balance_load(zone);
        weighted->weights[at] = (uint64_t)share(zone->cpu_capacity, cpu) +
                                share(zone->memory_capacity, memory);
        if (weighted->loads[at] > weighted->most) {
            weighted->most = weighted->loads[at];
        }
        weighted->count++;
    }
}

/* Whether more is missing below `bottom` than is too much above `top`. */
static bool band_is_high(const struct weighted *weighted, uint32_t bottom,
                         uint32_t top)
{
    unsigned __int128 over = 0;
    unsigned __int128 under = 0;

    for (uint32_t i = 0; i < weighted->count; i++) {
        uint64_t load = weighted->loads[i];

        if (load > top) {
            over += (unsigned __int128)(load - top) * weighted->weights[i];
        } else if (load < bottom) {
            under += (unsigned __int128)(bottom - load) * weighted->weights[i];
        }
    }
    return under >= over;
}

struct balance_band balance_band(const struct balance *balance, uint32_t width)
{
    struct weighted weighted;
    uint32_t low = 0;
    uint32_t high;

    weigh(balance, &weighted);
    high = weighted.most;
    /* What is missing grows with the bottom, what is too much shrinks. */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (band_is_high(&weighted, middle, middle + width)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return (struct balance_band){low, low + width};
}

static uint64_t beyond(uint64_t used, uint64_t capacity, uint32_t top)
{
    uint64_t most = (uint64_t)((unsigned __int128)capacity * top / WHOLE);

    return used > most ? used - most : 0;
}

void balance_excess(const struct balance_zone *zone, uint32_t top,
                    uint64_t *cpu_milli, uint64_t *memory_mib)
{
    *cpu_milli = beyond(zone->cpu_milli, zone->cpu_capacity, top);
    *memory_mib = beyond(zone->memory_mib, zone->memory_capacity, top);
}

/* --- Rules of groups ----------------------------------------------------- */

uint64_t balance_zones_of(const struct balance *balance,
                          const struct state *state, const struct vm *vm)
{
    uint64_t class_zones = state_class_at(state, vm->class_slot)->zone_mask;
    uint64_t zones = balance->usable;

    if (class_zones != 0) {
        zones &= class_zones;
    }
    if (vm->disk_zone_mask != 0) {
        zones &= vm->disk_zone_mask;
    }
    if (vm->group_plus1 != 0) {
        uint64_t group_zones =
            state_group_at(state, vm->group_plus1 - 1)->zone_mask;

        zones &= group_zones != 0 ? group_zones : UINT64_MAX;
    }
    return zones;
}

struct extremes {
    uint32_t least;
    uint32_t most;
    uint32_t fair; /* Each zone's part of all, rounded down. */
};

/* Of the members in `zones`, if one more were in `to` and one less in `from`
 * (SLOT_NONE: as it is). */
static struct extremes extremes_of(const struct group *group, uint64_t zones,
                                   uint32_t from, uint32_t to)
{
    struct extremes extremes = {UINT32_MAX, 0, 0};
    uint64_t sum = 0;
    uint32_t count = 0;

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        uint32_t members = group->zone_counts[i];

        if (!has(zones, i)) {
            continue;
        }
        members -= i == from && members > 0 ? 1 : 0;
        members += i == to ? 1 : 0;
        sum += members;
        count++;
        extremes.least = members < extremes.least ? members : extremes.least;
        extremes.most = members > extremes.most ? members : extremes.most;
    }
    if (extremes.least > extremes.most) {
        extremes.least = extremes.most;
    }
    extremes.fair = count == 0 ? 0 : (uint32_t)(sum / count);
    return extremes;
}

static uint32_t skew_allowed(const struct group *group)
{
    return group->max_skew == 0 ? 1 : group->max_skew;
}

/* Where a group that belongs together has most of its members. */
static uint32_t home_of(const struct group *group, uint64_t zones)
{
    uint32_t home = SLOT_NONE;

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        if (has(zones, i) && group->zone_counts[i] > 0 &&
            (home == SLOT_NONE ||
             group->zone_counts[i] > group->zone_counts[home])) {
            home = i;
        }
    }
    return home;
}

/* From a zone with more than its part only: a zone that gave more than that
 * would need some back. */
static bool spread_wants(const struct group *group, uint64_t zones,
                         uint32_t from)
{
    struct extremes now = extremes_of(group, zones, SLOT_NONE, SLOT_NONE);
    uint32_t members = group->zone_counts[from];

    return members > now.least + skew_allowed(group) && members > now.fair;
}

bool balance_group_wants(const struct group *group, uint64_t zones,
                         uint32_t from)
{
    uint32_t home;

    if ((zones & ~(UINT64_C(1) << from)) == 0) {
        return false;
    }
    if (!has(zones, from)) {
        return group->zone_mask != 0 && !has(group->zone_mask, from);
    }
    switch (group->zone_rule) {
    case ZONE_RULE_SPREAD:
        return spread_wants(group, zones, from);
    case ZONE_RULE_TOGETHER:
        home = home_of(group, zones);
        return home != SLOT_NONE && home != from;
    case ZONE_RULE_APART:
        return group->zone_counts[from] > 1 &&
               extremes_of(group, zones, SLOT_NONE, SLOT_NONE).least == 0;
    default:
        return false;
    }
}

static bool spread_admits(const struct group *group, uint64_t zones,
                          uint32_t from, uint32_t to)
{
    struct extremes before = extremes_of(group, zones, SLOT_NONE, SLOT_NONE);
    struct extremes after = extremes_of(group, zones, from, to);
    uint32_t allowed = skew_allowed(group);
    uint32_t skew = before.most - before.least;

    return after.most - after.least <= (skew > allowed ? skew : allowed);
}

bool balance_group_admits(const struct group *group, uint64_t zones,
                          uint32_t from, uint32_t to)
{
    uint32_t home;

    if (!has(zones, to)) {
        return false;
    }
    switch (group->zone_rule) {
    case ZONE_RULE_SPREAD:
        return spread_admits(group, zones, from, to);
    case ZONE_RULE_TOGETHER:
        home = home_of(group, zones);
        /* A member that is alone takes the group with it. */
        return home == SLOT_NONE || home == to ||
               (home == from && group->vm_count == 1);
    case ZONE_RULE_APART:
        return group->zone_counts[to] == 0;
    default:
        return true;
    }
}

bool balance_group_mends(const struct group *group, uint64_t zones,
                         uint32_t from, uint32_t to)
{
    return group->zone_rule != ZONE_RULE_SPREAD || !has(zones, from) ||
           group->zone_counts[to] + 1 < group->zone_counts[from];
}

/* Members above `top` and missing below `bottom`. */
struct surplus {
    uint64_t over;
    uint64_t under;
};

static struct surplus surplus_of(const struct group *group, uint64_t zones,
                                 uint32_t bottom, uint32_t top)
{
    struct surplus surplus = {0, 0};

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        uint32_t members = group->zone_counts[i];

        if (has(zones, i)) {
            surplus.over += members > top ? members - top : 0;
            surplus.under += members < bottom ? bottom - members : 0;
        }
    }
    return surplus;
}

/* The fewest members in each zone with which the rule can be kept by as few
 * moves as possible; at most skew_allowed() more. */
static uint32_t spread_bottom(const struct group *group, uint64_t zones)
{
    struct extremes extremes = extremes_of(group, zones, SLOT_NONE, SLOT_NONE);
    uint32_t low = extremes.least;
    uint32_t high = extremes.most;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        struct surplus surplus =
            surplus_of(group, zones, middle, middle + skew_allowed(group));

        if (surplus.under >= surplus.over) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

/* As many as leave the zones that have too many, or come to those that have too
 * few, if these are more. */
static uint32_t spread_excess(const struct group *group, uint64_t zones,
                              uint32_t *allowed)
{
    uint32_t skew = skew_allowed(group);
    uint32_t bottom = spread_bottom(group, zones);
    struct surplus best = surplus_of(group, zones, bottom, bottom + skew);
    uint64_t fewest = best.under > best.over ? best.under : best.over;

    *allowed = bottom + skew;
    /* One lower, more leave and fewer are missing. */
    if (bottom > 0) {
        best = surplus_of(group, zones, bottom - 1, bottom - 1 + skew);
        best.over = best.under > best.over ? best.under : best.over;
        fewest = best.over < fewest ? best.over : fewest;
    }
    return (uint32_t)fewest;
}

uint32_t balance_group_excess(const struct group *group, uint64_t zones,
                              uint32_t excess[ZONES_MAX])
{
    uint32_t home = SLOT_NONE;
    uint32_t allowed = UINT32_MAX;
    uint32_t fewest = 0;
    uint32_t sum = 0;

    if (group->zone_rule == ZONE_RULE_TOGETHER) {
        home = home_of(group, zones);
        allowed = 0;
    } else if (group->zone_rule == ZONE_RULE_SPREAD) {
        fewest = spread_excess(group, zones, &allowed);
    } else if (group->zone_rule == ZONE_RULE_APART &&
               extremes_of(group, zones, SLOT_NONE, SLOT_NONE).least == 0) {
        allowed = 1;
    }
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        uint32_t members = has(zones, i) ? group->zone_counts[i] : 0;

        excess[i] = i != home && members > allowed ? members - allowed : 0;
        sum += excess[i];
    }
    return sum > fewest ? sum : fewest;
}

void balance_group_lack(const struct group *group, uint64_t zones,
                        uint32_t lack[ZONES_MAX])
{
    uint32_t home = group->zone_rule == ZONE_RULE_TOGETHER
                        ? home_of(group, zones)
                        : SLOT_NONE;
    uint32_t bottom =
        group->zone_rule == ZONE_RULE_SPREAD ? spread_bottom(group, zones) : 0;

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        uint32_t members = group->zone_counts[i];

        if (has(zones, i) && members < bottom) {
            lack[i] += bottom - members;
        } else if (home != SLOT_NONE && i != home) {
            lack[home] += members;
        }
    }
}
