/* SPDX-License-Identifier: Apache-2.0
 *
 * The laws of placement, written down a second time on purpose, from the
 * documents and not from placement/: may this VM run there, and is there room
 * for it. */
#ifndef TESTS_SIM_LAW_H
#define TESTS_SIM_LAW_H

#include "state/state.h"

#include <stdbool.h>
#include <stdint.h>

#define SIM_KINDS (4 + NAMED_MAX)

/* Of everything that hosts have and VMs take. */
struct sim_amount {
    uint64_t of[SIM_KINDS];
};

/* The first hard rule that the VM would break on this host, in words; NULL:
 * none. */
const char *sim_law_broken(const struct state *state, const struct vm *vm,
                           const struct host *host);

/* Beside what is used, and what others hold. */
bool sim_law_has_room(const struct state *state, const struct vm *vm,
                      const struct host *host);

struct sim_amount sim_amount_of_vm(const struct state *state,
                                   const struct vm *vm);
struct sim_amount sim_amount_capacity(const struct host *host);
struct sim_amount sim_amount_used(const struct host *host);
struct sim_amount sim_amount_claimed(const struct host *host);
void sim_amount_add(struct sim_amount *sum, const struct sim_amount *part);
bool sim_amount_fits(const struct sim_amount *taken,
                     const struct sim_amount *capacity);

#endif
