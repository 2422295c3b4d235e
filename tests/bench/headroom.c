/* SPDX-License-Identifier: Apache-2.0
 *
 * What it costs to admit VMs only as long as any one zone may be lost, and how
 * full a region gets that way. */
#include "placement/headroom.h"
#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "base/random.h"
#include "options.h"
#include "placement/evacuate.h"
#include "samples.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB          1024u
#define BATCH        1000
#define SLICE_VMS    5000 /* As the node does. */
#define START_MS     1700000000000
#define SHAPES_MAX   2
#define PARTS_MAX    8
#define GOAL_RATE    1.5e6
#define GOAL_PERCENT 64.0 /* Of 66.67: three equal zones. */
#define GOAL_LOAD_MS 1000.0
#define GOAL_SLICE   10.0

static const char help[] =
    "headroom - admissions that keep every zone's loss survivable\n"
    "\n"
    "usage: headroom [--hosts N] [--json FILE] [--smoke]\n"
    "\n"
    "  --hosts N    of the large region, default 48,000 (64 CPUs, 256 GiB)\n"
    "  --json FILE  the figures for programs\n"
    "  --smoke      small regions, no goals: does it work?\n"
    "\n"
    "VMs of the sizes of a public cloud arrive in random order (seeded), each\n"
    "is given a host and stays, until the first one is refused. A rate is "
    "that\n"
    "of choosing a host and following the change, on one core; applying the\n"
    "changes to the state is measured apart, and taken off. Times are of\n"
    "the processor, so that other work on the machine does not count. The\n"
    "same arrivals are first placed without headroom. Then the loss of each\n"
    "zone is executed on a clone: all its hosts are fenced and the lost VMs\n"
    "planned and assigned again, once by the evacuation's own plan and once\n"
    "by the slots that headroom kept. Nothing may be left over, no host may "
    "be\n"
    "overfull. At last a new leader's beginning: all is worked out anew.\n"
    "\n"
    "Exit: 0 goals met, 1 could not measure, 2 usage, 3 a goal was missed.\n";

/* vCPU x GiB and their shares of 10,000, of a public cloud; read off a
 * published figure, each +-0.001. */
static const struct {
    uint32_t cpu;
    uint32_t gib;
    uint32_t weight;
} sizes[] = {
    {1, 1, 2215}, {1, 2, 4424}, {1, 4, 260},   {2, 4, 1350}, {2, 8, 190},
    {4, 8, 910},  {4, 16, 160}, {8, 16, 270},  {8, 32, 90},  {12, 24, 40},
    {16, 32, 80}, {32, 64, 5},  {64, 128, 10},
};

struct shape {
    uint32_t cpu;
    uint32_t gib;
    uint32_t weight; /* Of 100. */
};

/* A region to fill. */
struct plan {
    const char *key; /* In JSON. */
    const char *text;
    uint32_t parts[PARTS_MAX]; /* Zones, by their parts of all hosts. */
    struct shape shapes[SHAPES_MAX];
    uint32_t hosts;
};

struct result {
    uint32_t zones;
    uint32_t hosts;
    uint32_t vms;
    uint32_t retries;
    double limit_percent; /* All but the largest zone, of all CPUs. */
    double percent;       /* CPU in use at the first refusal. */
    double percent_off;   /* The same without headroom. */
    char refused[NAME_BYTES];
    double rate; /* Admissions a second, without applying them. */
    double rate_off;
    double rate_all;  /* With applying them. */
    double worked_ms; /* headroom_work() because of the retries. */
    uint32_t lost;
    uint32_t unplaced;  /* By the evacuation, all zones together; */
    uint32_t unslotted; /* by the slots. */
    uint32_t overfull;
    double evacuation_ms; /* The longest. */
    double rebuild_ms;
    double load_ms;
    double slice_ms;
    uint32_t unplaceable; /* After the new beginning. */
};

