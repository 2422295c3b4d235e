/* SPDX-License-Identifier: Apache-2.0
 *
 * What a person does with a region while clients use it: cordons, settings,
 * lists, classes, and now and then a word about a dead host. */
#ifndef TESTS_SIM_OPERATOR_H
#define TESTS_SIM_OPERATOR_H

#include "tests/sim/client.h"

#include <protobuf-c/protobuf-c.h>

/* One thing at random. */
void sim_operator_acts(struct sim_client *client);

/* Uncordons zone or host number `at`; the zones come first. */
void sim_operator_tidies(struct sim_client *client, uint32_t at);

/* From the client: asks for it as for any operation. */
void sim_client_ask(struct sim_client *client, const char *method,
                    const ProtobufCMessage *message);

/* What became of a call: unknown; done, with a response; or refused, with the
 * reason. */
struct sim_told {
    bool known;
    bool again; /* Former attempts may have had an effect. */
    const char *reason;
    const ProtobufCMessage *response;
};
typedef void (*sim_told_fn)(struct sim_client *client,
                            const struct sim_told *told);

/* The same, and whoever asks is told. */
void sim_client_ask_told(struct sim_client *client, const char *method,
                         const ProtobufCMessage *message, sim_told_fn told);

/* The same; a refusal, except that it is there already, breaks a rule. */
void sim_client_ask_setup(struct sim_client *client, const char *method,
                          const ProtobufCMessage *message);
void sim_client_request_id(const struct sim_client *client, char id[40]);
struct sim_world *sim_client_world(const struct sim_client *client);
uint32_t sim_client_index(const struct sim_client *client);

struct sim_scout;
struct sim_scout *sim_client_scout(struct sim_client *client);

struct sim_groups;
struct sim_groups *sim_client_groups(struct sim_client *client);
const struct sim_groups *sim_client_groups_of(const struct sim_client *client);

#endif
