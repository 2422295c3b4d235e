/* SPDX-License-Identifier: Apache-2.0
 *
 * A delegated cgroup v2 directory, where there is one: BASE/move/<uid> and
 * BASE/keep/<uid> hold the VMs, and one write to BASE/move/cgroup.kill ends
 * all that the lease's end must end, whatever they forked. No controllers are
 * needed. Shims and guard stay outside. */
#ifndef AGENT_CGROUP_H
#define AGENT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CGROUP_PATH_MAX 4095

/* BASE is a cgroup v2 directory in which we may make groups, and the kernel
 * knows cgroup.kill (5.14). Makes BASE/move and BASE/keep. UNSUPPORTED. */
int cgroup_prepare(const char *base);

/* Opens BASE/<policy>/<uid>, or makes it. A directory, or an error. */
int cgroup_open_vm(const char *base, bool keep, uint64_t uid);

/* Removes the empty group of a VM; harmless when there is none. */
void cgroup_remove_vm(const char *base, bool keep, uint64_t uid);

/* Opens BASE/move. NOT_FOUND, IO. */
int cgroup_open_move(const char *base);

/* Moves the calling process into the group; async-signal-safe. IO. */
int cgroup_enter(int group_fd);

/* SIGKILL for all in the group and below it. IO. */
int cgroup_kill(int group_fd);

/* Whether a process is in it or below; true also when that cannot be read. */
bool cgroup_populated(int group_fd);

#endif
