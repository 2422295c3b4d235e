/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroup.h"
#include "agent/files.h"
#include "agent/shim.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/standard_files.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "holdfast-shim runs one VM and kills it when the host's lease ends.\n"
    "It is started by holdfast-agent.\n"
    "\n"
    "  holdfast-shim --run-dir DIR --uid UID [options] -- PROGRAM [ARG...]\n"
    "  holdfast-shim --probe\n"
    "\n"
    "  --lock-fd FD        the VM's lock, already taken\n"
    "  --keep              the end of the lease does not kill this VM\n"
    "  --pid-namespace     give the program a PID namespace of its own\n"
    "  --in-vm-dir         run the program in the VM's directory\n"
    "  --cgroup DIR        run the program in a group under this delegated\n"
    "                      cgroup v2 directory\n"
    "  --probe             say whether --pid-namespace works here, and end\n"
    "  --help\n"
    "\n"
    "Exit status: 0 the VM ended, DIR/vms/UID/exit says how; 2 usage; 3 no\n"
    "live lease; 4 another shim runs this VM; 5 it could not be started.\n";

static _Noreturn void wrong_usage(const char *what)
{
    fprintf(stderr, "holdfast-shim: %s; see --help\n", what);
    exit(SHIM_EXIT_USAGE);
}

static uint64_t parse_number(const char *text, uint64_t max, const char *what)
{
    uint64_t value;

    if (files_parse_u64(text, strlen(text), max, &value) != 0) {
        wrong_usage(what);
    }
    return value;
}

static void parse(struct shim_options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"run-dir", required_argument, NULL, 'r'},
        {"uid", required_argument, NULL, 'u'},
        {"lock-fd", required_argument, NULL, 'l'},
        {"keep", no_argument, NULL, 'k'},
        {"pid-namespace", no_argument, NULL, 'n'},
        {"in-vm-dir", no_argument, NULL, 'd'},
        {"cgroup", required_argument, NULL, 'c'},
        {"probe", no_argument, NULL, 'p'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    memset(options, 0, sizeof(*options));
    options->lock_fd = -1;
    while ((option = getopt_long(argc, argv, "+", known, NULL)) != -1) {
        switch (option) {
        case 'r':
            options->run_dir = optarg;
            break;
        case 'u':
            options->uid = parse_number(optarg, UINT64_MAX, "bad --uid");
            break;
        case 'l':
            options->lock_fd =
                (int)parse_number(optarg, INT_MAX, "bad --lock-fd");
            break;
        case 'k':
            options->keep = true;
            break;
        case 'n':
            options->pid_namespace = true;
            break;
        case 'd':
            options->in_vm_dir = true;
            break;
        case 'c':
            options->cgroup = optarg;
            break;
        case 'p':
            exit(shim_can_isolate() ? SHIM_EXIT_OK : SHIM_EXIT_FAILED);
        case 'h':
            fputs(usage, stdout);
            exit(SHIM_EXIT_OK);
        default:
            exit(SHIM_EXIT_USAGE);
        }
    }
    options->command = argv + optind;
    if (options->run_dir == NULL || options->uid == 0 || optind == argc) {
        wrong_usage("--run-dir, --uid and a program are needed");
    }
}

/* The agent took the lock before it started us, so that there is no moment at
 * which a VM is on its way and its lock is free. */
static int take_lock(struct shim *shim)
{
    struct stat given;
    struct stat wanted;

    if (shim->options.lock_fd < 0) {
        shim->lock_fd = vm_dir_lock(shim->dir_fd);
        return shim->lock_fd < 0 ? shim->lock_fd : 0;
    }
    shim->lock_fd = shim->options.lock_fd;
    if (fstat(shim->lock_fd, &given) < 0 ||
        fstatat(shim->dir_fd, VM_FILE_LOCK, &wanted, AT_SYMLINK_NOFOLLOW) < 0 ||
        given.st_ino != wanted.st_ino || given.st_dev != wanted.st_dev ||
        fcntl(shim->lock_fd, F_SETFD, FD_CLOEXEC) < 0) {
        return HF_ERROR_INVALID;
    }
    /* On the same open file this changes nothing when the lock is held. */
    if (flock(shim->lock_fd, LOCK_EX | LOCK_NB) < 0) {
        return errno == EWOULDBLOCK ? HF_ERROR_BUSY : HF_ERROR_IO;
    }
    return 0;
}

