/* SPDX-License-Identifier: Apache-2.0
 *
 * Passes a call, unary or streaming, on to another server as it is: messages
 * are neither decoded nor changed, deadline and cancellation go along, status
 * and trailers come back. This is how a follower serves every client. */
#ifndef RPC_PROXY_H
#define RPC_PROXY_H

#include "base/list.h"
#include "rpc/channel.h"
#include "rpc/server.h"

/* Bytes that may wait on either side before the call is ended with
 * RESOURCE_EXHAUSTED: a message and a window. */
#define RPC_PROXY_QUEUE_MAX (8u << 20)

/* For a router to return. `marks`, pairs of key and value ended by NULL, at
 * most RPC_PROXY_MARKS_MAX, take the place of metadata of these keys: the other
 * side sees from them that it is not to pass the call on, and whose it is. A
 * bearer's token ("authorization") stays here. */
#define RPC_PROXY_MARKS_MAX 4
struct rpc_handler *rpc_proxy_open(struct rpc_call *call,
                                   struct rpc_channel *channel,
                                   const char *const *marks);

/* Puts what rpc_proxy_open() returned into a list, in which it stays until its
 * call is over. */
void rpc_proxy_join(struct rpc_handler *proxy, struct list *list);

/* Ends the calls of all proxies in the list, which is empty then: for a server
 * to which they should not have gone any more. `reason` goes into the trailer
 * "holdfast-reason". */
void rpc_proxy_end_all(struct list *list, enum rpc_code code,
                       const char *reason, const char *message);

#endif
