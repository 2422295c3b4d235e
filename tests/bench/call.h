/* SPDX-License-Identifier: Apache-2.0
 *
 * One gRPC call that is waited for, for what happens outside of the
 * measurement. */
#ifndef BENCH_CALL_H
#define BENCH_CALL_H

#include "rpc/channel.h"

struct bench_call {
    struct rpc_unary unary;
    const ProtobufCMessageDescriptor *output; /* Set by the caller. */
    ProtobufCMessage *response;               /* Owned; NULL unless RPC_OK. */
    enum rpc_code code;
    char message[256];
    bool over;
};

/* Runs the loop until the answer is there or `timeout_ms` is over. False
 * unless RPC_OK. Close it in any case. */
bool bench_call(struct bench_call *call, uv_loop_t *loop,
                struct rpc_channel *channel, const char *path,
                const ProtobufCMessage *request, uint64_t timeout_ms);
void bench_call_close(struct bench_call *call);

/* Destroys the channel and lets the loop finish that. */
void bench_channel_close(struct rpc_channel *channel, uv_loop_t *loop);

/* Runs the loop for a while. */
void bench_pause(uv_loop_t *loop, uint64_t ms);

#endif
