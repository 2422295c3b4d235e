/* SPDX-License-Identifier: Apache-2.0
 *
 * The server: its listener, its connections, and nghttp2's callbacks. */
#include "rpc/server.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "rpc/address.h"
#include "rpc/admission.h"
#include "rpc/limits.h"
#include "rpc/server_internal.h"
#include "rpc/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS 50

/* Between two lines about failed handshakes. */
#define HANDSHAKE_TOLD_MS 1000

static struct rpc_call *call_of(nghttp2_session *session, int32_t stream_id)
{
    return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_begin_headers(nghttp2_session *session,
                            const nghttp2_frame *frame, void *user)
{
    struct server_connection *connection = user;

    if (frame->hd.type == NGHTTP2_HEADERS &&
        frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
        nghttp2_session_set_stream_user_data(
            session, frame->hd.stream_id,
            call_create(connection, frame->hd.stream_id));
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2's signature. */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct rpc_call *call = call_of(session, frame->hd.stream_id);

    (void)flags;
    (void)user;
    if (call != NULL && !call->begun) {
        call_header(call, name, name_len, value, value_len);
    }
    return 0;
}

/* Equal urgency and round robin for every call; otherwise one busy watch
 * starves all others of its connection. */
static void share_fairly(nghttp2_session *session, int32_t stream_id)
{
    nghttp2_extpri priority = {.urgency = 3, .inc = 1};

    nghttp2_session_change_extpri_stream_priority(session, stream_id, &priority,
                                                  1);
}

/* Whether it brings nothing to a call. Resets, and the continuations of one
 * request, have limits of their own. */
static bool is_empty(const nghttp2_frame_hd *head)
{
    switch (head->type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_CONTINUATION:
    case NGHTTP2_RST_STREAM:
        return false;
    case NGHTTP2_DATA:
        return head->length == 0 &&
               (head->flags & NGHTTP2_FLAG_END_STREAM) == 0;
    default:
        return true;
    }
}

static int on_begin_frame(nghttp2_session *session,
                          const nghttp2_frame_hd *head, void *user)
{
    struct server_connection *connection = user;
    uint64_t now_ms = uv_now(connection->base.tcp.loop);

    (void)session;
    if (!is_empty(head)) {
        return 0;
    }
    if (now_ms - connection->second_ms >= 1000) {
        connection->second_ms = now_ms;
        connection->empty_frames = 0;
    }
    return ++connection->empty_frames > RPC_EMPTY_FRAMES_MAX
               ? NGHTTP2_ERR_CALLBACK_FAILURE
               : 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user)
{
    struct server_connection *connection = user;
    struct rpc_call *call;

    if (frame->hd.type == NGHTTP2_SETTINGS) {
        connection->settled = true;
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA) {
        return 0;
    }
    call = call_of(session, frame->hd.stream_id);
    if (call == NULL) {
        return 0;
    }
    if (frame->hd.type == NGHTTP2_HEADERS && !call->begun) {
        share_fairly(session, frame->hd.stream_id);
        call_begin(call);
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        call_half_close(call);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id,
                   const uint8_t *data, size_t len, void *user)
{
    struct rpc_call *call = call_of(session, stream_id);

    (void)flags;
    (void)user;
    nghttp2_session_consume(session, stream_id, len);
    if (call != NULL) {
        call_data(call, data, len);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id,
                           uint32_t error, void *user)
{
    struct rpc_call *call = call_of(session, stream_id);

    (void)error;
    (void)user;
    if (call != NULL) {
        nghttp2_session_set_stream_user_data(session, stream_id, NULL);
        call_destroy(call);
    }
    return 0;
}

/* An answer that is complete while the client still sends: tell it to stop. */
static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame,
                         void *user)
{
    struct server_connection *connection = user;
    uint64_t now_ms = uv_now(connection->base.tcp.loop);
    struct rpc_call *call;

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        if (now_ms - connection->resets_window_ms >= 10000) {
            connection->resets_window_ms = now_ms;
            connection->resets_sent = 0;
        }
        if (++connection->resets_sent > RPC_RESETS_SENT_MAX) {
            nghttp2_session_terminate_session(session,
                                              NGHTTP2_ENHANCE_YOUR_CALM);
        }
        return 0;
    }
    if (frame->hd.type != NGHTTP2_HEADERS ||
        (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
        return 0;
    }
    call = call_of(session, frame->hd.stream_id);
    if (call != NULL && !call->remote_closed) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE,
                                  frame->hd.stream_id, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static void make_callbacks(struct rpc_server *server)
{
    nghttp2_session_callbacks *callbacks;

    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks,
                                                          on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks,
                                                            on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks,
                                                         on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks,
                                                           on_stream_close);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks,
                                                         on_frame_send);
    server->callbacks = callbacks;
    CHECK(nghttp2_option_new(&server->options) == 0);
    nghttp2_option_set_no_auto_window_update(server->options, 1);
    nghttp2_option_set_max_outbound_ack(server->options, RPC_OUTBOUND_ACK_MAX);
    nghttp2_option_set_max_settings(server->options, RPC_SETTINGS_MAX);
    nghttp2_option_set_stream_reset_rate_limit(
        server->options, RPC_RESETS_BURST, RPC_RESETS_RATE);
}

static void connection_progress(struct rpc_connection *base)
{
    struct server_connection *connection =
        container_of(base, struct server_connection, base);

    while (!list_empty(&connection->writable)) {
        struct list *link = list_first(&connection->writable);
        struct rpc_call *call = list_entry(link, struct rpc_call, writable);

        list_remove(link);
        if (call->handler != NULL && !call->finished &&
            call->handler->ops->writable != NULL) {
            call->handler->ops->writable(call->handler);
        }
    }
}

static void finish_close(struct rpc_server *server);

/* The client sees no more than a closed connection, so the reason is told here;
 * not for each of a flood. */
static void tell_handshake(struct server_connection *connection)
{
    struct rpc_server *server = connection->server;
    uint64_t now_ms = uv_now(server->tick.loop);

    server->stats.handshakes_failed++;
    if (server->refused_told_ms != 0 &&
        now_ms - server->refused_told_ms < HANDSHAKE_TOLD_MS) {
        return;
    }
    server->refused_told_ms = now_ms;
    log_warn("tls.refused", "peer=%s reason=\"%s\"", connection->peer,
             connection->base.error);
}

static void connection_closed(struct rpc_connection *base)
{
    struct server_connection *connection =
        container_of(base, struct server_connection, base);
    struct rpc_server *server = connection->server;

    if (server->tls != NULL && !connection->settled && !server->closing) {
        tell_handshake(connection);
    }

    while (!list_empty(&connection->calls)) {
        call_destroy(
            list_entry(list_first(&connection->calls), struct rpc_call, link));
    }
    server->stats.connections_open--;
    server->stats.bytes_in += base->bytes_in;
    server->stats.bytes_out += base->bytes_out;
    list_remove(&connection->link);
    free(connection);
    finish_close(server);
}

/* It is known who the other end is, or that it showed nothing. */
static void connection_established(struct rpc_connection *base)
{
    struct server_connection *connection =
        container_of(base, struct server_connection, base);

    if (base->tls == NULL ||
        tls_session_identity(base->tls)->role == TLS_ROLE_NONE) {
        return;
    }
    if (!admission_has_room(connection)) {
        connection->server->stats.connections_refused++;
        connection->settled = true; /* Its handshake did not fail. */
        rpc_connection_close(base, "its caller has too many connections");
        return;
    }
    connection->proven = true;
}

static const struct rpc_connection_ops connection_ops = {
    .progress = connection_progress,
    .established = connection_established,
    .closed = connection_closed,
};

static void send_settings(struct server_connection *connection)
{
    const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, RPC_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, RPC_STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, RPC_HEADER_BYTES_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    nghttp2_session *session = connection->base.session;

    CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
                                  ARRAY_LEN(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                RPC_CONNECTION_WINDOW) == 0);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct rpc_server *server =
        container_of(listener, struct rpc_server, listener);
    struct server_connection *connection;

    if (status != 0) {
        return;
    }
    connection = memory_alloc(sizeof(*connection));
    rpc_connection_init(&connection->base, listener->loop, &server->flusher,
                        &connection_ops);
    connection->server = server;
    list_init(&connection->link);
    list_init(&connection->calls);
    list_init(&connection->writable);
    list_append(&server->connections, &connection->link);
    connection->accepted_ms = uv_now(listener->loop);
    connection->idle_since_ms = connection->accepted_ms;
    server->stats.connections_open++;
    server->stats.connections_accepted++;
    if (uv_accept(listener, (uv_stream_t *)&connection->base.tcp) != 0 ||
        server->stats.connections_open > RPC_CONNECTIONS_MAX ||
        server->draining) {
        server->stats.connections_refused++;
        rpc_connection_close(&connection->base, "refused");
        return;
    }
    rpc_address_of_peer(&connection->base.tcp, connection->peer,
                        sizeof(connection->peer));
    if (server->tls != NULL) {
        admission_make_room(server, connection);
    }
    CHECK(nghttp2_session_server_new2(&connection->base.session,
                                      server->callbacks, connection,
                                      server->options) == 0);
    send_settings(connection);
    if (server->tls != NULL) {
        connection->base.tls = tls_session_accept(server->tls);
    }
    rpc_connection_start(&connection->base, RPC_WRITE_STALL_MS);
}

static void connection_tick(struct server_connection *connection,
                            uint64_t now_ms)
{
    struct list *at;
    struct list *next;

    if (connection->base.closing) {
        return;
    }
    list_foreach_safe (at, next, &connection->calls) {
        call_tick(list_entry(at, struct rpc_call, link), now_ms);
    }
    if (!connection->settled &&
        now_ms - connection->accepted_ms > RPC_HANDSHAKE_MS) {
        rpc_connection_close(&connection->base, "no SETTINGS came");
    } else if (connection->base.stalled_since_ms != 0 &&
               now_ms - connection->base.stalled_since_ms >
                   RPC_WRITE_STALL_MS) {
        rpc_connection_close(&connection->base, "output does not move");
    } else if (connection->call_count == 0 &&
               now_ms - connection->idle_since_ms > RPC_IDLE_MS) {
        nghttp2_session_terminate_session(connection->base.session,
                                          NGHTTP2_NO_ERROR);
        rpc_connection_mark(&connection->base);
    }
}

static void begin_close(struct rpc_server *server);

static void on_tick(uv_timer_t *timer)
{
    struct rpc_server *server = container_of(timer, struct rpc_server, tick);
    uint64_t now_ms = uv_now(timer->loop);
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &server->connections) {
        connection_tick(list_entry(at, struct server_connection, link), now_ms);
    }
    if (server->draining && !server->closing &&
        (server->stats.calls_open == 0 || now_ms >= server->drain_until_ms)) {
        begin_close(server);
    }
}

