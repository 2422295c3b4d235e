/* SPDX-License-Identifier: Apache-2.0
 *
 * Agents come and go, VMs stay: what the next agent finds, and what it may
 * start. */
#include "host_fixture.h"

#include "agent/files.h"
#include "base/clock.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define GUESTS 3

/* The agent's part of the next case, in a process of its own: starts VMs, says
 * so, and waits for its death. */
static _Noreturn void be_an_agent(struct host *host, int told_fd)
{
    struct host_vm *vms[GUESTS];

    if (uv_loop_fork(&host->loop) != 0) {
        _exit(1);
    }
    for (uint64_t i = 0; i < GUESTS; i++) {
        struct vm_spec spec;

        host_guest_spec(host, i + 1, 10 + i, &spec);
        vms[i] = host_start(host, &spec);
    }
    for (size_t i = 0; i < GUESTS; i++) {
        if (!host_await(host, vms[i], VM_EVENT_RUNNING)) {
            _exit(1);
        }
    }
    if (write(told_fd, "x", 1) != 1) {
        _exit(1);
    }
    for (;;) {
        pause();
    }
}

static void run_agent_to_its_death(struct host *host)
{
    int told[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe2(told, O_CLOEXEC), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        be_an_agent(host, told[1]);
    }
    host->pids[host->pid_count++] = pid;
    close(told[1]);
    assert_int_equal(read(told[0], &byte, 1), 1);
    close(told[0]);
    kill(pid, SIGKILL);
    assert_int_equal(host_wait(host, pid), -SIGKILL);
}

static void vms_of_a_dead_agent_are_adopted_with_their_pids(void **state)
{
    struct host *host = *state;
    struct host_vm *vms[GUESTS];
    struct pid_file before[GUESTS];
    uint64_t beats[GUESTS];
    struct scan scan;

    run_agent_to_its_death(host);
    for (uint64_t i = 0; i < GUESTS; i++) {
        assert_true(host_pid_file(host, i + 1, &before[i]));
    }
    assert_int_equal(scan_run(&scan, &host->run), 0);
    assert_int_equal(scan.count, GUESTS);
    for (size_t i = 0; i < GUESTS; i++) {
        assert_int_equal(scan.entries[i].state, SCAN_LIVE);
        assert_int_equal(scan.entries[i].uid, i + 1);
        assert_int_equal(scan.entries[i].spec.epoch, 10 + i);
        vms[i] = host_adopt(host, &scan.entries[i].spec);
        beats[i] = host_beats(host, i + 1);
    }
    scan_close(&scan);
    for (size_t i = 0; i < GUESTS; i++) {
        struct pid_file after;

        assert_true(host_await(host, vms[i], VM_EVENT_RUNNING));
        assert_true(host_pid_file(host, i + 1, &after));
        assert_memory_equal(&after, &before[i], sizeof(after));
        host_until(host, host_beats(host, i + 1) > beats[i] + 1);
        assert_int_equal(host_boots(host, i + 1), 1);
        assert_true(host_is_alive(&before[i].vm));
    }
    vm_stop(vms[0]->vm, 20000); /* The monitor obeys the new agent. */
    vm_kill(vms[1]->vm);
    assert_true(host_await(host, vms[0], VM_EVENT_GONE));
    assert_string_equal(host_reason(vms[0], VM_EVENT_GONE), "exited status=0");
    assert_true(host_await(host, vms[1], VM_EVENT_GONE));
    host_lease_in(host, 50); /* And the shim still obeys the lease. */
    assert_true(host_await(host, vms[2], VM_EVENT_GONE));
    assert_false(vms[2]->events[vms[2]->event_count - 1].failed);
}

static void an_end_without_an_agent_is_reported_by_the_next(void **state)
{
    struct host *host = *state;
    struct vm_spec spec;
    struct host_vm *vm;
    struct pid_file file;
    struct scan scan;

    for (uint64_t uid = 1; uid <= 3; uid++) {
        host_shell_spec(host, uid, uid,
                        uid == 1 ? "sleep 0.3; exit 3" : "sleep 1000", &spec);
        vm = host_start(host, &spec);
        assert_true(host_await(host, vm, VM_EVENT_RUNNING));
        host_let_go(vm);
    }
    assert_true(host_pid_file(host, 2, &file));
    host_signal(&file.shim, SIGKILL);
    host_until(host, host_lock_is_free(host, 1) && host_lock_is_free(host, 2));
    host_lease_in(host, 50);
    host_until(host, host_lock_is_free(host, 3));
    assert_int_equal(scan_run(&scan, &host->run), 0);
    assert_int_equal(scan.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(scan.entries[i].state, SCAN_ENDED);
        assert_int_equal(scan.entries[i].spec.epoch, i + 1);
        assert_int_equal(scan.entries[i].failed, i < 2);
    }
    assert_string_equal(scan.entries[0].reason, "exited status=3");
    assert_string_equal(scan.entries[1].reason, "shim_died");
    assert_int_equal(strncmp(scan.entries[2].reason, "fenced ", 7), 0);
    assert_int_equal(vm_forget(&host->run, &scan.entries[0].spec), 0);
    scan_close(&scan);
    assert_int_equal(scan_run(&scan, &host->run), 0);
    assert_int_equal(scan.count, 2);
    scan_close(&scan);
}

