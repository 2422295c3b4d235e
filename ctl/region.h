/* SPDX-License-Identifier: Apache-2.0
 *
 * Classes from options; also for plans that ask what a change would do. */
#ifndef CTL_REGION_H
#define CTL_REGION_H

#include "ctl/invocation.h"
#include "holdfast/v1/resources.pb-c.h"

#include <protobuf-c/protobuf-c.h>

#define OPTIONS_SIZE                                                  \
    (OPTION(CPU) | OPTION(MEMORY) | OPTION(DISK_SIZE) | OPTION(GPU) | \
     OPTION(NAMED))
#define OPTIONS_CLASS_UPDATE (OPTIONS_SIZE | OPTION(ZONES) | OPTION(EVERY_ZONE))

/* The class as it is, with the options over it, and the names of the changed
 * fields in the request's `update_mask`. Its texts are lent from `*before`,
 * which the caller frees after the call; NULL: there is nothing to free. */
enum exit_code class_read_update(struct invocation *invocation,
                                 ProtobufCMessage *request, const char *name,
                                 Holdfast__V1__Class **class,
                                 ProtobufCMessage **before);

#endif
