/* SPDX-License-Identifier: Apache-2.0 */
#include "node/audit.h"

#include "base/check.h"
#include "base/container.h"
#include "node/api.h"
#include "node/api_check.h"
#include "node/view.h"
#include "proto/text_field.h"
#include "proto/text_json.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/manifest_service.pb-c.h>
#include <holdfast/v1/plan_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>

_Static_assert(DIGEST_BYTES == AUDIT_DIGEST_BYTES, "of tls/ and of state/");

typedef Holdfast__V1__AuditRecord audit_record;

#define PATH_PREFIX "/holdfast.v1."

const char *audit_method_name(const char *path)
{
    return strncmp(path, PATH_PREFIX, strlen(PATH_PREFIX)) == 0
               ? path + strlen(PATH_PREFIX)
               : path;
}

/* --- The object ----------------------------------------------------------- */

static const ProtobufCMessage *zone_named(struct arena *arena,
                                          const struct state *state,
                                          struct text name)
{
    const struct zone *zone = state_zone_named(state, name);

    return zone == NULL ? NULL : &view_zone(arena, state, zone, NULL)->base;
}

static const ProtobufCMessage *class_named(struct arena *arena,
                                           const struct state *state,
                                           struct text name)
{
    const struct class *class = state_class_named(state, name);

    return class == NULL ? NULL : &view_class(arena, state, class)->base;
}

static const ProtobufCMessage *host_named(struct arena *arena,
                                          const struct state *state,
                                          struct text name)
{
    const struct host *host = state_host_named(state, name);

    return host == NULL ? NULL : &view_host(arena, state, host, NULL, 0)->base;
}

static const ProtobufCMessage *vm_named(struct arena *arena,
                                        const struct state *state,
                                        struct text name)
{
    const struct vm *vm = state_vm_named(state, name);

    return vm == NULL ? NULL : &view_vm(arena, state, vm, false, NULL)->base;
}

static const ProtobufCMessage *group_named(struct arena *arena,
                                           const struct state *state,
                                           struct text name)
{
    const struct group *group = state_group_named(state, name);

    return group == NULL ? NULL
                         : &view_group(arena, state, group, GROUP_BRIEF)->base;
}

static const ProtobufCMessage *reservation_named(struct arena *arena,
                                                 const struct state *state,
                                                 struct text name)
{
    const struct reservation *reservation =
        state_reservation_named(state, name);

    return reservation == NULL
               ? NULL
               : &view_reservation(arena, state, reservation, NULL)->base;
}

static const ProtobufCMessage *grant_named(struct arena *arena,
                                           const struct state *state,
                                           struct text name)
{
    const struct grant *grant = state_grant_named(state, name);

    return grant == NULL ? NULL : &view_grant(arena, state, grant)->base;
}

static const ProtobufCMessage *join_token_named(struct arena *arena,
                                                const struct state *state,
                                                struct text name)
{
    const struct join_token *token = state_join_token_named(state, name);

    return token == NULL ? NULL : &view_join_token(arena, state, token)->base;
}

static const ProtobufCMessage *the_settings(struct arena *arena,
                                            const struct state *state,
                                            struct text name)
{
    (void)name;
    return &view_settings(arena, state)->base;
}

/* What the methods of a service change. */
struct audit_kind {
    const char *service;
    const char *kind;
    /* As it is now; NULL: there is none. NULL for what is no single object. */
    const ProtobufCMessage *(*find)(struct arena *arena,
                                    const struct state *state,
                                    struct text name);
};

static const struct audit_kind *kind_of(const char *path)
{
    static const struct audit_kind kinds[] = {
        {"VmService/", "vm", vm_named},
        {"HostService/", "host", host_named},
        {"ZoneService/", "zone", zone_named},
        {"ClassService/", "class", class_named},
        {"GroupService/", "group", group_named},
        {"ReservationService/", "reservation", reservation_named},
        {"ClusterService/", "settings", the_settings},
        {"AccessService/", "grant", grant_named},
        {"JoinService/", "join_token", join_token_named},
        {"ManifestService/", "manifest", NULL},
        {"OperationService/", "operation", NULL},
        {"PlanService/", "plan", NULL},
    };
    const char *method = audit_method_name(path);

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        if (strncmp(method, kinds[i].service, strlen(kinds[i].service)) == 0) {
            return &kinds[i];
        }
    }
    CHECK_UNREACHABLE("a service with mutations");
    return NULL;
}

/* The text in the field of that name; "". */
static const char *text_in(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        name);
    const char *text;

    if (field == NULL || field->type != PROTOBUF_C_TYPE_STRING ||
        field->label == PROTOBUF_C_LABEL_REPEATED) {
        return "";
    }
    memcpy(&text, (const char *)message + field->offset, sizeof(text));
    return text == NULL ? "" : text;
}

