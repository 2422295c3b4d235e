/* SPDX-License-Identifier: Apache-2.0
 *
 * What an apply did, or would do, for people. Pure. */
#ifndef CTL_APPLY_TEXT_H
#define CTL_APPLY_TEXT_H

#include "base/bytes.h"
#include "holdfast/v1/manifest_service.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

struct apply_text {
    const Holdfast__V1__Manifest *manifest; /* What was applied. */
    const Holdfast__V1__ApplyManifestResponse *response;
    bool colours;
    bool would;     /* Nothing was changed. */
    size_t row_max; /* Of each action. */
};

/* "created vm web-1": a row for each object that is not as it was, and a line
 * with the counts. */
void apply_text_write(const struct apply_text *text, struct bytes *out);

/* Object by object: "+" with all of it, "~" with each field as it is and as it
 * shall be, "-". And a line with the counts. */
void apply_text_diff(const struct apply_text *text, struct bytes *out);

/* The rows of what would be deleted. */
void apply_text_deletes(const struct apply_text *text, struct bytes *out);

/* Whether anything is not as the manifest says. */
bool apply_text_changes(const Holdfast__V1__ApplyManifestResponse *response);

#endif
