/* SPDX-License-Identifier: Apache-2.0 */
#include "samples.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <time.h>

uint64_t samples_cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void samples_init(struct samples *samples)
{
    *samples = (struct samples){0};
}

void samples_close(struct samples *samples)
{
    free(samples->ns);
    samples_init(samples);
}

void samples_clear(struct samples *samples)
{
    samples->count = 0;
}

void samples_add(struct samples *samples, uint64_t ns)
{
    if (samples->count == samples->capacity) {
        samples->capacity =
            samples->capacity == 0 ? 1024 : samples->capacity * 2;
        samples->ns = memory_realloc_array(samples->ns, samples->capacity,
                                           sizeof(*samples->ns));
    }
    samples->ns[samples->count++] = ns;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

uint64_t samples_at(struct samples *samples, unsigned permille)
{
    size_t rank = (samples->count * permille + 999) / 1000;

    CHECK(permille <= 1000);
    if (samples->count == 0) {
        return 0;
    }
    qsort(samples->ns, samples->count, sizeof(*samples->ns), compare);
    return samples->ns[rank == 0 ? 0 : rank - 1];
}
