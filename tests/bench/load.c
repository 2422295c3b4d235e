/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL_MS 30000

struct load_client {
    struct rpc_unary unary;
    struct load *load;
    struct rpc_channel *channel;
    uint64_t sent_ns;
};

static void next(struct load_client *client)
{
    struct load *load = client->load;

    if (load->stopping || (load->limit != 0 && load->number >= load->limit)) {
        return;
    }
    load->under_way++;
    load->operation->make(client, load->number++);
}

static void note_error(struct load *load, const struct rpc_result *result)
{
    if (load->errors++ == 0) {
        snprintf(load->error, sizeof(load->error), "%s %s",
                 rpc_code_name(result->code), result->message);
    }
}

static void done(struct rpc_unary *unary, const struct rpc_result *result,
                 const ProtobufCMessage *response)
{
    struct load_client *client = container_of(unary, struct load_client, unary);
    struct load *load = client->load;
    uint64_t now_ns = clock_boot_ns();

    load->under_way--;
    if (result->code != RPC_OK || !load->operation->check(response)) {
        note_error(load, result);
        /* Never in a tight circle: a server that refuses everything would
         * look fast. */
        load->stopping = true;
    } else if (load->began_ns != 0 && !load->stopping) {
        samples_add(&load->samples, now_ns - client->sent_ns);
        load->ended_ns = now_ns;
    }
    next(client);
}

void load_send(struct load_client *client, const ProtobufCMessage *request)
{
    client->unary.output = client->load->operation->output;
    client->unary.deadline_ms = uv_now(client->load->loop) + CALL_MS;
    client->unary.metadata = NULL;
    client->unary.done = done;
    client->sent_ns = clock_boot_ns();
    rpc_unary_call(client->channel, &client->unary,
                   client->load->operation->path, request);
}

void load_open(struct load *load, uv_loop_t *loop, const char *address,
               uint32_t clients, uint32_t connections)
{
    CHECK(connections > 0);
    memset(load, 0, sizeof(*load));
    load->loop = loop;
    load->client_count = clients;
    load->channel_count = connections;
    load->clients = memory_alloc_array(clients, sizeof(*load->clients));
    load->channels =
        memory_alloc_array(connections, sizeof(struct rpc_channel *));
    samples_init(&load->samples);
    uv_timer_init(loop, &load->timer);
    for (uint32_t i = 0; i < connections; i++) {
        load->channels[i] =
            rpc_channel_create(loop, address, (uint64_t)i + 1000);
    }
    for (uint32_t i = 0; i < clients; i++) {
        load->clients[i].load = load;
        load->clients[i].channel = load->channels[i % connections];
    }
}

void load_use_tls(struct load *load, struct tls *tls)
{
    for (uint32_t i = 0; i < load->channel_count; i++) {
        rpc_channel_use_tls(load->channels[i], tls, NULL, NULL);
    }
}

void load_close(struct load *load)
{
    uv_close((uv_handle_t *)&load->timer, NULL);
    for (uint32_t i = 0; i < load->channel_count; i++) {
        rpc_channel_destroy(load->channels[i]);
    }
    bench_pause(load->loop, 20);
    samples_close(&load->samples);
    free(load->channels);
    free(load->clients);
}

static void begin(struct load *load, const struct load_operation *operation)
{
    load->operation = operation;
    load->stopping = false;
    load->began_ns = 0;
    samples_clear(&load->samples);
    for (uint32_t i = 0; i < load->client_count; i++) {
        next(&load->clients[i]);
    }
}

static void drain(struct load *load)
{
    while (load->under_way > 0) {
        uv_run(load->loop, UV_RUN_ONCE);
    }
}

void load_begin(struct load *load, const struct load_operation *operation)
{
    uv_update_time(load->loop);
    load->limit = 0;
    begin(load, operation);
    load->began_ns = clock_boot_ns();
}

void load_end(struct load *load)
{
    load->stopping = true;
    drain(load);
}

static void on_measured(uv_timer_t *timer)
{
    struct load *load = container_of(timer, struct load, timer);

    load->ended_ns = clock_boot_ns();
    load->stopping = true;
}

static void on_warm(uv_timer_t *timer)
{
    struct load *load = container_of(timer, struct load, timer);

    load->began_ns = clock_boot_ns();
    uv_timer_start(timer, on_measured, uv_timer_get_repeat(timer), 0);
}

void load_run(struct load *load, const struct load_operation *operation,
              uint64_t warm_ms, uint64_t measure_ms)
{
    uv_update_time(load->loop);
    load->limit = 0;
    begin(load, operation);
    uv_timer_start(&load->timer, on_warm, warm_ms, measure_ms);
    while (!load->stopping) {
        uv_run(load->loop, UV_RUN_ONCE);
    }
    uv_timer_stop(&load->timer);
    drain(load);
}

void load_fill(struct load *load, const struct load_operation *operation,
               uint64_t count)
{
    uv_update_time(load->loop);
    load->limit = load->number + count;
    begin(load, operation);
    load->began_ns = clock_boot_ns();
    drain(load);
}

double load_rate(const struct load *load)
{
    if (load->ended_ns <= load->began_ns) {
        return 0;
    }
    return (double)load->samples.count * 1e9 /
           (double)(load->ended_ns - load->began_ns);
}
