/* SPDX-License-Identifier: Apache-2.0
 *
 * The size that a region must be able to have: what its state costs in memory
 * and time, alone and in a real node. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "call.h"
#include "lab.h"
#include "load.h"
#include "options.h"
#include "region.h"
#include "state/snapshot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>

#define FIGURES_MAX  64
#define CLONES       200
#define RESTARTS_MAX 5
#define WAIT_MS      120000
#define CALL_MS      10000
#define PIECE_BYTES  1048576
#define WRITERS      8

/* Entries that a leader keeps behind its snapshot: a node that is further
 * behind needs the snapshot. */
#define TRAILING 4096

static const char help[] =
    "state - what the state of a large region costs\n"
    "\n"
    "usage: state [--vms N] [--hosts N] [--dir DIR] [--json FILE] [--smoke]\n"
    "\n"
    "  --vms N      default 1,000,000\n"
    "  --hosts N    default 100,000\n"
    "  --dir DIR    where the nodes keep their data, default /var/tmp\n"
    "  --json FILE  the figures for programs\n"
    "  --smoke      2,000 VMs on 200 hosts, no goals: does it work?\n"
    "\n"
    "First in this process: changes applied as a replica does it, clones, the\n"
    "snapshot's records. Then three real nodes on data directories that hold\n"
    "this state as a snapshot: restart, snapshot under load, and a snapshot\n"
    "sent to a node that is behind. A stall is the longest time that a client\n"
    "waited for GetStatus, which a node answers at once from its loop; it "
    "asks\n"
    "again and again on the same two-core machine, so the stall of an idle\n"
    "node stands beside it.\n"
    "\n"
    "Exit: 0 goals met, 1 could not measure, 2 usage, 3 a goal was missed.\n";

struct figure {
    const char *name; /* In JSON; with its unit. */
    const char *text;
    double value;
    double goal; /* At most this; 0: no goal. */
};

struct bench {
    uv_loop_t loop;
    struct region region;
    struct lab lab;
    struct replica_member members[LAB_MEMBERS];
    struct rpc_channel *channels[LAB_MEMBERS];
    struct load writers;
    struct load pinger;
    struct figure figures[FIGURES_MAX];
    size_t figure_count;
    uint32_t vms;
    uint32_t hosts;
    uint32_t snapshot_entries;
    int restarts;
    uint64_t longest_look_ns; /* Of wait_node(), once the node answers. */
    const char *directory;
    const char *json;
    bool smoke;
};

