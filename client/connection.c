/* SPDX-License-Identifier: Apache-2.0 */
#include "client/connection.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "client/socket.h"
#include "client/status.h"
#include "rpc/endpoint.h"
#include "rpc/limits.h"
#include "rpc/message.h"
#include "rpc/outcome.h"

#include <errno.h>
#include <inttypes.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define WINDOW_BYTES ((int32_t)4 * 1024 * 1024)

struct connection {
    int fd;
    struct tls_session *tls; /* NULL: plain. */
    struct bytes out;        /* What the socket did not take yet. */
    size_t out_sent;
    nghttp2_session *session;
    char authority[RPC_ENDPOINT_MAX + 1];
    const char *authorization; /* NULL or empty: none. */
    char error[HF_MESSAGE_MAX];
    bool broken;
    /* The call; stream 0: none yet. */
    int32_t stream;
    bool open;
    struct bytes sent; /* The request with its prefix. */
    size_t sent_offset;
    struct bytes received; /* Messages with their prefixes. */
    size_t lent;           /* Bytes at the front that were lent out. */
    struct bytes headers;  /* Received, trailers too. */
    uint32_t reset_code;   /* HTTP/2 error code that closed the stream. */
};

static void break_up(struct connection *connection, const char *why)
{
    if (!connection->broken) {
        connection->broken = true;
        (void)snprintf(connection->error, sizeof(connection->error), "%s", why);
    }
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2 chose the parameters */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct connection *connection = user;

    (void)session;
    (void)flags;
    if (frame->hd.stream_id == connection->stream &&
        connection->headers.len + name_len + value_len <=
            RPC_HEADER_BYTES_MAX) {
        rpc_headers_add(&connection->headers, name, name_len, value, value_len);
    }
    return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream,
                   const uint8_t *data, size_t len, void *user)
{
    struct connection *connection = user;

    (void)session;
    (void)flags;
    if (stream != connection->stream) {
        return 0;
    }
    if (connection->received.len + len >
        RPC_MESSAGE_BYTES_MAX + (size_t)WINDOW_BYTES) {
        break_up(connection, "the node sends more than it may");
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    bytes_append(&connection->received, data, len);
    return 0;
}

static int on_close(nghttp2_session *session, int32_t stream,
                    uint32_t error_code, void *user)
{
    struct connection *connection = user;

    (void)session;
    if (stream == connection->stream) {
        connection->open = false;
        connection->reset_code = error_code;
    }
    return 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2 chose the parameters */
static ssize_t read_request(nghttp2_session *session, int32_t stream,
                            uint8_t *buffer, size_t size, uint32_t *flags,
                            nghttp2_data_source *source, void *user)
{
    struct connection *connection = user;
    size_t left = connection->sent.len - connection->sent_offset;
    size_t len = left < size ? left : size;

    (void)session;
    (void)stream;
    (void)source;
    memcpy(buffer, connection->sent.data + connection->sent_offset, len);
    connection->sent_offset += len;
    if (len == left) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    }
    return (ssize_t)len;
}

static nghttp2_session *make_session(struct connection *connection)
{
    nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)WINDOW_BYTES},
    };
    nghttp2_session_callbacks *callbacks;
    nghttp2_session *session;

    CHECK(nghttp2_session_callbacks_new(&callbacks) == 0);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks,
                                                              on_data);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
    CHECK(nghttp2_session_client_new(&session, callbacks, connection) == 0);
    nghttp2_session_callbacks_del(callbacks);
    CHECK(nghttp2_submit_settings(session, NGHTTP2_FLAG_NONE, settings,
                                  ARRAY_LEN(settings)) == 0);
    CHECK(nghttp2_session_set_local_window_size(session, NGHTTP2_FLAG_NONE, 0,
                                                WINDOW_BYTES) == 0);
    return session;
}

static void transfer_in(struct connection *connection);
static void transfer_out(struct connection *connection, uint64_t deadline_ms);

/* Until it is known who the node is. */
static void shake_hands(struct connection *connection, uint64_t deadline_ms)
{
    (void)tls_session_receive(connection->tls, NULL, 0);
    for (;;) {
        transfer_out(connection, deadline_ms);
        if (connection->broken || tls_session_established(connection->tls)) {
            return;
        }
        if (!socket_poll(connection->fd, POLLIN, deadline_ms)) {
            break_up(connection, "the node does not answer in TLS");
            return;
        }
        transfer_in(connection);
    }
}

