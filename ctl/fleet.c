/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/fleet.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "ctl/list.h"
#include "ctl/request.h"
#include "ctl/view.h"
#include "holdfast/v1/cluster_service.pb-c.h"
#include "holdfast/v1/group_service.pb-c.h"
#include "proto/text_field.h"

#include <stdlib.h>
#include <string.h>

const struct fleet_fields fleet_fields[] = {
    {.descriptor = &holdfast__v1__zone__descriptor,
     .wishes = "name cordoned",
     .facts = "uid state revision create_time_ms draining drain_deadline_ms "
              "drain_at_risk",
     .left_out = "host_count host_up_count vm_count capacity used headroom"},
    {.descriptor = &holdfast__v1__class__descriptor,
     .wishes = "name resources zones",
     .facts = "uid revision create_time_ms",
     .left_out = "vm_count"},
    {.descriptor = &holdfast__v1__host__descriptor,
     .wishes = "name zone fault_domain cordoned capacity pools drivers labels",
     .facts = "uid state generation revision create_time_ms agent_version "
              "draining drain_deadline_ms drain_at_risk",
     .left_out = "used vm_count lease claimed"},
    {.descriptor = &holdfast__v1__vm__descriptor,
     .wishes = "name class_name zone priority on_partition desired template "
               "labels preemptible group host_selector resources",
     .facts = "uid revision create_time_ms status",
     .left_out = ""},
    {.descriptor = &holdfast__v1__group__descriptor,
     .wishes = "name count template zone_rule max_skew zone_mode zones "
               "domain_mode domain_max host_mode host_max protected "
               "max_unavailable",
     .facts = "uid generation revision create_time_ms",
     .left_out = "status"},
    {.descriptor = &holdfast__v1__reservation__descriptor,
     .wishes = "name zone class_name count",
     .facts = "uid revision create_time_ms",
     .left_out = "free_count used_count missing_count"},
    {.descriptor = &holdfast__v1__grant__descriptor,
     .wishes = "name client role zones labels expire_time_ms",
     .facts = "uid revision create_time_ms",
     .left_out = "subject_kind secret_sha256"},
    {.descriptor = &holdfast__v1__settings__descriptor,
     .wishes = "lease_wait_ms lease_run_ms renew_ms kill_budget_ms margin_ms "
               "clock_error_permille zone_loss_permille storm_permille "
               "zone_hold_ms start_parallel headroom preempt_max rebalance "
               "rebalance_start_permille rebalance_stop_permille zone_moves "
               "host_moves vm_cool_down_ms rebalance_window_start_minute "
               "rebalance_window_end_minute audit_records_max",
     .facts = "revision",
     .left_out = ""},
};

const size_t fleet_fields_count = ARRAY_LEN(fleet_fields);

void fleet_init(struct fleet *fleet)
{
    *fleet = (struct fleet){.answered = false};
    for (size_t i = 0; i < FLEET_KINDS; i++) {
        map_init(&fleet->objects[i]);
    }
}

static void free_message(void *message)
{
    protobuf_c_message_free_unpacked(message, NULL);
}

void fleet_close(struct fleet *fleet)
{
    for (size_t i = 0; i < FLEET_KINDS; i++) {
        struct map *objects = &fleet->objects[i];
        size_t cursor = 0;
        void *object;

        while ((object = map_next(objects, &cursor)) != NULL) {
            free_message(object);
        }
        map_close(objects);
    }
    free_message(fleet->settings);
    fleet->settings = NULL;
}

static uint64_t number(const ProtobufCMessage *object, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(object->descriptor,
                                                        name);

    CHECK(field != NULL && field->type == PROTOBUF_C_TYPE_UINT64);
    return *(const uint64_t *)text_field_at(object, field, 0);
}

static struct map *objects_of(struct fleet *fleet,
                              const ProtobufCMessageDescriptor *descriptor)
{
    for (size_t i = 0; i < FLEET_KINDS; i++) {
        if (fleet_fields[i].descriptor == descriptor) {
            return &fleet->objects[i];
        }
    }
    return NULL;
}

/* Takes the object; it stays unless a newer state of it is here. */
static void put(struct fleet *fleet, ProtobufCMessage *object)
{
    struct map *objects = objects_of(fleet, object->descriptor);
    uint64_t uid = number(object, "uid");
    ProtobufCMessage *before;

    CHECK(objects != NULL);
    before = map_get(objects, uid);
    if (before != NULL &&
        number(before, "revision") > number(object, "revision")) {
        free_message(object);
        return;
    }
    free_message(before);
    map_put(objects, uid, object);
}

static void take_settings(struct fleet *fleet,
                          Holdfast__V1__GetSettingsResponse *response)
{
    free_message(fleet->settings);
    fleet->settings = response->settings;
    response->settings = NULL;
}

