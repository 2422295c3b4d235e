/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void done(struct rpc_unary *unary, const struct rpc_result *result,
                 const ProtobufCMessage *response)
{
    struct bench_call *call = container_of(unary, struct bench_call, unary);

    call->over = true;
    call->code = result->code;
    snprintf(call->message, sizeof(call->message), "%s", result->message);
    if (result->code == RPC_OK) {
        /* The response is lent: a round through its encoding copies it. */
        size_t len = protobuf_c_message_get_packed_size(response);
        uint8_t *packed = memory_alloc(len);

        protobuf_c_message_pack(response, packed);
        call->response =
            protobuf_c_message_unpack(call->output, NULL, len, packed);
        free(packed);
    }
}

bool bench_call(struct bench_call *call, uv_loop_t *loop,
                struct rpc_channel *channel, const char *path,
                const ProtobufCMessage *request, uint64_t timeout_ms)
{
    uv_update_time(loop);
    call->response = NULL;
    call->over = false;
    call->unary.output = call->output;
    call->unary.deadline_ms = uv_now(loop) + timeout_ms;
    call->unary.done = done;
    rpc_unary_call(channel, &call->unary, path, request);
    while (!call->over) {
        uv_run(loop, UV_RUN_ONCE);
    }
    return call->response != NULL;
}

void bench_call_close(struct bench_call *call)
{
    if (call->response != NULL) {
        protobuf_c_message_free_unpacked(call->response, NULL);
        call->response = NULL;
    }
}

static void on_pause(uv_timer_t *timer)
{
    (void)timer; /* It only had to wake the loop. */
}

void bench_pause(uv_loop_t *loop, uint64_t ms)
{
    uv_timer_t timer;
    uint64_t until_ms;

    uv_timer_init(loop, &timer);
    uv_update_time(loop);
    until_ms = uv_now(loop) + ms;
    uv_timer_start(&timer, on_pause, ms, 0);
    while (uv_now(loop) < until_ms) {
        uv_run(loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&timer, NULL);
    uv_run(loop, UV_RUN_NOWAIT);
}

void bench_channel_close(struct rpc_channel *channel, uv_loop_t *loop)
{
    rpc_channel_destroy(channel);
    bench_pause(loop, 1);
}
