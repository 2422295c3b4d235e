/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/api_access.h"
#include "node/api_check.h"
#include "node/audit.h"
#include "node/view.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/access_service.pb-c.h>
#include <holdfast/v1/audit_service.pb-c.h>
#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/group_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/join_service.pb-c.h>
#include <holdfast/v1/manifest_service.pb-c.h>
#include <holdfast/v1/operation_service.pb-c.h>
#include <holdfast/v1/plan_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

/* Room for one response of which a part is built: a VM with its template. */
#define RESPONSE_ARENA_BYTES (1u << 20)

#define METHOD(service, name, lower)                       \
    .path = "/holdfast.v1." service "/" name,              \
    .input = &holdfast__v1__##lower##_request__descriptor, \
    .output = &holdfast__v1__##lower##_response__descriptor
#define MUTATION(needs, service, name, lower, function)                \
    {                                                                  \
        METHOD(service, name, lower), .mutate = (function),            \
                                      .permission = PERMISSION_##needs \
    }
#define READ(service, name, lower, function)                        \
    {                                                               \
        METHOD(service, name, lower), .read = (function),           \
                                      .permission = PERMISSION_READ \
    }
#define LEADER_READ(service, name, lower, function)                          \
    {                                                                        \
        METHOD(service, name, lower), .read = (function), .of_leader = true, \
                                      .permission = PERMISSION_READ          \
    }
#define JOB(needs, service, name, lower, functions)                    \
    {                                                                  \
        METHOD(service, name, lower), .job = &(functions),             \
                                      .permission = PERMISSION_##needs \
    }

