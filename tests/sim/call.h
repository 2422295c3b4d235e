/* SPDX-License-Identifier: Apache-2.0
 *
 * One attempt at an operation: to a node, perhaps on to the leader, into a
 * turn, and back. */
#ifndef TESTS_SIM_CALL_H
#define TESTS_SIM_CALL_H

#include "node/plan_book.h"
#include "tests/sim/client_parts.h"
#include "tests/sim/members.h"

struct sim_call {
    struct sim_event event;
    struct turn_request request;
    struct sim_member_call member; /* Of a method that changes members. */
    struct sim_client *client;
    uint64_t number; /* Of the client's operation. */
    uint32_t attempt;
    uint64_t begun_us;
    uint64_t floor; /* Revision acknowledged before it began. */
    uint32_t via;
    uint32_t node;
    struct plan_job job; /* Of a method that is worked out between turns. */
    uint64_t job_index;  /* Applied at its beginning, and */
    uint64_t job_hash;   /* the state's then. */
    const struct api_method *method;
    ProtobufCMessage *message;
    struct api_reply reply;
    bool back; /* It is on its way back; `answered`: with an answer. */
    bool answered;
};

/* Sends the client's operation to the node that it asks next. */
void sim_call_send(struct sim_client *client);

/* The client's: it is back. */
void sim_client_hears(struct sim_client *client, const struct sim_call *call);

#endif
