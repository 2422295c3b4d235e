/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_size.h"

#include "base/check.h"
#include "base/hash.h"
#include "node/api_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_named(const void *a, const void *b)
{
    const struct named_amount *left = a;
    const struct named_amount *right = b;

    return strcmp(left->name.data, right->name.data);
}

static uint32_t names_known(const struct state *state)
{
    uint32_t count = 0;

    while (count < NAMED_MAX && state_named_name(state, count).len > 0) {
        count++;
    }
    return count;
}

/* Slots are given for ever, so a refusal must come before. */
static bool check_names(struct api_reply *reply, const struct state *state,
                        const char *field, const struct api_amounts *amounts)
{
    uint32_t count = names_known(state);
    char list[NAMED_MAX * (NAME_BYTES + 2)] = "";

    for (uint32_t i = 0; i < amounts->named_count; i++) {
        count += state_named_slot(state, amounts->named[i].name) == SLOT_NONE;
    }
    if (count <= NAMED_MAX) {
        return true;
    }
    for (uint32_t i = 0; i < names_known(state); i++) {
        struct text name = state_named_name(state, i);
        size_t len = strlen(list);

        snprintf(list + len, sizeof(list) - len, "%s%.*s", i == 0 ? "" : ", ",
                 (int)name.len, name.data);
    }
    api_fail(reply, API_TABLE_FULL,
             "%s.named: a region has at most %d names of resources, and these "
             "are in use: %s",
             field, NAMED_MAX, list);
    return false;
}

bool api_read_resources(struct api_reply *reply, const struct state *state,
                        const char *field,
                        const Holdfast__V1__Resources *message,
                        struct api_amounts *amounts)
{
    if (!api_check_resources(reply, field, message)) {
        return false;
    }
    *amounts = (struct api_amounts){
        .resources = {message->cpu_milli, message->memory_mib,
                      message->disk_gib, message->gpu_count}};
    for (size_t i = 0; i < message->n_named; i++) {
        if (message->named[i]->value > 0) {
            amounts->named[amounts->named_count++] = (struct named_amount){
                text_of(message->named[i]->key), message->named[i]->value};
        }
    }
    qsort(amounts->named, amounts->named_count, sizeof(*amounts->named),
          compare_named);
    return check_names(reply, state, field, amounts);
}

/* Whether the class is of just this size. */
static bool is_of_size(const struct state *state, const struct class *class,
                       const struct api_amounts *amounts)
{
    struct amounts named = {{0}};

    for (uint32_t i = 0; i < amounts->named_count; i++) {
        uint32_t slot = state_named_slot(state, amounts->named[i].name);

        if (slot == SLOT_NONE) {
            return false;
        }
        named.of[slot] = amounts->named[i].amount;
    }
    return memcmp(&class->resources, &amounts->resources,
                  sizeof(class->resources)) == 0 &&
           memcmp(&class->named, &named, sizeof(named)) == 0;
}

/* No person may give a name that begins with this sign. What is named does not
 * fit the name and is hashed; `again` parts two that hash alike. */
static void custom_name(const struct api_amounts *amounts, unsigned again,
                        char name[NAME_BYTES])
{
    const struct resources *r = &amounts->resources;
    int len = snprintf(name, NAME_BYTES, "=%um/%uMi/%uGi/%ug", r->cpu_milli,
                       r->memory_mib, r->disk_gib, r->gpu_count);
    uint64_t hash = 0;

    for (uint32_t i = 0; i < amounts->named_count; i++) {
        const struct named_amount *named = &amounts->named[i];

        hash = hash_bytes(named->name.data, named->name.len, hash);
        hash = hash_bytes(&named->amount, sizeof(named->amount), hash);
    }
    if (amounts->named_count > 0) {
        len += snprintf(name + len, NAME_BYTES - (size_t)len, "/%016" PRIx64,
                        hash);
    }
    if (again > 0) {
        snprintf(name + len, NAME_BYTES - (size_t)len, "+%u", again);
    }
}

static bool find_custom(struct api_reply *reply, const struct state *state,
                        const char *field, struct api_size *size)
{
    for (unsigned again = 0; again <= CLASSES_MAX; again++) {
        custom_name(&size->amounts, again, size->name);
        size->class = state_class_named(state, text_of(size->name));
        if (size->class == NULL) {
            break;
        }
        if (is_of_size(state, size->class, &size->amounts)) {
            return true;
        }
    }
    if (state_counts(state)->classes < CLASSES_MAX) {
        return true;
    }
    api_fail(reply, API_TABLE_FULL,
             "%s.resources: the region holds %d classes already, those of "
             "VMs with sizes of their own among them; use a class",
             field, CLASSES_MAX);
    return false;
}

bool api_check_size(struct api_reply *reply, const struct state *state,
                    const char *field, const char *class_name,
                    const Holdfast__V1__Resources *resources,
                    struct api_size *size)
{
    char name[96];

    *size = (struct api_size){0};
    if (resources == NULL) {
        snprintf(name, sizeof(name), "%s.class_name", field);
        size->class = api_find_class(reply, state, name, class_name);
        return size->class != NULL;
    }
    if (class_name[0] != '\0') {
        api_fail(reply, API_INVALID_FIELD,
                 "%s.class_name, %s.resources: give one of them", field, field);
        return false;
    }
    snprintf(name, sizeof(name), "%s.resources", field);
    return api_read_resources(reply, state, name, resources, &size->amounts) &&
           find_custom(reply, state, field, size);
}

struct class_id api_size_class(const struct api_size *size,
                               struct turn_plan *plan)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};
    const struct class *class = size->class;

    if (class == NULL) {
        change.class_create = (struct change_class_create){
            .name = text_of(size->name),
            .resources = size->amounts.resources,
            .named = size->amounts.named,
            .named_count = size->amounts.named_count,
            .custom = true,
        };
        turn_change(plan, &change);
        class = state_class_named(plan->scratch, text_of(size->name));
        CHECK(class != NULL);
    }
    return (struct class_id){class->uid};
}
