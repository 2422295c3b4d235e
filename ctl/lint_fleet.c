/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on the fleet as a whole: classes, settings, whether there is room. */
#include "base/container.h"
#include "ctl/format.h"
#include "ctl/lint.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define STORM_OFF_PERMILLE 1000
#define LABELS_MAX         64

/* --- Classes ----------------------------------------------------------------
 */

static bool is_used(const struct lint *lint, const char *class_name)
{
    const Holdfast__V1__Manifest *manifest = lint->input->manifest;

    for (size_t i = 0; i < lint->work_count; i++) {
        if (strcmp(lint->work[i].class_name, class_name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < manifest->n_reservations; i++) {
        if (strcmp(manifest->reservations[i]->class_name, class_name) == 0) {
            return true;
        }
    }
    return false;
}

static bool same_size(const Holdfast__V1__Resources *a,
                      const Holdfast__V1__Resources *b)
{
    return a != NULL && b != NULL && a->cpu_milli == b->cpu_milli &&
           a->memory_mib == b->memory_mib && a->disk_gib == b->disk_gib &&
           a->gpu_count == b->gpu_count && a->n_named == 0 && b->n_named == 0;
}

static bool same_zones(const Holdfast__V1__Class *a,
                       const Holdfast__V1__Class *b)
{
    bool same = a->n_zones == b->n_zones;

    for (size_t i = 0; same && i < a->n_zones; i++) {
        same = strcmp(a->zones[i], b->zones[i]) == 0;
    }
    return same;
}

static void judge_class(struct lint *lint, size_t index)
{
    const Holdfast__V1__Manifest *manifest = lint->input->manifest;
    const Holdfast__V1__Class *class = manifest->classes[index];
    char subject[80];
    char path[48];

    (void)snprintf(path, sizeof(path), "classes[%zu]", index);
    (void)snprintf(subject, sizeof(subject), "class %.60s", class->name);
    if (class->n_zones == 1) {
        lint_add(lint, LINT_CLASS_ONE_ZONE, path, subject,
                 "is offered in zone %s only: its VMs are not placed again "
                 "when that is lost",
                 class->zones[0]);
    }
    for (size_t i = 0; i < class->n_zones; i++) {
        if (lint_knows_zones(lint->input) &&
            !lint_has_zone(lint->input, class->zones[i])) {
            lint_add(lint, LINT_UNKNOWN_ZONE, path, subject,
                     "there is no zone %s", class->zones[i]);
        }
    }
    if (lint->work_count > 0 && !is_used(lint, class->name)) {
        lint_add(lint, LINT_CLASS_UNUSED, path, subject,
                 "nothing in the file is of it");
    }
    for (size_t i = 0; i < index; i++) {
        if (same_size(manifest->classes[i]->resources, class->resources) &&
            same_zones(manifest->classes[i], class)) {
            lint_add(lint, LINT_CLASS_TWICE, path, subject,
                     "is the same as class %s", manifest->classes[i]->name);
            return;
        }
    }
}

/* --- Room -------------------------------------------------------------------
 */

struct room {
    uint64_t cpu_milli;
    uint64_t memory_mib;
};

static void add(struct room *room, const Holdfast__V1__Resources *size,
                uint64_t count)
{
    if (size != NULL) {
        room->cpu_milli += size->cpu_milli * count;
        room->memory_mib += size->memory_mib * count;
    }
}

/* What must run also when a zone is lost. */
static struct room wanted(const struct lint *lint)
{
    struct room room = {0};

    for (size_t i = 0; i < lint->work_count; i++) {
        const struct lint_work *work = &lint->work[i];
        const Holdfast__V1__Class *class =
            lint_class(lint->input, work->class_name);

        if (!work->preemptible) {
            add(&room, class == NULL ? work->resources : class->resources,
                work->count);
        }
    }
    return room;
}

/* Of the hosts that are not in this zone. */
static struct room room_without(const struct lint_input *input,
                                const char *zone)
{
    struct room room = {0};
    size_t count;
    Holdfast__V1__Host **hosts = lint_hosts(input, &count);

    for (size_t i = 0; i < count; i++) {
        if (strcmp(hosts[i]->zone, zone) != 0 && !hosts[i]->cordoned) {
            add(&room, hosts[i]->capacity, 1);
        }
    }
    return room;
}

static void judge_capacity(struct lint *lint)
{
    const Holdfast__V1__Manifest *manifest = lint->input->manifest;
    struct room need = wanted(lint);
    size_t hosts;

    (void)lint_hosts(lint->input, &hosts);
    for (size_t i = 0; hosts > 0 && i < manifest->n_zones; i++) {
        const char *zone = manifest->zones[i]->name;
        struct room left = room_without(lint->input, zone);
        char path[48];
        char subject[80];

        if (need.cpu_milli <= left.cpu_milli &&
            need.memory_mib <= left.memory_mib) {
            continue;
        }
        (void)snprintf(path, sizeof(path), "zones[%zu]", i);
        (void)snprintf(subject, sizeof(subject), "zone %.60s", zone);
        lint_add(lint, LINT_CAPACITY, path, subject,
                 "without it hosts have %" PRIu64 " CPU and %s, and the file's "
                 "VMs take %" PRIu64 " CPU and %s: some have no place when it "
                 "is lost",
                 left.cpu_milli / 1000, format_mib(left.memory_mib).text,
                 (need.cpu_milli + 999) / 1000,
                 format_mib(need.memory_mib).text);
    }
}

/* --- Settings, priorities ---------------------------------------------------
 */

static void judge_settings(struct lint *lint)
{
    const Holdfast__V1__Settings *settings = lint->input->manifest->settings;
    const char *path = settings == NULL ? "" : "settings.storm_permille";

    if (settings == NULL && lint->input->region != NULL) {
        settings = lint->input->region->settings;
    }
    if (settings == NULL ||
        settings->headroom !=
            HOLDFAST__V1__HEADROOM_MODE__HEADROOM_MODE_ENFORCE) {
        lint_add(lint, LINT_HEADROOM,
                 lint->input->manifest->settings == NULL ? ""
                                                         : "settings.headroom",
                 "",
                 "headroom is not enforced: what is created may leave no room "
                 "for the loss of a zone");
    }
    if (settings != NULL && settings->storm_permille >= STORM_OFF_PERMILLE) {
        lint_add(lint, LINT_STORM_OFF, path, "",
                 "storm_permille %" PRIu32 " switches the storm brake off",
                 settings->storm_permille);
    }
}

static void judge_priorities(struct lint *lint)
{
    size_t same = 0;
    bool preemptible = false;

    for (size_t i = 0; i < lint->work_count; i++) {
        same += lint->work[i].priority == lint->work[0].priority;
        preemptible = preemptible || lint->work[i].preemptible;
    }
    if (lint->work_count > 1 && same == lint->work_count) {
        lint_add(lint, LINT_PRIORITIES_EQUAL, "", "",
                 "all have priority %" PRIu32 ": after a loss nothing comes "
                 "back before anything else",
                 lint->work[0].priority);
    }
    if (lint->input->manifest->n_reservations > 0 && lint->work_count > 0 &&
        !preemptible) {
        lint_add(lint, LINT_NOTHING_PREEMPTIBLE, "reservations", "",
                 "reserved room stays empty until a loss: nothing is "
                 "preemptible");
    }
}

/* --- Labels of hosts --------------------------------------------------------
 */

/* Distinct keys of a map of strings. */
struct keys {
    const char *keys[LABELS_MAX];
    size_t count;
    bool full; /* There were more: nothing can be said. */
};

static bool has_key(const struct keys *keys, const char *key)
{
    for (size_t i = 0; i < keys->count; i++) {
        if (strcmp(keys->keys[i], key) == 0) {
            return true;
        }
    }
    return false;
}

static void add_keys(struct keys *keys, const ProtobufCMessage *message,
                     const char *map)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor,
                                                        map);
    size_t count = text_field_count(message, field, false);

    for (size_t i = 0; i < count; i++) {
        const char *key = view_string(
            *(ProtobufCMessage *const *)text_field_at(message, field, i),
            "key");

        if (has_key(keys, key)) {
            continue;
        }
        if (keys->count == LABELS_MAX) {
            keys->full = true;
            return;
        }
        keys->keys[keys->count++] = key;
    }
}

