/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan after a loss keeps the rules: of hosts, of groups, of reservations.
 */
#include "lossy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void rules_of_hosts_are_kept(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 32);
    lossy_add_host(state, (struct lossy_host){.name = "a1",
                                              .zone = "za",
                                              .cpus = 32,
                                              .gib = 64,
                                              .rack = "r1",
                                              .pool = "ssd"});
    lossy_plain_host(state, "b0", "zb", 64);
    lossy_add_host(
        state,
        (struct lossy_host){
            .name = "b1", .zone = "zb", .cpus = 4, .gib = 8, .rack = "r1"});
    lossy_add_host(
        state,
        (struct lossy_host){
            .name = "b2", .zone = "zb", .cpus = 2, .gib = 4, .pool = "ssd"});
    lossy_add_vm(state, (struct lossy_vm){.name = "zonal",
                                          .class = "small",
                                          .host = "a0",
                                          .zone = "za"});
    lossy_add_vm(state, (struct lossy_vm){.name = "racked",
                                          .class = "large",
                                          .host = "a1",
                                          .rack = "r1"});
    lossy_add_vm(state, (struct lossy_vm){.name = "racked2",
                                          .class = "small",
                                          .host = "a1",
                                          .rack = "r1"});
    lossy_add_vm(state, (struct lossy_vm){.name = "pooled",
                                          .class = "medium",
                                          .host = "a1",
                                          .pool = "ssd"});
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "free", .class = "large", .host = "a0"});
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "zonal"), "none");
    assert_string_equal(lossy_goes(state, it, "racked"), "b1");
    assert_string_equal(lossy_goes(state, it, "racked2"), "none");
    assert_string_equal(lossy_goes(state, it, "pooled"), "b2");
    assert_string_equal(lossy_goes(state, it, "free"), "b0");
    lossy_end(state, it);
}

static void local_disks_bind_to_their_host(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 8);
    lossy_plain_host(state, "b0", "zb", 8);
    lossy_add_vm(state, (struct lossy_vm){.name = "lost",
                                          .class = "small",
                                          .host = "a0",
                                          .local_disk = true});
    lossy_add_vm(state, (struct lossy_vm){.name = "well",
                                          .class = "small",
                                          .host = "b0",
                                          .local_disk = true});
    lossy_apply(state, (struct change){
                           .kind = CHANGE_VM_RELEASE,
                           .vm_release = {.vm = {lossy_uid_of(state, "well")},
                                          .epoch = 1,
                                          .reason = text_of("")}});
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "lost"), "none");
    assert_string_equal(lossy_goes(state, it, "well"), "b0");
    lossy_end(state, it);
}

/* Three members in za; zb and zc have room, zb more. */
static struct state *grouped(struct group_fields fields)
{
    struct state *state = lossy_region();
    char name[8];

    lossy_plain_host(state, "a0", "za", 16);
    lossy_add_group(state, "g", fields);
    lossy_add_host(state, (struct lossy_host){.name = "b0",
                                              .zone = "zb",
                                              .cpus = 64,
                                              .gib = 128,
                                              .domain = "d0"});
    lossy_add_host(state, (struct lossy_host){.name = "b1",
                                              .zone = "zb",
                                              .cpus = 64,
                                              .gib = 128,
                                              .domain = "d0"});
    lossy_add_host(state, (struct lossy_host){.name = "b2",
                                              .zone = "zb",
                                              .cpus = 64,
                                              .gib = 128,
                                              .domain = "d1"});
    lossy_add_host(
        state,
        (struct lossy_host){
            .name = "c0", .zone = "zc", .cpus = 8, .gib = 16, .domain = "d0"});
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        lossy_add_vm(state, (struct lossy_vm){.name = name,
                                              .class = "small",
                                              .host = "a0",
                                              .group = "g"});
    }
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "filler", .class = "large", .host = "c0"});
    lossy_lose_zone(state, "za");
    return state;
}

static uint32_t in_zone(const struct state *state, const struct evacuation *it,
                        const char *zone)
{
    return (uint32_t)(strcmp(lossy_zone_of(state, it, "v0"), zone) == 0) +
           (uint32_t)(strcmp(lossy_zone_of(state, it, "v1"), zone) == 0) +
           (uint32_t)(strcmp(lossy_zone_of(state, it, "v2"), zone) == 0);
}

