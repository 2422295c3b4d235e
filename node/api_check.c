/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_check.h"

#include "base/planted.h"
#include "state/labels.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_DEFAULT 1000
#define PAGE_MAX     10000

static bool is_edge(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool api_check_name(struct api_reply *reply, const char *field,
                    const char *name)
{
    size_t len = strlen(name);
    bool good = len >= 1 && len < NAME_BYTES && is_edge(name[0]) &&
                is_edge(name[len - 1]);

    for (size_t i = 0; good && i < len; i++) {
        good = is_edge(name[i]) || name[i] == '-';
    }
    if (!good) {
        api_fail(reply, API_INVALID_FIELD,
                 "%s: '%.80s' is not a name: 1 to 63 of a-z, 0-9 and '-', "
                 "beginning and ending with a letter or digit",
                 field, name);
    }
    return good;
}

bool api_check_range(struct api_reply *reply, const char *field, uint64_t value,
                     uint64_t min, uint64_t max)
{
    if (value >= min && value <= max) {
        return true;
    }
    api_fail(reply, API_INVALID_FIELD,
             "%s: %" PRIu64 " is out of range; it must be %" PRIu64
             " to %" PRIu64,
             field, value, min, max);
    return false;
}

bool api_check_revision(struct api_reply *reply, uint64_t expected,
                        uint64_t actual, const char *name)
{
    if (expected == 0 || expected == actual || PLANTED(EXPECT_IGNORED)) {
        return true;
    }
    api_fail(reply, API_REVISION_CONFLICT,
             "expect_revision: '%s' is at revision %" PRIu64 ", not %" PRIu64
             "; read it again, then decide again",
             name, actual, expected);
    return false;
}

static bool check_named(struct api_reply *reply, const char *field,
                        const Holdfast__V1__Resources *resources)
{
    char name[128];

    if (resources->n_named > NAMED_MAX) {
        api_fail(reply, API_INVALID_FIELD, "%s.named: %zu names; at most %d",
                 field, resources->n_named, NAMED_MAX);
        return false;
    }
    for (size_t i = 0; i < resources->n_named; i++) {
        const char *key = resources->named[i]->key;

        snprintf(name, sizeof(name), "%s.named", field);
        if (!api_check_name(reply, name, key)) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (strcmp(resources->named[j]->key, key) == 0) {
                api_fail(reply, API_INVALID_FIELD, "%s: '%s' is named twice",
                         name, key);
                return false;
            }
        }
        snprintf(name, sizeof(name), "%s.named[%s]", field, key);
        if (!api_check_range(reply, name, resources->named[i]->value, 0,
                             1000000000)) {
            return false;
        }
    }
    return true;
}

bool api_check_resources(struct api_reply *reply, const char *field,
                         const Holdfast__V1__Resources *resources)
{
    char name[96];

    if (resources == NULL) {
        api_fail(reply, API_INVALID_FIELD, "%s: must be given", field);
        return false;
    }
    snprintf(name, sizeof(name), "%s.cpu_milli", field);
    if (!api_check_range(reply, name, resources->cpu_milli, 1, 1024000)) {
        return false;
    }
    snprintf(name, sizeof(name), "%s.memory_mib", field);
    if (!api_check_range(reply, name, resources->memory_mib, 1, 67108864)) {
        return false;
    }
    snprintf(name, sizeof(name), "%s.disk_gib", field);
    if (!api_check_range(reply, name, resources->disk_gib, 0, 16777216)) {
        return false;
    }
    snprintf(name, sizeof(name), "%s.gpu_count", field);
    return api_check_range(reply, name, resources->gpu_count, 0, 1024) &&
           check_named(reply, field, resources);
}

bool api_check_reason(struct api_reply *reply, const char *reason)
{
    if (strlen(reason) <= 255) {
        return true;
    }
    api_fail(reply, API_INVALID_FIELD, "reason: at most 255 bytes");
    return false;
}

bool api_check_labels(struct api_reply *reply, const char *field,
                      const void *entries, size_t count, struct bytes *encoded)
{
    const api_map_entry *const *map = entries;
    struct label labels[LABELS_MAX];

    if (count > LABELS_MAX) {
        api_fail(reply, API_INVALID_FIELD, "%s: %zu labels; at most %d", field,
                 count, LABELS_MAX);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        labels[i].key = text_of(map[i]->key);
        labels[i].value = text_of(map[i]->value == NULL ? "" : map[i]->value);
    }
    if (labels_encode(labels, count, encoded) != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "%s: keys must be 1 to %d bytes and differ, values at most "
                 "%d bytes",
                 field, LABEL_KEY_MAX, LABEL_VALUE_MAX);
        return false;
    }
    return true;
}

static void list_fields(const struct api_mask_field *fields, size_t count,
                        char *text, size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < count && used < size; i++) {
        used += (size_t)snprintf(text + used, size - used, "%s%s",
                                 i == 0 ? "" : ", ", fields[i].name);
    }
}

