/* SPDX-License-Identifier: Apache-2.0
 *
 * A region in a box: turn, leases, judgement, failover and orders against
 * modelled agents, in virtual time. Rule 1 is judged by what runs there. Fails
 * the running cmocka test. */
#ifndef SUPPORT_FAILOVER_REGION_H
#define SUPPORT_FAILOVER_REGION_H

#include "base/random.h"
#include "node/failover.h"
#include "node/orders.h"

#define ZONES         3
#define HOSTS_IN_ZONE 3
#define HOSTS         (ZONES * HOSTS_IN_ZONE)
#define VMS           24
#define STEP_MS       10
#define COMMIT_MS     20
#define ELECTION_MS   700
#define RENEW_MS      1000

/* A VM as a modelled host runs it. */
struct running {
    uint64_t uid;
    uint64_t epoch;
    uint64_t up_at_ms; /* When its start is complete. */
};

struct agent {
    struct order_sink orders; /* Where the leader's book sends. */
    struct region *region;
    char name[8];
    char boot_id[24];
    uint32_t zone;
    bool powered;
    bool cut;     /* From the leader; both ways. */
    bool session; /* Hello was welcomed by the current leader. */
    bool rebooted;
    bool confirmed; /* ... and a renewal followed. */
    uint64_t deadline_ms;
    uint64_t next_renew_ms;
    struct running vms[VMS];
    uint32_t vm_count;
    struct order_book book; /* The leader's, of this session. */
    struct host_id host;
    uint64_t generation;
};

struct region {
    struct turn_log log;
    struct event_sink sink;
    struct state *state;
    const struct state *applied;
    struct leases leases;
    struct judge judge;
    struct failover failover;
    struct turn_controller *controllers[2];
    struct turn turn;
    struct bytes entry; /* In flight. */
    bool in_flight;
    uint64_t commit_at_ms;
    uint64_t now_ms;
    uint64_t lead_at_ms; /* Election under way until then; 0: none. */
    uint64_t leaderships;
    struct agent agents[HOSTS];
    struct random random;
    uint64_t first_start_ms; /* Of any VM since `watch_from`. */
    uint32_t most_copies;
    uint32_t events;
    uint32_t refused_hellos;
};

/* A region that leads, with VMS VMs that shall run. */
struct region *region_create(uint64_t seed);
void region_destroy(struct region *region);

/* Lets time pass, until it is so late. */
void region_run_until(struct region *region, uint64_t until_ms);

/* The leader is gone; another leads ELECTION_MS later, or at once. */
void region_lose_leader(struct region *region);
void region_lead(struct region *region);

/* All hosts of a zone go off or on. */
void region_zone_power(struct region *region, uint32_t zone, bool on);

/* VMs that run, as the state has it. */
uint32_t region_running(const struct region *region);
const struct host *region_host(const struct region *region, const char *name);

/* Its VMs are gone; with a boot it knows nothing of former sessions either. */
void agent_kill_all(struct agent *agent);
void agent_boot(struct agent *agent);

/* A Hello of a session that ended long ago: nobody hears the Welcome. */
void agent_hello_without_vms(struct agent *agent);

#endif
