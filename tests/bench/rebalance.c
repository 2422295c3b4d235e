/* SPDX-License-Identifier: Apache-2.0
 *
 * Zones that are lost and come back, 1,000 times: how many VMs are moved, and
 * does anything go to and fro? */
#include "placement/rebalance.h"
#include "base/container.h"
#include "cycles.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RATIO_GOAL_PERMILLE 1250
#define SLICE_GOAL_US       10000

static const char help[] =
    "rebalance - moves after a zone's return against the fewest possible\n"
    "\n"
    "usage: rebalance [--cycles N] [--seed N] [--json FILE] [--smoke]\n"
    "\n"
    "  --cycles N   of loss and return, over all fleets, default 1,000\n"
    "  --seed N     default 1\n"
    "  --json FILE  the figures for programs\n"
    "  --smoke      a cycle or two a fleet, no goals: does it work?\n"
    "\n"
    "In each cycle all hosts of a random zone are fenced, their VMs are "
    "placed\n"
    "again, the zone returns empty, and rebalancing runs until it gives no\n"
    "move. An hour passes between these, so cool-downs hold nothing back. The\n"
    "bound is rebalance_lower_bound(): with the largest VMs of the lowest\n"
    "priority; `any` is the bound if priorities did not matter. `twice`: VMs\n"
    "that moved twice in a cycle; `again`: moves of a second run an hour\n"
    "later; `worse`: groups that are less evenly spread than before. A "
    "decision\n"
    "looks at all VMs, in slices as the node has them, and decides: `mean` is\n"
    "the time of the processor for all of it, `slice` the longest slice. The\n"
    "last fleet is large and has few cycles: it is there for these times.\n"
    "\n"
    "Exit: 0 goals met, 2 usage, 3 a goal was missed.\n";

struct fleet {
    const char *name;
    struct cycles_spec spec;
    uint32_t share; /* Of the cycles, permille; 0: two cycles. */
};

/* Three zones survive a loss up to two thirds of use; a little less, as sizes
 * do not fit together without rest. */
static const struct fleet fleets[] = {
    {"3 zones, cloud sizes",
     {0, 3, 20, 0, 600, 1, 0, CYCLES_MIX_CLOUD, 64},
     200},
    {"3 zones, one size", {0, 3, 20, 0, 600, 1, 0, CYCLES_MIX_EQUAL, 64}, 100},
    {"3 zones, CPU or memory",
     {0, 3, 20, 0, 560, 1, 0, CYCLES_MIX_SKEWED, 64},
     100},
    {"3 zones, 4 priorities",
     {0, 3, 20, 0, 600, 4, 0, CYCLES_MIX_CLOUD, 64},
     150},
    {"3 unequal zones, groups",
     {0, 3, 16, 4, 500, 3, 500, CYCLES_MIX_CLOUD, 64},
     150},
    {"4 zones, groups", {0, 4, 16, 0, 600, 2, 700, CYCLES_MIX_CLOUD, 64}, 150},
    {"5 zones, 2 a round", {0, 5, 12, 1, 600, 2, 0, CYCLES_MIX_CLOUD, 2}, 150},
    {"3 zones, 1,500 hosts",
     {0, 3, 500, 0, 600, 1, 300, CYCLES_MIX_CLOUD, 64},
     0},
};
#define FLEETS (sizeof(fleets) / sizeof(*fleets))

struct sum {
    uint32_t vms;
    uint32_t hosts;
    uint32_t cycles;
    uint64_t lost;
    uint64_t moves;
    uint64_t bound;
    uint64_t bound_any;
    uint64_t twice;
    uint64_t again;
    uint64_t worse;
    uint64_t decisions;
    uint64_t decide_ns;
    uint64_t slice_ns_max;
};

static void add(struct sum *sum, const struct cycles_cycle *cycle)
{
    sum->cycles++;
    sum->lost += cycle->lost;
    sum->moves += cycle->moves;
    sum->bound += cycle->bound;
    sum->bound_any += cycle->bound_any;
    sum->twice += cycle->twice;
    sum->again += cycle->again;
    sum->worse += cycle->worse;
    sum->decisions += cycle->decisions;
    sum->decide_ns += cycle->decide_ns;
    if (cycle->slice_ns_max > sum->slice_ns_max) {
        sum->slice_ns_max = cycle->slice_ns_max;
    }
}

static struct sum run(const struct fleet *fleet, uint64_t seed, uint32_t count)
{
    struct cycles_spec spec = fleet->spec;
    struct cycles *cycles;
    struct sum sum = {0};

    spec.seed = seed;
    cycles = cycles_create(&spec);
    sum.vms = state_counts(cycles_state(cycles))->vms;
    sum.hosts = state_counts(cycles_state(cycles))->hosts;
    for (uint32_t i = 0; i < count; i++) {
        struct cycles_cycle cycle;

        cycles_next(cycles, &cycle);
        add(&sum, &cycle);
    }
    cycles_destroy(cycles);
    return sum;
}

