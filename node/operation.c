/* SPDX-License-Identifier: Apache-2.0 */
#include "node/operation.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[OPERATION_KIND_COUNT] = {"",
                                                        "drain-host",
                                                        "drain-zone",
                                                        "recover-zone",
                                                        "scale-group",
                                                        "update-group",
                                                        "delete-group",
                                                        "start-vm",
                                                        "stop-vm",
                                                        "move-vm",
                                                        "delete-vm",
                                                        "recover-host",
                                                        "apply-plan",
                                                        "apply-manifest"};

const char *operation_reason_name(uint32_t reason)
{
    static const char *const names[OPERATION_REASON_COUNT] = {
        "none",
        "queued",
        "no_capacity",
        "zone_unavailable",
        "class_not_offered",
        "disk_not_reachable",
        "held_by_policy",
        "driver_not_offered",
        "no_matching_host",
        "group_rule",
        "headroom",
        "reserved",
        "preempting",
        "preempted",
        "budget",
        "local_disk",
        "zonal",
        "moving",
        "starting",
        "stopping",
        "not_made",
        "outdated",
    };

    CHECK(reason < OPERATION_REASON_COUNT && names[reason] != NULL);
    return names[reason];
}

/* --- Names --------------------------------------------------------------- */

void operation_name(const struct operation_ref *ref,
                    char name[OPERATION_NAME_BYTES])
{
    CHECK(ref->kind > OPERATION_NONE && ref->kind < OPERATION_KIND_COUNT);
    snprintf(name, OPERATION_NAME_BYTES, "%s.%s.%" PRIu64 ".%" PRIu64,
             kinds[ref->kind], ref->object, ref->uid, ref->mark);
}

/* The number after the last dot, which is cut off with it. */
static bool take_number(char *text, uint64_t *number)
{
    char *dot = strrchr(text, '.');
    char again[24];

    if (dot == NULL) {
        return false;
    }
    *number = strtoull(dot + 1, NULL, 10);
    snprintf(again, sizeof(again), "%" PRIu64, *number);
    if (strcmp(again, dot + 1) != 0) {
        return false; /* There is one way to write a number. */
    }
    *dot = '\0';
    return true;
}

bool operation_parse(const char *name, struct operation_ref *ref)
{
    char text[OPERATION_NAME_BYTES];
    char *dot;

    *ref = (struct operation_ref){.kind = OPERATION_NONE};
    if (strlen(name) >= sizeof(text)) {
        return false;
    }
    memcpy(text, name, strlen(name) + 1);
    if (!take_number(text, &ref->mark) || !take_number(text, &ref->uid)) {
        return false;
    }
    dot = strchr(text, '.');
    if (dot == NULL || dot[1] == '\0' || strlen(dot + 1) >= NAME_BYTES) {
        return false;
    }
    *dot = '\0';
    memcpy(ref->object, dot + 1, strlen(dot + 1) + 1);
    for (int kind = 1; kind < OPERATION_KIND_COUNT; kind++) {
        if (strcmp(text, kinds[kind]) == 0) {
            ref->kind = (enum operation_kind)kind;
        }
    }
    return ref->kind != OPERATION_NONE;
}

static struct operation_ref make_ref(enum operation_kind kind, const char *name,
                                     uint64_t uid, uint64_t mark)
{
    struct operation_ref ref = {.kind = kind, .uid = uid, .mark = mark};

    snprintf(ref.object, sizeof(ref.object), "%s", name);
    return ref;
}

/* --- What there is ------------------------------------------------------- */

struct operation_ref operation_of_host(const struct host *host)
{
    return host->drain_number == 0
               ? (struct operation_ref){.kind = OPERATION_NONE}
               : make_ref(OPERATION_DRAIN_HOST, host->name, host->uid,
                          host->drain_number);
}

struct operation_ref operation_of_zone(const struct zone *zone)
{
    return zone->drain_number == 0
               ? (struct operation_ref){.kind = OPERATION_NONE}
               : make_ref(OPERATION_DRAIN_ZONE, zone->name, zone->uid,
                          zone->drain_number);
}

struct operation_ref operation_of_loss(const struct zone *zone)
{
    return zone->state != ZONE_LOST
               ? (struct operation_ref){.kind = OPERATION_NONE}
               : make_ref(OPERATION_RECOVER_ZONE, zone->name, zone->uid,
                          zone->state_time_ms);
}

