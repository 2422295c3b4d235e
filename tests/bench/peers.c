/* SPDX-License-Identifier: Apache-2.0
 *
 * Ganeti's allocator and balancer beside the placer: the same nodes and VMs,
 * one checker for what either of them decides. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "base/random.h"
#include "options.h"
#include "placement/rebalance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HAIL          "/usr/lib/ganeti/iallocators/hail"
#define HBAL          "/usr/bin/hbal"
#define NODE_CPUS     96
#define NODE_GIB      256
#define NODE_DISK_GIB 10000
#define VM_DISK_GIB   10
#define FILL_PERMILLE 600
#define COMMAND_BYTES 256
#define LINE_BYTES    4096
#define SIZES_MAX     3

static const char help[] =
    "peers - Ganeti's hail and hbal beside Holdfast's placement\n"
    "\n"
    "usage: peers [--new N] [--hbal-seconds N] [--json FILE] [--smoke]\n"
    "\n"
    "  --new N           VMs to place, one after the other; default 10\n"
    "  --hbal-seconds N  end hbal after so long; default 300\n"
    "  --json FILE       the figures for programs\n"
    "  --smoke           10 nodes, no goals: does it work?\n"
    "\n"
    "50, 100 and 200 nodes of 96 CPUs, 256 GiB and 10,000 GiB of disk, filled\n"
    "to 60 % with VMs of a public cloud's sizes at random; CPUs may not be\n"
    "overcommitted (Ganeti: vcpu-ratio 1). Both get the same input.\n"
    "place: N new VMs. hail is run once for each and reads all of its input\n"
    "again; `ms` is its time less that of a run that may consider one node\n"
    "only (start, reading), `whole` is with that. It runs with\n"
    "--no-capacity-checks: with them it takes seconds for each at 50 nodes.\n"
    "Ours is the choice and the change of the state.\n"
    "drain: one node is to be emptied; hbal --evac-mode beside\n"
    "rebalance_drains().\n"
    "`broken`: nodes with more than their CPUs, memory or disk afterwards,\n"
    "each counted.\n"
    "\n"
    "Exit: 0 done, or skipped as Ganeti is not installed (Debian: apt-get\n"
    "install ganeti-htools), 1 could not measure, 2 usage, 3 ours was slower,\n"
    "placed fewer or broke a limit.\n";

struct size {
    uint32_t cpus;
    uint32_t gib;
    uint32_t share; /* Of 10,000. */
};

static const struct size sizes[] = {
    {1, 1, 2215}, {1, 2, 4424}, {1, 4, 260},  {2, 4, 1350},
    {2, 8, 190},  {4, 8, 910},  {4, 16, 160}, {8, 16, 270},
    {8, 32, 90},  {12, 24, 40}, {16, 32, 80}, {32, 64, 11},
};
#define SIZES (sizeof(sizes) / sizeof(*sizes))

struct peer_vm {
    uint32_t size;
    uint32_t node; /* UINT32_MAX: none. */
};

struct fleet {
    uint32_t nodes;
    struct peer_vm *vms;
    uint32_t count;
    uint32_t drained; /* Node; UINT32_MAX: none. */
};

struct outcome {
    double ms;
    double whole_ms;
    uint32_t placed;
    uint32_t broken;
    bool timed_out;
};

struct bench {
    uint32_t fresh;
    uint32_t hbal_seconds;
    const char *json;
    bool smoke;
};

/* --- The checker --------------------------------------------------------- */

static uint32_t count_broken(const struct fleet *fleet)
{
    uint64_t *used =
        memory_alloc_array((size_t)fleet->nodes * 3 + 1, sizeof(*used));
    uint32_t broken = 0;

    for (uint32_t i = 0; i < fleet->count; i++) {
        const struct peer_vm *vm = &fleet->vms[i];

        if (vm->node != UINT32_MAX) {
            used[vm->node * 3] += sizes[vm->size].cpus;
            used[vm->node * 3 + 1] += sizes[vm->size].gib;
            used[vm->node * 3 + 2] += VM_DISK_GIB;
        }
    }
    for (uint32_t i = 0; i < fleet->nodes; i++) {
        broken += used[i * 3] > NODE_CPUS;
        broken += used[i * 3 + 1] > NODE_GIB;
        broken += used[i * 3 + 2] > NODE_DISK_GIB;
    }
    free(used);
    return broken;
}

