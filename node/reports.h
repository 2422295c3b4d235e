/* SPDX-License-Identifier: Apache-2.0
 *
 * What an agent says becomes changes: its Hello registers the host, its
 * renewals and reports move its VMs along. Decided inside a turn, against the
 * scratch state. Only what fits the VM's current epoch and host counts. */
#ifndef NODE_REPORTS_H
#define NODE_REPORTS_H

#include "node/lease.h"
#include "node/turn.h"

enum report_state {
    REPORT_STARTING = 1,
    REPORT_RUNNING = 2,
    REPORT_STOPPING = 3,
    REPORT_GONE = 4
};

/* VmReport of agent_service.proto. */
struct vm_report {
    struct vm_id vm;
    uint64_t epoch;
    enum report_state state;
    struct text reason; /* Lent. */
    bool failed;
};

/* Hello of agent_service.proto, checked for form; all lent. */
struct hello {
    struct text host;
    struct text zone;
    struct text fault_domain;
    struct text host_id;
    struct text boot_id;
    struct resources capacity;
    const struct named_amount *named; /* Capacity; none is zero. */
    uint32_t named_count;
    const struct text *pools;
    uint32_t pool_count;
    uint32_t driver_mask;
    struct text labels; /* Encoded. */
    struct text agent_version;
    struct text region_id; /* Empty, or as region_text() writes it. */
    const struct vm_report *reports;
    size_t report_count;
};

enum hello_verdict {
    HELLO_WELCOME,
    HELLO_OTHER_REGION,   /* Its VMs are of another one. */
    HELLO_NO_ZONE,        /* There is no such zone. */
    HELLO_TAKEN,          /* Another machine holds the name. */
    HELLO_STILL_LEASED,   /* Another boot of it, or a clone, may still run. */
    HELLO_ZONE_CHANGED,   /* It has VMs and says another zone. */
    HELLO_TOO_MANY_POOLS, /* More pools in the region than POOLS_MAX; */
    HELLO_TOO_MANY_NAMES, /* or names of resources than NAMED_MAX. */
    HELLO_TOO_MANY_HOSTS  /* Other than that, HOSTS_MAX names are taken. */
};

/* Registers the host if need be and takes its reports. What a Hello does not
 * list proves nothing yet: on its way through other nodes it may have been
 * overtaken by a newer session, in which the host began VMs. On HELLO_WELCOME
 * `host` is the host's id, and `rebooted` whether this is another boot than the
 * one that was registered. All else changes nothing.
 *
 * Another boot is let in only when the lease of the registered one has ended.
 * It may be what it says, the same machine after a boot; but a machine that was
 * cloned with its state_dir says just the same while the original runs VMs, and
 * nothing in a Hello tells the two apart. So
 *  - rule 1: by then the original has killed all that its lease governs
 *    (node/lease.h), whoever speaks. That also holds when it only lost its
 *    connection for a moment, and for a Hello of a former boot that was held
 *    up on its way.
 *  - rule 2: while the original renews, nobody else can change a thing about
 *    it, nor end its session: the two cannot throw each other out for ever.
 * A machine that really booted does not renew any more: it is let in at most
 * one lease_wait_ms after its last renewal (or after the leader's proof of
 * leadership), also when its former connection still looks open. VMs with
 * `on_partition: keep` alone outlive the lease: for them the boot id is taken
 * as proof, which a clone can forge while the original is cut off
 * (docs/operations.md: give a clone an empty state_dir). */
enum hello_verdict plan_hello(struct turn_plan *plan, const struct hello *hello,
                              struct leases *leases, struct host_id *host,
                              bool *rebooted);

/* The first renewal of a session that is still the host's. It came after that
 * session's Welcome was received, so it is no older than the session, and no
 * order was given in it yet: a VM that had been confirmed here and is not
 * listed is gone; so is one that was only assigned, if the host has booted or
 * registered since. */
void plan_missing(struct turn_plan *plan, struct host_id host,
                  uint64_t generation, const struct vm_report *reports,
                  size_t count, bool rebooted);

/* One report of a host whose session is at this generation. */
void plan_report(struct turn_plan *plan, struct host_id host,
                 uint64_t generation, const struct vm_report *report);

#endif
