/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether headroom lets a host be drained: what the question must cope with. */
#include "placement/headroom.h"

#include <setjmp.h>
#include <stdarg.h>
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

static struct state *region(void)
{
    struct state *state = state_create();
    struct change policy = {.kind = CHANGE_POLICY};

    state_begin(state, 1000);
    policy_init(&policy.policy.policy);
    policy.policy.policy.headroom = HEADROOM_ENFORCE;
    apply(state, policy);
    add_zone_with_host(state, "za", "a");
    add_zone_with_host(state, "zb", "b");
    add_zone_with_host(state, "zc", "c");
    apply(state,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {.name = text_of("small"),
                                           .resources = {1000, 1024, 0, 0}}});
    return state;
}

static bool may_drain(const struct state *state, uint32_t host, uint32_t zone)
{
    struct placer *placer = placer_create();
    struct placement_headroom missing;
    bool allowed;

    placer_rebuild(placer, state);
    allowed = headroom_allows_drain(placer, state, host, zone, &missing);
    placer_destroy(placer);
    return allowed;
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
    static const char *const names[] = {"u", "v", "w", "x", "y", "z"};
    struct state *state = region();

    (void)unused;
    for (uint32_t i = 0; i < 3; i++) {
        add_vm_on(state, names[i], i, ON_PARTITION_MOVE);
    }
    assert_true(may_drain(state, 0, SLOT_NONE));
    for (uint32_t i = 3; i < 6; i++) {
        add_vm_on(state, names[i], i - 3, ON_PARTITION_MOVE);
    }
    /* Six of twelve: of the eight that are left four would have to do. */
    assert_false(may_drain(state, 0, SLOT_NONE));
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_vm_that_waits_for_its_lost_host_does_not_leave),
        cmocka_unit_test(a_drain_that_leaves_too_little_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