static struct fleet copy_of(const struct fleet *fleet)
{
    struct fleet copy = *fleet;

    copy.vms = memory_copy(fleet->vms, fleet->count * sizeof(*fleet->vms));
    return copy;
}

/* --- The input ----------------------------------------------------------- */

static uint32_t random_size(struct random *random)
{
    uint64_t drawn = random_below(random, 10000);
    uint32_t i = 0;

    while (i + 1 < SIZES && drawn >= sizes[i].share) {
        drawn -= sizes[i].share;
        i++;
    }
    return i;
}

/* `fresh` VMs without a node stand at the end. */
static struct fleet make_fleet(uint32_t nodes, uint32_t fresh)
{
    struct fleet fleet = {.nodes = nodes, .drained = UINT32_MAX};
    uint32_t *cpus = memory_alloc_array(nodes, sizeof(*cpus));
    uint32_t *gib = memory_alloc_array(nodes, sizeof(*gib));
    uint64_t wanted = (uint64_t)nodes * NODE_CPUS * FILL_PERMILLE / 1000;
    uint64_t sum = 0;
    struct random random;

    random_init(&random, nodes);
    fleet.vms = memory_alloc_array((size_t)nodes * NODE_CPUS + fresh,
                                   sizeof(*fleet.vms));
    while (sum < wanted) {
        uint32_t size = random_size(&random);
        uint32_t node = (uint32_t)random_below(&random, nodes);

        if (cpus[node] + sizes[size].cpus > NODE_CPUS ||
            gib[node] + sizes[size].gib > NODE_GIB) {
            continue;
        }
        cpus[node] += sizes[size].cpus;
        gib[node] += sizes[size].gib;
        sum += sizes[size].cpus;
        fleet.vms[fleet.count++] = (struct peer_vm){size, node};
    }
    for (uint32_t i = 0; i < fresh; i++) {
        fleet.vms[fleet.count++] =
            (struct peer_vm){random_size(&random), UINT32_MAX};
    }
    free(cpus);
    free(gib);
    return fleet;
}

/* --- Ganeti -------------------------------------------------------------- */

static double run(const char *command, int *status)
{
    uint64_t began_ns = clock_boot_ns();

    *status = system(command);
    return (double)(clock_boot_ns() - began_ns) / 1e6;
}

#define IPOLICY                                                               \
    "{\"minmax\":[{\"min\":{\"memory-size\":128,\"cpu-count\":1,"             \
    "\"disk-count\":0,\"disk-size\":128,\"nic-count\":0,\"spindle-use\":1},"  \
    "\"max\":{\"memory-size\":10000000,\"cpu-count\":1024,\"disk-count\":8,"  \
    "\"disk-size\":10000000,\"nic-count\":8,\"spindle-use\":8}}],"            \
    "\"std\":{\"memory-size\":128,\"cpu-count\":1,\"disk-count\":1,"          \
    "\"disk-size\":1024,\"nic-count\":1,\"spindle-use\":1},"                  \
    "\"disk-templates\":[\"ext\"],\"vcpu-ratio\":1.0,\"spindle-ratio\":1000." \
    "0}"

#define DISK "\"disks\":[{\"size\":10240,\"mode\":\"w\",\"spindles\":1}],"

static void write_instance(FILE *file, const struct peer_vm *vm)
{
    fprintf(file,
            "\"memory\":%u,\"spindle_use\":1,\"vcpus\":%u,\"os\":\"x\","
            "\"nics\":[]," DISK "\"disk_space_total\":10240,\"tags\":[],"
            "\"disk_template\":\"ext\",\"hypervisor\":\"kvm\"",
            sizes[vm->size].gib * 1024, sizes[vm->size].cpus);
}

