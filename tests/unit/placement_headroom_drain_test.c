/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether headroom lets a host be drained: what the question must cope with. */
#include "placement/headroom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct state *state, struct change change)
{
    state_apply(state, &change, NULL);
}

static void add_zone_with_host(struct state *state, const char *zone,
                               const char *host)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                 .zone_create = {text_of(zone)}});
    change.host_register = (struct change_host_register){
        .name = text_of(host),
        .zone = {state_zone_named(state, text_of(zone))->uid},
        .host_id = text_of("id"),
        .boot_id = text_of("boot"),
        .capacity = {4000, 4096, 100, 0},
        .driver_mask = 1 << DRIVER_EXEC,
    };
    apply(state, change);
}

static void add_vm_on(struct state *state, const char *name, uint32_t host,
                      enum on_partition on_partition)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = on_partition,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
    };
    apply(state, change);
    apply(state, (struct change){
                     .kind = CHANGE_VM_ASSIGN,
                     .vm_assign = {{state_vm_named(state, text_of(name))->uid},
                                   {state_host_at(state, host)->uid},
                                   1}});
}

static void set_headroom(struct state *state, enum headroom_mode mode)
{
    struct change policy = {.kind = CHANGE_POLICY};

    policy_init(&policy.policy.policy);
    policy.policy.policy.headroom = mode;
    apply(state, policy);
}

/* Zones za, zb, zc with a host of four CPUs each. */
static struct state *region(void)
{
    struct state *state = state_create();

    state_begin(state, 1000);
    set_headroom(state, HEADROOM_ENFORCE);
    add_zone_with_host(state, "za", "a");
    add_zone_with_host(state, "zb", "b");
    add_zone_with_host(state, "zc", "c");
    apply(state,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {.name = text_of("small"),
                                           .resources = {1000, 1024, 0, 0}}});
    return state;
}

/* So many on each host. */
static void fill(struct state *state, uint32_t count)
{
    char name[16];

    for (uint32_t i = 0; i < 3 * count; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        add_vm_on(state, name, i % 3, ON_PARTITION_MOVE);
    }
}

static struct placement_headroom missing;

static bool may_drain(const struct state *state, uint32_t host, uint32_t zone)
{
    struct placer *placer = placer_create();
    enum headroom_answer answer;

    placer_rebuild(placer, state);
    answer = headroom_allows_drain(placer, state, host, zone, &missing);
    placer_destroy(placer);
    assert_int_not_equal(answer, HEADROOM_ASK_AGAIN);
    return answer == HEADROOM_YES;
}

static bool may_offer_in(const struct state *state, uint64_t zones)
{
    struct placer *placer = placer_create();
    enum headroom_answer answer;

    placer_rebuild(placer, state);
    answer = headroom_allows_class(placer, state, 0, zones, &missing);
    placer_destroy(placer);
    assert_int_not_equal(answer, HEADROOM_ASK_AGAIN);
    return answer == HEADROOM_YES;
}

/* Found by the simulator (rich seeds 26, 76 and 99): it could go nowhere, and
 * back to its host neither. */
static void a_vm_that_waits_for_its_lost_host_does_not_leave(void **unused)
{
    struct state *state = region();

    (void)unused;
    add_vm_on(state, "keeps", 0, ON_PARTITION_KEEP);
    apply(state, (struct change){.kind = CHANGE_HOST_FENCE,
                                 .host_fence = {{state_host_at(state, 0)->uid},
                                                FENCE_LEASE_ENDED}});
    assert_int_equal(state_vm_at(state, 0)->state, VM_LOST);
    for (uint32_t host = 1; host < 3; host++) {
        apply(state,
              (struct change){
                  .kind = CHANGE_HOST_CORDON,
                  .host_cordon = {{state_host_at(state, host)->uid}, true}});
    }
    assert_true(may_drain(state, 0, SLOT_NONE));
    assert_true(may_drain(state, SLOT_NONE, 0));
    state_destroy(state);
}

