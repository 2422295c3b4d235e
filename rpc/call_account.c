/* SPDX-License-Identifier: Apache-2.0
 *
 * What a call holds, on the account of its caller. */
#include "base/check.h"
#include "rpc/admission.h"
#include "rpc/limits.h"
#include "rpc/server_internal.h"

static bool streams(const struct rpc_call *call)
{
    return call->method->client_streams || call->method->server_streams;
}

void call_charge(struct rpc_call *call)
{
    size_t bytes = RPC_CALL_BYTES + call->message_bytes + call->in.len +
                   call->out.len - call->out_sent;

    if (call->account != NULL) {
        call->account->bytes += bytes - call->charged;
        call->charged = bytes;
    }
}

void rpc_call_charge(struct rpc_call *call, struct rpc_account *account)
{
    CHECK(call->account == NULL && call->method != NULL);
    call->account = account;
    account->calls++;
    account->streams += streams(call);
    call_charge(call);
}

void call_discharge(struct rpc_call *call)
{
    struct rpc_account *account = call->account;

    if (account != NULL) {
        CHECK(account->calls > 0 && account->bytes >= call->charged);
        account->calls--;
        account->streams -= streams(call);
        account->bytes -= call->charged;
        call->account = NULL;
    }
}

void rpc_call_vouch(struct rpc_call *call)
{
    admission_vouch(call->connection);
}

void call_refuse_bytes(struct rpc_call *call)
{
    /* As node/api_errors.c declares it; the reason is part of the wire. */
    call->connection->server->stats.calls_over_bytes++;
    rpc_call_trailer(call, "holdfast-reason", "OVER_LIMIT");
    rpc_call_trailer(call, "grpc-retry-pushback-ms", "500");
    rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED,
                    "the caller has more under way at this node than it gives "
                    "one: %zu MiB of requests and answers; let some end, then "
                    "retry",
                    call->account->bytes_max >> 20);
}

bool call_answer_exceeds(const struct rpc_call *call, size_t len)
{
    const struct rpc_account *account = call->account;

    return account != NULL && !call->headers_sent && !streams(call) &&
           len > RPC_ANSWER_BYTES_SMALL && account->calls > 1 &&
           account->bytes + len > account->bytes_max;
}

bool call_request_exceeds(const struct rpc_call *call, size_t len)
{
    const struct rpc_account *account = call->account;

    return account != NULL && account->bytes + len > account->bytes_max;
}
