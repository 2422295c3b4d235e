/* SPDX-License-Identifier: Apache-2.0
 *
 * Client and server of rpc/ against each other over real loopback sockets in
 * one loop, and the server against hand-made bytes. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/limits.h"
#include "rpc/message.h"
#include "rpc/proxy.h"
#include "rpc/reflection.h"
#include "rpc/server.h"
#include "rpc/unpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <grpc/health/v1/health.pb-c.h>
#include <grpc/reflection/v1/reflection.pb-c.h>

#define REQUEST  grpc__health__v1__health_check_request__descriptor
#define RESPONSE grpc__health__v1__health_check_response__descriptor

typedef Grpc__Health__V1__HealthCheckRequest text_message;

/* One echo server: unary, bidirectional, and a method that never answers. */
struct echo {
    struct rpc_service service;
    struct rpc_router router;
    struct rpc_method methods[3];
    struct rpc_server *server;
    struct rpc_health health;
    struct rpc_server_close close;
    struct rpc_channel *forward; /* If set, calls go there. */
    struct rpc_account account;  /* Everybody's, if it has bytes. */
    bool closed;
    int calls_closed;
    char seen_marker[32];
    char address[32];
};

struct echo_call {
    struct rpc_handler handler;
    struct rpc_call *call;
    struct echo *echo;
    const struct rpc_method *method;
};

static void echo_message(struct rpc_handler *handler,
                         const ProtobufCMessage *message)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);
    const text_message *text = (const text_message *)(const void *)message;

    if (call->method == &call->echo->methods[2]) {
        return;
    }
    if (strcmp(text->service, "fail") == 0) {
        rpc_call_trailer(call->call, "holdfast-reason", "TEST");
        rpc_call_finish(call->call, RPC_FAILED_PRECONDITION,
                        "100%% wrong: \"%s\"", "f\xc3\xbcr");
        return;
    }
    rpc_call_send(call->call, message);
    if (call->method == &call->echo->methods[0]) {
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    }
}

static void echo_half_closed(struct rpc_handler *handler)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);

    if (call->method == &call->echo->methods[1]) {
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    }
}

static void echo_closed(struct rpc_handler *handler)
{
    struct echo_call *call = container_of(handler, struct echo_call, handler);

    call->echo->calls_closed++;
    free(call);
}

static const struct rpc_handler_ops echo_ops = {
    .message = echo_message,
    .half_closed = echo_half_closed,
    .closed = echo_closed,
};

static struct rpc_handler *echo_open(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct echo *echo = container_of(service, struct echo, service);
    struct echo_call *call = memory_alloc(sizeof(*call));
    const char *marker = rpc_call_metadata(rpc_call, "forwarded");

    snprintf(echo->seen_marker, sizeof(echo->seen_marker), "%s",
             marker == NULL ? "" : marker);
    call->handler.ops = &echo_ops;
    call->call = rpc_call;
    call->echo = echo;
    call->method = method;
    return &call->handler;
}

static struct rpc_handler *echo_route(struct rpc_router *router,
                                      struct rpc_call *call)
{
    struct echo *echo = container_of(router, struct echo, router);

    if (echo->account.bytes_max > 0) {
        rpc_call_charge(call, &echo->account);
    }
    if (echo->forward == NULL) {
        return NULL;
    }
    return rpc_proxy_open(call, echo->forward,
                          (const char *const[]){"forwarded", "by-test", NULL});
}

static void echo_done(struct rpc_server_close *close)
{
    container_of(close, struct echo, close)->closed = true;
}