/* The request's own, or that of the one object that it brings; "": it has none,
 * or several. */
static const char *name_in(const ProtobufCMessage *request)
{
    const ProtobufCMessageDescriptor *descriptor = request->descriptor;
    const char *name = text_in(request, "name");

    if (name[0] == '\0') {
        name = text_in(request, "id");
    }
    for (unsigned i = 0; i < descriptor->n_fields && name[0] == '\0'; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const ProtobufCMessage *object;

        if (field->type != PROTOBUF_C_TYPE_MESSAGE ||
            field->label == PROTOBUF_C_LABEL_REPEATED) {
            continue;
        }
        memcpy(&object, (const char *)request + field->offset, sizeof(object));
        name = object == NULL ? "" : text_in(object, "name");
    }
    return name;
}

/* --- A note --------------------------------------------------------------- */

static void look(const struct audit_note *note, struct arena *arena,
                 const struct state *state, struct audit_fields *fields)
{
    const struct audit_kind *kind = kind_of(note->method->path);

    if (kind->find != NULL) {
        audit_fields_of_object(fields,
                               kind->find(arena, state, text_of(note->name)));
    }
}

void audit_note_begin(struct audit_note *note, const struct api_method *method,
                      const ProtobufCMessage *request, const char *caller,
                      const struct state *state)
{
    arena_init(&note->arena, AUDIT_ARENA_BYTES);
    note->method = method;
    note->request = request;
    note->caller = caller;
    note->kind = kind_of(method->path)->kind;
    note->name = name_in(request);
    audit_fields_init(&note->before, &note->arena);
    look(note, &note->arena, state, &note->before);
}

void audit_note_end(struct audit_note *note)
{
    arena_close(&note->arena);
}

/* The grant with the fields alone that changed; lent from `from`. */
static Holdfast__V1__Grant pick_changed(
    const Holdfast__V1__Grant *from, const Holdfast__V1__ManifestObject *object)
{
    Holdfast__V1__Grant picked = HOLDFAST__V1__GRANT__INIT;

    for (size_t i = 0; i < object->n_fields; i++) {
        if (strcmp(object->fields[i], "role") == 0) {
            picked.role = from->role;
        } else if (strcmp(object->fields[i], "expire_time_ms") == 0) {
            picked.expire_time_ms = from->expire_time_ms;
        } else if (strcmp(object->fields[i], "zones") == 0) {
            picked.zones = from->zones;
            picked.n_zones = from->n_zones;
        } else if (strcmp(object->fields[i], "labels") == 0) {
            picked.labels = from->labels;
            picked.n_labels = from->n_labels;
        }
    }
    return picked;
}

/* Who was given what by a manifest is told in full: of what was there before
 * the answer tells. */
static void look_at_grant(struct audit_note *note, const struct state *state,
                          const Holdfast__V1__ApplyManifestResponse *told,
                          const Holdfast__V1__ManifestObject *object,
                          const char *path, struct audit_fields *fields)
{
    const struct grant *grant = state_grant_named(state, text_of(object->name));
    const Holdfast__V1__Grant *now;
    Holdfast__V1__Grant picked;

    if (grant == NULL) {
        return;
    }
    now = view_grant(&note->arena, state, grant);
    if (object->action ==
        HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_CREATED) {
        audit_fields_of_part(fields, path, &now->base);
        return;
    }
    picked = pick_changed(now, object);
    audit_fields_of_part(fields, path, &picked.base);
    for (size_t i = 0; told->before != NULL && i < told->before->n_grants;
         i++) {
        if (strcmp(told->before->grants[i]->name, object->name) == 0) {
            picked = pick_changed(told->before->grants[i], object);
            audit_fields_of_part(&note->before, path, &picked.base);
        }
    }
}

/* Of a manifest: each object that it changed, and how. */
static void fields_of_manifest(struct audit_note *note,
                               const struct state *state,
                               struct audit_fields *fields,
                               const Holdfast__V1__ApplyManifestResponse *told)
{
    for (size_t i = 0; i < told->n_objects; i++) {
        const Holdfast__V1__ManifestObject *object = told->objects[i];
        const ProtobufCEnumDescriptor *kinds =
            &holdfast__v1__manifest_kind__descriptor;
        const ProtobufCEnumDescriptor *actions =
            &holdfast__v1__manifest_action__descriptor;
        char kind[TEXT_NAME_MAX + 1];
        char action[TEXT_NAME_MAX + 1];
        char path[AUDIT_PATH_BYTES_MAX];

        if (object->action ==
                HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_UNCHANGED ||
            object->action ==
                HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_KEPT) {
            continue;
        }
        text_enum_name(kinds, (int)object->kind, kind);
        text_enum_name(actions, (int)object->action, action);
        (void)snprintf(path, sizeof(path), "%s%s%s", kind,
                       object->name[0] == '\0' ? "" : "/", object->name);
        audit_fields_add(fields, path, action, strlen(action));
        if (object->kind == HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_GRANT) {
            look_at_grant(note, state, told, object, path, fields);
        }
    }
}

