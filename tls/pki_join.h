/* SPDX-License-Identifier: Apache-2.0
 *
 * The two ends of a certificate that is asked for over the wire: the host makes
 * its key and keeps it, a node signs with the agents' authority. */
#ifndef TLS_PKI_JOIN_H
#define TLS_PKI_JOIN_H

#include "base/bytes.h"
#include "tls/pki.h"

struct pki_signer;

/* The authority's certificate, first of that file, and its key, which others
 * must not be able to read. NULL: `error` says what is wrong. */
struct pki_signer *pki_signer_create(const char *certificate, const char *key,
                                     char *error, size_t size);
void pki_signer_destroy(struct pki_signer *signer);

/* A certificate for the key of the request, which csr_read() took, and whatever
 * it says itself; appended with the authority's, in PEM. 0, or
 * HF_ERROR_INVALID. */
int pki_signer_sign(const struct pki_signer *signer,
                    const struct pki_request *request, const struct bytes *csr,
                    struct bytes *pem, char *error, size_t size);

/* Makes `<dir>/<name>.key`, unless it is there, and a request for a certificate
 * with it, appended. `<dir>/<name>.crt` must not be there: HF_ERROR_EXISTS. */
int pki_join_begin(const char *dir, const char *name, struct bytes *csr,
                   char *error, size_t size);

/* Writes `<dir>/<name>.crt`, if it is for that key; HF_ERROR_INVALID. */
int pki_join_end(const char *dir, const char *name, const char *pem,
                 char *error, size_t size);

#endif
