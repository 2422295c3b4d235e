/* SPDX-License-Identifier: Apache-2.0
 *
 * Heads of HTTP requests, good and bad, each in every split. */
#include "base/bytes.h"
#include "base/container.h"
#include "rpc/http_request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HOST  "Host: x\r\n"
#define END   HOST "\r\n"
#define CLOSE 1
#define KEEP  2
#define HEAD  4

struct good {
    const char *text;
    const char *path;
    unsigned flags;
};

static const struct good good[] = {
    {"GET /metrics HTTP/1.1\r\n" END, "/metrics", KEEP},
    {"HEAD / HTTP/1.1\r\n" END, "/", KEEP | HEAD},
    {"GET /metrics?a=b?c&d HTTP/1.1\r\n" END, "/metrics", KEEP},
    {"GET /a%20b HTTP/1.1\r\n" END, "/a%20b", KEEP},
    {"GET //x HTTP/1.1\r\n" END, "//x", KEEP},
    {"GET http://x/livez HTTP/1.1\r\n" END, "/livez", KEEP},
    {"GET HTTP://[::1]:80/livez?q HTTP/1.1\r\n" END, "/livez", KEEP},
    {"GET http://x HTTP/1.1\r\n" END, "/", KEEP},
    {"GET http://x?q HTTP/1.1\r\n" END, "/", KEEP},
    {"\r\nGET / HTTP/1.1\r\n" END, "/", KEEP},
    {"GET / HTTP/1.0\r\n\r\n", "/", CLOSE},
    {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "/", KEEP},
    {"GET / HTTP/1.1\r\nConnection: close\r\n" END, "/", CLOSE},
    {"GET / HTTP/1.1\r\nconnection:TE , CLOSE\r\n" END, "/", CLOSE},
    {"GET / HTTP/1.1\r\nConnection: keep-alive\r\nConnection: close\r\n" END,
     "/", CLOSE},
    {"GET / HTTP/1.1\r\nConnection: ,,\r\n" END, "/", KEEP},
    {"GET / HTTP/1.7\r\n" END, "/", KEEP},
    {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "/", KEEP},
    {"GET / HTTP/1.1\r\nhOsT: \t[::1]:7480 \r\n\r\n", "/", KEEP},
    {"GET / HTTP/1.1\r\nContent-Length: 0\r\n" END, "/", KEEP},
    {"GET / HTTP/1.1\r\nX: \t a\tb \x80\xff\r\n" END, "/", KEEP},
    {"GET / HTTP/1.1\r\nX:\r\n" END, "/", KEEP},
    {"GET / HTTP/1.1\r\nUpgrade: h2c\r\n" END, "/", KEEP},
};

struct bad {
    const char *text;
    int status;
};

