/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan after a loss, one behaviour a case: a small region, what is lost,
 * who goes where, who makes room. */
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

static void nothing_pending_gives_an_empty_plan(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;
    uint32_t count;

    (void)unused;
    it = lossy_plan(state);
    evacuation_steps(it, &count);
    assert_int_equal(count, 0);
    assert_int_equal(evacuation_unplaced(it), 0);
    lossy_end(state, it);
}

static void a_lost_zone_goes_to_the_others_by_their_load(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 8);
    lossy_plain_host(state, "b0", "zb", 8);
    lossy_plain_host(state, "c0", "zc", 8);
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "v0", .class = "medium", .host = "a0"});
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "v1", .class = "medium", .host = "a0"});
    lossy_add_vm(
        state, (struct lossy_vm){.name = "w0", .class = "large", .host = "c0"});
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "v0"), "b0");
    assert_string_equal(lossy_goes(state, it, "v1"), "b0");
    assert_string_equal(lossy_goes(state, it, "w0"), "no step");
    assert_int_equal(evacuation_unplaced(it), 0);
    lossy_end(state, it);
}

static void priority_wins_the_last_room(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 8);
    lossy_plain_host(state, "b0", "zb", 2);
    lossy_add_vm(state, (struct lossy_vm){.name = "low",
                                          .class = "medium",
                                          .host = "a0",
                                          .priority = 1});
    lossy_add_vm(state, (struct lossy_vm){.name = "high",
                                          .class = "small",
                                          .host = "a0",
                                          .priority = 2});
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "high"), "b0");
    assert_string_equal(lossy_goes(state, it, "low"), "none");
    assert_int_equal(evacuation_unplaced(it), 1);
    lossy_end(state, it);
}

static void steps_come_by_priority_then_size(void **unused)
{
    static const char *const expected[] = {"h", "l", "m", "s"};
    struct state *state = lossy_region();
    struct evacuation *it;
    const struct evacuation_step *steps;
    uint32_t count;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 16);
    lossy_plain_host(state, "b0", "zb", 16);
    lossy_add_vm(
        state, (struct lossy_vm){
                   .name = "s", .class = "small", .host = "a0", .priority = 1});
    lossy_add_vm(
        state, (struct lossy_vm){
                   .name = "l", .class = "large", .host = "a0", .priority = 1});
    lossy_add_vm(state, (struct lossy_vm){.name = "m",
                                          .class = "medium",
                                          .host = "a0",
                                          .priority = 1});
    lossy_add_vm(
        state, (struct lossy_vm){
                   .name = "h", .class = "small", .host = "a0", .priority = 9});
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    steps = evacuation_steps(it, &count);
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(steps[i].vm, lossy_slot_of(state, expected[i]));
        assert_int_equal(steps[i].kind, EVACUATION_PLACE);
    }
    lossy_end(state, it);
}

static void a_host_starts_few_at_once_while_there_is_room(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;
    uint32_t starts[16] = {0};
    const struct evacuation_step *steps;
    uint32_t count;
    char name[8];

    (void)unused;
    lossy_plain_host(state, "a0", "za", 16);
    lossy_plain_host(state, "b0", "zb", 32);
    lossy_plain_host(state, "b1", "zb", 32);
    lossy_plain_host(state, "b2", "zb", 32);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        lossy_add_vm(state, (struct lossy_vm){
                                .name = name, .class = "small", .host = "a0"});
    }
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    steps = evacuation_steps(it, &count);
    for (uint32_t i = 0; i < count; i++) {
        starts[steps[i].host]++;
        assert_true(starts[steps[i].host] <= 4); /* start_parallel */
    }
    assert_int_equal(evacuation_unplaced(it), 0);
    lossy_end(state, it);
}

