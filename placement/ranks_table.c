/* SPDX-License-Identifier: Apache-2.0
 *
 * The order of cells for each size, worked out once. The score of a cell for a
 * size is what its value is less without it, where the value of a cell is the
 * sum over all sizes of weight x slots: so one sum a cell and size. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/ranks_internal.h"

#include <stdlib.h>
#include <string.h>

#define POPULARITY_MAX (1u << 24)
#define DETAIL_MAX     4096u /* Ranges an octave, to begin with. */
/* What the sizes' own values can need. */
#define CELLS_MIN  ((RANKS_SIZES_MAX + 1) * (RANKS_SIZES_MAX + 1))
#define DIGIT_LOG2 11 /* Of the radix sort. */
/* As many are ranked for a size in the time that it takes to put a host into an
 * index. */
#define CELLS_A_HOST 4

static int compare_sizes(const void *a, const void *b)
{
    const struct ranks_size *left = a;
    const struct ranks_size *right = b;

    if (left->cpu_milli != right->cpu_milli) {
        return left->cpu_milli < right->cpu_milli ? -1 : 1;
    }
    return left->memory_mib < right->memory_mib
               ? -1
               : left->memory_mib > right->memory_mib;
}

static uint64_t key_of(uint32_t cpu_milli, uint32_t memory_mib)
{
    return (uint64_t)cpu_milli << 32 | memory_mib;
}

static void take_sizes(struct ranks_table *table,
                       const struct ranks_size *sizes, uint32_t count)
{
    CHECK(count <= RANKS_SIZES_MAX);
    if (count > 0) {
        memcpy(table->sizes, sizes, count * sizeof(*sizes));
        qsort(table->sizes, count, sizeof(*sizes), compare_sizes);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct ranks_size size = table->sizes[i];
        struct ranks_size *last = &table->sizes[table->size_count];

        CHECK(size.cpu_milli > 0 && size.memory_mib > 0);
        CHECK(size.popularity > 0 && size.popularity <= POPULARITY_MAX);
        if (table->size_count > 0 && compare_sizes(last - 1, &size) == 0) {
            last[-1].popularity += size.popularity;
        } else {
            *last = size;
            table->size_keys[table->size_count++] =
                key_of(size.cpu_milli, size.memory_mib);
        }
    }
}

