/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bytes_init(struct bytes *bytes)
{
    *bytes = (struct bytes){0};
}

void bytes_close(struct bytes *bytes)
{
    free(bytes->data);
    bytes_init(bytes);
}

void bytes_clear(struct bytes *bytes)
{
    bytes->len = 0;
}

uint8_t *bytes_grow(struct bytes *bytes, size_t more)
{
    size_t capacity = bytes->capacity < 64 ? 64 : bytes->capacity;

    CHECK(more <= SIZE_MAX / 4 - bytes->len);
    while (capacity < bytes->len + more) {
        capacity *= 2;
    }
    bytes->data = memory_realloc_array(bytes->data, capacity, 1);
    bytes->capacity = capacity;
    return bytes->data + bytes->len;
}

void bytes_append_format(struct bytes *bytes, const char *format, ...)
{
    size_t room = 256;
    va_list arguments;
    int len;

    va_start(arguments, format);
    len =
        vsnprintf((char *)bytes_reserve(bytes, room), room, format, arguments);
    va_end(arguments);
    CHECK(len >= 0);
    if ((size_t)len >= room) {
        room = (size_t)len + 1;
        va_start(arguments, format);
        (void)vsnprintf((char *)bytes_reserve(bytes, room), room, format,
                        arguments);
        va_end(arguments);
    }
    bytes->len += (size_t)len;
}

void bytes_append_u16(struct bytes *bytes, uint16_t value)
{
    uint8_t *end = bytes_reserve(bytes, 2);

    end[0] = (uint8_t)value;
    end[1] = (uint8_t)(value >> 8);
    bytes->len += 2;
}

void bytes_append_u32(struct bytes *bytes, uint32_t value)
{
    bytes_put_u32(bytes_reserve(bytes, 4), value);
    bytes->len += 4;
}

void bytes_append_u64(struct bytes *bytes, uint64_t value)
{
    bytes_put_u64(bytes_reserve(bytes, 8), value);
    bytes->len += 8;
}

void bytes_consume(struct bytes *bytes, size_t len)
{
    CHECK(len <= bytes->len);
    bytes->len -= len;
    if (len > 0 && bytes->len > 0) {
        memmove(bytes->data, bytes->data + len, bytes->len);
    }
}

uint8_t *bytes_take(struct bytes *bytes, size_t *len)
{
    uint8_t *data = bytes_reserve(bytes, 1) - bytes->len;

    *len = bytes->len;
    bytes_init(bytes);
    return data;
}

void bytes_reader_init(struct bytes_reader *reader, const void *data,
                       size_t len)
{
    *reader = (struct bytes_reader){.data = data, .len = len};
}

const uint8_t *bytes_read(struct bytes_reader *reader, size_t len)
{
    const uint8_t *start = reader->data;

    if (reader->failed || len > reader->len) {
        reader->failed = true;
        return NULL;
    }
    reader->data += len;
    reader->len -= len;
    return start;
}

uint8_t bytes_read_u8(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_read(reader, 1);

    return p == NULL ? 0 : p[0];
}

uint16_t bytes_read_u16(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_read(reader, 2);

    if (p == NULL) {
        return 0;
    }
    return (uint16_t)((uint16_t)p[0] | (uint16_t)p[1] << 8);
}

uint32_t bytes_read_u32(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_read(reader, 4);

    return p == NULL ? 0 : bytes_get_u32(p);
}

uint64_t bytes_read_u64(struct bytes_reader *reader)
{
    const uint8_t *p = bytes_read(reader, 8);

    return p == NULL ? 0 : bytes_get_u64(p);
}