static void starting_few_at_once_gives_way_to_room(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;
    char name[8];

    (void)unused;
    lossy_plain_host(state, "a0", "za", 16);
    lossy_plain_host(state, "b0", "zb", 16);
    lossy_plain_host(state, "b1", "zb", 2);
    lossy_plain_host(state, "b2", "zb", 2);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        lossy_add_vm(state, (struct lossy_vm){
                                .name = name, .class = "small", .host = "a0"});
    }
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_int_equal(evacuation_unplaced(it), 0);
    lossy_end(state, it);
}

static void a_lost_host_is_restarted_in_its_zone(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 8);
    lossy_plain_host(state, "a1", "za", 8);
    lossy_plain_host(state, "b0", "zb", 8);
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "v0", .class = "medium", .host = "a0"});
    lossy_add_vm(
        state, (struct lossy_vm){.name = "w0", .class = "large", .host = "a1"});
    lossy_lose_host(state, "a0");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "v0"), "a1");
    lossy_end(state, it);
}

static void what_is_held_back_is_no_part_of_the_plan(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "b0", "zb", 4);
    lossy_add_vm(
        state, (struct lossy_vm){.name = "v0", .class = "small", .host = "b0"});
    lossy_apply(
        state, (struct change){.kind = CHANGE_VM_RELEASE,
                               .vm_release = {.vm = {lossy_uid_of(state, "v0")},
                                              .epoch = 1,
                                              .reason = text_of("exited"),
                                              .failed = true,
                                              .not_before_ms = 5000}});
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "v0"), "no step");
    lossy_end(state, it);
}

static void the_same_state_gives_the_same_plan(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *first;
    struct evacuation *second;
    const struct evacuation_step *a;
    const struct evacuation_step *b;
    uint32_t count;
    uint32_t count_again;
    char name[8];

    (void)unused;
    lossy_plain_host(state, "a0", "za", 64);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "b%d", i);
        lossy_plain_host(state, name, i % 2 == 0 ? "zb" : "zc", 6);
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        lossy_add_vm(state,
                     (struct lossy_vm){.name = name,
                                       .class = i % 3 == 0 ? "large" : "medium",
                                       .host = "a0"});
    }
    lossy_lose_zone(state, "za");
    first = lossy_plan(state);
    second = evacuation_create(state);
    while (!evacuation_work(second, 7)) {
    }
    a = evacuation_steps(first, &count);
    b = evacuation_steps(second, &count_again);
    assert_int_equal(count, count_again);
    assert_true(evacuation_unplaced(first) > 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(a[i].vm, b[i].vm);
        assert_int_equal(a[i].host, b[i].host);
        assert_int_equal(a[i].kind, b[i].kind);
    }
    evacuation_destroy(second);
    lossy_end(state, first);
}

static void run(struct state *state, const char *name)
{
    lossy_apply(state,
                (struct change){
                    .kind = CHANGE_VM_REPORT,
                    .vm_report = {{lossy_uid_of(state, name)}, 1, VM_RUNNING}});
}

static uint32_t position(const struct state *state, const struct evacuation *it,
                         const char *vm)
{
    uint32_t count;
    const struct evacuation_step *steps = evacuation_steps(it, &count);

    return (uint32_t)(lossy_step_of(state, it, vm) - steps);
}

static void a_vm_that_runs_makes_room_before_who_needs_it(void **unused)
{
    struct state *state = lossy_region();
    struct evacuation *it;

    (void)unused;
    lossy_plain_host(state, "a0", "za", 8);
    lossy_plain_host(state, "b0", "zb", 4);
    lossy_plain_host(state, "c0", "zc", 2);
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "big", .class = "large", .host = "a0"});
    lossy_add_vm(state, (struct lossy_vm){
                            .name = "small", .class = "small", .host = "b0"});
    run(state, "small");
    lossy_lose_zone(state, "za");
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "big"), "b0");
    assert_string_equal(lossy_goes(state, it, "small"), "c0");
    assert_int_equal(lossy_step_of(state, it, "small")->kind, EVACUATION_MOVE);
    assert_true(position(state, it, "small") < position(state, it, "big"));
    assert_int_equal(evacuation_unplaced(it), 0);
    lossy_end(state, it);
}

