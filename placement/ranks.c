/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/ranks_internal.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static size_t cells_of(const struct ranks *ranks)
{
    return (size_t)ranks->parts * ranks->table->cells;
}

static size_t bits_of(const struct ranks *ranks)
{
    return (size_t)ranks->parts * (ranks->table->size_count + 1) *
           ranks->bit_stride;
}

/* Where the row of ranks of a cell begins. */
static uint32_t row_at(const struct ranks *ranks, uint32_t cell)
{
    return cell * ranks->table->stride;
}

static void forget_fresh(struct ranks *ranks)
{
    for (uint32_t part = 0; part < ranks->parts; part++) {
        struct ranks_fresh *fresh = &ranks->fresh[part];

        fresh->next = 0;
        for (uint32_t i = 0; i < FRESH_MAX; i++) {
            fresh->rows[i] = row_at(ranks, ranks->table->cells);
        }
        ranks->full[part].count = 0;
    }
}

static void forget_all(struct ranks *ranks)
{
    forget_fresh(ranks);
    memset(ranks->bits, 0, bits_of(ranks) * sizeof(*ranks->bits));
    memset(ranks->cells, 0, cells_of(ranks) * sizeof(*ranks->cells));
    for (uint32_t host = 0; host < ranks->hosts_max; host++) {
        ranks->places[host].part = PART_NONE;
    }
    store_reset(&ranks->store);
}

struct ranks *ranks_create(struct ranks_table *table, uint32_t parts,
                           uint32_t hosts_max)
{
    struct ranks *ranks = memory_alloc(sizeof(*ranks));

    CHECK(parts > 0 && parts <= RANKS_PARTS_MAX);
    CHECK(hosts_max <= RANKS_HOSTS_MAX);
    *ranks = (struct ranks){
        .table = table,
        .parts = parts,
        .hosts_max = hosts_max,
        .bit_words = (table->cells + 63) / 64,
    };
    ranks->bit_summary = (ranks->bit_words + 63) / 64;
    ranks->bit_stride = ranks->bit_words + ranks->bit_summary + 1;
    ranks->bits = memory_alloc_array(bits_of(ranks), sizeof(*ranks->bits));
    ranks->cells = memory_alloc_array(cells_of(ranks), sizeof(*ranks->cells));
    ranks->places =
        memory_alloc_array((size_t)hosts_max + 1, sizeof(*ranks->places));
    ranks->fresh = memory_alloc_array(parts, sizeof(*ranks->fresh));
    ranks->full = memory_alloc_array(parts, sizeof(*ranks->full));
    forget_fresh(ranks);
    store_init(&ranks->store, hosts_max);
    for (uint32_t host = 0; host < hosts_max; host++) {
        ranks->places[host].part = PART_NONE;
    }
    return ranks;
}

void ranks_destroy(struct ranks *ranks)
{
    if (ranks == NULL) {
        return;
    }
    free(ranks->bits);
    free(ranks->fresh);
    free(ranks->full);
    free(ranks->cells);
    free(ranks->places);
    store_close(&ranks->store);
    free(ranks->scratch.heap);
    free(ranks->scratch.cpu_slots);
    free(ranks->scratch.memory_slots);
    free(ranks);
}

uint32_t ranks_hosts_max(const struct ranks *ranks)
{
    return ranks->hosts_max;
}

void ranks_copy(struct ranks *ranks, const struct ranks *from)
{
    CHECK(ranks->table == from->table && ranks->parts == from->parts);
    CHECK(ranks->hosts_max == from->hosts_max);
    ranks->asked = from->asked;
    memcpy(ranks->bits, from->bits, bits_of(ranks) * sizeof(*ranks->bits));
    memcpy(ranks->fresh, from->fresh, ranks->parts * sizeof(*ranks->fresh));
    memcpy(ranks->full, from->full, ranks->parts * sizeof(*ranks->full));
    memcpy(ranks->cells, from->cells, cells_of(ranks) * sizeof(*ranks->cells));
    memcpy(ranks->places, from->places,
           ranks->hosts_max * sizeof(*ranks->places));
    store_copy(&ranks->store, &from->store);
}

struct ranks *ranks_clone(const struct ranks *ranks)
{
    struct ranks *clone =
        ranks_create(ranks->table, ranks->parts, ranks->hosts_max);

    ranks_copy(clone, ranks);
    return clone;
}

static struct bitmap_shape shape_of(const struct ranks *ranks)
{
    return (struct bitmap_shape){ranks->bit_words, ranks->bit_summary};
}

