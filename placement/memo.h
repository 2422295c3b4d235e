/* SPDX-License-Identifier: Apache-2.0
 *
 * The best host of each zone for a kind of VM, kept between equal requests:
 * one pass over the hosts serves all that are alike, and a change of one host
 * is compared with the best alone. Exact: it gives what a pass would give, as
 * long as every change of a host is told. */
#ifndef PLACEMENT_MEMO_H
#define PLACEMENT_MEMO_H

#include "placement/internal.h"

struct memo {
    struct vm kind; /* What the rules ask of a VM; the rest is zero. */
    uint64_t class_uid;
    uint64_t known;                   /* Bit i: `best` of zone i is right. */
    uint32_t best[ZONES_MAX];         /* Slots; SLOT_NONE: no host will do. */
    struct resources used[ZONES_MAX]; /* Of the best, as last seen; */
    struct resources capacity[ZONES_MAX]; /* likewise. */
};

/* Whether the VM is of a kind at all: one that moves or has just failed has
 * wishes of its own. */
bool memo_serves(const struct vm *vm);

bool memo_matches(const struct memo *memo, const struct state *state,
                  const struct vm *vm);
void memo_begin(struct memo *memo, const struct state *state,
                const struct vm *vm);

/* The host's record has changed. */
void memo_host_changed(struct memo *memo, const struct state *state,
                       uint32_t host_slot);

/* The slot of the best host, or SLOT_NONE. */
uint32_t memo_choose(struct memo *memo, const struct state *state,
                     const struct placement_request *request);

#endif
