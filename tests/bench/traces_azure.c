/* SPDX-License-Identifier: Apache-2.0
 *
 * A trace of arrivals and ends: on how few equal hosts does a policy place all
 * of it without one refusal? */
#include "base/clock.h"
#include "base/memory.h"
#include "traces.h"

#include <stdlib.h>
#include <string.h>

#define ARRIVALS_MAX    4000000
#define LINE_BYTES      256
#define GOAL_PERMYRIAD  180  /* 1.8 % */
#define SEARCH_PERMILLE 1600 /* Of the bound: where the search ends. */

struct azure_vm {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint64_t begin_s;
    uint64_t end_s;
};

struct azure_event {
    uint64_t time_s;
    uint32_t vm;
    bool end;
};

struct azure {
    struct azure_vm *vms;
    uint32_t count;
    struct azure_event *events;
    uint32_t event_count;
    struct trace_host host;
};

static bool parse(const char *line, struct azure_vm *vm)
{
    unsigned long long arrival;
    unsigned long long low;
    unsigned long long high;
    unsigned cpus;
    unsigned mib;
    unsigned alive;

    if (sscanf(line, "%*[^,],%*[^,],%llu,%u,%u,%llu,%llu,%u", &arrival, &cpus,
               &mib, &low, &high, &alive) != 6 ||
        cpus == 0 || cpus > 4096 || mib == 0 || high < low) {
        return false;
    }
    *vm = (struct azure_vm){
        .cpu_milli = cpus * 1000,
        .memory_mib = mib,
        .begin_s = arrival,
        /* The middle of the bin; at least a moment. */
        .end_s = alive ? UINT64_MAX : arrival + (low + high) / 2 + 1,
    };
    return true;
}

static bool read_vms(struct azure *azure, const char *path)
{
    FILE *file = trace_open(path);
    uint32_t capacity = 0;
    char line[LINE_BYTES];

    if (file == NULL) {
        return false;
    }
    if (fgets(line, sizeof(line), file) == NULL ||
        strncmp(line, "vm_id,batch_id,arrival_s,", 25) != 0) {
        fprintf(stderr, "%s: not a trace of arrivals\n", path);
        trace_close(file, path);
        return false;
    }
    while (fgets(line, sizeof(line), file) != NULL &&
           azure->count < ARRIVALS_MAX) {
        if (azure->count == capacity) {
            capacity = capacity == 0 ? 1024 : capacity * 2;
            azure->vms =
                memory_realloc_array(azure->vms, capacity, sizeof(*azure->vms));
        }
        if (!parse(line, &azure->vms[azure->count])) {
            fprintf(stderr, "%s: line %u: not understood\n", path,
                    azure->count + 2);
            trace_close(file, path);
            return false;
        }
        azure->count++;
    }
    return trace_close(file, path) && azure->count > 0;
}

/* Ends before arrivals of the same second, then by the order of the file. */
static int by_time(const void *left, const void *right)
{
    const struct azure_event *a = left;
    const struct azure_event *b = right;

    if (a->time_s != b->time_s) {
        return a->time_s < b->time_s ? -1 : 1;
    }
    if (a->end != b->end) {
        return a->end ? -1 : 1;
    }
    return a->vm < b->vm ? -1 : a->vm > b->vm;
}

static void make_events(struct azure *azure)
{
    azure->events =
        memory_alloc_array((size_t)azure->count * 2, sizeof(*azure->events));
    for (uint32_t i = 0; i < azure->count; i++) {
        azure->events[azure->event_count++] =
            (struct azure_event){azure->vms[i].begin_s, i, false};
        if (azure->vms[i].end_s != UINT64_MAX) {
            azure->events[azure->event_count++] =
                (struct azure_event){azure->vms[i].end_s, i, true};
        }
    }
    qsort(azure->events, azure->event_count, sizeof(*azure->events), by_time);
}

/* Hosts for the peak of either resource, if VMs were liquid. */
static uint32_t lower_bound(const struct azure *azure)
{
    uint64_t cpu = 0;
    uint64_t memory = 0;
    uint64_t most = 0;

    for (uint32_t i = 0; i < azure->event_count; i++) {
        const struct azure_vm *vm = &azure->vms[azure->events[i].vm];
        uint64_t hosts;

        if (azure->events[i].end) {
            cpu -= vm->cpu_milli;
            memory -= vm->memory_mib;
            continue;
        }
        cpu += vm->cpu_milli;
        memory += vm->memory_mib;
        hosts = (cpu + azure->host.cpu_milli - 1) / azure->host.cpu_milli;
        most = hosts > most ? hosts : most;
        hosts = (memory + azure->host.memory_mib - 1) / azure->host.memory_mib;
        most = hosts > most ? hosts : most;
    }
    return (uint32_t)most;
}

/* --- Policies ------------------------------------------------------------ */

static bool run_engine(const struct azure *azure, uint32_t hosts)
{
    struct trace_host *all = memory_alloc_array(hosts, sizeof(*all));
    struct engine *engine;
    bool ok = true;

    for (uint32_t i = 0; i < hosts; i++) {
        all[i] = azure->host;
    }
    engine = engine_create(all, hosts, 1, azure->count);
    for (uint32_t i = 0; ok && i < azure->event_count; i++) {
        uint32_t number = azure->events[i].vm;
        const struct azure_vm *vm = &azure->vms[number];
        struct trace_vm wanted = {vm->cpu_milli, vm->memory_mib, UINT32_MAX,
                                  UINT32_MAX};

        if (azure->events[i].end) {
            engine_remove(engine, number);
        } else {
            ok = engine_place(engine, number, &wanted) != UINT32_MAX;
        }
    }
    engine_destroy(engine);
    free(all);
    return ok;
}

