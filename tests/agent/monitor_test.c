/* SPDX-License-Identifier: Apache-2.0
 *
 * A monitor that says what a well QEMU rarely says, or nonsense: the driver
 * reports what it must, survives the rest, and can still kill. */
#include "host_fixture.h"

#include "base/clock.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define HELLO                                               \
    ">{\"QMP\": {\"version\": {}, \"capabilities\": []}}\n" \
    "<\n>{\"return\": {}, \"id\": $}\n"
#define STATUS(word)                                                    \
    "<\n>{\"return\": {\"status\": \"" word "\", \"running\": false}, " \
    "\"id\": $}\n"

static struct host_vm *start(struct host *host, const char *script)
{
    struct vm_spec spec;
    char path[96];
    FILE *file;

    snprintf(path, sizeof(path), "%s/fake.script", host->dir);
    file = fopen(path, "we");
    assert_non_null(file);
    fputs(script, file);
    fclose(file);
    host->qemu.options.program = HF_FAKE_QEMU;
    host_guest_spec(host, 1, 1, &spec);
    return host_start(host, &spec);
}

static bool script_is_done(const struct host_vm *vm)
{
    char text[64];
    size_t len = vm_console_read(vm->vm, text, sizeof(text));

    return memmem(text, len, "script done", 11) != NULL;
}

static void end(struct host *host, struct host_vm *vm)
{
    struct pid_file file;

    assert_false(host_saw(vm, VM_EVENT_GONE));
    assert_true(host_pid_file(host, 1, &file));
    assert_true(host_is_alive(&file.vm));
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

static void expect_kinds(const struct host_vm *vm,
                         const enum vm_event_kind *kinds, size_t count)
{
    assert_int_equal(vm->event_count, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(vm->events[i].kind, kinds[i]);
    }
}

static void a_guest_that_is_stopped_is_a_failure_until_it_runs(void **state)
{
    static const enum vm_event_kind kinds[] = {
        VM_EVENT_STARTED, VM_EVENT_RUNNING, VM_EVENT_FAILED, VM_EVENT_RUNNING,
        VM_EVENT_FAILED};
    struct host *host = *state;
    struct host_vm *vm = start(
        host,
        HELLO STATUS("running") ">{\"event\": \"STOP\"}\n" STATUS(
            "paused") ">{\"event\": \"RESUME\"}\n" STATUS("running") ">{"
                                                                     "\"event\""
                                                                     ": "
                                                                     "\"BLOCK_"
                                                                     "IO_"
                                                                     "ERROR\", "
                                                                     "\"data\":"
                                                                     " {\"node-"
                                                                     "name\": "
                                                                     "\"disk3\""
                                                                     ", "
                                                                     "\"operati"
                                                                     "on\": "
                                                                     "\"read\"}"
                                                                     "}"
                                                                     "\n" STATUS(
                                                                         "io-"
                                                                         "erro"
                                                                         "r"));

    host_until(host, vm->event_count == 5);
    expect_kinds(vm, kinds, 5);
    assert_string_equal(vm->events[2].reason, "paused");
    assert_string_equal(vm->events[4].reason, "io-error read of disk3");
    assert_true(vm->events[4].failed);
    end(host, vm);
}

static void every_state_that_is_not_running_is_told(void **state)
{
    static const struct {
        const char *status;
        enum vm_event_kind kind;
    } rows[] = {
        {"internal-error", VM_EVENT_FAILED},
        {"guest-panicked", VM_EVENT_FAILED},
        {"watchdog", VM_EVENT_FAILED},
        {"debug", VM_EVENT_FAILED},
        {"a state of a later QEMU", VM_EVENT_FAILED},
        {"suspended", VM_EVENT_PAUSED},
        {"prelaunch", VM_EVENT_PAUSED},
        {"inmigrate", VM_EVENT_PAUSED},
    };
    struct host *host = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char script[512];
        struct host_vm *vm;

        snprintf(script, sizeof(script),
                 HELLO "<\n>{\"return\": {\"status\": \"%s\"}, \"id\": $}\n",
                 rows[i].status);
        vm = start(host, script);
        assert_true(host_await(host, vm, rows[i].kind));
        assert_string_equal(host_reason(vm, rows[i].kind), rows[i].status);
        end(host, vm);
        assert_int_equal(vm_dir_remove(&host->run, 1), 0);
    }
}

