/* SPDX-License-Identifier: Apache-2.0 */
#include "node/apply_parts.h"

static void put_varint(struct bytes *out, uint64_t value)
{
    for (; value > 0x7f; value >>= 7) {
        bytes_append_u8(out, (uint8_t)(value | 0x80));
    }
    bytes_append_u8(out, (uint8_t)value);
}

static bool get_varint(struct text parts, uint32_t *offset, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64 && *offset < parts.len; shift += 7) {
        uint8_t byte = (uint8_t)parts.data[(*offset)++];

        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static uint64_t zigzag(int64_t value)
{
    return (uint64_t)value << 1 ^ (value < 0 ? UINT64_MAX : 0);
}

static int64_t unzigzag(uint64_t value)
{
    return (int64_t)(value >> 1 ^ ((value & 1) != 0 ? UINT64_MAX : 0));
}

void apply_parts_put(struct bytes *out, struct apply_cursor *cursor,
                     const struct operation_ref *part)
{
    uint32_t slot = uid_slot(part->uid);

    put_varint(out, (uint64_t)part->kind);
    put_varint(out, zigzag((int64_t)slot - cursor->slot));
    put_varint(out, part->uid >> 32);
    put_varint(out, part->mark);
    cursor->offset = (uint32_t)out->len;
    cursor->slot = slot;
}

bool apply_parts_next(struct text parts, struct apply_cursor *cursor,
                      struct operation_ref *part)
{
    uint32_t offset = cursor->offset;
    uint64_t kind;
    uint64_t step;
    uint64_t uses;

    *part = (struct operation_ref){.kind = OPERATION_NONE};
    if (!get_varint(parts, &offset, &kind) ||
        !get_varint(parts, &offset, &step) ||
        !get_varint(parts, &offset, &uses) ||
        !get_varint(parts, &offset, &part->mark) || kind == OPERATION_NONE ||
        kind >= OPERATION_KIND_COUNT || operation_is_apply(kind)) {
        return false;
    }
    cursor->slot = (uint32_t)((int64_t)cursor->slot + unzigzag(step));
    cursor->offset = offset;
    part->kind = (enum operation_kind)kind;
    part->uid = uses << 32 | cursor->slot;
    return true;
}
