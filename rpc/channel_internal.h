/* SPDX-License-Identifier: Apache-2.0
 *
 * Between channel.c (the connection and its life) and stream.c (calls on it).
 */
#ifndef RPC_CHANNEL_INTERNAL_H
#define RPC_CHANNEL_INTERNAL_H

#include "rpc/channel.h"
#include "rpc/connection.h"

enum channel_state {
    CHANNEL_IDLE,
    CHANNEL_CONNECTING,
    CHANNEL_READY,
    CHANNEL_WAITING
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
    struct list waiting;  /* Calls until the connection stands. */
    struct list streams;  /* Calls on it. */
    struct list failed;   /* Calls to be told that they are over. */
    struct list writable; /* Calls whose output drained. */
    enum channel_state state;
    uint64_t until_ms; /* Of CONNECTING and WAITING. */
    uint64_t delay_ms;
    unsigned ping_ticks; /* Since an unanswered ping; 0: none. */
    int handles_open;
    bool destroying;
    char address[64];
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

/* Begins to connect; IDLE only. */
void channel_connect(struct rpc_channel *channel);

/* Lets the tick run, by which calls time out and the channel lives. */
void channel_tick_start(struct rpc_channel *channel);

/* Sends a call's headers; the connection stands. */
void channel_submit(struct rpc_stream *stream);

/* Calls that are over hear of it on the next tick: never from inside the call
 * that they made. */
void channel_fail_later(struct rpc_stream *stream, enum rpc_code code,
                        const char *message, bool never_seen);

/* Ends a call from this side. */
void channel_cancel(struct rpc_stream *stream, enum rpc_code code,
                    const char *message);

#endif
