/* SPDX-License-Identifier: Apache-2.0
 *
 * 64-bit hashes: XXH3 (libxxhash) for runs of bytes, a strong integer mixer
 * for numbers. Stable across machines and versions: XXH3's output is frozen
 * since 0.8.0, so these may stand in files. Not against an adversary. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

/* The finaliser of splitmix64: a bijection with full avalanche. */
static inline uint64_t hash_u64(uint64_t value)
{
    value += 0x9e3779b97f4a7c15;
    value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
    value = (value ^ value >> 27) * 0x94d049bb133111eb;
    return value ^ value >> 31;
}

#endif