static void write_nodes(FILE *file, const struct fleet *fleet)
{
    uint32_t *gib = memory_alloc_array(fleet->nodes, sizeof(*gib));

    for (uint32_t i = 0; i < fleet->count; i++) {
        if (fleet->vms[i].node != UINT32_MAX) {
            gib[fleet->vms[i].node] += sizes[fleet->vms[i].size].gib;
        }
    }
    for (uint32_t i = 0; i < fleet->nodes; i++) {
        fprintf(file,
                "%s\"n%u\":{\"name\":\"n%u\",\"group\":\"g\",\"primary_ip\":"
                "\"1\",\"secondary_ip\":\"2\",\"total_memory\":%u,"
                "\"free_memory\":%u,\"reserved_memory\":0,\"total_disk\":%u,"
                "\"free_disk\":%u,\"total_cpus\":%u,\"reserved_cpus\":0,"
                "\"i_pri_memory\":0,\"i_pri_up_memory\":0,\"tags\":[],"
                "\"master_candidate\":false,\"drained\":false,\"offline\":"
                "false,\"vm_capable\":true,\"free_spindles\":0,"
                "\"total_spindles\":0,\"ndparams\":{\"spindle_count\":1,"
                "\"exclusive_storage\":false,\"oob_program\":\"\","
                "\"cpu_speed\":1.0}}",
                i == 0 ? "" : ",", i, i, NODE_GIB * 1024,
                (NODE_GIB - gib[i]) * 1024, NODE_DISK_GIB * 1024,
                NODE_DISK_GIB * 1024, NODE_CPUS);
    }
    free(gib);
}

static bool write_request(const char *path, const struct fleet *fleet,
                          const struct peer_vm *wanted)
{
    FILE *file = fopen(path, "we");
    bool first = true;

    if (file == NULL) {
        perror(path);
        return false;
    }
    fprintf(file,
            "{\"version\":2,\"cluster_name\":\"c\",\"cluster_tags\":[],"
            "\"enabled_hypervisors\":[\"kvm\"],\"ipolicy\":" IPOLICY
            ",\"nodegroups\":{\"g\":{\"name\":\"default\",\"alloc_policy\":"
            "\"preferred\",\"networks\":[],\"ipolicy\":" IPOLICY
            ",\"tags\":[]}},\"nodes\":{");
    write_nodes(file, fleet);
    fputs("},\"instances\":{", file);
    for (uint32_t i = 0; i < fleet->count; i++) {
        if (fleet->vms[i].node == UINT32_MAX) {
            continue;
        }
        fprintf(file, "%s\"v%u\":{\"admin_state\":\"up\",\"nodes\":[\"n%u\"],",
                first ? "" : ",", i, fleet->vms[i].node);
        write_instance(file, &fleet->vms[i]);
        fputc('}', file);
        first = false;
    }
    fputs("},\"request\":{\"type\":\"allocate\",\"name\":\"new\","
          "\"required_nodes\":1,",
          file);
    write_instance(file, wanted);
    fputs("}}", file);
    return fclose(file) == 0;
}

/* The node in hail's answer; UINT32_MAX: none. */
static uint32_t answer_of(const char *path)
{
    static char text[65536];
    FILE *file = fopen(path, "re");
    const char *result;
    uint32_t node = UINT32_MAX;
    size_t len;

    if (file == NULL) {
        return node;
    }
    len = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[len] = '\0';
    result = strstr(text, "\"result\":[\"n");
    if (result != NULL) {
        node = (uint32_t)strtoul(result + strlen("\"result\":[\"n"), NULL, 10);
    }
    return node;
}

static struct outcome hail_place(const struct fleet *input)
{
    struct fleet fleet = copy_of(input);
    struct outcome outcome = {0};
    int status;

    for (uint32_t i = 0; i < fleet.count; i++) {
        double whole;

        if (fleet.vms[i].node != UINT32_MAX) {
            continue;
        }
        if (!write_request("request", &fleet, &fleet.vms[i])) {
            break;
        }
        whole = run(HAIL " --no-capacity-checks request >answer 2>&1", &status);
        fleet.vms[i].node = answer_of("answer");
        outcome.placed += fleet.vms[i].node < fleet.nodes;
        outcome.whole_ms += whole;
        outcome.ms +=
            whole - run(HAIL " --no-capacity-checks --restrict-allocation-to "
                             "n0 request >/dev/null 2>&1",
                        &status);
    }
    outcome.broken = count_broken(&fleet);
    free(fleet.vms);
    return outcome;
}

