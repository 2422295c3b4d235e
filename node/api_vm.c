/* SPDX-License-Identifier: Apache-2.0
 *
 * VmService. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/api_template.h"
#include "node/failover.h"
#include "node/view.h"
#include "state/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/vm_service.pb-c.h>

#define VM_ARENA_BYTES (1u << 20)

/* Packed bytes of one page: below the 4 MiB that a message may have. */
#define PAGE_BYTES_MAX (3u << 20)

/* Fills one response type's `vm` and `revision` and packs it. */
#define RESPOND_VM(type, TYPE, plan, reply, uid)                  \
    do {                                                          \
        Holdfast__V1__##type##Response response =                 \
            HOLDFAST__V1__##TYPE##_RESPONSE__INIT;                \
        struct arena arena;                                       \
        arena_init(&arena, VM_ARENA_BYTES);                       \
        response.vm = view_after(&arena, (plan)->scratch, (uid)); \
        response.revision = state_revision((plan)->scratch);      \
        api_respond((reply), &response.base);                     \
        arena_close(&arena);                                      \
    } while (0)

static Holdfast__V1__Vm *view_after(struct arena *arena,
                                    const struct state *state, uint64_t uid)
{
    const struct vm *vm = state_vm(state, (struct vm_id){uid});

    CHECK(vm != NULL);
    return view_vm(arena, state, vm, true);
}

static bool check_priority(struct api_reply *reply, uint32_t priority)
{
    return api_check_range(reply, "vm.priority", priority, 0, 1000);
}

static enum on_partition on_partition_of(int value)
{
    return value == HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP
               ? ON_PARTITION_KEEP
               : ON_PARTITION_MOVE;
}

static bool check_enums(struct api_reply *reply, const Holdfast__V1__Vm *vm)
{
    return api_check_range(reply, "vm.on_partition", (uint64_t)vm->on_partition,
                           0, 2) &&
           api_check_range(reply, "vm.desired", (uint64_t)vm->desired, 0, 2);
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

/* The class must be offered where the VM may run, or it could never start. */
static bool check_zone(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__Vm *vm, const struct class *class,
                       struct zone_id *id)
{
    const struct zone *zone;

    id->uid = 0;
    if (vm->zone[0] == '\0') {
        return true;
    }
    zone = api_find_zone(reply, state, "vm.zone", vm->zone);
    if (zone == NULL) {
        return false;
    }
    id->uid = zone->uid;
    if (class->zone_mask != 0 &&
        (class->zone_mask >> uid_slot(zone->uid) & 1) == 0) {
        api_fail(reply, API_TARGET_REFUSED,
                 "vm.zone: class '%s' is not offered in zone '%s'", class->name,
                 zone->name);
        return false;
    }
    return true;
}

static bool check_create(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__Vm *vm)
{
    if (vm == NULL) {
        api_fail(reply, API_INVALID_FIELD, "vm: must be given");
        return false;
    }
    if (!api_check_name(reply, "vm.name", vm->name) ||
        !check_output_fields(reply, vm) ||
        !check_priority(reply, vm->priority) || !check_enums(reply, vm)) {
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

/* Pools must be known: apply would give an unknown one a slot for ever. */
static bool check_pools(struct api_reply *reply, const struct state *state,
                        const struct vm_template *template)
{
    for (uint32_t i = 0; i < template->pool_count; i++) {
        if (state_pool_bit(state, template->pools[i]) == 0) {
            api_fail(reply, API_POOL_UNKNOWN,
                     "vm.template.disks: no host ever reported the pool "
                     "'%.*s'; mount it on hosts and name it in their "
                     "configuration",
                     (int)template->pools[i].len, template->pools[i].data);
            return false;
        }
    }
    return true;
}

static void create(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__Vm *vm, struct bytes *labels,
                   struct vm_template *template)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    const struct class *class =
        api_find_class(reply, plan->scratch, vm->class_name);
    const struct vm *created;
    struct zone_id zone;
    uint64_t uid;

    if (class == NULL || !check_zone(reply, plan->scratch, vm, class, &zone) ||
        !api_check_labels(reply, "vm.labels", vm->labels, vm->n_labels,
                          labels) ||
        !api_check_template(reply, vm->template_, template) ||
        !check_pools(reply, plan->scratch, template)) {
        return;
    }
    change.vm_create = (struct change_vm_create){
        .name = text_of(vm->name),
        .class = {class->uid},
        .zone = zone,
        .priority = vm->priority,
        .on_partition = on_partition_of((int)vm->on_partition),
        .desired =
            vm->desired == HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED
                ? DESIRED_STOPPED
                : DESIRED_RUNNING,
        .driver = template->driver,
        .pools = template->pools,
        .pool_count = template->pool_count,
        .template = {(const char *)template->encoded.data,
                     (uint32_t) template->encoded.len},
        .labels = {(const char *)labels->data, (uint32_t)labels->len},
    };
    turn_change(plan, &change);
    created = state_vm_named(plan->scratch, text_of(vm->name));
    uid = created->uid;
    if (created->state == VM_PENDING) {
        failover_place(plan, created);
    }
    RESPOND_VM(CreateVm, CREATE_VM, plan, reply, uid);
}

void api_create_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__CreateVmRequest *request =
        (const Holdfast__V1__CreateVmRequest *)(const void *)message;
    struct vm_template template;
    struct bytes labels;

    if (!check_create(reply, plan->scratch, request->vm) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0)) {
        return;
    }
    bytes_init(&labels);
    vm_template_init(&template);
    create(reply, plan, request->vm, &labels, &template);
    vm_template_close(&template);
    bytes_close(&labels);
}