static void figure(struct bench *bench, const char *name, const char *text,
                   double value, double goal)
{
    CHECK(bench->figure_count < FIGURES_MAX);
    bench->figures[bench->figure_count++] =
        (struct figure){name, text, value, goal};
    fprintf(stderr, "  %-46s %14.2f\n", text, value);
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

/* --- In this process ----------------------------------------------------- */

static double rate(const struct region_rate *rate)
{
    return rate->ns == 0 ? 0 : (double)rate->changes * 1e9 / (double)rate->ns;
}

static void measure_apply(struct bench *bench)
{
    struct state_memory memory;
    double vms = (double)bench->vms;

    region_make(&bench->region, bench->hosts, bench->vms);
    state_memory(bench->region.state, &memory);
    figure(bench, "vm_bytes", "bytes a VM, records and index",
           (double)(memory.vm_records + memory.vm_index) / vms, 256);
    figure(bench, "vm_heap_bytes", "bytes a VM, of the allocator",
           (double)bench->region.vm_bytes / vms, 256);
    figure(bench, "blob_bytes", "bytes of templates, labels, identities",
           (double)memory.blobs, 0);
    figure(bench, "register_per_s", "hosts registered a second",
           rate(&bench->region.hosts), 0);
    figure(bench, "create_per_s", "VMs created a second",
           rate(&bench->region.creates), 0);
    figure(bench, "assign_per_s", "VMs assigned a second",
           rate(&bench->region.assigns), 0);
    figure(bench, "report_per_s", "VMs reported running a second",
           rate(&bench->region.reports), 0);
    figure(bench, "slowest_entry_ms", "slowest entry of 1,000 changes, ms",
           ms(bench->region.creates.slowest_ns), 0);
}

static void measure_clones(struct bench *bench)
{
    struct region_rate shared = {0};
    struct samples made;
    struct samples destroyed;

    samples_init(&made);
    samples_init(&destroyed);
    for (uint32_t i = 0; i < CLONES; i++) {
        /* Spread over the table, so that each clone finds pages shared. */
        uint32_t first = (uint32_t)((uint64_t)i * bench->vms / CLONES);
        uint32_t left = bench->vms - first;
        uint64_t began_ns = clock_boot_ns();
        struct state *clone = state_clone(bench->region.state);
        uint64_t cloned_ns = clock_boot_ns();

        region_report(&bench->region, &shared, first,
                      left < region_batch() ? left : region_batch());
        samples_add(&made, cloned_ns - began_ns);
        began_ns = clock_boot_ns();
        state_destroy(clone);
        samples_add(&destroyed, clock_boot_ns() - began_ns);
    }
    figure(bench, "clone_median_us", "clone, median, us",
           (double)samples_at(&made, 500) / 1e3, 1000);
    figure(bench, "clone_max_us", "clone, longest, us",
           (double)samples_at(&made, 1000) / 1e3, 1000);
    figure(bench, "clone_destroy_max_us", "end of a clone, longest, us",
           (double)samples_at(&destroyed, 1000) / 1e3, 0);
    figure(bench, "shared_report_per_s",
           "VMs reported a second while a clone shares", rate(&shared), 0);
    samples_close(&made);
    samples_close(&destroyed);
}

static bool measure_stream(struct bench *bench)
{
    struct snapshot_writer writer;
    struct snapshot_reader *reader = snapshot_reader_create();
    struct state *restored;
    struct bytes piece;
    uint64_t write_ns = 0;
    uint64_t read_ns = 0;
    uint64_t bytes = 0;
    bool more = true;
    bool same;

    bytes_init(&piece);
    snapshot_writer_init(&writer, bench->region.state);
    while (more) {
        uint64_t began_ns = clock_boot_ns();
        uint64_t written_ns;

        bytes_clear(&piece);
        more = snapshot_writer_next(&writer, &piece, PIECE_BYTES);
        written_ns = clock_boot_ns();
        CHECK(snapshot_reader_feed(reader, piece.data, piece.len) == 0);
        write_ns += written_ns - began_ns;
        read_ns += clock_boot_ns() - written_ns;
        bytes += piece.len;
    }
    bytes_close(&piece);
    restored = snapshot_reader_finish(reader);
    same = restored != NULL &&
           state_hash(restored) == state_hash(bench->region.state);
    state_destroy(restored);
    figure(bench, "stream_bytes", "snapshot's records, bytes", (double)bytes,
           0);
    figure(bench, "stream_write_ms", "snapshot's records written, ms",
           ms(write_ns), 0);
    figure(bench, "stream_read_ms", "snapshot's records read, ms", ms(read_ns),
           0);
    if (!same) {
        fputs("the restored state is not the same\n", stderr);
    }
    return same;
}

/* --- Real nodes ---------------------------------------------------------- */

static bool save(struct bench *bench)
{
    uint64_t began_ns = clock_boot_ns();
    uint64_t bytes = 0;

    for (int i = 0; i < LAB_MEMBERS; i++) {
        bench->members[i] = (struct replica_member){
            (uint64_t)i + 1, bench->lab.members[i].address, REPLICA_VOTER};
    }
    for (int i = 0; i < LAB_MEMBERS; i++) {
        char directory[LAB_PATH_BYTES + 32];

        snprintf(directory, sizeof(directory), "%s/data%d",
                 bench->lab.directory, i + 1);
        bytes = region_save(&bench->region, directory, (uint64_t)i + 1,
                            bench->members, LAB_MEMBERS);
        if (bytes == 0) {
            return false;
        }
    }
    figure(bench, "snapshot_bytes", "snapshot on disk, bytes", (double)bytes,
           0);
    figure(bench, "save_ms", "snapshot packed and written, ms",
           ms((clock_boot_ns() - began_ns) / LAB_MEMBERS), 0);
    return true;
}

struct seen {
    uint64_t applied_index;
    uint64_t vms;
    bool answered;
};

static struct seen look(struct bench *bench, int node)
{
    Holdfast__V1__GetStatusRequest request =
        HOLDFAST__V1__GET_STATUS_REQUEST__INIT;
    struct bench_call call = {
        .output = &holdfast__v1__get_status_response__descriptor};
    struct seen seen = {0};

    if (bench_call(&call, &bench->loop, bench->channels[node],
                   "/holdfast.v1.ClusterService/GetStatus", &request.base,
                   CALL_MS)) {
        const Holdfast__V1__GetStatusResponse *status =
            (const Holdfast__V1__GetStatusResponse *)(const void *)
                call.response;

        seen.answered = true;
        seen.applied_index = status->applied_index;
        seen.vms = status->vm_count;
    }
    bench_call_close(&call);
    return seen;
}

/* Until the node answers, knows all VMs and has applied so much. */
static bool wait_node(struct bench *bench, int node, uint64_t index)
{
    uint64_t until_ms = clock_boot_ms() + WAIT_MS;
    bool answers = false;

    bench->longest_look_ns = 0;
    while (clock_boot_ms() < until_ms) {
        uint64_t began_ns = clock_boot_ns();
        struct seen seen = look(bench, node);
        uint64_t took_ns = clock_boot_ns() - began_ns;

        if (answers && took_ns > bench->longest_look_ns) {
            bench->longest_look_ns = took_ns;
        }
        answers = answers || seen.answered;
        if (seen.answered && seen.vms >= bench->vms &&
            seen.applied_index >= index) {
            return true;
        }
        bench_pause(&bench->loop, 5);
    }
    fprintf(stderr, "node %d does not come up; see the logs in %s\n", node + 1,
            bench->lab.directory);
    return false;
}

static bool measure_restart(struct bench *bench, int leader)
{
    int node = (leader + 1) % LAB_MEMBERS;
    struct samples samples;
    bool ok = true;

    samples_init(&samples);
    for (int i = 0; i < bench->restarts && ok; i++) {
        uint64_t index = look(bench, leader).applied_index;
        uint64_t began_ns;

        lab_kill(&bench->lab, node);
        began_ns = clock_boot_ns();
        ok = lab_run(&bench->lab, node, false) && wait_node(bench, node, index);
        samples_add(&samples, clock_boot_ns() - began_ns);
    }
    figure(bench, "restart_median_ms", "restart of a node, median, ms",
           ms(samples_at(&samples, 500)), 0);
    figure(bench, "restart_max_ms", "restart of a node, longest, ms",
           ms(samples_at(&samples, 1000)), 0);
    figure(bench, "node_resident_bytes", "memory of that node, bytes",
           (double)lab_resident_bytes(&bench->lab, node), 0);
    samples_close(&samples);
    return ok;
}

/* --- Load and stalls ----------------------------------------------------- */

static void make_status(struct load_client *client, uint64_t number)
{
    Holdfast__V1__GetStatusRequest request =
        HOLDFAST__V1__GET_STATUS_REQUEST__INIT;

    (void)number;
    load_send(client, &request.base);
}

static bool check_status(const ProtobufCMessage *response)
{
    return ((const Holdfast__V1__GetStatusResponse *)(const void *)response)
               ->vm_count > 0;
}

static void make_write(struct load_client *client, uint64_t number)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    Holdfast__V1__VmTemplate template = HOLDFAST__V1__VM_TEMPLATE__INIT;
    char class_name[] = "c0";
    char program[] = "/usr/bin/serve";
    char *command[] = {program};
    char name[32];

    snprintf(name, sizeof(name), "new-%llu", (unsigned long long)number);
    template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    template.command = command;
    template.n_command = ARRAY_LEN(command);
    vm.name = name;
    vm.class_name = class_name;
    vm.desired = HOLDFAST__V1__DESIRED_STATE__DESIRED_STATE_STOPPED;
    vm.template_ = &template;
    request.vm = &vm;
    load_send(client, &request.base);
}

