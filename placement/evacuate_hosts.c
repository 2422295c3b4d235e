/* SPDX-License-Identifier: Apache-2.0
 *
 * Where to: hosts that are alike for rules as parts, and in these by what is
 * free, in cells. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/evacuate_internal.h"

#include <string.h>

/* --- Parts ---------------------------------------------------------------- */

static bool is_of_part(const struct evacuation *evacuation,
                       const struct part *part, const struct host *host)
{
    return part->zone == host->zone &&
           (evacuation->mixed || (part->driver_mask == host->driver_mask &&
                                  part->pool_mask == host->pool_mask));
}

/* PARTS_MAX: there are too many kinds of hosts. */
static uint16_t part_for(struct evacuation *evacuation, const struct host *host)
{
    uint16_t number = 0;

    while (number < evacuation->part_count) {
        if (is_of_part(evacuation, &evacuation->parts[number], host)) {
            return number;
        }
        number++;
    }
    if (number < PARTS_MAX) {
        evacuation->parts[evacuation->part_count++] =
            (struct part){.pool_mask = host->pool_mask,
                          .zone = host->zone,
                          .driver_mask = host->driver_mask};
    }
    return number;
}

/* --- Rooms ---------------------------------------------------------------- */

static uint32_t left_of(uint32_t capacity, uint32_t used, uint32_t claimed)
{
    uint64_t taken = (uint64_t)used + claimed;

    return taken < capacity ? (uint32_t)(capacity - taken) : 0;
}

static void set_extra(struct room_extra *extra, const struct host *host)
{
    extra->disk_gib = left_of(host->capacity.disk_gib, host->used.disk_gib,
                              host->claimed.disk_gib);
    extra->gpu_count = left_of(host->capacity.gpu_count, host->used.gpu_count,
                               host->claimed.gpu_count);
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        extra->named.of[i] =
            left_of(host->named_capacity.of[i], host->named_used.of[i],
                    host->named_claimed.of[i]);
    }
}

static void set_room(struct evacuation *evacuation, uint32_t slot,
                     const struct host *host)
{
    struct zone_room *zone = &evacuation->zones[host->zone];
    uint32_t vms = host->vm_count + host->claim_count;
    struct room *room = &evacuation->room_base[slot];

    *room = (struct room){
        .next = NONE,
        .cpu_milli = left_of(host->capacity.cpu_milli, host->used.cpu_milli,
                             host->claimed.cpu_milli),
        .memory_mib = left_of(host->capacity.memory_mib, host->used.memory_mib,
                              host->claimed.memory_mib),
        .vm_count = (uint16_t)(vms < UINT16_MAX ? vms : UINT16_MAX),
    };
    if (evacuation->extra_base != NULL) {
        set_extra(&evacuation->extra_base[slot], host);
    }
    zone->cpu_capacity += host->capacity.cpu_milli;
    zone->memory_capacity += host->capacity.memory_mib;
    zone->cpu_used += host->capacity.cpu_milli - room->cpu_milli;
    zone->memory_used += host->capacity.memory_mib - room->memory_mib;
    evacuation->open_hosts++;
}

static bool anyone_asks_for_more(const struct evacuation *evacuation)
{
    for (uint32_t i = 0; i < evacuation->wish_count; i++) {
        if (evacuation->wishes[i].extra) {
            return true;
        }
    }
    return false;
}

/* Domains and labels are looked up for those only who ask for them. */
static bool anyone_needs_fleet(const struct evacuation *evacuation)
{
    for (uint32_t i = 0; i < evacuation->wish_count; i++) {
        if (evacuation->wishes[i].selector_blob != 0) {
            return true;
        }
    }
    return evacuation->tally_count > 0;
}

