/* SPDX-License-Identifier: Apache-2.0 */
#include "node/manifest_fields.h"

#include "base/check.h"
#include "node/api.h"
#include "node/view.h"

#include <stdlib.h>
#include <string.h>

static const struct manifest_field settings_fields[] = {
    {"lease_wait_ms", MANIFEST_BY_UPDATE},
    {"lease_run_ms", MANIFEST_BY_UPDATE},
    {"renew_ms", MANIFEST_BY_UPDATE},
    {"kill_budget_ms", MANIFEST_BY_UPDATE},
    {"margin_ms", MANIFEST_BY_UPDATE},
    {"clock_error_permille", MANIFEST_BY_UPDATE},
    {"zone_loss_permille", MANIFEST_BY_UPDATE},
    {"storm_permille", MANIFEST_BY_UPDATE},
    {"zone_hold_ms", MANIFEST_BY_UPDATE},
    {"start_parallel", MANIFEST_BY_UPDATE},
    {"headroom", MANIFEST_BY_UPDATE},
    {"preempt_max", MANIFEST_BY_UPDATE},
    {"rebalance", MANIFEST_BY_UPDATE},
    {"rebalance_start_permille", MANIFEST_BY_UPDATE},
    {"rebalance_stop_permille", MANIFEST_BY_UPDATE},
    {"zone_moves", MANIFEST_BY_UPDATE},
    {"host_moves", MANIFEST_BY_UPDATE},
    {"vm_cool_down_ms", MANIFEST_BY_UPDATE},
    {"rebalance_window_start_minute", MANIFEST_BY_UPDATE},
    {"rebalance_window_end_minute", MANIFEST_BY_UPDATE},
    {"audit_records_max", MANIFEST_BY_UPDATE},
    {NULL, MANIFEST_FIXED},
};
static const struct manifest_field zone_fields[] = {
    {"cordoned", MANIFEST_BY_OWN},
    {NULL, MANIFEST_FIXED},
};
static const struct manifest_field class_fields[] = {
    {"resources", MANIFEST_BY_UPDATE},
    {"zones", MANIFEST_BY_UPDATE},
    {NULL, MANIFEST_FIXED},
};
static const struct manifest_field group_fields[] = {
    {"count", MANIFEST_BY_OWN},
    {"template", MANIFEST_BY_UPDATE},
    {"zone_rule", MANIFEST_BY_UPDATE},
    {"max_skew", MANIFEST_BY_UPDATE},
    {"zone_mode", MANIFEST_BY_UPDATE},
    {"zones", MANIFEST_BY_UPDATE},
    {"domain_mode", MANIFEST_BY_UPDATE},
    {"domain_max", MANIFEST_BY_UPDATE},
    {"host_mode", MANIFEST_BY_UPDATE},
    {"host_max", MANIFEST_BY_UPDATE},
    {"protected", MANIFEST_BY_UPDATE},
    {"max_unavailable", MANIFEST_BY_UPDATE},
    {NULL, MANIFEST_FIXED},
};
static const struct manifest_field reservation_fields[] = {
    {"zone", MANIFEST_FIXED},
    {"class_name", MANIFEST_FIXED},
    {"count", MANIFEST_BY_OWN},
    {NULL, MANIFEST_FIXED},
};
static const struct manifest_field vm_fields[] = {
    {"class_name", MANIFEST_FIXED},
    {"resources", MANIFEST_FIXED},
    {"zone", MANIFEST_FIXED},
    {"priority", MANIFEST_BY_UPDATE},
    {"on_partition", MANIFEST_BY_UPDATE},
    {"desired", MANIFEST_BY_OWN},
    {"template", MANIFEST_FIXED},
    {"labels", MANIFEST_BY_UPDATE},
    {"preemptible", MANIFEST_BY_UPDATE},
    {"group", MANIFEST_FIXED},
    {"host_selector", MANIFEST_FIXED},
    {NULL, MANIFEST_FIXED},
};
static const struct manifest_field grant_fields[] = {
    {"subject_kind", MANIFEST_FIXED}, {"client", MANIFEST_FIXED},
    {"role", MANIFEST_BY_UPDATE},     {"zones", MANIFEST_BY_UPDATE},
    {"labels", MANIFEST_BY_UPDATE},   {"expire_time_ms", MANIFEST_BY_UPDATE},
    {NULL, MANIFEST_FIXED},
};

