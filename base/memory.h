/* SPDX-License-Identifier: Apache-2.0
 *
 * Allocation that cannot fail: a control plane without memory stops at once
 * and restarts from its log rather than limp on. Sizes that come from input
 * are bounded before they reach these. */
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>

/* Zeroed memory; aborts when there is none. Free with free(). */
void *memory_alloc(size_t size);

/* Zeroed array; aborts on overflow or when there is none. */
void *memory_alloc_array(size_t count, size_t size);

/* As realloc for an array; the new part is not zeroed. */
void *memory_realloc_array(void *array, size_t count, size_t size);

/* A copy of `len` bytes; never NULL, also for len 0. */
void *memory_copy(const void *bytes, size_t len);

/* A copy of a string. */
char *memory_copy_string(const char *string);

#endif
