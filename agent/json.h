/* SPDX-License-Identifier: Apache-2.0
 *
 * A strict reader for the JSON that QEMU's monitor sends (RFC 8259): bounded
 * in depth and number of values, so a monitor that has gone mad costs nothing.
 * The text is changed in place: strings are unescaped and end with NUL. */
#ifndef AGENT_JSON_H
#define AGENT_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JSON_VALUES_MAX 512
#define JSON_DEPTH_MAX  32
#define JSON_NONE       UINT16_MAX

enum json_kind {
    JSON_NULL = 1,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_value {
    enum json_kind kind;
    uint16_t next;    /* The following one in the same array or object. */
    uint16_t child;   /* ARRAY, OBJECT: the first. */
    const char *key;  /* In an object; else NULL. */
    const char *text; /* STRING: unescaped, valid UTF-8 without NUL. */
    int64_t number;   /* NUMBER: cut to an integer, and to int64's range. */
};

struct json {
    struct json_value values[JSON_VALUES_MAX];
    uint16_t count; /* values[0] is the whole. */
};

/* Reads one value that fills `text`. INVALID; TOO_LARGE: too many values or
 * too deep. */
int json_parse(struct json *json, char *text, size_t len);

/* The member of an object; NULL when there is none, or `object` is NULL or no
 * object. */
const struct json_value *json_get(const struct json *json,
                                  const struct json_value *object,
                                  const char *key);

/* The string, or NULL when `value` is NULL or no string. */
const char *json_string(const struct json_value *value);

#endif
