/* SPDX-License-Identifier: Apache-2.0
 *
 * What one decision of the placer costs in a large region, and that it is the
 * best of all hosts. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "base/random.h"
#include "options.h"
#include "placement/internal.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ZONES         3
#define REBUILDS      5
#define GOAL_NS       250
#define GOAL_SLICE_NS 3000000

static const char help[] =
    "decision - what one decision of the placer costs\n"
    "\n"
    "usage: decision [--vms N] [--hosts N] [--json FILE] [--smoke]\n"
    "\n"
    "  --vms N      default 1,000,000\n"
    "  --hosts N    default 100,000, of 32 CPUs and 80 GiB, in 3 zones\n"
    "  --json FILE  the figures for programs\n"
    "  --smoke      5,000 VMs on 500 hosts, no goals: does it work?\n"
    "\n"
    "VMs of 12 sizes, as often as a public cloud has them, are placed one by\n"
    "one as a leader does it: the placer chooses, the state is changed, the\n"
    "placer is told. `decision` is the choice and the telling, without the\n"
    "change of the state; the clock's own cost is taken off. `fill` places\n"
    "all, `churn` releases one at random for each that it places. `pass` is\n"
    "the same choice by a look at every host, which must give the same.\n"
    "`rebuild` is a new leader's beginning, in slices as the node has them;\n"
    "its times are of the processor, so that other work does not count.\n"
    "\n"
    "Exit: 0 goals met, 1 wrong choices, 2 usage, 3 a goal was missed.\n";

/* traces of a public cloud: CPUs, GiB, share in permyriad. */
static const struct {
    uint32_t cpus;
    uint32_t gib;
    uint32_t share;
} mix[] = {
    {1, 1, 2215}, {1, 2, 4424}, {1, 4, 260},  {2, 4, 1350},
    {2, 8, 190},  {4, 8, 910},  {4, 16, 160}, {8, 16, 270},
    {8, 32, 90},  {12, 24, 40}, {16, 32, 80}, {32, 64, 11},
};

struct bench {
    struct event_sink sink;
    struct state *state;
    struct placer *placer;
    struct random random;
    uint32_t vms;
    uint32_t hosts;
    const char *json;
    bool smoke;
    uint64_t clock_ns; /* Of two readings. */
    uint32_t *placed;  /* Slots of VMs with hosts. */
    uint32_t placed_count;
};

struct rebuilds {
    struct samples all;
    struct samples slice; /* The longest of each. */
};

/* One kind of work. */
struct run {
    struct samples decision;
    struct samples choice;
    uint64_t decisions;
    uint64_t decision_ns;
    uint64_t all_ns; /* With the changes of the state. */
    uint32_t refused;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void make_zones(struct bench *bench)
{
    struct change change = {.kind = CHANGE_POLICY};
    char name[32];

    policy_init(&change.policy.policy);
    change.policy.policy.headroom = HEADROOM_OFF;
    state_apply(bench->state, &change, NULL);
    change = (struct change){.kind = CHANGE_ZONE_CREATE};
    for (uint32_t i = 0; i < ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i + 1);
        change.zone_create.name = text_of(name);
        state_apply(bench->state, &change, NULL);
    }
    change = (struct change){.kind = CHANGE_CLASS_CREATE};
    for (uint32_t i = 0; i < ARRAY_LEN(mix); i++) {
        snprintf(name, sizeof(name), "c%ux%u", mix[i].cpus, mix[i].gib);
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {mix[i].cpus * 1000, mix[i].gib * 1024, 10, 0}};
        state_apply(bench->state, &change, NULL);
    }
}

static void make_hosts(struct bench *bench)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[32];
    char rack[32];

    for (uint32_t i = 0; i < bench->hosts; i++) {
        snprintf(name, sizeof(name), "host-%06u", i);
        snprintf(rack, sizeof(rack), "rack-%u", i / 40);
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(bench->state, i % ZONES)->uid},
            .fault_domain = text_of(rack),
            .host_id = text_of(name),
            .boot_id = text_of(name),
            .capacity = {32000, 80 * 1024, 2000, 0},
            .driver_mask = 1 << DRIVER_QEMU,
        };
        state_apply(bench->state, &change, NULL);
    }
}

