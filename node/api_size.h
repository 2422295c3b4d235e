/* SPDX-License-Identifier: Apache-2.0
 *
 * The size of a VM, by the name of a class or by resources of its own. The
 * second becomes a class as well, a custom one: made with its first VM or
 * group, used again by all that ask for the same, gone with the last. */
#ifndef NODE_API_SIZE_H
#define NODE_API_SIZE_H

#include "node/api.h"

#include <holdfast/v1/resources.pb-c.h>

struct api_amounts {
    struct resources resources;
    struct named_amount
        named[NAMED_MAX]; /* Ascending; lent from the message. */
    uint32_t named_count;
};

/* Checks resources and takes them over; nothing is named that is zero. The
 * region has slots for NAMED_MAX names. */
bool api_read_resources(struct api_reply *reply, const struct state *state,
                        const char *field,
                        const Holdfast__V1__Resources *message,
                        struct api_amounts *amounts);

struct api_size {
    const struct class *class; /* NULL: a custom one is to be made. */
    struct api_amounts amounts;
    char name[NAME_BYTES]; /* Of the one to be made. */
};

/* Exactly one of class name and resources. `field` is what both are part of:
 * "vm". */
bool api_check_size(struct api_reply *reply, const struct state *state,
                    const char *field, const char *class_name,
                    const Holdfast__V1__Resources *resources,
                    struct api_size *size);

/* The class, made if need be. */
struct class_id api_size_class(const struct api_size *size,
                               struct turn_plan *plan);

#endif
