/* SPDX-License-Identifier: Apache-2.0
 *
 * Operations: what they are is read from the state (node/operation.h); to
 * cancel one is to change the object that it is about. */
#include "node/api_operation.h"

#include "base/check.h"
#include "node/api_check.h"
#include "node/applies.h"
#include "node/audit.h"
#include "node/drain_wait.h"
#include "node/group_fields.h"
#include "node/limits.h"
#include "node/place.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/operation_service.pb-c.h>

/* With the audit records that are looked at for who began it. */
#define OPERATION_ARENA_BYTES (16u << 20)

char *api_operation_id(struct arena *arena, struct operation_ref ref)
{
    char name[OPERATION_NAME_BYTES] = "";

    if (ref.kind != OPERATION_NONE) {
        operation_name(&ref, name);
    }
    return view_string(arena, name);
}

static Holdfast__V1__Operation *view_operation(
    struct arena *arena, const struct operation *operation)
{
    Holdfast__V1__Operation *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__operation__init(view);
    view->name = api_operation_id(arena, operation->ref);
    view->kind = (Holdfast__V1__OperationKind)operation->ref.kind;
    view->object = view_string(arena, operation->ref.object);
    view->state = (Holdfast__V1__OperationState)operation->state;
    view->done_count = operation->done;
    view->total_count = operation->total;
    view->left_count = operation->left;
    view->message = view_string(arena, operation->message);
    view->cause = (Holdfast__V1__MoveCause)operation->cause;
    view->begin_time_ms = operation->begin_ms;
    view->end_time_ms = operation->end_ms;
    view->object_revision = operation->revision;
    view->cancellable = operation->cancellable;
    if (operation->state != OPERATION_RUNNING) {
        return view;
    }
    view->waits =
        view_alloc(arena, OPERATION_REASON_COUNT * sizeof(*view->waits));
    for (uint32_t reason = 0; reason < OPERATION_REASON_COUNT; reason++) {
        Holdfast__V1__OperationWait *wait;

        if (operation->waits[reason] == 0) {
            continue;
        }
        wait = view_alloc(arena, sizeof(*wait));
        holdfast__v1__operation_wait__init(wait);
        wait->reason = view_string(arena, operation_reason_name(reason));
        wait->count = operation->waits[reason];
        view->waits[view->n_waits++] = wait;
    }
    return view;
}

static void tell_record(struct arena *arena, const struct state *state,
                        const struct apply_record *record,
                        Holdfast__V1__Operation *view)
{
    struct apply_words words = applies_words(state, record);

    view->begun_by = view_string(arena, words.caller);
    view->request_id = view_string(arena, words.request_id);
}

static void tell_left(struct arena *arena, const struct state *state,
                      const struct apply_record *record,
                      Holdfast__V1__Operation *view)
{
    struct operation_ref parts[APPLY_LEFT_TOLD];
    uint32_t count = applies_left(state, record, parts, APPLY_LEFT_TOLD);

    view->left_operations =
        view_alloc(arena, (count + 1) * sizeof(*view->left_operations));
    for (uint32_t i = 0; i < count; i++) {
        view->left_operations[view->n_left_operations++] =
            api_operation_id(arena, parts[i]);
    }
}

/* As an audit record says it. A drain that goes on with another deadline is
 * still the one of who began it. */
static void tell_asked(struct arena *arena, const struct state *state,
                       const struct operation *operation,
                       Holdfast__V1__Operation *view)
{
    bool drains = operation->ref.kind == OPERATION_DRAIN_HOST ||
                  operation->ref.kind == OPERATION_DRAIN_ZONE;
    const Holdfast__V1__AuditRecord *record = audit_find_operation(
        arena, state, view->name, drains, OPERATION_BEGUN_LOOKS);
    const struct apply_record *apply;

    if (record != NULL) {
        view->begun_by = record->caller;
        view->request_id = record->request_id;
        if (view->begin_time_ms == 0) {
            view->begin_time_ms = record->time_ms;
        }
        return;
    }
    apply = applies_with_part(state, &operation->ref, APPLY_BEGUN_BYTES);
    if (apply != NULL) {
        tell_record(arena, state, apply, view);
    }
}