static bool check_write(const ProtobufCMessage *response)
{
    return ((const Holdfast__V1__CreateVmResponse *)(const void *)response)
               ->revision > 0;
}

static const struct load_operation status_operation = {
    "/holdfast.v1.ClusterService/GetStatus",
    &holdfast__v1__get_status_response__descriptor, make_status, check_status};

static const struct load_operation write_operation = {
    "/holdfast.v1.VmService/CreateVm",
    &holdfast__v1__create_vm_response__descriptor, make_write, check_write};

/* How often the event stands in the node's log. */
static unsigned count_events(const struct bench *bench, int node,
                             const char *event)
{
    char path[LAB_PATH_BYTES + 32];
    char line[1024];
    unsigned count = 0;
    FILE *file;

    snprintf(path, sizeof(path), "%s/log%d", bench->lab.directory, node + 1);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        count += strstr(line, event) != NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return count;
}

static bool load_ok(const struct load *load, const char *what)
{
    if (load->errors > 0) {
        fprintf(stderr, "%s: %s\n", what, load->error);
    }
    return load->errors == 0;
}

/* The pinger's longest wait while an idle node does nothing else, and then
 * while it takes writes and makes a snapshot of all it has. */
static bool measure_snapshot(struct bench *bench, int leader)
{
    uint64_t until_ms = clock_boot_ms() + WAIT_MS;
    unsigned done = count_events(bench, leader, " snapshot.done ");
    unsigned begun = count_events(bench, leader, " snapshot.begin ");
    uint64_t began_ns = 0;
    uint64_t ended_ns = 0;

    load_run(&bench->pinger, &status_operation, 100, bench->smoke ? 100 : 3000);
    figure(bench, "idle_stall_ms", "longest stall, idle, ms",
           ms(samples_at(&bench->pinger.samples, 1000)), 0);
    load_begin(&bench->writers, &write_operation);
    load_begin(&bench->pinger, &status_operation);
    while (ended_ns == 0 && clock_boot_ms() < until_ms &&
           !bench->writers.stopping) {
        bench_pause(&bench->loop, 10);
        if (began_ns == 0 &&
            count_events(bench, leader, " snapshot.begin ") > begun) {
            began_ns = clock_boot_ns();
        }
        if (count_events(bench, leader, " snapshot.done ") > done) {
            ended_ns = clock_boot_ns();
        }
    }
    bench_pause(&bench->loop, 200);
    load_end(&bench->pinger);
    load_end(&bench->writers);
    figure(bench, "snapshot_ms", "snapshot under load, ms",
           ms(ended_ns - began_ns), 0);
    figure(bench, "snapshot_stall_ms", "longest stall, snapshot and load, ms",
           ms(samples_at(&bench->pinger.samples, 1000)), 0);
    figure(bench, "write_per_s", "writes a second meanwhile",
           load_rate(&bench->writers), 0);
    figure(bench, "write_p50_ms", "write, median, ms",
           ms(samples_at(&bench->writers.samples, 500)), 0);
    figure(bench, "write_max_ms", "write, longest, ms",
           ms(samples_at(&bench->writers.samples, 1000)), 0);
    return ended_ns != 0 && load_ok(&bench->writers, "write") &&
           load_ok(&bench->pinger, "status");
}

