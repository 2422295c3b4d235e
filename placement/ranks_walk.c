/* SPDX-License-Identifier: Apache-2.0
 *
 * Asking the index: cell by cell in the order of the ranks, host by host within
 * a cell. For a size without ranks the cells that have hosts are scored then
 * and there, and taken from a heap. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/ranks_internal.h"

static struct bitmap_shape shape_of(const struct ranks *ranks)
{
    return (struct bitmap_shape){ranks->bit_words, ranks->bit_summary};
}

static uint64_t *bits_of(const struct ranks *ranks, uint32_t part,
                         uint32_t size)
{
    return ranks->bits +
           ((size_t)part * (ranks->table->size_count + 1) + size) *
               ranks->bit_stride;
}

static const struct ranks_cell *cell_at(const struct ranks *ranks,
                                        uint32_t part, uint32_t cell)
{
    return &ranks->cells[(size_t)part * ranks->table->cells + cell];
}

/* The next cell with hosts, from a rank on, which becomes the cell's. */
static uint32_t next_ranked(struct ranks *ranks, uint32_t part, uint32_t size,
                            uint32_t *rank)
{
    const struct ranks_table *table = ranks->table;
    const uint16_t *cells = table->cell + (size_t)size * table->cells;
    uint64_t *bits = bits_of(ranks, part, size);
    uint32_t fresh = fresh_next(ranks, part, size, *rank);

    for (;;) {
        *rank = bitmap_next(bits, shape_of(ranks), *rank);
        if (*rank >= fresh && fresh != RANK_NONE) {
            *rank = fresh;
            return cells[fresh];
        }
        if (*rank == RANKS_NONE) {
            return RANKS_NONE;
        }
        if (cell_at(ranks, part, cells[*rank])->count > 0) {
            return cells[*rank];
        }
        bitmap_clear(bits, shape_of(ranks), *rank);
    }
}

static uint32_t best_ranked(struct ranks *ranks, uint32_t part, uint32_t size)
{
    uint32_t rank = 0;
    uint32_t cell = next_ranked(ranks, part, size, &rank);

    return cell == RANKS_NONE
               ? RANKS_NONE
               : cell_first(&ranks->store, cell_at(ranks, part, cell));
}

/* Cells passed over, and divisions, in the time of a look at a host. */
#define CELLS_A_LOOK 16

/* Of a size that is asked for first its ranks are worked out, in looks at a
 * host for each cell. */
#define CELL_LOOKS 2

/* Hosts held against a size, likewise. */
#define HOSTS_A_LOOK 8

/* Slots in what is left of each range, kept for the next of the same size; what
 * that costs, in looks at a host. */
static uint32_t prepare(struct ranks *ranks, const struct ranks_want *want)
{
    const struct ranks_table *table = ranks->table;
    struct ranks_scratch *scratch = &ranks->scratch;
    uint32_t sizes = table->size_count;
    uint32_t divisions = 0;

    if (scratch->heap == NULL) {
        scratch->heap =
            memory_alloc_array(table->cells, sizeof(*scratch->heap));
        scratch->cpu_slots = memory_alloc_array(
            (size_t)table->cpu.count * sizes + 1, sizeof(uint32_t));
        scratch->memory_slots = memory_alloc_array(
            (size_t)table->memory.count * sizes + 1, sizeof(uint32_t));
    }
    if (scratch->cpu_milli != want->cpu_milli) {
        table_slots(table, &table->cpu, want->cpu_milli, scratch->cpu_slots);
        divisions += table->cpu.count * sizes;
    }
    if (scratch->memory_mib != want->memory_mib) {
        table_slots(table, &table->memory, want->memory_mib,
                    scratch->memory_slots);
        divisions += table->memory.count * sizes;
    }
    scratch->cpu_milli = want->cpu_milli;
    scratch->memory_mib = want->memory_mib;
    return divisions / CELLS_A_LOOK;
}

