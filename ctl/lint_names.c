/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on names: their form, which the region refuses, and what people mix
 * up. The reader has refused names that stand twice in one list. */
#include "base/container.h"
#include "base/memory.h"
#include "ctl/lint.h"
#include "ctl/list.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 63

struct named {
    const char *name;
    size_t index;
};

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_BYTES || !is_plain(name[0]) ||
        !is_plain(name[len - 1])) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (!is_plain(name[i]) && name[i] != '-') {
            return false;
        }
    }
    return true;
}

static int compare(const void *a, const void *b)
{
    const struct named *left = a;
    const struct named *right = b;
    int order = strcasecmp(left->name, right->name);

    return order != 0 ? order : left->index < right->index ? -1 : 1;
}

/* "zones" and "zone" for the list of that name. */
static const struct {
    const char *list;
    const char *noun;
} kinds[] = {{"zones", "zone"},   {"classes", "class"},
             {"hosts", "host"},   {"vms", "vm"},
             {"groups", "group"}, {"reservations", "reservation"},
             {"grants", "grant"}};

static void judge_list(struct lint *lint, size_t kind,
                       const struct named *names, size_t count)
{
    char subject[80];
    char path[64];

    for (size_t i = 0; i < count; i++) {
        (void)snprintf(path, sizeof(path), "%s[%zu].name", kinds[kind].list,
                       names[i].index);
        (void)snprintf(subject, sizeof(subject), "%s %.60s", kinds[kind].noun,
                       names[i].name);
        if (!is_name(names[i].name)) {
            lint_add(lint, LINT_NAME_FORM, path, subject,
                     "the region refuses this name");
        }
        if (i > 0 && strcasecmp(names[i - 1].name, names[i].name) == 0) {
            lint_add(lint, LINT_NAME_CASE, path, subject,
                     "differs from %.60s in case alone", names[i - 1].name);
        }
    }
}

void lint_names(struct lint *lint)
{
    const ProtobufCMessage *manifest = &lint->input->manifest->base;

    for (size_t kind = 0; kind < ARRAY_LEN(kinds); kind++) {
        const ProtobufCFieldDescriptor *field =
            protobuf_c_message_descriptor_get_field_by_name(
                manifest->descriptor, kinds[kind].list);
        size_t count = text_field_count(manifest, field, false);
        struct named *names = memory_alloc_array(count + 1, sizeof(*names));

        for (size_t i = 0; i < count; i++) {
            names[i].name = view_string(
                *(ProtobufCMessage *const *)text_field_at(manifest, field, i),
                "name");
            names[i].index = i;
        }
        if (count > 0) {
            qsort(names, count, sizeof(*names), compare);
        }
        judge_list(lint, kind, names, count);
        free(names);
    }
}
