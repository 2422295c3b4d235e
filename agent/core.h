/* SPDX-License-Identifier: Apache-2.0
 *
 * What the agent decides: when it renews its lease, which orders it obeys,
 * what it reports, when it stops VMs because the lease cannot be renewed.
 * Pure: no clock, file or socket; time is an argument (CLOCK_BOOTTIME in
 * nanoseconds), and what is to be done goes out through a table of actions.
 *
 * Why rule 1 holds on this side (DESIGN.md section 6; the leader's half stands
 * in node/lease.h):
 *  1. The reading that is remembered for a renewal is the `now_ns` that its
 *     caller read before the renewal existed, so it is not later than the
 *     leader's receipt. The lease ends at that reading + L of its own
 *     acknowledgement, and never anywhere else: a Welcome gives no lease.
 *  2. An acknowledgement that matches no renewal of this session in flight is
 *     ignored. Numbers rise over sessions, and a closed session's renewals are
 *     forgotten, so nothing from an old session can extend a lease.
 *  3. The deadline only rises, and goes to the lease page at once; shims and
 *     guard act on the page without us. Our own polite stop comes before the
 *     deadline and can only end a VM earlier than they would.
 *  4. No VM starts without a live lease, from an order of an older epoch or
 *     another generation, or from an order of a session that was closed.
 *  5. GONE is said only when the driver proved it, or of an epoch that never
 *     began here; that epoch is remembered as over, so it never will.
 *
 * Why rule 8 holds: nothing here kills a VM but an order for exactly its epoch
 * or a newer one, the end of the lease, or a guest that has failed. Adopted
 * VMs come in with their epochs; unknown ones are listed and left alone. */
#ifndef AGENT_CORE_H
#define AGENT_CORE_H

#include "base/list.h"
#include "base/map.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CORE_VMS_MAX       4096  /* Of one renewal, by the contract. */
#define CORE_MEMORY_MAX    16384 /* Epochs remembered of VMs that left. */
#define CORE_IN_FLIGHT_MAX 8     /* The session is given up long before. */
#define CORE_REASON_MAX    255   /* VmReport.reason. */
#define CORE_LEASE_MS_MAX  600000
#define CORE_RENEW_MS      1000  /* Until a Welcome says otherwise. */
#define CORE_LEASE_MS      4400  /* Likewise. */
#define CORE_FAILED_MS     10000 /* A failed guest may recover this long. */

/* A quarantined VM whose epoch cannot be read is listed with this: the leader
 * then neither takes it as gone nor has an order that fits it. */
#define CORE_EPOCH_UNKNOWN UINT64_MAX

/* The numbers are those of ReportState. */
enum core_state {
    CORE_STARTING = 1,
    CORE_RUNNING = 2,
    CORE_STOPPING = 3,
    CORE_GONE = 4
};

struct core_report {
    uint64_t uid;
    uint64_t epoch;
    enum core_state state;
    const char *reason; /* Lent; "" unless GONE. */
    bool failed;
};

/* The numbers are those of OrderAction. */
enum core_order_action {
    CORE_ORDER_START = 1,
    CORE_ORDER_STOP = 2,
    CORE_ORDER_KILL = 3
};

/* Embedded in what holds the rest of the order. */
struct core_order {
    enum core_order_action action;
    uint64_t uid;
    uint64_t epoch;
    uint64_t generation;
    bool keep;              /* START: the lease's end does not stop it. */
    uint32_t stop_grace_ms; /* START. */
};

enum core_vm_event {
    CORE_VM_STARTED = 1,
    CORE_VM_RUNNING,
    CORE_VM_FAILED, /* Its process lives, its guest does not run. */
    CORE_VM_GONE
};

struct core;

/* None of them may call the core. Reports are lent. */
struct core_actions {
    void (*hello)(struct core *core, const struct core_report *reports,
                  size_t count);
    void (*renew)(struct core *core, uint64_t seq, uint64_t generation,
                  const struct core_report *reports, size_t count);
    void (*report)(struct core *core, const struct core_report *report);
    /* The session is of no use; it counts as closed already. */
    void (*hang_up)(struct core *core, const char *reason);
    /* The deadline has risen. */
    void (*lease)(struct core *core, uint64_t deadline_ns);
    /* 0, and a GONE comes in the end; or a negative error and why. */
    int (*start)(struct core *core, struct core_order *order,
                 char reason[CORE_REASON_MAX + 1]);
    void (*stop)(struct core *core, uint64_t uid, uint32_t grace_ms);
    void (*kill)(struct core *core, uint64_t uid, const char *reason);
    /* Its GONE was acknowledged: what it left on the disk may go. */
    void (*forget)(struct core *core, uint64_t uid);
};

