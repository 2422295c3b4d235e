/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroup.h"
#include "agent/shim.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS 1000000ull
#define NS_PER_S  1000000000ull

/* A guest that floods its console gets 3 MB/s and not more of a real-time
 * process's time: one portion, then nothing for this long. */
#define CONSOLE_PAUSE_MS 5
#define GROUP_POLL_MS    5

static void arm(struct shim *shim, uint64_t deadline_ns)
{
    struct itimerspec when = {
        .it_value = {.tv_sec = (time_t)(deadline_ns / NS_PER_S),
                     .tv_nsec = (long)(deadline_ns % NS_PER_S)},
    };

    /* Zero would disarm it; a deadline of zero is never armed. */
    CHECK(deadline_ns != 0);
    CHECK(timerfd_settime(shim->timer_fd, TFD_TIMER_ABSTIME, &when, NULL) == 0);
    shim->armed_ns = deadline_ns;
}

static void kill_vm(struct shim *shim, enum shim_kill why, uint64_t late_ns)
{
    /* First of all the call that counts. It fails only if the VM is dead. */
    process_signal(shim->vm_fd, SIGKILL);
    if (shim->cgroup_fd >= 0) {
        cgroup_kill(shim->cgroup_fd);
    }
    shim->kill = why;
    shim->killed_ns = clock_boot_ns();
    shim->late_us = late_ns / 1000;
    log_warn(why == SHIM_KILL_DEADLINE ? "shim.fenced" : "shim.released",
             "uid=%llu late_us=%llu", (unsigned long long)shim->options.uid,
             (unsigned long long)shim->late_us);
}

/* Points 2 and 3 of shim.h. */
static void check_lease(struct shim *shim)
{
    uint64_t now_ns = clock_boot_ns();
    uint64_t deadline_ns = lease_page_deadline(&shim->lease);

    if (shim->options.keep || shim->kill != SHIM_KILL_NONE || shim->reaped) {
        return;
    }
    if (!lease_page_live(&shim->lease, now_ns)) {
        bool ended = deadline_ns != 0 && deadline_ns <= now_ns;

        kill_vm(shim, ended ? SHIM_KILL_DEADLINE : SHIM_KILL_RELEASED,
                ended ? now_ns - deadline_ns : 0);
    } else if (shim->armed_ns <= now_ns || deadline_ns < shim->armed_ns) {
        /* A later deadline waits until the timer fires: one system call per
         * lease length rather than per renewal. */
        arm(shim, deadline_ns);
    }
}

static void read_signals(struct shim *shim)
{
    struct signalfd_siginfo info;

    while (read(shim->signal_fd, &info, sizeof(info)) ==
           (ssize_t)sizeof(info)) {
        if (info.ssi_signo != SIGCHLD && !shim->reaped) {
            process_signal(shim->vm_fd, (int)info.ssi_signo);
        }
    }
}

/* The VM, and orphans that a subreaper gets. */
static void reap(struct shim *shim)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == shim->pids.vm.pid && !shim->reaped) {
            shim->reaped = true;
            shim->status = status;
            shim->reaped_ns = clock_boot_ns();
        }
    }
}

static void read_outcome(struct shim *shim)
{
    ssize_t n = read(shim->outcome_fd, &shim->failure, sizeof(shim->failure));

    if (n < 0 && errno == EINTR) {
        return;
    }
    if (n != (ssize_t)sizeof(shim->failure)) {
        shim->failure.step = SHIM_STEP_NONE;
    }
    close(shim->outcome_fd);
    shim->outcome_fd = -1;
    if (n == 0) {
        shim->pids.running = true;
        pid_file_write(&shim->pids, shim->dir_fd);
        log_info("shim.running", "uid=%llu vm_pid=%d",
                 (unsigned long long)shim->options.uid, (int)shim->pids.vm.pid);
    }
}

static void pump_consoles(struct shim *shim, uint64_t now_ns)
{
    bool moved;

    if (now_ns < shim->console_pause_ns) {
        return;
    }
    moved = console_pump(&shim->serial);
    moved = console_pump(&shim->log) || moved;
    if (moved) {
        shim->console_pause_ns = now_ns + CONSOLE_PAUSE_MS * NS_PER_MS;
    }
}

