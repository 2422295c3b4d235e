/* SPDX-License-Identifier: Apache-2.0
 *
 * A whole region in one thread: nodes, hosts, guests, clients, disks, network
 * and clocks, in virtual time, everything from one seed. What decides is the
 * real code: the engine on the real replica and libraft's core, and the
 * agent's core. This file is its time, its chance, its memory of what happened
 * and the first thing that must not have happened. */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include "base/list.h"
#include "base/map.h"
#include "base/random.h"
#include "tests/history/history.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIM_ZONES_MAX   5
#define SIM_NODES_MAX   16 /* That ever were, in one world. */
#define SIM_CLIENTS_MAX 8
#define SIM_VMS_MAX     64
#define SIM_NAME_ROOM   64 /* Of a host or zone, with its end. */
#define SIM_TRACE_LINES 100
#define SIM_TRACE_BYTES 200

#define SIM_MS     UINT64_C(1000)
#define SIM_SECOND UINT64_C(1000000)

/* What the driver of faults does, one count each. */
enum sim_fault {
    SIM_FAULT_NODE_KILL,
    SIM_FAULT_NODE_POWER,
    SIM_FAULT_NODE_PAUSE,
    SIM_FAULT_DISK_SLOW,
    SIM_FAULT_DISK_DIES,
    SIM_FAULT_TRANSFER,
    SIM_FAULT_WALL_CLOCK,
    SIM_FAULT_CLOCK_RATE,
    SIM_FAULT_CUT,
    SIM_FAULT_CUT_ONE_WAY,
    SIM_FAULT_CUT_HOST,
    SIM_FAULT_NETWORK,
    SIM_FAULT_HOST_POWER,
    SIM_FAULT_HOST_PAUSE,
    SIM_FAULT_AGENT_KILL,
    SIM_FAULT_AGENT_PAUSE,
    SIM_FAULT_SHIMS_STOP,
    SIM_FAULT_VM_DIES,
    SIM_FAULT_VM_HANGS,
    SIM_FAULT_VM_START,
    SIM_FAULT_ZONE_POWER,
    SIM_FAULT_ZONE_NETWORK,
    SIM_FAULT_COUNT
};

extern const char *const sim_fault_names[SIM_FAULT_COUNT];
extern const char *const sim_fault_words[SIM_FAULT_COUNT];

struct sim_fleet;

/* How many kinds of things a region has; see terrain.h. */
enum sim_variety { SIM_BY_SEED, SIM_PLAIN, SIM_RICH };

/* Whether its nodes are replaced; by seed: in one of three. */
enum sim_rebuild { SIM_REBUILD_BY_SEED, SIM_REBUILD, SIM_REBUILD_NOT };

struct sim_options {
    uint64_t seed;
    enum sim_variety variety;
    enum sim_rebuild rebuild;
    uint32_t zones;
    uint32_t hosts_in_zone; /* 0: as the seed has it. */
    uint32_t clients;
    uint32_t vms;        /* Names that the clients use. */
    uint64_t trouble_us; /* How long there are faults. */
    uint64_t quiet_us;   /* Then: until everything must be well. */
    uint64_t delay_us;   /* One way between zones, at most, when well. */
    bool only_zone_loss; /* One clean loss of a zone, nothing else. */
    bool leaders_zone;   /* ... the leader's; of a fleet: see lost_zone. */
    uint32_t lost_zone;  /* ... of a fleet. */
    /* The user's, instead of zones, hosts and VMs as above. Lent. */
    const struct sim_fleet *fleet;
    /* What happens at random: 1 << enum sim_fault; 0: all. */
    uint32_t faults;
    bool verbose; /* The whole trace goes to stderr. */
    /* Of the faults, by number in their order, only those happen that are kept;
     * keep_count 0: all. Lent. */
    const bool *keep;
    size_t keep_count;
};

/* Something to come; embed it. free() is called after run() when that returns
 * true, and instead of it when the world ends first; else the event has gone
 * into other hands. */
struct sim_event {
    uint64_t at_us;
    uint64_t number; /* Order of equal times. */
    bool (*run)(struct sim_event *event);
    void (*free)(struct sim_event *event);
};

/* A machine's monotonic clock: its own offset and rate. */
struct sim_clock {
    uint64_t world_us; /* Since then... */
    uint64_t local_us; /* ... when it showed this, ... */
    int32_t ppm;       /* ... it has run so much too fast. */
};

struct sim_node;
struct sim_host;
struct sim_client;

/* VMs that are to run, by what became of them. */
struct sim_census {
    uint32_t running;
    uint32_t waiting_zone; /* Bound to a zone that is not there. */
    uint32_t
        waiting_host;  /* For their host, which is not there: keep, disks. */
    uint32_t unplaced; /* No host has room or what else they need. */
    uint32_t other;    /* On their way. */
};

