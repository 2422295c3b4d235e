/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated machine with a node on it: the real engine over a simulated
 * disk, network and clock. The first ones stand in zone after zone, and more
 * may come; node i has the member id i + 1, and the name n(i + 1). */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "node/engine.h"
#include "node/roster.h"
#include "tests/sim/world.h"
#include "tests/support/sim_files.h"

struct sim_lane {
    struct list queue;
    bool busy;
};

struct sim_node {
    struct sim_world *world;
    uint32_t index;
    uint32_t zone;
    bool joins;    /* It is not of the first ones. */
    bool scrapped; /* The machine is gone for good, with its disk. */
    bool retired;  /* People took it out of use. */
    bool sent_off; /* Its process ended because it is no member any more. */
    bool begun;    /* Its directory was made. */
    bool up;       /* Its process runs. */
    bool powered;  /* Its machine does. */
    bool failing;  /* The engine gave up: it ends after this event. */
    uint64_t life;
    uint64_t paused_until_us;
    uint64_t peers_late_us; /* After a pause, peers are heard so much later. */
    struct sim_clock clock;
    int64_t wall_ms; /* What its wall clock is ahead of the truth. */
    struct sim_disk *disk;
    uint64_t disk_us; /* A storage job takes so long at most. */
    struct engine engine;
    /* The engine's own, behind the checks. */
    void (*apply)(struct replica_owner *owner, uint64_t index, uint64_t term,
                  const uint8_t *data, size_t len);
    struct replica_environment environment;
    struct replica_transport transport;
    struct storage storage;
    struct sim_lane lanes[STORAGE_LANES];
    struct roster roster;
    struct list member_calls; /* Changes of members that are under way. */
    uint64_t heard_us[SIM_NODES_MAX]; /* Last message of each node. */
    uint64_t ran_us;                  /* When it last did anything; */
    uint64_t last_index;              /* What its log had when it ended. */
    uint64_t poke_us;                 /* Earliest poke under way; 0: none. */
    uint64_t leader_last;             /* As its streams' router knows. */
    struct replica_transfer transfer;
    bool transferring;
    char reason[300];
};

/* The next one of the world, in this zone. */
struct sim_node *sim_node_create(struct sim_world *world, uint32_t zone);
void sim_node_destroy(struct sim_node *node);

/* The process. Starting needs power. */
void sim_node_start(struct sim_node *node);
void sim_node_kill(struct sim_node *node);

/* The machine: what was not synced is lost. */
void sim_node_power(struct sim_node *node, bool on);

/* The machine and all that it had will never come back. */
void sim_node_scrap(struct sim_node *node);

void sim_node_pause(struct sim_node *node, uint64_t until_us);

/* Asks it to hand leadership over, if it has it. */
void sim_node_transfer(struct sim_node *node, uint64_t to);

/* Whether the process takes anything in now; a paused one does so later. */
bool sim_node_runs(const struct sim_node *node);

/* When what comes now is taken in: now, or when its pause ends. */
uint64_t sim_node_awake_us(const struct sim_node *node);

/* The same for one of many things that wait: sockets are not read in the order
 * in which they were written. */
uint64_t sim_node_waking_us(const struct sim_node *node);

/* After something was handed to its engine: what is due, and the checks. */
void sim_node_settle(struct sim_node *node);

struct engine_time sim_node_time(const struct sim_node *node);

/* The ways between two nodes, by their numbers: as those of their zones. */
bool sim_nodes_are_cut(const struct sim_world *world, uint32_t from,
                       uint32_t to);
uint64_t sim_nodes_latency(struct sim_world *world, uint32_t from, uint32_t to);

/* The node that leads and has proved it, in the highest term; NULL: none. */
struct sim_node *sim_world_leader(const struct sim_world *world);

#endif
