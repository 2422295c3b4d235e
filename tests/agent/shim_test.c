/* SPDX-License-Identifier: Apache-2.0
 *
 * The shim alone between the lease and the VM: nobody else helps in these
 * cases, the agent is gone or does nothing. */
#include "host_fixture.h"

#include "agent/shim.h"
#include "base/clock.h"
#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* A running guest that no agent watches. */
static void start_alone(struct host *host, uint64_t uid, struct pid_file *file)
{
    struct host_vm *vm;
    struct vm_spec spec;

    host_guest_spec(host, uid, 1, &spec);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_let_go(vm);
    assert_true(host_pid_file(host, uid, file));
}

static struct host_vm *start_shell(struct host *host, uint64_t uid,
                                   const char *script)
{
    struct vm_spec spec;

    host_shell_spec(host, uid, 1, script, &spec);
    return host_start(host, &spec);
}

static void print_exit(const struct host *host, uint64_t uid)
{
    char reason[VM_EXIT_BYTES_MAX + 1];

    assert_true(host_read_exit(host, uid, reason));
    print_message("vm %d: %s", (int)uid, reason);
}

static void the_vm_dies_at_the_deadline_with_no_agent(void **state)
{
    struct host *host = *state;
    struct pid_file file;
    char reason[VM_EXIT_BYTES_MAX + 1];
    bool alive;

    start_alone(host, 1, &file);
    host_lease_in(host, 700);
    host_turn(host, 300);
    alive = host_is_alive(&file.vm);
    assert_true(alive || !lease_page_live(&host->lease, clock_boot_ns()));
    host_until(host, host_lock_is_free(host, 1));
    assert_false(lease_page_live(&host->lease, clock_boot_ns()));
    assert_false(host_is_alive(&file.vm));
    assert_true(host_read_exit(host, 1, reason));
    assert_int_equal(strncmp(reason, "fenced signal=9 late_us=", 24), 0);
    print_exit(host, 1);
}

static void a_renewed_lease_keeps_the_vm(void **state)
{
    struct host *host = *state;
    struct pid_file file;
    uint64_t first_ns;

    start_alone(host, 1, &file);
    host_lease_in(host, 600);
    first_ns = lease_page_deadline(&host->lease);
    host_turn(host, 200);
    if (clock_boot_ns() < first_ns) {
        host_lease_in(host, 60000);
        host_until(host, clock_boot_ns() > first_ns + 500000000);
        assert_true(host_is_alive(&file.vm));
    }
}

static void a_lease_that_is_given_up_ends_the_vm(void **state)
{
    struct host *host = *state;
    struct pid_file file;
    char reason[VM_EXIT_BYTES_MAX + 1];

    start_alone(host, 1, &file);
    host_lease_in(host, 0);
    host_until(host, host_lock_is_free(host, 1));
    assert_false(host_is_alive(&file.vm));
    assert_true(host_read_exit(host, 1, reason));
    assert_int_equal(strncmp(reason, "released signal=9", 17), 0);
}

static void a_shortened_lease_is_noticed(void **state)
{
    struct host *host = *state;
    struct pid_file file;

    start_alone(host, 1, &file); /* The lease has a minute. */
    host_lease_in(host, 500);
    host_until(host, host_lock_is_free(host, 1));
    assert_false(host_is_alive(&file.vm));
    print_exit(host, 1);
}

static void a_stopped_vm_dies_at_the_deadline_too(void **state)
{
    struct host *host = *state;
    struct pid_file file;

    start_alone(host, 1, &file);
    host_signal(&file.vm, SIGSTOP);
    host_lease_in(host, 300);
    host_until(host, host_lock_is_free(host, 1));
    assert_false(host_is_alive(&file.vm));
    print_exit(host, 1);
}

static void a_keep_vm_outlives_the_lease(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;
    struct pid_file file;

    host_shell_spec(host, 1, 1, "sleep 1000", &spec);
    spec.keep = true;
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_lease_in(host, 0);
    host_turn(host, 800);
    assert_true(host_pid_file(host, 1, &file));
    assert_true(file.keep);
    assert_true(host_is_alive(&file.vm));
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

/* Runs the shim itself, as an agent that looked at the lease before it ended
 * would, with a command that leaves a trace. */
static int run_shim(struct host *host, const char *trace, bool keep)
{
    char uid[] = "9";
    char script[128];
    char *argv[12];
    size_t n = 0;
    const char *const words[] = {host_shim_path(), "--run-dir", host->run.path,
                                 "--uid", uid};

    close(run_dir_open_vm(&host->run, 9, true));
    snprintf(script, sizeof(script), "echo x > %s", trace);
    for (; n < 5; n++) {
        argv[n] = strdup(words[n]);
    }
    if (keep) {
        argv[n++] = strdup("--keep");
    }
    argv[n++] = strdup("--");
    argv[n++] = strdup("/bin/sh");
    argv[n++] = strdup("-c");
    argv[n++] = strdup(script);
    argv[n] = NULL;
    {
        int status = host_wait(host, host_run(host, argv));

        while (n > 0) {
            free(argv[--n]);
        }
        return status;
    }
}

static void a_shim_refuses_to_start_without_a_live_lease(void **state)
{
    struct host *host = *state;
    struct vm_spec spec;
    char trace[96];
    char reason[VM_EXIT_BYTES_MAX + 1];
    struct stat info;

    snprintf(trace, sizeof(trace), "%s/trace", host->dir);
    assert_int_equal(run_shim(host, trace, false), SHIM_EXIT_OK);
    assert_int_equal(stat(trace, &info), 0); /* So the trace would show. */
    unlink(trace);

    host_lease_in(host, 1);
    host_turn(host, 50);
    for (int keep = 0; keep < 2; keep++) {
        assert_int_equal(run_shim(host, trace, keep != 0), SHIM_EXIT_REFUSED);
        assert_int_equal(stat(trace, &info), -1);
        assert_true(host_read_exit(host, 9, reason));
        assert_string_equal(reason, "refused no_live_lease\n");
    }
    host_lease_in(host, 0);
    assert_int_equal(run_shim(host, trace, false), SHIM_EXIT_REFUSED);

    host_shell_spec(host, 1, 1, "true", &spec);
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_CLOSED);
    vm_spec_close(&spec);
}

