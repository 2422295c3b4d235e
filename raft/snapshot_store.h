/* SPDX-License-Identifier: Apache-2.0
 *
 * Snapshots on disk: snapshots/<index>.lz4, an LZ4 frame with a checksum of
 * its content that the lz4 tool opens, and <index>.manifest, which makes it
 * valid. The last two are kept. A snapshot that came from a peer first has its
 * manifest as <index>.install: the log must then be begun anew behind it.
 *
 *   writing:   <index>.lz4.draft, synced -> <index>.lz4 -> <index>.manifest
 *   receiving: incoming -> <index>.lz4 -> <index>.install
 *              -> log reset -> <index>.manifest
 *
 * If the newest is damaged at start, the one before is used and the log,
 * which is kept from there on, is applied again; without such a one, or after
 * an install, the replica refuses to start.
 *
 * Functions run on one thread at a time: the loop's before the lanes start,
 * then a storage lane's. */
#ifndef RAFT_SNAPSHOT_STORE_H
#define RAFT_SNAPSHOT_STORE_H

#include "raft/failure.h"
#include "raft/snapshot.h"
#include "raft/snapshot_manifest.h"

#include <lz4frame.h>

struct snapshot_store {
    struct files *files;
    const char *directory; /* Of the replica; lent. */
};

/* What is there at start. */
struct snapshot_inventory {
    bool any;
    bool installing;                 /* `newest` waits for its log reset. */
    uint64_t previous_index;         /* Of the one before; 0: there is none. */
    struct snapshot_manifest newest; /* Whole and sound. */
};

/* Removes drafts, finds and verifies the newest sound snapshot. */
int snapshot_store_open(const struct snapshot_store *store,
                        struct snapshot_inventory *inventory,
                        struct failure *failure);

/* Makes <index>.install a <index>.manifest. */
int snapshot_store_installed(const struct snapshot_store *store, uint64_t index,
                             struct failure *failure);

/* Removes all but `index` and `previous`; 0: none. */
int snapshot_store_clean(const struct snapshot_store *store, uint64_t index,
                         uint64_t previous, struct failure *failure);

/* Writing one, slice by slice. */
struct snapshot_writing {
    const struct snapshot_store *store;
    struct snapshot_content *content;
    struct snapshot_manifest manifest;
    struct file *file;
    LZ4F_cctx *packer;
    struct bytes raw;
    struct bytes packed; /* Not yet written; hashed in whole blocks. */
    uint64_t unsynced;
    bool complete;
};

/* `manifest` has all but the packed size and hash. */
void snapshot_writing_init(struct snapshot_writing *writing,
                           const struct snapshot_store *store,
                           struct snapshot_content *content,
                           const struct snapshot_manifest *manifest);
void snapshot_writing_close(struct snapshot_writing *writing);

/* Writes the next megabyte or so; `complete` is set at the end, all synced. */
int snapshot_writing_slice(struct snapshot_writing *writing,
                           struct failure *failure);

/* Makes the complete snapshot valid. */
int snapshot_writing_publish(struct snapshot_writing *writing,
                             struct failure *failure);

/* Receiving one from a peer, in order. */
struct snapshot_receiving {
    const struct snapshot_store *store;
    struct snapshot_manifest manifest;
    struct file *file;
    struct bytes tail; /* Written, not yet hashed: less than a block. */
    uint64_t received;
    uint64_t hash;
};

int snapshot_receiving_begin(struct snapshot_receiving *receiving,
                             const struct snapshot_store *store,
                             const struct snapshot_manifest *manifest,
                             struct failure *failure);
int snapshot_receiving_add(struct snapshot_receiving *receiving,
                           const uint8_t *data, size_t len,
                           struct failure *failure);
/* All is there: whether it is what the manifest says. */
bool snapshot_receiving_sound(const struct snapshot_receiving *receiving);
/* Makes it <index>.lz4 with <index>.install. */
int snapshot_receiving_publish(struct snapshot_receiving *receiving,
                               struct failure *failure);
void snapshot_receiving_close(struct snapshot_receiving *receiving);

/* Reading one: for a peer by position, for the owner as content. */
int snapshot_open_packed(const struct snapshot_store *store, uint64_t index,
                         struct file **file, struct failure *failure);

struct snapshot_source *snapshot_source_open(
    const struct snapshot_store *store,
    const struct snapshot_manifest *manifest, struct failure *failure);
void snapshot_source_close(struct snapshot_source *source);

/* The running hash; `len` is MANIFEST_HASH_BLOCK but for the last block. */
uint64_t snapshot_hash_block(uint64_t hash, const uint8_t *data, size_t len);

#endif
