/* SPDX-License-Identifier: Apache-2.0
 *
 * One connection's bytes, between two memory BIOs: no socket here. */
#include "base/check.h"
#include "base/memory.h"
#include "tls/internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct tls_session *make(struct tls *tls, SSL_CTX *context, bool server)
{
    struct tls_session *session = memory_alloc(sizeof(*session));

    session->ssl = SSL_new(context);
    session->in = BIO_new(BIO_s_mem());
    session->out = BIO_new(BIO_s_mem());
    CHECK(session->ssl != NULL && session->in != NULL && session->out != NULL);
    /* An empty BIO means "later", not "the end". */
    BIO_set_mem_eof_return(session->in, -1);
    BIO_set_mem_eof_return(session->out, -1);
    SSL_set_bio(session->ssl, session->in, session->out);
    session->trust = tls_trust_share(tls->trust);
    session->server = server;
    return session;
}

struct tls_session *tls_session_accept(struct tls *tls)
{
    struct tls_session *session = make(tls, tls->server, true);

    SSL_set_accept_state(session->ssl);
    return session;
}

/* The host of "host:port" or "[address]:port". */
static void host_of(const char *address, char *host, size_t size)
{
    const char *end = strrchr(address, ':');
    size_t len = end == NULL ? strlen(address) : (size_t)(end - address);

    if (len > 1 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    snprintf(host, size, "%.*s", (int)len, address);
}

static bool is_number(const char *host)
{
    struct in6_addr address;

    return inet_pton(AF_INET, host, &address) == 1 ||
           inet_pton(AF_INET6, host, &address) == 1;
}

static void expect_host(SSL *ssl, const char *address)
{
    char host[256];

    host_of(address, host, sizeof(host));
    if (is_number(host)) {
        CHECK(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host) == 1);
    } else {
        SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        CHECK(SSL_set1_host(ssl, host) == 1);
        (void)SSL_set_tlsext_host_name(ssl, host);
    }
}

struct tls_session *tls_session_connect(struct tls *tls, const char *address,
                                        const char *expect,
                                        const char *expect_cn)
{
    struct tls_session *session = make(tls, tls->client, false);

    if (expect != NULL) {
        session->expect = memory_copy(expect, strlen(expect) + 1);
        session->expect_cn = memory_copy(expect_cn, strlen(expect_cn) + 1);
    } else {
        expect_host(session->ssl, address);
    }
    SSL_set_connect_state(session->ssl);
    return session;
}

void tls_session_destroy(struct tls_session *session)
{
    if (session == NULL) {
        return;
    }
    SSL_free(session->ssl);
    tls_trust_drop(session->trust);
    free(session->expect);
    free(session->expect_cn);
    free(session);
}

static bool fail(struct tls_session *session, const char *what)
{
    long verdict = SSL_get_verify_result(session->ssl);
    char reason[96];

    tls_reason(reason, sizeof(reason));
    session->failed = true;
    if (session->error[0] != '\0') {
        return false;
    }
    if (verdict != X509_V_OK) {
        snprintf(session->error, sizeof(session->error), "%s: %s", what,
                 X509_verify_cert_error_string(verdict));
    } else {
        snprintf(session->error, sizeof(session->error), "%s: %s", what,
                 reason);
    }
    return false;
}

static bool fail_with(struct tls_session *session, const char *text)
{
    session->failed = true;
    snprintf(session->error, sizeof(session->error), "%s", text);
    return false;
}

static bool is_expected(const struct tls_session *session)
{
    const struct tls_identity *identity = &session->identity;

    return session->expect == NULL ||
           strcmp(identity->name, identity->from_uri ? session->expect
                                                     : session->expect_cn) == 0;
}

/* The chain is verified; now who it is. */
static bool take_identity(struct tls_session *session)
{
    STACK_OF(X509) *chain = SSL_get0_verified_chain(session->ssl);
    const unsigned char *protocol;
    unsigned len;
    char text[160];

    SSL_get0_alpn_selected(session->ssl, &protocol, &len);
    if (len != 2 || memcmp(protocol, "h2", 2) != 0) {
        return fail_with(session, "TLS: the other end does not speak HTTP/2 "
                                  "(no ALPN h2)");
    }
    if (chain == NULL || sk_X509_num(chain) == 0) {
        return session->server ||
               fail_with(session, "TLS: the node shows no certificate");
    }
    if (!tls_identity_read(session->trust, chain, &session->identity, text,
                           sizeof(text))) {
        return fail_with(session, text);
    }
    if (session->server) {
        return true;
    }
    if (session->identity.role != TLS_ROLE_NODE) {
        return fail_with(session, "TLS: the other end is no node");
    }
    if (!is_expected(session)) {
        snprintf(text, sizeof(text),
                 "TLS: the certificate is that of node '%.40s', not of '%.40s'",
                 session->identity.name, session->expect);
        return fail_with(session, text);
    }
    return true;
}

static bool go_on(struct tls_session *session)
{
    int rv;

    if (session->failed) {
        return false;
    }
    if (session->established) {
        return true;
    }
    ERR_clear_error();
    rv = SSL_do_handshake(session->ssl);
    if (rv != 1) {
        rv = SSL_get_error(session->ssl, rv);
        return rv == SSL_ERROR_WANT_READ || rv == SSL_ERROR_WANT_WRITE ||
               fail(session, "TLS handshake");
    }
    if (!take_identity(session)) {
        return false;
    }
    session->established = true;
    return true;
}

bool tls_session_receive(struct tls_session *session, const void *data,
                         size_t len)
{
    if (len > 0) {
        CHECK(len <= INT32_MAX &&
              BIO_write(session->in, data, (int)len) == (int)len);
    }
    return go_on(session);
}

ssize_t tls_session_read(struct tls_session *session, void *buffer, size_t size)
{
    size_t len = 0;
    int rv;

    if (session->failed) {
        return -1;
    }
    if (!session->established) {
        return 0;
    }
    ERR_clear_error();
    if (SSL_read_ex(session->ssl, buffer, size, &len) == 1) {
        return (ssize_t)len;
    }
    rv = SSL_get_error(session->ssl, 0);
    if (rv == SSL_ERROR_WANT_READ || rv == SSL_ERROR_WANT_WRITE) {
        return 0;
    }
    if (rv == SSL_ERROR_ZERO_RETURN) {
        session->failed = true;
        return -1;
    }
    (void)fail(session, "TLS");
    return -1;
}

bool tls_session_write(struct tls_session *session, const void *data,
                       size_t len)
{
    size_t written = 0;

    CHECK(session->established);
    if (session->failed) {
        return false;
    }
    ERR_clear_error();
    /* A memory BIO takes everything. */
    if (SSL_write_ex(session->ssl, data, len, &written) != 1 ||
        written != len) {
        return fail(session, "TLS");
    }
    return true;
}

void tls_session_take(struct tls_session *session, struct bytes *out)
{
    char *data;
    long len = BIO_get_mem_data(session->out, &data);

    if (len > 0) {
        bytes_append(out, data, (size_t)len);
        CHECK(BIO_reset(session->out) == 1);
    }
}

bool tls_session_established(const struct tls_session *session)
{
    return session->established;
}

const char *tls_session_error(const struct tls_session *session)
{
    return session->error;
}

const struct tls_identity *tls_session_identity(
    const struct tls_session *session)
{
    return &session->identity;
}