static bool is_before(const struct ranks_heaped *a,
                      const struct ranks_heaped *b)
{
    return a->score != b->score ? a->score < b->score
                                : a->leftover < b->leftover;
}

/* Whether the size may fit a host of the cell: its ranges end above. */
static bool may_fit(const struct ranks_table *table, uint32_t cell,
                    const struct ranks_want *want)
{
    return table->cpu.start[cell / table->memory.count + 1] > want->cpu_milli &&
           table->memory.start[cell % table->memory.count + 1] >
               want->memory_mib;
}

/* Whether it fits all hosts of the cell. */
static bool is_sure(const struct ranks_table *table, uint32_t cell,
                    const struct ranks_want *want)
{
    return table->cpu.start[cell / table->memory.count] >= want->cpu_milli &&
           table->memory.start[cell % table->memory.count] >= want->memory_mib;
}

static struct ranks_heaped scored(const struct ranks *ranks, uint32_t cell)
{
    const struct ranks_table *table = ranks->table;
    const struct ranks_scratch *scratch = &ranks->scratch;
    size_t cpu = (size_t)(cell / table->memory.count) * table->size_count;
    size_t memory = (size_t)(cell % table->memory.count) * table->size_count;

    return (struct ranks_heaped){
        .score =
            table->value[cell] - table_value(table, scratch->cpu_slots + cpu,
                                             scratch->memory_slots + memory),
        .leftover = table->by_leftover[cell],
        .cell = cell,
    };
}

