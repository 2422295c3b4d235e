/* SPDX-License-Identifier: Apache-2.0
 *
 * Bytes of any length that records point to. Equal ones are kept once where it
 * pays (templates, labels); blob 0 is the empty one and always there. */
#ifndef STATE_BLOBS_H
#define STATE_BLOBS_H

#include "state/change.h"
#include "state/index.h"
#include "state/table.h"

struct blob_bytes;

struct blob {
    uint64_t content_hash;
    struct blob_bytes *bytes; /* NULL for a free slot. */
    uint32_t refs;            /* Records that point here. */
    uint32_t interned;        /* In the index; for a free slot: the next. */
};

struct blobs {
    struct table table;
    struct index index;
    uint32_t free_first; /* Slot of the first free one, or SLOT_NONE. */
    uint64_t bytes;      /* Content of all. */
    uint64_t hash;       /* Sum over all, for the state's hash. */
};

void blobs_init(struct blobs *blobs);
void blobs_close(struct blobs *blobs);
void blobs_clone(struct blobs *blobs, const struct blobs *original);

/* A blob with this content and one reference more. */
uint32_t blobs_intern(struct blobs *blobs, struct text content);

/* A blob of its own, not looked up and never shared by content. */
uint32_t blobs_add(struct blobs *blobs, struct text content);

/* Gives a reference back. */
void blobs_release(struct blobs *blobs, uint32_t blob);

struct text blobs_get(const struct blobs *blobs, uint32_t blob);

/* For a restore: puts a blob, or a free slot (content.data NULL), at the next
 * slot. `next_free` is a free slot's link. */
void blobs_restore(struct blobs *blobs, struct text content, uint32_t refs,
                   uint32_t interned_or_next);

/* The sum of blobs->hash from scratch. */
uint64_t blobs_hash_recomputed(const struct blobs *blobs);

#endif