static uint32_t draw_class(struct bench *bench)
{
    uint32_t share = (uint32_t)random_below(&bench->random, 10000);
    uint32_t i = 0;

    while (i + 1 < ARRAY_LEN(mix) && share >= mix[i].share) {
        share -= mix[i++].share;
    }
    return i;
}

static void make_vms(struct bench *bench)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    char name[32];

    for (uint32_t i = 0; i < bench->vms; i++) {
        snprintf(name, sizeof(name), "vm-%07u", i);
        change.vm_create = (struct change_vm_create){
            .name = text_of(name),
            .class = {state_class_at(bench->state, draw_class(bench))->uid},
            .on_partition = ON_PARTITION_MOVE,
            .desired = DESIRED_RUNNING,
            .driver = DRIVER_QEMU,
        };
        state_apply(bench->state, &change, NULL);
    }
}

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

static void calibrate(struct bench *bench)
{
    bench->clock_ns = UINT64_MAX;
    for (int i = 0; i < 100000; i++) {
        uint64_t from = clock_boot_ns();
        uint64_t ns = clock_boot_ns() - from;

        bench->clock_ns = ns < bench->clock_ns ? ns : bench->clock_ns;
    }
}

static void run_init(struct run *run)
{
    *run = (struct run){0};
    samples_init(&run->decision);
    samples_init(&run->choice);
}

static void run_close(struct run *run)
{
    samples_close(&run->decision);
    samples_close(&run->choice);
}

/* Chooses, applies, tells; `freed` is another VM to be told of, or SLOT_NONE.
 */
static void place(struct bench *bench, uint32_t slot, struct run *run)
{
    const struct vm *vm = state_vm_at(bench->state, slot);
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;
    struct change change = {.kind = CHANGE_VM_ASSIGN};
    uint64_t at[4];
    uint64_t choice_ns;
    uint64_t ns;

    at[0] = clock_boot_ns();
    placer_choose(bench->placer, bench->state, &request, &choice);
    at[1] = clock_boot_ns();
    choice_ns = less(at[1] - at[0], bench->clock_ns);
    if (choice.host == SLOT_NONE) {
        run->refused++;
        return;
    }
    change.vm_assign = (struct change_vm_assign){
        {vm->uid},
        {state_host_at(bench->state, choice.host)->uid},
        vm->epoch + 1};
    state_apply(bench->state, &change, NULL);
    at[2] = clock_boot_ns();
    placer_vm_changed(bench->placer, bench->state, slot);
    at[3] = clock_boot_ns();
    ns = choice_ns + less(at[3] - at[2], bench->clock_ns);
    samples_add(&run->choice, choice_ns);
    samples_add(&run->decision, ns);
    run->decisions++;
    run->decision_ns += ns;
    run->all_ns += at[3] - at[0];
    bench->placed[bench->placed_count++] = slot;
}

static void fill(struct bench *bench, struct run *run)
{
    for (uint32_t slot = 0; slot < bench->vms; slot++) {
        place(bench, slot, run);
    }
}

static void churn(struct bench *bench, struct run *run)
{
    uint32_t pairs = bench->vms / 2;

    for (uint32_t i = 0; i < pairs && bench->placed_count > 0; i++) {
        uint32_t at =
            (uint32_t)random_below(&bench->random, bench->placed_count);
        uint32_t slot = bench->placed[at];
        const struct vm *vm = state_vm_at(bench->state, slot);
        struct change change = {.kind = CHANGE_VM_RELEASE};
        uint64_t from;

        change.vm_release = (struct change_vm_release){
            .vm = {vm->uid}, .epoch = vm->epoch, .reason = text_of("moved")};
        state_apply(bench->state, &change, NULL);
        from = clock_boot_ns();
        placer_vm_changed(bench->placer, bench->state, slot);
        run->decision_ns += less(clock_boot_ns() - from, bench->clock_ns);
        bench->placed[at] = bench->placed[--bench->placed_count];
        place(bench, slot, run);
    }
}

