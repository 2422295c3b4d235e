/* SPDX-License-Identifier: Apache-2.0
 *
 * A region's id comes before all else that a leader decides, and a host that
 * holds another region's VMs is not let in. */
#include "node/region.h"

#include "base/container.h"
#include "base/error.h"
#include "node/reports.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define HERE  "0123456789abcdeffedcba9876543210"
#define OTHER "0123456789abcdeffedcba9876543211"

static const struct region_id id = {UINT64_C(0x0123456789abcdef),
                                    UINT64_C(0xfedcba9876543210)};

/* A leader over a log that keeps the last entry. */
struct desk {
    struct turn_log log;
    struct turn turn;
    struct region_birth birth;
    struct turn_controller *controllers[1];
    struct turn_request request; /* Creates a zone. */
    struct state *state;
    const struct state *applied;
    struct bytes entry;
    bool ready;
    uint32_t submits;
    uint32_t barriers;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static bool log_ready(struct turn_log *log)
{
    return container_of(log, struct desk, log)->ready;
}

static int log_submit(struct turn_log *log, const void *data, size_t len)
{
    struct desk *desk = container_of(log, struct desk, log);

    bytes_clear(&desk->entry);
    bytes_append(&desk->entry, data, len);
    desk->submits++;
    return 0;
}

static int log_barrier(struct turn_log *log)
{
    container_of(log, struct desk, log)->barriers++;
    return 0;
}

static void plan_zone(struct turn_request *request, struct turn_plan *plan)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE,
                            .zone_create.name = {"z", 1}};

    (void)request;
    turn_change(plan, &change);
}

static void done(struct turn_request *request, int status)
{
    (void)request;
    (void)status;
}

static void desk_init(struct desk *desk)
{
    *desk = (struct desk){
        .log = {log_ready, log_submit, log_barrier},
        .request = {.plan = plan_zone, .done = done},
        .state = state_create(),
    };
    bytes_init(&desk->entry);
    desk->applied = desk->state;
    region_birth_init(&desk->birth, id);
    desk->controllers[0] = &desk->birth.controller;
    turn_init(&desk->turn, &desk->log, &desk->applied, desk->controllers, 1);
    turn_lead(&desk->turn, true);
    assert_int_equal(turn_submit(&desk->turn, LANE_MUTATION, &desk->request),
                     0);
}

static void desk_close(struct desk *desk)
{
    turn_lead(&desk->turn, false);
    turn_close(&desk->turn);
    bytes_close(&desk->entry);
    state_destroy(desk->state);
}

static void the_id_and_the_policy_come_before_all_else(void **unused)
{
    struct batch batch;
    struct arena arena;
    struct desk desk;

    (void)unused;
    desk_init(&desk);
    /* Nothing, while the log does not take the id. */
    turn_run(&desk.turn, 1000, 1000);
    assert_int_equal(desk.submits, 0);
    desk.ready = true;
    turn_run(&desk.turn, 1000, 1000);
    assert_int_equal(desk.submits, 1);
    arena_init(&arena, BATCH_ARENA_BYTES);
    assert_int_equal(
        batch_decode(desk.entry.data, desk.entry.len, &arena, &batch), 0);
    assert_int_equal(batch.count, 3);
    assert_int_equal(batch.changes[0].kind, CHANGE_REGION);
    assert_memory_equal(&batch.changes[0].region.id, &id, sizeof(id));
    assert_int_equal(batch.changes[1].kind, CHANGE_POLICY);
    assert_int_equal(batch.changes[1].policy.policy.headroom, HEADROOM_WARN);
    assert_int_equal(batch.changes[2].kind, CHANGE_ZONE_CREATE);
    assert_int_equal(state_apply_batch(desk.state, &batch, NULL), 0);
    arena_close(&arena);
    turn_finished(&desk.turn, 0);
    desk_close(&desk);
}

/* The kinds of the changes of the region's next turn. */
static void assert_turn(struct desk *desk, const enum change_kind *kinds,
                        size_t count)
{
    struct batch batch;
    struct arena arena;

    desk->ready = true;
    turn_run(&desk->turn, 1000, 1000);
    arena_init(&arena, BATCH_ARENA_BYTES);
    assert_int_equal(
        batch_decode(desk->entry.data, desk->entry.len, &arena, &batch), 0);
    assert_int_equal(batch.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(batch.changes[i].kind, kinds[i]);
    }
    arena_close(&arena);
    turn_finished(&desk->turn, 0);
}

/* The next leader draws bits of its own, and they are of no use; nor are the
 * defaults of the policy. */
static void a_region_that_has_both_keeps_them(void **unused)
{
    static const enum change_kind kinds[] = {CHANGE_ZONE_CREATE};
    struct change change = {.kind = CHANGE_REGION, .region.id = {1, 2}};
    struct desk desk;

    (void)unused;
    desk_init(&desk);
    state_apply(desk.state, &change, NULL);
    change.kind = CHANGE_POLICY;
    policy_init(&change.policy.policy);
    state_apply(desk.state, &change, NULL);
    assert_turn(&desk, kinds, 1);
    desk_close(&desk);
}

