/* SPDX-License-Identifier: Apache-2.0
 *
 * What pki.c and pki_join.c share. */
#ifndef TLS_PKI_INTERNAL_H
#define TLS_PKI_INTERNAL_H

#include "tls/pki.h"

#include <openssl/x509.h>

/* A new one on P-256. */
EVP_PKEY *pki_make_key(void);

/* A private key from a file that only its owner, and who has its group, may
 * read. NULL: `error` says why not. */
EVP_PKEY *pki_read_key(const char *path, char *error, size_t size);

/* 0, or HF_ERROR_INVALID with the field. */
int pki_check_request(const struct pki_request *request, char *error,
                      size_t size);

/* A certificate for the key, not signed yet; NULL: a name was wrong. */
X509 *pki_make_leaf(const struct pki_request *request, EVP_PKEY *key,
                    X509 *authority);

#endif
