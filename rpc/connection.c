/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/connection.h"

#include "base/check.h"
#include "base/memory.h"
#include "rpc/limits.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define READ_BYTES  65536
#define BATCH_BYTES 65536

static void flush(struct rpc_connection *connection);

static void on_prepare(uv_prepare_t *prepare)
{
    struct rpc_flusher *flusher =
        container_of(prepare, struct rpc_flusher, prepare);
    struct list work;

    list_init(&work);
    list_splice(&work, &flusher->marked);
    while (!list_empty(&work)) {
        struct list *link = list_first(&work);
        struct rpc_connection *connection =
            list_entry(link, struct rpc_connection, marked);

        list_remove(link);
        flush(connection);
    }
}

void rpc_flusher_init(struct rpc_flusher *flusher, uv_loop_t *loop)
{
    memset(flusher, 0, sizeof(*flusher));
    list_init(&flusher->marked);
    flusher->read = memory_alloc(READ_BYTES);
    CHECK(uv_prepare_init(loop, &flusher->prepare) == 0);
    CHECK(uv_prepare_start(&flusher->prepare, on_prepare) == 0);
    uv_unref((uv_handle_t *)&flusher->prepare);
}

/* Not before: it may be closed by what stands in the buffers. */
static void on_flusher_closed(uv_handle_t *handle)
{
    struct rpc_flusher *flusher =
        container_of(handle, struct rpc_flusher, prepare);

    free(flusher->read);
    free(flusher->read_tls);
    bytes_close(&flusher->plain);
    flusher->closed(handle);
}

void rpc_flusher_close(struct rpc_flusher *flusher, uv_close_cb closed)
{
    flusher->closed = closed;
    uv_close((uv_handle_t *)&flusher->prepare, on_flusher_closed);
}

void rpc_connection_init(struct rpc_connection *connection, uv_loop_t *loop,
                         struct rpc_flusher *flusher,
                         const struct rpc_connection_ops *ops)
{
    memset(connection, 0, sizeof(*connection));
    connection->flusher = flusher;
    connection->ops = ops;
    list_init(&connection->marked);
    bytes_init(&connection->out);
    CHECK(uv_tcp_init(loop, &connection->tcp) == 0);
}

static void on_close(uv_handle_t *handle)
{
    struct rpc_connection *connection =
        container_of(handle, struct rpc_connection, tcp);

    nghttp2_session_del(connection->session);
    connection->session = NULL;
    tls_session_destroy(connection->tls);
    connection->tls = NULL;
    bytes_close(&connection->out);
    connection->ops->closed(connection);
}

void rpc_connection_close(struct rpc_connection *connection, const char *reason)
{
    if (connection->closing) {
        return;
    }
    connection->closing = true;
    snprintf(connection->error, sizeof(connection->error), "%s", reason);
    list_remove(&connection->marked);
    uv_close((uv_handle_t *)&connection->tcp, on_close);
}

void rpc_connection_mark(struct rpc_connection *connection)
{
    if (!connection->closing && list_empty(&connection->marked)) {
        list_append(&connection->flusher->marked, &connection->marked);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct rpc_connection *connection =
        container_of(write, struct rpc_connection, write);

    connection->writing = false;
    connection->stalled_since_ms = 0;
    if (connection->closing) {
        return;
    }
    if (status != 0) {
        rpc_connection_close(connection, uv_strerror(status));
        return;
    }
    bytes_clear(&connection->out);
    connection->out_sent = 0;
    rpc_connection_mark(connection);
}

/* What the session has to say, up to BATCH_BYTES in all in `out`. */
static int collect_plain(struct rpc_connection *connection, struct bytes *out)
{
    while (out->len < BATCH_BYTES) {
        const uint8_t *data;
        ssize_t len = nghttp2_session_mem_send(connection->session, &data);

        if (len < 0) {
            return -1;
        }
        if (len == 0) {
            break;
        }
        bytes_append(out, data, (size_t)len);
    }
    return 0;
}

/* One record for many frames. */
static int collect_tls(struct rpc_connection *connection)
{
    struct bytes *plain = &connection->flusher->plain;
    int rv = 0;

    if (tls_session_established(connection->tls)) {
        bytes_clear(plain);
        rv = collect_plain(connection, plain);
        if (rv == 0 && plain->len > 0 &&
            !tls_session_write(connection->tls, plain->data, plain->len)) {
            rv = -1;
        }
    }
    tls_session_take(connection->tls, &connection->out);
    return rv;
}

static int collect(struct rpc_connection *connection)
{
    return connection->tls != NULL
               ? collect_tls(connection)
               : collect_plain(connection, &connection->out);
}

/* The rest, when the socket is full; `out` stays until it is taken. */
static void write_rest(struct rpc_connection *connection)
{
    uv_buf_t rest =
        uv_buf_init((char *)connection->out.data + connection->out_sent,
                    (unsigned)(connection->out.len - connection->out_sent));
    int rv;

    connection->writing = true;
    connection->stalled_since_ms = uv_now(connection->tcp.loop) + 1;
    rv = uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &rest, 1,
                  on_written);
    if (rv != 0) {
        connection->writing = false;
        rpc_connection_close(connection, uv_strerror(rv));
    }
}

