/* SPDX-License-Identifier: Apache-2.0
 *
 * What TLS costs: the same work on a region of three nodes without it and on
 * one with it, in turns within one run. See `--help`. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "call.h"
#include "lab.h"
#include "load.h"
#include "options.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/watch_service.pb-c.h>

#define ROUNDS_MAX  16
#define READ_KEYS   100
#define CALL_MS     30000
#define WATCHES     16
#define CONNECTIONS 16 /* New ones at once. */

static const char help[] =
    "tls - what TLS costs\n"
    "\n"
    "usage: tls [--seconds N] [--rounds N] [--dir DIR] [--json FILE] "
    "[--smoke]\n"
    "\n"
    "  --seconds N  measured time of one cell, default 2 (after 0.5 s of "
    "warm-up)\n"
    "  --rounds N   without and with TLS in turns, so often; the median "
    "counts;\n"
    "               default 3\n"
    "  --dir DIR    where the nodes keep their data, default /var/tmp\n"
    "  --json FILE  the figures for programs\n"
    "  --smoke      a fraction of a second: does it work?\n"
    "\n"
    "Three nodes on loopback, once in plain text, once with mutual TLS "
    "between\n"
    "all of them and the clients. `get` and `create` (of stopped VMs): "
    "clients\n"
    "with one call under way each, ten on a connection, at the leader; `get` "
    "is\n"
    "linearizable. `watch`: one client creates VMs, one after the other, and\n"
    "waits until 16 watches, each on a connection of its own, have the event;\n"
    "the rate is that of events, the time from the call to the last watch.\n"
    "`connect`: new connections, 16 at a time, each until its first answer\n"
    "(GetStatus), with both certificates proved. CPU is that of the three "
    "nodes\n"
    "together, for one call, event or connection. Ratios are with TLS to\n"
    "without.\n"
    "\n"
    "Exit: 0 measured, 1 could not measure, 2 usage. There is no goal.\n";

enum cell_kind { GET_1, GET_64, CREATE_1, CREATE_64, WATCH, CONNECT, CELLS };

static const char *const cell_names[CELLS] = {
    "get, 1 client",      "get, 64 clients", "create, 1 client",
    "create, 64 clients", "watch event",     "connect",
};

struct cell {
    double rate;
    uint64_t p50_ns;
    uint64_t p99_ns;
    double cpu_us;
};

/* What is measured without a load. */
struct watcher {
    struct rpc_stream stream;
    struct rpc_channel *channel;
    uint64_t revision; /* All up to this one came. */
    bool closed;
};

struct visitor {
    struct rpc_unary unary;
    struct rpc_channel *channel;
    uint64_t began_ns;
    uint64_t took_ns;
    bool over;
    bool good;
};

struct bench {
    uv_loop_t loop;
    struct lab lab;
    struct samples samples;
    uint64_t seconds_ms;
    uint64_t warm_ms;
    uint32_t rounds;
    const char *directory;
    const char *json;
    bool smoke;
    struct watcher watchers[WATCHES];
    struct visitor visitors[CONNECTIONS];
    struct cell cells[2][CELLS][ROUNDS_MAX];
    struct cell medians[2][CELLS];
};

/* --- Requests ------------------------------------------------------------ */

static uint64_t next_vm; /* Of all loads: names differ. */

static void fill_create(Holdfast__V1__CreateVmRequest *request,
                        Holdfast__V1__Vm *vm, char name[32])
{
    static char class_name[] = "tiny";
    static char program[] = "/usr/bin/serve";
    static char *command[] = {program};
    static Holdfast__V1__VmTemplate template;

    holdfast__v1__vm_template__init(&template);
    holdfast__v1__create_vm_request__init(request);
    holdfast__v1__vm__init(vm);
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.command = command;
    template.n_command = ARRAY_LEN(command);
    snprintf(name, 32, "vm-%" PRIu64, next_vm++);
    vm->name = name;
    vm->class_name = class_name;
    vm->desired = HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED;
    vm->template_ = &template;
    request->vm = vm;
}

static void make_create(struct load_client *client, uint64_t number)
{
    Holdfast__V1__CreateVmRequest request;
    Holdfast__V1__Vm vm;
    char name[32];

    (void)number;
    fill_create(&request, &vm, name);
    load_send(client, &request.base);
}

