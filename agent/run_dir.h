/* SPDX-License-Identifier: Apache-2.0
 *
 * The run directory of a host: where agent, guard and shims meet. It lies on a
 * tmpfs that is empty after a boot, belongs to the agent's user, mode 0700.
 *
 *   RUN/lease               the lease page (agent/lease_page.h)
 *   RUN/instance_id         random: part of the host's boot id
 *   RUN/region              id of the region whose VMs these are
 *                           (agent/region_file.h)
 *   RUN/guard/lock          flock: held by the guard while it lives
 *   RUN/guard/beat          the guard's sign of life (agent/guard_beat.h)
 *   RUN/guard/log           its log, cut to a bounded size at each start
 *   RUN/vms/<uid>/          one VM, the uid in decimal
 *       lock                flock: held by agent, shim and VM process, in turn
 *                           and without a gap; free proves that the VM is gone
 *       spec                what was ordered (agent/vm_spec.h), with the epoch
 *       epoch               the epoch alone, decimal, for people and scripts
 *       pid                 shim, VM and policy (agent/pid_file.h)
 *       qmp                 QEMU's monitor socket
 *       serial, serial.1    console: the newest part and the one before
 *       log, log.1          what shim and VM said on stderr, likewise
 *       exit                how it ended: one line, written by the shim
 *   RUN/quarantine/         what was found in vms/ and is not ours; we never
 *                           delete it (rule 8)
 *   RUN/probe/              a run directory of its own for probe boots
 *
 * The contract allows 60 bytes for RUN; RUN/probe is longer. */
#ifndef AGENT_RUN_DIR_H
#define AGENT_RUN_DIR_H

#include <stdbool.h>
#include <stdint.h>

#define RUN_DIR_PATH_MAX 80

#define RUN_FILE_LEASE      "lease"
#define RUN_FILE_REGION     "region"
#define RUN_FILE_GENERATION "generation"
#define RUN_FILE_LOCK       "lock"
#define RUN_FILE_BEAT       "beat"

#define VM_FILE_LOCK   "lock"
#define VM_FILE_SPEC   "spec"
#define VM_FILE_EPOCH  "epoch"
#define VM_FILE_PID    "pid"
#define VM_FILE_QMP    "qmp"
#define VM_FILE_SERIAL "serial"
#define VM_FILE_LOG    "log"
#define VM_FILE_EXIT   "exit"

#define VM_EXIT_BYTES_MAX 255 /* As VmReport.reason of the contract. */

struct run_dir {
    char path[RUN_DIR_PATH_MAX + 1];
    int fd;
    int vms_fd;
    int guard_fd;
    int quarantine_fd;
};

/* Makes what is missing and opens it; for the agent. TOO_LARGE: the path is
 * too long; INVALID: it is not absolute, or the directory belongs to somebody
 * else or is open to others; IO. */
int run_dir_create(struct run_dir *run, const char *path);

/* Opens what the agent made. NOT_FOUND, TOO_LARGE, INVALID, IO. */
int run_dir_open(struct run_dir *run, const char *path);
void run_dir_close(struct run_dir *run);

/* The directory of a VM, opened; a negative error else. With `create` it is
 * made when it is missing. */
int run_dir_open_vm(const struct run_dir *run, uint64_t uid, bool create);

/* A uid from the name of a directory in vms/: decimal, not zero, no leading
 * zero. INVALID otherwise. */
int run_dir_parse_uid(const char *name, uint64_t *uid);

/* Takes the VM's lock and returns its file. BUSY: the VM, its shim or a start
 * under way holds it; IO. Free proves that neither lives; give the file to the
 * shim, or close it. */
int vm_dir_lock(int dir_fd);

/* Removes the files of a VM that is gone, and the directory. Files that are
 * not ours put the directory into quarantine instead. NOT_FOUND; BUSY: the VM
 * is not gone; IO. */
int vm_dir_remove(const struct run_dir *run, uint64_t uid);

/* Removes what an earlier epoch left here; the caller holds the lock. */
int vm_dir_clean(int dir_fd);

/* Moves vms/<name> aside. The caller made sure that nothing runs from it. */
int run_dir_quarantine(const struct run_dir *run, const char *name);

#endif
