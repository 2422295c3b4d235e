/* SPDX-License-Identifier: Apache-2.0
 *
 * The vocabulary: every way in which the state can change. The leader decides,
 * checks the decision against the state, and puts changes into the log; apply
 * cannot refuse them. What each needs of the state is said beside it; a change
 * that does not hold there is a bug or a divergence, and apply aborts. */
#ifndef STATE_CHANGE_H
#define STATE_CHANGE_H

#include "state/records.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANGE_POOLS_MAX 16 /* Pools of one VM; a host may have POOLS_MAX. */

/* Lent bytes; not NUL-terminated. */
struct text {
    const char *data;
    uint32_t len;
};

enum change_kind {
    CHANGE_ZONE_CREATE = 1,
    CHANGE_ZONE_CORDON,
    CHANGE_ZONE_STATE,
    CHANGE_CLASS_CREATE,
    CHANGE_CLASS_DELETE,
    CHANGE_HOST_REGISTER,
    CHANGE_HOST_CORDON,
    CHANGE_HOST_FENCE,
    CHANGE_VM_CREATE,
    CHANGE_VM_UPDATE,
    CHANGE_VM_DESIRE,
    CHANGE_VM_MOVE,
    CHANGE_VM_ASSIGN,
    CHANGE_VM_PENDING,
    CHANGE_VM_REPORT,
    CHANGE_VM_RELEASE,
    CHANGE_VM_DELETE,
    CHANGE_SETTINGS,
    CHANGE_REPLY,
    CHANGE_REGION,
    CHANGE_CLASS_UPDATE,
    CHANGE_HOST_DRAIN,
    CHANGE_ZONE_DRAIN,
    CHANGE_GROUP_CREATE,
    CHANGE_GROUP_UPDATE,
    CHANGE_GROUP_DELETE,
    CHANGE_RESERVATION_SET,
    CHANGE_RESERVATION_DELETE,
    CHANGE_POLICY,
    CHANGE_VM_CLAIM,
    CHANGE_VM_PREEMPT,
    CHANGE_GRANT_SET,
    CHANGE_GRANT_DELETE,
    CHANGE_AUDIT,
    CHANGE_AUDIT_KEEP,
    CHANGE_JOIN_SET,
    CHANGE_JOIN_DELETE,
    CHANGE_APPLY_ADD,
    CHANGE_APPLY_CANCEL,
    CHANGE_APPLY_END,
    CHANGE_APPLY_DROP
};

/* So much of a named resource. Names that are unknown get a slot; at most
 * NAMED_MAX exist in all. In one list no name comes twice. */
struct named_amount {
    struct text name;
    uint32_t amount;
};

/* A new zone, UP. The name is free; fewer than ZONES_MAX exist. */
struct change_zone_create {
    struct text name;
};

struct change_zone_cordon {
    struct zone_id zone;
    bool cordoned;
};

struct change_zone_state {
    struct zone_id zone;
    enum zone_state state;
};

/* The drain of a zone begins, or ends: cancelled, or at its deadline. Drains
 * are counted, so that each has a name: `number` 0, in logs from before that,
 * leaves number and end as they were. */
struct change_zone_drain {
    struct zone_id zone;
    bool draining;
    uint64_t deadline_ms; /* Leader's time; 0: none. */
    uint16_t number;      /* Of this drain, from 1. */
    enum drain_end end;   /* If it ends. */
    bool at_risk;         /* See DRAIN_AT_RISK; of a drain that begins. */
};

/* A new class. The name is free, all zones exist. A custom one has a name that
 * no person may give; it goes by itself when its last VM or group goes. */
struct change_class_create {
    struct text name;
    struct resources resources;
    uint64_t zone_mask;
    const struct named_amount *named;
    uint32_t named_count;
    bool custom;
};

enum class_update_mask { CLASS_UPDATE_ZONES = 1, CLASS_UPDATE_RESOURCES = 2 };

/* RESOURCES: none of its VMs has a host or holds room on one. */
struct change_class_update {
    struct class_id class;
    uint32_t mask;
    uint64_t zone_mask;
    struct resources resources;
    const struct named_amount *named;
    uint32_t named_count;
};

/* The class has no VMs, groups or reservations. */
struct change_class_delete {
    struct class_id class;
};

/* A host appears or comes back: it is UP with a new generation. Its VMs stay
 * assigned to it if it was UP (an agent that restarted adopts them); if it was
 * LOST only `keep` VMs can still be there, LOST, and they become ASSIGNED.
 * The zone exists; a host cannot change its zone while it has VMs, and claims
 * on it are given up then, as by a fence. A name that is unknown makes a new
 * host. Pools that are unknown get a slot; at most
 * POOLS_MAX exist in all. */
