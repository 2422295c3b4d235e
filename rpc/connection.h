/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP/2 connection over TCP, the same for server and client: reading into
 * nghttp2, and writing what it has to say. Nothing is written from inside a
 * callback: a connection with something to say is marked, and one prepare
 * handle writes all marked ones before the loop waits. With TLS, all bytes pass
 * through its session on their way. */
#ifndef RPC_CONNECTION_H
#define RPC_CONNECTION_H

#include "base/bytes.h"
#include "base/list.h"
#include "tls/tls.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>
#include <uv.h>

struct rpc_connection;

/* Writes all marked connections of one owner, which are of one loop, and holds
 * the buffers that they use in turn: loops of several threads share nothing. */
struct rpc_flusher {
    uv_prepare_t prepare;
    struct list marked;
    char *read;         /* What a socket gave. */
    uint8_t *read_tls;  /* What that was in plain; NULL until there is TLS. */
    struct bytes plain; /* What is to go out, before TLS. */
    uv_close_cb closed;
};

void rpc_flusher_init(struct rpc_flusher *flusher, uv_loop_t *loop);
void rpc_flusher_close(struct rpc_flusher *flusher, uv_close_cb closed);

struct rpc_connection_ops {
    /* Something was read or written; the owner may look at what it put off
     * (calls that can write again). Outside of nghttp2's callbacks. */
    void (*progress)(struct rpc_connection *connection);
    /* Calls can be made: the socket is connected, and with TLS it is known who
     * the other end is. NULL: not interested. */
    void (*established)(struct rpc_connection *connection);
    /* The socket is closed; the owner may free the connection. Once. */
    void (*closed)(struct rpc_connection *connection);
};

struct rpc_connection {
    uv_tcp_t tcp;
    uv_write_t write;
    nghttp2_session *session; /* Made by the owner before reading. */
    struct tls_session *tls;  /* Set by the owner before the start, then the
                               * connection's; NULL: plain. */
    struct rpc_flusher *flusher;
    const struct rpc_connection_ops *ops;
    struct list marked; /* In flusher->marked. */
    struct bytes out;
    size_t out_sent;
    bool writing;
    bool closing;
    uint64_t stalled_since_ms; /* Loop time; 0: output moves. */
    uint64_t read_at_ms;
    uint64_t bytes_in;
    uint64_t bytes_out;
    char error[160]; /* Why it closed; empty: orderly. */
};

/* Prepares the socket; then accept or connect on `tcp`. */
void rpc_connection_init(struct rpc_connection *connection, uv_loop_t *loop,
                         struct rpc_flusher *flusher,
                         const struct rpc_connection_ops *ops);

/* The socket is connected and the session made. Output that is not
 * acknowledged for `user_timeout_ms` ends the connection. */
void rpc_connection_start(struct rpc_connection *connection,
                          unsigned user_timeout_ms);

/* There is something to write. */
void rpc_connection_mark(struct rpc_connection *connection);

/* Closes; ops->closed follows from a later turn. Harmless if closing. */
void rpc_connection_close(struct rpc_connection *connection,
                          const char *reason);

#endif
