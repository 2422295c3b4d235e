/* SPDX-License-Identifier: Apache-2.0
 *
 * What headroom promises: random fleets with rules and operations in which,
 * after each step, the loss of each zone is executed on a clone and every
 * protected VM finds its place. `--long SEEDS` runs so many fleets;
 * HOLDFAST_SEED=N runs one. */
#include "base/random.h"
#include "proof.h"
#include "state/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS 15
#define STEPS 120

static unsigned long seeds = SEEDS;

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

/* --- Random fleets -------------------------------------------------------- */

static uint32_t below(struct random *random, uint32_t bound)
{
    return (uint32_t)random_below(random, bound);
}

static void random_host(struct proof *region, struct random *random,
                        uint32_t zone)
{
    static const char *const domains[] = {NULL, "r1", "r2", "r3"};
    static const char *const tiers[] = {NULL, "gold"};
    struct proof_host wish = {
        .zone = zone,
        .cpu_milli = 4000 + 2000 * below(random, 7),
        .memory_mib = 8192 + 4096 * below(random, 7),
        .pool_count = below(random, 3),
        .domain = domains[below(random, 4)],
        .tier = tiers[below(random, 2)],
    };

    proof_add_host(region, &wish);
}

static void random_group(struct proof *region, struct random *random,
                         uint32_t number)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};
    struct group_fields *fields = &change.group_create.fields;
    char name[16];

    snprintf(name, sizeof(name), "g%u", number);
    change.group_create.name = text_of(name);
    *fields = (struct group_fields){
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_QEMU,
        .zone_rule = (enum zone_rule)(1 + below(random, 4)),
        .max_skew = 1 + below(random, 2),
        .zone_mode = (enum rule_mode)(1 + below(random, 2)),
        .domain_mode = below(random, 3),
        .domain_max = 1 + below(random, 3),
        .host_mode = below(random, 3),
        .host_max = 1 + below(random, 2),
        .unprotected = below(random, 8) == 0,
    };
    proof_apply(region, &change);
}

static void random_region(struct proof *region, struct random *random)
{
    uint32_t zones = 2 + below(random, 4);

    proof_init(region, zones, HEADROOM_ENFORCE);
    for (uint32_t zone = 0; zone < zones; zone++) {
        uint32_t hosts = 2 + below(random, 5);

        for (uint32_t i = 0; i < hosts; i++) {
            random_host(region, random, zone);
        }
    }
    proof_add_class(region, "c0", 500, 1024, 0);
    proof_add_class(region, "c1", 1000, 1024, 0);
    proof_add_class(region, "c2", 2000, 6144, 0);
    proof_add_class(region, "c3", 4000, 4096, 0);
    proof_add_class(region, "c4", 1500, 3000, 3 + below(random, 2) * 4);
    for (uint32_t i = 0; i < 4; i++) {
        random_group(region, random, i);
    }
}

static uint32_t random_vm(struct proof *region, struct random *random)
{
    static const struct text pools[] = {{"p0", 2}, {"p1", 2}};
    struct label label = {{"tier", 4}, {"gold", 4}};
    struct change_vm_create wish = {
        .class = proof_class_at(region, below(random, 5)),
        .priority = below(random, 3),
        .pools = pools,
    };
    struct bytes selector;
    uint32_t vm;

    bytes_init(&selector);
    switch (below(random, 12)) {
    case 0:
        wish.pool_count = 1 + below(random, 2);
        wish.pool_count =
            state_pool_bit(region->state, pools[wish.pool_count - 1]) == 0
                ? 0
                : wish.pool_count;
        break;
    case 1:
        assert_int_equal(labels_encode(&label, 1, &selector), 0);
        wish.selector =
            (struct text){(const char *)selector.data, (uint32_t)selector.len};
        break;
    case 2:
        wish.preemptible = true;
        break;
    case 3:
        wish.zone.uid = state_zone_at(region->state, 0)->uid;
        break;
    case 4:
        wish.on_partition = ON_PARTITION_KEEP;
        break;
    case 5:
        wish.disk_zone_mask = 3;
        break;
    case 6:
    case 7:
    case 8:
        wish.group.uid = state_group_at(region->state, below(random, 4))->uid;
        break;
    default:
        break;
    }
    vm = proof_add_vm(region, wish);
    bytes_close(&selector);
    return vm;
}

