/* SPDX-License-Identifier: Apache-2.0
 *
 * From a verified certificate to a role and a name. */
#include "tls/internal.h"

#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define URI_PREFIX "holdfast:"

static const char *const role_names[] = {
    [TLS_ROLE_NONE] = "none",
    [TLS_ROLE_NODE] = "node",
    [TLS_ROLE_AGENT] = "agent",
    [TLS_ROLE_CLIENT] = "client",
};

const char *tls_role_name(enum tls_role role)
{
    return role_names[role];
}

uint64_t tls_time_s(const ASN1_TIME *when)
{
    struct tm parts;
    time_t seconds;

    if (ASN1_TIME_to_tm(when, &parts) != 1) {
        return 0;
    }
    seconds = timegm(&parts);
    return seconds < 0 ? 0 : (uint64_t)seconds;
}

/* Bit `role`: an authority for it is the one that the chain ends at. */
static unsigned roles_of_anchor(const struct tls_trust *trust,
                                const X509 *anchor)
{
    unsigned roles = 0;

    for (unsigned role = TLS_ROLE_NODE; role <= TLS_ROLE_CLIENT; role++) {
        STACK_OF(X509) *anchors = trust->anchors[role];

        for (int i = 0; anchors != NULL && i < sk_X509_num(anchors); i++) {
            if (X509_cmp(sk_X509_value(anchors, i), anchor) == 0) {
                roles |= 1U << role;
            }
        }
    }
    return roles;
}

/* A name is printable, without what could mislead in a log or a path. */
static bool is_name(const unsigned char *text, size_t len)
{
    if (len == 0 || len > TLS_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' ||
            text[i] == '\\' || text[i] == '/' || text[i] == ':') {
            return false;
        }
    }
    return true;
}

static bool take_name(struct tls_identity *identity, const unsigned char *text,
                      size_t len)
{
    if (!is_name(text, len)) {
        return false;
    }
    memcpy(identity->name, text, len);
    identity->name[len] = '\0';
    return true;
}

/* "holdfast:agent:h12". 1: it is ours; 0: a URI of somebody else; -1: one that
 * begins as ours and is not of that form. */
static int read_uri(const unsigned char *uri, size_t len,
                    struct tls_identity *identity)
{
    size_t prefix = strlen(URI_PREFIX);

    if (len < prefix || memcmp(uri, URI_PREFIX, prefix) != 0) {
        return 0;
    }
    for (unsigned role = TLS_ROLE_NODE; role <= TLS_ROLE_CLIENT; role++) {
        size_t name = prefix + strlen(role_names[role]) + 1;

        if (len > name && uri[name - 1] == ':' &&
            memcmp(uri + prefix, role_names[role], name - prefix - 1) == 0) {
            identity->role = (enum tls_role)role;
            identity->from_uri = true;
            return take_name(identity, uri + name, len - name) ? 1 : -1;
        }
    }
    return -1;
}

/* As read_uri(), of all alternative names; more than one of ours is none. */
static int read_uris(X509 *leaf, struct tls_identity *identity)
{
    GENERAL_NAMES *names =
        X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    int found = 0;

    for (int i = 0; names != NULL && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        const ASN1_IA5STRING *uri = name->d.uniformResourceIdentifier;
        int one;

        if (name->type != GEN_URI) {
            continue;
        }
        one = read_uri(ASN1_STRING_get0_data(uri),
                       (size_t)ASN1_STRING_length(uri), identity);
        if (one != 0) {
            found = one < 0 || found != 0 ? -1 : 1;
        }
    }
    GENERAL_NAMES_free(names);
    return found;
}

static bool read_common_name(X509 *leaf, struct tls_identity *identity)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    const ASN1_STRING *value;

    if (at < 0 ||
        X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
        return false;
    }
    value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
    return take_name(identity, ASN1_STRING_get0_data(value),
                     (size_t)ASN1_STRING_length(value));
}

static void read_serial(X509 *leaf, struct tls_identity *identity)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
    char *text = number == NULL ? NULL : BN_bn2hex(number);

    snprintf(identity->serial, sizeof(identity->serial), "%.43s",
             text == NULL ? "?" : text);
    OPENSSL_free(text);
    BN_free(number);
}

bool tls_identity_read(const struct tls_trust *trust, STACK_OF(X509) * chain,
                       struct tls_identity *identity, char *error,
                       size_t error_size)
{
    X509 *leaf = sk_X509_value(chain, 0);
    unsigned roles =
        roles_of_anchor(trust, sk_X509_value(chain, sk_X509_num(chain) - 1));
    int uri;

    memset(identity, 0, sizeof(*identity));
    identity->not_after_s = tls_time_s(X509_get0_notAfter(leaf));
    read_serial(leaf, identity);
    uri = read_uris(leaf, identity);
    if (uri < 0) {
        snprintf(error, error_size,
                 "the certificate's holdfast: URI is not of the form "
                 "holdfast:<role>:<name>, or there are several");
        return false;
    }
    if (uri > 0) {
        if ((roles >> identity->role & 1) == 0) {
            snprintf(error, error_size,
                     "the certificate says that it is a%s %s's, and its "
                     "authority is not one for these",
                     identity->role == TLS_ROLE_AGENT ? "n" : "",
                     tls_role_name(identity->role));
            return false;
        }
        return true;
    }
    for (unsigned role = TLS_ROLE_NODE; role <= TLS_ROLE_CLIENT; role++) {
        if (roles == 1U << role) {
            identity->role = (enum tls_role)role;
        }
    }
    if (identity->role == TLS_ROLE_NONE) {
        snprintf(error, error_size,
                 "the certificate's authority is one for several roles, and "
                 "it does not say which is its own (holdfast:<role>:<name>)");
        return false;
    }
    if (!read_common_name(leaf, identity)) {
        snprintf(error, error_size,
                 "the certificate has neither a holdfast: URI nor one common "
                 "name that is a name");
        return false;
    }
    return true;
}
