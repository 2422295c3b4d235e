/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's side: a channel to one address that connects when it is needed
 * and again when it broke, and calls on it. A call that cannot be sent fails
 * at once with UNAVAILABLE; trying elsewhere or later is the caller's. */
#ifndef RPC_CHANNEL_H
#define RPC_CHANNEL_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/random.h"
#include "rpc/status.h"
#include "tls/tls.h"

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct rpc_channel;
struct rpc_stream;

/* How a call ended; lent for the callback. */
struct rpc_result {
    enum rpc_code code;
    const char *message;
    /* The server never saw the call: repeating it is always safe. */
    bool never_seen;
    const struct bytes *trailers; /* For rpc_headers_get; headers too. */
};

struct rpc_stream_ops {
    /* A message, undecoded, lent for the call. */
    void (*message)(struct rpc_stream *stream, const uint8_t *data, size_t len);
    /* What was sent has left. NULL: not interested. */
    void (*writable)(struct rpc_stream *stream);
    /* The call is over; once, last, from a later turn than rpc_stream_open. */
    void (*closed)(struct rpc_stream *stream, const struct rpc_result *result);
};

/* Embed it; lives until `closed`. All fields are the channel's. */
struct rpc_stream {
    const struct rpc_stream_ops *ops;
    struct rpc_channel *channel;
    struct list link;
    struct list writable_link;
    int32_t id;           /* 0: not sent yet. */
    uint64_t deadline_ms; /* Loop time; 0: none. */
    struct bytes request; /* Headers to send. */
    struct bytes headers; /* Received, trailers too. */
    struct bytes in;
    struct bytes out;
    size_t out_sent;
    enum rpc_code code; /* When the client ended it itself. */
    char message[160];
    bool cancelled;
    bool half_closed;
    bool deferred;
    bool never_seen;
};

struct rpc_channel *rpc_channel_create(uv_loop_t *loop, const char *address,
                                       uint64_t seed);

/* Before the first call: connects by mutual TLS; `tls` is lent until the
 * channel is gone. See tls_session_connect() for `expect` (copied). */
void rpc_channel_use_tls(struct rpc_channel *channel, struct tls *tls,
                         const char *expect, const char *expect_cn);

/* Before the first call: for a client in somebody else's program. The address
 * may be a host's name, looked up in libuv's pool of threads whenever it
 * connects; no pings are sent, for servers that are not ours allow few of them;
 * and while nothing is due the channel wakes up once a second only. The caller
 * then sees to the deadlines of its calls. */
void rpc_channel_use_as_guest(struct rpc_channel *channel);

const char *rpc_channel_address(const struct rpc_channel *channel);

/* Whether a connection stands. */
bool rpc_channel_connected(const struct rpc_channel *channel);

/* Whether a connection stands that takes no more calls: the server has said
 * goodbye, and those that are open go on. */
bool rpc_channel_leaving(const struct rpc_channel *channel);

/* Embed it. */
struct rpc_channel_close {
    void (*done)(struct rpc_channel_close *close);
};

/* Ends all calls, those that wait with CANCELLED, and frees the channel;
 * `done` comes from a later turn, when nothing is left of it. */
void rpc_channel_close(struct rpc_channel *channel,
                       struct rpc_channel_close *close);

/* Asks the server for a sign of life, to see how long that takes; nothing when
 * the last one is not answered yet, or no connection stands. */
void rpc_channel_measure(struct rpc_channel *channel);

/* Of the newest RPC_ROUND_TRIPS answers on the connection that stands; all 0:
 * there is none. */
struct rpc_round_trip {
    unsigned count;
    uint32_t min_us;
    uint32_t median_us;
    uint32_t max_us;
};
struct rpc_round_trip rpc_channel_round_trip(const struct rpc_channel *channel);

/* As rpc_channel_close(), and nobody is told. */
void rpc_channel_destroy(struct rpc_channel *channel);

/* Begins a call. `metadata` is pairs of key and value, ended by NULL, or NULL.
 * deadline_ms is loop time; 0: none. */
void rpc_stream_open(struct rpc_channel *channel, struct rpc_stream *stream,
                     const struct rpc_stream_ops *ops, const char *path,
                     uint64_t deadline_ms, const char *const *metadata);
void rpc_stream_send(struct rpc_stream *stream,
                     const ProtobufCMessage *message);
void rpc_stream_send_raw(struct rpc_stream *stream, const void *data,
                         size_t len);
size_t rpc_stream_queued(const struct rpc_stream *stream);
void rpc_stream_half_close(struct rpc_stream *stream);

/* Ends it with CANCELLED; `closed` follows. */
void rpc_stream_cancel(struct rpc_stream *stream);

/* One request, one response. Embed it; lives until `done`. */
struct rpc_unary;
typedef void (*rpc_unary_cb)(struct rpc_unary *unary,
                             const struct rpc_result *result,
                             const ProtobufCMessage *response);
struct rpc_unary {
    /* Set by the caller. */
    const ProtobufCMessageDescriptor *output;
    uint64_t deadline_ms;        /* Loop time; 0: none. */
    const char *const *metadata; /* As for rpc_stream_open. */
    rpc_unary_cb done; /* `response` is NULL unless the code is RPC_OK. */
    /* The channel's. */
    struct rpc_stream stream;
    struct bytes response;
    bool has_response;
};

void rpc_unary_call(struct rpc_channel *channel, struct rpc_unary *unary,
                    const char *path, const ProtobufCMessage *request);

#endif
