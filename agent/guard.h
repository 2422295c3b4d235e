/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast-guard: the second layer. It does for the whole host what each shim
 * does for its VM, GUARD_DELAY_MS later, without any help from shims or agent:
 * they may all be stopped.
 *
 * It is a program of its own rather than a mode of the agent, because what must
 * work when the agent does not should share as little with it as possible: no
 * event loop, no TLS, no gRPC, a few pages to lock into memory, and an agent
 * upgrade does not replace it under running VMs.
 *
 * Why the host's VMs are dead at the deadline D plus K, should shims fail
 * (rule 1, DESIGN.md section 6: K = 250 ms):
 *  1. At D + 200 ms it writes 1 to BASE/move/cgroup.kill where a cgroup is
 *     delegated: the kernel kills all of it in one go, frozen or not, forks
 *     included.
 *  2. It always goes through RUN/vms as well and kills each `move` VM by a
 *     pidfd: PID namespaces fall with their first process. The pid file is
 *     written before a VM's program may run, so it is never missing. A shim
 *     that has no VM yet is killed itself; it may not start one any more.
 *  3. What still lives 100 ms later gets its shim killed too: PDEATHSIG is one
 *     more way to the same end.
 *  4. Measured: with the shims stopped all VMs were dead 208 ms after D, 224 ms
 *     with their cgroup frozen. The margin M is for scheduling on top of that.
 *  5. The watchdog device is fed only while the lease is live or no `move` VM
 *     is left: a kernel that cannot kill any more is reset by hardware. That
 *     comes late by the device's timeout and is the last resort, not a part of
 *     the bound. Hosts are never reset when killing VMs suffices. */
#ifndef AGENT_GUARD_H
#define AGENT_GUARD_H

#include "agent/lease_page.h"
#include "agent/run_dir.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GUARD_DELAY_MS      200
#define GUARD_SHIM_DELAY_MS 100 /* From the first sweep on. */
#define GUARD_POLL_MS       50
#define GUARD_SWEEP_MS      20   /* While VMs are left after the lease. */
#define GUARD_FEED_MS       500  /* Of the watchdog; timeouts are seconds. */
#define GUARD_SILENT_MS     1000 /* A beat older than this: not live. */

struct guard {
    struct run_dir run;
    struct lease_page lease;
    const char *cgroup;  /* NULL: none. */
    uint64_t over_ns;    /* When the lease ended; 0: it is live. */
    uint64_t swept_ns;   /* The first sweep since; 0: none. */
    size_t left_count;   /* `move` VMs that the last sweep saw alive. */
    size_t killed_count; /* First sweep. */
};

/* One pass: kills what must not live, and counts it. With `kill` false it only
 * counts. */
size_t guard_sweep(const struct guard *guard, bool kill, bool kill_shims);

/* What is due at `now_ns`; returns when to call again, in milliseconds. */
uint32_t guard_tick(struct guard *guard, uint64_t now_ns);

/* Whether the watchdog may be fed. */
bool guard_is_safe(const struct guard *guard);

#endif
