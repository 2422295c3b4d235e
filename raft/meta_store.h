/* SPDX-License-Identifier: Apache-2.0
 *
 * Term and vote, and whose data this is. The two slots are written and synced
 * one after the other, always both: whatever single slot is torn or flipped,
 * the other holds the last acknowledged values. */
#ifndef RAFT_META_STORE_H
#define RAFT_META_STORE_H

#include "raft/files.h"

struct meta {
    uint64_t term;
    uint64_t voted_for; /* Node id; 0: nobody. */
};

/* Whose data: refuses to start on another region's or node's directory. */
struct meta_identity {
    uint64_t region_hash;
    uint64_t node_id;
};

struct meta_store {
    struct files *files;
    int handle;
    uint64_t counter; /* Of the last write. */
};

/* Makes the file with these first values, durably. */
int meta_store_create(struct files *files, const struct meta_identity *identity,
                      const struct meta *meta);

/* Reads it. HF_ERROR_NOT_FOUND: there is none; HF_ERROR_CORRUPT: both slots
 * are bad; HF_ERROR_INVALID: of another node or region. `files->error` says
 * what and what to do. */
int meta_store_open(struct meta_store *store, struct files *files,
                    const struct meta_identity *identity, struct meta *meta);
void meta_store_close(struct meta_store *store);

/* Durable when it returns 0. */
int meta_store_write(struct meta_store *store,
                     const struct meta_identity *identity,
                     const struct meta *meta);

#endif