static void a_drain_that_leaves_too_little_is_refused(void **unused)
{
    struct state *state = region();

    (void)unused;
    fill(state, 1);
    assert_true(may_drain(state, 0, SLOT_NONE));
    assert_true(may_drain(state, SLOT_NONE, 0));
    state_destroy(state);
    state = region();
    fill(state, 2);
    /* Six of twelve: of the eight that are left four would have to do. */
    assert_false(may_drain(state, 0, SLOT_NONE));
    assert_false(may_drain(state, SLOT_NONE, 0));
    assert_true(missing.count > 0);
    assert_true(missing.zone == 1 || missing.zone == 2);
    state_destroy(state);
}

/* The proof is asked for whatever it is then used for. */
static void warnings_are_worked_out_as_refusals_are(void **unused)
{
    struct state *state = region();

    (void)unused;
    fill(state, 2);
    set_headroom(state, HEADROOM_WARN);
    assert_false(may_drain(state, 0, SLOT_NONE));
    set_headroom(state, HEADROOM_OFF);
    assert_true(may_drain(state, 0, SLOT_NONE));
    assert_true(may_offer_in(state, 1));
    state_destroy(state);
}

/* In the last zone nobody is protected any longer, room or not. */
static void a_drain_that_leaves_one_zone_is_refused(void **unused)
{
    struct state *state = region();

    (void)unused;
    add_vm_on(state, "v", 0, ON_PARTITION_MOVE);
    apply(state, (struct change){
                     .kind = CHANGE_ZONE_CORDON,
                     .zone_cordon = {{state_zone_at(state, 2)->uid}, true}});
    assert_false(may_drain(state, SLOT_NONE, 0));
    assert_int_equal(missing.count, 1);
    state_destroy(state);
}

/* What never was protected does not hold a drain up. */
static void vms_without_protection_are_no_reason(void **unused)
{
    struct state *state = region();

    (void)unused;
    fill(state, 1);
    add_vm_on(state, "keeps0", 0, ON_PARTITION_KEEP);
    add_vm_on(state, "keeps1", 1, ON_PARTITION_KEEP);
    assert_true(may_drain(state, 0, SLOT_NONE));
    state_destroy(state);
}

static void add_strict_group(struct state *state)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};

    change.group_create.name = text_of("web");
    change.group_create.fields = (struct group_fields){
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_EXEC,
        .zone_rule = ZONE_RULE_APART,
        .zone_mode = RULE_MODE_STRICT,
    };
    apply(state, change);
}

static void add_member_on(struct state *state, const char *name, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .group = {state_group_at(state, 0)->uid},
    };
    apply(state, change);
    apply(state, (struct change){
                     .kind = CHANGE_VM_ASSIGN,
                     .vm_assign = {{state_vm_named(state, text_of(name))->uid},
                                   {state_host_at(state, host)->uid},
                                   1}});
}

/* A pair in two of three zones has the third one to fall back on. */
static void a_pair_needs_its_third_zone(void **unused)
{
    struct state *state = region();

    (void)unused;
    add_strict_group(state);
    add_member_on(state, "one", 0);
    add_member_on(state, "two", 1);
    assert_false(may_drain(state, SLOT_NONE, 2));
    assert_false(may_drain(state, 2, SLOT_NONE));
    state_destroy(state);
    state = region();
    add_strict_group(state);
    add_member_on(state, "one", 0);
    assert_true(may_drain(state, SLOT_NONE, 2));
    state_destroy(state);
}

static void a_class_stays_offered_where_it_is_needed(void **unused)
{
    struct state *state = region();

    (void)unused;
    fill(state, 2);
    assert_true(may_offer_in(state, 7));
    /* The four of za and zb would need room in each other's two. */
    assert_true(may_offer_in(state, 3));
    /* In one zone alone nothing has a second place. */
    assert_false(may_offer_in(state, 1));
    assert_int_equal(missing.count, 2);
    assert_int_equal(missing.zone, 0);
    assert_int_equal(missing.class_slot, 0);
    state_destroy(state);
    state = region();
    fill(state, 2);
    add_vm_on(state, "more", 0, ON_PARTITION_MOVE);
    assert_true(may_offer_in(state, 0));
    /* Three of za find two places in zb. */
    assert_false(may_offer_in(state, 3));
    assert_int_equal(missing.zone, 0);
    assert_int_equal(missing.count, 1);
    state_destroy(state);
}

/* --- Regions that are too large to answer at once --------------------------
 */