struct rpc_server *rpc_server_create(uv_loop_t *loop)
{
    struct rpc_server *server = memory_alloc(sizeof(*server));

    list_init(&server->connections);
    make_callbacks(server);
    rpc_flusher_init(&server->flusher, loop);
    CHECK(uv_timer_init(loop, &server->tick) == 0);
    CHECK(uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS) == 0);
    CHECK(uv_tcp_init(loop, &server->listener) == 0);
    server->handles_open = 3;
    return server;
}

void rpc_server_add(struct rpc_server *server, const struct rpc_method *method)
{
    CHECK(message_descriptor_is_finite(method->input));
    server->methods = memory_realloc_array(
        server->methods, server->method_count + 1, sizeof(*server->methods));
    server->method_stats =
        memory_realloc_array(server->method_stats, server->method_count + 1,
                             sizeof(*server->method_stats));
    server->method_stats[server->method_count] =
        (struct rpc_method_stats){.path = method->path};
    server->methods[server->method_count++] = method;
}

void rpc_server_route(struct rpc_server *server, struct rpc_router *router)
{
    server->router = router;
}

void rpc_server_use_tls(struct rpc_server *server, struct tls *tls)
{
    CHECK(!server->listening);
    server->tls = tls;
}

int rpc_server_listen(struct rpc_server *server, const char *address,
                      char *error, size_t error_size)
{
    struct sockaddr_storage where;
    int rv = rpc_address_parse(address, &where);

    if (rv != 0) {
        snprintf(error, error_size,
                 "'%s' is not an address: it must be IPv4:port or [IPv6]:port",
                 address);
        return rv;
    }
    if (server->tls == NULL && !rpc_address_is_loopback(&where)) {
        snprintf(error, error_size,
                 "%s is not a loopback address; without TLS, a node listens "
                 "on 127.0.0.0/8 or [::1] only",
                 address);
        return HF_ERROR_UNSUPPORTED;
    }
    rv = uv_tcp_bind(&server->listener, (struct sockaddr *)&where, 0);
    if (rv == 0) {
        rv = uv_listen((uv_stream_t *)&server->listener, 512, on_connection);
    }
    if (rv != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", address,
                 uv_strerror(rv));
        return HF_ERROR_IO;
    }
    server->listening = true;
    return 0;
}