struct simple {
    const struct azure *azure;
    enum policy_kind policy;
    uint32_t hosts;
    uint32_t *cpu;
    uint32_t *memory;
};

/* What would be left of the host, shares of both added. */
static uint64_t left_on(const struct simple *simple, uint32_t host,
                        const struct azure_vm *vm)
{
    const struct trace_host *whole = &simple->azure->host;
    uint64_t cpu = simple->cpu[host] - vm->cpu_milli;
    uint64_t memory = simple->memory[host] - vm->memory_mib;

    return cpu * 1000000 / whole->cpu_milli +
           memory * 1000000 / whole->memory_mib;
}

static uint32_t simple_choose(const struct simple *simple,
                              const struct azure_vm *vm)
{
    uint32_t best = UINT32_MAX;
    uint64_t best_left = 0;

    for (uint32_t i = 0; i < simple->hosts; i++) {
        uint64_t left;

        if (simple->cpu[i] < vm->cpu_milli ||
            simple->memory[i] < vm->memory_mib) {
            continue;
        }
        if (simple->policy == POLICY_FIRST_FIT) {
            return i;
        }
        left = left_on(simple, i, vm);
        if (best == UINT32_MAX ||
            (simple->policy == POLICY_BEST_FIT ? left < best_left
                                               : left > best_left)) {
            best = i;
            best_left = left;
        }
    }
    return best;
}

static bool run_simple(const struct azure *azure, enum policy_kind policy,
                       uint32_t hosts)
{
    struct simple simple = {azure, policy, hosts, NULL, NULL};
    uint32_t *where = memory_alloc_array(azure->count, sizeof(*where));
    bool ok = true;

    simple.cpu = memory_alloc_array(hosts, sizeof(*simple.cpu));
    simple.memory = memory_alloc_array(hosts, sizeof(*simple.memory));
    for (uint32_t i = 0; i < hosts; i++) {
        simple.cpu[i] = azure->host.cpu_milli;
        simple.memory[i] = azure->host.memory_mib;
    }
    for (uint32_t i = 0; ok && i < azure->event_count; i++) {
        uint32_t number = azure->events[i].vm;
        const struct azure_vm *vm = &azure->vms[number];

        if (azure->events[i].end) {
            simple.cpu[where[number]] += vm->cpu_milli;
            simple.memory[where[number]] += vm->memory_mib;
            continue;
        }
        where[number] = simple_choose(&simple, vm);
        ok = where[number] != UINT32_MAX;
        if (ok) {
            simple.cpu[where[number]] -= vm->cpu_milli;
            simple.memory[where[number]] -= vm->memory_mib;
        }
    }
    free(simple.cpu);
    free(simple.memory);
    free(where);
    return ok;
}

static bool run(const struct azure *azure, enum policy_kind policy,
                uint32_t hosts)
{
    return policy == POLICY_HOLDFAST ? run_engine(azure, hosts)
                                     : run_simple(azure, policy, hosts);
}

/* By halving; 0 when even the most do not suffice. */
static uint32_t fewest_hosts(const struct azure *azure, enum policy_kind policy,
                             uint32_t bound)
{
    uint32_t low = bound;
    uint32_t high = (uint32_t)((uint64_t)bound * SEARCH_PERMILLE / 1000) + 4;

    if (!run(azure, policy, high)) {
        return 0;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (run(azure, policy, middle)) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static bool report(const struct azure *azure, uint32_t bound, FILE *json)
{
    bool met = true;

    printf("\n%u arrivals on hosts of %u CPUs and %u GiB; bound: %u hosts\n",
           azure->count, azure->host.cpu_milli / 1000,
           azure->host.memory_mib / 1024, bound);
    printf("%-16s %8s %10s\n", "policy", "hosts", "above");
    for (int policy = 0; policy < POLICY_COUNT; policy++) {
        uint32_t hosts = fewest_hosts(azure, (enum policy_kind)policy, bound);
        double above = ((double)hosts - (double)bound) * 100 / (double)bound;

        printf("%-16s %8u %8.2f %%", policy_names[policy], hosts, above);
        if (policy == POLICY_HOLDFAST) {
            met = hosts != 0 && (uint64_t)(hosts - bound) * 10000 <=
                                    (uint64_t)bound * GOAL_PERMYRIAD;
            printf("  %s (1.8 %%)", met ? "met" : "MISSED");
        }
        putchar('\n');
        fflush(stdout);
        if (json != NULL) {
            fprintf(json, "%s\"%s\":{\"hosts\":%u,\"above_percent\":%.3f}",
                    policy == 0 ? "" : ",", policy_names[policy], hosts, above);
        }
    }
    return met;
}

int azure_replay(const struct azure_options *options, FILE *json)
{
    struct azure azure = {
        .host = {options->host_cpus * 1000, options->host_gib * 1024, 0, 0}};
    bool met = false;
    bool ok = read_vms(&azure, options->path);

    if (ok) {
        uint32_t bound;

        make_events(&azure);
        bound = lower_bound(&azure);
        if (json != NULL) {
            fprintf(json, "\"azure\":{\"vms\":%u,\"bound\":%u,", azure.count,
                    bound);
        }
        met = report(&azure, bound, json);
        if (json != NULL) {
            fputs("}", json);
        }
    }
    free(azure.vms);
    free(azure.events);
    if (!ok) {
        return 1;
    }
    return met ? 0 : 3;
}