struct core_renewal {
    uint64_t seq;
    uint64_t reading_ns; /* Before it was sent. */
};

enum core_link { CORE_LINK_DOWN, CORE_LINK_HELLO, CORE_LINK_UP };

struct core {
    const struct core_actions *actions;
    struct map vms;         /* By uid: struct core_vm. */
    struct list listed;     /* Those that every renewal lists. */
    struct list remembered; /* The others, oldest first. */
    size_t listed_count;
    size_t remembered_count;
    uint64_t deadline_ns; /* 0: no lease. */
    enum core_link link;
    uint64_t session; /* Number of the present or last session. */
    bool acked;       /* A renewal of this session was acknowledged. */
    uint64_t generation;
    uint64_t seq; /* Of the last renewal. */
    uint64_t since_ns;
    uint64_t next_renew_ns;
    struct core_renewal in_flight[CORE_IN_FLIGHT_MAX]; /* Oldest first. */
    size_t in_flight_count;
    uint32_t lease_run_ms;
    uint32_t renew_ms;
    uint64_t ignored_order_count; /* Old epoch, generation or session. */
    uint64_t ignored_ack_count;
};

/* `deadline_ns` as the lease page has it; `actions` is lent. */
void core_init(struct core *core, const struct core_actions *actions,
               uint64_t deadline_ns);
void core_close(struct core *core);

/* What the scan found, before the first session. EXISTS: this uid came
 * already; TOO_LARGE: CORE_VMS_MAX. */
struct core_found {
    uint64_t uid;
    uint64_t epoch;
    bool keep;
    uint32_t stop_grace_ms;
    bool running;
};
int core_adopt(struct core *core, const struct core_found *found);
int core_adopt_gone(struct core *core, uint64_t uid, uint64_t epoch,
                    const char *reason, bool failed);
int core_quarantine(struct core *core, uint64_t uid, uint64_t epoch);

/* A stream to a node is open: says Hello on it. Returns the session's number,
 * with which everything that comes from the stream is handed in. */
uint64_t core_session_opened(struct core *core, uint64_t now_ns);

/* The stream ended, or was ended by us. */
void core_session_closed(struct core *core, uint64_t session);

/* Whether a leader of another region may be heard: no VM of the present one may
 * still run here, and no lease of it could let a VM of the other run longer
 * than that one's leader knows (the deadline never falls). */
bool core_is_free(const struct core *core, uint64_t now_ns);

/* The next orders come from another region: all epochs, and ends that were not
 * reported yet, are forgotten. Only while free, and not after a Welcome. */
void core_forget_region(struct core *core, uint64_t now_ns);

struct core_terms {
    uint32_t lease_run_ms;
    uint32_t renew_ms;
};
void core_welcome(struct core *core, uint64_t session, uint64_t now_ns,
                  uint64_t generation, const struct core_terms *terms);
void core_renew_ack(struct core *core, uint64_t session, uint64_t now_ns,
                    uint64_t seq, const struct core_terms *terms);

/* Before the first acknowledgement of a session there may be no lease yet;
 * orders wait outside, and are dropped when the session closes. */
bool core_takes_orders(const struct core *core);
void core_order(struct core *core, uint64_t session, uint64_t now_ns,
                struct core_order *order);

/* `reason` and `failed` of FAILED and GONE. */
void core_vm_event(struct core *core, uint64_t now_ns, uint64_t uid,
                   enum core_vm_event event, const char *reason, bool failed);

/* Does what is due and returns when to call again; call it also after every
 * other call. */
uint64_t core_tick(struct core *core, uint64_t now_ns);

bool core_lease_live(const struct core *core, uint64_t now_ns);

/* When polite stops begin for a VM with this grace. */
uint64_t core_polite_stop_ns(const struct core *core, uint32_t stop_grace_ms);

#endif