/* Of several VMs at once: their names. */
static void fields_of_batch(struct audit_fields *fields,
                            const Holdfast__V1__BatchCreateVmsRequest *request)
{
    for (size_t i = 0; i < request->n_vms; i++) {
        char path[AUDIT_PATH_BYTES_MAX];

        (void)snprintf(path, sizeof(path), "vm/%s", request->vms[i]->name);
        audit_fields_add(fields, path, "create", strlen("create"));
    }
}

static void look_after(struct audit_note *note, const struct state *state,
                       const struct bytes *response,
                       struct audit_fields *fields)
{
    const ProtobufCMessageDescriptor *output = note->method->output;

    look(note, &note->arena, state, fields);
    if (output == &holdfast__v1__apply_manifest_response__descriptor) {
        fields_of_manifest(
            note, state, fields,
            (const Holdfast__V1__ApplyManifestResponse *)(void *)api_unpack(
                output, response->data, response->len, &note->arena));
    }
    if (note->method->input ==
        &holdfast__v1__batch_create_vms_request__descriptor) {
        fields_of_batch(
            fields, (const Holdfast__V1__BatchCreateVmsRequest *)(const void *)
                        note->request);
    }
}

/* --- The record ----------------------------------------------------------- */

void audit_record_argue(struct arena *arena, audit_record *record,
                        const struct audit_fields *fields)
{
    record->arguments =
        view_alloc(arena, (fields->count + 1) * sizeof(*record->arguments));
    for (size_t i = 0; i < fields->count; i++) {
        Holdfast__V1__AuditArgument *argument =
            view_alloc(arena, sizeof(*argument));

        holdfast__v1__audit_argument__init(argument);
        argument->name = (char *)(uintptr_t)fields->of[i].path;
        argument->value = (char *)(uintptr_t)fields->of[i].value;
        record->arguments[record->n_arguments++] = argument;
    }
    record->left_out += fields->left_out;
}

static void add_change(struct arena *arena, audit_record *record,
                       const char *path, const char *before, const char *after)
{
    Holdfast__V1__AuditChange *change;

    before = before == NULL ? "" : before;
    after = after == NULL ? "" : after;
    if (strcmp(before, after) == 0) {
        return;
    }
    change = view_alloc(arena, sizeof(*change));
    holdfast__v1__audit_change__init(change);
    change->field = (char *)(uintptr_t)path;
    change->before = (char *)(uintptr_t)before;
    change->after = (char *)(uintptr_t)after;
    record->changes[record->n_changes++] = change;
}

/* What is otherwise, in the order in which the object has it; then what is gone
 * from it. */
void audit_record_change(struct arena *arena, audit_record *record,
                         const struct audit_fields *before,
                         const struct audit_fields *after)
{
    record->changes = view_alloc(arena, (before->count + after->count + 2) *
                                            sizeof(*record->changes));
    for (size_t i = 0; i < after->count; i++) {
        const struct audit_field *now = &after->of[i];

        add_change(arena, record, now->path,
                   audit_fields_get(before, now->path, i), now->value);
    }
    for (size_t i = 0; i < before->count; i++) {
        const struct audit_field *was = &before->of[i];

        if (audit_fields_get(after, was->path, i) == NULL) {
            add_change(arena, record, was->path, was->value, NULL);
        }
    }
    record->left_out +=
        after->left_out > before->left_out ? after->left_out : before->left_out;
}

/* The packed record fits what the state keeps: the last changes go first. */
static void shorten(audit_record *record)
{
    while (holdfast__v1__audit_record__get_packed_size(record) >
           AUDIT_CONTENT_BYTES_MAX) {
        CHECK(record->n_changes > 0 || record->n_arguments > 0);
        if (record->n_changes > 0) {
            record->n_changes--;
        } else {
            record->n_arguments--;
        }
        record->left_out++;
    }
}

/* Where a digest in hexadecimal digits stands. */
static char *text_of_digest(struct arena *arena, const uint8_t *digest)
{
    char *text = view_alloc(arena, DIGEST_TEXT_BYTES);

    digest_text(digest, text);
    return text;
}

/* Of the record, which is whole but for it: of its line without the bracket at
 * its end, which is what then stands before `,"digest":`. */
static void digest_of(const audit_record *record, uint8_t digest[DIGEST_BYTES])
{
    struct bytes line;

    bytes_init(&line);
    bytes_reserve(&line, AUDIT_CONTENT_BYTES_MAX);
    text_json_write(&record->base, 0, &line);
    digest_sha256(line.data, line.len - 1, digest);
    bytes_close(&line);
}

