/* SPDX-License-Identifier: Apache-2.0 */
#include "node/pending.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum where { NOWHERE, TODO, TRIED };

struct pending_entry {
    uint32_t next;
    uint32_t prev;
    uint16_t priority;
    uint8_t where;
    bool recovering;
};

static void clear(struct pending *pending)
{
    for (uint32_t i = 0; i < PENDING_PRIORITIES; i++) {
        pending->todo[i] = (struct pending_list){SLOT_NONE, SLOT_NONE};
        pending->tried[i] = (struct pending_list){SLOT_NONE, SLOT_NONE};
    }
    memset(pending->todo_mask, 0, sizeof(pending->todo_mask));
    pending->count = 0;
    pending->recovering_total = 0;
    pending->todo_count = 0;
    pending->recovering_count = 0;
}

void pending_init(struct pending *pending)
{
    *pending = (struct pending){0};
    clear(pending);
}

void pending_close(struct pending *pending)
{
    free(pending->entries);
}

static void make_room(struct pending *pending, uint32_t slot)
{
    uint32_t capacity = pending->capacity < 1024 ? 1024 : pending->capacity;

    if (slot < pending->capacity) {
        return;
    }
    while (capacity <= slot) {
        capacity *= 2;
    }
    pending->entries = memory_realloc_array(pending->entries, capacity,
                                            sizeof(*pending->entries));
    memset(pending->entries + pending->capacity, 0,
           (size_t)(capacity - pending->capacity) * sizeof(*pending->entries));
    pending->capacity = capacity;
}

static void mark(struct pending *pending, uint16_t priority)
{
    uint64_t bit = UINT64_C(1) << priority % 64;

    if (pending->todo[priority].first == SLOT_NONE) {
        pending->todo_mask[priority / 64] &= ~bit;
    } else {
        pending->todo_mask[priority / 64] |= bit;
    }
}

static void take_out(struct pending *pending, uint32_t slot)
{
    struct pending_entry *entry = &pending->entries[slot];
    struct pending_list *list = entry->where == TODO
                                    ? &pending->todo[entry->priority]
                                    : &pending->tried[entry->priority];

    CHECK(entry->where != NOWHERE);
    if (entry->prev == SLOT_NONE) {
        list->first = entry->next;
    } else {
        pending->entries[entry->prev].next = entry->next;
    }
    if (entry->next == SLOT_NONE) {
        list->last = entry->prev;
    } else {
        pending->entries[entry->next].prev = entry->prev;
    }
    if (entry->where == TODO) {
        pending->todo_count--;
        pending->recovering_count -= entry->recovering;
        mark(pending, entry->priority);
    }
    pending->count--;
    pending->recovering_total -= entry->recovering;
    entry->where = NOWHERE;
}

static void append(struct pending *pending, uint32_t slot, enum where where)
{
    struct pending_entry *entry = &pending->entries[slot];
    struct pending_list *list = where == TODO
                                    ? &pending->todo[entry->priority]
                                    : &pending->tried[entry->priority];

    CHECK(entry->where == NOWHERE);
    entry->where = (uint8_t)where;
    entry->next = SLOT_NONE;
    entry->prev = list->last;
    if (list->last == SLOT_NONE) {
        list->first = slot;
    } else {
        pending->entries[list->last].next = slot;
    }
    list->last = slot;
    if (where == TODO) {
        pending->todo_count++;
        pending->recovering_count += entry->recovering;
        mark(pending, entry->priority);
    }
    pending->count++;
    pending->recovering_total += entry->recovering;
}

static uint16_t priority_of(const struct vm *vm)
{
    return vm->priority < PENDING_PRIORITIES
               ? vm->priority
               : (uint16_t)(PENDING_PRIORITIES - 1);
}

static void put_in(struct pending *pending, uint32_t slot, const struct vm *vm)
{
    make_room(pending, slot);
    pending->entries[slot].priority = priority_of(vm);
    pending->entries[slot].recovering = vm->recovering;
    append(pending, slot, TODO);
}

void pending_load(struct pending *pending, const struct state *state)
{
    if (pending->entries != NULL) {
        memset(pending->entries, 0,
               pending->capacity * sizeof(*pending->entries));
    }
    clear(pending);
    for (uint32_t slot = state_pending_first(state); slot != SLOT_NONE;) {
        const struct vm *vm = state_vm_at(state, slot);

        put_in(pending, slot, vm);
        slot = vm->host_next;
    }
}

void pending_note(struct pending *pending, const struct vm *vm, bool deleted)
{
    uint32_t slot = uid_slot(vm->uid);
    bool waits = !deleted && vm->state == VM_PENDING;
    bool known =
        slot < pending->capacity && pending->entries[slot].where != NOWHERE;

    if (known && waits && pending->entries[slot].priority == priority_of(vm)) {
        return;
    }
    if (known) {
        take_out(pending, slot);
    }
    if (waits) {
        put_in(pending, slot, vm);
    }
}

/* The tried ones of one priority before those that are still to be tried. */
static void put_before(struct pending *pending, uint16_t priority)
{
    struct pending_list *tried = &pending->tried[priority];
    struct pending_list *todo = &pending->todo[priority];

    for (uint32_t slot = tried->first; slot != SLOT_NONE;
         slot = pending->entries[slot].next) {
        pending->entries[slot].where = TODO;
        pending->todo_count++;
        pending->recovering_count += pending->entries[slot].recovering;
    }
    if (todo->first != SLOT_NONE) {
        pending->entries[tried->last].next = todo->first;
        pending->entries[todo->first].prev = tried->last;
        tried->last = todo->last;
    }
    *todo = *tried;
    *tried = (struct pending_list){SLOT_NONE, SLOT_NONE};
    mark(pending, priority);
}

void pending_again(struct pending *pending)
{
    if (pending->todo_count == pending->count) {
        return;
    }
    for (uint16_t priority = 0; priority < PENDING_PRIORITIES; priority++) {
        if (pending->tried[priority].first != SLOT_NONE) {
            put_before(pending, priority);
        }
    }
}

uint32_t pending_first(const struct pending *pending)
{
    for (size_t i = sizeof(pending->todo_mask) / sizeof(uint64_t); i-- > 0;) {
        if (pending->todo_mask[i] != 0) {
            size_t bit = 63 - (size_t)__builtin_clzll(pending->todo_mask[i]);

            return pending->todo[i * 64 + bit].first;
        }
    }
    return SLOT_NONE;
}

void pending_tried(struct pending *pending, uint32_t slot)
{
    CHECK(slot < pending->capacity && pending->entries[slot].where == TODO);
    take_out(pending, slot);
    append(pending, slot, TRIED);
}

void pending_return(struct pending *pending, uint32_t slot)
{
    struct pending_entry *entry = &pending->entries[slot];
    struct pending_list *todo;

    CHECK(slot < pending->capacity && entry->where == TRIED);
    take_out(pending, slot);
    todo = &pending->todo[entry->priority];
    if (todo->first == SLOT_NONE) {
        append(pending, slot, TODO);
        return;
    }
    entry->where = TODO;
    entry->prev = SLOT_NONE;
    entry->next = todo->first;
    pending->entries[todo->first].prev = slot;
    todo->first = slot;
    pending->todo_count++;
    pending->count++;
    pending->recovering_count += entry->recovering;
    pending->recovering_total += entry->recovering;
}