/* Of one that is asked for by name: all that is known. */
static Holdfast__V1__Operation *view_whole(struct arena *arena,
                                           const struct state *state,
                                           const struct operation *operation)
{
    Holdfast__V1__Operation *view = view_operation(arena, operation);
    const struct apply_record *record;

    if (!operation_is_apply(operation->ref.kind)) {
        tell_asked(arena, state, operation, view);
        return view;
    }
    record = state_apply_record(state, operation->ref.uid);
    tell_record(arena, state, record, view);
    if (operation->state == OPERATION_RUNNING) {
        tell_left(arena, state, record, view);
    }
    return view;
}

/* What is left out while nobody here has a placer. */
static void tell_more(const struct api_view *view, struct operation *operation)
{
    if (view->placer != NULL) {
        drain_wait_tell(view->placer, view->state, operation);
    }
}

static bool find(struct api_reply *reply, const struct state *state,
                 const char *name, enum operation_depth depth,
                 struct operation *operation)
{
    struct operation_ref ref;

    if (!operation_parse(name, &ref)) {
        api_fail(reply, API_INVALID_FIELD,
                 "name: '%.80s' is no operation's name; they are as in "
                 "drain-host.h1.4294967296.3",
                 name);
        return false;
    }
    if (!operation_judge(state, &ref, depth, operation)) {
        api_fail(reply, API_OPERATION_NOT_FOUND,
                 "name: the region does not tell of '%s': it never was, or "
                 "'%s' had a newer one of its kind since",
                 name, ref.object);
        return false;
    }
    return true;
}

/* --- Reads --------------------------------------------------------------- */

void api_get_operation(const ProtobufCMessage *message,
                       const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__GetOperationRequest *request =
        (const Holdfast__V1__GetOperationRequest *)(const void *)message;
    Holdfast__V1__GetOperationResponse response =
        HOLDFAST__V1__GET_OPERATION_RESPONSE__INIT;
    struct operation operation;

    if (find(reply, view->state, request->name, OPERATION_WHOLE, &operation)) {
        tell_more(view, &operation);
        response.operation = view_whole(view->arena, view->state, &operation);
        response.age_ms = view->age_ms;
        response.revision = state_revision(view->state);
        api_respond(reply, &response.base);
    }
}

void api_wait_operation(const ProtobufCMessage *message,
                        const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__WaitOperationRequest *request =
        (const Holdfast__V1__WaitOperationRequest *)(const void *)message;
    Holdfast__V1__WaitOperationResponse response =
        HOLDFAST__V1__WAIT_OPERATION_RESPONSE__INIT;
    struct operation operation;

    if (find(reply, view->state, request->name, OPERATION_WHOLE, &operation)) {
        tell_more(view, &operation);
        response.operation = view_whole(view->arena, view->state, &operation);
        response.revision = state_revision(view->state);
        api_respond(reply, &response.base);
    }
}

/* Of an apply only what the looks before left is looked at. */
static bool is_over(const struct state *state, const struct operation_ref *ref,
                    enum operation_state judged, struct applies_look *look)
{
    const struct apply_record *record;
    uint32_t looks = APPLY_LOOKS_MAX;

    if (!operation_is_apply(ref->kind) || judged != OPERATION_RUNNING) {
        return judged != OPERATION_RUNNING;
    }
    record = state_apply_record(state, ref->uid);
    return applies_are_over(state, record, look, &looks);
}

uint32_t api_wait_operation_ms(const ProtobufCMessage *message,
                               const struct state *state,
                               struct applies_look *look,
                               struct api_reply *reply)
{
    const Holdfast__V1__WaitOperationRequest *request =
        (const Holdfast__V1__WaitOperationRequest *)(const void *)message;
    struct operation operation;