void api_get_vm(const ProtobufCMessage *message, const struct api_view *view,
                struct api_reply *reply)
{
    const Holdfast__V1__GetVmRequest *request =
        (const Holdfast__V1__GetVmRequest *)(const void *)message;
    Holdfast__V1__GetVmResponse response = HOLDFAST__V1__GET_VM_RESPONSE__INIT;
    const struct vm *vm = api_find_vm(reply, view->state, request->name);

    if (vm == NULL) {
        return;
    }
    response.vm = view_vm(view->arena, view->state, vm, true);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* The conditions of a list. */
struct vm_filter {
    uint32_t host;
    uint32_t zone;
    uint32_t state;
    struct label labels[LABELS_MAX];
    size_t label_count;
};

static bool parse_labels(struct api_reply *reply, const char *text,
                         struct vm_filter *filter)
{
    while (*text != '\0') {
        size_t len = strcspn(text, ",");
        const char *equals = memchr(text, '=', len);
        struct label *label = &filter->labels[filter->label_count];

        if (equals == NULL || equals == text ||
            filter->label_count == LABELS_MAX) {
            api_fail(reply, API_INVALID_FIELD,
                     "filter: '%.80s' is not label=value, parted by commas",
                     text);
            return false;
        }
        label->key = (struct text){text, (uint32_t)(equals - text)};
        label->value =
            (struct text){equals + 1, (uint32_t)(text + len - equals - 1)};
        filter->label_count++;
        text += len;
        text += *text == ',';
    }
    return true;
}

static bool parse_filter(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__ListVmsRequest *request,
                         struct vm_filter *filter)
{
    *filter = (struct vm_filter){.host = SLOT_NONE, .zone = SLOT_NONE};
    filter->state = (uint32_t)request->state;
    if (!api_check_range(reply, "state", filter->state, 0, VM_LOST)) {
        return false;
    }
    if (request->host[0] != '\0') {
        const struct host *host = api_find_host(reply, state, request->host);

        if (host == NULL) {
            return false;
        }
        filter->host = uid_slot(host->uid);
    }
    if (request->zone[0] != '\0') {
        const struct zone *zone =
            api_find_zone(reply, state, "zone", request->zone);

        if (zone == NULL) {
            return false;
        }
        filter->zone = uid_slot(zone->uid);
    }
    return parse_labels(reply, request->filter, filter);
}

static bool filter_takes(const struct vm_filter *filter,
                         const struct state *state, const struct vm *vm)
{
    if ((filter->host != SLOT_NONE && vm->host != filter->host) ||
        (filter->state != 0 && vm->state != filter->state)) {
        return false;
    }
    if (filter->zone != SLOT_NONE &&
        (vm->host == SLOT_NONE ||
         state_host_at(state, vm->host)->zone != filter->zone)) {
        return false;
    }
    for (size_t i = 0; i < filter->label_count; i++) {
        struct text value;

        if (!labels_get(state_blob(state, vm->labels_blob),
                        filter->labels[i].key, &value) ||
            value.len != filter->labels[i].value.len ||
            memcmp(value.data, filter->labels[i].value.data, value.len) != 0) {
            return false;
        }
    }
    return true;
}

void api_list_vms(const ProtobufCMessage *message, const struct api_view *view,
                  struct api_reply *reply)
{
    const Holdfast__V1__ListVmsRequest *request =
        (const Holdfast__V1__ListVmsRequest *)(const void *)message;
    Holdfast__V1__ListVmsResponse response =
        HOLDFAST__V1__LIST_VMS_RESPONSE__INIT;
    const struct state *state = view->state;
    struct vm_filter filter;
    char token[16] = "";
    uint32_t slot;
    uint32_t count;
    size_t size = 0;

