/* SPDX-License-Identifier: Apache-2.0
 *
 * Notices that applies are over and writes down how they ended, so that the
 * answer stays what it was whatever becomes of their objects, and their parts
 * take no memory. A controller of each turn. What it holds is soft: a new
 * leader looks from the start. Pure.
 *
 * It decides CHANGE_APPLY_END alone, which no assignment, epoch, fence or lease
 * depends on (rule 1), and answers nobody (rule 2). */
#ifndef NODE_APPLY_CONTROL_H
#define NODE_APPLY_CONTROL_H

#include "node/apply_look.h"
#include "node/turn.h"

struct apply_control {
    struct turn_controller controller;
    uint64_t next_look_ms; /* Boot clock. */
    bool found;            /* Some apply is over. */
    /* By slot: how far the record's parts were looked at; of another record the
     * look begins anew. */
    struct {
        uint64_t uid;
        struct applies_look look;
    } looks[APPLIES_MAX];
};

void apply_control_init(struct apply_control *control);

/* Looks, between turns: whether one is due, for an apply is over. */
bool apply_control_is_due(struct apply_control *control,
                          const struct state *state, uint64_t now_ms);

#endif