static const struct bad bad[] = {
    /* The request line. */
    {"GET  / HTTP/1.1\r\n", 400},
    {"GET / HTTP/1.1 \r\n", 400},
    {" GET / HTTP/1.1\r\n", 400},
    {"GET / \r\n", 400},
    {"GET /\r\n", 400},
    {"GET\r\n", 400},
    {"GET\t/\tHTTP/1.1\r\n", 400},
    {"G(T / HTTP/1.1\r\n", 400},
    {"\r\n\r\n", 400},
    {"GET / http/1.1\r\n", 400},
    {"GET / HTTP/11\r\n", 400},
    {"GET / HTTP/1.10\r\n", 400},
    {"GET / HTTP/2.0\r\n", 505},
    {"PRI * HTTP/2.0\r\n", 505},
    {"GET / HTTP/0.9\r\n", 505},
    {"POST / HTTP/1.1\r\n", 405},
    {"get / HTTP/1.1\r\n", 405},
    {"OPTIONS * HTTP/1.1\r\n", 405},
    {"CONNECT x:80 HTTP/1.1\r\n", 405},
    {"TRACE / HTTP/1.1\r\n", 405},
    /* The target. */
    {"GET * HTTP/1.1\r\n", 400},
    {"GET x HTTP/1.1\r\n", 400},
    {"GET ?q HTTP/1.1\r\n", 400},
    {"GET x:80 HTTP/1.1\r\n", 400},
    {"GET https://x/ HTTP/1.1\r\n", 400},
    {"GET http:///a HTTP/1.1\r\n", 400},
    {"GET http://u@x/a HTTP/1.1\r\n", 400},
    {"GET /a#b HTTP/1.1\r\n", 400},
    {"GET /% HTTP/1.1\r\n", 400},
    {"GET /%2 HTTP/1.1\r\n", 400},
    {"GET /%2x HTTP/1.1\r\n", 400},
    {"GET /\"< HTTP/1.1\r\n", 400},
    {"GET /\x80 HTTP/1.1\r\n", 400},
    /* Ends of lines, and other control characters. */
    {"GET / HTTP/1.1\n", 400},
    {"GET / HTTP/1.1\r\r", 400},
    {"GET / HTTP/1.1\rHost", 400},
    {"GET / HTTP/1.1\r\nHost: x\n", 400},
    {"GET / HTTP/1.1\r\nX: a\rb", 400},
    {"GET / HTTP/1.1\r\nX: a\x01", 400},
    {"GET / HTTP/1.1\r\nX: a\x7f", 400},
    {"\x16\x03\x01", 400}, /* TLS */
    /* Fields. */
    {"GET / HTTP/1.1\r\n\r\n", 400},
    {"GET / HTTP/1.1\r\n" HOST HOST, 400},
    {"GET / HTTP/1.1\r\nHost: a b\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a/b\r\n", 400},
    {"GET / HTTP/1.1\r\nHost: a@b\r\n", 400},
    {"GET / HTTP/1.1\r\n X: a\r\n", 400},
    {"GET / HTTP/1.1\r\nX: a\r\n b\r\n", 400},
    {"GET / HTTP/1.1\r\nX: a\r\n\tb: c\r\n", 400},
    {"GET / HTTP/1.1\r\nX : a\r\n", 400},
    {"GET / HTTP/1.1\r\n: a\r\n", 400},
    {"GET / HTTP/1.1\r\nX\r\n", 400},
    {"GET / HTTP/1.1\r\nX(: a\r\n", 400},
    {"GET / HTTP/1.1\r\nConnection: a b\r\n", 400},
    {"GET / HTTP/1.1\r\nConnection: \"close\"\r\n", 400},
    /* Bodies. */
    {"GET / HTTP/1.1\r\nContent-Length: 1\r\n", 413},
    {"GET / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n", 413},
    {"GET / HTTP/1.1\r\nContent-Length: -1\r\n", 400},
    {"GET / HTTP/1.1\r\nContent-Length: +0\r\n", 400},
    {"GET / HTTP/1.1\r\nContent-Length: 0, 0\r\n", 400},
    {"GET / HTTP/1.1\r\nContent-Length:\r\n", 400},
    {"GET / HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 0\r\n", 400},
    {"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 501},
    {"GET / HTTP/1.0\r\ntransfer-encoding:\r\n", 501},
    {"GET / HTTP/1.1\r\nExpect: 100-continue\r\n", 417},
};

/* In two pieces; the second must not be asked for when the first decides. */
static enum http_progress feed(struct http_parser *parser, const char *text,
                               size_t len, size_t split)
{
    enum http_progress progress;
    size_t used;
    size_t more;

    http_parser_init(parser);
    progress = http_parser_feed(parser, (const uint8_t *)text, split, &used);
    if (progress == HTTP_MORE) {
        assert_int_equal(used, split);
        progress = http_parser_feed(parser, (const uint8_t *)text + split,
                                    len - split, &more);
        used += more;
    }
    /* What follows is the next request's. */
    assert_true(progress != HTTP_REQUEST || used == len);
    return progress;
}

static void check_good(size_t row, size_t split)
{
    static struct http_parser parser;
    const struct http_request *request = &parser.request;
    const struct good *want = &good[row];

    if (feed(&parser, want->text, strlen(want->text), split) != HTTP_REQUEST) {
        fail_msg("row %zu, split %zu: %d", row, split, parser.status);
    }
    assert_int_equal(request->path_len, strlen(want->path));
    assert_memory_equal(request->path, want->path, request->path_len);
    assert_int_equal(request->keep_alive, want->flags & KEEP ? 1 : 0);
    assert_int_equal(request->head_only, want->flags & HEAD ? 1 : 0);
}

static void good_heads_are_read_in_every_split(void **state)
{
    (void)state;
    for (size_t row = 0; row < ARRAY_LEN(good); row++) {
        for (size_t split = 0; split <= strlen(good[row].text); split++) {
            check_good(row, split);
        }
    }
}

static void check_bad(size_t row, size_t split)
{
    static struct http_parser parser;
    const char *text = bad[row].text;

    if (feed(&parser, text, strlen(text), split) != HTTP_REFUSED ||
        parser.status != bad[row].status) {
        fail_msg("row %zu, split %zu: %d", row, split, parser.status);
    }
}

static void bad_heads_are_refused_in_every_split(void **state)
{
    (void)state;
    for (size_t row = 0; row < ARRAY_LEN(bad); row++) {
        for (size_t split = 0; split <= strlen(bad[row].text); split++) {
            check_bad(row, split);
        }
    }
}

static void no_beginning_of_a_head_is_a_request(void **state)
{
    static struct http_parser parser;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        for (size_t len = 0; len < strlen(good[i].text); len++) {
            assert_int_equal(feed(&parser, good[i].text, len, len / 2),
                             HTTP_MORE);
        }
    }
}

