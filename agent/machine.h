/* SPDX-License-Identifier: Apache-2.0
 *
 * What this machine is and has: its identity over boots, the proof of a new
 * boot, what VMs may take of it. */
#ifndef AGENT_MACHINE_H
#define AGENT_MACHINE_H

#include "agent/lease_page.h"
#include "agent/run_dir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MACHINE_ID_BYTES 33 /* 32 hexadecimal digits and a NUL. */

/* Room for the kernel's boot id, a dash, an instance id and a NUL. */
#define MACHINE_BOOT_BYTES (BOOT_ID_BYTES + MACHINE_ID_BYTES)

/* Reads DIR/host_id, or makes it: random, once in the directory's life, synced
 * before it is used. INVALID: the file holds something else; IO. */
int machine_host_id(int state_dir_fd, char id[MACHINE_ID_BYTES]);

/* What proves that nothing of a former life of this host runs: the kernel's
 * boot id and one of the run directory, which ends with the boot as well. A
 * new one of the latter is made only when no shim of this run directory lives
 * (somebody emptied it under running VMs): BUSY then. IO. */
int machine_boot_id(const struct run_dir *run, char id[MACHINE_BOOT_BYTES]);

/* The same of a run directory that has one; makes nothing. NOT_FOUND, INVALID,
 * IO. */
int machine_boot_id_read(int run_dir_fd, char id[MACHINE_BOOT_BYTES]);

/* What VMs may take when the configuration does not say: all CPUs; memory less
 * a tenth and 512 MiB for the host itself; the free space of the state
 * directory less a tenth. */
struct machine_capacity {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t disk_gib;
    uint32_t gpu_count; /* Only by the configuration. */
};
int machine_capacity(int state_dir_fd, struct machine_capacity *capacity);

/* A run directory, by its name and by what it is: a shim may have been started
 * with another name of it. */
struct shim_place {
    const char *run_dir;
    uint64_t device;
    uint64_t inode;
};

/* What a shim's command line says of itself; lent from it. */
struct shim_words {
    const char *run_dir;
    const char *uid;
};

/* Whether a process's command line (its strings, each with a NUL) is a shim's;
 * words that are not there are NULL. */
bool machine_shim_words(const char *cmdline, size_t len,
                        struct shim_words *words);

struct shim_found {
    pid_t pid;
    uint64_t uid; /* 0: it does not say. */
};

/* Living shims of that run directory, found by their command lines; at most
 * `max`. Returns how many, or IO. */
int machine_find_shims(const struct shim_place *place, struct shim_found *found,
                       size_t max);

/* What a shim of this open run directory says of itself. IO. */
int machine_place(const struct run_dir *run, struct shim_place *place);

#endif