static bool check_create(const ProtobufCMessage *response)
{
    return ((const Holdfast__V1__CreateVmResponse *)(const void *)response)
               ->revision != 0;
}

static void make_get(struct load_client *client, uint64_t number)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    char name[32];

    snprintf(name, sizeof(name), "vm-%" PRIu64, number % READ_KEYS);
    request.name = name;
    load_send(client, &request.base);
}

static bool check_get(const ProtobufCMessage *response)
{
    const Holdfast__V1__GetVmResponse *got =
        (const Holdfast__V1__GetVmResponse *)(const void *)response;

    return got->vm != NULL && got->vm->uid != 0;
}

static const struct load_operation get_operation = {
    "/holdfast.v1.VmService/GetVm", &holdfast__v1__get_vm_response__descriptor,
    make_get, check_get};
static const struct load_operation create_operation = {
    "/holdfast.v1.VmService/CreateVm",
    &holdfast__v1__create_vm_response__descriptor, make_create, check_create};

/* The class of the VMs, and the first of them. */
static bool furnish(struct bench *bench, const char *leader)
{
    struct rpc_channel *channel = lab_channel(&bench->lab, leader, 7);
    Holdfast__V1__CreateClassRequest request =
        HOLDFAST__V1__CREATE_CLASS_REQUEST__INIT;
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    char class_name[] = "tiny";
    struct bench_call call = {
        .output = &holdfast__v1__create_class_response__descriptor};
    bool good;

    resources.cpu_milli = 1;
    resources.memory_mib = 1;
    class.name = class_name;
    class.resources = &resources;
    request.vm_class = &class;
    good = bench_call(&call, &bench->loop, channel,
                      "/holdfast.v1.ClassService/CreateClass", &request.base,
                      CALL_MS);
    if (!good) {
        fprintf(stderr, "the class: %s %s\n", rpc_code_name(call.code),
                call.message);
    }
    bench_call_close(&call);
    bench_channel_close(channel, &bench->loop);
    return good;
}

/* --- Unary calls --------------------------------------------------------- */

static void note(struct cell *cell, struct samples *samples, double rate,
                 uint64_t cpu_us, uint64_t count)
{
    cell->rate = rate;
    cell->p50_ns = samples_at(samples, 500);
    cell->p99_ns = samples_at(samples, 990);
    cell->cpu_us = count == 0 ? 0 : (double)cpu_us / (double)count;
}

static bool run_calls(struct bench *bench, const char *leader,
                      const struct load_operation *operation, uint32_t clients,
                      struct cell *cell)
{
    struct load load;
    uint64_t cpu_us;
    uint64_t first;
    bool good;

    load_open(&load, &bench->loop, leader, clients, (clients + 9) / 10);
    if (bench->lab.tls != NULL) {
        load_use_tls(&load, bench->lab.tls);
    }
    if (next_vm < READ_KEYS) {
        load_fill(&load, &create_operation, READ_KEYS);
    }
    load_fill(&load, operation, clients); /* All have connected. */
    cpu_us = lab_cpu_us(&bench->lab);
    first = load.number;
    load_run(&load, operation, bench->warm_ms, bench->seconds_ms);
    note(cell, &load.samples, load_rate(&load),
         lab_cpu_us(&bench->lab) - cpu_us, load.number - first);
    good = load.errors == 0 && load.samples.count > 0;
    if (!good) {
        fprintf(stderr, "%s: %s\n", operation->path, load.error);
    }
    load_close(&load);
    return good;
}

/* --- Watches ------------------------------------------------------------- */

static void watch_message(struct rpc_stream *stream, const uint8_t *data,
                          size_t len)
{
    struct watcher *watcher = container_of(stream, struct watcher, stream);
    Holdfast__V1__WatchResponse *response =
        holdfast__v1__watch_response__unpack(NULL, len, data);

    CHECK(response != NULL && response->revision >= watcher->revision);
    watcher->revision = response->revision;
    holdfast__v1__watch_response__free_unpacked(response, NULL);
}

static void watch_closed(struct rpc_stream *stream,
                         const struct rpc_result *result)
{
    (void)result;
    container_of(stream, struct watcher, stream)->closed = true;
}

