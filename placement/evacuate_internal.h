/* SPDX-License-Identifier: Apache-2.0
 *
 * Between the files of the evacuation. VMs that ask for the same are one
 * `wish`; equal wishes of one priority are a `run`; a run is placed in one go.
 * Hosts of a zone that are alike for rules are a `part`; within it they lie in
 * cells by what is free, and all hosts of a cell are equally good. So a run
 * needs a heap of cells, and a placement moves one host from cell to cell: some
 * tens of nanoseconds, whatever the score and however many sizes there are.
 *
 * A `pass` places all runs once; passes with other scores and orders compete
 * for the best result (evacuate.c). */
#ifndef PLACEMENT_EVACUATE_INTERNAL_H
#define PLACEMENT_EVACUATE_INTERNAL_H

#include "placement/evacuate.h"
#include "placement/fleet.h"

#define NONE UINT32_MAX

/* Cells of all parts together, 4 bytes each: more are merged, and hosts of such
 * a cell are then looked at one by one. */
#define CELLS_MAX      (1u << 22)
#define PART_CELLS_MAX (1u << 18)
#define PARTS_MAX      1024

/* Sizes that scores count with: those of most weight. */
#define SCORE_SIZES_MAX 24

/* Priorities are 0 to 1000 (vm_service.proto). */
#define PRIORITY_TOP   1000
#define PRIORITY_STEPS (PRIORITY_TOP + 1)

/* How a pass tells which cell is best; lower is better. */
enum evacuation_score {
    SCORE_SLOT_LOSS, /* VMs of each size that it could take less. */
    SCORE_WASTE,     /* Its best fill, less: knapsack by dynamic programming. */
    SCORE_BEST_FIT,  /* What is left over. */
    SCORE_LEAST_ALLOCATED, /* The contrary. */
    SCORE_COUNT
};

/* Which VMs of one priority come first: the largest by... */
enum evacuation_order {
    ORDER_SHARE,  /* the larger of the CPU's and the memory's share; */
    ORDER_SUM,    /* both together; */
    ORDER_CPU,    /* CPU, then memory; */
    ORDER_MEMORY, /* memory, then CPU. */
    ORDER_COUNT
};

struct pass_options {
    enum evacuation_score score;
    enum evacuation_order order;
    uint32_t start_cap; /* Starts a host, at most. */
    uint32_t skip;      /* So many of a level come last: those that are worth */
    uint32_t skip_level; /* the least for the room that they take. */
    uint32_t shake; /* Seed; not 0: as the best pass, but for a few runs. */
};

/* What the bench compares: one pass with these options and nothing after it. */
void evacuation_limit(struct evacuation *evacuation,
                      const struct pass_options *options);

enum wish_right {
    WISH_RECOVERING,  /* May use reserved room. */
    WISH_PREEMPTIBLE, /* Likewise, and comes after all that recover. */
    WISH_ORDINARY     /* May not; comes last. */
};

/* What VMs ask of hosts. */
struct wish {
    uint64_t pool_mask;
    uint64_t disk_zone_mask;
    uint64_t class_zone_mask;
    uint64_t size[ORDER_COUNT];
    struct resources need;
    struct amounts named;
    uint32_t class_slot;
    uint32_t zone; /* SLOT_NONE: any. */
    uint32_t selector_blob;
    uint32_t next;  /* Wish of the same class; NONE. */
    uint32_t count; /* VMs. */
    uint8_t driver;
    uint8_t right; /* enum wish_right */
    bool extra;    /* Asks for more than CPU and memory. */
};

/* A VM to be placed. */
struct item {
    uint32_t vm;
    uint32_t wish;
    uint32_t tally;     /* Of its group; NONE. */
    uint32_t last_host; /* Whose loss it recovers from; NONE. */
    uint16_t priority;
    uint8_t prefer; /* Zone where it was and that is well; ZONES_MAX: none. */
    bool special;   /* Its record asks for or shuns a host. */
};

struct run {
    uint32_t first; /* Item. */
    uint32_t count;
    uint32_t wish;
    uint16_t level; /* Runs of one right and priority; ascending. */
};

/* What a host has free, as the pass sees it; by slot. */
struct room {
    uint32_t next; /* Host in the same cell. */
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint16_t vm_count;
    uint16_t starts;
};