static struct ranks_cell *cell_at(const struct ranks *ranks, uint32_t part,
                                  uint32_t cell)
{
    return &ranks->cells[(size_t)part * ranks->table->cells + cell];
}

static uint64_t *bits_at(const struct ranks *ranks, uint32_t part,
                         uint32_t size)
{
    return ranks->bits +
           ((size_t)part * (ranks->table->size_count + 1) + size) *
               ranks->bit_stride;
}

static const uint16_t *row_of(const struct ranks *ranks, uint32_t cell)
{
    return ranks->table->rank + row_at(ranks, cell);
}

/* Marks the ranks of a row for every size that is asked for and fits. */
static void mark(struct ranks *ranks, uint32_t part, const uint16_t *row)
{
    for (uint64_t rest = ranks->asked; rest != 0; rest &= rest - 1) {
        uint32_t size = (uint32_t)__builtin_ctzll(rest);

        if (row[size] != RANK_NONE) {
            bitmap_set(bits_at(ranks, part, size), shape_of(ranks), row[size]);
        }
    }
}

static uint32_t fresh_find(const struct ranks_fresh *fresh, uint32_t row)
{
    uint32_t at = 0;

    while (at < FRESH_MAX && fresh->rows[at] != row) {
        at++;
    }
    return at;
}

/* A cell of a part has hosts now. */
static void freshen(struct ranks *ranks, uint32_t part, uint32_t cell)
{
    struct ranks_fresh *fresh = &ranks->fresh[part];
    uint32_t at = fresh_find(fresh, row_at(ranks, ranks->table->cells));

    if (at == FRESH_MAX) {
        at = fresh->next;
        fresh->next = (at + 1) % FRESH_MAX;
        mark(ranks, part, ranks->table->rank + fresh->rows[at]);
    }
    fresh->rows[at] = row_at(ranks, cell);
    bitmap_set(bits_at(ranks, part, ranks->table->size_count), shape_of(ranks),
               cell);
}

/* A cell of a part has no hosts any more. */
static void wither(struct ranks *ranks, uint32_t part, uint32_t cell)
{
    struct ranks_fresh *fresh = &ranks->fresh[part];
    uint32_t at = fresh_find(fresh, row_at(ranks, cell));

    if (at < FRESH_MAX) {
        fresh->rows[at] = row_at(ranks, ranks->table->cells);
    }
}

void ranks_ask(struct ranks *ranks, uint32_t size)
{
    struct bitmap_shape shape = shape_of(ranks);

    if ((ranks->asked >> size & 1) != 0) {
        return;
    }
    table_compile(ranks->table, size);
    ranks->asked |= UINT64_C(1) << size;
    for (uint32_t part = 0; part < ranks->parts; part++) {
        const uint64_t *cells = bits_at(ranks, part, ranks->table->size_count);
        uint64_t *bits = bits_at(ranks, part, size);
        uint32_t cell = bitmap_first(cells, shape);

        for (; cell != RANKS_NONE; cell = bitmap_next(cells, shape, cell + 1)) {
            if (row_of(ranks, cell)[size] != RANK_NONE) {
                bitmap_set(bits, shape, row_of(ranks, cell)[size]);
            }
        }
    }
}

bool ranks_work(struct ranks *ranks)
{
    uint32_t sizes = ranks->table->size_count;
    uint32_t asked = (uint32_t)__builtin_popcountll(ranks->asked);

    if (asked < sizes) {
        ranks_ask(ranks, (uint32_t)__builtin_ctzll(~ranks->asked));
        asked++;
    }
    return asked == sizes;
}

static void place(struct ranks *ranks, const struct ranks_host *host)
{
    struct ranks_place *place = &ranks->places[host->host];

    *place = (struct ranks_place){
        .cpu_milli = host->cpu_milli,
        .memory_mib = host->memory_mib,
        .cell = (uint16_t)table_cell(ranks->table, host->cpu_milli,
                                     host->memory_mib),
        .part = (uint16_t)host->part,
    };
}