static void make_dir(const struct host *host, const char *name)
{
    assert_int_equal(mkdirat(host->run.vms_fd, name, 0700), 0);
}

static bool in_quarantine(const struct host *host, const char *name)
{
    char command[256];

    snprintf(command, sizeof(command), "ls -d %s/quarantine/%s.* >/dev/null",
             host->run.path, name);
    /* NOLINTNEXTLINE(cert-env33-c,concurrency-mt-unsafe) */
    return system(command) == 0;
}

/* Rule 8: what is not known is put aside, or left alone while it lives. */
static void what_is_unknown_is_never_deleted(void **state)
{
    struct host *host = *state;
    struct vm_spec spec;
    struct host_vm *vm;
    struct pid_file file;
    struct scan scan;
    int fd;

    make_dir(host, "lost+found");
    make_dir(host, "007");
    make_dir(host, "12"); /* Never got its spec. */
    fd = openat(host->run.vms_fd, "99", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    host_shell_spec(host, 5, 1, "sleep 1000", &spec);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    host_let_go(vm);
    fd = run_dir_open_vm(&host->run, 5, false);
    assert_int_equal(files_replace(fd, VM_FILE_SPEC, "?", 1), 0);
    close(fd);
    assert_int_equal(scan_run(&scan, &host->run), 0);
    assert_int_equal(scan.quarantined_count, 4);
    assert_int_equal(scan.count, 1);
    assert_int_equal(scan.entries[0].state, SCAN_UNKNOWN);
    assert_int_equal(scan.entries[0].uid, 5);
    scan_close(&scan);
    assert_true(in_quarantine(host, "lost+found"));
    assert_true(in_quarantine(host, "007"));
    assert_true(in_quarantine(host, "12"));
    assert_true(in_quarantine(host, "99"));
    assert_true(host_pid_file(host, 5, &file));
    assert_true(host_is_alive(&file.vm));
    /* Left alone is not left out of the lease. */
    host_lease_in(host, 50);
    host_until(host, !host_is_alive(&file.vm));
}

static void a_directory_with_foreign_files_is_not_removed(void **state)
{
    struct host *host = *state;
    struct vm_spec spec;
    struct host_vm *vm;
    int fd;

    host_shell_spec(host, 5, 1, "true", &spec);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    fd = run_dir_open_vm(&host->run, 5, false);
    assert_int_equal(files_replace(fd, "notes", "x", 1), 0);
    close(fd);
    assert_int_equal(vm_dir_remove(&host->run, 5), 0);
    assert_int_equal(run_dir_open_vm(&host->run, 5, false), HF_ERROR_NOT_FOUND);
    assert_true(in_quarantine(host, "5"));
}

static void only_a_newer_epoch_may_start(void **state)
{
    struct host *host = *state;
    struct vm_spec spec;
    struct host_vm *vm;

    host_shell_spec(host, 5, 7, "sleep 1000", &spec);
    vm = host_start(host, &spec);
    /* Running, or on its way: another epoch must wait for its end. */
    host_shell_spec(host, 5, 8, "sleep 1000", &spec);
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_EXISTS);
    assert_int_equal(vm_dir_remove(&host->run, 5), HF_ERROR_BUSY);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_EXISTS);
    vm_kill(vm->vm);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    spec.epoch = 7;
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_INVALID);
    spec.epoch = 6;
    assert_int_equal(host_refusal(host, &spec), HF_ERROR_INVALID);
    spec.epoch = 8;
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_RUNNING));
}

static void an_adopted_vm_that_is_already_gone_is_said_so(void **state)
{
    struct host *host = *state;
    struct vm_spec spec;
    struct vm_spec copy;
    struct host_vm *vm;

    host_shell_spec(host, 5, 7, "exit 4", &spec);
    vm_spec_copy(&copy, &spec);
    vm = host_start(host, &spec);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    vm = host_adopt(host, &copy);
    assert_true(host_await(host, vm, VM_EVENT_GONE));
    assert_string_equal(host_reason(vm, VM_EVENT_GONE), "exited status=4");
    vm_spec_close(&copy);
}

#define CASE(name) \
    cmocka_unit_test_setup_teardown(name, host_setup, host_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(vms_of_a_dead_agent_are_adopted_with_their_pids),
        CASE(an_end_without_an_agent_is_reported_by_the_next),
        CASE(what_is_unknown_is_never_deleted),
        CASE(a_directory_with_foreign_files_is_not_removed),
        CASE(only_a_newer_epoch_may_start),
        CASE(an_adopted_vm_that_is_already_gone_is_said_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
