/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/message.h"

#include "rpc/limits.h"

#include <string.h>

void rpc_frame_append(struct bytes *out, const void *message, size_t len)
{
    uint8_t head[RPC_FRAME_HEAD_BYTES] = {0, (uint8_t)(len >> 24),
                                          (uint8_t)(len >> 16),
                                          (uint8_t)(len >> 8), (uint8_t)len};

    bytes_append(out, head, sizeof(head));
    bytes_append(out, message, len);
}

enum rpc_frame_result rpc_frame_next(const struct bytes *in,
                                     const uint8_t **message, size_t *len)
{
    const uint8_t *head = in->data;

    if (in->len < RPC_FRAME_HEAD_BYTES) {
        return RPC_FRAME_MORE;
    }
    *len = (size_t)head[1] << 24 | (size_t)head[2] << 16 |
           (size_t)head[3] << 8 | (size_t)head[4];
    if (head[0] != 0) {
        return RPC_FRAME_COMPRESSED;
    }
    if (*len > RPC_MESSAGE_BYTES_MAX) {
        return RPC_FRAME_TOO_LARGE;
    }
    if (in->len - RPC_FRAME_HEAD_BYTES < *len) {
        return RPC_FRAME_MORE;
    }
    *message = head + RPC_FRAME_HEAD_BYTES;
    return RPC_FRAME_READY;
}

/* Before each pair. */
struct header_lengths {
    uint32_t name;
    uint32_t value;
};

void rpc_headers_add(struct bytes *headers, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len)
{
    struct header_lengths lengths = {(uint32_t)name_len, (uint32_t)value_len};

    bytes_append(headers, &lengths, sizeof(lengths));
    bytes_append(headers, name, name_len);
    bytes_append_u8(headers, 0);
    bytes_append(headers, value, value_len);
    bytes_append_u8(headers, 0);
}

/* The pair at *cursor, which moves on; NULL at the end. */
static const char *next_pair(const struct bytes *headers, size_t *cursor,
                             struct header_lengths *lengths)
{
    const char *name;

    if (*cursor >= headers->len) {
        return NULL;
    }
    memcpy(lengths, headers->data + *cursor, sizeof(*lengths));
    name = (const char *)headers->data + *cursor + sizeof(*lengths);
    *cursor += sizeof(*lengths) + lengths->name + 1 + lengths->value + 1;
    return name;
}

bool rpc_headers_next(const struct bytes *headers, size_t *cursor,
                      const char **name, const char **value)
{
    struct header_lengths lengths;

    *name = next_pair(headers, cursor, &lengths);
    if (*name == NULL) {
        return false;
    }
    *value = *name + lengths.name + 1;
    return true;
}

const char *rpc_headers_get(const struct bytes *headers, const char *name)
{
    size_t len = strlen(name);
    size_t cursor = 0;
    struct header_lengths lengths;
    const char *at;

    while ((at = next_pair(headers, &cursor, &lengths)) != NULL) {
        if (lengths.name == len && memcmp(at, name, len) == 0) {
            return at + len + 1;
        }
    }
    return NULL;
}

nghttp2_nv rpc_nv(const char *name, const char *value)
{
    union {
        const char *lent;
        uint8_t *data; /* nghttp2's field is not const, but only reads. */
    } n = {name}, v = {value};

    return (nghttp2_nv){n.data, v.data, strlen(name), strlen(value),
                        NGHTTP2_NV_FLAG_NONE};
}
