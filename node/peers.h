/* SPDX-License-Identifier: Apache-2.0
 *
 * The replica's messages over our own gRPC: one stream to each other node. */
#ifndef NODE_PEERS_H
#define NODE_PEERS_H

#include "node/node.h"
#include "rpc/channel.h"

struct peers;

struct peers *peers_create(struct node *node);
void peers_destroy(struct peers *peers);
struct replica_transport *peers_transport(struct peers *peers);

/* The channel to a node, for forwarding; NULL: no such other node. */
struct rpc_channel *peers_channel(struct peers *peers, uint64_t id);

/* Whether the node answers: a connection to it stands and, where we lead,
 * something came from it lately. This node itself does. */
bool peers_answer(const struct peers *peers, uint64_t id);

/* The roster changed: streams to new members are opened, and those to removed
 * ones ended, with the next tick. */
void peers_changed(struct peers *peers);
/* How long the node takes to answer; count 0: not known. */
struct rpc_round_trip peers_round_trip(const struct peers *peers, uint64_t id);

/* Opens streams that broke. Called on each tick. */
void peers_tick(struct peers *peers);

#endif