void fleet_take(struct fleet *fleet, ProtobufCMessage *response)
{
    uint64_t revision = response_revision(response);

    if (!fleet->answered || revision < fleet->oldest) {
        fleet->oldest = revision;
    }
    if (!fleet->answered || revision > fleet->newest) {
        fleet->newest = revision;
    }
    fleet->answered = true;
    if (response->descriptor ==
        &holdfast__v1__get_settings_response__descriptor) {
        take_settings(fleet, (void *)response);
    } else {
        const ProtobufCFieldDescriptor *field =
            list_field(response->descriptor);
        size_t *count = text_field_list_count(response, field);
        ProtobufCMessage **items = list_items(response);

        for (size_t i = 0; i < *count; i++) {
            put(fleet, items[i]);
        }
        *count = 0;
    }
}

const Holdfast__V1__Group **fleet_groups(const struct fleet *fleet,
                                         size_t *count)
{
    const struct map *objects = &fleet->objects[FLEET_GROUP];
    const Holdfast__V1__Group **all =
        memory_alloc_array(objects->count + 1, sizeof(*all));
    const Holdfast__V1__Group *group;
    size_t cursor = 0;

    *count = 0;
    while ((group = map_next(objects, &cursor)) != NULL) {
        all[(*count)++] = group;
    }
    return all;
}

bool fleet_take_group(struct fleet *fleet, ProtobufCMessage *response)
{
    Holdfast__V1__GetGroupResponse *answer = (void *)response;
    const Holdfast__V1__Group *before;

    CHECK(response->descriptor ==
          &holdfast__v1__get_group_response__descriptor);
    if (answer->group == NULL) {
        return false;
    }
    before = map_get(&fleet->objects[FLEET_GROUP], answer->group->uid);
    if (before == NULL || before->revision != answer->group->revision) {
        return false;
    }
    put(fleet, &answer->group->base);
    answer->group = NULL;
    return true;
}

static ProtobufCMessage *copy_of(const ProtobufCMessage *message)
{
    struct bytes packed;
    ProtobufCMessage *copy;
    size_t size = protobuf_c_message_get_packed_size(message);

    bytes_init(&packed);
    packed.len =
        protobuf_c_message_pack(message, bytes_reserve(&packed, size + 1));
    copy = protobuf_c_message_unpack(message->descriptor, NULL, packed.len,
                                     packed.data);
    CHECK(copy != NULL);
    bytes_close(&packed);
    return copy;
}

void fleet_change(struct fleet *fleet, const struct event_view *event)
{
    const ProtobufCMessage *object = event->object;
    struct map *objects = objects_of(fleet, object->descriptor);

    if (event->revision > fleet->newest) {
        return;
    }
    if (objects == NULL) {
        CHECK(object->descriptor == &holdfast__v1__settings__descriptor);
        free_message(fleet->settings);
        fleet->settings = (void *)copy_of(object);
    } else if (event->deleted) {
        free_message(map_remove(objects, number(object, "uid")));
    } else {
        put(fleet, copy_of(object));
    }
}

static bool has_word(const char *words, const char *word)
{
    size_t len = strlen(word);

    while (words[0] != '\0') {
        size_t at_len = strcspn(words, " ");

        if (at_len == len && memcmp(words, word, len) == 0) {
            return true;
        }
        words += at_len + (words[at_len] == ' ');
    }
    return false;
}

/* Back to the default; what it held is freed. */
static void clear(ProtobufCMessage *object,
                  const ProtobufCFieldDescriptor *field)
{
    void *value = (char *)object + field->offset;

    CHECK(field->label == PROTOBUF_C_LABEL_NONE);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        free_message(*(ProtobufCMessage **)value);
        *(ProtobufCMessage **)value = NULL;
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        free(((ProtobufCBinaryData *)value)->data);
        *(ProtobufCBinaryData *)value = (ProtobufCBinaryData){0, NULL};
    } else if (field->type == PROTOBUF_C_TYPE_STRING) {
        if (*(const char **)value != protobuf_c_empty_string) {
            free(*(char **)value);
        }
        *(const char **)value = protobuf_c_empty_string;
    } else {
        memset(value, 0, text_type_size(field->type));
    }
}

/* What the leader keeps in memory, and may have changed before it is read. */
static void strip_status(ProtobufCMessage *object)
{
    Holdfast__V1__Vm *vm = (void *)object;

    if (object->descriptor == &holdfast__v1__vm__descriptor &&
        vm->status != NULL) {
        vm->status->unprotected_reason = 0;
    }
}

static void strip(const struct fleet_fields *fields, ProtobufCMessage *object,
                  bool facts)
{
    for (unsigned i = 0; i < object->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &object->descriptor->fields[i];

        if (!has_word(fields->wishes, field->name) &&
            !(facts && has_word(fields->facts, field->name))) {
            clear(object, field);
        }
    }
    strip_status(object);
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(view_string(*(ProtobufCMessage *const *)a, "key"),
                  view_string(*(ProtobufCMessage *const *)b, "key"));
}

