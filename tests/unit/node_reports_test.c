/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent says, as far as one call shows it. Sessions and their order are
 * in node_failover_test. */
#include "node/reports.h"

#include "node/limits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static struct hello hello_of(const char *host)
{
    return (struct hello){
        .host = text_of(host),
        .zone = text_of("z"),
        .host_id = text_of("0123456789abcdef"),
        .boot_id = text_of("0123456789abcdef"),
        .capacity = {1000, 1000, 0, 0},
        .driver_mask = 1 << DRIVER_EXEC,
    };
}

static void register_host(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    struct hello hello = hello_of(name);

    change.host_register = (struct change_host_register){
        .name = hello.host,
        .zone = {state_zone_at(state, 0)->uid},
        .host_id = hello.host_id,
        .boot_id = hello.boot_id,
        .capacity = hello.capacity,
        .driver_mask = hello.driver_mask,
    };
    state_apply(state, &change, NULL);
}

static void one_name_too_many_is_refused(void **unused)
{
    struct state *state = state_create();
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct turn_plan plan = {.scratch = state};
    struct hello hello = hello_of("new");
    struct host_id host;
    bool rebooted;
    char name[16];

    (void)unused;
    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        register_host(state, name);
    }
    assert_int_equal(plan_hello(&plan, &hello, &host, &rebooted),
                     HELLO_TOO_MANY_HOSTS);
    /* Those that are known may come back. */
    hello = hello_of("h7");
    hello.fault_domain = text_of("");
    assert_int_not_equal(plan_hello(&plan, &hello, &host, &rebooted),
                         HELLO_TOO_MANY_HOSTS);
    bytes_close(&plan.entry);
    state_destroy(state);
}

static void create_vm(struct state *state)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    register_host(state, "h");
    change.kind = CHANGE_CLASS_CREATE;
    change.class_create =
        (struct change_class_create){text_of("c"), {1, 1, 0, 0}, 0};
    state_apply(state, &change, NULL);
    change.kind = CHANGE_VM_CREATE;
    change.vm_create = (struct change_vm_create){
        .name = text_of("v"),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
        .template = text_of(""),
        .labels = text_of(""),
    };
    state_apply(state, &change, NULL);
}

static void ignore(struct event_sink *sink, const struct event *event)
{
    (void)sink;
    (void)event;
}

/* It is assigned, runs for so long and fails. Returns how long it then waits.
 */
static uint64_t delay_of_failure_after(struct turn_plan *plan, uint64_t run_ms)
{
    struct state *state = plan->scratch;
    const struct host *host = state_host_at(state, 0);
    const struct vm *vm = state_vm_at(state, 0);
    struct change change = {.kind = CHANGE_VM_ASSIGN};
    struct vm_report report = {.vm = {vm->uid}, .epoch = vm->epoch + 1};

    change.vm_assign =
        (struct change_vm_assign){{vm->uid}, {host->uid}, report.epoch};
    turn_change(plan, &change);
    report.state = REPORT_RUNNING;
    plan_report(plan, (struct host_id){host->uid}, host->generation, &report);
    plan->time_ms += run_ms;
    state_begin(state, plan->time_ms);
    report.state = REPORT_GONE;
    report.reason = text_of("exited status=1");
    report.failed = true;
    plan_report(plan, (struct host_id){host->uid}, host->generation, &report);
    vm = state_vm_at(state, 0);
    assert_int_equal(vm->state, VM_PENDING);
    return vm->not_before_ms - plan->time_ms;
}

static void a_long_healthy_run_makes_the_next_failure_the_first(void **unused)
{
    struct state *state = state_create();
    struct turn_plan plan = {
        .scratch = state, .time_ms = 1000, .sink = {ignore}};

    (void)unused;
    bytes_init(&plan.entry);
    state_begin(state, plan.time_ms);
    create_vm(state);
    assert_int_equal(delay_of_failure_after(&plan, 10), 0);
    assert_int_equal(delay_of_failure_after(&plan, 10), 1000);
    assert_int_equal(delay_of_failure_after(&plan, 10), 2000);
    /* Not quite long enough. */
    assert_int_equal(delay_of_failure_after(&plan, RESTART_FORGET_MS - 1),
                     4000);
    assert_int_equal(state_vm_at(state, 0)->restart_count, 4);
    assert_int_equal(delay_of_failure_after(&plan, RESTART_FORGET_MS), 0);
    assert_int_equal(state_vm_at(state, 0)->restart_count, 1);
    /* And the one after it is the second, not the sixth. */
    assert_int_equal(delay_of_failure_after(&plan, 10), 1000);
    bytes_close(&plan.entry);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_too_many_is_refused),
        cmocka_unit_test(a_long_healthy_run_makes_the_next_failure_the_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
