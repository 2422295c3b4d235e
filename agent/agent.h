/* SPDX-License-Identifier: Apache-2.0
 *
 * holdfast-agent: the shell around the core. It reads clocks, keeps the lease
 * page, runs drivers and guard, and carries messages between core and node. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include "agent/agent_config.h"
#include "agent/boot_check.h"
#include "agent/core.h"
#include "agent/driver_exec.h"
#include "agent/driver_qemu.h"
#include "agent/guard_watch.h"
#include "agent/machine.h"
#include "agent/region_file.h"
#include "agent/session.h"
#include "base/bytes.h"

#include <holdfast/v1/agent_service.pb-c.h>
#include <limits.h>

/* Orders that came before a session's first acknowledgement. */
#define AGENT_ORDERS_MAX (2 * CORE_VMS_MAX)

enum agent_driver { AGENT_QEMU, AGENT_EXEC, AGENT_DRIVERS };

/* One VM that was started, adopted or found ended here. */
struct agent_vm {
    struct vm_listener listener;
    struct agent *agent;
    struct vm_spec spec;
    struct vm *vm; /* NULL: it is gone. */
};

/* An order on its way into the core. */
struct agent_order {
    struct core_order core;
    const Holdfast__V1__Order *message;
};

struct agent_probe {
    struct vm_probe probe;
    struct agent *agent;
    bool running;
};

struct agent {
    uv_loop_t *loop;
    const struct agent_config *config;
    struct core core;
    struct session session;
    struct tls *tls;       /* NULL: the configuration has none. */
    uint64_t tls_look_ms;  /* When its files are looked at again. */
    uint64_t core_session; /* Number of the session that is open. */
    struct run_dir run;
    struct lease_page lease;
    struct guard_watch guard;
    struct vm_host host;
    struct driver_qemu qemu;
    struct driver_exec exec;
    struct vm_driver *drivers[AGENT_DRIVERS];
    bool offered[AGENT_DRIVERS]; /* Probed, and works. */
    struct agent_probe probes[AGENT_DRIVERS];
    struct map vms;       /* By uid: struct agent_vm. */
    struct bytes waiting; /* Orders, each behind its length. */
    size_t waiting_count;
    uv_timer_t tick;
    uv_timer_t ready; /* Until guard and probes are there. */
    uv_signal_t signals[2];
    int state_dir_fd;
    int state_lock_fd; /* One agent a state_dir. */
    struct machine_capacity capacity;
    char host_id[MACHINE_ID_BYTES];
    char boot_id[MACHINE_BOOT_BYTES];
    char region[REGION_ID_BYTES]; /* As kept in the run directory, or empty. */
    bool region_refused;          /* The last node heard is of another one. */
    uint32_t region_generation;   /* The highest met; 0: none. */
    char shim_path[PATH_MAX];
    char guard_path[PATH_MAX];
    char guest_path[PATH_MAX];
    uint64_t guard_wait_ms;
    bool connected; /* Welcomed in this session; for the log. */
    bool lease_lost_told;
    bool closing;
};

/* Adopts what runs, and begins. A negative error was logged; the agent is then
 * as after agent_close. */
int agent_init(struct agent *agent, uv_loop_t *loop,
               const struct agent_config *config);

/* After the loop has ended. */
void agent_close(struct agent *agent);

/* What is due; at the end of whatever happened. */
void agent_tick(struct agent *agent);

/* agent_tls.c. Reads the certificates of the configuration, if it has any:
 * INVALID after saying why. Looks at them again now and then. */
int agent_tls_open(struct agent *agent);
void agent_tls_tick(struct agent *agent);

/* agent_wire.c: the session's half of the core's actions. */
extern const struct session_ops agent_session_ops;
void agent_send_hello(struct core *core, const struct core_report *reports,
                      size_t count);
void agent_send_renew(struct core *core, uint64_t seq, uint64_t generation,
                      const struct core_report *reports, size_t count);
void agent_send_report(struct core *core, const struct core_report *report);
void agent_hang_up(struct core *core, const char *reason);

/* agent_region.c. Before agent_adopt(): INVALID or IO, after saying why. */
int agent_region_load(struct agent *agent);

/* Before each Hello: leaves a region that has nothing here any more, if another
 * one was met. */
void agent_region_settle(struct agent *agent);

/* What Hello says; empty when it lists no VM. */
const char *agent_region_of_vms(const struct agent *agent);

/* A node refused the Hello for being of another region. */
void agent_region_refused(struct agent *agent);

/* 0: the session goes on, and id and generation are kept. BUSY: it is another
 * region than that of this host's VMs, or an older generation of it than was
 * met: its leader does not know what a newer one decides. INVALID: it is no id.
 * IO: it could not be kept. The session must end then; the reason is on the
 * log. */
int agent_region_welcome(struct agent *agent, const char *id,
                         uint32_t generation);

/* agent_vms.c: the drivers' half. */
int agent_adopt(struct agent *agent);
int agent_start_vm(struct core *core, struct core_order *order,
                   char reason[CORE_REASON_MAX + 1]);
void agent_stop_vm(struct core *core, uint64_t uid, uint32_t grace_ms);
void agent_kill_vm(struct core *core, uint64_t uid, const char *reason);
void agent_forget_vm(struct core *core, uint64_t uid);

/* Lets all VMs go; they run on. */
void agent_release_vms(struct agent *agent);

#endif
