/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as HTTP requests, one behind the other: read whole, byte by byte
 * and in pieces that the first byte chooses, they must come to the same. */
#include "base/check.h"
#include "base/memory.h"
#include "rpc/http_request.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_refusal(int status)
{
    switch (status) {
    case 400:
    case 405:
    case 413:
    case 414:
    case 417:
    case 431:
    case 501:
    case 505:
        return true;
    default:
        return false;
    }
}

/* One request in pieces of `piece` bytes, each an allocation of its own, so
 * that a sanitizer sees a read past its end. */
static enum http_progress feed(struct http_parser *parser, const uint8_t *data,
                               size_t len, size_t piece, size_t *used)
{
    enum http_progress progress = HTTP_MORE;

    *used = 0;
    http_parser_init(parser);
    while (progress == HTTP_MORE && *used < len) {
        size_t take = len - *used < piece ? len - *used : piece;
        uint8_t *copy = memory_copy(data + *used, take);
        size_t eaten;

        progress = http_parser_feed(parser, copy, take, &eaten);
        CHECK(eaten <= take && (eaten == take || progress != HTTP_MORE));
        free(copy);
        *used += eaten;
    }
    return progress;
}

static void check_request(const struct http_parser *parser, size_t used)
{
    const struct http_request *request = &parser->request;

    CHECK(used <= HTTP_HEAD_BYTES_MAX);
    CHECK(request->path_len >= 1 && request->path_len < used);
    CHECK(request->path[0] == '/');
    for (size_t i = 0; i < request->path_len; i++) {
        CHECK(request->path[i] > ' ' && request->path[i] < '\x7f');
        CHECK(request->path[i] != '?' && request->path[i] != '#');
    }
}

static void check_same(const struct http_parser *a, const struct http_parser *b)
{
    CHECK(a->status == b->status);
    CHECK(a->request.head_only == b->request.head_only);
    CHECK(a->request.keep_alive == b->request.keep_alive);
    CHECK(a->request.is_1_0 == b->request.is_1_0);
    CHECK(a->request.path_len == b->request.path_len);
    CHECK(memcmp(a->request.path, b->request.path, a->request.path_len) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_parser whole;
    static struct http_parser parts;
    enum http_progress progress = HTTP_REQUEST;
    size_t pieces[2] = {1, 2};
    size_t used;

    if (size > 0) {
        pieces[1] += data[0];
    }
    for (size_t at = 0; progress == HTTP_REQUEST && at < size; at += used) {
        progress = feed(&whole, data + at, size - at, size, &used);
        CHECK(progress != HTTP_REFUSED || is_refusal(whole.status));
        CHECK(progress != HTTP_MORE || used <= HTTP_HEAD_BYTES_MAX);
        if (progress == HTTP_REQUEST) {
            check_request(&whole, used);
        }
        for (int i = 0; i < 2; i++) {
            size_t other;

            CHECK(feed(&parts, data + at, size - at, pieces[i], &other) ==
                  progress);
            CHECK(other == used);
            if (progress == HTTP_REQUEST) {
                check_same(&whole, &parts);
            }
        }
    }
    return 0;
}
