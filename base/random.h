/* SPDX-License-Identifier: Apache-2.0
 *
 * Seeded pseudo-random numbers (xoshiro256**, Blackman and Vigna 2018, seeded
 * through splitmix64): the same seed gives the same run on every machine. Not
 * for secrets. */
#ifndef BASE_RANDOM_H
#define BASE_RANDOM_H

#include <stdint.h>

struct random {
    uint64_t word[4];
};

void random_init(struct random *random, uint64_t seed);
uint64_t random_u64(struct random *random);

/* Uniform in [0, bound); bound at least 1. */
uint64_t random_below(struct random *random, uint64_t bound);

#endif
