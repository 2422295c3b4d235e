/* SPDX-License-Identifier: Apache-2.0
 *
 * The log on disk: segments of checksummed, chained records that are only
 * ever appended. A conflict is not overwritten but recorded ("cut back to
 * index i"), so no crash can leave half a change.
 *
 * Record: header of 48 bytes, then the data, padded to 8 bytes.
 *    0 magic      4 bytes
 *    4 len        4 bytes, of the data
 *    8 index      8 bytes
 *   16 term       8 bytes
 *   24 synced     8 bytes, the watermark: the last index known durable when
 *                 this was written
 *   32 chain      8 bytes, hash of the previous record's chain and this one
 *   40 type       4 bytes
 *   44 checksum   4 bytes, CRC-32C of header before it and data
 *
 * At load a bad record above the highest watermark is an unfinished write:
 * it and all behind it were never acknowledged, and are cut. Anything bad at
 * or below a watermark, a gap or a broken chain refuses to start: silently
 * dropping it could lose what was acknowledged.
 *
 * Encoding runs on the loop's thread (log_encode_*); everything that takes a
 * log_store runs on the writer's. */
#ifndef RAFT_LOG_STORE_H
#define RAFT_LOG_STORE_H

#include "base/bytes.h"
#include "raft/files.h"

#include <stdbool.h>

enum log_record_type {
    LOG_COMMAND = 1,
    LOG_BARRIER = 2,
    LOG_CONFIGURATION = 3,
    LOG_CUT = 4,      /* Entries from `index` on are void. */
    LOG_RESET = 5,    /* A snapshot replaced everything up to `index`. */
    LOG_WATERMARK = 6 /* Only says `synced`. */
};

struct log_record {
    enum log_record_type type;
    uint64_t index;
    uint64_t term;
    const uint8_t *data; /* Lent. */
    uint32_t len;
};

/* Where the next record continues; owned by the encoding thread. */
struct log_encoder {
    uint64_t chain;
    uint64_t synced;
};

/* Appends the record's bytes to `out`. */
void log_encode(struct log_encoder *encoder, const struct log_record *record,
                struct bytes *out);

struct log_segment {
    uint64_t number;     /* In the file's name; rises by one. */
    uint64_t last_index; /* Highest index in it or before; 0: none. */
};

struct log_store {
    struct files *files;
    struct log_segment *segments; /* The last is open for writing. */
    uint32_t segment_count;
    uint64_t segment_bytes; /* New segments are this large, or larger for one
                               large batch. */
    int handle;
    uint64_t offset; /* Of the next record in the open segment. */
    uint64_t size;   /* Of the open segment. */
};

/* Gets each live entry's data in order of indexes, after conflicts were
 * resolved; `entry` may be called again for an index that was cut. Embed. */
struct log_reader {
    /* A new entry, or one that replaces it and all behind it. */
    void (*entry)(struct log_reader *reader, const struct log_record *record);
    /* Entries from this index on are void. */
    void (*cut)(struct log_reader *reader, uint64_t index);
    /* All are void; the next has index + 1. */
    void (*reset)(struct log_reader *reader, uint64_t index, uint64_t term);
};

/* Makes an empty log, durably. */
int log_store_create(struct files *files, uint64_t segment_bytes);

/* Reads the log and opens it for appending; the encoder continues it.
 * HF_ERROR_CORRUPT: refuses, `files->error` says file, offset, index and what
 * to do; HF_ERROR_IO. */
int log_store_open(struct log_store *store, struct files *files,
                   uint64_t segment_bytes, struct log_reader *reader,
                   struct log_encoder *encoder);
void log_store_close(struct log_store *store);

/* Appends encoded records, whose highest index is `last_index`, and syncs.
 * Durable when it returns 0; after an error nothing may be relied upon and
 * the process must stop. */
int log_store_append(struct log_store *store, const struct bytes *records,
                     uint64_t chain_before, uint64_t last_index);

/* Deletes whole segments in which no index is above `index`. */
int log_store_drop(struct log_store *store, uint64_t index);

#endif
