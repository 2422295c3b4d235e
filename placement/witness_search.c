/* SPDX-License-Identifier: Apache-2.0
 *
 * The search for a slot's host: zones by what is left of them, in each the
 * tightest cells of the grid first. */
#include "placement/witness.h"

/* Hosts that a search looks at in a zone before it turns to the next; only when
 * all zones fail so, all hosts that could do are looked at. */
#define WALK_SHORT 24

/* Searches before the zone with most room is worked out anew. */
#define FAVOURITE_TURNS 16

/* Shares of room are compared as parts of this. */
#define SHARE_ONE 1048576

static uint64_t share(uint64_t room, uint64_t taken, uint64_t capacity)
{
    return room <= taken ? 0 : (room - taken) * SHARE_ONE / capacity;
}

/* What would be left of a zone's capacity, of the scarcer of CPU and memory. */
static uint64_t zone_share(const struct witness *witness, uint32_t failing,
                           uint32_t zone)
{
    const struct resource_sum *sum =
        &witness->sums[failing * witness->zone_count + zone];
    const struct resource_sum *capacity = &witness->capacity[zone];
    const struct resource_sum *room = &witness->room[zone];
    uint64_t cpu;
    uint64_t memory;

    if (capacity->cpu_milli == 0 || capacity->memory_mib == 0) {
        return 0;
    }
    cpu = share(room->cpu_milli, sum->cpu_milli, capacity->cpu_milli);
    memory = share(room->memory_mib, sum->memory_mib, capacity->memory_mib);
    return cpu < memory ? cpu : memory;
}

static uint32_t roomiest(const struct witness *witness, uint32_t failing,
                         uint64_t mask)
{
    uint32_t best = SLOT_NONE;
    uint64_t best_share = 0;

    for (uint64_t rest = mask; rest != 0; rest &= rest - 1) {
        uint32_t zone = (uint32_t)__builtin_ctzll(rest);
        uint64_t at = zone_share(witness, failing, zone);

        if (best == SLOT_NONE || at > best_share) {
            best = zone;
            best_share = at;
        }
    }
    return best;
}

static uint32_t favourite(struct witness *witness, uint32_t failing,
                          uint64_t mask)
{
    struct witness_zone *zone = &witness->zones[failing];

    if (zone->turns == 0 || (mask >> zone->favourite & 1) == 0) {
        zone->turns = FAVOURITE_TURNS;
        zone->favourite = roomiest(witness, failing, mask);
    }
    zone->turns--;
    return zone->favourite;
}

struct walk {
    struct witness *witness;
    struct witness_want *want;
    const struct witness_grid *grid;
    uint32_t left; /* Hosts that may still be looked at. */
    bool cut;      /* There were more. */
};

static uint32_t walk_cell(struct walk *walk, uint32_t cell)
{
    struct witness_want *want = walk->want;
    uint32_t host = walk->grid->heads[cell];

    while (host != SLOT_NONE) {
        if (walk->left == 0) {
            walk->cut = true;
            return SLOT_NONE;
        }
        walk->left--;
        if (host != want->exclude &&
            witness_fits(walk->witness, host, want->failing, want->size) &&
            (want->passes == NULL || want->passes(want, host))) {
            return host;
        }
        host = witness_slots_at(walk->witness, host, want->failing)->next;
    }
    return SLOT_NONE;
}

/* Cells from the tightest on, line by line of the resource that goes first. */
static uint32_t walk_grid(struct walk *walk)
{
    const struct resources *wanted = &walk->want->size->resources;
    uint32_t row = witness_step(wanted->cpu_milli, WITNESS_CPU_UNIT_MILLI);
    uint32_t column = witness_step(wanted->memory_mib, WITNESS_MEMORY_UNIT_MIB);
    bool turned = walk->want->memory_first;
    const uint64_t *lines = turned ? walk->grid->columns : walk->grid->rows;
    uint64_t mask = turned ? walk->grid->column_mask : walk->grid->row_mask;
    uint32_t first = turned ? column : row;
    uint32_t across = turned ? row : column;
    uint32_t found = SLOT_NONE;

    for (mask &= UINT64_MAX << first; mask != 0 && !walk->cut;
         mask &= mask - 1) {
        uint32_t line = (uint32_t)__builtin_ctzll(mask);
        uint64_t cells = lines[line] & UINT64_MAX << across;

        for (; cells != 0 && !walk->cut; cells &= cells - 1) {
            uint32_t at = (uint32_t)__builtin_ctzll(cells);
            uint32_t cell =
                turned ? at * WITNESS_STEPS + line : line * WITNESS_STEPS + at;

            found = walk_cell(walk, cell);
            if (found != SLOT_NONE) {
                return found;
            }
        }
    }
    return SLOT_NONE;
}

/* `cut`: set when a host that was not looked at might do. */
static uint32_t find_among(struct witness *witness, struct witness_want *want,
                           uint32_t limit, bool *cut)
{
    uint64_t mask = want->zone_mask & ~(UINT64_C(1) << want->failing);

    if (witness->zone_count < ZONES_MAX) {
        mask &= (UINT64_C(1) << witness->zone_count) - 1;
    }
    for (bool first = true; mask != 0; first = false) {
        uint32_t zone = first ? favourite(witness, want->failing, mask)
                              : roomiest(witness, want->failing, mask);
        struct walk walk = {witness, want,
                            *witness_grid_at(witness, want->failing, zone),
                            limit, false};
        uint32_t host;

        mask &= ~(UINT64_C(1) << zone);
        if (walk.grid == NULL) {
            continue;
        }
        host = walk_grid(&walk);
        if (host != SLOT_NONE) {
            return host;
        }
        *cut |= walk.cut;
    }
    return SLOT_NONE;
}

uint32_t witness_find(struct witness *witness, struct witness_want *want)
{
    bool cut = false;
    uint32_t host = find_among(witness, want, WALK_SHORT, &cut);

    if (host == SLOT_NONE && cut) {
        host = find_among(witness, want, UINT32_MAX, &cut);
    }
    return host;
}
