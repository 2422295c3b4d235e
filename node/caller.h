/* SPDX-License-Identifier: Apache-2.0
 *
 * Who makes a call, and whether such a one may make it at all: agents speak for
 * hosts, nodes for nodes, clients for people. A call that another node passed
 * on is its first caller's, as that node found him. */
#ifndef NODE_CALLER_H
#define NODE_CALLER_H

#include "rpc/server.h"

struct node;

/* On calls that a node passes on, besides the mark that it did: "client:anna".
 * Believed from nodes alone. */
#define NODE_CALLER_KEY "holdfast-caller"

struct caller {
    enum tls_role role;
    char name[TLS_NAME_MAX + 1];
};

/* Room for "client:" and a name. */
#define CALLER_TEXT_BYTES (TLS_NAME_MAX + 12)

/* Who it is. Without TLS (loopback) everybody is a client without a name, an
 * agent or a node, as the call asks for. False: what the call says of that is
 * not his to say. */
bool caller_find(const struct rpc_call *call, struct caller *caller);

/* For NODE_CALLER_KEY. */
void caller_text(const struct caller *caller, char text[CALLER_TEXT_BYTES]);

/* Finishes a call that its caller may not make; true when it may go on. */
bool caller_admit(struct node *node, struct rpc_call *call);

#endif