static const struct rpc_stream_ops watch_ops = {.message = watch_message,
                                                .closed = watch_closed};

static void open_watches(struct bench *bench, const char *leader)
{
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;

    for (uint64_t i = 0; i < WATCHES; i++) {
        struct watcher *watcher = &bench->watchers[i];

        memset(watcher, 0, sizeof(*watcher));
        watcher->channel = lab_channel(&bench->lab, leader, i + 100);
        rpc_stream_open(watcher->channel, &watcher->stream, &watch_ops,
                        "/holdfast.v1.WatchService/Watch", 0, NULL);
        rpc_stream_send(&watcher->stream, &request.base);
        rpc_stream_half_close(&watcher->stream);
    }
}

/* False: one has ended, or the time is over. */
static bool wait_watches(struct bench *bench, uint64_t revision)
{
    uint64_t until_ms = clock_boot_ms() + CALL_MS;

    for (size_t i = 0; i < WATCHES;) {
        if (bench->watchers[i].closed || clock_boot_ms() > until_ms) {
            fprintf(stderr, "a watch does not go on\n");
            return false;
        }
        if (bench->watchers[i].revision >= revision) {
            i++;
        } else {
            uv_run(&bench->loop, UV_RUN_ONCE);
        }
    }
    return true;
}

/* One VM; the revision, or 0. */
static uint64_t create_one(struct bench *bench, struct rpc_channel *channel)
{
    struct bench_call call = {
        .output = &holdfast__v1__create_vm_response__descriptor};
    Holdfast__V1__CreateVmRequest request;
    Holdfast__V1__Vm vm;
    uint64_t revision = 0;
    char name[32];

    fill_create(&request, &vm, name);
    if (bench_call(&call, &bench->loop, channel, create_operation.path,
                   &request.base, CALL_MS)) {
        revision = ((const Holdfast__V1__CreateVmResponse *)(const void *)
                        call.response)
                       ->revision;
    } else {
        fprintf(stderr, "create: %s\n", call.message);
    }
    bench_call_close(&call);
    return revision;
}

static void close_watches(struct bench *bench)
{
    for (size_t i = 0; i < WATCHES; i++) {
        bench_channel_close(bench->watchers[i].channel, &bench->loop);
        CHECK(bench->watchers[i].closed);
    }
}

static bool run_watches(struct bench *bench, const char *leader,
                        struct cell *cell)
{
    struct rpc_channel *channel = lab_channel(&bench->lab, leader, 8);
    uint64_t revision;
    uint64_t began_ns;
    uint64_t until_ns;
    uint64_t cpu_us;
    bool good;

    samples_clear(&bench->samples);
    open_watches(bench, leader);
    revision = create_one(bench, channel);
    good = revision != 0 && wait_watches(bench, revision);
    cpu_us = lab_cpu_us(&bench->lab);
    began_ns = clock_boot_ns();
    until_ns = began_ns + bench->seconds_ms * 1000000;
    while (good && clock_boot_ns() < until_ns) {
        uint64_t sent_ns = clock_boot_ns();

        revision = create_one(bench, channel);
        good = revision != 0 && wait_watches(bench, revision);
        samples_add(&bench->samples, clock_boot_ns() - sent_ns);
    }
    until_ns = clock_boot_ns();
    note(cell, &bench->samples,
         (double)bench->samples.count * WATCHES * 1e9 /
             (double)(until_ns - began_ns),
         lab_cpu_us(&bench->lab) - cpu_us, bench->samples.count * WATCHES);
    close_watches(bench);
    bench_channel_close(channel, &bench->loop);
    return good && bench->samples.count > 0;
}

/* --- Connections --------------------------------------------------------- */

static void visited(struct rpc_unary *unary, const struct rpc_result *result,
                    const ProtobufCMessage *response)
{
    struct visitor *visitor = container_of(unary, struct visitor, unary);

    (void)response;
    visitor->took_ns = clock_boot_ns() - visitor->began_ns;
    visitor->good = result->code == RPC_OK;
    visitor->over = true;
    if (!visitor->good) {
        fprintf(stderr, "connect: %s %s\n", rpc_code_name(result->code),
                result->message);
    }
}

