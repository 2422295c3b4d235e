/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/meta_store.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define META_PATH  "meta"
#define META_MAGIC 0x314154454d4648u /* "HFMETA1" */
#define SLOT_BYTES 512               /* A sector each, so they tear apart. */

static void encode(uint8_t *slot, uint64_t counter,
                   const struct meta_identity *identity,
                   const struct meta *meta)
{
    memset(slot, 0, SLOT_BYTES);
    bytes_put_u64(slot, META_MAGIC);
    bytes_put_u64(slot + 8, counter);
    bytes_put_u64(slot + 16, identity->region_hash);
    bytes_put_u64(slot + 24, identity->node_id);
    bytes_put_u64(slot + 32, meta->term);
    bytes_put_u64(slot + 40, meta->voted_for);
    bytes_put_u32(slot + 48, crc32c(0, slot, 48));
}

static bool decode(const uint8_t *slot, uint64_t *counter,
                   struct meta_identity *identity, struct meta *meta)
{
    if (bytes_get_u64(slot) != META_MAGIC ||
        bytes_get_u32(slot + 48) != crc32c(0, slot, 48)) {
        return false;
    }
    *counter = bytes_get_u64(slot + 8);
    identity->region_hash = bytes_get_u64(slot + 16);
    identity->node_id = bytes_get_u64(slot + 24);
    meta->term = bytes_get_u64(slot + 32);
    meta->voted_for = bytes_get_u64(slot + 40);
    return true;
}

static int write_both(struct files *files, int handle, const uint8_t *slot)
{
    for (uint64_t i = 0; i < 2; i++) {
        int rv = files->write(files, handle, slot, SLOT_BYTES, i * SLOT_BYTES);

        if (rv == 0) {
            rv = files->sync(files, handle);
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int meta_store_create(struct files *files, const struct meta_identity *identity,
                      const struct meta *meta)
{
    uint8_t slot[SLOT_BYTES];
    int handle = files->open(files, META_PATH ".tmp", 1);
    int rv;

    if (handle < 0) {
        return handle;
    }
    encode(slot, 1, identity, meta);
    rv = write_both(files, handle, slot);
    files->close(files, handle);
    if (rv == 0) {
        rv = files->rename(files, META_PATH ".tmp", META_PATH);
    }
    if (rv == 0) {
        rv = files->sync_directory(files, ".");
    }
    return rv;
}

static int check_identity(struct files *files,
                          const struct meta_identity *found,
                          const struct meta_identity *wanted)
{
    if (found->node_id != wanted->node_id) {
        snprintf(files->error, sizeof(files->error),
                 "this data directory belongs to node id %llu, but the "
                 "configuration says %llu; correct `data_dir` or `nodes`",
                 (unsigned long long)found->node_id,
                 (unsigned long long)wanted->node_id);
        return HF_ERROR_INVALID;
    }
    if (found->region_hash != wanted->region_hash) {
        snprintf(files->error, sizeof(files->error),
                 "this data directory belongs to another region; correct "
                 "`region` or `data_dir`");
        return HF_ERROR_INVALID;
    }
    return 0;
}

static int read_slots(struct meta_store *store,
                      const struct meta_identity *identity, struct meta *meta)
{
    struct files *files = store->files;
    uint8_t slots[2 * SLOT_BYTES] = {0};
    struct meta_identity found;
    struct meta candidate;
    uint64_t counter;
    int64_t len = files->read(files, store->handle, slots, sizeof(slots), 0);

    if (len < 0) {
        return (int)len;
    }
    for (size_t i = 0; i < 2; i++) {
        if (decode(slots + i * SLOT_BYTES, &counter, &found, &candidate) &&
            counter > store->counter) {
            int rv = check_identity(files, &found, identity);

            if (rv != 0) {
                return rv;
            }
            store->counter = counter;
            *meta = candidate;
        }
    }
    if (store->counter == 0) {
        snprintf(files->error, sizeof(files->error),
                 "file %s is corrupt: neither copy of term and vote has a "
                 "right checksum. This node must not vote again: remove it "
                 "from the region and join under a new id",
                 META_PATH);
        return HF_ERROR_CORRUPT;
    }
    return 0;
}

int meta_store_open(struct meta_store *store, struct files *files,
                    const struct meta_identity *identity, struct meta *meta)
{
    int rv;

    *store = (struct meta_store){.files = files};
    store->handle = files->open(files, META_PATH, 0);
    if (store->handle < 0) {
        return store->handle;
    }
    rv = read_slots(store, identity, meta);
    if (rv == 0) {
        /* Makes the copies equal again if a write was cut short: the newer
         * one may now be relied upon. */
        rv = meta_store_write(store, identity, meta);
    }
    if (rv != 0) {
        meta_store_close(store);
    }
    return rv;
}

void meta_store_close(struct meta_store *store)
{
    store->files->close(store->files, store->handle);
    store->handle = -1;
}

int meta_store_write(struct meta_store *store,
                     const struct meta_identity *identity,
                     const struct meta *meta)
{
    uint8_t slot[SLOT_BYTES];

    encode(slot, ++store->counter, identity, meta);
    return write_both(store->files, store->handle, slot);
}
