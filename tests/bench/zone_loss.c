/* SPDX-License-Identifier: Apache-2.0
 *
 * How fast and how well the loss of a zone is planned: time and slices on a
 * large fleet, what finds no place on tight ones, beside plain scores in the
 * same run and beside the optimum. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "options.h"
#include "placement/evacuate_internal.h"
#include "zone_loss_fleet.h"
#include "zone_loss_milp.h"

#include <limits.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLICE_VMS   20000
#define ROUNDS      7
#define SWEEP_HOSTS 9000

#define GOAL_PLAN_MS  20.0
#define GOAL_SLICE_MS 10.0

static const char help[] =
    "zone-loss - the plan after the loss of one zone of three\n"
    "\n"
    "usage: zone-loss [--hosts N] [--sweep-hosts N] [--milp[=N]] "
    "[--only-milp]\n"
    "                 [--json FILE] [--smoke]\n"
    "\n"
    "  --hosts N        of the large fleets, default 99,999\n"
    "  --sweep-hosts N  of the fleets for demand 0.90 to 0.99, default 9,000\n"
    "  --milp[=N]       N tight inputs of 60 hosts a mix beside the optimum "
    "of\n"
    "                   cbc (apt-get install coinor-cbc), default 8\n"
    "  --only-milp      nothing else\n"
    "  --json FILE      the figures for programs\n"
    "  --smoke          small fleets, no goals: does it work?\n"
    "\n"
    "Fleets are filled in the order of arrival by slot-loss, as the placer "
    "does\n"
    "it, then one zone is fenced. A plan is timed from the state's records to\n"
    "the complete list of steps; the median of rounds. Demand is what was "
    "lost\n"
    "over what is free in the zones that are left, CPU or memory, whichever "
    "is\n"
    "tighter. Peers are the same planner with one pass of another score, and\n"
    "first fit.\n"
    "\n"
    "Exit: 0 goals met, 1 could not measure, 2 usage, 3 a goal was missed.\n";

struct bench {
    uint32_t hosts;
    uint32_t sweep_hosts;
    uint32_t milp; /* Inputs a mix; 0: no comparison. */
    bool only_milp;
    bool smoke;
    const char *json_path;
    FILE *json;
    bool missed;
};

/* --- One plan ------------------------------------------------------------- */

struct measured {
    double total_ms;
    double slice_ms; /* The longest. */
    double first_ms; /* Of the first round: its memory is new. */
    double fastest_ms;
    uint32_t unplaced;
    uint64_t unplaced_cpu_milli;
};

static double ms_since(uint64_t began_ns)
{
    return (double)(clock_boot_ns() - began_ns) / 1e6;
}

static void count_unplaced(const struct state *state,
                           const struct evacuation *evacuation,
                           struct measured *out)
{
    uint32_t count;
    const struct evacuation_step *steps = evacuation_steps(evacuation, &count);

    out->unplaced = evacuation_unplaced(evacuation);
    out->unplaced_cpu_milli = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].host == SLOT_NONE && steps[i].kind == EVACUATION_PLACE) {
            const struct vm *vm = state_vm_at(state, steps[i].vm);

            out->unplaced_cpu_milli +=
                state_class_at(state, vm->class_slot)->resources.cpu_milli;
        }
    }
}

static void plan_once(const struct state *state,
                      const struct pass_options *options, struct measured *out)
{
    uint64_t began_ns = clock_boot_ns();
    struct evacuation *evacuation = evacuation_create(state);
    bool done = false;

    if (options != NULL) {
        evacuation_limit(evacuation, options);
    }
    out->slice_ms = ms_since(began_ns);
    while (!done) {
        uint64_t slice_ns = clock_boot_ns();
        double took_ms;

        done = evacuation_work(evacuation, SLICE_VMS);
        took_ms = ms_since(slice_ns);
        out->slice_ms = took_ms > out->slice_ms ? took_ms : out->slice_ms;
    }
    out->total_ms = ms_since(began_ns);
    count_unplaced(state, evacuation, out);
    evacuation_destroy(evacuation);
}

