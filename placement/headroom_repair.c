/* SPDX-License-Identifier: Apache-2.0
 *
 * The last few VMs without a slot, after every order of a plan from scratch has
 * been tried. In a region that is full to the brim no order may do, and yet
 * there is a way: the slots that the former leader kept, which grew with the
 * region, were one. So chains are tried: slots of one to three VMs on a host
 * give way, and each of these looks for another host, where others may give way
 * in turn. Shorter chains first, those that move least first, each VM once in a
 * chain. What does not work out is undone. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/headroom_book.h"

#include <stdlib.h>

#define DEPTH_MAX  5
#define GIVERS_MAX 3
#define WAYS_MAX   10   /* Hosts that are tried for a VM. */
#define ALIKE_MAX  2    /* Of the same weight. */
#define SLOTS_MAX  24   /* Slots of a host that are looked at. */
#define LOOKS_MAX  4096 /* Hosts that chains of one length look at. */

/* On the way to a slot: taken from a host, or given one. */
struct moved {
    uint32_t item;
    uint32_t host;
    bool given;
};

/* Those that give way on a host. */
struct way {
    uint32_t host;
    uint32_t count;
    uint32_t givers[GIVERS_MAX];
    uint64_t weight;
};

struct chain {
    struct headroom *headroom;
    uint32_t failing;
    uint32_t looks; /* Left. */
    uint64_t *weights;
    struct moved *log;
    uint32_t log_count;
    uint32_t log_size;
};

static struct witness *witness_of(const struct chain *chain)
{
    return &chain->headroom->witness;
}

static void note(struct chain *chain, uint32_t item, uint32_t host, bool given)
{
    if (chain->log_count == chain->log_size) {
        chain->log_size = 2 * chain->log_size + 64;
        chain->log = memory_realloc_array(chain->log, chain->log_size,
                                          sizeof(*chain->log));
    }
    chain->log[chain->log_count++] = (struct moved){item, host, given};
}

static void give(struct chain *chain, uint32_t item, uint32_t host)
{
    witness_put(witness_of(chain), item, host);
    note(chain, item, host, true);
}

static void take(struct chain *chain, uint32_t item)
{
    uint32_t host = witness_of(chain)->items[item].host;

    witness_take(witness_of(chain), item);
    note(chain, item, host, false);
}

static void go_back(struct chain *chain, uint32_t to)
{
    while (chain->log_count > to) {
        struct moved moved = chain->log[--chain->log_count];

        if (moved.given) {
            witness_take(witness_of(chain), moved.item);
        } else {
            witness_put(witness_of(chain), moved.item, moved.host);
        }
    }
}

static bool has_moved(const struct chain *chain, uint32_t item)
{
    uint32_t i = 0;

    while (i < chain->log_count && chain->log[i].item != item) {
        i++;
    }
    return i < chain->log_count;
}

/* Members of a strict group stay: where one goes decides where others may be.
 */
static bool may_give(const struct chain *chain, uint32_t item)
{
    const struct witness_item *at = &witness_of(chain)->items[item];

    return at->zone == chain->failing && at->status == ITEM_BACKED &&
           headroom_strict_group(chain->headroom->state, at->group_plus1) ==
               NULL &&
           !has_moved(chain, item);
}

/* A few slots of each size: which of the same size goes makes no difference;
 * one of the VM's own size would only take its place. */
static uint32_t slots_of(const struct chain *chain, uint32_t host,
                         uint32_t own_size, uint32_t *items)
{
    const struct witness *witness = witness_of(chain);
    uint32_t item = witness->hosts[host].first;
    uint32_t count = 0;

    for (; item != SLOT_NONE && count < SLOTS_MAX;
         item = witness->items[item].next) {
        uint32_t same = witness->items[item].size == own_size ? GIVERS_MAX : 0;

        for (uint32_t i = 0; i < count; i++) {
            same += witness->items[items[i]].size == witness->items[item].size;
        }
        if (same < GIVERS_MAX && may_give(chain, item)) {
            items[count++] = item;
        }
    }
    return count;
}

/* Whether the VM has room on the host when these give way. */
static bool suffices(const struct chain *chain, uint32_t item,
                     const struct way *way)
{
    const struct witness *witness = witness_of(chain);
    const struct witness_host *host = &witness->hosts[way->host];
    const struct witness_slots *slots =
        witness_slots_at(witness, way->host, chain->failing);
    const struct resources *wanted =
        &witness->sizes[witness->items[item].size].resources;
    uint64_t cpu = (uint64_t)slots->cpu_milli + wanted->cpu_milli;
    uint64_t memory = (uint64_t)slots->memory_mib + wanted->memory_mib;

    for (uint32_t i = 0; i < way->count; i++) {
        const struct resources *given =
            &witness->sizes[witness->items[way->givers[i]].size].resources;

        cpu -= given->cpu_milli;
        memory -= given->memory_mib;
    }
    return cpu <= host->room.cpu_milli && memory <= host->room.memory_mib;
}

static bool is_less(const struct way *way, const struct way *best)
{
    return best->count == 0 || way->weight < best->weight;
}

/* The better way stays: that of which less gives way. */
static void offer(const struct chain *chain, uint32_t item,
                  const struct way *way, struct way *best)
{
    if (is_less(way, best) && suffices(chain, item, way)) {
        *best = *way;
    }
}

