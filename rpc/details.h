/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors for programs, in the form that gRPC's libraries know
 * (grpc-status-details-bin: a google.rpc.Status with details):
 *   ErrorInfo    reason of the error table, domain "holdfast"
 *   BadRequest   the field that is wrong, and what is wrong with it
 *   RetryInfo    how long to wait before the next attempt
 * The layout of these messages is fixed by google/rpc/status.proto and
 * error_details.proto, which Debian does not package. */
#ifndef RPC_DETAILS_H
#define RPC_DETAILS_H

#include "base/bytes.h"
#include "rpc/status.h"

#include <stdint.h>

#define RPC_DETAILS_KEY    "grpc-status-details-bin"
#define RPC_DETAILS_DOMAIN "holdfast"

struct rpc_details {
    enum rpc_code code;
    /* For people. When an INVALID_ARGUMENT begins with paths of fields and a
     * colon ("vm.name: ...", "zone, host: ..."), each becomes the field of a
     * violation. */
    const char *message;
    const char *reason;   /* Of the error table. */
    const char *retry_ms; /* A decimal number; NULL: no retry. */
};

/* Appends the header's value with a NUL: base64 without padding, as gRPC sends
 * binary metadata. */
void rpc_details_encode(const struct rpc_details *details, struct bytes *out);

#endif