static int compare_totals(const void *a, const void *b)
{
    const struct measured *left = a;
    const struct measured *right = b;

    return (left->total_ms > right->total_ms) -
           (left->total_ms < right->total_ms);
}

/* The median of the rounds by time; the longest slice is that of its round. */
static void plan(const struct state *state, const struct pass_options *options,
                 uint32_t rounds, struct measured *out)
{
    struct measured all[ROUNDS];
    struct measured first;

    CHECK(rounds <= ROUNDS);
    for (uint32_t i = 0; i < rounds; i++) {
        plan_once(state, options, &all[i]);
    }
    first = all[0];
    qsort(all, rounds, sizeof(all[0]), compare_totals);
    *out = all[rounds / 2];
    out->first_ms = first.total_ms;
    out->fastest_ms = all[0].total_ms;
}

/* --- First fit ------------------------------------------------------------ */

struct lost_vm {
    uint64_t size;
    struct resources need;
};

static int compare_lost(const void *a, const void *b)
{
    const struct lost_vm *left = a;
    const struct lost_vm *right = b;

    return left->size > right->size ? -1 : left->size < right->size;
}

static uint32_t collect_lost(const struct state *state, struct lost_vm *lost)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        if (vm->state == VM_PENDING) {
            struct resources need =
                state_class_at(state, vm->class_slot)->resources;

            lost[count++] = (struct lost_vm){
                (uint64_t)need.cpu_milli << 32 | need.memory_mib, need};
        }
    }
    qsort(lost, count, sizeof(*lost), compare_lost);
    return count;
}

static void collect_free(const struct state *state, struct resources *room)
{
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host->state == HOST_UP) {
            room[i].cpu_milli = host->capacity.cpu_milli - host->used.cpu_milli;
            room[i].memory_mib =
                host->capacity.memory_mib - host->used.memory_mib;
        }
    }
}

/* Largest first, as the planner does, each onto the first host that has room.
 * A host that was too small for a size stays so: one walk a size. */
static void plan_first_fit(const struct state *state, struct measured *out)
{
    uint64_t began_ns = clock_boot_ns();
    uint32_t pending = state_counts(state)->vms_by_state[VM_PENDING];
    uint32_t hosts = state_host_slots(state);
    struct lost_vm *lost = memory_alloc_array(pending, sizeof(*lost));
    struct resources *room = memory_alloc_array(hosts, sizeof(*room));
    uint32_t count = collect_lost(state, lost);
    uint32_t host = 0;

    *out = (struct measured){0};
    collect_free(state, room);
    for (uint32_t i = 0; i < count; i++) {
        const struct resources *need = &lost[i].need;

        host = i > 0 && lost[i].size == lost[i - 1].size ? host : 0;
        while (host < hosts && (room[host].cpu_milli < need->cpu_milli ||
                                room[host].memory_mib < need->memory_mib)) {
            host++;
        }
        if (host == hosts) {
            out->unplaced++;
            out->unplaced_cpu_milli += need->cpu_milli;
            continue;
        }
        room[host].cpu_milli -= need->cpu_milli;
        room[host].memory_mib -= need->memory_mib;
    }
    out->total_ms = ms_since(began_ns);
    free(lost);
    free(room);
}

/* --- The table ------------------------------------------------------------ */

static const struct {
    const char *name;
    enum evacuation_score score;
} peers[] = {
    {"one pass, slot-loss", SCORE_SLOT_LOSS},
    {"one pass, waste", SCORE_WASTE},
    {"best fit", SCORE_BEST_FIT},
    {"least allocated", SCORE_LEAST_ALLOCATED},
};