static void sift_down(struct ranks_heaped *heap, uint32_t count, uint32_t at)
{
    struct ranks_heaped moved = heap[at];

    for (;;) {
        uint32_t child = at * 2 + 1;

        if (child >= count) {
            break;
        }
        if (child + 1 < count && is_before(&heap[child + 1], &heap[child])) {
            child++;
        }
        if (!is_before(&heap[child], &moved)) {
            break;
        }
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = moved;
}

/* The cells of a part with hosts that the size may fit, as a heap. Where it
 * fits nowhere, nothing is prepared. */
static void collect(struct ranks_walk *walk)
{
    struct ranks *ranks = walk->ranks;
    uint64_t *bits = bits_of(ranks, walk->part, ranks->table->size_count);
    uint32_t cell = bitmap_first(bits, shape_of(ranks));
    uint32_t passed = 0;

    for (; cell != RANKS_NONE;
         cell = bitmap_next(bits, shape_of(ranks), cell + 1)) {
        passed++;
        if (cell_at(ranks, walk->part, cell)->count == 0) {
            bitmap_clear(bits, shape_of(ranks), cell);
        } else if (may_fit(ranks->table, cell, &walk->want)) {
            if (walk->cells == 0) {
                walk->looks += prepare(ranks, &walk->want);
            }
            ranks->scratch.heap[walk->cells++] = scored(ranks, cell);
        }
    }
    walk->looks += passed / CELLS_A_LOOK + walk->cells;
    for (uint32_t i = walk->cells / 2; i-- > 0;) {
        sift_down(ranks->scratch.heap, walk->cells, i);
    }
}

static uint32_t next_heaped(struct ranks_walk *walk)
{
    struct ranks_heaped *heap = walk->ranks->scratch.heap;
    uint32_t cell;

    if (walk->cells == 0) {
        return RANKS_NONE;
    }
    cell = heap[0].cell;
    walk->score = heap[0].score;
    walk->cells--;
    heap[0] = heap[walk->cells];
    if (walk->cells > 0) {
        sift_down(heap, walk->cells, 0);
    }
    return cell;
}

static bool is_full(const struct ranks_full *full,
                    const struct ranks_want *want)
{
    for (uint32_t i = 0; i < full->count; i++) {
        if (want->cpu_milli >= full->cpu_milli[i] &&
            want->memory_mib >= full->memory_mib[i]) {
            return true;
        }
    }
    return false;
}

/* The want fits none. */
static void note_full(struct ranks_full *full, const struct ranks_want *want)
{
    uint32_t at = full->count;

    if (is_full(full, want)) {
        return;
    }
    if (at == FULL_MAX) {
        at = full->next++ % FULL_MAX;
    } else {
        full->count++;
    }
    full->cpu_milli[at] = want->cpu_milli;
    full->memory_mib[at] = want->memory_mib;
}

void ranks_walk_begin(struct ranks_walk *walk, struct ranks *ranks,
                      uint32_t part, const struct ranks_want *want)
{
    CHECK(part < ranks->parts);
    *walk = (struct ranks_walk){
        .ranks = ranks,
        .part = part,
        .want = *want,
        .cell = RANKS_NONE,
        .host = RANKS_NONE,
        .sure = true,
    };
    if (want->size == RANKS_NONE) {
        if (!is_full(&ranks->full[part], want)) {
            collect(walk);
        }
    } else if ((ranks->asked >> want->size & 1) == 0) {
        ranks_ask(ranks, want->size);
        walk->looks = ranks->table->cells * CELL_LOOKS;
    }
}

/* Turns to the next cell and gives its first host. */
static uint32_t first_of_next(struct ranks_walk *walk)
{
    struct ranks *ranks = walk->ranks;

    if (walk->want.size == RANKS_NONE) {
        walk->cell = next_heaped(walk);
        walk->sure = walk->cell != RANKS_NONE &&
                     is_sure(ranks->table, walk->cell, &walk->want);
    } else {
        walk->rank += walk->cell != RANKS_NONE;
        walk->cell =
            next_ranked(ranks, walk->part, walk->want.size, &walk->rank);
    }
    walk->position = 0;
    return walk->cell == RANKS_NONE
               ? RANKS_NONE
               : cell_first(&ranks->store,
                            cell_at(ranks, walk->part, walk->cell));
}

/* Whether the host that the walk has come to is too small. */
static bool passes_over(struct ranks_walk *walk)
{
    const struct ranks_place *place;

    if (walk->host == RANKS_NONE || walk->sure) {
        return false;
    }
    place = &walk->ranks->places[walk->host];
    if (place->cpu_milli >= walk->want.cpu_milli &&
        place->memory_mib >= walk->want.memory_mib) {
        return false;
    }
    walk->looks += walk->passed++ % HOSTS_A_LOOK == 0;
    return true;
}

uint32_t ranks_walk_next(struct ranks_walk *walk)
{
    struct ranks *ranks = walk->ranks;

    do {
        if (walk->host != RANKS_NONE) {
            walk->host =
                cell_next(&ranks->store, cell_at(ranks, walk->part, walk->cell),
                          walk->host, &walk->position);
        }
        if (walk->host == RANKS_NONE) {
            walk->host = first_of_next(walk);
        }
    } while (passes_over(walk));
    if (walk->host != RANKS_NONE) {
        walk->given = true;
    } else if (!walk->given && walk->want.size == RANKS_NONE) {
        note_full(&ranks->full[walk->part], &walk->want);
    }
    return walk->host;
}

uint32_t ranks_best(struct ranks *ranks, uint32_t part,
                    const struct ranks_want *want)
{
    struct ranks_walk walk;

    CHECK(part < ranks->parts);
    if (want->size != RANKS_NONE) {
        ranks_ask(ranks, want->size);
        return best_ranked(ranks, part, want->size);
    }
    ranks_walk_begin(&walk, ranks, part, want);
    return ranks_walk_next(&walk);
}

/* Ranks of one table are the order; so are the keys of the heap. */
void ranks_walk_order(const struct ranks_walk *walk, struct ranks_order *order)
{
    CHECK(walk->host != RANKS_NONE);
    if (walk->want.size != RANKS_NONE) {
        *order = (struct ranks_order){.score = walk->rank, .cell = walk->cell};
        return;
    }
    *order = (struct ranks_order){
        .score = walk->score,
        .leftover = walk->ranks->table->by_leftover[walk->cell],
        .cell = walk->cell,
    };
}