static void decide(struct arena *arena, struct turn_plan *plan,
                   audit_record *record)
{
    size_t len = holdfast__v1__audit_record__get_packed_size(record);
    uint64_t number = state_audit_last(plan->scratch) + 1;
    struct change change = {.kind = CHANGE_AUDIT};
    uint8_t content[AUDIT_CONTENT_BYTES_MAX];
    uint8_t digest[DIGEST_BYTES];

    CHECK(len <= sizeof(content));
    holdfast__v1__audit_record__pack(record, content);
    record->number = number;
    record->time_ms = state_time_ms(plan->scratch);
    record->revision = state_revision(plan->scratch);
    record->previous =
        text_of_digest(arena, state_audit_previous(plan->scratch, number));
    digest_of(record, digest);
    change.audit = (struct change_audit){
        {(const char *)content, (uint32_t)len},
        {(const char *)digest, sizeof(digest)},
    };
    turn_change(plan, &change);
}

#define OPERATION_FIELD "operation"

/* Before the others, for records are shortened at their end. */
static void add_operation(struct arena *arena, audit_record *record,
                          const char *name)
{
    Holdfast__V1__AuditChange *change;

    add_change(arena, record, OPERATION_FIELD, NULL, name);
    if (name[0] != '\0') {
        change = record->changes[record->n_changes - 1];
        memmove(record->changes + 1, record->changes,
                (record->n_changes - 1) * sizeof(*record->changes));
        record->changes[0] = change;
    }
}

void audit_record_write(struct arena *arena, struct turn_plan *plan,
                        audit_record *record)
{
    shorten(record);
    decide(arena, plan, record);
}

void audit_caller(const struct access *access,
                  char text[ACCESS_SUBJECT_TEXT_BYTES])
{
    if (access->permission == PERMISSION_JOIN) {
        (void)snprintf(text, ACCESS_SUBJECT_TEXT_BYTES, "join-token");
        return;
    }
    access_subject_text(access, text);
    if (text[0] == '\0') {
        (void)snprintf(text, ACCESS_SUBJECT_TEXT_BYTES, "loopback");
    }
}

void audit_note_write(struct audit_note *note, struct turn_plan *plan,
                      const struct api_reply *reply)
{
    audit_record record = HOLDFAST__V1__AUDIT_RECORD__INIT;
    struct arena *arena = &note->arena;
    struct audit_fields fields;

    record.caller = (char *)(uintptr_t)note->caller;
    record.method = (char *)(uintptr_t)audit_method_name(note->method->path);
    record.object_kind = (char *)(uintptr_t)note->kind;
    record.object_name = (char *)(uintptr_t)note->name;
    record.request_id = (char *)(uintptr_t)text_in(note->request, "request_id");
    record.reason = (char *)(uintptr_t)text_in(note->request, "reason");
    audit_fields_init(&fields, arena);
    audit_fields_of_request(&fields, note->request);
    audit_record_argue(arena, &record, &fields);
    audit_fields_init(&fields, arena);
    look_after(note, plan->scratch, &reply->response, &fields);
    audit_record_change(arena, &record, &note->before, &fields);
    add_operation(arena, &record, reply->operation_id);
    audit_record_write(arena, plan, &record);
}

audit_record *audit_read(struct arena *arena, const struct state *state,
                         uint64_t number)
{
    const struct audit *audit = state_audit(state, number);
    struct text content = state_blob(state, audit->blob);
    audit_record *record = (audit_record *)(void *)api_unpack(
        &holdfast__v1__audit_record__descriptor, content.data, content.len,
        arena);

    record->number = audit->number;
    record->time_ms = audit->time_ms;
    record->revision = audit->revision;
    record->previous =
        text_of_digest(arena, state_audit_previous(state, number));
    record->digest = text_of_digest(arena, audit->digest);
    return record;
}

audit_record *audit_find_operation(struct arena *arena,
                                   const struct state *state, const char *name,
                                   bool first, uint32_t looks)
{
    uint64_t number = state_audit_last(state);
    audit_record *found = NULL;

    for (; number >= state_audit_first(state) && looks > 0; number--, looks--) {
        struct text content =
            state_blob(state, state_audit(state, number)->blob);
        audit_record *record;

        /* Most are not worth unpacking. */
        if (memmem(content.data, content.len, name, strlen(name)) == NULL) {
            continue;
        }
        record = audit_read(arena, state, number);
        if (record->n_changes > 0 &&
            strcmp(record->changes[0]->field, OPERATION_FIELD) == 0 &&
            strcmp(record->changes[0]->after, name) == 0) {
            found = record;
            if (!first) {
                break;
            }
        }
    }
    return found;
}
