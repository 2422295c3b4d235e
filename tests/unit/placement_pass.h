/* SPDX-License-Identifier: Apache-2.0
 *
 * The best host for a VM in plain code: a pass over all hosts, by the rules as
 * resources.proto tells them and the order as compare.c and ranks.h tell it,
 * straight from the records. What the placer is tested against. */
#ifndef TESTS_PLACEMENT_PASS_H
#define TESTS_PLACEMENT_PASS_H

#include "base/container.h"
#include "placement/internal.h"
#include "state/labels.h"
#include "tests/support/same.h"

#include <string.h>

/* --- The rules, from the records --- */

struct wish {
    const struct placer *placer; /* Asked what is reserved and held. */
    const struct state *state;
    const struct vm *vm;
    const struct class *class;
    const struct group *group;
};

static bool allows(uint64_t mask, uint32_t zone)
{
    return mask == 0 || (mask >> zone & 1) != 0;
}

static bool zone_is_open(const struct zone *zone)
{
    return zone->state == ZONE_UP && !zone->cordoned && !zone->draining;
}

/* Members in the host's domain, or on it alone, without the VM itself. */
static uint32_t members_near(const struct wish *wish, const struct host *host,
                             bool domain)
{
    const struct state *state = wish->state;
    uint32_t count = 0;

    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        if (vm == NULL || vm->group_plus1 != wish->vm->group_plus1 ||
            vm->uid == wish->vm->uid) {
            continue;
        }
        for (uint32_t j = 0; j < 2; j++) {
            uint32_t slot = j == 0               ? vm->host
                            : vm_holds_claim(vm) ? vm->move_host
                                                 : SLOT_NONE;
            const struct host *at =
                slot == SLOT_NONE ? NULL : state_host_at(state, slot);

            count += at != NULL &&
                     (domain ? same_domain(state, at, host) : at == host);
        }
    }
    return count;
}

static bool is_in(const struct wish *wish, uint32_t host, uint32_t zone)
{
    return host != SLOT_NONE && state_host_at(wish->state, host)->zone == zone;
}

/* Members of the zone once all moves are made, or all that are there or hold
 * room there; without the VM itself. */
static uint32_t members_in(const struct wish *wish, uint32_t zone, bool moved)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < state_vm_slots(wish->state); i++) {
        const struct vm *vm = state_vm_at(wish->state, i);
        uint32_t claim;

        if (vm == NULL || vm->group_plus1 != wish->vm->group_plus1 ||
            vm->uid == wish->vm->uid) {
            continue;
        }
        claim = vm_holds_claim(vm) ? vm->move_host : SLOT_NONE;
        count += is_in(wish, claim, zone);
        count += (claim == SLOT_NONE || !moved) && is_in(wish, vm->host, zone);
    }
    return count;
}

static bool keeps_zone_rule(const struct wish *wish, uint32_t zone)
{
    const struct group *group = wish->group;
    uint32_t here = members_in(wish, zone, true);
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    if (!allows(group->zone_mask, zone)) {
        return false;
    }
    for (uint32_t i = 0; i < state_zone_slots(wish->state); i++) {
        const struct zone *other = state_zone_at(wish->state, i);
        uint32_t count = members_in(wish, i, true);

        most = count > most ? count : most;
        if (zone_is_open(other) && other->host_up_count > 0 &&
            allows(group->zone_mask, i) && allows(wish->class->zone_mask, i) &&
            allows(wish->vm->disk_zone_mask, i) && count < least) {
            least = count;
        }
    }
    if (group->zone_mode != RULE_MODE_STRICT) {
        return true;
    }
    switch (group->zone_rule) {
    case ZONE_RULE_SPREAD:
        return here + 1 <= (least == UINT32_MAX ? 0 : least) + group->max_skew;
    case ZONE_RULE_APART:
        return members_in(wish, zone, false) == 0;
    case ZONE_RULE_TOGETHER:
        return here == most;
    default:
        return true;
    }
}

static bool keeps_group_rules(const struct wish *wish, const struct host *host)
{
    const struct group *group = wish->group;

    return keeps_zone_rule(wish, host->zone) &&
           !(group->domain_mode == RULE_MODE_STRICT && group->domain_max > 0 &&
             members_near(wish, host, true) >= group->domain_max) &&
           !(group->host_mode == RULE_MODE_STRICT && group->host_max > 0 &&
             members_near(wish, host, false) >= group->host_max);
}

static bool is_selected(const struct state *state, const struct vm *vm,
                        const struct host *host)
{
    struct text selector = state_blob(state, vm->selector_blob);
    struct label wanted;
    struct text value;

    while (labels_next(&selector, &wanted)) {
        if (!labels_get(state_blob(state, host->labels_blob), wanted.key,
                        &value) ||
            !same_text(value, wanted.value)) {
            return false;
        }
    }
    return true;
}

