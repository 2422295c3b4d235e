/* SPDX-License-Identifier: Apache-2.0
 *
 * A small working PKI: three authorities, for nodes, agents and clients, each
 * able to sign leaves only, and the certificates that they issue
 * (rpc/tls.h says what is read from them). Keys are ECDSA P-256. Certificates
 * of any other PKI do as well; this one is for those who have none. */
#ifndef TLS_PKI_H
#define TLS_PKI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pki_role { PKI_NODE, PKI_AGENT, PKI_CLIENT, PKI_ROLE_COUNT };

/* "node", "agent", "client". */
const char *pki_role_name(enum pki_role role);

#define PKI_AUTHORITY_DAYS 3650
#define PKI_LEAF_DAYS      365
#define PKI_LEAF_DAYS_MAX  825
#define PKI_NAMES_MAX      16

/* Makes the directory if need be, and in it `<role>-ca.crt` and `<role>-ca.key`
 * (mode 0600) for each role. HF_ERROR_EXISTS when one of them is there already,
 * and then nothing is made; `error` says what went wrong. */
int pki_init(const char *dir, const char *region, char *error, size_t size);

struct pki_request {
    enum pki_role role;
    /* A node's id as a number, a host's name, a client's name. */
    const char *name;
    const char *common_name; /* For people; a node's name. */
    /* Host names and addresses under which a node is reached. */
    const char *hosts[PKI_NAMES_MAX];
    size_t host_count;
    uint32_t days;    /* 0: PKI_LEAF_DAYS. */
    uint64_t until_s; /* Instead of days: seconds since 1970; 0: not given. */
};

/* Issues a certificate with the authority in `ca_dir`: writes
 * `<out_dir>/<file>.crt` (with its authority's behind it) and `.key` (mode
 * 0600). Former files of these names are replaced, each at once.
 * HF_ERROR_INVALID: the request; HF_ERROR_NOT_FOUND: no authority there;
 * HF_ERROR_IO. */
int pki_issue(const char *ca_dir, const struct pki_request *request,
              const char *out_dir, const char *file, char *error, size_t size);

/* What there is to know of a certificate in a PEM file. */
struct pki_facts {
    char subject[256];
    char uri[160]; /* The first holdfast: one; empty: none. */
    uint64_t not_before_s;
    uint64_t not_after_s;
};
int pki_show(const char *path, struct pki_facts *facts, char *error,
             size_t size);

#endif
