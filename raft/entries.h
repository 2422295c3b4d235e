/* SPDX-License-Identifier: Apache-2.0
 *
 * The log in memory: every entry behind the last compaction, as the log store
 * has it on disk or will have it. libraft's core keeps only the terms.
 *
 * Each entry has a chain hash over itself and all entries before it. Two logs
 * with the same chain at an index are the same up to there, so a divergence
 * shows at the first entry that comes from somewhere else. */
#ifndef RAFT_ENTRIES_H
#define RAFT_ENTRIES_H

#include <stddef.h>
#include <stdint.h>

/* Numbers stand in the log and on the wire: never change. */
enum entry_type {
    ENTRY_COMMAND = 1,
    ENTRY_BARRIER = 2,
    ENTRY_MEMBERS = 3,
};

struct entry {
    uint64_t term;
    uint64_t chain;
    enum entry_type type;
    uint32_t len;
    uint8_t *data; /* Owned by the log it is in; NULL when len is 0. */
};

/* The chain hash of an entry that follows one with `previous`; 0 stands before
 * the first entry. */
uint64_t entry_chain(uint64_t previous, uint64_t index,
                     const struct entry *entry);

struct entries {
    struct entry *ring; /* NULL while nothing was appended. */
    size_t capacity;    /* 0 or a power of two. */
    size_t start;       /* Slot of the first entry. */
    size_t count;
    uint64_t base_index; /* The entry before the first: compacted, or 0. */
    uint64_t base_term;
    uint64_t base_chain;
    uint64_t bytes; /* Of all data. */
};

/* An empty log that goes on behind the entry `index`; 0 for a new one. */
void entries_init(struct entries *entries, uint64_t index, uint64_t term,
                  uint64_t chain);
void entries_close(struct entries *entries);

static inline uint64_t entries_first(const struct entries *entries)
{
    return entries->base_index + 1;
}

static inline uint64_t entries_last(const struct entries *entries)
{
    return entries->base_index + entries->count;
}

/* The entry, or NULL when it is compacted or beyond the end. Lent until the
 * log changes. */
const struct entry *entries_get(const struct entries *entries, uint64_t index);

/* Term and chain at an index from base_index to the last; 0 elsewhere. */
uint64_t entries_term(const struct entries *entries, uint64_t index);
uint64_t entries_chain(const struct entries *entries, uint64_t index);

/* Appends; takes `data` and computes the chain. */
void entries_append(struct entries *entries, uint64_t term,
                    enum entry_type type, uint8_t *data, size_t len);

/* Forgets the entry `index` and all after it. */
void entries_truncate(struct entries *entries, uint64_t index);

/* Forgets all up to and with `index`, which must be there. */
void entries_compact(struct entries *entries, uint64_t index);

/* Forgets all and goes on behind `index`. */
void entries_reset(struct entries *entries, uint64_t index, uint64_t term,
                   uint64_t chain);

#endif
