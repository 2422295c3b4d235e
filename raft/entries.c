/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/entries.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

uint64_t entry_chain(uint64_t previous, uint64_t index,
                     const struct entry *entry)
{
    uint64_t seed = hash_u64(previous ^ hash_u64(index));
    seed = hash_u64(seed ^ entry->term << 2 ^ (uint64_t)entry->type);
    return hash_bytes(entry->data, entry->len, seed);
}

void entries_init(struct entries *entries, uint64_t index, uint64_t term,
                  uint64_t chain)
{
    memset(entries, 0, sizeof *entries);
    entries->base_index = index;
    entries->base_term = term;
    entries->base_chain = chain;
}

static struct entry *slot(const struct entries *entries, uint64_t index)
{
    size_t position = (size_t)(index - entries_first(entries));
    return &entries
                ->ring[(entries->start + position) & (entries->capacity - 1)];
}

static void drop(struct entries *entries, uint64_t index)
{
    struct entry *entry = slot(entries, index);
    entries->bytes -= entry->len;
    free(entry->data);
    memset(entry, 0, sizeof *entry);
}

void entries_close(struct entries *entries)
{
    entries_truncate(entries, entries_first(entries));
    free(entries->ring);
    entries->ring = NULL;
    entries->capacity = 0;
}

const struct entry *entries_get(const struct entries *entries, uint64_t index)
{
    if (index < entries_first(entries) || index > entries_last(entries)) {
        return NULL;
    }
    return slot(entries, index);
}

uint64_t entries_term(const struct entries *entries, uint64_t index)
{
    if (index == entries->base_index) {
        return entries->base_term;
    }
    const struct entry *entry = entries_get(entries, index);
    return entry == NULL ? 0 : entry->term;
}

uint64_t entries_chain(const struct entries *entries, uint64_t index)
{
    if (index == entries->base_index) {
        return entries->base_chain;
    }
    const struct entry *entry = entries_get(entries, index);
    return entry == NULL ? 0 : entry->chain;
}

static void grow(struct entries *entries)
{
    size_t capacity = entries->capacity == 0 ? 64 : entries->capacity * 2;
    struct entry *ring = memory_alloc_array(capacity, sizeof *ring);
    for (size_t i = 0; i < entries->count; i++) {
        ring[i] = *slot(entries, entries_first(entries) + i);
    }
    free(entries->ring);
    entries->ring = ring;
    entries->capacity = capacity;
    entries->start = 0;
}

void entries_append(struct entries *entries, uint64_t term,
                    enum entry_type type, uint8_t *data, size_t len)
{
    uint64_t last = entries_last(entries);
    CHECK(term >= entries_term(entries, last));
    CHECK(len <= UINT32_MAX);
    if (entries->count == entries->capacity) {
        grow(entries);
    }
    entries->count++;
    struct entry *entry = slot(entries, last + 1);
    *entry = (struct entry){
        .term = term, .type = type, .len = (uint32_t)len, .data = data};
    entry->chain = entry_chain(entries_chain(entries, last), last + 1, entry);
    entries->bytes += len;
}

void entries_truncate(struct entries *entries, uint64_t index)
{
    CHECK(index >= entries_first(entries));
    while (entries_last(entries) >= index) {
        drop(entries, entries_last(entries));
        entries->count--;
    }
}

void entries_compact(struct entries *entries, uint64_t index)
{
    CHECK(index >= entries->base_index && index <= entries_last(entries));
    while (entries->base_index < index) {
        const struct entry *entry = slot(entries, entries_first(entries));
        uint64_t term = entry->term;
        uint64_t chain = entry->chain;
        drop(entries, entries_first(entries));
        entries->start = (entries->start + 1) & (entries->capacity - 1);
        entries->count--;
        entries->base_index++;
        entries->base_term = term;
        entries->base_chain = chain;
    }
}

void entries_reset(struct entries *entries, uint64_t index, uint64_t term,
                   uint64_t chain)
{
    entries_truncate(entries, entries_first(entries));
    entries->base_index = index;
    entries->base_term = term;
    entries->base_chain = chain;
}
