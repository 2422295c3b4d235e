/* SPDX-License-Identifier: Apache-2.0
 *
 * A host for tests: a run directory, a lease, a loop, drivers, and the means to
 * look at what really runs. Everything that a test started is killed by its
 * pid when the fixture closes, also after a failed assertion. */
#ifndef TESTS_AGENT_HOST_FIXTURE_H
#define TESTS_AGENT_HOST_FIXTURE_H

#include "agent/driver_exec.h"
#include "agent/driver_qemu.h"
#include "agent/guard_watch.h"
#include "agent/pid_file.h"
#include "agent/scan.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HOST_EVENTS_MAX 32
#define HOST_PIDS_MAX   64
#define HOST_VMS_MAX    64

/* One VM's events, in order. */
struct host_vm {
    struct vm_listener listener;
    struct vm *vm;
    struct {
        enum vm_event_kind kind;
        char reason[VM_EXIT_BYTES_MAX + 1];
        bool failed;
    } events[HOST_EVENTS_MAX];
    size_t event_count;
};

struct host {
    char dir[64]; /* Holds run/ and the disks. */
    struct run_dir run;
    struct lease_page lease;
    uv_loop_t loop;
    struct guard_watch watch;
    struct guard_options guard_options;
    bool watching;
    uint64_t wait_end_ms;
    bool mounted; /* Something on DIR/full. */
    struct vm_host vm_host;
    struct driver_qemu qemu;
    struct driver_exec exec;
    char cgroup[128];
    struct host_vm *vms[HOST_VMS_MAX];
    size_t vm_count;
    pid_t pids[HOST_PIDS_MAX]; /* Direct children to kill and wait for. */
    size_t pid_count;
};

/* cmocka's setup and teardown; *state is a struct host. The lease is live for
 * a minute, drivers are ready (QEMU with TCG, exec after its probe). */
int host_setup(void **state);
int host_teardown(void **state);

const char *host_shim_path(void);
const char *host_guard_path(void);
const char *host_guest_image(void);

/* Sets the deadline to now + ms, also earlier than it was. */
void host_lease_in(struct host *host, uint32_t ms);

/* Starts to watch over a guard, or runs one directly (then its pid comes
 * back). */
void host_watch_guard(struct host *host);
pid_t host_run_guard(struct host *host);

/* Runs a program as a child; killed at the end unless waited for. */
pid_t host_run(struct host *host, char *const argv[]);
int host_wait(struct host *host, pid_t pid); /* Its exit code, -signal. */

/* Specs: our guest with its counter on a disk of this host; a shell command. */
void host_guest_spec(struct host *host, uint64_t uid, uint64_t epoch,
                     struct vm_spec *spec);
void host_shell_spec(struct host *host, uint64_t uid, uint64_t epoch,
                     const char *script, struct vm_spec *spec);

/* Starts the spec's VM with its driver and closes the spec. What comes back is
 * the fixture's. */
struct host_vm *host_start(struct host *host, struct vm_spec *spec);
struct host_vm *host_adopt(struct host *host, const struct vm_spec *spec);

/* What vm_start() says to a spec that it must refuse. */
int host_refusal(struct host *host, const struct vm_spec *spec);
void host_let_go(struct host_vm *vm);

/* Runs the loop until the event was seen; false after a generous time. */
bool host_await(struct host *host, const struct host_vm *vm,
                enum vm_event_kind kind);
bool host_saw(const struct host_vm *vm, enum vm_event_kind kind);
const char *host_reason(const struct host_vm *vm, enum vm_event_kind kind);

/* Runs the loop for a while. */
void host_turn(struct host *host, uint32_t ms);

/* Turns of the loop as long as `condition` is false; fails the test after
 * 30 s. */
#define host_until(host, condition)                \
    do {                                           \
        host_begin_waiting(host);                  \
        while (!(condition)) {                     \
            host_keep_waiting((host), #condition); \
        }                                          \
    } while (0)

#define HOST_WAIT_MS 30000
void host_begin_waiting(struct host *host);
void host_keep_waiting(struct host *host, const char *what);

/* What really is. */
bool host_pid_file(const struct host *host, uint64_t uid,
                   struct pid_file *file);
bool host_is_alive(const struct process_id *id); /* Neither gone nor zombie. */
void host_signal(const struct process_id *id, int signal_number);
bool host_read_exit(const struct host *host, uint64_t uid,
                    char reason[VM_EXIT_BYTES_MAX + 1]);
bool host_lock_is_free(const struct host *host, uint64_t uid);

/* Processes of any depth that have this host's directory in their environment:
 * what commands forked, whatever they did to hide. Shims do not count. */
size_t host_count_processes(const struct host *host);

/* A delegated cgroup of our own where this machine allows one, else NULL. The
 * teardown removes it. */
const char *host_cgroup(struct host *host);
void host_remove_cgroup(struct host *host);

/* Where the counter of a guest is. */
void host_disk_path(const struct host *host, uint64_t uid, char path[96]);

/* The guest's counter on its disk; 0 before the first beat. */
uint64_t host_beats(const struct host *host, uint64_t uid);
uint64_t host_boots(const struct host *host, uint64_t uid);

#endif
