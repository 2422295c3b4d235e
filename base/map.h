/* SPDX-License-Identifier: Apache-2.0
 *
 * A hash map from a 64-bit number to a pointer, for soft state in one process.
 * Open addressing with backward-shift deletion, so no tombstones. Iterate only
 * where the order does not matter: it depends on history. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stddef.h>
#include <stdint.h>

struct map_entry {
    uint64_t key;
    void *value; /* NULL marks an empty slot. */
};

struct map {
    struct map_entry *entries;
    size_t capacity; /* 0 or a power of two. */
    size_t count;
};

void map_init(struct map *map);

/* Frees the map; the values stay their owners'. */
void map_close(struct map *map);

/* The value, or NULL. */
void *map_get(const struct map *map, uint64_t key);

/* Puts or replaces; value not NULL. */
void map_put(struct map *map, uint64_t key, void *value);

/* Takes the key out and returns its value, or NULL when it was not there. */
void *map_remove(struct map *map, uint64_t key);

/* The next value at or after *cursor, which it moves on; NULL at the end.
 * Start with 0; do not change the map meanwhile. */
void *map_next(const struct map *map, size_t *cursor);

#endif
