/* SPDX-License-Identifier: Apache-2.0
 *
 * One stream at a time to one of the nodes: connects, and goes on with the next
 * node, now or later, when it fails (agent/retry.h). The old stream is closed
 * before a new one is opened, and nothing of the old one is handed on
 * afterwards (agent_service.proto). */
#ifndef AGENT_SESSION_H
#define AGENT_SESSION_H

#include "agent/retry.h"
#include "base/random.h"
#include "rpc/channel.h"

#include <uv.h>

#define SESSION_NODES_MAX  16
#define SESSION_CONNECT_MS 500 /* Then another node is tried. */

struct session;

struct session_ops {
    /* Messages can be sent; the first must be Hello. */
    void (*opened)(struct session *session);
    /* A NodeMessage, encoded; lent. */
    void (*message)(struct session *session, const uint8_t *data, size_t len);
    /* The stream is of no use any more; another one follows. `reason` is the
     * node's holdfast-reason, lent, or empty. */
    void (*closed)(struct session *session, const char *reason);
};

struct session {
    const struct session_ops *ops;
    uv_loop_t *loop;
    uv_timer_t timer; /* The next attempt, or the end of a connect. */
    struct random random;
    struct rpc_channel *channels[SESSION_NODES_MAX];
    size_t channel_count;
    struct tls *tls; /* Lent; NULL: plain. */
    struct retry retry;
    struct rpc_stream stream;
    bool streaming; /* `stream` is the library's until it says closed. */
    bool live;      /* ... and messages are handed on. */
    bool closing;
};

/* Addresses are copied. */
void session_init(struct session *session, uv_loop_t *loop,
                  const struct session_ops *ops, uint64_t seed);

/* Before nodes are added: reach them by mutual TLS; lent. */
void session_use_tls(struct session *session, struct tls *tls);

void session_add_node(struct session *session, const char *address);

/* Begins; the first node first. */
void session_start(struct session *session);

/* Only while live. */
void session_send(struct session *session, const ProtobufCMessage *message);

/* A renewal was acknowledged: after a few the next trouble is a new one. */
void session_renewed(struct session *session);

/* Gives the stream up without a `closed`, and goes on with the next node. */
void session_hang_up(struct session *session);

/* Ends all; its memory is free when the loop has ended. */
void session_close(struct session *session);

const char *session_node(const struct session *session);

#endif
