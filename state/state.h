/* SPDX-License-Identifier: Apache-2.0
 *
 * The replicated state: what is true in the region, equal on every replica at
 * equal index. Pure: changes and time come in, events go out. Tables lie in
 * copy-on-write pages, so a clone costs microseconds and serves snapshots,
 * plans and scratch turns while the original goes on. All calls on a state and
 * its clones come from one thread, but a clone's records may be read by
 * another thread while nobody applies to that clone. */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include "base/bytes.h"
#include "state/batch.h"
#include "state/change.h"
#include "state/mark.h"
#include "state/records.h"

struct state;

/* An empty state at revision 0 with default settings. */
struct state *state_create(void);
void state_destroy(struct state *state);

/* A copy that changes on its own; shares all pages until then. */
struct state *state_clone(const struct state *state);

/* Every change of an object raises the revision by one, so a change of several
 * objects (a fence) raises it several times. */
uint64_t state_revision(const struct state *state);

/* Depends on the content alone, kept up to date at each change. */
uint64_t state_hash(const struct state *state);

/* The same from scratch over all records: for tests and after a restore. */
uint64_t state_hash_recomputed(const struct state *state);

/* Of snapshots: the highest that the content needs, 1 to 4 (records.h). */
uint32_t state_format(const struct state *state);

/* Both zero before the region's first change. */
struct region_id state_region(const struct state *state);

/* Leader's time of the last batch, ms since 1970. */
uint64_t state_time_ms(const struct state *state);

enum event_kind {
    EVENT_ZONE = 1,
    EVENT_CLASS,
    EVENT_HOST,
    EVENT_VM,
    EVENT_SETTINGS, /* Or the policy. */
    EVENT_GROUP,
    EVENT_RESERVATION
};

/* Why an object changed; numbers of Cause in watch_service.proto, which says
 * what each means. */
enum event_cause {
    CAUSE_REQUEST = 1,
    CAUSE_AGENT,
    CAUSE_LEASE_ENDED,
    CAUSE_ZONE_LOST,
    CAUSE_HOST_LOST,
    CAUSE_FAILOVER,
    CAUSE_PLACEMENT,
    CAUSE_HOST_DRAIN,
    CAUSE_ZONE_DRAIN,
    CAUSE_REBALANCE,
    CAUSE_PLAN,
    CAUSE_PREEMPTION,
    CAUSE_GROUP,
    CAUSE_ZONE_RETURNED,
    CAUSE_HOST_RETURNED,
    CAUSE_UNUSED,
    CAUSE_FOUNDING
};

/* What watches choose objects by. A zone is that of a VM's host, of a host, of
 * a reservation, or the zone itself. */
struct event_facts {
    uint32_t zone; /* Slot; SLOT_NONE: in none. */
    uint8_t state; /* enum vm_state, host_state or zone_state; else 0. */
    struct text labels;
};

/* One object's change: how it is now, or last was if `deleted`. The record and
 * the texts are lent for the call. */
struct event {
    uint64_t revision;
    uint64_t time_ms;
    enum event_kind kind;
    bool deleted;
    /* Both follow from the state and the change alone, so that every replica
     * says the same. The revision is that of an earlier event, without which
     * this one would not be; 0: it came from outside. */
    enum event_cause cause;
    uint64_t cause_revision;
    struct event_facts before; /* Of a new object: as `now`. */
    struct event_facts now;
    union {
        const struct zone *zone;
        const struct class *class;
        const struct host *host;
        const struct vm *vm;
        const struct settings *settings;
        const struct group *group;
        const struct reservation *reservation;
    };
};

/* Who wants the events of apply; embed it. NULL where nobody does. */
struct event_sink {
    void (*event)(struct event_sink *sink, const struct event *event);
};

/* Sets the time of the following changes; never earlier than the last. */
void state_begin(struct state *state, uint64_t time_ms);

/* Applies one change; aborts if what it needs does not hold. CHANGE_REPLY,
 * CHANGE_REGION, changes of grants, tokens to join and records of applies, and
 * audit records raise no event and no revision, but the hash counts them. */
void state_apply(struct state *state, const struct change *change,
                 struct event_sink *sink);

/* Applies an entry: checks base revision and hash, begins, applies all. 0, or
 * HF_ERROR_CORRUPT when this replica has diverged (nothing is applied). */