#define KIND(NAME) HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_##NAME

static const struct manifest_kind kinds[MANIFEST_KINDS] = {
    [KIND(SETTINGS)] = {KIND(SETTINGS), "settings", "settings", "settings",
                        &holdfast__v1__settings__descriptor, settings_fields},
    [KIND(ZONE)] = {KIND(ZONE), "zones", "zone", "zone",
                    &holdfast__v1__zone__descriptor, zone_fields},
    [KIND(CLASS)] = {KIND(CLASS), "classes", "vm_class", "class",
                     &holdfast__v1__class__descriptor, class_fields},
    [KIND(GROUP)] = {KIND(GROUP), "groups", "group", "group",
                     &holdfast__v1__group__descriptor, group_fields},
    [KIND(RESERVATION)] = {KIND(RESERVATION), "reservations", "reservation",
                           "reservation",
                           &holdfast__v1__reservation__descriptor,
                           reservation_fields},
    [KIND(VM)] = {KIND(VM), "vms", "vm", "VM", &holdfast__v1__vm__descriptor,
                  vm_fields},
    [KIND(GRANT)] = {KIND(GRANT), "grants", "grant", "grant",
                     &holdfast__v1__grant__descriptor, grant_fields},
};

const struct manifest_kind *manifest_kind(Holdfast__V1__ManifestKind kind)
{
    CHECK(kind > 0 && kind < MANIFEST_KINDS);
    return &kinds[kind];
}

/* --- One field ------------------------------------------------------------ */

static bool is_list(const ProtobufCFieldDescriptor *field)
{
    return field->label == PROTOBUF_C_LABEL_REPEATED;
}

static bool is_oneof(const ProtobufCFieldDescriptor *field)
{
    return (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) != 0;
}

/* Of the C member. All that messages of a manifest hold. */
static size_t member_size(const ProtobufCFieldDescriptor *field)
{
    if (is_list(field)) {
        return sizeof(void *);
    }
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_UINT64:
        return sizeof(uint64_t);
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        CHECK(field->type == PROTOBUF_C_TYPE_UINT32 ||
              field->type == PROTOBUF_C_TYPE_ENUM);
        return sizeof(uint32_t);
    }
}

static void copy_field(ProtobufCMessage *to, const ProtobufCMessage *from,
                       const ProtobufCFieldDescriptor *field)
{
    size_t quantifier = is_list(field)    ? sizeof(size_t)
                        : is_oneof(field) ? sizeof(int)
                                          : 0;

    memcpy((char *)to + field->offset, (const char *)from + field->offset,
           member_size(field));
    if (quantifier > 0) {
        memcpy((char *)to + field->quantifier_offset,
               (const char *)from + field->quantifier_offset, quantifier);
    }
}

static ProtobufCMessage *new_message(const ProtobufCMessageDescriptor *kind,
                                     struct arena *arena)
{
    ProtobufCMessage *message = view_alloc(arena, kind->sizeof_message);

    kind->message_init(message);
    return message;
}

/* A message that has this field alone. */
static ProtobufCMessage *alone(const ProtobufCMessage *message,
                               const ProtobufCFieldDescriptor *field,
                               struct arena *arena)
{
    ProtobufCMessage *single = new_message(message->descriptor, arena);

    copy_field(single, message, field);
    return single;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In a copy: the names of a list. */
static void sort_names(ProtobufCMessage *message,
                       const ProtobufCFieldDescriptor *field,
                       struct arena *arena)
{
    char *at = (char *)message + field->offset;
    char **names;
    char **sorted;
    size_t count;

