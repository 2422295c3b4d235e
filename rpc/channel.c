/* SPDX-License-Identifier: Apache-2.0
 *
 * States of a channel's connection:
 *
 *   IDLE --a call--> CONNECTING --ok--> READY --broken--> WAITING
 *                        |                                  |
 *                        +--failed--> WAITING <-------------+
 *   WAITING --delay over--> IDLE (calls meanwhile fail at once) */
#include "rpc/channel_internal.h"

#include "base/check.h"
#include "base/memory.h"
#include "rpc/message.h"
#include "rpc/outcome.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 10

/* While nothing is due and no ping is to be sent. */
#define TICK_QUIET_MS 1000

void channel_fail_later(struct rpc_stream *stream, enum rpc_code code,
                        const char *message, bool never_seen)
{
    stream->code = code;
    snprintf(stream->message, sizeof(stream->message), "%s", message);
    stream->never_seen = never_seen;
    stream->cancelled = true;
    list_remove(&stream->writable_link);
    list_remove(&stream->link);
    list_append(&stream->channel->failed, &stream->link);
    channel_tick_start(stream->channel);
}

static void stream_free_buffers(struct rpc_stream *stream)
{
    bytes_close(&stream->request);
    bytes_close(&stream->in);
    bytes_close(&stream->out);
}

static void tell_closed(struct rpc_stream *stream,
                        const struct rpc_result *result)
{
    struct bytes headers = stream->headers;
    struct rpc_result copy = *result;
    char message[1024];

    snprintf(message, sizeof(message), "%s", result->message);
    copy.message = message;
    copy.trailers = &headers;
    list_remove(&stream->link);
    list_remove(&stream->writable_link);
    stream_free_buffers(stream);
    bytes_init(&stream->headers);
    stream->ops->closed(stream, &copy);
    bytes_close(&headers);
}

static void tell_failed(struct rpc_channel *channel)
{
    struct list work;

    list_init(&work);
    list_splice(&work, &channel->failed);
    while (!list_empty(&work)) {
        struct rpc_stream *stream =
            list_entry(list_first(&work), struct rpc_stream, link);
        struct rpc_result result = {.code = stream->code,
                                    .message = stream->message,
                                    .never_seen = stream->never_seen};

        tell_closed(stream, &result);
    }
}

/* How a stream that nghttp2 closed has ended. */
static void tell_ended(struct rpc_stream *stream, uint32_t http2_error)
{
    struct rpc_result result = {.code = RPC_UNAVAILABLE};
    char message[1024];

    if (rpc_headers_get(&stream->headers, "grpc-status") == NULL &&
        stream->cancelled) {
        result.code = stream->code;
        snprintf(message, sizeof(message), "%s", stream->message);
    } else {
        result.code = rpc_outcome_read(&stream->headers, http2_error, message,
                                       sizeof(message));
        result.never_seen =
            http2_error == NGHTTP2_REFUSED_STREAM && stream->headers.len == 0;
    }
    result.message = message;
    tell_closed(stream, &result);
}

static struct rpc_stream *stream_of(nghttp2_session *session, int32_t id)
{
    return nghttp2_session_get_stream_user_data(session, id);
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct rpc_stream *stream = stream_of(session, frame->hd.stream_id);

    (void)flags;
    (void)user;
    if (stream != NULL &&
        stream->headers.len + name_len + value_len <= RPC_HEADER_BYTES_MAX) {
        rpc_headers_add(&stream->headers, name, name_len, value, value_len);
    }
    return 0;
}

void channel_cancel(struct rpc_stream *stream, enum rpc_code code,
                    const char *message)
{
    if (stream->cancelled) {
        return;
    }
    if (stream->id == 0) {
        channel_fail_later(stream, code, message, true);
        return;
    }
    stream->cancelled = true;
    stream->code = code;
    snprintf(stream->message, sizeof(stream->message), "%s", message);
    nghttp2_submit_rst_stream(stream->channel->connection->session,
                              NGHTTP2_FLAG_NONE, stream->id, NGHTTP2_CANCEL);
    rpc_connection_mark(stream->channel->connection);
}

