/* SPDX-License-Identifier: Apache-2.0 */
#include "client/status.h"

#include "base/container.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[] = {
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
};

const char *hf_code_name(enum hf_code code)
{
    return (unsigned)code < ARRAY_LEN(names) ? names[code]
                                             : names[HF_STATUS_UNKNOWN];
}

enum hf_code status_parse_code(const char *text, size_t len)
{
    unsigned number = 0;

    if (len == 0 || len > 2) {
        return HF_STATUS_UNKNOWN;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return HF_STATUS_UNKNOWN;
        }
        number = number * 10 + (unsigned)(text[i] - '0');
    }
    return number < ARRAY_LEN(names) ? (enum hf_code)number : HF_STATUS_UNKNOWN;
}

enum hf_code status_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return HF_STATUS_INTERNAL;
    case 401:
        return HF_STATUS_UNAUTHENTICATED;
    case 403:
        return HF_STATUS_PERMISSION_DENIED;
    case 404:
        return HF_STATUS_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return HF_STATUS_UNAVAILABLE;
    default:
        return HF_STATUS_UNKNOWN;
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void status_decode_message(const char *encoded, size_t len, char *out,
                           size_t size)
{
    size_t used = 0;

    for (size_t i = 0; i < len && used + 1 < size; i++) {
        char c = encoded[i];

        if (c == '%' && i + 2 < len && hex_digit(encoded[i + 1]) >= 0 &&
            hex_digit(encoded[i + 2]) >= 0) {
            c = (char)(hex_digit(encoded[i + 1]) * 16 +
                       hex_digit(encoded[i + 2]));
            i += 2;
        }
        out[used++] = (unsigned char)c < 0x20 || c == 0x7f ? ' ' : c;
    }
    out[used] = '\0';
}

enum hf_code status_set(struct hf_status *status, enum hf_code code,
                        const char *format, ...)
{
    va_list arguments;

    status->code = code;
    va_start(arguments, format);
    (void)vsnprintf(status->message, sizeof(status->message), format,
                    arguments);
    va_end(arguments);
    return code;
}
