/* SPDX-License-Identifier: Apache-2.0
 *
 * The standard service grpc.health.v1.Health: Check and Watch. */
#ifndef RPC_HEALTH_H
#define RPC_HEALTH_H

#include "base/list.h"
#include "rpc/server.h"

struct rpc_health {
    struct rpc_service service;
    struct rpc_method methods[2];
    struct list watches;
    const char *const *names; /* Services that are known; lent. */
    size_t name_count;
    bool serving;
};

/* Adds the service; the empty name, for the whole server, is always known. */
void rpc_health_init(struct rpc_health *health, struct rpc_server *server,
                     const char *const *names, size_t name_count);

/* Tells the watches. Not serving at the start. */
void rpc_health_set(struct rpc_health *health, bool serving);

#endif
