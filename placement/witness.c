/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/witness.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Slots beyond what is asked for that are made ready at once. */
#define READY_AHEAD 1024

void witness_init(struct witness *witness, uint32_t zone_count)
{
    CHECK(zone_count <= ZONES_MAX);
    memset(witness, 0, sizeof(*witness));
    witness->zone_count = zone_count;
    witness->grids = memory_alloc_array((size_t)zone_count * zone_count,
                                        sizeof(struct witness_grid *));
    witness->sums = memory_alloc_array((size_t)zone_count * zone_count,
                                       sizeof(*witness->sums));
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        witness->zones[i].todo.first = SLOT_NONE;
        witness->zones[i].stuck.first = SLOT_NONE;
    }
}

void witness_close(struct witness *witness)
{
    uint32_t pairs = witness->zone_count * witness->zone_count;

    for (uint32_t i = 0; i < pairs; i++) {
        free(witness->grids[i]);
    }
    free(witness->grids);
    free(witness->sums);
    free(witness->hosts);
    free(witness->named_room);
    free(witness->slots);
    free(witness->named_sums);
    free(witness->items);
    free(witness->sizes);
    memset(witness, 0, sizeof(*witness));
}

static uint32_t grown(uint32_t count, uint32_t wanted)
{
    uint32_t larger = count + count / 4 + 64;

    return larger > wanted ? larger : wanted;
}

static void *grow(void *array, size_t old_count, size_t count, size_t size)
{
    char *bytes = memory_realloc_array(array, count, size);

    memset(bytes + old_count * size, 0, (count - old_count) * size);
    return bytes;
}

static void expect_hosts(struct witness *witness, uint32_t count)
{
    size_t pairs = (size_t)count * witness->zone_count;

    witness->hosts =
        memory_realloc_array(witness->hosts, count, sizeof(*witness->hosts));
    witness->slots = memory_realloc_array(witness->slots, pairs + 1,
                                          sizeof(*witness->slots));
    if (witness->named_room != NULL) {
        size_t old = witness->host_room;

        witness->named_room =
            grow(witness->named_room, old, count, sizeof(*witness->named_room));
        witness->named_sums =
            grow(witness->named_sums, old * witness->zone_count, pairs,
                 sizeof(*witness->named_sums));
    }
    witness->host_room = count;
}

void witness_expect(struct witness *witness, uint32_t hosts, uint32_t items)
{
    if (hosts > witness->host_room) {
        expect_hosts(witness, grown(witness->host_room, hosts));
    }
    if (items > witness->item_room) {
        witness->item_room = grown(witness->item_room, items);
        witness->items = memory_realloc_array(
            witness->items, witness->item_room, sizeof(*witness->items));
    }
}

static uint32_t ahead(uint32_t wanted, uint32_t room)
{
    return room - wanted > READY_AHEAD ? wanted + READY_AHEAD : room;
}

static void ready_hosts(struct witness *witness, uint32_t count)
{
    static const struct witness_host empty = {.first = SLOT_NONE};
    static const struct witness_slots none = {.cell = WITNESS_NO_CELL};
    size_t zones = witness->zone_count;

    for (size_t i = witness->host_count; i < count; i++) {
        witness->hosts[i] = empty;
    }
    for (size_t i = witness->host_count * zones; i < count * zones; i++) {
        witness->slots[i] = none;
    }
    witness->host_count = count;
}

void witness_reserve(struct witness *witness, uint32_t hosts, uint32_t items)
{
    static const struct witness_item empty = {
        .host = SLOT_NONE, .next = SLOT_NONE, .prev = SLOT_NONE};

    witness_expect(witness, hosts, items);
    if (hosts > witness->host_count) {
        ready_hosts(witness, ahead(hosts, witness->host_room));
    }
    if (items > witness->item_count) {
        uint32_t count = ahead(items, witness->item_room);

        for (uint32_t i = witness->item_count; i < count; i++) {
            witness->items[i] = empty;
        }
        witness->item_count = count;
    }
}

/* --- Sizes --------------------------------------------------------------- */

static bool size_is(const struct witness_size *size, const struct class *class)
{
    return size->class_uid == class->uid &&
           memcmp(&size->resources, &class->resources,
                  sizeof(size->resources)) == 0 &&
           memcmp(&size->named, &class->named, sizeof(size->named)) == 0;
}

static bool names_any(const struct amounts *named)
{
    for (int i = 0; i < NAMED_MAX; i++) {
        if (named->of[i] != 0) {
            return true;
        }
    }
    return false;
}

