/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands as VMs. What they fork may leave session and process group; every
 * way of ending must get it all. */
#include "host_fixture.h"

#include "agent/process.h"
#include "base/clock.h"
#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A child in a session of its own, and a grandchild whose parent is gone. */
#define ESCAPE                                                  \
    "setsid sleep 1000 & "                                      \
    "setsid sh -c 'setsid sleep 1001 & setsid sleep 1002 &' & " \
    "trap '' TERM HUP INT; while :; do sleep 1; done"
#define ESCAPED_COUNT 5 /* Three that escaped, the shell and its sleep. */

enum ending { BY_KILL, BY_DEADLINE, BY_SHIM_DEATH, BY_GRACE };

static void end_it(struct host *host, struct host_vm *vm, enum ending ending)
{
    struct pid_file file;

    assert_true(host_pid_file(host, 1, &file));
    switch (ending) {
    case BY_KILL:
        vm_kill(vm->vm);
        break;
    case BY_DEADLINE:
        host_lease_in(host, 50);
        break;
    case BY_SHIM_DEATH:
        host_signal(&file.shim, SIGKILL);
        break;
    case BY_GRACE:
        vm_stop(vm->vm, 300);
        break;
    }
}

static void expect_all_die(struct host *host, enum ending ending)
{
    struct host_vm *vm;
    struct vm_spec spec;

    host_shell_spec(host, 1, 1, ESCAPE, &spec);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_until(host, host_count_processes(host) >= ESCAPED_COUNT);
    end_it(host, vm, ending);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    /* Gone means gone: not a moment later. */
    assert_int_equal(host_count_processes(host), 0);
}

static void use_namespace(struct host *host)
{
    if (host->exec.isolation != EXEC_PID_NAMESPACE) {
        print_message("no PID namespaces here\n");
        skip();
    }
}

static void use_cgroup(struct host *host)
{
    host->vm_host.cgroup = host_cgroup(host);
    if (host->vm_host.cgroup == NULL) {
        print_message("no cgroup v2 that we may use here\n");
        skip();
    }
    host->exec.isolation = EXEC_CGROUP;
}

static void all_descendants_die_by_kill(void **state)
{
    use_namespace(*state);
    expect_all_die(*state, BY_KILL);
}

static void all_descendants_die_at_the_deadline(void **state)
{
    use_namespace(*state);
    expect_all_die(*state, BY_DEADLINE);
}

static void all_descendants_die_with_the_shim(void **state)
{
    use_namespace(*state);
    expect_all_die(*state, BY_SHIM_DEATH);
}

static void all_descendants_die_after_the_grace(void **state)
{
    use_namespace(*state);
    expect_all_die(*state, BY_GRACE);
}

static void all_of_a_cgroup_die_by_kill(void **state)
{
    use_cgroup(*state);
    expect_all_die(*state, BY_KILL);
}

static void all_of_a_cgroup_die_at_the_deadline(void **state)
{
    use_cgroup(*state);
    expect_all_die(*state, BY_DEADLINE);
}

static void all_of_a_cgroup_die_with_the_shim(void **state)
{
    use_cgroup(*state);
    expect_all_die(*state, BY_SHIM_DEATH);
}

/* Shim stopped, no namespace: only cgroup.kill reaches the sleepers. */
static void the_guard_kills_a_cgroup(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;
    struct pid_file file;

    use_cgroup(host);
    host->guard_options.cgroup = host->vm_host.cgroup;
    host_watch_guard(host);
    host_until(host, guard_watch_live(&host->watch));
    host_shell_spec(host, 1, 1, ESCAPE, &spec);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_until(host, host_count_processes(host) >= ESCAPED_COUNT);
    assert_true(host_pid_file(host, 1, &file));
    host_signal(&file.shim, SIGSTOP);
    host_lease_in(host, 50);
    host_until(host, host_count_processes(host) == 0);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

static void without_isolation_only_keep_vms_are_accepted(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;

    host->exec.isolation = EXEC_NONE;
    host->exec.driver.capabilities &= ~(uint32_t)VM_CAN_FENCE;
    host_shell_spec(host, 1, 1, "sleep 1000", &spec);
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_UNSUPPORTED);
    spec.keep = true;
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

static bool exists(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0;
}

static void a_stop_is_asked_for_politely(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;
    char ready[96];
    char asked[96];

    snprintf(ready, sizeof(ready), "%s/ready", host->dir);
    snprintf(asked, sizeof(asked), "%s/asked", host->dir);
    host_shell_spec(host, 1, 1,
                    "trap 'touch $DIR/asked; exit 0' TERM; touch $DIR/ready; "
                    "while :; do sleep 0.05; done",
                    &spec);
    vm = host_start(host, &spec);
    host_until(host, exists(ready));
    assert_false(exists(asked));
    vm_stop(vm->vm, 20000);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_true(exists(asked));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "exited status=0");
    assert_false(vm->events[vm->event_count - 1].failed);
}

static void arguments_and_environment_arrive_as_given(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;
    char console[512];
    char expected[256];
    size_t len;

    host_shell_spec(host, 1, 1,
                    "printf '%s|' \"$@\" \"$WORD\"; pwd; env; exec sleep 1000",
                    &spec);
    assert_int_equal(vm_strings_add(&spec.argv, "zero"), 0);
    assert_int_equal(vm_strings_add(&spec.argv, "a b\nc"), 0);
    assert_int_equal(vm_strings_add(&spec.argv, ""), 0);
    assert_int_equal(vm_strings_add(&spec.argv, "%41=$HOME"), 0);
    assert_int_equal(vm_strings_add(&spec.env, "WORD=x=y z"), 0);
    vm = host_start(host, &spec);
    snprintf(expected, sizeof(expected), "a b\nc||%%41=$HOME|x=y z|/\n");
    host_until(host, (len = vm_console_read(vm->vm, console,
                                            sizeof(console) - 1)) > 100);
    console[len] = '\0';
    assert_int_equal(strncmp(console, expected, strlen(expected)), 0);
    /* Nothing of the agent's own environment. */
    assert_null(strstr(console, "HOME=/"));
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_descendants_die_by_kill),
        CASE(all_descendants_die_at_the_deadline),
        CASE(all_descendants_die_with_the_shim),
        CASE(all_descendants_die_after_the_grace),
        CASE(all_of_a_cgroup_die_by_kill),
        CASE(all_of_a_cgroup_die_at_the_deadline),
        CASE(all_of_a_cgroup_die_with_the_shim),
        CASE(the_guard_kills_a_cgroup),
        CASE(without_isolation_only_keep_vms_are_accepted),
        CASE(a_stop_is_asked_for_politely),
        CASE(arguments_and_environment_arrive_as_given),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