void evacuation_hosts_begin(struct evacuation *evacuation)
{
    uint32_t slots = state_host_slots(evacuation->state);

    evacuation->host_slots = slots;
    evacuation->part_of = memory_alloc_array(slots, sizeof(uint16_t));
    evacuation->well =
        memory_alloc_array((size_t)slots / 64 + 1, sizeof(uint64_t));
    evacuation->parts =
        memory_alloc_array(PARTS_MAX, sizeof(*evacuation->parts));
    evacuation->room_base = memory_alloc_array(slots, sizeof(struct room));
    evacuation->rooms = memory_alloc_array(slots, sizeof(struct room));
    evacuation->aside = memory_alloc_array(slots, sizeof(uint32_t));
    if (anyone_asks_for_more(evacuation)) {
        evacuation->extra_base =
            memory_alloc_array(slots, sizeof(struct room_extra));
        evacuation->extras =
            memory_alloc_array(slots, sizeof(struct room_extra));
    }
    if (anyone_needs_fleet(evacuation)) {
        evacuation->fleet = fleet_create();
    }
}

static void hosts_again(struct evacuation *evacuation)
{
    evacuation->mixed = true;
    evacuation->part_count = 0;
    evacuation->open_hosts = 0;
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        evacuation->zones[i] =
            (struct zone_room){.open = evacuation->zones[i].open};
    }
    evacuation->cursor = 0;
}

static void end_hosts(struct evacuation *evacuation)
{
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        struct zone_room *zone = &evacuation->zones[i];

        zone->cpu_weight = (UINT64_C(1) << 62) /
                           (zone->cpu_capacity > 0 ? zone->cpu_capacity : 1);
        zone->memory_weight =
            (UINT64_C(1) << 62) /
            (zone->memory_capacity > 0 ? zone->memory_capacity : 1);
    }
    memcpy(evacuation->zone_base, evacuation->zones, sizeof(evacuation->zones));
    if (evacuation->fleet != NULL) {
        evacuation->hosts = fleet_hosts(evacuation->fleet);
    }
}

bool evacuation_collect_hosts(struct evacuation *evacuation, uint32_t *budget)
{
    uint32_t *cursor = &evacuation->cursor;

    for (; *cursor<evacuation->host_slots && * budget> 0; ++*cursor) {
        uint32_t slot = *cursor;
        const struct host *host = state_host_at(evacuation->state, slot);

        --*budget;
        evacuation->part_of[slot] = PARTS_MAX;
        if (evacuation->fleet != NULL && host != NULL) {
            struct fleet_host former;

            fleet_host_changed(evacuation->fleet, evacuation->state, slot,
                               &former);
        }
        if (host == NULL || !evacuation->zones[host->zone].open) {
            continue;
        }
        evacuation->well[slot / 64] |= UINT64_C(1) << slot % 64;
        if (host->state != HOST_UP || host->cordoned || host->draining) {
            continue;
        }
        evacuation->part_of[slot] = part_for(evacuation, host);
        if (evacuation->part_of[slot] == PARTS_MAX) {
            hosts_again(evacuation);
            return false;
        }
        set_room(evacuation, slot, host);
    }
    if (*cursor < evacuation->host_slots) {
        return false;
    }
    end_hosts(evacuation);
    return true;
}

/* --- The grid ------------------------------------------------------------- */

