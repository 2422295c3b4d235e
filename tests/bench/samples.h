/* SPDX-License-Identifier: Apache-2.0
 *
 * Measured durations, all of them kept: exact percentiles instead of those of
 * a histogram's buckets. */
#ifndef BENCH_SAMPLES_H
#define BENCH_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

/* What this thread has had of the processor: other work on the machine does
 * not count, but for the caches that it takes. */
uint64_t samples_cpu_ns(void);

struct samples {
    uint64_t *ns;
    size_t count;
    size_t capacity;
};

void samples_init(struct samples *samples);
void samples_close(struct samples *samples);
void samples_clear(struct samples *samples);
void samples_add(struct samples *samples, uint64_t ns);

/* The smallest sample that `permille` of all do not pass (nearest rank); 0
 * without samples. Sorts. */
uint64_t samples_at(struct samples *samples, unsigned permille);

#endif