int rpc_server_port(const struct rpc_server *server)
{
    return rpc_address_port(&server->listener);
}

const struct rpc_server_stats *rpc_server_stats(const struct rpc_server *server)
{
    return &server->stats;
}

const struct rpc_method_stats *rpc_server_method_stats(
    const struct rpc_server *server, size_t number)
{
    return number < server->method_count ? &server->method_stats[number] : NULL;
}

static void finish_close(struct rpc_server *server)
{
    struct rpc_server_close *request = server->close;

    if (!server->closing || server->handles_open > 0 ||
        !list_empty(&server->connections)) {
        return;
    }
    nghttp2_session_callbacks_del(server->callbacks);
    nghttp2_option_del(server->options);
    free(server->methods);
    free(server->method_stats);
    free(server);
    request->done(request);
}

static void handle_closed(struct rpc_server *server)
{
    server->handles_open--;
    finish_close(server);
}

static void on_listener_closed(uv_handle_t *handle)
{
    handle_closed(container_of(handle, struct rpc_server, listener));
}

static void on_tick_closed(uv_handle_t *handle)
{
    handle_closed(container_of(handle, struct rpc_server, tick));
}

static void on_flusher_closed(uv_handle_t *handle)
{
    handle_closed(container_of(handle, struct rpc_server, flusher.prepare));
}

