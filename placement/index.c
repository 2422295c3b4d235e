/* SPDX-License-Identifier: Apache-2.0
 *
 * The placer's rank indexes: which sizes are compiled, what parts there are,
 * and one index for each view of what is free that differs from the ordinary.
 *
 * All that decides the order (sizes and scale) comes from classes, zones and
 * hosts as they are now, not from how they came to be so: every leader, and
 * every plan on a clone, finds the same. Popularity would follow the number of
 * VMs; measured on the size mix of the trace it gains 0.2 % of use at the
 * first refusal on one shape of hosts and loses 8 % on another, so every size
 * counts the same. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

/* Cells of all zones together, and additions to compile them: 20 to 40 ms. */
#define CELLS_OF_ZONES_MAX (1u << 19)
#define COMPILE_MAX        (1u << 24)

/* An index that nobody asked for so many updates is given up. */
#define IDLE_UPDATES_MIN 4096

void index_forget(struct placer_index *index)
{
    for (uint32_t view = 0; view < VIEW_COUNT; view++) {
        ranks_destroy(index->views[view]);
        index->views[view] = NULL;
    }
}

static uint32_t log2_of(uint32_t amount)
{
    return amount <= 1 ? 0 : 32 - (uint32_t)__builtin_clz(amount - 1);
}

static bool same_kind(const struct placer_kind *a, const struct placer_kind *b)
{
    return a->pool_mask == b->pool_mask && a->driver_mask == b->driver_mask &&
           a->named_mask == b->named_mask && a->gpu == b->gpu;
}

static struct placer_kind kind_of(const struct fleet_host *host)
{
    return (struct placer_kind){
        .pool_mask = host->pool_mask,
        .driver_mask = host->driver_mask,
        .named_mask = host->named_mask,
        .gpu = host->capacity.gpu_count > 0,
    };
}

/* What kinds and the scale look at. */
static bool same_traits(const struct fleet_host *a, const struct fleet_host *b)
{
    return a->zone == b->zone && a->pool_mask == b->pool_mask &&
           a->driver_mask == b->driver_mask && a->named_mask == b->named_mask &&
           memcmp(&a->capacity, &b->capacity, sizeof(a->capacity)) == 0;
}

/* The number of a kind of hosts; the last one is for all that come later. */
static uint32_t kind_number(struct placer_index *index,
                            const struct placer_kind *kind)
{
    uint32_t number = 0;

    while (number < index->kind_count &&
           !same_kind(&index->kinds[number], kind)) {
        number++;
    }
    if (number < index->kind_count) {
        return number;
    }
    if (number >= KINDS_MAX - 1) {
        index->kinds[KINDS_MAX - 1] = (struct placer_kind){
            .pool_mask = UINT64_MAX,
            .driver_mask = UINT8_MAX,
            .named_mask = UINT8_MAX,
            .gpu = true,
        };
        index->kind_count = KINDS_MAX;
        return KINDS_MAX - 1;
    }
    index->kinds[index->kind_count++] = *kind;
    if (index->kind_count > index->zone_stride) {
        index_forget(index); /* They need more parts. */
    }
    return number;
}

static void count_scale(struct placer_index *index,
                        const struct fleet_host *host, bool more)
{
    uint32_t *cpu = &index->cpu_log2[log2_of(host->capacity.cpu_milli)];
    uint32_t *memory = &index->memory_log2[log2_of(host->capacity.memory_mib)];

    if (host->zone == SLOT_NONE) {
        return;
    }
    CHECK(more || (*cpu > 0 && *memory > 0));
    *cpu += more ? 1 : UINT32_MAX;
    *memory += more ? 1 : UINT32_MAX;
    index->cpu_milli += (more ? 1 : UINT64_MAX) * host->capacity.cpu_milli;
    index->memory_mib += (more ? 1 : UINT64_MAX) * host->capacity.memory_mib;
    index->table_checked = false;
}

static void grow_hosts(struct placer_index *index, uint32_t slots)
{
    uint32_t former = index->host_size;

    if (slots > former) {
        index->host_size = slots + slots / 4 + 64;
        index->kind_of = memory_realloc_array(index->kind_of, index->host_size,
                                              sizeof(*index->kind_of));
        memset(index->kind_of + former, 0, index->host_size - former);
    }
}

