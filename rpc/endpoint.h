/* SPDX-License-Identifier: Apache-2.0
 *
 * Where a client finds a server, as people write it: "node-1.example:7400" or
 * "[::1]:7400". */
#ifndef RPC_ENDPOINT_H
#define RPC_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

/* Longest endpoint and host name. */
#define RPC_ENDPOINT_MAX      263
#define RPC_ENDPOINT_HOST_MAX 255

/* Parts host and port, without brackets; false: not of that form. `host` has
 * room for RPC_ENDPOINT_HOST_MAX + 1. */
bool rpc_endpoint_parse(const char *endpoint, char *host, uint16_t *port);

#endif