static bool keeps_move(const struct vm *vm, const struct host *host)
{
    uint32_t slot = uid_slot(host->uid);

    if (slot == vm->host) {
        return false;
    }
    if (vm->moving == MOVE_NONE) {
        return true;
    }
    if (vm->move_host != SLOT_NONE) {
        return slot == vm->move_host;
    }
    return vm->move_zone != SLOT_NONE ? host->zone == vm->move_zone
                                      : slot != vm->last_host;
}

static uint32_t less(uint32_t all, uint32_t part)
{
    return all > part ? all - part : 0;
}

/* What the VM may use of the host. */
static struct placer_room room_for(const struct wish *wish,
                                   const struct host *host)
{
    const struct placer *placer = wish->placer;
    uint32_t slot = uid_slot(host->uid);
    struct placer_room room = {host->capacity, host->named_capacity};
    struct placer_room part = {host->used, host->named_used};

    room_take(&room, &part);
    part = (struct placer_room){host->claimed, host->named_claimed};
    room_take(&room, &part);
    if (!wish->vm->recovering && !wish->vm->preemptible &&
        slot < placer->reserve.host_count) {
        room_take(&room, &placer->reserve.rooms[slot]);
    }
    if (!wish->vm->recovering && slot < placer->held_size) {
        room_take(&room, &placer->held[slot]);
    }
    return room;
}

static bool has_room(const struct wish *wish, const struct host *host)
{
    const struct vm *vm = wish->vm;
    struct placer_room room = room_for(wish, host);
    bool own = vm_holds_claim(vm) && vm->move_host == uid_slot(host->uid) &&
               state_policy(wish->state)->uid != 0;

    if (own) {
        room = (struct placer_room){host->capacity, host->named_capacity};
        return host->used.cpu_milli + host->claimed.cpu_milli <=
                   room.resources.cpu_milli &&
               host->used.memory_mib + host->claimed.memory_mib <=
                   room.resources.memory_mib &&
               host->used.disk_gib + host->claimed.disk_gib <=
                   room.resources.disk_gib &&
               host->used.gpu_count + host->claimed.gpu_count <=
                   room.resources.gpu_count &&
               host->named_used.of[0] + host->named_claimed.of[0] <=
                   room.named.of[0];
    }
    return room_covers(&room, &wish->class->resources, &wish->class->named);
}

static bool may_take(const struct wish *wish, const struct host *host)
{
    const struct vm *vm = wish->vm;

    return (vm->zone == SLOT_NONE || vm->zone == host->zone) &&
           keeps_move(vm, host) && allows(wish->class->zone_mask, host->zone) &&
           zone_is_open(state_zone_at(wish->state, host->zone)) &&
           host->state == HOST_UP && !host->cordoned && !host->draining &&
           (host->driver_mask >> vm->driver & 1) != 0 &&
           is_selected(wish->state, vm, host) &&
           (vm->pool_mask & ~host->pool_mask) == 0 &&
           allows(vm->disk_zone_mask, host->zone) &&
           (vm->home_host_plus1 == 0 ||
            vm->home_host_plus1 - 1 == uid_slot(host->uid)) &&
           (wish->group == NULL || keeps_group_rules(wish, host)) &&
           has_room(wish, host);
}

/* --- The order, by hand --- */

struct rank {
    uint64_t keys[13];
};

/* The sizes that are compiled: classes that are not custom, each once. */
struct sizes {
    uint32_t cpu[64];
    uint32_t memory[64];
    uint32_t count;
    uint64_t cpu_price;
    uint64_t memory_price;
};

static uint32_t divisor_of(uint32_t a, uint32_t b)
{
    return b == 0 ? a : divisor_of(b, a % b);
}

/* Of the hosts' memory and CPU the ratio, to three binary digits. */
static void set_prices(struct sizes *sizes, const struct state *state)
{
    uint64_t cpu = 0;
    uint64_t memory = 0;
    uint64_t unit = 1;

    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        cpu += host == NULL ? 0 : host->capacity.cpu_milli;
        memory += host == NULL ? 0 : host->capacity.memory_mib;
    }
    sizes->cpu_price = memory * 65536 / cpu | 1;
    sizes->memory_price = 65536;
    while (sizes->cpu_price / unit >= 8) {
        unit *= 2;
    }
    sizes->cpu_price = (sizes->cpu_price + unit / 2) / unit * unit;
    while (sizes->cpu_price % 2 == 0 && sizes->memory_price % 2 == 0) {
        sizes->cpu_price /= 2;
        sizes->memory_price /= 2;
    }
}

static struct sizes sizes_of(const struct state *state)
{
    struct sizes sizes = {.count = 0};

    for (uint32_t i = 0; i < state_class_slots(state); i++) {
        const struct class *class = state_class_at(state, i);
        bool is_new = class != NULL && !class->custom;

        for (uint32_t j = 0; j < sizes.count && is_new; j++) {
            is_new = sizes.cpu[j] != class->resources.cpu_milli ||
                     sizes.memory[j] != class->resources.memory_mib;
        }
        if (is_new) {
            sizes.cpu[sizes.count] = class->resources.cpu_milli;
            sizes.memory[sizes.count++] = class->resources.memory_mib;
        }
    }
    set_prices(&sizes, state);
    return sizes;
}

