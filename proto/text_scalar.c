/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/text_scalar.h"

#include "base/check.h"
#include "base/error.h"
#include "base/similar.h"
#include "proto/text_field.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Longest text of a number. */
#define NUMBER_MAX 48

/* How much of a wrong value an error repeats. */
#define SHOWN_MAX 40

static int __attribute__((format(printf, 2, 3)))
invalid(struct text_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(error->problem, sizeof(error->problem), format, arguments);
    va_end(arguments);
    return HF_ERROR_INVALID;
}

/* "`the text`" for an error, shortened, without control characters. */
struct shown {
    char text[SHOWN_MAX + 8];
};

static struct shown show(const char *text, size_t len)
{
    struct shown shown = {.text = "`"};
    size_t used = 1;

    for (size_t i = 0; i < len && i < SHOWN_MAX; i++) {
        bool control = (unsigned char)text[i] < 0x20 || text[i] == 0x7f;

        shown.text[used++] = (char)(control ? '?' : text[i]);
    }
    (void)snprintf(shown.text + used, sizeof(shown.text) - used, "%s",
                   len > SHOWN_MAX ? "...`" : "`");
    return shown;
}

/* Decimal without leading zeros (which mean octal elsewhere), or 0x. */
static bool parse_magnitude(const char *text, uint64_t *magnitude)
{
    int base = 10;
    char *end;

    if (text[0] == '0' && text[1] == 'x') {
        base = 16;
        text += 2;
    } else if (text[0] == '0' && text[1] != '\0') {
        return false;
    }
    if (strspn(text, base == 16 ? "0123456789abcdefABCDEF" : "0123456789") !=
            strlen(text) ||
        text[0] == '\0') {
        return false;
    }
    errno = 0;
    *magnitude = strtoull(text, &end, base);
    return errno == 0 && *end == '\0';
}

static int read_unsigned(const char *text, size_t len, uint64_t max,
                         uint64_t *value, struct text_error *error)
{
    char number[NUMBER_MAX + 1];

    if (len <= NUMBER_MAX) {
        memcpy(number, text, len);
        number[len] = '\0';
        if (strlen(number) == len && parse_magnitude(number, value) &&
            *value <= max) {
            return 0;
        }
    }
    return invalid(error,
                   "expected a whole number from 0 to %" PRIu64 ", not %s", max,
                   show(text, len).text);
}

static int read_signed(const char *text, size_t len, int64_t max,
                       int64_t *value, struct text_error *error)
{
    char number[NUMBER_MAX + 1];
    uint64_t magnitude;
    bool negative = len > 0 && text[0] == '-';

    if (len <= NUMBER_MAX) {
        memcpy(number, text, len);
        number[len] = '\0';
        if (strlen(number) == len &&
            parse_magnitude(number + negative, &magnitude) &&
            magnitude <= (uint64_t)max + negative) {
            *value = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
            return 0;
        }
    }
    return invalid(error,
                   "expected a whole number from %" PRId64 " to %" PRId64
                   ", not %s",
                   -max - 1, max, show(text, len).text);
}

static int read_bool(const char *text, size_t len, protobuf_c_boolean *value,
                     struct text_error *error)
{
    bool is_true = len == 4 && memcmp(text, "true", 4) == 0;

    if (!is_true && !(len == 5 && memcmp(text, "false", 5) == 0)) {
        return invalid(error, "expected `true` or `false`, not %s",
                       show(text, len).text);
    }
    *value = is_true;
    return 0;
}

static int invalid_enum(const ProtobufCEnumDescriptor *descriptor,
                        const char *text, size_t len, struct text_error *error)
{
    char allowed[320] = "";
    char names[64][TEXT_NAME_MAX + 1];
    char wanted[TEXT_NAME_MAX + 1];
    struct similar similar;
    size_t used = 0;

    (void)snprintf(wanted, sizeof(wanted), "%.*s",
                   (int)(len < TEXT_NAME_MAX ? len : TEXT_NAME_MAX), text);
    similar_init(&similar, wanted);
    for (unsigned i = 0; i < descriptor->n_values && i < 64; i++) {
        text_enum_name(descriptor, descriptor->values[i].value, names[i]);
        if (strcmp(names[i], "unspecified") == 0) {
            continue;
        }
        similar_offer(&similar, names[i]);
        if (used < sizeof(allowed)) {
            used += (size_t)snprintf(allowed + used, sizeof(allowed) - used,
                                     "%s%s", used > 0 ? ", " : "", names[i]);
        }
    }
    return invalid(error, "unknown value %s%s%s%s; allowed: %s",
                   show(text, len).text,
                   similar.best == NULL ? "" : " (did you mean `",
                   similar.best == NULL ? "" : similar.best,
                   similar.best == NULL ? "" : "`?)", allowed);
}

