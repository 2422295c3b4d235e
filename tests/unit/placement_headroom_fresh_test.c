/* SPDX-License-Identifier: Apache-2.0
 *
 * A new leader's proof. The former one's slots came about one by one, as VMs
 * did; the new one has the VMs alone, and must not say of zones that they
 * cannot be lost though they can. Small regions, each filled until it refuses
 * many VMs. In the first 14 slots in the VMs' order and two plans from scratch
 * did not do, in the others no order of sizes did, with the score of then or
 * now. `--long SEEDS` takes the regions 1 to SEEDS instead: of 6,000 none
 * fails; 13957 is one that still does.
 */
#include "base/container.h"
#include "base/random.h"
#include "placement/headroom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GIB      1024u
#define REFUSALS 60

static const uint64_t seeds[] = {224,  391,  479,  887,  1045, 1200,
                                 1248, 1320, 1330, 1630, 1802, 1806,
                                 1876, 1914, 2160, 3905, 8619, 10635};

static unsigned long seeds_wanted;

/* CPUs, GiB, how often of 102. */
static const struct {
    uint32_t cpu;
    uint32_t gib;
    uint32_t weight;
} sizes[] = {
    {1, 1, 20}, {1, 2, 40}, {1, 4, 5},  {2, 4, 14}, {2, 8, 4},
    {4, 8, 9},  {4, 16, 4}, {8, 16, 3}, {8, 32, 2}, {16, 32, 1},
};

struct region {
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
    struct random random;
    uint32_t names;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void tell(struct event_sink *sink, const struct event *event)
{
    struct region *region = container_of(sink, struct region, sink);

    if (event->kind == EVENT_VM) {
        placer_vm_changed(region->placer, region->state,
                          uid_slot(event->vm->uid));
    } else if (event->kind == EVENT_HOST) {
        placer_host_changed(region->placer, region->state,
                            uid_slot(event->host->uid));
    }
}

static uint32_t draw(struct region *region, uint32_t bound)
{
    return (uint32_t)random_below(&region->random, bound);
}

static void work(struct placer *placer, const struct state *state)
{
    while (!headroom_work(placer, state, 1000)) {
    }
}

static void add_host(struct region *region, uint32_t zone)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    bool large = draw(region, 3) == 0;
    char name[16];

    snprintf(name, sizeof(name), "h%u", region->names++);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(region->state, zone)->uid},
        .host_id = text_of(name),
        .boot_id = text_of(name),
        .capacity = {large ? 32000 : 16000, (large ? 96 : 64) * GIB, 1000, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    state_apply(region->state, &change, NULL);
}

static void add_zones_and_classes(struct region *region, uint32_t zones)
{
    char name[16];

    for (uint32_t i = 0; i < zones; i++) {
        struct change change = {.kind = CHANGE_ZONE_CREATE};

        snprintf(name, sizeof(name), "z%u", i);
        change.zone_create.name = text_of(name);
        state_apply(region->state, &change, NULL);
    }
    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct change change = {.kind = CHANGE_CLASS_CREATE};

        snprintf(name, sizeof(name), "c%u", i);
        change.class_create = (struct change_class_create){
            .name = text_of(name),
            .resources = {sizes[i].cpu * 1000, sizes[i].gib * GIB, 0, 0}};
        state_apply(region->state, &change, NULL);
    }
}

static void begin(struct region *region, uint64_t seed)
{
    struct change change = {.kind = CHANGE_POLICY};
    uint32_t zones;
    uint32_t hosts;

    *region = (struct region){.state = state_create(), .sink = {tell}};
    random_init(&region->random, seed);
    policy_init(&change.policy.policy);
    change.policy.policy.headroom = HEADROOM_ENFORCE;
    state_apply(region->state, &change, NULL);
    zones = 3 + draw(region, 2);
    add_zones_and_classes(region, zones);
    hosts = 3 + draw(region, 12);
    for (uint32_t i = 0; i < zones * hosts; i++) {
        add_host(region, i / hosts);
    }
    region->placer = placer_create();
    placer_rebuild(region->placer, region->state);
    work(region->placer, region->state);
}

static uint32_t draw_size(struct region *region)
{
    uint32_t point = draw(region, 102);
    uint32_t size = 0;

    while (size + 1 < ARRAY_LEN(sizes) && point >= sizes[size].weight) {
        point -= sizes[size].weight;
        size++;
    }
    return size;
}

static uint32_t choose(struct region *region, const struct vm *vm)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice = {.retry = true};

    while (choice.retry) {
        work(region->placer, region->state);
        placer_choose(region->placer, region->state, &request, &choice);
    }
    return choice.host;
}

