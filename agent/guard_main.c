/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/files.h"
#include "agent/guard.h"
#include "agent/guard_beat.h"
#include "agent/process.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "holdfast-guard kills a host's VMs when its lease has ended and their\n"
    "shims did not do it. It is started and watched by holdfast-agent.\n"
    "\n"
    "  holdfast-guard --run-dir DIR [options]\n"
    "\n"
    "  --cgroup DIR      delegated cgroup v2 directory that holds the VMs\n"
    "  --watchdog FILE   device to feed while the lease is live or no VM that\n"
    "                    the lease governs is left, for example /dev/watchdog\n"
    "  --help\n"
    "\n"
    "Exit status: 0 asked to end; 2 usage; 4 another guard is there; 5 it\n"
    "could not start.\n";

enum { EXIT_USAGE = 2, EXIT_BUSY = 4, EXIT_FAILED = 5 };

struct guard_program {
    struct guard guard;
    struct guard_beat beat;
    const char *run_dir;
    const char *watchdog;
    int watchdog_fd;
    int signal_fd;
    uint64_t fed_ms;
};

static void parse(struct guard_program *program, int argc, char **argv)
{
    static const struct option known[] = {
        {"run-dir", required_argument, NULL, 'r'},
        {"cgroup", required_argument, NULL, 'c'},
        {"watchdog", required_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'r':
            program->run_dir = optarg;
            break;
        case 'c':
            program->guard.cgroup = optarg;
            break;
        case 'w':
            program->watchdog = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        default:
            exit(EXIT_USAGE);
        }
    }
    if (program->run_dir == NULL || optind != argc) {
        fputs("holdfast-guard: --run-dir is needed; see --help\n", stderr);
        exit(EXIT_USAGE);
    }
}

static int take_lock(int guard_dir_fd)
{
    /* Held until the process ends. */
    int fd = openat(guard_dir_fd, RUN_FILE_LOCK,
                    O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0) {
        return HF_ERROR_IO;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK ? HF_ERROR_BUSY : HF_ERROR_IO;
    }
    return 0;
}

static int open_signals(struct guard_program *program)
{
    sigset_t ours;

    sigemptyset(&ours);
    sigaddset(&ours, SIGTERM);
    sigaddset(&ours, SIGINT);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    if (sigprocmask(SIG_BLOCK, &ours, NULL) < 0) {
        return HF_ERROR_IO;
    }
    program->signal_fd = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
    return program->signal_fd < 0 ? HF_ERROR_IO : 0;
}

static int open_all(struct guard_program *program)
{
    struct guard *guard = &program->guard;
    int error = run_dir_open(&guard->run, program->run_dir);

    if (error == 0) {
        error = take_lock(guard->run.guard_fd);
    }
    if (error == 0) {
        error = lease_page_open(&guard->lease, guard->run.fd);
    }
    if (error == 0) {
        error = guard_beat_create(&program->beat, guard->run.guard_fd);
    }
    if (error == 0) {
        error = open_signals(program);
    }
    if (error == 0 && program->watchdog != NULL) {
        program->watchdog_fd =
            open(program->watchdog, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
        error = program->watchdog_fd < 0 ? HF_ERROR_IO : 0;
    }
    return error;
}

static void feed(struct guard_program *program, uint64_t now_ms)
{
    if (program->watchdog_fd < 0 || now_ms - program->fed_ms < GUARD_FEED_MS ||
        !guard_is_safe(&program->guard)) {
        return;
    }
    if (write(program->watchdog_fd, "\n", 1) != 1) {
        log_error("guard.watchdog_not_fed", "error=\"%s\"", strerror(errno));
    }
    program->fed_ms = now_ms;
}

static void watch(struct guard_program *program)
{
    struct pollfd fd = {.fd = program->signal_fd, .events = POLLIN};

    for (;;) {
        uint32_t wait_ms = guard_tick(&program->guard, clock_boot_ns());

        guard_beat_write(&program->beat, clock_boot_ns());
        feed(program, clock_boot_ms());
        if (poll(&fd, 1, (int)wait_ms) > 0) {
            return;
        }
    }
}

/* Without the letter the device counts on, and resets the machine unless the
 * next guard feeds it in time: right while VMs run, wrong when none is left. */
static void close_watchdog(struct guard_program *program)
{
    if (program->watchdog_fd >= 0 &&
        guard_sweep(&program->guard, false, false) == 0 &&
        write(program->watchdog_fd, "V", 1) != 1) {
        log_error("guard.watchdog_not_closed", "error=\"%s\"", strerror(errno));
    }
}

int main(int argc, char **argv)
{
    static struct guard_program program = {
        .watchdog_fd = -1,
        .signal_fd = -1,
    };
    struct process_priority got;
    int error;

    standard_files_open();
    parse(&program, argc, argv);
    setsid(); /* Fails harmlessly when the agent did it. */
    umask(0077);
    error = open_all(&program);
    if (error != 0) {
        log_error("guard.start_failed", "run_dir=\"%s\" error=%s",
                  program.run_dir, hf_error_name(error));
        return error == HF_ERROR_BUSY ? EXIT_BUSY : EXIT_FAILED;
    }
    got = process_raise();
    log_info("guard.start", "fifo=%d locked=%d cgroup=%s watchdog=%s", got.fifo,
             got.locked,
             program.guard.cgroup == NULL ? "none" : program.guard.cgroup,
             program.watchdog == NULL ? "none" : program.watchdog);
    watch(&program);
    close_watchdog(&program);
    log_info("guard.end", "reason=signal");
    return 0;
}
