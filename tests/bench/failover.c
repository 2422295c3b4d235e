/* SPDX-License-Identifier: Apache-2.0
 *
 * How long writes stand still when the leader is killed: from SIGKILL to the
 * next acknowledged write of a client that goes on to the other nodes. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "base/random.h"
#include "call.h"
#include "lab.h"
#include "options.h"
#include "samples.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>

#define ROUNDS_MAX  1000
#define GOAL_MS     1000
#define CALM_MS_MAX 500 /* Writes before a kill: at least half of this. */
#define ATTEMPT_MS  500
#define GIVE_UP_MS  30000
#define RETRY_MS    5
#define CATCH_UP_MS 30000
#define SETUP_MS    10000

static const char help[] =
    "failover - how long writes stand still when the leader is killed\n"
    "\n"
    "usage: failover [--rounds N] [--extra LINE] [--dir DIR] [--json FILE]\n"
    "                [--smoke]\n"
    "\n"
    "  --rounds N    leaders to kill, default 20\n"
    "  --extra LINE  a line of YAML for each node's configuration, as\n"
    "                'election_timeout_ms: 150'; default: none\n"
    "  --dir DIR     where the nodes keep their data, default /var/tmp\n"
    "  --json FILE   the figures for programs\n"
    "  --smoke       two rounds, no goal: does it work?\n"
    "\n"
    "A client creates one VM after the other. At a random moment the leader\n"
    "gets SIGKILL; the time ends when a write is acknowledged that was sent\n"
    "after it. The client tries the next node when a call fails, after 5 ms, "
    "or\n"
    "when it has no answer for 500 ms. The killed node is started again "
    "before\n"
    "the next round. At the end every acknowledged VM must be there.\n"
    "\n"
    "Exit: 0 goal met, 1 could not measure or a write was lost, 2 usage, 3 "
    "the\n"
    "goal was missed.\n";

struct bench {
    uv_loop_t loop;
    struct lab lab;
    struct rpc_channel *channels[LAB_MEMBERS];
    struct random random;
    int node;         /* That the client talks to. */
    uint64_t number;  /* Of the next VM. */
    uint64_t retries; /* Calls that were not acknowledged. */
    struct samples samples;
    uint32_t rounds;
    const char *extra;
    const char *directory;
    const char *json;
    bool smoke;
};

/* --- The client ---------------------------------------------------------- */

static void vm_name(char *name, size_t size, uint64_t number)
{
    snprintf(name, size, "vm-%llu", (unsigned long long)number);
}

static bool create_once(struct bench *bench, uint64_t number,
                        enum rpc_code *code)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    struct bench_call call = {
        .output = &holdfast__v1__create_vm_response__descriptor};
    char class_name[] = "tiny";
    char program[] = "/usr/bin/serve";
    char *command[] = {program};
    char name[32];
    bool acknowledged;

    vm_name(name, sizeof(name), number);
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.command = command;
    template.n_command = ARRAY_LEN(command);
    vm.name = name;
    vm.class_name = class_name;
    vm.desired = HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED;
    vm.template_ = &template;
    request.vm = &vm;
    request.request_id = name; /* So a repeat has one effect. */
    acknowledged = bench_call(&call, &bench->loop, bench->channels[bench->node],
                              "/holdfast.v1.VmService/CreateVm", &request.base,
                              ATTEMPT_MS);
    *code = call.code;
    bench_call_close(&call);
    return acknowledged;
}

/* One write, at whatever node takes it; false when none did for long. */
static bool create(struct bench *bench)
{
    uint64_t until_ms = clock_boot_ms() + GIVE_UP_MS;
    enum rpc_code code;

    while (!create_once(bench, bench->number, &code)) {
        if (clock_boot_ms() > until_ms) {
            fprintf(stderr, "no write was taken for %d s, last: %s\n",
                    GIVE_UP_MS / 1000, rpc_code_name(code));
            return false;
        }
        bench->retries++;
        bench->node = (bench->node + 1) % LAB_MEMBERS;
        bench_pause(&bench->loop, RETRY_MS);
    }
    bench->number++;
    return true;
}

