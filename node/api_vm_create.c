/* SPDX-License-Identifier: Apache-2.0
 *
 * CreateVm. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_operation.h"
#include "node/api_rules.h"
#include "node/api_size.h"
#include "node/api_template.h"
#include "node/api_vm.h"
#include "node/failover.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/vm_service.pb-c.h>

/* What the request becomes. */
struct vm_parts {
    struct bytes labels;
    struct bytes selector;
    struct vm_template template;
    struct api_size size;
    const struct zone *zone;   /* NULL: zone-redundant. */
    const struct group *group; /* NULL: none. */
};

static bool check_enums(struct api_reply *reply, const Holdfast__V1__Vm *vm)
{
    return api_check_range(reply, "vm.priority", vm->priority, 0,
                           VM_PRIORITY_MAX) &&
           api_check_range(reply, "vm.on_partition", (uint64_t)vm->on_partition,
                           0, 2) &&
           api_check_range(reply, "vm.desired", (uint64_t)vm->desired, 0, 2);
}

enum on_partition api_on_partition(Holdfast__V1__OnPartition value)
{
    return value == HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP
               ? ON_PARTITION_KEEP
               : ON_PARTITION_MOVE;
}

/* What a create must leave empty: Holdfast fills it in. */
static bool check_output_fields(struct api_reply *reply,
                                const Holdfast__V1__Vm *vm)
{
    if (vm->uid == 0 && vm->revision == 0 && vm->create_time_ms == 0 &&
        vm->status == NULL) {
        return true;
    }
    api_fail(reply, API_INVALID_FIELD,
             "vm: uid, revision, create_time_ms and status are given by "
             "Holdfast; leave them out");
    return false;
}

static bool check_create(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__Vm *vm)
{
    if (vm == NULL) {
        api_fail(reply, API_INVALID_FIELD, "vm: must be given");
        return false;
    }
    if (!api_check_name(reply, "vm.name", vm->name) ||
        !check_output_fields(reply, vm) || !check_enums(reply, vm)) {
        return false;
    }
    if (state_vm_named(state, text_of(vm->name)) != NULL) {
        api_fail(reply, API_NAME_TAKEN, "there is a VM '%s' already", vm->name);
        return false;
    }
    if (state_counts(state)->vms >= VMS_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region holds %u VMs already",
                 VMS_MAX);
        return false;
    }
    return true;
}

/* The class must be offered where the VM may run, or it could never start. */
static bool find_zone(struct api_reply *reply, const struct state *state,
                      const Holdfast__V1__Vm *vm, struct vm_parts *parts)
{
    const struct class *class = parts->size.class;

    if (vm->zone[0] == '\0') {
        return true;
    }
    parts->zone = api_find_zone(reply, state, "vm.zone", vm->zone);
    if (parts->zone == NULL) {
        return false;
    }
    if (class != NULL && class->zone_mask != 0 &&
        (class->zone_mask >> uid_slot(parts->zone->uid) & 1) == 0) {
        api_fail(reply, API_TARGET_REFUSED,
                 "vm.zone: class '%s' is not offered in zone '%s'", class->name,
                 parts->zone->name);
        return false;
    }
    return true;
}

static bool find_group(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__Vm *vm, struct vm_parts *parts)
{
    if (vm->group[0] == '\0') {
        return true;
    }
    parts->group = api_find_group(reply, state, "vm.group", vm->group);
    if (parts->group != NULL && parts->group->deleting) {
        api_fail(reply, API_GROUP_DELETING,
                 "vm.group: the delete of group '%s' was accepted and is "
                 "final; no VM joins it any more",
                 vm->group);
        return false;
    }
    return parts->group != NULL;
}

static bool check_rules(struct api_reply *reply, const struct state *state,
                        const Holdfast__V1__Vm *vm,
                        const struct vm_parts *parts)
{
    struct api_rules rules = {
        .state = state,
        .disk_zones = parts->template.disk_zone_mask,
    };
    char subject[3 * NAME_BYTES];

    snprintf(subject, sizeof(subject), "VM '%s'", vm->name);
    if (parts->size.class != NULL) {
        rules.class_zones = parts->size.class->zone_mask;
    }
    if (parts->zone != NULL) {
        rules.own_zone = UINT64_C(1) << uid_slot(parts->zone->uid);
    }
    if (parts->group != NULL) {
        rules.group_zones = parts->group->zone_mask;
        snprintf(subject, sizeof(subject), "VM '%s' in group '%s'", vm->name,
                 vm->group);
    }
    return api_check_rules(reply, subject, &rules, NULL);
}

