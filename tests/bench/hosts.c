/* SPDX-License-Identifier: Apache-2.0 */
#include "hosts.h"

#include "base/clock.h"
#include "base/memory.h"
#include "call.h"
#include "rpc/unpack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WELCOME_MS      20000
#define TICK_MS         10
#define HOSTS_A_CHANNEL 128 /* Below the calls that a connection may have. */
#define ORDER_BYTES_MAX 65536

/* VMs of the smallest class on one host: hosts are packed one after the other,
 * and a renewal lists all VMs of its host, at most 4096. */
#define HOST_VMS 500

static void send_message(struct bench_host *host,
                         const Holdfast__V1__AgentMessage *message)
{
    rpc_stream_send(&host->stream, &message->base);
}

static void send_hello(struct bench_host *host)
{
    Holdfast__V1__AgentMessage message = HOLDFAST__V1__AGENT_MESSAGE__INIT;
    Holdfast__V1__Hello hello = HOLDFAST__V1__HELLO__INIT;
    Holdfast__V1__Resources capacity = HOLDFAST__V1__RESOURCES__INIT;
    Holdfast__V1__Driver drivers[] = {HOLDFAST__V1__DRIVER__DRIVER_EXEC};
    char name[32];
    char zone[8];
    char id[40];

    snprintf(name, sizeof(name), "h%u", host->number);
    snprintf(zone, sizeof(zone), "z%u", host->number % 3 + 1);
    snprintf(id, sizeof(id), "bench-host-%08u-0000000", host->number);
    capacity.cpu_milli = HOST_VMS;
    capacity.memory_mib = HOST_VMS;
    hello.host = name;
    hello.zone = zone;
    hello.host_id = id;
    hello.boot_id = id;
    hello.capacity = &capacity;
    hello.drivers = drivers;
    hello.n_drivers = 1;
    message.message_case = HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO;
    message.hello = &hello;
    send_message(host, &message);
}

static void send_renew(struct bench_host *host)
{
    Holdfast__V1__AgentMessage message = HOLDFAST__V1__AGENT_MESSAGE__INIT;
    Holdfast__V1__Renew renew = HOLDFAST__V1__RENEW__INIT;
    size_t count = host->vms.count;
    Holdfast__V1__VmReport *reports =
        memory_alloc_array(count, sizeof(*reports));
    Holdfast__V1__VmReport **pointers =
        memory_alloc_array(count, sizeof(*pointers));
    const struct host_vm *vm;
    size_t cursor = 0;

    while ((vm = map_next(&host->vms, &cursor)) != NULL) {
        Holdfast__V1__VmReport *report = &reports[renew.n_vms];

        holdfast__v1__vm_report__init(report);
        report->uid = vm->uid;
        report->epoch = vm->epoch;
        report->state = HOLDFAST__V1__REPORT_STATE__REPORT_STATE_RUNNING;
        pointers[renew.n_vms++] = report;
    }
    renew.seq = ++host->seq;
    renew.generation = host->generation;
    renew.vms = pointers;
    message.message_case = HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW;
    message.renew = &renew;
    send_message(host, &message);
    free(pointers);
    free(reports);
}

static void send_report(struct bench_host *host, struct host_vm vm,
                        Holdfast__V1__ReportState state)
{
    Holdfast__V1__AgentMessage message = HOLDFAST__V1__AGENT_MESSAGE__INIT;
    Holdfast__V1__Report report = HOLDFAST__V1__REPORT__INIT;
    Holdfast__V1__VmReport wire = HOLDFAST__V1__VM_REPORT__INIT;

    wire.uid = vm.uid;
    wire.epoch = vm.epoch;
    wire.state = state;
    report.vm = &wire;
    message.message_case = HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_REPORT;
    message.report = &report;
    send_message(host, &message);
}

static void start_vm(struct bench_host *host, struct host_vm vm)
{
    struct host_vm *known = map_get(&host->vms, vm.uid);

    if (known == NULL) {
        known = memory_alloc(sizeof(*known));
        map_put(&host->vms, vm.uid, known);
    }
    *known = vm;
    host->hosts->starts++;
    send_report(host, vm, HOLDFAST__V1__REPORT_STATE__REPORT_STATE_RUNNING);
}

static void end_vm(struct bench_host *host, struct host_vm vm)
{
    free(map_remove(&host->vms, vm.uid));
    send_report(host, vm, HOLDFAST__V1__REPORT_STATE__REPORT_STATE_GONE);
}

static void obey(struct bench_host *host, const Holdfast__V1__Order *order)
{
    struct host_vm vm = {order->uid, order->epoch};

    if (order->generation != host->generation) {
        return;
    }
    if (order->action == HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_START) {
        start_vm(host, vm);
    } else {
        end_vm(host, vm);
    }
}

