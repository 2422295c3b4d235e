/* SPDX-License-Identifier: Apache-2.0 */
#include "support/office.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/group_fields.h"
#include "node/limits.h"
#include "placement/headroom.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static bool log_ready(struct turn_log *log)
{
    (void)log;
    return true;
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct office *office = container_of(log, struct office, log);

    bytes_clear(&office->entry);
    bytes_append(&office->entry, data, len);
    office->entries++;
    return 0;
}

static int log_barrier(struct turn_log *log)
{
    bytes_clear(&container_of(log, struct office, log)->entry);
    return 0;
}

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct office *office = container_of(sink, struct office, sink);

    failover_note(&office->failover, event);
    move_control_note(&office->moves, event);
    group_control_note(&office->groups, event);
    if (office->on_event != NULL) {
        office->on_event(office, event);
    }
}

void office_apply(struct office *office, const struct change *change)
{
    state_begin(office->state, office->now_ms);
    state_apply(office->state, change, &office->sink);
}

void office_lead(struct office *office)
{
    turn_lead(&office->turn, false);
    failover_lead(&office->failover, office->state);
    move_control_lead(&office->moves, office->state);
    group_control_lead(&office->groups, office->state);
    turn_lead(&office->turn, true);
}

struct office *office_create(void)
{
    struct office *office = memory_alloc(sizeof(*office));
    struct change change = {.kind = CHANGE_POLICY};

    office->log = (struct turn_log){log_ready, log_submit, log_barrier};
    office->sink.event = on_event;
    office->state = state_create();
    office->applied = office->state;
    office->now_ms = 1000000;
    bytes_init(&office->entry);
    leases_init(&office->leases);
    judge_init(&office->judge, &office->leases);
    failover_init(&office->failover, &office->judge);
    move_control_init(&office->moves, &office->judge,
                      &office->failover.pending);
    group_control_init(&office->groups);
    office->controllers[0] = &office->moves.controller;
    office->controllers[1] = &office->failover.controller;
    office->controllers[2] = &office->groups.controller;
    turn_init(&office->turn, &office->log, &office->applied,
              office->controllers, 3);
    policy_init(&change.policy.policy);
    office_apply(office, &change);
    office_lead(office);
    office->failover.had_hosts = true; /* Nothing to wait for. */
    return office;
}

void office_destroy(struct office *office)
{
    turn_lead(&office->turn, false);
    turn_close(&office->turn);
    group_control_close(&office->groups);
    move_control_close(&office->moves);
    failover_close(&office->failover);
    leases_close(&office->leases);
    bytes_close(&office->entry);
    state_destroy(office->state);
    free(office);
}

static void commit(struct office *office)
{
    struct batch batch;
    struct arena arena;

    if (office->entry.len > 0) {
        arena_init(&arena, BATCH_ARENA_BYTES);
        CHECK(batch_decode(office->entry.data, office->entry.len, &arena,
                           &batch) == 0);
        CHECK(state_apply_batch(office->state, &batch, &office->sink) == 0);
        arena_close(&arena);
    }
    turn_finished(&office->turn, 0);
}

static void work(struct office *office)
{
    struct placer *placer;

    while (!turn_prepare(&office->turn)) {
    }
    placer = turn_placer(&office->turn);
    while (!failover_work(&office->failover, office->state)) {
    }
    while (!move_control_work(&office->moves)) {
    }
    while (placer != NULL &&
           !headroom_work(placer, office->state, HEADROOM_SLICE_VMS)) {
    }
}

bool office_turn(struct office *office)
{
    office->now_ms += 10;
    work(office);
    if (failover_is_due(&office->failover, office->state, office->now_ms) ||
        move_control_is_due(&office->moves, office->state, office->now_ms) ||
        group_control_is_due(&office->groups, office->now_ms)) {
        turn_want(&office->turn);
    }
    turn_run(&office->turn, office->now_ms, office->now_ms);
    if (!office->turn.flying) {
        return false;
    }
    commit(office);
    return true;
}

void office_run(struct office *office, uint32_t max)
{
    while (max-- > 0 && office_turn(office)) {
    }
}

void office_hosts_obey(struct office *office)
{
    for (uint32_t slot = 0; slot < state_vm_slots(office->state); slot++) {
        const struct vm *vm = state_vm_at(office->state, slot);
        struct change change = {.kind = CHANGE_VM_REPORT};

        if (vm == NULL || vm->host == SLOT_NONE) {
            continue;
        }
        if (vm->state == VM_STOPPING) {
            change.kind = CHANGE_VM_RELEASE;
            change.vm_release = (struct change_vm_release){
                {vm->uid}, vm->epoch, text_of("stopped"), false, 0, false};
            office_apply(office, &change);
        } else if (vm->state == VM_ASSIGNED) {
            change.vm_report =
                (struct change_vm_report){{vm->uid}, vm->epoch, VM_RUNNING};
            office_apply(office, &change);
        }
    }
}

