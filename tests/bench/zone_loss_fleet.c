/* SPDX-License-Identifier: Apache-2.0 */
#include "zone_loss_fleet.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "placement/ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GIB 1024u

/* Shares of 10,000. The first: read off a published figure of a public cloud,
 * each +-0.001. The second: Azure's public VM trace of 2017 (CC BY 4.0), the
 * sizes that make up 99.9 % of it; its hosts have CPU and memory in the mix's
 * own proportion, so that both run out together. The third: three generations
 * of hosts, and VMs that are lean in CPU beside VMs that are lean in memory. */
const struct fleet_mix fleet_mixes[] = {
    {"public cloud",
     {{1000, 1 * GIB, 2215},
      {1000, 2 * GIB, 4424},
      {1000, 4 * GIB, 260},
      {2000, 4 * GIB, 1350},
      {2000, 8 * GIB, 190},
      {4000, 8 * GIB, 910},
      {4000, 16 * GIB, 160},
      {8000, 16 * GIB, 270},
      {8000, 32 * GIB, 90},
      {12000, 24 * GIB, 40},
      {16000, 32 * GIB, 80},
      {32000, 64 * GIB, 5},
      {64000, 128 * GIB, 10}},
     {{24000, 96 * GIB, 90}, {64000, 256 * GIB, 10}}},
    {"azure",
     {{1000, 1792, 5449},
      {2000, 3584, 2018},
      {4000, 7168, 1020},
      {8000, 14336, 975},
      {8000, 57344, 366},
      {1000, 768, 161},
      {2000, 16384, 4},
      {4000, 28672, 3},
      {2000, 14336, 2},
      {1000, 2048, 2}},
     {{64000, 152 * GIB, 100}}},
    {"mixed hardware",
     {{1000, 2 * GIB, 3000},
      {2000, 4 * GIB, 2000},
      {2000, 16 * GIB, 1200},
      {4000, 8 * GIB, 1200},
      {4000, 32 * GIB, 800},
      {8000, 16 * GIB, 900},
      {8000, 64 * GIB, 400},
      {16000, 32 * GIB, 300},
      {16000, 128 * GIB, 100},
      {32000, 64 * GIB, 80},
      {32000, 256 * GIB, 20}},
     {{32000, 128 * GIB, 40},
      {48000, 192 * GIB, 30},
      {64000, 384 * GIB, 20},
      {128000, 512 * GIB, 10}}},
};
const uint32_t fleet_mix_count = sizeof(fleet_mixes) / sizeof(fleet_mixes[0]);

const char *const fleet_policy_names[FLEET_POLICY_COUNT] = {
    [FLEET_SLOT_LOSS] = "slot-loss",
    [FLEET_BEST_FIT] = "best fit",
    [FLEET_FIRST_FIT] = "first fit",
    [FLEET_LEAST_ALLOCATED] = "least allocated",
};

/* A host while the fleet is filled. */
struct spot {
    const struct fleet_shape *shape;
    uint32_t zone;
    uint32_t cpu_free;
    uint32_t memory_free;
};

struct filler {
    const struct fleet_spec *spec;
    struct random random;
    struct state *state;
    struct spot *spots; /* By host slot; a zone's follow each other. */
    struct ranks_table *table;
    struct ranks *ranks;
    uint32_t vms;
    uint64_t cpu_used[FLEET_ZONES];
    uint64_t memory_used[FLEET_ZONES];
    uint64_t cpu_capacity;    /* Of a zone. */
    uint64_t memory_capacity; /* Likewise. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct filler *filler, const struct change *change)
{
    state_apply(filler->state, change, NULL);
}

static uint32_t zone_hosts(const struct filler *filler)
{
    return filler->spec->hosts / FLEET_ZONES;
}

/* Shapes in turns, in the mix's proportion, the same in each zone. */
static const struct fleet_shape *shape_of(const struct fleet_mix *mix,
                                          uint32_t number)
{
    uint32_t point = (number * 37) % 100;
    uint32_t i = 0;

    while (point >= mix->shapes[i].weight) {
        point -= mix->shapes[i].weight;
        i++;
    }
    return &mix->shapes[i];
}

static void add_hosts(struct filler *filler)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[32];

    for (uint32_t i = 0; i < zone_hosts(filler) * FLEET_ZONES; i++) {
        uint32_t zone = i / zone_hosts(filler);
        const struct fleet_shape *shape =
            shape_of(filler->spec->mix, i % zone_hosts(filler));

        snprintf(name, sizeof(name), "h%06u", i);
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(filler->state, zone)->uid},
            .fault_domain = text_of(""),
            .host_id = text_of(name),
            .boot_id = text_of("boot"),
            .capacity = {shape->cpu_milli, shape->memory_mib, 0, 0},
            .driver_mask = 1u << DRIVER_QEMU,
            .labels = text_of(""),
            .agent_version = text_of(""),
        };
        apply(filler, &change);
        filler->spots[i] =
            (struct spot){shape, zone, shape->cpu_milli, shape->memory_mib};
        if (zone == 0) {
            filler->cpu_capacity += shape->cpu_milli;
            filler->memory_capacity += shape->memory_mib;
        }
    }
}

