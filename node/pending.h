/* SPDX-License-Identifier: Apache-2.0
 *
 * The pending VMs by priority, whatever their number: soft state of the leader
 * beside the state's list, which knows only their age. Each is in one of two
 * lists of its priority: to be tried, or tried since room was last found. A
 * pass takes those to be tried, the highest priority first; when something
 * changed that could help, the tried ones are put before the others again, for
 * they have waited longest. Pure. */
#ifndef NODE_PENDING_H
#define NODE_PENDING_H

#include "state/state.h"

#define PENDING_PRIORITIES 1001

struct pending_list {
    uint32_t first; /* Slots; SLOT_NONE. */
    uint32_t last;
};

struct pending_entry;

struct pending {
    struct pending_entry *entries; /* By the VM's slot. */
    uint32_t capacity;
    struct pending_list todo[PENDING_PRIORITIES];
    struct pending_list tried[PENDING_PRIORITIES];
    uint64_t todo_mask[(PENDING_PRIORITIES + 63) / 64]; /* Lists with VMs. */
    uint32_t count;                                     /* Of both. */
    uint32_t recovering_total; /* Of those, VMs whose host was fenced. */
    uint32_t todo_count;       /* To be tried. */
    uint32_t recovering_count; /* Of those, likewise. */
};

void pending_init(struct pending *pending);
void pending_close(struct pending *pending);

/* Takes all pending VMs of a state, all to be tried. */
void pending_load(struct pending *pending, const struct state *state);

/* The record of a VM has changed in the applied state; `deleted`: is gone. */
void pending_note(struct pending *pending, const struct vm *vm, bool deleted);

/* All are to be tried again. */
void pending_again(struct pending *pending);

/* The first that is to be tried: the highest priority, and there the longest
 * wait. SLOT_NONE: none. */
uint32_t pending_first(const struct pending *pending);

/* It was tried: until pending_again() it is not given again. */
void pending_tried(struct pending *pending, uint32_t slot);

/* What was given last was not tried to the end: it is given next. */
void pending_return(struct pending *pending, uint32_t slot);

#endif