/* A region under way. */
struct run {
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
    struct random random;
    uint32_t *order; /* Hosts and VMs as they came together. */
    uint32_t names;
    uint64_t cpu_capacity;
    uint64_t cpu_used;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void tell(struct event_sink *sink, const struct event *event)
{
    struct run *run = container_of(sink, struct run, sink);

    if (event->kind == EVENT_VM) {
        placer_vm_changed(run->placer, run->state, uid_slot(event->vm->uid));
    } else if (event->kind == EVENT_HOST) {
        placer_host_changed(run->placer, run->state,
                            uid_slot(event->host->uid));
    }
}

/* --- Regions ------------------------------------------------------------- */

static void set_mode(struct state *state, enum headroom_mode mode)
{
    struct change change = {.kind = CHANGE_POLICY};

    policy_init(&change.policy.policy);
    change.policy.policy.headroom = mode;
    state_apply(state, &change, NULL);
}

static void add_host(struct run *run, uint32_t zone, const struct shape *shape)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[32];

    snprintf(name, sizeof(name), "host-%06u", run->names++);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(run->state, zone)->uid},
        .host_id = text_of(name),
        .boot_id = text_of(name),
        .capacity = {shape->cpu * 1000, shape->gib * GIB, 1000000, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    state_apply(run->state, &change, NULL);
    run->cpu_capacity += shape->cpu * 1000;
}

static uint32_t zone_count(const struct plan *plan)
{
    uint32_t count = 0;

    while (count < PARTS_MAX && plan->parts[count] > 0) {
        count++;
    }
    return count;
}

static uint32_t all_parts(const struct plan *plan)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < PARTS_MAX; i++) {
        sum += plan->parts[i];
    }
    return sum;
}

static uint32_t hosts_of(const struct plan *plan, uint32_t zone)
{
    return plan->hosts * plan->parts[zone] / all_parts(plan);
}

static void add_zones(struct run *run, const struct plan *plan)
{
    char name[32];

    for (uint32_t i = 0; i < zone_count(plan); i++) {
        struct change change = {.kind = CHANGE_ZONE_CREATE};

        snprintf(name, sizeof(name), "z%u", i + 1);
        change.zone_create.name = text_of(name);
        state_apply(run->state, &change, NULL);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct change change = {.kind = CHANGE_CLASS_CREATE};

        snprintf(name, sizeof(name), "c%ux%u", sizes[i].cpu, sizes[i].gib);
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {sizes[i].cpu * 1000, sizes[i].gib * GIB, 0, 0}};
        state_apply(run->state, &change, NULL);
    }
}

static void run_begin(struct run *run, const struct plan *plan,
                      enum headroom_mode mode)
{
    memset(run, 0, sizeof(*run));
    random_init(&run->random, 1);
    run->sink.event = tell;
    run->state = state_create();
    state_begin(run->state, START_MS);
    set_mode(run->state, mode);
    add_zones(run, plan);
    for (uint32_t zone = 0; zone < zone_count(plan); zone++) {
        for (uint32_t i = 0; i < hosts_of(plan, zone); i++) {
            bool second = i % 100 >= plan->shapes[0].weight;

            add_host(run, zone, &plan->shapes[second]);
        }
    }
    run->placer = placer_create();
    placer_rebuild(run->placer, run->state);
    while (!headroom_work(run->placer, run->state, SLICE_VMS)) {
    }
}

static void run_end(struct run *run)
{
    placer_destroy(run->placer);
    state_destroy(run->state);
}

static uint32_t random_size(struct run *run)
{
    uint32_t at = (uint32_t)random_below(&run->random, 10004);
    uint32_t size = 0;

    while (size + 1 < ARRAY_LEN(sizes) && at >= sizes[size].weight) {
        at -= sizes[size].weight;
        size++;
    }
    return size;
}

/* PENDING VMs; the slot of the first. */
static uint32_t add_vms(struct run *run, uint32_t count)
{
    uint32_t first = state_vm_slots(run->state);
    char name[32];

    for (uint32_t i = 0; i < count; i++) {
        struct change change = {.kind = CHANGE_VM_CREATE};

        snprintf(name, sizeof(name), "vm-%07u", first + i);
        change.vm_create = (struct change_vm_create){
            .name = text_of(name),
            .class = {state_class_at(run->state, random_size(run))->uid},
            .on_partition = ON_PARTITION_MOVE,
            .desired = DESIRED_RUNNING,
            .driver = DRIVER_QEMU,
        };
        state_apply(run->state, &change,
                    run->sink.event == NULL ? NULL : &run->sink);
    }
    return first;
}