static void print_row(struct bench *bench, const char *what,
                      const struct fleet_facts *facts,
                      const struct measured *measured)
{
    double cpu_percent = (double)measured->unplaced_cpu_milli * 100 /
                         (double)facts->lost_cpu_milli;

    printf("  %-22s %9u %7.4f %9.2f %9.2f %9u %8.3f\n", what, facts->lost,
           facts->demand, measured->total_ms, measured->slice_ms,
           measured->unplaced, cpu_percent);
    if (bench->json != NULL) {
        fprintf(bench->json,
                ",\n{\"planner\":\"%s\",\"lost\":%u,\"demand\":%.4f,"
                "\"plan_ms\":%.3f,\"slice_ms\":%.3f,\"unplaced\":%u,"
                "\"unplaced_cpu_percent\":%.4f}",
                what, facts->lost, facts->demand, measured->total_ms,
                measured->slice_ms, measured->unplaced, cpu_percent);
    }
    fflush(stdout);
}

static void print_head(const struct fleet_spec *spec)
{
    printf("\n%s, %u hosts\n"
           "  %-22s %9s %7s %9s %9s %9s %8s\n",
           spec->mix->name, spec->hosts, "planner", "lost VMs", "demand",
           "plan ms", "slice ms", "unplaced", "vCPU %");
}

static void goal(struct bench *bench, const char *what, double value,
                 double most)
{
    bool met = value <= most;

    printf("  %s: %.2f, goal %.2f: %s\n", what, value, most,
           met ? "met" : "MISSED");
    bench->missed = bench->missed || !met;
}

static void run_peers(struct bench *bench, const struct state *state,
                      const struct fleet_facts *facts)
{
    struct measured measured;

    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        struct pass_options options = {.score = peers[i].score,
                                       .start_cap = UINT32_MAX};

        plan(state, &options, 1, &measured);
        print_row(bench, peers[i].name, facts, &measured);
    }
    plan_first_fit(state, &measured);
    print_row(bench, "first fit", facts, &measured);
}

static void run_large(struct bench *bench)
{
    for (uint32_t i = 0; i < fleet_mix_count; i++) {
        struct fleet_spec spec = {&fleet_mixes[i], bench->hosts, 0.97, 1,
                                  FLEET_SLOT_LOSS};
        struct state *state = fleet_make(&spec);
        struct fleet_facts facts;
        struct measured measured;

        fleet_facts(state, &facts);
        print_head(&spec);
        plan(state, NULL, bench->smoke ? 1 : ROUNDS, &measured);
        print_row(bench, "holdfast", &facts, &measured);
        run_peers(bench, state, &facts);
        printf("  first round %.2f ms, fastest %.2f ms\n", measured.first_ms,
               measured.fastest_ms);
        if (!bench->smoke && i == 0) {
            goal(bench, "plan of the size mix, ms", measured.total_ms,
                 GOAL_PLAN_MS);
            goal(bench, "its unplaced VMs", measured.unplaced, 0);
        }
        if (!bench->smoke) {
            goal(bench, "longest slice, ms", measured.slice_ms, GOAL_SLICE_MS);
        }
        state_destroy(state);
    }
}

/* The size mix up to demand 0.99 leaves nothing; the others show what is in the
 * way when both dimensions are tight. */
static void run_sweep(struct bench *bench)
{
    uint32_t unplaced = 0;

    for (uint32_t i = 0; i < fleet_mix_count; i++) {
        for (uint32_t step = bench->smoke ? 99 : 90; step <= 99; step++) {
            struct fleet_spec spec = {&fleet_mixes[i], bench->sweep_hosts,
                                      step / 100.0, step, FLEET_SLOT_LOSS};
            struct state *state = fleet_make(&spec);
            struct fleet_facts facts;
            struct measured measured;

            fleet_facts(state, &facts);
            if (step == 90 || bench->smoke) {
                print_head(&spec);
            }
            plan(state, NULL, 1, &measured);
            print_row(bench, "holdfast", &facts, &measured);
            unplaced += i == 0 ? measured.unplaced : 0;
            run_peers(bench, state, &facts);
            state_destroy(state);
        }
    }
    if (!bench->smoke) {
        goal(bench, "size mix, unplaced VMs over demand 0.90 to 0.99", unplaced,
             0);
    }
}

