/* SPDX-License-Identifier: Apache-2.0
 *
 * What a watch chooses of all events. Pure. */
#ifndef NODE_WATCH_FILTER_H
#define NODE_WATCH_FILTER_H

#include "node/label_filter.h"
#include "node/watch_ring.h"

#include <holdfast/v1/watch_service.pb-c.h>

struct watch_filter {
    const Holdfast__V1__WatchRequest *request; /* Lent. */
    uint32_t kinds;                            /* Bits 1 << kind; 0: all. */
    uint32_t vm_states;                        /* Likewise. */
    uint32_t host_states;                      /* Likewise. */
    uint64_t zones; /* Bits by slot; 0: everywhere, and nowhere. */
    struct label_filter labels;
};

/* Reads the request, which stays lent. False: the reply has failed. */
bool watch_filter_read(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__WatchRequest *request,
                       struct watch_filter *filter);

enum watch_choice {
    WATCH_SKIPS, /* The object is not chosen and was not. */
    WATCH_TAKES,
    WATCH_LEFT /* It was chosen before this event and is not any more. */
};

enum watch_choice watch_filter_choose(const struct watch_filter *filter,
                                      const struct watch_entry *entry);

#endif
