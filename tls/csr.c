/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/csr.h"

#include "base/check.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509v3.h>
#include <string.h>

static bool is_p256(EVP_PKEY *key)
{
    char group[32] = "";
    size_t len;

    return key != NULL && EVP_PKEY_is_a(key, "EC") &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

static void digest_of_key(EVP_PKEY *key, uint8_t digest[DIGEST_BYTES])
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);

    CHECK(len > 0);
    digest_sha256(der, (size_t)len, digest);
    OPENSSL_free(der);
}

bool csr_read(const void *csr, size_t len, uint8_t digest[DIGEST_BYTES])
{
    const unsigned char *at = csr;
    X509_REQ *request;
    EVP_PKEY *key;
    bool good;

    if (len == 0 || len > CSR_BYTES_MAX) {
        return false;
    }
    request = d2i_X509_REQ(NULL, &at, (long)len);
    key = request == NULL ? NULL : X509_REQ_get0_pubkey(request);
    good = is_p256(key) && at == (const unsigned char *)csr + len &&
           X509_REQ_verify(request, key) == 1;
    if (good) {
        digest_of_key(key, digest);
    }
    X509_REQ_free(request);
    ERR_clear_error();
    return good;
}