static bool write_some(struct rpc_connection *connection)
{
    uv_buf_t all = uv_buf_init((char *)connection->out.data,
                               (unsigned)connection->out.len);
    int written = uv_try_write((uv_stream_t *)&connection->tcp, &all, 1);

    if (written < 0 && written != UV_EAGAIN) {
        rpc_connection_close(connection, uv_strerror(written));
        return false;
    }
    connection->bytes_out += connection->out.len;
    if (written == (int)connection->out.len) {
        bytes_clear(&connection->out);
        return true;
    }
    connection->out_sent = written < 0 ? 0 : (size_t)written;
    write_rest(connection);
    return false;
}

static void flush(struct rpc_connection *connection)
{
    while (!connection->closing && !connection->writing) {
        if (collect(connection) != 0) {
            rpc_connection_close(connection, "HTTP/2 session failed");
            return;
        }
        if (connection->out.len == 0) {
            break;
        }
        if (!write_some(connection)) {
            break;
        }
    }
    if (connection->closing) {
        return;
    }
    connection->ops->progress(connection);
    if (!connection->closing && !connection->writing &&
        !nghttp2_session_want_read(connection->session) &&
        !nghttp2_session_want_write(connection->session)) {
        rpc_connection_close(connection, "");
    }
}

/* One buffer for all: it is consumed before the callback returns. */
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct rpc_connection *connection =
        container_of(handle, struct rpc_connection, tcp);

    (void)suggested;
    *buf = uv_buf_init(connection->flusher->read, READ_BYTES);
}

static void take(struct rpc_connection *connection, const void *data,
                 size_t len)
{
    ssize_t used = nghttp2_session_mem_recv(connection->session, data, len);

    if (used < 0) {
        rpc_connection_close(connection, nghttp2_strerror((int)used));
    }
}

/* The other end learns why by the alert that is still in the way. */
static void end_tls(struct rpc_connection *connection)
{
    const char *error = tls_session_error(connection->tls);

    tls_session_take(connection->tls, &connection->out);
    if (!connection->writing && connection->out.len > 0) {
        uv_buf_t alert = uv_buf_init((char *)connection->out.data,
                                     (unsigned)connection->out.len);

        (void)uv_try_write((uv_stream_t *)&connection->tcp, &alert, 1);
    }
    rpc_connection_close(connection,
                         error[0] == '\0' ? "closed by the peer" : error);
}

static void take_tls(struct rpc_connection *connection, const void *data,
                     size_t len)
{
    struct rpc_flusher *flusher = connection->flusher;
    bool was_established = tls_session_established(connection->tls);
    ssize_t read = -1;

    if (flusher->read_tls == NULL) {
        flusher->read_tls = memory_alloc(READ_BYTES);
    }
    if (tls_session_receive(connection->tls, data, len)) {
        if (!was_established && tls_session_established(connection->tls) &&
            connection->ops->established != NULL) {
            connection->ops->established(connection);
        }
        while (!connection->closing &&
               (read = tls_session_read(connection->tls, flusher->read_tls,
                                        READ_BYTES)) > 0) {
            take(connection, flusher->read_tls, (size_t)read);
        }
    }
    if (!connection->closing && read < 0) {
        end_tls(connection);
    }
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct rpc_connection *connection =
        container_of(stream, struct rpc_connection, tcp);

    if (len == 0 || connection->closing) {
        return;
    }
    if (len < 0) {
        rpc_connection_close(connection, len == UV_EOF ? "closed by the peer"
                                                       : uv_strerror((int)len));
        return;
    }
    connection->read_at_ms = uv_now(stream->loop);
    connection->bytes_in += (uint64_t)len;
    if (connection->tls != NULL) {
        take_tls(connection, buf->base, (size_t)len);
    } else {
        take(connection, buf->base, (size_t)len);
    }
    rpc_connection_mark(connection);
}

void rpc_connection_start(struct rpc_connection *connection,
                          unsigned user_timeout_ms)
{
    uv_os_fd_t fd;
    int rv;

    uv_tcp_nodelay(&connection->tcp, 1);
    if (uv_fileno((uv_handle_t *)&connection->tcp, &fd) == 0) {
        /* Without it a peer that vanished holds output up for minutes. */
        setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout_ms,
                   sizeof(user_timeout_ms));
    }
    connection->read_at_ms = uv_now(connection->tcp.loop);
    rv = uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);
    if (rv != 0) {
        rpc_connection_close(connection, uv_strerror(rv));
        return;
    }
    if (connection->tls != NULL) {
        (void)tls_session_receive(connection->tls, NULL,
                                  0); /* A client begins. */
    } else if (connection->ops->established != NULL) {
        connection->ops->established(connection);
    }
    rpc_connection_mark(connection);
}
