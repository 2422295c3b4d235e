/* SPDX-License-Identifier: Apache-2.0
 *
 * The content of a snapshot, as the state's owner writes and reads it. How it
 * is packed, checked and kept: raft/snapshot_store.h. */
#ifndef RAFT_SNAPSHOT_H
#define RAFT_SNAPSHOT_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A frozen copy of the state, to be written. The owner embeds it. */
struct snapshot_content {
    /* Appends about `budget` bytes to `out`; false at the end. Called on a
     * storage thread, by one caller at a time. */
    bool (*next)(struct snapshot_content *content, struct bytes *out,
                 size_t budget);

    /* Called on the loop's thread, once, also when the end was not reached. */
    void (*destroy)(struct snapshot_content *content);
};

/* A snapshot being read. */
struct snapshot_source;

/* The next piece of the content, lent until the next call; *len is 0 at the
 * end. 0, HF_ERROR_CORRUPT or HF_ERROR_IO. */
int snapshot_source_next(struct snapshot_source *source, const uint8_t **data,
                         size_t *len);

/* The last entry whose effect the snapshot holds. */
uint64_t snapshot_source_index(const struct snapshot_source *source);

#endif
