/* SPDX-License-Identifier: Apache-2.0
 *
 * The second layer: shims are stopped, agents are away, and the guard alone
 * ends what the lease no longer covers. */
#include "host_fixture.h"

#include "agent/guard.h"
#include "agent/guard_beat.h"
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

#define GUESTS 4

static struct host_vm *start(struct host *host, uint64_t uid,
                             const char *script, bool keep)
{
    struct host_vm *vm;
    struct vm_spec spec;

    if (script == NULL) {
        host_guest_spec(host, uid, 1, &spec);
    } else {
        host_shell_spec(host, uid, 1, script, &spec);
    }
    spec.keep = keep;
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    return vm;
}

static void stop_shim(const struct host *host, uint64_t uid,
                      struct pid_file *file)
{
    assert_true(host_pid_file(host, uid, file));
    host_signal(&file->shim, SIGSTOP);
}

static void the_guard_kills_when_all_shims_are_stopped(void **state)
{
    struct host *host = *state;
    struct host_vm *vms[GUESTS];
    struct host_vm *shell;
    struct pid_file files[GUESTS + 1];
    uint64_t deadline_ns;
    size_t left = 1;

    host_run_guard(host);
    for (uint64_t i = 0; i < GUESTS; i++) {
        vms[i] = start(host, i + 1, NULL, false);
        stop_shim(host, i + 1, &files[i]);
    }
    shell = start(host, 9, "setsid sleep 1000 & sleep 1000", false);
    stop_shim(host, 9, &files[GUESTS]);
    host_until(host, host_count_processes(host) >= 3);
    host_lease_in(host, 300);
    deadline_ns = lease_page_deadline(&host->lease);
    while (left > 0) {
        assert_true(clock_boot_ns() < deadline_ns + 30000000000u);
        left = host_count_processes(host);
        for (size_t i = 0; i <= GUESTS; i++) {
            left += host_is_alive(&files[i].vm);
        }
        usleep(1000);
    }
    assert_false(lease_page_live(&host->lease, clock_boot_ns()));
    print_message("%d guests and a command gone %u ms after the deadline\n",
                  GUESTS,
                  (unsigned)((clock_boot_ns() - deadline_ns) / 1000000));
    /* The shims were killed as well, so the VMs' end can be proved. */
    for (size_t i = 0; i < GUESTS; i++) {
        assert_true(host_await(host, vms[i], VM_EVENT_GONE));
    }
    assert_true(host_await(host, shell, VM_EVENT_GONE));
}

static void the_guard_leaves_live_leases_and_keep_vms_alone(void **state)
{
    struct host *host = *state;
    struct pid_file move_file;
    struct pid_file keep_file;

    host_run_guard(host);
    start(host, 1, "sleep 1000", false);
    start(host, 2, "sleep 1000", true);
    stop_shim(host, 1, &move_file);
    stop_shim(host, 2, &keep_file);
    host_turn(host, 600);
    assert_true(host_is_alive(&move_file.vm));
    host_lease_in(host, 100);
    host_until(host, !host_is_alive(&move_file.vm));
    host_turn(host, 400);
    assert_true(host_is_alive(&keep_file.vm));
    assert_true(host_is_alive(&keep_file.shim));
}

/* A shim that was stopped before it forked must not go on afterwards. */
static void the_guard_ends_a_shim_that_has_no_vm_yet(void **state)
{
    struct host *host = *state;
    char program[] = "/bin/sleep";
    char seconds[] = "1000";
    char *argv[] = {program, seconds, NULL};
    struct pid_file file = {.running = false};
    int fd = run_dir_open_vm(&host->run, 5, true);
    pid_t pid = host_run(host, argv);

    assert_int_equal(process_identify(pid, &file.shim), 0);
    assert_int_equal(pid_file_write(&file, fd), 0);
    close(fd);
    host_run_guard(host);
    host_lease_in(host, 50);
    assert_int_equal(host_wait(host, pid), -SIGKILL);
}

/* A pid that is another process by now is not ours to kill. */
static void the_guard_spares_a_pid_that_was_used_again(void **state)
{
    struct host *host = *state;
    char program[] = "/bin/sleep";
    char seconds[] = "1000";
    char *argv[] = {program, seconds, NULL};
    struct pid_file file = {.running = true};
    int fd = run_dir_open_vm(&host->run, 5, true);
    pid_t pid = host_run(host, argv);

    assert_int_equal(process_identify(pid, &file.vm), 0);
    assert_int_equal(process_identify(pid, &file.shim), 0);
    assert_true(host_is_alive(&file.vm));
    file.vm.start_ticks--;
    file.shim.start_ticks--;
    assert_int_equal(pid_file_write(&file, fd), 0);
    close(fd);
    host_run_guard(host);
    host_lease_in(host, 1);
    host_turn(host, 600);
    file.vm.start_ticks++;
    assert_true(host_is_alive(&file.vm));
}

static pid_t guard_pid(const struct host *host)
{
    struct process_id id;
    uint64_t beat_ns;

    return guard_beat_read(host->run.guard_fd, &beat_ns, &id) == 0 ? id.pid : 0;
}