struct room_extra {
    uint32_t disk_gib;
    uint32_t gpu_count;
    struct amounts named;
};

struct part {
    uint64_t pool_mask;
    uint32_t zone;
    uint8_t driver_mask;
    uint32_t *heads;  /* First host of each cell; NONE. */
    uint64_t *filled; /* A bit for each cell with hosts. */
};

/* The cells: a row for each step of CPU, in it a column for each of memory. */
struct grid {
    uint32_t cpu_unit;
    uint32_t memory_unit;
    uint32_t rows;
    uint32_t columns;
    uint32_t stride; /* Columns, rounded up to whole words of bits. */
    bool exact;      /* All needs are whole units. */
};

/* Free and used of the open hosts of a zone, to spread by load. */
struct zone_room {
    uint64_t cpu_used;
    uint64_t memory_used;
    uint64_t cpu_weight; /* 2^62 / capacity: shares without dividing. */
    uint64_t memory_weight;
    uint64_t cpu_capacity;
    uint64_t memory_capacity;
    bool open;
};

/* Counts members of groups by (group, domain or host). */
struct tally_map {
    uint64_t *keys; /* 0: free. */
    uint32_t *base;
    uint32_t *now;
    uint32_t capacity; /* A power of two. */
    uint32_t count;
};

/* A group that has members to place. */
struct tally {
    uint32_t group;            /* Slot. */
    uint32_t level[ZONES_MAX]; /* BEST_EFFORT: members a domain, host so far. */
};

struct cell_entry {
    uint64_t key;
    uint32_t cell;
    uint32_t part;
};

/* Cells of a zone where the run's VMs fit, or may fit; a heap. */
struct cell_queue {
    struct cell_entry *entries;
    uint32_t count;
    uint32_t capacity;
};

/* Where a pass is. */
struct pass {
    struct pass_options options;
    uint32_t run;  /* Index in run_order. */
    uint32_t item; /* Of the run; up to `end`. */
    uint32_t end;
    bool run_open;
    bool late; /* It is at what it skipped. */
    bool held; /* Reservations were taken out. */
    /* The run's: */
    const struct wish *wish;
    uint32_t level;
    const uint64_t *selected; /* Hosts by its selector; NULL: all. */
    uint32_t need_row;        /* Rows and columns of the need, rounded up. */
    uint32_t need_column;
    uint32_t shift;      /* Cells between before and after, on an exact grid. */
    uint64_t zones;      /* Zones with queues. */
    uint32_t found_cell; /* Of the host found last. */
    uint32_t aside_count; /* Hosts that the run cannot use. */
    uint32_t shunned;     /* Of these, at the end: hosts this VM cannot use. */
    uint32_t shun_tally;  /* Whose members; NONE. */
};

/* Which passes are tried: first scores and orders, then, with the best of
 * these, how many to leave out: doubled as long as it helps, then refined. */
struct search {
    uint32_t combination; /* The next one. */
    struct pass_options best;
    uint32_t skip;   /* Of the pass under way; 0: still at combinations. */
    uint32_t step;   /* Refining; 0: still doubling. */
    bool upward;     /* Refining: this one lies above the best. */
    bool last;       /* Refining by single VMs. */
    uint32_t shakes; /* Passes that were shaken. */
};

enum evacuation_stage {
    STAGE_VMS,
    STAGE_HOSTS,
    STAGE_PREPARE,
    STAGE_PASS,
    STAGE_ROOM,
    STAGE_STEPS,
    STAGE_DONE
};

/* A change of others that makes room, kept until the steps are written. */
struct helper_step {
    uint32_t before; /* Item. */
    uint32_t vm;
    uint32_t host;
    uint8_t kind;
};

struct evacuation {
    const struct state *state;
    struct fleet *fleet; /* NULL: nobody asks for domains or labels. */
    enum evacuation_stage stage;
    uint32_t cursor;
    struct pass_options limit;

