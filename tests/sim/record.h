/* SPDX-License-Identifier: Apache-2.0
 *
 * What the simulated clients ask of VMs and are told, as a history for the
 * checker (tests/history). */
#ifndef TESTS_SIM_RECORD_H
#define TESTS_SIM_RECORD_H

#include "node/api.h"
#include "tests/history/history.h"
#include "tests/sim/world.h"

#define SIM_RECORD_NAME 24

/* One operation on one VM that has begun; kind 0: on something else. */
struct sim_record {
    Holdfast__History__V1__OperationKind kind;
    uint64_t begin_us;
    uint64_t expect_revision;
    char vm[SIM_RECORD_NAME];
    char value[12]; /* The VM's priority. */
    char desired[8];
};

/* From the request. */
void sim_record_begin(struct sim_record *record, struct sim_world *world,
                      const struct api_method *method,
                      const ProtobufCMessage *request);

/* How it ended; a get of which nothing is known is left out. */
void sim_record_ok(const struct sim_record *record, struct sim_world *world,
                   uint32_t client, const ProtobufCMessage *response);
void sim_record_refused(const struct sim_record *record,
                        struct sim_world *world, uint32_t client,
                        const struct api_reply *reply);
void sim_record_unknown(const struct sim_record *record,
                        struct sim_world *world, uint32_t client);

/* The verdict on all of it; not linearizable is a violation. */
void sim_record_check(struct sim_world *world);

#endif
