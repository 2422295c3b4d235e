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

void *memory_alloc_array(size_t count, size_t size)
{
    void *memory = calloc(count == 0 ? 1 : count, size == 0 ? 1 : size);

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
