/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/channel.h"

#include "base/container.h"
#include "rpc/limits.h"
#include "rpc/unpack.h"

static void unary_message(struct rpc_stream *stream, const uint8_t *data,
                          size_t len)
{
    struct rpc_unary *unary = container_of(stream, struct rpc_unary, stream);

    if (!unary->has_response) {
        bytes_append(&unary->response, data, len);
        unary->has_response = true;
    }
}

static void unary_closed(struct rpc_stream *stream,
                         const struct rpc_result *result)
{
    struct rpc_unary *unary = container_of(stream, struct rpc_unary, stream);
    struct rpc_result told = *result;
    struct unpack_error error;
    const ProtobufCMessage *response = NULL;
    struct bytes data = unary->response;
    struct arena arena;

    arena_init(&arena, RPC_ARENA_BYTES_MAX * 4);
    if (told.code == RPC_OK) {
        response =
            message_unpack(unary->output, &arena, data.data, data.len, &error);
        if (!unary->has_response || response == NULL) {
            told.code = RPC_INTERNAL;
            told.message = "the server's response is missing or malformed";
            response = NULL;
        }
    }
    bytes_init(&unary->response);
    unary->done(unary, &told, response);
    bytes_close(&data);
    arena_close(&arena);
}

static const struct rpc_stream_ops unary_ops = {
    .message = unary_message,
    .closed = unary_closed,
};

void rpc_unary_call(struct rpc_channel *channel, struct rpc_unary *unary,
                    const char *path, const ProtobufCMessage *request)
{
    unary->has_response = false;
    bytes_init(&unary->response);
    rpc_stream_open(channel, &unary->stream, &unary_ops, path,
                    unary->deadline_ms, unary->metadata);
    rpc_stream_send(&unary->stream, request);
    rpc_stream_half_close(&unary->stream);
}
