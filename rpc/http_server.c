/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a connection; a deadline belongs to each state:
 *
 *   READING --request--> WRITING --kept alive--> READING
 *      |                    |
 *   refused,             not kept alive
 *   too slow, full          |
 *      +---> WRITING -------+--> LINGERING --> closed
 *
 * While an answer is written nothing is read, so that a client that does not
 * take its answers cannot make us keep more of them. A lingering connection
 * has been told the end of ours and may finish what it was sending. */
#include "rpc/http_server.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/memory.h"
#include "rpc/address.h"
#include "rpc/http_request.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TICK_MS 200
#define BACKLOG 64

enum http_state { READING, WRITING, LINGERING, CLOSING };

struct http_server {
    uv_tcp_t listener;
    uv_timer_t tick;
    struct http_pages *pages;
    struct list connections;
    struct http_server_stats stats;
    struct http_server_close *close;
    int handles_open;
};

struct http_connection {
    uv_tcp_t tcp;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct http_server *server;
    struct list link;
    enum http_state state;
    uint64_t deadline_ms; /* Of the state; loop time. */
    bool head_begun;      /* READING: the first byte came. */
    bool last;            /* WRITING: nothing follows. */
    unsigned requests;
    size_t lingered; /* Bytes thrown away. */
    struct http_parser parser;
    struct bytes out;
    /* Read and not parsed: in[at, len). */
    size_t at;
    size_t len;
    uint8_t in[HTTP_HEAD_BYTES_MAX];
};

static const struct {
    int status;
    const char *phrase;
} statuses[HTTP_STATUS_COUNT] = {
    {200, "OK"},
    {400, "Bad Request"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {413, "Content Too Large"},
    {414, "URI Too Long"},
    {417, "Expectation Failed"},
    {431, "Request Header Fields Too Large"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {505, "HTTP Version Not Supported"},
};

/* --- The end ------------------------------------------------------------- */

static void finish_close(struct http_server *server)
{
    struct http_server_close *request = server->close;

    if (request == NULL || server->handles_open > 0 ||
        !list_empty(&server->connections)) {
        return;
    }
    free(server);
    request->done(request);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_connection *connection =
        container_of(handle, struct http_connection, tcp);
    struct http_server *server = connection->server;

    list_remove(&connection->link);
    server->stats.connections_open--;
    if (list_empty(&server->connections) && server->close == NULL) {
        uv_timer_stop(&server->tick);
    }
    bytes_close(&connection->out);
    free(connection);
    finish_close(server);
}

static void close_now(struct http_connection *connection)
{
    if (connection->state != CLOSING) {
        connection->state = CLOSING;
        uv_close((uv_handle_t *)&connection->tcp, on_closed);
    }
}

static void enter(struct http_connection *connection, enum http_state state,
                  uint64_t for_ms)
{
    CHECK(connection->state != CLOSING);
    connection->state = state;
    connection->deadline_ms = uv_now(connection->tcp.loop) + for_ms;
}

/* --- Reading ------------------------------------------------------------- */

static void proceed(struct http_connection *connection);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct http_connection *connection =
        container_of(handle, struct http_connection, tcp);

    (void)suggested;
    *buf = uv_buf_init((char *)connection->in, sizeof(connection->in));
}

static void on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *buf)
{
    struct http_connection *connection =
        container_of(stream, struct http_connection, tcp);

    (void)buf;
    if (len < 0) {
        close_now(connection);
    } else if (connection->state == LINGERING) {
        connection->lingered += (size_t)len;
        if (connection->lingered > HTTP_LINGER_BYTES_MAX) {
            close_now(connection);
        }
    } else if (len > 0) {
        CHECK(connection->state == READING);
        connection->at = 0;
        connection->len = (size_t)len;
        proceed(connection);
    }
}

static void read_on(struct http_connection *connection)
{
    int rv = uv_read_start((uv_stream_t *)&connection->tcp, on_alloc, on_read);

    if (rv != 0 && rv != UV_EALREADY) {
        close_now(connection);
    }
}

/* --- Writing ------------------------------------------------------------- */

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct http_connection *connection =
        container_of(shutdown, struct http_connection, shutdown);

    if (status != 0) {
        close_now(connection);
    }
}

