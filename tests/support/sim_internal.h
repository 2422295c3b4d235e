/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated region's inside, shared by sim_cluster.c, sim_node.c and
 * sim_oracle.c. */
#ifndef TESTS_SUPPORT_SIM_INTERNAL_H
#define TESTS_SUPPORT_SIM_INTERNAL_H

#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "tests/support/sim_cluster.h"

#define SIM_REGION    "simulated"
#define SIM_DIRECTORY "/data/raft"

enum event_kind {
    EVENT_MESSAGE,
    EVENT_WAKE,
    EVENT_JOB_RUNS,
    EVENT_JOB_DONE,
    EVENT_CLIENT,
};

struct event {
    uint64_t at_us;
    uint64_t number; /* Order of equal times. */
    enum event_kind kind;
    uint64_t node; /* Whom it concerns. */
    uint64_t life; /* Which of the node's lives; 0: any. */
    uint64_t from; /* Of a message. */
    uint8_t *data; /* Of a message; owned. */
    size_t len;
    enum storage_lane lane;
};

struct sim_lane {
    struct list queue;
    bool busy;
};

/* The state machine: a hash over all that was applied. */
struct sim_state {
    uint64_t index;
    uint64_t count;
    uint64_t hash;
};

struct sim_client {
    struct replica_submit submit;
    bool submitting;
    uint64_t operation;
    struct replica_barrier barrier;
    bool waiting;
    uint64_t acked_before; /* The highest acknowledged index at its start. */
    struct replica_transfer transfer;
    bool transferring;
    int transfer_status;
    struct replica_reconfigure reconfigure;
    bool reconfiguring;
    int reconfigure_status;
};

struct sim_node {
    struct sim_cluster *cluster;
    uint64_t id;
    uint64_t life;
    struct sim_disk *disk;
    struct replica *replica; /* NULL: not running. */
    struct replica_owner owner;
    struct replica_transport transport;
    struct storage storage;
    struct sim_lane lanes[STORAGE_LANES];
    uint64_t disk_min_us;
    uint64_t disk_max_us;
    struct sim_state state;
    struct sim_client client;
    bool joins;   /* Not of the first members. */
    bool absent;  /* Does not run: not asked to yet, or gone for good. */
    bool begun;   /* Its directory was made. */
    bool failing; /* Its replica gave up: it ends after this event. */
    bool woken;
    uint64_t paused_until_us; /* Its process does not run before. */
    enum replica_failure refusal;
    char reason[512];
    uint64_t said_term; /* The highest it told others, in any life. */
};

/* What all members together must agree on. */
/* Terms beyond are not told apart; a run of chaos has some tens. */
#define SIM_TERMS 1024

struct sim_oracle {
    struct sim_state *states; /* After each index; count 0: not yet known. */
    uint64_t *operations;     /* What stands at each index; 0: no command. */
    size_t count;
    struct map leaders;      /* By term; the value is a node. */
    struct map votes;        /* By term and voter; the value is a node. */
    struct map acknowledged; /* By operation; the value marks it. */
    uint64_t acked_index;
    uint64_t acked_in_term[SIM_TERMS]; /* The last of each term's leader. */
    uint64_t acked;
    uint64_t barriers;
    char violation[512];
};

struct sim_cluster {
    struct sim_options options;
    struct random random;
    uint64_t now_us;
    struct event *heap;
    size_t heap_count;
    size_t heap_capacity;
    uint64_t numbers;
    size_t node_count;
    struct sim_node nodes[SIM_NODES_MAX];
    bool cut[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1];
    uint64_t load_us;
    uint64_t operations;
    bool failures_tolerated;
    struct sim_oracle oracle;
};

struct sim_node *sim_node(struct sim_cluster *cluster, uint64_t id);

void sim_push(struct sim_cluster *cluster, const struct event *event);

void sim_node_init(struct sim_cluster *cluster, uint64_t id);
void sim_node_close(struct sim_node *node);
void sim_node_start(struct sim_node *node);
void sim_node_stop(struct sim_node *node, bool power_cut);
void sim_node_job_runs(struct sim_node *node, enum storage_lane lane);
void sim_node_job_done(struct sim_node *node, enum storage_lane lane);
void sim_node_client(struct sim_node *node);
bool sim_node_submit(struct sim_node *node);

/* Asks the leader, if there is one, for some change of members. */
void sim_members_trouble(struct sim_cluster *cluster);

void sim_violation(struct sim_cluster *cluster, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void sim_oracle_init(struct sim_oracle *oracle);
void sim_oracle_close(struct sim_oracle *oracle);
void sim_oracle_leads(struct sim_cluster *cluster, struct sim_node *node,
                      uint64_t term);
/* A message leaves: terms never go back, and votes are given once. */
void sim_oracle_said(struct sim_cluster *cluster, struct sim_node *node,
                     uint64_t to, const uint8_t *data, size_t len);
void sim_oracle_applied(struct sim_cluster *cluster,
                        const struct sim_node *node, uint64_t operation);
void sim_oracle_acknowledged(struct sim_cluster *cluster, uint64_t operation,
                             uint64_t term, uint64_t index);

/* A leader of `term` is proved by its own entry at `index`. */
void sim_oracle_proved(struct sim_cluster *cluster, const struct sim_node *node,
                       uint64_t term, uint64_t index);

void sim_oracle_barrier(struct sim_cluster *cluster,
                        const struct sim_node *node, uint64_t index);

#endif
