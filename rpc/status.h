/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call ended: gRPC's status codes, by their numbers. */
#ifndef RPC_STATUS_H
#define RPC_STATUS_H

#include <stddef.h>

enum rpc_code {
    RPC_OK = 0,
    RPC_CANCELLED = 1,
    RPC_UNKNOWN = 2,
    RPC_INVALID_ARGUMENT = 3,
    RPC_DEADLINE_EXCEEDED = 4,
    RPC_NOT_FOUND = 5,
    RPC_ALREADY_EXISTS = 6,
    RPC_PERMISSION_DENIED = 7,
    RPC_RESOURCE_EXHAUSTED = 8,
    RPC_FAILED_PRECONDITION = 9,
    RPC_ABORTED = 10,
    RPC_OUT_OF_RANGE = 11,
    RPC_UNIMPLEMENTED = 12,
    RPC_INTERNAL = 13,
    RPC_UNAVAILABLE = 14,
    RPC_DATA_LOSS = 15,
    RPC_UNAUTHENTICATED = 16
};

/* "NOT_FOUND"; "UNKNOWN" for a number that is none. */
const char *rpc_code_name(enum rpc_code code);

/* A decimal number to a code; anything else is RPC_UNKNOWN. */
enum rpc_code rpc_code_parse(const char *text, size_t len);

/* What a grpc-status has to be when an HTTP answer has none (the gRPC
 * protocol's table of HTTP codes). */
enum rpc_code rpc_code_of_http(int http_status);

/* grpc-message travels percent-encoded. Writes at most `size` bytes with the
 * NUL; what does not fit is left out whole. Returns the length. */
size_t rpc_message_encode(const char *message, char *out, size_t size);
size_t rpc_message_decode(const char *encoded, size_t len, char *out,
                          size_t size);

#endif