static void echo_start(struct echo *echo, uv_loop_t *loop)
{
    static const char *const paths[] = {"/test.Echo/Unary", "/test.Echo/Bidi",
                                        "/test.Echo/Silent"};
    char error[256];

    memset(echo, 0, sizeof(*echo));
    echo->service.open = echo_open;
    echo->router.route = echo_route;
    echo->close.done = echo_done;
    echo->server = rpc_server_create(loop);
    for (int i = 0; i < 3; i++) {
        echo->methods[i] = (struct rpc_method){
            .path = paths[i],
            .input = &REQUEST,
            .output = &REQUEST,
            .client_streams = i == 1,
            .server_streams = i == 1,
            .service = &echo->service,
        };
        rpc_server_add(echo->server, &echo->methods[i]);
    }
    rpc_server_route(echo->server, &echo->router);
    rpc_health_init(&echo->health, echo->server, NULL, 0);
    assert_int_equal(
        rpc_server_listen(echo->server, "127.0.0.1:0", error, sizeof(error)),
        0);
    snprintf(echo->address, sizeof(echo->address), "127.0.0.1:%d",
             rpc_server_port(echo->server));
}

/* What one call of the client came to. */
struct outcome {
    struct rpc_stream stream;
    struct rpc_unary unary;
    bool done;
    enum rpc_code code;
    bool never_seen;
    char message[256];
    char reason[32];
    char text[64];
    int messages;
    size_t bytes;
};

static void note_result(struct outcome *outcome,
                        const struct rpc_result *result)
{
    const char *reason = rpc_headers_get(result->trailers, "holdfast-reason");

    outcome->done = true;
    outcome->code = result->code;
    outcome->never_seen = result->never_seen;
    snprintf(outcome->message, sizeof(outcome->message), "%s", result->message);
    snprintf(outcome->reason, sizeof(outcome->reason), "%s",
             reason == NULL ? "" : reason);
}

static void unary_done(struct rpc_unary *unary, const struct rpc_result *result,
                       const ProtobufCMessage *response)
{
    struct outcome *outcome = container_of(unary, struct outcome, unary);

    if (response != NULL && response->descriptor == &REQUEST) {
        const text_message *text = (const text_message *)(const void *)response;

        outcome->bytes = strlen(text->service);
        snprintf(outcome->text, sizeof(outcome->text), "%.60s", text->service);
    }
    note_result(outcome, result);
}

static void stream_message(struct rpc_stream *stream, const uint8_t *data,
                           size_t len)
{
    struct outcome *outcome = container_of(stream, struct outcome, stream);

    (void)data;
    outcome->messages++;
    outcome->bytes += len;
}

static void stream_closed(struct rpc_stream *stream,
                          const struct rpc_result *result)
{
    note_result(container_of(stream, struct outcome, stream), result);
}

static const struct rpc_stream_ops stream_ops = {
    .message = stream_message,
    .closed = stream_closed,
};

static void run_until(uv_loop_t *loop, const bool *done)
{
    uint64_t give_up = uv_hrtime() + 20ull * 1000000000;

    while (!*done) {
        assert_true(uv_hrtime() < give_up);
        uv_run(loop, UV_RUN_ONCE);
    }
}

static void call_text(uv_loop_t *loop, struct rpc_channel *channel,
                      const char *path, const char *text, uint64_t deadline_ms,
                      struct outcome *outcome)
{
    text_message request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    union {
        const char *lent;
        char *text;
    } content = {text};

    memset(outcome, 0, sizeof(*outcome));
    request.service = content.text;
    uv_update_time(loop);
    outcome->unary.output = &REQUEST;
    outcome->unary.deadline_ms =
        deadline_ms == 0 ? 0 : uv_now(loop) + deadline_ms;
    outcome->unary.done = unary_done;
    rpc_unary_call(channel, &outcome->unary, path, &request.base);
    run_until(loop, &outcome->done);
}

static void finish(uv_loop_t *loop, struct echo *echo,
                   struct rpc_channel *channel)
{
    if (channel != NULL) {
        rpc_channel_destroy(channel);
    }
    rpc_server_drain(echo->server, 1000, &echo->close);
    run_until(loop, &echo->closed);
}

static void end_loop(uv_loop_t *loop)
{
    uv_run(loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(loop), 0);
}

