/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_internal.h"

#include "base/arena.h"
#include "base/memory.h"
#include "raft/message.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void sim_violation(struct sim_cluster *cluster, const char *format, ...)
{
    if (cluster->oracle.violation[0] != '\0') {
        return;
    }
    va_list arguments;
    char text[400];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    snprintf(cluster->oracle.violation, sizeof cluster->oracle.violation,
             "seed %" PRIu64 " at %" PRIu64 " us: %s", cluster->options.seed,
             cluster->now_us, text);
}

void sim_oracle_init(struct sim_oracle *oracle)
{
    map_init(&oracle->leaders);
    map_init(&oracle->votes);
    map_init(&oracle->acknowledged);
}

void sim_oracle_close(struct sim_oracle *oracle)
{
    map_close(&oracle->leaders);
    map_close(&oracle->votes);
    map_close(&oracle->acknowledged);
    free(oracle->states);
    free(oracle->operations);
}

void sim_oracle_leads(struct sim_cluster *cluster, struct sim_node *node,
                      uint64_t term)
{
    struct sim_node *other = map_get(&cluster->oracle.leaders, term);
    if (other != NULL && other != node) {
        sim_violation(cluster,
                      "term %" PRIu64 " has two leaders, %" PRIu64
                      " and %" PRIu64,
                      term, other->id, node->id);
    }
    map_put(&cluster->oracle.leaders, term, node);
}

static void said_vote(struct sim_cluster *cluster, struct sim_node *node,
                      uint64_t to, uint64_t term)
{
    uint64_t key = term * (SIM_NODES_MAX + 1) + node->id;
    struct sim_node *other = map_get(&cluster->oracle.votes, key);
    if (other != NULL && other->id != to) {
        sim_violation(cluster,
                      "node %" PRIu64 " votes for %" PRIu64 " and %" PRIu64
                      " in term %" PRIu64,
                      node->id, other->id, to, term);
    }
    map_put(&cluster->oracle.votes, key, sim_node(cluster, to));
}

void sim_oracle_said(struct sim_cluster *cluster, struct sim_node *node,
                     uint64_t to, const uint8_t *data, size_t len)
{
    struct arena arena;
    struct message message;
    arena_init(&arena, RAFT_MESSAGE_ARENA_BYTES);
    if (message_decode(&message, &arena, data, len) != 0) {
        sim_violation(cluster, "node %" PRIu64 " sends nonsense", node->id);
    } else if (message.type == MESSAGE_REQUEST_VOTE && message.vote.pre_vote) {
        message.term--; /* The term it would have. */
    } else if (message.type == MESSAGE_REQUEST_VOTE) {
        said_vote(cluster, node, node->id, message.term);
    } else if (message.type == MESSAGE_REQUEST_VOTE_RESULT &&
               message.vote_result.pre_vote) {
        message.term = node->said_term; /* Echoes what was asked. */
    } else if (message.type == MESSAGE_REQUEST_VOTE_RESULT &&
               message.vote_result.granted) {
        said_vote(cluster, node, to, message.term);
    }
    arena_close(&arena);
    if (message.term < node->said_term) {
        sim_violation(cluster,
                      "node %" PRIu64 " went back from term %" PRIu64
                      " to %" PRIu64,
                      node->id, node->said_term, message.term);
    }
    node->said_term = message.term;
}

static void make_room(struct sim_oracle *oracle, uint64_t index)
{
    if (index < oracle->count) {
        return;
    }
    size_t count = (size_t)index * 2 + 64;
    oracle->states =
        memory_realloc_array(oracle->states, count, sizeof *oracle->states);
    oracle->operations = memory_realloc_array(oracle->operations, count,
                                              sizeof *oracle->operations);
    memset(oracle->states + oracle->count, 0,
           (count - oracle->count) * sizeof *oracle->states);
    memset(oracle->operations + oracle->count, 0,
           (count - oracle->count) * sizeof *oracle->operations);
    oracle->count = count;
}

void sim_oracle_applied(struct sim_cluster *cluster,
                        const struct sim_node *node, uint64_t operation)
{
    struct sim_oracle *oracle = &cluster->oracle;
    const struct sim_state *state = &node->state;
    make_room(oracle, state->index);
    struct sim_state *known = &oracle->states[state->index];
    if (known->count == 0) {
        *known = *state;
        oracle->operations[state->index] = operation;
        return;
    }
    if (known->hash != state->hash || known->count != state->count ||
        oracle->operations[state->index] != operation) {
        sim_violation(cluster,
                      "node %" PRIu64 " applied another history at %" PRIu64,
                      node->id, state->index);
    }
}

void sim_oracle_acknowledged(struct sim_cluster *cluster, uint64_t operation,
                             uint64_t term, uint64_t index)
{
    struct sim_oracle *oracle = &cluster->oracle;
    make_room(oracle, index);
    if (oracle->operations[index] != operation) {
        sim_violation(cluster,
                      "operation %" PRIu64 " is acknowledged at %" PRIu64
                      ", where %" PRIu64 " was applied",
                      operation, index, oracle->operations[index]);
    }
    if (map_get(&oracle->acknowledged, operation) != NULL) {
        sim_violation(cluster, "operation %" PRIu64 " is acknowledged twice",
                      operation);
    }
    map_put(&oracle->acknowledged, operation, oracle);
    oracle->acked++;
    if (index > oracle->acked_index) {
        oracle->acked_index = index;
    }
    if (term < SIM_TERMS && index > oracle->acked_in_term[term]) {
        oracle->acked_in_term[term] = index;
    }
}

/* Everything that leaders of earlier terms acknowledged lies before it. A
 * later leader may be at work already: then this one learns late that its
 * entry was committed, and can do nothing with it. */
void sim_oracle_proved(struct sim_cluster *cluster, const struct sim_node *node,
                       uint64_t term, uint64_t index)
{
    for (uint64_t earlier = 0; earlier < term && earlier < SIM_TERMS;
         earlier++) {
        if (index <= cluster->oracle.acked_in_term[earlier]) {
            sim_violation(cluster,
                          "node %" PRIu64 " is proved at %" PRIu64
                          ", before what was acknowledged in term %" PRIu64,
                          node->id, index, earlier);
        }
    }
}

void sim_oracle_barrier(struct sim_cluster *cluster,
                        const struct sim_node *node, uint64_t index)
{
    const struct sim_client *client = &node->client;
    cluster->oracle.barriers++;
    if (index < client->acked_before) {
        sim_violation(cluster,
                      "a barrier of node %" PRIu64 " ends at %" PRIu64
                      ", but %" PRIu64 " was acknowledged before it",
                      node->id, index, client->acked_before);
    }
}
