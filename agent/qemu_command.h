/* SPDX-License-Identifier: Apache-2.0
 *
 * QEMU's command line for a VM: what hardware the guest sees and what QEMU may
 * do. Reasons stand beside the arguments in qemu_command.c. */
#ifndef AGENT_QEMU_COMMAND_H
#define AGENT_QEMU_COMMAND_H

#include "agent/accel.h"
#include "agent/vm_spec.h"

#include <stdbool.h>

#define QEMU_CPUS_MAX 255 /* Of the `pc` machine. */

/* What is to be known about a disk's file. */
struct qemu_disk_file {
    bool block_device;
    bool direct; /* O_DIRECT works on it. */
};

/* Looks at the file; one that is missing counts as a plain file, and QEMU says
 * what is wrong. */
struct qemu_disk_file qemu_disk_probe(const char *path);

/* Appends program and arguments. `files` has one entry for each disk. INVALID:
 * more CPUs than QEMU_CPUS_MAX. */
int qemu_command(const struct vm_spec *spec, const char *program,
                 enum accel accel, const struct qemu_disk_file *files,
                 struct vm_strings *argv);

#endif