static bool read_parts(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__Vm *vm, struct vm_parts *parts)
{
    return api_check_size(reply, state, "vm", vm->class_name, vm->resources,
                          &parts->size) &&
           find_zone(reply, state, vm, parts) &&
           find_group(reply, state, vm, parts) &&
           api_check_labels(reply, "vm.labels", vm->labels, vm->n_labels,
                            &parts->labels) &&
           api_check_labels(reply, "vm.host_selector", vm->host_selector,
                            vm->n_host_selector, &parts->selector) &&
           api_check_template(reply, state, "vm.template", vm->template_,
                              &parts->template) &&
           check_rules(reply, state, vm, parts);
}

static struct text text_in(const struct bytes *bytes)
{
    return (struct text){(const char *)bytes->data, (uint32_t)bytes->len};
}

static void fill(const Holdfast__V1__Vm *vm, const struct vm_parts *parts,
                 struct change_vm_create *create)
{
    const struct vm_template *template = &parts->template;

    *create = (struct change_vm_create){
        .name = text_of(vm->name),
        .class = {parts->size.class == NULL ? 0 : parts->size.class->uid},
        .zone = {parts->zone == NULL ? 0 : parts->zone->uid},
        .priority = vm->priority,
        .on_partition = api_on_partition(vm->on_partition),
        .desired =
            vm->desired == HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                ? DESIRED_STOPPED
                : DESIRED_RUNNING,
        .driver = template->driver,
        .pools = template->pools,
        .pool_count = template->pool_count,
        .template = text_in(&template->encoded),
        .labels = text_in(&parts->labels),
        .preemptible = vm->preemptible,
        .local_disk = template->local_disk,
        .disk_zone_mask = template->disk_zone_mask,
        .group = {parts->group == NULL ? 0 : parts->group->uid},
        .selector = text_in(&parts->selector),
    };
}

static bool create(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__Vm *vm, struct vm_parts *parts,
                   bool place)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    const struct vm *created;

    if (!read_parts(reply, plan->scratch, vm, parts)) {
        return false;
    }
    fill(vm, parts, &change.vm_create);
    if (!api_check_create_headroom(reply, plan, &parts->size, &change)) {
        return false;
    }
    change.vm_create.class = api_size_class(&parts->size, plan);
    turn_change(plan, &change);
    created = state_vm_named(plan->scratch, text_of(vm->name));
    if (place && created->state == VM_PENDING) {
        failover_place(plan, created);
    }
    return true;
}

bool api_vm_make(struct api_reply *reply, struct turn_plan *plan,
                 const Holdfast__V1__Vm *vm, bool place)
{
    struct vm_parts parts = {0};
    bool good;

    if (!check_create(reply, plan->scratch, vm)) {
        return false;
    }
    bytes_init(&parts.labels);
    bytes_init(&parts.selector);
    vm_template_init(&parts.template);
    good = create(reply, plan, vm, &parts, place);
    vm_template_close(&parts.template);
    bytes_close(&parts.labels);
    bytes_close(&parts.selector);
    return good;
}

void api_create_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__CreateVmRequest *request =
        (const Holdfast__V1__CreateVmRequest *)(const void *)message;
    Holdfast__V1__CreateVmResponse response =
        HOLDFAST__V1__CREATE_VM_RESPONSE__INIT;
    struct arena arena;

    if (!api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0) ||
        !api_vm_make(reply, plan, request->vm, true)) {
        return;
    }
    arena_init(&arena, VM_ARENA_BYTES);
    response.vm =
        view_vm(&arena, plan->scratch,
                state_vm_named(plan->scratch, text_of(request->vm->name)), true,
                plan->placer);
    response.operation_id = api_operation_id(
        &arena, operation_of_vm(
                    state_vm_named(plan->scratch, text_of(request->vm->name))));
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
