/* SPDX-License-Identifier: Apache-2.0
 *
 * The records of the replicated state's tables, as they lie in its pages. All
 * fields are integers of fixed width, slots name records of other tables, and
 * unused bytes are zero: a record's bytes are what is hashed, compared and
 * written to snapshots. Read them through state/state.h; only apply writes. */
#ifndef STATE_RECORDS_H
#define STATE_RECORDS_H

#include <stdbool.h>
#include <stdint.h>

#define NAME_BYTES            64 /* 63 characters and a NUL. */
#define ZONES_MAX             64 /* One bit each in a class's zone mask. */
#define POOLS_MAX             64 /* One bit each in a host's pool mask. */
#define CLASSES_MAX           4096
#define HOSTS_MAX             262144
#define VMS_MAX               4194304
#define REPLIES_MAX           65536 /* Remembered request ids; the oldest goes. */
#define GROUPS_MAX            65536
#define GROUP_COUNT_MAX       100000
#define RESERVATIONS_MAX      4096
#define RESERVATION_COUNT_MAX 100000
#define NAMED_MAX             8 /* Names of further resources; see struct amounts. */
#define PREEMPT_MAX           64 /* Victims for one VM, at most. */
#define SLOT_NONE             UINT32_MAX
#define GRANTS_MAX            4096
#define CLIENT_GRANTS_MAX \
    16 /* Of one client: each of its calls looks at all. */
#define SUBJECT_BYTES      128 /* A certificate's name and a NUL. */
#define SECRET_HASH_BYTES  32  /* SHA-256. */
#define AUDIT_DIGEST_BYTES 32  /* SHA-256. */
/* Of one audit record's content: with its record and a blob's head it then
 * takes at most 2.2 KiB, 110 MiB for the default number of the largest ones. A
 * usual one takes some 300 bytes. */
#define AUDIT_CONTENT_BYTES_MAX 2048
#define AUDIT_RECORDS_MIN       100
#define AUDIT_RECORDS_MAX       250000
#define AUDIT_RECORDS_DEFAULT   50000
#define JOIN_TOKENS_MAX         4096
/* Records of what was applied. A part takes some 4 bytes (10,000 VMs: 40 KiB)
 * and is forgotten once all of its record are over; a record's words are a
 * plan's id, a caller and a request id. */
#define APPLIES_MAX           256
#define APPLY_PARTS_BYTES_MAX (512u << 10)
#define APPLY_WORDS_BYTES_MAX 512

/* Which region this is of all that ever were: random, drawn when it begins.
 * Uids count from the start in each, so they name a thing only together with
 * it. Both zero: none yet. */
struct region_id {
    uint64_t high;
    uint64_t low;
};

static inline bool region_id_is_set(struct region_id id)
{
    return id.high != 0 || id.low != 0;
}

/* Names of records that never mean another one: the slot in the low half, the
 * number of times that it was used in the high half. Never zero. */
struct zone_id {
    uint64_t uid;
};
struct class_id {
    uint64_t uid;
};
struct host_id {
    uint64_t uid;
};
struct vm_id {
    uint64_t uid;
};
struct group_id {
    uint64_t uid;
};

/* Of a VM or a host; see Resources in resources.proto. */
struct resources {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t disk_gib;
    uint32_t gpu_count;
};

/* Of the named resources, by the slot of the name (state_named_name()). */
struct amounts {
    uint32_t of[NAMED_MAX];
};

/* Sums over many. */
struct resource_sum {
    uint64_t cpu_milli;
    uint64_t memory_mib;
    uint64_t disk_gib;
};

/* The numbers of these enums are those of the .proto files and stand in logs
 * and snapshots. */
enum zone_state { ZONE_UP = 1, ZONE_LOST = 2, ZONE_HELD = 3 };

enum host_state { HOST_UP = 1, HOST_LOST = 2 };

enum vm_state {
    VM_PENDING = 1,
    VM_ASSIGNED = 2,
    VM_STARTING = 3,
    VM_RUNNING = 4,
    VM_STOPPING = 5,
    VM_STOPPED = 6,
    VM_LOST = 7
};
#define VM_STATE_COUNT 8