    struct wish *wishes;
    uint32_t wish_count;
    uint32_t wish_capacity;
    uint32_t *class_wish;   /* First wish of each class. */
    struct item *ask_items; /* Of each ask: who waits, who recovers. */
    struct item *items;
    struct item *spare_items; /* For sorting, then for the steps. */
    struct run *runs;
    uint32_t *run_order;
    uint32_t *run_skip;  /* How many of each come late; */
    uint32_t *best_skip; /* and in the best pass. */

    const struct fleet_host *hosts; /* Of the fleet, if there is one. */
    uint16_t *part_of;              /* PARTS_MAX: no VMs there. */
    uint64_t *well;                 /* A bit for each host in an open zone. */
    struct part *parts;
    struct room *room_base;
    struct room *rooms;
    struct room_extra *extra_base; /* NULL: nobody asks. */
    struct room_extra *extras;
    struct zone_room zone_base[ZONES_MAX];
    struct zone_room zones[ZONES_MAX];
    struct cell_queue queues[ZONES_MAX];
    uint32_t *aside;

    struct tally *tallies;
    uint32_t tally_count;
    uint32_t tally_capacity;
    uint32_t *tally_of; /* By slot of the group. */
    uint32_t *zone_counts_base;
    uint32_t *zone_counts; /* By tally and zone. */
    struct tally_map members;
    struct grid grid;

    uint32_t *potential; /* By cell; of the pass's score. */
    enum evacuation_score potential_of;
    struct pass pass;
    uint32_t *placed;  /* Host of each item in the pass. */
    uint64_t *missing; /* CPU without a place, by level. */

    uint32_t try; /* Passes that were tried, but for the capped one. */
    struct search search;
    uint32_t *best; /* As placed, of the best pass so far. */
    uint64_t *best_missing;

    /* Making room: */
    uint32_t *planned_first; /* Items by host: the first one; */
    uint32_t *planned_next;  /* the next one of each. */
    uint64_t *leaving;       /* A bit for each VM that makes room. */
    uint64_t *freed;         /* A bit for each host that one is to leave. */
    struct helper_step *helpers;
    uint32_t helper_count;
    uint32_t helper_capacity;
    struct evacuation_step *steps;
    /* Counts, kept apart from what they count to leave no gaps. */
    uint32_t item_count;
    uint32_t run_count;
    uint32_t level_count;
    uint32_t host_slots;
    uint32_t part_count;
    uint32_t zone_slots;
    uint32_t open_hosts;
    uint32_t missing_count;
    uint32_t best_missing_count;
    uint32_t failed_wish;
    uint32_t step_count;
    uint32_t helper; /* The next one to be written. */
    uint32_t unplaced;
    bool enforce; /* Headroom: only what recovers may be placed here. */
    bool limited;
    bool capped; /* The pass with start_parallel was tried. */
    bool mixed;  /* Too many kinds of hosts: parts are zones. */
    bool has_best;
    bool replayed;
    bool exchanging;
};

/* --- evacuate_collect.c: what is to be placed --------------------------- */

/* Looks at VM slots from `cursor` on, as many as cost `budget`; true at the
 * end. */
bool evacuation_collect_vms(struct evacuation *evacuation, uint32_t *budget);

/* Sorts the items into runs. */
void evacuation_sort(struct evacuation *evacuation);

/* The order of the runs for a pass. */
void evacuation_order_runs(struct evacuation *evacuation,
                           enum evacuation_order order);

/* Some runs of the best pass's skips get others, at random by the seed. */
void evacuation_shake_skips(struct evacuation *evacuation, uint32_t seed);

/* How many of each run come late. */
void evacuation_set_skips(struct evacuation *evacuation, uint32_t skip,
                          uint32_t level);

/* --- evacuate_hosts.c: and where to -------------------------------------- */

/* What the wishes ask for is known. Then looks at host slots from `cursor` on;
 * true at the end. */
void evacuation_hosts_begin(struct evacuation *evacuation);
bool evacuation_collect_hosts(struct evacuation *evacuation, uint32_t *budget);
void evacuation_make_grid(struct evacuation *evacuation);

/* Of a host that is in a part. */
static inline uint32_t evacuation_zone_of(const struct evacuation *evacuation,
                                          uint32_t host)
{
    return evacuation->parts[evacuation->part_of[host]].zone;
}

/* The cell of a host with this much free. */
uint32_t evacuation_cell(const struct grid *grid, uint32_t cpu_milli,
                         uint32_t memory_mib);

