/* SPDX-License-Identifier: Apache-2.0
 *
 * Who makes a call, and whether such a one may make it at all: agents speak for
 * hosts, nodes for nodes, clients for people. A call that another node passed
 * on is its first caller's, as that node found him. What a client or token may
 * do among what people do is a matter of roles: access.h. */
#ifndef NODE_CALLER_H
#define NODE_CALLER_H

#include "node/access.h"
#include "rpc/server.h"
#include "tls/secret.h"

struct node;

/* On calls that a node passes on, besides the mark that it did: "client:anna",
 * or "token:" and the hash of its secret in hexadecimal digits. Believed from
 * nodes alone. */
#define NODE_CALLER_KEY "holdfast-caller"

/* Likewise: when his certificate ends, seconds since 1970. For display. */
#define NODE_CALLER_END_KEY "holdfast-caller-end"

/* Sent by who has a token: "Bearer hf_...". */
#define CALLER_TOKEN_KEY "authorization"

struct caller {
    enum tls_role role; /* CLIENT also by a token. */
    char name[TLS_NAME_MAX + 1];
    bool by_token;      /* It counts, whatever the certificate says. */
    bool token_is_none; /* What he sent has not the form of one. */
    uint8_t secret_hash[SECRET_SHA256];
};

/* Room for "client:" and a name. */
#define CALLER_TEXT_BYTES (TLS_NAME_MAX + 12)

/* Who it is. Without TLS (loopback) everybody is a client without a name, an
 * agent or a node, as the call asks for, unless he shows a token. False: what
 * the call says of that is not his to say. */
bool caller_find(const struct rpc_call *call, struct caller *caller);

/* When the certificate of the first caller ends, seconds since 1970; 0: he
 * showed none. Of an admitted call. */
uint64_t caller_certificate_end(const struct rpc_call *call);

/* For NODE_CALLER_KEY. */
void caller_text(const struct caller *caller, char text[CALLER_TEXT_BYTES]);

/* As grants name him. Lives as long as the caller of this keeps it. */
void caller_subject(const struct rpc_call *call,
                    struct access_subject *subject);

/* The call was refused for what its caller may do: told on the log, but not for
 * every call of a flood. */
void caller_log_refusal(struct node *node, struct rpc_call *call,
                        const char *reason);

/* Whether the caller may make this call, which is no method of the region's
 * state (access_methods), by what this node knows; else finishes it. */
bool caller_allow(struct node *node, struct rpc_call *call,
                  const struct access_subject *subject);

/* When what he may do changes by itself, because one of his grants ends: of
 * access_time_ms(). 0: never. */
uint64_t caller_next_end(const struct node *node,
                         const struct access_subject *subject);

/* Finishes a call that its caller may not make; true when it may go on. */
bool caller_admit(struct node *node, struct rpc_call *call);

/* He says that an attempt of the same request came before. */
bool caller_repeats(const struct rpc_call *call);

/* As above, for one whose caller asks too much of this node; else it is charged
 * to his account. Agents and nodes are not limited. After caller_admit(). */
bool caller_limit(struct node *node, struct rpc_call *call);

#endif