enum pending_reason {
    PENDING_NONE = 0,
    PENDING_QUEUED = 1,
    PENDING_NO_CAPACITY = 2,
    PENDING_ZONE_UNAVAILABLE = 3,
    PENDING_CLASS_NOT_OFFERED = 4,
    PENDING_DISK_NOT_REACHABLE = 5,
    PENDING_HELD_BY_POLICY = 6,
    PENDING_DRIVER_NOT_OFFERED = 7,
    PENDING_NO_MATCHING_HOST = 8,
    PENDING_GROUP_RULE = 9,
    PENDING_HEADROOM = 10,
    PENDING_RESERVED = 11,
    PENDING_PREEMPTING = 12,
    PENDING_PREEMPTED = 13
};
#define PENDING_REASON_COUNT 14

enum on_partition { ON_PARTITION_MOVE = 1, ON_PARTITION_KEEP = 2 };

/* Whether a host or zone is being drained. AT_RISK: somebody accepted that the
 * loss of a zone may no longer be survived (`accept_risk`), so the moves do not
 * ask headroom. */
enum drain_mode { DRAIN_NO = 0, DRAIN_YES = 1, DRAIN_AT_RISK = 2 };

/* How the last drain of a host or zone ended. */
enum drain_end {
    DRAIN_END_NONE = 0,
    DRAIN_END_EMPTY = 1,     /* Nothing was left. */
    DRAIN_END_CANCELLED = 2, /* Somebody ended it, with VMs left. */
    DRAIN_END_DEADLINE = 3   /* Likewise, its deadline. */
};

enum move_cause {
    MOVE_CAUSE_NONE = 0,
    MOVE_CAUSE_REQUEST = 1,
    MOVE_CAUSE_HOST_DRAIN = 2,
    MOVE_CAUSE_ZONE_DRAIN = 3,
    MOVE_CAUSE_REBALANCE = 4,
    MOVE_CAUSE_PLAN = 5,
    MOVE_CAUSE_PREEMPTION = 6
};

/* Of vm.moving. With CLAIMED, and with UNDER_WAY and a move_host, the VM holds
 * room on move_host (host.claimed) beside what it uses where it is. */
enum move_state {
    MOVE_NONE = 0,
    /* STOPPING on its way to move_zone, move_host or any other host, or PENDING
     * with such a wish. */
    MOVE_UNDER_WAY = 1,
    /* Holds room on move_host; a VM with a host still runs there and waits for
     * its turn (move_order), a PENDING one waits for others to leave. */
    MOVE_CLAIMED = 2
};

enum zone_rule {
    ZONE_RULE_SPREAD = 1,
    ZONE_RULE_TOGETHER = 2,
    ZONE_RULE_APART = 3,
    ZONE_RULE_ANY = 4
};

enum rule_mode { RULE_MODE_BEST_EFFORT = 1, RULE_MODE_STRICT = 2 };

enum headroom_mode {
    HEADROOM_OFF = 1,
    HEADROOM_WARN = 2,
    HEADROOM_ENFORCE = 3
};

enum rebalance_mode {
    REBALANCE_MANUAL = 1,
    REBALANCE_AUTO = 2,
    REBALANCE_WINDOW = 3
};

enum desired_state { DESIRED_RUNNING = 1, DESIRED_STOPPED = 2 };

/* Bits of host.driver_mask are 1 << driver. */
enum driver { DRIVER_QEMU = 1, DRIVER_EXEC = 2 };

enum subject_kind { SUBJECT_CLIENT = 1, SUBJECT_TOKEN = 2 };

enum access_role {
    ACCESS_ROLE_VIEWER = 1,
    ACCESS_ROLE_OPERATOR = 2,
    ACCESS_ROLE_ADMIN = 3,
    ACCESS_ROLE_DRILL_RUNNER = 4
};
#define ACCESS_ROLE_COUNT 5

enum apply_kind { APPLY_PLAN = 1, APPLY_MANIFEST = 2 };

/* How an apply ended; the numbers of OperationState. */
enum apply_end {
    APPLY_END_NONE = 0,
    APPLY_END_DONE = 2,
    APPLY_END_FAILED = 3,
    APPLY_END_CANCELLED = 4
};

