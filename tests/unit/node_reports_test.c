/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent says, as far as one call shows it. Sessions and their order are
 * in node_failover_test. */
#include "base/container.h"
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
    struct leases leases;
    struct host_id host;
    bool rebooted;
    char name[16];

    (void)unused;
    leases_init(&leases);
    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < HOSTS_MAX; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        register_host(state, name);
    }
    assert_int_equal(plan_hello(&plan, &hello, &leases, &host, &rebooted),
                     HELLO_TOO_MANY_HOSTS);
    /* Those that are known may come back. */
    hello = hello_of("h7");
    hello.fault_domain = text_of("");
    assert_int_not_equal(plan_hello(&plan, &hello, &leases, &host, &rebooted),
                         HELLO_TOO_MANY_HOSTS);
    bytes_close(&plan.entry);
    leases_close(&leases);
    state_destroy(state);
}

static enum hello_verdict say_hello(struct turn_plan *plan,
                                    const struct hello *hello)
{
    struct leases leases;
    struct host_id host;
    enum hello_verdict verdict;
    bool rebooted;

    leases_init(&leases);
    verdict = plan_hello(plan, hello, &leases, &host, &rebooted);
    leases_close(&leases);
    return verdict;
}

static void what_a_host_counts_is_registered_once(void **unused)
{
    static const char *const names[] = {"n0", "n1", "n2", "n3", "n4",
                                        "n5", "n6", "n7", "n8"};
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct state *state = state_create();
    struct placer *placer = placer_create();
    struct turn_plan plan = {
        .scratch = state, .placer = placer, .sink = {turn_plan_event}};
    struct named_amount named[9];
    struct hello hello = hello_of("h");
    uint64_t revision;

    (void)unused;
    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    placer_rebuild(placer, state);
    for (uint32_t i = 0; i < 9; i++) {
        named[i] = (struct named_amount){text_of(names[i]), i + 1};
    }
    hello.capacity.gpu_count = 3;
    hello.named = named;
    hello.named_count = 2;
    assert_int_equal(say_hello(&plan, &hello), HELLO_WELCOME);
    assert_int_equal(state_host_at(state, 0)->capacity.gpu_count, 3);
    assert_int_equal(state_host_at(state, 0)->named_capacity.of[1], 2);
    /* Saying the same again writes nothing; another amount does. */
    revision = state_revision(state);
    assert_int_equal(say_hello(&plan, &hello), HELLO_WELCOME);
    assert_int_equal(state_revision(state), revision);
    named[1].amount = 7;
    assert_int_equal(say_hello(&plan, &hello), HELLO_WELCOME);
    assert_int_equal(state_host_at(state, 0)->named_capacity.of[1], 7);
    /* A region has slots for eight names. */
    hello.named_count = 9;
    assert_int_equal(say_hello(&plan, &hello), HELLO_TOO_MANY_NAMES);
    hello.named_count = 8;
    assert_int_equal(say_hello(&plan, &hello), HELLO_WELCOME);
    bytes_close(&plan.entry);
    placer_destroy(placer);
    state_destroy(state);
}

/* Renewed at RENEWED_MS, so the lease ends at RENEWED_MS + WAIT_MS. */
#define RENEWED_MS 10000
#define WAIT_MS    5000

struct boot_case {
    const char *name;
    uint64_t now_ms;
    bool other_boot;
    bool other_machine;
    bool fenced;   /* The state says LOST. */
    bool no_lease; /* The leases do not know the registration yet, */
    bool again;    /* ... or only the one before. */
    enum hello_verdict expected;
    bool rebooted;
};

static const struct boot_case boot_cases[] = {
    {.name = "the same boot at once", .now_ms = RENEWED_MS},
    {.name = "the same boot after its lease",
     .now_ms = RENEWED_MS + WAIT_MS + 1},
    {.name = "another boot while the former renews",
     .now_ms = RENEWED_MS + 1,
     .other_boot = true,
     .expected = HELLO_STILL_LEASED},
    /* Its host may still run VMs. */
    {.name = "another boot when renewals are late",
     .now_ms = RENEWED_MS + WAIT_MS - 1,
     .other_boot = true,
     .expected = HELLO_STILL_LEASED},
    {.name = "another boot at the lease's last moment",
     .now_ms = RENEWED_MS + WAIT_MS,
     .other_boot = true,
     .expected = HELLO_STILL_LEASED},
    {.name = "another boot after the lease",
     .now_ms = RENEWED_MS + WAIT_MS + 1,
     .other_boot = true,
     .rebooted = true},
    {.name = "another boot of a fenced host",
     .now_ms = RENEWED_MS + 1,
     .other_boot = true,
     .fenced = true,
     .rebooted = true},
    {.name = "another boot in the turn of the first registration",
     .now_ms = RENEWED_MS + WAIT_MS + 1,
     .other_boot = true,
     .no_lease = true,
     .expected = HELLO_STILL_LEASED},
    {.name = "another boot in the turn of a new registration",
     .now_ms = RENEWED_MS + WAIT_MS + 1,
     .other_boot = true,
     .again = true,
     .expected = HELLO_STILL_LEASED},
    {.name = "another machine",
     .now_ms = RENEWED_MS + 1,
     .other_boot = true,
     .other_machine = true,
     .expected = HELLO_TAKEN},
};

