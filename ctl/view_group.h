/* SPDX-License-Identifier: Apache-2.0
 *
 * A group's rules in words. Pure. */
#ifndef CTL_VIEW_GROUP_H
#define CTL_VIEW_GROUP_H

#include "holdfast/v1/resources.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

/* "evenly over the zones, skew at most 1, strictly; only z1, z2". */
void view_group_rule(const Holdfast__V1__Group *group, char *text, size_t size);

/* Whether the message says how the group is doing. */
bool view_group_has_status(const ProtobufCMessage *group);

#endif