static bool write_cluster(const char *path, const struct fleet *fleet)
{
    FILE *file = fopen(path, "we");
    uint32_t *gib = memory_alloc_array(fleet->nodes, sizeof(*gib));
    uint32_t *count = memory_alloc_array(fleet->nodes, sizeof(*count));

    if (file == NULL) {
        perror(path);
        return false;
    }
    for (uint32_t i = 0; i < fleet->count; i++) {
        if (fleet->vms[i].node != UINT32_MAX) {
            gib[fleet->vms[i].node] += sizes[fleet->vms[i].size].gib;
            count[fleet->vms[i].node]++;
        }
    }
    fputs("default|g|preferred||\n\n", file);
    for (uint32_t i = 0; i < fleet->nodes; i++) {
        fprintf(file, "n%u|%u|0|%u|%u|%u|%u|%c|g|1||N|0|0|1.0\n", i,
                NODE_GIB * 1024, (NODE_GIB - gib[i]) * 1024,
                NODE_DISK_GIB * 1024,
                (NODE_DISK_GIB - count[i] * VM_DISK_GIB) * 1024, NODE_CPUS,
                i == fleet->drained ? 'Y' : 'N');
    }
    fputc('\n', file);
    for (uint32_t i = 0; i < fleet->count; i++) {
        const struct peer_vm *vm = &fleet->vms[i];

        if (vm->node != UINT32_MAX) {
            fprintf(file, "v%u|%u|%u|%u|running|Y|n%u||ext||1|-\n", i,
                    sizes[vm->size].gib * 1024, VM_DISK_GIB * 1024,
                    sizes[vm->size].cpus, vm->node);
        }
    }
    fputs("\n\n", file);
    for (int i = 0; i < 2; i++) {
        fprintf(file,
                "%s|128,1,1024,1,1,1|128,1,128,0,0,1;10000000,1024,10000000,"
                "16,8,12|ext|1.0|1000.0\n",
                i == 0 ? "" : "default");
    }
    free(gib);
    free(count);
    return fclose(file) == 0;
}

/* Where hbal put the VMs. */
static void read_cluster(const char *path, struct fleet *fleet)
{
    FILE *file = fopen(path, "re");
    char line[LINE_BYTES];
    uint32_t vm;
    uint32_t node;

    while (file != NULL && fgets(line, sizeof(line), file) != NULL) {
        if (sscanf(line, "v%u|%*[^|]|%*[^|]|%*[^|]|%*[^|]|%*[^|]|n%u|", &vm,
                   &node) == 2 &&
            vm < fleet->count && node < fleet->nodes) {
            fleet->vms[vm].node = node;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
}

static uint32_t count_on(const struct fleet *fleet, uint32_t node)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < fleet->count; i++) {
        count += fleet->vms[i].node == node;
    }
    return count;
}

static struct outcome hbal_drain(const struct bench *bench,
                                 const struct fleet *input)
{
    struct fleet fleet = copy_of(input);
    struct outcome outcome = {0};
    char command[COMMAND_BYTES];
    uint32_t before = count_on(&fleet, fleet.drained);
    int status;

    if (write_cluster("cluster", &fleet)) {
        snprintf(command, sizeof(command),
                 "timeout %u " HBAL " -t cluster --evac-mode --ignore-dynu "
                 "-S out >/dev/null 2>&1",
                 bench->hbal_seconds);
        outcome.ms = run(command, &status);
        outcome.whole_ms = outcome.ms;
        outcome.timed_out = status != 0;
        read_cluster("out.balanced", &fleet);
    }
    outcome.placed = before - count_on(&fleet, fleet.drained);
    outcome.broken = count_broken(&fleet);
    free(fleet.vms);
    return outcome;
}

/* --- Ours ---------------------------------------------------------------- */

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void make_region(struct state *state, const struct fleet *fleet)
{
    struct change change = {.kind = CHANGE_POLICY};
    char name[32];

    policy_init(&change.policy.policy);
    state_apply(state, &change, NULL);
    change = (struct change){.kind = CHANGE_ZONE_CREATE,
                             .zone_create = {text_of("z")}};
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < fleet->nodes; i++) {
        snprintf(name, sizeof(name), "n%u", i);
        change = (struct change){.kind = CHANGE_HOST_REGISTER};
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(state, 0)->uid},
            .host_id = text_of(name),
            .boot_id = text_of("boot"),
            .capacity = {NODE_CPUS * 1000, NODE_GIB * 1024, NODE_DISK_GIB, 0},
            .driver_mask = 1 << DRIVER_QEMU,
        };
        state_apply(state, &change, NULL);
    }
    for (uint32_t i = 0; i < SIZES; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        change = (struct change){.kind = CHANGE_CLASS_CREATE};
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {sizes[i].cpus * 1000, sizes[i].gib * 1024,
                          VM_DISK_GIB, 0},
        };
        state_apply(state, &change, NULL);
    }
}

