/* SPDX-License-Identifier: Apache-2.0
 *
 * Between tls.c (files), tls_identity.c (who) and tls_session.c (bytes). */
#ifndef TLS_INTERNAL_H
#define TLS_INTERNAL_H

#include "tls/tls.h"

#include <openssl/ssl.h>

#define TLS_FILES 5

/* What a file was when it was read. */
struct tls_file {
    char *path; /* Owned; NULL: not given. */
    int64_t mtime_ns;
    int64_t size;
    uint64_t inode;
};

enum tls_file_kind {
    TLS_CERTIFICATE,
    TLS_KEY,
    TLS_NODE_CA,
    TLS_AGENT_CA,
    TLS_CLIENT_CA
};

/* The authorities by role; shared by the contexts made with them and the
 * sessions that are under way. */
struct tls_trust {
    unsigned shares;
    STACK_OF(X509) * anchors[TLS_ROLE_CLIENT + 1];
};

struct tls {
    struct tls_file files[TLS_FILES];
    SSL_CTX *server;
    SSL_CTX *client;
    struct tls_trust *trust;
    uint64_t not_after_s;
};

struct tls_session {
    SSL *ssl;
    BIO *in; /* Owned by ssl, as is out. */
    BIO *out;
    struct tls_trust *trust;
    bool established;
    bool server;
    bool failed;
    char *expect;    /* Owned; NULL: by address. */
    char *expect_cn; /* Likewise. */
    struct tls_identity identity;
    char error[160];
};

struct tls_trust *tls_trust_share(struct tls_trust *trust);
void tls_trust_drop(struct tls_trust *trust);

/* Reads the identity from a verified chain, the leaf first. False: `error` says
 * what is wrong with it. */
bool tls_identity_read(const struct tls_trust *trust, STACK_OF(X509) * chain,
                       struct tls_identity *identity, char *error,
                       size_t error_size);

/* Seconds since 1970; 0 when it cannot be read. */
uint64_t tls_time_s(const ASN1_TIME *time);

/* The reason of OpenSSL's last error, as text; clears its queue. */
void tls_reason(char *text, size_t size);

#endif