static void unary_calls_are_answered(void **unused)
{
    struct outcome outcome;
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;
    char *large = memory_alloc(3 << 20);

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    call_text(&loop, channel, "/test.Echo/Unary", "hello", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    assert_string_equal(outcome.text, "hello");
    call_text(&loop, channel, "/test.Echo/Unary", "", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    memset(large, 'x', (3 << 20) - 1);
    call_text(&loop, channel, "/test.Echo/Unary", large, 10000, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    assert_int_equal(outcome.bytes, (3 << 20) - 1);
    free(large);
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

static void a_channel_knows_how_long_its_server_takes(void **unused)
{
    struct outcome outcome;
    struct rpc_round_trip took;
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    rpc_channel_measure(channel); /* Not connected: nothing. */
    call_text(&loop, channel, "/test.Echo/Unary", "hello", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    assert_int_equal(rpc_channel_round_trip(channel).count, 0);
    for (unsigned i = 1; i <= RPC_ROUND_TRIPS + 3; i++) {
        unsigned wanted = i < RPC_ROUND_TRIPS ? i : RPC_ROUND_TRIPS;

        rpc_channel_measure(channel);
        rpc_channel_measure(channel); /* One at a time. */
        /* The answer comes before that of a call behind it. */
        call_text(&loop, channel, "/test.Echo/Unary", "x", 5000, &outcome);
        took = rpc_channel_round_trip(channel);
        assert_int_equal(took.count, wanted);
        assert_true(took.min_us <= took.median_us);
        assert_true(took.median_us <= took.max_us);
    }
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

static void errors_come_whole(void **unused)
{
    struct outcome outcome;
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    call_text(&loop, channel, "/test.Echo/Unary", "fail", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_FAILED_PRECONDITION);
    assert_string_equal(outcome.message, "100% wrong: \"f\xc3\xbcr\"");
    assert_string_equal(outcome.reason, "TEST");
    call_text(&loop, channel, "/test.Echo/Nothing", "x", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_UNIMPLEMENTED);
    call_text(&loop, channel, "/test.Echo/Unary", "bad \xff utf8", 5000,
              &outcome);
    assert_int_equal(outcome.code, RPC_INVALID_ARGUMENT);
    assert_string_equal(outcome.message, "service: is not UTF-8");
    call_text(&loop, channel, "/test.Echo/Silent", "x", 200, &outcome);
    assert_int_equal(outcome.code, RPC_DEADLINE_EXCEEDED);
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

static void an_unreachable_server_fails_fast_and_was_never_seen(void **unused)
{
    struct outcome outcome;
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    finish(&loop, &echo, NULL);
    call_text(&loop, channel, "/test.Echo/Unary", "x", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_UNAVAILABLE);
    assert_true(outcome.never_seen);
    call_text(&loop, channel, "/test.Echo/Unary", "x", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_UNAVAILABLE);
    rpc_channel_destroy(channel);
    end_loop(&loop);
}

static void streams_flow_both_ways(void **unused)
{
    text_message request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct outcome outcome = {.done = false};
    struct rpc_channel *channel;
    char text[1000];
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    request.service = text;
    rpc_stream_open(channel, &outcome.stream, &stream_ops, "/test.Echo/Bidi", 0,
                    NULL);
    for (int i = 0; i < 2000; i++) {
        rpc_stream_send(&outcome.stream, &request.base);
    }
    rpc_stream_half_close(&outcome.stream);
    run_until(&loop, &outcome.done);
    assert_int_equal(outcome.code, RPC_OK);
    assert_int_equal(outcome.messages, 2000);
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

static void a_cancelled_call_is_closed_on_both_sides(void **unused)
{
    struct outcome outcome = {.done = false};
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    rpc_stream_open(channel, &outcome.stream, &stream_ops, "/test.Echo/Bidi", 0,
                    NULL);
    while (rpc_server_stats(echo.server)->calls_open == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    rpc_stream_cancel(&outcome.stream);
    run_until(&loop, &outcome.done);
    assert_int_equal(outcome.code, RPC_CANCELLED);
    while (rpc_server_stats(echo.server)->calls_open > 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(echo.calls_closed, 1);
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

static void a_forwarded_call_is_answered_as_if_direct(void **unused)
{
    struct outcome outcome = {.done = false};
    struct rpc_channel *channel;
    struct echo leader;
    struct echo follower;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&leader, &loop);
    echo_start(&follower, &loop);
    follower.forward = rpc_channel_create(&loop, leader.address, 2);
    channel = rpc_channel_create(&loop, follower.address, 1);
    call_text(&loop, channel, "/test.Echo/Unary", "via", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    assert_string_equal(outcome.text, "via");
    assert_string_equal(leader.seen_marker, "by-test");
    call_text(&loop, channel, "/test.Echo/Unary", "fail", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_FAILED_PRECONDITION);
    assert_string_equal(outcome.reason, "TEST");
    call_text(&loop, channel, "/test.Echo/Silent", "x", 200, &outcome);
    assert_int_equal(outcome.code, RPC_DEADLINE_EXCEEDED);
    /* The leader goes away under a forwarded stream. */
    memset(&outcome, 0, sizeof(outcome));
    rpc_stream_open(channel, &outcome.stream, &stream_ops, "/test.Echo/Bidi", 0,
                    NULL);
    while (rpc_server_stats(leader.server)->calls_open == 0) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    rpc_server_drain(leader.server, 0, &leader.close);
    run_until(&loop, &outcome.done);
    assert_int_equal(outcome.code, RPC_UNAVAILABLE);
    run_until(&loop, &leader.closed);
    rpc_channel_destroy(follower.forward);
    follower.forward = NULL;
    finish(&loop, &follower, channel);
    end_loop(&loop);
}

/* The grace is long enough to fail the test by its time limit. */
static void a_drain_ends_streams_at_once_and_waits_for_calls(void **unused)
{
    struct outcome outcome = {.done = false};
    struct outcome unary;
    text_message request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    rpc_stream_open(channel, &outcome.stream, &stream_ops, "/test.Echo/Bidi", 0,
                    NULL);
    memset(&unary, 0, sizeof(unary));
    unary.unary.output = &REQUEST;
    unary.unary.deadline_ms = uv_now(&loop) + 700;
    unary.unary.done = unary_done;
    rpc_unary_call(channel, &unary.unary, "/test.Echo/Silent", &request.base);
    while (rpc_server_stats(echo.server)->calls_open < 2) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    rpc_server_drain(echo.server, 3600000, &echo.close);
    run_until(&loop, &outcome.done);
    assert_int_equal(outcome.code, RPC_UNAVAILABLE);
    assert_false(unary.done);
    run_until(&loop, &unary.done);
    assert_int_equal(unary.code, RPC_DEADLINE_EXCEEDED);
    run_until(&loop, &echo.closed);
    rpc_channel_destroy(channel);
    end_loop(&loop);
}

/* --- Accounts ------------------------------------------------------------ */

static void call_bytes(uv_loop_t *loop, struct rpc_channel *channel,
                       size_t bytes, struct outcome *outcome)
{
    char *text = memory_alloc(bytes + 1);

    memset(text, 'x', bytes);
    call_text(loop, channel, "/test.Echo/Unary", text, 10000, outcome);
    free(text);
}

static bool is_over_limit(const struct outcome *outcome)
{
    return outcome->code == RPC_RESOURCE_EXHAUSTED &&
           strcmp(outcome->reason, "OVER_LIMIT") == 0;
}

static void callers_have_so_many_bytes_under_way_and_no_more(void **unused)
{
    text_message request = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct outcome outcome;
    struct outcome waits = {.done = false};
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    echo.account.bytes_max = 200 << 10;
    channel = rpc_channel_create(&loop, echo.address, 1);
    call_bytes(&loop, channel, 300 << 10, &outcome);
    assert_true(is_over_limit(&outcome));
    /* Alone, an answer may be too much together with its request. */
    call_bytes(&loop, channel, 120 << 10, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    assert_int_equal(outcome.bytes, 120 << 10);
    uv_update_time(&loop);
    waits.unary.output = &REQUEST;
    waits.unary.deadline_ms = uv_now(&loop) + 10000;
    waits.unary.done = unary_done;
    rpc_unary_call(channel, &waits.unary, "/test.Echo/Silent", &request.base);
    call_bytes(&loop, channel, 120 << 10, &outcome);
    assert_true(is_over_limit(&outcome));
    /* Small ones tell what was done, and are given. */
    call_bytes(&loop, channel, 60 << 10, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    assert_in_range(echo.account.bytes, 1024, 2048);
    assert_int_equal(echo.account.calls, 1);
    assert_int_equal(rpc_server_stats(echo.server)->calls_over_bytes, 2);
    rpc_channel_destroy(channel);
    run_until(&loop, &waits.done);
    finish(&loop, &echo, NULL);
    end_loop(&loop);
    assert_int_equal(echo.account.calls, 0);
    assert_int_equal(echo.account.streams, 0);
    assert_int_equal(echo.account.bytes, 0);
}

static void health_is_told(void **unused)
{
    Grpc__Health__V1__HealthCheckRequest request =
        GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
    struct outcome outcome = {.done = false};
    struct rpc_channel *channel;
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    channel = rpc_channel_create(&loop, echo.address, 1);
    rpc_stream_open(channel, &outcome.stream, &stream_ops,
                    "/grpc.health.v1.Health/Watch", 0, NULL);
    rpc_stream_send(&outcome.stream, &request.base);
    rpc_stream_half_close(&outcome.stream);
    while (outcome.messages < 1) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    rpc_health_set(&echo.health, true);
    while (outcome.messages < 2) {
        uv_run(&loop, UV_RUN_ONCE);
    }
    rpc_stream_cancel(&outcome.stream);
    run_until(&loop, &outcome.done);
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

/* A client that writes these bytes and reads until the server closes. */
struct raw_client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_buf_t bytes;
    bool closed;
};

static void raw_alloc(uv_handle_t *handle, size_t size, uv_buf_t *buf)
{
    static char buffer[4096];

    (void)handle;
    (void)size;
    *buf = uv_buf_init(buffer, sizeof(buffer));
}

static void raw_closed(uv_handle_t *handle)
{
    container_of(handle, struct raw_client, tcp)->closed = true;
}

static void raw_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    (void)buf;
    if (len < 0) {
        uv_close((uv_handle_t *)stream, raw_closed);
    }
}

static void raw_connected(uv_connect_t *connect, int status)
{
    struct raw_client *client =
        container_of(connect, struct raw_client, connect);

    assert_int_equal(status, 0);
    uv_read_start((uv_stream_t *)&client->tcp, raw_alloc, raw_read);
    uv_write(&client->write, (uv_stream_t *)&client->tcp, &client->bytes, 1,
             NULL);
}

static void send_raw(uv_loop_t *loop, const struct echo *echo, void *bytes,
                     size_t len)
{
    struct raw_client client = {.closed = false};
    struct sockaddr_in where;

    uv_ip4_addr("127.0.0.1", rpc_server_port(echo->server), &where);
    client.bytes = uv_buf_init(bytes, (unsigned)len);
    uv_tcp_init(loop, &client.tcp);
    uv_tcp_connect(&client.connect, &client.tcp, (struct sockaddr *)&where,
                   raw_connected);
    run_until(loop, &client.closed);
}

static void garbage_and_floods_cost_the_connection_only(void **unused)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    static const uint8_t settings[] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
    static const uint8_t ping[] = {0, 0, 8, 6, 0, 0, 0, 0, 0,
                                   1, 2, 3, 4, 5, 6, 7, 8};
    struct outcome outcome;
    struct rpc_channel *channel;
    struct bytes flood;
    char garbage[2000];
    struct echo echo;
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    echo_start(&echo, &loop);
    memset(garbage, 0x5a, sizeof(garbage));
    send_raw(&loop, &echo, garbage, sizeof(garbage));
    bytes_init(&flood);
    bytes_append(&flood, preface, sizeof(preface) - 1);
    bytes_append(&flood, settings, sizeof(settings));
    for (int i = 0; i < RPC_EMPTY_FRAMES_MAX + 10; i++) {
        bytes_append(&flood, ping, sizeof(ping));
    }
    send_raw(&loop, &echo, flood.data, flood.len);
    bytes_close(&flood);
    channel = rpc_channel_create(&loop, echo.address, 1);
    call_text(&loop, channel, "/test.Echo/Unary", "alive", 5000, &outcome);
    assert_int_equal(outcome.code, RPC_OK);
    finish(&loop, &echo, channel);
    end_loop(&loop);
}

static void only_loopback_is_listened_on_without_tls(void **unused)
{
    struct rpc_server *server;
    struct echo close = {.closed = false};
    char error[256];
    uv_loop_t loop;

    (void)unused;
    uv_loop_init(&loop);
    server = rpc_server_create(&loop);
    assert_int_equal(
        rpc_server_listen(server, "192.0.2.1:7400", error, sizeof(error)),
        HF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error, "TLS"));
    assert_int_equal(
        rpc_server_listen(server, "localhost:7400", error, sizeof(error)),
        HF_ERROR_INVALID);
    assert_int_equal(
        rpc_server_listen(server, "127.0.0.1:99999", error, sizeof(error)),
        HF_ERROR_INVALID);
    close.close.done = echo_done;
    rpc_server_drain(server, 0, &close.close);
    run_until(&loop, &close.closed);
    end_loop(&loop);
}

static void unpack_checks_strings_and_memory(void **unused)
{
    static const uint8_t nul[] = {0x0a, 3, 'a', 0, 'b'};
    static const uint8_t surrogate[] = {0x0a, 3, 0xed, 0xa0, 0x80};
    static const uint8_t overlong[] = {0x0a, 2, 0xc0, 0x80};
    static const uint8_t cut[] = {0x0a, 9, 'a'};
    static const uint8_t good[] = {0x0a, 4, 0xf0, 0x9f, 0x8c, 0x8d};
    struct unpack_error error;
    struct arena arena;

    (void)unused;
    arena_init(&arena, RPC_ARENA_BYTES_MAX);
    assert_null(message_unpack(&REQUEST, &arena, nul, sizeof(nul), &error));
    assert_string_equal(error.field, "service");
    assert_string_equal(error.reason, "holds a NUL");
    assert_null(
        message_unpack(&REQUEST, &arena, surrogate, sizeof(surrogate), &error));
    assert_null(
        message_unpack(&REQUEST, &arena, overlong, sizeof(overlong), &error));
    assert_null(message_unpack(&REQUEST, &arena, cut, sizeof(cut), &error));
    assert_non_null(
        message_unpack(&REQUEST, &arena, good, sizeof(good), &error));
    assert_true(message_descriptor_is_finite(&REQUEST));
    arena_close(&arena);
    arena_init(&arena, 64);
    assert_null(message_unpack(&REQUEST, &arena, good, sizeof(good), &error));
    arena_close(&arena);
}

static void messages_are_percent_encoded_both_ways(void **unused)
{
    char encoded[64];
    char decoded[64];
    size_t len = rpc_message_encode("50% \xc3\xa4\n", encoded, sizeof(encoded));

    (void)unused;
    assert_string_equal(encoded, "50%25 %C3%A4%0A");
    rpc_message_decode(encoded, len, decoded, sizeof(decoded));
    assert_string_equal(decoded, "50% \xc3\xa4\n");
    rpc_message_decode("%zz%4", 5, decoded, sizeof(decoded));
    assert_string_equal(decoded, "%zz%4");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unary_calls_are_answered),
        cmocka_unit_test(a_channel_knows_how_long_its_server_takes),
        cmocka_unit_test(errors_come_whole),
        cmocka_unit_test(an_unreachable_server_fails_fast_and_was_never_seen),
        cmocka_unit_test(streams_flow_both_ways),
        cmocka_unit_test(a_cancelled_call_is_closed_on_both_sides),
        cmocka_unit_test(a_forwarded_call_is_answered_as_if_direct),
        cmocka_unit_test(a_drain_ends_streams_at_once_and_waits_for_calls),
        cmocka_unit_test(callers_have_so_many_bytes_under_way_and_no_more),
        cmocka_unit_test(health_is_told),
        cmocka_unit_test(garbage_and_floods_cost_the_connection_only),
        cmocka_unit_test(only_loopback_is_listened_on_without_tls),
        cmocka_unit_test(unpack_checks_strings_and_memory),
        cmocka_unit_test(messages_are_percent_encoded_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