    if (!api_check_page(reply, request->page_size, request->page_token, &slot,
                        &count) ||
        !parse_filter(reply, state, request, &filter)) {
        return;
    }
    response.vms = view_alloc(view->arena, count * sizeof(*response.vms));
    for (; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);
        Holdfast__V1__Vm *item;

        if (vm == NULL || !filter_takes(&filter, state, vm)) {
            continue;
        }
        if (response.n_vms == count || size > PAGE_BYTES_MAX) {
            snprintf(token, sizeof(token), "%u", slot);
            break;
        }
        item = view_vm(view->arena, state, vm, false);
        size += holdfast__v1__vm__get_packed_size(item) + 8;
        response.vms[response.n_vms++] = item;
    }
    response.next_page_token = token;
    response.age_ms = view->age_ms;
    response.revision = state_revision(state);
    api_respond(reply, &response.base);
}

static bool check_mask(struct api_reply *reply,
                       const Holdfast__V1__UpdateVmRequest *request,
                       uint32_t *mask)
{
    *mask = 0;
    for (size_t i = 0; i < request->n_update_mask; i++) {
        const char *name = request->update_mask[i];

        if (strcmp(name, "priority") == 0) {
            *mask |= VM_UPDATE_PRIORITY;
        } else if (strcmp(name, "on_partition") == 0) {
            *mask |= VM_UPDATE_ON_PARTITION;
        } else if (strcmp(name, "labels") == 0) {
            *mask |= VM_UPDATE_LABELS;
        } else {
            api_fail(reply, API_INVALID_FIELD,
                     "update_mask: '%.80s' cannot be changed; priority, "
                     "on_partition and labels can",
                     name);
            return false;
        }
    }
    if (*mask == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "update_mask: name at least one of priority, on_partition, "
                 "labels");
        return false;
    }
    return true;
}

/* The VM, if the request may still change it. */
static const struct vm *find_for_change(struct api_reply *reply,
                                        const struct state *state,
                                        const char *name,
                                        uint64_t expect_revision)
{
    const struct vm *vm = api_find_vm(reply, state, name);

    if (vm == NULL ||
        !api_check_revision(reply, expect_revision, vm->revision, name)) {
        return NULL;
    }
    if (vm->deleting) {
        api_fail(reply, API_VM_DELETING,
                 "the delete of VM '%s' was accepted and is final; it "
                 "disappears when its host confirms the stop",
                 name);
        return NULL;
    }
    return vm;
}