/* After each kind of nonsense the connection is made anew, and the next one is
 * believed. */
static void nonsense_ends_the_connection_not_the_vm(void **state)
{
    static const char *const nonsense[] = {
        "%noise 5000",
        "%long 70000",
        ">not json",
        ">[1, 2, 3]",
        ">\"QMP\"",
        ">{\"return\": {}, \"id\": 99999}",
        ">{\"return\": {}}",
        ">{\"unheard\": true}",
        ">{\"QMP\": 1}\n<\n>{\"QMP\": 1}",
        ">{\"QMP\": 1}\n<\n>{\"error\": {\"class\": \"x\"}, \"id\": $}",
        ">{\"QMP\": 1}\n<\n>{\"return\": {}, \"id\": $}\n<\n>{\"return\": {",
        ">{\"QMP\": {\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":{\"a\":",
        ">",
    };
    struct host *host = *state;

    for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
        char script[1024];
        struct host_vm *vm;

        snprintf(script, sizeof(script), "%s\n%%close\n%s", nonsense[i],
                 HELLO STATUS("running"));
        vm = start(host, script);
        assert_true(host_await(host, vm, VM_EVENT_RUNNING));
        assert_false(host_saw(vm, VM_EVENT_FAILED));
        end(host, vm);
        assert_int_equal(vm_dir_remove(&host->run, 1), 0);
    }
}

static void a_status_that_makes_no_sense_is_not_running(void **state)
{
    struct host *host = *state;
    struct host_vm *vm =
        start(host, HELLO "<\n>{\"return\": {\"status\": 7}, \"id\": $}\n"
                          ">{\"event\": \"X\"}\n<\n>{\"return\": [], "
                          "\"id\": $}\n>{\"event\": 4}\n");

    host_until(host, script_is_done(vm));
    host_turn(host, 200);
    assert_false(host_saw(vm, VM_EVENT_RUNNING));
    end(host, vm);
}

static void a_vm_is_let_go_of_at_any_moment(void **state)
{
    static const char silent[] = "";
    static const char greets[] = HELLO;
    static const char hears[] = HELLO "<\n";
    static const char runs[] = HELLO STATUS("running");
    static const char raves[] = "%noise 100\n%close\n";
    static const char *const scripts[] = {silent, greets, hears, runs, raves};
    struct host *host = *state;

    for (size_t i = 0; i < 3 * sizeof(scripts) / sizeof(scripts[0]); i++) {
        struct host_vm *vm = start(host, scripts[i / 3]);
        struct host_vm *again;
        struct scan scan;

        host_turn(host, 30 * (uint32_t)(i % 3) + 1);
        host_let_go(vm);
        assert_int_equal(scan_run(&scan, &host->run), 0);
        assert_int_equal(scan.count, 1);
        assert_int_equal(scan.entries[0].state, SCAN_LIVE);
        again = host_adopt(host, &scan.entries[0].spec);
        scan_close(&scan);
        assert_true(host_await(host, again, VM_EVENT_STARTED));
        end(host, again);
        assert_int_equal(vm_dir_remove(&host->run, 1), 0);
    }
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_guest_that_is_stopped_is_a_failure_until_it_runs),
        CASE(every_state_that_is_not_running_is_told),
        CASE(nonsense_ends_the_connection_not_the_vm),
        CASE(a_status_that_makes_no_sense_is_not_running),
        CASE(a_vm_is_let_go_of_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