struct connection *connection_open(const char *endpoint, struct tls *tls,
                                   uint64_t deadline_ms, char *error)
{
    int fd = socket_connect(endpoint, deadline_ms, error, HF_MESSAGE_MAX);
    struct connection *connection;

    if (fd < 0) {
        return NULL;
    }
    connection = memory_alloc(sizeof(*connection));
    connection->fd = fd;
    bytes_init(&connection->out);
    bytes_init(&connection->sent);
    bytes_init(&connection->received);
    bytes_init(&connection->headers);
    (void)snprintf(connection->authority, sizeof(connection->authority), "%s",
                   endpoint);
    connection->session = make_session(connection);
    if (tls != NULL) {
        connection->tls = tls_session_connect(tls, endpoint, NULL, NULL);
        shake_hands(connection, deadline_ms);
    }
    if (connection->broken) {
        (void)snprintf(error, HF_MESSAGE_MAX, "%s", connection->error);
        connection_close(connection);
        return NULL;
    }
    return connection;
}

uint64_t connection_certificate_end(const struct connection *connection)
{
    return connection->tls == NULL
               ? 0
               : tls_session_identity(connection->tls)->not_after_s;
}

void connection_authorize(struct connection *connection,
                          const char *authorization)
{
    connection->authorization = authorization;
}

void connection_close(struct connection *connection)
{
    if (connection == NULL) {
        return;
    }
    nghttp2_session_del(connection->session);
    (void)close(connection->fd);
    tls_session_destroy(connection->tls);
    bytes_close(&connection->out);
    bytes_close(&connection->sent);
    bytes_close(&connection->received);
    bytes_close(&connection->headers);
    free(connection);
}

static void take_in(struct connection *connection, const uint8_t *data,
                    size_t len)
{
    ssize_t taken = nghttp2_session_mem_recv(connection->session, data, len);

    if (taken < 0) {
        break_up(connection, taken == NGHTTP2_ERR_BAD_CLIENT_MAGIC
                                 ? "not gRPC: it speaks no HTTP/2"
                                 : nghttp2_strerror((int)taken));
    }
}

static void take_in_tls(struct connection *connection, const uint8_t *data,
                        size_t len)
{
    uint8_t plain[16384];
    ssize_t read = -1;

    if (tls_session_receive(connection->tls, data, len)) {
        while (!connection->broken &&
               (read = tls_session_read(connection->tls, plain,
                                        sizeof(plain))) > 0) {
            take_in(connection, plain, (size_t)read);
        }
    }
    if (read < 0) {
        const char *error = tls_session_error(connection->tls);

        break_up(connection,
                 error[0] == '\0' ? "the node closed the connection" : error);
    }
}

/* What has come, as far as it has; the end of it breaks the connection. */
static void transfer_in(struct connection *connection)
{
    uint8_t buffer[16384];
    ssize_t len = recv(connection->fd, buffer, sizeof(buffer), MSG_DONTWAIT);

    if (len < 0) {
        if (errno != EAGAIN && errno != EINTR) {
            break_up(connection, strerror(errno));
        }
    } else if (len == 0) {
        break_up(connection, "the node closed the connection");
    } else if (connection->tls != NULL) {
        take_in_tls(connection, buffer, (size_t)len);
    } else {
        take_in(connection, buffer, (size_t)len);
    }
}

static bool wait_for(struct connection *connection, short events,
                     uint64_t deadline_ms)
{
    return socket_poll(connection->fd, events, deadline_ms);
}

/* The next piece that is to be sent, in `out`; false: there is none. */
static bool collect(struct connection *connection)
{
    const uint8_t *data;
    ssize_t len = 0;

    bytes_clear(&connection->out);
    connection->out_sent = 0;
    if (connection->tls == NULL || tls_session_established(connection->tls)) {
        len = nghttp2_session_mem_send(connection->session, &data);
    }
    if (len > 0 && connection->tls == NULL) {
        bytes_append(&connection->out, data, (size_t)len);
    } else if (len > 0 &&
               !tls_session_write(connection->tls, data, (size_t)len)) {
        break_up(connection, tls_session_error(connection->tls));
    }
    if (connection->tls != NULL) {
        tls_session_take(connection->tls, &connection->out);
    }
    return connection->out.len > 0;
}

/* All that waits to be sent; waits for room until the deadline. */
static void transfer_out(struct connection *connection, uint64_t deadline_ms)
{
    while (!connection->broken && collect(connection)) {
        while (connection->out_sent < connection->out.len &&
               !connection->broken) {
            ssize_t sent = send(connection->fd,
                                connection->out.data + connection->out_sent,
                                connection->out.len - connection->out_sent,
                                MSG_NOSIGNAL | MSG_DONTWAIT);

            if (sent >= 0) {
                connection->out_sent += (size_t)sent;
            } else if (errno != EAGAIN && errno != EINTR) {
                break_up(connection, strerror(errno));
            } else if (!wait_for(connection, POLLOUT, deadline_ms)) {
                break_up(connection, "the node takes no data");
            }
        }
    }
}

