/* SPDX-License-Identifier: Apache-2.0
 *
 * The last events, encoded as clients get them, by revision without gaps: what
 * watches read and resume from. Bounded by number; what is older is gone, and
 * a watch from there is OUT_OF_RANGE. */
#ifndef NODE_WATCH_RING_H
#define NODE_WATCH_RING_H

#include "base/arena.h"
#include "state/state.h"

#include <stdbool.h>

/* One event. Behind it in `data` stands what watches choose by, so that they
 * need not decode: name, labels, and former labels where the event changed
 * them. */
struct watch_entry {
    uint64_t revision;
    uint64_t cause_revision;
    enum event_kind kind;
    enum event_cause cause;
    uint32_t len;  /* Of the Event. */
    uint8_t *data; /* An encoded Event, and the rest. */
    uint32_t labels_len;
    uint32_t labels_before_len;
    uint8_t name_len;
    bool labels_changed;
    uint8_t zone_plus1; /* Of its slot; 0: none. */
    uint8_t zone_before_plus1;
    uint8_t state;
    uint8_t state_before;
};

struct watch_ring {
    struct watch_entry *entries;
    uint32_t capacity;
    uint64_t first;     /* Revision of the oldest kept; */
    uint64_t next;      /* and of the next to come. */
    struct arena arena; /* Of the event that is being added. */
};

/* Begins empty behind `revision`. */
void watch_ring_init(struct watch_ring *ring, uint32_t capacity,
                     uint64_t revision);
void watch_ring_close(struct watch_ring *ring);

/* The state is another one now: empty again, behind its `revision`. */
void watch_ring_restart(struct watch_ring *ring, uint64_t revision);

/* The next event of this state; its revision is `next`. */
void watch_ring_add(struct watch_ring *ring, const struct state *state,
                    const struct event *event);

/* The entry of a revision in [first, next). */
const struct watch_entry *watch_ring_at(const struct watch_ring *ring,
                                        uint64_t revision);

/* What is known of the object without decoding it: its name (empty for the
 * settings), and how it is since, and was before, the event. Lent. */
struct text watch_entry_name(const struct watch_entry *entry);
void watch_entry_now(const struct watch_entry *entry,
                     struct event_facts *facts);
void watch_entry_before(const struct watch_entry *entry,
                        struct event_facts *facts);

/* Whether everything after `revision` is still kept. */
bool watch_ring_reaches(const struct watch_ring *ring, uint64_t revision);

#endif
