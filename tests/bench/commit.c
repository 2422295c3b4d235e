/* SPDX-License-Identifier: Apache-2.0
 *
 * What a commit costs: CreateVm and GetVm on a region of three nodes, put and
 * range on three etcd members, by the same client code, on the same disk, in
 * turns within one run. See `--help` for what is compared with what. */
#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "call.h"
#include "etcd.pb-c.h"
#include "hosts.h"
#include "lab.h"
#include "load.h"
#include "options.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define ROUNDS_MAX 16
#define READ_KEYS  1000
#define SETUP_MS   10000

/* A disk that other programs keep busy for a second makes a leader hand over
 * in the middle of a case: it is begun anew, and the report says how often. */
#define REPEATS_MAX 3

static const char help[] =
    "commit - commits and linearizable reads of Holdfast beside etcd's\n"
    "\n"
    "usage: commit [--seconds N] [--rounds N] [--hosts N] [--dir DIR]\n"
    "              [--json FILE] [--smoke]\n"
    "\n"
    "  --seconds N  measured time of one cell, default 2 (after 0.5 s of "
    "warm-up)\n"
    "  --rounds N   both systems in turns, so often; the median counts; "
    "default 3\n"
    "  --hosts N    stand-in hosts of the region, default 300\n"
    "  --clients N  only this case: 1, 64 or 256 clients\n"
    "  --shared N   clients on one connection, default 10\n"
    "  --dir DIR    where both keep their data, default /var/tmp\n"
    "  --json FILE  the figures for programs\n"
    "  --smoke      a fraction of a second, no goals: does it work?\n"
    "\n"
    "A client has one call under way; ten share a connection to the leader, "
    "as\n"
    "in etcd's own published measurements. `create` makes a VM that is placed "
    "on a host, started there, and\n"
    "reported running by the stand-in host: several log records a VM. `create\n"
    "stopped` makes the record alone, as a put does; its put has as many\n"
    "bytes. `get` and `range` are linearizable. etcd runs with its default\n"
    "settings (heartbeat 100 ms, election 1 s), Holdfast with its own.\n"
    "\n"
    "Exit: 0 goals met, 1 could not measure, 2 usage, 3 a goal was missed.\n";

static const uint32_t client_counts[] = {1, 64, 256};
#define CLIENT_CASES ARRAY_LEN(client_counts)

enum operation { CREATE, CREATE_STOPPED, GET, OPERATION_COUNT };

static const char *const operation_names[2][OPERATION_COUNT] = {
    {"create", "create stopped", "get"},
    {"put", "put", "range"},
};

struct cell {
    double rate;
    uint64_t p50_ns;
    uint64_t p99_ns;
    double cpu_us; /* Of the three members, an operation. */
    bool measured;
};

struct bench {
    uv_loop_t loop;
    struct hosts hosts;
    uint64_t seconds_ms;
    uint64_t warm_ms;
    uint32_t rounds;
    uint32_t host_count;
    const char *directory;
    const char *json;
    uint32_t only_clients; /* 0: all cases. */
    uint32_t shared;       /* Clients on one connection. */
    bool smoke;
    bool with_etcd;
    unsigned repeats; /* Cases that failed and were begun anew. */
    struct cell cells[2][OPERATION_COUNT][CLIENT_CASES][ROUNDS_MAX];
    struct cell medians[2][OPERATION_COUNT][CLIENT_CASES];
};

/* --- The requests -------------------------------------------------------- */

static char run_mark[16];    /* Tells the request ids of two runs apart. */
static size_t payload_bytes; /* Of a put: those of the same VM's create. */

static void send_create(struct load_client *client, uint64_t number,
                        Holdfast__V1__DesiredState desired)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    char class_name[] = "tiny";
    char program[] = "/usr/bin/serve";
    char argument[] = "--name={name}";
    char *command[] = {program, argument};
    char name[32];
    char id[48];

    snprintf(name, sizeof(name), "vm-%010llu", (unsigned long long)number);
    snprintf(id, sizeof(id), "%s-%llu", run_mark, (unsigned long long)number);
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.command = command;
    template.n_command = ARRAY_LEN(command);
    vm.name = name;
    vm.class_name = class_name;
    vm.desired = desired;
    vm.template_ = &template;
    request.vm = &vm;
    request.request_id = id;
    payload_bytes = holdfast__v1__create_vm_request__get_packed_size(&request);
    load_send(client, &request.base);
}

static void make_create(struct load_client *client, uint64_t number)
{
    send_create(client, number,
                HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_RUNNING);
}