static void sort_map(ProtobufCMessage *object, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(object->descriptor,
                                                        name);

    if (field != NULL && *text_field_list_count(object, field) > 1) {
        qsort(*(void **)(void *)((char *)object + field->offset),
              *text_field_list_count(object, field), sizeof(ProtobufCMessage *),
              compare_keys);
    }
}

static void sort_size(Holdfast__V1__Resources *size)
{
    if (size != NULL) {
        sort_map(&size->base, "named");
    }
}

/* The maps of an object, and of what it holds, in order of keys. */
static void sort_maps(ProtobufCMessage *object)
{
    sort_map(object, "labels");
    sort_map(object, "host_selector");
    if (object->descriptor == &holdfast__v1__vm__descriptor) {
        sort_size(((Holdfast__V1__Vm *)(void *)object)->resources);
    } else if (object->descriptor == &holdfast__v1__class__descriptor) {
        sort_size(((Holdfast__V1__Class *)(void *)object)->resources);
    } else if (object->descriptor == &holdfast__v1__host__descriptor) {
        sort_size(((Holdfast__V1__Host *)(void *)object)->capacity);
    } else if (object->descriptor == &holdfast__v1__group__descriptor) {
        Holdfast__V1__Group *group = (void *)object;

        if (group->template_ != NULL) {
            sort_maps(&group->template_->base);
            sort_size(group->template_->resources);
        }
    }
}

static int compare_names(const void *a, const void *b)
{
    return strverscmp(view_string(*(ProtobufCMessage *const *)a, "name"),
                      view_string(*(ProtobufCMessage *const *)b, "name"));
}

/* What nobody would write: it goes, or Holdfast makes it by itself. */
static bool is_fact(const ProtobufCMessage *object)
{
    if (object->descriptor == &holdfast__v1__vm__descriptor) {
        const Holdfast__V1__VmStatus *status =
            ((const Holdfast__V1__Vm *)(const void *)object)->status;

        return status != NULL &&
               (status->deleting || status->template_generation != 0);
    }
    if (object->descriptor == &holdfast__v1__group__descriptor) {
        const Holdfast__V1__GroupStatus *status =
            ((const Holdfast__V1__Group *)(const void *)object)->status;

        return status != NULL && status->deleting;
    }
    return false;
}

/* No manifest has it: a token, or what allows nothing any more. */
static bool is_no_wish(const struct fleet *fleet,
                       const ProtobufCMessage *object, bool facts)
{
    const Holdfast__V1__Grant *grant = (const void *)object;

    if (object->descriptor != &holdfast__v1__grant__descriptor) {
        return !facts && is_fact(object);
    }
    return grant->subject_kind ==
               HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN ||
           (!facts && grant->expire_time_ms != 0 &&
            grant->expire_time_ms <= fleet->now_ms);
}

/* The objects of one kind as an array that is the caller's. */
static ProtobufCMessage **take_all(struct fleet *fleet, enum fleet_kind kind,
                                   bool facts, size_t *count)
{
    struct map *objects = &fleet->objects[kind];
    ProtobufCMessage **all =
        memory_alloc_array(objects->count + 1, sizeof(*all));
    ProtobufCMessage *object;
    size_t cursor = 0;

    *count = 0;
    while ((object = map_next(objects, &cursor)) != NULL) {
        if (is_no_wish(fleet, object, facts)) {
            free_message(object);
            continue;
        }
        strip(&fleet_fields[kind], object, facts);
        sort_maps(object);
        all[(*count)++] = object;
    }
    map_close(objects);
    map_init(objects);
    qsort(all, *count, sizeof(*all), compare_names);
    return all;
}

Holdfast__V1__Manifest *fleet_manifest(struct fleet *fleet, bool facts)
{
    Holdfast__V1__Manifest *manifest = memory_alloc(sizeof(*manifest));

    holdfast__v1__manifest__init(manifest);
    manifest->settings = fleet->settings;
    fleet->settings = NULL;
    if (manifest->settings != NULL) {
        strip(&fleet_fields[FLEET_KINDS], &manifest->settings->base, facts);
    }
    manifest->zones =
        (void *)take_all(fleet, FLEET_ZONE, facts, &manifest->n_zones);
    manifest->classes =
        (void *)take_all(fleet, FLEET_CLASS, facts, &manifest->n_classes);
    manifest->hosts =
        (void *)take_all(fleet, FLEET_HOST, facts, &manifest->n_hosts);
    manifest->vms = (void *)take_all(fleet, FLEET_VM, facts, &manifest->n_vms);
    manifest->groups =
        (void *)take_all(fleet, FLEET_GROUP, facts, &manifest->n_groups);
    manifest->reservations = (void *)take_all(fleet, FLEET_RESERVATION, facts,
                                              &manifest->n_reservations);
    manifest->grants =
        (void *)take_all(fleet, FLEET_GRANT, facts, &manifest->n_grants);
    return manifest;
}