/* A record may grow at its end, by fields whose zero means what was before
 * them: a record whose new part is zero hashes as it did without it, so that
 * data and replicas from before agree as long as nobody uses what is new. Where
 * "none" must be zero a slot is kept plus one; fields named `..._plus1`. The
 * sizes of the first layout (format 1) are in state/internal.h.
 *
 * A region begins format 2 with its first CHANGE_POLICY, which a leader writes
 * when there is no policy record yet. Until then the changes that format 1 had
 * already do only what they did: VMs are not `recovering`, get no
 * assign_time_ms, and moves hold no room. So an old log gives the old hashes.
 * With that change the moves that are under way get their claims.
 *
 * Format 3 has the table of grants. It begins with the first change of that,
 * and is otherwise as format 2.
 *
 * Format 4 has the audit records, tokens to join, records of applies, and
 * grants that end. It begins with the first CHANGE_AUDIT, which is to say with
 * the first request of a client that a leader of this version accepts; what
 * controllers and agents do is not audited. So a region that is upgraded and
 * that nobody changes stays what it was. Grants are written as in format 3
 * while none of them ends; what is kept of applies is hashed and saved from the
 * first one on, so that a region without any hashes as it did. */

struct zone {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    uint64_t state_time_ms; /* When `state` was entered. */
    char name[NAME_BYTES];
    struct resource_sum capacity; /* Of the hosts that are up. */
    struct resource_sum used;     /* Of the VMs assigned to those. */
    uint32_t host_count;
    uint32_t host_up_count;
    uint32_t vm_count; /* Assigned to its hosts, up or lost. */
    uint8_t state;     /* enum zone_state */
    uint8_t cordoned;
    uint8_t padding[2];
    /* Format 2. */
    uint64_t drain_deadline_ms; /* Leader's time; 0: none. */
    uint8_t draining;           /* enum drain_mode */
    uint8_t drain_end;     /* enum drain_end of the last drain; 0 meanwhile. */
    uint16_t drain_number; /* Of the present or last drain; 0: not counted. */
    uint8_t padding2[4];
};

struct class
{
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    uint64_t zone_mask; /* Bit i: zone in slot i offers it; 0: every zone. */
    char name[NAME_BYTES];
    struct resources resources;
    uint32_t vm_count;
    uint32_t padding;
    /* Format 2. */
    struct amounts named;
    uint32_t use_count; /* Groups and reservations of it. */
    uint8_t custom;     /* Made for VMs' own sizes; goes with the last one. */
    uint8_t padding2[3];
};

struct host {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    uint64_t state_time_ms;
    uint64_t generation; /* Rises with every register change. */
    uint64_t pool_mask;  /* Bit i: reaches the pool in slot i. */
    char name[NAME_BYTES];
    struct resources capacity;
    struct resources used; /* Sum over its VMs. */
    uint32_t zone;         /* Slot. */
    uint32_t vm_first;     /* Slot; its VMs are a list through vm.host_next. */
    uint32_t vm_count;
    uint32_t identity_blob; /* fault_domain, host_id, boot_id, version. */
    uint32_t labels_blob;
    uint8_t state; /* enum host_state */
    uint8_t cordoned;
    uint8_t driver_mask;
    uint8_t fence_proof; /* enum fence_proof of the last fence; 0: none. */
    /* Format 2. */
    uint64_t drain_deadline_ms; /* Leader's time; 0: none. */
    struct resources claimed;   /* Sum over VMs that hold room here. */
    struct amounts named_capacity;
    struct amounts named_used;
    struct amounts named_claimed;
    uint32_t claim_count;
    uint8_t draining;      /* As of a zone; */
    uint8_t drain_end;     /* likewise; */
    uint16_t drain_number; /* likewise. */
};

