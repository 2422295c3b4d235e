/* SPDX-License-Identifier: Apache-2.0
 *
 * What calls and watches share: the endpoints, and when to try which again. */
#ifndef CLIENT_CLIENT_H
#define CLIENT_CLIENT_H

#include "base/random.h"
#include "client/connection.h"
#include "client/socket.h"
#include "tls/secret.h"

#include <holdfast/holdfast.h>

#define TIMEOUT_DEFAULT_MS 10000

/* Long enough for one lost packet on the way (the kernel sends it again after
 * 1 s), short enough to find the next node well within a call. */
#define CONNECT_TIMEOUT_MS 1500

/* The retry budget, in tenths of a token (gRPC proposal A6's throttling). */
#define BUDGET_MAX     100
#define BUDGET_FAILURE 10
#define BUDGET_SUCCESS 1

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   2000

#define CLIENT_AUTHORIZATION_BYTES (7 + SECRET_TEXT_BYTES)

struct endpoint {
    char address[SOCKET_ENDPOINT_MAX + 1];
    char error[HF_MESSAGE_MAX]; /* Empty: none, or not asked. */
};

struct hf_client {
    struct endpoint endpoints[HF_ENDPOINTS_MAX];
    size_t endpoint_count;
    size_t current; /* The endpoint that is asked next. */
    /* To endpoint `connected`; NULL: none. */
    struct connection *connection;
    size_t connected;
    struct tls *tls;                                /* NULL: plain. */
    char authorization[CLIENT_AUTHORIZATION_BYTES]; /* Empty: none. */
    uint32_t timeout_ms;
    unsigned budget; /* Tenths of a token. */
    struct random random;
};

/* The pause before round `round` (from 1), with jitter 0.8 to 1.2. */
uint64_t backoff_ms(unsigned round, struct random *random);

/* "holdfast.v1.VmService/CreateVm" for "VmService/CreateVm": its path with the
 * slash in front, into `path`. */
void method_path(const char *method, char *path, size_t size);

/* A message of a type; NULL: malformed, or larger in memory than a message of
 * ours can be. Freed with hf_message_free(). */
ProtobufCMessage *client_unpack(const ProtobufCMessageDescriptor *descriptor,
                                const uint8_t *data, size_t len);

#endif
