/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast-shim: the process above one VM. It kills the VM when the host's
 * lease ends, whatever the agent does, and the VM dies when it dies.
 *
 * Why the VM is dead at the deadline D plus K (rule 1, DESIGN.md section 6):
 *  1. The VM's program is started only while the lease is live: the shim looks
 *     before it forks, and the child looks again just before it executes the
 *     program. The lock is held from before the agent starts the shim.
 *  2. D is read from the page that the agent writes, never remembered: a
 *     timer set to D reads the page again when it fires. D never moves back
 *     but to "no lease", which is noticed within SHIM_PAGE_POLL_MS.
 *  3. At D the kill is one system call on a pidfd: no allocation, no file, no
 *     lock. The shim is one thread with real-time priority and locked memory
 *     where the system allows it (measured: at most 0.2 ms late so, up to 19 ms
 *     as an ordinary process under load).
 *  4. SIGKILL cannot be caught. What the program forked dies with it: QEMU's
 *     sandbox forbids it to fork, a command's PID namespace or cgroup ends as
 *     a whole.
 *  5. If the shim dies first the kernel sends the VM PDEATHSIG. The shim has
 *     one thread, so that signal cannot come early from a thread that ends.
 *  6. If the shim is stopped or starved the guard does the same from D + 200 ms
 *     on (guard.h).
 *  7. The VM counts as gone only when the lock is free: shim and QEMU (or the
 *     namespace's first process) hold it, and the kernel lets go of it when
 *     the last thread has left, so also no write is still on its way out.
 * What none of these can cover: a machine that is paused as a whole beyond D
 * and then resumes runs its VMs some milliseconds more (28 to 50 measured);
 * CLOCK_BOOTTIME counts suspension, so the kill is immediate then. A
 * hypervisor's pause of our host needs storage fencing. */
#ifndef AGENT_SHIM_H
#define AGENT_SHIM_H

#include "agent/console.h"
#include "agent/lease_page.h"
#include "agent/pid_file.h"
#include "agent/run_dir.h"

#include <stdbool.h>
#include <stdint.h>

#define SHIM_PAGE_POLL_MS 100

/* Exit codes of the program; the agent reads the exit file, people see these.
 */
enum shim_exit {
    SHIM_EXIT_OK = 0, /* The VM ended; the exit file says how. */
    SHIM_EXIT_USAGE = 2,
    SHIM_EXIT_REFUSED = 3, /* No live lease. */
    SHIM_EXIT_BUSY = 4,    /* Another shim has this VM. */
    SHIM_EXIT_FAILED = 5
};

struct shim_options {
    const char *run_dir;
    uint64_t uid;
    int lock_fd;        /* From the agent; -1: take the lock here. */
    bool keep;          /* The deadline does not kill; the start needs a lease
                           all the same. */
    bool pid_namespace; /* The program gets a PID namespace of its own. */
    bool in_vm_dir;     /* The program works in the VM's directory and holds
                           the lock too (QEMU). */
    const char *cgroup; /* NULL: none. */
    char **command;     /* Ends with NULL. */
};

enum shim_kill { SHIM_KILL_NONE, SHIM_KILL_DEADLINE, SHIM_KILL_RELEASED };

/* What the child reports when it could not become the program. */
struct shim_failure {
    int32_t step; /* enum shim_step */
    int32_t error;
};

enum shim_step {
    SHIM_STEP_NONE = 0,
    SHIM_STEP_PIPE,
    SHIM_STEP_CGROUP,
    SHIM_STEP_CLONE,
    SHIM_STEP_MAP,
    SHIM_STEP_LEASE,
    SHIM_STEP_SETUP,
    SHIM_STEP_EXEC,
    SHIM_STEP_COUNT
};

struct shim {
    struct shim_options options;
    struct run_dir run;
    struct lease_page lease;
    struct pid_file pids;
    struct console serial; /* The program's stdout. */
    struct console log;    /* Its stderr, and ours. */
    int dir_fd;
    int lock_fd;
    int cgroup_fd;
    int signal_fd;
    int timer_fd;
    int vm_fd;      /* pidfd of the direct child. */
    int outcome_fd; /* End of file when the program was executed. */
    int status_fd;  /* A namespace's wait status of its program; -1 without. */
    int status;     /* As of waitpid(). */
    bool reaped;
    struct shim_failure failure;
    enum shim_kill kill;
    uint64_t armed_ns; /* What the timer is set to. */
    uint64_t late_us;
    uint64_t killed_ns;
    uint64_t reaped_ns;
    uint64_t console_pause_ns; /* No console work before this. */
};

/* Forks the VM's program, which waits; writes the pid file; lets it go.
 * Negative: `shim->failure` says where. Failures of the child come through
 * outcome_fd. */
int shim_spawn(struct shim *shim);

/* Runs until the VM and all it forked are gone. */
void shim_watch(struct shim *shim);

/* Whether this process may make PID namespaces; the way the shim does it. */
bool shim_can_isolate(void);

/* The exit file's line, without newline. */
void shim_print_exit(const struct shim *shim, char text[VM_EXIT_BYTES_MAX + 1]);

/* Inside the child: executes the command, or becomes the first process of its
 * namespace and has it executed. They do not return. */
_Noreturn void shim_child(const struct shim *shim, int go_fd, int outcome_fd,
                          int status_fd);

#endif
