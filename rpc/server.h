/* SPDX-License-Identifier: Apache-2.0
 *
 * A gRPC server on a libuv loop. The life of a call: headers arrive; the
 * router may take it over; the method's service opens a handler; messages come
 * in; the handler sends and finishes; `closed` is the last thing it hears,
 * once, also when the client went away or the deadline passed. */
#ifndef RPC_SERVER_H
#define RPC_SERVER_H

#include "base/arena.h"
#include "rpc/account.h"
#include "rpc/status.h"
#include "tls/tls.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct rpc_server;
struct rpc_call;
struct rpc_handler;
struct rpc_method;

struct rpc_handler_ops {
    /* A decoded message, lent until `closed` unless rpc_call_take_arena was
     * called. One, after the client has ended its side, for methods without
     * client_streams; else each as it comes, lent for the call only. */
    void (*message)(struct rpc_handler *handler,
                    const ProtobufCMessage *message);
    /* If not NULL: messages undecoded instead, lent for the call. */
    void (*raw)(struct rpc_handler *handler, const uint8_t *data, size_t len);
    /* The client will send no more. NULL: not interested. */
    void (*half_closed)(struct rpc_handler *handler);
    /* What was sent has left; send more. NULL: not interested. */
    void (*writable)(struct rpc_handler *handler);
    /* The call is over and must not be used any more. */
    void (*closed)(struct rpc_handler *handler);
};

/* Embed it in what keeps a call's state. */
struct rpc_handler {
    const struct rpc_handler_ops *ops;
};

/* Embed it in what serves methods. */
struct rpc_service {
    /* A handler for the call; or NULL after rpc_call_finish. */
    struct rpc_handler *(*open)(struct rpc_service *service,
                                const struct rpc_method *method,
                                struct rpc_call *call);
};

struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    const ProtobufCMessageDescriptor *input;
    const ProtobufCMessageDescriptor *output;
    bool client_streams;
    bool server_streams;
    struct rpc_service *service;
};

/* Asked first for every call; embed it. NULL as answer: serve it here. */
struct rpc_router {
    struct rpc_handler *(*route)(struct rpc_router *router,
                                 struct rpc_call *call);
};

struct rpc_server_stats {
    uint64_t connections_open;
    uint64_t connections_accepted;
    uint64_t connections_refused;
    uint64_t handshakes_failed; /* TLS. */
    uint64_t calls_over_bytes;  /* Refused for their account's bytes. */
    uint64_t calls_open;
    uint64_t calls[RPC_UNAUTHENTICATED + 1]; /* Ended, by code. */
    uint64_t bytes_in;
    uint64_t bytes_out;
};

/* Ended calls by code, of a method that was added and called. */
struct rpc_method_stats {
    const char *path;
    uint64_t calls[RPC_UNAUTHENTICATED + 1];
};

struct rpc_server *rpc_server_create(uv_loop_t *loop);

/* Adds a method; it and its strings are lent. Its input must be finite
 * (rpc/unpack.h). */
void rpc_server_add(struct rpc_server *server, const struct rpc_method *method);

/* NULL: serve everything here. */
void rpc_server_route(struct rpc_server *server, struct rpc_router *router);

/* Before it listens: every connection is TLS; `tls` is lent until the server is
 * gone. Callers show a certificate or none (rpc_call_identity). */
void rpc_server_use_tls(struct rpc_server *server, struct tls *tls);

/* Listens on "host:port"; port 0 takes a free one. HF_ERROR_INVALID: not an
 * address; HF_ERROR_UNSUPPORTED: not a loopback address, and no TLS;
 * HF_ERROR_IO: `error` says why. */
int rpc_server_listen(struct rpc_server *server, const char *address,
                      char *error, size_t error_size);
int rpc_server_port(const struct rpc_server *server);

const struct rpc_server_stats *rpc_server_stats(
    const struct rpc_server *server);

/* The method of a number from 0 on; NULL after the last. */
const struct rpc_method_stats *rpc_server_method_stats(
    const struct rpc_server *server, size_t number);

/* Stops listening and tells clients to go; streams end with UNAVAILABLE, unary
 * calls may end by themselves within the grace, then the rest is cut. `done` is
 * called once from a later turn, after which the server is freed. */
struct rpc_server_close {
    void (*done)(struct rpc_server_close *request);
};
void rpc_server_drain(struct rpc_server *server, uint64_t grace_ms,
                      struct rpc_server_close *request);

/* Of a call; all harmless on one that is over but for `closed`. */
const char *rpc_call_path(const struct rpc_call *call);
const struct rpc_method *rpc_call_method(const struct rpc_call *call);

/* Sent by clients with gRPC's own retries (gRPC proposal A6): how often the
 * call was sent before. A proxy passes it on. */
#define RPC_PREVIOUS_ATTEMPTS "grpc-previous-rpc-attempts"

/* A request header or metadata value, or NULL. */
const char *rpc_call_metadata(const struct rpc_call *call, const char *key);

/* Walks all custom metadata (no pseudo-headers, no grpc-*). */
bool rpc_call_metadata_next(const struct rpc_call *call, size_t *cursor,
                            const char **key, const char **value);

/* "127.0.0.1:40312" */
const char *rpc_call_peer(const struct rpc_call *call);

/* Who calls, as TLS proved; NULL on a server without TLS, where everybody is
 * who he says he is. */
const struct tls_identity *rpc_call_identity(const struct rpc_call *call);

/* Charges the call to its caller's account, which outlives it. Once, by the
 * router. */
void rpc_call_charge(struct rpc_call *call, struct rpc_account *account);

/* Somebody answers for the connection of this call, although it showed no
 * certificate: it does not count among those of nobody any more. */
void rpc_call_vouch(struct rpc_call *call);

/* Loop time at which the client gives up; 0: never. */
uint64_t rpc_call_deadline_ms(const struct rpc_call *call);

/* The memory of the last decoded message becomes the caller's. */
void rpc_call_take_arena(struct rpc_call *call, struct arena *arena);

void rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message);
void rpc_call_send_raw(struct rpc_call *call, const void *data, size_t len);

/* Sent and not yet taken by the connection. */
size_t rpc_call_queued(const struct rpc_call *call);

/* Adds a trailer before the call is finished; at most 8, 4 KiB together. */
void rpc_call_trailer(struct rpc_call *call, const char *key,
                      const char *value);

/* Ends the call; the first time counts. */
void rpc_call_finish(struct rpc_call *call, enum rpc_code code,
                     const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