bool connection_is_idle(struct connection *connection)
{
    while (!connection->broken && wait_for(connection, POLLIN, 0)) {
        transfer_in(connection);
    }
    return !connection->broken && !connection->open &&
           nghttp2_session_check_request_allowed(connection->session) != 0;
}

static void reset_call(struct connection *connection)
{
    bytes_clear(&connection->sent);
    bytes_clear(&connection->received);
    connection->sent_offset = 0;
    connection->lent = 0;
    bytes_clear(&connection->headers);
    connection->reset_code = 0;
}

void connection_call(struct connection *connection, const char *path,
                     const struct bytes *message, uint64_t timeout_ms,
                     unsigned previous)
{
    nghttp2_data_provider provider = {.read_callback = read_request};
    char timeout[32];
    char attempts[16];
    nghttp2_nv headers[10];
    size_t count = 0;

    CHECK(!connection->open);
    reset_call(connection);
    rpc_frame_append(&connection->sent, message->data, message->len);
    headers[count++] = rpc_nv(":method", "POST");
    headers[count++] =
        rpc_nv(":scheme", connection->tls != NULL ? "https" : "http");
    headers[count++] = rpc_nv(":path", path);
    headers[count++] = rpc_nv(":authority", connection->authority);
    headers[count++] = rpc_nv("te", "trailers");
    headers[count++] = rpc_nv("content-type", "application/grpc");
    headers[count++] = rpc_nv("user-agent", "holdfast-c/" HF_VERSION);
    if (timeout_ms > 0) {
        /* At most 8 digits. */
        (void)snprintf(timeout, sizeof(timeout), "%" PRIu64 "m",
                       timeout_ms < 99999999 ? timeout_ms : 99999999);
        headers[count++] = rpc_nv("grpc-timeout", timeout);
    }
    if (previous > 0) {
        /* So that a refusal holds for all of them. */
        (void)snprintf(attempts, sizeof(attempts), "%u", previous);
        headers[count++] = rpc_nv("holdfast-previous-attempts", attempts);
    }
    if (connection->authorization != NULL &&
        connection->authorization[0] != '\0') {
        headers[count] = rpc_nv("authorization", connection->authorization);
        headers[count++].flags = NGHTTP2_NV_FLAG_NO_INDEX;
    }
    connection->stream = nghttp2_submit_request(
        connection->session, NULL, headers, count, &provider, connection);
    if (connection->stream < 0) {
        break_up(connection, nghttp2_strerror(connection->stream));
        return;
    }
    connection->open = true;
}

/* Whether a whole message stands at the front. */
static bool has_message(struct connection *connection, const uint8_t **data,
                        size_t *len)
{
    switch (rpc_frame_next(&connection->received, data, len)) {
    case RPC_FRAME_READY:
        return true;
    case RPC_FRAME_COMPRESSED:
        break_up(connection, "the node sent a compressed message");
        return false;
    case RPC_FRAME_TOO_LARGE:
        break_up(connection, "the node sent too large a message");
        return false;
    default:
        return false;
    }
}

enum connection_result connection_wait(struct connection *connection,
                                       uint64_t deadline_ms)
{
    const uint8_t *data;
    size_t len;

    if (connection->lent > 0) {
        bytes_consume(&connection->received, connection->lent);
        connection->lent = 0;
    }
    for (;;) {
        if (has_message(connection, &data, &len)) {
            return CONNECTION_MESSAGE;
        }
        transfer_out(connection, deadline_ms);
        if (!connection->open && !connection->broken) {
            return CONNECTION_ENDED;
        }
        if (connection->broken) {
            /* The answer may have come whole before the end. */
            return !connection->open && rpc_headers_get(&connection->headers,
                                                        "grpc-status") != NULL
                       ? CONNECTION_ENDED
                       : CONNECTION_BROKEN;
        }
        if (!wait_for(connection, POLLIN, deadline_ms)) {
            return CONNECTION_TIMEOUT;
        }
        transfer_in(connection);
    }
}

const uint8_t *connection_take_message(struct connection *connection,
                                       size_t *len)
{
    const uint8_t *data = NULL;

    CHECK(connection->lent == 0 && has_message(connection, &data, len));
    connection->lent = RPC_FRAME_HEAD_BYTES + *len;
    return data;
}

void connection_status(const struct connection *connection,
                       struct hf_status *status)
{
    CHECK(!connection->open);
    (void)status_read(status, &connection->headers, connection->reset_code);
}

bool connection_pushback(const struct connection *connection,
                         int64_t *pushback_ms)
{
    return rpc_outcome_pushback(&connection->headers, pushback_ms);
}

const char *connection_error(const struct connection *connection)
{
    return connection->error;
}