/* The best of all hosts by the same rules and order, one after another. */
static uint32_t pass(struct bench *bench, const struct vm *vm)
{
    struct placer *placer = bench->placer;
    const struct fleet_host *hosts = fleet_hosts(placer->fleet);
    struct placement_candidate best = {.host = SLOT_NONE};
    struct placement_query query;
    struct ranks_want want;

    query_init(&query, placer, bench->state, vm, SLOT_NONE);
    want = ranks_want(placer->index.table, query.class->resources.cpu_milli,
                      query.class->resources.memory_mib);
    for (uint32_t slot = 0; slot < fleet_slots(placer->fleet); slot++) {
        struct placement_candidate candidate = {
            slot, hosts[slot].zone, 0, 0, {0}};

        if (filter_host(&query, slot) != PLACEMENT_REFUSAL_COUNT ||
            !ranks_order(placer->index.table, &want, hosts[slot].free.cpu_milli,
                         hosts[slot].free.memory_mib, &candidate.order)) {
            continue;
        }
        if (best.host == SLOT_NONE ||
            compare_candidates(&query, &candidate, &best) < 0) {
            best = candidate;
        }
    }
    return best.host;
}

static uint32_t compare_with_pass(struct bench *bench, struct samples *samples)
{
    uint32_t wrong = 0;

    for (uint32_t i = 0; i < (bench->smoke ? 50 : 200); i++) {
        struct vm vm = {
            .class_slot = draw_class(bench),
            .zone = SLOT_NONE,
            .host = SLOT_NONE,
            .last_host = SLOT_NONE,
            .move_zone = SLOT_NONE,
            .move_host = SLOT_NONE,
            .driver = DRIVER_QEMU,
        };
        struct placement_request request = {&vm, SLOT_NONE};
        struct placement_choice choice;
        uint64_t from;
        uint32_t best;

        placer_choose(bench->placer, bench->state, &request, &choice);
        from = clock_boot_ns();
        best = pass(bench, &vm);
        samples_add(samples, clock_boot_ns() - from);
        wrong += best != choice.host;
    }
    return wrong;
}

/* Of the processor, since `from`; longer ones are kept. */
static uint64_t slice_ns(uint64_t from, uint64_t *longest)
{
    uint64_t ns = samples_cpu_ns() - from;

    *longest = ns > *longest ? ns : *longest;
    return ns;
}

/* As a new leader: from nothing to the first choice, in slices as the node has
 * them. */
static void rebuild(struct bench *bench, struct rebuilds *rebuilds)
{
    struct vm vm = {.zone = SLOT_NONE,
                    .host = SLOT_NONE,
                    .move_host = SLOT_NONE,
                    .driver = DRIVER_QEMU};
    struct placement_request request = {&vm, SLOT_NONE};
    struct placement_choice choice;

    for (int i = 0; i < REBUILDS; i++) {
        struct placer *placer = placer_create();
        uint64_t longest = 0;
        uint64_t all = 0;
        uint64_t from = samples_cpu_ns();
        bool done;

        placer_rebuild_begin(placer, bench->state);
        do {
            done = placer_work(placer, bench->state, PLACER_SLICE_HOSTS);
            all += slice_ns(from, &longest);
            from = samples_cpu_ns();
        } while (!done);
        placer_choose(placer, bench->state, &request, &choice);
        all += slice_ns(from, &longest);
        samples_add(&rebuilds->all, all);
        samples_add(&rebuilds->slice, longest);
        placer_destroy(placer);
    }
}

static void print_run(const char *name, struct run *run, FILE *json)
{
    uint64_t median = samples_at(&run->decision, 500);
    uint64_t p99 = samples_at(&run->decision, 990);
    uint64_t choice = samples_at(&run->choice, 500);
    double rate = run->decision_ns == 0
                      ? 0
                      : (double)run->decisions * 1e9 / (double)run->decision_ns;
    double all = run->all_ns == 0
                     ? 0
                     : (double)run->decisions * 1e9 / (double)run->all_ns;

    printf("%-6s %10llu %8llu %8llu %8llu %12.0f %14.0f %8u\n", name,
           (unsigned long long)run->decisions, (unsigned long long)median,
           (unsigned long long)p99, (unsigned long long)choice, rate, all,
           run->refused);
    if (json != NULL) {
        fprintf(json,
                ",\"%s_median_ns\":%llu,\"%s_p99_ns\":%llu,"
                "\"%s_choice_median_ns\":%llu,\"%s_per_second\":%.0f,"
                "\"%s_with_state_per_second\":%.0f,\"%s_refused\":%u",
                name, (unsigned long long)median, name, (unsigned long long)p99,
                name, (unsigned long long)choice, name, rate, name, all, name,
                run->refused);
    }
}