const struct api_method api_methods[] = {
    MUTATION(WORKLOAD, "VmService", "CreateVm", create_vm, api_create_vm),
    MUTATION(WORKLOAD, "VmService", "BatchCreateVms", batch_create_vms,
             api_batch_create_vms),
    READ("VmService", "GetVm", get_vm, api_get_vm),
    READ("VmService", "ListVms", list_vms, api_list_vms),
    MUTATION(WORKLOAD, "VmService", "UpdateVm", update_vm, api_update_vm),
    MUTATION(WORKLOAD, "VmService", "MoveVm", move_vm, api_move_vm),
    MUTATION(WORKLOAD, "VmService", "StartVm", start_vm, api_start_vm),
    MUTATION(WORKLOAD, "VmService", "StopVm", stop_vm, api_stop_vm),
    MUTATION(WORKLOAD, "VmService", "DeleteVm", delete_vm, api_delete_vm),
    MUTATION(ADMINISTER, "ZoneService", "CreateZone", create_zone,
             api_create_zone),
    READ("ZoneService", "GetZone", get_zone, api_get_zone),
    READ("ZoneService", "ListZones", list_zones, api_list_zones),
    MUTATION(OPERATE, "ZoneService", "CordonZone", cordon_zone,
             api_cordon_zone),
    MUTATION(OPERATE, "ZoneService", "UncordonZone", uncordon_zone,
             api_uncordon_zone),
    MUTATION(OPERATE, "ZoneService", "DrainZone", drain_zone, api_drain_zone),
    MUTATION(OPERATE, "ZoneService", "CancelDrainZone", cancel_drain_zone,
             api_cancel_drain_zone),
    MUTATION(ADMINISTER, "ClassService", "CreateClass", create_class,
             api_create_class),
    READ("ClassService", "ListClasses", list_classes, api_list_classes),
    MUTATION(ADMINISTER, "ClassService", "UpdateClass", update_class,
             api_update_class),
    MUTATION(ADMINISTER, "ClassService", "DeleteClass", delete_class,
             api_delete_class),
    READ("HostService", "GetHost", get_host, api_get_host),
    READ("HostService", "ListHosts", list_hosts, api_list_hosts),
    MUTATION(OPERATE, "HostService", "CordonHost", cordon_host,
             api_cordon_host),
    MUTATION(OPERATE, "HostService", "UncordonHost", uncordon_host,
             api_uncordon_host),
    MUTATION(ADMINISTER, "HostService", "DeclareHostDead", declare_host_dead,
             api_declare_host_dead),
    MUTATION(OPERATE, "HostService", "DrainHost", drain_host, api_drain_host),
    MUTATION(OPERATE, "HostService", "CancelDrainHost", cancel_drain_host,
             api_cancel_drain_host),
    MUTATION(WORKLOAD, "GroupService", "CreateGroup", create_group,
             api_create_group),
    READ("GroupService", "GetGroup", get_group, api_get_group),
    READ("GroupService", "ListGroups", list_groups, api_list_groups),
    MUTATION(WORKLOAD, "GroupService", "UpdateGroup", update_group,
             api_update_group),
    MUTATION(WORKLOAD, "GroupService", "ScaleGroup", scale_group,
             api_scale_group),
    MUTATION(WORKLOAD, "GroupService", "DeleteGroup", delete_group,
             api_delete_group),
    MUTATION(OPERATE, "ReservationService", "CreateReservation",
             create_reservation, api_create_reservation),
    READ("ReservationService", "ListReservations", list_reservations,
         api_list_reservations),
    MUTATION(OPERATE, "ReservationService", "UpdateReservation",
             update_reservation, api_update_reservation),
    MUTATION(OPERATE, "ReservationService", "DeleteReservation",
             delete_reservation, api_delete_reservation),
    READ("ClusterService", "GetSettings", get_settings, api_get_settings),
    MUTATION(ADMINISTER, "ClusterService", "UpdateSettings", update_settings,
             api_update_settings),
    MUTATION(ADMINISTER, "ManifestService", "ApplyManifest", apply_manifest,
             api_apply_manifest),
    JOB(REHEARSE, "PlanService", "MakePlan", make_plan, api_make_plan),
    LEADER_READ("PlanService", "GetPlan", get_plan, api_get_plan),
    MUTATION(OPERATE, "PlanService", "ApplyPlan", apply_plan, api_apply_plan),
    JOB(READ, "PlanService", "GetCapacity", get_capacity, api_get_capacity),
    MUTATION(ADMINISTER, "AccessService", "CreateGrant", create_grant,
             api_create_grant),
    {METHOD("AccessService", "ListGrants", list_grants),
     .read = api_list_grants, .permission = PERMISSION_ADMINISTER},
    MUTATION(ADMINISTER, "AccessService", "UpdateGrant", update_grant,
             api_update_grant),
    MUTATION(ADMINISTER, "AccessService", "DeleteGrant", delete_grant,
             api_delete_grant),
    MUTATION(ADMINISTER, "JoinService", "CreateJoinToken", create_join_token,
             api_create_join_token),
    {METHOD("JoinService", "ListJoinTokens", list_join_tokens),
     .read = api_list_join_tokens, .permission = PERMISSION_ADMINISTER},
    MUTATION(ADMINISTER, "JoinService", "DeleteJoinToken", delete_join_token,
             api_delete_join_token),
    MUTATION(JOIN, "JoinService", "JoinHost", join_host, api_join_host),
    {METHOD("AuditService", "ListAuditRecords", list_audit_records),
     .read = api_list_audit_records, .permission = PERMISSION_ADMINISTER},
    {METHOD("AuditService", "ExportAuditRecords", export_audit_records),
     .read = api_export_audit_records, .permission = PERMISSION_ADMINISTER},
    /* protobuf-c has its own idea of where a word begins. */
    {.path = "/holdfast.v1.AccessService/CanI",
     .input = &holdfast__v1__can_irequest__descriptor,
     .output = &holdfast__v1__can_iresponse__descriptor,
     .read = api_can_i,
     .permission = PERMISSION_ASK},
    READ("OperationService", "GetOperation", get_operation, api_get_operation),
    READ("OperationService", "ListOperations", list_operations,
         api_list_operations),
    {METHOD("OperationService", "WaitOperation", wait_operation),
     .read = api_wait_operation, .wait_ms = api_wait_operation_ms,
     .permission = PERMISSION_READ},
    MUTATION(OPERATE, "OperationService", "CancelOperation", cancel_operation,
             api_cancel_operation),
    {.path = NULL},
};

