/* SPDX-License-Identifier: Apache-2.0
 *
 * One VM in the agent's core; between core.c and core_vm.c. */
#ifndef AGENT_CORE_VM_H
#define AGENT_CORE_VM_H

#include "agent/core.h"

/* NONE --> STARTING --> RUNNING --> STOPPING --> GONE --> NONE (remembered)
 *            |             |                      ^
 *            +-------------+----------------------+
 * QUARANTINED stays as it is. */
enum core_phase {
    CORE_PHASE_NONE,
    CORE_PHASE_STARTING,
    CORE_PHASE_RUNNING,
    CORE_PHASE_STOPPING,
    CORE_PHASE_GONE,
    CORE_PHASE_QUARANTINED
};

struct core_vm {
    struct list link; /* In core.listed or core.remembered. */
    uint64_t uid;
    uint64_t epoch;        /* Of what is or was here. */
    uint64_t seen_epoch;   /* The newest of any order. */
    uint64_t over_epoch;   /* This one and older ones never run here again. */
    uint64_t answer_epoch; /* Newer one to report GONE when this is gone. */
    enum core_phase phase;
    bool keep;
    bool killed;
    bool has_files;
    uint32_t stop_grace_ms;
    uint64_t failed_ns;  /* Since when its guest has failed; 0: it has not. */
    uint64_t listed_seq; /* GONE: the first renewal that says so; 0: none. */
    char reason[CORE_REASON_MAX + 1];
    bool failed;
};

bool core_vm_lives(const struct core_vm *vm);
void core_vm_report(const struct core_vm *vm, struct core_report *report);

/* Moves it between the lists that belong to the phases. */
void core_vm_enter(struct core *core, struct core_vm *vm,
                   enum core_phase phase);

/* What the clock demands; returns when to look again. */
uint64_t core_vm_tick(struct core *core, struct core_vm *vm, uint64_t now_ns);

#endif
