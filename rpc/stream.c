/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls on a channel, from their begin to what they send. */
#include "base/memory.h"
#include "rpc/channel_internal.h"
#include "rpc/message.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_header(struct rpc_stream *stream, const char *name,
                       const char *value)
{
    rpc_headers_add(&stream->request, (const uint8_t *)name, strlen(name),
                    (const uint8_t *)value, strlen(value));
}

static void add_headers(struct rpc_stream *stream, const char *path,
                        const char *const *metadata)
{
    char timeout[32];
    uint64_t now_ms = channel_now(stream->channel);

    add_header(stream, ":method", "POST");
    add_header(stream, ":scheme",
               stream->channel->tls != NULL ? "https" : "http");
    add_header(stream, ":path", path);
    add_header(stream, ":authority", stream->channel->address);
    add_header(stream, "te", "trailers");
    add_header(stream, "content-type", "application/grpc");
    if (stream->deadline_ms != 0) {
        uint64_t left_ms =
            stream->deadline_ms > now_ms ? stream->deadline_ms - now_ms : 1;

        snprintf(timeout, sizeof(timeout), "%llum",
                 (unsigned long long)(left_ms > 99999999 ? 99999999 : left_ms));
        add_header(stream, "grpc-timeout", timeout);
    }
    for (; metadata != NULL && metadata[0] != NULL; metadata += 2) {
        add_header(stream, metadata[0], metadata[1]);
    }
}

void rpc_stream_open(struct rpc_channel *channel, struct rpc_stream *stream,
                     const struct rpc_stream_ops *ops, const char *path,
                     uint64_t deadline_ms, const char *const *metadata)
{
    char message[RPC_ENDPOINT_MAX + 200];

    memset(stream, 0, sizeof(*stream));
    stream->ops = ops;
    stream->channel = channel;
    stream->deadline_ms = deadline_ms;
    list_init(&stream->link);
    list_init(&stream->writable_link);
    add_headers(stream, path, metadata);
    list_append(&channel->waiting, &stream->link);
    channel_tick_start(channel);
    if (channel->state == CHANNEL_WAITING &&
        channel_now(channel) >= channel->until_ms) {
        channel->state = CHANNEL_IDLE; /* No tick ran meanwhile. */
    }
    if (channel->state == CHANNEL_IDLE) {
        channel_connect(channel);
    } else if (channel->state == CHANNEL_READY &&
               !channel->connection->closing) {
        channel_submit_waiting(channel);
    } else if (channel->state != CHANNEL_CONNECTING) {
        snprintf(message, sizeof(message), "%s: %s", channel->address,
                 channel->error);
        channel_fail_later(stream, RPC_UNAVAILABLE, message, true);
    }
}

void rpc_stream_send_raw(struct rpc_stream *stream, const void *data,
                         size_t len)
{
    if (stream->cancelled || stream->half_closed) {
        return;
    }
    rpc_frame_append(&stream->out, data, len);
    if (stream->id == 0) {
        return;
    }
    if (stream->deferred) {
        stream->deferred = false;
        nghttp2_session_resume_data(stream->channel->connection->session,
                                    stream->id);
    }
    rpc_connection_mark(stream->channel->connection);
}

void rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed = memory_alloc(len);

    protobuf_c_message_pack(message, packed);
    rpc_stream_send_raw(stream, packed, len);
    free(packed);
}

size_t rpc_stream_queued(const struct rpc_stream *stream)
{
    return stream->out.len - stream->out_sent;
}

void rpc_stream_half_close(struct rpc_stream *stream)
{
    if (stream->cancelled || stream->half_closed) {
        return;
    }
    stream->half_closed = true;
    if (stream->id != 0) {
        if (stream->deferred) {
            stream->deferred = false;
            nghttp2_session_resume_data(stream->channel->connection->session,
                                        stream->id);
        }
        rpc_connection_mark(stream->channel->connection);
    }
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
    channel_cancel(stream, RPC_CANCELLED, "cancelled by the client");
}
