/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/unpack.h"

#include <stdio.h>
#include <string.h>

#define DEPTH_MAX 32

static void *allocate(void *arena, size_t size)
{
    return arena_alloc(arena, size);
}

static void release(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

/* The length of one UTF-8 sequence (RFC 3629, table 3-7 of Unicode), or 0. */
static size_t sequence_len(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return left >= 2 && (p[1] & 0xc0) == 0x80 ? 2 : 0;
    }
    if ((p[0] & 0xf0) == 0xe0) {
        uint8_t low = p[0] == 0xe0 ? 0xa0 : 0x80;
        uint8_t high = p[0] == 0xed ? 0x9f : 0xbf;

        return left >= 3 && p[1] >= low && p[1] <= high && (p[2] & 0xc0) == 0x80
                   ? 3
                   : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        uint8_t low = p[0] == 0xf0 ? 0x90 : 0x80;
        uint8_t high = p[0] == 0xf4 ? 0x8f : 0xbf;

        return left >= 4 && p[1] >= low && p[1] <= high &&
                       (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80
                   ? 4
                   : 0;
    }
    return 0;
}

static const char *string_fault(const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t sequence = sequence_len(data + i, len - i);

        if (data[i] == 0) {
            return "holds a NUL";
        }
        if (sequence == 0) {
            return "is not UTF-8";
        }
        i += sequence;
    }
    return NULL;
}

/* A walk over the wire, beside protobuf-c's: there, a NUL has already cut the
 * string. */
struct walk {
    const uint8_t *at;
    const uint8_t *end;
    struct unpack_error *error;
};

static bool fail(struct walk *walk, const char *field, const char *reason)
{
    snprintf(walk->error->field, sizeof(walk->error->field), "%s", field);
    snprintf(walk->error->reason, sizeof(walk->error->reason), "%s", reason);
    return false;
}

static bool read_varint(struct walk *walk, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (walk->at == walk->end) {
            return false;
        }
        *value |= (uint64_t)(*walk->at & 0x7f) << shift;
        if ((*walk->at++ & 0x80) == 0) {
            return true;
        }
    }
    return false;
}

static bool skip(struct walk *walk, size_t len)
{
    if ((size_t)(walk->end - walk->at) < len) {
        return false;
    }
    walk->at += len;
    return true;
}

static bool check_strings(const ProtobufCMessageDescriptor *descriptor,
                          struct walk *walk, int depth);

static bool check_part(const ProtobufCFieldDescriptor *field, struct walk *walk,
                       size_t len, int depth)
{
    struct walk inner = {walk->at, walk->at + len, walk->error};
    const char *fault;
    char path[128];

    if (field == NULL) {
        return true;
    }
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        fault = string_fault(walk->at, len);
        return fault == NULL || fail(walk, field->name, fault);
    }
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        return true;
    }
    if (check_strings(field->descriptor, &inner, depth + 1)) {
        return true;
    }
    snprintf(path, sizeof(path), "%s", walk->error->field);
    snprintf(walk->error->field, sizeof(walk->error->field), "%.40s%s%.80s",
             field->name, path[0] == '\0' ? "" : ".", path);
    return false;
}

static bool check_strings(const ProtobufCMessageDescriptor *descriptor,
                          struct walk *walk, int depth)
{
    while (walk->at < walk->end) {
        const ProtobufCFieldDescriptor *field;
        uint64_t tag;
        uint64_t value;
        bool good;

        if (depth > DEPTH_MAX || !read_varint(walk, &tag) ||
            tag >> 3 > UINT32_MAX) {
            return fail(walk, "", "is malformed");
        }
        field = protobuf_c_message_descriptor_get_field(descriptor,
                                                        (unsigned)(tag >> 3));
        switch (tag & 7) {
        case 0:
            good = read_varint(walk, &value);
            break;
        case 1:
            good = skip(walk, 8);
            break;
        case 2:
            good = read_varint(walk, &value) &&
                   value <= (uint64_t)(walk->end - walk->at);
            if (good && !check_part(field, walk, (size_t)value, depth)) {
                return false;
            }
            good = good && skip(walk, (size_t)value);
            break;
        case 5:
            good = skip(walk, 4);
            break;
        default:
            good = false;
            break;
        }
        if (!good) {
            return fail(walk, field == NULL ? "" : field->name, "is malformed");
        }
    }
    return true;
}

const ProtobufCMessage *message_unpack(
    const ProtobufCMessageDescriptor *descriptor, struct arena *arena,
    const uint8_t *data, size_t len, struct unpack_error *error)
{
    static const uint8_t nothing[1];
    ProtobufCAllocator allocator = {allocate, release, arena};
    struct walk walk = {data, data + len, error};
    const ProtobufCMessage *message;

    *error = (struct unpack_error){{0}, {0}};
    if (len == 0) {
        data = nothing;
        walk.at = walk.end = nothing;
    }
    if (!check_strings(descriptor, &walk, 0)) {
        return NULL;
    }
    message = protobuf_c_message_unpack(descriptor, &allocator, len, data);
    if (message == NULL) {
        fail(&walk, "", "is malformed, or takes too much memory");
    }
    return message;
}

static bool is_finite(const ProtobufCMessageDescriptor *descriptor, int depth)
{
    if (depth > DEPTH_MAX) {
        return false;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];

        if (field->type == PROTOBUF_C_TYPE_MESSAGE &&
            !is_finite(field->descriptor, depth + 1)) {
            return false;
        }
    }
    return true;
}

bool message_descriptor_is_finite(const ProtobufCMessageDescriptor *descriptor)
{
    return is_finite(descriptor, 0);
}
