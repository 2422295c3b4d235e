/* SPDX-License-Identifier: Apache-2.0
 *
 * Takes out of messages what may be a secret, before they are given to others:
 * commands and the environment of VMs, and hashes of tokens. Pure. */
#ifndef CTL_REDACT_H
#define CTL_REDACT_H

#include <protobuf-c/protobuf-c.h>

#define REDACTED "(redacted)"

/* Changes a message that protobuf-c unpacked, with all that is in it: of each
 * command's words REDACTED is left, of "KEY=value" the key. */
void redact(ProtobufCMessage *message);

#endif
