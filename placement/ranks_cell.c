/* SPDX-License-Identifier: Apache-2.0
 *
 * The hosts of one cell in ascending order: mostly none or one, some, and
 * thousands where a fleet is empty. So: the number itself, a sorted array, a
 * bitmap. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/ranks_internal.h"

#include <stdlib.h>
#include <string.h>

void store_init(struct ranks_store *store, uint32_t hosts_max)
{
    *store = (struct ranks_store){.words = (hosts_max + 63) / 64};
    store->summary = (store->words + 63) / 64;
    store->map_words = store->words + store->summary + 1;
}

void store_close(struct ranks_store *store)
{
    free(store->ids);
    free(store->maps);
}

void store_reset(struct ranks_store *store)
{
    store->ids_used = 0;
    store->maps_used = 0;
    store->maps_free = 0;
    memset(store->ids_free, 0, sizeof(store->ids_free));
}

void store_copy(struct ranks_store *store, const struct ranks_store *from)
{
    struct ranks_store old = *store;

    *store = *from;
    store->ids = old.ids;
    store->ids_size = old.ids_size;
    store->maps = old.maps;
    store->maps_size = old.maps_size;
    if (store->ids_size < from->ids_used) {
        store->ids_size = from->ids_size;
        store->ids = memory_realloc_array(store->ids, store->ids_size,
                                          sizeof(*store->ids));
    }
    if (store->maps_size < from->maps_used) {
        store->maps_size = from->maps_size;
        store->maps = memory_realloc_array(
            store->maps, (size_t)store->maps_size * store->map_words,
            sizeof(*store->maps));
    }
    if (from->ids_used > 0) {
        memcpy(store->ids, from->ids, from->ids_used * sizeof(*store->ids));
    }
    if (from->maps_used > 0) {
        memcpy(store->maps, from->maps,
               (size_t)from->maps_used * from->map_words *
                   sizeof(*store->maps));
    }
}

static struct bitmap_shape map_shape(const struct ranks_store *store)
{
    return (struct bitmap_shape){store->words, store->summary};
}

static uint64_t *map_of(const struct ranks_store *store,
                        const struct ranks_cell *cell)
{
    return store->maps + (size_t)(cell->at & ~CELL_MANY) * store->map_words;
}

static bool is_many(const struct ranks_cell *cell)
{
    return (cell->at & CELL_MANY) != 0;
}

/* For 2 to CELL_FEW_MAX hosts: the log2 of the array's length. */
static uint32_t length_log2(uint32_t count)
{
    return 32 - (uint32_t)__builtin_clz(count - 1);
}

static uint32_t ids_take(struct ranks_store *store, uint32_t log2)
{
    uint32_t at = store->ids_free[log2];

    if (at != 0) {
        store->ids_free[log2] = store->ids[at - 1];
        return at - 1;
    }
    if (store->ids_used + (1u << log2) > store->ids_size) {
        store->ids_size = store->ids_size * 2 + CELL_FEW_MAX;
        store->ids = memory_realloc_array(store->ids, store->ids_size,
                                          sizeof(*store->ids));
    }
    at = store->ids_used;
    store->ids_used += 1u << log2;
    return at;
}

static void ids_give(struct ranks_store *store, uint32_t at, uint32_t log2)
{
    store->ids[at] = store->ids_free[log2];
    store->ids_free[log2] = at + 1;
}

static uint32_t map_take(struct ranks_store *store)
{
    uint32_t at = store->maps_free;

    if (at != 0) {
        at--;
        store->maps_free = (uint32_t)store->maps[(size_t)at * store->map_words];
    } else {
        if (store->maps_used == store->maps_size) {
            store->maps_size = store->maps_size * 2 + 4;
            store->maps = memory_realloc_array(
                store->maps, (size_t)store->maps_size * store->map_words,
                sizeof(*store->maps));
        }
        at = store->maps_used++;
    }
    memset(store->maps + (size_t)at * store->map_words, 0,
           store->map_words * sizeof(*store->maps));
    return at;
}

static void map_give(struct ranks_store *store, uint32_t at)
{
    store->maps[(size_t)at * store->map_words] = store->maps_free;
    store->maps_free = at + 1;
}

