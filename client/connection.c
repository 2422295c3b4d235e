/* SPDX-License-Identifier: Apache-2.0 */
#include "client/connection.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "client/socket.h"
#include "client/status.h"

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

/* gRPC puts in front of each message: a compression flag, its length. */
#define PREFIX_BYTES 5

struct connection {
    int fd;
    struct tls_session *tls; /* NULL: plain. */
    struct bytes out;        /* What the socket did not take yet. */
    size_t out_sent;
    nghttp2_session *session;
    char authority[256];
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
    int http_status;
    bool has_grpc_status;
    enum hf_code code;
    char message[HF_MESSAGE_MAX];
    char reason[HF_REASON_MAX + 1];
    bool has_pushback;
    int64_t pushback_ms;
    uint32_t reset_code; /* HTTP/2 error code that closed the stream. */
};

static void break_up(struct connection *connection, const char *why)
{
    if (!connection->broken) {
        connection->broken = true;
        (void)snprintf(connection->error, sizeof(connection->error), "%s", why);
    }
}

static bool is(const uint8_t *name, size_t len, const char *wanted)
{
    return len == strlen(wanted) && memcmp(name, wanted, len) == 0;
}

/* NOLINTNEXTLINE(readability-function-size): nghttp2 chose the parameters */
static int on_header(nghttp2_session *session, const nghttp2_frame *frame,
                     const uint8_t *name, size_t name_len, const uint8_t *value,
                     size_t value_len, uint8_t flags, void *user)
{
    struct connection *connection = user;
    const char *text = (const char *)value;

    (void)session;
    (void)flags;
    if (frame->hd.stream_id != connection->stream) {
        return 0;
    }
    if (is(name, name_len, ":status")) {
        connection->http_status = atoi(text);
    } else if (is(name, name_len, "grpc-status")) {
        connection->has_grpc_status = true;
        connection->code = status_parse_code(text, value_len);
    } else if (is(name, name_len, "grpc-message")) {
        status_decode_message(text, value_len, connection->message,
                              sizeof(connection->message));
    } else if (is(name, name_len, "holdfast-reason")) {
        status_decode_message(text, value_len, connection->reason,
                              sizeof(connection->reason));
    } else if (is(name, name_len, "grpc-retry-pushback-ms")) {
        char *end;
        long ms = strtol(text, &end, 10);

        /* What is no number asks for no retry (gRPC proposal A6). */
        connection->has_pushback = true;
        connection->pushback_ms =
            end == text || *end != '\0' || ms < 0 ? -1 : ms;
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
        CONNECTION_MESSAGE_MAX + WINDOW_BYTES) {
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

static nghttp2_nv header(const char *name, const char *value)
{
    /* nghttp2 copies both; its struct is just not const. */
    return (nghttp2_nv){.name = (uint8_t *)(uintptr_t)name,
                        .value = (uint8_t *)(uintptr_t)value,
                        .namelen = strlen(name),
                        .valuelen = strlen(value),
                        .flags = NGHTTP2_NV_FLAG_NONE};
}

static void reset_call(struct connection *connection)
{
    bytes_clear(&connection->sent);
    bytes_clear(&connection->received);
    connection->sent_offset = 0;
    connection->lent = 0;
    connection->http_status = 0;
    connection->has_grpc_status = false;
    connection->code = HF_STATUS_UNKNOWN;
    connection->message[0] = '\0';
    connection->reason[0] = '\0';
    connection->has_pushback = false;
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

    CHECK(!connection->open && message->len <= CONNECTION_MESSAGE_MAX);
    reset_call(connection);
    bytes_append_u8(&connection->sent, 0);
    for (int shift = 24; shift >= 0; shift -= 8) {
        bytes_append_u8(&connection->sent, (uint8_t)(message->len >> shift));
    }
    if (message->len > 0) {
        bytes_append(&connection->sent, message->data, message->len);
    }
    headers[count++] = header(":method", "POST");
    headers[count++] =
        header(":scheme", connection->tls != NULL ? "https" : "http");
    headers[count++] = header(":path", path);
    headers[count++] = header(":authority", connection->authority);
    headers[count++] = header("te", "trailers");
    headers[count++] = header("content-type", "application/grpc");
    headers[count++] = header("user-agent", "holdfast-c/" HF_VERSION);
    if (timeout_ms > 0) {
        /* At most 8 digits. */
        (void)snprintf(timeout, sizeof(timeout), "%" PRIu64 "m",
                       timeout_ms < 99999999 ? timeout_ms : 99999999);
        headers[count++] = header("grpc-timeout", timeout);
    }
    if (previous > 0) {
        /* So that a refusal holds for all of them. */
        (void)snprintf(attempts, sizeof(attempts), "%u", previous);
        headers[count++] = header("holdfast-previous-attempts", attempts);
    }
    if (connection->authorization != NULL &&
        connection->authorization[0] != '\0') {
        headers[count] = header("authorization", connection->authorization);
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
static bool has_message(struct connection *connection)
{
    const struct bytes *received = &connection->received;
    size_t len;

    if (received->len < PREFIX_BYTES) {
        return false;
    }
    len = (size_t)received->data[1] << 24 | (size_t)received->data[2] << 16 |
          (size_t)received->data[3] << 8 | (size_t)received->data[4];
    if (received->data[0] != 0) {
        break_up(connection, "the node sent a compressed message");
        return false;
    }
    if (len > CONNECTION_MESSAGE_MAX) {
        break_up(connection, "the node sent too large a message");
        return false;
    }
    return received->len - PREFIX_BYTES >= len;
}

enum connection_result connection_wait(struct connection *connection,
                                       uint64_t deadline_ms)
{
    if (connection->lent > 0) {
        bytes_consume(&connection->received, connection->lent);
        connection->lent = 0;
    }
    for (;;) {
        if (has_message(connection)) {
            return CONNECTION_MESSAGE;
        }
        transfer_out(connection, deadline_ms);
        if (!connection->open && !connection->broken) {
            return CONNECTION_ENDED;
        }
        if (connection->broken) {
            /* The answer may have come whole before the end. */
            return !connection->open && connection->has_grpc_status
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
    const uint8_t *data = connection->received.data;

    CHECK(connection->lent == 0 && has_message(connection));
    *len = (size_t)data[1] << 24 | (size_t)data[2] << 16 |
           (size_t)data[3] << 8 | (size_t)data[4];
    connection->lent = PREFIX_BYTES + *len;
    return data + PREFIX_BYTES;
}

void connection_status(const struct connection *connection,
                       struct hf_status *status)
{
    CHECK(!connection->open);
    memcpy(status->reason, connection->reason, sizeof(status->reason));
    if (connection->has_grpc_status) {
        (void)status_set(status, connection->code, "%s", connection->message);
    } else if (connection->http_status != 0 && connection->http_status != 200) {
        (void)status_set(status, status_of_http(connection->http_status),
                         "not gRPC: HTTP status %d", connection->http_status);
    } else if (connection->reset_code == NGHTTP2_CANCEL) {
        (void)status_set(status, HF_STATUS_CANCELLED,
                         "the node cancelled the call");
    } else {
        (void)status_set(status, HF_STATUS_UNAVAILABLE,
                         "the node broke the call off (%s)",
                         nghttp2_http2_strerror(connection->reset_code));
    }
}

bool connection_pushback(const struct connection *connection,
                         int64_t *pushback_ms)
{
    *pushback_ms = connection->pushback_ms;
    return connection->has_pushback;
}

const char *connection_error(const struct connection *connection)
{
    return connection->error;
}
