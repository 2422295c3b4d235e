/* SPDX-License-Identifier: Apache-2.0 */
#include "cycles.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"
#include "placement/balance.h"
#include "placement/rebalance.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOUR_MS       3600000
#define START_TIME_MS 1700000000000
#define GROUP_MEMBERS 30
#define HOST_CPUS     96
#define HOST_GIB      256

struct size {
    uint32_t cpus;
    uint32_t gib;
    uint32_t share; /* Of 10,000. */
};

/* Sizes of a public cloud, vCPU x GiB, and their shares. */
static const struct size cloud_sizes[] = {
    {1, 1, 2215}, {1, 2, 4424}, {1, 4, 260},  {2, 4, 1350}, {2, 8, 190},
    {4, 8, 910},  {4, 16, 160}, {8, 16, 270}, {8, 32, 90},  {12, 24, 40},
    {16, 32, 80}, {32, 64, 5},  {64, 128, 6},
};
static const struct size equal_sizes[] = {{4, 8, 10000}};
static const struct size skewed_sizes[] = {
    {2, 2, 3000}, {2, 16, 3000}, {8, 8, 2000}, {4, 32, 1900}, {16, 16, 100}};

struct cycles {
    struct cycles_spec spec;
    struct random random;
    struct state *state;
    struct placer *placer;
    uint64_t time_ms;
    const struct size *sizes;
    uint32_t size_count;
    uint8_t *moved; /* By VM, in this cycle. */
    uint32_t vm_count;
    uint32_t *skews; /* Of groups, before rebalancing. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct cycles *cycles, const struct change *change)
{
    state_apply(cycles->state, change, NULL);
}

static void pass_time(struct cycles *cycles)
{
    cycles->time_ms += HOUR_MS;
    state_begin(cycles->state, cycles->time_ms);
}

/* --- The fleet ----------------------------------------------------------- */

static void set_policy(struct cycles *cycles)
{
    struct change change = {.kind = CHANGE_POLICY};

    policy_init(&change.policy.policy);
    apply(cycles, &change);
}

static void register_host(struct cycles *cycles, uint32_t zone, uint32_t number)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[32];

    snprintf(name, sizeof(name), "h%u-%u", zone, number);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(cycles->state, zone)->uid},
        .host_id = text_of(name),
        .boot_id = text_of("boot"),
        .capacity = {HOST_CPUS * 1000, HOST_GIB * 1024, 100000, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    apply(cycles, &change);
}

static void register_zone(struct cycles *cycles, uint32_t zone)
{
    uint32_t hosts = cycles->spec.hosts + zone * cycles->spec.hosts_more;

    for (uint32_t i = 0; i < hosts; i++) {
        register_host(cycles, zone, i);
    }
}

static void make_zones(struct cycles *cycles)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    char name[16];

    for (uint32_t i = 0; i < cycles->spec.zones; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        change.zone_create.name = text_of(name);
        apply(cycles, &change);
        register_zone(cycles, i);
    }
}

static void make_classes(struct cycles *cycles)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};
    char name[16];

    switch (cycles->spec.mix) {
    case CYCLES_MIX_CLOUD:
        cycles->sizes = cloud_sizes;
        cycles->size_count = sizeof(cloud_sizes) / sizeof(*cloud_sizes);
        break;
    case CYCLES_MIX_EQUAL:
        cycles->sizes = equal_sizes;
        cycles->size_count = 1;
        break;
    default:
        cycles->sizes = skewed_sizes;
        cycles->size_count = sizeof(skewed_sizes) / sizeof(*skewed_sizes);
        break;
    }
    for (uint32_t i = 0; i < cycles->size_count; i++) {
        snprintf(name, sizeof(name), "c%u", i);
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {cycles->sizes[i].cpus * 1000,
                          cycles->sizes[i].gib * 1024, 10, 0},
        };
        apply(cycles, &change);
    }
}

static uint32_t random_class(struct cycles *cycles)
{
    uint64_t drawn = random_below(&cycles->random, 10000);
    uint32_t i = 0;

    while (i + 1 < cycles->size_count && drawn >= cycles->sizes[i].share) {
        drawn -= cycles->sizes[i].share;
        i++;
    }
    return i;
}

