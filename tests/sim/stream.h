/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent's stream to a node, and on to the leader: in order, without loss
 * while both ends live, as late as the network makes it. What stands in the
 * way of a cut waits until the cut heals, as TCP has it: a message may arrive
 * when its sender has long given the stream up. */
#ifndef TESTS_SIM_STREAM_H
#define TESTS_SIM_STREAM_H

#include "agent/core.h"
#include "node/sessions.h"
#include "tests/sim/world.h"

struct sim_stream;

enum sim_reply_kind { SIM_CONNECTED, SIM_WELCOME, SIM_ACK, SIM_ORDER, SIM_END };

/* What the agent gets. */
struct sim_reply {
    enum sim_reply_kind kind;
    uint64_t generation; /* WELCOME. */
    uint64_t seq;        /* ACK. */
    struct core_terms terms;
    struct core_order order;
    bool by_node;  /* END: the node said so; else the connection broke. */
    bool conflict; /* ... because another one holds the host's name. */
};

/* Connects the host's agent to a node; SIM_CONNECTED or SIM_END follows. */
struct sim_stream *sim_stream_open(struct sim_host *host, uint32_t node);

void sim_stream_hello(struct sim_stream *stream,
                      const struct core_report *reports, size_t count);
void sim_stream_renew(struct sim_stream *stream, uint64_t seq,
                      uint64_t generation, const struct core_report *reports,
                      size_t count);
void sim_stream_report(struct sim_stream *stream,
                       const struct core_report *report);

/* The agent is done with it: nothing comes from it any more. */
void sim_stream_close(struct sim_stream *stream);

/* The node knows another leader: ends what it passed on to the former. */
void sim_streams_drop(struct sim_node *node);

/* The node's process ends. */
void sim_streams_lose_node(struct sim_node *node);

#endif
