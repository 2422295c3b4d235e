/* SPDX-License-Identifier: Apache-2.0
 *
 * KEY=VALUE options into the maps of messages: labels, host selectors, counts
 * of other resources. */
#ifndef CTL_LABELS_H
#define CTL_LABELS_H

#include "ctl/invocation.h"

#include <protobuf-c/protobuf-c.h>

/* Sets an entry of the map field or, with value NULL, removes it; texts are
 * copied. False: the value does not fit the field's type, told as of `what`. */
bool labels_set(struct invocation *invocation, ProtobufCMessage *message,
                const char *field, const char *key, const char *value,
                const char *what);

/* All uses of the option; `removable`: KEY- removes. False: told. */
bool labels_apply_options(struct invocation *invocation,
                          ProtobufCMessage *message, const char *field,
                          enum option option, bool removable);

/* The entries of `from`'s field, which are copied before those that `to` has
 * there. */
void labels_inherit(struct invocation *invocation, ProtobufCMessage *to,
                    const ProtobufCMessage *from, const char *field);

#endif
