/* SPDX-License-Identifier: Apache-2.0
 *
 * Running VMs on a host: what the agent's core calls, and the table a driver
 * fills in. A VM is a shim and one program under it; vm.c keeps their life
 * (directory, lock, shim, kill, proof that it is gone) the same for every
 * driver, a driver knows how to ask its program for things.
 *
 *   start --> PREPARING --> SPAWNED --> UP ----------> ENDING --> GONE
 *                |    (spec, disks) (program runs)  (shim dead, |
 *   adopt -------|--------> SPAWNED                  lock busy) |
 *                +----------------------------------------------+
 *
 * All calls and callbacks are on the thread of the loop. No callback comes
 * from inside a call. The program ignores SIGPIPE (libuv's sockets raise it).
 */
#ifndef AGENT_DRIVER_H
#define AGENT_DRIVER_H

#include "agent/lease_page.h"
#include "agent/run_dir.h"
#include "agent/vm_spec.h"

#include <uv.h>

struct vm;
struct vm_driver;
struct guard_watch;

/* What all VMs of a host share; everything is lent for as long as they live. */
struct vm_host {
    uv_loop_t *loop;
    const struct run_dir *run;
    const struct lease_page *lease;
    const struct guard_watch *guard; /* NULL for probes only: no VM starts
                                        without a live guard. */
    const char *shim_path;
    const char *cgroup; /* Delegated cgroup v2 directory; NULL: none. */
};

enum vm_capability {
    VM_CAN_STOP_POLITELY = 1,
    VM_HAS_CONSOLE = 2,
    VM_SURVIVES_AGENT = 4,
    /* A kill gets all of it, whatever it forked. Without this only VMs with
     * on_partition: keep are accepted. */
    VM_CAN_FENCE = 8
};

enum vm_event_kind {
    VM_EVENT_STARTED = 1, /* Its program runs. */
    VM_EVENT_RUNNING,     /* The guest's processors run. */
    VM_EVENT_PAUSED,      /* Not by failure: the guest suspended itself. */
    VM_EVENT_FAILED,      /* Its process lives but the guest does not run:
                             I/O error, panic, stopped, monitor silent. It stays
                             until it is stopped or killed; RUNNING may follow. */
    VM_EVENT_GONE         /* The last: neither program nor shim is left. */
};

struct vm_event {
    enum vm_event_kind kind;
    const char *reason; /* Lent; at most VM_EXIT_BYTES_MAX bytes. */
    bool failed;        /* GONE: by itself, rather than by stop or kill. */
};

/* Embed it; find the rest with container_of. */
struct vm_listener {
    void (*event)(struct vm_listener *listener, struct vm *vm,
                  const struct vm_event *event);
};

/* Starts the VM of a spec (copied). The listener is lent until vm_destroy.
 *   INVALID      the spec breaks a rule, or its epoch is not newer than what
 *                ran here last
 *   UNSUPPORTED  this driver cannot fence here and the VM is not `keep`, or
 *                was not probed
 *   CLOSED       no live lease, or no live guard
 *   EXISTS       this VM runs here; adopt or kill it first
 *   IO
 * Later failures come as GONE with `failed`. */
int vm_start(struct vm_driver *driver, const struct vm_spec *spec,
             struct vm_listener *listener, struct vm **vm);

/* Takes over a VM that scan.h found alive; events as from a start. INVALID:
 * not this driver's; NOT_FOUND: no such directory. */
int vm_adopt(struct vm_driver *driver, const struct vm_spec *spec,
             struct vm_listener *listener, struct vm **vm);

/* Asks the guest to stop, again and again until it does; harder near the end
 * of the grace, and kills at its end. A second call can only shorten. */
void vm_stop(struct vm *vm, uint32_t grace_ms);

/* Kills at once: no waiting, no allocation. GONE comes when it is reaped. */
void vm_kill(struct vm *vm);

const struct vm_spec *vm_spec(const struct vm *vm);

/* The newest bytes of the console, at most `size`; returns how many. */
size_t vm_console_read(const struct vm *vm, char *buf, size_t size);

/* Lets go: no event comes after this. Processes and directory stay as they
 * are; a VM that runs goes on running and can be adopted. May be called from
 * an event. NULL is fine. */
void vm_destroy(struct vm *vm);

/* After GONE and vm_destroy, when nobody needs the reason any more: removes
 * the VM's directory and the ephemeral disks its spec names. As
 * vm_dir_remove. */
int vm_forget(const struct run_dir *run, const struct vm_spec *spec);

/* Finds out what the driver can do here. The callback comes once; `status` is
 * 0 or UNSUPPORTED with a `reason` (lent) for people. */
struct vm_probe;
typedef void (*vm_probe_cb)(struct vm_probe *probe, int status,
                            const char *reason);
struct vm_probe {
    struct vm_driver *driver;
    vm_probe_cb cb;
};

/* The table. `struct vm_driver` is embedded in the driver's own struct, and
 * `struct vm` (agent/vm.h) in the one it makes for each VM. */
struct vm_driver_table {
    const char *name;
    enum vm_driver_kind kind;
    int (*probe)(struct vm_driver *driver, struct vm_probe *probe,
                 vm_probe_cb cb);
    struct vm *(*create)(struct vm_driver *driver);
    void (*free)(struct vm *vm);
    /* The shim's command line for this VM; strings are copied. */
    int (*command)(struct vm *vm, struct vm_strings *argv,
                   struct vm_strings *env);
    /* The program runs (started or adopted). */
    void (*up)(struct vm *vm);
    /* Called on a stop and again every VM_STOP_REPEAT_MS. */
    void (*ask)(struct vm *vm);
    /* Near the end of the grace. */
    void (*insist)(struct vm *vm);
    /* It is gone, or let go of: close what is open, tell nothing more. */
    void (*down)(struct vm *vm);
};

struct vm_driver {
    const struct vm_driver_table *table;
    const struct vm_host *host;
    uint32_t capabilities; /* Of enum vm_capability; 0 until probed. */
};

static inline int vm_driver_probe(struct vm_driver *driver,
                                  struct vm_probe *probe, vm_probe_cb cb)
{
    return driver->table->probe(driver, probe, cb);
}

#endif
