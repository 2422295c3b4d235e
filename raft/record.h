/* SPDX-License-Identifier: Apache-2.0
 *
 * The bytes of a log file: a head, then records one behind the other, then
 * zeros up to the file's allocated end. All numbers are little-endian.
 *
 *   head, 4096 bytes so that no record shares a sector with it
 *     0 magic    8 version  12 crc32c of 16 to 48  16 first index
 *    24 chain hash before the first entry  32 hash of the region's name
 *    40 node id
 *   record, padded with zeros to a multiple of 8
 *     0 magic    4 crc32c of all that follows, padding too
 *     8 payload bytes  12 type  13 zeros  16 index  24 term
 *    32 watermark: the last index that was on disk when this was written
 *    40 chain hash  48 payload
 *
 * A record of type RECORD_SYNCED holds no entry: it only carries a watermark.
 * Its index is that of the entry before it. */
#ifndef RAFT_RECORD_H
#define RAFT_RECORD_H

#include "base/bytes.h"
#include "raft/entries.h"

#include <stdbool.h>

#define SEGMENT_HEAD_BYTES 4096
#define RECORD_HEAD_BYTES  48

enum record_type {
    RECORD_COMMAND = ENTRY_COMMAND,
    RECORD_BARRIER = ENTRY_BARRIER,
    RECORD_MEMBERS = ENTRY_MEMBERS,
    RECORD_SYNCED = 4,
};

struct segment_head {
    uint64_t first_index;
    uint64_t chain;
    uint64_t region_hash;
    uint64_t node_id;
};

struct record {
    enum record_type type;
    uint64_t index;
    uint64_t term;
    uint64_t synced;
    uint64_t chain;
    const uint8_t *data; /* Lent. */
    uint32_t len;
};

/* Fills SEGMENT_HEAD_BYTES bytes. */
void segment_head_encode(const struct segment_head *head, uint8_t *block);

/* 0, HF_ERROR_CORRUPT or HF_ERROR_UNSUPPORTED (of a newer version). */
int segment_head_decode(struct segment_head *head, const uint8_t *block);

/* What a record with a payload of `len` takes. */
size_t record_bytes(size_t len);

void record_append(struct bytes *out, const struct record *record);

/* Reads the record at the start of `data`; false when there is no whole and
 * sound one. `*taken` gets its bytes. */
bool record_decode(struct record *record, const uint8_t *data, size_t len,
                   size_t *taken);

/* Whether a sound record stands anywhere in `data`, at a multiple of 8, whose
 * watermark is at least `index`: proof that `index` was on disk once. */
bool record_proves(const uint8_t *data, size_t len, uint64_t index);

#endif