/* Named amounts are kept from the first host on that has any free, or the first
 * size that wants any: until then no host has had any, so that it begins with
 * what is so. */
static void begin_named(struct witness *witness)
{
    size_t hosts = witness->host_room;

    witness->named_room = memory_alloc_array(hosts, sizeof(struct amounts));
    witness->named_sums =
        memory_alloc_array(hosts * witness->zone_count, sizeof(struct amounts));
}

/* The class's own slot first: with few classes of a person's making, the size
 * is where it was. Slots of others that no item has are used again. */
static uint32_t size_slot(struct witness *witness, const struct class *class)
{
    uint32_t wanted = uid_slot(class->uid);
    uint32_t unused = SLOT_NONE;

    if (wanted < witness->size_count &&
        size_is(&witness->sizes[wanted], class)) {
        return wanted;
    }
    for (uint32_t i = 0; i < witness->size_count; i++) {
        if (size_is(&witness->sizes[i], class)) {
            return i;
        }
        if (witness->sizes[i].items == 0 &&
            (unused == SLOT_NONE || i == wanted)) {
            unused = i;
        }
    }
    if (unused == SLOT_NONE || wanted >= witness->size_count) {
        uint32_t count = witness->size_count + 1;

        if (wanted >= count) {
            count = wanted + 1;
        }
        CHECK(count <= WITNESS_SIZES_MAX);
        witness->sizes = grow(witness->sizes, witness->size_count, count,
                              sizeof(*witness->sizes));
        witness->size_count = count;
        unused = count - 1;
    }
    return unused;
}

uint16_t witness_size(struct witness *witness, const struct class *class)
{
    uint32_t slot = size_slot(witness, class);
    struct witness_size *size = &witness->sizes[slot];

    if (!size_is(size, class)) {
        CHECK(size->items == 0);
        *size = (struct witness_size){
            .resources = class->resources,
            .named = class->named,
            .class_uid = class->uid,
            .class_slot = uid_slot(class->uid),
            .has_named = names_any(&class->named),
        };
        if (size->has_named && witness->named_room == NULL) {
            begin_named(witness);
        }
    }
    return (uint16_t)slot;
}

/* --- Hosts and their cells ------------------------------------------------ */

static uint32_t less(uint32_t amount, uint32_t taken)
{
    return amount > taken ? amount - taken : 0;
}

static uint16_t cell_of(const struct witness_host *host,
                        const struct witness_slots *slots)
{
    uint32_t cpu = less(host->room.cpu_milli, slots->cpu_milli);
    uint32_t memory = less(host->room.memory_mib, slots->memory_mib);

    if (!host->open || cpu == 0 || memory == 0) {
        return WITNESS_NO_CELL;
    }
    return (uint16_t)(witness_step(cpu, WITNESS_CPU_UNIT_MILLI) *
                          WITNESS_STEPS +
                      witness_step(memory, WITNESS_MEMORY_UNIT_MIB));
}

static struct witness_grid *grid_made(struct witness *witness, uint32_t failing,
                                      uint32_t zone)
{
    struct witness_grid **grid = witness_grid_at(witness, failing, zone);

    if (*grid == NULL) {
        *grid = memory_alloc(sizeof(**grid));
        memset((*grid)->heads, 0xff, sizeof((*grid)->heads));
    }
    return *grid;
}

static void cell_leave(struct witness *witness, uint32_t host, uint32_t failing)
{
    struct witness_slots *slots = witness_slots_at(witness, host, failing);
    struct witness_grid *grid =
        *witness_grid_at(witness, failing, witness->hosts[host].zone);
    uint32_t row = slots->cell / WITNESS_STEPS;
    uint32_t column = slots->cell % WITNESS_STEPS;

    if (slots->next != SLOT_NONE) {
        witness_slots_at(witness, slots->next, failing)->prev = slots->prev;
    }
    if (slots->prev != SLOT_NONE) {
        witness_slots_at(witness, slots->prev, failing)->next = slots->next;
    } else {
        grid->heads[slots->cell] = slots->next;
        if (slots->next == SLOT_NONE) {
            grid->rows[row] &= ~(UINT64_C(1) << column);
            grid->columns[column] &= ~(UINT64_C(1) << row);
            if (grid->rows[row] == 0) {
                grid->row_mask &= ~(UINT64_C(1) << row);
            }
            if (grid->columns[column] == 0) {
                grid->column_mask &= ~(UINT64_C(1) << column);
            }
        }
    }
    slots->cell = WITNESS_NO_CELL;
}

