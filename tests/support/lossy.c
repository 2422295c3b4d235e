/* SPDX-License-Identifier: Apache-2.0 */
#include "lossy.h"

#include "state/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

void lossy_apply(struct state *state, struct change change)
{
    state_apply(state, &change, NULL);
}

/* --- Regions -------------------------------------------------------------- */

static void add_zone(struct state *state, const char *name)
{
    lossy_apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                       .zone_create = {text_of(name)}});
}

void lossy_add_host(struct state *state, struct lossy_host spec)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    struct text pool = text_of(spec.pool != NULL ? spec.pool : "");
    struct label label = {text_of("rack"), {NULL, 0}};
    struct bytes labels;

    bytes_init(&labels);
    if (spec.rack != NULL) {
        label.value = text_of(spec.rack);
        assert_int_equal(labels_encode(&label, 1, &labels), 0);
    }
    change.host_register = (struct change_host_register){
        .name = text_of(spec.name),
        .zone = {state_zone_named(state, text_of(spec.zone))->uid},
        .fault_domain = text_of(spec.domain != NULL ? spec.domain : ""),
        .host_id = text_of(spec.name),
        .boot_id = text_of("boot"),
        .capacity = {spec.cpus * 1000, spec.gib * 1024, spec.disk_gib, 0},
        .pools = &pool,
        .pool_count = spec.pool != NULL,
        .driver_mask = 1 << DRIVER_QEMU,
        .labels = {(const char *)labels.data, (uint32_t)labels.len},
        .agent_version = text_of(""),
    };
    lossy_apply(state, change);
    bytes_close(&labels);
}

static void add_class(struct state *state, const char *name, uint32_t cpus,
                      uint32_t gib)
{
    lossy_apply(state, (struct change){
                           .kind = CHANGE_CLASS_CREATE,
                           .class_create = {
                               .name = text_of(name),
                               .resources = {cpus * 1000, gib * 1024, 0, 0}}});
}

struct state *lossy_region(void)
{
    struct state *state = state_create();
    struct change policy = {.kind = CHANGE_POLICY};

    add_zone(state, "za");
    add_zone(state, "zb");
    add_zone(state, "zc");
    add_class(state, "small", 1, 2);
    add_class(state, "medium", 2, 4);
    add_class(state, "large", 4, 8);
    policy_init(&policy.policy.policy);
    lossy_apply(state, policy);
    return state;
}

void lossy_plain_host(struct state *state, const char *name, const char *zone,
                      uint32_t cpus)
{
    lossy_add_host(
        state, (struct lossy_host){
                   .name = name, .zone = zone, .cpus = cpus, .gib = cpus * 2});
}

uint64_t lossy_uid_of(const struct state *state, const char *name)
{
    const struct vm *vm = state_vm_named(state, text_of(name));

    assert_non_null(vm);
    return vm->uid;
}

uint32_t lossy_slot_of(const struct state *state, const char *name)
{
    return uid_slot(lossy_uid_of(state, name));
}

static void assign(struct state *state, const char *vm, const char *host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {lossy_uid_of(state, vm)},
        {state_host_named(state, text_of(host))->uid},
        state_vm_named(state, text_of(vm))->epoch + 1};
    lossy_apply(state, change);
}

void lossy_add_vm(struct state *state, struct lossy_vm spec)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct text pool = text_of(spec.pool != NULL ? spec.pool : "");
    struct label label = {text_of("rack"), {NULL, 0}};
    struct bytes selector;

    bytes_init(&selector);
    if (spec.rack != NULL) {
        label.value = text_of(spec.rack);
        assert_int_equal(labels_encode(&label, 1, &selector), 0);
    }
    change.vm_create = (struct change_vm_create){
        .name = text_of(spec.name),
        .class = {state_class_named(state, text_of(spec.class))->uid},
        .zone = {spec.zone == NULL
                     ? 0
                     : state_zone_named(state, text_of(spec.zone))->uid},
        .priority = spec.priority,
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .pools = &pool,
        .pool_count = spec.pool != NULL,
        .template = text_of(""),
        .labels = text_of(""),
        .selector = {(const char *)selector.data, (uint32_t)selector.len},
        .preemptible = spec.preemptible,
        .local_disk = spec.local_disk,
        .group = {spec.group == NULL
                      ? 0
                      : state_group_named(state, text_of(spec.group))->uid},
    };
    lossy_apply(state, change);
    bytes_close(&selector);
    if (spec.host != NULL) {
        assign(state, spec.name, spec.host);
    }
}

void lossy_add_group(struct state *state, const char *name,
                     struct group_fields fields)
{
    fields.template = text_of("");
    fields.labels = text_of("");
    fields.selector = text_of("");
    lossy_apply(state,
                (struct change){.kind = CHANGE_GROUP_CREATE,
                                .group_create = {text_of(name), fields}});
}

void lossy_lose_host(struct state *state, const char *name)
{
    lossy_apply(
        state, (struct change){
                   .kind = CHANGE_HOST_FENCE,
                   .host_fence = {{state_host_named(state, text_of(name))->uid},
                                  FENCE_LEASE_ENDED}});
}

void lossy_lose_zone(struct state *state, const char *name)
{
    const struct zone *zone = state_zone_named(state, text_of(name));
    uint32_t slot = uid_slot(zone->uid);

    lossy_apply(state, (struct change){.kind = CHANGE_ZONE_STATE,
                                       .zone_state = {{zone->uid}, ZONE_LOST}});
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host != NULL && host->zone == slot) {
            lossy_lose_host(state, host->name);
        }
    }
}

/* --- Plans ---------------------------------------------------------------- */

struct evacuation *lossy_plan(const struct state *state)
{
    struct evacuation *evacuation = evacuation_create(state);

    for (int slices = 0; !evacuation_work(evacuation, 100); slices++) {
        assert_true(slices < 100000);
    }
    return evacuation;
}

const struct evacuation_step *lossy_step_of(const struct state *state,
                                            const struct evacuation *plan,
                                            const char *vm)
{
    uint32_t count;
    const struct evacuation_step *steps = evacuation_steps(plan, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].vm == lossy_slot_of(state, vm)) {
            return &steps[i];
        }
    }
    return NULL;
}

const char *lossy_goes(const struct state *state, const struct evacuation *plan,
                       const char *vm)
{
    const struct evacuation_step *step = lossy_step_of(state, plan, vm);

    return step == NULL              ? "no step"
           : step->host == SLOT_NONE ? "none"
                                     : state_host_at(state, step->host)->name;
}

const char *lossy_zone_of(const struct state *state,
                          const struct evacuation *plan, const char *vm)
{
    const struct evacuation_step *step = lossy_step_of(state, plan, vm);

    if (step == NULL || step->host == SLOT_NONE) {
        return "none";
    }
    return state_zone_at(state, state_host_at(state, step->host)->zone)->name;
}

void lossy_end(struct state *state, struct evacuation *plan)
{
    evacuation_destroy(plan);
    state_destroy(state);
}
