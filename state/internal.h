/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the state, for the files of this folder alone: the tables, and the
 * one way to write a record so that the hash follows. */
#ifndef STATE_INTERNAL_H
#define STATE_INTERNAL_H

#include "state/asks.h"
#include "state/blobs.h"
#include "state/index.h"
#include "state/state.h"
#include "state/table.h"

#include <stddef.h>

enum table_kind {
    TABLE_ZONE,
    TABLE_CLASS,
    TABLE_HOST,
    TABLE_VM,
    TABLE_POOL,
    TABLE_REPLY,
    TABLE_COUNT, /* Tables of format 1, for state_head. */
    TABLE_GROUP = TABLE_COUNT,
    TABLE_RESERVATION,
    TABLE_NAMED,
    TABLE_POLICY,
    TABLE_FORMAT_3, /* Tables of formats 1 and 2 end. */
    TABLE_GRANT = TABLE_FORMAT_3,
    TABLE_AUDIT, /* Format 4, as the next. */
    TABLE_JOIN,
    TABLE_APPLY,
    TABLE_ALL
};
#define TABLES_ADDED (TABLE_FORMAT_3 - TABLE_COUNT)

/* How every record of a named table begins. A hole has revision 0, keeps its
 * uid (to give the next user of the slot another one) and links the free
 * slots through create_time_ms, which holds the next one plus 1. */
struct record_head {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
};

/* A storage pool's name gets a bit for ever, that of a named resource its place
 * in struct amounts. */
struct side_name {
    uint64_t uid;
    char name[NAME_BYTES];
};

/* A remembered request; the table is a ring. */
struct reply {
    uint64_t id_hash;
    uint64_t fingerprint;
    uint32_t blob; /* Length of the id (1 byte), id, response. */
    uint32_t used;
};

/* What is neither in a table nor derived. Hashed and saved as it is. */
struct state_head {
    uint64_t revision;
    uint64_t time_ms;
    uint64_t replies_written;         /* Ring position: modulo REPLIES_MAX. */
    uint32_t free_first[TABLE_COUNT]; /* Holes; SLOT_NONE at the end. */
    uint32_t pending_first;
    uint32_t pending_last;
    uint32_t slots[TABLE_COUNT]; /* Slots in use, filled in when hashed. */
    uint32_t blob_free_first;    /* Likewise. */
    uint32_t padding;
    struct settings settings;
};

/* The same for the tables that format 2 added. Hashed and saved only when one
 * of them has a record: without, everything is as it was in format 1. */
struct state_head_added {
    uint32_t free_first[TABLES_ADDED];
    uint32_t slots[TABLES_ADDED]; /* Filled in when hashed. */
};

/* The same for format 3: only when there was a change of grants. */
struct state_head_access {
    uint64_t changes;
    uint32_t free_first;
    uint32_t slots; /* Filled in when hashed. */
};

/* The same for format 4: only when there was a change of what it added. */
struct state_head_audit {
    uint64_t written; /* Number of the newest record. */
    uint64_t first;   /* Of the oldest that is kept; written + 1: none is. */
    uint8_t before_first[AUDIT_DIGEST_BYTES]; /* Digest of the one before. */
    uint32_t records_max;                     /* 0: the default. */
    uint32_t slots;                           /* Filled in when hashed. */
};

/* Likewise, of tokens to join. */
struct state_head_join {
    uint64_t changes;
    uint32_t free_first;
    uint32_t slots; /* Filled in when hashed. */
};

/* Of records of applies: only when there was one. */
struct state_head_apply {
    uint64_t changes;
    uint64_t written; /* Number of the newest. */
    uint32_t free_first;
    uint32_t slots; /* Filled in when hashed. */
};

/* What events say beside the record, while a change is applied. Not part of
 * what is replicated: neither hashed nor saved. */
struct telling {
    enum event_cause cause;
    uint64_t cause_revision;
    /* The record of which `before` tells; SLOT_NONE: of none. */
    enum table_kind kind;
    uint32_t slot;
    struct event_facts before;
    char *labels; /* What `before` lends, where the change replaces it. */
};