static bool is_there(struct bench *bench, uint64_t number)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    struct bench_call call = {.output =
                                  &holdfast__v1__get_vm_response__descriptor};
    char name[32];
    bool found = false;

    vm_name(name, sizeof(name), number);
    request.name = name;
    for (int i = 0; i < LAB_MEMBERS && !found; i++) {
        found =
            bench_call(&call, &bench->loop, bench->channels[bench->node],
                       "/holdfast.v1.VmService/GetVm", &request.base, SETUP_MS);
        bench_call_close(&call);
        if (!found) {
            bench->node = (bench->node + 1) % LAB_MEMBERS;
        }
    }
    return found;
}

/* --- A round ------------------------------------------------------------- */

static uint64_t applied_index(struct bench *bench, int node)
{
    Holdfast__V1__GetStatusRequest request =
        HOLDFAST__V1__GET_STATUS_REQUEST__INIT;
    struct bench_call call = {
        .output = &holdfast__v1__get_status_response__descriptor};
    uint64_t index = 0;

    if (bench_call(&call, &bench->loop, bench->channels[node],
                   "/holdfast.v1.ClusterService/GetStatus", &request.base,
                   ATTEMPT_MS)) {
        index = ((const Holdfast__V1__GetStatusResponse *)(const void *)
                     call.response)
                    ->applied_index;
    }
    bench_call_close(&call);
    return index;
}

/* The node that was killed has what the others have. */
static bool wait_caught_up(struct bench *bench, int node, int leader)
{
    uint64_t until_ms = clock_boot_ms() + CATCH_UP_MS;
    uint64_t wanted = applied_index(bench, leader);

    while (applied_index(bench, node) < wanted) {
        if (clock_boot_ms() > until_ms) {
            fprintf(stderr, "node %d does not catch up\n", node + 1);
            return false;
        }
        bench_pause(&bench->loop, 20);
    }
    return true;
}

static bool write_for(struct bench *bench, uint64_t ms)
{
    uint64_t until_ms = clock_boot_ms() + ms;

    while (clock_boot_ms() < until_ms) {
        if (!create(bench)) {
            return false;
        }
    }
    return true;
}

static bool run_round(struct bench *bench, unsigned round)
{
    uint64_t calm_ms =
        CALM_MS_MAX / 2 + random_below(&bench->random, CALM_MS_MAX / 2);
    uint64_t killed_ns;
    uint64_t took_ns;
    int leader;
    int next;

    if (!write_for(bench, calm_ms)) {
        return false;
    }
    leader = lab_wait_leader(&bench->lab);
    if (leader < 0) {
        return false;
    }
    killed_ns = clock_boot_ns();
    lab_kill(&bench->lab, leader);
    if (!create(bench)) {
        return false;
    }
    took_ns = clock_boot_ns() - killed_ns;
    samples_add(&bench->samples, took_ns);
    fprintf(stderr, "  round %2u  node %d killed  %7.1f ms\n", round + 1,
            leader + 1, (double)took_ns / 1e6);
    if (!lab_run(&bench->lab, leader, false)) {
        return false;
    }
    next = lab_wait_leader(&bench->lab);
    return next >= 0 && wait_caught_up(bench, leader, next);
}

static bool create_class(struct bench *bench, int leader)
{
    Holdfast__V1__CreateClassRequest request =
        HOLDFAST__V1__CREATE_CLASS_REQUEST__INIT;
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    struct bench_call call = {
        .output = &holdfast__v1__create_class_response__descriptor};
    char class_name[] = "tiny";
    bool created;

    resources.cpu_milli = 1;
    resources.memory_mib = 1;
    class.name = class_name;
    class.resources = &resources;
    request.vm_class = &class;
    created = bench_call(&call, &bench->loop, bench->channels[leader],
                         "/holdfast.v1.ClassService/CreateClass", &request.base,
                         SETUP_MS);
    bench_call_close(&call);
    return created;
}