static void make_create_stopped(struct load_client *client, uint64_t number)
{
    send_create(client, number,
                HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED);
}

static bool check_create(const ProtobufCMessage *response)
{
    const Holdfast__V1__CreateVmResponse *created =
        (const Holdfast__V1__CreateVmResponse *)(const void *)response;

    return created->vm != NULL && created->vm->status != NULL &&
           created->vm->status->host[0] != '\0';
}

static bool check_create_stopped(const ProtobufCMessage *response)
{
    const Holdfast__V1__CreateVmResponse *created =
        (const Holdfast__V1__CreateVmResponse *)(const void *)response;

    return created->vm != NULL && created->revision != 0;
}

/* The keys of reads are the first that were made. */
static void make_get(struct load_client *client, uint64_t number)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    char name[32];

    snprintf(name, sizeof(name), "vm-%010llu",
             (unsigned long long)(number % READ_KEYS));
    request.name = name;
    load_send(client, &request.base);
}

static bool check_get(const ProtobufCMessage *response)
{
    const Holdfast__V1__GetVmResponse *got =
        (const Holdfast__V1__GetVmResponse *)(const void *)response;

    return got->vm != NULL && got->vm->uid != 0;
}

static void make_put(struct load_client *client, uint64_t number)
{
    static uint8_t filling[1024];
    Etcdserverpb__PutRequest request = ETCDSERVERPB__PUT_REQUEST__INIT;
    char key[32];
    int len =
        snprintf(key, sizeof(key), "vm-%010llu", (unsigned long long)number);

    CHECK(payload_bytes > (size_t)len && payload_bytes < sizeof(filling));
    memset(filling, 'x', payload_bytes);
    request.key = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
    request.value = (ProtobufCBinaryData){payload_bytes - (size_t)len, filling};
    load_send(client, &request.base);
}

static bool check_put(const ProtobufCMessage *response)
{
    const Etcdserverpb__PutResponse *put =
        (const Etcdserverpb__PutResponse *)(const void *)response;

    return put->header != NULL && put->header->revision > 0;
}

static void make_range(struct load_client *client, uint64_t number)
{
    Etcdserverpb__RangeRequest request = ETCDSERVERPB__RANGE_REQUEST__INIT;
    char key[32];
    int len = snprintf(key, sizeof(key), "vm-%010llu",
                       (unsigned long long)(number % READ_KEYS));

    request.key = (ProtobufCBinaryData){(size_t)len, (uint8_t *)key};
    load_send(client, &request.base);
}

static bool check_range(const ProtobufCMessage *response)
{
    const Etcdserverpb__RangeResponse *range =
        (const Etcdserverpb__RangeResponse *)(const void *)response;

    return range->n_kvs == 1;
}

static const struct load_operation operations[2][OPERATION_COUNT] = {
    [LAB_HOLDFAST] =
        {
            {"/holdfast.v1.VmService/CreateVm",
             &holdfast__v1__create_vm_response__descriptor, make_create,
             check_create},
            {"/holdfast.v1.VmService/CreateVm",
             &holdfast__v1__create_vm_response__descriptor, make_create_stopped,
             check_create_stopped},
            {"/holdfast.v1.VmService/GetVm",
             &holdfast__v1__get_vm_response__descriptor, make_get, check_get},
        },
    [LAB_ETCD] =
        {
            {"/etcdserverpb.KV/Put", &etcdserverpb__put_response__descriptor,
             make_put, check_put},
            {"/etcdserverpb.KV/Put", &etcdserverpb__put_response__descriptor,
             make_put, check_put},
            {"/etcdserverpb.KV/Range",
             &etcdserverpb__range_response__descriptor, make_range,
             check_range},
        },
};

/* --- One system, one round ----------------------------------------------- */

static bool set_up_call(struct bench *bench, struct rpc_channel *channel,
                        const char *path, const ProtobufCMessage *request,
                        const ProtobufCMessageDescriptor *output)
{
    struct bench_call call = {.output = output};
    bool ok = bench_call(&call, &bench->loop, channel, path, request, SETUP_MS);

    if (!ok) {
        fprintf(stderr, "%s: %s %s\n", path, rpc_code_name(call.code),
                call.message);
    }
    bench_call_close(&call);
    return ok;
}