static void a_spread_group_stays_even(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_SPREAD,
                                      .zone_mode = RULE_MODE_STRICT,
                                      .max_skew = 1});
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_true(in_zone(state, it, "zb") >= 1 && in_zone(state, it, "zc") >= 1);
    lossy_end(state, it);
}

static void a_group_apart_leaves_what_has_no_zone(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_APART,
                                      .zone_mode = RULE_MODE_STRICT,
                                      .max_skew = 1});
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 1);
    assert_int_equal(in_zone(state, it, "zb"), 1);
    assert_int_equal(in_zone(state, it, "zc"), 1);
    lossy_end(state, it);
}

static void a_group_together_stays_together(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_TOGETHER,
                                      .zone_mode = RULE_MODE_STRICT,
                                      .max_skew = 1});
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_true(in_zone(state, it, "zb") == 3 || in_zone(state, it, "zc") == 3);
    lossy_end(state, it);
}

static void strict_domains_and_hosts_are_kept(void **unused)
{
    struct group_fields domains = {.zone_rule = ZONE_RULE_ANY,
                                   .zone_mode = RULE_MODE_BEST_EFFORT,
                                   .max_skew = 1,
                                   .domain_mode = RULE_MODE_STRICT,
                                   .domain_max = 1};
    struct group_fields hosts = {.zone_rule = ZONE_RULE_ANY,
                                 .zone_mode = RULE_MODE_BEST_EFFORT,
                                 .max_skew = 1,
                                 .zone_mask = 2,
                                 .host_mode = RULE_MODE_STRICT,
                                 .host_max = 1};
    struct state *state = grouped(domains);
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    /* d0 and d1 of zb, d0 of zc: one each. */
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_int_equal(in_zone(state, it, "zb"), 2);
    lossy_end(state, it);
    state = grouped(hosts);
    it = lossy_plan(state);
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_string_not_equal(lossy_goes(state, it, "v0"),
                            lossy_goes(state, it, "v1"));
    assert_string_not_equal(lossy_goes(state, it, "v1"),
                            lossy_goes(state, it, "v2"));
    assert_string_not_equal(lossy_goes(state, it, "v0"),
                            lossy_goes(state, it, "v2"));
    lossy_end(state, it);
}

static void a_best_effort_rule_never_costs_a_place(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_APART,
                                      .zone_mode = RULE_MODE_BEST_EFFORT,
                                      .max_skew = 1,
                                      .domain_mode = RULE_MODE_BEST_EFFORT,
                                      .domain_max = 1,
                                      .host_mode = RULE_MODE_BEST_EFFORT,
                                      .host_max = 1});
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_int_equal(in_zone(state, it, "zb"), 2);
    lossy_end(state, it);
}

static void reserved_room_is_for_what_was_lost(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 8);
    lossy_plain_host(state, "b0", "zb", 4);
    lossy_apply(
        state,
        (struct change){.kind = CHANGE_RESERVATION_SET,
                        .reservation_set = {
                            text_of("spare"),
                            {state_zone_named(state, text_of("zb"))->uid},
                            {state_class_named(state, text_of("medium"))->uid},
                            2}});
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "lost", .class = "medium", .host = "a0"});
    lossy_add_vm(state, (struct lossy_vm){.name = "new",
                                          .class = "small",
                                          .host = NULL,
                                          .priority = 1000});
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "lost"), "b0");
    assert_string_equal(lossy_goes(state, it, "new"), "none");
    lossy_end(state, it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rules_of_hosts_are_kept),
        cmocka_unit_test(local_disks_bind_to_their_host),
        cmocka_unit_test(a_spread_group_stays_even),
        cmocka_unit_test(a_group_apart_leaves_what_has_no_zone),
        cmocka_unit_test(a_group_together_stays_together),
        cmocka_unit_test(strict_domains_and_hosts_are_kept),
        cmocka_unit_test(a_best_effort_rule_never_costs_a_place),
        cmocka_unit_test(reserved_room_is_for_what_was_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
