/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/http_request.h"

#include "base/check.h"

#include <string.h>
#include <strings.h>

#define ALPHA  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* RFC 9110 5.6.2. */
static const char token_bytes[] = ALPHA DIGITS "!#$%&'*+-.^_`|~";

/* RFC 3986, percent-encoding aside: pchar, "/" and "?". */
static const char target_bytes[] = ALPHA DIGITS "-._~!$&'()*+,;=:@/?";

/* uri-host with an optional port; "@" is not among them: RFC 9110 4.2.4. */
static const char authority_bytes[] = ALPHA DIGITS "-._~!$&'()*+,;=:[]%";

static const char scheme[] = "http://";

/* A run of bytes in the head; not terminated. */
struct part {
    const char *text;
    size_t len;
};

static bool is_made_of(struct part part, const char *bytes)
{
    for (size_t i = 0; i < part.len; i++) {
        /* No NUL gets here: strchr() would find it. */
        if (strchr(bytes, part.text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_token(struct part part)
{
    return part.len > 0 && is_made_of(part, token_bytes);
}

static bool is_word(struct part part, const char *word)
{
    return part.len == strlen(word) && memcmp(part.text, word, part.len) == 0;
}

/* As is_word(), in any case. */
static bool is_name(struct part part, const char *name)
{
    return part.len == strlen(name) &&
           strncasecmp(part.text, name, part.len) == 0;
}

/* Cuts off what stands before the first `byte`; all when there is none. */
static struct part cut(struct part *rest, char byte)
{
    const char *at = memchr(rest->text, byte, rest->len);
    struct part first = *rest;

    if (at == NULL) {
        *rest = (struct part){rest->text + rest->len, 0};
        return first;
    }
    first.len = (size_t)(at - rest->text);
    rest->text = at + 1;
    rest->len -= first.len + 1;
    return first;
}

static struct part trim(struct part part)
{
    while (part.len > 0 && (part.text[0] == ' ' || part.text[0] == '\t')) {
        part.text++;
        part.len--;
    }
    while (part.len > 0 && (part.text[part.len - 1] == ' ' ||
                            part.text[part.len - 1] == '\t')) {
        part.len--;
    }
    return part;
}

void http_parser_init(struct http_parser *parser)
{
    memset(parser, 0, offsetof(struct http_parser, head));
}

static enum http_progress refuse(struct http_parser *parser, int status)
{
    parser->status = status;
    return HTTP_REFUSED;
}

/* --- The request line ---------------------------------------------------- */

static bool is_digit(char byte)
{
    return byte >= '0' && byte <= '9';
}

/* 0, or the status to refuse with. */
static int read_version(struct http_parser *parser, struct part version)
{
    const char *text = version.text;

    if (version.len != 8 || memcmp(text, "HTTP/", 5) != 0 ||
        !is_digit(text[5]) || text[6] != '.' || !is_digit(text[7])) {
        return 400;
    }
    if (text[5] != '1') {
        return 505;
    }
    parser->request.is_1_0 = text[7] == '0';
    return 0;
}

static int read_method(struct http_parser *parser, struct part method)
{
    parser->request.head_only = is_word(method, "HEAD");
    return parser->request.head_only || is_word(method, "GET") ? 0 : 405;
}

static bool is_hex(char byte)
{
    return is_digit(byte) || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

static bool is_target(struct part target)
{
    for (size_t i = 0; i < target.len; i++) {
        if (target.text[i] == '%') {
            if (target.len - i < 3 || !is_hex(target.text[i + 1]) ||
                !is_hex(target.text[i + 2])) {
                return false;
            }
        } else if (strchr(target_bytes, target.text[i]) == NULL) {
            return false;
        }
    }
    return true;
}

static bool is_absolute_form(struct part target)
{
    return target.len >= strlen(scheme) &&
           strncasecmp(target.text, scheme, strlen(scheme)) == 0;
}

/* "http://host/path" to "/path". */
static bool drop_authority(struct part *target)
{
    struct part authority = {target->text + strlen(scheme), 0};
    const char *end = target->text + target->len;

    while (authority.text + authority.len < end &&
           strchr("/?", authority.text[authority.len]) == NULL) {
        authority.len++;
    }
    target->text = authority.text + authority.len;
    target->len = (size_t)(end - target->text);
    return authority.len > 0 && is_made_of(authority, authority_bytes);
}

static int read_target(struct http_parser *parser, struct part target)
{
    bool is_absolute = is_absolute_form(target);
    struct part path;

    if ((is_absolute && !drop_authority(&target)) || !is_target(target)) {
        return 400;
    }
    path = cut(&target, '?');
    if (is_absolute && path.len == 0) {
        path = (struct part){"/", 1}; /* RFC 9112 3.2.1. */
    }
    if (path.len == 0 || path.text[0] != '/') {
        return 400;
    }
    parser->request.path = path.text;
    parser->request.path_len = path.len;
    return 0;
}

static int read_request_line(struct http_parser *parser, struct part line)
{
    struct part method = cut(&line, ' ');
    struct part target = cut(&line, ' ');
    int status = is_token(method) && target.len > 0 ? 0 : 400;

    if (status == 0) {
        status = read_version(parser, line);
    }
    if (status == 0) {
        status = read_method(parser, method);
    }
    return status == 0 ? read_target(parser, target) : status;
}

/* --- The fields ---------------------------------------------------------- */

static int read_connection(struct http_parser *parser, struct part value)
{
    while (value.len > 0) {
        struct part option = trim(cut(&value, ','));

        if (option.len > 0 && !is_token(option)) {
            return 400;
        }
        parser->close |= is_name(option, "close");
        parser->keep |= is_name(option, "keep-alive");
    }
    return 0;
}

static int read_length(struct http_parser *parser, struct part value)
{
    if (++parser->lengths > 1 || value.len == 0 || !is_made_of(value, DIGITS)) {
        return 400;
    }
    return is_made_of(value, "0") ? 0 : 413;
}

static int read_host(struct http_parser *parser, struct part value)
{
    return ++parser->hosts > 1 || !is_made_of(value, authority_bytes) ? 400 : 0;
}

/* 0, or the status to refuse with. */
static int read_field(struct http_parser *parser, struct part line)
{
    const char *colon = memchr(line.text, ':', line.len);
    struct part value = line;
    struct part name;

    if (parser->lines > HTTP_FIELDS_MAX) {
        return 431;
    }
    name = cut(&value, ':');
    if (colon == NULL || !is_token(name)) {
        return 400; /* A folded line begins with a blank: no token. */
    }
    value = trim(value);
    if (is_name(name, "host")) {
        return read_host(parser, value);
    }
    if (is_name(name, "connection")) {
        return read_connection(parser, value);
    }
    if (is_name(name, "content-length")) {
        return read_length(parser, value);
    }
    if (is_name(name, "transfer-encoding")) {
        return 501;
    }
    return is_name(name, "expect") ? 417 : 0;
}

/* --- Bytes to lines ------------------------------------------------------ */

static enum http_progress finish(struct http_parser *parser)
{
    struct http_request *request = &parser->request;

    if (parser->hosts == 0 && !request->is_1_0) {
        return refuse(parser, 400);
    }
    request->keep_alive = !parser->close && (parser->keep || !request->is_1_0);
    return HTTP_REQUEST;
}

static enum http_progress end_line(struct http_parser *parser)
{
    struct part line = {parser->head + parser->line,
                        parser->len - parser->line - 2};
    int status;

    parser->line = parser->len;
    if (line.len == 0 && parser->lines > 0) {
        return finish(parser);
    }
    if (line.len == 0) {
        /* RFC 9112 2.2 wants one empty line before a request to be ignored:
         * old clients end a body with it. */
        if (parser->skipped_line) {
            return refuse(parser, 400);
        }
        parser->skipped_line = true;
        return HTTP_MORE;
    }
    status = parser->lines == 0 ? read_request_line(parser, line)
                                : read_field(parser, line);
    parser->lines++;
    return status == 0 ? HTTP_MORE : refuse(parser, status);
}

static enum http_progress take(struct http_parser *parser, char byte)
{
    bool after_cr =
        parser->len > parser->line && parser->head[parser->len - 1] == '\r';
    bool is_control =
        ((unsigned char)byte < ' ' && byte != '\t') || byte == '\x7f';

    if (parser->len == sizeof(parser->head)) {
        return refuse(parser, parser->lines == 0 ? 414 : 431);
    }
    if (after_cr != (byte == '\n') ||
        (is_control && byte != '\r' && byte != '\n')) {
        return refuse(parser, 400);
    }
    parser->head[parser->len++] = byte;
    return after_cr ? end_line(parser) : HTTP_MORE;
}

enum http_progress http_parser_feed(struct http_parser *parser,
                                    const uint8_t *data, size_t len,
                                    size_t *used)
{
    enum http_progress progress = HTTP_MORE;
    size_t at = 0;

    CHECK(!parser->over);
    while (at < len && progress == HTTP_MORE) {
        progress = take(parser, (char)data[at++]);
    }
    parser->over = progress != HTTP_MORE;
    *used = at;
    return progress;
}
