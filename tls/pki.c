/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/pki.h"

#include "base/check.h"
#include "base/error.h"
#include "tls/pki_file.h"
#include "tls/pki_internal.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define PATH_ROOM    1024
#define SERIAL_BYTES 16

/* Clocks of other machines may be behind. */
#define BACKDATE_S 300

static const char *const role_names[PKI_ROLE_COUNT] = {
    [PKI_NODE] = "node", [PKI_AGENT] = "agent", [PKI_CLIENT] = "client"};

const char *pki_role_name(enum pki_role role)
{
    return role_names[role];
}

static int fail(char *error, size_t size, int code, const char *what)
{
    unsigned long last = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(last);

    snprintf(error, size, "%s%s%s", what, reason != NULL ? ": " : "",
             reason != NULL ? reason : "");
    ERR_clear_error();
    return code;
}

static void path_of(char path[PATH_ROOM], const char *dir, const char *name,
                    const char *suffix)
{
    snprintf(path, PATH_ROOM, "%s/%s%s", dir, name, suffix);
}

EVP_PKEY *pki_make_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    CHECK(key != NULL);
    return key;
}

static void set_serial(X509 *certificate)
{
    unsigned char random[SERIAL_BYTES];
    BIGNUM *number;

    CHECK(RAND_bytes(random, sizeof(random)) == 1);
    random[0] = (random[0] & 0x7f) | 0x40; /* Positive, of full length. */
    number = BN_bin2bn(random, sizeof(random), NULL);
    CHECK(number != NULL &&
          BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)));
    BN_free(number);
}

static void add_name(X509_NAME *name, const char *field, const char *value)
{
    CHECK(X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                     (const unsigned char *)value, -1, -1,
                                     0) == 1);
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid,
                          const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool added;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    added = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

/* A certificate with all that all have. */
static X509 *make_certificate(EVP_PKEY *key, uint32_t days)
{
    X509 *certificate = X509_new();

    CHECK(certificate != NULL);
    CHECK(X509_set_version(certificate, X509_VERSION_3) == 1);
    set_serial(certificate);
    CHECK(X509_gmtime_adj(X509_getm_notBefore(certificate), -BACKDATE_S));
    CHECK(
        X509_time_adj_ex(X509_getm_notAfter(certificate), (int)days, 0, NULL));
    CHECK(X509_set_pubkey(certificate, key) == 1);
    return certificate;
}

static X509 *make_authority(EVP_PKEY *key, enum pki_role role,
                            const char *region)
{
    X509 *certificate = make_certificate(key, PKI_AUTHORITY_DAYS);
    X509_NAME *name = X509_get_subject_name(certificate);
    char text[160];

    snprintf(text, sizeof(text), "Holdfast %ss%s%.64s", role_names[role],
             region[0] == '\0' ? "" : " of ", region);
    add_name(name, "CN", text);
    CHECK(X509_set_issuer_name(certificate, name) == 1);
    CHECK(add_extension(certificate, certificate, NID_basic_constraints,
                        "critical,CA:TRUE,pathlen:0"));
    CHECK(add_extension(certificate, certificate, NID_key_usage,
                        "critical,keyCertSign,cRLSign"));
    CHECK(add_extension(certificate, certificate, NID_subject_key_identifier,
                        "hash"));
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    return certificate;
}

/* What goes into two files. */
struct pair {
    X509 *certificate;
    X509 *issuer; /* NULL: itself. */
    EVP_PKEY *key;
};

static int save_pair(const char *dir, const char *name, const struct pair *pair,
                     char *error, size_t size)
{
    BIO *text = BIO_new(BIO_s_mem());
    BIO *secret = BIO_new(BIO_s_mem());
    struct pki_text texts[2];
    char *data;
    int rv;

    CHECK(text != NULL && secret != NULL);
    CHECK(PEM_write_bio_X509(text, pair->certificate) == 1);
    CHECK(pair->issuer == NULL || PEM_write_bio_X509(text, pair->issuer) == 1);
    CHECK(PEM_write_bio_PKCS8PrivateKey(secret, pair->key, NULL, NULL, 0, NULL,
                                        NULL) == 1);
    /* The key first: a certificate without its key is of no use, and a key
     * without its certificate does no harm. */
    texts[0].len = (size_t)BIO_get_mem_data(secret, &data);
    texts[0].data = data;
    texts[0].secret = true;
    texts[1].len = (size_t)BIO_get_mem_data(text, &data);
    texts[1].data = data;
    texts[1].secret = false;
    rv = pki_save(dir, name, ".key", &texts[0], error, size);
    if (rv == 0) {
        rv = pki_save(dir, name, ".crt", &texts[1], error, size);
    }
    OPENSSL_cleanse(texts[0].data, texts[0].len);
    BIO_free(text);
    BIO_free(secret);
    return rv;
}

