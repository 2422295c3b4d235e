/* SPDX-License-Identifier: Apache-2.0 */
#include "client/status.h"

#include "rpc/message.h"
#include "rpc/outcome.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *hf_code_name(enum hf_code code)
{
    return rpc_code_name((enum rpc_code)code);
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

static void blank_controls(char *text)
{
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = ' ';
        }
    }
}

enum hf_code status_read(struct hf_status *status, const struct bytes *headers,
                         uint32_t http2_error)
{
    char message[HF_MESSAGE_MAX];
    enum rpc_code code =
        rpc_outcome_read(headers, http2_error, message, sizeof(message));

    return status_take(status, (enum hf_code)code, message, headers);
}

enum hf_code status_take(struct hf_status *status, enum hf_code code,
                         const char *message, const struct bytes *headers)
{
    const char *reason = rpc_headers_get(headers, "holdfast-reason");

    (void)status_set(status, code, "%s", message);
    blank_controls(status->message);
    status->reason[0] = '\0';
    if (reason != NULL) {
        (void)rpc_message_decode(reason, strlen(reason), status->reason,
                                 sizeof(status->reason));
        blank_controls(status->reason);
    }
    return status->code;
}

void status_at_deadline(struct hf_status *status, uint64_t timeout_ms)
{
    char reason[HF_MESSAGE_MAX];

    if (status->code == HF_STATUS_UNAVAILABLE) {
        memcpy(reason, status->message, sizeof(reason));
        (void)status_set(status, HF_STATUS_DEADLINE_EXCEEDED,
                         "not done within %" PRIu64 " ms: %s", timeout_ms,
                         reason);
    }
}