/* Amounts times these prices are shares of the fleet. */
static void set_prices(struct ranks_table *table,
                       const struct ranks_scale *scale)
{
    uint64_t cpu = scale->cpu_milli;
    uint64_t memory = scale->memory_mib;

    CHECK(cpu > 0 && memory > 0);
    while ((cpu | memory) >> 24 != 0) {
        cpu >>= 1;
        memory >>= 1;
    }
    table->cpu_price = memory > 0 ? memory : 1;
    table->memory_price = cpu > 0 ? cpu : 1;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Popularity x dominant share, as integers below 2^28: with that a value fits
 * 64 bits, for a host has at most 2^20 slots. */
static void set_weights(struct ranks_table *table)
{
    uint64_t weights[RANKS_SIZES_MAX];
    uint64_t most = 0;
    uint32_t shift = 0;

    for (uint32_t i = 0; i < table->size_count; i++) {
        const struct ranks_size *size = &table->sizes[i];

        weights[i] = larger(size->cpu_milli * table->cpu_price,
                            size->memory_mib * table->memory_price);
        most = larger(most, weights[i]);
    }
    while (most >> shift >> 32 != 0) {
        shift++;
    }
    most = 0;
    for (uint32_t i = 0; i < table->size_count; i++) {
        weights[i] = (weights[i] >> shift) * table->sizes[i].popularity;
        most = larger(most, weights[i]);
    }
    shift = 0;
    while (most >> shift >> 28 != 0) {
        shift++;
    }
    for (uint32_t i = 0; i < table->size_count; i++) {
        table->weight[i] = (uint32_t)larger(weights[i] >> shift, 1);
    }
}

static bool cut_axes(struct ranks_table *table, const struct ranks_scale *scale,
                     uint32_t detail, uint32_t cells_max)
{
    uint32_t cpu[RANKS_SIZES_MAX];
    uint32_t memory[RANKS_SIZES_MAX];

    for (uint32_t i = 0; i < table->size_count; i++) {
        cpu[i] = table->sizes[i].cpu_milli;
        memory[i] = table->sizes[i].memory_mib;
    }
    if (!axis_init(&table->cpu, cpu, table->size_count, scale->cpu_max_milli,
                   detail, cells_max)) {
        return false;
    }
    if (axis_init(&table->memory, memory, table->size_count,
                  scale->memory_max_mib, detail,
                  cells_max / table->cpu.count)) {
        table->cells = table->cpu.count * table->memory.count;
        return true;
    }
    axis_close(&table->cpu);
    return false;
}

/* As fine as the number of cells allows. */
static void cut(struct ranks_table *table, const struct ranks_scale *scale)
{
    uint32_t cells_max =
        scale->cells_max == 0 || scale->cells_max > RANKS_CELLS_MAX
            ? RANKS_CELLS_MAX
            : scale->cells_max;
    uint32_t detail = DETAIL_MAX;

    cells_max = (uint32_t)larger(cells_max,
                                 (RANKS_SIZES_MAX + 1) * (RANKS_SIZES_MAX + 1));
    while (!cut_axes(table, scale, detail, cells_max)) {
        CHECK(detail > 0);
        detail /= 2;
    }
}

void table_slots(const struct ranks_table *table, const struct ranks_axis *axis,
                 uint32_t taken, uint32_t *slots)
{
    for (uint32_t range = 0; range < axis->count; range++) {
        uint32_t amount =
            axis->start[range] > taken ? axis->start[range] - taken : 0;

        for (uint32_t i = 0; i < table->size_count; i++) {
            *slots++ =
                amount / (axis == &table->cpu ? table->sizes[i].cpu_milli
                                              : table->sizes[i].memory_mib);
        }
    }
}

/* Sorts cells by key, keeping the order of equal ones: least digit first. */
static void sort_cells(uint16_t *cells, uint16_t *spare, uint32_t count,
                       const uint64_t *keys)
{
    static const uint32_t digits = 1u << DIGIT_LOG2;
    uint32_t at[1u << DIGIT_LOG2];
    uint64_t bits = 0;
    uint16_t *from = cells;
    uint16_t *to = spare;

    for (uint32_t i = 0; i < count; i++) {
        bits |= keys[cells[i]];
    }
    for (uint32_t shift = 0; shift < 64 && bits >> shift != 0;
         shift += DIGIT_LOG2) {
        uint32_t sum = 0;
        uint16_t *swap = from;

        memset(at, 0, sizeof(at));
        for (uint32_t i = 0; i < count; i++) {
            at[keys[from[i]] >> shift & (digits - 1)]++;
        }
        for (uint32_t i = 0; i < digits; i++) {
            uint32_t next = sum + at[i];

            at[i] = sum;
            sum = next;
        }
        for (uint32_t i = 0; i < count; i++) {
            to[at[keys[from[i]] >> shift & (digits - 1)]++] = from[i];
        }
        from = to;
        to = swap;
    }
    if (from != cells && count > 0) {
        memcpy(cells, from, count * sizeof(*cells));
    }
}

static void value_cells(struct ranks_table *table)
{
    uint32_t cell = 0;

    table_slots(table, &table->cpu, 0, table->cpu_slots);
    table_slots(table, &table->memory, 0, table->memory_slots);
    for (uint32_t i = 0; i < table->cpu.count; i++) {
        for (uint32_t j = 0; j < table->memory.count; j++, cell++) {
            table->value[cell] = table_value(
                table, table->cpu_slots + (size_t)i * table->size_count,
                table->memory_slots + (size_t)j * table->size_count);
            table->keys[cell] = table->cpu_price * table->cpu.start[i] +
                                table->memory_price * table->memory.start[j];
            table->order[cell] = (uint16_t)cell;
        }
    }
    sort_cells(table->order, table->spare, table->cells, table->keys);
    for (uint32_t i = 0; i < table->cells; i++) {
        table->by_leftover[table->order[i]] = (uint16_t)i;
    }
}

/* The scores of all cells where the size fits. */
static void score_cells(struct ranks_table *table, uint32_t size)
{
    uint32_t cpu_milli = table->sizes[size].cpu_milli;
    uint32_t memory_mib = table->sizes[size].memory_mib;

    table_slots(table, &table->cpu, cpu_milli, table->cpu_slots);
    table_slots(table, &table->memory, memory_mib, table->memory_slots);
    for (uint32_t i = axis_range(&table->cpu, cpu_milli); i < table->cpu.count;
         i++) {
        uint32_t j = axis_range(&table->memory, memory_mib);
        uint32_t cell = i * table->memory.count + j;

        for (; j < table->memory.count; j++, cell++) {
            table->keys[cell] =
                table->value[cell] -
                table_value(
                    table, table->cpu_slots + (size_t)i * table->size_count,
                    table->memory_slots + (size_t)j * table->size_count);
        }
    }
}

static void rank_cells(struct ranks_table *table, uint32_t size)
{
    uint16_t *cells = table->cell + (size_t)size * table->cells;
    uint32_t cpu_first = axis_range(&table->cpu, table->sizes[size].cpu_milli);
    uint32_t memory_first =
        axis_range(&table->memory, table->sizes[size].memory_mib);
    uint32_t count = 0;

    score_cells(table, size);
    for (uint32_t i = 0; i < table->cells; i++) {
        uint16_t cell = table->order[i];

        table->rank[(size_t)cell * table->stride + size] = RANK_NONE;
        if (cell / table->memory.count >= cpu_first &&
            cell % table->memory.count >= memory_first) {
            cells[count++] = cell;
        }
    }
    sort_cells(cells, table->spare, count, table->keys);
    for (uint32_t rank = 0; rank < count; rank++) {
        table->rank[(size_t)cells[rank] * table->stride + size] =
            (uint16_t)rank;
    }
    table->fits[size] = count;
}

static void forget_scratch(struct ranks_table *table)
{
    free(table->order);
    free(table->spare);
    free(table->keys);
    free(table->cpu_slots);
    free(table->memory_slots);
    table->order = NULL;
    table->spare = NULL;
    table->keys = NULL;
    table->cpu_slots = NULL;
    table->memory_slots = NULL;
}

static uint64_t all_sizes(const struct ranks_table *table)
{
    return table->size_count == 64 ? UINT64_MAX
                                   : (UINT64_C(1) << table->size_count) - 1;
}

void table_compile(struct ranks_table *table, uint32_t size)
{
    if ((table->compiled >> size & 1) != 0) {
        return;
    }
    rank_cells(table, size);
    table->compiled |= UINT64_C(1) << size;
    if (ranks_table_is_complete(table)) {
        forget_scratch(table);
    }
}

bool ranks_table_is_complete(const struct ranks_table *table)
{
    return table->compiled == all_sizes(table);
}

void ranks_table_work(struct ranks_table *table)
{
    if (!ranks_table_is_complete(table)) {
        table_compile(table, (uint32_t)__builtin_ctzll(~table->compiled));
    }
}

uint32_t ranks_table_cost(const struct ranks_table *table)
{
    return table->cells / CELLS_A_HOST + 1;
}

static void prepare(struct ranks_table *table)
{
    size_t cells = table->cells;
    size_t sizes = table->size_count;

    table->stride = (table->size_count + 7) / 8 * 8;
    table->rank = memory_alloc_array((cells + 1) * table->stride + 1,
                                     sizeof(*table->rank));
    memset(table->rank + cells * table->stride, 0xff,
           table->stride * sizeof(*table->rank));
    table->cell = memory_alloc_array(cells * sizes + 1, sizeof(*table->cell));
    table->by_leftover = memory_alloc_array(cells, sizeof(*table->by_leftover));
    table->value = memory_alloc_array(cells, sizeof(*table->value));
    table->order = memory_alloc_array(cells, sizeof(*table->order));
    table->spare = memory_alloc_array(cells, sizeof(*table->spare));
    table->keys = memory_alloc_array(cells, sizeof(*table->keys));
    table->cpu_slots = memory_alloc_array(table->cpu.count * sizes + 1,
                                          sizeof(*table->cpu_slots));
    table->memory_slots = memory_alloc_array(table->memory.count * sizes + 1,
                                             sizeof(*table->memory_slots));
    value_cells(table);
}

struct ranks_table *ranks_table_create(const struct ranks_size *sizes,
                                       uint32_t count,
                                       const struct ranks_scale *scale)
{
    struct ranks_table *table = memory_alloc(sizeof(*table));

    take_sizes(table, sizes, count);
    set_prices(table, scale);
    set_weights(table);
    cut(table, scale);
    prepare(table);
    table->owners = 1;
    return table;
}

struct ranks_table *ranks_table_share(struct ranks_table *table)
{
    table->owners++;
    return table;
}

void ranks_table_destroy(struct ranks_table *table)
{
    if (table == NULL || --table->owners > 0) {
        return;
    }
    forget_scratch(table);
    axis_close(&table->cpu);
    axis_close(&table->memory);
    free(table->rank);
    free(table->cell);
    free(table->by_leftover);
    free(table->value);
    free(table);
}

struct ranks_want ranks_want(const struct ranks_table *table,
                             uint32_t cpu_milli, uint32_t memory_mib)
{
    struct ranks_want want = {RANKS_NONE, cpu_milli, memory_mib};
    uint64_t key = key_of(cpu_milli, memory_mib);
    uint32_t low = 0;

    /* The last that is not above; without a branch that depends on it. */
    for (uint32_t count = table->size_count; count > 1; count -= count / 2) {
        uint32_t middle = low + count / 2;

        low = table->size_keys[middle] <= key ? middle : low;
    }
    if (table->size_count > 0 && table->size_keys[low] == key) {
        want.size = low;
    }
    return want;
}

/* The sum of weight x slots of amounts, with what divides them written out. */
static uint64_t value_of(const struct ranks_table *table, uint32_t cpu_milli,
                         uint32_t memory_mib)
{
    uint64_t value = 0;

    for (uint32_t i = 0; i < table->size_count; i++) {
        uint32_t by_cpu = cpu_milli / table->sizes[i].cpu_milli;
        uint32_t by_memory = memory_mib / table->sizes[i].memory_mib;

        value += (uint64_t)table->weight[i] *
                 (by_cpu < by_memory ? by_cpu : by_memory);
    }
    return value;
}

bool ranks_order(const struct ranks_table *table, const struct ranks_want *want,
                 uint32_t cpu_free_milli, uint32_t memory_free_mib,
                 struct ranks_order *order)
{
    uint32_t cell = table_cell(table, cpu_free_milli, memory_free_mib);
    uint32_t cpu = table->cpu.start[cell / table->memory.count];
    uint32_t memory = table->memory.start[cell % table->memory.count];
    uint32_t cpu_left = cpu > want->cpu_milli ? cpu - want->cpu_milli : 0;
    uint32_t memory_left =
        memory > want->memory_mib ? memory - want->memory_mib : 0;

    if (cpu_free_milli < want->cpu_milli ||
        memory_free_mib < want->memory_mib) {
        return false;
    }
    order->score =
        value_of(table, cpu, memory) - value_of(table, cpu_left, memory_left);
    order->leftover = table->cpu_price * cpu + table->memory_price * memory;
    order->cell = cell;
    return true;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

int ranks_compare(const struct ranks_order *a, const struct ranks_order *b)
{
    int order = compare_numbers(a->score, b->score);

    if (order == 0) {
        order = compare_numbers(a->leftover, b->leftover);
    }
    return order != 0 ? order : compare_numbers(a->cell, b->cell);
}
