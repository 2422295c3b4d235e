/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client is told before its first call, and what it has learnt of its
 * endpoints: the same for the blocking and the asynchronous client. */
#ifndef CLIENT_CONTACT_H
#define CLIENT_CONTACT_H

#include "client/attempts.h"
#include "rpc/endpoint.h"
#include "tls/secret.h"
#include "tls/tls.h"

#include <holdfast/holdfast.h>

#define CONTACT_TIMEOUT_MS 10000

#define CONTACT_AUTHORIZATION_BYTES (7 + SECRET_TEXT_BYTES)

struct endpoint {
    char address[RPC_ENDPOINT_MAX + 1];
    char error[HF_MESSAGE_MAX]; /* Empty: none, or not asked. */
};

struct contact {
    struct endpoint endpoints[HF_ENDPOINTS_MAX];
    struct attempts attempts; /* Knows how many there are. */
    struct tls *tls;          /* NULL: plain. */
    char authorization[CONTACT_AUTHORIZATION_BYTES]; /* Empty: none. */
    uint32_t timeout_ms;
};

/* "host:port[,host:port...]"; INVALID_ARGUMENT, and nothing to close. */
enum hf_code contact_init(struct contact *contact, const char *endpoints,
                          struct hf_status *status);
void contact_close(struct contact *contact);

/* As hf_client_use_tls() and hf_client_use_token() say. */
enum hf_code contact_use_tls(struct contact *contact,
                             const struct hf_tls *files,
                             struct hf_status *status);
enum hf_code contact_use_token(struct contact *contact, const char *token,
                               struct hf_status *status);

void contact_set_timeout(struct contact *contact, uint32_t timeout_ms);

const char *contact_endpoint(const struct contact *contact, size_t index);
const char *contact_endpoint_error(const struct contact *contact, size_t index);
void contact_note_error(struct contact *contact, size_t index,
                        const char *error);

#endif
