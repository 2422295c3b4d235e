/* SPDX-License-Identifier: Apache-2.0
 *
 * Files to contexts. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "tls/internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const kind_names[TLS_FILES] = {
    [TLS_CERTIFICATE] = "certificate", [TLS_KEY] = "key",
    [TLS_NODE_CA] = "node_ca",         [TLS_AGENT_CA] = "agent_ca",
    [TLS_CLIENT_CA] = "client_ca",
};

void tls_reason(char *text, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    snprintf(text, size, "%s", reason != NULL ? reason : "unknown reason");
    ERR_clear_error();
}

struct tls_trust *tls_trust_share(struct tls_trust *trust)
{
    trust->shares++;
    return trust;
}

void tls_trust_drop(struct tls_trust *trust)
{
    if (trust == NULL || --trust->shares > 0) {
        return;
    }
    for (unsigned role = 0; role <= TLS_ROLE_CLIENT; role++) {
        sk_X509_pop_free(trust->anchors[role], X509_free);
    }
    free(trust);
}

/* What is being made from the files, before it is put in use. */
struct making {
    struct tls_file files[TLS_FILES]; /* Paths are lent. */
    SSL_CTX *server;
    SSL_CTX *client;
    struct tls_trust *trust;
    uint64_t not_after_s;
    char *error;
    size_t error_size;
};

static bool refuse(struct making *making, enum tls_file_kind kind,
                   const char *why)
{
    snprintf(making->error, making->error_size, "tls.%s: %s: %s",
             kind_names[kind], making->files[kind].path, why);
    return false;
}

static bool refuse_for_openssl(struct making *making, enum tls_file_kind kind)
{
    char reason[96];

    tls_reason(reason, sizeof(reason));
    return refuse(making, kind, reason);
}

static bool look_at(struct making *making, enum tls_file_kind kind)
{
    struct tls_file *file = &making->files[kind];
    struct stat found;

    if (file->path == NULL) {
        return true;
    }
    if (stat(file->path, &found) != 0) {
        return refuse(making, kind, strerror(errno));
    }
    if (!S_ISREG(found.st_mode)) {
        return refuse(making, kind, "is not a file");
    }
    if (kind == TLS_KEY && (found.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        return refuse(making, kind,
                      "others can read or change this key: chmod 600 it, and "
                      "issue another if they may have");
    }
    file->mtime_ns =
        (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec;
    file->size = found.st_size;
    file->inode = found.st_ino;
    return true;
}

static bool read_anchors(struct making *making, enum tls_file_kind kind,
                         enum tls_role role)
{
    const char *path = making->files[kind].path;
    STACK_OF(X509) *anchors = sk_X509_new_null();
    FILE *file;
    X509 *one;

    CHECK(anchors != NULL);
    making->trust->anchors[role] = anchors;
    if (path == NULL) {
        return true;
    }
    file = fopen(path, "re");
    if (file == NULL) {
        return refuse(making, kind, strerror(errno));
    }
    while ((one = PEM_read_X509(file, NULL, NULL, NULL)) != NULL) {
        CHECK(sk_X509_push(anchors, one) > 0);
    }
    (void)fclose(file);
    ERR_clear_error(); /* The end of the file is one. */
    return sk_X509_num(anchors) > 0 ||
           refuse(making, kind, "holds no certificate in PEM form");
}

static void trust_anchors(SSL_CTX *context, STACK_OF(X509) * anchors)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);

    for (int i = 0; i < sk_X509_num(anchors); i++) {
        /* The same one may be there for another role. */
        (void)X509_STORE_add_cert(store, sk_X509_value(anchors, i));
    }
    ERR_clear_error();
}

static bool use_own(struct making *making, SSL_CTX *context)
{
    const char *certificate = making->files[TLS_CERTIFICATE].path;
    const char *key = making->files[TLS_KEY].path;

    if (certificate == NULL) {
        return true;
    }
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) {
        return refuse_for_openssl(making, TLS_CERTIFICATE);
    }
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) {
        if (ERR_GET_REASON(ERR_peek_last_error()) ==
            X509_R_KEY_VALUES_MISMATCH) {
            ERR_clear_error();
            return refuse(making, TLS_KEY, "is not the key of tls.certificate");
        }
        return refuse_for_openssl(making, TLS_KEY);
    }
    making->not_after_s =
        tls_time_s(X509_get0_notAfter(SSL_CTX_get0_certificate(context)));
    return true;
}

/* HTTP/2 or nothing: gRPC speaks nothing else. */
/* NOLINTNEXTLINE(readability-function-size): OpenSSL's signature. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *user)
{
    static const unsigned char wanted[] = {2, 'h', '2'};
    unsigned char *chosen;

    (void)ssl;
    (void)user;
    if (SSL_select_next_proto(&chosen, out_len, wanted, sizeof(wanted), in,
                              in_len) != OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* Every connection proves itself in full: no tickets, no resumption. */