/* The planner that goes with a policy. */
static void plan_by_policy(const struct state *state, enum fleet_policy policy,
                           struct measured *out)
{
    struct pass_options options = {.score = SCORE_BEST_FIT,
                                   .start_cap = UINT32_MAX};

    if (policy == FLEET_SLOT_LOSS) {
        plan(state, NULL, 1, out);
        return;
    }
    if (policy == FLEET_FIRST_FIT) {
        plan_first_fit(state, out);
        return;
    }
    if (policy == FLEET_LEAST_ALLOCATED) {
        options.score = SCORE_LEAST_ALLOCATED;
    }
    plan(state, &options, 1, out);
}

/* Each policy on the fleet that it filled itself: what spreads inside a zone,
 * or packs without an eye for sizes, has no room for large VMs. */
static void run_policies(struct bench *bench)
{
    struct fleet_spec spec = {&fleet_mixes[0], bench->sweep_hosts, 0.967, 7,
                              FLEET_SLOT_LOSS};

    print_head(&spec);
    for (int policy = 0; policy < FLEET_POLICY_COUNT; policy++) {
        struct fleet_facts facts;
        struct measured measured;
        struct state *state;
        char name[40];

        spec.policy = (enum fleet_policy)policy;
        state = fleet_make(&spec);
        fleet_facts(state, &facts);
        plan_by_policy(state, spec.policy, &measured);
        snprintf(name, sizeof(name), "all %s", fleet_policy_names[policy]);
        print_row(bench, name, &facts, &measured);
        state_destroy(state);
    }
}

/* --- The optimum ---------------------------------------------------------- */

struct comparison {
    struct fleet_facts facts;
    struct measured measured;
    struct milp_result optimum;
    uint32_t placed;
    double less_percent; /* Of the optimum's CPU. */
    bool inside;
};

static bool compare_one(struct bench *bench, const struct fleet_spec *spec,
                        struct comparison *out)
{
    struct state *state = fleet_make(spec);
    double placed_cpu;
    bool solved;

    fleet_facts(state, &out->facts);
    plan_once(state, NULL, &out->measured);
    solved = milp_solve(state, bench->smoke ? 5 : 30, &out->optimum);
    state_destroy(state);
    if (!solved) {
        return false;
    }
    placed_cpu =
        (double)(out->facts.lost_cpu_milli - out->measured.unplaced_cpu_milli);
    out->placed = out->facts.lost - out->measured.unplaced;
    out->less_percent =
        100.0 - 100.0 * placed_cpu / (double)out->optimum.cpu_milli;
    out->inside =
        out->less_percent <= 0.25 && out->placed + 1 >= out->optimum.vms;
    return true;
}

static void print_comparison(struct bench *bench, const struct fleet_spec *spec,
                             const struct comparison *one)
{
    uint64_t placed =
        one->facts.lost_cpu_milli - one->measured.unplaced_cpu_milli;

    printf("  %-15s %5u %7.4f %6u %8.0f %8.0f %8.3f %6u %6u %7s%s\n",
           spec->mix->name, (uint32_t)spec->seed, one->facts.demand,
           one->facts.lost, (double)placed / 1000,
           (double)one->optimum.cpu_milli / 1000, one->less_percent,
           one->placed, one->optimum.vms, one->optimum.proven ? "yes" : "no",
           one->inside ? "" : "  OUTSIDE");
    fflush(stdout);
    if (bench->json != NULL) {
        fprintf(bench->json,
                ",\n{\"milp\":\"%s\",\"seed\":%u,\"demand\":%.4f,"
                "\"less_percent\":%.4f,\"vms\":%u,\"optimum_vms\":%u,"
                "\"proven\":%s}",
                spec->mix->name, (uint32_t)spec->seed, one->facts.demand,
                one->less_percent, one->placed, one->optimum.vms,
                one->optimum.proven ? "true" : "false");
    }
}