static void judge_labels(struct lint *lint)
{
    const Holdfast__V1__Manifest *manifest = lint->input->manifest;
    struct keys used = {.count = 0};
    struct keys told = {.count = 0};

    for (size_t i = 0; i < lint->work_count; i++) {
        add_keys(&used, lint->work[i].message, "host_selector");
    }
    for (size_t i = 0; i < manifest->n_hosts && lint->work_count > 0; i++) {
        struct keys of_host = {.count = 0};
        char path[48];

        add_keys(&of_host, &manifest->hosts[i]->base, "labels");
        (void)snprintf(path, sizeof(path), "hosts[%zu].labels", i);
        for (size_t j = 0; j < of_host.count && !used.full; j++) {
            if (has_key(&used, of_host.keys[j]) ||
                has_key(&told, of_host.keys[j]) || told.count == LABELS_MAX) {
                continue;
            }
            told.keys[told.count++] = of_host.keys[j];
            lint_add(lint, LINT_LABEL_UNUSED, path, manifest->hosts[i]->name,
                     "no host_selector of the file asks for label %s",
                     of_host.keys[j]);
        }
    }
}

void lint_fleet(struct lint *lint)
{
    for (size_t i = 0; i < lint->input->manifest->n_classes; i++) {
        judge_class(lint, i);
    }
    judge_settings(lint);
    judge_priorities(lint);
    judge_capacity(lint);
    judge_labels(lint);
}