static SSL_CTX *make_context(const SSL_METHOD *method)
{
    SSL_CTX *context = SSL_CTX_new(method);

    CHECK(context != NULL);
    CHECK(SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1);
    /* Of TLS 1.2 what HTTP/2 lets (RFC 9113, 9.2.2): keys that are gone with
     * the connection, and authenticated encryption. 1.3 has nothing else. */
    CHECK(SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20") == 1);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                     SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    (void)SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(context, 0);
    (void)SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS |
                                        SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

static bool make_server(struct making *making)
{
    static const unsigned char id[] = "holdfast";

    making->server = make_context(TLS_server_method());
    SSL_CTX_set_alpn_select_cb(making->server, on_alpn, NULL);
    CHECK(SSL_CTX_set_session_id_context(making->server, id, sizeof(id) - 1) ==
          1);
    for (unsigned role = TLS_ROLE_NODE; role <= TLS_ROLE_CLIENT; role++) {
        trust_anchors(making->server, making->trust->anchors[role]);
    }
    /* Who shows none is TLS_ROLE_NONE: the service says what he may do, in
     * words that he gets to see. One that is not in order ends it here. */
    SSL_CTX_set_verify(making->server, SSL_VERIFY_PEER, NULL);
    return use_own(making, making->server);
}

static bool make_client(struct making *making)
{
    static const unsigned char alpn[] = {2, 'h', '2'};

    making->client = make_context(TLS_client_method());
    CHECK(SSL_CTX_set_alpn_protos(making->client, alpn, sizeof(alpn)) == 0);
    trust_anchors(making->client, making->trust->anchors[TLS_ROLE_NODE]);
    SSL_CTX_set_verify(making->client, SSL_VERIFY_PEER, NULL);
    return use_own(making, making->client);
}

static bool make_all(struct making *making)
{
    static const struct {
        enum tls_file_kind kind;
        enum tls_role role;
    } authorities[] = {
        {TLS_NODE_CA, TLS_ROLE_NODE},
        {TLS_AGENT_CA, TLS_ROLE_AGENT},
        {TLS_CLIENT_CA, TLS_ROLE_CLIENT},
    };

    for (int kind = 0; kind < TLS_FILES; kind++) {
        if (!look_at(making, (enum tls_file_kind)kind)) {
            return false;
        }
    }
    making->trust = memory_alloc(sizeof(*making->trust));
    making->trust->shares = 1;
    for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++) {
        if (!read_anchors(making, authorities[i].kind, authorities[i].role)) {
            return false;
        }
    }
    return make_server(making) && make_client(making);
}

static void drop_made(SSL_CTX *server, SSL_CTX *client, struct tls_trust *trust)
{
    SSL_CTX_free(server);
    SSL_CTX_free(client);
    tls_trust_drop(trust);
}

static int make(struct tls *tls, char *error, size_t error_size)
{
    struct making making = {.error = error, .error_size = error_size};

    memcpy(making.files, tls->files, sizeof(making.files));
    if (!make_all(&making)) {
        drop_made(making.server, making.client, making.trust);
        return HF_ERROR_INVALID;
    }
    drop_made(tls->server, tls->client, tls->trust);
    memcpy(tls->files, making.files, sizeof(tls->files));
    tls->server = making.server;
    tls->client = making.client;
    tls->trust = making.trust;
    tls->not_after_s = making.not_after_s;
    return 0;
}

static char *copy_path(const char *path)
{
    return path == NULL || path[0] == '\0'
               ? NULL
               : memory_copy(path, strlen(path) + 1);
}

struct tls *tls_create(const struct tls_files *files, char *error,
                       size_t error_size)
{
    struct tls *tls = memory_alloc(sizeof(*tls));

    tls->files[TLS_CERTIFICATE].path = copy_path(files->certificate);
    tls->files[TLS_KEY].path = copy_path(files->key);
    tls->files[TLS_NODE_CA].path = copy_path(files->node_ca);
    tls->files[TLS_AGENT_CA].path = copy_path(files->agent_ca);
    tls->files[TLS_CLIENT_CA].path = copy_path(files->client_ca);
    if (tls->files[TLS_NODE_CA].path == NULL) {
        snprintf(error, error_size, "tls.node_ca: must be given");
    } else if ((tls->files[TLS_CERTIFICATE].path == NULL) !=
               (tls->files[TLS_KEY].path == NULL)) {
        snprintf(error, error_size,
                 "tls.certificate and tls.key go together: give both");
    } else if (make(tls, error, error_size) == 0) {
        return tls;
    }
    tls_destroy(tls);
    return NULL;
}

void tls_destroy(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    drop_made(tls->server, tls->client, tls->trust);
    for (int kind = 0; kind < TLS_FILES; kind++) {
        free(tls->files[kind].path);
    }
    free(tls);
}

static bool has_changed(const struct tls_file *file)
{
    struct stat found;

    if (file->path == NULL) {
        return false;
    }
    return stat(file->path, &found) != 0 || found.st_size != file->size ||
           found.st_ino != file->inode ||
           (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec !=
               file->mtime_ns;
}

int tls_reload(struct tls *tls, char *error, size_t error_size)
{
    bool changed = false;
    int rv;

    for (int kind = 0; kind < TLS_FILES; kind++) {
        changed |= has_changed(&tls->files[kind]);
    }
    if (!changed) {
        return 0;
    }
    rv = make(tls, error, error_size);
    return rv == 0 ? 1 : rv;
}

uint64_t tls_not_after_s(const struct tls *tls)
{
    return tls->not_after_s;
}