/* Amounts count in whole units, the greatest common divisor of all sizes; below
 * the smallest size nothing fits. */
static uint32_t floored(const uint32_t *sizes, uint32_t count, uint32_t amount)
{
    uint32_t unit = 0;
    uint32_t min = UINT32_MAX;

    for (uint32_t i = 0; i < count; i++) {
        unit = divisor_of(sizes[i], unit);
        min = sizes[i] < min ? sizes[i] : min;
    }
    return amount < min ? 0 : amount / unit * unit;
}

static uint64_t value_of(const struct sizes *sizes, uint32_t cpu,
                         uint32_t memory)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < sizes->count; i++) {
        uint64_t by_cpu = sizes->cpu[i] * sizes->cpu_price;
        uint64_t by_memory = sizes->memory[i] * sizes->memory_price;
        uint32_t slots = cpu / sizes->cpu[i];

        if (memory / sizes->memory[i] < slots) {
            slots = memory / sizes->memory[i];
        }
        value += (by_cpu > by_memory ? by_cpu : by_memory) * slots;
    }
    return value;
}

/* Shares as they are compared, in 2^-20: the test's numbers are told apart. */
static uint64_t load_of(const struct zone *zone)
{
    uint64_t cpu =
        zone->capacity.cpu_milli == 0
            ? 0
            : (zone->used.cpu_milli << 20) / zone->capacity.cpu_milli;
    uint64_t memory =
        zone->capacity.memory_mib == 0
            ? 0
            : (zone->used.memory_mib << 20) / zone->capacity.memory_mib;

    return cpu > memory ? cpu : memory;
}

static void rank_by_group(const struct wish *wish, const struct host *host,
                          uint64_t *keys)
{
    uint32_t members = members_in(wish, host->zone, true);

    if (wish->group->zone_rule == ZONE_RULE_SPREAD ||
        wish->group->zone_rule == ZONE_RULE_APART) {
        keys[0] = members;
        keys[1] = members_in(wish, host->zone, false);
    } else if (wish->group->zone_rule == ZONE_RULE_TOGETHER) {
        keys[0] = UINT32_MAX - members;
    }
    if (wish->group->domain_mode == RULE_MODE_BEST_EFFORT) {
        keys[2] = members_near(wish, host, true);
    }
    if (wish->group->host_mode == RULE_MODE_BEST_EFFORT) {
        keys[3] = members_near(wish, host, false);
    }
}

static struct rank rank_of(const struct wish *wish, const struct host *host,
                           uint32_t prefer_zone)
{
    struct rank rank = {{0}};
    struct sizes sizes = sizes_of(wish->state);
    struct placer_room room = room_for(wish, host);
    uint32_t cpu = floored(sizes.cpu, sizes.count, room.resources.cpu_milli);
    uint32_t memory =
        floored(sizes.memory, sizes.count, room.resources.memory_mib);

    rank.keys[0] = wish->vm->not_before_ms != 0 &&
                   uid_slot(host->uid) == wish->vm->last_host;
    if (wish->group != NULL) {
        rank_by_group(wish, host, rank.keys + 1);
    }
    rank.keys[5] = host->zone != prefer_zone;
    rank.keys[6] = load_of(state_zone_at(wish->state, host->zone));
    rank.keys[7] = host->zone;
    rank.keys[8] = value_of(&sizes, cpu, memory) -
                   value_of(&sizes, less(cpu, wish->class->resources.cpu_milli),
                            less(memory, wish->class->resources.memory_mib));
    rank.keys[9] = sizes.cpu_price * cpu + sizes.memory_price * memory;
    rank.keys[10] = cpu;
    rank.keys[11] = memory;
    rank.keys[12] = uid_slot(host->uid);
    return rank;
}

static bool is_before(const struct rank *a, const struct rank *b)
{
    for (size_t i = 0; i < ARRAY_LEN(a->keys); i++) {
        if (a->keys[i] != b->keys[i]) {
            return a->keys[i] < b->keys[i];
        }
    }
    return false;
}

static uint32_t best_by_pass(const struct placer *placer,
                             const struct state *state, const struct vm *vm,
                             uint32_t prefer_zone)
{
    struct wish wish = {
        .placer = placer,
        .state = state,
        .vm = vm,
        .class = state_class_at(state, vm->class_slot),
        .group = vm->group_plus1 == 0
                     ? NULL
                     : state_group_at(state, vm->group_plus1 - 1),
    };
    uint32_t best = SLOT_NONE;
    struct rank best_rank;

    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);
        struct rank rank;

        if (!may_take(&wish, host)) {
            continue;
        }
        rank = rank_of(&wish, host, prefer_zone);
        if (best == SLOT_NONE || is_before(&rank, &best_rank)) {
            best = i;
            best_rank = rank;
        }
    }
    return best;
}

#endif
