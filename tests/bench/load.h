/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients that each have one call under way and send the next when the answer
 * is there; several share a connection. The same code for every server: what
 * differs is a table of operations. */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include "rpc/channel.h"
#include "samples.h"

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct load_client;

struct load_operation {
    const char *path;
    const ProtobufCMessageDescriptor *output;
    /* Makes the request number `number` and hands it to load_send(). */
    void (*make)(struct load_client *client, uint64_t number);
    /* Whether the answer is what it must be. */
    bool (*check)(const ProtobufCMessage *response);
};

struct load {
    uv_loop_t *loop;
    uv_timer_t timer;
    const struct load_operation *operation;
    struct load_client *clients;
    uint32_t client_count;
    struct rpc_channel **channels;
    uint32_t channel_count;
    uint32_t under_way;
    uint64_t number;   /* Of the next request; never repeated. */
    uint64_t limit;    /* The number at which to stop; 0: none. */
    uint64_t began_ns; /* Of what is measured; 0: still warming up. */
    uint64_t ended_ns;
    bool stopping;
    struct samples samples;
    uint64_t errors;
    char error[256]; /* The first. */
};

/* Clients of one address, in turn on so many connections. */
void load_open(struct load *load, uv_loop_t *loop, const char *address,
               uint32_t clients, uint32_t connections);
void load_close(struct load *load);

/* Before the first run: over TLS, which is lent until load_close(). */
void load_use_tls(struct load *load, struct tls *tls);

/* Runs until load_end(), all counts; for several loads at once, whose loop the
 * caller runs. load_end() waits for what is under way. */
void load_begin(struct load *load, const struct load_operation *operation);
void load_end(struct load *load);

/* Runs for warm-up and measurement; then waits for what is under way. What is
 * answered within the measured time counts. */
void load_run(struct load *load, const struct load_operation *operation,
              uint64_t warm_ms, uint64_t measure_ms);

/* Runs exactly `count` requests; all count. */
void load_fill(struct load *load, const struct load_operation *operation,
               uint64_t count);

/* Answers a second. */
double load_rate(const struct load *load);

void load_send(struct load_client *client, const ProtobufCMessage *request);

#endif