static void run_milp(struct bench *bench)
{
    static const double demands[] = {0.98, 0.99, 1.0, 1.02};
    uint32_t outside = 0;
    uint32_t inputs = 0;

    if (!milp_available()) {
        puts("\nno cbc: nothing to compare with the optimum; apt-get install "
             "coinor-cbc");
        return;
    }
    printf("\nbeside the optimum, 60 hosts\n"
           "  %-15s %5s %7s %6s %8s %8s %8s %6s %6s %7s\n",
           "mix", "seed", "demand", "lost", "vCPU", "optimum", "less %", "VMs",
           "opt", "proven");
    for (uint32_t i = 0; i < fleet_mix_count * bench->milp; i++) {
        uint32_t k = i % bench->milp;
        struct fleet_spec spec = {&fleet_mixes[i / bench->milp], 90,
                                  demands[k % 4], 100 + k, FLEET_SLOT_LOSS};
        struct comparison one;

        if (!compare_one(bench, &spec, &one)) {
            fputs("cbc gave no solution\n", stderr);
            bench->missed = true;
            continue;
        }
        print_comparison(bench, &spec, &one);
        outside += !one.inside;
        inputs++;
    }
    printf("  %u inputs, %u outside 0.25 %% of vCPU and 1 VM\n", inputs,
           outside);
    if (!bench->smoke) {
        goal(bench, "inputs outside", outside, 0);
    }
}

/* --- Main ----------------------------------------------------------------- */

static int parse(struct bench *bench, int argc, char **argv)
{
    uint32_t milp = 8;
    bool with_milp = false;
    const struct bench_option options[] = {
        {.name = "hosts",
         .number = &bench->hosts,
         .least = 3,
         .most = HOSTS_MAX},
        {.name = "sweep-hosts",
         .number = &bench->sweep_hosts,
         .least = 3,
         .most = HOSTS_MAX},
        {.name = "milp", .number = &milp, .most = 1000, .flag = &with_milp},
        {.name = "only-milp", .flag = &bench->only_milp},
        {.name = "json", .text = &bench->json_path},
        {.name = "smoke", .flag = &bench->smoke}};
    int code = bench_options(options, ARRAY_LEN(options), help, argc, argv);

    if (with_milp || bench->only_milp) {
        bench->milp = milp;
    }
    if (bench->smoke) {
        bench->hosts = 900;
        bench->sweep_hosts = 300;
    }
    return code;
}

static bool open_json(struct bench *bench)
{
    if (bench->json_path == NULL) {
        return true;
    }
    bench->json = fopen(bench->json_path, "we");
    if (bench->json == NULL) {
        perror(bench->json_path);
        return false;
    }
    fprintf(bench->json, "[{\"bench\":\"zone-loss\",\"hosts\":%u}",
            bench->hosts);
    return true;
}

static bool close_json(struct bench *bench)
{
    if (bench->json == NULL) {
        return true;
    }
    fprintf(bench->json, "]\n");
    if (fclose(bench->json) != 0) {
        perror(bench->json_path);
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct bench bench = {.hosts = 99999, .sweep_hosts = SWEEP_HOSTS};
    int code = parse(&bench, argc, argv);

    if (code >= 0) {
        return code;
    }
    /* Freed memory stays with the process, as in a server that has run for a
     * while: on virtual machines a page's first touch costs up to 15 us, more
     * than all VMs on it. The first round shows what that is. */
    mallopt(M_MMAP_THRESHOLD, 1 << 30);
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    if (!open_json(&bench)) {
        return 1;
    }
    if (!bench.only_milp) {
        run_large(&bench);
        run_sweep(&bench);
        run_policies(&bench);
    }
    if (bench.milp > 0) {
        run_milp(&bench);
    }
    if (!close_json(&bench)) {
        return 1;
    }
    return bench.missed && !bench.smoke ? 3 : 0;
}
