/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of the rank index: the table of cells and ranks (ranks_table.c), the
 * hosts of a cell (ranks_cell.c), the index (ranks.c) and walks over it
 * (ranks_walk.c). */
#ifndef PLACEMENT_RANKS_INTERNAL_H
#define PLACEMENT_RANKS_INTERNAL_H

#include "placement/ranks.h"

/* A cell where the size does not fit; its own place in the order. */
#define RANK_NONE UINT16_MAX

/* Amounts of one kind cut into ranges: range i is from start[i] to before
 * start[i + 1]. start[0] is 0, start[count] is UINT32_MAX. */
struct ranks_axis {
    uint32_t count;
    uint32_t max;   /* Amounts beyond are taken as this one. */
    uint32_t shift; /* first[amount >> shift]: where to begin to look. */
    uint32_t *start;
    uint16_t *first;
};

/* A cell is cpu range * memory.count + memory range. */
struct ranks_table {
    struct ranks_axis cpu;
    struct ranks_axis memory;
    struct ranks_size sizes[RANKS_SIZES_MAX]; /* By CPU, then memory. */
    uint64_t size_keys[RANKS_SIZES_MAX];      /* CPU << 32 | memory */
    uint32_t weight[RANKS_SIZES_MAX];         /* Popularity x dominant share. */
    uint32_t fits[RANKS_SIZES_MAX];           /* Cells where it does: ranks. */
    uint32_t size_count;
    uint32_t cells;
    uint32_t stride;       /* Of a row of `rank`: sizes, rounded up. */
    uint64_t cpu_price;    /* Of amounts, so that both add up to what is */
    uint64_t memory_price; /* left over. */
    uint16_t *rank;        /* [cell * stride + size]; RANK_NONE, as all of one
                            * row more, which is no cell's. */
    uint16_t *cell;        /* [size * cells + rank] */
    uint16_t *by_leftover; /* Position of a cell when sorted by leftover. */
    uint64_t *value;       /* Of a cell: sum over sizes of weight x slots. */
    uint64_t compiled;     /* Bit i: size i has its ranks. */
    uint32_t owners;
    /* For compiling more sizes; NULL when all are done. */
    uint16_t *order; /* All cells by leftover. */
    uint16_t *spare;
    uint64_t *keys; /* By cell. */
    uint32_t *cpu_slots;
    uint32_t *memory_slots;
};

/* The hosts of a cell, ascending. None; one: `at` is it; few: `at` is where
 * their sorted numbers begin in `ids`; many: a bitmap, `at` has CELL_MANY. */
struct ranks_cell {
    uint32_t count;
    uint32_t at;
};

#define CELL_MANY     (UINT32_C(1) << 31)
#define CELL_FEW_LOG2 9
#define CELL_FEW_MAX  (1u << CELL_FEW_LOG2) /* Beyond: a bitmap; */
#define CELL_MANY_MIN (CELL_FEW_MAX / 2)    /* at this, an array again. */

/* Storage for the hosts of cells, by size from free lists. Grows seldom. */
struct ranks_store {
    uint32_t *ids;
    uint32_t ids_used;
    uint32_t ids_size;
    uint32_t ids_free[CELL_FEW_LOG2 + 1]; /* By log2 of the length, plus 1. */
    uint64_t *maps;
    uint32_t maps_used; /* In maps of map_words. */
    uint32_t maps_size;
    uint32_t maps_free; /* Plus 1. */
    uint32_t map_words; /* All three levels. */
    uint32_t words;     /* The lowest. */
    uint32_t summary;   /* The middle. */
};

#define PART_NONE UINT16_MAX

struct ranks_place {
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint16_t cell;
    uint16_t part; /* PART_NONE: not there. */
};

/* An entry of the heap of a walk for a size that is not compiled. */
struct ranks_heaped {
    uint64_t score;
    uint32_t leftover; /* ranks_table.by_leftover */
    uint32_t cell;
};

/* Slots of each size in what would be left of each range of an axis, for the
 * size that was asked for last. */
struct ranks_scratch {
    struct ranks_heaped *heap;
    uint32_t *cpu_slots; /* [range * size_count + size] */
    uint32_t *memory_slots;
    uint32_t cpu_milli; /* 0: nothing is prepared. */
    uint32_t memory_mib;
};

