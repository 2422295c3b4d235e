/* SPDX-License-Identifier: Apache-2.0
 *
 * The certificates of hosts that join: what api_join.c has decided, and a
 * majority has on disk, is signed here, on the leader. A token is used up
 * before there is a certificate, so an answer that is lost is asked for again
 * (for the same key), and a second certificate for another key there is not. */
#ifndef NODE_NODE_JOIN_H
#define NODE_NODE_JOIN_H

#include "node/api.h"

struct node;

/* Reads the authority's key, if the configuration names one. 0 or an exit
 * code. */
int node_join_open(struct node *node);

/* Whether this node can sign; else the reply has failed. */
bool node_join_allow(const struct node *node, struct api_reply *reply);

/* Puts the certificate into the answer of JoinHost, if that is one. */
void node_join_sign(const struct node *node, const ProtobufCMessage *request,
                    struct api_reply *reply);

#endif
