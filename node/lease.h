/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's side of the hosts' leases. Soft state: a new leader begins with
 * every host that is UP taken as renewed at the moment its own leadership was
 * proved, so it can never count a host as gone earlier than the old leader's
 * last acknowledgement allows.
 *
 * Why rule 1 holds. Let the agent read its clock at a before it sends renewal
 * s, let this leader receive s at b >= a, prove its leadership by a turn that
 * began after b, and then acknowledge. The host runs its VMs until a + L by
 * its own clock; the leader calls the host gone after b + T by its own. With
 * both clocks' rates off by at most e, the host's L takes at most L(1+2e) on
 * the leader's clock, and the kill takes K and the guard's margin M. The
 * settings ensure L(1+2e) + K + M <= T (settings_check), so at b + T >= a + T
 * everything is dead. A leader that was deposed cannot extend a lease: its
 * turn does not commit, so it does not acknowledge (etcd #15247). A new leader
 * waits a full T from its own proof, which is later than any turn that its
 * predecessor committed, so later than any b that was acknowledged.
 *
 * Once a host is to be fenced, `fencing` is set and no renewal is acknowledged
 * any more: the fence of one turn and the renewal of the same or a later one
 * can never both take effect. */
#ifndef NODE_LEASE_H
#define NODE_LEASE_H

#include "state/state.h"

struct order_book;

struct lease {
    uint64_t host_uid;   /* 0: no such host. */
    uint64_t generation; /* Of the registration that it is for. */
    uint64_t expires_ms; /* Leader's boot clock. */
    uint64_t renewed_ms; /* The newest receipt that counts; same clock. */
    bool fencing;        /* A fence is planned. */
    /* Of the open session, for display; NULL: none is open. */
    const struct order_book *book;
};

struct leases {
    struct lease *slots; /* By host slot. */
    uint32_t count;
    /* No lease of an UP host ends before this: leases are only extended, so a
     * minimum that was found once stays a bound. 0: none is known. */
    uint64_t none_ends_before_ms;
};

void leases_init(struct leases *leases);
void leases_close(struct leases *leases);

/* Leadership was proved at now_ms: every UP host counts as renewed then. */
void leases_reset(struct leases *leases, const struct state *state,
                  uint64_t now_ms);

/* The host's lease, or NULL. A host that is UP but unknown here registered
 * just now. */
struct lease *leases_get(struct leases *leases, uint32_t host_slot);

/* A host registered in a turn that is now applied; its Hello was received at
 * `received_ms`. */
void leases_registered(struct leases *leases, const struct host *host,
                       uint64_t received_ms, uint32_t lease_wait_ms);

/* A renewal received at `received_ms` was followed by a turn that is applied.
 * Whether it may be acknowledged: the host is UP in that generation and not
 * about to be fenced. If so the lease is extended. */
bool leases_renewed(struct leases *leases, const struct host *host,
                    uint64_t generation, uint64_t received_ms,
                    uint32_t lease_wait_ms);

/* Whether the leader may treat the host as gone. */
bool lease_ended(const struct lease *lease, uint64_t now_ms);

/* Whether two renewals and a half are missing: nothing may be done about it
 * yet, but it tells whether other leases are about to end as well. */
bool lease_is_late(const struct lease *lease, const struct settings *settings,
                   uint64_t now_ms);

/* Whether a lease of an UP host has ended. Walks the leases only when the bound
 * is reached, every few seconds while all renew. */
bool leases_have_ended(struct leases *leases, const struct state *state,
                       uint64_t now_ms);

#endif