/* Cells of a part that got hosts lately, whose ranks are not in the bitmaps: a
 * host that is being filled passes through a cell for a few VMs only, so most
 * of them are empty again before they would have to be marked for each size. */
#define FRESH_MAX 8

struct ranks_fresh {
    /* Where their rows of ranks begin; of unused ones, that of no cell. */
    uint32_t rows[FRESH_MAX];
    uint32_t next; /* The one that makes way. */
};

/* Sizes that fit no host of a part: whatever is as large fits none either,
 * until a host has more free. For sizes without ranks, which would otherwise be
 * held against each host of the cells that they may fit. */
#define FULL_MAX 4

struct ranks_full {
    uint32_t cpu_milli[FULL_MAX];
    uint32_t memory_mib[FULL_MAX];
    uint32_t count;
    uint32_t next; /* The one that makes way. */
};

struct ranks {
    struct ranks_table *table;
    uint32_t parts;
    uint32_t hosts_max;
    uint32_t bit_words;   /* Of one bitmap over ranks: the lowest level, */
    uint32_t bit_summary; /* the middle; the top is one word. */
    uint32_t bit_stride;  /* All three. */
    /* [(part * (size_count + 1) + size) * bit_stride]; the last "size" has the
     * cells themselves. A set bit may be of an empty cell, a clear one not of
     * a cell with hosts that is not fresh. Bits of sizes that nobody asked for
     * yet mean nothing.
     */
    uint64_t *bits;
    uint64_t asked;            /* Bit i: for size i. */
    struct ranks_fresh *fresh; /* By part. */
    struct ranks_full *full;   /* By part. */
    struct ranks_cell *cells;  /* [part * table->cells + cell] */
    struct ranks_place *places;
    struct ranks_store store;
    struct ranks_scratch scratch;
};

/* --- ranks_table.c --- */
static inline uint32_t axis_range(const struct ranks_axis *axis,
                                  uint32_t amount)
{
    uint32_t range;

    amount = amount < axis->max ? amount : axis->max;
    range = axis->first[amount >> axis->shift];
    while (axis->start[range + 1] <= amount) {
        range++;
    }
    return range;
}

static inline uint32_t table_cell(const struct ranks_table *table,
                                  uint32_t cpu_milli, uint32_t memory_mib)
{
    return axis_range(&table->cpu, cpu_milli) * table->memory.count +
           axis_range(&table->memory, memory_mib);
}

/* The size gets its ranks, if it has none. */
void table_compile(struct ranks_table *table, uint32_t size);

/* How many of each size fit into `amounts` of one kind, less `taken` each, as
 * far as that goes: [range * size_count + size]. */
void table_slots(const struct ranks_table *table, const struct ranks_axis *axis,
                 uint32_t taken, uint32_t *slots);

/* The value of what has so many slots for each size by CPU and by memory. */
static inline uint64_t table_value(const struct ranks_table *table,
                                   const uint32_t *cpu_slots,
                                   const uint32_t *memory_slots)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < table->size_count; i++) {
        uint32_t slots =
            cpu_slots[i] < memory_slots[i] ? cpu_slots[i] : memory_slots[i];

        value += (uint64_t)table->weight[i] * slots;
    }
    return value;
}

/* --- ranks.c --- */

/* The bits of a size are kept from now on. */
void ranks_ask(struct ranks *ranks, uint32_t size);

/* The lowest rank of fresh cells for the size at or after `from`, or
 * RANK_NONE. */
static inline uint32_t fresh_next(const struct ranks *ranks, uint32_t part,
                                  uint32_t size, uint32_t from)
{
    const uint16_t *rank = ranks->table->rank + size;
    const struct ranks_fresh *fresh = &ranks->fresh[part];
    uint32_t best = RANK_NONE;

    for (uint32_t i = 0; i < FRESH_MAX; i++) {
        uint32_t at = rank[fresh->rows[i]];

        /* Below `from` it becomes very large. */
        best = at - from < best - from ? at : best;
    }
    return best;
}

/* --- ranks_axis.c --- */
/* Cuts at all values of `sizes`; between them at multiples of their greatest
 * common divisor, but not into more than `detail` ranges an octave. False: more
 * than `count_max` ranges; nothing is allocated then. */