/* A VM more; false: it was refused, and is gone. */
static bool add_vm(struct region *region)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    const struct vm *vm;
    char name[16];
    uint32_t host;

    snprintf(name, sizeof(name), "v%u", region->names++);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(region->state, draw_size(region))->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
    };
    state_apply(region->state, &change, &region->sink);
    vm = state_vm_named(region->state, text_of(name));
    host = choose(region, vm);
    if (host == SLOT_NONE) {
        change = (struct change){.kind = CHANGE_VM_DELETE};
        change.vm_delete.vm.uid = vm->uid;
        state_apply(region->state, &change, &region->sink);
        return false;
    }
    change = (struct change){.kind = CHANGE_VM_ASSIGN};
    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(region->state, host)->uid}, 1};
    state_apply(region->state, &change, &region->sink);
    return true;
}

/* Says where not. */
static bool all_survivable(const struct placer *placer,
                           const struct state *state, uint64_t seed)
{
    bool all = true;

    for (uint32_t zone = 0; zone < state_zone_slots(state); zone++) {
        struct headroom_zone headroom;

        assert_true(headroom_zone(placer, state, zone, &headroom));
        if (headroom.unplaceable_count > 0) {
            fprintf(stderr, "seed %lu: %u VMs of zone %u have no slot\n",
                    (unsigned long)seed, headroom.unplaceable_count, zone);
            all = false;
        }
    }
    return all;
}

/* Whether the new leader's proof is as good as the former one's. */
static bool succeeds(uint64_t seed)
{
    struct placer *fresh = placer_create();
    struct region region;
    uint32_t refused = 0;
    bool proved;

    begin(&region, seed);
    while (refused < REFUSALS) {
        refused += !add_vm(&region);
    }
    work(region.placer, region.state);
    assert_true(all_survivable(region.placer, region.state, seed));
    placer_rebuild(fresh, region.state);
    work(fresh, region.state);
    proved = all_survivable(fresh, region.state, seed);
    placer_destroy(fresh);
    placer_destroy(region.placer);
    state_destroy(region.state);
    return proved;
}

static void a_new_leader_finds_what_the_former_one_kept(void **unused)
{
    uint32_t failed = 0;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(seeds) && seeds_wanted == 0; i++) {
        failed += !succeeds(seeds[i]);
    }
    for (uint64_t seed = 1; seed <= seeds_wanted; seed++) {
        failed += !succeeds(seed);
    }
    assert_int_equal(failed, 0);
}

static void set_mode(struct region *region, enum headroom_mode mode)
{
    struct change change = {.kind = CHANGE_POLICY};

    change.policy.policy = *state_policy(region->state);
    change.policy.policy.headroom = mode;
    state_apply(region->state, &change, NULL);
    placer_settings_changed(region->placer, region->state);
    work(region->placer, region->state);
}

/* For a VM of each size. */
static void assert_chooses_as_new(struct region *region)
{
    struct placer *fresh = placer_create();

    placer_rebuild(fresh, region->state);
    work(fresh, region->state);
    for (uint32_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct vm vm = {
            .class_slot = i,
            .zone = SLOT_NONE,
            .host = SLOT_NONE,
            .last_host = SLOT_NONE,
            .move_zone = SLOT_NONE,
            .move_host = SLOT_NONE,
            .driver = DRIVER_QEMU,
        };
        struct placement_request request = {&vm, SLOT_NONE};
        struct placement_choice expected;
        struct placement_choice choice;

        placer_choose(fresh, region->state, &request, &expected);
        placer_choose(region->placer, region->state, &request, &choice);
        assert_memory_equal(&choice, &expected, sizeof(choice));
    }
    placer_destroy(fresh);
}

static void a_change_of_the_mode_is_a_new_beginning(void **unused)
{
    struct region region;

    (void)unused;
    begin(&region, 1);
    while (add_vm(&region)) {
    }
    for (int i = 0; i < 2; i++) {
        set_mode(&region, HEADROOM_OFF);
        assert_chooses_as_new(&region);
        assert_true(add_vm(&region));
        set_mode(&region, HEADROOM_ENFORCE);
        assert_chooses_as_new(&region);
        set_mode(&region, HEADROOM_WARN);
        assert_chooses_as_new(&region);
    }
    placer_destroy(region.placer);
    state_destroy(region.state);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_leader_finds_what_the_former_one_kept),
        cmocka_unit_test(a_change_of_the_mode_is_a_new_beginning),
    };

    if (argc == 3 && strcmp(argv[1], "--long") == 0) {
        seeds_wanted = strtoul(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
