/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of requests that several methods share. Each returns whether all is
 * well, and otherwise has failed the reply with the field's name. */
#ifndef NODE_API_CHECK_H
#define NODE_API_CHECK_H

#include "node/api.h"

#include <holdfast/v1/resources.pb-c.h>

static inline struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)__builtin_strlen(string)};
}

static inline bool api_text_equals(struct text a, struct text b)
{
    return a.len == b.len &&
           (a.len == 0 || __builtin_memcmp(a.data, b.data, a.len) == 0);
}

/* 1 to 63 of [a-z0-9-], beginning and ending with a letter or digit. */
bool api_check_name(struct api_reply *reply, const char *field,
                    const char *name);

bool api_check_range(struct api_reply *reply, const char *field, uint64_t value,
                     uint64_t min, uint64_t max);

/* expect_revision: 0, or the object's. */
bool api_check_revision(struct api_reply *reply, uint64_t expected,
                        uint64_t actual, const char *name);

bool api_check_resources(struct api_reply *reply, const char *field,
                         const Holdfast__V1__Resources *resources);

/* Every map<string, string> comes as entries of this form. */
typedef Holdfast__V1__Vm__LabelsEntry api_map_entry;

/* Labels as they came to labels as they are kept; appended to `encoded`. The
 * entries may be of any map<string, string>. */
bool api_check_labels(struct api_reply *reply, const char *field,
                      const void *entries, size_t count, struct bytes *encoded);

/* One field that an update can change. */
struct api_mask_field {
    const char *name;
    uint32_t bit;
};

/* update_mask to bits: names at least one field, and only such as are in the
 * table, in any order and any number of times. */
bool api_check_mask(struct api_reply *reply, char *const *names, size_t count,
                    const struct api_mask_field *fields, size_t field_count,
                    uint32_t *mask);

/* `reason` for the record: at most 255 bytes. */
bool api_check_reason(struct api_reply *reply, const char *reason);

/* How many a page may have: PAGE_DEFAULT for 0. */
bool api_check_page_size(struct api_reply *reply, uint32_t page_size,
                         uint32_t *count);

/* Of lists that do not change: page size and token to the first item and count.
 */
bool api_check_page(struct api_reply *reply, uint32_t page_size,
                    const char *page_token, uint32_t *slot, uint32_t *count);

/* Lookups that fail the reply. */
const struct vm *api_find_vm(struct api_reply *reply, const struct state *state,
                             const char *name);
const struct zone *api_find_zone(struct api_reply *reply,
                                 const struct state *state, const char *field,
                                 const char *name);
const struct class *api_find_class(struct api_reply *reply,
                                   const struct state *state, const char *field,
                                   const char *name);
const struct host *api_find_host(struct api_reply *reply,
                                 const struct state *state, const char *name);
const struct group *api_find_group(struct api_reply *reply,
                                   const struct state *state, const char *field,
                                   const char *name);
const struct reservation *api_find_reservation(struct api_reply *reply,
                                               const struct state *state,
                                               const char *name);

/* A list's condition: the zone's slot, or SLOT_NONE when none is named. */
bool api_check_zone(struct api_reply *reply, const struct state *state,
                    const char *name, uint32_t *slot);

/* Names of zones to a mask of their slots; none: 0. */
bool api_check_zones(struct api_reply *reply, const struct state *state,
                     const char *field, char *const *names, size_t count,
                     uint64_t *mask);

#endif
