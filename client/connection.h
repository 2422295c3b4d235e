/* SPDX-License-Identifier: Apache-2.0
 *
 * One HTTP/2 connection to one node with at most one gRPC call on it, driven by
 * poll(2) while its owner waits. A blocking library needs no event loop and no
 * thread, so this is not built on rpc/. */
#ifndef CLIENT_CONNECTION_H
#define CLIENT_CONNECTION_H

#include "base/bytes.h"
#include "tls/tls.h"

#include <holdfast/holdfast.h>
#include <stdbool.h>
#include <stdint.h>

struct connection;

/* Connects to "host:port", over TLS unless `tls` (lent) is NULL; NULL: `error`
 * (size HF_MESSAGE_MAX) says why. `deadline_ms` by clock_boot_ms(). */
struct connection *connection_open(const char *endpoint, struct tls *tls,
                                   uint64_t deadline_ms, char *error);

/* When the node's certificate ends, seconds since 1970; 0: without TLS. */
uint64_t connection_certificate_end(const struct connection *connection);

/* Sent with each call from now on as the header `authorization`; lent. */
void connection_authorize(struct connection *connection,
                          const char *authorization);
void connection_close(struct connection *connection);

/* Whether another call can begin on it: no call is open, the node did not say
 * goodbye, nothing is broken. */
bool connection_is_idle(struct connection *connection);

/* Begins a call; `message` is copied. `timeout_ms` goes to the node, 0: none.
 * `previous`: how often it was sent before. Only when connection_is_idle(). */
void connection_call(struct connection *connection, const char *path,
                     const struct bytes *message, uint64_t timeout_ms,
                     unsigned previous);

enum connection_result {
    CONNECTION_MESSAGE, /* A message came: connection_take_message(). */
    CONNECTION_ENDED,   /* The call ended: connection_status(). */
    CONNECTION_TIMEOUT, /* The deadline passed. */
    CONNECTION_BROKEN   /* connection_error() says why. */
};

/* Waits for what comes next of the call. */
enum connection_result connection_wait(struct connection *connection,
                                       uint64_t deadline_ms);

/* The message, lent until the next connection_wait(). */
const uint8_t *connection_take_message(struct connection *connection,
                                       size_t *len);

/* How the call ended; fills code, reason and message. */
void connection_status(const struct connection *connection,
                       struct hf_status *status);

/* What the node asked for in grpc-retry-pushback-ms: milliseconds, or -1 for
 * "do not retry"; false: nothing. */
bool connection_pushback(const struct connection *connection,
                         int64_t *pushback_ms);

const char *connection_error(const struct connection *connection);

#endif
