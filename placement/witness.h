/* SPDX-License-Identifier: Apache-2.0
 *
 * The book that proof of headroom is kept in: hosts with room, and items (VMs)
 * that each have a backup slot on a host, for the case that the item's zone
 * fails. Only one zone fails at a time, so slots for different failing zones
 * share room: a host holds the maximum over the zones of their sums. A host
 * that has room for an item, beside the other slots for the same zone, is found
 * by a grid of free CPU and memory for each pair of a failing zone and a zone
 * that takes in. Knows no rules; a caller's filter does.
 *
 * Memory: 28 bytes for each pair of a host and a zone (32 more once a class has
 * named resources), 33 KB for each pair of zones in use, 24 bytes an item:
 * 8 MB + 24 MB at 100,000 hosts, 3 zones and 1,000,000 VMs; 180 MB + 135 MB +
 * 24 MB at 64 zones. */
#ifndef PLACEMENT_WITNESS_H
#define PLACEMENT_WITNESS_H

#include "state/state.h"

/* Free CPU and memory in 64 steps each: exact below 8 units, then four steps an
 * octave. */
#define WITNESS_STEPS           64
#define WITNESS_CPU_UNIT_MILLI  250
#define WITNESS_MEMORY_UNIT_MIB 512
#define WITNESS_SIZES_MAX       65535

/* What an item takes. */
struct witness_size {
    struct resources resources;
    struct amounts named;
    uint64_t class_uid;
    uint32_t class_slot;
    uint32_t items;
    bool has_named;
};

enum witness_status {
    ITEM_NONE = 0, /* Counts for nothing. */
    ITEM_BACKED,   /* Has a slot. */
    ITEM_KEPT,     /* Likewise, and lost its host: it is about to go there. */
    ITEM_TODO,     /* Needs one, none was looked for yet. */
    ITEM_STUCK,    /* Needs one, none was found. */
    ITEM_JOB,      /* Given one anew by a plan that is being made. */
    ITEM_UNPROTECTED
};

struct witness_item {
    uint32_t host; /* Of its slot; SLOT_NONE without. */
    uint32_t next; /* Items of that host, or of the zone's TODO or STUCK; */
    uint32_t prev; /* SLOT_NONE at the ends. */
    uint32_t group_plus1;
    uint32_t generation; /* High half of the VM's uid. */
    uint16_t size;
    uint8_t zone;   /* The failing one. */
    uint8_t status; /* enum witness_status; of UNPROTECTED ones the reason is
                     * added. */
};

/* Of a host, for one failing zone. */
struct witness_slots {
    uint32_t cpu_milli; /* Sums over the items. */
    uint32_t memory_mib;
    uint32_t disk_gib;
    uint16_t gpu_count;
    uint16_t count;
    uint32_t next; /* Hosts of the same cell; SLOT_NONE at the ends. */
    uint32_t prev;
    uint16_t cell; /* WITNESS_NO_CELL: in none. */
    uint8_t padding[2];
};
#define WITNESS_NO_CELL UINT16_MAX

struct witness_host {
    struct resources room; /* Capacity less used less claimed; never below 0. */
    struct resources capacity;
    struct resources held; /* Largest sums over zones. */
    uint32_t vm_room;
    uint32_t held_count;
    uint32_t first; /* Item; SLOT_NONE. */
    uint8_t zone;
    bool open; /* Takes VMs. */
    uint8_t padding[2];
};

struct witness_grid {
    uint64_t row_mask;
    uint64_t column_mask;
    uint64_t rows[WITNESS_STEPS];    /* By CPU: columns with hosts. */
    uint64_t columns[WITNESS_STEPS]; /* By memory: rows with hosts. */
    uint32_t heads[WITNESS_STEPS * WITNESS_STEPS];
};

struct witness_list {
    uint32_t first;
    uint32_t count;
};

struct witness_zone {
    uint64_t relief;  /* Times that a host got more room for its items. */
    uint64_t changes; /* These, and slots given. */
    struct witness_list todo;
    struct witness_list stuck;
    uint32_t backed; /* Items with a slot. */
    uint32_t turns;  /* Searches until `favourite` is chosen again. */
    uint32_t favourite;
};