#define LARGE_HOSTS 10 /* More in each zone. */

static struct state *large_region(uint32_t vms)
{
    struct state *state = region();
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[16];

    for (uint32_t i = 0; i < 3 * LARGE_HOSTS; i++) {
        snprintf(name, sizeof(name), "big%u", i);
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(state, i % 3)->uid},
            .host_id = text_of("id"),
            .boot_id = text_of("boot"),
            .capacity = {220000, 220 * 1024, 100, 0},
            .driver_mask = 1 << DRIVER_EXEC,
        };
        apply(state, change);
    }
    for (uint32_t i = 0; i < vms; i++) {
        snprintf(name, sizeof(name), "v%u", i);
        add_vm_on(state, name, 3 + i % (3 * LARGE_HOSTS), ON_PARTITION_MOVE);
    }
    return state;
}

/* Asks until there is an answer; how often something was done for it. */
static enum headroom_answer ask(struct placer *placer,
                                const struct state *state, uint32_t host,
                                uint32_t zone, uint32_t *slices)
{
    enum headroom_answer answer;

    *slices = 0;
    while ((answer = headroom_allows_drain(placer, state, host, zone,
                                           &missing)) == HEADROOM_ASK_AGAIN) {
        headroom_work(placer, state, 5000);
        (*slices)++;
    }
    return answer;
}

/* 4,200 of 6,612 CPUs: a host may go, a zone may not. */
static void large_regions_are_asked_again(void **unused)
{
    struct state *state = large_region(4200);
    struct placer *placer = placer_create();
    uint32_t slices;

    (void)unused;
    placer_rebuild(placer, state);
    assert_int_equal(ask(placer, state, 0, SLOT_NONE, &slices), HEADROOM_YES);
    assert_true(slices > 3);
    assert_int_equal(ask(placer, state, SLOT_NONE, 1, &slices), HEADROOM_NO);
    assert_true(slices > 3);
    assert_true(missing.count > 0);
    /* Known by now. */
    assert_int_equal(ask(placer, state, 0, SLOT_NONE, &slices), HEADROOM_YES);
    assert_int_equal(slices, 0);
    /* But not when another drain has begun, or after a while. */
    apply(state,
          (struct change){.kind = CHANGE_HOST_DRAIN,
                          .host_drain = {.host = {state_host_at(state, 1)->uid},
                                         .draining = true}});
    placer_host_changed(placer, state, 1);
    assert_int_equal(ask(placer, state, 0, SLOT_NONE, &slices), HEADROOM_YES);
    assert_true(slices > 0);
    state_begin(state, state_time_ms(state) + HEADROOM_ANSWER_KEPT_MS + 1);
    assert_int_equal(ask(placer, state, 0, SLOT_NONE, &slices), HEADROOM_YES);
    assert_true(slices > 0);
    placer_destroy(placer);
    state_destroy(state);
}

/* Nothing is left behind of a question that nobody waits for. */
static void a_question_ends_with_the_placer(void **unused)
{
    struct state *state = large_region(4200);
    struct placer *placer = placer_create();

    (void)unused;
    placer_rebuild(placer, state);
    assert_int_equal(
        headroom_allows_drain(placer, state, 0, SLOT_NONE, &missing),
        HEADROOM_ASK_AGAIN);
    headroom_work(placer, state, 100);
    placer_rebuild(placer, state);
    assert_int_equal(
        headroom_allows_drain(placer, state, SLOT_NONE, 0, &missing),
        HEADROOM_ASK_AGAIN);
    placer_destroy(placer);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_that_waits_for_its_lost_host_does_not_leave),
        cmocka_unit_test(a_drain_that_leaves_too_little_is_refused),
        cmocka_unit_test(warnings_are_worked_out_as_refusals_are),
        cmocka_unit_test(a_drain_that_leaves_one_zone_is_refused),
        cmocka_unit_test(vms_without_protection_are_no_reason),
        cmocka_unit_test(a_pair_needs_its_third_zone),
        cmocka_unit_test(a_class_stays_offered_where_it_is_needed),
        cmocka_unit_test(large_regions_are_asked_again),
        cmocka_unit_test(a_question_ends_with_the_placer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