static void take_messages(struct rpc_stream *stream)
{
    const uint8_t *message;
    size_t len;

    while (!stream->cancelled) {
        switch (rpc_frame_next(&stream->in, &message, &len)) {
        case RPC_FRAME_MORE:
            return;
        case RPC_FRAME_READY:
            stream->ops->message(stream, message, len);
            bytes_consume(&stream->in, RPC_FRAME_HEAD_BYTES + len);
            break;
        default:
            channel_cancel(stream, RPC_INTERNAL,
                           "the server's message is compressed or too large");
            return;
        }
    }
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                   const uint8_t *data, size_t len, void *user)
{
    struct rpc_stream *stream = stream_of(session, id);

    (void)flags;
    (void)user;
    nghttp2_session_consume(session, id, len);
    if (stream != NULL && !stream->cancelled) {
        bytes_append(&stream->in, data, len);
        take_messages(stream);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error,
                           void *user)
{
    struct rpc_stream *stream = stream_of(session, id);

    if (stream != NULL) {
        struct rpc_channel *channel = user;

        nghttp2_session_set_stream_user_data(session, id, NULL);
        channel->stream_count--;
        tell_ended(stream, error);
        channel_submit_waiting(channel);
    }
    return 0;
}

/* The server may have said how many calls it takes at once. */
static int on_frame(nghttp2_session *session, const nghttp2_frame *frame,
                    void *user)
{
    (void)session;
    if (frame->hd.type == NGHTTP2_SETTINGS) {
        channel_submit_waiting(user);
    }
    channel_ping_take(user, frame);
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature. */
static ssize_t on_output(nghttp2_session *session, int32_t id, uint8_t *buf,
                         size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct rpc_stream *stream = source->ptr;
    size_t left = stream->out.len - stream->out_sent;
    size_t len = left < length ? left : length;

    (void)session;
    (void)id;
    (void)user;
    if (len > 0) {
        memcpy(buf, stream->out.data + stream->out_sent, len);
        stream->out_sent += len;
    }
    if (stream->out_sent < stream->out.len) {
        return (ssize_t)len;
    }
    bytes_clear(&stream->out);
    stream->out_sent = 0;
    if (stream->half_closed) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)len;
    }
    if (list_empty(&stream->writable_link)) {
        list_append(&stream->channel->writable, &stream->writable_link);
    }
    if (len == 0) {
        stream->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)len;
}

static nghttp2_nv header_of(const char *name, const char *value)
{
    nghttp2_nv nv = rpc_nv(name, value);

    if (strcmp(name, "authorization") == 0) {
        nv.flags = NGHTTP2_NV_FLAG_NO_INDEX; /* A secret (RFC 7541, 7.1.3). */
    }
    return nv;
}

/* Sends a call's headers; the connection stands. */
static void submit(struct rpc_stream *stream)
{
    struct rpc_channel *channel = stream->channel;
    nghttp2_nv nv[RPC_HEADERS_MAX];
    nghttp2_data_provider provider = {.source = {.ptr = stream},
                                      .read_callback = on_output};
    size_t count = 0;
    size_t cursor = 0;
    const char *name;
    const char *value;

    while (count < RPC_HEADERS_MAX &&
           rpc_headers_next(&stream->request, &cursor, &name, &value)) {
        nv[count++] = header_of(name, value);
    }
    stream->id = nghttp2_submit_request(channel->connection->session, NULL, nv,
                                        count, &provider, stream);
    list_remove(&stream->link);
    list_append(&channel->streams, &stream->link);
    if (stream->id < 0) {
        stream->id = 0;
        channel_fail_later(stream, RPC_UNAVAILABLE,
                           "the connection takes no more calls", true);
        return;
    }
    channel->stream_count++;
    rpc_connection_mark(channel->connection);
}

/* Calls beyond what the server allows wait here: a call that nghttp2 holds back
 * could not be cancelled until others end. */
