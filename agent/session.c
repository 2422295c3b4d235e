/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/session.h"

#include "base/check.h"
#include "base/container.h"
#include "base/log.h"
#include "rpc/message.h"

#include <string.h>

#define METHOD "/holdfast.v1.AgentService/Session"

static void on_timer(uv_timer_t *timer);
static const struct rpc_stream_ops stream_ops;

void session_init(struct session *session, uv_loop_t *loop,
                  const struct session_ops *ops, uint64_t seed)
{
    memset(session, 0, sizeof(*session));
    session->ops = ops;
    session->loop = loop;
    session->backoff_ms = SESSION_BACKOFF_MS_MIN;
    random_init(&session->random, seed);
    CHECK(uv_timer_init(loop, &session->timer) == 0);
}

void session_add_node(struct session *session, const char *address)
{
    CHECK(session->channel_count < SESSION_NODES_MAX);
    session->channels[session->channel_count++] = rpc_channel_create(
        session->loop, address, random_u64(&session->random));
}

const char *session_node(const struct session *session)
{
    return rpc_channel_address(session->channels[session->current]);
}

static void open_stream(struct session *session)
{
    CHECK(!session->streaming && !session->live);
    session->streaming = true;
    session->live = true;
    rpc_stream_open(session->channels[session->current], &session->stream,
                    &stream_ops, METHOD, 0, NULL);
    CHECK(uv_timer_start(&session->timer, on_timer, SESSION_CONNECT_MS, 0) ==
          0);
    session->ops->opened(session);
}

void session_start(struct session *session)
{
    CHECK(session->channel_count > 0);
    open_stream(session);
}

/* The next node at once; after a round of all of them a pause that doubles, so
 * that a thousand agents do not come back in step. A node that was of use until
 * it ended the session itself is asked again first: it is alive and knows who
 * leads, and the next one may be the one that died. */
static void plan_next(struct session *session, bool ended_by_node)
{
    uint64_t pause_ms = 0;

    if (session->closing) {
        return;
    }
    if (!ended_by_node || session->failures_in_row > 0) {
        session->current = (session->current + 1) % session->channel_count;
    }
    session->failures_in_row++;
    if (session->failures_in_row % session->channel_count == 0) {
        pause_ms = session->backoff_ms / 2 +
                   random_below(&session->random, session->backoff_ms / 2 + 1);
        session->backoff_ms *= 2;
        if (session->backoff_ms > SESSION_BACKOFF_MS_MAX) {
            session->backoff_ms = SESSION_BACKOFF_MS_MAX;
        }
    }
    CHECK(uv_timer_start(&session->timer, on_timer, pause_ms, 0) == 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct session *session = container_of(timer, struct session, timer);

    if (!session->streaming) {
        open_stream(session);
    } else if (!rpc_channel_connected(session->channels[session->current])) {
        log_info("session.no_connection", "node=%s", session_node(session));
        rpc_stream_cancel(&session->stream);
    }
}

static void on_message(struct rpc_stream *stream, const uint8_t *data,
                       size_t len)
{
    struct session *session = container_of(stream, struct session, stream);

    if (session->live) {
        session->ops->message(session, data, len);
    }
}

/* Wrong names or zones need a person; that no leader is there is said once a
 * node, not at every attempt. */
static enum log_level level_of(const struct session *session,
                               enum rpc_code code)
{
    if (code != RPC_UNAVAILABLE && code != RPC_CANCELLED) {
        return LOG_ERROR;
    }
    return session->failures_in_row < session->channel_count ? LOG_INFO
                                                             : LOG_DEBUG;
}

static void on_closed(struct rpc_stream *stream,
                      const struct rpc_result *result)
{
    struct session *session = container_of(stream, struct session, stream);
    bool was_live = session->live;
    bool by_node = rpc_headers_get(result->trailers, "grpc-status") != NULL;

    session->streaming = false;
    session->live = false;
    if (!session->closing) {
        log_line(level_of(session, result->code), "session.closed",
                 "node=%s code=%s message=\"%s\"", session_node(session),
                 rpc_code_name(result->code), result->message);
    }
    if (was_live) {
        session->ops->closed(session);
    }
    plan_next(session, was_live && by_node);
}

static const struct rpc_stream_ops stream_ops = {
    .message = on_message,
    .closed = on_closed,
};

void session_send(struct session *session, const ProtobufCMessage *message)
{
    CHECK(session->live);
    rpc_stream_send(&session->stream, message);
}

void session_useful(struct session *session)
{
    session->failures_in_row = 0;
    session->backoff_ms = SESSION_BACKOFF_MS_MIN;
}

void session_hang_up(struct session *session)
{
    if (session->live) {
        session->live = false;
        rpc_stream_cancel(&session->stream);
    }
}

void session_close(struct session *session)
{
    session->closing = true;
    session->live = false;
    uv_close((uv_handle_t *)&session->timer, NULL);
    for (size_t i = 0; i < session->channel_count; i++) {
        rpc_channel_destroy(session->channels[i]);
    }
}
