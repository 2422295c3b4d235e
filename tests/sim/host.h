/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated hypervisor machine: the agent's real core, above the model of
 * guests, shims and guard of guest.h. */
#ifndef TESTS_SIM_HOST_H
#define TESTS_SIM_HOST_H

#include "agent/core.h"
#include "agent/retry.h"
#include "state/change.h"
#include "tests/sim/guest.h"
#include "tests/sim/stream.h"
#include "tests/sim/world.h"

/* Room for them, beside what a user's fleet needs. */
#define SIM_GUESTS_MIN 64

struct sim_host {
    struct sim_world *world;
    uint32_t index;
    uint32_t zone;
    char name[SIM_NAME_ROOM];
    const char *fault_domain;
    struct resources capacity;
    struct named_amount *named;
    uint32_t named_count;
    struct text *pools;
    uint32_t pool_count;
    uint32_t driver_mask;
    struct bytes labels; /* Encoded. */
    bool powered;
    bool cut;                     /* From every node. */
    bool cut_node[SIM_ZONES_MAX]; /* From those of the zone. */
    uint32_t boot;
    bool had_foreign; /* A guest that nobody knows, since the start. */
    struct sim_clock clock;
    uint64_t paused_until_us; /* All of it, guests too. */
    uint64_t resumed_us;      /* When the last pause ended. */

    /* The agent's process. */
    bool agent_up;
    uint64_t agent_life;
    uint64_t agent_paused_until_us;
    struct core core;
    struct retry retry;
    struct random random;
    struct sim_stream *stream;
    uint64_t session;
    uint64_t poke_us;
    struct list orders; /* That came before the first acknowledgement. */

    /* Below it; outlives it. */
    uint64_t deadline_ns; /* The lease page; this boot's clock. */
    bool shims_stopped;
    struct sim_guest *guests;
    uint32_t guest_count; /* Room; not all are in use. */
    uint64_t guest_numbers;
    uint32_t start_fails_permille;
};

struct sim_host *sim_host_create(struct sim_world *world, uint32_t index);
void sim_host_destroy(struct sim_host *host);

void sim_host_power(struct sim_host *host, bool on);
void sim_host_pause(struct sim_host *host, uint64_t until_us);
void sim_host_set_rate(struct sim_host *host, int32_t ppm);
void sim_agent_start(struct sim_host *host);
void sim_agent_kill(struct sim_host *host);
void sim_agent_pause(struct sim_host *host, uint64_t until_us);

/* Whether the way between the host and a node's zone is open, in the
 * direction asked for. */
bool sim_host_reaches(const struct sim_host *host, uint32_t node, bool towards);

/* From the stream. */
void sim_agent_reply(struct sim_host *host, struct sim_stream *stream,
                     const struct sim_reply *reply);

/* When the machine goes on, if it stands still; and when the agent takes in
 * what comes now. */
uint64_t sim_host_awake_us(const struct sim_host *host);
uint64_t sim_agent_awake_us(const struct sim_host *host);

/* What the agent, if it is up, hears of a guest soon. */
void sim_agent_hears(struct sim_host *host, uint64_t uid,
                     enum core_vm_event event, const char *reason, bool failed);

/* Zone, name and all that the host reports: what the user's manifest says of
 * it. Of a world with a fleet. */
void sim_fleet_host(struct sim_host *host);

#endif