static void begin_close(struct rpc_server *server)
{
    struct list *at;
    struct list *next;

    server->closing = true;
    list_foreach_safe (at, next, &server->connections) {
        rpc_connection_close(
            &list_entry(at, struct server_connection, link)->base, "closing");
    }
    uv_close((uv_handle_t *)&server->tick, on_tick_closed);
    rpc_flusher_close(&server->flusher, on_flusher_closed);
}

/* A stream may last for ever, and its client knows how to go on elsewhere. */
static void end_streams(struct server_connection *connection)
{
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &connection->calls) {
        struct rpc_call *call = list_entry(at, struct rpc_call, link);

        if (call->method != NULL &&
            (call->method->client_streams || call->method->server_streams)) {
            call_drain(call);
        }
    }
}

void rpc_server_drain(struct rpc_server *server, uint64_t grace_ms,
                      struct rpc_server_close *request)
{
    struct list *at;

    CHECK(!server->draining);
    server->draining = true;
    server->close = request;
    server->drain_until_ms = uv_now(server->tick.loop) + grace_ms;
    uv_close((uv_handle_t *)&server->listener, on_listener_closed);
    list_foreach (at, &server->connections) {
        struct server_connection *connection =
            list_entry(at, struct server_connection, link);

        if (!connection->base.closing) {
            /* Calls that are on their way are still served; the final GOAWAY
             * is the connection's end. */
            nghttp2_submit_shutdown_notice(connection->base.session);
            end_streams(connection);
            rpc_connection_mark(&connection->base);
        }
    }
}
