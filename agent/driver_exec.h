/* SPDX-License-Identifier: Apache-2.0
 *
 * The driver for any command: a program that stands for a VM. A command can
 * fork children that leave its session and its process group, and a kill must
 * get them all, so it runs in a PID namespace of its own (the kernel ends a
 * namespace with its first process), or else in a delegated cgroup
 * (cgroup.kill). Walking /proc for descendants would race against fork and
 * would die with the shim; it is not offered. Where neither is possible only
 * `keep` VMs are accepted. */
#ifndef AGENT_DRIVER_EXEC_H
#define AGENT_DRIVER_EXEC_H

#include "agent/driver.h"

enum exec_isolation { EXEC_NONE, EXEC_CGROUP, EXEC_PID_NAMESPACE };

struct driver_exec {
    struct vm_driver driver;
    enum exec_isolation isolation; /* What the probe found. */
    struct vm_probe *probe;
    uv_process_t process;
};

void driver_exec_init(struct driver_exec *exec, const struct vm_host *host);

#endif
