/* SPDX-License-Identifier: Apache-2.0
 *
 * One call on the server. */
#include "base/check.h"
#include "base/memory.h"
#include "rpc/details.h"
#include "rpc/limits.h"
#include "rpc/message.h"
#include "rpc/server_internal.h"
#include "rpc/unpack.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What stock clients send; beyond, the memory grows. */
#define USUAL_HEADER_BYTES 384

static uint64_t now_of(const struct rpc_call *call)
{
    return uv_now(call->connection->base.tcp.loop);
}

struct rpc_call *call_create(struct server_connection *connection,
                             int32_t stream_id)
{
    struct rpc_call *call = memory_alloc(sizeof(*call));

    call->connection = connection;
    call->stream_id = stream_id;
    call->opened_ms = uv_now(connection->base.tcp.loop);
    list_init(&call->link);
    list_init(&call->writable);
    list_append(&connection->calls, &call->link);
    bytes_init(&call->headers);
    bytes_reserve(&call->headers, USUAL_HEADER_BYTES);
    bytes_init(&call->in);
    bytes_init(&call->out);
    bytes_init(&call->trailers);
    arena_init(&call->arena, RPC_ARENA_BYTES_MAX);
    connection->call_count++;
    connection->server->stats.calls_open++;
    return call;
}

static void count_received(struct rpc_call *call, size_t before)
{
    struct server_connection *connection = call->connection;

    connection->receive_bytes += call->in.len - before;
    connection->server->receive_bytes += call->in.len - before;
    call_charge(call);
}

static void count_ended(const struct rpc_call *call)
{
    struct rpc_server *server = call->connection->server;
    enum rpc_code code = call->finished ? call->code : RPC_CANCELLED;

    server->stats.calls[code]++;
    if (call->method != NULL) {
        server->method_stats[call->method_number].calls[code]++;
    }
}

void call_destroy(struct rpc_call *call)
{
    struct server_connection *connection = call->connection;
    struct rpc_handler *handler = call->handler;
    size_t received = call->in.len;

    list_remove(&call->link);
    list_remove(&call->writable);
    connection->call_count--;
    connection->idle_since_ms = now_of(call);
    connection->server->stats.calls_open--;
    count_ended(call);
    call->finished = true;
    call->handler = NULL;
    if (handler != NULL) {
        handler->ops->closed(handler);
    }
    bytes_clear(&call->in);
    count_received(call, received);
    call_discharge(call);
    bytes_close(&call->headers);
    bytes_close(&call->in);
    bytes_close(&call->out);
    bytes_close(&call->trailers);
    arena_close(&call->arena);
    free(call);
}