static void a_second_shim_is_refused(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    char trace[96];
    struct stat info;

    vm = start_shell(host, 9, "sleep 1000");
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    snprintf(trace, sizeof(trace), "%s/trace", host->dir);
    assert_int_equal(run_shim(host, trace, false), SHIM_EXIT_BUSY);
    assert_int_equal(stat(trace, &info), -1);
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
}

static void the_vm_dies_with_its_shim(void **state)
{
    struct host *host = *state;
    struct pid_file guest;
    struct pid_file shell;
    struct host_vm *vm;

    start_alone(host, 1, &guest);
    vm = start_shell(host, 2, "sleep 1000");
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    assert_true(host_pid_file(host, 2, &shell));
    host_signal(&guest.shim, SIGKILL);
    host_signal(&shell.shim, SIGKILL);
    host_until(host, !host_is_alive(&guest.vm) && !host_is_alive(&shell.vm));
    host_until(host, host_lock_is_free(host, 1));
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "shim_died");
    assert_true(vm->events[vm->event_count - 1].failed);
}

/* The lock is what says "gone". From the return of vm_start() to the end of
 * the VM it must never be free, whatever the moment. */
static void the_lock_is_held_without_a_gap(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    unsigned looks = 0;

    for (uint64_t uid = 1; uid <= 10; uid++) {
        vm = start_shell(host, uid, "sleep 1000");
        while (!host_saw(vm, VM_EVENT_RUNNING)) {
            assert_false(host_lock_is_free(host, uid));
            uv_run(&host->loop, UV_RUN_NOWAIT);
            looks++;
        }
        vm_kill(vm->vm);
        assert_true(host_await(host, vm, VM_EVENT_GONE));
    }
    print_message("looked %u times\n", looks);
}

static void a_program_that_is_missing_is_said_so(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    struct vm_spec spec;

    vm_spec_init(&spec);
    host_shell_spec(host, 1, 1, "true", &spec);
    free(spec.argv.items[0]);
    spec.argv.items[0] = strdup("/nonexistent/program");
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_false(host_saw(vm, VM_EVENT_RUNNING));
    assert_string_equal(
        host_reason(vm, VM_EVENT_GONE),
        "not_started step=exec error=\"No such file or directory\"");
    assert_true(vm->events[0].failed);
}

static void how_it_ended_is_recorded(void **state)
{
    static const struct {
        const char *script;
        const char *reason;
    } cases[] = {
        {"exit 0", "exited status=0"},
        {"exit 7", "exited status=7"},
        {"kill -SEGV $$", "signaled signal=11"},
    };
    struct host *host = *state;

    for (size_t i = 0; i < 3; i++) {
        struct host_vm *vm;

        vm = start_shell(host, i + 1, cases[i].script);
        assert_true(host_await(host, vm, VM_EVENT_GONE));
        assert_string_equal(host_reason(vm, VM_EVENT_GONE), cases[i].reason);
        assert_true(vm->events[vm->event_count - 1].failed); /* By itself. */
    }
}

static size_t size_of(const struct host *host, const char *name)
{
    char path[128];
    struct stat info;

    snprintf(path, sizeof(path), "%s/vms/1/%s", host->run.path, name);
    return stat(path, &info) == 0 ? (size_t)info.st_size : 0;
}

/* A guest that floods its console neither fills memory nor delays the end. */
static void a_flooded_console_stays_bounded(void **state)
{
    struct host *host = *state;
    struct host_vm *vm;
    static char console[2 * CONSOLE_FILE_BYTES_MAX];
    char reason[VM_EXIT_BYTES_MAX + 1];
    size_t len;

    vm = start_shell(host, 1, "yes to-stdout & yes to-stderr >&2");
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_until(host,
               size_of(host, "serial.1") > 0 && size_of(host, "log.1") > 0);
    len = vm_console_read(vm->vm, console, sizeof(console));
    assert_true(len > CONSOLE_FILE_BYTES_MAX / 2);
    assert_non_null(memmem(console, len, "to-stdout\n", 10));
    host_lease_in(host, 300);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_true(size_of(host, "serial") <= CONSOLE_FILE_BYTES_MAX);
    assert_true(size_of(host, "serial.1") <= CONSOLE_FILE_BYTES_MAX);
    assert_true(size_of(host, "log") <= CONSOLE_FILE_BYTES_MAX + 4096);
    assert_true(host_read_exit(host, 1, reason));
    assert_int_equal(strncmp(reason, "fenced", 6), 0);
    print_exit(host, 1);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_vm_dies_at_the_deadline_with_no_agent),
        CASE(a_renewed_lease_keeps_the_vm),
        CASE(a_lease_that_is_given_up_ends_the_vm),
        CASE(a_shortened_lease_is_noticed),
        CASE(a_stopped_vm_dies_at_the_deadline_too),
        CASE(a_keep_vm_outlives_the_lease),
        CASE(a_shim_refuses_to_start_without_a_live_lease),
        CASE(a_second_shim_is_refused),
        CASE(the_vm_dies_with_its_shim),
        CASE(the_lock_is_held_without_a_gap),
        CASE(a_program_that_is_missing_is_said_so),
        CASE(how_it_ended_is_recorded),
        CASE(a_flooded_console_stays_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