static void a_region_of_format_1_gets_a_policy(void **unused)
{
    static const enum change_kind kinds[] = {CHANGE_POLICY, CHANGE_ZONE_CREATE};
    struct change change = {.kind = CHANGE_REGION, .region.id = {1, 2}};
    struct desk desk;

    (void)unused;
    desk_init(&desk);
    state_apply(desk.state, &change, NULL);
    assert_turn(&desk, kinds, 2);
    desk_close(&desk);
}

static void an_id_is_shown_as_32_digits(void **unused)
{
    char text[REGION_TEXT_BYTES];

    (void)unused;
    region_text(id, text);
    assert_string_equal(text, HERE);
    region_text((struct region_id){0, 10}, text);
    assert_string_equal(text, "0000000000000000000000000000000a");
    region_text((struct region_id){0, 0}, text);
    assert_string_equal(text, "");
}

static void ignore(struct event_sink *sink, const struct event *event)
{
    (void)sink;
    (void)event;
}

/* Zone z, class c, and VM v that host h was given and has not reported. */
static struct host_id give_vm(struct state *state)
{
    struct change changes[] = {
        {.kind = CHANGE_REGION, .region.id = id},
        {.kind = CHANGE_ZONE_CREATE, .zone_create.name = {"z", 1}},
        {.kind = CHANGE_CLASS_CREATE,
         .class_create = {.name = {"c", 1}, .resources = {1, 1, 0, 0}}},
        {.kind = CHANGE_HOST_REGISTER,
         .host_register = {.name = {"h", 1},
                           .host_id = {"0123456789abcdef", 16},
                           .boot_id = {"b", 1},
                           .capacity = {1000, 1000, 0, 0},
                           .driver_mask = 1 << DRIVER_EXEC}},
        {.kind = CHANGE_VM_CREATE,
         .vm_create = {.name = {"v", 1},
                       .on_partition = ON_PARTITION_MOVE,
                       .desired = DESIRED_RUNNING,
                       .driver = DRIVER_EXEC,
                       .template = {"", 0},
                       .labels = {"", 0}}},
        {.kind = CHANGE_VM_ASSIGN, .vm_assign = {.epoch = 1}}};

    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct change *change = &changes[i];

        if (change->kind == CHANGE_HOST_REGISTER) {
            change->host_register.zone.uid = state_zone_at(state, 0)->uid;
        } else if (change->kind == CHANGE_VM_CREATE) {
            change->vm_create.class.uid = state_class_at(state, 0)->uid;
        } else if (change->kind == CHANGE_VM_ASSIGN) {
            change->vm_assign.vm.uid = state_vm_at(state, 0)->uid;
            change->vm_assign.host.uid = state_host_at(state, 0)->uid;
        }
        state_apply(state, change, NULL);
    }
    return (struct host_id){state_host_at(state, 0)->uid};
}

/* Its VM has the number and epoch of one here: taken for it, it would count as
 * running although nobody started it. */
static void a_host_with_another_regions_vms_is_refused(void **unused)
{
    struct state *state = state_create();
    struct turn_plan plan = {.scratch = state, .sink = {ignore}};
    struct vm_report report = {.epoch = 1, .state = REPORT_RUNNING};
    struct hello hello = {.host = {"h", 1},
                          .zone = {"z", 1},
                          .host_id = {"0123456789abcdef", 16},
                          .boot_id = {"b", 1},
                          .capacity = {1000, 1000, 0, 0},
                          .driver_mask = 1 << DRIVER_EXEC,
                          .reports = &report,
                          .report_count = 1};
    struct host_id host = give_vm(state);
    struct host_id welcomed;
    struct leases leases;
    uint64_t before;
    bool rebooted;

    (void)unused;
    leases_init(&leases);
    bytes_init(&plan.entry);
    report.vm.uid = state_vm_at(state, 0)->uid;
    before = state_hash(state);
    hello.region_id = text_of(OTHER);
    assert_int_equal(plan_hello(&plan, &hello, &leases, &welcomed, &rebooted),
                     HELLO_OTHER_REGION);
    hello.host = text_of("new"); /* Nor is a host registered for it. */
    assert_int_equal(plan_hello(&plan, &hello, &leases, &welcomed, &rebooted),
                     HELLO_OTHER_REGION);
    assert_int_equal(plan.change_count, 0);
    assert_true(state_hash(state) == before);
    hello.host = text_of("h");
    hello.region_id = text_of(HERE);
    assert_int_equal(plan_hello(&plan, &hello, &leases, &welcomed, &rebooted),
                     HELLO_WELCOME);
    assert_true(welcomed.uid == host.uid);
    assert_int_equal(state_vm_at(state, 0)->state, VM_RUNNING);
    /* An agent of before there were ids. */
    hello.region_id = text_of("");
    assert_int_equal(plan_hello(&plan, &hello, &leases, &welcomed, &rebooted),
                     HELLO_WELCOME);
    bytes_close(&plan.entry);
    leases_close(&leases);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_and_the_policy_come_before_all_else),
        cmocka_unit_test(a_region_that_has_both_keeps_them),
        cmocka_unit_test(a_region_of_format_1_gets_a_policy),
        cmocka_unit_test(an_id_is_shown_as_32_digits),
        cmocka_unit_test(a_host_with_another_regions_vms_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