void call_header(struct rpc_call *call, const uint8_t *name, size_t name_len,
                 const uint8_t *value, size_t value_len)
{
    if (call->headers.len + name_len + value_len > RPC_HEADER_BYTES_MAX ||
        ++call->header_count > RPC_HEADERS_MAX) {
        call->headers_too_large = true;
        return;
    }
    rpc_headers_add(&call->headers, name, name_len, value, value_len);
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature. */
static ssize_t on_output(nghttp2_session *session, int32_t stream_id,
                         uint8_t *buf, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user);

static int submit_trailers(struct rpc_call *call, nghttp2_nv *nv, size_t count)
{
    char code[4];
    size_t cursor = 0;
    const char *name;
    const char *value;

    snprintf(code, sizeof(code), "%d", (int)call->code);
    nv[count++] = rpc_nv("grpc-status", code);
    if (call->message[0] != '\0') {
        nv[count++] = rpc_nv("grpc-message", call->message);
    }
    while (rpc_headers_next(&call->trailers, &cursor, &name, &value)) {
        nv[count++] = rpc_nv(name, value);
    }
    if (call->headers_sent) {
        return nghttp2_submit_trailer(call->connection->base.session,
                                      call->stream_id, nv, count);
    }
    return nghttp2_submit_response(call->connection->base.session,
                                   call->stream_id, nv, count, NULL);
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature. */
static ssize_t on_output(nghttp2_session *session, int32_t stream_id,
                         uint8_t *buf, size_t length, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
    struct rpc_call *call = source->ptr;
    size_t left = call->out.len - call->out_sent;
    size_t len = left < length ? left : length;
    nghttp2_nv nv[TRAILERS_MAX + 4];

    (void)session;
    (void)stream_id;
    (void)user;
    if (len > 0) {
        memcpy(buf, call->out.data + call->out_sent, len);
        call->out_sent += len;
        call->moved_ms = now_of(call);
    }
    if (call->out_sent < call->out.len) {
        return (ssize_t)len;
    }
    bytes_clear(&call->out);
    call->out_sent = 0;
    call_charge(call);
    if (call->finished) {
        *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
        if (submit_trailers(call, nv, 0) != 0) {
            return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        return (ssize_t)len;
    }
    if (list_empty(&call->writable)) {
        list_append(&call->connection->writable, &call->writable);
    }
    if (len == 0) {
        call->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    return (ssize_t)len;
}

static void send_headers(struct rpc_call *call)
{
    nghttp2_nv nv[] = {rpc_nv(":status", "200"),
                       rpc_nv("content-type", "application/grpc")};
    nghttp2_data_provider provider = {.source = {.ptr = call},
                                      .read_callback = on_output};

    call->headers_sent = true;
    /* It fails only for a stream that is gone, which on_stream_close tells. */
    nghttp2_submit_response(call->connection->base.session, call->stream_id, nv,
                            ARRAY_LEN(nv), &provider);
}

static void resume(struct rpc_call *call)
{
    if (call->deferred) {
        call->deferred = false;
        nghttp2_session_resume_data(call->connection->base.session,
                                    call->stream_id);
    }
    rpc_connection_mark(&call->connection->base);
}

void rpc_call_send_raw(struct rpc_call *call, const void *data, size_t len)
{
    if (call->finished) {
        return;
    }
    if (call_answer_exceeds(call, len)) {
        call_refuse_bytes(call);
        return;
    }
    if (!call->headers_sent) {
        send_headers(call);
    }
    rpc_frame_append(&call->out, data, len);
    call_charge(call);
    resume(call);
}

void rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    uint8_t *packed;

    if (call->finished) {
        return;
    }
    packed = memory_alloc(len);
    protobuf_c_message_pack(message, packed);
    rpc_call_send_raw(call, packed, len);
    free(packed);
}

size_t rpc_call_queued(const struct rpc_call *call)
{
    return call->out.len - call->out_sent;
}

void rpc_call_trailer(struct rpc_call *call, const char *key, const char *value)
{
    if (call->finished || call->trailer_count == TRAILERS_MAX ||
        call->trailers.len + strlen(key) + strlen(value) >
            RPC_TRAILER_BYTES_MAX) {
        return;
    }
    call->trailer_count++;
    rpc_headers_add(&call->trailers, (const uint8_t *)key, strlen(key),
                    (const uint8_t *)value, strlen(value));
}

/* An error of the table says its reason in a trailer of ours; programs that
 * know only gRPC get all of it in the standard's form. What is passed on has it
 * already. */
static void add_details(struct rpc_call *call, enum rpc_code code,
                        const char *message)
{
    struct rpc_details details = {
        .code = code,
        .message = message,
        .reason = rpc_headers_get(&call->trailers, "holdfast-reason"),
        .retry_ms = rpc_headers_get(&call->trailers, "grpc-retry-pushback-ms"),
    };
    struct bytes value;

    if (code == RPC_OK || details.reason == NULL ||
        rpc_headers_get(&call->trailers, RPC_DETAILS_KEY) != NULL) {
        return;
    }
    bytes_init(&value);
    rpc_details_encode(&details, &value);
    rpc_call_trailer(call, RPC_DETAILS_KEY, (const char *)value.data);
    bytes_close(&value);
}

void rpc_call_finish(struct rpc_call *call, enum rpc_code code,
                     const char *format, ...)
{
    nghttp2_nv nv[TRAILERS_MAX + 4];
    char message[512];
    va_list args;

    if (call->finished) {
        return;
    }
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    add_details(call, code, message);
    rpc_message_encode(message, call->message, sizeof(call->message));
    call->code = code;
    call->finished = true;
    call->moved_ms = now_of(call);
    if (call->headers_sent) {
        resume(call);
        return;
    }
    /* Stock clients retry only what comes trailers-only. */
    nv[0] = rpc_nv(":status", "200");
    nv[1] = rpc_nv("content-type", "application/grpc");
    submit_trailers(call, nv, 2);
    rpc_connection_mark(&call->connection->base);
}

const char *rpc_call_metadata(const struct rpc_call *call, const char *key)
{
    return rpc_headers_get(&call->headers, key);
}

bool rpc_call_metadata_next(const struct rpc_call *call, size_t *cursor,
                            const char **key, const char **value)
{
    while (rpc_headers_next(&call->headers, cursor, key, value)) {
        if ((*key)[0] != ':' && strncmp(*key, "grpc-", 5) != 0 &&
            strcmp(*key, "te") != 0 && strcmp(*key, "content-type") != 0 &&
            strcmp(*key, "user-agent") != 0) {
            return true;
        }
    }
    return false;
}

const char *rpc_call_path(const struct rpc_call *call)
{
    const char *path = rpc_headers_get(&call->headers, ":path");

    return path == NULL ? "" : path;
}

const struct rpc_method *rpc_call_method(const struct rpc_call *call)
{
    return call->method;
}

const struct tls_identity *rpc_call_identity(const struct rpc_call *call)
{
    const struct tls_session *tls = call->connection->base.tls;

    return tls == NULL ? NULL : tls_session_identity(tls);
}

const char *rpc_call_peer(const struct rpc_call *call)
{
    return call->connection->peer;
}

uint64_t rpc_call_deadline_ms(const struct rpc_call *call)
{
    return call->deadline_ms;
}

void rpc_call_take_arena(struct rpc_call *call, struct arena *arena)
{
    *arena = call->arena;
    arena_init(&call->arena, RPC_ARENA_BYTES_MAX);
}

/* "250m": digits and a unit. False when it is not that. */
static bool parse_timeout(const char *text, uint64_t *timeout_ms)
{
    static const struct {
        char unit;
        uint64_t per_ms; /* Units in a millisecond, or 0. */
        uint64_t ms;     /* Milliseconds of a unit. */
    } units[] = {{'H', 0, 3600000}, {'M', 0, 60000}, {'S', 0, 1000},
                 {'m', 0, 1},       {'u', 1000, 0},  {'n', 1000000, 0}};
    size_t digits = strspn(text, "0123456789");
    uint64_t value = strtoull(text, NULL, 10);

    if (digits == 0 || digits > RPC_TIMEOUT_DIGITS_MAX ||
        strlen(text) != digits + 1) {
        return false;
    }
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (units[i].unit == text[digits]) {
            *timeout_ms = units[i].per_ms == 0
                              ? value * units[i].ms
                              : (value + units[i].per_ms - 1) / units[i].per_ms;
            return true;
        }
    }
    return false;
}

/* Not gRPC at all: answered in plain HTTP. */
static void refuse_http(struct rpc_call *call, const char *status)
{
    nghttp2_nv nv[] = {rpc_nv(":status", status)};

    call->finished = true;
    call->code = RPC_INTERNAL;
    nghttp2_submit_response(call->connection->base.session, call->stream_id, nv,
                            ARRAY_LEN(nv), NULL);
    rpc_connection_mark(&call->connection->base);
}

static bool check_headers(struct rpc_call *call)
{
    const char *method = rpc_call_metadata(call, ":method");
    const char *type = rpc_call_metadata(call, "content-type");
    const char *encoding = rpc_call_metadata(call, "grpc-encoding");
    const char *timeout = rpc_call_metadata(call, "grpc-timeout");
    uint64_t timeout_ms;

    if (call->headers_too_large) {
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED,
                        "headers above %d bytes or %d in number",
                        RPC_HEADER_BYTES_MAX, RPC_HEADERS_MAX);
        return false;
    }
    if (method == NULL || strcmp(method, "POST") != 0) {
        refuse_http(call, "405");
        return false;
    }
    if (type == NULL || strncmp(type, "application/grpc", 16) != 0 ||
        (type[16] != '\0' && type[16] != '+' && type[16] != ';')) {
        refuse_http(call, "415");
        return false;
    }
    if (encoding != NULL && strcmp(encoding, "identity") != 0) {
        rpc_call_trailer(call, "grpc-accept-encoding", "identity");
        rpc_call_finish(call, RPC_UNIMPLEMENTED,
                        "grpc-encoding '%.40s' is not supported", encoding);
        return false;
    }
    if (timeout != NULL) {
        if (!parse_timeout(timeout, &timeout_ms)) {
            rpc_call_finish(call, RPC_INTERNAL, "grpc-timeout is malformed");
            return false;
        }
        call->deadline_ms = now_of(call) + timeout_ms;
    }
    return true;
}

static void find_method(struct rpc_call *call)
{
    const struct rpc_server *server = call->connection->server;
    const char *path = rpc_call_path(call);

    for (size_t i = 0; i < server->method_count; i++) {
        if (strcmp(server->methods[i]->path, path) == 0) {
            call->method = server->methods[i];
            call->method_number = i;
            return;
        }
    }
}

void call_drain(struct rpc_call *call)
{
    /* As node/api_errors.c declares it; the reason is part of the wire. */
    rpc_call_trailer(call, "holdfast-reason", "DRAINING");
    rpc_call_finish(call, RPC_UNAVAILABLE,
                    "this node is shutting down; go on at another node");
}

void call_begin(struct rpc_call *call)
{
    struct rpc_server *server = call->connection->server;

    call->begun = true;
    if (!check_headers(call)) {
        return;
    }
    find_method(call);
    if (call->method == NULL) {
        rpc_call_finish(call, RPC_UNIMPLEMENTED, "there is no method '%.100s'",
                        rpc_call_path(call));
        return;
    }
    if (server->draining &&
        (call->method->client_streams || call->method->server_streams)) {
        call_drain(call);
        return;
    }
    if (server->router != NULL) {
        call->handler = server->router->route(server->router, call);
        if (call->handler != NULL || call->finished) {
            return;
        }
    }
    call->handler =
        call->method->service->open(call->method->service, call->method, call);
    CHECK(call->handler != NULL || call->finished);
}

/* Decodes one message and hands it over, or keeps it until the end. */
static void take_message(struct rpc_call *call, const uint8_t *data, size_t len)
{
    struct unpack_error error;
    const ProtobufCMessage *message;

    if (call->handler->ops->raw != NULL) {
        call->handler->ops->raw(call->handler, data, len);
        return;
    }
    if (call->pending != NULL) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT,
                        "more than one message for a unary request");
        return;
    }
    if (call->method->client_streams) {
        arena_clear(&call->arena);
    }
    message =
        message_unpack(call->method->input, &call->arena, data, len, &error);
    if (message == NULL) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT, "%s%s%s",
                        error.field[0] == '\0' ? "the message" : error.field,
                        error.field[0] == '\0' ? " " : ": ", error.reason);
    } else if (call->method->client_streams) {
        call->handler->ops->message(call->handler, message);
    } else {
        call->pending = message;
    }
}