static void assign(struct state *state, uint32_t slot, uint32_t host,
                   struct event_sink *sink)
{
    const struct vm *vm = state_vm_at(state, slot);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(state, host)->uid}, vm->epoch + 1};
    state_apply(state, &change, sink);
}

/* --- Filling ----------------------------------------------------------------
 */

static void ask(struct run *run, struct result *result, uint32_t slot,
                struct placement_choice *choice)
{
    for (;;) {
        struct placement_request request = {state_vm_at(run->state, slot),
                                            SLOT_NONE};
        uint64_t began_ns;

        placer_choose(run->placer, run->state, &request, choice);
        if (!choice->retry) {
            return;
        }
        began_ns = samples_cpu_ns();
        while (!headroom_work(run->placer, run->state, SLICE_VMS)) {
        }
        result->worked_ms += ms(samples_cpu_ns() - began_ns);
        result->retries++;
    }
}

struct times {
    uint64_t all_ns;
    uint64_t apply_ns; /* For the changes alone. */
    uint32_t count;
};

/* Where each VM went, in the order of the slots. */
struct record {
    uint32_t *hosts;
    uint32_t capacity;
};

/* Until one is refused. */
static void fill(struct run *run, struct result *result, struct record *record,
                 struct times *times)
{
    struct placement_choice choice = {.host = SLOT_NONE};

    do {
        uint32_t first = add_vms(run, BATCH);
        uint32_t slot = first;
        uint64_t began_ns;

        if (first + BATCH > record->capacity) {
            record->capacity = 2 * (first + BATCH);
            record->hosts = memory_realloc_array(
                record->hosts, record->capacity, sizeof(*record->hosts));
        }
        began_ns = samples_cpu_ns();
        while (slot < first + BATCH) {
            ask(run, result, slot, &choice);
            if (choice.host == SLOT_NONE) {
                break;
            }
            assign(run->state, slot, choice.host, &run->sink);
            record->hosts[slot++] = choice.host;
        }
        times->all_ns += samples_cpu_ns() - began_ns;
        times->count += slot - first;
        if (choice.host == SLOT_NONE) {
            const struct vm *vm = state_vm_at(run->state, slot);

            snprintf(result->refused, sizeof(result->refused), "%s",
                     state_class_at(run->state, vm->class_slot)->name);
        }
    } while (choice.host != SLOT_NONE);
    for (uint32_t i = 0; i < state_zone_slots(run->state); i++) {
        run->cpu_used += state_zone_at(run->state, i)->used.cpu_milli;
    }
}

/* The same changes again, to a state that nobody follows. */
static void replay(const struct plan *plan, const struct record *record,
                   struct times *times)
{
    uint32_t left = times->count;
    struct run run;

    run_begin(&run, plan, HEADROOM_OFF);
    run.sink.event = NULL;
    while (left > 0) {
        uint32_t first = add_vms(&run, BATCH);
        uint32_t count = left < BATCH ? left : BATCH;
        uint64_t began_ns = samples_cpu_ns();

        for (uint32_t i = 0; i < count; i++) {
            assign(run.state, first + i, record->hosts[first + i], NULL);
        }
        times->apply_ns += samples_cpu_ns() - began_ns;
        left -= count;
    }
    run_end(&run);
}

/* Begins and fills a region; it stays open. */
static void measure_fill(struct run *run, const struct plan *plan,
                         enum headroom_mode mode, struct result *result,
                         struct times *times)
{
    struct record record = {NULL, 0};

    memset(times, 0, sizeof(*times));
    run_begin(run, plan, mode);
    fill(run, result, &record, times);
    replay(plan, &record, times);
    free(record.hosts);
}