struct witness {
    /* Told when the host's `held` or what is to be left free of it changed;
     * may be NULL. */
    void (*held_changed)(struct witness *witness, uint32_t host);
    uint32_t zone_count;
    uint32_t host_count; /* Ready for use, */
    uint32_t item_count; /* likewise; */
    uint32_t host_room;  /* allocated, */
    uint32_t item_room;  /* likewise. */
    struct witness_host *hosts;
    struct amounts *named_room;  /* By host; NULL until a host has one. */
    struct witness_slots *slots; /* [host * zone_count + failing zone] */
    struct amounts *named_sums;  /* Likewise, NULL until one is named. */
    struct witness_item *items;
    struct witness_grid **grids;         /* [failing * zone_count + zone] */
    struct resource_sum *sums;           /* Likewise: of all slots there. */
    struct resource_sum room[ZONES_MAX]; /* Of open hosts. */
    struct resource_sum capacity[ZONES_MAX];
    struct witness_zone zones[ZONES_MAX];
    struct witness_size *sizes;
    uint32_t size_count;
};

/* What is looked for. */
struct witness_want {
    const struct witness_size *size;
    uint32_t failing;
    uint64_t zone_mask; /* Zones that may take it. */
    uint32_t exclude;   /* Not this host; SLOT_NONE. */
    bool memory_first;  /* Tightest by memory, then CPU; else CPU first. */
    /* More rules; NULL: none. */
    bool (*passes)(struct witness_want *want, uint32_t host);
};

/* The step of an amount. */
static inline uint32_t witness_step(uint32_t amount, uint32_t unit)
{
    uint32_t value = amount / unit;
    uint32_t octave;
    uint32_t step;

    if (value < 8) {
        return value;
    }
    octave = 31 - (uint32_t)__builtin_clz(value);
    step = 8 + (octave - 3) * 4 + (value >> (octave - 2) & 3);
    return step < WITNESS_STEPS ? step : WITNESS_STEPS - 1;
}

static inline struct witness_slots *witness_slots_at(
    const struct witness *witness, uint32_t host, uint32_t failing)
{
    return &witness->slots[(size_t)host * witness->zone_count + failing];
}

static inline struct witness_grid **witness_grid_at(
    const struct witness *witness, uint32_t failing, uint32_t zone)
{
    return &witness->grids[failing * witness->zone_count + zone];
}

void witness_init(struct witness *witness, uint32_t zone_count);
void witness_close(struct witness *witness);

/* Makes room for slots below these numbers, in one piece for so many as are
 * expected, without touching it; memory that is new costs time when it is
 * touched. */
void witness_expect(struct witness *witness, uint32_t hosts, uint32_t items);

/* Slots below these numbers are ready for use. */
void witness_reserve(struct witness *witness, uint32_t hosts, uint32_t items);

/* The number of a class's size; one that items have stays as it is. */
uint16_t witness_size(struct witness *witness, const struct class *class);

/* How a host is now. Items keep their slots even if they no longer fit; see
 * witness_overfull(). */
struct witness_host_facts {
    uint32_t zone;
    bool open;
    struct resources room;
    struct resources capacity;
    uint32_t vm_room;
    const struct amounts *named_room;
};
void witness_host_set(struct witness *witness, uint32_t host,
                      const struct witness_host_facts *facts);

/* Whether the slots for this failing zone are more than the host has room for
 * beside `beside` (NULL: nothing). */
bool witness_overfull(const struct witness *witness, uint32_t host,
                      uint32_t failing, const struct witness_size *beside);

/* Whether the size fits the host's room beside its slots for `failing`. */
bool witness_fits(const struct witness *witness, uint32_t host,
                  uint32_t failing, const struct witness_size *size);

/* --- witness_search.c --- */

/* A host for what is wanted, or SLOT_NONE: from the zone with most room, there
 * the tightest cell. Looks first at few hosts, then at all that could do. */
uint32_t witness_find(struct witness *witness, struct witness_want *want);

/* --- witness.c --- */

/* The item (its size and zone are set, it is in no list) gets a slot on the
 * host, or gives it up. */
void witness_put(struct witness *witness, uint32_t item, uint32_t host);
void witness_take(struct witness *witness, uint32_t item);

/* Largest sums of named amounts on a host. */
void witness_held_named(const struct witness *witness, uint32_t host,
                        struct amounts *held);

/* Into and out of the lists of a zone's items without a slot. */
void witness_list_add(struct witness *witness, uint32_t item,
                      enum witness_status status);
void witness_list_remove(struct witness *witness, uint32_t item);

/* All of STUCK become TODO. */
void witness_unstick(struct witness *witness, uint32_t zone);

#endif