    memcpy(&names, at, sizeof(names));
    memcpy(&count, (char *)message + field->quantifier_offset, sizeof(count));
    if (count == 0) {
        return;
    }
    sorted = view_alloc(arena, count * sizeof(*sorted));
    memcpy(sorted, names, count * sizeof(*sorted));
    qsort(sorted, count, sizeof(*sorted), compare_names);
    memcpy(at, &sorted, sizeof(sorted));
}

static size_t pack(const ProtobufCMessage *message,
                   const ProtobufCFieldDescriptor *field, struct arena *arena,
                   uint8_t **packed)
{
    ProtobufCMessage *single = alone(message, field, arena);

    if (is_list(field) && field->type == PROTOBUF_C_TYPE_STRING) {
        sort_names(single, field, arena);
    }
    api_sort_maps(single);
    *packed = view_alloc(arena, protobuf_c_message_get_packed_size(single) + 1);
    return protobuf_c_message_pack(single, *packed);
}

static bool equals(const ProtobufCMessage *a, const ProtobufCMessage *b,
                   const ProtobufCFieldDescriptor *field, struct arena *arena)
{
    const char *left = (const char *)a + field->offset;
    const char *right = (const char *)b + field->offset;
    uint8_t *left_packed;
    uint8_t *right_packed;
    size_t len;

    if (!is_list(field) && field->type == PROTOBUF_C_TYPE_STRING) {
        return compare_names(left, right) == 0;
    }
    if (!is_list(field) && field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return memcmp(left, right, member_size(field)) == 0;
    }
    len = pack(a, field, arena, &left_packed);
    return pack(b, field, arena, &right_packed) == len &&
           memcmp(left_packed, right_packed, len) == 0;
}

static const ProtobufCFieldDescriptor *find(
    const ProtobufCMessageDescriptor *kind, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(kind, name);

    CHECK(field != NULL);
    return field;
}

/* --- Objects ---------------------------------------------------------------
 */

void manifest_compare(const struct manifest_kind *kind,
                      const ProtobufCMessage *wish, const ProtobufCMessage *now,
                      struct arena *arena, struct manifest_diff *diff)
{
    CHECK(wish->descriptor == kind->descriptor &&
          now->descriptor == kind->descriptor);
    diff->count = 0;
    for (const struct manifest_field *field = kind->fields; field->name != NULL;
         field++) {
        if (!equals(wish, now, find(kind->descriptor, field->name), arena)) {
            CHECK(diff->count < MANIFEST_FIELDS_MAX);
            diff->fields[diff->count++] = field;
        }
    }
}

bool manifest_differs_in(const struct manifest_diff *diff, const char *field)
{
    for (size_t i = 0; i < diff->count; i++) {
        if (strcmp(diff->fields[i]->name, field) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_wish(const struct manifest_kind *kind, const char *name)
{
    if (strcmp(name, "name") == 0) {
        return true;
    }
    for (const struct manifest_field *field = kind->fields; field->name != NULL;
         field++) {
        if (strcmp(field->name, name) == 0) {
            return true;
        }
    }
    return false;
}

const char *manifest_foreign_field(const struct manifest_kind *kind,
                                   const ProtobufCMessage *message,
                                   struct arena *arena)
{
    for (unsigned i = 0; i < kind->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &kind->descriptor->fields[i];

        if (!is_wish(kind, field->name) &&
            protobuf_c_message_get_packed_size(alone(message, field, arena)) >
                0) {
            return field->name;
        }
    }
    return NULL;
}

ProtobufCMessage *manifest_pick(const ProtobufCMessage *from,
                                const struct manifest_diff *diff,
                                struct arena *arena)
{
    ProtobufCMessage *picked = new_message(from->descriptor, arena);
    const ProtobufCFieldDescriptor *name =
        protobuf_c_message_descriptor_get_field_by_name(from->descriptor,
                                                        "name");

    if (name != NULL) {
        copy_field(picked, from, name);
    }
    for (size_t i = 0; i < diff->count; i++) {
        copy_field(picked, from, find(from->descriptor, diff->fields[i]->name));
    }
    return picked;
}

/* --- Defaults ---------------------------------------------------------------
 */

Holdfast__V1__Settings *manifest_settings(const Holdfast__V1__Settings *message,
                                          struct arena *arena)
{
    struct settings settings;
    struct policy policy;
    Holdfast__V1__Settings *whole;

    settings_init(&settings);
    policy_init(&policy);
    whole = view_both_settings(arena, &settings, &policy);
    for (unsigned i = 0; i < whole->base.descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field =
            &whole->base.descriptor->fields[i];

        if (protobuf_c_message_get_packed_size(
                alone(&message->base, field, arena)) > 0) {
            copy_field(&whole->base, &message->base, field);
        }
    }
    return whole;
}

/* An amount of 0 is none. */
static Holdfast__V1__Resources *resources(
    const Holdfast__V1__Resources *message, struct arena *arena)
{
    Holdfast__V1__Resources *whole;

    if (message == NULL) {
        return NULL;
    }
    whole = view_alloc(arena, sizeof(*whole));
    *whole = *message;
    whole->n_named = 0;
    whole->named =
        view_alloc(arena, (message->n_named + 1) * sizeof(*whole->named));
    for (size_t i = 0; i < message->n_named; i++) {
        if (message->named[i]->value > 0) {
            whole->named[whole->n_named++] = message->named[i];
        }
    }
    return whole;
}

static Holdfast__V1__OnPartition on_partition(Holdfast__V1__OnPartition value)
{
    return value == HOLDFAST__V1__ON_PARTITION__ON_PARTITION_UNSPECIFIED
               ? HOLDFAST__V1__ON_PARTITION__ON_PARTITION_MOVE
               : value;
}

Holdfast__V1__Class *manifest_class(const Holdfast__V1__Class *message,
                                    struct arena *arena)
{
    Holdfast__V1__Class *whole = view_alloc(arena, sizeof(*whole));

    *whole = *message;
    whole->resources = resources(message->resources, arena);
    return whole;
}

Holdfast__V1__Group *manifest_group(const Holdfast__V1__Group *message,
                                    struct arena *arena)
{
    Holdfast__V1__Group *whole = view_alloc(arena, sizeof(*whole));

    *whole = *message;
    if (whole->zone_rule == HOLDFAST__V1__ZONE_RULE__ZONE_RULE_UNSPECIFIED) {
        whole->zone_rule = HOLDFAST__V1__ZONE_RULE__ZONE_RULE_SPREAD;
    }
    if (whole->zone_rule == HOLDFAST__V1__ZONE_RULE__ZONE_RULE_SPREAD &&
        whole->max_skew == 0) {
        whole->max_skew = 1;
    }
    if (whole->zone_mode == HOLDFAST__V1__RULE_MODE__RULE_MODE_UNSPECIFIED) {
        whole->zone_mode = HOLDFAST__V1__RULE_MODE__RULE_MODE_BEST_EFFORT;
    }
    if (whole->_protected_case != HOLDFAST__V1__GROUP___PROTECTED_PROTECTED) {
        whole->_protected_case = HOLDFAST__V1__GROUP___PROTECTED_PROTECTED;
        whole->protected_ = true;
    }
    if (message->template_ != NULL) {
        whole->template_ = view_alloc(arena, sizeof(*whole->template_));
        *whole->template_ = *message->template_;
        whole->template_->on_partition =
            on_partition(message->template_->on_partition);
        whole->template_->resources =
            resources(message->template_->resources, arena);
    }
    return whole;
}

Holdfast__V1__Grant *manifest_grant(const Holdfast__V1__Grant *message,
                                    struct arena *arena)
{
    Holdfast__V1__Grant *whole = view_alloc(arena, sizeof(*whole));

    *whole = *message;
    whole->subject_kind = HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_CLIENT;
    return whole;
}

Holdfast__V1__Vm *manifest_vm(const Holdfast__V1__Vm *message,
                              struct arena *arena)
{
    Holdfast__V1__Vm *whole = view_alloc(arena, sizeof(*whole));

    *whole = *message;
    whole->on_partition = on_partition(message->on_partition);
    if (whole->desired ==
        HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_UNSPECIFIED) {
        whole->desired = HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_RUNNING;
    }
    whole->resources = resources(message->resources, arena);
    return whole;
}