int state_apply_batch(struct state *state, const struct batch *batch,
                      struct event_sink *sink);

/* Lookups: NULL when there is none (any more). Records stay valid until the
 * next apply to this state. */
const struct zone *state_zone(const struct state *state, struct zone_id id);
const struct class *state_class(const struct state *state, struct class_id id);
const struct host *state_host(const struct state *state, struct host_id id);
const struct vm *state_vm(const struct state *state, struct vm_id id);
const struct zone *state_zone_named(const struct state *state,
                                    struct text name);
const struct class *state_class_named(const struct state *state,
                                      struct text name);
const struct host *state_host_named(const struct state *state,
                                    struct text name);
const struct vm *state_vm_named(const struct state *state, struct text name);
const struct group *state_group(const struct state *state, struct group_id id);
const struct group *state_group_named(const struct state *state,
                                      struct text name);
const struct reservation *state_reservation_named(const struct state *state,
                                                  struct text name);

const struct grant *state_grant_named(const struct state *state,
                                      struct text name);

/* The grant of the token with this secret's hash, or NULL. */
const struct grant *state_grant_of_token(
    const struct state *state, const uint8_t secret_hash[SECRET_HASH_BYTES]);

/* The grants of a client; returns how many, in no particular order. */
uint32_t state_grants_of_client(const struct state *state, struct text name,
                                const struct grant *grants[CLIENT_GRANTS_MAX]);

/* Rises with each change of grants; 0: there never was one. */
uint64_t state_grant_changes(const struct state *state);

/* Numbers of the oldest and of the newest audit record that are kept; none is
 * when the first is above the last. */
uint64_t state_audit_first(const struct state *state);
uint64_t state_audit_last(const struct state *state);

/* The record with this number, from the first to the last. */
const struct audit *state_audit(const struct state *state, uint64_t number);

/* The digest of the record before this number, which is the first's to one
 * above the last's; zeros before number 1. Also of one that is not kept any
 * more. */
const uint8_t *state_audit_previous(const struct state *state, uint64_t number);

/* How many are kept. */
uint32_t state_audit_records_max(const struct state *state);

/* The token to join of a host; the token with this secret's hash; or NULL. */
const struct join_token *state_join_token_named(const struct state *state,
                                                struct text host);
const struct join_token *state_join_token_of(
    const struct state *state, const uint8_t secret_hash[SECRET_HASH_BYTES]);
uint32_t state_join_token_slots(const struct state *state);
const struct join_token *state_join_token_at(const struct state *state,
                                             uint32_t slot);

/* The record of an apply: by uid, the newest one, by slot; or NULL. */
const struct apply_record *state_apply_record(const struct state *state,
                                              uint64_t uid);
const struct apply_record *state_apply_newest(const struct state *state);
uint32_t state_apply_slots(const struct state *state);
const struct apply_record *state_apply_at(const struct state *state,
                                          uint32_t slot);

/* Whether there is, or once was, a record of that uid. */
bool state_was_vm(const struct state *state, struct vm_id id);
bool state_was_group(const struct state *state, struct group_id id);

/* By slot, for walks: slots are 0 to state_*_slots() - 1; NULL for a hole. */
uint32_t state_zone_slots(const struct state *state);
uint32_t state_class_slots(const struct state *state);
uint32_t state_host_slots(const struct state *state);
uint32_t state_vm_slots(const struct state *state);
const struct zone *state_zone_at(const struct state *state, uint32_t slot);
const struct class *state_class_at(const struct state *state, uint32_t slot);
const struct host *state_host_at(const struct state *state, uint32_t slot);
const struct vm *state_vm_at(const struct state *state, uint32_t slot);
uint32_t state_group_slots(const struct state *state);
uint32_t state_reservation_slots(const struct state *state);

uint32_t state_grant_slots(const struct state *state);
const struct grant *state_grant_at(const struct state *state, uint32_t slot);

/* For scans of all PENDING VMs: the marks of the VMs from a slot on that lie
 * side by side. How many, at least 1; the slot is below state_vm_slots(). */
uint32_t state_mark_span(const struct state *state, uint32_t slot,
                         const uint32_t **marks);