/* So many new connections at once; false: one was not answered. */
static bool visit(struct bench *bench, const char *leader, uint64_t seed)
{
    Holdfast__V1__GetStatusRequest request =
        HOLDFAST__V1__GET_STATUS_REQUEST__INIT;
    bool good = true;

    uv_update_time(&bench->loop);
    for (uint64_t i = 0; i < CONNECTIONS; i++) {
        struct visitor *visitor = &bench->visitors[i];

        memset(visitor, 0, sizeof(*visitor));
        visitor->channel = lab_channel(&bench->lab, leader, seed + i);
        visitor->began_ns = clock_boot_ns();
        visitor->unary.output = &holdfast__v1__get_status_response__descriptor;
        visitor->unary.deadline_ms = uv_now(&bench->loop) + CALL_MS;
        visitor->unary.done = visited;
        rpc_unary_call(visitor->channel, &visitor->unary,
                       "/holdfast.v1.ClusterService/GetStatus", &request.base);
    }
    for (size_t i = 0; i < CONNECTIONS;) {
        if (bench->visitors[i].over) {
            i++;
        } else {
            uv_run(&bench->loop, UV_RUN_ONCE);
        }
    }
    for (size_t i = 0; i < CONNECTIONS; i++) {
        good = good && bench->visitors[i].good;
        samples_add(&bench->samples, bench->visitors[i].took_ns);
        rpc_channel_destroy(bench->visitors[i].channel);
    }
    uv_run(&bench->loop, UV_RUN_NOWAIT);
    return good;
}

static bool run_connects(struct bench *bench, const char *leader,
                         struct cell *cell)
{
    uint64_t cpu_us = lab_cpu_us(&bench->lab);
    uint64_t began_ns = clock_boot_ns();
    uint64_t until_ns = began_ns + bench->seconds_ms * 1000000;
    bool good = true;

    samples_clear(&bench->samples);
    do {
        good = visit(bench, leader, 1000 + bench->samples.count);
    } while (good && clock_boot_ns() < until_ns);
    until_ns = clock_boot_ns();
    note(cell, &bench->samples,
         (double)bench->samples.count * 1e9 / (double)(until_ns - began_ns),
         lab_cpu_us(&bench->lab) - cpu_us, bench->samples.count);
    bench_pause(&bench->loop, 20);
    return good;
}

/* --- A round ------------------------------------------------------------- */

static bool run_cells(struct bench *bench, bool secure, unsigned round)
{
    struct cell(*cells)[ROUNDS_MAX] = bench->cells[secure];
    const char *leader =
        bench->lab.members[lab_wait_leader(&bench->lab)].address;

    next_vm = 0;
    return furnish(bench, leader) &&
           run_calls(bench, leader, &get_operation, 1, &cells[GET_1][round]) &&
           run_calls(bench, leader, &get_operation, 64,
                     &cells[GET_64][round]) &&
           run_calls(bench, leader, &create_operation, 1,
                     &cells[CREATE_1][round]) &&
           run_calls(bench, leader, &create_operation, 64,
                     &cells[CREATE_64][round]) &&
           run_watches(bench, leader, &cells[WATCH][round]) &&
           run_connects(bench, leader, &cells[CONNECT][round]);
}

/* A fresh region. With TLS a node gives one caller less by default. */
static bool run_region(struct bench *bench, bool secure, unsigned round)
{
    bool good =
        lab_prepare(&bench->lab, LAB_HOLDFAST, &bench->loop, bench->directory,
                    "caller_limits: {calls_per_second: 1000000, streams: "
                    "100000, mib: 1024}\n") &&
        (!secure || lab_secure(&bench->lab)) && lab_launch(&bench->lab) &&
        run_cells(bench, secure, round);

    fprintf(stderr, "round %u %s TLS: %s\n", round + 1,
            secure ? "with" : "without", good ? "measured" : "failed");
    lab_stop(&bench->lab, !good);
    return good;
}

static int by_rate(const void *one, const void *other)
{
    double a = ((const struct cell *)one)->rate;
    double b = ((const struct cell *)other)->rate;

    return a < b ? -1 : a > b;
}

/* --- The report ---------------------------------------------------------- */

