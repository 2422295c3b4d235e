/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups from options; also for plans that ask what a change would do. */
#ifndef CTL_GROUP_H
#define CTL_GROUP_H

#include "ctl/invocation.h"
#include "ctl/template.h"

#include <protobuf-c/protobuf-c.h>

/* What members are made from, and where they may run. */
#define OPTIONS_MEMBER                                                    \
    (OPTIONS_TEMPLATE | OPTION(CLASS) | OPTION(CPU) | OPTION(MEMORY) |    \
     OPTION(HOST_DISK) | OPTION(GPU) | OPTION(NAMED) | OPTION(PRIORITY) | \
     OPTION(ON_PARTITION) | OPTION(PREEMPTIBLE) | OPTION(LABEL) |         \
     OPTION(HOST_SELECTOR))
#define OPTIONS_RULES                                                          \
    (OPTION(SPREAD) | OPTION(MAX_SKEW) | OPTION(STRICT) | OPTION(PER_DOMAIN) | \
     OPTION(PER_HOST) | OPTION(GROUP_ZONES) | OPTION(UNPROTECTED) |            \
     OPTION(MAX_UNAVAILABLE))
#define OPTIONS_GROUP_UPDATE                                    \
    (OPTIONS_MEMBER | OPTIONS_RULES | OPTION(NOT_PREEMPTIBLE) | \
     OPTION(BEST_EFFORT) | OPTION(EVERY_ZONE) | OPTION(PROTECTED))

/* The group as it is, with the options over it, and the names of the changed
 * fields in `update_mask` of `request`, which has `group` too. The texts are
 * lent from `*before`, which the caller frees after the call. */
enum exit_code group_read_update(struct invocation *invocation,
                                 ProtobufCMessage *request, const char *name,
                                 ProtobufCMessage **before);

/* Prints "Members:" by zone behind what `group show` says of it. */
enum exit_code group_show_members(struct invocation *invocation,
                                  const Holdfast__V1__Group *group);

#endif