/* All rooms as they were, each in its cell. */
void evacuation_reset_rooms(struct evacuation *evacuation);

/* Each host into the cell where it belongs now. */
void evacuation_link_all(struct evacuation *evacuation);

void evacuation_link(struct evacuation *evacuation, uint32_t host);

/* A host that is in its cell; walks the cell. */
void evacuation_unlink(struct evacuation *evacuation, uint32_t host);

/* Takes what the wish needs from the host, or gives it back. */
void evacuation_take(struct evacuation *evacuation, const struct wish *wish,
                     uint32_t host);
void evacuation_give(struct evacuation *evacuation, const struct wish *wish,
                     uint32_t host);

/* Whether the wish may use the hosts of a part; the host; its room. */
bool evacuation_part_allowed(const struct evacuation *evacuation,
                             const struct wish *wish, const struct part *part);
bool evacuation_host_fits(const struct evacuation *evacuation,
                          const struct wish *wish, uint32_t host);

/* --- evacuate_score.c ----------------------------------------------------- */

/* Fills `potential`. A cell's score for a wish is its potential less that of
 * the cell where the host would be afterwards. */
void evacuation_score(struct evacuation *evacuation,
                      enum evacuation_score score);

/* --- evacuate_group.c: rules of groups ------------------------------------ */

/* Number of the group's tally. */
uint32_t evacuation_tally(struct evacuation *evacuation, uint32_t group_slot);
void evacuation_tally_members(struct evacuation *evacuation);
void evacuation_tally_reset(struct evacuation *evacuation);

/* Zones that are left, best first, for a VM of this group. */
uint64_t evacuation_group_zones(const struct evacuation *evacuation,
                                uint32_t tally, const struct wish *wish);

/* What the group prefers among those zones: the least. */
uint32_t evacuation_group_zone_rank(const struct evacuation *evacuation,
                                    uint32_t tally, uint32_t zone);

enum group_answer { GROUP_ALLOWS, GROUP_REFUSES, GROUP_PREFERS_OTHERS };
enum group_answer evacuation_group_host(const struct evacuation *evacuation,
                                        uint32_t tally, uint32_t host);
void evacuation_group_count(struct evacuation *evacuation, uint32_t tally,
                            uint32_t host, int sign);

/* --- evacuate_pass.c ------------------------------------------------------ */

void evacuation_pass_begin(struct evacuation *evacuation,
                           const struct pass_options *options);
bool evacuation_pass_work(struct evacuation *evacuation, uint32_t *budget);

/* --- evacuate_search.c ---------------------------------------------------- */

/* The next pass after one that was `better` than those before it or not; false:
 * enough were tried. */
bool evacuation_search_next(struct evacuation *evacuation, bool better,
                            struct pass_options *out);

/* --- evacuate_room.c: making room ----------------------------------------- */

/* After the passes, if something is missing. */
void evacuation_room_begin(struct evacuation *evacuation);
bool evacuation_room_work(struct evacuation *evacuation, uint32_t *budget);

/* What a VM costs of a slice: it looks at many hosts, and at VMs there. */
uint32_t evacuation_item_cost(const struct evacuation *evacuation);

/* Whether the item may go to any host that has room for its wish, and leave it
 * again. */
bool evacuation_is_plain(const struct evacuation *evacuation, uint32_t item);

/* Others are yet to leave it: whoever comes before them in the plan must not
 * count on their room. */
bool evacuation_is_freed(const struct evacuation *evacuation, uint32_t host);
bool evacuation_host_allowed(const struct evacuation *evacuation,
                             const struct wish *wish, uint32_t host);

/* Puts the item on the host, or takes it off, and its host into the right
 * cell. */
void evacuation_put_item(struct evacuation *evacuation, uint32_t item,
                         uint32_t host);
void evacuation_pull_item(struct evacuation *evacuation, uint32_t item);

/* --- evacuate_exchange.c -------------------------------------------------- */

/* Small losses only: this looks at all VMs for each VM. */
#define EVACUATION_EXCHANGE_MAX 4000

bool evacuation_exchange_work(struct evacuation *evacuation, uint32_t *budget);

#endif
