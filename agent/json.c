/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/json.h"

#include "base/error.h"

#include <string.h>

struct parser {
    struct json *json;
    char *at;
    char *end;
    unsigned depth;
    int error;
};

static bool fail(struct parser *parser, int error)
{
    if (parser->error == 0) {
        parser->error = error;
    }
    return false;
}

static void skip_blanks(struct parser *parser)
{
    while (parser->at < parser->end &&
           (*parser->at == ' ' || *parser->at == '\t' || *parser->at == '\n' ||
            *parser->at == '\r')) {
        parser->at++;
    }
}

/* The next byte that is not blank, or NUL at the end (a NUL in the text fits
 * nowhere either). */
static char peek(struct parser *parser)
{
    skip_blanks(parser);
    return parser->at < parser->end ? *parser->at : '\0';
}

static bool take(struct parser *parser, char c)
{
    if (peek(parser) != c || c == '\0') {
        return fail(parser, HF_ERROR_INVALID);
    }
    parser->at++;
    return true;
}

static struct json_value *add(struct parser *parser, enum json_kind kind)
{
    struct json_value *value;

    if (parser->json->count == JSON_VALUES_MAX) {
        fail(parser, HF_ERROR_TOO_LARGE);
        return NULL;
    }
    value = &parser->json->values[parser->json->count++];
    memset(value, 0, sizeof(*value));
    value->kind = kind;
    value->next = JSON_NONE;
    value->child = JSON_NONE;
    return value;
}

static bool read_hex4(struct parser *parser, uint32_t *unit)
{
    *unit = 0;
    if (parser->end - parser->at < 4) {
        return fail(parser, HF_ERROR_INVALID);
    }
    for (int i = 0; i < 4; i++) {
        char c = *parser->at++;
        uint32_t digit;

        if (c >= '0' && c <= '9') {
            digit = (uint32_t)(c - '0');
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (uint32_t)((c | 0x20) - 'a') + 10;
        } else {
            return fail(parser, HF_ERROR_INVALID);
        }
        *unit = *unit << 4 | digit;
    }
    return true;
}

/* At most four bytes, never more than the escape that they replace. */
static char *put_utf8(char *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (char)code;
    } else if (code < 0x800) {
        *to++ = (char)(0xc0 | code >> 6);
        *to++ = (char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *to++ = (char)(0xe0 | code >> 12);
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    } else {
        *to++ = (char)(0xf0 | code >> 18);
        *to++ = (char)(0x80 | (code >> 12 & 0x3f));
        *to++ = (char)(0x80 | (code >> 6 & 0x3f));
        *to++ = (char)(0x80 | (code & 0x3f));
    }
    return to;
}

static bool read_unicode(struct parser *parser, char **to)
{
    uint32_t code;
    uint32_t low;

    if (!read_hex4(parser, &code)) {
        return false;
    }
    if (code >= 0xd800 && code <= 0xdbff) {
        if (parser->end - parser->at < 6 || parser->at[0] != '\\' ||
            parser->at[1] != 'u') {
            return fail(parser, HF_ERROR_INVALID);
        }
        parser->at += 2;
        if (!read_hex4(parser, &low)) {
            return false;
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return fail(parser, HF_ERROR_INVALID);
        }
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code == 0 || (code >= 0xdc00 && code <= 0xdfff)) {
        return fail(parser, HF_ERROR_INVALID);
    }
    *to = put_utf8(*to, code);
    return true;
}

static bool read_escape(struct parser *parser, char **to)
{
    static const char names[] = "\"\\/bfnrt";
    static const char bytes[] = "\"\\/\b\f\n\r\t";
    const char *found;
    char c;

    if (parser->at == parser->end) {
        return fail(parser, HF_ERROR_INVALID);
    }
    c = *parser->at++;
    if (c == 'u') {
        return read_unicode(parser, to);
    }
    found = c == '\0' ? NULL : strchr(names, c);
    if (found == NULL) {
        return fail(parser, HF_ERROR_INVALID);
    }
    *(*to)++ = bytes[found - names];
    return true;
}

/* The length of the well-formed UTF-8 sequence at `at`, or 0 (Unicode 15,
 * table 3-7). */