static void take_messages(struct rpc_call *call)
{
    const uint8_t *message;
    size_t len;

    while (!call->finished && call->handler != NULL) {
        switch (rpc_frame_next(&call->in, &message, &len)) {
        case RPC_FRAME_MORE:
            return;
        case RPC_FRAME_TOO_LARGE:
            rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED,
                            "a message of %zu bytes; at most %u", len,
                            RPC_MESSAGE_BYTES_MAX);
            return;
        case RPC_FRAME_COMPRESSED:
            rpc_call_finish(call, RPC_INTERNAL,
                            "a compressed message without grpc-encoding");
            return;
        case RPC_FRAME_READY:
            call->message_bytes = call->method->client_streams ? 0 : len;
            take_message(call, message, len);
            bytes_consume(&call->in, RPC_FRAME_HEAD_BYTES + len);
            break;
        }
    }
}

void call_data(struct rpc_call *call, const uint8_t *data, size_t len)
{
    struct server_connection *connection = call->connection;
    size_t before = call->in.len;

    if (call->finished || call->handler == NULL) {
        return;
    }
    if (connection->receive_bytes + len > RPC_RECEIVE_BYTES_CONNECTION ||
        connection->server->receive_bytes + len > RPC_RECEIVE_BYTES_ALL) {
        rpc_call_finish(call, RPC_RESOURCE_EXHAUSTED,
                        "too many requests are under way; retry later");
        return;
    }
    if (call_request_exceeds(call, len)) {
        call_refuse_bytes(call);
        return;
    }
    bytes_append(&call->in, data, len);
    take_messages(call);
    if (call->finished) {
        bytes_clear(&call->in);
    }
    count_received(call, before);
}