static void add_giver(const struct chain *chain, struct way *way, uint32_t item)
{
    way->givers[way->count++] = item;
    way->weight += chain->weights[witness_of(chain)->items[item].size];
}

/* The least that has to give way on the host; count 0: nothing does. */
static struct way way_on(const struct chain *chain, uint32_t item,
                         uint32_t host)
{
    struct way best = {.host = host};
    uint32_t items[SLOTS_MAX];
    uint32_t count =
        slots_of(chain, host, witness_of(chain)->items[item].size, items);

    for (uint32_t i = 0; i < count; i++) {
        struct way one = {.host = host};

        add_giver(chain, &one, items[i]);
        offer(chain, item, &one, &best);
        for (uint32_t j = i + 1; j < count && is_less(&one, &best); j++) {
            struct way two = one;

            add_giver(chain, &two, items[j]);
            offer(chain, item, &two, &best);
            for (uint32_t k = j + 1; k < count && is_less(&two, &best); k++) {
                struct way three = two;

                add_giver(chain, &three, items[k]);
                offer(chain, item, &three, &best);
            }
        }
    }
    return best;
}

/* Into the list by weight, which keeps the first ones. */
static uint32_t keep(struct way *ways, uint32_t count, const struct way *way)
{
    uint32_t at = count < WAYS_MAX ? count++ : WAYS_MAX;
    uint32_t alike = 0;

    for (uint32_t i = 0; i < count - (at < WAYS_MAX); i++) {
        alike += ways[i].weight == way->weight;
    }
    if (alike >= ALIKE_MAX) {
        return count - (at < WAYS_MAX);
    }
    for (; at > 0 && way->weight < ways[at - 1].weight; at--) {
        if (at < WAYS_MAX) {
            ways[at] = ways[at - 1];
        }
    }
    if (at < WAYS_MAX) {
        ways[at] = *way;
    }
    return count;
}

static uint32_t ways_for(struct chain *chain, uint32_t item, uint64_t zone_mask,
                         struct way *ways)
{
    const struct witness *witness = witness_of(chain);
    uint32_t count = 0;

    for (uint32_t host = 0; host < witness->host_count && chain->looks > 0;
         host++) {
        const struct witness_host *at = &witness->hosts[host];
        struct way way;

        if (!at->open || (zone_mask >> at->zone & 1) == 0) {
            continue;
        }
        chain->looks--;
        way = way_on(chain, item, host);
        if (way.count > 0) {
            count = keep(ways, count, &way);
        }
    }
    return count;
}

static uint32_t search(const struct chain *chain, uint32_t item,
                       uint64_t *zone_mask)
{
    struct headroom *headroom = chain->headroom;
    const struct witness_item *at = &headroom->witness.items[item];
    const struct vm *vm = state_vm_at(headroom->state, item);
    struct witness_want want = {
        .size = &headroom->witness.sizes[at->size],
        .failing = at->zone,
        .exclude = SLOT_NONE,
        .memory_first = headroom->memory_first,
    };

    if (headroom_reason(headroom, vm, at->zone, &want.zone_mask) != PROTECTED) {
        return SLOT_NONE;
    }
    *zone_mask = want.zone_mask;
    return headroom_search(headroom, vm, &want);
}

/* The VM has no slot. True: it has one now, and so has each that gave way. */
static bool place(struct chain *chain, uint32_t item, uint32_t depth)
{
    struct way ways[WAYS_MAX];
    uint64_t zone_mask = 0;
    uint32_t host = search(chain, item, &zone_mask);
    uint32_t before = chain->log_count;
    uint32_t count = 0;

    if (host != SLOT_NONE) {
        give(chain, item, host);
        return true;
    }
    if (depth > 0) {
        count = ways_for(chain, item, zone_mask, ways);
    }
    for (uint32_t i = 0; i < count; i++) {
        bool placed = true;

        for (uint32_t k = 0; k < ways[i].count; k++) {
            take(chain, ways[i].givers[k]);
        }
        host = search(chain, item, &zone_mask);
        if (host != SLOT_NONE) {
            give(chain, item, host);
            for (uint32_t k = 0; k < ways[i].count && placed; k++) {
                placed = place(chain, ways[i].givers[k], depth - 1);
            }
            if (placed) {
                return true;
            }
        }
        go_back(chain, before);
    }
    return false;
}

bool headroom_repair(struct headroom *headroom, uint32_t item, uint32_t *looks)
{
    struct witness *witness = &headroom->witness;
    uint32_t zone = witness->items[item].zone;
    struct witness_zone before = witness->zones[zone];
    struct chain chain = {.headroom = headroom, .failing = zone};
    bool placed = false;

    CHECK(witness->items[item].status == ITEM_NONE);
    chain.weights = headroom_size_weights(witness);
    for (uint32_t depth = 1; depth <= DEPTH_MAX && !placed; depth++) {
        uint32_t given = *looks < LOOKS_MAX ? *looks : LOOKS_MAX;

        chain.looks = given;
        placed = place(&chain, item, depth);
        *looks -= given - chain.looks;
    }
    /* Moves are no relief. */
    witness->zones[zone].relief = before.relief;
    witness->zones[zone].changes = before.changes;
    free(chain.weights);
    free(chain.log);
    return placed;
}