bool api_check_mask(struct api_reply *reply, char *const *names, size_t count,
                    const struct api_mask_field *fields, size_t field_count,
                    uint32_t *mask)
{
    char can[256] = "";

    list_fields(fields, field_count, can, sizeof(can));
    *mask = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;

        while (at < field_count && strcmp(fields[at].name, names[i]) != 0) {
            at++;
        }
        if (at == field_count) {
            api_fail(reply, API_INVALID_FIELD,
                     "update_mask: '%.80s' cannot be changed; these can: %s",
                     names[i], can);
            return false;
        }
        *mask |= fields[at].bit;
    }
    if (*mask == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "update_mask: name at least one of: %s", can);
    }
    return *mask != 0;
}

bool api_check_page_size(struct api_reply *reply, uint32_t page_size,
                         uint32_t *count)
{
    *count = page_size == 0 ? PAGE_DEFAULT : page_size;
    if (*count > PAGE_MAX) {
        api_fail(reply, API_INVALID_FIELD, "page_size: %u; at most %d",
                 page_size, PAGE_MAX);
        return false;
    }
    return true;
}

bool api_check_page(struct api_reply *reply, uint32_t page_size,
                    const char *page_token, uint32_t *slot, uint32_t *count)
{
    char *end;

    *slot = 0;
    if (!api_check_page_size(reply, page_size, count)) {
        return false;
    }
    if (page_token[0] == '\0') {
        return true;
    }
    *slot = (uint32_t)strtoul(page_token, &end, 10);
    if (!isdigit((unsigned char)page_token[0]) || *end != '\0' ||
        strlen(page_token) > 9) {
        api_fail(reply, API_INVALID_FIELD,
                 "page_token: not one that a list gave; begin without it");
        return false;
    }
    return true;
}

const struct vm *api_find_vm(struct api_reply *reply, const struct state *state,
                             const char *name)
{
    const struct vm *vm;

    if (!api_check_name(reply, "name", name)) {
        return NULL;
    }
    vm = state_vm_named(state, text_of(name));
    if (vm == NULL) {
        api_fail(reply, API_VM_NOT_FOUND, "there is no VM '%s'", name);
    }
    return vm;
}

const struct zone *api_find_zone(struct api_reply *reply,
                                 const struct state *state, const char *field,
                                 const char *name)
{
    const struct zone *zone;

    if (!api_check_name(reply, field, name)) {
        return NULL;
    }
    zone = state_zone_named(state, text_of(name));
    if (zone == NULL) {
        api_fail(reply, API_ZONE_NOT_FOUND, "%s: there is no zone '%s'", field,
                 name);
    }
    return zone;
}

bool api_check_zone(struct api_reply *reply, const struct state *state,
                    const char *name, uint32_t *slot)
{
    const struct zone *zone;

    *slot = SLOT_NONE;
    if (name[0] == '\0') {
        return true;
    }
    zone = api_find_zone(reply, state, "zone", name);
    if (zone != NULL) {
        *slot = uid_slot(zone->uid);
    }
    return zone != NULL;
}

const struct class *api_find_class(struct api_reply *reply,
                                   const struct state *state, const char *field,
                                   const char *name)
{
    const struct class *class;

    if (!api_check_name(reply, field, name)) {
        return NULL;
    }
    class = state_class_named(state, text_of(name));
    if (class == NULL) {
        api_fail(reply, API_CLASS_NOT_FOUND, "%s: there is no class '%s'",
                 field, name);
    }
    return class;
}

const struct host *api_find_host(struct api_reply *reply,
                                 const struct state *state, const char *name)
{
    const struct host *host;

    if (!api_check_name(reply, "name", name)) {
        return NULL;
    }
    host = state_host_named(state, text_of(name));
    if (host == NULL) {
        api_fail(reply, API_HOST_NOT_FOUND, "there is no host '%s'", name);
    }
    return host;
}

const struct group *api_find_group(struct api_reply *reply,
                                   const struct state *state, const char *field,
                                   const char *name)
{
    const struct group *group;

    if (!api_check_name(reply, field, name)) {
        return NULL;
    }
    group = state_group_named(state, text_of(name));
    if (group == NULL) {
        api_fail(reply, API_GROUP_NOT_FOUND, "%s: there is no group '%s'",
                 field, name);
    }
    return group;
}

const struct reservation *api_find_reservation(struct api_reply *reply,
                                               const struct state *state,
                                               const char *name)
{
    const struct reservation *reservation;

    if (!api_check_name(reply, "name", name)) {
        return NULL;
    }
    reservation = state_reservation_named(state, text_of(name));
    if (reservation == NULL) {
        api_fail(reply, API_RESERVATION_NOT_FOUND,
                 "there is no reservation '%s'", name);
    }
    return reservation;
}

bool api_check_zones(struct api_reply *reply, const struct state *state,
                     const char *field, char *const *names, size_t count,
                     uint64_t *mask)
{
    *mask = 0;
    for (size_t i = 0; i < count; i++) {
        const struct zone *zone = api_find_zone(reply, state, field, names[i]);

        if (zone == NULL) {
            return false;
        }
        *mask |= UINT64_C(1) << uid_slot(zone->uid);
    }
    return true;
}
