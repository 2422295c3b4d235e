/* SPDX-License-Identifier: Apache-2.0
 *
 * The best host for a VM size, exactly and at once. The score of a host
 * (slot-loss: how many VMs of each size it could take less, by popularity and
 * size) depends only on the VM's size and the host's free CPU and memory. So
 * these are cut into cells, and for each size the cells are sorted once, into
 * ranks. Which ranks have hosts is kept in bitmaps of 64 ways and three levels:
 * the best is three count-trailing-zeros away, an update touches two cells.
 *
 * Knows numbers of hosts and parts only, not the state: the placer has one for
 * the fleet, planners make their own. Integers, no hash order: the same hosts
 * give the same answers, however they came to be so. */
#ifndef PLACEMENT_RANKS_H
#define PLACEMENT_RANKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RANKS_NONE UINT32_MAX

/* Sizes with ranks of their own; VMs of others are found by a pass over the
 * cells that have hosts: the same order, microseconds instead of nanoseconds.
 */
#define RANKS_SIZES_MAX 64

/* Cells of a table at most, so that a rank has 16 bits. Each size's own CPU and
 * memory always begin cells, so what fits is decided by cells alone; between
 * them, large free amounts are told apart more coarsely than small ones when
 * otherwise there were more cells than this. */
#define RANKS_CELLS_MAX 65535

#define RANKS_HOSTS_MAX 262144
#define RANKS_PARTS_MAX 1024

struct ranks_size {
    uint32_t cpu_milli;  /* 1 or more. */
    uint32_t memory_mib; /* 1 or more. */
    uint32_t popularity; /* Relative to the others'; 1 to 2^24. */
};

struct ranks_scale {
    /* The fleet's CPU and memory, for shares: only their ratio counts. 1 or
     * more. */
    uint64_t cpu_milli;
    uint64_t memory_mib;
    /* The largest host; what is free beyond is taken as this much. */
    uint32_t cpu_max_milli;
    uint32_t memory_max_mib;
    /* 4225 (what 64 sizes may need) to RANKS_CELLS_MAX; memory is about 8 bytes
     * a cell and part, and 4 a cell and size. 0: as many as allowed. */
    uint32_t cells_max;
};

/* The compiled order, shared by any number of indexes and placers of a thread.
 * What it says never changes; a size's ranks are worked out when an index is
 * first asked for it, which takes a millisecond or two. */
struct ranks_table;

/* Equal sizes become one, their popularities are added. `count` is at most
 * RANKS_SIZES_MAX; 0 is allowed (all sizes are found by passes, the score is
 * then 0 and the leftover decides). */
struct ranks_table *ranks_table_create(const struct ranks_size *sizes,
                                       uint32_t count,
                                       const struct ranks_scale *scale);

/* One owner more; each destroys it, the last one frees it. */
struct ranks_table *ranks_table_share(struct ranks_table *table);
void ranks_table_destroy(struct ranks_table *table);

/* Works out the ranks of one more size beforehand, if any has none; takes about
 * as long as it takes to put ranks_table_cost() hosts into an index. */
void ranks_table_work(struct ranks_table *table);
bool ranks_table_is_complete(const struct ranks_table *table);
uint32_t ranks_table_cost(const struct ranks_table *table);

/* What a VM wants, ready to be asked for. */
struct ranks_want {
    uint32_t size; /* In the table; RANKS_NONE: not compiled. */
    uint32_t cpu_milli;
    uint32_t memory_mib;
};

struct ranks_want ranks_want(const struct ranks_table *table,
                             uint32_t cpu_milli, uint32_t memory_mib);

/* The total order of hosts for a VM, best first: lowest score, then least left
 * over, then least free CPU (all three of the cells that the free amounts fall
 * into), then lowest number. Worked out without the index: what it is tested
 * against, and for callers with few hosts. False: it does not fit. */
struct ranks_order {
    uint64_t score;
    uint64_t leftover;
    uint32_t cell;
};

