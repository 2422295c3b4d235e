/* SPDX-License-Identifier: Apache-2.0
 *
 * One control-plane process: the replica of the state, the leader's core on
 * top of it, and the services. This is the shell: it owns the loop's handles,
 * reads the clocks, and passes both down as arguments. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "base/list.h"
#include "base/map.h"
#include "node/failover.h"
#include "node/judge.h"
#include "node/leader_time.h"
#include "node/lease.h"
#include "node/region.h"
#include "node/turn.h"
#include "node/watch_ring.h"
#include "raft/replica.h"
#include "raft/storage_uv.h"
#include "rpc/health.h"
#include "rpc/reflection.h"
#include "rpc/server.h"

#include <uv.h>

#include <holdfast/v1/config.pb-c.h>

struct peers;
struct session;

#define NODE_FORWARD_KEY "holdfast-forwarded"

/* Of peers_tick(). */
#define NODE_TICK_MS 10

struct node {
    uv_loop_t *loop;
    const Holdfast__V1__NodeConfig *config; /* Lent. */
    const Holdfast__V1__NodeMember *self;
    bool bootstrap; /* A first start was asked for. */

    /* The replica and what it needs. */
    struct storage_uv *storage;
    struct replica *replica;
    struct replica_owner owner;
    struct replica_environment environment;
    struct replica_submit submit;
    struct replica_barrier barrier;
    struct replica_leadership leadership;
    struct peers *peers;

    /* The applied state. */
    struct state *state;
    const struct state *applied;
    struct arena arena; /* For decoding entries. */
    struct event_sink sink;
    struct watch_ring ring;

    /* The leader's core. */
    struct turn_log log;
    struct turn turn;
    struct leases leases;
    struct region_birth birth;
    struct judge judge;
    struct failover failover;
    struct turn_controller *controllers[3]; /* In this order. */
    struct map sessions; /* By host slot + 1: the welcomed struct session. */
    struct list sessions_due; /* Those whose orders may have changed. */
    struct leader_time time;
    uint64_t judge_next_ms;

    /* The services. */
    struct rpc_server *server;
    struct rpc_service api;
    struct rpc_service local;
    struct rpc_service agents;
    struct rpc_service watch;
    struct rpc_service peer_service;
    struct rpc_router router;
    struct rpc_method *methods;
    struct rpc_health health;
    struct rpc_reflection reflection;
    struct list watches;
    struct list sessions_forwarded; /* Agents' sessions, to... */
    uint64_t leader_last;           /* the last leader that was known. */

    uv_check_t check;
    uv_timer_t tick;
    uv_async_t wake;
    uint64_t started_ms;
    bool wake_asked;
    bool leaving;  /* node_stop() was called. */
    bool stopping; /* No call is open any more. */
};

/* Opens the data directory, joins the region and listens. With `bootstrap` a
 * directory that is not there is made: only for a node that never had data. 0,
 * or a documented exit code after saying why on the log. */
int node_start(struct node *node, uv_loop_t *loop,
               const Holdfast__V1__NodeConfig *config, bool bootstrap);

/* Hands leadership over if it has it, ends streams, lets unary calls end, and
 * stops; `done` once, later. */
struct node_stop {
    struct replica_transfer transfer;
    struct rpc_server_close close;
    struct node *node;
    void (*done)(struct node_stop *request);
};
void node_stop(struct node *node, struct node_stop *request);

/* Leads, and it is proved. */
static inline bool node_leads(const struct node *node)
{
    return node->turn.leading;
}

/* The member with this id, or NULL. */
const Holdfast__V1__NodeMember *node_member(const struct node *node,
                                            uint64_t id);

/* Finishes a call for lack of a leader, with the time to wait. */
void node_refuse_no_leader(struct rpc_call *call);

/* Runs what is due now: called after anything was queued. */
void node_pump(struct node *node);

/* Parts that register their methods: one file each. */
void node_api_open(struct node *node);
void node_agents_open(struct node *node);
void node_watch_open(struct node *node);
void node_cluster_open(struct node *node);
void node_route_open(struct node *node);

/* Ends the sessions that were passed on to a leader that leads no more. */
void node_route_drop(struct node *node);

/* New events are in the ring. */
void node_watch_pump(struct node *node);

/* A VM that is or was on the host has changed, or the host itself has. */
void node_agents_note_vm(struct node *node, uint32_t host_slot, uint64_t uid);
void node_agents_note_host(struct node *node, uint32_t host_slot);

/* Sends the orders that became due since the last time. */
void node_agents_pump(struct node *node);
void node_agents_drop(struct node *node);

#endif