static uint64_t permille(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : part * 1000 / whole;
}

static bool is_met(const struct sum *sum)
{
    return permille(sum->moves, sum->bound) <= RATIO_GOAL_PERMILLE &&
           sum->twice == 0 && sum->again == 0 && sum->worse == 0 &&
           sum->slice_ns_max / 1000 <= SLICE_GOAL_US;
}

static double micro(uint64_t ns, uint64_t count)
{
    return count == 0 ? 0 : (double)ns / 1e3 / (double)count;
}

static void print(const struct fleet *fleet, const struct sum *sum)
{
    printf("%-24s %6u %6u %8llu %8llu %6.3f %6.3f %5llu %5llu %5llu %8.1f "
           "%8.1f  %s\n",
           fleet->name, sum->vms, sum->cycles, (unsigned long long)sum->moves,
           (unsigned long long)sum->bound,
           (double)permille(sum->moves, sum->bound) / 1e3,
           (double)permille(sum->moves, sum->bound_any) / 1e3,
           (unsigned long long)sum->twice, (unsigned long long)sum->again,
           (unsigned long long)sum->worse,
           micro(sum->decide_ns, sum->decisions), micro(sum->slice_ns_max, 1),
           is_met(sum) ? "met" : "MISSED");
    fflush(stdout);
}

static void print_json(FILE *json, const struct fleet *fleet,
                       const struct sum *sum, bool first)
{
    fprintf(json,
            "%s{\"fleet\":\"%s\",\"vms\":%u,\"hosts\":%u,\"cycles\":%u,"
            "\"moves\":%llu,\"bound\":%llu,\"bound_any_priority\":%llu,"
            "\"moved_twice\":%llu,\"moved_again\":%llu,\"groups_worse\":%llu,"
            "\"decision_us\":%.1f,\"slice_us_max\":%.1f}",
            first ? "" : ",", fleet->name, sum->vms, sum->hosts, sum->cycles,
            (unsigned long long)sum->moves, (unsigned long long)sum->bound,
            (unsigned long long)sum->bound_any, (unsigned long long)sum->twice,
            (unsigned long long)sum->again, (unsigned long long)sum->worse,
            micro(sum->decide_ns, sum->decisions), micro(sum->slice_ns_max, 1));
}

struct options {
    uint32_t cycles;
    uint32_t seed;
    const char *json;
    bool smoke;
};

static int parse(struct options *options, int argc, char **argv)
{
    const struct bench_option known[] = {
        {.name = "cycles", .number = &options->cycles, .most = 1000000},
        {.name = "seed", .number = &options->seed, .most = 1000000},
        {.name = "json", .text = &options->json},
        {.name = "smoke", .flag = &options->smoke}};
    int code = bench_options(known, ARRAY_LEN(known), help, argc, argv);

    if (options->smoke) {
        options->cycles = FLEETS;
    }
    return code;
}

static uint32_t cycles_of(const struct options *options,
                          const struct fleet *fleet)
{
    uint32_t count = options->cycles * fleet->share / 1000;

    return count < 2 ? 2 : count;
}

int main(int argc, char **argv)
{
    struct options options = {.cycles = 1000, .seed = 1};
    int code = parse(&options, argc, argv);
    FILE *json = NULL;
    bool met = true;

    if (code >= 0) {
        return code;
    }
    if (options.json != NULL && (json = fopen(options.json, "we")) == NULL) {
        perror(options.json);
        return 1;
    }
    printf("%-24s %6s %6s %8s %8s %6s %6s %5s %5s %5s %8s %8s\n", "fleet",
           "VMs", "cycles", "moves", "bound", "ratio", "any", "twice", "again",
           "worse", "mean us", "slice us");
    if (json != NULL) {
        fputs("{\"bench\":\"rebalance\",\"fleets\":[", json);
    }
    for (size_t i = 0; i < FLEETS; i++) {
        struct fleet fleet = fleets[i];
        struct sum sum;

        if (options.smoke && fleet.share == 0) {
            continue; /* Large. */
        }
        if (options.smoke) {
            fleet.spec.hosts /= 4;
        }
        sum = run(&fleet, options.seed + i, cycles_of(&options, &fleet));
        print(&fleet, &sum);
        if (json != NULL) {
            print_json(json, &fleet, &sum, i == 0);
        }
        met = met && is_met(&sum);
    }
    if (json != NULL) {
        fprintf(json, "],\"goals_met\":%s}\n", met ? "true" : "false");
        if (fclose(json) != 0) {
            perror(options.json);
            return 1;
        }
    }
    return met || options.smoke ? 0 : 3;
}