/* Where `host` is, or would be, among `count` sorted numbers. */
static uint32_t position_of(const uint32_t *ids, uint32_t count, uint32_t host)
{
    uint32_t low = 0;

    while (count > 0) {
        uint32_t half = count / 2;

        if (ids[low + half] < host) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return low;
}

static void few_to_many(struct ranks_store *store, struct ranks_cell *cell)
{
    uint32_t at = cell->at;

    cell->at = map_take(store) | CELL_MANY;
    for (uint32_t i = 0; i < cell->count; i++) {
        bitmap_set(map_of(store, cell), map_shape(store), store->ids[at + i]);
    }
    ids_give(store, at, CELL_FEW_LOG2);
}

static void many_to_few(struct ranks_store *store, struct ranks_cell *cell)
{
    uint32_t at = ids_take(store, length_log2(cell->count));
    const uint64_t *map = map_of(store, cell);
    uint32_t host = bitmap_first(map, map_shape(store));

    for (uint32_t i = 0; i < cell->count; i++) {
        store->ids[at + i] = host;
        host = bitmap_next(map, map_shape(store), host + 1);
    }
    map_give(store, cell->at & ~CELL_MANY);
    cell->at = at;
}

/* Another array, of the length for `count` hosts. */
static void resize(struct ranks_store *store, struct ranks_cell *cell,
                   uint32_t from_log2, uint32_t to_log2)
{
    uint32_t at = ids_take(store, to_log2);
    uint32_t length = 1u << (from_log2 < to_log2 ? from_log2 : to_log2);

    memcpy(store->ids + at, store->ids + cell->at,
           length * sizeof(*store->ids));
    ids_give(store, cell->at, from_log2);
    cell->at = at;
}

static void add_second(struct ranks_store *store, struct ranks_cell *cell,
                       uint32_t host)
{
    uint32_t other = cell->at;

    cell->at = ids_take(store, 1);
    store->ids[cell->at] = host < other ? host : other;
    store->ids[cell->at + 1] = host < other ? other : host;
    cell->count = 2;
}

static void add_to_few(struct ranks_store *store, struct ranks_cell *cell,
                       uint32_t host)
{
    uint32_t *ids;
    uint32_t position;

    /* Full arrays are those of a power of two. */
    if ((cell->count & (cell->count - 1)) == 0) {
        uint32_t log2 = length_log2(cell->count);

        resize(store, cell, log2, log2 + 1);
    }
    ids = store->ids + cell->at;
    position = position_of(ids, cell->count, host);
    memmove(ids + position + 1, ids + position,
            (cell->count - position) * sizeof(*ids));
    ids[position] = host;
    cell->count++;
}

void cell_add(struct ranks_store *store, struct ranks_cell *cell, uint32_t host)
{
    if (cell->count == 0) {
        *cell = (struct ranks_cell){1, host};
        return;
    }
    if (cell->count == 1) {
        add_second(store, cell, host);
        return;
    }
    if (cell->count == CELL_FEW_MAX && !is_many(cell)) {
        few_to_many(store, cell);
    }
    if (is_many(cell)) {
        bitmap_set(map_of(store, cell), map_shape(store), host);
        cell->count++;
        return;
    }
    add_to_few(store, cell, host);
}

static void remove_from_few(struct ranks_store *store, struct ranks_cell *cell,
                            uint32_t host)
{
    uint32_t *ids = store->ids + cell->at;
    uint32_t position = position_of(ids, cell->count, host);
    uint32_t log2 = length_log2(cell->count);

    CHECK(position < cell->count && ids[position] == host);
    cell->count--;
    memmove(ids + position, ids + position + 1,
            (cell->count - position) * sizeof(*ids));
    if (cell->count == 1) {
        uint32_t at = cell->at;

        cell->at = ids[0];
        ids_give(store, at, log2);
    } else if (length_log2(cell->count) < log2) {
        resize(store, cell, log2, log2 - 1);
    }
}

void cell_remove(struct ranks_store *store, struct ranks_cell *cell,
                 uint32_t host)
{
    CHECK(cell->count > 0);
    if (cell->count == 1) {
        CHECK(cell->at == host);
        *cell = (struct ranks_cell){0, 0};
        return;
    }
    if (!is_many(cell)) {
        remove_from_few(store, cell, host);
        return;
    }
    bitmap_clear(map_of(store, cell), map_shape(store), host);
    cell->count--;
    if (cell->count == CELL_MANY_MIN) {
        many_to_few(store, cell);
    }
}

void cell_reserve(struct ranks_store *store, struct ranks_cell *cell)
{
    if (cell->count > CELL_FEW_MAX) {
        cell->at = map_take(store) | CELL_MANY;
    } else if (cell->count > 1) {
        cell->at = ids_take(store, length_log2(cell->count));
    } else {
        cell->at = RANKS_NONE; /* The host itself will be here. */
    }
    cell->count = 0;
}

void cell_append(struct ranks_store *store, struct ranks_cell *cell,
                 uint32_t host)
{
    if (cell->at == RANKS_NONE) {
        cell->at = host;
    } else if (is_many(cell)) {
        bitmap_set(map_of(store, cell), map_shape(store), host);
    } else {
        store->ids[cell->at + cell->count] = host;
    }
    cell->count++;
}

uint32_t cell_first(const struct ranks_store *store,
                    const struct ranks_cell *cell)
{
    if (cell->count == 1) {
        return cell->at;
    }
    if (is_many(cell)) {
        return bitmap_first(map_of(store, cell), map_shape(store));
    }
    return store->ids[cell->at];
}

uint32_t cell_next(const struct ranks_store *store,
                   const struct ranks_cell *cell, uint32_t host,
                   uint32_t *position)
{
    if (cell->count == 1) {
        return RANKS_NONE;
    }
    if (is_many(cell)) {
        return bitmap_next(map_of(store, cell), map_shape(store), host + 1);
    }
    ++*position;
    return *position < cell->count ? store->ids[cell->at + *position]
                                   : RANKS_NONE;
}
