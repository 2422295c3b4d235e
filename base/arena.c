/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include "base/memory.h"

#include <stdalign.h>
#include <stdlib.h>

#define BLOCK_BYTES 4096

/* The first block: with its head below the 1032 bytes up to which glibc keeps
 * freed memory at hand for the thread. Most arenas need no second one, and a
 * request's life is a handful of arenas. */
#define FIRST_BLOCK_BYTES 960

struct arena_block {
    struct arena_block *next;
    size_t used;
    size_t size;
    alignas(max_align_t) unsigned char data[];
};

void arena_init(struct arena *arena, size_t max_bytes)
{
    *arena = (struct arena){.max_bytes = max_bytes};
}

void arena_close(struct arena *arena)
{
    while (arena->blocks != NULL) {
        struct arena_block *block = arena->blocks;

        arena->blocks = block->next;
        free(block);
    }
    arena->used_bytes = 0;
}

void arena_clear(struct arena *arena)
{
    struct arena_block *keep = arena->blocks;

    if (keep == NULL || keep->size > BLOCK_BYTES) {
        arena_close(arena);
        return;
    }
    arena->blocks = keep->next;
    arena_close(arena);
    keep->next = NULL;
    keep->used = 0;
    arena->blocks = keep;
    arena->used_bytes = keep->size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    size_t align = alignof(max_align_t);
    struct arena_block *block = arena->blocks;
    void *memory;

    if (size > arena->max_bytes) {
        return NULL;
    }
    size = (size + align - 1) / align * align;
    if (block == NULL || block->size - block->used < size) {
        size_t least = block == NULL && size <= FIRST_BLOCK_BYTES
                           ? FIRST_BLOCK_BYTES
                           : BLOCK_BYTES;
        size_t block_size = size > least ? size : least;

        if (block_size > arena->max_bytes - arena->used_bytes) {
            return NULL;
        }
        block = malloc(sizeof(*block) + block_size);
        if (block == NULL) {
            return NULL;
        }
        block->next = arena->blocks;
        block->used = 0;
        block->size = block_size;
        arena->blocks = block;
        arena->used_bytes += block_size;
    }
    memory = block->data + block->used;
    block->used += size;
    return memory;
}