void channel_submit_waiting(struct rpc_channel *channel)
{
    struct rpc_connection *connection = channel->connection;
    uint32_t most;

    if (channel->state != CHANNEL_READY || connection == NULL ||
        connection->closing) {
        return;
    }
    most = nghttp2_session_get_remote_settings(
        connection->session, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    if (most == UINT32_MAX) {
        most = RPC_STREAMS_MAX; /* It has not said. */
    }
    while (channel->stream_count < most && !list_empty(&channel->waiting)) {
        submit(
            list_entry(list_first(&channel->waiting), struct rpc_stream, link));
    }
}

static void wait_to_reconnect(struct rpc_channel *channel)
{
    uint64_t jitter = random_below(&channel->random, channel->delay_ms / 2 + 1);

    channel->state = CHANNEL_WAITING;
    channel->until_ms =
        channel_now(channel) + channel->delay_ms * 3 / 4 + jitter;
    channel->delay_ms = channel->delay_ms * 2 > RPC_RECONNECT_MS_MAX
                            ? RPC_RECONNECT_MS_MAX
                            : channel->delay_ms * 2;
}

static void fail_list(struct list *streams, const char *message,
                      bool never_seen)
{
    while (!list_empty(streams)) {
        struct rpc_stream *stream =
            list_entry(list_first(streams), struct rpc_stream, link);

        if (stream->cancelled) {
            channel_fail_later(stream, stream->code, stream->message, false);
        } else {
            channel_fail_later(stream, RPC_UNAVAILABLE, message, never_seen);
        }
    }
}

void channel_lost(struct rpc_channel *channel, const char *reason)
{
    char message[RPC_ENDPOINT_MAX + 200];

    if (reason[0] != '\0') {
        snprintf(channel->error, sizeof(channel->error), "%s", reason);
    }
    snprintf(message, sizeof(message), "%s: %s", channel->address,
             reason[0] == '\0' ? "the server closed the connection" : reason);
    fail_list(&channel->streams, message, false);
    fail_list(&channel->waiting, message, true);
    channel->stream_count = 0;
    wait_to_reconnect(channel);
}

static void connection_closed(struct rpc_connection *connection)
{
    struct rpc_channel *channel =
        container_of(connection->flusher, struct rpc_channel, flusher);
    channel->connection = NULL;
    if (channel->state != CHANNEL_CONNECTING || channel->destroying ||
        channel_now(channel) >= channel->until_ms ||
        !channel_connect_next(channel)) {
        channel_lost(channel, connection->error);
    }
    free(connection);
    channel_free_if_done(channel);
}

static void connection_progress(struct rpc_connection *connection)
{
    struct rpc_channel *channel =
        container_of(connection->flusher, struct rpc_channel, flusher);

    while (!list_empty(&channel->writable)) {
        struct rpc_stream *stream = list_entry(
            list_first(&channel->writable), struct rpc_stream, writable_link);

        list_remove(&stream->writable_link);
        if (stream->ops->writable != NULL && !stream->cancelled) {
            stream->ops->writable(stream);
        }
    }
}

/* Calls that waited for it go out. */
static void connection_established(struct rpc_connection *connection)
{
    struct rpc_channel *channel =
        container_of(connection->flusher, struct rpc_channel, flusher);

    channel->state = CHANNEL_READY;
    channel->delay_ms = RPC_RECONNECT_MS_MIN;
    channel->measured = (struct channel_ping){.count = 0};
    channel_submit_waiting(channel);
}

const struct rpc_connection_ops channel_connection_ops = {
    .progress = connection_progress,
    .established = connection_established,
    .closed = connection_closed,
};

/* Counted in ticks, for a pause of our own is not one of the server's. */
static void keep_alive(struct rpc_channel *channel, uint64_t now_ms)
{
    struct rpc_connection *connection = channel->connection;

    if (channel->guest || channel->state != CHANNEL_READY ||
        connection == NULL || connection->closing ||
        list_empty(&channel->streams) ||
        now_ms - connection->read_at_ms < RPC_PING_IDLE_MS) {
        channel->ping_ticks = 0;
        return;
    }
    if (channel->ping_ticks == 0) {
        nghttp2_submit_ping(connection->session, NGHTTP2_FLAG_NONE, NULL);
        rpc_connection_mark(connection);
    }
    if (++channel->ping_ticks > RPC_PING_WAIT_MS / TICK_MS) {
        rpc_connection_close(connection, "no answer to a ping");
    }
}

static void end_late_calls(struct rpc_channel *channel, uint64_t now_ms)
{
    struct list *lists[] = {&channel->waiting, &channel->streams};
    struct list *at;
    struct list *next;

    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        list_foreach_safe (at, next, lists[i]) {
            struct rpc_stream *stream = list_entry(at, struct rpc_stream, link);

            if (stream->deadline_ms != 0 && now_ms >= stream->deadline_ms) {
                channel_cancel(stream, RPC_DEADLINE_EXCEEDED,
                               "the deadline passed");
            }
        }
    }
}

static void end_connecting(struct rpc_channel *channel)
{
    if (channel->connection != NULL) {
        rpc_connection_close(channel->connection, "connecting took too long");
    } else {
        channel_lost(channel, "looking the name up took too long");
    }
}

static uint64_t tick_ms(const struct rpc_channel *channel)
{
    bool quiet = channel->guest && channel->state == CHANNEL_READY &&
                 list_empty(&channel->failed);

    return quiet ? TICK_QUIET_MS : TICK_MS;
}

/* The tick runs only while there is something to wait for. */
static void on_tick(uv_timer_t *timer)
{
    struct rpc_channel *channel = container_of(timer, struct rpc_channel, tick);
    uint64_t now_ms = channel_now(channel);

    end_late_calls(channel, now_ms);
    if (channel->state == CHANNEL_CONNECTING && now_ms >= channel->until_ms) {
        end_connecting(channel);
    } else if (channel->state == CHANNEL_WAITING &&
               now_ms >= channel->until_ms) {
        channel->state = CHANNEL_IDLE;
    }
    if (channel->connection != NULL &&
        channel->connection->stalled_since_ms != 0 &&
        now_ms - channel->connection->stalled_since_ms > RPC_WRITE_STALL_MS) {
        rpc_connection_close(channel->connection, "output does not move");
    }
    keep_alive(channel, now_ms);
    tell_failed(channel);
    if (list_empty(&channel->waiting) && list_empty(&channel->streams) &&
        list_empty(&channel->failed) && channel->state != CHANNEL_WAITING &&
        !channel->destroying) {
        uv_timer_stop(&channel->tick);
    } else {
        uv_timer_set_repeat(&channel->tick, tick_ms(channel));
    }
}

