/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's record as the fields of a change: an update replaces all of them,
 * so whoever changes one begins with these. */
#ifndef NODE_GROUP_FIELDS_H
#define NODE_GROUP_FIELDS_H

#include "state/state.h"

/* Lent from the state until its next change; `pools` is for the fields to point
 * to. */
void group_fields_read(const struct state *state, const struct group *group,
                       struct group_fields *fields,
                       struct text pools[CHANGE_POOLS_MAX]);

/* The change that makes a member of the group under `name`. The controller
 * commits it and the proof of headroom tries it: what was tried is what will be
 * made. Lends as group_fields_read() does, and from `name`. */
struct change group_fields_member(const struct state *state,
                                  const struct group *group, const char *name,
                                  struct text pools[CHANGE_POOLS_MAX]);

#endif