static void cell_enter(struct witness *witness, uint32_t host, uint32_t failing,
                       uint16_t cell)
{
    struct witness_slots *slots = witness_slots_at(witness, host, failing);
    struct witness_grid *grid =
        grid_made(witness, failing, witness->hosts[host].zone);
    uint32_t row = cell / WITNESS_STEPS;
    uint32_t column = cell % WITNESS_STEPS;

    slots->cell = cell;
    slots->prev = SLOT_NONE;
    slots->next = grid->heads[cell];
    if (slots->next != SLOT_NONE) {
        witness_slots_at(witness, slots->next, failing)->prev = host;
    } else {
        grid->row_mask |= UINT64_C(1) << row;
        grid->column_mask |= UINT64_C(1) << column;
        grid->rows[row] |= UINT64_C(1) << column;
        grid->columns[column] |= UINT64_C(1) << row;
    }
    grid->heads[cell] = host;
}

static inline void recell(struct witness *witness, uint32_t host,
                          uint32_t failing)
{
    struct witness_slots *slots = witness_slots_at(witness, host, failing);
    uint16_t cell = cell_of(&witness->hosts[host], slots);

    if (cell == slots->cell) {
        return;
    }
    if (slots->cell != WITNESS_NO_CELL) {
        cell_leave(witness, host, failing);
    }
    if (cell != WITNESS_NO_CELL) {
        cell_enter(witness, host, failing, cell);
    }
}

static void sum_add(struct resource_sum *sum, const struct resources *amounts,
                    bool minus)
{
    uint64_t sign = minus ? UINT64_MAX : 1;

    sum->cpu_milli += sign * amounts->cpu_milli;
    sum->memory_mib += sign * amounts->memory_mib;
    sum->disk_gib += sign * amounts->disk_gib;
}

static void count_host(struct witness *witness, const struct witness_host *host,
                       bool minus)
{
    if (host->open) {
        sum_add(&witness->room[host->zone], &host->room, minus);
        sum_add(&witness->capacity[host->zone], &host->capacity, minus);
    }
}

static bool has_more(const struct witness_host *before,
                     const struct witness_host_facts *facts)
{
    return facts->open &&
           (!before->open || facts->room.cpu_milli > before->room.cpu_milli ||
            facts->room.memory_mib > before->room.memory_mib ||
            facts->room.disk_gib > before->room.disk_gib ||
            facts->room.gpu_count > before->room.gpu_count ||
            facts->vm_room > before->vm_room);
}

static bool has_other_names(const struct witness *witness, uint32_t host,
                            const struct witness_host_facts *facts)
{
    return witness->named_room != NULL &&
           memcmp(&witness->named_room[host], facts->named_room,
                  sizeof(struct amounts)) != 0;
}

/* The host goes to another zone; no item has a slot there. */
static void move_host(struct witness *witness, uint32_t host, uint32_t zone)
{
    for (uint32_t i = 0; i < witness->zone_count; i++) {
        if (witness_slots_at(witness, host, i)->cell != WITNESS_NO_CELL) {
            cell_leave(witness, host, i);
        }
    }
    CHECK(witness->hosts[host].first == SLOT_NONE);
    witness->hosts[host].zone = (uint8_t)zone;
}

void witness_host_set(struct witness *witness, uint32_t host,
                      const struct witness_host_facts *facts)
{
    struct witness_host *at;
    bool relief;

    CHECK(facts->zone < witness->zone_count);
    witness_reserve(witness, host + 1, 0);
    if (witness->named_room == NULL && names_any(facts->named_room)) {
        begin_named(witness);
    }
    at = &witness->hosts[host];
    relief = has_more(at, facts) || has_other_names(witness, host, facts);
    count_host(witness, at, true);
    if (at->zone != facts->zone) {
        move_host(witness, host, facts->zone);
    }
    at->open = facts->open;
    at->room = facts->room;
    at->capacity = facts->capacity;
    at->vm_room = facts->vm_room;
    if (witness->named_room != NULL) {
        witness->named_room[host] = *facts->named_room;
    }
    count_host(witness, at, false);
    for (uint32_t i = 0; i < witness->zone_count; i++) {
        if (i != facts->zone) {
            recell(witness, host, i);
            witness->zones[i].relief += relief;
            witness->zones[i].changes += relief;
        }
    }
}