bool ranks_order(const struct ranks_table *table, const struct ranks_want *want,
                 uint32_t cpu_free_milli, uint32_t memory_free_mib,
                 struct ranks_order *order);

/* Negative: `a` is the better one. 0: the lower number decides. */
int ranks_compare(const struct ranks_order *a, const struct ranks_order *b);

/* Hosts by part (a zone, mostly) and cell. */
struct ranks;

/* Empty. The table is lent for as long as the index lives. Host numbers are
 * below `hosts_max`, part numbers below `parts`. */
struct ranks *ranks_create(struct ranks_table *table, uint32_t parts,
                           uint32_t hosts_max);
void ranks_destroy(struct ranks *ranks);

uint32_t ranks_hosts_max(const struct ranks *ranks);

/* A copy that changes on its own; about a millisecond at 100,000 hosts. */
struct ranks *ranks_clone(const struct ranks *ranks);

/* Makes `ranks` equal to another one of the same table, parts and hosts_max,
 * without allocating anew. */
void ranks_copy(struct ranks *ranks, const struct ranks *from);

/* A host as it is given to ranks_load(). */
struct ranks_host {
    uint32_t host; /* Ascending. */
    uint32_t part;
    uint32_t cpu_milli; /* Free. */
    uint32_t memory_mib;
};

/* Replaces everything; about a millisecond at 100,000 hosts. */
void ranks_load(struct ranks *ranks, const struct ranks_host *hosts,
                uint32_t count);

/* Makes ready to be asked for one size more, as the first question for it would
 * do; true when that was the last. */
bool ranks_work(struct ranks *ranks);

/* The host has this much free now and is in this part: new, changed or as
 * before. */
void ranks_set(struct ranks *ranks, uint32_t host, uint32_t part,
               uint32_t cpu_free_milli, uint32_t memory_free_mib);

/* The host takes no VMs; if it is there at all. */
void ranks_remove(struct ranks *ranks, uint32_t host);

/* Free amounts as they were set; false when it is not there. */
bool ranks_get(const struct ranks *ranks, uint32_t host, uint32_t *part,
               uint32_t *cpu_free_milli, uint32_t *memory_free_mib);

/* The best host of a part, or RANKS_NONE. Not const: it clears marks of cells
 * that have become empty, which no caller can see. */
uint32_t ranks_best(struct ranks *ranks, uint32_t part,
                    const struct ranks_want *want);

/* All hosts of a part where the VM fits, best first, for callers that have more
 * rules: begin, then next until it suits or is RANKS_NONE. One walk at a time
 * in an index, and the index does not change meanwhile. No allocation. */
struct ranks_walk {
    struct ranks *ranks;
    uint32_t part;
    struct ranks_want want;
    uint32_t rank;     /* Of the present cell. */
    uint32_t cell;     /* RANKS_NONE: before the first. */
    uint32_t host;     /* The last one given; RANKS_NONE: none in this cell. */
    uint32_t position; /* Its position in the cell. */
    uint32_t cells;    /* Not compiled: cells left in the scratch heap. */
    uint64_t score;    /* Of the cell, likewise. */
    bool sure;         /* All hosts of the cell fit. */
    bool given;        /* Some host was. */
    uint32_t looks;    /* What it cost beside the hosts that were given, in
                        * looks at a host (placement.h). */
    uint32_t passed;   /* Hosts that do not fit. */
};

void ranks_walk_begin(struct ranks_walk *walk, struct ranks *ranks,
                      uint32_t part, const struct ranks_want *want);
uint32_t ranks_walk_next(struct ranks_walk *walk);

/* The order of the host that was given last, to compare walks of the same want
 * over different parts. */
void ranks_walk_order(const struct ranks_walk *walk, struct ranks_order *order);

/* For benches and documentation. */
struct ranks_figures {
    uint32_t cells;
    uint32_t sizes;
    uint64_t bytes; /* Of this index; the table's are apart. */
    uint64_t table_bytes;
};

void ranks_figures(const struct ranks *ranks, struct ranks_figures *figures);

#endif