static void wait_for_something(const struct shim *shim)
{
    bool paused = clock_boot_ns() < shim->console_pause_ns;
    struct pollfd fds[] = {
        {.fd = shim->timer_fd, .events = POLLIN},
        {.fd = shim->signal_fd, .events = POLLIN},
        {.fd = shim->outcome_fd, .events = POLLIN},
        {.fd = paused ? -1 : shim->serial.pipe_fd, .events = POLLIN},
        {.fd = paused ? -1 : shim->log.pipe_fd, .events = POLLIN},
    };

    /* Whatever woke us, everything is looked at in the same order, the lease
     * first; so what poll() says does not matter. */
    (void)!poll(fds, sizeof(fds) / sizeof(fds[0]),
                paused ? CONSOLE_PAUSE_MS : SHIM_PAGE_POLL_MS);
}

/* A command without a namespace may have left others in its group. */
static void empty_group(struct shim *shim)
{
    struct timespec pause = {.tv_nsec = GROUP_POLL_MS * (long)NS_PER_MS};

    if (shim->cgroup_fd < 0) {
        return;
    }
    while (cgroup_populated(shim->cgroup_fd)) {
        cgroup_kill(shim->cgroup_fd);
        reap(shim);
        nanosleep(&pause, NULL);
    }
    cgroup_remove_vm(shim->options.cgroup, shim->options.keep,
                     shim->options.uid);
}

static bool outcome_is_ready(const struct shim *shim)
{
    struct pollfd fd = {.fd = shim->outcome_fd, .events = POLLIN};

    return shim->outcome_fd >= 0 && poll(&fd, 1, 0) > 0;
}

void shim_watch(struct shim *shim)
{
    uint64_t expirations;
    int status;

    while (!shim->reaped) {
        check_lease(shim);
        wait_for_something(shim);
        check_lease(shim);
        /* Only to make it quiet; what counts is the page. */
        (void)!read(shim->timer_fd, &expirations, sizeof(expirations));
        read_signals(shim);
        if (outcome_is_ready(shim)) {
            read_outcome(shim);
        }
        reap(shim);
        pump_consoles(shim, clock_boot_ns());
    }
    empty_group(shim);
    if (outcome_is_ready(shim)) {
        read_outcome(shim);
    }
    /* What it said last is often the reason. */
    while (console_pump(&shim->serial) || console_pump(&shim->log)) {
    }
    if (shim->options.pid_namespace &&
        read(shim->status_fd, &status, sizeof(status)) ==
            (ssize_t)sizeof(status)) {
        shim->status = status;
    }
}

static void print_status(const struct shim *shim,
                         char text[VM_EXIT_BYTES_MAX + 1])
{
    if (WIFEXITED(shim->status)) {
        snprintf(text, VM_EXIT_BYTES_MAX + 1, "exited status=%d",
                 WEXITSTATUS(shim->status));
    } else {
        snprintf(text, VM_EXIT_BYTES_MAX + 1, "signaled signal=%d",
                 WTERMSIG(shim->status));
    }
}

void shim_print_exit(const struct shim *shim, char text[VM_EXIT_BYTES_MAX + 1])
{
    static const char *const steps[SHIM_STEP_COUNT] = {
        "none", "pipe", "cgroup", "clone", "map", "lease", "setup", "exec",
    };
    uint64_t gone_us = (shim->reaped_ns - shim->killed_ns) / 1000;

    if (shim->failure.step == SHIM_STEP_LEASE) {
        snprintf(text, VM_EXIT_BYTES_MAX + 1, "refused no_live_lease");
    } else if (shim->failure.step != SHIM_STEP_NONE) {
        CHECK(shim->failure.step < SHIM_STEP_COUNT);
        snprintf(text, VM_EXIT_BYTES_MAX + 1,
                 "not_started step=%s error=\"%s\"", steps[shim->failure.step],
                 strerror(shim->failure.error));
    } else if (shim->kill == SHIM_KILL_DEADLINE) {
        snprintf(text, VM_EXIT_BYTES_MAX + 1,
                 "fenced signal=9 late_us=%llu gone_us=%llu",
                 (unsigned long long)shim->late_us,
                 (unsigned long long)gone_us);
    } else if (shim->kill == SHIM_KILL_RELEASED) {
        snprintf(text, VM_EXIT_BYTES_MAX + 1, "released signal=9 gone_us=%llu",
                 (unsigned long long)gone_us);
    } else {
        print_status(shim, text);
    }
}
