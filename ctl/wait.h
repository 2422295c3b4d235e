/* SPDX-License-Identifier: Apache-2.0
 *
 * --wait for VMs: by the operations that the answers name; where they name
 * none (many VMs made at once), by a watch, until they are where they should
 * be. */
#ifndef CTL_WAIT_H
#define CTL_WAIT_H

#include "ctl/invocation.h"

#include <protobuf-c/protobuf-c.h>

enum wait_goal { WAIT_RUNNING, WAIT_STOPPED, WAIT_MOVED, WAIT_DELETED };

struct wait_target {
    char *name; /* Owned. */
    uint64_t uid;
    uint64_t epoch;  /* Before the mutation; for WAIT_MOVED. */
    char *operation; /* Its name, owned; "": the answer gave none. */
    bool done;
    bool gone;       /* Deleted while something else was waited for. */
    char state[192]; /* The last that was seen. */
};

struct wait {
    enum wait_goal goal;
    struct wait_target *targets; /* Owned. */
    size_t count;
    uint64_t revision; /* The lowest of the mutations' answers; 0: none. */
};

/* Whether a VM has reached the goal. Pure. */
bool wait_is_reached(enum wait_goal goal, uint64_t epoch,
                     const ProtobufCMessage *vm, bool deleted);

void wait_init(struct wait *wait, enum wait_goal goal);
void wait_close(struct wait *wait);

/* Adds the VM of a mutation's answer; `epoch` as it was before. */
void wait_add(struct wait *wait, const ProtobufCMessage *response,
              uint64_t epoch);

/* Whether --wait-timeout is a time; told if not. Before anything is changed. */
bool wait_check_options(struct invocation *invocation);

/* Returns when all are there, or after --wait-timeout: EXIT_TIMED_OUT, with
 * what is missing told. */
enum exit_code wait_run(struct wait *wait, struct invocation *invocation);

#endif
