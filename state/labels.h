/* SPDX-License-Identifier: Apache-2.0
 *
 * Labels as one run of bytes, so that equal sets are interned once: for each
 * label key length (1 byte), key, value length (1 byte), value; keys strictly
 * ascending. */
#ifndef STATE_LABELS_H
#define STATE_LABELS_H

#include "base/bytes.h"
#include "state/change.h"

#define LABELS_MAX      32
#define LABEL_KEY_MAX   63
#define LABEL_VALUE_MAX 255

struct label {
    struct text key;
    struct text value;
};

/* Sorts `labels` in place and appends them encoded. HF_ERROR_TOO_LARGE above
 * a limit, HF_ERROR_INVALID for an empty or repeated key. */
int labels_encode(struct label *labels, size_t count, struct bytes *out);

/* Takes the next label off the front of `encoded`; false at the end. */
bool labels_next(struct text *encoded, struct label *label);

/* Whether `encoded` is well-formed. */
bool labels_valid(struct text encoded);

/* The value of a key; false when it is not there. */
bool labels_get(struct text encoded, struct text key, struct text *value);

#endif
