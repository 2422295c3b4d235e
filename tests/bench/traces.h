/* SPDX-License-Identifier: Apache-2.0
 *
 * What the parts of the bench `traces` share: the placer over a state of its
 * own, and the simple policies beside it. */
#ifndef BENCH_TRACES_H
#define BENCH_TRACES_H

#include "placement/placement.h"

#include <stdio.h>

enum policy_kind {
    POLICY_HOLDFAST,
    POLICY_FIRST_FIT,
    POLICY_BEST_FIT,        /* Least left, CPU and memory by their shares. */
    POLICY_LEAST_ALLOCATED, /* Most left; what spreads a fleet. */
    POLICY_COUNT
};

extern const char *const policy_names[POLICY_COUNT];

struct trace_host {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t zone;
    uint32_t rack;
};

/* Where one VM may go. */
struct trace_vm {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t zone;  /* UINT32_MAX: any. */
    uint32_t group; /* UINT32_MAX: none. */
};

enum trace_rule {
    TRACE_TOGETHER, /* All members in one zone. */
    TRACE_APART     /* No two on one host. */
};

/* --- The placer (traces_engine.c) ---------------------------------------- */

struct engine;

struct engine *engine_create(const struct trace_host *hosts, uint32_t count,
                             uint32_t zones, uint32_t vms_max);
void engine_destroy(struct engine *engine);
void engine_add_group(struct engine *engine, uint32_t group,
                      enum trace_rule rule);

/* The host, or UINT32_MAX: the VM is not kept then. Numbers of VMs are the
 * caller's. */
uint32_t engine_place(struct engine *engine, uint32_t number,
                      const struct trace_vm *vm);
void engine_remove(struct engine *engine, uint32_t number);

/* --- The parts ----------------------------------------------------------- */

/* Opens a file, through `xz` when its name ends so. NULL: says why. Closed by
 * trace_close(), which gives false when it was not read well. */
FILE *trace_open(const char *path);
bool trace_close(FILE *file, const char *path);

struct azure_options {
    const char *path;
    uint32_t host_cpus;
    uint32_t host_gib;
};

/* 0 goals met, 1 could not read, 3 missed. */
int azure_replay(const struct azure_options *options, FILE *json);

/* Of hosts, racks and sequences, told apart by their first lines. */
int topology_replay(const char *const *paths, uint32_t count, FILE *json);

#endif
