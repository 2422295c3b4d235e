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

#define NAME_BYTES   64 /* 63 characters and a NUL. */
#define ZONES_MAX    64 /* One bit each in a class's zone mask. */
#define POOLS_MAX    64 /* One bit each in a host's pool mask. */
#define CLASSES_MAX  4096
#define HOSTS_MAX    262144
#define VMS_MAX      4194304
#define REPLIES_MAX  65536 /* Remembered request ids; the oldest goes. */
#define SLOT_NONE    UINT32_MAX
#define STATE_FORMAT 1

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

/* Of a VM or a host; see Resources in resources.proto. */
struct resources {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t disk_gib;
    uint32_t reserved;
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
    PENDING_DRIVER_NOT_OFFERED = 7
};

enum on_partition { ON_PARTITION_MOVE = 1, ON_PARTITION_KEEP = 2 };

enum desired_state { DESIRED_RUNNING = 1, DESIRED_STOPPED = 2 };

/* Bits of host.driver_mask are 1 << driver. */
enum driver { DRIVER_QEMU = 1, DRIVER_EXEC = 2 };

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
    uint8_t moving; /* A move is under way; its target may be "any other". */
    uint8_t padding[6];
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

#endif
