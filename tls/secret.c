/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/secret.h"

#include "tls/digest.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/rand.h>

static const char digits[] = "0123456789abcdef";

bool secret_create(char text[SECRET_TEXT_BYTES])
{
    uint8_t random[32];
    char *at = text + strlen(SECRET_PREFIX);

    if (RAND_priv_bytes(random, sizeof(random)) != 1) {
        return false;
    }
    (void)snprintf(text, SECRET_TEXT_BYTES, "%s", SECRET_PREFIX);
    for (size_t i = 0; i < sizeof(random); i++) {
        *at++ = digits[random[i] >> 4];
        *at++ = digits[random[i] & 15];
    }
    *at = '\0';
    OPENSSL_cleanse(random, sizeof(random));
    return true;
}

bool secret_hash(const char *text, uint8_t hash[SECRET_SHA256])
{
    size_t prefix = strlen(SECRET_PREFIX);

    if (strnlen(text, SECRET_TEXT_BYTES) != SECRET_TEXT_BYTES - 1 ||
        strncmp(text, SECRET_PREFIX, prefix) != 0 ||
        strspn(text + prefix, digits) != SECRET_TEXT_BYTES - 1 - prefix) {
        return false;
    }
    digest_sha256(text, SECRET_TEXT_BYTES - 1, hash);
    return true;
}
