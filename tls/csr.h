/* SPDX-License-Identifier: Apache-2.0
 *
 * A request for a certificate, PKCS #10 in DER: who asks proves that he has the
 * key. What is done here is a function of the bytes alone. */
#ifndef TLS_CSR_H
#define TLS_CSR_H

#include "tls/digest.h"

#include <stdbool.h>

/* Some 300 bytes are usual. */
#define CSR_BYTES_MAX 4096

/* Whether it is one for a key on P-256, and signed by that: then `digest` is
 * that of its public key (SubjectPublicKeyInfo). */
bool csr_read(const void *csr, size_t len, uint8_t digest[DIGEST_BYTES]);

#endif
