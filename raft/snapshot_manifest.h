/* SPDX-License-Identifier: Apache-2.0
 *
 * What a snapshot is: stands beside it on disk and goes before it to a peer.
 * All numbers are little-endian:
 *
 *   0 magic  8 crc32c of 12 to the end  12 format  16 index  24 term
 *   32 chain hash at index  40 packed bytes  48 hash of the packed bytes
 *   56 index of the members' entry  64 length of what follows
 *   68 members, in libraft's encoding */
#ifndef RAFT_SNAPSHOT_MANIFEST_H
#define RAFT_SNAPSHOT_MANIFEST_H

#include "base/bytes.h"

#define MANIFEST_HEAD_BYTES 68

/* Members: 8 + 260 + 1 bytes each, see limits.h, and a head. */
#define MANIFEST_MEMBERS_BYTES_MAX (32 * 270)

/* The packed bytes are hashed in blocks of this size, each seeded with the
 * hash of those before it. */
#define MANIFEST_HASH_BLOCK 65536

struct snapshot_manifest {
    uint64_t index; /* The last entry in the snapshot. */
    uint64_t term;
    uint64_t chain;
    uint64_t packed_bytes;
    uint64_t packed_hash;
    uint64_t members_index;
    uint32_t members_len;
    uint8_t members[MANIFEST_MEMBERS_BYTES_MAX];
};

void manifest_encode(const struct snapshot_manifest *manifest,
                     struct bytes *out);

/* 0, HF_ERROR_CORRUPT or HF_ERROR_UNSUPPORTED. The members are not looked
 * into: members_check(). */
int manifest_decode(struct snapshot_manifest *manifest, const uint8_t *data,
                    size_t len);

#endif