static int read_enum(const ProtobufCEnumDescriptor *descriptor,
                     const char *text, size_t len, int *value,
                     struct text_error *error)
{
    char name[TEXT_NAME_MAX + 1];
    struct text_error unused;
    int64_t number = 0;

    if (len > 0 && len <= TEXT_NAME_MAX) {
        memcpy(name, text, len);
        name[len] = '\0';
        if (strlen(name) == len && text_enum_find(descriptor, name, value)) {
            return 0;
        }
    }
    if (read_signed(text, len, INT32_MAX, &number, &unused) == 0 &&
        protobuf_c_enum_descriptor_get_value(descriptor, (int)number) != NULL) {
        *value = (int)number;
        return 0;
    }
    return invalid_enum(descriptor, text, len, error);
}

static int full(struct text_error *error)
{
    (void)snprintf(error->problem, sizeof(error->problem),
                   "the text as a whole is too large");
    return HF_ERROR_TOO_LARGE;
}

static int read_string(const char *text, size_t len, struct arena *arena,
                       char **value, struct text_error *error)
{
    char *copy;

    if (memchr(text, '\0', len) != NULL) {
        return invalid(error, "a text must not hold the character NUL");
    }
    copy = arena_alloc(arena, len + 1);
    if (copy == NULL) {
        return full(error);
    }
    memcpy(copy, text, len);
    copy[len] = '\0';
    *value = copy;
    return 0;
}

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return c - 'A';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 26;
    }
    if (c >= '0' && c <= '9') {
        return c - '0' + 52;
    }
    if (c == '+' || c == '-') {
        return 62;
    }
    return c == '/' || c == '_' ? 63 : -1;
}

static int read_bytes(const char *text, size_t len, struct arena *arena,
                      ProtobufCBinaryData *value, struct text_error *error)
{
    uint32_t group = 0;
    uint8_t *data;
    size_t used = 0;
    size_t text_len = len;

    while (len > 0 && text[len - 1] == '=') {
        len--;
    }
    data = arena_alloc(arena, len + 1);
    if (data == NULL) {
        return full(error);
    }
    for (size_t i = 0; i < len; i++) {
        int digit = base64_digit(text[i]);

        if (digit < 0) {
            return invalid(error, "expected base64, not %s",
                           show(text, text_len).text);
        }
        group = group << 6 | (uint32_t)digit;
        if (i % 4 != 0) {
            data[used++] = (uint8_t)(group >> (6 - i % 4 * 2));
        }
    }
    if (len % 4 == 1) {
        return invalid(error, "base64 text is cut off");
    }
    *value = (ProtobufCBinaryData){.len = used, .data = data};
    return 0;
}

static int read_number(const ProtobufCFieldDescriptor *field, const char *text,
                       size_t len, void *value, struct text_error *error)
{
    uint64_t number = 0;
    int64_t signed_number = 0;
    int result;

    switch (field->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        result = read_unsigned(text, len, UINT32_MAX, &number, error);
        if (result == 0) {
            *(uint32_t *)value = (uint32_t)number;
        }
        return result;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return read_unsigned(text, len, UINT64_MAX, value, error);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        result = read_signed(text, len, INT32_MAX, &signed_number, error);
        if (result == 0) {
            *(int32_t *)value = (int32_t)signed_number;
        }
        return result;
    default:
        return read_signed(text, len, INT64_MAX, value, error);
    }
}

int text_scalar_read(const ProtobufCFieldDescriptor *field, const char *text,
                     size_t len, struct arena *arena, void *value,
                     struct text_error *error)
{
    CHECK(field->type != PROTOBUF_C_TYPE_MESSAGE &&
          field->type != PROTOBUF_C_TYPE_FLOAT &&
          field->type != PROTOBUF_C_TYPE_DOUBLE); /* The contract has none. */
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return read_bool(text, len, value, error);
    case PROTOBUF_C_TYPE_ENUM:
        return read_enum(field->descriptor, text, len, value, error);
    case PROTOBUF_C_TYPE_STRING:
        return read_string(text, len, arena, value, error);
    case PROTOBUF_C_TYPE_BYTES:
        return read_bytes(text, len, arena, value, error);
    default:
        return read_number(field, text, len, value, error);
    }
}