void office_zone(struct office *office, const char *name)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    change.zone_create.name = text_of(name);
    office_apply(office, &change);
}

void office_host(struct office *office, const char *zone, const char *name,
                 uint32_t cores)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_named(office->state, text_of(zone))->uid},
        .fault_domain = text_of(""),
        .host_id = text_of(name),
        .boot_id = text_of("b"),
        .capacity = {1000 * cores, 1024 * cores, 1000, 0},
        .driver_mask = 1 << DRIVER_EXEC,
        .labels = text_of(""),
        .agent_version = text_of(""),
    };
    office_apply(office, &change);
}

void office_hosts(struct office *office, uint32_t zones, uint32_t count,
                  uint32_t cores)
{
    char zone[16];
    char name[16];

    CHECK(zones > 0);
    for (uint32_t i = 0; i < zones; i++) {
        snprintf(zone, sizeof(zone), "z%u", i);
        if (state_zone_named(office->state, text_of(zone)) == NULL) {
            office_zone(office, zone);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        snprintf(zone, sizeof(zone), "z%u", i % zones);
        snprintf(name, sizeof(name), "h-%u", i);
        office_host(office, zone, name, cores);
    }
}

void office_class(struct office *office, const char *name, uint32_t cores)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};

    change.class_create = (struct change_class_create){
        .name = text_of(name),
        .resources = {1000 * cores, 1024 * cores, 0, 0},
    };
    office_apply(office, &change);
}

struct vm_id office_vm(struct office *office, const char *class,
                       const char *name, uint32_t priority, bool preemptible)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_named(office->state, text_of(class))->uid},
        .priority = priority,
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .template = text_of(""),
        .labels = text_of(""),
        .selector = text_of(""),
        .preemptible = preemptible,
    };
    office_apply(office, &change);
    return (struct vm_id){office_vm_named(office, name)->uid};
}

void office_assign(struct office *office, struct vm_id vm, const char *host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign =
        (struct change_vm_assign){vm,
                                  {office_host_named(office, host)->uid},
                                  state_vm(office->state, vm)->epoch + 1};
    office_apply(office, &change);
}

void office_fence(struct office *office, uint32_t host_slot)
{
    struct change change = {.kind = CHANGE_HOST_FENCE};

    change.host_fence = (struct change_host_fence){
        {state_host_at(office->state, host_slot)->uid}, FENCE_LEASE_ENDED};
    office_apply(office, &change);
}

void office_policy(struct office *office, void (*edit)(struct policy *policy))
{
    struct change change = {.kind = CHANGE_POLICY};

    change.policy.policy = *state_policy(office->state);
    edit(&change.policy.policy);
    CHECK(policy_check(&change.policy.policy) == NULL);
    office_apply(office, &change);
}

struct group_id office_group(struct office *office, const char *class,
                             const char *name, uint32_t count)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};

    change.group_create = (struct change_group_create){
        .name = text_of(name),
        .fields = {
            .count = count,
            .class = {state_class_named(office->state, text_of(class))->uid},
            .template = text_of(""),
            .labels = text_of(""),
            .selector = text_of(""),
            .on_partition = ON_PARTITION_MOVE,
            .driver = DRIVER_EXEC,
            .zone_rule = ZONE_RULE_SPREAD,
            .max_skew = 1,
            .zone_mode = RULE_MODE_BEST_EFFORT,
            .generation = 1,
        }};
    office_apply(office, &change);
    return (struct group_id){
        state_group_named(office->state, text_of(name))->uid};
}

void office_group_update(struct office *office, struct group_id id,
                         void (*edit)(struct group_fields *fields),
                         bool deleting)
{
    struct change change = {.kind = CHANGE_GROUP_UPDATE};
    struct text pools[CHANGE_POOLS_MAX];

    change.group_update.group = id;
    change.group_update.deleting = deleting;
    group_fields_read(office->state, state_group(office->state, id),
                      &change.group_update.fields, pools);
    if (edit != NULL) {
        edit(&change.group_update.fields);
    }
    office_apply(office, &change);
}

const struct vm *office_vm_named(const struct office *office, const char *name)
{
    return state_vm_named(office->state, text_of(name));
}

const struct host *office_host_named(const struct office *office,
                                     const char *name)
{
    return state_host_named(office->state, text_of(name));
}

uint32_t office_count(const struct office *office, enum vm_state state)
{
    return state_counts(office->state)->vms_by_state[state];
}