static double rate(const struct times *times)
{
    return (double)times->count * 1e9 /
           (double)(times->all_ns - times->apply_ns);
}

static double percent(const struct run *run)
{
    return 100.0 * (double)run->cpu_used / (double)run->cpu_capacity;
}

/* --- Losses --------------------------------------------------------------- */

static void lose_zone(struct state *state, uint32_t zone)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(state, zone)->uid}, ZONE_LOST};
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host->zone == zone) {
            change.kind = CHANGE_HOST_FENCE;
            change.host_fence =
                (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
            state_apply(state, &change, NULL);
        }
    }
}

static uint32_t overfull_hosts(const struct state *state)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        count += host->used.cpu_milli > host->capacity.cpu_milli ||
                 host->used.memory_mib > host->capacity.memory_mib ||
                 host->used.disk_gib > host->capacity.disk_gib ||
                 host->vm_count > PLACEMENT_HOST_VMS_MAX;
    }
    return count;
}

static bool has_room(const struct state *state, uint32_t vm, uint32_t slot)
{
    const struct host *host = state_host_at(state, slot);
    const struct resources *wanted =
        &state_class_at(state, state_vm_at(state, vm)->class_slot)->resources;

    return host->state == HOST_UP &&
           host->used.cpu_milli + wanted->cpu_milli <=
               host->capacity.cpu_milli &&
           host->used.memory_mib + wanted->memory_mib <=
               host->capacity.memory_mib;
}

static void lose_by_plan(struct run *run, struct result *result, uint32_t zone)
{
    struct state *clone = state_clone(run->state);
    const struct evacuation_step *steps;
    struct evacuation *evacuation;
    uint64_t began_ns;
    uint32_t count;
    double took_ms;

    lose_zone(clone, zone);
    began_ns = samples_cpu_ns();
    evacuation = evacuation_create(clone);
    while (!evacuation_work(evacuation, SLICE_VMS)) {
    }
    took_ms = ms(samples_cpu_ns() - began_ns);
    if (took_ms > result->evacuation_ms) {
        result->evacuation_ms = took_ms;
    }
    steps = evacuation_steps(evacuation, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct vm *vm = state_vm_at(run->state, steps[i].vm);

        if (steps[i].kind != EVACUATION_PLACE || vm->host == SLOT_NONE) {
            continue;
        }
        result->lost++;
        if (steps[i].host == SLOT_NONE ||
            !has_room(clone, steps[i].vm, steps[i].host)) {
            result->unplaced++;
        } else {
            assign(clone, steps[i].vm, steps[i].host, NULL);
        }
    }
    result->overfull += overfull_hosts(clone);
    evacuation_destroy(evacuation);
    state_destroy(clone);
}

static void lose_by_slots(struct run *run, struct result *result, uint32_t zone)
{
    struct state *clone = state_clone(run->state);

    lose_zone(clone, zone);
    for (uint32_t i = 0; i < state_vm_slots(run->state); i++) {
        const struct vm *vm = state_vm_at(run->state, i);
        uint32_t host = headroom_backup(run->placer, i);

        if (vm == NULL || vm->host == SLOT_NONE ||
            state_host_at(run->state, vm->host)->zone != zone) {
            continue;
        }
        if (host == SLOT_NONE || !has_room(clone, i, host)) {
            result->unslotted++;
        } else {
            assign(clone, i, host, NULL);
        }
    }
    result->overfull += overfull_hosts(clone);
    state_destroy(clone);
}

/* --- A new leader --------------------------------------------------------- */

static void rebuild(struct run *run, struct result *result)
{
    struct placer *placer = placer_create();
    uint64_t began_ns = samples_cpu_ns();
    uint64_t slice_ns;
    bool done;

    placer_rebuild(placer, run->state);
    result->rebuild_ms = ms(samples_cpu_ns() - began_ns);
    do {
        slice_ns = samples_cpu_ns();
        done = headroom_work(placer, run->state, SLICE_VMS);
        slice_ns = samples_cpu_ns() - slice_ns;
        if (ms(slice_ns) > result->slice_ms) {
            result->slice_ms = ms(slice_ns);
        }
    } while (!done);
    result->load_ms = ms(samples_cpu_ns() - began_ns);
    for (uint32_t i = 0; i < state_zone_slots(run->state); i++) {
        struct headroom_zone zone;

        if (headroom_zone(placer, run->state, i, &zone)) {
            result->unplaceable += zone.unplaceable_count;
        }
    }
    placer_destroy(placer);
}

