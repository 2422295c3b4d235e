/* SPDX-License-Identifier: Apache-2.0
 *
 * What is below an agent: guests, and the shims and the guard with the lease
 * page that end them. The model is what AGENT.md measured, at its worst: a kill
 * takes up to the kill budget, a guard that acts for a stopped shim the margin
 * more. */
#ifndef TESTS_SIM_GUEST_H
#define TESTS_SIM_GUEST_H

#include "agent/core.h"
#include "tests/sim/world.h"

enum sim_guest_state {
    SIM_GUEST_STARTING = 1,
    SIM_GUEST_RUNNING,
    SIM_GUEST_ENDED /* Its directory is there until it is forgotten. */
};

struct sim_guest {
    uint64_t uid; /* 0: no guest. */
    uint64_t epoch;
    bool keep;
    bool foreign; /* Nobody in the region knows it (rule 8). */
    bool hangs;   /* Hears no polite stop. */
    enum sim_guest_state state;
    uint64_t number; /* Of this start; void events have another. */
    bool failed;
    char reason[48];
};

/* NULL: there is none of this uid. */
struct sim_guest *sim_guest_of(struct sim_host *host, uint64_t uid);

/* There is one, and its process has not ended. */
bool sim_guest_lives(const struct sim_guest *guest);

/* Where a guest of this uid is, or would be. */
struct sim_guest *sim_guest_room(struct sim_host *host, uint64_t uid);

void sim_guest_begin(struct sim_host *host, struct sim_guest *guest,
                     const struct core_order *order);

/* Its process ends then, if it still lives. */
void sim_guest_end_at(struct sim_host *host, const struct sim_guest *guest,
                      uint64_t at_us, const char *reason);

/* The host's clock has another rate: so have the guests' deadlines. */
void sim_guests_follow_clock(struct sim_host *host);

/* All of them are gone with their machine. */
void sim_guests_lose_power(struct sim_host *host);

/* One that runs ends by itself, or hears no polite stop any more; nothing when
 * there is none. */
void sim_guests_lose_one(struct sim_host *host);
void sim_guests_hang_one(struct sim_host *host);

#endif
