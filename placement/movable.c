/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/movable.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void movable_init(struct movable *movable, const struct state *state,
                  const struct balance *balance, uint32_t top, uint64_t time_ms)
{
    *movable = (struct movable){
        .state = state,
        .balance = balance,
        .time_ms = time_ms,
        .top = top,
        .cool_down_ms = state_policy(state)->vm_cool_down_ms,
        .classes = state_class_slots(state),
    };
    movable->gains =
        memory_alloc_array((size_t)balance->count * (movable->classes + 1),
                           sizeof(*movable->gains));
    for (uint32_t i = 0; i < balance->count; i++) {
        if ((balance->usable >> i & 1) == 0) {
            continue;
        }
        balance_excess(&balance->zones[i], top, &movable->cpu_excess[i],
                       &movable->memory_excess[i]);
        if (movable->cpu_excess[i] + movable->memory_excess[i] > 0) {
            movable->full |= UINT64_C(1) << i;
        }
    }
}

void movable_close(struct movable *movable)
{
    free(movable->gains);
    movable->gains = NULL;
}

/* How much smaller the square of the zone's share that is too much becomes, by
 * one resource: what is far too much counts more than what nearly is right, so
 * that both end together. What a VM takes beyond the excess does no good. */
static uint64_t gain_by(uint64_t amount, uint64_t excess, uint64_t capacity)
{
    unsigned __int128 useful = amount < excess ? amount : excess;
    uint64_t too_much =
        (uint64_t)(((unsigned __int128)excess << 22) / capacity);

    return (uint64_t)((useful << 40) / capacity) * too_much;
}

uint64_t movable_gain(struct movable *movable, uint32_t zone,
                      uint32_t class_slot)
{
    uint64_t *gain =
        &movable->gains[(size_t)zone * movable->classes + class_slot];

    if (*gain == 0) {
        const struct balance_zone *full = &movable->balance->zones[zone];
        const struct resources *size =
            &state_class_at(movable->state, class_slot)->resources;

        *gain = 1 +
                gain_by(size->cpu_milli, movable->cpu_excess[zone],
                        full->cpu_capacity) +
                gain_by(size->memory_mib, movable->memory_excess[zone],
                        full->memory_capacity);
    }
    return *gain;
}

/* A quarter less: what is left may be more of one resource than of the other.
 */
static bool has_shrunk(uint64_t before, uint64_t now)
{
    return now < before - before / 4;
}

bool movable_update(struct movable *movable, uint32_t zone)
{
    uint64_t cpu;
    uint64_t memory;

    balance_excess(&movable->balance->zones[zone], movable->top, &cpu, &memory);
    if (!has_shrunk(movable->cpu_excess[zone], cpu) &&
        !has_shrunk(movable->memory_excess[zone], memory)) {
        return false;
    }
    movable->cpu_excess[zone] = cpu;
    movable->memory_excess[zone] = memory;
    memset(&movable->gains[(size_t)zone * movable->classes], 0,
           movable->classes * sizeof(*movable->gains));
    return true;
}

bool movable_may_stop(const struct vm *vm)
{
    return vm->host != SLOT_NONE && vm->moving == MOVE_NONE && !vm->deleting &&
           vm->desired == DESIRED_RUNNING &&
           (vm->state == VM_ASSIGNED || vm->state == VM_STARTING ||
            vm->state == VM_RUNNING);
}

static bool is_cool(const struct movable *movable, const struct vm *vm)
{
    return vm->assign_time_ms == 0 ||
           vm->assign_time_ms + movable->cool_down_ms <= movable->time_ms;
}

uint32_t movable_count_warm(const struct movable *movable, uint32_t max)
{
    uint32_t slots = state_vm_slots(movable->state);
    uint32_t count = 0;

    for (uint32_t i = 0; i < slots && i < max; i++) {
        const struct vm *vm = state_vm_at(movable->state, i);

        count +=
            vm != NULL && movable_may_stop(vm) && vm->zone == SLOT_NONE &&
            !vm->local_disk && !is_cool(movable, vm) &&
            (movable->full >> state_host_at(movable->state, vm->host)->zone &
             1) != 0;
    }
    return count;
}

bool movable_check(struct movable *movable, const struct vm *vm,
                   struct candidate *candidate)
{
    const struct group *group = NULL;
    const struct host *host;
    uint64_t zones;
    bool wanted = false;

    if (!movable_may_stop(vm) || vm->zone != SLOT_NONE || vm->local_disk ||
        !is_cool(movable, vm)) {
        return false;
    }
    host = state_host_at(movable->state, vm->host);
    if (host->state != HOST_UP || host->draining ||
        (movable->balance->usable >> host->zone & 1) == 0) {
        return false;
    }
    zones = balance_zones_of(movable->balance, movable->state, vm);
    if (vm->group_plus1 != 0) {
        group = state_group_at(movable->state, vm->group_plus1 - 1);
        wanted = balance_group_wants(group, zones, host->zone);
    }
    if (!wanted && (movable->full >> host->zone & 1) == 0) {
        return false;
    }
    if (!wanted && group != NULL && group->zone_rule == ZONE_RULE_TOGETHER &&
        group->vm_count > 1) {
        return false;
    }
    if ((zones & ~(UINT64_C(1) << host->zone)) == 0) {
        return false;
    }
    *candidate = (struct candidate){
        .gain = movable_gain(movable, host->zone, vm->class_slot),
        .vm = uid_slot(vm->uid),
        .memory_mib = state_class_at(movable->state, vm->class_slot)
                          ->resources.memory_mib,
        .priority = vm->priority,
        .class_slot = (uint16_t)vm->class_slot,
        .zone = (uint8_t)host->zone,
        .wanted = wanted,
    };
    return true;
}