/* Zones, a class of the smallest size, and hosts. */
static bool furnish(struct bench *bench, const char *leader)
{
    struct rpc_channel *channel = rpc_channel_create(&bench->loop, leader, 7);
    Holdfast__V1__CreateClassRequest request =
        HOLDFAST__V1__CREATE_CLASS_REQUEST__INIT;
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    char class_name[] = "tiny";
    bool ok = true;

    for (int i = 1; i <= LAB_MEMBERS && ok; i++) {
        Holdfast__V1__CreateZoneRequest zone =
            HOLDFAST__V1__CREATE_ZONE_REQUEST__INIT;
        char name[8];

        snprintf(name, sizeof(name), "z%d", i);
        zone.name = name;
        ok = set_up_call(bench, channel, "/holdfast.v1.ZoneService/CreateZone",
                         &zone.base,
                         &holdfast__v1__create_zone_response__descriptor);
    }
    resources.cpu_milli = 1;
    resources.memory_mib = 1;
    class.name = class_name;
    class.resources = &resources;
    request.vm_class = &class;
    ok = ok &&
         set_up_call(bench, channel, "/holdfast.v1.ClassService/CreateClass",
                     &request.base,
                     &holdfast__v1__create_class_response__descriptor);
    bench_channel_close(channel, &bench->loop);
    return ok &&
           hosts_start(&bench->hosts, &bench->loop, leader, bench->host_count);
}

static void note(struct cell *cell, struct load *load, uint64_t cpu_us,
                 uint64_t done)
{
    cell->rate = load_rate(load);
    cell->p50_ns = samples_at(&load->samples, 500);
    cell->p99_ns = samples_at(&load->samples, 990);
    cell->cpu_us = done == 0 ? 0 : (double)cpu_us / (double)done;
    cell->measured = true;
}

static bool run_cell(struct bench *bench, struct lab *lab, struct load *load,
                     enum operation operation, struct cell *cell)
{
    const struct load_operation *table = operations[lab->kind];
    uint64_t cpu_us = lab_cpu_us(lab);
    uint64_t number = load->number;

    load_run(load, &table[operation], bench->warm_ms, bench->seconds_ms);
    note(cell, load, lab_cpu_us(lab) - cpu_us, load->number - number);
    if (load->errors > 0 || load->samples.count == 0 || bench->hosts.failed) {
        fprintf(stderr, "%s: %llu errors, the first: %s\n",
                operation_names[lab->kind][operation],
                (unsigned long long)load->errors, load->error);
        return false;
    }
    fprintf(stderr, "  %-14s %3u clients %9.0f/s  p50 %6.2f ms  p99 %6.2f ms\n",
            operation_names[lab->kind][operation], load->client_count,
            cell->rate, (double)cell->p50_ns / 1e6, (double)cell->p99_ns / 1e6);
    return true;
}

/* All operations with so many clients. */
static bool run_cells(struct bench *bench, struct lab *lab, const char *leader,
                      unsigned round, size_t clients)
{
    struct load load;
    bool ok;

    load_open(&load, &bench->loop, leader, client_counts[clients],
              (client_counts[clients] + bench->shared - 1) / bench->shared);
    load_fill(&load, &operations[lab->kind][CREATE_STOPPED], READ_KEYS);
    ok = load.errors == 0;
    for (int op = 0; op < OPERATION_COUNT && ok; op++) {
        ok = run_cell(bench, lab, &load, (enum operation)op,
                      &bench->cells[lab->kind][op][clients][round]);
    }
    load_close(&load);
    return ok;
}

/* On a fresh region, or cluster: what the fastest case has left behind must
 * not slow the others. */
static bool run_lab(struct bench *bench, enum lab_kind kind, unsigned round,
                    size_t clients)
{
    struct lab lab;
    int leader;
    bool ok;

    memset(&bench->hosts, 0, sizeof(bench->hosts));
    ok = lab_start(&lab, kind, &bench->loop, bench->directory, NULL);
    leader = ok ? lab_wait_leader(&lab) : -1;
    if (leader >= 0) {
        const char *address = lab.members[leader].address;

        ok = (kind == LAB_ETCD || furnish(bench, address)) &&
             run_cells(bench, &lab, address, round, clients);
    }
    hosts_stop(&bench->hosts);
    lab_stop(&lab, false);
    return ok && leader >= 0;
}

static bool run_system(struct bench *bench, enum lab_kind kind, unsigned round)
{
    bool ok = true;

    fprintf(stderr, "%s, round %u of %u\n",
            kind == LAB_HOLDFAST ? "Holdfast" : "etcd", round + 1,
            bench->rounds);
    for (size_t i = 0; i < CLIENT_CASES && ok; i++) {
        if (bench->only_clients != 0 &&
            bench->only_clients != client_counts[i]) {
            continue;
        }
        ok = run_lab(bench, kind, round, i);
        for (int again = 0; again < REPEATS_MAX && !ok; again++) {
            fprintf(stderr, "  that did not count; once more\n");
            bench->repeats++;
            ok = run_lab(bench, kind, round, i);
        }
    }
    return ok;
}

