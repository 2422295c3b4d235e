/* SPDX-License-Identifier: Apache-2.0
 *
 * VmService; CreateVm is in api_vm_create.c. */
#include "node/api_vm.h"
#include "base/check.h"
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_operation.h"
#include "node/api_page.h"
#include "node/failover.h"
#include "node/label_filter.h"
#include "node/view.h"

#include <inttypes.h>
#include <string.h>

#include <holdfast/v1/vm_service.pb-c.h>

/* Fills one response type's `vm` and `revision` and packs it. */
#define RESPOND_VM(type, TYPE, plan, reply, uid)             \
    do {                                                     \
        Holdfast__V1__##type##Response response =            \
            HOLDFAST__V1__##TYPE##_RESPONSE__INIT;           \
        struct arena arena;                                  \
        arena_init(&arena, VM_ARENA_BYTES);                  \
        response.vm = view_after(&arena, (plan), (uid));     \
        response.revision = state_revision((plan)->scratch); \
        api_respond((reply), &response.base);                \
        arena_close(&arena);                                 \
    } while (0)

/* Likewise, of what takes time. */
#define RESPOND_VM_OPERATION(type, TYPE, plan, reply, uid)        \
    do {                                                          \
        Holdfast__V1__##type##Response response =                 \
            HOLDFAST__V1__##TYPE##_RESPONSE__INIT;                \
        struct arena arena;                                       \
        arena_init(&arena, VM_ARENA_BYTES);                       \
        response.vm = view_after(&arena, (plan), (uid));          \
        response.operation_id =                                   \
            begun_after(&arena, (plan), (uid), OPERATION_##TYPE); \
        response.revision = state_revision((plan)->scratch);      \
        api_respond((reply), &response.base);                     \
        arena_close(&arena);                                      \
    } while (0)

static Holdfast__V1__Vm *view_after(struct arena *arena,
                                    const struct turn_plan *plan, uint64_t uid)
{
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});

    CHECK(vm != NULL);
    return view_vm(arena, plan->scratch, vm, true, plan->placer);
}

static char *begun_after(struct arena *arena, const struct turn_plan *plan,
                         uint64_t uid, enum operation_kind kind)
{
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});

    return api_operation_id(arena, operation_on_vm(vm, kind));
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
    response.vm = view_vm(view->arena, view->state, vm, true, view->placer);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* The conditions of a list. */
struct vm_lister {
    struct api_lister lister;
    uint32_t host;
    uint32_t zone;
    uint32_t group_plus1;
    uint32_t state;
    struct label_filter labels;
};

static bool filter_takes(const struct vm_lister *filter,
                         const struct state *state, const struct vm *vm)
{
    if ((filter->host != SLOT_NONE && vm->host != filter->host) ||
        (filter->state != 0 && vm->state != filter->state) ||
        (filter->group_plus1 != 0 && vm->group_plus1 != filter->group_plus1)) {
        return false;
    }
    if (filter->zone != SLOT_NONE &&
        (vm->host == SLOT_NONE ||
         state_host_at(state, vm->host)->zone != filter->zone)) {
        return false;
    }
    return label_filter_takes(&filter->labels,
                              state_blob(state, vm->labels_blob));
}

/* What the leader knows of a VM holds if it is still as it was listed. */
static struct placer *placer_for(const struct api_page *page,
                                 const struct vm *vm)
{
    const struct vm *newest = state_vm(page->newest, (struct vm_id){vm->uid});

    return newest != NULL && newest->revision == vm->revision ? page->placer
                                                              : NULL;
}

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct vm_lister *filter =
        container_of(lister, struct vm_lister, lister);
    const struct api_view *view = &page->view;
    const struct vm *vm = state_vm_at(view->state, slot);

    if (vm == NULL || !filter_takes(filter, view->state, vm)) {
        return NULL;
    }
    return &view_vm(view->arena, view->state, vm, false, placer_for(page, vm))
                ->base;
}

static bool parse_filter(struct api_reply *reply, const struct state *state,
                         const Holdfast__V1__ListVmsRequest *request,
                         struct vm_lister *filter)
{
    *filter = (struct vm_lister){
        .lister = {.item = list_item}, .host = SLOT_NONE, .zone = SLOT_NONE};
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
    if (!api_check_zone(reply, state, request->zone, &filter->zone)) {
        return false;
    }
    if (request->group[0] != '\0') {
        const struct group *group =
            api_find_group(reply, state, "group", request->group);

        if (group == NULL) {
            return false;
        }
        filter->group_plus1 = uid_slot(group->uid) + 1;
    }
    return label_filter_read(reply, request->filter, &filter->labels);
}

