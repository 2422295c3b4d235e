/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/outcome.h"

#include "rpc/message.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum rpc_code rpc_outcome_read(const struct bytes *headers,
                               uint32_t http2_error, char *message, size_t size)
{
    const char *status = rpc_headers_get(headers, "grpc-status");
    const char *text = rpc_headers_get(headers, "grpc-message");
    const char *http = rpc_headers_get(headers, ":status");

    message[0] = '\0';
    if (status != NULL) {
        if (text != NULL) {
            (void)rpc_message_decode(text, strlen(text), message, size);
        }
        return rpc_code_parse(status, strlen(status));
    }
    if (http != NULL && strcmp(http, "200") != 0) {
        (void)snprintf(message, size, "not gRPC: HTTP status %.20s", http);
        return rpc_code_of_http(atoi(http));
    }
    if (http2_error == NGHTTP2_CANCEL) {
        (void)snprintf(message, size, "the server cancelled the call");
        return RPC_CANCELLED;
    }
    (void)snprintf(message, size, "the server broke the call off (%s)",
                   nghttp2_http2_strerror(http2_error));
    return RPC_UNAVAILABLE;
}

bool rpc_outcome_pushback(const struct bytes *headers, int64_t *pushback_ms)
{
    const char *text = rpc_headers_get(headers, "grpc-retry-pushback-ms");
    char *end;
    long ms;

    if (text == NULL) {
        return false;
    }
    errno = 0;
    ms = strtol(text, &end, 10);
    *pushback_ms =
        end == text || *end != '\0' || errno != 0 || ms < 0 ? -1 : ms;
    return true;
}
