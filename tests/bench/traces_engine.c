/* SPDX-License-Identifier: Apache-2.0 */
#include "traces.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct engine {
    struct state *state;
    struct placer *placer;
    uint32_t *slots; /* Of VMs by the caller's numbers. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct engine *engine, const struct change *change)
{
    state_apply(engine->state, change, NULL);
}

static void add_host(struct engine *engine, const struct trace_host *host,
                     uint32_t number)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[32];
    char rack[32];

    snprintf(name, sizeof(name), "h%u", number);
    snprintf(rack, sizeof(rack), "rack-%u", host->rack);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(engine->state, host->zone)->uid},
        .fault_domain = text_of(rack),
        .host_id = text_of(name),
        .boot_id = text_of("boot"),
        .capacity = {host->cpu_milli, host->memory_mib, 1000000, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    apply(engine, &change);
}

struct engine *engine_create(const struct trace_host *hosts, uint32_t count,
                             uint32_t zones, uint32_t vms_max)
{
    struct engine *engine = memory_alloc(sizeof(*engine));
    struct change change = {.kind = CHANGE_POLICY};
    char name[32];

    engine->state = state_create();
    engine->slots = memory_alloc_array((size_t)vms_max + 1, sizeof(uint32_t));
    state_begin(engine->state, 1700000000000);
    policy_init(&change.policy.policy);
    change.policy.policy.headroom = HEADROOM_OFF;
    apply(engine, &change);
    change = (struct change){.kind = CHANGE_ZONE_CREATE};
    for (uint32_t i = 0; i < zones; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        change.zone_create.name = text_of(name);
        apply(engine, &change);
    }
    for (uint32_t i = 0; i < count; i++) {
        add_host(engine, &hosts[i], i);
    }
    engine->placer = placer_create();
    placer_rebuild(engine->placer, engine->state);
    return engine;
}

void engine_destroy(struct engine *engine)
{
    placer_destroy(engine->placer);
    state_destroy(engine->state);
    free(engine->slots);
    free(engine);
}

void engine_add_group(struct engine *engine, uint32_t group,
                      enum trace_rule rule)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};
    char name[32];

    snprintf(name, sizeof(name), "g%u", group);
    if (state_group_named(engine->state, text_of(name)) != NULL) {
        return;
    }
    change.group_create.name = text_of(name);
    change.group_create.fields = (struct group_fields){
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_QEMU,
        .zone_rule =
            rule == TRACE_TOGETHER ? ZONE_RULE_TOGETHER : ZONE_RULE_ANY,
        .zone_mode = RULE_MODE_STRICT,
        .host_mode = rule == TRACE_APART ? RULE_MODE_STRICT : 0,
        .host_max = rule == TRACE_APART ? 1 : 0,
    };
    apply(engine, &change);
    placer_group_changed(
        engine->placer, engine->state,
        uid_slot(state_group_named(engine->state, text_of(name))->uid));
}

/* Sizes are classes of their own, made when they first come up. */
static struct class_id class_of(struct engine *engine,
                                const struct trace_vm *vm)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};
    const struct class *class;
    char name[48];

    snprintf(name, sizeof(name), "c%u-%u", vm->cpu_milli, vm->memory_mib);
    class = state_class_named(engine->state, text_of(name));
    if (class == NULL) {
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {vm->cpu_milli, vm->memory_mib, 1, 0},
        };
        apply(engine, &change);
        class = state_class_named(engine->state, text_of(name));
        placer_rebuild(engine->placer, engine->state);
    }
    return (struct class_id){class->uid};
}

static uint32_t create_vm(struct engine *engine, uint32_t number,
                          const struct trace_vm *vm)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    char name[32];
    char group[32];

    snprintf(name, sizeof(name), "v%u", number);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = class_of(engine, vm),
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
    };
    if (vm->zone != UINT32_MAX) {
        change.vm_create.zone.uid = state_zone_at(engine->state, vm->zone)->uid;
    }
    if (vm->group != UINT32_MAX) {
        snprintf(group, sizeof(group), "g%u", vm->group);
        change.vm_create.group.uid =
            state_group_named(engine->state, text_of(group))->uid;
    }
    apply(engine, &change);
    return uid_slot(state_vm_named(engine->state, text_of(name))->uid);
}

uint32_t engine_place(struct engine *engine, uint32_t number,
                      const struct trace_vm *vm)
{
    uint32_t slot = create_vm(engine, number, vm);
    struct placement_request request;
    struct placement_choice choice;
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    placer_vm_changed(engine->placer, engine->state, slot);
    request =
        (struct placement_request){state_vm_at(engine->state, slot), SLOT_NONE};
    placer_choose(engine->placer, engine->state, &request, &choice);
    if (choice.host == SLOT_NONE) {
        change = (struct change){.kind = CHANGE_VM_DELETE,
                                 .vm_delete = {{request.vm->uid}}};
        apply(engine, &change);
        placer_vm_changed(engine->placer, engine->state, slot);
        return UINT32_MAX;
    }
    change.vm_assign = (struct change_vm_assign){
        {request.vm->uid},
        {state_host_at(engine->state, choice.host)->uid},
        request.vm->epoch + 1};
    apply(engine, &change);
    placer_vm_changed(engine->placer, engine->state, slot);
    engine->slots[number] = slot;
    return choice.host;
}

void engine_remove(struct engine *engine, uint32_t number)
{
    uint32_t slot = engine->slots[number];
    const struct vm *vm = state_vm_at(engine->state, slot);
    struct vm_id id = {vm->uid};
    uint64_t epoch = vm->epoch;
    uint32_t host = vm->host;
    struct change change = {.kind = CHANGE_VM_DESIRE,
                            .vm_desire = {id, DESIRED_STOPPED, true}};

    apply(engine, &change);
    change = (struct change){.kind = CHANGE_VM_RELEASE,
                             .vm_release = {.vm = id, .epoch = epoch}};
    apply(engine, &change);
    placer_vm_changed(engine->placer, engine->state, slot);
    placer_host_changed(engine->placer, engine->state, host);
}
