/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

void *memory_alloc(size_t size)
{
    return memory_alloc_array(1, size);
}

/* Up to here malloc() is served from what glibc keeps at hand for the thread;
 * its calloc() never is. */
#define SMALL_BYTES 1024

void *memory_alloc_array(size_t count, size_t size)
{
    void *memory;

    count = count == 0 ? 1 : count;
    size = size == 0 ? 1 : size;
    if (size <= SMALL_BYTES && count <= SMALL_BYTES / size) {
        memory = malloc(count * size);
        CHECK(memory != NULL);
        return memset(memory, 0, count * size);
    }
    memory = calloc(count, size);
    CHECK(memory != NULL);
    return memory;
}

void *memory_realloc_array(void *array, size_t count, size_t size)
{
    void *memory;

    CHECK(size > 0 && count > 0 && count <= SIZE_MAX / size);
    memory = realloc(array, count * size);
    CHECK(memory != NULL);
    return memory;
}

void *memory_copy(const void *bytes, size_t len)
{
    void *copy = malloc(len == 0 ? 1 : len);

    CHECK(copy != NULL);
    if (len > 0) {
        memcpy(copy, bytes, len);
    }
    return copy;
}

char *memory_copy_string(const char *string)
{
    return memory_copy(string, strlen(string) + 1);
}
