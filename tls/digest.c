/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/digest.h"

#include "base/check.h"

#include <openssl/evp.h>

void digest_sha256(const void *data, size_t len, uint8_t digest[DIGEST_BYTES])
{
    CHECK(EVP_Digest(data, len, digest, NULL, EVP_sha256(), NULL) == 1);
}

void digest_text(const uint8_t digest[DIGEST_BYTES],
                 char text[DIGEST_TEXT_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[DIGEST_TEXT_BYTES - 1] = '\0';
}