static void assign(struct state *state, uint32_t vm, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign =
        (struct change_vm_assign){{state_vm_at(state, vm)->uid},
                                  {state_host_at(state, host)->uid},
                                  state_vm_at(state, vm)->epoch + 1};
    state_apply(state, &change, NULL);
}

/* VM i of the fleet is in slot i, node i's host too. */
static struct state *region_of(const struct fleet *fleet)
{
    struct state *state = state_create();
    char name[32];

    state_begin(state, 1700000000000);
    make_region(state, fleet);
    for (uint32_t i = 0; i < fleet->count; i++) {
        struct change change = {.kind = CHANGE_VM_CREATE};

        snprintf(name, sizeof(name), "v%u", i);
        change.vm_create = (struct change_vm_create){
            .name = text_of(name),
            .class = {state_class_at(state, fleet->vms[i].size)->uid},
            .on_partition = ON_PARTITION_MOVE,
            .desired = DESIRED_RUNNING,
            .driver = DRIVER_QEMU,
        };
        state_apply(state, &change, NULL);
        if (fleet->vms[i].node != UINT32_MAX) {
            assign(state, i, fleet->vms[i].node);
        }
    }
    return state;
}

static struct outcome our_place(const struct fleet *input)
{
    struct fleet fleet = copy_of(input);
    struct state *state = region_of(&fleet);
    struct placer *placer = placer_create();
    struct outcome outcome = {0};
    uint64_t began_ns;

    placer_rebuild(placer, state);
    began_ns = clock_boot_ns();
    for (uint32_t i = 0; i < fleet.count; i++) {
        struct placement_request request = {state_vm_at(state, i), SLOT_NONE};
        struct placement_choice choice;

        if (fleet.vms[i].node != UINT32_MAX) {
            continue;
        }
        placer_choose(placer, state, &request, &choice);
        if (choice.host != SLOT_NONE) {
            assign(state, i, choice.host);
            placer_vm_changed(placer, state, i);
            fleet.vms[i].node = choice.host;
            outcome.placed++;
        }
    }
    outcome.ms = (double)(clock_boot_ns() - began_ns) / 1e6;
    outcome.whole_ms = outcome.ms;
    outcome.broken = count_broken(&fleet);
    placer_destroy(placer);
    state_destroy(state);
    free(fleet.vms);
    return outcome;
}

static struct outcome our_drain(const struct fleet *input)
{
    struct fleet fleet = copy_of(input);
    struct state *state = region_of(&fleet);
    struct placer *placer = placer_create();
    struct rebalance_move *moves =
        memory_alloc_array(fleet.count, sizeof(*moves));
    struct outcome outcome = {0};
    struct change change = {.kind = CHANGE_HOST_DRAIN};
    uint64_t began_ns;
    uint32_t stuck;

    change.host_drain.host.uid = state_host_at(state, fleet.drained)->uid;
    change.host_drain.draining = true;
    state_apply(state, &change, NULL);
    placer_rebuild(placer, state);
    began_ns = clock_boot_ns();
    outcome.placed =
        rebalance_drains(placer, state, NULL, moves, fleet.count, &stuck);
    outcome.ms = (double)(clock_boot_ns() - began_ns) / 1e6;
    outcome.whole_ms = outcome.ms;
    for (uint32_t i = 0; i < outcome.placed; i++) {
        fleet.vms[moves[i].vm].node = moves[i].host;
    }
    outcome.broken = count_broken(&fleet);
    free(moves);
    placer_destroy(placer);
    state_destroy(state);
    free(fleet.vms);
    return outcome;
}

/* --- The report ---------------------------------------------------------- */

