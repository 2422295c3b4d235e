/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/cgroup.h"
#include "agent/shim.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct ends {
    int read_fd;
    int write_fd;
};

static int make_pipe(struct ends *ends)
{
    int fds[2];

    if (pipe2(fds, O_CLOEXEC) < 0) {
        return -1;
    }
    ends->read_fd = fds[0];
    ends->write_fd = fds[1];
    return 0;
}

/* fork() with namespaces. The C library's wrapper wants a stack of its own;
 * without flags that share memory the bare call copies ours, as fork() does.
 * The shim has one thread, so nothing is locked in the copy. */
static pid_t fork_with(unsigned long flags)
{
    return (pid_t)syscall(SYS_clone, flags | SIGCHLD, 0, 0, 0, 0);
}

/* Root makes a PID namespace directly; others get one inside a user namespace
 * where the system allows those. */
static pid_t fork_isolated(bool *needs_map)
{
    pid_t pid = fork_with(CLONE_NEWPID);

    *needs_map = false;
    if (pid < 0 && errno == EPERM) {
        *needs_map = true;
        pid = fork_with(CLONE_NEWPID | CLONE_NEWUSER);
    }
    return pid;
}

static int write_proc(pid_t pid, const char *file, const char *text)
{
    char path[64];
    ssize_t written;
    int fd;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    written = write(fd, text, strlen(text));
    close(fd);
    return written == (ssize_t)strlen(text) ? 0 : -1;
}

/* The program keeps our user and group; it gains nothing. */
static int map_ids(pid_t pid)
{
    char line[64];

    if (write_proc(pid, "setgroups", "deny") < 0) {
        return -1;
    }
    snprintf(line, sizeof(line), "%u %u 1", geteuid(), geteuid());
    if (write_proc(pid, "uid_map", line) < 0) {
        return -1;
    }
    snprintf(line, sizeof(line), "%u %u 1", getegid(), getegid());
    return write_proc(pid, "gid_map", line);
}

bool shim_can_isolate(void)
{
    bool needs_map;
    int status;
    struct ends go;
    bool mapped;
    pid_t pid;

    if (make_pipe(&go) < 0) {
        return false;
    }
    pid = fork_isolated(&needs_map);
    if (pid == 0) {
        char byte;

        close(go.write_fd);
        _exit(read(go.read_fd, &byte, 1) == 0 && getpid() == 1 ? 0 : 1);
    }
    mapped = pid > 0 && (!needs_map || map_ids(pid) == 0);
    close(go.write_fd);
    close(go.read_fd);
    return pid > 0 && waitpid(pid, &status, 0) == pid && mapped &&
           WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int fail(struct shim *shim, enum shim_step step)
{
    shim->failure.step = (int32_t)step;
    shim->failure.error = errno;
    return HF_ERROR_IO;
}

static void close_pair(const struct ends *ends)
{
    close(ends->read_fd);
    close(ends->write_fd);
}

/* After the fork: name the child in the pid file, then let it go. Until then
 * it waits, so a program never runs unnamed. */
static int release(struct shim *shim, pid_t pid, bool needs_map, int go_fd)
{
    shim->vm_fd = process_open_child(pid);
    if (shim->vm_fd < 0 || process_identify(pid, &shim->pids.vm) != 0) {
        return fail(shim, SHIM_STEP_CLONE);
    }
    if (needs_map && map_ids(pid) < 0) {
        return fail(shim, SHIM_STEP_MAP);
    }
    if (pid_file_write(&shim->pids, shim->dir_fd) != 0 ||
        write(go_fd, "g", 1) != 1) {
        return fail(shim, SHIM_STEP_SETUP);
    }
    return 0;
}

int shim_spawn(struct shim *shim)
{
    struct ends go;
    struct ends outcome;
    struct ends status;
    bool needs_map = false;
    int error;
    pid_t pid;

    if (make_pipe(&go) < 0 || make_pipe(&outcome) < 0 ||
        make_pipe(&status) < 0) {
        return fail(shim, SHIM_STEP_PIPE);
    }
    pid =
        shim->options.pid_namespace ? fork_isolated(&needs_map) : fork_with(0);
    if (pid == 0) {
        close(go.write_fd);
        shim_child(shim, go.read_fd, outcome.write_fd, status.write_fd);
    }
    error = pid < 0 ? fail(shim, SHIM_STEP_CLONE)
                    : release(shim, pid, needs_map, go.write_fd);
    close_pair(&go);
    close(outcome.write_fd);
    close(status.write_fd);
    close(shim->serial.write_fd);
    close(shim->log.write_fd);
    shim->serial.write_fd = -1;
    shim->log.write_fd = -1;
    shim->outcome_fd = outcome.read_fd;
    shim->status_fd = status.read_fd;
    if (error != 0 && pid > 0) {
        /* It still waits and sees the closed pipe; or it is killed. */
        kill(pid, SIGKILL);
        waitpid(pid, &shim->status, 0);
    }
    return error;
}