void channel_tick_start(struct rpc_channel *channel)
{
    if (!uv_is_closing((uv_handle_t *)&channel->tick) &&
        (!uv_is_active((uv_handle_t *)&channel->tick) ||
         uv_timer_get_repeat(&channel->tick) > TICK_MS)) {
        uv_timer_start(&channel->tick, on_tick, 0, TICK_MS);
    }
}

static void make_callbacks(struct rpc_channel *channel)
{
    nghttp2_session_callbacks *callbacks;

    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           on_stream_close);
    channel->callbacks = callbacks;
    CHECK(nghttp2_option_new(&channel->options) == 0);
    nghttp2_option_set_no_auto_window_update(channel->options, 1);
    nghttp2_option_set_max_settings(channel->options, RPC_SETTINGS_MAX);
    nghttp2_option_set_peer_max_concurrent_streams(channel->options,
                                                   RPC_STREAMS_MAX);
}

struct rpc_channel *rpc_channel_create(uv_loop_t *loop, const char *address,
                                       uint64_t seed)
{
    struct rpc_channel *channel = memory_alloc(sizeof(*channel));

    channel->loop = loop;
    channel->delay_ms = RPC_RECONNECT_MS_MIN;
    snprintf(channel->address, sizeof(channel->address), "%s", address);
    random_init(&channel->random, seed);
    list_init(&channel->waiting);
    list_init(&channel->streams);
    list_init(&channel->failed);
    list_init(&channel->writable);
    make_callbacks(channel);
    rpc_flusher_init(&channel->flusher, loop);
    CHECK(uv_timer_init(loop, &channel->tick) == 0);
    channel->handles_open = 2;
    return channel;
}

void rpc_channel_use_tls(struct rpc_channel *channel, struct tls *tls,
                         const char *expect, const char *expect_cn)
{
    CHECK(channel->state == CHANNEL_IDLE);
    channel->tls = tls;
    channel->pinned = expect != NULL;
    if (channel->pinned) {
        snprintf(channel->expect, sizeof(channel->expect), "%s", expect);
        snprintf(channel->expect_cn, sizeof(channel->expect_cn), "%s",
                 expect_cn);
    }
}

void rpc_channel_use_as_guest(struct rpc_channel *channel)
{
    CHECK(channel->state == CHANNEL_IDLE);
    channel->guest = true;
}

const char *rpc_channel_address(const struct rpc_channel *channel)
{
    return channel->address;
}

bool rpc_channel_connected(const struct rpc_channel *channel)
{
    return channel->state == CHANNEL_READY;
}

bool rpc_channel_leaving(const struct rpc_channel *channel)
{
    return channel->state == CHANNEL_READY && channel->connection != NULL &&
           (channel->connection->closing ||
            nghttp2_session_check_request_allowed(
                channel->connection->session) == 0);
}

void channel_free_if_done(struct rpc_channel *channel)
{
    struct rpc_channel_close *close = channel->close;

    if (!channel->destroying || channel->connection != NULL ||
        channel->looking_up || channel->handles_open > 0) {
        return;
    }
    tell_failed(channel);
    nghttp2_session_callbacks_del(channel->callbacks);
    nghttp2_option_del(channel->options);
    free(channel);
    if (close != NULL) {
        close->done(close);
    }
}

static void on_tick_closed(uv_handle_t *handle)
{
    struct rpc_channel *channel =
        container_of(handle, struct rpc_channel, tick);

    channel->handles_open--;
    channel_free_if_done(channel);
}

static void on_flusher_closed(uv_handle_t *handle)
{
    struct rpc_channel *channel =
        container_of(handle, struct rpc_channel, flusher.prepare);

    channel->handles_open--;
    channel_free_if_done(channel);
}

void rpc_channel_destroy(struct rpc_channel *channel)
{
    CHECK(!channel->destroying);
    channel->destroying = true;
    while (!list_empty(&channel->waiting)) {
        channel_fail_later(
            list_entry(list_first(&channel->waiting), struct rpc_stream, link),
            RPC_CANCELLED, "the client closes", true);
    }
    if (channel->connection != NULL) {
        rpc_connection_close(channel->connection, "the client closes");
    }
    if (channel->looking_up) {
        (void)uv_cancel((uv_req_t *)&channel->lookup);
    }
    uv_close((uv_handle_t *)&channel->tick, on_tick_closed);
    rpc_flusher_close(&channel->flusher, on_flusher_closed);
}

void rpc_channel_close(struct rpc_channel *channel,
                       struct rpc_channel_close *close)
{
    channel->close = close;
    rpc_channel_destroy(channel);
}