    if (!api_check_range(reply, "timeout_ms", request->timeout_ms, 0,
                         OPERATION_WAIT_MS_MAX) ||
        !find(reply, state, request->name, OPERATION_ENDED, &operation) ||
        is_over(state, &operation.ref, operation.state, look)) {
        return 0;
    }
    return request->timeout_ms == 0 ? OPERATION_WAIT_MS : request->timeout_ms;
}

/* --- Lists --------------------------------------------------------------- */

/* Positions go over applies, zones, hosts, groups, then VMs. */
#define ZONES_BEGIN  APPLIES_MAX
#define HOSTS_BEGIN  (ZONES_BEGIN + ZONES_MAX)
#define GROUPS_BEGIN (HOSTS_BEGIN + HOSTS_MAX)
#define VMS_BEGIN    (GROUPS_BEGIN + GROUPS_MAX)

struct listing {
    const Holdfast__V1__ListOperationsRequest *request;
    const struct api_view *view;
    Holdfast__V1__ListOperationsResponse response;
    uint32_t work; /* Records looked at. */
};

static void add(struct listing *listing, struct operation_ref ref)
{
    const Holdfast__V1__ListOperationsRequest *request = listing->request;
    struct operation operation;

    if (ref.kind == OPERATION_NONE ||
        (request->kind != 0 && (int)request->kind != (int)ref.kind) ||
        (request->object[0] != '\0' &&
         strcmp(request->object, ref.object) != 0) ||
        !operation_judge(listing->view->state, &ref, OPERATION_BRIEF,
                         &operation) ||
        (request->active && operation.state != OPERATION_RUNNING)) {
        return;
    }
    listing->response.operations[listing->response.n_operations++] =
        view_operation(listing->view->arena, &operation);
}

/* Each is a walk over what is pending. */
static void add_loss(struct listing *listing, struct operation_ref ref)
{
    if (ref.kind != OPERATION_NONE) {
        listing->work +=
            state_counts(listing->view->state)->vms_by_state[VM_PENDING];
        add(listing, ref);
    }
}

static void add_apply(struct listing *listing,
                      const struct apply_record *record)
{
    Holdfast__V1__ListOperationsResponse *response = &listing->response;
    const struct state *state = listing->view->state;
    size_t before = response->n_operations;

    if (record->end == APPLY_END_NONE) {
        listing->work += record->part_count;
    }
    add(listing, operation_of_apply(state, record));
    if (response->n_operations > before) {
        tell_record(listing->view->arena, state, record,
                    response->operations[before]);
    }
}

/* Of one record: at most two operations. Returns the next position. */
static uint32_t look(struct listing *listing, uint32_t at)
{
    const struct state *state = listing->view->state;

    listing->work++;
    if (at < ZONES_BEGIN) {
        if (state_apply_at(state, at) != NULL) {
            add_apply(listing, state_apply_at(state, at));
        }
        return at + 1 < state_apply_slots(state) ? at + 1 : ZONES_BEGIN;
    }
    if (at < HOSTS_BEGIN) {
        const struct zone *zone = state_zone_at(state, at - ZONES_BEGIN);

        if (zone != NULL) {
            add(listing, operation_of_zone(zone));
            add_loss(listing, operation_of_loss(zone));
        }
        return at + 1 - ZONES_BEGIN < state_zone_slots(state) ? at + 1
                                                              : HOSTS_BEGIN;
    }
    if (at < GROUPS_BEGIN) {
        const struct host *host = state_host_at(state, at - HOSTS_BEGIN);

        if (host != NULL) {
            add(listing, operation_of_host(host));
            add_loss(listing,
                     operation_of_host_loss(listing->view->state, host));
        }
        return at + 1 - HOSTS_BEGIN < state_host_slots(state) ? at + 1
                                                              : GROUPS_BEGIN;
    }
    if (at < VMS_BEGIN) {
        const struct group *group = state_group_at(state, at - GROUPS_BEGIN);

        if (group != NULL) {
            listing->work += group->vm_count;
            add(listing, operation_of_group(state, group));
        }
        return at + 1 - GROUPS_BEGIN < state_group_slots(state) ? at + 1
                                                                : VMS_BEGIN;
    }
    if (state_vm_at(state, at - VMS_BEGIN) != NULL) {
        add(listing, operation_of_vm(state_vm_at(state, at - VMS_BEGIN)));
    }
    return at + 1;
}

