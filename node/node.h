/* SPDX-License-Identifier: Apache-2.0
 *
 * One control-plane process: the engine, and the services around it. This is
 * the shell: it owns the loop's handles, reads the clocks, and passes both
 * down as arguments. */
#ifndef NODE_NODE_H
#define NODE_NODE_H

#include "node/engine.h"
#include "node/limiter.h"
#include "node/roster.h"
#include "raft/storage_uv.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/http_server.h"
#include "rpc/reflection.h"
#include "rpc/server.h"

#include <uv.h>

#include <holdfast/v1/config.pb-c.h>

struct peers;

#define NODE_VERSION "0.1.0"

#define NODE_FORWARD_KEY "holdfast-forwarded"

/* The address is taken or not this machine's. */
#define EXIT_LISTEN 69

/* The configuration is wrong. */
#define EXIT_CONFIG 78

/* Of peers_tick(). */
#define NODE_TICK_MS 10

struct node {
    uv_loop_t *loop;
    const Holdfast__V1__NodeConfig *config; /* Lent. */
    const Holdfast__V1__NodeMember *self;
    bool bootstrap; /* A first start was asked for. */

    struct engine engine;
    struct roster roster;
    struct storage_uv *storage;
    struct replica_environment environment;
    struct peers *peers;

    /* The services. */
    struct rpc_server *server;
    struct rpc_service api;
    struct rpc_service local;
    struct rpc_service membership;
    struct rpc_service agents;
    struct rpc_service watch;
    struct rpc_service peer_service;
    struct rpc_router router;
    struct limiter limiter; /* Of callers. */
    struct rpc_method *methods;
    struct rpc_health health;
    struct rpc_reflection reflection;
    struct http_pages pages;
    struct http_server *http; /* NULL: not asked for. */
    struct tls *tls;          /* NULL: loopback without. */
    /* Issues agents' certificates; NULL: this node cannot. */
    struct pki_signer *signer;
    uint64_t tls_look_ms;     /* When its files are looked at again. */
    uint64_t tls_warned_ms;   /* When the end of ours was last told of. */
    uint64_t refused_told_ms; /* When a refused call was last logged. */
    /* What was last proved of each zone's loss, by slot: nobody can be asked
     * while a turn is in flight. */
    uint64_t zone_losses_known;
    uint32_t zone_losses[ZONES_MAX];
    struct list watches;
    struct list waits; /* Calls that wait for operations. */
    uint32_t wait_count;
    uint64_t wait_look_ms;          /* When some of them look again. */
    struct list sessions_forwarded; /* Agents' sessions, to... */
    uint64_t leader_last;           /* the last leader that was known. */

    /* Of the leader, see node_members.c. */
    struct members_call *members_call;  /* Changes the members; NULL: none. */
    struct turn_request members_settle; /* Records how a change ended. */
    bool members_settling;              /* That is in a turn. */
    bool members_unsettled;             /* There is such a change. */
    uint64_t members_term;              /* In which it was looked for. */

    uv_check_t check;
    uv_timer_t tick;
    uv_async_t wake;
    uint64_t started_ms;
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
    struct http_server_close http_close;
    struct node *node;
    void (*done)(struct node_stop *request);
};
void node_stop(struct node *node, struct node_stop *request);

/* Leads, and it is proved. */
static inline bool node_leads(const struct node *node)
{
    return engine_leads(&node->engine);
}

/* The member with this id, or NULL. */
const struct member *node_member(const struct node *node, uint64_t id);

/* This node is no member any more, or must not come back: says why, and what to
 * do, and ends the process. `who` told it. */
void node_ends(const struct node *node, enum node_end end, const char *who);

/* Finishes a call for lack of a leader, with the time to wait. */
void node_refuse_no_leader(struct rpc_call *call);

/* The clocks now. */
struct engine_time node_time(void);

/* Runs what is due now: called after anything was queued. */
void node_pump(struct node *node);

/* Parts that register their methods: one file each. */
void node_api_open(struct node *node);
void node_agents_open(struct node *node);
void node_watch_open(struct node *node);
void node_cluster_open(struct node *node);
void node_members_open(struct node *node);

/* Ends what a change of members, also a former leader's, left to do. */
void node_members_pump(struct node *node);
void node_route_open(struct node *node);

/* Reads the certificates of the configuration, if it has any. 0, or EXIT_CONFIG
 * after saying why. Looks at them again now and then. */
int node_tls_open(struct node *node);
void node_tls_tick(struct node *node);

/* Passes the call on to the leader's node, with its caller. */
struct rpc_handler *node_pass_on(struct rpc_call *call,
                                 struct rpc_channel *channel);

/* Begins to tell of itself by HTTP. 0, or EXIT_LISTEN after saying why. */
int node_http_open(struct node *node, const char *address);

/* Ends the sessions that were passed on to a leader that leads no more. */
void node_route_drop(struct node *node);

/* Calls that wait look again when it is time. */
void node_api_pump(struct node *node);

/* New events are in the ring. */
void node_watch_pump(struct node *node);

#endif
