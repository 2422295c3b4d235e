/* SPDX-License-Identifier: Apache-2.0 */
#include "node/label_filter.h"

#include "node/api_check.h"

#include <string.h>

/* False: it is of none of the forms. */
static bool read_condition(struct text text, struct label_condition *condition)
{
    const char *equals =
        text.len == 0 ? NULL : memchr(text.data, '=', text.len);
    struct text *key = &condition->label.key;

    *condition = (struct label_condition){LABEL_PRESENT, {text, {"", 0}}};
    if (equals != NULL) {
        key->len = (uint32_t)(equals - text.data);
        condition->label.value =
            (struct text){equals + 1, text.len - key->len - 1};
        condition->relation = LABEL_EQUAL;
        if (key->len > 0 && equals[-1] == '!') {
            condition->relation = LABEL_NOT_EQUAL;
            key->len--;
        }
    } else if (text.len > 0 && text.data[0] == '!') {
        condition->relation = LABEL_ABSENT;
        key->data++;
        key->len--;
    }
    return key->len > 0 && memchr(key->data, '!', key->len) == NULL;
}

bool label_filter_read(struct api_reply *reply, const char *text,
                       struct label_filter *filter)
{
    filter->count = 0;
    while (*text != '\0') {
        size_t len = strcspn(text, ",");

        if (filter->count == LABELS_MAX) {
            api_fail(reply, API_INVALID_FIELD,
                     "filter: more than %d conditions", LABELS_MAX);
            return false;
        }
        if (!read_condition((struct text){text, (uint32_t)len},
                            &filter->conditions[filter->count])) {
            api_fail(reply, API_INVALID_FIELD,
                     "filter: '%.80s' is not label=value, label!=value, label "
                     "or !label, parted by commas",
                     text);
            return false;
        }
        filter->count++;
        text += len;
        text += *text == ',';
    }
    return true;
}

bool label_filter_takes(const struct label_filter *filter, struct text labels)
{
    for (size_t i = 0; i < filter->count; i++) {
        const struct label_condition *condition = &filter->conditions[i];
        struct text value = {"", 0};
        bool there = labels_get(labels, condition->label.key, &value);
        bool equal = there && api_text_equals(value, condition->label.value);
        bool holds = false;

        switch (condition->relation) {
        case LABEL_EQUAL:
            holds = equal;
            break;
        case LABEL_NOT_EQUAL:
            holds = !equal;
            break;
        case LABEL_PRESENT:
            holds = there;
            break;
        case LABEL_ABSENT:
            holds = !there;
            break;
        }
        if (!holds) {
            return false;
        }
    }
    return true;
}
