/* SPDX-License-Identifier: Apache-2.0
 *
 * How a call ended, as the caller is told. */
#ifndef CLIENT_STATUS_H
#define CLIENT_STATUS_H

#include "base/bytes.h"

#include <holdfast/holdfast.h>

/* Sets code and message; returns the code. */
enum hf_code status_set(struct hf_status *status, enum hf_code code,
                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Sets code, reason and message from what a node sent: its headers and
 * trailers, and the HTTP/2 code that closed the stream. Control characters
 * become blanks: people see these texts on a terminal. */
enum hf_code status_read(struct hf_status *status, const struct bytes *headers,
                         uint32_t http2_error);

/* Likewise, when code and text are known already. */
enum hf_code status_take(struct hf_status *status, enum hf_code code,
                         const char *message, const struct bytes *headers);

/* UNAVAILABLE at the call's deadline is DEADLINE_EXCEEDED, with the last
 * reason. */
void status_at_deadline(struct hf_status *status, uint64_t timeout_ms);

#endif