struct change_host_register {
    struct text name;
    struct zone_id zone;
    struct text fault_domain;
    struct text host_id;
    struct text boot_id;
    struct resources capacity;
    const struct text *pools;
    uint32_t pool_count;
    uint32_t driver_mask;
    struct text labels; /* Encoded, state/labels.h. */
    struct text agent_version;
    const struct named_amount *named; /* Capacity. */
    uint32_t named_count;
};

struct change_host_cordon {
    struct host_id host;
    bool cordoned;
};

struct change_host_drain {
    struct host_id host;
    bool draining;
    uint64_t deadline_ms; /* Leader's time; 0: none. */
    uint16_t number;
    enum drain_end end;
    bool at_risk;
};

/* How it was proved that the host's VMs do not run. LEASE_ENDED is a proof for
 * `move` VMs only (the host kills them itself); the others are for all. */
enum fence_proof {
    FENCE_LEASE_ENDED = 1, /* T passed since the last acknowledged renewal. */
    FENCE_REBOOTED = 2,    /* The same host registered with a new boot id. */
    FENCE_DECLARED = 3     /* An operator's word; audited. */
};

/* An UP or LOST host becomes LOST. Claims on it are given up (vm.moving becomes
 * NONE, for a move under way any host will do), by VMs in order of slots. Its
 * VMs for which the proof counts are released with reason "fenced" and are
 * `recovering`; the others become LOST and stay assigned, and a move of theirs
 * that was only queued is off. */
struct change_host_fence {
    struct host_id host;
    enum fence_proof proof;
};

/* A new VM: PENDING(QUEUED) or, if desired is STOPPED, STOPPED. The name is
 * free, class, zone and pools exist. */
struct change_vm_create {
    struct text name;
    struct class_id class;
    struct zone_id zone; /* uid 0: zone-redundant. */
    uint32_t priority;
    enum on_partition on_partition;
    enum desired_state desired;
    enum driver driver;
    const struct text *pools;
    uint32_t pool_count;
    struct text template; /* An encoded VmTemplate. */
    struct text labels;
    bool preemptible;
    bool local_disk;
    uint64_t disk_zone_mask;
    struct group_id group; /* uid 0: none. It is not being deleted. */
    struct text selector;  /* Encoded as labels. */
    uint32_t template_generation;
};

enum vm_update_mask {
    VM_UPDATE_PRIORITY = 1,
    VM_UPDATE_ON_PARTITION = 2, /* Counts from the next assignment on. */
    VM_UPDATE_LABELS = 4,
    VM_UPDATE_PREEMPTIBLE = 8
};

struct change_vm_update {
    struct vm_id vm;
    uint32_t mask;
    uint32_t priority;
    enum on_partition on_partition;
    struct text labels;
    bool preemptible;
};

/* Somebody wants the VM started, stopped or deleted. Without a host it takes
 * effect here: PENDING(QUEUED) or STOPPED; with one, it becomes STOPPING when
 * it is to stop. `deleting` never goes back to false; a VM that is to be
 * deleted and has no host takes CHANGE_VM_DELETE instead. Starting a VM that
 * is STOPPING is allowed: it is placed again after its release. */
struct change_vm_desire {
    struct vm_id vm;
    enum desired_state desired;
    bool deleting;
};

/* The VM has a host and is to run elsewhere: STOPPING, and assigned again
 * after its release. With neither zone nor host: any other host. A claim that
 * it has on another host is given up. `cancel`: it is PENDING on such a way, or
 * has a claim and is PENDING, and may go anywhere again. What is said of the
 * host holds from the first CHANGE_POLICY on. */
struct change_vm_move {
    struct vm_id vm;
    struct zone_id zone; /* uid 0: none. */
    struct host_id host; /* uid 0: none. Not the VM's own. Is UP and has room
                          * beside claims (state_claim_fits()), or the VM's own
                          * claim is on it. */
    bool cancel;
    enum move_cause cause;
};

/* Holds room: MOVE_CLAIMED; a claim that the VM had is given up first. There is
 * a policy. The VM is PENDING, ASSIGNED, STARTING or RUNNING and has no move
 * under way; the host is UP, not the VM's own, and used + claimed + the VM fits
 * its capacity (state_claim_fits()), unless the VM is PENDING: then others are
 * about to leave (CHANGE_VM_PREEMPT follows), and only the claims there with
 * this one fit the capacity. uid 0: the VM's claim, which it has, is given up;
 * if it is PENDING, it is so as QUEUED.
 *
 * A claim ends when the VM is assigned, anywhere; when it is to stop or to be
 * deleted (a move that is under way goes on until the VM has left its host);
 * when it leaves its host by itself, or its host is fenced, before its turn;
 * when the claimed host is fenced or changes its zone; and by CANCEL. */