void api_update_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__UpdateVmRequest *request =
        (const Holdfast__V1__UpdateVmRequest *)(const void *)message;
    struct change change = {.kind = CHANGE_VM_UPDATE};
    const struct vm *vm;
    struct bytes labels;
    uint32_t mask;
    uint64_t uid;

    if (request->vm == NULL) {
        api_fail(reply, API_INVALID_FIELD, "vm: must be given");
        return;
    }
    vm = find_for_change(reply, plan->scratch, request->vm->name,
                         request->expect_revision);
    if (vm == NULL || !check_mask(reply, request, &mask) ||
        !check_priority(reply, request->vm->priority) ||
        !check_enums(reply, request->vm)) {
        return;
    }
    uid = vm->uid;
    bytes_init(&labels);
    if (api_check_labels(reply, "vm.labels", request->vm->labels,
                         request->vm->n_labels, &labels)) {
        change.vm_update = (struct change_vm_update){
            .vm = {uid},
            .mask = mask,
            .priority = request->vm->priority,
            .on_partition = on_partition_of((int)request->vm->on_partition),
            .labels = {(const char *)labels.data, (uint32_t)labels.len},
        };
        turn_change(plan, &change);
        RESPOND_VM(UpdateVm, UPDATE_VM, plan, reply, uid);
    }
    bytes_close(&labels);
}

/* A clone in which the VM has left its host, on its way to the target; what
 * cannot be applied of the move (CHANGE_VM_MOVE) is left out. */
static struct state *let_go(const struct state *state,
                            const struct change *move, bool with_host)
{
    struct state *trial = state_clone(state);
    struct change change = *move;

    if (!with_host) {
        change.vm_move.host.uid = 0;
    }
    state_apply(trial, &change, NULL);
    change = (struct change){.kind = CHANGE_VM_RELEASE};
    change.vm_release = (struct change_vm_release){
        .vm = move->vm_move.vm,
        .epoch = state_vm(trial, move->vm_move.vm)->epoch,
        .reason = {"", 0},
    };
    state_apply(trial, &change, NULL);
    return trial;
}

/* The target of a move must be one that could take the VM now; what placement
 * says is asked on a clone. */
static bool check_move_target(struct api_reply *reply,
                              const struct turn_plan *plan,
                              const struct change *move)
{
    const struct vm *vm = state_vm(plan->scratch, move->vm_move.vm);
    const struct host *host = state_host(plan->scratch, move->vm_move.host);
    bool fits =
        host == NULL ||
        (host->state == HOST_UP &&
         state_claim_fits(host, state_class_at(plan->scratch, vm->class_slot)));
    struct state *trial = let_go(plan->scratch, move, fits);
    struct vm wish = *state_vm(trial, move->vm_move.vm);
    struct placement_request request = {&wish, SLOT_NONE};
    struct placement_choice choice;
    char words[400];

    if (host != NULL) {
        wish.move_host = uid_slot(host->uid);
    }
    placer_rebuild(plan->placer, trial);
    placer_choose(plan->placer, trial, &request, &choice);
    placement_explain(trial, &choice, words, sizeof(words));
    placer_rebuild(plan->placer, plan->scratch);
    state_destroy(trial);
    if (choice.host == SLOT_NONE) {
        api_fail(reply, API_TARGET_REFUSED, "the VM cannot move there: %s",
                 words);
    } else if (!fits) {
        api_fail(reply, API_TARGET_REFUSED,
                 "the VM cannot move there: the host has no room beside the "
                 "VMs that are there and on their way");
    }
    return fits && choice.host != SLOT_NONE;
}

static bool find_move_target(struct api_reply *reply, const struct state *state,
                             const Holdfast__V1__MoveVmRequest *request,
                             struct change_vm_move *move)
{
    if (request->zone[0] != '\0' && request->host[0] != '\0') {
        api_fail(reply, API_INVALID_FIELD,
                 "zone, host: give one of them, or neither for any other "
                 "host");
        return false;
    }
    if (request->zone[0] != '\0') {
        const struct zone *zone =
            api_find_zone(reply, state, "zone", request->zone);

        move->zone.uid = zone == NULL ? 0 : zone->uid;
        return zone != NULL;
    }
    if (request->host[0] != '\0') {
        const struct host *host = api_find_host(reply, state, request->host);

        move->host.uid = host == NULL ? 0 : host->uid;
        return host != NULL;
    }
    return true;
}

static bool check_not_there(struct api_reply *reply, const struct vm *vm,
                            struct host_id host)
{
    if (host.uid != 0 && uid_slot(host.uid) == vm->host) {
        api_fail(reply, API_TARGET_REFUSED,
                 "VM '%s' is on that host already; name another one", vm->name);
        return false;
    }
    return true;
}

