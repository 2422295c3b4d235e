/* SPDX-License-Identifier: Apache-2.0
 *
 * States that listings go on with: the pages of one list are of one revision.
 * A clone costs microseconds; what it costs to keep is a copy of each page of
 * records that is changed meanwhile, so they are few and do not stay long.
 * Soft: each node has its own. Pure. */
#ifndef NODE_PAGE_BOOK_H
#define NODE_PAGE_BOOK_H

#include "node/limits.h"
#include "state/state.h"

/* Which state: grants change without a revision. */
struct page_version {
    uint64_t revision;
    uint64_t grant_changes;
};

struct page_pin {
    struct page_version version;
    struct state *state;
    uint64_t made_ms; /* Boot clock. */
    uint64_t used_ms;
};

struct page_book {
    struct page_pin pins[PAGE_PINS_MAX];
    uint32_t count;
};

void page_book_init(struct page_book *book);
void page_book_close(struct page_book *book);

struct page_version page_version_of(const struct state *state);

/* Keeps a clone, unless it has this version already. The one that was not used
 * for the longest time may have to go for it. */
void page_book_keep(struct page_book *book, const struct state *state,
                    uint64_t now_ms);

/* The state of that version, lent until the next call; NULL: it is not, or no
 * longer, kept. */
const struct state *page_book_find(struct page_book *book,
                                   struct page_version version,
                                   uint64_t now_ms);

/* Drops those whose time is over. */
void page_book_tick(struct page_book *book, uint64_t now_ms);

#endif
