/* SPDX-License-Identifier: Apache-2.0
 *
 * Between channel.c (the connection and its life), connect.c (how it comes to
 * be) and stream.c (calls on it). */
#ifndef RPC_CHANNEL_INTERNAL_H
#define RPC_CHANNEL_INTERNAL_H

#include "rpc/channel.h"
#include "rpc/connection.h"
#include "rpc/endpoint.h"
#include "rpc/limits.h"

enum channel_state {
    CHANNEL_IDLE,
    CHANNEL_CONNECTING,
    CHANNEL_READY,
    CHANNEL_WAITING
};

/* Of the connection that stands. */
struct channel_ping {
    uint64_t sent_ns; /* Of the one under way; 0: none. */
    unsigned count;   /* Answers so far. */
    uint32_t took_us[RPC_ROUND_TRIPS];
};

struct rpc_channel {
    uv_loop_t *loop;
    uv_timer_t tick;
    struct rpc_flusher flusher;
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *options;
    struct rpc_connection *connection; /* NULL: none. */
    uv_connect_t connect;
    struct random random;
    struct list waiting;  /* Calls until the connection stands and has room. */
    struct list streams;  /* Calls on it. */
    size_t stream_count;  /* Streams that nghttp2 has of ours. */
    struct list failed;   /* Calls to be told that they are over. */
    struct list writable; /* Calls whose output drained. */
    enum channel_state state;
    uint64_t until_ms; /* Of CONNECTING and WAITING. */
    uint64_t delay_ms;
    unsigned ping_ticks; /* Since an unanswered ping; 0: none. */
    struct channel_ping measured;
    int handles_open;
    bool destroying;
    bool guest;
    bool looking_up;
    uv_getaddrinfo_t lookup;
    struct sockaddr_storage targets[RPC_TARGETS_MAX]; /* Of the address. */
    size_t target_count;
    size_t target_next;              /* Is tried next. */
    struct rpc_channel_close *close; /* NULL: nobody waits for the end. */
    char address[RPC_ENDPOINT_MAX + 1];
    char error[160]; /* Why the last connection failed. */
    struct tls *tls; /* Lent; NULL: plain. */
    bool pinned;     /* To these; else to the address. */
    char expect[TLS_NAME_MAX + 1];
    char expect_cn[TLS_NAME_MAX + 1];
};

static inline uint64_t channel_now(const struct rpc_channel *channel)
{
    return uv_now(channel->loop);
}

/* --- connect.c --- */

/* Begins to connect; IDLE only. */
void channel_connect(struct rpc_channel *channel);

/* Begins with the next address, when one did not work; false: there is none. */
bool channel_connect_next(struct rpc_channel *channel);

/* --- channel.c --- */

extern const struct rpc_connection_ops channel_connection_ops;

/* There is no connection, and nothing that would make one: the calls that wait
 * for it hear so. */
void channel_lost(struct rpc_channel *channel, const char *reason);

/* The channel may be on its way out, and this was the last that it waited for.
 */
void channel_free_if_done(struct rpc_channel *channel);
/* A frame came; if it answers a measurement, it is taken in. */
void channel_ping_take(struct rpc_channel *channel, const nghttp2_frame *frame);

/* Lets the tick run, by which calls time out and the channel lives. */
void channel_tick_start(struct rpc_channel *channel);

/* Sends the headers of calls that wait, as many as the server allows at once.
 */
void channel_submit_waiting(struct rpc_channel *channel);

/* Calls that are over hear of it on the next tick: never from inside the call
 * that they made. */
void channel_fail_later(struct rpc_stream *stream, enum rpc_code code,
                        const char *message, bool never_seen);

/* Ends a call from this side. */
void channel_cancel(struct rpc_stream *stream, enum rpc_code code,
                    const char *message);

#endif