/* A full host with three preemptible VMs of priority 1, 2 and 3; a large one of
 * priority 5 was lost. */
static struct state *preemptible_region(uint32_t preempt_max)
{
    struct state *state = lossy_region();
    struct change policy = {.kind = CHANGE_POLICY};

    policy_init(&policy.policy.policy);
    policy.policy.policy.preempt_max = preempt_max;
    lossy_apply(state, policy);
    lossy_plain_host(state, "a0", "za", 4);
    lossy_plain_host(state, "b0", "zb", 6);
    lossy_add_vm(state, (struct lossy_vm){.name = "lost",
                                          .class = "large",
                                          .host = "a0",
                                          .priority = 5});
    for (uint32_t i = 1; i <= 3; i++) {
        char name[8];

        snprintf(name, sizeof(name), "p%u", i);
        lossy_add_vm(state, (struct lossy_vm){.name = name,
                                              .class = "medium",
                                              .host = "b0",
                                              .priority = i,
                                              .preemptible = true});
        run(state, name);
    }
    lossy_lose_zone(state, "za");
    return state;
}

static void the_fewest_and_lowest_are_preempted(void **unused)
{
    struct state *state = preemptible_region(4);
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    assert_string_equal(lossy_goes(state, it, "lost"), "b0");
    assert_int_equal(lossy_step_of(state, it, "p1")->kind, EVACUATION_PREEMPT);
    assert_int_equal(lossy_step_of(state, it, "p2")->kind, EVACUATION_PREEMPT);
    assert_null(lossy_step_of(state, it, "p3"));
    assert_true(position(state, it, "p2") < position(state, it, "lost"));
    lossy_end(state, it);
}

static void no_more_are_preempted_than_the_policy_says(void **unused)
{
    struct state *state = preemptible_region(1);
    struct evacuation *it = lossy_plan(state);

    (void)unused;
    assert_string_equal(lossy_goes(state, it, "lost"), "none");
    assert_null(lossy_step_of(state, it, "p1"));
    lossy_end(state, it);
}

static void who_is_not_lower_is_never_preempted(void **unused)
{
    struct state *state = preemptible_region(4);
    struct evacuation *it;

    (void)unused;
    lossy_apply(state,
                (struct change){.kind = CHANGE_VM_UPDATE,
                                .vm_update = {.vm = {lossy_uid_of(state, "p1")},
                                              .mask = VM_UPDATE_PRIORITY,
                                              .priority = 5}});
    lossy_apply(state,
                (struct change){.kind = CHANGE_VM_UPDATE,
                                .vm_update = {.vm = {lossy_uid_of(state, "p2")},
                                              .mask = VM_UPDATE_PRIORITY,
                                              .priority = 6}});
    it = lossy_plan(state);
    assert_string_equal(lossy_goes(state, it, "lost"), "none");
    assert_null(lossy_step_of(state, it, "p3"));
    lossy_end(state, it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_pending_gives_an_empty_plan),
        cmocka_unit_test(a_lost_zone_goes_to_the_others_by_their_load),
        cmocka_unit_test(priority_wins_the_last_room),
        cmocka_unit_test(steps_come_by_priority_then_size),
        cmocka_unit_test(a_host_starts_few_at_once_while_there_is_room),
        cmocka_unit_test(starting_few_at_once_gives_way_to_room),
        cmocka_unit_test(a_lost_host_is_restarted_in_its_zone),
        cmocka_unit_test(what_is_held_back_is_no_part_of_the_plan),
        cmocka_unit_test(the_same_state_gives_the_same_plan),
        cmocka_unit_test(a_vm_that_runs_makes_room_before_who_needs_it),
        cmocka_unit_test(the_fewest_and_lowest_are_preempted),
        cmocka_unit_test(no_more_are_preempted_than_the_policy_says),
        cmocka_unit_test(who_is_not_lower_is_never_preempted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