struct state {
    struct table tables[TABLE_ALL];
    struct index names[TABLE_ALL]; /* Empty for tables without names. */
    struct index reply_ids;
    /* VMs with vm_holds_claim(), by host: derived, in no particular order. */
    struct index claims;
    struct index subjects; /* Grants by subject: derived as well. */
    struct asks asks;      /* Of PENDING VMs: likewise. */
    struct blobs blobs;
    uint64_t records_hash; /* Sum over all records of all tables. */
    uint64_t grown; /* Records of which the part that was added is in use. */
    struct state_counts counts;
    struct state_head head;
    struct state_head_added head_added;
    struct state_head_access head_access;
    struct state_head_audit head_audit;
    struct state_head_join head_join;
    struct state_head_apply head_apply;
    struct region_id region; /* Not in the head: its layout is for ever. */
    struct telling telling;
};

static const uint32_t table_record_bytes[TABLE_ALL] = {
    [TABLE_ZONE] = sizeof(struct zone),
    [TABLE_CLASS] = sizeof(struct class),
    [TABLE_HOST] = sizeof(struct host),
    [TABLE_VM] = sizeof(struct vm),
    [TABLE_POOL] = sizeof(struct side_name),
    [TABLE_REPLY] = sizeof(struct reply),
    [TABLE_GROUP] = sizeof(struct group),
    [TABLE_RESERVATION] = sizeof(struct reservation),
    [TABLE_NAMED] = sizeof(struct side_name),
    [TABLE_POLICY] = sizeof(struct policy),
    [TABLE_GRANT] = sizeof(struct grant),
    [TABLE_AUDIT] = sizeof(struct audit),
    [TABLE_JOIN] = sizeof(struct join_token),
    [TABLE_APPLY] = sizeof(struct apply_record),
};

/* Bytes of a record before it grew: grants did in format 4, all else in format
 * 2. */
static const uint32_t table_format1_bytes[TABLE_ALL] = {
    [TABLE_ZONE] = offsetof(struct zone, drain_deadline_ms),
    [TABLE_CLASS] = offsetof(struct class, named),
    [TABLE_HOST] = offsetof(struct host, drain_deadline_ms),
    [TABLE_VM] = offsetof(struct vm, disk_zone_mask),
    [TABLE_POOL] = sizeof(struct side_name),
    [TABLE_REPLY] = sizeof(struct reply),
    [TABLE_GROUP] = sizeof(struct group),
    [TABLE_RESERVATION] = sizeof(struct reservation),
    [TABLE_NAMED] = sizeof(struct side_name),
    [TABLE_POLICY] = sizeof(struct policy),
    [TABLE_GRANT] = offsetof(struct grant, expire_ms),
    [TABLE_AUDIT] = sizeof(struct audit),
    [TABLE_JOIN] = sizeof(struct join_token),
    [TABLE_APPLY] = sizeof(struct apply_record),
};

/* Those layouts are for ever: logs, snapshots and hashes depend on them. */
_Static_assert(offsetof(struct zone, drain_deadline_ms) == 160, "for ever");
_Static_assert(offsetof(struct class, named) == 120, "for ever");
_Static_assert(offsetof(struct host, drain_deadline_ms) == 168, "for ever");
_Static_assert(offsetof(struct vm, disk_zone_mask) == 184, "for ever");
_Static_assert(sizeof(struct side_name) == 72, "for ever");
_Static_assert(sizeof(struct reply) == 24, "for ever");
_Static_assert(sizeof(struct state_head) == 136, "for ever");
_Static_assert(sizeof(struct zone) == 176, "format 2");
_Static_assert(sizeof(struct class) == 160, "format 2");
_Static_assert(sizeof(struct host) == 296, "format 2");
_Static_assert(sizeof(struct vm) == 232, "format 2");
_Static_assert(sizeof(struct group) == 432, "format 2");
_Static_assert(sizeof(struct reservation) == 104, "format 2");
_Static_assert(sizeof(struct policy) == 56, "format 2");
_Static_assert(sizeof(struct state_head_added) == 32, "format 2");
_Static_assert(offsetof(struct grant, expire_ms) == 264, "format 3");
_Static_assert(sizeof(struct grant) == 272, "format 4");
_Static_assert(sizeof(struct state_head_access) == 16, "format 3");
_Static_assert(sizeof(struct audit) == 64, "format 4");
_Static_assert(sizeof(struct state_head_audit) == 56, "format 4");
_Static_assert(sizeof(struct join_token) == 176, "format 4");
_Static_assert(sizeof(struct state_head_join) == 16, "format 4");
_Static_assert(sizeof(struct apply_record) == 144, "format 4");
_Static_assert(sizeof(struct state_head_apply) == 24, "format 4");

