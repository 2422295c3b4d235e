/* SPDX-License-Identifier: Apache-2.0
 *
 * What commands on named objects share. */
#ifndef CTL_SIMPLE_H
#define CTL_SIMPLE_H

#include "ctl/invocation.h"

#include <protobuf-c/protobuf-c.h>

/* A request id names one mutation: false, and told, when it was given for
 * several. */
bool simple_check_request_id(struct invocation *invocation, size_t count);

/* Shows the object, after a mutation with what was done: "vm web-1 created". */
void simple_tell(struct invocation *invocation,
                 const ProtobufCMessage *response);

/* Whether to go on with the next name after this result. */
bool simple_goes_on(enum exit_code code);

/* Calls the command's method with each of its names, and then `answered`, whose
 * result counts as the call's. */
typedef enum exit_code (*simple_answer_cb)(struct invocation *invocation,
                                           const ProtobufCMessage *response);
enum exit_code simple_each(struct invocation *invocation,
                           simple_answer_cb answered);

#endif
