/* SPDX-License-Identifier: Apache-2.0
 *
 * The marks of all VMs and what they stand for (state/mark.h). Derived from the
 * records, in copy-on-write pages as these; which number an ask has depends on
 * history and is not hashed. */
#ifndef STATE_ASKS_H
#define STATE_ASKS_H

#include "state/index.h"
#include "state/mark.h"
#include "state/table.h"

struct ask_entry {
    struct ask ask;
    uint32_t uses; /* Marks with this number. */
    uint32_t next; /* Without users: the next such one; 0: none. */
};

struct asks {
    struct table marks;   /* uint32_t, by slot of the VM. */
    struct table entries; /* struct ask_entry, by number. */
    struct index numbers;
    uint32_t free_first; /* Entry without users; 0: none. */
};

void asks_init(struct asks *asks);
void asks_close(struct asks *asks);
void asks_clone(struct asks *asks, const struct asks *original);

/* The VM's record is as it says now. */
void asks_mark(struct asks *asks, uint32_t slot, const struct vm *vm);

uint64_t asks_memory(const struct asks *asks);

#endif