bool axis_init(struct ranks_axis *axis, const uint32_t *sizes, uint32_t count,
               uint32_t max, uint32_t detail, uint32_t count_max);
void axis_close(struct ranks_axis *axis);

/* --- ranks_cell.c --- */
void store_init(struct ranks_store *store, uint32_t hosts_max);
void store_close(struct ranks_store *store);
void store_reset(struct ranks_store *store);
void store_copy(struct ranks_store *store, const struct ranks_store *from);

void cell_add(struct ranks_store *store, struct ranks_cell *cell,
              uint32_t host);
void cell_remove(struct ranks_store *store, struct ranks_cell *cell,
                 uint32_t host);

/* For loading: room for `cell->count` hosts, which are then appended in
 * ascending order, from a count of 0. */
void cell_reserve(struct ranks_store *store, struct ranks_cell *cell);
void cell_append(struct ranks_store *store, struct ranks_cell *cell,
                 uint32_t host);

/* The lowest host of a cell that is not empty. */
uint32_t cell_first(const struct ranks_store *store,
                    const struct ranks_cell *cell);

/* The next host after one of the cell's. `position` is where that was: 0 with
 * cell_first(); moved on. RANKS_NONE at the end. */
uint32_t cell_next(const struct ranks_store *store,
                   const struct ranks_cell *cell, uint32_t host,
                   uint32_t *position);

/* --- Bitmaps of three levels: the lowest first, then the middle, the top. */
struct bitmap_shape {
    uint32_t words;
    uint32_t summary;
};

/* The first set bit at or after `from`; RANKS_NONE: there is none. */
static inline uint32_t bitmap_next(const uint64_t *bits,
                                   struct bitmap_shape shape, uint32_t from)
{
    uint32_t word = from / 64;
    uint64_t rest;

    if (word >= shape.words) {
        return RANKS_NONE;
    }
    rest = bits[word] >> from % 64;
    if (rest != 0) {
        return from + (uint32_t)__builtin_ctzll(rest);
    }
    word++;
    rest = word / 64 < shape.summary
               ? bits[shape.words + word / 64] >> word % 64
               : 0;
    if (rest == 0) {
        uint32_t group = word / 64 + 1;

        if (group >= shape.summary) {
            return RANKS_NONE;
        }
        rest = bits[shape.words + shape.summary] >> group;
        if (rest == 0) {
            return RANKS_NONE;
        }
        group += (uint32_t)__builtin_ctzll(rest);
        word = group * 64;
        rest = bits[shape.words + group];
    }
    word += (uint32_t)__builtin_ctzll(rest);
    return word * 64 + (uint32_t)__builtin_ctzll(bits[word]);
}

static inline uint32_t bitmap_first(const uint64_t *bits,
                                    struct bitmap_shape shape)
{
    uint64_t top = bits[shape.words + shape.summary];
    uint32_t group;
    uint32_t word;

    if (top == 0) {
        return RANKS_NONE;
    }
    group = (uint32_t)__builtin_ctzll(top);
    word = group * 64 + (uint32_t)__builtin_ctzll(bits[shape.words + group]);
    return word * 64 + (uint32_t)__builtin_ctzll(bits[word]);
}

static inline void bitmap_set(uint64_t *bits, struct bitmap_shape shape,
                              uint32_t bit)
{
    uint32_t word = bit / 64;

    if (bits[word] == 0) {
        bits[shape.words + word / 64] |= UINT64_C(1) << word % 64;
        bits[shape.words + shape.summary] |= UINT64_C(1) << word / 64;
    }
    bits[word] |= UINT64_C(1) << bit % 64;
}

static inline void bitmap_clear(uint64_t *bits, struct bitmap_shape shape,
                                uint32_t bit)
{
    uint32_t word = bit / 64;

    bits[word] &= ~(UINT64_C(1) << bit % 64);
    if (bits[word] != 0) {
        return;
    }
    bits[shape.words + word / 64] &= ~(UINT64_C(1) << word % 64);
    if (bits[shape.words + word / 64] == 0) {
        bits[shape.words + shape.summary] &= ~(UINT64_C(1) << word / 64);
    }
}

#endif
