/* SPDX-License-Identifier: Apache-2.0
 *
 * A group as a request wants it: its fields read and checked one by one, then
 * as a whole, against what is in force. Nothing is decided here. */
#ifndef NODE_API_GROUP_EDIT_H
#define NODE_API_GROUP_EDIT_H

#include "node/api.h"
#include "node/api_size.h"
#include "node/api_template.h"
#include "node/group_fields.h"

#include <holdfast/v1/group_service.pb-c.h>

/* What is decided of a group: as it is, and as it shall be. */
struct group_edit {
    const struct group *group; /* NULL: it is new. */
    struct group_fields was;   /* Set if there is one. */
    struct group_fields now;
    struct text was_pools[CHANGE_POOLS_MAX];
    struct text now_pools[CHANGE_POOLS_MAX];
    uint64_t class_zones; /* Of the class of `now`. */
    bool protect;
    bool new_template;
    struct vm_template template;
    struct api_size size;
    struct bytes labels;
    struct bytes selector;
};

void group_edit_init(struct group_edit *edit);
void group_edit_close(struct group_edit *edit);

/* Begins with a group that there is. */
void group_edit_begin(struct group_edit *edit, const struct state *state,
                      const struct group *group);

/* Takes all fields of a new group, or those that the mask names. `now` lends
 * from the message and the edit. */
bool group_edit_all(struct api_reply *reply, const struct state *state,
                    const Holdfast__V1__Group *message,
                    struct group_edit *edit);
bool group_edit_named(struct api_reply *reply, const struct state *state,
                      const Holdfast__V1__UpdateGroupRequest *request,
                      struct group_edit *edit);

/* The rules together (node/api_rules.h). */
bool group_edit_check(struct api_reply *reply, const struct state *state,
                      const char *name, const struct group_edit *edit);

#endif