/* First counts the hosts of each cell, then makes room, then fills it. */
void ranks_load(struct ranks *ranks, const struct ranks_host *hosts,
                uint32_t count)
{
    forget_all(ranks);
    for (uint32_t i = 0; i < count; i++) {
        CHECK(hosts[i].host < ranks->hosts_max && hosts[i].part < ranks->parts);
        CHECK(i == 0 || hosts[i - 1].host < hosts[i].host);
        place(ranks, &hosts[i]);
        cell_at(ranks, hosts[i].part, ranks->places[hosts[i].host].cell)
            ->count++;
    }
    for (uint32_t part = 0; part < ranks->parts; part++) {
        for (uint32_t i = 0; i < ranks->table->cells; i++) {
            struct ranks_cell *cell = cell_at(ranks, part, i);

            if (cell->count > 0) {
                cell_reserve(&ranks->store, cell);
                mark(ranks, part, row_of(ranks, i));
                bitmap_set(bits_at(ranks, part, ranks->table->size_count),
                           shape_of(ranks), i);
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t host = hosts[i].host;

        cell_append(&ranks->store,
                    cell_at(ranks, hosts[i].part, ranks->places[host].cell),
                    host);
    }
}

static void leave(struct ranks *ranks, uint32_t host)
{
    const struct ranks_place *place = &ranks->places[host];
    struct ranks_cell *cell = cell_at(ranks, place->part, place->cell);

    cell_remove(&ranks->store, cell, host);
    if (cell->count == 0) {
        wither(ranks, place->part, place->cell);
    }
}

/* A host of the part has this much free. */
static void keep_full(struct ranks_full *full, uint32_t cpu_free_milli,
                      uint32_t memory_free_mib)
{
    for (uint32_t i = 0; i < full->count;) {
        if (full->cpu_milli[i] > cpu_free_milli ||
            full->memory_mib[i] > memory_free_mib) {
            i++;
            continue;
        }
        full->count--;
        full->cpu_milli[i] = full->cpu_milli[full->count];
        full->memory_mib[i] = full->memory_mib[full->count];
    }
}

void ranks_set(struct ranks *ranks, uint32_t host, uint32_t part,
               uint32_t cpu_free_milli, uint32_t memory_free_mib)
{
    struct ranks_place *place;
    struct ranks_cell *cell;
    uint32_t to = table_cell(ranks->table, cpu_free_milli, memory_free_mib);

    CHECK(host < ranks->hosts_max && part < ranks->parts);
    keep_full(&ranks->full[part], cpu_free_milli, memory_free_mib);
    place = &ranks->places[host];
    place->cpu_milli = cpu_free_milli;
    place->memory_mib = memory_free_mib;
    if (place->part == part && place->cell == to) {
        return;
    }
    if (place->part != PART_NONE) {
        leave(ranks, host);
    }
    place->part = (uint16_t)part;
    place->cell = (uint16_t)to;
    cell = cell_at(ranks, part, to);
    if (cell->count == 0) {
        freshen(ranks, part, to);
    }
    cell_add(&ranks->store, cell, host);
}

void ranks_remove(struct ranks *ranks, uint32_t host)
{
    CHECK(host < ranks->hosts_max);
    if (ranks->places[host].part != PART_NONE) {
        leave(ranks, host);
        ranks->places[host].part = PART_NONE;
    }
}

bool ranks_get(const struct ranks *ranks, uint32_t host, uint32_t *part,
               uint32_t *cpu_free_milli, uint32_t *memory_free_mib)
{
    const struct ranks_place *place;

    CHECK(host < ranks->hosts_max);
    place = &ranks->places[host];
    if (place->part == PART_NONE) {
        return false;
    }
    *part = place->part;
    *cpu_free_milli = place->cpu_milli;
    *memory_free_mib = place->memory_mib;
    return true;
}

void ranks_figures(const struct ranks *ranks, struct ranks_figures *figures)
{
    const struct ranks_table *table = ranks->table;
    const struct ranks_store *store = &ranks->store;

    *figures = (struct ranks_figures){
        .cells = table->cells,
        .sizes = table->size_count,
        .bytes = bits_of(ranks) * sizeof(*ranks->bits) +
                 ranks->parts * (sizeof(*ranks->fresh) + sizeof(*ranks->full)) +
                 cells_of(ranks) * sizeof(*ranks->cells) +
                 ranks->hosts_max * sizeof(*ranks->places) +
                 store->ids_size * sizeof(*store->ids) +
                 (uint64_t)store->maps_size * store->map_words *
                     sizeof(*store->maps),
        .table_bytes =
            sizeof(*table) +
            (uint64_t)table->cells *
                (table->stride * sizeof(*table->rank) +
                 table->size_count * sizeof(*table->cell) +
                 sizeof(*table->by_leftover) + sizeof(*table->value)),
    };
}
