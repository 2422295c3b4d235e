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

/* What VMs may take when the configuration does not say: all CPUs; memory less
 * a tenth and 512 MiB for the host itself; the free space of the state
 * directory less a tenth. */
struct machine_capacity {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t disk_gib;
};
int machine_capacity(int state_dir_fd, struct machine_capacity *capacity);

/* Whether a process's command line (its strings, each with a NUL) is a shim of
 * this run directory. */
bool machine_is_shim(const char *cmdline, size_t len, const char *run_dir);

#endif