static bool report(FILE *json, const char *what, const struct fleet *fleet,
                   uint32_t wanted, const struct outcome *theirs,
                   const struct outcome *ours)
{
    static bool first = true;
    double ratio = ours->ms > 0 ? theirs->ms / ours->ms : 0;

    printf("%-6s %5u %6u %6u %10.1f %10.1f %6u%s %6u %9.3f %6u %6u %10.0f\n",
           what, fleet->nodes, fleet->count, wanted, theirs->ms,
           theirs->whole_ms, theirs->placed, theirs->timed_out ? "*" : " ",
           theirs->broken, ours->ms, ours->placed, ours->broken, ratio);
    fflush(stdout);
    if (json != NULL) {
        fprintf(json,
                "%s{\"what\":\"%s\",\"nodes\":%u,\"vms\":%u,\"wanted\":%u,"
                "\"ganeti_ms\":%.1f,\"ganeti_whole_ms\":%.1f,"
                "\"ganeti_placed\":%u,\"ganeti_broken\":%u,"
                "\"ganeti_timed_out\":%s,\"holdfast_ms\":%.3f,"
                "\"holdfast_placed\":%u,\"holdfast_broken\":%u}",
                first ? "" : ",", what, fleet->nodes, fleet->count, wanted,
                theirs->ms, theirs->whole_ms, theirs->placed, theirs->broken,
                theirs->timed_out ? "true" : "false", ours->ms, ours->placed,
                ours->broken);
    }
    first = false;
    return ours->broken == 0 && ours->placed >= theirs->placed &&
           ours->ms < theirs->ms;
}

static bool measure(const struct bench *bench, uint32_t nodes, FILE *json)
{
    struct fleet fleet = make_fleet(nodes, bench->fresh);
    struct outcome theirs = hail_place(&fleet);
    struct outcome ours = our_place(&fleet);
    bool met = report(json, "place", &fleet, bench->fresh, &theirs, &ours);

    fleet.count -= bench->fresh;
    fleet.drained = nodes / 2;
    theirs = hbal_drain(bench, &fleet);
    ours = our_drain(&fleet);
    met = report(json, "drain", &fleet, count_on(&fleet, fleet.drained),
                 &theirs, &ours) &&
          met;
    free(fleet.vms);
    return met;
}

static void clean(const char *directory)
{
    static const char *const names[] = {"request", "answer", "cluster",
                                        "out.balanced", "out.original"};

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        unlink(names[i]);
    }
    if (chdir("/") == 0) {
        rmdir(directory);
    }
}

static int parse(struct bench *bench, int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "new", .number = &bench->fresh, .most = 100000},
        {.name = "hbal-seconds",
         .number = &bench->hbal_seconds,
         .most = 100000},
        {.name = "json", .text = &bench->json},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    if (bench->smoke) {
        bench->fresh = 2;
        bench->hbal_seconds = 30;
    }
    return code;
}

int main(int argc, char **argv)
{
    static const uint32_t nodes[] = {50, 100, 200};
    struct bench bench = {.fresh = 10, .hbal_seconds = 300};
    int code = parse(&bench, argc, argv);
    char directory[] = "/var/tmp/holdfast-peers.XXXXXX";
    FILE *json = NULL;
    bool met = true;

    if (code >= 0) {
        return code;
    }
    if (bench.json != NULL && (json = fopen(bench.json, "we")) == NULL) {
        perror(bench.json);
        return 1;
    }
    if (access(HAIL, X_OK) != 0 || access(HBAL, X_OK) != 0) {
        puts("skipped: Ganeti is not installed (Debian: ganeti-htools)");
        if (json != NULL) {
            fputs("{\"bench\":\"peers\",\"skipped\":true}\n", json);
            fclose(json);
        }
        return 0;
    }
    if (mkdtemp(directory) == NULL || chdir(directory) != 0) {
        perror(directory);
        return 1;
    }
    printf("%-6s %5s %6s %6s %10s %10s %6s  %6s %9s %6s %6s %10s\n", "",
           "nodes", "VMs", "wanted", "Ganeti ms", "whole ms", "placed",
           "broken", "ours ms", "placed", "broken", "times");
    if (json != NULL) {
        fputs("{\"bench\":\"peers\",\"runs\":[", json);
    }
    for (uint32_t i = 0; i < (bench.smoke ? 1 : SIZES_MAX); i++) {
        met = measure(&bench, bench.smoke ? 10 : nodes[i], json) && met;
    }
    clean(directory);
    if (json != NULL) {
        fprintf(json, "],\"goals_met\":%s}\n", met ? "true" : "false");
        fclose(json);
    }
    return met || bench.smoke ? 0 : 3;
}
