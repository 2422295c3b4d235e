/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/pki_join.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "tls/pki_file.h"
#include "tls/pki_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_ROOM 1024

struct pki_signer {
    X509 *authority;
    EVP_PKEY *key;
};

static int fail(char *error, size_t size, int code, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());

    snprintf(error, size, "%s%s%s", what, reason != NULL ? ": " : "",
             reason != NULL ? reason : "");
    ERR_clear_error();
    return code;
}

/* --- A node's end --------------------------------------------------------- */

struct pki_signer *pki_signer_create(const char *certificate, const char *key,
                                     char *error, size_t size)
{
    struct pki_signer *signer = memory_alloc(sizeof(*signer));
    BIO *file = BIO_new_file(certificate, "r");

    signer->authority =
        file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);
    BIO_free(file);
    if (signer->authority == NULL) {
        (void)fail(error, size, 0, certificate);
        pki_signer_destroy(signer);
        return NULL;
    }
    signer->key = pki_read_key(key, error, size);
    if (signer->key != NULL &&
        X509_check_private_key(signer->authority, signer->key) != 1) {
        ERR_clear_error();
        snprintf(error, size,
                 "%s is not the key of the first certificate in %s", key,
                 certificate);
        EVP_PKEY_free(signer->key);
        signer->key = NULL;
    }
    if (signer->key == NULL) {
        pki_signer_destroy(signer);
        return NULL;
    }
    return signer;
}

void pki_signer_destroy(struct pki_signer *signer)
{
    if (signer == NULL) {
        return;
    }
    X509_free(signer->authority);
    EVP_PKEY_free(signer->key);
    free(signer);
}

static void append_pem(struct bytes *pem, X509 *certificate)
{
    BIO *text = BIO_new(BIO_s_mem());
    char *data;
    long len;

    CHECK(text != NULL && PEM_write_bio_X509(text, certificate) == 1);
    len = BIO_get_mem_data(text, &data);
    bytes_append(pem, data, (size_t)len);
    BIO_free(text);
}

int pki_signer_sign(const struct pki_signer *signer,
                    const struct pki_request *request, const struct bytes *csr,
                    struct bytes *pem, char *error, size_t size)
{
    const unsigned char *at = csr->data;
    X509_REQ *asked = d2i_X509_REQ(NULL, &at, (long)csr->len);
    EVP_PKEY *key = asked == NULL ? NULL : X509_REQ_get0_pubkey(asked);
    X509 *leaf = NULL;
    int rv = pki_check_request(request, error, size);

    if (rv == 0 && key == NULL) {
        rv = fail(error, size, HF_ERROR_INVALID, "csr");
    }
    if (rv == 0) {
        leaf = pki_make_leaf(request, key, signer->authority);
        if (leaf == NULL || X509_sign(leaf, signer->key, EVP_sha256()) <= 0) {
            rv = fail(error, size, HF_ERROR_INVALID, "certificate");
        }
    }
    if (rv == 0) {
        append_pem(pem, leaf);
        append_pem(pem, signer->authority);
    }
    X509_free(leaf);
    X509_REQ_free(asked);
    return rv;
}

/* --- The host's end ------------------------------------------------------- */

static bool make_path(char path[PATH_ROOM], const char *dir, const char *name,
                      const char *suffix)
{
    return snprintf(path, PATH_ROOM, "%s/%s%s", dir, name, suffix) < PATH_ROOM;
}

static int save_key(const char *dir, const char *name, EVP_PKEY *key,
                    char *error, size_t size)
{
    BIO *secret = BIO_new(BIO_s_mem());
    struct pki_text text = {.secret = true};
    char *data;
    int rv;

    CHECK(secret != NULL);
    CHECK(PEM_write_bio_PKCS8PrivateKey(secret, key, NULL, NULL, 0, NULL,
                                        NULL) == 1);
    text.len = (size_t)BIO_get_mem_data(secret, &data);
    text.data = data;
    rv = pki_save(dir, name, ".key", &text, error, size);
    OPENSSL_cleanse(text.data, text.len);
    BIO_free(secret);
    return rv;
}

static void append_request(EVP_PKEY *key, const char *name, struct bytes *csr)
{
    X509_REQ *request = X509_REQ_new();
    unsigned char *der = NULL;
    int len;

    CHECK(request != NULL);
    CHECK(X509_REQ_set_version(request, X509_REQ_VERSION_1) == 1);
    CHECK(X509_NAME_add_entry_by_txt(X509_REQ_get_subject_name(request), "CN",
                                     MBSTRING_UTF8, (const unsigned char *)name,
                                     -1, -1, 0) == 1);
    CHECK(X509_REQ_set_pubkey(request, key) == 1);
    CHECK(X509_REQ_sign(request, key, EVP_sha256()) > 0);
    len = i2d_X509_REQ(request, &der);
    CHECK(len > 0);
    bytes_append(csr, der, (size_t)len);
    OPENSSL_free(der);
    X509_REQ_free(request);
}

int pki_join_begin(const char *dir, const char *name, struct bytes *csr,
                   char *error, size_t size)
{
    char path[PATH_ROOM];
    struct stat found;
    EVP_PKEY *key;
    int rv = 0;

    if (!make_path(path, dir, name, ".crt")) {
        snprintf(error, size, "%s: too long", dir);
        return HF_ERROR_INVALID;
    }
    if (stat(path, &found) == 0) {
        snprintf(error, size,
                 "%s is there already; move it away to join once more", path);
        return HF_ERROR_EXISTS;
    }
    (void)make_path(path, dir, name, ".key");
    if (stat(path, &found) == 0) {
        key = pki_read_key(path, error, size);
        rv = key == NULL ? HF_ERROR_INVALID : 0;
    } else {
        key = pki_make_key();
        rv = save_key(dir, name, key, error, size);
    }
    if (rv == 0) {
        append_request(key, name, csr);
    }
    EVP_PKEY_free(key);
    return rv;
}

static X509 *read_certificate(const char *pem)
{
    BIO *text = BIO_new_mem_buf(pem, -1);
    X509 *certificate;

    CHECK(text != NULL);
    certificate = PEM_read_bio_X509(text, NULL, NULL, NULL);
    BIO_free(text);
    return certificate;
}

int pki_join_end(const char *dir, const char *name, const char *pem,
                 char *error, size_t size)
{
    char path[PATH_ROOM];
    X509 *certificate = read_certificate(pem);
    EVP_PKEY *key;
    char *copy;
    int rv = HF_ERROR_INVALID;

    (void)make_path(path, dir, name, ".key");
    key = pki_read_key(path, error, size);
    if (key == NULL) {
        goto out;
    }
    if (certificate == NULL || X509_check_private_key(certificate, key) != 1) {
        ERR_clear_error();
        snprintf(error, size, "the node answered with no certificate for %s",
                 path);
        goto out;
    }
    copy = memory_copy_string(pem);
    rv = pki_save(dir, name, ".crt",
                  &(struct pki_text){copy, strlen(copy), false}, error, size);
    free(copy);
out:
    X509_free(certificate);
    EVP_PKEY_free(key);
    return rv;
}