/* Whether a change of an older kind has its effects of format 2 as well: from
 * the first CHANGE_POLICY on. Logs from before have none and give what they
 * gave. */
static inline bool state_has_policy(const struct state *state)
{
    return state->tables[TABLE_POLICY].slots > 0;
}

/* Whether anything is there that format 1 cannot tell. */
bool state_needs_format_2(const struct state *state);

/* Likewise, format 2. */
static inline bool state_needs_format_3(const struct state *state)
{
    return state->head_access.changes > 0;
}

/* Likewise, format 3. */
static inline bool state_needs_format_4(const struct state *state)
{
    return state->head_audit.written > 0 ||
           state->head_audit.records_max != 0 || state->head_join.changes > 0 ||
           state->head_apply.changes > 0 || state->counts.grants_that_end > 0;
}

static inline bool state_has_applies(const struct state *state)
{
    return state->head_apply.changes > 0;
}

/* Whether the records of a table stand whole in a snapshot of this state, or as
 * they were before they grew. */
static inline bool state_needs_whole(const struct state *state,
                                     enum table_kind kind)
{
    return kind == TABLE_GRANT ? state->counts.grants_that_end > 0
                               : state_format(state) >= 2;
}

/* What hash and snapshot say of format 3, and of format 4. */
struct state_head_access state_head_access(const struct state *state);
struct state_head_audit state_head_audit(const struct state *state);
struct state_head_join state_head_join(const struct state *state);
struct state_head_apply state_head_apply(const struct state *state);

/* What one record adds to the hash. */
uint64_t record_hash(enum table_kind kind, uint32_t slot, const void *record);

static inline uint8_t drain_mode_of(bool draining, bool at_risk)
{
    return !draining ? DRAIN_NO : at_risk ? DRAIN_AT_RISK : DRAIN_YES;
}

/* Opens a record for writing; the caller closes it before any other record of
 * the same table is opened. */
void *record_edit(struct state *state, enum table_kind kind, uint32_t slot);
void record_edited(struct state *state, enum table_kind kind, uint32_t slot);

/* A record of a named table with a new uid, its name and creation time set,
 * entered in the index of names. */
uint32_t record_create(struct state *state, enum table_kind kind,
                       struct text name);

/* Makes the record a hole. */
void record_delete(struct state *state, enum table_kind kind, uint32_t slot);

/* Finds a name; SLOT_NONE when there is none. */
uint32_t record_named(const struct state *state, enum table_kind kind,
                      struct text name);

/* The slot of a uid that must exist. */
uint32_t slot_of_zone(const struct state *state, struct zone_id id);
uint32_t slot_of_class(const struct state *state, struct class_id id);
uint32_t slot_of_host(const struct state *state, struct host_id id);
uint32_t slot_of_vm(const struct state *state, struct vm_id id);
uint32_t slot_of_group(const struct state *state, struct group_id id);

/* Raises the revision and stamps the record with it. */
uint64_t next_revision(struct state *state);

/* A change is about to be applied: why, and what it changes first. */
void telling_begin(struct state *state, const struct change *change);
void telling_end(struct state *state);

/* The record is about to change: how it was stands in its event. */
void telling_about(struct state *state, enum table_kind kind, uint32_t slot);

/* Further events of this change follow from the one that was told last. */
void telling_follow(struct state *state, enum event_cause cause);

/* Why the change is made; node/ decides so, and it can be seen. */
void cause_of_change(const struct state *state, const struct change *change,
                     enum event_cause *cause, uint64_t *revision);

/* Tells the sink, if any, about a record as it is now. */
void emit(struct state *state, struct event_sink *sink, enum table_kind kind,
          uint32_t slot, bool deleted);

/* The same for the settings. */
void emit_settings(struct state *state, struct event_sink *sink);

/* One record more at the end of a table without names, zeroed. */
uint32_t record_add(struct state *state, enum table_kind kind);

/* The slot of a uid, or SLOT_NONE. */
uint32_t record_of_uid(const struct state *state, enum table_kind kind,
                       uint64_t uid);

/* Slot of the pool, or named resource, with this name, made if need be. */
uint32_t side_name_slot(struct state *state, enum table_kind kind,
                        struct text name);

