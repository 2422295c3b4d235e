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
/* The same; a refusal, except that it is there already, breaks a rule. */
void sim_client_ask_setup(struct sim_client *client, const char *method,
                          const ProtobufCMessage *message);
void sim_client_request_id(const struct sim_client *client, char id[40]);
struct sim_world *sim_client_world(const struct sim_client *client);

#endif