struct change_vm_claim {
    struct vm_id vm;
    struct host_id host;
    enum move_cause cause;
    uint32_t order;
};

/* The VM is preemptible and ASSIGNED, STARTING or RUNNING; the beneficiary is
 * PENDING and has a claim on that host. The VM becomes STOPPING, moving to any
 * other host, with cause PREEMPTION. */
struct change_vm_preempt {
    struct vm_id vm;
    struct vm_id beneficiary;
};

/* The VM is PENDING: nobody runs it (rule 1). The host is UP and has room in
 * every resource (rule 6). epoch is the VM's last plus one. */
struct change_vm_assign {
    struct vm_id vm;
    struct host_id host;
    uint64_t epoch;
};

/* A PENDING VM's reason changed. */
struct change_vm_pending {
    struct vm_id vm;
    enum pending_reason reason;
};

/* What its host says of an assigned VM: STARTING, RUNNING or STOPPING. The
 * epoch is the VM's. RUNNING clears not_before_ms; a STOPPING VM stays so. */
struct change_vm_report {
    struct vm_id vm;
    uint64_t epoch;
    enum vm_state state;
};

/* Its host proved that this epoch is gone. The epoch is the VM's and the VM
 * has a host. Afterwards it has none: it is deleted, STOPPED or PENDING, as is
 * wished. The host becomes last_host; `failed` adds to restart_count and
 * not_before_ms is then at least 1, which tells placement to avoid it.
 * `forget` first takes back the failures so far, for the VM was healthy. */
struct change_vm_release {
    struct vm_id vm;
    uint64_t epoch;
    struct text reason; /* At most 255 bytes. */
    bool failed;
    uint64_t not_before_ms;
    bool forget;
};

/* A VM without a host disappears. */
struct change_vm_delete {
    struct vm_id vm;
};

/* All of a group's fields but its name; see struct group. */
struct group_fields {
    uint32_t count;
    struct class_id class; /* uid 0: no template. */
    struct text template;
    struct text labels;
    struct text selector;
    const struct text *pools;
    uint32_t pool_count;
    uint64_t disk_zone_mask;
    bool local_disk;
    uint32_t priority;
    enum on_partition on_partition;
    enum driver driver;
    bool preemptible;
    enum zone_rule zone_rule;
    uint32_t max_skew;
    enum rule_mode zone_mode;
    uint64_t zone_mask;
    uint32_t domain_mode; /* enum rule_mode; 0: no rule. */
    uint32_t domain_max;
    uint32_t host_mode; /* Likewise. */
    uint32_t host_max;
    bool unprotected;
    uint32_t max_unavailable;
    uint32_t generation;
    uint32_t next_member;
};

/* A new group. The name is free, what it names exists. */
struct change_group_create {
    struct text name;
    struct group_fields fields;
};

/* Everything is replaced. `deleting` never goes back to false. Members stay as
 * they were made. */
struct change_group_update {
    struct group_id group;
    struct group_fields fields;
    bool deleting;
};

/* The group has no members. */
struct change_group_delete {
    struct group_id group;
};

/* A new reservation, or another count for one that exists with this name, zone
 * and class. */
struct change_reservation_set {
    struct text name;
    struct zone_id zone;
    struct class_id class;
    uint32_t count;
};

struct change_reservation_delete {
    struct text name;
};

/* A new grant, or another role and scope for the one that has this name and the
 * same subject. Its zones exist; a client has at most CLIENT_GRANTS_MAX, no two
 * tokens have the same secret. Some grant is an administrator's then and never
 * ends. */
struct change_grant_set {
    struct text name;
    enum subject_kind kind;
    struct text subject; /* Empty for a token. */
    enum access_role role;
    uint64_t zone_mask;
    struct text selector;    /* Encoded as labels. */
    struct text secret_hash; /* A token's: SECRET_HASH_BYTES; else empty. */
    uint64_t expire_ms;      /* Wall clock; 0: it never ends. */
};

/* It is not the last administrator's that never ends. */
struct change_grant_delete {
    struct text name;
};

/* A client's request was carried out: what it was, after the changes that it
 * made. The record gets the next number, the state's revision and time; where
 * the ring is full, the oldest goes. */