void api_reply_init(struct api_reply *reply)
{
    reply->code = RPC_OK;
    reply->reason = NULL;
    reply->message[0] = '\0';
    bytes_init(&reply->response);
    bytes_init(&reply->remembered);
    reply->remembering = false;
    reply->repetition = false;
    reply->kept = false;
    reply->operation_id[0] = '\0';
    reply->caller = NULL;
    reply->wall_ms = 0;
    reply->recorded = false;
}

void api_reply_close(struct api_reply *reply)
{
    bytes_close(&reply->response);
    bytes_close(&reply->remembered);
}

void api_fail(struct api_reply *reply, enum api_error error, const char *format,
              ...)
{
    const struct api_error_entry *entry = api_error_entry(error);
    va_list args;

    if (reply->code != RPC_OK) {
        return;
    }
    reply->code = entry->code;
    reply->reason = entry->reason;
    va_start(args, format);
    vsnprintf(reply->message, sizeof(reply->message), format, args);
    va_end(args);
}

void api_fail_plainly(struct api_reply *reply, enum api_error error)
{
    const struct api_error_entry *entry = api_error_entry(error);

    api_fail(reply, error, "%s %s", entry->meaning, entry->cure);
}

static void pack_into(struct bytes *out, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);

    bytes_clear(out);
    bytes_reserve(out, len);
    protobuf_c_message_pack(message, out->data);
    out->len = len;
}

/* The message in field 1 of a request or response, if it is of that kind; else
 * NULL. The message is lent as const; what stands in it may be exchanged for
 * the time of a packing. */
static void *object_in(const ProtobufCMessage *message,
                       const ProtobufCMessageDescriptor *kind)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, 1);
    void *object;

    if (field == NULL || field->type != PROTOBUF_C_TYPE_MESSAGE ||
        field->label == PROTOBUF_C_LABEL_REPEATED ||
        field->descriptor != kind) {
        return NULL;
    }
    memcpy(&object, (const char *)message + field->offset, sizeof(object));
    return object;
}

/* Where a response holds the template of a VM, or of a group's; or NULL. */
static Holdfast__V1__VmTemplate **template_in(const ProtobufCMessage *message)
{
    Holdfast__V1__Vm *vm = object_in(message, &holdfast__v1__vm__descriptor);
    Holdfast__V1__Group *group =
        object_in(message, &holdfast__v1__group__descriptor);

    if (vm != NULL) {
        return &vm->template_;
    }
    return group == NULL || group->template_ == NULL
               ? NULL
               : &group->template_->template_;
}

static void pack_remembered(struct bytes *out, const ProtobufCMessage *response)
{
    Holdfast__V1__VmTemplate **slot = template_in(response);
    Holdfast__V1__VmTemplate *template;

    if (slot == NULL) {
        pack_into(out, response);
        return;
    }
    template = *slot;
    *slot = NULL;
    pack_into(out, response);
    *slot = template;
}

static void note_operation(struct api_reply *reply,
                           const ProtobufCMessage *response)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(response->descriptor,
                                                        "operation_id");
    const char *id = "";

    if (field != NULL) {
        memcpy(&id, (const char *)response + field->offset, sizeof(id));
    }
    (void)snprintf(reply->operation_id, sizeof(reply->operation_id), "%s", id);
}

void api_respond(struct api_reply *reply, const ProtobufCMessage *response)
{
    if (reply->code != RPC_OK) {
        return;
    }
    note_operation(reply, response);
    pack_into(&reply->response, response);
    if (reply->remembering) {
        pack_remembered(&reply->remembered, response);
    }
}

void api_respond_again(struct api_reply *reply,
                       const ProtobufCMessage *response)
{
    if (reply->code == RPC_OK && reply->remembering) {
        pack_into(&reply->remembered, response);
    }
}

/* Fields 12 to 15 have the same meaning in every message; NULL when the
 * message has no such field. */