static void take_medians(struct bench *bench)
{
    for (int i = 0; i < 2 * CELLS; i++) {
        struct cell *cells = bench->cells[i / CELLS][i % CELLS];

        qsort(cells, bench->rounds, sizeof(*cells), by_rate);
        bench->medians[i / CELLS][i % CELLS] = cells[bench->rounds / 2];
    }
}

static double ratio(double with, double without)
{
    return without > 0 ? with / without : 0;
}

static void print_table(const struct bench *bench)
{
    printf("| %-18s | plain/s | TLS/s | ratio | p50 ms | TLS | p99 ms | TLS | "
           "CPU us | TLS | ratio |\n"
           "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | "
           "---: | ---: |\n",
           "work");
    for (int i = 0; i < CELLS; i++) {
        const struct cell *plain = &bench->medians[0][i];
        const struct cell *tls = &bench->medians[1][i];

        printf("| %-18s | %.0f | %.0f | %.2f | %.2f | %.2f | %.2f | %.2f | "
               "%.1f | %.1f | %.2f |\n",
               cell_names[i], plain->rate, tls->rate,
               ratio(tls->rate, plain->rate), (double)plain->p50_ns / 1e6,
               (double)tls->p50_ns / 1e6, (double)plain->p99_ns / 1e6,
               (double)tls->p99_ns / 1e6, plain->cpu_us, tls->cpu_us,
               ratio(tls->cpu_us, plain->cpu_us));
    }
}

static void write_side(FILE *json, const char *name, const struct cell *cell)
{
    fprintf(json,
            "\"%s\":{\"per_second\":%.1f,\"p50_ns\":%" PRIu64
            ",\"p99_ns\":%" PRIu64 ",\"cpu_us\":%.2f}",
            name, cell->rate, cell->p50_ns, cell->p99_ns, cell->cpu_us);
}

static bool write_json(const struct bench *bench)
{
    FILE *json = fopen(bench->json, "we");

    if (json == NULL) {
        perror(bench->json);
        return false;
    }
    fprintf(json,
            "{\"bench\":\"tls\",\"rounds\":%u,\"seconds\":%.2f,\"cells\":[",
            bench->rounds, (double)bench->seconds_ms / 1e3);
    for (int i = 0; i < CELLS; i++) {
        const struct cell *plain = &bench->medians[0][i];
        const struct cell *tls = &bench->medians[1][i];

        fprintf(json, "%s{\"work\":\"%s\",", i == 0 ? "" : ",", cell_names[i]);
        write_side(json, "plain", plain);
        fputc(',', json);
        write_side(json, "tls", tls);
        fprintf(json, ",\"rate_ratio\":%.3f,\"cpu_ratio\":%.3f}",
                ratio(tls->rate, plain->rate),
                ratio(tls->cpu_us, plain->cpu_us));
    }
    fputs("]}\n", json);
    if (fclose(json) != 0) {
        perror(bench->json);
        return false;
    }
    return true;
}

/* --- Arguments ----------------------------------------------------------- */

static int parse(struct bench *bench, int argc, char **argv)
{
    uint32_t seconds = 2;
    const struct bench_option options[] = {
        {.name = "seconds", .number = &seconds, .most = 60},
        {.name = "rounds", .number = &bench->rounds, .most = ROUNDS_MAX},
        {.name = "dir", .text = &bench->directory},
        {.name = "json", .text = &bench->json},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    bench->seconds_ms = (uint64_t)seconds * 1000;
    if (bench->smoke) {
        bench->rounds = 1;
        bench->seconds_ms = 300;
        bench->warm_ms = 50;
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct bench bench = {
        .warm_ms = 500, .rounds = 3, .directory = "/var/tmp"};
    int code = parse(&bench, argc, argv);

    if (code >= 0) {
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&bench.loop) == 0);
    samples_init(&bench.samples);
    for (unsigned round = 0; round < bench.rounds; round++) {
        if (!run_region(&bench, false, round) ||
            !run_region(&bench, true, round)) {
            return 1;
        }
    }
    take_medians(&bench);
    print_table(&bench);
    samples_close(&bench.samples);
    return bench.json == NULL || write_json(&bench) ? 0 : 1;
}