void index_host_changed(struct placer *placer, uint32_t slot,
                        const struct fleet_host *former)
{
    struct placer_index *index = &placer->index;
    const struct fleet_host *host = &fleet_hosts(placer->fleet)[slot];

    if (same_traits(former, host)) {
        return;
    }
    grow_hosts(index, fleet_slots(placer->fleet));
    count_scale(index, former, false);
    count_scale(index, host, true);
    if (host->zone != SLOT_NONE) {
        struct placer_kind kind = kind_of(host);

        if (index->kind_of[slot] >= index->kind_count ||
            !same_kind(&index->kinds[index->kind_of[slot]], &kind)) {
            index->kind_of[slot] = (uint8_t)kind_number(index, &kind);
        }
    }
}

void index_begin(struct placer *placer)
{
    struct placer_index *index = &placer->index;

    index_forget(index);
    index->kind_count = 0;
    index->zone_stride = 1;
    memset(index->cpu_log2, 0, sizeof(index->cpu_log2));
    memset(index->memory_log2, 0, sizeof(index->memory_log2));
    memset(index->kinds, 0, sizeof(index->kinds));
    index->cpu_milli = 0;
    index->memory_mib = 0;
    index->table_checked = false;
    index->is_loaded = false;
}

void index_zones_changed(struct placer *placer, const struct state *state)
{
    struct placer_index *index = &placer->index;

    if (state_zone_slots(state) != index->zone_count) {
        index_forget(index);
        index->table_checked = false;
    }
}

/* Custom sizes are not compiled: they come and go with their VMs. */
void index_class_changed(struct placer *placer, const struct state *state,
                         uint32_t slot)
{
    const struct class *class =
        slot < state_class_slots(state) ? state_class_at(state, slot) : NULL;

    if (class == NULL || !class->custom) {
        placer->index.table_checked = false;
    }
}

/* The sizes of the first classes, each once. */
static uint32_t collect_sizes(const struct state *state,
                              struct ranks_size *sizes)
{
    uint32_t count = 0;

    for (uint32_t slot = 0;
         slot < state_class_slots(state) && count < RANKS_SIZES_MAX; slot++) {
        const struct class *class = state_class_at(state, slot);
        uint32_t i = 0;

        if (class == NULL || class->custom) {
            continue;
        }
        while (i < count &&
               (sizes[i].cpu_milli != class->resources.cpu_milli ||
                sizes[i].memory_mib != class->resources.memory_mib)) {
            i++;
        }
        if (i == count) {
            sizes[count++] = (struct ranks_size){
                class->resources.cpu_milli, class->resources.memory_mib, 1};
        }
    }
    return count;
}

