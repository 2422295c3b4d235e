/* SPDX-License-Identifier: Apache-2.0
 *
 * Which connections a server with TLS keeps, so that no caller takes the places
 * of the others. */
#ifndef RPC_ADMISSION_H
#define RPC_ADMISSION_H

#include "rpc/server_internal.h"

/* A connection came. Who floods a node with some for which nobody answers ends
 * his own oldest ones: first those that showed nothing, then those that still
 * shake hands, for many of one office may do so at once. */
void admission_make_room(struct rpc_server *server,
                         const struct server_connection *connection);

/* It is established: whether its caller has room for one more that somebody
 * answers for. */
bool admission_has_room(const struct server_connection *connection);

/* Somebody answers for it, if he has room for one more. */
void admission_vouch(struct server_connection *connection);

#endif