/* A node is away for so long that the leader's log no longer reaches back to
 * it, and gets the snapshot when it is back. */
static bool measure_install(struct bench *bench, int leader)
{
    int node = (leader + 2) % LAB_MEMBERS;
    uint64_t wanted = look(bench, node).applied_index + TRAILING +
                      bench->snapshot_entries * 2;
    unsigned done = count_events(bench, leader, " snapshot.done ");
    uint64_t until_ms = clock_boot_ms() + WAIT_MS;
    uint64_t began_ns;
    uint64_t index;
    bool ok;

    lab_kill(&bench->lab, node);
    load_begin(&bench->writers, &write_operation);
    do {
        bench_pause(&bench->loop, 50);
        index = look(bench, leader).applied_index;
    } while ((index < wanted ||
              count_events(bench, leader, " snapshot.done ") <= done) &&
             clock_boot_ms() < until_ms && !bench->writers.stopping);
    load_end(&bench->writers);
    load_begin(&bench->pinger, &status_operation);
    began_ns = clock_boot_ns();
    ok = lab_run(&bench->lab, node, false) && wait_node(bench, node, index) &&
         count_events(bench, node, " state.restored ") > 0;
    figure(bench, "install_ms", "node far behind: restart to all applied, ms",
           ms(clock_boot_ns() - began_ns), 0);
    figure(bench, "restore_stall_ms", "its own longest stall meanwhile, ms",
           ms(bench->longest_look_ns), 0);
    load_end(&bench->pinger);
    figure(bench, "install_stall_ms", "leader's longest stall meanwhile, ms",
           ms(samples_at(&bench->pinger.samples, 1000)), 0);
    return ok && index >= wanted && load_ok(&bench->writers, "write") &&
           load_ok(&bench->pinger, "status");
}

