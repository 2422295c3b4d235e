/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC's status on the wire. */
#ifndef CLIENT_STATUS_H
#define CLIENT_STATUS_H

#include <holdfast/holdfast.h>
#include <stddef.h>

/* A decimal number; anything else is HF_STATUS_UNKNOWN. */
enum hf_code status_parse_code(const char *text, size_t len);

/* What an HTTP answer without a grpc-status means (the gRPC protocol's table).
 */
enum hf_code status_of_http(int http_status);

/* Undoes grpc-message's percent-encoding into `out`; control characters become
 * blanks. */
void status_decode_message(const char *encoded, size_t len, char *out,
                           size_t size);

/* Sets code and message; returns the code. */
enum hf_code status_set(struct hf_status *status, enum hf_code code,
                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