static uint32_t largest(const uint32_t *by_log2)
{
    uint32_t log2 = 31;

    while (log2 > 0 && by_log2[log2] == 0) {
        log2--;
    }
    return (UINT32_C(1) << log2) - (log2 == 31);
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* The ratio of the fleet's memory to its CPU, rounded to an eighth or less, so
 * that hosts which come or go seldom make another table. */
#define RATIO_CPU  65536
#define RATIO_BITS 3

static void set_ratio(struct ranks_scale *scale,
                      const struct placer_index *index)
{
    uint64_t ratio = RATIO_CPU;
    uint32_t bits;

    if (index->cpu_milli > 0 && index->memory_mib > 0) {
        ratio = (uint64_t)((unsigned __int128)index->memory_mib * RATIO_CPU /
                           index->cpu_milli) |
                1;
    }
    bits = 64 - (uint32_t)__builtin_clzll(ratio);
    if (bits > RATIO_BITS) {
        uint32_t shift = bits - RATIO_BITS;

        ratio = (ratio + (UINT64_C(1) << (shift - 1))) >> shift << shift;
    }
    scale->cpu_milli = RATIO_CPU;
    scale->memory_mib = ratio;
    while (((scale->cpu_milli | scale->memory_mib) & 1) == 0) {
        scale->cpu_milli /= 2;
        scale->memory_mib /= 2;
    }
}

/* Shares are of what the hosts have: by the sizes' own ratio, which rare sizes
 * with much memory decide as well, the scarcer resource may look the cheaper
 * one. */
static struct ranks_scale scale_of(const struct placer_index *index,
                                   uint32_t zones, uint32_t count)
{
    struct ranks_scale scale = {
        .cpu_max_milli = largest(index->cpu_log2),
        .memory_max_mib = largest(index->memory_log2),
        .cells_max = CELLS_OF_ZONES_MAX >> log2_of(zones),
    };

    set_ratio(&scale, index);
    if (count > 0) {
        scale.cells_max =
            smaller(scale.cells_max, COMPILE_MAX / (count * count));
    }
    scale.cells_max = smaller(scale.cells_max, RANKS_CELLS_MAX);
    return scale;
}

static bool same_scale(const struct ranks_scale *a, const struct ranks_scale *b)
{
    return a->cpu_milli == b->cpu_milli && a->memory_mib == b->memory_mib &&
           a->cpu_max_milli == b->cpu_max_milli &&
           a->memory_max_mib == b->memory_max_mib &&
           a->cells_max == b->cells_max;
}

void index_share(struct placer_index *index, const struct placer_index *from)
{
    if (from->table == NULL || from->table == index->table) {
        return;
    }
    index_forget(index);
    ranks_table_destroy(index->table);
    memcpy(index->sizes, from->sizes, sizeof(index->sizes));
    index->size_count = from->size_count;
    index->scale = from->scale;
    index->table = ranks_table_share(from->table);
    index->table_checked = false;
}

/* The table fits the classes, hosts and zones as they are. */
static void prepare_table(struct placer_index *index, const struct state *state)
{
    struct ranks_size sizes[RANKS_SIZES_MAX];
    struct ranks_scale scale;
    uint32_t count;

    memset(sizes, 0, sizeof(sizes));
    count = collect_sizes(state, sizes);
    scale = scale_of(index, state_zone_slots(state), count);
    index->table_checked = true;
    if (index->table != NULL && index->size_count == count &&
        memcmp(index->sizes, sizes, sizeof(sizes)) == 0 &&
        same_scale(&index->scale, &scale)) {
        return;
    }
    index_forget(index);
    ranks_table_destroy(index->table);
    memcpy(index->sizes, sizes, sizeof(sizes));
    index->size_count = count;
    index->scale = scale;
    index->table = ranks_table_create(sizes, count, &scale);
}

static uint32_t part_of(const struct placer *placer,
                        const struct fleet_host *at, uint32_t slot)
{
    return at->zone * placer->index.zone_stride + placer->index.kind_of[slot];
}

static bool is_open(const struct fleet_host *host)
{
    return host->zone != SLOT_NONE && fleet_host_is_open(host);
}

static struct ranks_host host_in_view(const struct placer *placer,
                                      enum placer_view view, uint32_t slot)
{
    const struct fleet_host *at = &fleet_hosts(placer->fleet)[slot];
    struct ranks_host host = {
        .host = slot,
        .part = part_of(placer, at, slot),
        .cpu_milli = at->free.cpu_milli,
        .memory_mib = at->free.memory_mib,
    };
    struct placer_room room;

    if (placer_takes_off(placer)) {
        placer_free(placer, slot, view_has_reserved(view), view_has_held(view),
                    &room);
        host.cpu_milli = room.resources.cpu_milli;
        host.memory_mib = room.resources.memory_mib;
    }
    return host;
}

/* All hosts at once. */
static void load(struct placer *placer, enum placer_view view)
{
    struct placer_index *index = &placer->index;
    const struct fleet_host *hosts = fleet_hosts(placer->fleet);
    uint32_t slots = fleet_slots(placer->fleet);
    struct ranks_host *loaded =
        memory_alloc_array((size_t)slots + 1, sizeof(*loaded));
    uint32_t count = 0;

    for (uint32_t slot = 0; slot < slots; slot++) {
        if (is_open(&hosts[slot])) {
            loaded[count++] = host_in_view(placer, view, slot);
        }
    }
    ranks_load(index->views[view], loaded, count);
    free(loaded);
}

/* Views are the same as long as nothing is reserved or held. */
static enum placer_view view_to_ask(const struct placer *placer,
                                    enum placer_view view)
{
    if (view_has_held(view) && placer->held_size == 0) {
        view = view == VIEW_AT_RISK ? VIEW_ORDINARY : VIEW_PREEMPTIBLE;
    }
    if (view_has_reserved(view) && placer->reserve.active == 0) {
        view = view == VIEW_RECOVERING ? VIEW_AT_RISK : VIEW_ORDINARY;
    }
    return view;
}

bool index_view_is_all(const struct placer *placer, enum placer_view view)
{
    return view_to_ask(placer, view) == view_to_ask(placer, VIEW_RECOVERING);
}

/* Without a host. */
static struct ranks *make_view(struct placer *placer, const struct state *state)
{
    struct placer_index *index = &placer->index;
    uint32_t zones = state_zone_slots(state);

    if (index->zone_count != zones || index->zone_stride < index->kind_count) {
        index_forget(index);
        index->zone_count = zones;
        index->zone_stride = UINT32_C(1) << log2_of(index->kind_count);
    }
    return ranks_create(
        index->table, zones > 0 ? zones * index->zone_stride : 1,
        smaller(UINT32_C(1) << log2_of(fleet_slots(placer->fleet) + 1),
                HOSTS_MAX));
}

struct ranks *index_view(struct placer *placer, const struct state *state,
                         enum placer_view view)
{
    struct placer_index *index = &placer->index;

    view = view_to_ask(placer, view);
    if (!index->table_checked) {
        prepare_table(index, state);
    }
    index->idle[view] = 0;
    if (index->views[view] == NULL) {
        index->views[view] = make_view(placer, state);
        load(placer, view);
    }
    return index->views[view];
}

/* --- In slices ------------------------------------------------------------ */

static void spend(uint32_t *budget, uint32_t cost)
{
    *budget -= cost < *budget ? cost : *budget;
}

/* A table for these classes and hosts, with the ranks of all sizes. */
static bool work_on_table(struct placer_index *index, const struct state *state,
                          uint32_t *budget)
{
    const struct ranks_table *before = index->table;

    if (!index->table_checked) {
        if (*budget == 0) {
            return false;
        }
        prepare_table(index, state);
        if (index->table != before) {
            spend(budget, ranks_table_cost(index->table));
        }
    }
    while (!ranks_table_is_complete(index->table)) {
        if (*budget == 0) {
            return false;
        }
        ranks_table_work(index->table);
        spend(budget, ranks_table_cost(index->table));
    }
    return true;
}

/* Hosts that change meanwhile are told of, and are put in twice. */
static bool work_on_hosts(struct placer *placer, const struct state *state,
                          uint32_t *budget)
{
    struct placer_index *index = &placer->index;
    const struct fleet_host *hosts = fleet_hosts(placer->fleet);

    if (index->views[VIEW_ORDINARY] == NULL) {
        if (*budget == 0) {
            return false;
        }
        index->views[VIEW_ORDINARY] = make_view(placer, state);
        index->load_at = 0;
        spend(budget, ranks_table_cost(index->table));
    }
    index->idle[VIEW_ORDINARY] = 0;
    for (; index->load_at < fleet_slots(placer->fleet); index->load_at++) {
        struct ranks_host host;

        if (*budget == 0) {
            return false;
        }
        (*budget)--;
        if (is_open(&hosts[index->load_at])) {
            host = host_in_view(placer, VIEW_ORDINARY, index->load_at);
            ranks_set(index->views[VIEW_ORDINARY], host.host, host.part,
                      host.cpu_milli, host.memory_mib);
        }
    }
    do {
        if (*budget == 0) {
            return false;
        }
        spend(budget, ranks_table_cost(index->table));
    } while (!ranks_work(index->views[VIEW_ORDINARY]));
    return true;
}

bool index_work(struct placer *placer, const struct state *state,
                uint32_t *budget)
{
    struct placer_index *index = &placer->index;

    if (!work_on_table(index, state, budget)) {
        return false;
    }
    /* Once loaded, what nobody asks for may go, and come back when somebody
     * does. */
    index->is_loaded = index->is_loaded || work_on_hosts(placer, state, budget);
    return index->is_loaded;
}

bool index_is_ready(const struct placer_index *index)
{
    return index->is_loaded && index->table_checked &&
           ranks_table_is_complete(index->table);
}

static void update_view(struct placer *placer, enum placer_view view,
                        uint32_t slot)
{
    struct placer_index *index = &placer->index;
    struct ranks *ranks = index->views[view];
    const struct fleet_host *at = &fleet_hosts(placer->fleet)[slot];
    struct ranks_host host;

    if (slot >= ranks_hosts_max(ranks) ||
        (is_open(at) && at->zone >= index->zone_count) ||
        index->idle[view]++ >
            IDLE_UPDATES_MIN + 2 * fleet_slots(placer->fleet)) {
        ranks_destroy(ranks);
        index->views[view] = NULL;
    } else if (!is_open(at)) {
        ranks_remove(ranks, slot);
    } else {
        host = host_in_view(placer, view, slot);
        ranks_set(ranks, slot, host.part, host.cpu_milli, host.memory_mib);
    }
}

void index_update(struct placer *placer, uint32_t host)
{
    for (uint32_t view = 0; view < VIEW_COUNT; view++) {
        if (placer->index.views[view] != NULL) {
            update_view(placer, (enum placer_view)view, host);
        }
    }
}
