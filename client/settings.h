/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client is told before its first call, and what it has learnt of its
 * endpoints: the same for the blocking and the asynchronous client. */
#ifndef CLIENT_SETTINGS_H
#define CLIENT_SETTINGS_H

#include "client/policy.h"
#include "rpc/endpoint.h"
#include "tls/secret.h"
#include "tls/tls.h"

#include <holdfast/holdfast.h>

#define SETTINGS_TIMEOUT_MS 10000

#define SETTINGS_AUTHORIZATION_BYTES (7 + SECRET_TEXT_BYTES)

struct endpoint {
    char address[RPC_ENDPOINT_MAX + 1];
    char error[HF_MESSAGE_MAX]; /* Empty: none, or not asked. */
};

struct settings {
    struct endpoint endpoints[HF_ENDPOINTS_MAX];
    struct policy policy; /* Knows how many there are. */
    struct tls *tls;      /* NULL: plain. */
    char authorization[SETTINGS_AUTHORIZATION_BYTES]; /* Empty: none. */
    uint32_t timeout_ms;
};

/* "host:port[,host:port...]"; INVALID_ARGUMENT, and nothing to close. */
enum hf_code settings_init(struct settings *settings, const char *endpoints,
                           struct hf_status *status);
void settings_close(struct settings *settings);

/* As hf_client_use_tls() and hf_client_use_token() say. */
enum hf_code settings_use_tls(struct settings *settings,
                              const struct hf_tls *files,
                              struct hf_status *status);
enum hf_code settings_use_token(struct settings *settings, const char *token,
                                struct hf_status *status);

void settings_set_timeout(struct settings *settings, uint32_t timeout_ms);

const char *settings_endpoint(const struct settings *settings, size_t index);
const char *settings_endpoint_error(const struct settings *settings,
                                    size_t index);
void settings_note_error(struct settings *settings, size_t index,
                         const char *error);

#endif
