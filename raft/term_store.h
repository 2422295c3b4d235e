/* SPDX-License-Identifier: Apache-2.0
 *
 * Term and vote on disk: the file "term" with two slots, each with a checksum
 * and in a block of its own. A change is written and synced to the first, then
 * to the second. So at any moment one slot is whole: a crash leaves the old or
 * the new value, and damage to one slot leaves the other with the newest that
 * anybody was told. Damage to both is refused: voting twice in a term can make
 * two leaders. */
#ifndef RAFT_TERM_STORE_H
#define RAFT_TERM_STORE_H

#include "raft/failure.h"

struct term_store;

/* Makes the file in `directory`, synced. */
int term_store_create(struct files *files, const char *directory, uint64_t term,
                      struct failure *failure);

/* NULL after a failure. Repairs a slot that a crash left behind. */
struct term_store *term_store_open(struct files *files, const char *directory,
                                   uint64_t *term, uint64_t *vote,
                                   struct failure *failure);

void term_store_close(struct term_store *store);

/* On disk when it returns 0. */
int term_store_set(struct term_store *store, uint64_t term, uint64_t vote,
                   struct failure *failure);

#endif
