/* SPDX-License-Identifier: Apache-2.0
 *
 * How much one turn fences: whole zones are lost at once, and the loop has to
 * go on meanwhile. What is fenced and when: node_failover_test.c. */
#include "node/judge.h"
#include "node/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define LOSS_HOSTS 3

struct loss {
    struct state *state;
    struct leases leases;
    struct judge judge;
    uint64_t now_ms;
    uint32_t turns;
    uint32_t most; /* VMs that one turn released. */
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct loss *loss, const struct change *change)
{
    state_apply(loss->state, change, NULL);
}

static void add_host(struct loss *loss, uint32_t number)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    char name[16];

    snprintf(name, sizeof(name), "h%u", number);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(loss->state, 0)->uid},
        .host_id = text_of(name),
        .boot_id = text_of("b"),
        .capacity = {UINT32_MAX, UINT32_MAX, 0, 0},
        .driver_mask = 1 << DRIVER_EXEC,
    };
    apply(loss, &change);
}

static void add_vm(struct loss *loss, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    uint32_t slot = state_vm_slots(loss->state);
    char name[16];

    snprintf(name, sizeof(name), "v%u", slot);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(loss->state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
    };
    apply(loss, &change);
    change = (struct change){.kind = CHANGE_VM_ASSIGN};
    change.vm_assign =
        (struct change_vm_assign){{state_vm_at(loss->state, slot)->uid},
                                  {state_host_at(loss->state, host)->uid},
                                  1};
    apply(loss, &change);
}

/* A zone of hosts with so many VMs, whose leases have all ended. */
static void begin(struct loss *loss, const uint32_t vms[LOSS_HOSTS])
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    *loss = (struct loss){.state = state_create(), .now_ms = 1};
    change.zone_create.name = text_of("z");
    apply(loss, &change);
    change = (struct change){.kind = CHANGE_CLASS_CREATE};
    change.class_create = (struct change_class_create){
        .name = text_of("small"), .resources = {1, 1, 0, 0}};
    apply(loss, &change);
    for (uint32_t host = 0; host < LOSS_HOSTS; host++) {
        add_host(loss, host);
        for (uint32_t i = 0; i < vms[host]; i++) {
            add_vm(loss, host);
        }
    }
    leases_init(&loss->leases);
    leases_reset(&loss->leases, loss->state, loss->now_ms);
    judge_init(&loss->judge, &loss->leases);
    loss->judge.zones_reachable = 0;
    loss->now_ms += state_settings(loss->state)->lease_wait_ms + 1;
}

/* A turn as the judge alone decides it. */
static void plan_turn(struct loss *loss)
{
    struct turn_plan plan = {.time_ms = loss->now_ms, .now_ms = loss->now_ms};
    const struct zone *zone = state_zone_at(loss->state, 0);
    uint32_t vms = zone->vm_count;

    plan.scratch = state_clone(loss->state);
    plan.placer = placer_create();
    plan.sink.event = turn_plan_event;
    placer_rebuild(plan.placer, plan.scratch);
    bytes_init(&plan.entry);
    loss->judge.controller.plan(&loss->judge.controller, &plan);
    bytes_close(&plan.entry);
    placer_destroy(plan.placer);
    state_destroy(loss->state);
    loss->state = plan.scratch;
    vms -= state_zone_at(loss->state, 0)->vm_count;
    loss->most = vms > loss->most ? vms : loss->most;
    loss->turns++;
}

/* False when no turn is due. */
static bool turn(struct loss *loss)
{
    if (!judge_is_due(&loss->judge, loss->state, loss->now_ms, loss->now_ms)) {
        return false;
    }
    plan_turn(loss);
    return true;
}

static void run(struct loss *loss)
{
    bool more = true;

    while (more) {
        more = turn(loss);
        assert_int_equal(state_zone_at(loss->state, 0)->state, ZONE_LOST);
        assert_int_equal(loss->judge.more,
                         state_counts(loss->state)->hosts_up > 0);
    }
    leases_close(&loss->leases);
    state_destroy(loss->state);
}

static void hosts_of_few_vms_are_fenced_together(void **unused)
{
    static const uint32_t vms[] = {FENCE_VMS_MAX / 2, FENCE_VMS_MAX / 2, 0};
    struct loss loss;

    (void)unused;
    begin(&loss, vms);
    run(&loss);
    assert_int_equal(loss.turns, 1);
}

static void hosts_of_many_vms_are_fenced_in_several_turns(void **unused)
{
    static const uint32_t vms[] = {FENCE_VMS_MAX / 2, FENCE_VMS_MAX / 2 + 1,
                                   FENCE_VMS_MAX / 2};
    struct loss loss;

    (void)unused;
    begin(&loss, vms);
    run(&loss);
    assert_int_equal(loss.turns, 3);
    assert_int_equal(loss.most, FENCE_VMS_MAX / 2 + 1);
}

static void a_host_of_more_than_that_is_fenced_alone(void **unused)
{
    static const uint32_t vms[] = {1, FENCE_VMS_MAX + 1, 1};
    struct loss loss;

    (void)unused;
    begin(&loss, vms);
    run(&loss);
    assert_int_equal(loss.turns, 3);
    assert_int_equal(loss.most, FENCE_VMS_MAX + 1);
}

static void set_flag(struct loss *loss, enum change_kind kind, uint32_t host)
{
    struct change change = {.kind = kind};
    struct host_id id = {state_host_at(loss->state, host)->uid};

    if (kind == CHANGE_HOST_FENCE) {
        change.host_fence = (struct change_host_fence){id, FENCE_LEASE_ENDED};
    } else {
        change.host_cordon = (struct change_host_cordon){id, true};
    }
    apply(loss, &change);
}

/* Two hosts are retired, one lives, and the zone's node is being restarted. */
static void retired_hosts_do_not_make_a_zone_lost(void **unused)
{
    static const uint32_t vms[] = {0, 0, 1};
    struct change change = {.kind = CHANGE_SETTINGS};
    struct loss loss;

    (void)unused;
    begin(&loss, vms);
    change.settings.settings = *state_settings(loss.state);
    change.settings.settings.zone_loss_permille = 600;
    apply(&loss, &change);
    loss.now_ms = 100;
    for (uint32_t host = 0; host < 2; host++) {
        set_flag(&loss, CHANGE_HOST_FENCE, host);
        set_flag(&loss, CHANGE_HOST_CORDON, host);
    }
    leases_reset(&loss.leases, loss.state, loss.now_ms);
    loss.judge.more = true; /* A look is wanted, whatever for. */
    loss.judge.next_look_ms = 0;
    plan_turn(&loss);
    assert_int_equal(state_zone_at(loss.state, 0)->state, ZONE_UP);
    /* When it goes too, that is all the zone has. */
    loss.now_ms += state_settings(loss.state)->lease_wait_ms + 1;
    assert_true(turn(&loss));
    assert_int_equal(state_zone_at(loss.state, 0)->state, ZONE_LOST);
    /* And when it is back, it is back. */
    add_host(&loss, 2);
    loss.now_ms += 100;
    leases_reset(&loss.leases, loss.state, loss.now_ms);
    assert_true(turn(&loss));
    assert_int_equal(state_zone_at(loss.state, 0)->state, ZONE_HELD);
    leases_close(&loss.leases);
    state_destroy(loss.state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_of_few_vms_are_fenced_together),
        cmocka_unit_test(hosts_of_many_vms_are_fenced_in_several_turns),
        cmocka_unit_test(a_host_of_more_than_that_is_fenced_alone),
        cmocka_unit_test(retired_hosts_do_not_make_a_zone_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