void api_list_vms(const ProtobufCMessage *message, const struct api_view *view,
                  struct api_reply *reply)
{
    const Holdfast__V1__ListVmsRequest *request =
        (const Holdfast__V1__ListVmsRequest *)(const void *)message;
    Holdfast__V1__ListVmsResponse response =
        HOLDFAST__V1__LIST_VMS_RESPONSE__INIT;
    struct vm_lister filter;
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token) ||
        !parse_filter(reply, page.view.state, request, &filter)) {
        return;
    }
    api_page_fill(&page, &filter.lister, state_vm_slots(page.view.state));
    response.vms = (void *)page.items;
    response.n_vms = page.item_count;
    api_page_respond(&page, reply, &response.base);
}

/* What the mask names; the rest of the VM is not looked at. */
static bool check_mask(struct api_reply *reply,
                       const Holdfast__V1__UpdateVmRequest *request,
                       uint32_t *mask)
{
    static const struct api_mask_field fields[] = {
        {"priority", VM_UPDATE_PRIORITY},
        {"on_partition", VM_UPDATE_ON_PARTITION},
        {"labels", VM_UPDATE_LABELS},
        {"preemptible", VM_UPDATE_PREEMPTIBLE}};
    const Holdfast__V1__Vm *vm = request->vm;

    return api_check_mask(reply, request->update_mask, request->n_update_mask,
                          fields, ARRAY_LEN(fields), mask) &&
           ((*mask & VM_UPDATE_PRIORITY) == 0 ||
            api_check_range(reply, "vm.priority", vm->priority, 0,
                            VM_PRIORITY_MAX)) &&
           ((*mask & VM_UPDATE_ON_PARTITION) == 0 ||
            api_check_range(reply, "vm.on_partition",
                            (uint64_t)vm->on_partition, 0, 2));
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

bool api_vm_change(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__UpdateVmRequest *request)
{
    struct change change = {.kind = CHANGE_VM_UPDATE};
    const struct vm *vm;
    struct bytes labels;
    uint32_t mask;
    bool good;

    if (request->vm == NULL) {
        api_fail(reply, API_INVALID_FIELD, "vm: must be given");
        return false;
    }
    vm = find_for_change(reply, plan->scratch, request->vm->name,
                         request->expect_revision);
    if (vm == NULL || !check_mask(reply, request, &mask)) {
        return false;
    }
    bytes_init(&labels);
    good = (mask & VM_UPDATE_LABELS) == 0 ||
           api_check_labels(reply, "vm.labels", request->vm->labels,
                            request->vm->n_labels, &labels);
    if (good) {
        change.vm_update = (struct change_vm_update){
            .vm = {vm->uid},
            .mask = mask,
            .priority = request->vm->priority,
            .on_partition = api_on_partition(request->vm->on_partition),
            .preemptible = request->vm->preemptible,
            .labels = {(const char *)labels.data, (uint32_t)labels.len},
        };
        turn_change(plan, &change);
    }
    bytes_close(&labels);
    return good;
}

void api_update_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__UpdateVmRequest *request =
        (const Holdfast__V1__UpdateVmRequest *)(const void *)message;

    if (api_vm_change(reply, plan, request)) {
        RESPOND_VM(
            UpdateVm, UPDATE_VM, plan, reply,
            state_vm_named(plan->scratch, text_of(request->vm->name))->uid);
    }
}

/* A move that waits for its turn gives way to one that a person asks for. */
static void give_up_claim(struct turn_plan *plan, struct vm_id id)
{
    const struct vm *vm = state_vm(plan->scratch, id);
    struct change change = {.kind = CHANGE_VM_CLAIM};

    if (vm->moving == MOVE_CLAIMED) {
        change.vm_claim.vm = id;
        turn_change(plan, &change);
    }
}

/* Lets the VM leave its host, in a trial. */
static void let_go(struct turn_plan *plan, const struct change *move)
{
    struct change release = {.kind = CHANGE_VM_RELEASE};
    struct vm_id id = move->vm_move.vm;

    turn_change(plan, move);
    release.vm_release = (struct change_vm_release){
        .vm = id,
        .epoch = state_vm(plan->scratch, id)->epoch,
        .reason = {"", 0},
    };
    turn_change(plan, &release);
}

/* What placement says in the trial. A host without room for a claim is no
 * target that could be applied (CHANGE_VM_MOVE), but why it refuses the VM is
 * asked all the same. */
