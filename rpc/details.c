/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/details.h"

#include <stdlib.h>
#include <string.h>

#define TYPE_URL "type.googleapis.com/google.rpc."

static void put_varint(struct bytes *out, uint64_t value)
{
    while (value >= 0x80) {
        bytes_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    bytes_append_u8(out, (uint8_t)value);
}

static void put_number(struct bytes *out, uint32_t field, uint64_t value)
{
    if (value != 0) {
        put_varint(out, field << 3);
        put_varint(out, value);
    }
}

static void put_bytes(struct bytes *out, uint32_t field, const void *data,
                      size_t len)
{
    put_varint(out, field << 3 | 2);
    put_varint(out, len);
    if (len > 0) {
        bytes_append(out, data, len);
    }
}

static void put_text(struct bytes *out, uint32_t field, const char *text)
{
    put_bytes(out, field, text, strlen(text));
}

/* Status.details: an Any with the message, which is used up. */
static void put_detail(struct bytes *status, const char *type_url,
                       struct bytes *message)
{
    struct bytes any;

    bytes_init(&any);
    put_text(&any, 1, type_url);
    put_bytes(&any, 2, message->data, message->len);
    put_bytes(status, 3, any.data, any.len);
    bytes_close(&any);
    bytes_close(message);
}

static void put_error_info(struct bytes *status, const char *reason)
{
    struct bytes info;

    bytes_init(&info);
    put_text(&info, 1, reason);
    put_text(&info, 2, RPC_DETAILS_DOMAIN);
    put_detail(status, TYPE_URL "ErrorInfo", &info);
}

/* The length of the fields' paths at the front of a message, "a.b[2]" or
 * "a, b"; 0: there are none. */
static size_t fields_length(const char *message)
{
    size_t len = strspn(message, "abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.[], ");

    return message[len] == ':' && message[len + 1] == ' ' ? len : 0;
}

static void put_violation(struct bytes *request, const char *field, size_t len,
                          const char *description)
{
    struct bytes violation;

    bytes_init(&violation);
    put_bytes(&violation, 1, field, len);
    put_text(&violation, 2, description);
    put_bytes(request, 1, violation.data, violation.len);
    bytes_close(&violation);
}

static void put_bad_request(struct bytes *status, const char *message)
{
    size_t left = fields_length(message);
    const char *description = message + left + 2;
    struct bytes request;

    if (left == 0) {
        return;
    }
    bytes_init(&request);
    while (left > 0) {
        size_t len = strcspn(message, ",");

        len = len < left ? len : left;
        put_violation(&request, message, len, description);
        message += len;
        left -= len;
        while (left > 0 && (*message == ',' || *message == ' ')) {
            message++;
            left--;
        }
    }
    put_detail(status, TYPE_URL "BadRequest", &request);
}

static void put_retry_info(struct bytes *status, const char *retry_ms)
{
    unsigned long ms = strtoul(retry_ms, NULL, 10);
    struct bytes delay;
    struct bytes retry;

    bytes_init(&delay);
    bytes_init(&retry);
    put_number(&delay, 1, ms / 1000);
    put_number(&delay, 2, ms % 1000 * 1000000);
    put_bytes(&retry, 1, delay.data, delay.len);
    bytes_close(&delay);
    put_detail(status, TYPE_URL "RetryInfo", &retry);
}

static void put_base64(struct bytes *out, const uint8_t *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t group = (uint32_t)data[i] << 16 |
                         (left > 1 ? (uint32_t)data[i + 1] << 8 : 0) |
                         (left > 2 ? (uint32_t)data[i + 2] : 0);
        char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                        digits[group >> 6 & 63], digits[group & 63]};

        bytes_append(out, text, left > 2 ? 4 : left + 1);
    }
}

void rpc_details_encode(const struct rpc_details *details, struct bytes *out)
{
    struct bytes status;

    bytes_init(&status);
    put_number(&status, 1, (uint64_t)details->code);
    put_text(&status, 2, details->message);
    put_error_info(&status, details->reason);
    if (details->code == RPC_INVALID_ARGUMENT) {
        put_bad_request(&status, details->message);
    }
    if (details->retry_ms != NULL) {
        put_retry_info(&status, details->retry_ms);
    }
    put_base64(out, status.data, status.len);
    bytes_append_u8(out, 0);
    bytes_close(&status);
}