static uint32_t common_divisor(uint32_t a, uint32_t b)
{
    while (b != 0) {
        uint32_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

static void set_extent(struct grid *grid, uint32_t cpu_max, uint32_t memory_max)
{
    grid->rows = cpu_max / grid->cpu_unit + 1;
    grid->columns = memory_max / grid->memory_unit + 1;
    grid->stride = (grid->columns + 63) / 64 * 64;
}

/* Units in which all needs are whole: then what fits is decided by the cell.
 * Where that gives too many cells, larger units; hosts are then asked. */
void evacuation_make_grid(struct evacuation *evacuation)
{
    struct grid *grid = &evacuation->grid;
    uint32_t cpu_max = 0;
    uint32_t memory_max = 0;
    uint32_t most = CELLS_MAX / larger(evacuation->part_count, 1);
    size_t cells;

    most = most < PART_CELLS_MAX ? most : PART_CELLS_MAX;
    *grid = (struct grid){.exact = true};
    for (uint32_t i = 0; i < evacuation->wish_count; i++) {
        const struct resources *need = &evacuation->wishes[i].need;

        grid->cpu_unit = common_divisor(grid->cpu_unit, need->cpu_milli);
        grid->memory_unit = common_divisor(grid->memory_unit, need->memory_mib);
    }
    grid->cpu_unit = larger(grid->cpu_unit, 1);
    grid->memory_unit = larger(grid->memory_unit, 1);
    for (uint32_t slot = 0; slot < evacuation->host_slots; slot++) {
        cpu_max = larger(cpu_max, evacuation->room_base[slot].cpu_milli);
        memory_max = larger(memory_max, evacuation->room_base[slot].memory_mib);
    }
    set_extent(grid, cpu_max, memory_max);
    while ((uint64_t)grid->rows * grid->stride > most) {
        grid->exact = false;
        if (grid->columns > 2 * grid->rows && grid->columns > 64) {
            grid->memory_unit *= 2;
        } else {
            grid->cpu_unit *= 2;
        }
        set_extent(grid, cpu_max, memory_max);
    }
    cells = (size_t)grid->rows * grid->stride;
    for (uint32_t i = 0; i < evacuation->part_count; i++) {
        evacuation->parts[i].heads =
            memory_alloc_array(cells, sizeof(uint32_t));
        evacuation->parts[i].filled =
            memory_alloc_array(cells / 64, sizeof(uint64_t));
    }
    evacuation->potential = memory_alloc_array(cells, sizeof(uint32_t));
    evacuation->potential_of = SCORE_COUNT;
}

/* A host that others leave may have more free than any had: the last cells have
 * no end. */
uint32_t evacuation_cell(const struct grid *grid, uint32_t cpu_milli,
                         uint32_t memory_mib)
{
    uint32_t row = cpu_milli / grid->cpu_unit;
    uint32_t column = memory_mib / grid->memory_unit;

    row = row < grid->rows ? row : grid->rows - 1;
    column = column < grid->columns ? column : grid->columns - 1;
    return row * grid->stride + column;
}

void evacuation_link(struct evacuation *evacuation, uint32_t host)
{
    struct room *room = &evacuation->rooms[host];
    struct part *part = &evacuation->parts[evacuation->part_of[host]];
    uint32_t cell =
        evacuation_cell(&evacuation->grid, room->cpu_milli, room->memory_mib);

    if ((part->filled[cell / 64] >> cell % 64 & 1) == 0) {
        part->filled[cell / 64] |= UINT64_C(1) << cell % 64;
        part->heads[cell] = NONE;
    }
    room->next = part->heads[cell];
    part->heads[cell] = host;
}

void evacuation_unlink(struct evacuation *evacuation, uint32_t host)
{
    struct room *room = &evacuation->rooms[host];
    struct part *part = &evacuation->parts[evacuation->part_of[host]];
    uint32_t cell =
        evacuation_cell(&evacuation->grid, room->cpu_milli, room->memory_mib);
    uint32_t *link = &part->heads[cell];

    CHECK((part->filled[cell / 64] >> cell % 64 & 1) != 0);
    while (*link != host) {
        CHECK(*link != NONE);
        link = &evacuation->rooms[*link].next;
    }
    *link = room->next;
    room->next = NONE;
    if (part->heads[cell] == NONE) {
        part->filled[cell / 64] &= ~(UINT64_C(1) << cell % 64);
    }
}

void evacuation_link_all(struct evacuation *evacuation)
{
    size_t words = (size_t)evacuation->grid.rows * evacuation->grid.stride / 64;

    for (uint32_t i = 0; i < evacuation->part_count; i++) {
        memset(evacuation->parts[i].filled, 0, words * sizeof(uint64_t));
    }
    /* Backwards, so that a cell gives its lowest host first. */
    for (uint32_t slot = evacuation->host_slots; slot-- > 0;) {
        if (evacuation->part_of[slot] != PARTS_MAX) {
            evacuation_link(evacuation, slot);
        }
    }
}

void evacuation_reset_rooms(struct evacuation *evacuation)
{
    memcpy(evacuation->rooms, evacuation->room_base,
           evacuation->host_slots * sizeof(struct room));
    if (evacuation->extras != NULL) {
        memcpy(evacuation->extras, evacuation->extra_base,
               evacuation->host_slots * sizeof(struct room_extra));
    }
    memcpy(evacuation->zones, evacuation->zone_base, sizeof(evacuation->zones));
    evacuation_link_all(evacuation);
}

/* --- Taking and giving back ----------------------------------------------- */

static void move_amounts(struct evacuation *evacuation, const struct wish *wish,
                         uint32_t host, uint32_t sign)
{
    struct room *room = &evacuation->rooms[host];
    struct zone_room *zone =
        &evacuation->zones[evacuation_zone_of(evacuation, host)];

    room->cpu_milli -= sign * wish->need.cpu_milli;
    room->memory_mib -= sign * wish->need.memory_mib;
    room->vm_count = (uint16_t)(room->vm_count + sign);
    zone->cpu_used += (uint64_t)(int64_t)(int32_t)sign * wish->need.cpu_milli;
    zone->memory_used +=
        (uint64_t)(int64_t)(int32_t)sign * wish->need.memory_mib;
    if (wish->extra) {
        struct room_extra *extra = &evacuation->extras[host];

        extra->disk_gib -= sign * wish->need.disk_gib;
        extra->gpu_count -= sign * wish->need.gpu_count;
        for (uint32_t i = 0; i < NAMED_MAX; i++) {
            extra->named.of[i] -= sign * wish->named.of[i];
        }
    }
}

void evacuation_take(struct evacuation *evacuation, const struct wish *wish,
                     uint32_t host)
{
    move_amounts(evacuation, wish, host, 1);
    evacuation->rooms[host].starts++;
}

void evacuation_give(struct evacuation *evacuation, const struct wish *wish,
                     uint32_t host)
{
    move_amounts(evacuation, wish, host, UINT32_MAX);
    evacuation->rooms[host].starts--;
}

/* --- Rules ---------------------------------------------------------------- */

static bool zone_allowed(const struct wish *wish, uint32_t zone)
{
    return (wish->zone == SLOT_NONE || wish->zone == zone) &&
           (wish->class_zone_mask == 0 ||
            (wish->class_zone_mask >> zone & 1) != 0) &&
           (wish->disk_zone_mask == 0 ||
            (wish->disk_zone_mask >> zone & 1) != 0);
}

/* Reserved room is for VMs of any driver, and then has none. */
static bool driver_allowed(const struct wish *wish, uint8_t driver_mask)
{
    return wish->driver == 0 || (driver_mask >> wish->driver & 1) != 0;
}

bool evacuation_part_allowed(const struct evacuation *evacuation,
                             const struct wish *wish, const struct part *part)
{
    return zone_allowed(wish, part->zone) &&
           (evacuation->mixed || (driver_allowed(wish, part->driver_mask) &&
                                  (wish->pool_mask & ~part->pool_mask) == 0));
}

static bool extra_fits(const struct wish *wish, const struct room_extra *extra)
{
    if (wish->need.disk_gib > extra->disk_gib ||
        wish->need.gpu_count > extra->gpu_count) {
        return false;
    }
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        if (wish->named.of[i] > extra->named.of[i]) {
            return false;
        }
    }
    return true;
}

bool evacuation_host_fits(const struct evacuation *evacuation,
                          const struct wish *wish, uint32_t host)
{
    const struct room *room = &evacuation->rooms[host];

    if (wish->need.cpu_milli > room->cpu_milli ||
        wish->need.memory_mib > room->memory_mib ||
        room->vm_count >= PLACEMENT_HOST_VMS_MAX) {
        return false;
    }
    if (wish->extra && !extra_fits(wish, &evacuation->extras[host])) {
        return false;
    }
    if (evacuation->mixed) {
        const struct host *record = state_host_at(evacuation->state, host);

        return driver_allowed(wish, record->driver_mask) &&
               (wish->pool_mask & ~record->pool_mask) == 0;
    }
    return true;
}