static void set_up_host(struct state *state, struct leases *leases,
                        const struct boot_case *test)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};
    struct hello hello = hello_of("h");

    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    register_host(state, "h");
    if (!test->no_lease) {
        leases_registered(leases, state_host_named(state, hello.host),
                          RENEWED_MS, WAIT_MS);
    }
    if (test->again) {
        register_host(state, "h");
    }
    if (test->fenced) {
        change.kind = CHANGE_HOST_FENCE;
        change.host_fence = (struct change_host_fence){
            {state_host_named(state, hello.host)->uid}, FENCE_LEASE_ENDED};
        state_apply(state, &change, NULL);
    }
}

static void ignore_event(struct event_sink *sink, const struct event *event)
{
    (void)sink;
    (void)event;
}

static void run_boot_case(const struct boot_case *test)
{
    struct state *state = state_create();
    struct turn_plan plan = {
        .scratch = state, .now_ms = test->now_ms, .sink = {ignore_event}};
    struct hello hello = hello_of("h");
    struct leases leases;
    struct host_id host;
    bool rebooted = false;
    uint64_t revision;

    leases_init(&leases);
    set_up_host(state, &leases, test);
    hello.fault_domain = text_of("");
    if (test->other_boot) {
        hello.boot_id = text_of("fedcba9876543210");
    }
    if (test->other_machine) {
        hello.host_id = text_of("fedcba9876543210");
    }
    revision = state_revision(state);
    assert_int_equal(plan_hello(&plan, &hello, &leases, &host, &rebooted),
                     test->expected);
    assert_int_equal(rebooted, test->rebooted);
    if (test->expected != HELLO_WELCOME) {
        assert_int_equal(plan.entry.len, 0);
        assert_int_equal(plan.change_count, 0);
        assert_int_equal(state_revision(state), revision);
    }
    bytes_close(&plan.entry);
    leases_close(&leases);
    state_destroy(state);
}

static void another_boot_waits_for_the_lease_of_the_former(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(boot_cases); i++) {
        print_message("%s\n", boot_cases[i].name);
        run_boot_case(&boot_cases[i]);
    }
}

static void create_vm(struct state *state)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    change.zone_create.name = text_of("z");
    state_apply(state, &change, NULL);
    register_host(state, "h");
    change.kind = CHANGE_CLASS_CREATE;
    change.class_create = (struct change_class_create){
        .name = text_of("c"), .resources = {1, 1, 0, 0}};
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
        .scratch = state, .time_ms = 1000, .sink = {ignore_event}};

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

/* Found by the simulator (seed 40): the session that told of a boot broke
 * before its first renewal, the next one knew nothing of it, and the epoch that
 * had begun before the boot began once more. */
static void an_epoch_from_before_a_boot_does_not_begin_again(void **unused)
{
    struct state *state = state_create();
    struct turn_plan plan = {.scratch = state, .sink = {ignore_event}};
    struct change change = {.kind = CHANGE_VM_ASSIGN};
    const struct host *host;

    (void)unused;
    bytes_init(&plan.entry);
    state_begin(state, 1000);
    create_vm(state);
    host = state_host_at(state, 0);
    state_begin(state, 2000);
    change.vm_assign =
        (struct change_vm_assign){{state_vm_at(state, 0)->uid}, {host->uid}, 1};
    turn_change(&plan, &change);
    /* A session of the same boot: the order is simply given again. */
    plan_missing(&plan, (struct host_id){host->uid}, host->generation, NULL, 0,
                 false);
    assert_int_equal(state_vm_at(state, 0)->state, VM_ASSIGNED);
    state_begin(state, 3000);
    register_host(state, "h");
    host = state_host_at(state, 0);
    plan_missing(&plan, (struct host_id){host->uid}, host->generation, NULL, 0,
                 false);
    assert_int_equal(state_vm_at(state, 0)->state, VM_PENDING);
    assert_int_equal(state_vm_at(state, 0)->restart_count, 0);
    bytes_close(&plan.entry);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_name_too_many_is_refused),
        cmocka_unit_test(what_a_host_counts_is_registered_once),
        cmocka_unit_test(another_boot_waits_for_the_lease_of_the_former),
        cmocka_unit_test(an_epoch_from_before_a_boot_does_not_begin_again),
        cmocka_unit_test(a_long_healthy_run_makes_the_next_failure_the_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
