/* SPDX-License-Identifier: Apache-2.0
 *
 * The state as a stream of records, for snapshots, backups and installs at a
 * peer. The format and its compatibility rules: proto/holdfast/v1/
 * snapshot.proto. Compression, checksum and files are raft/'s. */
#ifndef STATE_SNAPSHOT_H
#define STATE_SNAPSHOT_H

#include "state/state.h"

/* Walks a clone that nobody applies to; may run on another thread. */
struct snapshot_writer {
    const struct state *state;
    uint32_t table; /* Where the walk stands. */
    uint32_t slot;
    bool done;
};

void snapshot_writer_init(struct snapshot_writer *writer,
                          const struct state *state);

/* Appends about `budget` bytes of whole records to `out`; false at the end. */
bool snapshot_writer_next(struct snapshot_writer *writer, struct bytes *out,
                          size_t budget);

/* Builds a state from the stream, in pieces of any size. */
struct snapshot_reader;

struct snapshot_reader *snapshot_reader_create(void);

/* 0, HF_ERROR_CORRUPT or HF_ERROR_UNSUPPORTED (written by a newer version). */
int snapshot_reader_feed(struct snapshot_reader *reader, const void *data,
                         size_t len);

/* The state, now the caller's, if the stream is whole and the hash it states
 * is that of the records; else NULL. Destroys the reader. */
struct state *snapshot_reader_finish(struct snapshot_reader *reader);

/* Destroys a reader whose stream broke off. */
void snapshot_reader_abandon(struct snapshot_reader *reader);

#endif