static bool measure_nodes(struct bench *bench)
{
    int leader;
    bool ok;

    if (!lab_launch(&bench->lab)) {
        return false;
    }
    for (int i = 0; i < LAB_MEMBERS; i++) {
        bench->channels[i] = rpc_channel_create(
            &bench->loop, bench->lab.members[i].address, (uint64_t)i + 50);
    }
    leader = lab_wait_leader(&bench->lab);
    if (leader < 0 || !wait_node(bench, leader, 0)) {
        return false;
    }
    load_open(&bench->writers, &bench->loop, bench->lab.members[leader].address,
              WRITERS, 1);
    load_open(&bench->pinger, &bench->loop, bench->lab.members[leader].address,
              1, 1);
    ok = measure_restart(bench, leader) && measure_snapshot(bench, leader) &&
         (bench->smoke || measure_install(bench, leader));
    load_close(&bench->pinger);
    load_close(&bench->writers);
    return ok;
}

/* --- The report ---------------------------------------------------------- */

static bool print_figures(const struct bench *bench, FILE *json)
{
    bool all = true;

    printf("\n%u VMs on %u hosts\n\n", bench->vms, bench->hosts);
    for (size_t i = 0; i < bench->figure_count; i++) {
        const struct figure *figure = &bench->figures[i];
        bool met = figure->goal <= 0 || figure->value <= figure->goal;

        printf("  %-46s %14.2f", figure->text, figure->value);
        if (figure->goal > 0) {
            printf("  %s (%.0f)", met ? "met" : "MISSED", figure->goal);
        }
        putchar('\n');
        if (json != NULL) {
            fprintf(json, ",\"%s\":%.3f", figure->name, figure->value);
        }
        all = all && met;
    }
    return all;
}

static int report(const struct bench *bench)
{
    FILE *json = NULL;
    bool met;

    if (bench->json != NULL) {
        json = fopen(bench->json, "we");
        if (json == NULL) {
            perror(bench->json);
            return 1;
        }
        fprintf(json, "{\"bench\":\"state\",\"vms\":%u,\"hosts\":%u",
                bench->vms, bench->hosts);
    }
    met = print_figures(bench, json);
    if (json != NULL) {
        fprintf(json, ",\"goals_met\":%s}\n", met ? "true" : "false");
        if (fclose(json) != 0) {
            perror(bench->json);
            return 1;
        }
    }
    return met || bench->smoke ? 0 : 3;
}

static int parse(struct bench *bench, int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "vms", .number = &bench->vms, .most = VMS_MAX / 2},
        {.name = "hosts", .number = &bench->hosts, .most = HOSTS_MAX},
        {.name = "dir", .text = &bench->directory},
        {.name = "json", .text = &bench->json},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    if (bench->smoke) {
        bench->vms = 2000;
        bench->hosts = 200;
        bench->restarts = 1;
        bench->snapshot_entries = 100;
    }
    return code;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.vms = 1000000,
                                 .hosts = 100000,
                                 .snapshot_entries = 3000,
                                 .restarts = RESTARTS_MAX,
                                 .directory = "/var/tmp"};
    int code = parse(&bench, argc, argv);
    char extra[64];
    bool ok;

    if (code >= 0) {
        return code;
    }
    signal(SIGPIPE, SIG_IGN);
    CHECK(uv_loop_init(&bench.loop) == 0);
    snprintf(extra, sizeof(extra), "snapshot_entries: %u\n",
             bench.snapshot_entries);
    measure_apply(&bench);
    measure_clones(&bench);
    ok = measure_stream(&bench) &&
         lab_prepare(&bench.lab, LAB_HOLDFAST, &bench.loop, bench.directory,
                     extra) &&
         save(&bench);
    region_close(&bench.region);
    ok = ok && measure_nodes(&bench);
    lab_stop(&bench.lab, !ok);
    return ok ? report(&bench) : 1;
}
