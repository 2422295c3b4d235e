/* SPDX-License-Identifier: Apache-2.0
 *
 * What must be true of every state, computed from its records alone; and two
 * replicas of one, the second fed through encoded entries only. Fails the
 * running cmocka test. */
#ifndef SUPPORT_STATE_CHECK_H
#define SUPPORT_STATE_CHECK_H

#include "base/random.h"
#include "state/internal.h"

struct mirror {
    struct state *state;
    struct state *replica;
    uint64_t now_ms;
};

void mirror_init(struct mirror *mirror);
void mirror_close(struct mirror *mirror);

/* Applies directly to one and through an entry to the other: both have the same
 * hash then, and told the same events, without gap. A millisecond passes. */
void mirror_apply(struct mirror *mirror, const struct change *change);

/* Sums, counts, lists, references to blobs, the hash. */
void check_derived(const struct state *state);

/* A snapshot of it, read in random pieces, is the same state. */
void check_restore(const struct state *state, struct random *random);

/* A snapshot of it of which any one byte is another is refused, or says the
 * same: some bits change nothing, such as which varint says zero. */
void check_changed_bytes(const struct state *state);

#endif
