/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/selector.h"

#include "ctl/view.h"
#include "proto/text_field.h"

#include <string.h>

enum relation { EQUAL, NOT_EQUAL, PRESENT, ABSENT };

struct part {
    enum relation relation;
    const char *key;
    size_t key_len;
    const char *value;
    size_t value_len;
};

/* False: it is not of any form. */
static bool read_part(const char *text, size_t len, struct part *part)
{
    const char *equals = memchr(text, '=', len);

    *part = (struct part){.relation = PRESENT, .key = text, .key_len = len};
    if (equals != NULL) {
        part->key_len = (size_t)(equals - text);
        part->value = equals + 1;
        part->value_len = len - part->key_len - 1;
        part->relation = EQUAL;
        if (part->key_len > 0 && equals[-1] == '!') {
            part->relation = NOT_EQUAL;
            part->key_len--;
        }
    } else if (len > 0 && text[0] == '!') {
        part->relation = ABSENT;
        part->key++;
        part->key_len--;
    }
    return part->key_len > 0 && memchr(part->key, '!', part->key_len) == NULL;
}

static bool part_matches(const struct part *part,
                         const ProtobufCMessage *object)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(object->descriptor,
                                                        "labels");
    size_t count = field == NULL ? 0 : text_field_count(object, field, true);

    for (size_t i = 0; i < count; i++) {
        const ProtobufCMessage *entry =
            *(ProtobufCMessage *const *)text_field_at(object, field, i);
        const char *key = view_string(entry, "key");
        const char *value = view_string(entry, "value");

        if (strlen(key) == part->key_len &&
            memcmp(key, part->key, part->key_len) == 0) {
            bool same = part->value != NULL &&
                        strlen(value) == part->value_len &&
                        memcmp(value, part->value, part->value_len) == 0;

            return part->relation == PRESENT ||
                   (part->relation == EQUAL && same) ||
                   (part->relation == NOT_EQUAL && !same);
        }
    }
    return part->relation == NOT_EQUAL || part->relation == ABSENT;
}

const char *selector_check(const char *selector)
{
    struct part part;

    do {
        size_t len = strcspn(selector, ",");

        if (!read_part(selector, len, &part)) {
            return selector;
        }
        selector += len;
    } while (*selector++ == ',');
    return NULL;
}

bool selector_matches(const char *selector, const ProtobufCMessage *object)
{
    while (selector != NULL && selector[0] != '\0') {
        size_t len = strcspn(selector, ",");
        struct part part;

        if (!read_part(selector, len, &part) || !part_matches(&part, object)) {
            return false;
        }
        selector += len + (selector[len] == ',');
    }
    return true;
}

void selector_equal_part(const char *selector, char *text)
{
    size_t used = 0;

    while (selector[0] != '\0') {
        size_t len = strcspn(selector, ",");
        struct part part;

        if (read_part(selector, len, &part) && part.relation == EQUAL) {
            if (used > 0) {
                text[used++] = ',';
            }
            memcpy(text + used, selector, len);
            used += len;
        }
        selector += len + (selector[len] == ',');
    }
    text[used] = '\0';
}
