/* SPDX-License-Identifier: Apache-2.0
 *
 * Scores as potentials: what free room of a shape is worth. A placement costs
 * what the host's potential falls by, so one table of the cells serves every
 * size. Integers; only the order of the costs counts. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <stdlib.h>
#include <string.h>

/* A size that scores count with, in units of the grid. */
struct score_size {
    uint32_t rows;
    uint32_t columns;
    uint64_t weight; /* Popularity by what one VM is worth. */
    uint64_t value;  /* What one VM is worth. */
};

struct score_sizes {
    struct score_size sizes[SCORE_SIZES_MAX];
    uint32_t count;
};

static uint32_t up(uint32_t amount, uint32_t unit)
{
    return (uint32_t)(((uint64_t)amount + unit - 1) / unit);
}

static void add_size(struct score_sizes *list, const struct score_size *size)
{
    uint32_t least = 0;

    for (uint32_t i = 0; i < list->count; i++) {
        if (list->sizes[i].rows == size->rows &&
            list->sizes[i].columns == size->columns) {
            list->sizes[i].weight += size->weight;
            return;
        }
        if (list->sizes[i].weight < list->sizes[least].weight) {
            least = i;
        }
    }
    if (list->count < SCORE_SIZES_MAX) {
        list->sizes[list->count++] = *size;
    } else if (size->weight > list->sizes[least].weight) {
        list->sizes[least] = *size;
    }
}

/* The sizes of all that is to be placed; those that fit nowhere say nothing. */
static void collect_sizes(const struct evacuation *evacuation,
                          struct score_sizes *list)
{
    const struct grid *grid = &evacuation->grid;

    list->count = 0;
    for (uint32_t i = 0; i < evacuation->wish_count; i++) {
        const struct wish *wish = &evacuation->wishes[i];
        struct score_size size = {
            .rows = up(wish->need.cpu_milli, grid->cpu_unit),
            .columns = up(wish->need.memory_mib, grid->memory_unit),
            .value = wish->size[ORDER_SHARE] + 1,
            .weight = (wish->size[ORDER_SHARE] + 1) * wish->count,
        };

        if (size.rows < grid->rows && size.columns < grid->columns) {
            add_size(list, &size);
        }
    }
}

/* So that no potential reaches 2^31. */
static void scale_sizes(struct score_sizes *list, const struct grid *grid)
{
    uint64_t largest = 1;

    for (uint32_t i = 0; i < list->count; i++) {
        const struct score_size *size = &list->sizes[i];
        uint64_t slots = grid->rows / (size->rows > 0 ? size->rows : 1) + 1;
        uint64_t bound = size->weight / 64 * slots;

        largest = bound > largest ? bound : largest;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        struct score_size *size = &list->sizes[i];
        unsigned __int128 scaled =
            (unsigned __int128)size->weight * ((UINT64_C(1) << 24) / 64);

        size->weight = (uint64_t)(scaled / largest) + 1;
    }
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Sum over sizes of weight by the number of VMs of that size that fit. */
static void fill_slots(struct evacuation *evacuation,
                       const struct score_sizes *list)
{
    const struct grid *grid = &evacuation->grid;
    uint32_t *slots = memory_alloc_array(grid->columns, sizeof(*slots));

    for (uint32_t i = 0; i < list->count; i++) {
        const struct score_size *size = &list->sizes[i];
        uint32_t weight = (uint32_t)size->weight;

        for (uint32_t column = 0; column < grid->columns; column++) {
            slots[column] = size->columns > 0 ? column / size->columns : NONE;
        }
        for (uint32_t row = size->rows; row < grid->rows; row++) {
            uint32_t *out = evacuation->potential + (size_t)row * grid->stride;
            uint32_t most = size->rows > 0 ? row / size->rows : NONE;

            for (uint32_t column = 0; column < grid->columns; column++) {
                out[column] += weight * smaller(most, slots[column]);
            }
        }
    }
    free(slots);
}

static uint32_t better(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* The value of the best fill: each size as often as one likes. */
static void fill_knapsack(struct evacuation *evacuation,
                          const struct score_sizes *list)
{
    const struct grid *grid = &evacuation->grid;
    uint64_t largest = 1;

    for (uint32_t i = 0; i < list->count; i++) {
        largest =
            list->sizes[i].value > largest ? list->sizes[i].value : largest;
    }
    for (uint32_t i = 0; i < list->count; i++) {
        const struct score_size *size = &list->sizes[i];
        /* At most 2^17 of these fit below 2^31: no host holds more. */
        uint32_t value =
            (uint32_t)(((unsigned __int128)size->value << 18) / largest) + 1;
        size_t back = (size_t)size->rows * grid->stride + size->columns;

        if (back == 0) {
            continue;
        }
        for (uint32_t row = size->rows; row < grid->rows; row++) {
            uint32_t *out = evacuation->potential + (size_t)row * grid->stride;

            for (uint32_t column = size->columns; column < grid->columns;
                 column++) {
                out[column] = better(out[column], out[column - back] + value);
            }
        }
    }
}

/* Free room itself; packing makes what is left of it small. */
static void fill_room(struct evacuation *evacuation)
{
    const struct grid *grid = &evacuation->grid;
    uint32_t row_step = (UINT32_C(1) << 29) / grid->rows;
    uint32_t column_step = (UINT32_C(1) << 29) / grid->columns;

    for (uint32_t row = 0; row < grid->rows; row++) {
        uint32_t *out = evacuation->potential + (size_t)row * grid->stride;

        for (uint32_t column = 0; column < grid->columns; column++) {
            out[column] = row * row_step + column * column_step;
        }
    }
}

void evacuation_score(struct evacuation *evacuation,
                      enum evacuation_score score)
{
    const struct grid *grid = &evacuation->grid;
    struct score_sizes list;

    if (evacuation->potential_of == score) {
        return;
    }
    evacuation->potential_of = score;
    memset(evacuation->potential, 0,
           (size_t)grid->rows * grid->stride * sizeof(uint32_t));
    if (score == SCORE_BEST_FIT || score == SCORE_LEAST_ALLOCATED) {
        fill_room(evacuation);
        return;
    }
    collect_sizes(evacuation, &list);
    if (score == SCORE_SLOT_LOSS) {
        scale_sizes(&list, grid);
        fill_slots(evacuation, &list);
    } else {
        fill_knapsack(evacuation, &list);
    }
}
