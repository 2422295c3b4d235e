/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void *memory_alloc(size_t size)
{
    return memory_alloc_array(1, size);
}

/* Up to here malloc() is served from what glibc keeps at hand for the thread;
 * its calloc() never is. */
#define SMALL_BYTES 1024

/* Large arrays ask for large pages: the first touch of each page costs 0.1 to
 * 17 us (in a virtual machine), and a new leader touches tens of megabytes. */
#define HUGE_PAGE  ((uintptr_t)1 << 21)
#define HUGE_BYTES (2 * HUGE_PAGE)

static void advise(void *memory, size_t count, size_t size)
{
    uintptr_t from =
        ((uintptr_t)memory + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uintptr_t to = ((uintptr_t)memory + count * size) / HUGE_PAGE * HUGE_PAGE;

    if (count * size >= HUGE_BYTES && from < to) {
        /* Where there are none, all goes on as before. */
        (void)madvise((void *)from, to - from, MADV_HUGEPAGE);
    }
}

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
    advise(memory, count, size);
    return memory;
}

void *memory_realloc_array(void *array, size_t count, size_t size)
{
    void *memory;

    CHECK(size > 0 && count > 0 && count <= SIZE_MAX / size);
    memory = realloc(array, count * size);
    CHECK(memory != NULL);
    advise(memory, count, size);
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