struct change_audit {
    struct text content; /* 1 to AUDIT_CONTENT_BYTES_MAX bytes. */
    struct text digest;  /* AUDIT_DIGEST_BYTES. */
};

/* So many audit records are kept from now on; AUDIT_RECORDS_MIN to
 * AUDIT_RECORDS_MAX. The oldest go, if there are more. */
struct change_audit_keep {
    uint32_t records_max;
};

/* A new token for a host that has none, or the host's, which has the same
 * secret, was used: `key_digest` is then whose public key it let in. The zone
 * exists; no two tokens have the same secret. */
struct change_join_set {
    struct text name; /* The host's. */
    struct zone_id zone;
    struct text secret_hash; /* SECRET_HASH_BYTES. */
    uint64_t expire_ms;
    struct text key_digest; /* SECRET_HASH_BYTES, or empty: not used. */
};

struct change_join_delete {
    struct text name;
};

/* A plan or a manifest was applied: what it set in motion, after the changes
 * that did so. It gets the next number, the state's revision and time. There
 * are fewer than APPLIES_MAX: where there were as many, a DROP stands before.
 *
 * This and the next three touch the records of applies alone, which nothing
 * reads that assigns a VM, fences a host or judges a lease: so which host runs
 * a VM (rule 1) does not depend on them. They stand in the entry of the changes
 * that they tell of, so they are there when those are, and no earlier (rule 2).
 */
struct change_apply_add {
    enum apply_kind kind;
    struct text words; /* See struct apply_record. At most
                        * APPLY_WORDS_BYTES_MAX. */
    struct text parts; /* At most APPLY_PARTS_BYTES_MAX. */
    uint32_t part_count;
    uint32_t left_out;
};

/* Somebody ended what could be ended of it. It is not over. */
struct change_apply_cancel {
    uint64_t number;
};

/* Each of its parts is over; they are forgotten. Of its parts so many failed,
 * so many were cancelled. It was not over. */
struct change_apply_end {
    uint64_t number;
    enum apply_end end;
    uint32_t failed_count;
    uint32_t cancelled_count;
};

/* It makes room for another one. */
struct change_apply_drop {
    uint64_t number;
};

/* The policy satisfies policy_check(). The first one begins format 2: moves
 * that are under way hold room at their target host from then on; where that
 * is LOST or has no room, any other host will do for them. */
struct change_policy {
    struct policy policy; /* `uid` and `revision` are ignored. */
};

/* The settings satisfy settings_check(). */
struct change_settings {
    struct settings settings; /* `revision` is ignored. */
};

/* What a mutation with this request id was answered. Not in the table yet. */
struct change_reply {
    struct text request_id;
    uint64_t fingerprint;
    struct text response;
};

/* The region gets its id, which is set; once: a region that has one keeps it,
 * and this then has no effect. */
struct change_region {
    struct region_id id;
};

struct change {
    enum change_kind kind;
    union {
        struct change_zone_create zone_create;
        struct change_zone_cordon zone_cordon;
        struct change_zone_state zone_state;
        struct change_class_create class_create;
        struct change_class_delete class_delete;
        struct change_host_register host_register;
        struct change_host_cordon host_cordon;
        struct change_host_fence host_fence;
        struct change_vm_create vm_create;
        struct change_vm_update vm_update;
        struct change_vm_desire vm_desire;
        struct change_vm_move vm_move;
        struct change_vm_assign vm_assign;
        struct change_vm_pending vm_pending;
        struct change_vm_report vm_report;
        struct change_vm_release vm_release;
        struct change_vm_delete vm_delete;
        struct change_settings settings;
        struct change_reply reply;
        struct change_region region;
        struct change_class_update class_update;
        struct change_host_drain host_drain;
        struct change_zone_drain zone_drain;
        struct change_group_create group_create;
        struct change_group_update group_update;
        struct change_group_delete group_delete;
        struct change_reservation_set reservation_set;
        struct change_reservation_delete reservation_delete;
        struct change_policy policy;
        struct change_vm_claim vm_claim;
        struct change_vm_preempt vm_preempt;
        struct change_grant_set grant_set;
        struct change_grant_delete grant_delete;
        struct change_audit audit;
        struct change_audit_keep audit_keep;
        struct change_join_set join_set;
        struct change_join_delete join_delete;
        struct change_apply_add apply_add;
        struct change_apply_cancel apply_cancel;
        struct change_apply_end apply_end;
        struct change_apply_drop apply_drop;
    };
};

#endif