void call_half_close(struct rpc_call *call)
{
    const struct rpc_handler_ops *ops;

    call->remote_closed = true;
    if (call->finished || call->handler == NULL) {
        return;
    }
    ops = call->handler->ops;
    if (call->in.len > 0) {
        rpc_call_finish(call, RPC_INVALID_ARGUMENT,
                        "the request ends within a message");
        return;
    }
    if (ops->raw == NULL && !call->method->client_streams) {
        if (call->pending == NULL) {
            rpc_call_finish(call, RPC_INVALID_ARGUMENT,
                            "the request has no message");
            return;
        }
        ops->message(call->handler, call->pending);
    }
    if (call->handler != NULL && ops->half_closed != NULL) {
        ops->half_closed(call->handler);
    }
}

void call_tick(struct rpc_call *call, uint64_t now_ms)
{
    if (!call->begun) {
        if (now_ms - call->opened_ms > RPC_HEADERS_MS) {
            rpc_connection_close(&call->connection->base,
                                 "the headers of a request do not end");
        }
        return;
    }
    if (call->finished) {
        /* Memory that a peer holds by not taking what he asked for. */
        if (call->headers_sent &&
            now_ms - call->moved_ms > RPC_WRITE_STALL_MS) {
            call->moved_ms = now_ms;
            nghttp2_submit_rst_stream(call->connection->base.session,
                                      NGHTTP2_FLAG_NONE, call->stream_id,
                                      NGHTTP2_CANCEL);
            rpc_connection_mark(&call->connection->base);
        }
        return;
    }
    if (call->deadline_ms != 0 && now_ms >= call->deadline_ms) {
        rpc_call_finish(call, RPC_DEADLINE_EXCEEDED, "the deadline passed");
    } else if (!call->remote_closed && call->method != NULL &&
               !call->method->client_streams &&
               now_ms - call->opened_ms > RPC_BODY_MS) {
        rpc_call_finish(call, RPC_DEADLINE_EXCEEDED,
                        "the request did not come within %d ms", RPC_BODY_MS);
    }
}