static uint32_t random_vm_slot(struct proof *region, struct random *random)
{
    uint32_t slots = state_vm_slots(region->state);
    uint32_t from = slots == 0 ? 0 : below(random, slots);

    for (uint32_t i = 0; i < slots; i++) {
        uint32_t slot = (from + i) % slots;

        if (state_vm_at(region->state, slot) != NULL) {
            return slot;
        }
    }
    return SLOT_NONE;
}

/* The VM leaves its host and is placed again. */
static void move_vm(struct proof *region, uint32_t slot)
{
    const struct vm *vm = state_vm_at(region->state, slot);
    struct change change = {.kind = CHANGE_VM_RELEASE};
    struct placement_choice choice;

    if (vm->host != SLOT_NONE) {
        change.vm_release = (struct change_vm_release){
            .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"moved", 5}};
        proof_apply(region, &change);
        proof_place_or_remove(region, slot, &choice);
    }
}

static bool is_in_strict_group(const struct proof *region, uint32_t slot)
{
    const struct vm *vm = state_vm_at(region->state, slot);
    const struct group *group =
        vm->group_plus1 == 0
            ? NULL
            : state_group_at(region->state, vm->group_plus1 - 1);

    return group != NULL && group->zone_mode == RULE_MODE_STRICT &&
           group->zone_rule != ZONE_RULE_ANY;
}

/* --- Steps of operation: none of them is an admission. */

static uint32_t random_host_slot(struct proof *region, struct random *random)
{
    return below(random, state_host_slots(region->state));
}

static void toggle_host(struct proof *region, struct random *random)
{
    const struct host *host =
        state_host_at(region->state, random_host_slot(region, random));
    struct change change = {.kind = CHANGE_HOST_CORDON};

    change.host_cordon =
        (struct change_host_cordon){{host->uid}, !host->cordoned};
    if (below(random, 3) == 0) {
        change.kind = CHANGE_HOST_DRAIN;
        change.host_drain = (struct change_host_drain){
            {host->uid}, !host->draining, 0, 0, DRAIN_END_NONE, false};
    }
    proof_apply(region, &change);
}

static void toggle_zone(struct proof *region, struct random *random)
{
    const struct zone *zone = state_zone_at(
        region->state, below(random, state_zone_slots(region->state)));
    struct change change = {.kind = CHANGE_ZONE_CORDON};

    change.zone_cordon =
        (struct change_zone_cordon){{zone->uid}, !zone->cordoned};
    if (below(random, 3) == 0) {
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain = (struct change_zone_drain){
            {zone->uid}, !zone->draining, 0, 0, DRAIN_END_NONE, false};
    }
    proof_apply(region, &change);
}

/* What was lost with a host goes elsewhere; some of it only later. */
static void place_pending(struct proof *region, struct random *random)
{
    uint32_t slot = state_pending_first(region->state);

    while (slot != SLOT_NONE) {
        const struct vm *vm = state_vm_at(region->state, slot);
        uint32_t next = vm->host_next;
        struct placement_choice choice;

        if (below(random, 3) > 0) {
            proof_choose(region, slot, &choice);
            if (choice.host != SLOT_NONE) {
                proof_assign(region, slot, choice.host);
            }
        }
        slot = next;
    }
}