static bool named_fit(const struct witness *witness, uint32_t host,
                      uint32_t failing, const struct amounts *more)
{
    const struct amounts *room = &witness->named_room[host];
    const struct amounts *sums =
        &witness->named_sums[(size_t)host * witness->zone_count + failing];

    for (int i = 0; i < NAMED_MAX; i++) {
        if ((uint64_t)sums->of[i] + more->of[i] > room->of[i] &&
            sums->of[i] + more->of[i] > 0) {
            return false;
        }
    }
    return true;
}

bool witness_overfull(const struct witness *witness, uint32_t host,
                      uint32_t failing, const struct witness_size *beside)
{
    static const struct witness_size nothing;
    const struct witness_size *more = beside != NULL ? beside : &nothing;
    const struct witness_host *at = &witness->hosts[host];
    const struct witness_slots *slots =
        witness_slots_at(witness, host, failing);

    if (slots->count == 0) {
        return false;
    }
    return (uint64_t)slots->cpu_milli + more->resources.cpu_milli >
               at->room.cpu_milli ||
           (uint64_t)slots->memory_mib + more->resources.memory_mib >
               at->room.memory_mib ||
           (uint64_t)slots->disk_gib + more->resources.disk_gib >
               at->room.disk_gib ||
           slots->gpu_count + more->resources.gpu_count > at->room.gpu_count ||
           (uint32_t)slots->count + (beside != NULL) > at->vm_room ||
           (witness->named_room != NULL &&
            !named_fit(witness, host, failing, &more->named));
}

bool witness_fits(const struct witness *witness, uint32_t host,
                  uint32_t failing, const struct witness_size *size)
{
    const struct witness_host *at = &witness->hosts[host];
    const struct witness_slots *slots =
        witness_slots_at(witness, host, failing);
    const struct resources *wanted = &size->resources;

    return (uint64_t)slots->cpu_milli + wanted->cpu_milli <=
               at->room.cpu_milli &&
           (uint64_t)slots->memory_mib + wanted->memory_mib <=
               at->room.memory_mib &&
           (uint64_t)slots->disk_gib + wanted->disk_gib <= at->room.disk_gib &&
           slots->gpu_count + wanted->gpu_count <= at->room.gpu_count &&
           slots->count < at->vm_room &&
           (!size->has_named ||
            named_fit(witness, host, failing, &size->named));
}

/* --- Slots --------------------------------------------------------------- */

static void larger(uint32_t *amount, uint32_t other)
{
    if (other > *amount) {
        *amount = other;
    }
}

static void hold(struct witness_host *host, const struct witness_slots *slots)
{
    larger(&host->held.cpu_milli, slots->cpu_milli);
    larger(&host->held.memory_mib, slots->memory_mib);
    larger(&host->held.disk_gib, slots->disk_gib);
    larger(&host->held.gpu_count, slots->gpu_count);
    larger(&host->held_count, slots->count);
}

static void held_again(struct witness *witness, uint32_t host)
{
    struct witness_host *at = &witness->hosts[host];

    memset(&at->held, 0, sizeof(at->held));
    at->held_count = 0;
    for (uint32_t i = 0; i < witness->zone_count; i++) {
        hold(at, witness_slots_at(witness, host, i));
    }
}

void witness_held_named(const struct witness *witness, uint32_t host,
                        struct amounts *held)
{
    memset(held, 0, sizeof(*held));
    for (uint32_t zone = 0; zone < witness->zone_count; zone++) {
        const struct amounts *sums =
            &witness->named_sums[(size_t)host * witness->zone_count + zone];

        for (int i = 0; i < NAMED_MAX; i++) {
            larger(&held->of[i], sums->of[i]);
        }
    }
}

static void tell(struct witness *witness, uint32_t host)
{
    if (witness->held_changed != NULL) {
        witness->held_changed(witness, host);
    }
}

static void name_add(struct witness *witness, uint32_t host, uint32_t failing,
                     const struct witness_size *size, bool minus)
{
    struct amounts *sums =
        &witness->named_sums[(size_t)host * witness->zone_count + failing];

    for (int i = 0; i < NAMED_MAX; i++) {
        sums->of[i] += (minus ? UINT32_MAX : 1) * size->named.of[i];
    }
}

