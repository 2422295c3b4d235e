/* SPDX-License-Identifier: Apache-2.0
 *
 * The log on disk: files log/<first index>.seg of fixed size, allocated in
 * full when they are made, written once from the front (raft/record.h).
 *
 * What a bad record means is decided by the watermark. Every record carries
 * the last index that was on disk when it was written, and after a moment of
 * quiet a record of its own carries it. A bad record is
 *   above every watermark that follows: an unfinished write; it is cut off;
 *   at or below one: damage to what was acknowledged; the store refuses.
 * Nothing in between: a corrupted end that is silently cut can lose a
 * committed entry.
 *
 * Used by one thread at a time: the loop's until log_store_open() returns,
 * then the log lane's. After an error nothing may be called but close. */
#ifndef RAFT_LOG_STORE_H
#define RAFT_LOG_STORE_H

#include "raft/failure.h"
#include "raft/record.h"

struct log_store;

struct log_store_options {
    struct files *files;
    const char *directory; /* Of the replica; the log is in log/ there. */
    uint64_t segment_bytes;
    uint64_t region_hash;
    uint64_t node_id;
};

/* Gets every entry at open, in order; the record is lent. Before them, where
 * they begin: the first index, and the chain hash before it. */
struct log_visitor {
    void (*begin)(struct log_visitor *visitor, uint64_t first_index,
                  uint64_t chain);
    void (*visit)(struct log_visitor *visitor, const struct record *record);
};

/* Makes an empty first file that begins with `first_index`, in log/, which is
 * there and empty. */
int log_store_create(const struct log_store_options *options,
                     uint64_t first_index, uint64_t chain,
                     struct failure *failure);

/* Reads the whole log, cuts an unfinished end, and leaves it ready to go on.
 * NULL after a failure. */
struct log_store *log_store_open(const struct log_store_options *options,
                                 struct log_visitor *visitor,
                                 struct failure *failure);

void log_store_close(struct log_store *store);

/* Index of the first entry in the files. */
uint64_t log_store_first(const struct log_store *store);

/* As found at open: the last entry, which is on disk, and the highest
 * watermark. */
uint64_t log_store_last(const struct log_store *store);
uint64_t log_store_watermark(const struct log_store *store);

/* One encoded record, lent. */
struct log_append {
    const uint8_t *data;
    size_t len;
    uint64_t index;          /* Of the record. */
    uint64_t chain_previous; /* Of the entry before it. */
};
/* On disk only after log_store_sync(). */
int log_store_append(struct log_store *store, const struct log_append *append,
                     struct failure *failure);

int log_store_sync(struct log_store *store, struct failure *failure);

/* Removes the entry `index` and all after it, for good. */
int log_store_truncate(struct log_store *store, uint64_t index,
                       struct failure *failure);

/* Removes files that hold only entries before `index`. */
int log_store_trim(struct log_store *store, uint64_t index,
                   struct failure *failure);

/* Removes everything; the next entry will be `first_index`, behind `chain`. No
 * store may be open; after a crash in the middle it must be done again before
 * the next open. */
int log_store_reset(const struct log_store_options *options,
                    uint64_t first_index, uint64_t chain,
                    struct failure *failure);

#endif