static int refuse_former(const char *dir, char *error, size_t size)
{
    static const char *const suffixes[] = {"-ca.crt", "-ca.key"};
    struct stat found;
    char path[PATH_ROOM];

    for (int role = 0; role < PKI_ROLE_COUNT; role++) {
        for (int i = 0; i < 2; i++) {
            path_of(path, dir, role_names[role], suffixes[i]);
            if (stat(path, &found) == 0) {
                snprintf(error, size,
                         "%s is there already: a new authority would make "
                         "every certificate of the former worthless; move it "
                         "away if that is what you want",
                         path);
                return HF_ERROR_EXISTS;
            }
        }
    }
    return 0;
}

int pki_init(const char *dir, const char *region, char *error, size_t size)
{
    int rv = refuse_former(dir, error, size);

    for (int role = 0; rv == 0 && role < PKI_ROLE_COUNT; role++) {
        EVP_PKEY *key = pki_make_key();
        struct pair pair = {make_authority(key, (enum pki_role)role, region),
                            NULL, key};
        char name[32];

        snprintf(name, sizeof(name), "%s-ca", role_names[role]);
        rv = save_pair(dir, name, &pair, error, size);
        X509_free(pair.certificate);
        EVP_PKEY_free(key);
    }
    return rv;
}

static bool is_token(const char *text, const char *more)
{
    size_t len = strlen(text);

    return len > 0 && len <= 127 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789") > 0 &&
           strspn(text, more) == len;
}

int pki_check_request(const struct pki_request *request, char *error,
                      size_t size)
{
    static const char name_letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._@";
    struct in6_addr address;

    if (!is_token(request->name, name_letters)) {
        snprintf(error, size,
                 "name: '%.140s' must begin with a lower-case letter or digit, "
                 "and have at most 127 of A-Z a-z 0-9 - . _ @",
                 request->name);
        return HF_ERROR_INVALID;
    }
    if (request->role == PKI_NODE &&
        strspn(request->name, "0123456789") != strlen(request->name)) {
        snprintf(error, size, "id: '%.40s' is not a node's id: a number",
                 request->name);
        return HF_ERROR_INVALID;
    }
    if (request->role == PKI_NODE && request->host_count == 0) {
        snprintf(error, size,
                 "address: a node's certificate needs the addresses or host "
                 "names under which agents, clients and other nodes reach it");
        return HF_ERROR_INVALID;
    }
    for (size_t i = 0; i < request->host_count; i++) {
        const char *host = request->hosts[i];

        if (inet_pton(AF_INET, host, &address) != 1 &&
            inet_pton(AF_INET6, host, &address) != 1 &&
            !is_token(host, name_letters)) {
            snprintf(error, size,
                     "address: '%.100s' is neither an IP address nor a host "
                     "name; without a port",
                     host);
            return HF_ERROR_INVALID;
        }
    }
    if (request->days > PKI_LEAF_DAYS_MAX) {
        snprintf(error, size, "days: at most %d", PKI_LEAF_DAYS_MAX);
        return HF_ERROR_INVALID;
    }
    return 0;
}

static void alternative_names(const struct pki_request *request, char *text,
                              size_t size)
{
    struct in6_addr address;
    size_t len = (size_t)snprintf(text, size, "URI:holdfast:%s:%s",
                                  role_names[request->role], request->name);

    for (size_t i = 0; i < request->host_count && len < size; i++) {
        const char *host = request->hosts[i];
        bool is_number = inet_pton(AF_INET, host, &address) == 1 ||
                         inet_pton(AF_INET6, host, &address) == 1;

        len += (size_t)snprintf(text + len, size - len, ",%s:%s",
                                is_number ? "IP" : "DNS", host);
    }
}

X509 *pki_make_leaf(const struct pki_request *request, EVP_PKEY *key,
                    X509 *authority)
{
    X509 *leaf = make_certificate(key, request->days == 0 ? PKI_LEAF_DAYS
                                                          : request->days);
    char names[PKI_NAMES_MAX * 140 + 200];

    if (request->until_s != 0) {
        CHECK(ASN1_TIME_set(X509_getm_notAfter(leaf),
                            (time_t)request->until_s) != NULL);
    }
    add_name(X509_get_subject_name(leaf), "CN",
             request->common_name != NULL && request->common_name[0] != '\0'
                 ? request->common_name
                 : request->name);
    CHECK(X509_set_issuer_name(leaf, X509_get_subject_name(authority)) == 1);
    CHECK(add_extension(leaf, authority, NID_basic_constraints,
                        "critical,CA:FALSE"));
    CHECK(add_extension(leaf, authority, NID_key_usage,
                        "critical,digitalSignature"));
    /* A node is a server and, to other nodes, a client. */
    CHECK(add_extension(leaf, authority, NID_ext_key_usage,
                        request->role == PKI_NODE ? "serverAuth,clientAuth"
                                                  : "clientAuth"));
    CHECK(add_extension(leaf, authority, NID_authority_key_identifier,
                        "keyid:always"));
    alternative_names(request, names, sizeof(names));
    if (!add_extension(leaf, authority, NID_subject_alt_name, names)) {
        X509_free(leaf);
        return NULL;
    }
    return leaf;
}