static void link_item(struct witness *witness, uint32_t *first, uint32_t item)
{
    witness->items[item].prev = SLOT_NONE;
    witness->items[item].next = *first;
    if (*first != SLOT_NONE) {
        witness->items[*first].prev = item;
    }
    *first = item;
}

static void unlink_item(struct witness *witness, uint32_t *first, uint32_t item)
{
    struct witness_item *at = &witness->items[item];

    if (at->next != SLOT_NONE) {
        witness->items[at->next].prev = at->prev;
    }
    if (at->prev != SLOT_NONE) {
        witness->items[at->prev].next = at->next;
    } else {
        CHECK(*first == item);
        *first = at->next;
    }
    at->next = SLOT_NONE;
    at->prev = SLOT_NONE;
}

void witness_put(struct witness *witness, uint32_t item, uint32_t host)
{
    struct witness_item *of = &witness->items[item];
    struct witness_host *at = &witness->hosts[host];
    struct witness_slots *slots = witness_slots_at(witness, host, of->zone);
    struct witness_size *size = &witness->sizes[of->size];
    struct resources before = at->held;

    CHECK(of->host == SLOT_NONE && at->zone != of->zone);
    slots->cpu_milli += size->resources.cpu_milli;
    slots->memory_mib += size->resources.memory_mib;
    slots->disk_gib += size->resources.disk_gib;
    slots->gpu_count = (uint16_t)(slots->gpu_count + size->resources.gpu_count);
    slots->count++;
    if (size->has_named) {
        name_add(witness, host, of->zone, size, false);
    }
    sum_add(&witness->sums[of->zone * witness->zone_count + at->zone],
            &size->resources, false);
    of->host = host;
    of->status = ITEM_BACKED;
    witness->zones[of->zone].backed++;
    witness->zones[of->zone].changes++;
    link_item(witness, &at->first, item);
    recell(witness, host, of->zone);
    hold(at, slots);
    if (size->has_named || memcmp(&before, &at->held, sizeof(before)) != 0) {
        tell(witness, host);
    }
}

void witness_take(struct witness *witness, uint32_t item)
{
    struct witness_item *of = &witness->items[item];
    uint32_t host = of->host;
    struct witness_host *at = &witness->hosts[host];
    struct witness_slots *slots = witness_slots_at(witness, host, of->zone);
    struct witness_size *size = &witness->sizes[of->size];
    struct resources before = at->held;

    CHECK(host != SLOT_NONE);
    slots->cpu_milli -= size->resources.cpu_milli;
    slots->memory_mib -= size->resources.memory_mib;
    slots->disk_gib -= size->resources.disk_gib;
    slots->gpu_count = (uint16_t)(slots->gpu_count - size->resources.gpu_count);
    slots->count--;
    if (size->has_named) {
        name_add(witness, host, of->zone, size, true);
    }
    sum_add(&witness->sums[of->zone * witness->zone_count + at->zone],
            &size->resources, true);
    of->host = SLOT_NONE;
    of->status = ITEM_NONE;
    witness->zones[of->zone].backed--;
    witness->zones[of->zone].relief++;
    witness->zones[of->zone].changes++;
    unlink_item(witness, &at->first, item);
    recell(witness, host, of->zone);
    held_again(witness, host);
    if (size->has_named || memcmp(&before, &at->held, sizeof(before)) != 0) {
        tell(witness, host);
    }
}

static struct witness_list *list_of(struct witness *witness,
                                    const struct witness_item *item)
{
    struct witness_zone *zone = &witness->zones[item->zone];

    return item->status == ITEM_TODO ? &zone->todo : &zone->stuck;
}

void witness_list_add(struct witness *witness, uint32_t item,
                      enum witness_status status)
{
    struct witness_list *list;

    CHECK(status == ITEM_TODO || status == ITEM_STUCK);
    witness->items[item].status = (uint8_t)status;
    list = list_of(witness, &witness->items[item]);
    link_item(witness, &list->first, item);
    list->count++;
}

void witness_list_remove(struct witness *witness, uint32_t item)
{
    struct witness_list *list = list_of(witness, &witness->items[item]);

    unlink_item(witness, &list->first, item);
    list->count--;
    witness->items[item].status = ITEM_NONE;
}

void witness_unstick(struct witness *witness, uint32_t zone)
{
    uint32_t item = witness->zones[zone].stuck.first;

    while (item != SLOT_NONE) {
        witness_list_remove(witness, item);
        witness_list_add(witness, item, ITEM_TODO);
        item = witness->zones[zone].stuck.first;
    }
}
