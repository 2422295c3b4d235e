/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where a call of the region's methods is held against its
 * caller's roles: on the leader within the turn for mutations, before reads
 * where they are answered. */
#ifndef NODE_API_ACCESS_H
#define NODE_API_ACCESS_H

#include "node/access.h"
#include "node/api.h"

/* Whether reply->caller has the permission, or has it for some objects
 * (`access->verdict` is ACCESS_SCOPED then); else the reply has failed.
 * `path` for the message. */
bool api_allow(const struct state *state, const char *path,
               enum permission permission, struct api_reply *reply,
               struct access *access);

/* A mutation by somebody with a scope is tried first: all VMs and groups that
 * it touches, and the one that it names, must be in the scope before and
 * after. False: the reply has failed, by the scope or by itself. */
bool api_allow_scoped(const struct api_method *method,
                      const ProtobufCMessage *request,
                      const struct turn_plan *plan, struct api_reply *reply,
                      const struct access *access);

#endif