void api_move_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                 struct api_reply *reply)
{
    const Holdfast__V1__MoveVmRequest *request =
        (const Holdfast__V1__MoveVmRequest *)(const void *)message;
    struct change change = {.kind = CHANGE_VM_MOVE};
    const struct vm *vm = find_for_change(reply, plan->scratch, request->name,
                                          request->expect_revision);
    uint64_t uid;

    if (vm == NULL) {
        return;
    }
    uid = vm->uid;
    if (vm->desired != DESIRED_RUNNING) {
        api_fail(reply, API_VM_NOT_RUNNING,
                 "VM '%s' is not to run, so there is nothing to move; start it "
                 "first",
                 vm->name);
        return;
    }
    if (vm->host == SLOT_NONE) {
        api_fail(reply, API_VM_NOT_RUNNING,
                 "VM '%s' waits for a host and goes to the first that can take "
                 "it; move it once it runs",
                 vm->name);
        return;
    }
    if (vm->moving) {
        api_fail(reply, API_VM_MOVING,
                 "a move of VM '%s' is under way; wait until it is done",
                 vm->name);
        return;
    }
    change.vm_move.vm.uid = uid;
    change.vm_move.cause = MOVE_CAUSE_REQUEST;
    if (!find_move_target(reply, plan->scratch, request, &change.vm_move) ||
        !check_not_there(reply, vm, change.vm_move.host) ||
        !check_move_target(reply, plan, &change)) {
        return;
    }
    turn_change(plan, &change);
    RESPOND_VM(MoveVm, MOVE_VM, plan, reply, uid);
}

static void set_desired(struct turn_plan *plan, uint64_t uid,
                        enum desired_state desired)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});

    if (vm->desired != (uint8_t)desired) {
        change.vm_desire = (struct change_vm_desire){{uid}, desired, false};
        turn_change(plan, &change);
    }
    vm = state_vm(plan->scratch, (struct vm_id){uid});
    if (vm->state == VM_PENDING) {
        failover_place(plan, vm);
    }
}

void api_start_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                  struct api_reply *reply)
{
    const Holdfast__V1__StartVmRequest *request =
        (const Holdfast__V1__StartVmRequest *)(const void *)message;
    const struct vm *vm = find_for_change(reply, plan->scratch, request->name,
                                          request->expect_revision);
    uint64_t uid;

    if (vm == NULL) {
        return;
    }
    uid = vm->uid;
    set_desired(plan, uid, DESIRED_RUNNING);
    RESPOND_VM(StartVm, START_VM, plan, reply, uid);
}

void api_stop_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                 struct api_reply *reply)
{
    const Holdfast__V1__StopVmRequest *request =
        (const Holdfast__V1__StopVmRequest *)(const void *)message;
    const struct vm *vm = find_for_change(reply, plan->scratch, request->name,
                                          request->expect_revision);
    uint64_t uid;

    if (vm == NULL) {
        return;
    }
    uid = vm->uid;
    set_desired(plan, uid, DESIRED_STOPPED);
    RESPOND_VM(StopVm, STOP_VM, plan, reply, uid);
}

void api_delete_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__DeleteVmRequest *request =
        (const Holdfast__V1__DeleteVmRequest *)(const void *)message;
    Holdfast__V1__DeleteVmResponse response =
        HOLDFAST__V1__DELETE_VM_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_VM_DELETE};
    const struct vm *vm = api_find_vm(reply, plan->scratch, request->name);
    struct arena arena;

    if (vm == NULL || !api_check_revision(reply, request->expect_revision,
                                          vm->revision, request->name)) {
        return;
    }
    arena_init(&arena, VM_ARENA_BYTES);
    response.vm = view_vm(&arena, plan->scratch, vm, false);
    if (vm->host == SLOT_NONE) {
        change.vm_delete.vm.uid = vm->uid;
        turn_change(plan, &change);
    } else if (!vm->deleting) {
        change.kind = CHANGE_VM_DESIRE;
        change.vm_desire =
            (struct change_vm_desire){{vm->uid}, DESIRED_STOPPED, true};
        turn_change(plan, &change);
    }
    response.vm->status->deleting = true;
    /* What a repeated request could not be told once the VM is gone. */
    response.vm->template_ = NULL;
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