/* The bits of pools by name; the names get one where they have none. */
uint64_t pool_bits(struct state *state, const struct text *pools,
                   uint32_t count);

/* The amounts by slot of their names, which differ. */
void amounts_of(struct state *state, const struct named_amount *named,
                uint32_t count, struct amounts *amounts);

/* Whether a VM of the class fits into what is free on the host: rule 6. */
bool host_fits(const struct host *host, const struct class *class);

/* Whether the claims on the host and one more would fit it if it were empty. */
bool host_fits_claims(const struct host *host, const struct class *class);

/* Adds to, or with sign -1 takes from. */
void resources_add(struct resources *sum, const struct resources *part,
                   int sign);
void resource_sum_add(struct resource_sum *sum, const struct resources *part,
                      int sign);
void amounts_add(struct amounts *sum, const struct amounts *part, int sign);

/* Gives a blob another content. */
void blob_replace(struct state *state, uint32_t *blob, struct text content);

/* One file a noun. */
void apply_zone(struct state *state, const struct change *change,
                struct event_sink *sink);
void apply_class(struct state *state, const struct change *change,
                 struct event_sink *sink);
void apply_host(struct state *state, const struct change *change,
                struct event_sink *sink);
void apply_vm(struct state *state, const struct change *change,
              struct event_sink *sink);
void apply_reply(struct state *state, const struct change_reply *reply);

void apply_group(struct state *state, const struct change *change,
                 struct event_sink *sink);
void apply_reservation(struct state *state, const struct change *change,
                       struct event_sink *sink);
void apply_policy(struct state *state, const struct change_policy *change,
                  struct event_sink *sink);
void apply_grant(struct state *state, const struct change *change);
void apply_audit(struct state *state, const struct change *change);
void apply_join(struct state *state, const struct change *change);
void apply_apply(struct state *state, const struct change *change);
void vm_move(struct state *state, uint32_t slot,
             const struct change_vm_move *change, struct event_sink *sink);
void vm_claim(struct state *state, uint32_t slot,
              const struct change_vm_claim *change, struct event_sink *sink);
void vm_preempt(struct state *state, uint32_t slot,
                const struct change_vm_preempt *change,
                struct event_sink *sink);

/* Takes a VM off its host, as CHANGE_VM_RELEASE describes; also for fences. */
void vm_release(struct state *state, uint32_t slot,
                const struct change_vm_release *release, bool fenced,
                struct event_sink *sink);

/* Moves a VM to another state and keeps the counts. The record is open. */
void vm_set_state(struct state *state, struct vm *vm, enum vm_state next);

/* Ends the VM's change: revision, hash, event. The record is open. */
void vm_finish(struct state *state, struct event_sink *sink, uint32_t slot,
               struct vm *vm);

/* The VM's move or claim is over; room that it held is free. The record is
 * open, no host's is. */
void vm_end_move(struct state *state, struct vm *vm, uint32_t slot);

/* Claims on the host are given up. */
void claims_give_up(struct state *state, uint32_t host_slot,
                    struct event_sink *sink);

/* From now on moves that are under way hold room at their targets. */
void claims_begin(struct state *state, struct event_sink *sink);

/* Enters a VM's claim in what is derived, after a restore. */
void claims_index(struct state *state, uint32_t slot, const struct vm *vm);

/* Enters a grant in what is derived, after a restore. */
void grant_index(struct state *state, uint32_t slot, const struct grant *grant);

/* Likewise a record of an apply; false: it cannot be one. */
bool apply_index(struct state *state, const struct apply_record *record);

/* After a restore: whether the ring holds just the records that the head says.
 */
bool audit_is_whole(const struct state *state);

/* One VM more, or less, of the class; or one group or reservation. A custom
 * class that nobody uses any more goes. */
void class_count_vms(struct state *state, uint32_t class_slot, int sign,
                     struct event_sink *sink);
void class_count_uses(struct state *state, uint32_t class_slot, int sign,
                      struct event_sink *sink);

/* A VM enters or leaves its group; it is the open record in `slot`. */
void group_add(struct state *state, struct vm *vm, uint32_t slot,
               uint32_t group_slot);
void group_remove(struct state *state, struct vm *vm);

/* A member is assigned to a host in the zone, or leaves it. */
void group_count_zone(struct state *state, const struct vm *vm,
                      uint32_t zone_slot, int sign);

#endif