static const void *common_field(const ProtobufCMessage *message,
                                unsigned number, ProtobufCType type)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field(message->descriptor, number);

    if (field == NULL || field->type != type) {
        return NULL;
    }
    return (const char *)message + field->offset;
}

static const char *request_id_of(const ProtobufCMessage *request)
{
    const char *const *id = common_field(request, 13, PROTOBUF_C_TYPE_STRING);

    return id == NULL || *id == NULL ? "" : *id;
}

static bool is_dry_run(const ProtobufCMessage *request)
{
    const protobuf_c_boolean *flag =
        common_field(request, 15, PROTOBUF_C_TYPE_BOOL);

    return flag != NULL && *flag;
}

bool api_is_stale_read(const ProtobufCMessage *request)
{
    const int *consistency = common_field(request, 12, PROTOBUF_C_TYPE_ENUM);

    return consistency != NULL &&
           *consistency == HOLDFAST__V1__CONSISTENCY__CONSISTENCY_STALE;
}

bool api_check_consistency(struct api_reply *reply,
                           const ProtobufCMessage *request)
{
    const int *consistency = common_field(request, 12, PROTOBUF_C_TYPE_ENUM);

    if (consistency == NULL ||
        protobuf_c_enum_descriptor_get_value(
            &holdfast__v1__consistency__descriptor, *consistency) != NULL) {
        return true;
    }
    api_fail(reply, API_INVALID_FIELD,
             "consistency: must be linearizable or stale");
    return false;
}

static bool check_request_id(struct api_reply *reply, const char *id)
{
    size_t len = strlen(id);
    bool good = len <= 64;

    for (size_t i = 0; good && i < len; i++) {
        good = id[i] > ' ' && id[i] < 0x7f;
    }
    if (!good) {
        api_fail(reply, API_INVALID_FIELD,
                 "request_id: must be at most 64 printable ASCII characters "
                 "without blanks");
    }
    return good;
}

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->descriptor;

    return field->label == PROTOBUF_C_LABEL_REPEATED &&
           field->type == PROTOBUF_C_TYPE_MESSAGE && entry->n_fields == 2 &&
           entry->fields[0].type == PROTOBUF_C_TYPE_STRING &&
           strcmp(entry->fields[0].name, "key") == 0 &&
           strcmp(entry->fields[1].name, "value") == 0;
}

/* Every entry of a map begins like one of these; all keys are text. */
static int compare_entries(const void *a, const void *b)
{
    const api_map_entry *const *left = a;
    const api_map_entry *const *right = b;

    return strcmp((*left)->key, (*right)->key);
}

/* By key, in this message and all within: maps have no order on the wire, and
 * some clients shuffle them at each encoding. */
void api_sort_maps(const ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *at = (const char *)message + field->offset;
        ProtobufCMessage **items;
        ProtobufCMessage *one;
        size_t count = 1;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE ||
            ((field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0)) {
            continue;
        }
        memcpy(&one, at, sizeof(one));
        items = &one;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            memcpy(&items, at, sizeof(items));
            memcpy(&count, (const char *)message + field->quantifier_offset,
                   sizeof(count));
        }
        if (is_map(field) && count > 1) {
            qsort(items, count, sizeof(*items), compare_entries);
        }
        for (size_t j = 0; j < count && !is_map(field); j++) {
            if (items[j] != NULL) {
                api_sort_maps(items[j]);
            }
        }
    }
}