void api_list_operations(const ProtobufCMessage *message,
                         const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListOperationsRequest *request =
        (const Holdfast__V1__ListOperationsRequest *)(const void *)message;
    struct listing listing = {.request = request,
                              .view = view,
                              .response =
                                  HOLDFAST__V1__LIST_OPERATIONS_RESPONSE__INIT};
    char token[16] = "";
    uint32_t count;
    uint32_t at;

    if (!api_check_page(reply, request->page_size, request->page_token, &at,
                        &count)) {
        return;
    }
    if ((unsigned)request->kind >= OPERATION_KIND_COUNT) {
        api_fail(reply, API_INVALID_FIELD, "kind: there is no such kind");
        return;
    }
    listing.response.operations = view_alloc(
        view->arena, (count + 1) * sizeof(*listing.response.operations));
    while (at < VMS_BEGIN || at - VMS_BEGIN < state_vm_slots(view->state)) {
        if (listing.response.n_operations >= count ||
            listing.work >= OPERATION_LOOKS_MAX) {
            snprintf(token, sizeof(token), "%u", at);
            break;
        }
        at = look(&listing, at);
    }
    listing.response.next_page_token = token;
    listing.response.age_ms = view->age_ms;
    listing.response.revision = state_revision(view->state);
    api_respond(reply, &listing.response.base);
}

/* --- Cancelling ---------------------------------------------------------- */

/* The group stays at where it is. */
static void hold_group(struct turn_plan *plan,
                       const struct operation *operation)
{
    struct group_id id = {operation->ref.uid};
    const struct group *group = state_group(plan->scratch, id);
    struct change change = {.kind = CHANGE_GROUP_UPDATE};
    struct text pools[CHANGE_POOLS_MAX];
    struct operation_members members;

    operation_count_members(plan->scratch, group, &members);
    change.group_update.group = id;
    group_fields_read(plan->scratch, group, &change.group_update.fields, pools);
    if (operation->ref.kind == OPERATION_UPDATE_GROUP) {
        change.group_update.fields.max_unavailable = 0;
    } else {
        change.group_update.fields.count = members.count;
    }
    turn_change(plan, &change);
}

static void cancel(struct turn_plan *plan, const struct operation *operation);

/* Those of its parts that can be ended: as many as fit a decision. They are
 * judged as they are after those before. */
static void cancel_apply(struct turn_plan *plan,
                         const struct operation *operation)
{
    const struct apply_record *record =
        state_apply_record(plan->scratch, operation->ref.uid);
    struct change change = {.kind = CHANGE_APPLY_CANCEL};
    struct apply_cursor cursor = {0, 0};
    size_t len = plan->entry.len;
    struct operation_ref ref;
    struct operation part;

    if (!record->cancelled) {
        change.apply_cancel.number = record->number;
        turn_change(plan, &change);
    }
    while (plan->entry.len - len < APPLY_CANCEL_BYTES) {
        record = state_apply_record(plan->scratch, operation->ref.uid);
        if (!apply_parts_next(state_blob(plan->scratch, record->parts_blob),
                              &cursor, &ref)) {
            break;
        }
        if (operation_judge(plan->scratch, &ref, OPERATION_ENDED, &part) &&
            part.state == OPERATION_RUNNING && part.cancellable) {
            cancel(plan, &part);
        }
    }
}