/* --- All of it -------------------------------------------------------------
 */

/* All but the largest zone. */
static double limit_percent(const struct plan *plan)
{
    uint32_t largest = 0;
    uint32_t all = 0;

    for (uint32_t i = 0; i < zone_count(plan); i++) {
        uint32_t hosts = hosts_of(plan, i);

        all += hosts;
        largest = hosts > largest ? hosts : largest;
    }
    return 100.0 * (all - largest) / all;
}

static void measure(const struct plan *plan, struct result *result)
{
    struct times times;
    struct run run;

    memset(result, 0, sizeof(*result));
    result->zones = zone_count(plan);
    result->hosts = plan->hosts;
    result->limit_percent = limit_percent(plan);
    measure_fill(&run, plan, HEADROOM_OFF, result, &times);
    result->rate_off = rate(&times);
    result->percent_off = percent(&run);
    run_end(&run);
    measure_fill(&run, plan, HEADROOM_ENFORCE, result, &times);
    result->rate = rate(&times);
    result->rate_all = (double)times.count * 1e9 / (double)times.all_ns;
    result->percent = percent(&run);
    result->vms = times.count;
    for (uint32_t zone = 0; zone < result->zones; zone++) {
        lose_by_plan(&run, result, zone);
        lose_by_slots(&run, result, zone);
    }
    rebuild(&run, result);
    run_end(&run);
}

static void print_head(void)
{
    printf("%-28s %7s %9s %7s %7s %6s %8s %8s %7s %9s %8s %9s %8s\n", "region",
           "hosts", "VMs", "limit%", "first%", "off%", "M/s", "M/s off",
           "retries", "unplaced", "overfull", "begin ms", "slice ms");
}

static void print(const struct plan *plan, const struct result *result)
{
    printf("%-28s %7u %9u %7.2f %7.2f %6.2f %8.2f %8.2f %7u %4u+%-4u %8u "
           "%9.1f %8.2f\n",
           plan->text, result->hosts, result->vms, result->limit_percent,
           result->percent, result->percent_off, result->rate / 1e6,
           result->rate_off / 1e6, result->retries, result->unplaced,
           result->unslotted, result->overfull, result->load_ms,
           result->slice_ms);
    fflush(stdout);
}

static void write_json(FILE *file, const struct plan *plan,
                       const struct result *result, bool last)
{
    fprintf(file,
            "  {\"region\": \"%s\", \"zones\": %u, \"hosts\": %u, "
            "\"vms\": %u, \"limit_percent\": %.3f, "
            "\"first_refusal_percent\": %.3f, "
            "\"first_refusal_percent_off\": %.3f, \"refused\": \"%s\", "
            "\"admissions_per_s\": %.0f, \"admissions_per_s_off\": %.0f, "
            "\"admissions_applied_per_s\": %.0f, \"retries\": %u, "
            "\"retries_ms\": %.3f, \"lost\": %u, \"unplaced\": %u, "
            "\"without_slot\": %u, \"overfull_hosts\": %u, "
            "\"evacuation_ms\": %.3f, \"rebuild_ms\": %.3f, "
            "\"begin_ms\": %.3f, \"longest_slice_ms\": %.3f, "
            "\"unplaceable_after_begin\": %u}%s\n",
            plan->key, result->zones, result->hosts, result->vms,
            result->limit_percent, result->percent, result->percent_off,
            result->refused, result->rate, result->rate_off, result->rate_all,
            result->retries, result->worked_ms, result->lost, result->unplaced,
            result->unslotted, result->overfull, result->evacuation_ms,
            result->rebuild_ms, result->load_ms, result->slice_ms,
            result->unplaceable, last ? "" : ",");
}

