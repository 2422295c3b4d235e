/* SPDX-License-Identifier: Apache-2.0
 *
 * A small HTTP/1.1 server on a libuv loop, for GET and HEAD of short texts that
 * are made at once: what monitoring and browsers ask a process about itself. It
 * has no TLS and asks nobody who he is. Every connection is bounded in time, in
 * requests and in memory (rpc/limits.h), and a request that is refused ends
 * its connection. */
#ifndef RPC_HTTP_SERVER_H
#define RPC_HTTP_SERVER_H

#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct http_server;

struct http_response {
    int status;               /* 200 at first. */
    const char *content_type; /* Plain text at first; lent. */
    struct bytes body;        /* To be filled; also for HEAD. */
};

/* Who makes the answers; embed it. */
struct http_pages {
    /* `path` is terminated and not decoded. */
    void (*get)(struct http_pages *pages, const char *path,
                struct http_response *response);
};

/* Statuses that it answers with. */
#define HTTP_STATUS_COUNT 12

/* The status of a number below HTTP_STATUS_COUNT. */
int http_status_at(size_t number);

struct http_server_stats {
    uint32_t connections_open;
    uint64_t connections_accepted;
    uint64_t responses[HTTP_STATUS_COUNT]; /* By number of the status. */
};

struct http_server *http_server_create(uv_loop_t *loop,
                                       struct http_pages *pages);

/* Listens on "address:port". HF_ERROR_INVALID: not an
 * address; HF_ERROR_IO: `error` says why. */
int http_server_listen(struct http_server *server, const char *address,
                       char *error, size_t error_size);

const struct http_server_stats *http_server_stats(
    const struct http_server *server);

/* Stops listening and closes every connection. `done` is called once from a
 * later turn, after which the server is freed. */
struct http_server_close {
    void (*done)(struct http_server_close *request);
};
void http_server_close(struct http_server *server,
                       struct http_server_close *request);

#endif