static void add_classes(struct filler *filler)
{
    const struct fleet_mix *mix = filler->spec->mix;
    struct change change = {.kind = CHANGE_CLASS_CREATE};
    char name[32];

    for (uint32_t i = 0; i < FLEET_SIZES_MAX && mix->sizes[i].weight > 0; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {mix->sizes[i].cpu_milli, mix->sizes[i].memory_mib, 0,
                          0},
        };
        apply(filler, &change);
    }
}

static void make_ranks(struct filler *filler)
{
    const struct fleet_mix *mix = filler->spec->mix;
    struct ranks_size sizes[FLEET_SIZES_MAX];
    struct ranks_scale scale = {.cpu_milli = filler->cpu_capacity,
                                .memory_mib = filler->memory_capacity};
    uint32_t count = 0;

    for (; count < FLEET_SIZES_MAX && mix->sizes[count].weight > 0; count++) {
        sizes[count] = (struct ranks_size){mix->sizes[count].cpu_milli,
                                           mix->sizes[count].memory_mib,
                                           mix->sizes[count].weight};
    }
    for (uint32_t i = 0; i < FLEET_SHAPES_MAX; i++) {
        const struct fleet_shape *shape = &mix->shapes[i];

        scale.cpu_max_milli = shape->cpu_milli > scale.cpu_max_milli
                                  ? shape->cpu_milli
                                  : scale.cpu_max_milli;
        scale.memory_max_mib = shape->memory_mib > scale.memory_max_mib
                                   ? shape->memory_mib
                                   : scale.memory_max_mib;
    }
    filler->table = ranks_table_create(sizes, count, &scale);
    filler->ranks =
        ranks_create(filler->table, FLEET_ZONES, filler->spec->hosts);
    for (uint32_t i = 0; i < zone_hosts(filler) * FLEET_ZONES; i++) {
        ranks_set(filler->ranks, i, filler->spots[i].zone,
                  filler->spots[i].cpu_free, filler->spots[i].memory_free);
    }
}

static bool fits(const struct spot *spot, const struct fleet_size *size)
{
    return spot->cpu_free >= size->cpu_milli &&
           spot->memory_free >= size->memory_mib;
}

/* What would be left, as shares of the host in 2^-20. */
static uint64_t leftover(const struct spot *spot, const struct fleet_size *size)
{
    uint64_t cpu = spot->cpu_free - size->cpu_milli;
    uint64_t memory = spot->memory_free - size->memory_mib;

    return (cpu << 20) / spot->shape->cpu_milli +
           (memory << 20) / spot->shape->memory_mib;
}

static uint32_t plain_choice(const struct filler *filler, uint32_t zone,
                             const struct fleet_size *size)
{
    enum fleet_policy policy = filler->spec->policy;
    uint32_t best = RANKS_NONE;
    uint64_t best_left = 0;

    for (uint32_t i = 0; i < zone_hosts(filler); i++) {
        uint32_t host = zone * zone_hosts(filler) + i;
        uint64_t left;

        if (!fits(&filler->spots[host], size)) {
            continue;
        }
        if (policy == FLEET_FIRST_FIT) {
            return host;
        }
        left = leftover(&filler->spots[host], size);
        if (best == RANKS_NONE ||
            (policy == FLEET_BEST_FIT ? left < best_left : left > best_left)) {
            best = host;
            best_left = left;
        }
    }
    return best;
}

static uint32_t choose(struct filler *filler, uint32_t zone,
                       const struct fleet_size *size)
{
    struct ranks_want want;

    if (filler->spec->policy != FLEET_SLOT_LOSS) {
        return plain_choice(filler, zone, size);
    }
    want = ranks_want(filler->table, size->cpu_milli, size->memory_mib);
    return ranks_best(filler->ranks, zone, &want);
}

static void add_vm(struct filler *filler, uint32_t size_number, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct vm_id vm;
    char name[32];

    snprintf(name, sizeof(name), "v%07u", filler->vms);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(filler->state, size_number)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .template = text_of(""),
        .labels = text_of(""),
        .selector = text_of(""),
    };
    apply(filler, &change);
    vm.uid = state_vm_at(filler->state, filler->vms)->uid;
    filler->vms++;
    change = (struct change){.kind = CHANGE_VM_ASSIGN};
    change.vm_assign = (struct change_vm_assign){
        vm, {state_host_at(filler->state, host)->uid}, 1};
    apply(filler, &change);
}