static bool say(bool met, const char *text, double value)
{
    printf("%-6s %s: %.2f\n", met ? "met" : "MISSED", text, value);
    return met;
}

/* The first region is the large one. */
static bool judge(const struct result *results, size_t count)
{
    const struct result *large = &results[0];
    uint32_t wrong = 0;
    bool met = true;

    for (size_t i = 0; i < count; i++) {
        wrong +=
            results[i].unplaced + results[i].unslotted + results[i].overfull;
    }
    met &=
        say(large->rate >= GOAL_RATE,
            "guaranteed admissions, million/s (goal 1.5)", large->rate / 1e6);
    met &= say(large->percent > GOAL_PERCENT,
               "first refusal, % of CPU, three equal zones (goal 64)",
               large->percent);
    met &=
        say(large->load_ms < GOAL_LOAD_MS,
            "a new leader's beginning, ms (goal below 1000)", large->load_ms);
    met &= say(large->slice_ms < GOAL_SLICE,
               "its longest slice, ms (goal below 10)", large->slice_ms);
    met &= say(wrong == 0,
               "VMs without a place and overfull hosts, all losses (goal 0)",
               wrong);
    return met;
}

static const struct plan plans[] = {
    {"large", "three equal zones", {1, 1, 1}, {{64, 256, 100}}, 48000},
    {"equal_2", "two equal zones", {1, 1}, {{64, 256, 100}}, 3000},
    {"equal_3",
     "three equal zones, smaller",
     {1, 1, 1},
     {{64, 256, 100}},
     3000},
    {"equal_5", "five equal zones", {1, 1, 1, 1, 1}, {{64, 256, 100}}, 3000},
    {"equal_8",
     "eight equal zones",
     {1, 1, 1, 1, 1, 1, 1, 1},
     {{64, 256, 100}},
     3200},
    {"unequal_3",
     "zones of 40, 35 and 25 %",
     {40, 35, 25},
     {{64, 256, 100}},
     3000},
    {"unequal_4",
     "zones of 40, 30, 20, 10 %",
     {40, 30, 20, 10},
     {{64, 256, 100}},
     3000},
    {"mixed",
     "three zones, mixed hosts",
     {1, 1, 1},
     {{24, 96, 90}, {64, 256, 10}},
     6000},
    {"tight", "three zones, little memory", {1, 1, 1}, {{64, 128, 100}}, 3000},
};

struct options {
    const char *json;
    uint32_t hosts;
    bool smoke;
};

static int run_all(const struct options *options)
{
    struct result results[ARRAY_LEN(plans)];
    FILE *file = NULL;
    bool met;

    if (options->json != NULL) {
        file = fopen(options->json, "w");
        if (file == NULL) {
            fprintf(stderr, "headroom: cannot write %s\n", options->json);
            return 1;
        }
        fprintf(file, "[\n");
    }
    print_head();
    for (size_t i = 0; i < ARRAY_LEN(plans); i++) {
        struct plan plan = plans[i];

        if (i == 0 && options->hosts > 0) {
            plan.hosts = options->hosts;
        }
        if (options->smoke) {
            plan.hosts = 24;
        }
        measure(&plan, &results[i]);
        print(&plan, &results[i]);
        if (file != NULL) {
            write_json(file, &plan, &results[i], i + 1 == ARRAY_LEN(plans));
        }
    }
    if (file != NULL) {
        fprintf(file, "]\n");
        fclose(file);
    }
    if (options->smoke) {
        return 0;
    }
    met = judge(results, ARRAY_LEN(plans));
    return met ? 0 : 3;
}

int main(int argc, char **argv)
{
    struct options options = {0};
    const struct bench_option known[] = {
        {.name = "hosts",
         .number = &options.hosts,
         .least = 3,
         .most = HOSTS_MAX},
        {.name = "json", .text = &options.json},
        {.name = "smoke", .flag = &options.smoke}};
    int code = bench_options(known, ARRAY_LEN(known), help, argc, argv);

    if (code >= 0) {
        return code;
    }
    return run_all(&options);
}