EVP_PKEY *pki_read_key(const char *path, char *error, size_t size)
{
    BIO *file = BIO_new_file(path, "r");
    EVP_PKEY *key = NULL;
    struct stat found;

    if (file != NULL && stat(path, &found) == 0 &&
        (found.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
        snprintf(error, size,
                 "%s: others can read or change this key: chmod 600 it, and "
                 "make another if they may have",
                 path);
        BIO_free(file);
        return NULL;
    }
    if (file != NULL) {
        key = PEM_read_bio_PrivateKey(file, NULL, NULL, NULL);
    }
    BIO_free(file);
    if (key == NULL) {
        (void)fail(error, size, HF_ERROR_NOT_FOUND, path);
    }
    return key;
}

static int load_authority(const char *dir, enum pki_role role,
                          X509 **certificate, EVP_PKEY **key, char *error,
                          size_t size)
{
    char path[PATH_ROOM];
    char name[32];
    BIO *file;

    snprintf(name, sizeof(name), "%s-ca", role_names[role]);
    path_of(path, dir, name, ".crt");
    file = BIO_new_file(path, "r");
    *certificate =
        file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);
    BIO_free(file);
    if (*certificate == NULL) {
        return fail(error, size, HF_ERROR_NOT_FOUND, path);
    }
    path_of(path, dir, name, ".key");
    *key = pki_read_key(path, error, size);
    if (*key == NULL) {
        return HF_ERROR_NOT_FOUND;
    }
    if (X509_check_private_key(*certificate, *key) != 1) {
        ERR_clear_error();
        snprintf(error, size, "%s is not the key of %s.crt", path, name);
        return HF_ERROR_INVALID;
    }
    return 0;
}

int pki_issue(const char *ca_dir, const struct pki_request *request,
              const char *out_dir, const char *file, char *error, size_t size)
{
    X509 *authority = NULL;
    EVP_PKEY *authority_key = NULL;
    EVP_PKEY *key = NULL;
    X509 *leaf = NULL;
    int rv = pki_check_request(request, error, size);

    if (rv == 0) {
        rv = load_authority(ca_dir, request->role, &authority, &authority_key,
                            error, size);
    }
    if (rv != 0) {
        goto out;
    }
    key = pki_make_key();
    leaf = pki_make_leaf(request, key, authority);
    if (leaf == NULL || X509_sign(leaf, authority_key, EVP_sha256()) <= 0) {
        rv = fail(error, size, HF_ERROR_INVALID, "certificate");
        goto out;
    }
    rv = save_pair(out_dir, file, &(struct pair){leaf, authority, key}, error,
                   size);
out:
    X509_free(leaf);
    X509_free(authority);
    EVP_PKEY_free(key);
    EVP_PKEY_free(authority_key);
    return rv;
}

static uint64_t seconds_of(const ASN1_TIME *when)
{
    struct tm parts;
    time_t seconds;

    if (ASN1_TIME_to_tm(when, &parts) != 1) {
        return 0;
    }
    seconds = timegm(&parts);
    return seconds < 0 ? 0 : (uint64_t)seconds;
}

static void find_uri(X509 *certificate, char *uri, size_t size)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const char *text;

        if (name->type != GEN_URI) {
            continue;
        }
        text = (const char *)ASN1_STRING_get0_data(
            name->d.uniformResourceIdentifier);
        if (strncmp(text, "holdfast:", 9) == 0) {
            snprintf(uri, size, "%s", text);
            break;
        }
    }
    GENERAL_NAMES_free(names);
}

int pki_show(const char *path, struct pki_facts *facts, char *error,
             size_t size)
{
    BIO *file = BIO_new_file(path, "r");
    X509 *certificate =
        file == NULL ? NULL : PEM_read_bio_X509(file, NULL, NULL, NULL);

    BIO_free(file);
    if (certificate == NULL) {
        return fail(error, size, HF_ERROR_NOT_FOUND, path);
    }
    memset(facts, 0, sizeof(*facts));
    X509_NAME_oneline(X509_get_subject_name(certificate), facts->subject,
                      sizeof(facts->subject));
    find_uri(certificate, facts->uri, sizeof(facts->uri));
    facts->not_before_s = seconds_of(X509_get0_notBefore(certificate));
    facts->not_after_s = seconds_of(X509_get0_notAfter(certificate));
    X509_free(certificate);
    return 0;
}
