/* SPDX-License-Identifier: Apache-2.0
 *
 * "127.0.0.1:7400" and "[::1]:7400". Numbers only: a name server that does not
 * answer must not hold up a control plane. */
#ifndef RPC_ADDRESS_H
#define RPC_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <uv.h>

/* 0 or HF_ERROR_INVALID. */
int rpc_address_parse(const char *text, struct sockaddr_storage *address);
bool rpc_address_is_loopback(const struct sockaddr_storage *address);

/* The other end of a connection as text. */
void rpc_address_of_peer(const uv_tcp_t *tcp, char *text, size_t size);

/* The port that a socket is bound to; 0 when it is not. */
int rpc_address_port(const uv_tcp_t *tcp);

#endif