static void lose_host(struct proof *region, struct random *random)
{
    const struct host *host =
        state_host_at(region->state, random_host_slot(region, random));
    struct change change = {.kind = CHANGE_HOST_FENCE};

    change.host_fence =
        (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
    proof_apply(region, &change);
    place_pending(region, random);
}

static void lost_host_returns(struct proof *region, struct random *random)
{
    uint32_t from = random_host_slot(region, random);
    uint32_t slots = state_host_slots(region->state);

    for (uint32_t i = 0; i < slots; i++) {
        const struct host *host =
            state_host_at(region->state, (from + i) % slots);
        struct change change = {.kind = CHANGE_HOST_REGISTER};

        if (host->state == HOST_LOST) {
            change.host_register = (struct change_host_register){
                .name = text_of(host->name),
                .zone = {state_zone_at(region->state, host->zone)->uid},
                .host_id = text_of(host->name),
                .boot_id = text_of(host->name),
                .capacity = host->capacity,
                .driver_mask = 1 << DRIVER_QEMU,
            };
            change.host_register.capacity.cpu_milli =
                4000 + 2000 * below(random, 7);
            if (host->vm_count > 0) {
                change.host_register.capacity = host->capacity;
            }
            proof_apply(region, &change);
            return;
        }
    }
}

static void operate(struct proof *region, struct random *random)
{
    switch (below(random, 6)) {
    case 0:
        toggle_zone(region, random);
        break;
    case 1:
        lose_host(region, random);
        break;
    case 2:
        lost_host_returns(region, random);
        break;
    case 3:
        place_pending(region, random);
        break;
    default:
        toggle_host(region, random);
    }
}

/* True when what the others count on may be less afterwards though nobody was
 * admitted: by operation, or when a member left a group with a strict rule for
 * zones. The others' slots may then break it where they are (one zone has too
 * few now), or one that had no zone to go to has one. */
static bool one_step(struct proof *region, struct random *random, bool operated)
{
    struct placement_choice choice;
    uint32_t what = below(random, operated ? 12 : 10);
    uint32_t slot = random_vm_slot(region, random);
    bool leaves = slot != SLOT_NONE && is_in_strict_group(region, slot);

    if (what >= 10) {
        operate(region, random);
        return true;
    }
    if (what >= 3 || slot == SLOT_NONE) {
        proof_place_or_remove(region, random_vm(region, random), &choice);
        return false;
    }
    if (what == 0) {
        move_vm(region, slot);
    } else {
        proof_remove_vm(region, slot);
    }
    return leaves;
}

static uint32_t unplaceable_in_all(struct proof *region)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < state_zone_slots(region->state); i++) {
        count += proof_unplaceable(region, i);
    }
    return count;
}

static void live(uint64_t seed, bool operated)
{
    struct proof region;
    struct random random;
    uint32_t known = 0;

    random_init(&random, seed);
    random_region(&region, &random);
    for (int i = 0; i < STEPS; i++) {
        bool may_break = one_step(&region, &random, operated);
        uint32_t count = unplaceable_in_all(&region);

        if (count > known && !may_break) {
            fail_msg("seed %llu: step %d leaves %u VMs without a slot, %u more",
                     (unsigned long long)seed, i, count, count - known);
        }
        known = count;
        proof_check_losses(&region);
    }
    proof_close(&region);
}

static void live_all(bool operated)
{
    const char *only = getenv("HOLDFAST_SEED");

    if (only != NULL) {
        live(strtoull(only, NULL, 10), operated);
        return;
    }
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        fprintf(stderr, "\rHOLDFAST_SEED=%llu ", (unsigned long long)seed);
        live(seed, operated);
    }
    fprintf(stderr, "\n");
}

static void every_zone_may_be_lost_after_each_admission(void **unused)
{
    (void)unused;
    live_all(false);
}

static void slots_hold_while_hosts_and_zones_come_and_go(void **unused)
{
    (void)unused;
    live_all(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_zone_may_be_lost_after_each_admission),
        cmocka_unit_test(slots_hold_while_hosts_and_zones_come_and_go),
    };

    if (argc == 3 && strcmp(argv[1], "--long") == 0) {
        seeds = strtoul(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
