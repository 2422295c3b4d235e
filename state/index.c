/* SPDX-License-Identifier: Apache-2.0 */
#include "state/index.h"

#include "base/check.h"

#include <stddef.h>

#define CAPACITY_MIN 64

static uint64_t entry_make(uint64_t hash, uint32_t slot)
{
    return (hash & 0xffffffff00000000) | (slot + 1u);
}

static uint64_t entry_at(const struct index *index, uint32_t position)
{
    return *(const uint64_t *)table_get(&index->entries, position);
}

static void entry_set(struct index *index, uint32_t position, uint64_t entry)
{
    *(uint64_t *)table_edit(&index->entries, position) = entry;
}

static uint32_t mask_of(const struct index *index)
{
    return index->entries.slots - 1;
}

static uint32_t home_of(const struct index *index, uint64_t entry)
{
    return (uint32_t)(entry >> 32) & mask_of(index);
}

void index_init(struct index *index)
{
    table_init(&index->entries, sizeof(uint64_t), NULL);
    index->count = 0;
}

void index_close(struct index *index)
{
    table_close(&index->entries);
}

void index_clone(struct index *index, const struct index *original)
{
    table_clone(&index->entries, &original->entries);
    index->count = original->count;
}

uint32_t index_find(const struct index *index, const struct index_key *key)
{
    uint64_t wanted = entry_make(key->hash, 0) >> 32;
    uint32_t position;

    if (index->count == 0) {
        return SLOT_NONE;
    }
    position = (uint32_t)wanted & mask_of(index);
    for (;;) {
        uint64_t entry = entry_at(index, position);

        if (entry == 0) {
            return SLOT_NONE;
        }
        if (entry >> 32 == wanted) {
            uint32_t slot = (uint32_t)entry - 1;

            if (key->matches(key, slot)) {
                return slot;
            }
        }
        position = (position + 1) & mask_of(index);
    }
}

uint32_t index_next(const struct index *index, uint32_t *cursor)
{
    while (*cursor < index->entries.slots) {
        uint64_t entry = entry_at(index, (*cursor)++);

        if (entry != 0) {
            return (uint32_t)entry - 1;
        }
    }
    return SLOT_NONE;
}

static void put(struct index *index, uint64_t entry)
{
    uint32_t position = home_of(index, entry);

    while (entry_at(index, position) != 0) {
        position = (position + 1) & mask_of(index);
    }
    entry_set(index, position, entry);
}

static void grow(struct index *index)
{
    struct index bigger;
    uint32_t slots = index->entries.slots;

    index_init(&bigger);
    table_grow(&bigger.entries, slots == 0 ? CAPACITY_MIN : slots * 2);
    bigger.count = index->count;
    for (uint32_t i = 0; i < slots; i++) {
        uint64_t entry = entry_at(index, i);

        if (entry != 0) {
            put(&bigger, entry);
        }
    }
    index_close(index);
    *index = bigger;
}

void index_insert(struct index *index, uint64_t hash, uint32_t slot)
{
    if ((uint64_t)(index->count + 1) * 4 > (uint64_t)index->entries.slots * 3) {
        grow(index);
    }
    put(index, entry_make(hash, slot));
    index->count++;
}

/* Moves later entries of the run back over the hole (Knuth 6.4, algorithm R),
 * so that no tombstones pile up. */
static void close_hole(struct index *index, uint32_t hole)
{
    uint32_t mask = mask_of(index);
    uint32_t position = (hole + 1) & mask;
    uint64_t entry;

    while ((entry = entry_at(index, position)) != 0) {
        uint32_t home = home_of(index, entry);

        if (((position - home) & mask) >= ((position - hole) & mask)) {
            entry_set(index, hole, entry);
            hole = position;
        }
        position = (position + 1) & mask;
    }
    entry_set(index, hole, 0);
}

void index_remove(struct index *index, uint64_t hash, uint32_t slot)
{
    uint64_t wanted = entry_make(hash, slot);
    uint32_t position;

    CHECK(index->count > 0);
    position = home_of(index, wanted);
    while (entry_at(index, position) != wanted) {
        CHECK(entry_at(index, position) != 0);
        position = (position + 1) & mask_of(index);
    }
    close_hole(index, position);
    index->count--;
}