static size_t utf8_len(const char *text, const char *end)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t left = (size_t)(end - text);
    unsigned char low = 0x80;
    unsigned char high = 0xbf;
    size_t len;

    if (at[0] >= 0xc2 && at[0] <= 0xdf) {
        len = 2;
    } else if (at[0] >= 0xe0 && at[0] <= 0xef) {
        len = 3;
        low = at[0] == 0xe0 ? 0xa0 : low;
        high = at[0] == 0xed ? 0x9f : high;
    } else if (at[0] >= 0xf0 && at[0] <= 0xf4) {
        len = 4;
        low = at[0] == 0xf0 ? 0x90 : low;
        high = at[0] == 0xf4 ? 0x8f : high;
    } else {
        return 0;
    }
    if (left < len || at[1] < low || at[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return len;
}

static bool read_string(struct parser *parser, const char **string)
{
    char *to;

    if (!take(parser, '"')) {
        return false;
    }
    to = parser->at;
    *string = to;
    while (parser->at < parser->end) {
        unsigned char c = (unsigned char)*parser->at;
        size_t len = 1;

        if (c == '"') {
            parser->at++;
            *to = '\0'; /* On the quote or before it. */
            return true;
        }
        if (c == '\\') {
            parser->at++;
            if (!read_escape(parser, &to)) {
                return false;
            }
            continue;
        }
        if (c >= 0x80) {
            len = utf8_len(parser->at, parser->end);
        }
        if (c < 0x20 || len == 0) {
            return fail(parser, HF_ERROR_INVALID);
        }
        memmove(to, parser->at, len);
        to += len;
        parser->at += len;
    }
    return fail(parser, HF_ERROR_INVALID);
}

static bool read_digits(struct parser *parser, uint64_t *sum)
{
    char *start = parser->at;

    while (parser->at < parser->end && *parser->at >= '0' &&
           *parser->at <= '9') {
        uint64_t digit = (uint64_t)(*parser->at++ - '0');

        if (*sum > (INT64_MAX - digit) / 10) {
            *sum = INT64_MAX;
        } else {
            *sum = *sum * 10 + digit;
        }
    }
    return parser->at > start || fail(parser, HF_ERROR_INVALID);
}

static bool at_one_of(const struct parser *parser, char a, char b)
{
    return parser->at < parser->end && (*parser->at == a || *parser->at == b);
}

/* Fractions and exponents are read and dropped: no member that we look at has
 * any. */
static bool read_number(struct parser *parser)
{
    struct json_value *value = add(parser, JSON_NUMBER);
    bool negative = at_one_of(parser, '-', '-');
    uint64_t sum = 0;
    uint64_t dropped = 0;

    if (value == NULL) {
        return false;
    }
    parser->at += negative;
    if (at_one_of(parser, '0', '0')) {
        parser->at++;
    } else if (!read_digits(parser, &sum)) {
        return false;
    }
    if (at_one_of(parser, '.', '.')) {
        parser->at++;
        if (!read_digits(parser, &dropped)) {
            return false;
        }
    }
    if (at_one_of(parser, 'e', 'E')) {
        parser->at++;
        parser->at += at_one_of(parser, '+', '-');
        if (!read_digits(parser, &dropped)) {
            return false;
        }
    }
    value->number = negative ? -(int64_t)sum : (int64_t)sum;
    return true;
}

static bool read_word(struct parser *parser, const char *word,
                      enum json_kind kind)
{
    size_t len = strlen(word);

    if ((size_t)(parser->end - parser->at) < len ||
        memcmp(parser->at, word, len) != 0) {
        return fail(parser, HF_ERROR_INVALID);
    }
    parser->at += len;
    return add(parser, kind) != NULL;
}

static bool read_value(struct parser *parser);

/* One element or member, linked behind *last. */
static bool read_item(struct parser *parser, struct json_value *parent,
                      uint16_t *last)
{
    uint16_t index;
    const char *key = NULL;

    if (parent->kind == JSON_OBJECT &&
        (!read_string(parser, &key) || !take(parser, ':'))) {
        return false;
    }
    index = parser->json->count;
    if (!read_value(parser)) {
        return false;
    }
    parser->json->values[index].key = key;
    if (*last == JSON_NONE) {
        parent->child = index;
    } else {
        parser->json->values[*last].next = index;
    }
    *last = index;
    return true;
}

static bool read_container(struct parser *parser, enum json_kind kind,
                           char close)
{
    struct json_value *value = add(parser, kind);
    uint16_t last = JSON_NONE;

    if (value == NULL) {
        return false;
    }
    if (++parser->depth > JSON_DEPTH_MAX) {
        return fail(parser, HF_ERROR_TOO_LARGE);
    }
    parser->at++;
    if (peek(parser) != close) {
        do {
            if (!read_item(parser, value, &last)) {
                return false;
            }
        } while (peek(parser) == ',' && take(parser, ','));
    }
    parser->depth--;
    return take(parser, close);
}

/* Recursion is bounded by JSON_DEPTH_MAX. */
static bool read_value(struct parser *parser)
{
    struct json_value *value;

    switch (peek(parser)) {
    case '{':
        return read_container(parser, JSON_OBJECT, '}');
    case '[':
        return read_container(parser, JSON_ARRAY, ']');
    case '"':
        value = add(parser, JSON_STRING);
        return value != NULL && read_string(parser, &value->text);
    case 't':
        return read_word(parser, "true", JSON_TRUE);
    case 'f':
        return read_word(parser, "false", JSON_FALSE);
    case 'n':
        return read_word(parser, "null", JSON_NULL);
    default:
        return read_number(parser);
    }
}

int json_parse(struct json *json, char *text, size_t len)
{
    struct parser parser = {.json = json, .at = text, .end = text + len};

    json->count = 0;
    if (read_value(&parser)) {
        skip_blanks(&parser);
        if (parser.at != parser.end) {
            fail(&parser, HF_ERROR_INVALID);
        }
    }
    if (parser.error != 0) {
        json->count = 0;
    }
    return parser.error;
}

const struct json_value *json_get(const struct json *json,
                                  const struct json_value *object,
                                  const char *key)
{
    uint16_t index;

    if (object == NULL || object->kind != JSON_OBJECT) {
        return NULL;
    }
    for (index = object->child; index != JSON_NONE;
         index = json->values[index].next) {
        if (strcmp(json->values[index].key, key) == 0) {
            return &json->values[index];
        }
    }
    return NULL;
}

const char *json_string(const struct json_value *value)
{
    return value == NULL || value->kind != JSON_STRING ? NULL : value->text;
}
