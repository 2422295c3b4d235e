/* SPDX-License-Identifier: Apache-2.0
 *
 * From a hash to slots of a table, in copy-on-write pages as well. Open
 * addressing; an entry is half a hash and a slot, so a probe seldom looks at a
 * record of another name. Its layout depends on history and is not hashed. */
#ifndef STATE_INDEX_H
#define STATE_INDEX_H

#include "state/records.h"
#include "state/table.h"

#include <stdbool.h>

struct index {
    struct table entries; /* A power of two of uint64_t, or none. */
    uint32_t count;
};

void index_init(struct index *index);
void index_close(struct index *index);
void index_clone(struct index *index, const struct index *original);

/* Says whether the record in `slot` is the one looked for. Embed it. */
struct index_key {
    bool (*matches)(const struct index_key *key, uint32_t slot);
    uint64_t hash;
};

/* The slot, or SLOT_NONE. */
uint32_t index_find(const struct index *index, const struct index_key *key);

/* The slot of the next entry at or after *cursor, which it moves on; SLOT_NONE
 * at the end. Start with 0. In no order that replicas share. */
uint32_t index_next(const struct index *index, uint32_t *cursor);

/* The key is not there yet. */
void index_insert(struct index *index, uint64_t hash, uint32_t slot);

/* The entry is there. */
void index_remove(struct index *index, uint64_t hash, uint32_t slot);

#endif