static void linger(struct http_connection *connection)
{
    enter(connection, LINGERING, HTTP_LINGER_MS);
    if (uv_shutdown(&connection->shutdown, (uv_stream_t *)&connection->tcp,
                    on_shutdown) != 0) {
        close_now(connection);
        return;
    }
    read_on(connection);
}

static void next_request(struct http_connection *connection)
{
    http_parser_init(&connection->parser);
    connection->head_begun = false;
    enter(connection, READING, HTTP_IDLE_MS);
}

static void on_written(uv_write_t *write, int status)
{
    struct http_connection *connection =
        container_of(write, struct http_connection, write);

    if (connection->state == CLOSING) {
        return;
    }
    bytes_close(&connection->out); /* An idle connection keeps no answer. */
    if (status != 0) {
        close_now(connection);
    } else if (connection->last) {
        linger(connection);
    } else {
        next_request(connection);
        proceed(connection);
    }
}

static void append_text(struct bytes *out, const char *text)
{
    bytes_append(out, text, strlen(text));
}

/* RFC 9110 6.6.1 wants it. */
static void append_date(struct bytes *out)
{
    time_t now = (time_t)(clock_wall_ms() / 1000);
    struct tm parts;
    char text[64];

    if (gmtime_r(&now, &parts) != NULL &&
        strftime(text, sizeof(text), "Date: %a, %d %b %Y %H:%M:%S GMT\r\n",
                 &parts) > 0) {
        append_text(out, text);
    }
}

static void append_head(struct http_connection *connection,
                        const struct http_response *response, size_t number)
{
    struct bytes *out = &connection->out;
    char text[512];

    snprintf(text, sizeof(text),
             "HTTP/1.1 %d %s\r\n"
             "Content-Type: %s\r\n"
             "Content-Length: %zu\r\n"
             "Cache-Control: no-store\r\n"
             "X-Content-Type-Options: nosniff\r\n",
             response->status, statuses[number].phrase, response->content_type,
             response->body.len);
    append_text(out, text);
    append_date(out);
    if (response->status == 405) {
        append_text(out, "Allow: GET, HEAD\r\n");
    }
    if (connection->last) {
        append_text(out, "Connection: close\r\n");
    } else if (connection->parser.request.is_1_0) {
        append_text(out, "Connection: keep-alive\r\n");
    }
    append_text(out, "\r\n");
}

static size_t number_of(int status)
{
    for (size_t i = 0; i < HTTP_STATUS_COUNT; i++) {
        if (statuses[i].status == status) {
            return i;
        }
    }
    CHECK_UNREACHABLE("an answer has a status of the table");
}

/* Takes the body. */
static void answer(struct http_connection *connection,
                   struct http_response *response)
{
    size_t number = number_of(response->status);
    uv_buf_t buf;

    connection->server->stats.responses[number]++;
    append_head(connection, response, number);
    if (!connection->parser.request.head_only && response->body.len > 0) {
        bytes_append(&connection->out, response->body.data, response->body.len);
    }
    bytes_close(&response->body);
    enter(connection, WRITING, HTTP_WRITE_MS);
    uv_read_stop((uv_stream_t *)&connection->tcp);
    buf = uv_buf_init((char *)connection->out.data,
                      (unsigned)connection->out.len);
    if (uv_write(&connection->write, (uv_stream_t *)&connection->tcp, &buf, 1,
                 on_written) != 0) {
        close_now(connection);
    }
}

static void response_init(struct http_response *response, int status)
{
    *response = (struct http_response){
        .status = status, .content_type = "text/plain; charset=utf-8"};
    bytes_init(&response->body);
}

/* The answer that ends the connection. */
static void refuse(struct http_connection *connection, int status)
{
    struct http_response response;

    response_init(&response, status);
    append_text(&response.body, statuses[number_of(status)].phrase);
    append_text(&response.body, "\n");
    connection->last = true;
    answer(connection, &response);
}

static void serve(struct http_connection *connection)
{
    const struct http_request *request = &connection->parser.request;
    struct http_pages *pages = connection->server->pages;
    char path[HTTP_HEAD_BYTES_MAX];
    struct http_response response;

    CHECK(request->path_len < sizeof(path));
    memcpy(path, request->path, request->path_len);
    path[request->path_len] = '\0';
    response_init(&response, 200);
    pages->get(pages, path, &response);
    connection->last =
        !request->keep_alive || ++connection->requests >= HTTP_REQUESTS_MAX;
    answer(connection, &response);
}

