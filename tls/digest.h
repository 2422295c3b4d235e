/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256, for digests that must hold against an adversary; base/hash.h is for
 * all others. A function of its bytes alone, so that pure code may use it. */
#ifndef TLS_DIGEST_H
#define TLS_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_BYTES 32

/* Digits and a NUL. */
#define DIGEST_TEXT_BYTES (2 * DIGEST_BYTES + 1)

void digest_sha256(const void *data, size_t len, uint8_t digest[DIGEST_BYTES]);

/* In hexadecimal digits, small ones. */
void digest_text(const uint8_t digest[DIGEST_BYTES],
                 char text[DIGEST_TEXT_BYTES]);

#endif
