/* SPDX-License-Identifier: Apache-2.0
 *
 * Mutual TLS: who we are, whom we trust for what, and who the other end is.
 * There are three authorities, for nodes, agents and clients: a certificate
 * makes its holder what its authority is for, so an agent's cannot be used as a
 * client's. Files are read again without a restart; connections that stand keep
 * what they began with. */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum tls_role {
    TLS_ROLE_NONE, /* No certificate was shown. */
    TLS_ROLE_NODE,
    TLS_ROLE_AGENT,
    TLS_ROLE_CLIENT
};

/* "node"; never NULL. */
const char *tls_role_name(enum tls_role role);

#define TLS_NAME_MAX 127

/* Who the other end is, as its certificate says and its authority vouches.
 *
 * A certificate that Holdfast issues carries the URI
 * "holdfast:<role>:<name>" among its alternative names: the name is a member's
 * id, a host's name, a client's name. One of another PKI may do without: then
 * the role is that of its authority and the name is its common name. The same
 * authority may be given for several roles only if certificates say theirs. */
struct tls_identity {
    enum tls_role role;
    bool from_uri; /* `name` stood in a URI. */
    char name[TLS_NAME_MAX + 1];
    /* The certificate's serial number and end, for logs. */
    char serial[44];
    uint64_t not_after_s; /* Since 1970. */
};

/* Paths of PEM files; copied. */
struct tls_files {
    const char *certificate; /* Ours, with its chain; NULL: none (clients that
                              * prove themselves otherwise). */
    const char *key;         /* Its key; refused when others can read it. */
    const char *node_ca;     /* Authorities; at least this one. */
    const char *agent_ca;    /* NULL: no agent is believed; */
    const char *client_ca;   /* likewise. */
};

struct tls;

/* NULL: `error` says which file is wrong and why. */
struct tls *tls_create(const struct tls_files *files, char *error,
                       size_t error_size);
void tls_destroy(struct tls *tls);

/* Reads the files again, if one of them has changed since it was last read.
 * 1: new ones are in use for new connections; 0: nothing has changed;
 * HF_ERROR_INVALID: they are not usable, the former stay in use and `error`
 * says why. */
int tls_reload(struct tls *tls, char *error, size_t error_size);

/* When our own certificate ends, seconds since 1970; 0: there is none. */
uint64_t tls_not_after_s(const struct tls *tls);

/* --- One connection ------------------------------------------------------ */

struct tls_session;

struct tls_session *tls_session_accept(struct tls *tls);

/* To a node. It must have a certificate of the nodes' authority; `expect`: with
 * this name (pinned), by URI or else by `expect_cn`; NULL: valid for the host
 * of `address`, "host:port". */
struct tls_session *tls_session_connect(struct tls *tls, const char *address,
                                        const char *expect,
                                        const char *expect_cn);
void tls_session_destroy(struct tls_session *session);

/* Takes what came from the socket, and goes on with the handshake. False: the
 * connection must end, after what tls_session_take() gives was sent (an alert).
 */
bool tls_session_receive(struct tls_session *session, const void *data,
                         size_t len);

/* The next piece of what the other end said: its length; 0: nothing more has
 * come; negative: the connection must end, as above. */
ssize_t tls_session_read(struct tls_session *session, void *buffer,
                         size_t size);

/* Says something; established sessions only. False as above. */
bool tls_session_write(struct tls_session *session, const void *data,
                       size_t len);

/* Appends what is to be sent over the socket. */
void tls_session_take(struct tls_session *session, struct bytes *out);

bool tls_session_established(const struct tls_session *session);

/* Why it must end; empty: it was closed in order. */
const char *tls_session_error(const struct tls_session *session);

/* Of the other end; set when established. */
const struct tls_identity *tls_session_identity(
    const struct tls_session *session);

#endif