struct operation_ref operation_of_host_loss(const struct state *state,
                                            const struct host *host)
{
    return host->state != HOST_LOST ||
                   state_zone_at(state, host->zone)->state == ZONE_LOST
               ? (struct operation_ref){.kind = OPERATION_NONE}
               : make_ref(OPERATION_RECOVER_HOST, host->name, host->uid,
                          host->state_time_ms);
}

struct operation_ref operation_on_group(const struct group *group,
                                        enum operation_kind kind)
{
    uint64_t mark = kind == OPERATION_SCALE_GROUP    ? group->count
                    : kind == OPERATION_UPDATE_GROUP ? group->generation
                                                     : 0;

    return make_ref(kind, group->name, group->uid, mark);
}

static bool replaces(const struct group *group,
                     const struct operation_members *members)
{
    return members->outdated > 0 && group->max_unavailable > 0;
}

static uint32_t missing_from(const struct group *group,
                             const struct operation_members *members)
{
    uint32_t apart = members->count > group->count
                         ? members->count - group->count
                         : group->count - members->count;

    return group->class_slot == SLOT_NONE ? 0 : apart;
}

struct operation_ref operation_of_group(const struct state *state,
                                        const struct group *group)
{
    struct operation_members members;

    if (group->deleting) {
        return operation_on_group(group, OPERATION_DELETE_GROUP);
    }
    operation_count_members(state, group, &members);
    if (replaces(group, &members)) {
        return operation_on_group(group, OPERATION_UPDATE_GROUP);
    }
    if (missing_from(group, &members) + members.young + members.leaving > 0) {
        return operation_on_group(group, OPERATION_SCALE_GROUP);
    }
    return (struct operation_ref){.kind = OPERATION_NONE};
}

/* The epoch before a start: that of a VM which has a host is of this start. */
static uint64_t epoch_before(const struct vm *vm)
{
    return vm->host == SLOT_NONE || vm->epoch == 0 ? vm->epoch : vm->epoch - 1;
}

struct operation_ref operation_on_vm(const struct vm *vm,
                                     enum operation_kind kind)
{
    return make_ref(kind, vm->name, vm->uid,
                    kind == OPERATION_START_VM ? epoch_before(vm) : vm->epoch);
}

struct operation_ref operation_of_vm(const struct vm *vm)
{
    if (vm->deleting) {
        return operation_on_vm(vm, OPERATION_DELETE_VM);
    }
    if (vm->desired == DESIRED_STOPPED) {
        return vm->state == VM_STOPPED
                   ? (struct operation_ref){.kind = OPERATION_NONE}
                   : operation_on_vm(vm, OPERATION_STOP_VM);
    }
    if (vm->moving == MOVE_UNDER_WAY ||
        (vm->moving == MOVE_CLAIMED && vm->host != SLOT_NONE)) {
        return operation_on_vm(vm, OPERATION_MOVE_VM);
    }
    return vm->state == VM_RUNNING || vm->state == VM_LOST
               ? (struct operation_ref){.kind = OPERATION_NONE}
               : operation_on_vm(vm, OPERATION_START_VM);
}

/* --- Drains --------------------------------------------------------------- */

/* One that goes on keeps its number. */
static uint16_t drain_number(uint16_t last, bool goes_on)
{
    return goes_on && last != 0 ? last : (uint16_t)(last % UINT16_MAX + 1);
}

static enum drain_end drain_end(bool draining, uint32_t left,
                                enum drain_end end)
{
    return draining ? DRAIN_END_NONE : left == 0 ? DRAIN_END_EMPTY : end;
}

struct change operation_drain_host(const struct host *host, bool draining,
                                   uint64_t deadline_ms, enum drain_end end)
{
    struct change change = {.kind = CHANGE_HOST_DRAIN};

    change.host_drain = (struct change_host_drain){
        {host->uid},
        draining,
        deadline_ms,
        drain_number(host->drain_number, host->draining),
        drain_end(draining, host->vm_count, end),
        false};
    return change;
}

struct change operation_drain_zone(const struct zone *zone, bool draining,
                                   uint64_t deadline_ms, enum drain_end end)
{
    struct change change = {.kind = CHANGE_ZONE_DRAIN};

    change.zone_drain = (struct change_zone_drain){
        {zone->uid},
        draining,
        deadline_ms,
        drain_number(zone->drain_number, zone->draining),
        drain_end(draining, zone->vm_count, end),
        false};
    return change;
}
