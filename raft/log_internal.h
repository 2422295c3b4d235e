/* SPDX-License-Identifier: Apache-2.0
 *
 * What the two halves of the log store share: log_store.c writes, log_load.c
 * reads. */
#ifndef RAFT_LOG_INTERNAL_H
#define RAFT_LOG_INTERNAL_H

#include "raft/log_store.h"
#include "raft/paths.h"

struct log_store {
    struct log_store_options options;
    uint64_t *segments; /* First indexes, ascending. */
    size_t segment_count;
    struct file *file;   /* The last segment, for writing. */
    uint64_t offset;     /* Where the next record goes. */
    uint64_t allocated;  /* Bytes of the last file. */
    uint64_t last_index; /* Of the last record. */
    uint64_t watermark;  /* The highest found at open. */
};

int segment_create(const struct log_store_options *options,
                   uint64_t first_index, uint64_t chain, uint64_t bytes,
                   struct file **file, struct failure *failure);
int segment_unlink(const struct log_store_options *options,
                   uint64_t first_index, struct failure *failure);
int segment_cut(struct log_store *store, uint64_t offset,
                struct failure *failure);

void segments_push(struct log_store *store, uint64_t first_index);

/* Fills `segments` from the directory and removes drafts. */
int segments_list(struct log_store *store, struct failure *failure);

/* Opens the last segment for writing; leaves the offset alone. */
int segment_open_last(struct log_store *store, struct failure *failure);

/* Where the record of `index` stands in the last segment. */
int segment_find(struct log_store *store, uint64_t index, uint64_t *offset,
                 struct failure *failure);

#endif