static bool run_rounds(struct bench *bench)
{
    int leader = lab_wait_leader(&bench->lab);
    uint64_t lost = 0;

    if (leader < 0 || !create_class(bench, leader)) {
        fputs("the region cannot be set up\n", stderr);
        return false;
    }
    for (unsigned round = 0; round < bench->rounds; round++) {
        if (!run_round(bench, round)) {
            return false;
        }
    }
    for (uint64_t i = 0; i < bench->number; i++) {
        lost += !is_there(bench, i);
    }
    if (lost > 0) {
        fprintf(stderr, "%llu of %llu acknowledged writes are lost\n",
                (unsigned long long)lost, (unsigned long long)bench->number);
    }
    return lost == 0;
}

/* --- The report ---------------------------------------------------------- */

static double ms_at(struct bench *bench, unsigned permille)
{
    return (double)samples_at(&bench->samples, permille) / 1e6;
}

static bool write_json(struct bench *bench)
{
    FILE *json = fopen(bench->json, "we");

    if (json == NULL) {
        perror(bench->json);
        return false;
    }
    fprintf(
        json,
        "{\"bench\":\"failover\",\"rounds\":%u,\"median_ms\":%.1f,"
        "\"min_ms\":%.1f,\"max_ms\":%.1f,\"goal_median_ms\":%d,"
        "\"acknowledged\":%llu,\"retries\":%llu,\"lost\":0,\"extra\":\"%s\","
        "\"rounds_ms\":[",
        bench->rounds, ms_at(bench, 500), ms_at(bench, 0), ms_at(bench, 1000),
        GOAL_MS, (unsigned long long)bench->number,
        (unsigned long long)bench->retries, bench->extra);
    for (size_t i = 0; i < bench->samples.count; i++) {
        fprintf(json, "%s%.1f", i == 0 ? "" : ",",
                (double)bench->samples.ns[i] / 1e6);
    }
    fputs("]}\n", json);
    if (fclose(json) != 0) {
        perror(bench->json);
        return false;
    }
    return true;
}

static int report(struct bench *bench)
{
    bool met = ms_at(bench, 500) < GOAL_MS;

    printf("leader killed, time to the next acknowledged write, %u rounds%s%s\n"
           "  median   %7.1f ms\n"
           "  min      %7.1f ms\n"
           "  p90      %7.1f ms\n"
           "  max      %7.1f ms\n"
           "%llu writes acknowledged, 0 lost, %llu calls repeated\n",
           bench->rounds, bench->extra[0] == '\0' ? "" : ", ", bench->extra,
           ms_at(bench, 500), ms_at(bench, 0), ms_at(bench, 900),
           ms_at(bench, 1000), (unsigned long long)bench->number,
           (unsigned long long)bench->retries);
    if (!bench->smoke) {
        printf("%-6s median under %d ms\n", met ? "met" : "MISSED", GOAL_MS);
    }
    if (bench->json != NULL && !write_json(bench)) {
        return 1;
    }
    return met || bench->smoke ? 0 : 3;
}

static int parse(struct bench *bench, int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "rounds", .number = &bench->rounds, .most = ROUNDS_MAX},
        {.name = "extra", .text = &bench->extra},
        {.name = "dir", .text = &bench->directory},
        {.name = "json", .text = &bench->json},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    if (bench->smoke) {
        bench->rounds = 2;
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct bench bench = {
        .rounds = 20, .extra = "", .directory = "/var/tmp"};
    int code = parse(&bench, argc, argv);
    char lines[160];
    bool ok;

    if (code >= 0) {
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&bench.loop) == 0);
    random_init(&bench.random, 1);
    samples_init(&bench.samples);
    snprintf(lines, sizeof(lines), "%s\n", bench.extra);
    ok = lab_start(&bench.lab, LAB_HOLDFAST, &bench.loop, bench.directory,
                   bench.extra[0] == '\0' ? NULL : lines);
    for (int i = 0; i < LAB_MEMBERS && ok; i++) {
        bench.channels[i] = rpc_channel_create(
            &bench.loop, bench.lab.members[i].address, (uint64_t)i + 50);
    }
    ok = ok && run_rounds(&bench);
    lab_stop(&bench.lab, !ok);
    return ok ? report(&bench) : 1;
}