static void welcome(struct bench_host *host,
                    const Holdfast__V1__Welcome *message)
{
    host->generation = message->generation;
    host->renew_ms = message->renew_ms;
    /* Spread over the period, as those of real hosts are. */
    host->renew_next_ms =
        uv_now(host->hosts->loop) +
        host->number * (uint64_t)message->renew_ms / host->hosts->count;
    host->hosts->welcomed++;
}

static void on_message(struct rpc_stream *stream, const uint8_t *data,
                       size_t len)
{
    struct bench_host *host = container_of(stream, struct bench_host, stream);
    const Holdfast__V1__NodeMessage *message;
    struct unpack_error error;
    struct arena arena;

    arena_init(&arena, ORDER_BYTES_MAX);
    message = (const Holdfast__V1__NodeMessage *)(const void *)message_unpack(
        &holdfast__v1__node_message__descriptor, &arena, data, len, &error);
    if (message == NULL) {
        host->hosts->failed = true;
    } else if (message->message_case ==
               HOLDFAST__V1__NODE_MESSAGE__MESSAGE_WELCOME) {
        welcome(host, message->welcome);
    } else if (message->message_case ==
               HOLDFAST__V1__NODE_MESSAGE__MESSAGE_ORDER) {
        obey(host, message->order);
    }
    arena_close(&arena);
}

static void on_closed(struct rpc_stream *stream,
                      const struct rpc_result *result)
{
    struct bench_host *host = container_of(stream, struct bench_host, stream);

    if (result->code != RPC_CANCELLED && !host->hosts->failed) {
        fprintf(stderr, "host h%u: its session ended: %s %s\n", host->number,
                rpc_code_name(result->code), result->message);
        host->hosts->failed = true;
    }
    host->open = false;
}

static void on_tick(uv_timer_t *timer)
{
    struct hosts *hosts = container_of(timer, struct hosts, tick);
    uint64_t now_ms = uv_now(hosts->loop);

    for (uint32_t i = 0; i < hosts->count; i++) {
        struct bench_host *host = &hosts->hosts[i];

        if (host->generation != 0 && host->open &&
            now_ms >= host->renew_next_ms) {
            host->renew_next_ms += host->renew_ms;
            send_renew(host);
        }
    }
}

bool hosts_start(struct hosts *hosts, uv_loop_t *loop, const char *address,
                 uint32_t count)
{
    static const struct rpc_stream_ops ops = {.message = on_message,
                                              .closed = on_closed};
    uint64_t until_ms = clock_boot_ms() + WELCOME_MS;

    memset(hosts, 0, sizeof(*hosts));
    hosts->loop = loop;
    hosts->count = count;
    hosts->channel_count = (count + HOSTS_A_CHANNEL - 1) / HOSTS_A_CHANNEL;
    hosts->channels =
        memory_alloc_array(hosts->channel_count, sizeof(struct rpc_channel *));
    hosts->hosts = memory_alloc_array(count, sizeof(*hosts->hosts));
    for (uint32_t i = 0; i < hosts->channel_count; i++) {
        hosts->channels[i] = rpc_channel_create(loop, address, i + 100);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct bench_host *host = &hosts->hosts[i];

        host->hosts = hosts;
        host->number = i;
        host->open = true;
        map_init(&host->vms);
        rpc_stream_open(hosts->channels[i / HOSTS_A_CHANNEL], &host->stream,
                        &ops, "/holdfast.v1.AgentService/Session", 0, NULL);
        send_hello(host);
    }
    uv_timer_init(loop, &hosts->tick);
    uv_timer_start(&hosts->tick, on_tick, TICK_MS, TICK_MS);
    while (hosts->welcomed < count && !hosts->failed &&
           clock_boot_ms() < until_ms) {
        uv_run(loop, UV_RUN_ONCE);
    }
    return hosts->welcomed == count && !hosts->failed;
}

void hosts_stop(struct hosts *hosts)
{
    if (hosts->hosts == NULL) {
        return;
    }
    hosts->failed = true; /* What breaks from here on is meant to. */
    uv_close((uv_handle_t *)&hosts->tick, NULL);
    for (uint32_t i = 0; i < hosts->channel_count; i++) {
        rpc_channel_destroy(hosts->channels[i]);
    }
    bench_pause(hosts->loop, 20);
    for (uint32_t i = 0; i < hosts->count; i++) {
        struct map *vms = &hosts->hosts[i].vms;
        size_t cursor = 0;
        void *vm;

        while ((vm = map_next(vms, &cursor)) != NULL) {
            free(vm);
        }
        map_close(vms);
    }
    free(hosts->hosts);
    free(hosts->channels);
    hosts->hosts = NULL;
}