static bool try_target(struct api_reply *reply, struct turn_plan *plan,
                       const struct change *move)
{
    const struct vm *vm = state_vm(plan->scratch, move->vm_move.vm);
    const struct host *host = state_host(plan->scratch, move->vm_move.host);
    struct placement_request request = {NULL, SLOT_NONE};
    struct change change = *move;
    struct placement_choice choice;
    struct vm wish;
    char words[400];
    bool fits =
        host == NULL ||
        (host->state == HOST_UP &&
         state_claim_fits(host, state_class_at(plan->scratch, vm->class_slot)));

    change.vm_move.host.uid = fits ? change.vm_move.host.uid : 0;
    let_go(plan, &change);
    wish = *state_vm(plan->scratch, move->vm_move.vm);
    wish.move_host = move->vm_move.host.uid == 0
                         ? SLOT_NONE
                         : uid_slot(move->vm_move.host.uid);
    request.vm = &wish;
    placer_choose(plan->placer, plan->scratch, &request, &choice);
    if (!api_check_choice(reply, plan->scratch, &choice)) {
        return false;
    }
    if (choice.host == SLOT_NONE) {
        placer_count_refused(plan->placer, plan->scratch, &request, &choice);
        placement_explain(plan->scratch, &choice, words, sizeof(words));
        api_fail(reply, API_TARGET_REFUSED, "the VM cannot move there: %s",
                 words);
    } else if (!fits) {
        api_fail(reply, API_TARGET_REFUSED,
                 "the VM cannot move there: the host has no room beside the "
                 "VMs that are there and on their way");
    }
    return fits && choice.host != SLOT_NONE;
}

/* The target of a move must be one that could take the VM now. */
static bool check_move_target(struct api_reply *reply,
                              const struct turn_plan *plan,
                              const struct change *move)
{
    struct turn_trial trial;
    bool good;

    turn_trial_begin(&trial, plan);
    give_up_claim(&trial.plan, move->vm_move.vm);
    good = try_target(reply, &trial.plan, move);
    turn_trial_end(&trial);
    return good;
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
    if (vm->moving == MOVE_UNDER_WAY) {
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
    give_up_claim(plan, change.vm_move.vm);
    turn_change(plan, &change);
    RESPOND_VM_OPERATION(MoveVm, MOVE_VM, plan, reply, uid);
}

static void set_desired(struct turn_plan *plan, uint64_t uid,
                        enum desired_state desired, bool place)
{
    struct change change = {.kind = CHANGE_VM_DESIRE};
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});

    if (vm->desired != (uint8_t)desired) {
        change.vm_desire = (struct change_vm_desire){{uid}, desired, false};
        turn_change(plan, &change);
    }
    vm = state_vm(plan->scratch, (struct vm_id){uid});
    if (place && vm->state == VM_PENDING) {
        failover_place(plan, vm);
    }
}

bool api_vm_desire(struct api_reply *reply, struct turn_plan *plan,
                   const struct vm *vm, enum desired_state desired, bool place)
{
    if (desired == DESIRED_RUNNING && vm->state == VM_STOPPED &&
        !api_check_start_headroom(reply, plan, vm)) {
        return false;
    }
    set_desired(plan, vm->uid, desired, place);
    return true;
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
    if (api_vm_desire(reply, plan, vm, DESIRED_RUNNING, true)) {
        RESPOND_VM_OPERATION(StartVm, START_VM, plan, reply, uid);
    }
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
    set_desired(plan, uid, DESIRED_STOPPED, true);
    RESPOND_VM_OPERATION(StopVm, STOP_VM, plan, reply, uid);
}

void api_vm_remove(struct turn_plan *plan, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_DELETE};

    if (vm->host == SLOT_NONE) {
        change.vm_delete.vm.uid = vm->uid;
        turn_change(plan, &change);
    } else if (!vm->deleting) {
        change.kind = CHANGE_VM_DESIRE;
        change.vm_desire =
            (struct change_vm_desire){{vm->uid}, DESIRED_STOPPED, true};
        turn_change(plan, &change);
    }
}

void api_delete_vm(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__DeleteVmRequest *request =
        (const Holdfast__V1__DeleteVmRequest *)(const void *)message;
    Holdfast__V1__DeleteVmResponse response =
        HOLDFAST__V1__DELETE_VM_RESPONSE__INIT;
    const struct vm *vm = api_find_vm(reply, plan->scratch, request->name);
    struct arena arena;

    if (vm == NULL || !api_check_revision(reply, request->expect_revision,
                                          vm->revision, request->name)) {
        return;
    }
    arena_init(&arena, VM_ARENA_BYTES);
    response.vm = view_vm(&arena, plan->scratch, vm, false, NULL);
    response.operation_id =
        api_operation_id(&arena, operation_on_vm(vm, OPERATION_DELETE_VM));
    api_vm_remove(plan, vm);
    response.vm->status->deleting = true;
    /* What a repeated request could not be told once the VM is gone. */
    response.vm->template_ = NULL;
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