struct vm {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    uint64_t epoch; /* Of the newest assignment; 0: never assigned. */
    uint64_t state_time_ms;
    uint64_t not_before_ms; /* It failed; earliest restart, leader's time. */
    uint64_t pool_mask;     /* Pools that its disks need. */
    char name[NAME_BYTES];
    uint32_t class_slot;
    uint32_t zone;      /* Slot of the only allowed zone; SLOT_NONE: any. */
    uint32_t host;      /* Slot where it is assigned; SLOT_NONE: nowhere. */
    uint32_t host_next; /* Next and previous VM of that host; slots. While */
    uint32_t host_prev; /* PENDING they link the list of pending VMs. */
    uint32_t last_host; /* Slot where it last failed; SLOT_NONE. */
    uint32_t move_zone; /* Slot of a move's target; SLOT_NONE. */
    uint32_t move_host;
    uint32_t template_blob;
    uint32_t labels_blob;
    uint32_t end_blob; /* Why it last left a host. */
    uint32_t restart_count;
    uint16_t priority;
    uint8_t state;               /* enum vm_state */
    uint8_t pending_reason;      /* enum pending_reason */
    uint8_t desired;             /* enum desired_state */
    uint8_t on_partition;        /* Wished; */
    uint8_t on_partition_active; /* and what its host was told. */
    uint8_t driver;              /* enum driver */
    uint8_t deleting;
    uint8_t moving; /* enum move_state */
    uint8_t padding[6];
    /* Format 2. */
    uint64_t disk_zone_mask; /* Zones with its replicated disks; 0: any. */
    uint64_t assign_time_ms; /* Of its newest assignment; 0: before format 2. */
    uint32_t group_plus1;    /* Slot. */
    uint32_t group_next_plus1; /* Members of a group, newest first. */
    uint32_t group_prev_plus1;
    uint32_t selector_blob; /* Labels that its host must have. */
    uint32_t
        home_host_plus1; /* Where its local disks are, once it had a host. */
    uint32_t move_order; /* CLAIMED with a host: which move goes first. */
    uint32_t template_generation; /* Of its group's; 0: made by hand. */
    uint8_t preemptible;
    uint8_t local_disk; /* It has local disks. */
    uint8_t move_cause; /* enum move_cause of the present or last move. */
    /* It left its last host because that was fenced, and was not assigned
     * since: it may take reserved room and what headroom keeps. */
    uint8_t recovering;
};

/* A scale set, or rules for VMs made by hand; see Group in resources.proto. */
struct group {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    uint64_t pool_mask; /* This and the next: of the template's disks. */
    uint64_t disk_zone_mask;
    uint64_t zone_mask; /* Zones for its members; 0: any. */
    char name[NAME_BYTES];
    uint32_t count;      /* Wished. */
    uint32_t class_slot; /* SLOT_NONE: no template. */
    uint32_t template_blob;
    uint32_t labels_blob;
    uint32_t selector_blob;
    uint32_t vm_first_plus1;
    uint32_t vm_count; /* Members; those being deleted too. */
    uint32_t max_skew;
    uint32_t domain_max; /* STRICT; 0: no limit. */
    uint32_t host_max;
    uint32_t max_unavailable;
    uint32_t generation;  /* Of the template, from 1; 0: no template. */
    uint32_t next_member; /* Members made so far: the next one's name. */
    uint16_t priority;
    uint8_t on_partition;
    uint8_t driver;
    uint8_t preemptible;
    uint8_t local_disk;
    uint8_t zone_rule;   /* enum zone_rule */
    uint8_t zone_mode;   /* enum rule_mode, as the next two. */
    uint8_t domain_mode; /* 0: no rule. */
    uint8_t host_mode;   /* 0: no rule. */
    uint8_t unprotected;
    uint8_t deleting;
    /* Members assigned to hosts, by the slot of the zone. */
    uint32_t zone_counts[ZONES_MAX];
};

/* Room for VMs of a class in a zone; see Reservation in resources.proto. */
struct reservation {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    char name[NAME_BYTES];
    uint32_t zone; /* Slot. */
    uint32_t class_slot;
    uint32_t count;
    uint32_t padding;
};

/* Format 3. A role for somebody; see Grant in access_service.proto. `revision`
 * is the number of the change of grants that made or last changed it: grants
 * raise no event, for watches are not to tell who may do what. */
