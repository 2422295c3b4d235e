/* SPDX-License-Identifier: Apache-2.0
 *
 * Secrets of tokens: 256 random bits as text, of which only a hash is kept. So
 * many bits need no slow hash: nobody can try them. */
#ifndef TLS_SECRET_H
#define TLS_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#define SECRET_PREFIX "hf_"
#define SECRET_TEXT_BYTES                              \
    (3 + 64 + 1) /* Prefix, hexadecimal digits, a NUL. \
                  */
#define SECRET_SHA256 32

/* A new one. False: the system has no randomness to give. */
bool secret_create(char text[SECRET_TEXT_BYTES]);

/* SHA-256 of the whole text. False: it has not the form of a secret. */
bool secret_hash(const char *text, uint8_t hash[SECRET_SHA256]);

#endif
