/* SPDX-License-Identifier: Apache-2.0
 *
 * gRPC's framing of messages (a flag byte, four bytes of length, the message)
 * and lists of headers. */
#ifndef RPC_MESSAGE_H
#define RPC_MESSAGE_H

#include "base/bytes.h"

#include <nghttp2/nghttp2.h>
#include <stdbool.h>

#define RPC_FRAME_HEAD_BYTES 5

void rpc_frame_append(struct bytes *out, const void *message, size_t len);

enum rpc_frame_result {
    RPC_FRAME_MORE,      /* Not whole yet. */
    RPC_FRAME_READY,     /* `message` and `len` are set. */
    RPC_FRAME_TOO_LARGE, /* Above RPC_MESSAGE_BYTES_MAX. */
    RPC_FRAME_COMPRESSED /* Compressed, which was not agreed. */
};

/* Looks at the front of `in`; after READY the caller consumes
 * RPC_FRAME_HEAD_BYTES + len. */
enum rpc_frame_result rpc_frame_next(const struct bytes *in,
                                     const uint8_t **message, size_t *len);

/* Headers as they came: the lengths of name and value, name, NUL, value, NUL,
 * and so on. A call's are looked through several times. */
void rpc_headers_add(struct bytes *headers, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len);

/* The first value of a name, or NULL. */
const char *rpc_headers_get(const struct bytes *headers, const char *name);

/* The next pair at *cursor, which moves on; false at the end. */
bool rpc_headers_next(const struct bytes *headers, size_t *cursor,
                      const char **name, const char **value);

/* A header for nghttp2; both lent until the submit returns. */
nghttp2_nv rpc_nv(const char *name, const char *value);

#endif
