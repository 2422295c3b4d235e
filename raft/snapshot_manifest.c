/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/snapshot_manifest.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/error.h"
#include "raft/limits.h"

#include <string.h>

#define MANIFEST_MAGIC  0x3150414e53464855ULL /* "UHFSNAP1" in file order */
#define MANIFEST_FORMAT 1

void manifest_encode(const struct snapshot_manifest *manifest,
                     struct bytes *out)
{
    CHECK(manifest->members_len <= MANIFEST_MEMBERS_BYTES_MAX);
    size_t total = MANIFEST_HEAD_BYTES + manifest->members_len;
    uint8_t *p = bytes_reserve(out, total);
    bytes_put_u64(p, MANIFEST_MAGIC);
    bytes_put_u32(p + 12, MANIFEST_FORMAT);
    bytes_put_u64(p + 16, manifest->index);
    bytes_put_u64(p + 24, manifest->term);
    bytes_put_u64(p + 32, manifest->chain);
    bytes_put_u64(p + 40, manifest->packed_bytes);
    bytes_put_u64(p + 48, manifest->packed_hash);
    bytes_put_u64(p + 56, manifest->members_index);
    bytes_put_u32(p + 64, manifest->members_len);
    memcpy(p + MANIFEST_HEAD_BYTES, manifest->members, manifest->members_len);
    bytes_put_u32(p + 8, crc32c(0, p + 12, total - 12));
    out->len += total;
}

int manifest_decode(struct snapshot_manifest *manifest, const uint8_t *data,
                    size_t len)
{
    if (len < MANIFEST_HEAD_BYTES ||
        len > MANIFEST_HEAD_BYTES + MANIFEST_MEMBERS_BYTES_MAX ||
        bytes_get_u64(data) != MANIFEST_MAGIC ||
        bytes_get_u32(data + 8) != crc32c(0, data + 12, len - 12)) {
        return HF_ERROR_CORRUPT;
    }
    if (bytes_get_u32(data + 12) != MANIFEST_FORMAT) {
        return HF_ERROR_UNSUPPORTED;
    }
    manifest->index = bytes_get_u64(data + 16);
    manifest->term = bytes_get_u64(data + 24);
    manifest->chain = bytes_get_u64(data + 32);
    manifest->packed_bytes = bytes_get_u64(data + 40);
    manifest->packed_hash = bytes_get_u64(data + 48);
    manifest->members_index = bytes_get_u64(data + 56);
    manifest->members_len = bytes_get_u32(data + 64);
    if (manifest->members_len != len - MANIFEST_HEAD_BYTES ||
        manifest->index == 0 || manifest->index >= RAFT_NUMBER_MAX ||
        manifest->term == 0 || manifest->term >= RAFT_NUMBER_MAX ||
        manifest->members_index == 0 ||
        manifest->members_index > manifest->index ||
        manifest->packed_bytes == 0 ||
        manifest->packed_bytes > RAFT_SNAPSHOT_BYTES_MAX) {
        return HF_ERROR_CORRUPT;
    }
    memcpy(manifest->members, data + MANIFEST_HEAD_BYTES,
           manifest->members_len);
    return 0;
}