static int report(struct bench *bench, struct run *filled, struct run *churned,
                  struct samples *passes, struct rebuilds *rebuilds,
                  uint32_t wrong)
{
    FILE *json = bench->json == NULL ? NULL : fopen(bench->json, "w");
    uint64_t slice = samples_at(&rebuilds->slice, 500);
    bool met = samples_at(&filled->decision, 500) <= GOAL_NS &&
               samples_at(&churned->decision, 500) <= GOAL_NS &&
               slice <= GOAL_SLICE_NS;

    if (bench->json != NULL && json == NULL) {
        perror(bench->json);
        return 1;
    }
    printf("%u VMs on %u hosts\n", bench->vms, bench->hosts);
    printf("%-6s %10s %8s %8s %8s %12s %14s %8s\n", "", "decisions", "p50 ns",
           "p99 ns", "choice", "a second", "with the state", "refused");
    if (json != NULL) {
        fprintf(json, "{\"bench\":\"decision\",\"vms\":%u,\"hosts\":%u",
                bench->vms, bench->hosts);
    }
    print_run("fill", filled, json);
    print_run("churn", churned, json);
    printf("pass over all hosts: %llu ns, another choice in %u of %zu\n",
           (unsigned long long)samples_at(passes, 500), wrong, passes->count);
    printf("rebuild to the first choice: %.1f ms, in slices of %.1f ms at "
           "most, %.1f the longest of %d\n",
           (double)samples_at(&rebuilds->all, 500) / 1e6, (double)slice / 1e6,
           (double)samples_at(&rebuilds->slice, 1000) / 1e6, REBUILDS);
    printf("goal: decisions of %u ns at most, slices of %u ms: %s\n", GOAL_NS,
           GOAL_SLICE_NS / 1000000,
           bench->smoke ? "not judged" : (met ? "met" : "missed"));
    if (json != NULL) {
        fprintf(json,
                ",\"pass_median_ns\":%llu,\"wrong\":%u,\"rebuild_us\":%llu,"
                "\"rebuild_slice_us\":%llu,\"goals_met\":%s}\n",
                (unsigned long long)samples_at(passes, 500), wrong,
                (unsigned long long)samples_at(&rebuilds->all, 500) / 1000,
                (unsigned long long)slice / 1000, met ? "true" : "false");
        fclose(json);
    }
    if (wrong > 0) {
        return 1;
    }
    return met || bench->smoke ? 0 : 3;
}

static int parse(struct bench *bench, int argc, char **argv)
{
    const struct bench_option options[] = {
        {.name = "vms", .number = &bench->vms, .most = VMS_MAX / 2},
        {.name = "hosts", .number = &bench->hosts, .most = HOSTS_MAX},
        {.name = "json", .text = &bench->json},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    if (bench->smoke) {
        bench->vms = 5000;
        bench->hosts = 500;
    }
    return code;
}

int main(int argc, char **argv)
{
    struct bench bench = {.vms = 1000000, .hosts = 100000};
    int code = parse(&bench, argc, argv);
    struct samples passes;
    struct rebuilds rebuilds;
    struct run filled;
    struct run churned;
    uint32_t wrong;
    int status;

    if (code >= 0) {
        return code;
    }
    calibrate(&bench);
    random_init(&bench.random, 1);
    bench.state = state_create();
    bench.placer = placer_create();
    bench.placed = memory_alloc_array(bench.vms, sizeof(*bench.placed));
    run_init(&filled);
    run_init(&churned);
    samples_init(&passes);
    samples_init(&rebuilds.all);
    samples_init(&rebuilds.slice);
    make_zones(&bench);
    make_hosts(&bench);
    make_vms(&bench);
    placer_rebuild(bench.placer, bench.state);
    fill(&bench, &filled);
    churn(&bench, &churned);
    wrong = compare_with_pass(&bench, &passes);
    rebuild(&bench, &rebuilds);
    status = report(&bench, &filled, &churned, &passes, &rebuilds, wrong);
    run_close(&filled);
    run_close(&churned);
    samples_close(&passes);
    samples_close(&rebuilds.all);
    samples_close(&rebuilds.slice);
    free(bench.placed);
    placer_destroy(bench.placer);
    state_destroy(bench.state);
    return status;
}
