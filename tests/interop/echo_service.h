/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast.test.v1.Echo on a server of rpc/. */
#ifndef TESTS_INTEROP_ECHO_SERVICE_H
#define TESTS_INTEROP_ECHO_SERVICE_H

#include "rpc/channel.h"
#include "rpc/server.h"

#define ECHO_METHODS 5

/* Marks a call that came through another server. */
#define ECHO_FORWARDED "echo-forwarded"

struct echo_service {
    struct rpc_service service;
    struct rpc_router router;
    struct rpc_method methods[ECHO_METHODS];
    struct rpc_server *server;
    struct rpc_channel *forward; /* If set, all Echo calls go there. */
    uv_loop_t *loop;
    uint64_t handlers_open;
    uint64_t replies_made;
    uint64_t unary_answered;
};

/* Adds the methods to the server. */
void echo_service_init(struct echo_service *echo, struct rpc_server *server,
                       uv_loop_t *loop);

#endif
