/* SPDX-License-Identifier: Apache-2.0
 *
 * A turn's changes as one log entry: the codec between struct change and the
 * Batch message of proto/holdfast/v1/log.proto. */
#ifndef STATE_BATCH_H
#define STATE_BATCH_H

#include "base/arena.h"
#include "base/bytes.h"
#include "state/change.h"

/* The newest that this code writes and reads; see log.proto. */
#define BATCH_FORMAT 1

/* Memory for decoding one entry; an entry is at most ENTRY_BYTES_MAX. */
#define BATCH_ARENA_BYTES (256u << 20)

struct batch_head {
    uint64_t base_revision;
    uint64_t base_hash;
    uint64_t time_ms;
};

/* Writes one entry. Begin, add changes in order, end; what the changes lend is
 * copied by batch_add. The result is what Protobuf would write for a Batch. */
void batch_begin(struct bytes *out, const struct batch_head *head);
void batch_add(struct bytes *out, const struct change *change);

/* A decoded entry: head and changes, which lend from `arena` and the input. */
struct batch {
    struct batch_head head;
    struct change *changes;
    size_t count;
};

/* 0; HF_ERROR_CORRUPT when it is no Batch; HF_ERROR_UNSUPPORTED when it was
 * written by a newer version (format, or a change or field not known here);
 * HF_ERROR_TOO_LARGE above the arena's ceiling. */
int batch_decode(const void *data, size_t len, struct arena *arena,
                 struct batch *batch);

#endif
