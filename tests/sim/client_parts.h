/* SPDX-License-Identifier: Apache-2.0
 *
 * A client's inside, shared by client.c, call.c and owner.c. */
#ifndef TESTS_SIM_CLIENT_PARTS_H
#define TESTS_SIM_CLIENT_PARTS_H

#include "node/api.h"
#include "tests/sim/groups.h"
#include "tests/sim/operator.h"
#include "tests/sim/record.h"
#include "tests/sim/scout.h"

enum sim_belief { SIM_ABSENT, SIM_PRESENT, SIM_DELETED };

/* A VM name of this client's own. */
struct sim_belief_of {
    enum sim_belief belief;
    uint64_t uid;        /* PRESENT. */
    uint32_t generation; /* Part of the name, see sim_owner_gives_up(). */
};

enum sim_op_kind {
    OP_SETUP,
    OP_CREATE,
    OP_GET,
    OP_STOP,
    OP_START,
    OP_MOVE,
    OP_UPDATE,
    OP_DELETE,
    OP_BAD_SETTINGS,
    OP_BAD_NAME,
    OP_OTHER /* Of which nothing is remembered. */
};

struct sim_operation {
    enum sim_op_kind kind;
    uint32_t vm;
    const struct api_method *method;
    uint8_t *message;
    size_t len;
    uint64_t number; /* Answers of former ones are void. */
    uint32_t attempts;
    bool again;   /* Answered, and asked once more with the same id. */
    bool dry_run; /* Its revision is one that will not be. */
    uint64_t revision;
    uint64_t uid;
    struct sim_record record;
    sim_told_fn told; /* OTHER; may be NULL. */
};

struct sim_client {
    struct sim_world *world;
    uint32_t index;
    uint32_t node; /* Asked next. */
    uint32_t setup;
    uint32_t tidied; /* Zones and hosts that it has uncordoned at the end. */
    bool stopped;
    bool busy;
    uint64_t numbers;
    struct sim_operation op;
    struct sim_belief_of vms[SIM_VMS_MAX];
    struct sim_groups groups;
    struct sim_scout scout;
};

/* Begins an operation: it is attempted until it is answered, or given up. */
void sim_client_begin(struct sim_client *client, enum sim_op_kind kind,
                      uint32_t vm, const char *method,
                      const ProtobufCMessage *message);

#endif