/* --- The report ---------------------------------------------------------- */

static int compare_rates(const void *a, const void *b)
{
    double left = ((const struct cell *)a)->rate;
    double right = ((const struct cell *)b)->rate;

    return left < right ? -1 : left > right;
}

/* The round in the middle by throughput, whole: its own percentiles. */
static void take_medians(struct bench *bench)
{
    for (int kind = 0; kind < 2; kind++) {
        for (int op = 0; op < OPERATION_COUNT; op++) {
            for (size_t i = 0; i < CLIENT_CASES; i++) {
                struct cell *cells = bench->cells[kind][op][i];

                qsort(cells, bench->rounds, sizeof(*cells), compare_rates);
                bench->medians[kind][op][i] = cells[bench->rounds / 2];
            }
        }
    }
}

static double ratio(double ours, double theirs)
{
    return theirs > 0 ? ours / theirs : 0;
}

static void print_cell(const char *name, uint32_t clients,
                       const struct cell *cell)
{
    if (!cell->measured) {
        return;
    }
    printf("%-9s %-15s %7u %9.0f %8.2f %8.2f %7.0f\n", "", name, clients,
           cell->rate, (double)cell->p50_ns / 1e6, (double)cell->p99_ns / 1e6,
           cell->cpu_us);
}

static void print_table(const struct bench *bench)
{
    printf("\n%-9s %-15s %7s %9s %8s %8s %7s\n", "", "operation", "clients",
           "ops/s", "p50 ms", "p99 ms", "CPU us");
    for (int op = 0; op < OPERATION_COUNT; op++) {
        for (size_t i = 0; i < CLIENT_CASES; i++) {
            const struct cell *ours = &bench->medians[LAB_HOLDFAST][op][i];
            const struct cell *theirs = &bench->medians[LAB_ETCD][op][i];

            print_cell(operation_names[LAB_HOLDFAST][op], client_counts[i],
                       ours);
            if (!theirs->measured) {
                continue;
            }
            print_cell(operation_names[LAB_ETCD][op], client_counts[i], theirs);
            printf("%-9s %-15s %7s %8.2fx %7.2fx %7.2fx %6.2fx\n", "  ratio",
                   "", "", ratio(ours->rate, theirs->rate),
                   ratio((double)ours->p50_ns, (double)theirs->p50_ns),
                   ratio((double)ours->p99_ns, (double)theirs->p99_ns),
                   ratio(ours->cpu_us, theirs->cpu_us));
        }
    }
    printf("\nCPU us: of the three members together, an operation. Ratio: "
           "Holdfast to etcd;\nof ops/s more is better, of the others less. "
           "Cases begun anew: %u.\n",
           bench->repeats);
}

struct goal {
    const char *text;
    double value;
    bool met;
};

static void judge(const struct bench *bench, enum operation operation,
                  struct goal *goals)
{
    const struct cell(*ours)[CLIENT_CASES] = bench->medians[LAB_HOLDFAST];
    const struct cell(*theirs)[CLIENT_CASES] = bench->medians[LAB_ETCD];
    size_t last = CLIENT_CASES - 1;
    double p50 = ratio((double)ours[operation][0].p50_ns,
                       (double)theirs[operation][0].p50_ns);
    double rate =
        ratio(ours[operation][last].rate, theirs[operation][last].rate);

    goals[0] = (struct goal){"p50 at 1 client at most etcd's", p50, p50 <= 1};
    goals[1] = (struct goal){"throughput at 256 clients 3 times etcd's", rate,
                             rate >= 3};
}

static bool print_goals(const struct bench *bench, FILE *json)
{
    bool all = true;

    for (int op = 0; op < OPERATION_COUNT; op++) {
        struct goal goals[2];

        judge(bench, (enum operation)op, goals);
        for (size_t i = 0; i < ARRAY_LEN(goals); i++) {
            printf("%-6s %s: %s (%.2f)\n", goals[i].met ? "met" : "MISSED",
                   operation_names[LAB_HOLDFAST][op], goals[i].text,
                   goals[i].value);
            if (json != NULL) {
                fprintf(json,
                        "%s{\"operation\":\"%s\",\"goal\":\"%s\",\"ratio\":"
                        "%.3f,\"met\":%s}",
                        op == 0 && i == 0 ? "" : ",",
                        operation_names[LAB_HOLDFAST][op], goals[i].text,
                        goals[i].value, goals[i].met ? "true" : "false");
            }
            all = all && goals[i].met;
        }
    }
    return all;
}