static struct group_id make_group(struct cycles *cycles)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};
    char name[32];

    snprintf(name, sizeof(name), "g%u", state_group_slots(cycles->state));
    change.group_create.name = text_of(name);
    change.group_create.fields = (struct group_fields){
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_QEMU,
        .zone_rule = ZONE_RULE_SPREAD,
        .zone_mode = RULE_MODE_BEST_EFFORT,
        .max_skew = 1,
    };
    apply(cycles, &change);
    return (struct group_id){
        state_group_named(cycles->state, text_of(name))->uid};
}

static bool place(struct cycles *cycles, uint32_t slot)
{
    struct placement_request request = {state_vm_at(cycles->state, slot),
                                        SLOT_NONE};
    struct vm_id id = {request.vm->uid};
    uint64_t epoch = request.vm->epoch + 1;
    struct change change = {.kind = CHANGE_VM_ASSIGN};
    struct placement_choice choice;

    placer_choose(cycles->placer, cycles->state, &request, &choice);
    if (choice.host == SLOT_NONE) {
        return false;
    }
    change.vm_assign = (struct change_vm_assign){
        id, {state_host_at(cycles->state, choice.host)->uid}, epoch};
    apply(cycles, &change);
    change = (struct change){.kind = CHANGE_VM_REPORT,
                             .vm_report = {id, epoch, VM_RUNNING}};
    apply(cycles, &change);
    placer_vm_changed(cycles->placer, cycles->state, slot);
    return true;
}

static bool is_full(const struct cycles *cycles)
{
    uint64_t cpu = 0;
    uint64_t memory = 0;
    uint64_t cpu_capacity = 0;
    uint64_t memory_capacity = 0;

    for (uint32_t i = 0; i < cycles->spec.zones; i++) {
        const struct zone *zone = state_zone_at(cycles->state, i);

        cpu += zone->used.cpu_milli;
        memory += zone->used.memory_mib;
        cpu_capacity += zone->capacity.cpu_milli;
        memory_capacity += zone->capacity.memory_mib;
    }
    return cpu * 1000 >= cpu_capacity * cycles->spec.fill_permille ||
           memory * 1000 >= memory_capacity * cycles->spec.fill_permille;
}

static uint32_t random_priority(struct cycles *cycles)
{
    return (uint32_t)random_below(&cycles->random, cycles->spec.priorities);
}

static void make_vms(struct cycles *cycles)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct group_id group = {0};
    uint32_t group_priority = 0;
    uint32_t members = 0;
    uint32_t number = 0;
    char name[32];

    while (!is_full(cycles)) {
        bool grouped =
            random_below(&cycles->random, 1000) < cycles->spec.grouped_permille;

        if (grouped && members++ % GROUP_MEMBERS == 0) {
            group = make_group(cycles);
            group_priority = random_priority(cycles);
        }
        snprintf(name, sizeof(name), "v%u", number++);
        change.vm_create = (struct change_vm_create){
            .name = text_of(name),
            .class = {state_class_at(cycles->state, random_class(cycles))->uid},
            .priority = grouped ? group_priority : random_priority(cycles),
            .on_partition = ON_PARTITION_MOVE,
            .desired = DESIRED_RUNNING,
            .driver = DRIVER_QEMU,
            .group = {grouped ? group.uid : 0},
        };
        apply(cycles, &change);
        placer_vm_changed(cycles->placer, cycles->state,
                          state_pending_first(cycles->state));
        if (!place(cycles, state_pending_first(cycles->state))) {
            change = (struct change){
                .kind = CHANGE_VM_DELETE,
                .vm_delete = {
                    {state_vm_named(cycles->state, text_of(name))->uid}}};
            apply(cycles, &change);
            break;
        }
    }
    cycles->vm_count = state_vm_slots(cycles->state);
}

struct cycles *cycles_create(const struct cycles_spec *spec)
{
    struct cycles *cycles = memory_alloc(sizeof(*cycles));

    cycles->spec = *spec;
    cycles->time_ms = START_TIME_MS;
    random_init(&cycles->random, spec->seed);
    cycles->state = state_create();
    state_begin(cycles->state, cycles->time_ms);
    set_policy(cycles);
    make_zones(cycles);
    make_classes(cycles);
    cycles->placer = placer_create();
    placer_rebuild(cycles->placer, cycles->state);
    make_vms(cycles);
    cycles->moved = memory_alloc(cycles->vm_count + 1);
    cycles->skews = memory_alloc_array(
        (size_t)state_group_slots(cycles->state) + 1, sizeof(*cycles->skews));
    return cycles;
}

