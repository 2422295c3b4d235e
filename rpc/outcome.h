/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call ended, read from the headers and trailers that came: one reading
 * for the clients with and without an event loop. */
#ifndef RPC_OUTCOME_H
#define RPC_OUTCOME_H

#include "base/bytes.h"
#include "rpc/status.h"

#include <stdbool.h>
#include <stdint.h>

/* The code, and its text for people. Without a grpc-status it follows from the
 * HTTP status, or from the HTTP/2 code that closed the stream. */
enum rpc_code rpc_outcome_read(const struct bytes *headers,
                               uint32_t http2_error, char *message,
                               size_t size);

/* What the server asked for in grpc-retry-pushback-ms: milliseconds, or -1 for
 * "do not retry", as also for what is no number (gRPC proposal A6); false:
 * nothing. */
bool rpc_outcome_pushback(const struct bytes *headers, int64_t *pushback_ms);

#endif
