/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/record.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "raft/limits.h"

#include <string.h>

#define SEGMENT_MAGIC   0x314745534c464855ULL /* "UHFLSEG1" in file order */
#define SEGMENT_VERSION 1
#define RECORD_MAGIC    0x52464852U /* "RHFR" */

void segment_head_encode(const struct segment_head *head, uint8_t *block)
{
    memset(block, 0, SEGMENT_HEAD_BYTES);
    bytes_put_u64(block, SEGMENT_MAGIC);
    bytes_put_u32(block + 8, SEGMENT_VERSION);
    bytes_put_u64(block + 16, head->first_index);
    bytes_put_u64(block + 24, head->chain);
    bytes_put_u64(block + 32, head->region_hash);
    bytes_put_u64(block + 40, head->node_id);
    bytes_put_u32(block + 12, crc32c(0, block + 16, 32));
}

int segment_head_decode(struct segment_head *head, const uint8_t *block)
{
    if (bytes_get_u64(block) != SEGMENT_MAGIC ||
        bytes_get_u32(block + 12) != crc32c(0, block + 16, 32)) {
        return HF_ERROR_CORRUPT;
    }
    if (bytes_get_u32(block + 8) != SEGMENT_VERSION) {
        return HF_ERROR_UNSUPPORTED;
    }
    head->first_index = bytes_get_u64(block + 16);
    head->chain = bytes_get_u64(block + 24);
    head->region_hash = bytes_get_u64(block + 32);
    head->node_id = bytes_get_u64(block + 40);
    return 0;
}

size_t record_bytes(size_t len)
{
    return RECORD_HEAD_BYTES + ((len + 7) & ~(size_t)7);
}

void record_append(struct bytes *out, const struct record *record)
{
    CHECK(record->len <= RAFT_ENTRY_BYTES_MAX);
    size_t total = record_bytes(record->len);
    uint8_t *p = bytes_reserve(out, total);
    memset(p, 0, RECORD_HEAD_BYTES);
    bytes_put_u32(p, RECORD_MAGIC);
    bytes_put_u32(p + 8, record->len);
    p[12] = (uint8_t)record->type;
    bytes_put_u64(p + 16, record->index);
    bytes_put_u64(p + 24, record->term);
    bytes_put_u64(p + 32, record->synced);
    bytes_put_u64(p + 40, record->chain);
    if (record->len > 0) {
        memcpy(p + RECORD_HEAD_BYTES, record->data, record->len);
    }
    memset(p + RECORD_HEAD_BYTES + record->len, 0,
           total - RECORD_HEAD_BYTES - record->len);
    bytes_put_u32(p + 4, crc32c(0, p + 8, total - 8));
    out->len += total;
}

bool record_decode(struct record *record, const uint8_t *data, size_t len,
                   size_t *taken)
{
    if (len < RECORD_HEAD_BYTES || bytes_get_u32(data) != RECORD_MAGIC) {
        return false;
    }
    uint32_t payload = bytes_get_u32(data + 8);
    if (payload > RAFT_ENTRY_BYTES_MAX || record_bytes(payload) > len) {
        return false;
    }
    size_t total = record_bytes(payload);
    if (bytes_get_u32(data + 4) != crc32c(0, data + 8, total - 8)) {
        return false;
    }
    /* The zeros also keep text inside an entry from looking like a record: no
     * string there holds a NUL. */
    if (data[12] < RECORD_COMMAND || data[12] > RECORD_SYNCED ||
        (data[13] | data[14] | data[15]) != 0) {
        return false;
    }
    record->type = (enum record_type)data[12];
    record->index = bytes_get_u64(data + 16);
    record->term = bytes_get_u64(data + 24);
    record->synced = bytes_get_u64(data + 32);
    record->chain = bytes_get_u64(data + 40);
    record->data = data + RECORD_HEAD_BYTES;
    record->len = payload;
    *taken = total;
    return true;
}

bool record_proves(const uint8_t *data, size_t len, uint64_t index)
{
    for (size_t at = 0; at + RECORD_HEAD_BYTES <= len; at += 8) {
        struct record record;
        size_t taken;
        if (record_decode(&record, data + at, len - at, &taken) &&
            record.synced >= index) {
            return true;
        }
    }
    return false;
}
