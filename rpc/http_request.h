/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of an HTTP/1.1 request, parsed as its bytes come; pure. A strict
 * subset of RFC 9112 for GET and HEAD without bodies: where that leaves a
 * choice between leniency and refusal, this refuses, for two programs that
 * read one text differently is how requests are smuggled.
 *
 *   refused as  what
 *   400         anything that is not by the grammar: a bare CR or LF, a control
 *               character, a folded line, a blank before the colon, a bad
 *               name, target, Host (none or two for 1.1) or Content-Length
 *   405         any other method
 *   413         a body: Content-Length other than 0
 *   414, 431    a request line, or a head, of more than HTTP_HEAD_BYTES_MAX;
 *               431 also for more than HTTP_FIELDS_MAX fields
 *   417         Expect
 *   501         Transfer-Encoding
 *   505         a version other than 1.x
 *
 * A target may be in origin-form or, as RFC 9112 3.2.2 demands, in
 * absolute-form (http://host/path), whose authority is checked and dropped.
 * The result depends on the bytes alone, not on the pieces they come in. */
#ifndef RPC_HTTP_REQUEST_H
#define RPC_HTTP_REQUEST_H

#include "rpc/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http_progress {
    HTTP_MORE,    /* The head is not complete. */
    HTTP_REQUEST, /* It is: see `request`. */
    HTTP_REFUSED, /* See `status`; nothing after it can be understood. */
};

struct http_request {
    bool head_only;  /* HEAD; also known of a request refused after its line. */
    bool keep_alive; /* The client wants to send another. */
    bool is_1_0;     /* HTTP/1.0; else 1.1. */
    /* Without the query, not decoded; lent by the parser. */
    const char *path;
    size_t path_len;
};

struct http_parser {
    struct http_request request;
    int status;     /* Of a refusal. */
    size_t len;     /* Of `head`; */
    size_t line;    /* where its present line begins. */
    unsigned lines; /* Complete ones, the empty one before a request aside. */
    unsigned hosts;
    unsigned lengths;
    bool close; /* Of the field Connection: asked for; */
    bool keep;  /* likewise. */
    bool skipped_line;
    bool over; /* Said HTTP_REQUEST or HTTP_REFUSED. */
    char head[HTTP_HEAD_BYTES_MAX];
};

/* Ready for the first byte of a request. */
void http_parser_init(struct http_parser *parser);

/* Takes bytes up to the end of the head; `used` of them. Not after it has said
 * HTTP_REQUEST or HTTP_REFUSED. */
enum http_progress http_parser_feed(struct http_parser *parser,
                                    const uint8_t *data, size_t len,
                                    size_t *used);

/* Whether a byte of a request has come. */
static inline bool http_parser_begun(const struct http_parser *parser)
{
    return parser->len > 0;
}

#endif
