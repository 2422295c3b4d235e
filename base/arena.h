/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that is given back all at once, with a ceiling: decoding a hostile
 * message can cost at most `max_bytes` (GRPC.md: 4 MiB of empty sub-messages
 * would take 213 MB). */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

struct arena_block;

struct arena {
    struct arena_block *blocks; /* The newest first. */
    size_t used_bytes;          /* Given out or reserved so far. */
    size_t max_bytes;
};

void arena_init(struct arena *arena, size_t max_bytes);

/* Frees everything that was given out. */
void arena_close(struct arena *arena);

/* Memory aligned for any type, not zeroed; NULL above the ceiling. */
void *arena_alloc(struct arena *arena, size_t size);

/* Forgets everything given out but keeps one block for the next use. */
void arena_clear(struct arena *arena);

#endif