static int open_all(struct shim *shim)
{
    int error = run_dir_open(&shim->run, shim->options.run_dir);

    if (error != 0) {
        return error;
    }
    shim->dir_fd = run_dir_open_vm(&shim->run, shim->options.uid, false);
    if (shim->dir_fd < 0) {
        return shim->dir_fd;
    }
    error = take_lock(shim);
    if (error != 0) {
        return error;
    }
    if (process_identify(getpid(), &shim->pids.shim) != 0) {
        return HF_ERROR_IO;
    }
    shim->pids.keep = shim->options.keep;
    if (shim->options.cgroup != NULL) {
        shim->cgroup_fd = cgroup_open_vm(shim->options.cgroup,
                                         shim->options.keep, shim->options.uid);
        if (shim->cgroup_fd < 0) {
            return shim->cgroup_fd;
        }
    }
    return pid_file_write(&shim->pids, shim->dir_fd);
}

static int open_events(struct shim *shim)
{
    sigset_t all;

    sigfillset(&all);
    signal(SIGPIPE, SIG_IGN);
    if (sigprocmask(SIG_SETMASK, &all, NULL) < 0) {
        return HF_ERROR_IO;
    }
    shim->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
    shim->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (shim->signal_fd < 0 || shim->timer_fd < 0) {
        return HF_ERROR_IO;
    }
    return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? HF_ERROR_IO : 0;
}

static void write_exit(const struct shim *shim)
{
    char text[VM_EXIT_BYTES_MAX + 1];
    char line[VM_EXIT_BYTES_MAX + 2];
    int len;

    shim_print_exit(shim, text);
    len = snprintf(line, sizeof(line), "%s\n", text);
    if (files_replace(shim->dir_fd, VM_FILE_EXIT, line, (size_t)len) != 0) {
        log_error("shim.exit_file_lost", "uid=%llu reason=\"%s\"",
                  (unsigned long long)shim->options.uid, text);
    }
    log_info("shim.gone", "uid=%llu reason=\"%s\"",
             (unsigned long long)shim->options.uid, text);
}

static int run(struct shim *shim)
{
    struct process_priority got;

    if (lease_page_open(&shim->lease, shim->run.fd) != 0 ||
        !lease_page_live(&shim->lease, clock_boot_ns())) {
        shim->failure.step = SHIM_STEP_LEASE;
        write_exit(shim);
        return SHIM_EXIT_REFUSED;
    }
    if (console_open(&shim->log, shim->dir_fd, VM_FILE_LOG, true) != 0 ||
        console_open(&shim->serial, shim->dir_fd, VM_FILE_SERIAL, false) != 0) {
        shim->failure.step = SHIM_STEP_PIPE;
        shim->failure.error = errno;
        write_exit(shim);
        return SHIM_EXIT_FAILED;
    }
    got = process_raise();
    /* The first line also makes the C library read its time zone now. */
    log_info("shim.start", "uid=%llu keep=%d fifo=%d locked=%d",
             (unsigned long long)shim->options.uid, shim->options.keep,
             got.fifo, got.locked);
    if (shim_spawn(shim) != 0) {
        write_exit(shim);
        return SHIM_EXIT_FAILED;
    }
    shim_watch(shim);
    write_exit(shim);
    return shim->failure.step == SHIM_STEP_NONE ? SHIM_EXIT_OK
                                                : SHIM_EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct shim shim = {
        .dir_fd = -1,
        .lock_fd = -1,
        .cgroup_fd = -1,
        .signal_fd = -1,
        .timer_fd = -1,
        .vm_fd = -1,
        .outcome_fd = -1,
        .status_fd = -1,
    };
    int error;

    standard_files_open();
    parse(&shim.options, argc, argv);
    setsid(); /* Fails harmlessly when the agent did it. */
    umask(0077);
    error = open_all(&shim);
    if (error == 0) {
        error = open_events(&shim);
    }
    if (error != 0) {
        log_error("shim.start_failed", "uid=%llu error=%s",
                  (unsigned long long)shim.options.uid, hf_error_name(error));
        return error == HF_ERROR_BUSY ? SHIM_EXIT_BUSY : SHIM_EXIT_FAILED;
    }
    return run(&shim);
}