/* Of what the request says. */
static uint64_t fingerprint_of(const struct api_method *method,
                               const ProtobufCMessage *request)
{
    size_t len = protobuf_c_message_get_packed_size(request);
    uint8_t *packed = memory_alloc(len);
    uint64_t hash = hash_bytes(method->path, strlen(method->path), 0);

    api_sort_maps(request);
    protobuf_c_message_pack(request, packed);
    hash = hash_bytes(packed, len, hash);
    free(packed);
    return hash;
}

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void release(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

ProtobufCMessage *api_unpack(const ProtobufCMessageDescriptor *kind,
                             const void *data, size_t len, struct arena *arena)
{
    ProtobufCAllocator allocator = {allocate, release, arena};
    ProtobufCMessage *message =
        protobuf_c_message_unpack(kind, &allocator, len, data);

    CHECK(message != NULL);
    return message;
}

void api_remember(const struct api_method *method,
                  const ProtobufCMessage *request, struct turn_plan *plan,
                  const struct api_reply *reply)
{
    struct change change = {.kind = CHANGE_REPLY};

    change.reply = (struct change_reply){
        text_of(request_id_of(request)),
        fingerprint_of(method, request),
        {(const char *)reply->remembered.data, (uint32_t)reply->remembered.len},
    };
    turn_change(plan, &change);
}

/* Asked again, it may be answered otherwise for the same reason that it was
 * refused: what the state was like. A busy region or a wrong request is not a
 * matter of order. */
static bool is_verdict(enum rpc_code code)
{
    return code == RPC_NOT_FOUND || code == RPC_ALREADY_EXISTS ||
           code == RPC_FAILED_PRECONDITION || code == RPC_ABORTED;
}

/* No message begins with a zero byte: so a refusal stands where a response
 * would, for replicas that do not know of it as well. Then its code, its reason
 * and its text, each text with its end. */
static void keep_refusal(const struct api_method *method,
                         const ProtobufCMessage *request,
                         struct turn_plan *plan, struct api_reply *reply)
{
    bytes_clear(&reply->remembered);
    bytes_append_u8(&reply->remembered, 0);
    bytes_append_u8(&reply->remembered, (uint8_t)reply->code);
    bytes_append(&reply->remembered, reply->reason, strlen(reply->reason) + 1);
    bytes_append(&reply->remembered, reply->message,
                 strlen(reply->message) + 1);
    api_remember(method, request, plan, reply);
    reply->kept = true;
}

/* True when the record is a refusal. */
static bool refuse_again(const struct reply_record *record,
                         struct api_reply *reply)
{
    const char *data = record->response.data;
    size_t len = record->response.len;
    size_t reason;

    if (len < 4 || data[0] != 0) {
        return false;
    }
    reason = strnlen(data + 2, len - 2);
    CHECK(reason + 3 < len && data[len - 1] == '\0');
    reply->code = (enum rpc_code)data[1];
    reply->reason = api_error_reason(data + 2);
    (void)snprintf(reply->message, sizeof(reply->message), "%s",
                   data + 2 + reason + 1);
    return true;
}

/* A template, which was not remembered, is put back when it still exists. */
static void restore_template(const struct state *state,
                             const ProtobufCMessage *response,
                             struct arena *arena)
{
    const Holdfast__V1__Vm *vm =
        object_in(response, &holdfast__v1__vm__descriptor);
    const Holdfast__V1__Group *group =
        object_in(response, &holdfast__v1__group__descriptor);
    Holdfast__V1__VmTemplate **slot = template_in(response);
    const struct vm *vm_now =
        vm == NULL ? NULL : state_vm(state, (struct vm_id){vm->uid});
    const struct group *group_now =
        group == NULL ? NULL
                      : state_group(state, (struct group_id){group->uid});

    /* A delete's answer never had one. */
    if (vm_now != NULL && !vm->status->deleting) {
        *slot = view_template(arena, state_blob(state, vm_now->template_blob));
    } else if (group_now != NULL && slot != NULL &&
               group_now->generation == group->generation) {
        *slot =
            view_template(arena, state_blob(state, group_now->template_blob));
    }
}

static void answer_again(const struct api_method *method,
                         const struct reply_record *record,
                         const struct state *state, struct api_reply *reply)
{
    struct arena arena;
    ProtobufCMessage *response;

    arena_init(&arena, RESPONSE_ARENA_BYTES);
    response = api_unpack(method->output, record->response.data,
                          record->response.len, &arena);
    restore_template(state, response, &arena);
    api_respond(reply, response);
    arena_close(&arena);
}

/* True when the request is answered from memory. */
static bool is_repeated(const struct api_method *method,
                        const ProtobufCMessage *request,
                        const struct turn_plan *plan, struct api_reply *reply)
{
    const char *id = request_id_of(request);
    struct reply_record record;

    if (id[0] == '\0' || !state_reply(plan->scratch, text_of(id), &record)) {
        return false;
    }
    if (record.fingerprint != fingerprint_of(method, request)) {
        api_fail(reply, API_REQUEST_ID_REUSED,
                 "request_id: '%s' was used for another request; use a new id",
                 id);
        return true;
    }
    if (!refuse_again(&record, reply)) {
        answer_again(method, &record, plan->scratch, reply);
    }
    return true;
}

static void mutate_dry(const struct api_method *method,
                       const ProtobufCMessage *request,
                       const struct turn_plan *plan, struct api_reply *reply)
{
    struct turn_trial trial;

    turn_trial_begin(&trial, plan);
    method->mutate(request, &trial.plan, reply);
    turn_trial_end(&trial);
}

void api_caller_text(const struct state *state, const struct api_reply *reply,
                     char text[ACCESS_SUBJECT_TEXT_BYTES])
{
    struct access access;

    access_decide(state, reply->caller, PERMISSION_ASK, reply->wall_ms,
                  &access);
    audit_caller(&access, text);
}

/* Carries it out; if that changed something, there is a record of it. */
static void mutate_audited(const struct api_method *method,
                           const ProtobufCMessage *request,
                           struct turn_plan *plan, struct api_reply *reply,
                           const struct access *access)
{
    size_t changes = plan->change_count;
    char caller[ACCESS_SUBJECT_TEXT_BYTES];
    struct audit_note note;

    audit_caller(access, caller);
    audit_note_begin(&note, method, request, caller, plan->scratch);
    method->mutate(request, plan, reply);
    if (reply->code == RPC_OK && plan->change_count > changes &&
        !reply->recorded) {
        audit_note_write(&note, plan, reply);
    }
    audit_note_end(&note);
}

void api_mutate(const struct api_method *method,
                const ProtobufCMessage *request, struct turn_plan *plan,
                struct api_reply *reply)
{
    size_t changes = plan->change_count;
    struct access access;
    bool scoped;

    if (!api_allow(plan->scratch, method->path, method->permission, reply,
                   &access) ||
        !check_request_id(reply, request_id_of(request)) ||
        is_repeated(method, request, plan, reply)) {
        return;
    }
    scoped = access.verdict == ACCESS_SCOPED;
    if (is_dry_run(request)) {
        if (!scoped ||
            api_allow_scoped(method, request, plan, reply, &access)) {
            mutate_dry(method, request, plan, reply);
        }
        return;
    }
    reply->remembering = request_id_of(request)[0] != '\0';
    if (!scoped || api_allow_scoped(method, request, plan, reply, &access)) {
        mutate_audited(method, request, plan, reply, &access);
    }
    if (PLANTED(REFUSAL_WRITES) && reply->code != RPC_OK) {
        struct change change = {.kind = CHANGE_ZONE_CORDON};

        change.zone_cordon.zone.uid = state_zone_at(plan->scratch, 0)->uid;
        turn_change(plan, &change);
        return;
    }
    /* A refusal leaves no trace (rule 9), but for the one of a repetition. */
    CHECK(reply->code == RPC_OK || plan->change_count == changes);
    if (!reply->remembering) {
        return;
    }
    if (reply->code == RPC_OK) {
        api_remember(method, request, plan, reply);
    } else if (reply->repetition && is_verdict(reply->code) &&
               !PLANTED(REFUSAL_FORGOTTEN)) {
        keep_refusal(method, request, plan, reply);
    }
}

void api_read(const struct api_method *method, const ProtobufCMessage *request,
              const struct api_view *view, struct api_reply *reply)
{
    struct access access;

    if (api_allow(view->state, method->path, method->permission, reply,
                  &access)) {
        method->read(request, view, reply);
    }
}