static void write_cell(const struct bench *bench, FILE *json,
                       enum lab_kind kind, enum operation operation,
                       size_t clients)
{
    const struct cell *cell = &bench->medians[kind][operation][clients];

    fprintf(json,
            "{\"system\":\"%s\",\"operation\":\"%s\",\"beside\":\"%s\","
            "\"clients\":%u,\"ops_per_s\":%.1f,\"p50_us\":%.1f,"
            "\"p99_us\":%.1f,\"cpu_us_per_op\":%.1f}",
            kind == LAB_HOLDFAST ? "holdfast" : "etcd",
            operation_names[kind][operation],
            operation_names[LAB_HOLDFAST][operation], client_counts[clients],
            cell->rate, (double)cell->p50_ns / 1e3, (double)cell->p99_ns / 1e3,
            cell->cpu_us);
}

static void write_cells(const struct bench *bench, FILE *json)
{
    const char *separator = "";

    for (size_t i = 0; i < 2 * OPERATION_COUNT * CLIENT_CASES; i++) {
        size_t clients = i % CLIENT_CASES;
        size_t operation = i / CLIENT_CASES % OPERATION_COUNT;
        size_t kind = i / CLIENT_CASES / OPERATION_COUNT;

        if (bench->medians[kind][operation][clients].measured) {
            fputs(separator, json);
            write_cell(bench, json, (enum lab_kind)kind,
                       (enum operation)operation, clients);
            separator = ",";
        }
    }
}

static int report(struct bench *bench)
{
    FILE *json = NULL;
    bool met = true;

    if (bench->json != NULL) {
        json = fopen(bench->json, "we");
        if (json == NULL) {
            perror(bench->json);
            return 1;
        }
        fprintf(json,
                "{\"bench\":\"commit\",\"rounds\":%u,\"seconds\":%.1f,"
                "\"hosts\":%u,\"clients_per_connection\":%u,\"repeats\":%u,"
                "\"cells\":[",
                bench->rounds, (double)bench->seconds_ms / 1e3,
                bench->host_count, bench->shared, bench->repeats);
        write_cells(bench, json);
        fputs("],\"goals\":[", json);
    }
    print_table(bench);
    if (bench->with_etcd && !bench->smoke && bench->only_clients == 0) {
        met = print_goals(bench, json);
    }
    if (json != NULL) {
        fputs("]}\n", json);
        if (fclose(json) != 0) {
            perror(bench->json);
            return 1;
        }
    }
    return met ? 0 : 3;
}

/* --- Arguments ----------------------------------------------------------- */

static int parse(struct bench *bench, int argc, char **argv)
{
    uint32_t seconds = 2;
    const struct bench_option options[] = {
        {.name = "seconds", .number = &seconds, .most = 60},
        {.name = "rounds", .number = &bench->rounds, .most = ROUNDS_MAX},
        {.name = "hosts", .number = &bench->host_count, .most = 10000},
        {.name = "clients", .number = &bench->only_clients, .most = 256},
        {.name = "shared", .number = &bench->shared, .most = 256},
        {.name = "dir", .text = &bench->directory},
        {.name = "json", .text = &bench->json},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    bench->seconds_ms = (uint64_t)seconds * 1000;
    if (bench->smoke) {
        bench->rounds = 1;
        bench->host_count = 30;
        bench->seconds_ms = 50;
        bench->warm_ms = 50;
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.warm_ms = 500,
                                 .rounds = 3,
                                 .host_count = 300,
                                 .shared = 10,
                                 .directory = "/var/tmp"};
    int code = parse(&bench, argc, argv);
    char path[LAB_PATH_BYTES];

    if (code >= 0) {
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&bench.loop) == 0);
    snprintf(run_mark, sizeof(run_mark), "b%d", (int)getpid());
    bench.with_etcd = lab_find(LAB_ETCD, path, sizeof(path));
    if (!bench.with_etcd) {
        fputs("etcd is not installed (Debian package etcd-server): measuring "
              "Holdfast alone\n",
              stderr);
    }
    for (unsigned round = 0; round < bench.rounds; round++) {
        if (!run_system(&bench, LAB_HOLDFAST, round) ||
            (bench.with_etcd && !run_system(&bench, LAB_ETCD, round))) {
            return 1;
        }
    }
    take_medians(&bench);
    return report(&bench);
}
