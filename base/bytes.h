/* SPDX-License-Identifier: Apache-2.0
 *
 * A growable run of bytes, and little-endian numbers in it: what the codecs of
 * log, snapshots and frames are written with. */
#ifndef BASE_BYTES_H
#define BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    uint8_t *data;   /* Owned; NULL while empty. */
    size_t len;      /* Bytes in use. */
    size_t capacity; /* Bytes allocated. */
};

void bytes_init(struct bytes *bytes);
void bytes_close(struct bytes *bytes);

/* Forgets the content and keeps the memory. */
void bytes_clear(struct bytes *bytes);

/* As bytes_reserve(), in new memory. */
uint8_t *bytes_grow(struct bytes *bytes, size_t more);

/* Makes room for `more` bytes behind the content and returns where they start;
 * the caller writes there and adds to `len` what it wrote. */
static inline uint8_t *bytes_reserve(struct bytes *bytes, size_t more)
{
    if (more > bytes->capacity - bytes->len || bytes->data == NULL) {
        return bytes_grow(bytes, more);
    }
    return bytes->data + bytes->len;
}

static inline void bytes_append(struct bytes *bytes, const void *data,
                                size_t len)
{
    uint8_t *end = bytes_reserve(bytes, len);

    if (len > 0) {
        memcpy(end, data, len);
        bytes->len += len;
    }
}

/* Text as printf() makes it, without the NUL. */
void bytes_append_format(struct bytes *bytes, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline void bytes_append_u8(struct bytes *bytes, uint8_t value)
{
    *bytes_reserve(bytes, 1) = value;
    bytes->len++;
}

void bytes_append_u16(struct bytes *bytes, uint16_t value);
void bytes_append_u32(struct bytes *bytes, uint32_t value);
void bytes_append_u64(struct bytes *bytes, uint64_t value);

/* Drops `len` bytes from the front. */
void bytes_consume(struct bytes *bytes, size_t len);

/* Gives the memory to the caller, who frees it with free(). */
uint8_t *bytes_take(struct bytes *bytes, size_t *len);

/* Reads from a lent run of bytes. After a read past the end every read gives
 * zero and `failed` is set: check once, at the end. */
struct bytes_reader {
    const uint8_t *data;
    size_t len; /* Bytes left. */
    bool failed;
};

void bytes_reader_init(struct bytes_reader *reader, const void *data,
                       size_t len);
uint8_t bytes_read_u8(struct bytes_reader *reader);
uint16_t bytes_read_u16(struct bytes_reader *reader);
uint32_t bytes_read_u32(struct bytes_reader *reader);
uint64_t bytes_read_u64(struct bytes_reader *reader);

/* Lends the next `len` bytes, or NULL when there are fewer. */
const uint8_t *bytes_read(struct bytes_reader *reader, size_t len);

/* Little-endian numbers at any address. */
static inline uint32_t bytes_get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

static inline uint64_t bytes_get_u64(const uint8_t *p)
{
    return (uint64_t)bytes_get_u32(p) | (uint64_t)bytes_get_u32(p + 4) << 32;
}

static inline void bytes_put_u32(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
    p[2] = (uint8_t)(value >> 16);
    p[3] = (uint8_t)(value >> 24);
}

static inline void bytes_put_u64(uint8_t *p, uint64_t value)
{
    bytes_put_u32(p, (uint32_t)value);
    bytes_put_u32(p + 4, (uint32_t)(value >> 32));
}

#endif