void cycles_destroy(struct cycles *cycles)
{
    placer_destroy(cycles->placer);
    state_destroy(cycles->state);
    free(cycles->moved);
    free(cycles->skews);
    free(cycles);
}

const struct state *cycles_state(const struct cycles *cycles)
{
    return cycles->state;
}

/* --- Loss and return ----------------------------------------------------- */

static void set_zone(struct cycles *cycles, uint32_t zone,
                     enum zone_state state)
{
    struct change change = {
        .kind = CHANGE_ZONE_STATE,
        .zone_state = {{state_zone_at(cycles->state, zone)->uid}, state}};

    apply(cycles, &change);
}

static uint32_t lose_zone(struct cycles *cycles, uint32_t zone)
{
    uint32_t lost = state_zone_at(cycles->state, zone)->vm_count;

    pass_time(cycles);
    set_zone(cycles, zone, ZONE_LOST);
    for (uint32_t i = 0; i < state_host_slots(cycles->state); i++) {
        const struct host *host = state_host_at(cycles->state, i);
        struct change change = {.kind = CHANGE_HOST_FENCE};

        if (host->zone == zone) {
            change.host_fence =
                (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
            apply(cycles, &change);
        }
    }
    placer_rebuild(cycles->placer, cycles->state);
    return lost;
}

static void return_zone(struct cycles *cycles, uint32_t zone)
{
    pass_time(cycles);
    register_zone(cycles, zone);
    set_zone(cycles, zone, ZONE_UP);
    placer_rebuild(cycles->placer, cycles->state);
}

struct waiting {
    uint32_t vm;
    uint32_t cpu_milli;
    uint32_t priority;
};

static int by_priority_and_size(const void *left, const void *right)
{
    const struct waiting *a = left;
    const struct waiting *b = right;

    if (a->priority != b->priority) {
        return a->priority > b->priority ? -1 : 1;
    }
    if (a->cpu_milli != b->cpu_milli) {
        return a->cpu_milli > b->cpu_milli ? -1 : 1;
    }
    return a->vm < b->vm ? -1 : a->vm > b->vm;
}

static void place_pending(struct cycles *cycles)
{
    uint32_t pending = state_counts(cycles->state)->vms_by_state[VM_PENDING];
    struct waiting *all = memory_alloc_array((size_t)pending + 1, sizeof(*all));
    uint32_t count = 0;

    for (uint32_t slot = state_pending_first(cycles->state); slot != SLOT_NONE;
         slot = state_vm_at(cycles->state, slot)->host_next) {
        const struct vm *vm = state_vm_at(cycles->state, slot);

        all[count++] = (struct waiting){
            slot,
            state_class_at(cycles->state, vm->class_slot)->resources.cpu_milli,
            vm->priority};
    }
    qsort(all, count, sizeof(*all), by_priority_and_size);
    for (uint32_t i = 0; i < count; i++) {
        place(cycles, all[i].vm);
    }
    free(all);
}

/* --- Rebalancing --------------------------------------------------------- */

static void carry_out(struct cycles *cycles, const struct rebalance_move *move,
                      struct cycles_cycle *cycle)
{
    const struct vm *vm = state_vm_at(cycles->state, move->vm);
    struct vm_id id = {vm->uid};
    uint64_t epoch = vm->epoch;
    struct host_id to = {state_host_at(cycles->state, move->host)->uid};
    struct change change = {.kind = CHANGE_VM_MOVE};

    change.vm_move =
        (struct change_vm_move){.vm = id, .host = to, .cause = move->cause};
    apply(cycles, &change);
    change = (struct change){.kind = CHANGE_VM_RELEASE,
                             .vm_release = {.vm = id, .epoch = epoch}};
    apply(cycles, &change);
    placer_vm_changed(cycles->placer, cycles->state, move->vm);
    change = (struct change){.kind = CHANGE_VM_ASSIGN,
                             .vm_assign = {id, to, epoch + 1}};
    apply(cycles, &change);
    change = (struct change){.kind = CHANGE_VM_REPORT,
                             .vm_report = {id, epoch + 1, VM_RUNNING}};
    apply(cycles, &change);
    placer_vm_changed(cycles->placer, cycles->state, move->vm);
    if (cycles->moved[move->vm]++ > 0) {
        cycle->twice++;
    }
}

/* As the node has them. */
#define SLICE_VMS 10000

/* Of the processor: what else runs does not count. */
static uint64_t cpu_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void end_slice(struct cycles_cycle *cycle, uint64_t *began_ns)
{
    uint64_t took_ns = cpu_ns() - *began_ns;

    cycle->decide_ns += took_ns;
    if (took_ns > cycle->slice_ns_max) {
        cycle->slice_ns_max = took_ns;
    }
    *began_ns = cpu_ns();
}

static uint32_t decide(struct cycles *cycles, struct rebalance_move *moves,
                       struct cycles_cycle *cycle)
{
    uint64_t began_ns = cpu_ns();
    struct rebalance *rebalance =
        rebalance_create(cycles->state, cycles->time_ms, cycles->spec.round);
    uint32_t count;

    while (!rebalance_work(rebalance, SLICE_VMS)) {
        end_slice(cycle, &began_ns);
    }
    end_slice(cycle, &began_ns);
    count = rebalance_decide(rebalance, cycles->placer, cycles->state, moves,
                             cycles->spec.round);
    rebalance_destroy(rebalance);
    end_slice(cycle, &began_ns);
    cycle->decisions++;
    return count;
}

static uint32_t rebalance(struct cycles *cycles, struct cycles_cycle *cycle)
{
    struct rebalance_move *moves =
        memory_alloc_array(cycles->spec.round, sizeof(*moves));
    uint32_t count;
    uint32_t sum = 0;

    if (rebalance_is_due(cycles->state, false)) {
        do {
            count = decide(cycles, moves, cycle);
            for (uint32_t i = 0; i < count; i++) {
                carry_out(cycles, &moves[i], cycle);
            }
            sum += count;
        } while (count > 0);
    }
    free(moves);
    return sum;
}

static uint32_t skew_of(const struct cycles *cycles, const struct group *group)
{
    uint32_t least = UINT32_MAX;
    uint32_t most = 0;

    for (uint32_t i = 0; i < cycles->spec.zones; i++) {
        uint32_t members = group->zone_counts[i];

        least = members < least ? members : least;
        most = members > most ? members : most;
    }
    return most - least;
}

static void note_skews(struct cycles *cycles)
{
    for (uint32_t i = 0; i < state_group_slots(cycles->state); i++) {
        cycles->skews[i] = skew_of(cycles, state_group_at(cycles->state, i));
    }
}

static uint32_t groups_worse(const struct cycles *cycles)
{
    uint32_t worse = 0;

    for (uint32_t i = 0; i < state_group_slots(cycles->state); i++) {
        const struct group *group = state_group_at(cycles->state, i);
        uint32_t skew = skew_of(cycles, group);

        worse += skew > cycles->skews[i] && skew > group->max_skew;
    }
    return worse;
}

static uint32_t spread_permille(const struct cycles *cycles)
{
    struct balance balance;

    balance_init(&balance, cycles->state);
    return balance_spread(&balance) / 1000;
}

/* Moves that a run would make which nothing has caused; once all cool-downs
 * are over, so that these are not what holds it back. */
static uint32_t run_again(struct cycles *cycles)
{
    struct rebalance_move *moves =
        memory_alloc_array(cycles->spec.round, sizeof(*moves));
    uint32_t count = 0;

    pass_time(cycles);
    if (rebalance_is_due(cycles->state, false)) {
        count = rebalance_zones(cycles->placer, cycles->state, cycles->time_ms,
                                moves, cycles->spec.round);
    }
    free(moves);
    return count;
}

void cycles_next(struct cycles *cycles, struct cycles_cycle *cycle)
{
    uint32_t zone = (uint32_t)random_below(&cycles->random, cycles->spec.zones);

    memset(cycle, 0, sizeof(*cycle));
    memset(cycles->moved, 0, cycles->vm_count + 1);
    cycle->lost = lose_zone(cycles, zone);
    place_pending(cycles);
    return_zone(cycles, zone);
    place_pending(cycles);
    pass_time(cycles);
    note_skews(cycles);
    cycle->spread_permille_before = spread_permille(cycles);
    cycle->bound = rebalance_lower_bound(cycles->state, cycles->time_ms, false);
    cycle->bound_any =
        rebalance_lower_bound(cycles->state, cycles->time_ms, true);
    cycle->moves = rebalance(cycles, cycle);
    cycle->spread_permille = spread_permille(cycles);
    cycle->worse = groups_worse(cycles);
    cycle->again = run_again(cycles);
}