static uint32_t draw_size(struct filler *filler)
{
    const struct fleet_mix *mix = filler->spec->mix;
    uint32_t total = 0;
    uint32_t point;
    uint32_t i = 0;

    for (uint32_t k = 0; k < FLEET_SIZES_MAX; k++) {
        total += mix->sizes[k].weight;
    }
    point = (uint32_t)random_below(&filler->random, total);
    while (point >= mix->sizes[i].weight) {
        point -= mix->sizes[i].weight;
        i++;
    }
    return i;
}

/* Use of a zone at which its demand over the others' free room is as wished. */
static double use_wanted(const struct filler *filler)
{
    double demand = filler->spec->demand * (FLEET_ZONES - 1);

    return demand / (1 + demand);
}

static double use_with(const struct filler *filler, uint32_t zone,
                       const struct fleet_size *size)
{
    double cpu = (double)(filler->cpu_used[zone] + size->cpu_milli) /
                 (double)filler->cpu_capacity;
    double memory = (double)(filler->memory_used[zone] + size->memory_mib) /
                    (double)filler->memory_capacity;

    return cpu > memory ? cpu : memory;
}

/* Arrivals, each to the zone with the fewest CPUs in use, until the zones are
 * as full as they shall be: what would be too much is left out, and when that
 * happens often enough it is done. */
static void fill(struct filler *filler)
{
    double wanted = use_wanted(filler);
    uint32_t refused = 0;

    while (refused < 200) {
        uint32_t number = draw_size(filler);
        const struct fleet_size *size = &filler->spec->mix->sizes[number];
        uint32_t zone = 0;
        uint32_t host;

        for (uint32_t i = 1; i < FLEET_ZONES; i++) {
            zone = filler->cpu_used[i] < filler->cpu_used[zone] ? i : zone;
        }
        if (use_with(filler, zone, size) > wanted) {
            refused++;
            continue;
        }
        host = choose(filler, zone, size);
        if (host == RANKS_NONE) {
            refused++;
            continue;
        }
        add_vm(filler, number, host);
        filler->cpu_used[zone] += size->cpu_milli;
        filler->memory_used[zone] += size->memory_mib;
        filler->spots[host].cpu_free -= size->cpu_milli;
        filler->spots[host].memory_free -= size->memory_mib;
        ranks_set(filler->ranks, host, zone, filler->spots[host].cpu_free,
                  filler->spots[host].memory_free);
    }
}

static void lose_zone(struct filler *filler, uint32_t zone)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(filler->state, zone)->uid}, ZONE_LOST};
    apply(filler, &change);
    change.kind = CHANGE_HOST_FENCE;
    for (uint32_t i = 0; i < zone_hosts(filler); i++) {
        const struct host *host =
            state_host_at(filler->state, zone * zone_hosts(filler) + i);

        change.host_fence =
            (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
        apply(filler, &change);
    }
}

struct state *fleet_make(const struct fleet_spec *spec)
{
    struct filler filler = {.spec = spec, .state = state_create()};
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    char name[8];

    CHECK(spec->hosts >= FLEET_ZONES);
    random_init(&filler.random, spec->seed);
    filler.spots = memory_alloc_array(spec->hosts, sizeof(*filler.spots));
    for (uint32_t i = 0; i < FLEET_ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i + 1);
        change.zone_create.name = text_of(name);
        apply(&filler, &change);
    }
    add_hosts(&filler);
    add_classes(&filler);
    make_ranks(&filler);
    fill(&filler);
    lose_zone(&filler, 0);
    ranks_destroy(filler.ranks);
    ranks_table_destroy(filler.table);
    free(filler.spots);
    return filler.state;
}

void fleet_facts(const struct state *state, struct fleet_facts *facts)
{
    uint64_t cpu_free = 0;
    uint64_t memory_free = 0;
    uint64_t memory = 0;

    *facts = (struct fleet_facts){.vms = state_counts(state)->vms};
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host->state == HOST_UP) {
            cpu_free += host->capacity.cpu_milli - host->used.cpu_milli;
            memory_free += host->capacity.memory_mib - host->used.memory_mib;
        }
    }
    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);

        if (vm->state == VM_PENDING) {
            const struct resources *need =
                &state_class_at(state, vm->class_slot)->resources;

            facts->lost++;
            facts->lost_cpu_milli += need->cpu_milli;
            memory += need->memory_mib;
        }
    }
    facts->demand = (double)facts->lost_cpu_milli / (double)cpu_free;
    if ((double)memory / (double)memory_free > facts->demand) {
        facts->demand = (double)memory / (double)memory_free;
    }
}