struct grant {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    char name[NAME_BYTES];
    char subject[SUBJECT_BYTES]; /* A client's name; empty for a token. */
    uint64_t zone_mask;          /* Only for what is in these; 0: any. */
    uint32_t selector_blob;      /* Only for what has these labels. */
    uint8_t kind;                /* enum subject_kind */
    uint8_t role;                /* enum access_role */
    uint8_t padding[2];
    uint8_t secret_hash[SECRET_HASH_BYTES]; /* Of a token's secret. */
    /* Format 4. */
    uint64_t expire_ms; /* Wall clock; nothing is allowed from then on. 0: it
                         * never ends. */
};

/* Format 4. What a client changed; the table is a ring. Each digest is one over
 * the digest before it and the record, worked out by the leader that decided:
 * the state keeps it and does not know how (node/audit.h does). */
struct audit {
    uint64_t number;   /* From 1 on, without a gap; 0: the slot is unused. */
    uint64_t revision; /* Of the state, with what was changed. */
    uint64_t time_ms;  /* Leader's stamp. */
    uint32_t blob;     /* The rest, encoded. */
    uint32_t padding;
    uint8_t digest[AUDIT_DIGEST_BYTES];
};

/* Format 4. A token by which one host gets its first certificate, once;
 * `revision` counts changes of these, which raise no event. */
struct join_token {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    char name[NAME_BYTES]; /* The host's. */
    uint64_t expire_ms;    /* Leader's time. */
    uint64_t used_ms;      /* Leader's time; 0: not yet. */
    uint32_t zone;         /* Slot of the zone that it is meant for. */
    uint32_t padding;
    uint8_t secret_hash[SECRET_HASH_BYTES];
    uint8_t key_digest[SECRET_HASH_BYTES]; /* Of whom it let in; or zero. */
};

/* Format 4. One ApplyPlan or ApplyManifest and what it set in motion: each part
 * an operation of node/operation.h, as kind, uid and mark. `revision` counts
 * changes of these, which raise no event. */
struct apply_record {
    uint64_t uid;
    uint64_t revision;
    uint64_t create_time_ms;
    char name[NAME_BYTES]; /* The number in digits. */
    uint64_t number;       /* From 1 on; never used again. */
    uint64_t end_time_ms;  /* When it was noticed that it is over; 0: it is not.
                            */
    uint64_t state_revision; /* Of the state, with what was changed. */
    uint32_t part_count;
    uint32_t left_out;        /* Further parts, which found no room. */
    uint32_t parts_blob;      /* node/apply_parts.h; 0 once it is over. */
    uint32_t words_blob;      /* Object, caller and request id, each with its
                               * NUL. */
    uint32_t failed_count;    /* Parts; once it is over. */
    uint32_t cancelled_count; /* Likewise. */
    uint8_t kind;             /* enum apply_kind */
    uint8_t end;              /* enum apply_end */
    uint8_t cancelled;        /* Somebody asked for its end. */
    uint8_t padding[5];
};

/* Replicated; see Settings in resources.proto for meaning and ranges. */
struct settings {
    uint64_t revision;
    uint32_t lease_wait_ms;
    uint32_t lease_run_ms;
    uint32_t renew_ms;
    uint32_t kill_budget_ms;
    uint32_t margin_ms;
    uint32_t clock_error_permille;
    uint32_t zone_loss_permille;
    uint32_t storm_permille;
    uint32_t zone_hold_ms;
    uint32_t start_parallel;
};

/* The settings that came with placement, likewise. One record; without it the
 * defaults of policy_init() are in force. */
struct policy {
    uint64_t uid;      /* 1. */
    uint64_t revision; /* Of the last change. */
    uint32_t headroom; /* enum headroom_mode */
    uint32_t preempt_max;
    uint32_t rebalance; /* enum rebalance_mode */
    uint32_t rebalance_start_permille;
    uint32_t rebalance_stop_permille;
    uint32_t zone_moves;
    uint32_t host_moves;
    uint32_t vm_cool_down_ms;
    uint32_t rebalance_window_start_minute;
    uint32_t rebalance_window_end_minute;
};

#endif
