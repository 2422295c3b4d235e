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
    random_init(&session->random, seed);
    retry_init(&session->retry, &session->random);
    CHECK(uv_timer_init(loop, &session->timer) == 0);
}

void session_use_tls(struct session *session, struct tls *tls)
{
    session->tls = tls;
}

void session_add_node(struct session *session, const char *address)
{
    CHECK(session->channel_count < SESSION_NODES_MAX);
    session->channels[session->channel_count] = rpc_channel_create(
        session->loop, address, random_u64(&session->random));
    if (session->tls != NULL) {
        rpc_channel_use_tls(session->channels[session->channel_count],
                            session->tls, NULL, NULL);
    }
    session->channel_count++;
}

const char *session_node(const struct session *session)
{
    return rpc_channel_address(session->channels[session->retry.current]);
}

static void open_stream(struct session *session)
{
    CHECK(!session->streaming && !session->live);
    session->streaming = true;
    session->live = true;
    retry_begun(&session->retry);
    rpc_stream_open(session->channels[session->retry.current], &session->stream,
                    &stream_ops, METHOD, 0, NULL);
    CHECK(uv_timer_start(&session->timer, on_timer, SESSION_CONNECT_MS, 0) ==
          0);
    session->ops->opened(session);
}

void session_start(struct session *session)
{
    CHECK(session->channel_count > 0);
    session->retry.nodes = session->channel_count;
    open_stream(session);
}

static void on_timer(uv_timer_t *timer)
{
    struct session *session = container_of(timer, struct session, timer);

    if (!session->streaming) {
        open_stream(session);
    } else if (!rpc_channel_connected(
                   session->channels[session->retry.current])) {
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

/* HOST_STILL_LEASED, HOST_NAME_TAKEN and SESSION_REPLACED are the two codes'
 * only reasons in a session. */
static bool is_conflict(enum rpc_code code)
{
    return code == RPC_ALREADY_EXISTS || code == RPC_ABORTED;
}

/* Wrong names or zones need a person, and so does a conflict that lasts longer
 * than a boot's; that no leader is there is said once a node, not at every
 * attempt. */
static enum log_level level_of(const struct session *session,
                               enum rpc_code code)
{
    if (is_conflict(code)) {
        return retry_is_in_conflict(&session->retry) ? LOG_ERROR : LOG_WARN;
    }
    if (code != RPC_UNAVAILABLE && code != RPC_CANCELLED) {
        return LOG_ERROR;
    }
    return retry_is_stuck(&session->retry) ? LOG_DEBUG : LOG_INFO;
}

static enum retry_end end_of(const struct rpc_result *result, bool was_live)
{
    if (!was_live || rpc_headers_get(result->trailers, "grpc-status") == NULL) {
        return RETRY_BROKEN;
    }
    return is_conflict(result->code) ? RETRY_CONFLICT : RETRY_BY_NODE;
}

static void on_closed(struct rpc_stream *stream,
                      const struct rpc_result *result)
{
    struct session *session = container_of(stream, struct session, stream);
    bool was_live = session->live;
    enum retry_end end = end_of(result, was_live);
    const char *reason = rpc_headers_get(result->trailers, "holdfast-reason");

    session->streaming = false;
    session->live = false;
    if (!session->closing) {
        log_line(level_of(session, result->code), "session.closed",
                 "node=%s code=%s message=\"%s\"", session_node(session),
                 rpc_code_name(result->code), result->message);
    }
    if (was_live) {
        session->ops->closed(session, reason == NULL ? "" : reason);
    }
    if (!session->closing) {
        CHECK(uv_timer_start(&session->timer, on_timer,
                             retry_ended(&session->retry, end), 0) == 0);
    }
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

void session_renewed(struct session *session)
{
    retry_renewed(&session->retry);
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