static void a_zero_byte_is_refused(void **state)
{
    static const char text[] = "GET /\0 HTTP/1.1\r\n";
    static struct http_parser parser;

    (void)state;
    assert_int_equal(feed(&parser, text, sizeof(text) - 1, 3), HTTP_REFUSED);
    assert_int_equal(parser.status, 400);
}

static void pipelined_requests_are_told_apart(void **state)
{
    static const char text[] =
        "GET /a HTTP/1.1\r\n" END "HEAD /b HTTP/1.0\r\n\r\n"
        "GET /c HTTP/1.1\r\n" END;
    static const char *const paths[] = {"/a", "/b", "/c"};
    static struct http_parser parser;
    size_t at = 0;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        size_t used;

        http_parser_init(&parser);
        assert_int_equal(http_parser_feed(&parser, (const uint8_t *)text + at,
                                          sizeof(text) - 1 - at, &used),
                         HTTP_REQUEST);
        assert_memory_equal(parser.request.path, paths[i], 2);
        at += used;
    }
    assert_int_equal(at, sizeof(text) - 1);
}

/* Of a head of `len` bytes whose one long part stands between the two. */
static int status_of_long(const char *before, const char *after, size_t len)
{
    static struct http_parser parser;
    struct bytes text;
    int status = 200;

    bytes_init(&text);
    bytes_append(&text, before, strlen(before));
    while (text.len + strlen(after) < len) {
        bytes_append_u8(&text, 'a');
    }
    bytes_append(&text, after, strlen(after));
    assert_int_equal(text.len, len);
    if (feed(&parser, (const char *)text.data, len, len / 2) == HTTP_REFUSED) {
        status = parser.status;
    }
    bytes_close(&text);
    return status;
}

static void a_head_has_a_largest_size(void **state)
{
    static const char target[] = "GET /";
    static const char version[] = " HTTP/1.1\r\n" END;
    static const char field[] = "GET / HTTP/1.1\r\nX:";
    static const char end[] = "\r\n" END;

    (void)state;
    assert_int_equal(status_of_long(target, version, 4096), 200);
    assert_int_equal(status_of_long(target, version, 4097), 431);
    assert_int_equal(status_of_long(target, version, 4200), 414);
    assert_int_equal(status_of_long(field, end, 4096), 200);
    assert_int_equal(status_of_long(field, end, 4097), 431);
    assert_int_equal(status_of_long(field, end, 8000), 431);
}

static void a_head_has_a_largest_number_of_fields(void **state)
{
    static const char begin[] = "GET / HTTP/1.1\r\n" HOST;
    static struct http_parser parser;
    char text[1024];
    size_t len;

    (void)state;
    for (int fields = HTTP_FIELDS_MAX; fields <= HTTP_FIELDS_MAX + 1;
         fields++) {
        len = (size_t)snprintf(text, sizeof(text), "%s", begin);
        for (int i = 1; i < fields; i++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "a:\r\n");
        }
        len += (size_t)snprintf(text + len, sizeof(text) - len, "\r\n");
        if (fields <= HTTP_FIELDS_MAX) {
            assert_int_equal(feed(&parser, text, len, 0), HTTP_REQUEST);
        } else {
            assert_int_equal(feed(&parser, text, len, 0), HTTP_REFUSED);
            assert_int_equal(parser.status, 431);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_heads_are_read_in_every_split),
        cmocka_unit_test(bad_heads_are_refused_in_every_split),
        cmocka_unit_test(no_beginning_of_a_head_is_a_request),
        cmocka_unit_test(a_zero_byte_is_refused),
        cmocka_unit_test(pipelined_requests_are_told_apart),
        cmocka_unit_test(a_head_has_a_largest_size),
        cmocka_unit_test(a_head_has_a_largest_number_of_fields),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
