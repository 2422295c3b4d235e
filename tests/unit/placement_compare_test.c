/* SPDX-License-Identifier: Apache-2.0
 *
 * One row for each rule of placement/compare.c: of two hosts, the first wins by
 * this rule although all later rules say the contrary. */
#include "base/container.h"
#include "placement/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Zone 0 is half full; 1 and 2 are empty. */
#define FULLER 0
#define FREE   1
#define FREE_2 2

struct row {
    const char *rule;
    uint8_t zone_rule; /* Of the group; 0: no group. */
    uint32_t prefer_zone;
    uint32_t failed_on; /* Host; SLOT_NONE: none. */
    uint32_t counts[3]; /* Members by zone. */
    struct placement_candidate better;
    struct placement_candidate worse;
};

/* In the order host, zone, members in the domain, on the host, then what the
 * ranks say: score, left over, cell. */
static const struct row rows[] = {
    {"1: it failed there",
     0,
     FREE,
     1,
     {0},
     {9, FULLER, 2, 2, {9, 9, 9}},
     {1, FREE, 1, 1, {1, 1, 1}}},
    {"1: before the group's rule",
     ZONE_RULE_SPREAD,
     FREE,
     1,
     {2, 1, 0},
     {9, FULLER, 2, 2, {9, 9, 9}},
     {1, FREE, 1, 1, {1, 1, 1}}},
    {"2: spread, fewest members",
     ZONE_RULE_SPREAD,
     FREE,
     SLOT_NONE,
     {1, 2, 0},
     {9, FULLER, 2, 2, {9, 9, 9}},
     {1, FREE, 1, 1, {1, 1, 1}}},
    {"2: apart, likewise",
     ZONE_RULE_APART,
     FREE,
     SLOT_NONE,
     {1, 2, 0},
     {9, FULLER, 2, 2, {9, 9, 9}},
     {1, FREE, 1, 1, {1, 1, 1}}},
    {"2: together, most members",
     ZONE_RULE_TOGETHER,
     FREE,
     SLOT_NONE,
     {2, 1, 0},
     {9, FULLER, 2, 2, {9, 9, 9}},
     {1, FREE, 1, 1, {1, 1, 1}}},
    {"2: any zone, members do not count",
     ZONE_RULE_ANY,
     FREE,
     SLOT_NONE,
     {2, 1, 0},
     {9, FULLER, 1, 2, {9, 9, 9}},
     {1, FREE, 2, 1, {1, 1, 1}}},
    {"2: a tie",
     ZONE_RULE_SPREAD,
     FREE,
     SLOT_NONE,
     {2, 2, 0},
     {9, FULLER, 1, 2, {9, 9, 9}},
     {1, FREE, 2, 1, {1, 1, 1}}},
    {"3: fewest in the fault domain",
     0,
     FREE,
     SLOT_NONE,
     {0},
     {9, FULLER, 1, 2, {9, 9, 9}},
     {1, FREE, 2, 1, {1, 1, 1}}},
    {"4: fewest on the host",
     0,
     FREE,
     SLOT_NONE,
     {0},
     {9, FULLER, 1, 1, {9, 9, 9}},
     {1, FREE, 1, 2, {1, 1, 1}}},
    {"5: the preferred zone",
     0,
     FULLER,
     SLOT_NONE,
     {0},
     {9, FULLER, 1, 1, {9, 9, 9}},
     {1, FREE, 1, 1, {1, 1, 1}}},
    {"6: the least loaded zone",
     0,
     SLOT_NONE,
     SLOT_NONE,
     {0},
     {9, FREE, 1, 1, {9, 9, 9}},
     {1, FULLER, 1, 1, {1, 1, 1}}},
    {"6: then the lower slot",
     0,
     SLOT_NONE,
     SLOT_NONE,
     {0},
     {9, FREE, 1, 1, {9, 9, 9}},
     {1, FREE_2, 1, 1, {1, 1, 1}}},
    {"7: the lower score",
     0,
     SLOT_NONE,
     SLOT_NONE,
     {0},
     {9, FREE, 1, 1, {1, 9, 9}},
     {1, FREE, 1, 1, {2, 1, 1}}},
    {"7: then less left over",
     0,
     SLOT_NONE,
     SLOT_NONE,
     {0},
     {9, FREE, 1, 1, {1, 1, 9}},
     {1, FREE, 1, 1, {1, 2, 1}}},
    {"7: then the lower cell",
     0,
     SLOT_NONE,
     SLOT_NONE,
     {0},
     {9, FREE, 1, 1, {1, 1, 1}},
     {1, FREE, 1, 1, {1, 1, 2}}},
    {"8: the lower slot",
     0,
     SLOT_NONE,
     SLOT_NONE,
     {0},
     {1, FREE, 1, 1, {1, 1, 1}},
     {9, FREE, 1, 1, {1, 1, 1}}},
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void add_zone(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    change.zone_create.name = text_of(name);
    state_apply(state, &change, NULL);
    change = (struct change){.kind = CHANGE_HOST_REGISTER};
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_named(state, text_of(name))->uid},
        .host_id = text_of(name),
        .capacity = {8000, 8192, 0, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    state_apply(state, &change, NULL);
}

/* Three zones with a host each; half of the first one's CPUs, a quarter of its
 * memory are in use. */
static struct state *region(void)
{
    struct state *state = state_create();
    struct change change = {.kind = CHANGE_CLASS_CREATE};

    add_zone(state, "za");
    add_zone(state, "zb");
    add_zone(state, "zc");
    change.class_create = (struct change_class_create){
        .name = text_of("c"), .resources = {4000, 2048, 0, 0}};
    state_apply(state, &change, NULL);
    change = (struct change){.kind = CHANGE_VM_CREATE};
    change.vm_create = (struct change_vm_create){
        .name = text_of("v"),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
    };
    state_apply(state, &change, NULL);
    change = (struct change){.kind = CHANGE_VM_ASSIGN};
    change.vm_assign = (struct change_vm_assign){
        {state_vm_at(state, 0)->uid}, {state_host_at(state, 0)->uid}, 1};
    state_apply(state, &change, NULL);
    return state;
}

static int compare(const struct state *state, const struct row *row,
                   bool turned)
{
    struct group group = {.zone_rule = row->zone_rule};
    struct vm vm = {.last_host = row->failed_on,
                    .not_before_ms = row->failed_on != SLOT_NONE};
    struct placement_query query = {
        .state = state,
        .vm = &vm,
        .group = row->zone_rule == 0 ? NULL : &group,
        .prefer_zone = row->prefer_zone,
    };

    memcpy(query.counts, row->counts, sizeof(row->counts));
    return turned ? compare_candidates(&query, &row->worse, &row->better)
                  : compare_candidates(&query, &row->better, &row->worse);
}

static void each_rule_decides_before_those_after_it(void **unused)
{
    struct state *state = region();

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (compare(state, &rows[i], false) >= 0 ||
            compare(state, &rows[i], true) <= 0) {
            fail_msg("rule %s", rows[i].rule);
        }
    }
    state_destroy(state);
}

/* A zone is as full as what runs out first. */
static void a_zones_load_is_that_of_the_scarcer_amount(void **unused)
{
    static const struct {
        uint64_t used[2]; /* CPU, memory. */
        uint64_t part;
        uint64_t whole;
    } loads[] = {
        {{50, 10}, 50, 100},
        {{10, 150}, 150, 200},
        {{0, 0}, 0, 100},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(loads); i++) {
        struct zone zone = {
            .capacity = {.cpu_milli = 100, .memory_mib = 200},
            .used = {.cpu_milli = loads[i].used[0],
                     .memory_mib = loads[i].used[1]},
        };
        struct placement_share load = placement_zone_load(&zone);

        assert_true(load.part * loads[i].whole == loads[i].part * load.whole);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_decides_before_those_after_it),
        cmocka_unit_test(a_zones_load_is_that_of_the_scarcer_amount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
