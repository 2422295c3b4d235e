/* SPDX-License-Identifier: Apache-2.0
 *
 * Between server.c (connections) and call.c (calls). */
#ifndef RPC_SERVER_INTERNAL_H
#define RPC_SERVER_INTERNAL_H

#include "base/bytes.h"
#include "base/list.h"
#include "rpc/connection.h"
#include "rpc/server.h"

#define TRAILERS_MAX 8

struct rpc_server {
    uv_tcp_t listener;
    uv_timer_t tick;
    struct rpc_flusher flusher;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    struct list connections;
    const struct rpc_method **methods;
    struct rpc_method_stats *method_stats; /* By the methods' numbers. */
    size_t method_count;
    struct rpc_router *router;
    struct tls *tls;          /* Lent; NULL: plain. */
    uint64_t refused_told_ms; /* When a failed handshake was last logged. */
    struct rpc_server_stats stats;
    uint64_t receive_bytes; /* Undelivered, of all connections. */
    struct rpc_server_close *close;
    uint64_t drain_until_ms;
    int handles_open; /* Own handles that are not closed yet. */
    bool listening;
    bool draining;
    bool closing;
};

struct server_connection {
    struct rpc_connection base;
    struct rpc_server *server;
    struct list link; /* In server->connections. */
    struct list calls;
    struct list writable; /* Calls whose output drained. */
    char peer[64];
    uint64_t accepted_ms;
    uint64_t second_ms;        /* Window of the flood budget. */
    uint32_t empty_frames;     /* In that window. */
    uint64_t resets_window_ms; /* Window of resets that we sent. */
    uint32_t resets_sent;
    uint32_t call_count;
    size_t receive_bytes;
    uint64_t idle_since_ms;
    bool settled; /* The client's SETTINGS came. */
    bool proven;  /* Somebody answers for it. */
};

struct rpc_call {
    struct server_connection *connection;
    struct list link;     /* In connection->calls. */
    struct list writable; /* In connection->writable. */
    int32_t stream_id;
    const struct rpc_method *method;
    size_t method_number; /* If there is a method. */
    struct rpc_handler *handler;
    struct bytes headers;
    size_t header_count;
    struct bytes in;
    struct bytes out;
    size_t out_sent;
    struct bytes trailers;
    size_t trailer_count;
    struct arena arena;
    const ProtobufCMessage *pending; /* A unary call's message. */
    struct rpc_account *account;     /* NULL: nobody's. */
    size_t charged;                  /* Bytes of it. */
    size_t message_bytes;            /* Of a unary call's message. */
    uint64_t deadline_ms;
    uint64_t opened_ms;
    uint64_t moved_ms; /* When output was last taken, or complete. */
    enum rpc_code code;
    char message[768]; /* grpc-message, encoded. */
    bool begun;        /* Headers are complete, the handler was asked for. */
    bool headers_sent;
    bool deferred;
    bool finished;
    bool remote_closed;
    bool headers_too_large;
};

struct rpc_call *call_create(struct server_connection *connection,
                             int32_t stream_id);
/* The stream is gone. */
void call_destroy(struct rpc_call *call);
void call_header(struct rpc_call *call, const uint8_t *name, size_t name_len,
                 const uint8_t *value, size_t value_len);
/* The request's headers are complete. */
void call_begin(struct rpc_call *call);
void call_data(struct rpc_call *call, const uint8_t *data, size_t len);
/* The client ended its side. */
void call_half_close(struct rpc_call *call);
/* Ends a stream because the server ends. */
void call_drain(struct rpc_call *call);
/* Of the caller's account (call_account.c): what the call holds has changed;
 * the call is over; whether so many bytes more are too many, of its request or
 * of its answer, which may be large while nothing else is under way; and the
 * refusal. */
void call_charge(struct rpc_call *call);
void call_discharge(struct rpc_call *call);
bool call_request_exceeds(const struct rpc_call *call, size_t len);
bool call_answer_exceeds(const struct rpc_call *call, size_t len);
void call_refuse_bytes(struct rpc_call *call);
/* Looks at deadlines. */
void call_tick(struct rpc_call *call, uint64_t now_ms);

#endif