/* Parses what was read; or reads. */
static void proceed(struct http_connection *connection)
{
    enum http_progress progress;
    size_t used;

    progress =
        http_parser_feed(&connection->parser, connection->in + connection->at,
                         connection->len - connection->at, &used);
    connection->at += used;
    if (progress == HTTP_REQUEST) {
        serve(connection);
    } else if (progress == HTTP_REFUSED) {
        refuse(connection, connection->parser.status);
    } else {
        if (!connection->head_begun && http_parser_begun(&connection->parser)) {
            connection->head_begun = true;
            enter(connection, READING, HTTP_HEAD_MS);
        }
        read_on(connection);
    }
}

/* --- Connections --------------------------------------------------------- */

static void look_at(struct http_connection *connection, uint64_t now_ms)
{
    if (connection->state == CLOSING || now_ms < connection->deadline_ms) {
        return;
    }
    if (connection->state == READING && connection->head_begun) {
        refuse(connection, 408);
    } else {
        close_now(connection);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct http_server *server = container_of(timer, struct http_server, tick);
    uint64_t now_ms = uv_now(timer->loop);
    struct list *at;

    /* Connections leave the list later, when their handles are closed. */
    list_foreach (at, &server->connections) {
        look_at(list_entry(at, struct http_connection, link), now_ms);
    }
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct http_server *server =
        container_of(listener, struct http_server, listener);
    struct http_connection *connection;

    if (status != 0) {
        return;
    }
    connection = memory_alloc(sizeof(*connection));
    CHECK(uv_tcp_init(listener->loop, &connection->tcp) == 0);
    connection->server = server;
    list_init(&connection->link);
    list_append(&server->connections, &connection->link);
    server->stats.connections_open++;
    bytes_init(&connection->out);
    next_request(connection);
    if (uv_accept(listener, (uv_stream_t *)&connection->tcp) != 0 ||
        server->stats.connections_open >
            HTTP_CONNECTIONS_MAX + HTTP_REFUSALS_MAX) {
        close_now(connection);
        return;
    }
    server->stats.connections_accepted++;
    if (!uv_is_active((uv_handle_t *)&server->tick)) {
        CHECK(uv_timer_start(&server->tick, on_tick, TICK_MS, TICK_MS) == 0);
    }
    if (server->stats.connections_open > HTTP_CONNECTIONS_MAX) {
        refuse(connection, 503);
    } else {
        read_on(connection);
    }
}

/* --- The server ---------------------------------------------------------- */

struct http_server *http_server_create(uv_loop_t *loop,
                                       struct http_pages *pages)
{
    struct http_server *server = memory_alloc(sizeof(*server));

    server->pages = pages;
    list_init(&server->connections);
    CHECK(uv_timer_init(loop, &server->tick) == 0);
    CHECK(uv_tcp_init(loop, &server->listener) == 0);
    server->handles_open = 2;
    return server;
}

int http_server_listen(struct http_server *server, const char *address,
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
    rv = uv_tcp_bind(&server->listener, (struct sockaddr *)&where, 0);
    if (rv == 0) {
        rv =
            uv_listen((uv_stream_t *)&server->listener, BACKLOG, on_connection);
    }
    if (rv != 0) {
        snprintf(error, error_size, "cannot listen on %s: %s", address,
                 uv_strerror(rv));
        return HF_ERROR_IO;
    }
    return 0;
}

const struct http_server_stats *http_server_stats(
    const struct http_server *server)
{
    return &server->stats;
}

int http_status_at(size_t number)
{
    CHECK(number < HTTP_STATUS_COUNT);
    return statuses[number].status;
}

static void on_listener_closed(uv_handle_t *handle)
{
    struct http_server *server =
        container_of(handle, struct http_server, listener);

    server->handles_open--;
    finish_close(server);
}

static void on_tick_closed(uv_handle_t *handle)
{
    struct http_server *server = container_of(handle, struct http_server, tick);

    server->handles_open--;
    finish_close(server);
}

void http_server_close(struct http_server *server,
                       struct http_server_close *request)
{
    struct list *at;

    CHECK(server->close == NULL);
    server->close = request;
    uv_close((uv_handle_t *)&server->listener, on_listener_closed);
    uv_close((uv_handle_t *)&server->tick, on_tick_closed);
    list_foreach (at, &server->connections) {
        close_now(list_entry(at, struct http_connection, link));
    }
}
