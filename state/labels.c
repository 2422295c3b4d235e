/* SPDX-License-Identifier: Apache-2.0 */
#include "state/labels.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static int compare_text(struct text a, struct text b)
{
    uint32_t len = a.len < b.len ? a.len : b.len;
    int order = len == 0 ? 0 : memcmp(a.data, b.data, len);

    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

static int compare_labels(const void *a, const void *b)
{
    return compare_text(((const struct label *)a)->key,
                        ((const struct label *)b)->key);
}

static void append(struct bytes *out, struct text text)
{
    bytes_append_u8(out, (uint8_t)text.len);
    bytes_append(out, text.data, text.len);
}

int labels_encode(struct label *labels, size_t count, struct bytes *out)
{
    if (count > LABELS_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    if (count > 1) {
        qsort(labels, count, sizeof(*labels), compare_labels);
    }
    for (size_t i = 0; i < count; i++) {
        if (labels[i].key.len > LABEL_KEY_MAX ||
            labels[i].value.len > LABEL_VALUE_MAX) {
            return HF_ERROR_TOO_LARGE;
        }
        if (labels[i].key.len == 0 ||
            (i > 0 && compare_text(labels[i - 1].key, labels[i].key) == 0)) {
            return HF_ERROR_INVALID;
        }
    }
    for (size_t i = 0; i < count; i++) {
        append(out, labels[i].key);
        append(out, labels[i].value);
    }
    return 0;
}

static bool take(struct text *from, struct text *part)
{
    uint32_t len;

    if (from->len == 0) {
        return false;
    }
    len = (uint8_t)from->data[0];
    if (len >= from->len) {
        return false;
    }
    *part = (struct text){from->data + 1, len};
    from->data += 1 + len;
    from->len -= 1 + len;
    return true;
}

bool labels_next(struct text *encoded, struct label *label)
{
    struct text rest = *encoded;

    if (!take(&rest, &label->key) || !take(&rest, &label->value)) {
        return false;
    }
    *encoded = rest;
    return true;
}

bool labels_valid(struct text encoded)
{
    struct label label;
    struct text last = {"", 0};
    int count = 0;

    while (labels_next(&encoded, &label)) {
        if (label.key.len == 0 || label.key.len > LABEL_KEY_MAX ||
            compare_text(last, label.key) >= 0 || ++count > LABELS_MAX) {
            return false;
        }
        last = label.key;
    }
    return encoded.len == 0;
}

bool labels_get(struct text encoded, struct text key, struct text *value)
{
    struct label label;

    while (labels_next(&encoded, &label)) {
        if (compare_text(label.key, key) == 0) {
            *value = label.value;
            return true;
        }
    }
    return false;
}
