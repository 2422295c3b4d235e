/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/status.h"

#include <ctype.h>
#include <stdbool.h>

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

const char *rpc_code_name(enum rpc_code code)
{
    return (unsigned)code <= RPC_UNAUTHENTICATED ? names[code] : "UNKNOWN";
}

enum rpc_code rpc_code_parse(const char *text, size_t len)
{
    unsigned value = 0;

    if (len == 0 || len > 2) {
        return RPC_UNKNOWN;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return RPC_UNKNOWN;
        }
        value = value * 10 + (unsigned)(text[i] - '0');
    }
    return value <= RPC_UNAUTHENTICATED ? (enum rpc_code)value : RPC_UNKNOWN;
}

enum rpc_code rpc_code_of_http(int http_status)
{
    switch (http_status) {
    case 400:
        return RPC_INTERNAL;
    case 401:
        return RPC_UNAUTHENTICATED;
    case 403:
        return RPC_PERMISSION_DENIED;
    case 404:
        return RPC_UNIMPLEMENTED;
    case 429:
    case 502:
    case 503:
    case 504:
        return RPC_UNAVAILABLE;
    default:
        return RPC_UNKNOWN;
    }
}

size_t rpc_message_encode(const char *message, char *out, size_t size)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len = 0;

    for (; *message != '\0'; message++) {
        unsigned char c = (unsigned char)*message;
        bool plain = c >= 0x20 && c < 0x7f && c != '%';

        if (len + (plain ? 1 : 3) >= size) {
            break;
        }
        if (plain) {
            out[len++] = (char)c;
        } else {
            out[len++] = '%';
            out[len++] = hex[c >> 4];
            out[len++] = hex[c & 15];
        }
    }
    out[len] = '\0';
    return len;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

size_t rpc_message_decode(const char *encoded, size_t len, char *out,
                          size_t size)
{
    size_t written = 0;

    for (size_t i = 0; i < len && written + 1 < size; i++) {
        int high = i + 2 < len ? hex_value(encoded[i + 1]) : -1;
        int low = i + 2 < len ? hex_value(encoded[i + 2]) : -1;

        if (i + 2 < len && encoded[i] == '%' && high >= 0 && low >= 0) {
            out[written++] = (char)(high << 4 | low);
            i += 2;
        } else {
            out[written++] = encoded[i];
        }
    }
    out[written] = '\0';
    return written;
}