static void a_dead_or_stopped_guard_is_replaced(void **state)
{
    struct host *host = *state;
    struct process_id first;
    struct process_id second;
    struct vm_spec spec;
    struct host_vm *vm;

    host_watch_guard(host);
    host_shell_spec(host, 1, 1, "sleep 1000", &spec);
    /* It was not started yet. */
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_CLOSED);
    host_until(host, guard_watch_live(&host->watch));
    assert_int_equal(process_identify(guard_pid(host), &first), 0);
    host_signal(&first, SIGKILL);
    host_until(host,
               guard_pid(host) != first.pid && guard_watch_live(&host->watch));
    assert_int_equal(process_identify(guard_pid(host), &second), 0);
    host_signal(&second, SIGSTOP);
    host_until(host, !guard_watch_live(&host->watch));
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_CLOSED);
    host_until(host, guard_watch_live(&host->watch));
    assert_int_not_equal(guard_pid(host), second.pid);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
}

/* Every process of a machine stands still now and then. */
static void a_pause_of_the_machine_is_not_the_guards_silence(void **state)
{
    struct guard_watch watch = {.looked_ms = 1000};
    uint64_t now_ms = 1000;

    (void)state;
    for (int i = 0; i < 50; i++) {
        now_ms += i % 5 == 4 ? 3000 : 100;
        assert_false(guard_watch_doubts(&watch, i % 5 == 0, now_ms));
    }
    /* But one that is silent while we look is stuck. */
    for (int i = 0; i < 4; i++) {
        assert_false(guard_watch_doubts(&watch, false, now_ms += 100));
    }
    assert_true(guard_watch_doubts(&watch, false, now_ms += 100));
    assert_false(guard_watch_doubts(&watch, true, now_ms += 100));
}

static unsigned watches_closed;

static void on_watch_closed(struct guard_watch *watch)
{
    (void)watch;
    watches_closed++;
}

static void a_guard_outlives_the_agent_and_is_taken_over(void **state)
{
    struct host *host = *state;
    pid_t pid;

    host_watch_guard(host);
    host_until(host, guard_watch_live(&host->watch));
    pid = guard_pid(host);
    guard_watch_close(&host->watch, on_watch_closed);
    host->watching = false;
    host_until(host, watches_closed == 1);
    host_turn(host, 300);
    host_watch_guard(host);
    host_turn(host, 500);
    assert_true(guard_watch_live(&host->watch));
    assert_int_equal(guard_pid(host), pid);
    assert_int_equal(host->watch.start_count, 0);
}

static void a_second_guard_ends_at_once(void **state)
{
    struct host *host = *state;
    char option[] = "--run-dir";
    char program[256];
    char *argv[] = {program, option, host->run.path, NULL};

    snprintf(program, sizeof(program), "%s", host_guard_path());
    host_run_guard(host);
    assert_int_equal(host_wait(host, host_run(host, argv)), 4);
}

static size_t fed(const char *path)
{
    struct stat info;

    return stat(path, &info) == 0 ? (size_t)info.st_size : 0;
}

/* A plain file stands for the device: each feeding adds a byte. The VM that
 * cannot be killed is a zombie that nobody reaps. */
static void the_watchdog_is_fed_only_while_it_is_safe(void **state)
{
    struct host *host = *state;
    char path[96];
    char program[] = "/bin/true";
    char *argv[] = {program, NULL};
    struct pid_file file = {.running = true};
    pid_t pid = host_run(host, argv);
    int fd = run_dir_open_vm(&host->run, 5, true);
    size_t count;

    host_until(host, process_identify(pid, &file.vm) == 0 &&
                         !host_is_alive(&file.vm));
    file.shim = file.vm;
    snprintf(path, sizeof(path), "%s/watchdog", host->dir);
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    host->guard_options.watchdog = path;
    host_watch_guard(host);
    assert_int_equal(pid_file_write(&file, fd), 0);
    /* Live lease: fed, whatever runs. */
    host_until(host, fed(path) >= 2);
    /* Over, and a VM is left: hungry. */
    host_lease_in(host, 1);
    host_turn(host, 400);
    count = fed(path);
    host_turn(host, 3 * GUARD_FEED_MS);
    assert_int_equal(fed(path), count);
    /* A `keep` VM is no reason to reset the host. */
    file.keep = true;
    assert_int_equal(pid_file_write(&file, fd), 0);
    host_until(host, fed(path) >= count + 2);
    file.keep = false;
    assert_int_equal(pid_file_write(&file, fd), 0);
    host_turn(host, 700);
    count = fed(path);
    host_turn(host, 2 * GUARD_FEED_MS);
    assert_int_equal(fed(path), count);
    /* Gone at last. */
    host_wait(host, pid);
    host_until(host, fed(path) >= count + 2);
    close(fd);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_guard_kills_when_all_shims_are_stopped),
        CASE(the_guard_leaves_live_leases_and_keep_vms_alone),
        CASE(the_guard_ends_a_shim_that_has_no_vm_yet),
        CASE(the_guard_spares_a_pid_that_was_used_again),
        CASE(a_dead_or_stopped_guard_is_replaced),
        CASE(a_pause_of_the_machine_is_not_the_guards_silence),
        CASE(a_guard_outlives_the_agent_and_is_taken_over),
        CASE(a_second_guard_ends_at_once),
        CASE(the_watchdog_is_fed_only_while_it_is_safe),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