/* Of a number that stands in a mark; below state_ask_slots(). */
const struct ask *state_ask_at(const struct state *state, uint32_t number);
uint32_t state_ask_slots(const struct state *state);

const struct group *state_group_at(const struct state *state, uint32_t slot);
const struct reservation *state_reservation_at(const struct state *state,
                                               uint32_t slot);

/* The slot within a uid. */
static inline uint32_t uid_slot(uint64_t uid)
{
    return (uint32_t)(uid & UINT32_MAX);
}

/* Slot of the first PENDING VM, oldest first through vm.host_next. */
uint32_t state_pending_first(const struct state *state);

struct state_counts {
    uint32_t groups;
    uint32_t reservations;
    uint32_t grants;
    uint32_t grants_of_admins; /* Those that never end. */
    uint32_t grants_that_end;  /* Also those that have. */
    uint32_t join_tokens;
    uint32_t applies;
    uint32_t applies_open; /* Not over, as far as was noticed. */
    uint32_t vms_claiming; /* vm.moving is MOVE_CLAIMED. */
    uint32_t hosts_draining;
    uint32_t zones_draining;
    uint32_t zones;
    uint32_t classes;
    uint32_t hosts;
    uint32_t hosts_up;
    uint32_t vms;
    uint32_t vms_by_state[VM_STATE_COUNT];
};

const struct state_counts *state_counts(const struct state *state);

const struct settings *state_settings(const struct state *state);

/* The policy in force; the defaults where none was ever set. */
const struct policy *state_policy(const struct state *state);

/* Interned bytes: templates, labels, ends, identities. Blob 0 is empty. */
struct text state_blob(const struct state *state, uint32_t blob);

/* A host's identity, unpacked; lent from the state. */
struct host_identity {
    struct text fault_domain;
    struct text host_id;
    struct text boot_id;
    struct text agent_version;
};

void state_host_identity(const struct state *state, const struct host *host,
                         struct host_identity *identity);

/* The first of these alone. */
struct text state_host_fault_domain(const struct state *state,
                                    const struct host *host);

/* The bit of a pool, or 0 when no host ever reported it. */
uint64_t state_pool_bit(const struct state *state, struct text name);

/* The name of the pool in a slot; empty when there is none. */
struct text state_pool_name(const struct state *state, uint32_t slot);

/* The slot of a named resource, or SLOT_NONE when nobody ever named it. */
uint32_t state_named_slot(const struct state *state, struct text name);

/* The name in a slot; empty when there is none. */
struct text state_named_name(const struct state *state, uint32_t slot);

/* Whether a VM of the class finds room on the host beside what is used and what
 * others claim there: what CHANGE_VM_MOVE and CHANGE_VM_CLAIM need of a host
 * that is not the VM's own. */
bool state_claim_fits(const struct host *host, const struct class *class);

/* Whether the VM holds room on its move_host. */
static inline bool vm_holds_claim(const struct vm *vm)
{
    return vm->move_host != SLOT_NONE && vm->moving != MOVE_NONE;
}

/* The slot of the next VM with vm_holds_claim() at or after *cursor, which it
 * moves on; SLOT_NONE at the end. Start with 0. In no order that replicas
 * share: for sums only. */
uint32_t state_next_claim(const struct state *state, uint32_t *cursor);

/* What a request id was answered. */
struct reply_record {
    uint64_t fingerprint;
    struct text response;
};

/* False when the id is not remembered. */
bool state_reply(const struct state *state, struct text request_id,
                 struct reply_record *reply);

/* NULL when the settings are safe and in range; else "field: must be ...", in
 * static memory. */
const char *settings_check(const struct settings *settings);

/* Whether the leader waits for longer than any lease can last: DESIGN.md
 * section 6, L(1+2e) + K + M <= T. */
bool settings_lease_is_safe(const struct settings *settings);

/* The defaults of resources.proto. */
void settings_init(struct settings *settings);

/* The same for the policy. */
const char *policy_check(const struct policy *policy);
void policy_init(struct policy *policy);

/* Memory in bytes, by what it is for; shared pages count once a state. */
struct state_memory {
    uint64_t vm_records;
    uint64_t vm_index;
    uint64_t blobs;
    uint64_t other;
};

void state_memory(const struct state *state, struct state_memory *memory);

#endif
