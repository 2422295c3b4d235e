/* SPDX-License-Identifier: Apache-2.0 */
#include "echo_service.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "rpc/proxy.h"

#include <stdlib.h>
#include <string.h>

#include "echo.pb-c.h"

/* Replies of ServerStream that may wait in the server. */
#define QUEUED_MAX (64u << 10)

typedef Holdfast__Test__V1__EchoRequest echo_request;
typedef Holdfast__Test__V1__EchoReply echo_reply;

enum { UNARY, SERVER_STREAM, CLIENT_STREAM, BIDI, STATS };

struct echo_call {
    struct rpc_handler handler;
    struct echo_service *echo;
    struct rpc_call *call; /* NULL: over. */
    const struct rpc_method *method;
    const echo_request *request; /* Of ServerStream and Unary. */
    uv_timer_t wait;
    uint32_t number;
    uint64_t bytes;
    bool forwarded;
};

static bool is(const struct echo_call *call, int method)
{
    return call->method == &call->echo->methods[method];
}

/* What a caller asked to have back goes back. */
static void echo_metadata(struct rpc_call *call)
{
    static const char *const keys[] = {"echo-text", "echo-data-bin"};

    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        const char *value = rpc_call_metadata(call, keys[i]);

        if (value != NULL) {
            rpc_call_trailer(call, keys[i], value);
        }
    }
}

static void send_reply(struct echo_call *call, const echo_request *request)
{
    echo_reply reply = HOLDFAST__TEST__V1__ECHO_REPLY__INIT;

    reply.text = request->text;
    reply.payload = request->payload;
    reply.number = call->number++;
    reply.bytes = call->bytes;
    reply.forwarded = call->forwarded;
    rpc_call_send(call->call, &reply.base);
}

static bool fails(struct echo_call *call, const echo_request *request)
{
    if (request->fail_code == 0) {
        return false;
    }
    echo_metadata(call->call);
    rpc_call_finish(call->call, (enum rpc_code)request->fail_code, "%s",
                    request->fail_message);
    return true;
}

static void answer(struct echo_call *call)
{
    send_reply(call, call->request);
    echo_metadata(call->call);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
    call->echo->unary_answered++;
}

static void on_wait(uv_timer_t *timer)
{
    struct echo_call *call = container_of(timer, struct echo_call, wait);

    if (call->call != NULL) {
        answer(call);
    }
}

static void more(struct echo_call *call)
{
    echo_request blank = HOLDFAST__TEST__V1__ECHO_REQUEST__INIT;

    blank.payload = call->request->payload;
    while (call->number < call->request->count) {
        if (rpc_call_queued(call->call) >= QUEUED_MAX) {
            return;
        }
        send_reply(call, &blank);
        call->echo->replies_made++;
    }
    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void send_stats(struct echo_call *call)
{
    const struct rpc_server_stats *stats = rpc_server_stats(call->echo->server);
    Holdfast__Test__V1__StatsReply reply =
        HOLDFAST__TEST__V1__STATS_REPLY__INIT;
    uint64_t calls[ARRAY_LEN(stats->calls)];

    memcpy(calls, stats->calls, sizeof(calls));
    reply.calls_open = stats->calls_open;
    reply.connections_open = stats->connections_open;
    reply.n_calls = ARRAY_LEN(calls);
    reply.calls = calls;
    reply.handlers_open = call->echo->handlers_open;
    reply.replies_made = call->echo->replies_made;
    rpc_call_send(call->call, &reply.base);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);
    const echo_request *request = (const echo_request *)(const void *)message;

    call->bytes += request->payload.len;
    if (request->hang || fails(call, request)) {
        return;
    }
    if (is(call, BIDI)) {
        send_reply(call, request);
    } else if (is(call, CLIENT_STREAM)) {
        call->number++;
    } else if (is(call, STATS)) {
        send_stats(call);
    } else {
        call->request = request;
        if (is(call, SERVER_STREAM)) {
            more(call);
        } else if (request->wait_ms > 0) {
            uv_timer_start(&call->wait, on_wait, request->wait_ms, 0);
        } else {
            answer(call);
        }
    }
}

static void on_half_closed(struct rpc_handler *handler)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);

    if (is(call, CLIENT_STREAM)) {
        echo_request none = HOLDFAST__TEST__V1__ECHO_REQUEST__INIT;

        send_reply(call, &none);
    }
    if (is(call, CLIENT_STREAM) || is(call, BIDI)) {
        echo_metadata(call->call);
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    }
}

static void on_writable(struct rpc_handler *handler)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);

    if (is(call, SERVER_STREAM) && call->request != NULL) {
        more(call);
    }
}

static void on_wait_closed(uv_handle_t *handle)
{
    free(container_of(handle, struct echo_call, wait));
}

static void on_closed(struct rpc_handler *handler)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);

    CHECK(call->call != NULL);
    call->call = NULL;
    call->request = NULL;
    call->echo->handlers_open--;
    uv_close((uv_handle_t *)&call->wait, on_wait_closed);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .half_closed = on_half_closed,
    .writable = on_writable,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct echo_service *echo =
        container_of(service, struct echo_service, service);
    struct echo_call *call = memory_alloc(sizeof(*call));

    call->handler.ops = &handler_ops;
    call->echo = echo;
    call->call = rpc_call;
    call->method = method;
    call->forwarded = rpc_call_metadata(rpc_call, ECHO_FORWARDED) != NULL;
    CHECK(uv_timer_init(echo->loop, &call->wait) == 0);
    echo->handlers_open++;
    return &call->handler;
}

static struct rpc_handler *route(struct rpc_router *router,
                                 struct rpc_call *call)
{
    struct echo_service *echo =
        container_of(router, struct echo_service, router);

    if (echo->forward == NULL ||
        strncmp(rpc_call_path(call), "/holdfast.test.", 15) != 0) {
        return NULL;
    }
    return rpc_proxy_open(call, echo->forward,
                          (const char *const[]){ECHO_FORWARDED, "1", NULL});
}

void echo_service_init(struct echo_service *echo, struct rpc_server *server,
                       uv_loop_t *loop)
{
    static const char *const paths[ECHO_METHODS] = {
        "/holdfast.test.v1.Echo/Unary", "/holdfast.test.v1.Echo/ServerStream",
        "/holdfast.test.v1.Echo/ClientStream", "/holdfast.test.v1.Echo/Bidi",
        "/holdfast.test.v1.Echo/Stats"};

    *echo = (struct echo_service){.service = {open_call},
                                  .router = {route},
                                  .server = server,
                                  .loop = loop};
    for (int i = 0; i < ECHO_METHODS; i++) {
        echo->methods[i] = (struct rpc_method){
            .path = paths[i],
            .input = &holdfast__test__v1__echo_request__descriptor,
            .output = i == STATS ? &holdfast__test__v1__stats_reply__descriptor
                                 : &holdfast__test__v1__echo_reply__descriptor,
            .client_streams = i == CLIENT_STREAM || i == BIDI,
            .server_streams = i == SERVER_STREAM || i == BIDI,
            .service = &echo->service,
        };
        rpc_server_add(server, &echo->methods[i]);
    }
    rpc_server_route(server, &echo->router);
}