/* What is measured, over the world's life. */
struct sim_figures {
    uint64_t events;
    uint64_t operations; /* Of clients, that ended with a definite answer. */
    uint64_t unknown;    /* ... that did not. */
    uint64_t starts;     /* Of guests. */
    uint64_t recorded;   /* In the history of what was done to VMs. */
    uint64_t undecided;  /* VMs of which the checker does not know. */
    uint64_t kills;      /* Of guests, by shim or guard at the deadline. */
    uint64_t elections;  /* Proved leaders. */
    uint64_t plans;      /* Asked for; */
    uint64_t foreseen;   /* of losses, that were compared with one; */
    uint64_t plans_applied;
    uint64_t rebuilt; /* Nodes that were replaced, added or removed. */
    uint64_t faults[SIM_FAULT_COUNT];
    uint64_t start_order_us;  /* only_zone_loss: the last start order; */
    uint64_t running_us;      /* and when all ran, both from the loss. */
    bool leader_lost;         /* ... the zone was the leader's. */
    struct sim_census before; /* Of a fleet: before the loss or the faults, */
    struct sim_census after;  /* and after it, when it has settled. */
};

struct sim_check;
struct sim_check_members;
struct sim_mason;
struct sim_members_file;
struct sim_rules;

/* The rule that what is to be simulated can be built. */
#define SIM_SET_UP "set-up"

struct sim_world {
    struct sim_options options;
    struct random random;
    uint64_t now_us;
    struct sim_event **heap;
    size_t heap_count;
    size_t heap_capacity;
    uint64_t numbers;

    bool rich;          /* See terrain.h; likewise: */
    uint32_t host_size; /* which of its sizes hosts have; */
    bool rebuilds;      /* somebody replaces its nodes; */
    bool plans;         /* its clients ask for plans. */

    uint32_t zone_count;
    uint32_t node_count; /* At first one a zone, in the zones' order. */
    uint32_t host_count;
    struct sim_node *nodes[SIM_NODES_MAX];
    /* The zone's node that people and agents know the address of. */
    uint32_t fronts[SIM_ZONES_MAX];
    struct sim_host **hosts;
    struct sim_client *clients[SIM_CLIENTS_MAX];
    struct sim_mason *mason; /* NULL: nobody replaces nodes. */
    struct sim_members_file *file;
    struct sim_check *check;
    struct sim_check_members *members;
    struct sim_rules *rules;
    struct list streams; /* All that are open. */

    /* The network: [from zone][to zone], and a host's way to everybody. */
    bool cut[SIM_ZONES_MAX][SIM_ZONES_MAX];
    uint64_t delay_us; /* Between zones, at most, now. */
    uint32_t loss_permille;
    size_t fault_count;
    uint64_t lost_us; /* When a zone was lost on purpose; 0: none was. */

    struct history history;
    struct sim_figures figures;
    char trace[SIM_TRACE_LINES][SIM_TRACE_BYTES];
    uint64_t trace_count;
    uint64_t trace_hash;
    char violation[2000];
};

/* Sensible values. */
struct sim_options sim_options_default(uint64_t seed);

/* Builds a region and lives through it. The result is in `figures`,
 * `violation` and `trace`. */
struct sim_world *sim_world_create(const struct sim_options *options);
void sim_world_run(struct sim_world *world);
void sim_world_destroy(struct sim_world *world);

/* Runs until the time, or the first violation. */
void sim_world_run_until(struct sim_world *world, uint64_t until_us);

/* Takes the event over. */
void sim_world_add(struct sim_world *world, struct sim_event *event,
                   uint64_t at_us);

/* For people, and for the hash by which runs are compared. */
void sim_trace(struct sim_world *world, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The first one counts and ends the run. `rule` is the check's name. */
void sim_violation(struct sim_world *world, const char *rule,
                   const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Chance: in [0, bound), in [low, high], and of so many in a thousand. */
uint64_t sim_below(struct sim_world *world, uint64_t bound);
uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high);
bool sim_chance(struct sim_world *world, uint32_t permille);

const char *sim_zone_name(const struct sim_world *world, uint32_t zone);

/* Its index; the name must be known. */
uint32_t sim_zone_index(const struct sim_world *world, const char *name);

/* One way between two zones, now; both may be the same. */
uint64_t sim_latency(struct sim_world *world, uint32_t from, uint32_t to);

uint64_t sim_clock_local(const struct sim_clock *clock, uint64_t world_us);
uint64_t sim_clock_world(const struct sim_clock *clock, uint64_t local_us);
void sim_clock_set_rate(struct sim_clock *clock, uint64_t world_us,
                        int32_t ppm);

#endif
