/* SPDX-License-Identifier: Apache-2.0 */
#include "state/asks.h"

#include "base/check.h"
#include "base/hash.h"

#include <stddef.h>
#include <string.h>

_Static_assert(HOSTS_MAX == 1u << 18, "a host's slot fits a mark");
_Static_assert(sizeof(struct ask) == 40, "no gaps: it is hashed");

struct ask_key {
    struct index_key key;
    const struct asks *asks;
    const struct ask *ask;
};

void asks_init(struct asks *asks)
{
    *asks = (struct asks){0};
    table_init(&asks->marks, sizeof(uint32_t), NULL);
    table_init(&asks->entries, sizeof(struct ask_entry), NULL);
    index_init(&asks->numbers);
}

void asks_close(struct asks *asks)
{
    table_close(&asks->marks);
    table_close(&asks->entries);
    index_close(&asks->numbers);
}

void asks_clone(struct asks *asks, const struct asks *original)
{
    table_clone(&asks->marks, &original->marks);
    table_clone(&asks->entries, &original->entries);
    index_clone(&asks->numbers, &original->numbers);
    asks->free_first = original->free_first;
}

static const struct ask_entry *entry_at(const struct asks *asks,
                                        uint32_t number)
{
    return table_get(&asks->entries, number);
}

static bool is_ask(const struct index_key *key, uint32_t number)
{
    const struct ask_key *wanted = (const struct ask_key *)(const void *)key;

    return memcmp(&entry_at(wanted->asks, number)->ask, wanted->ask,
                  sizeof(*wanted->ask)) == 0;
}

static uint64_t hash_of(const struct ask *ask)
{
    return hash_bytes(ask, sizeof(*ask), 0);
}

/* An entry without users, or ASKS_END: there are too many kinds of VMs. */
static uint32_t free_entry(struct asks *asks)
{
    uint32_t number = asks->free_first;

    if (number != 0) {
        asks->free_first = entry_at(asks, number)->next;
        return number;
    }
    number = asks->entries.slots < ASK_FIRST ? ASK_FIRST : asks->entries.slots;
    if (number < ASKS_END) {
        table_grow(&asks->entries, number + 1);
    }
    return number;
}

/* The ask's number, with one user more; 0: none is left for it. */
static uint32_t use(struct asks *asks, const struct ask *ask)
{
    struct ask_key key = {{is_ask, hash_of(ask)}, asks, ask};
    uint32_t number = index_find(&asks->numbers, &key.key);
    struct ask_entry *entry;

    if (number == SLOT_NONE) {
        number = free_entry(asks);
        if (number == ASKS_END) {
            return 0;
        }
        entry = table_edit(&asks->entries, number);
        *entry = (struct ask_entry){.ask = *ask};
        index_insert(&asks->numbers, key.key.hash, number);
    }
    entry = table_edit(&asks->entries, number);
    entry->uses++;
    return number;
}

static void unuse(struct asks *asks, uint32_t number)
{
    struct ask_entry *entry = table_edit(&asks->entries, number);

    CHECK(entry->uses > 0);
    entry->uses--;
    if (entry->uses == 0) {
        index_remove(&asks->numbers, hash_of(&entry->ask), number);
        entry->next = asks->free_first;
        asks->free_first = number;
    }
}

/* Whether the record says more than an ask and a host: it waits for one host,
 * holds room or waits for a delay; or it is not known where it was. */
static bool must_be_read(const struct vm *vm)
{
    return vm->moving != MOVE_NONE || vm->move_host != SLOT_NONE ||
           vm->home_host_plus1 != 0 || vm->not_before_ms != 0 ||
           (vm->recovering && vm->last_host >= HOSTS_MAX);
}

static struct ask ask_of(const struct vm *vm)
{
    return (struct ask){
        .pool_mask = vm->pool_mask,
        .disk_zone_mask = vm->disk_zone_mask,
        .class_slot = vm->class_slot,
        .zone = vm->zone,
        .selector_blob = vm->selector_blob,
        .group_plus1 = vm->group_plus1,
        .priority = vm->priority,
        .driver = vm->driver,
        .preemptible = vm->preemptible,
    };
}

/* Goes from one ask to another; 0: from or to none. */
static uint32_t change_ask(struct asks *asks, uint32_t before,
                           const struct ask *ask)
{
    uint32_t number;

    if (before != 0 && ask != NULL &&
        memcmp(&entry_at(asks, before)->ask, ask, sizeof(*ask)) == 0) {
        return before;
    }
    number = ask == NULL ? 0 : use(asks, ask);
    if (before != 0) {
        unuse(asks, before);
    }
    return number;
}

void asks_mark(struct asks *asks, uint32_t slot, const struct vm *vm)
{
    struct ask ask;
    bool told = vm->state == VM_PENDING && !must_be_read(vm);
    uint32_t before;
    uint32_t number = 0;
    uint32_t mark;

    if (slot >= asks->marks.slots) {
        table_grow(&asks->marks, slot + 1);
    }
    before = *(const uint32_t *)table_get(&asks->marks, slot);
    if (told || mark_ask(before) != 0) {
        ask = ask_of(vm);
        number = change_ask(asks, mark_ask(before), told ? &ask : NULL);
    }
    mark = vm->state == VM_PENDING ? MARK_READ : MARK_NONE;
    if (number != 0) {
        mark = number << 19 | (vm->recovering ? vm->last_host << 1 | 1 : 0);
    }
    if (mark != before) {
        *(uint32_t *)table_edit(&asks->marks, slot) = mark;
    }
}

uint64_t asks_memory(const struct asks *asks)
{
    return table_memory(&asks->marks) + table_memory(&asks->entries) +
           table_memory(&asks->numbers.entries);
}
