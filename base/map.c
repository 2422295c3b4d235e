/* SPDX-License-Identifier: Apache-2.0 */
#include "base/map.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>

#define CAPACITY_MIN 16

void map_init(struct map *map)
{
    *map = (struct map){0};
}

void map_close(struct map *map)
{
    free(map->entries);
    map_init(map);
}

/* The slot that holds the key, or the empty one where it would go. */
static size_t find(const struct map *map, uint64_t key)
{
    size_t slot = (size_t)hash_u64(key) & (map->capacity - 1);

    while (map->entries[slot].value != NULL && map->entries[slot].key != key) {
        slot = (slot + 1) & (map->capacity - 1);
    }
    return slot;
}

void *map_get(const struct map *map, uint64_t key)
{
    return map->count == 0 ? NULL : map->entries[find(map, key)].value;
}

static void grow(struct map *map)
{
    struct map bigger = {.capacity = map->capacity == 0 ? CAPACITY_MIN
                                                        : map->capacity * 2};

    bigger.entries =
        memory_alloc_array(bigger.capacity, sizeof(*bigger.entries));
    for (size_t i = 0; i < map->capacity; i++) {
        if (map->entries[i].value != NULL) {
            bigger.entries[find(&bigger, map->entries[i].key)] =
                map->entries[i];
        }
    }
    bigger.count = map->count;
    free(map->entries);
    *map = bigger;
}

void map_put(struct map *map, uint64_t key, void *value)
{
    size_t slot;

    CHECK(value != NULL);
    if ((map->count + 1) * 4 > map->capacity * 3) {
        grow(map);
    }
    slot = find(map, key);
    if (map->entries[slot].value == NULL) {
        map->count++;
    }
    map->entries[slot] = (struct map_entry){.key = key, .value = value};
}

/* Moves later entries of the same run back over the hole, so that each stays
 * reachable from its home slot (Knuth 6.4, algorithm R). */
static void close_hole(struct map *map, size_t hole)
{
    size_t mask = map->capacity - 1;
    size_t slot = (hole + 1) & mask;

    while (map->entries[slot].value != NULL) {
        size_t home = (size_t)hash_u64(map->entries[slot].key) & mask;

        if (((slot - home) & mask) >= ((slot - hole) & mask)) {
            map->entries[hole] = map->entries[slot];
            hole = slot;
        }
        slot = (slot + 1) & mask;
    }
    map->entries[hole] = (struct map_entry){0};
}

void *map_remove(struct map *map, uint64_t key)
{
    size_t slot;
    void *value;

    if (map->count == 0) {
        return NULL;
    }
    slot = find(map, key);
    value = map->entries[slot].value;
    if (value != NULL) {
        close_hole(map, slot);
        map->count--;
    }
    return value;
}

void *map_next(const struct map *map, size_t *cursor)
{
    while (*cursor < map->capacity) {
        void *value = map->entries[(*cursor)++].value;

        if (value != NULL) {
            return value;
        }
    }
    return NULL;
}
