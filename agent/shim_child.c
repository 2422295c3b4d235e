/* SPDX-License-Identifier: Apache-2.0
 *
 * The child's side of the fork: from the shim's copy to the VM's program. */
#include "agent/cgroup.h"
#include "agent/shim.h"
#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void give_up(int outcome_fd, enum shim_step step)
{
    struct shim_failure failure = {(int32_t)step, errno};

    if (write(outcome_fd, &failure, sizeof(failure)) < 0) {
        _exit(126);
    }
    _exit(127);
}

static int set_up_files(const struct shim *shim)
{
    int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 ||
        dup2(shim->serial.write_fd, STDOUT_FILENO) < 0 ||
        dup2(shim->log.write_fd, STDERR_FILENO) < 0) {
        return -1;
    }
    if (!shim->options.in_vm_dir) {
        return chdir("/");
    }
    if (fchdir(shim->dir_fd) < 0) {
        return -1;
    }
    return fcntl(shim->lock_fd, F_SETFD, 0);
}

static _Noreturn void execute(const struct shim *shim, int outcome_fd)
{
    sigset_t none;

    setsid();
    signal(SIGPIPE, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execvp(shim->options.command[0], shim->options.command);
    give_up(outcome_fd, SHIM_STEP_EXEC);
}

/* The first process of the namespace: passes signals on and reaps. When it
 * ends the kernel kills all that is left of the namespace, and only then can
 * the shim reap it. */
static _Noreturn void be_first(pid_t program, int status_fd)
{
    sigset_t all;

    sigfillset(&all);
    for (;;) {
        int signal_number = sigwaitinfo(&all, NULL);
        int status;
        pid_t pid;

        if (signal_number > 0 && signal_number != SIGCHLD) {
            kill(program, signal_number);
            continue;
        }
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
            if (pid == program) {
                ssize_t n = write(status_fd, &status, sizeof(status));

                _exit(n == (ssize_t)sizeof(status) ? 0 : 1);
            }
        }
    }
}

_Noreturn void shim_child(const struct shim *shim, int go_fd, int outcome_fd,
                          int status_fd)
{
    char go;
    pid_t pid;

    /* If the shim died before this line the pipe is closed and the read ends;
     * if it dies later the signal comes. getppid() cannot tell inside a PID
     * namespace. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) {
        give_up(outcome_fd, SHIM_STEP_SETUP);
    }
    if (read(go_fd, &go, 1) != 1) {
        _exit(126);
    }
    if (shim->cgroup_fd >= 0 && cgroup_enter(shim->cgroup_fd) != 0) {
        give_up(outcome_fd, SHIM_STEP_CGROUP);
    }
    if (set_up_files(shim) < 0) {
        give_up(outcome_fd, SHIM_STEP_SETUP);
    }
    /* The shim looked before the fork; it may have been stopped since. */
    if (!lease_page_live(&shim->lease, clock_boot_ns())) {
        errno = ETIME;
        give_up(outcome_fd, SHIM_STEP_LEASE);
    }
    if (!shim->options.pid_namespace) {
        execute(shim, outcome_fd);
    }
    pid = fork();
    if (pid < 0) {
        give_up(outcome_fd, SHIM_STEP_CLONE);
    }
    if (pid == 0) {
        execute(shim, outcome_fd);
    }
    close(outcome_fd);
    be_first(pid, status_fd);
}