static void cancel(struct turn_plan *plan, const struct operation *operation)
{
    const struct operation_ref *ref = &operation->ref;
    struct change change;

    switch (ref->kind) {
    case OPERATION_DRAIN_HOST:
        change = operation_drain_host(
            state_host(plan->scratch, (struct host_id){ref->uid}), false, 0,
            DRAIN_END_CANCELLED);
        turn_change(plan, &change);
        return;
    case OPERATION_DRAIN_ZONE:
        change = operation_drain_zone(
            state_zone(plan->scratch, (struct zone_id){ref->uid}), false, 0,
            DRAIN_END_CANCELLED);
        turn_change(plan, &change);
        return;
    case OPERATION_MOVE_VM:
        place_unclaim(plan, state_vm(plan->scratch, (struct vm_id){ref->uid}));
        return;
    case OPERATION_APPLY_PLAN:
    case OPERATION_APPLY_MANIFEST:
        cancel_apply(plan, operation);
        return;
    default:
        hold_group(plan, operation);
    }
}

static bool check_cancellable(struct api_reply *reply,
                              const struct operation *operation)
{
    static const char *const instead[OPERATION_KIND_COUNT] = {
        [OPERATION_RECOVER_ZONE] = "VMs of a lost zone are always restarted",
        [OPERATION_SCALE_GROUP] = "its members exist, and only start or stop",
        [OPERATION_UPDATE_GROUP] = "its members are replaced, and only start",
        [OPERATION_DELETE_GROUP] = "a delete is final",
        [OPERATION_START_VM] = "stop the VM instead",
        [OPERATION_STOP_VM] = "start the VM instead",
        [OPERATION_MOVE_VM] = "the VM has left its host, or is leaving it",
        [OPERATION_DELETE_VM] = "a delete is final",
        [OPERATION_RECOVER_HOST] = "VMs of a lost host are always restarted",
        [OPERATION_APPLY_PLAN] = "nothing that is left of it can be ended",
        [OPERATION_APPLY_MANIFEST] = "nothing that is left of it can be ended",
    };

    if (operation->cancellable || operation->state == OPERATION_CANCELLED ||
        (operation->ending && operation->state == OPERATION_RUNNING)) {
        return true;
    }
    if (operation->state != OPERATION_RUNNING) {
        api_fail(reply, API_OPERATION_NOT_CANCELLABLE, "it is over: %s",
                 operation->message);
        return false;
    }
    CHECK(instead[operation->ref.kind] != NULL);
    api_fail(reply, API_OPERATION_NOT_CANCELLABLE, "it can only go forward: %s",
             instead[operation->ref.kind]);
    return false;
}

void api_cancel_operation(const ProtobufCMessage *message,
                          struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__CancelOperationRequest *request =
        (const Holdfast__V1__CancelOperationRequest *)(const void *)message;
    Holdfast__V1__CancelOperationResponse response =
        HOLDFAST__V1__CANCEL_OPERATION_RESPONSE__INIT;
    struct operation operation;
    struct operation_ref ref;
    struct arena arena;

    if (!find(reply, plan->scratch, request->name, OPERATION_BRIEF,
              &operation) ||
        !api_check_revision(reply, request->expect_revision, operation.revision,
                            operation.ref.object) ||
        !check_cancellable(reply, &operation)) {
        return;
    }
    ref = operation.ref;
    if (operation.cancellable) {
        cancel(plan, &operation);
        if (!operation_judge(plan->scratch, &ref, OPERATION_BRIEF,
                             &operation)) {
            CHECK_UNREACHABLE("what was there is told of");
        }
    }
    arena_init(&arena, OPERATION_ARENA_BYTES);
    response.operation = view_whole(&arena, plan->scratch, &operation);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
