/* SPDX-License-Identifier: Apache-2.0
 *
 * What all lists share: pages of one revision, and the token that leads from
 * one to the next. */
#ifndef NODE_API_PAGE_H
#define NODE_API_PAGE_H

#include "node/api.h"

/* Packed bytes of one page: below the 4 MiB that a message may have. */
#define PAGE_BYTES_MAX (3u << 20)

/* "revision.changes.slot" of three numbers. */
#define PAGE_TOKEN_BYTES 64

struct api_page {
    struct api_view view; /* Of the listing's revision. */
    /* What the node has, which may be view.state, and the placer of that. */
    const struct state *newest;
    struct placer *placer;
    uint32_t slot; /* Where the page begins, then where it ends. */
    uint32_t count_max;
    size_t bytes; /* Packed, so far. */
    ProtobufCMessage **items;
    size_t item_count;
    char token[PAGE_TOKEN_BYTES]; /* Of the next page; empty: the end. */
};

/* Finds the state that the token goes on with; without a token, the view's own.
 * False: the reply has failed (INVALID_FIELD, PAGE_EXPIRED). */
bool api_page_begin(struct api_page *page, struct api_reply *reply,
                    const struct api_view *view, uint32_t page_size,
                    const char *page_token);

/* What a list shows; embed it in the list's conditions. */
struct api_lister {
    /* The object in the slot; NULL: there is none, or it is not wanted. */
    ProtobufCMessage *(*item)(struct api_lister *lister,
                              const struct api_page *page, uint32_t slot);
    /* A page ends when its items took so much `work`, which item() counts;
     * work_max 0: no matter. */
    uint64_t work;
    uint64_t work_max;
};

/* Fills the page from the table's slots, below `slots`. If there is more, the
 * state is kept for it. */
void api_page_fill(struct api_page *page, struct api_lister *lister,
                   uint32_t slots);

/* Sets next_page_token, age_ms and revision of the response, whose items the
 * caller has set, and packs it. */
void api_page_respond(const struct api_page *page, struct api_reply *reply,
                      ProtobufCMessage *response);

#endif
