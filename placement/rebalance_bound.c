/* SPDX-License-Identifier: Apache-2.0
 *
 * How few moves could be enough, without saying which: each zone's excess is
 * filled with its largest VMs, whether or not they fit anywhere. */
#include "base/memory.h"
#include "placement/balance.h"
#include "placement/movable.h"
#include "placement/rebalance.h"

#include <stdlib.h>

/* A VM that may leave a full zone. */
struct leaver {
    uint64_t score; /* Part of its zone's excess, in present weights. */
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t group_plus1; /* 0: none, or its group has no wish. */
    uint16_t priority;
    uint8_t zone;
    bool forced; /* Counted among its group's already. */
};

struct bound {
    const struct state *state;
    struct balance balance;
    struct movable movable;
    struct leaver *leavers;
    uint32_t count;
    uint32_t bottom;  /* Of the band. */
    uint32_t forced;  /* Of the leavers, by rules of groups. */
    uint32_t wanted;  /* Moves that these rules want; maybe more. */
    uint32_t *wishes; /* By group and zone: members that must leave. */
};

static int compare(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int by_zone_and_score(const void *left, const void *right)
{
    const struct leaver *a = left;
    const struct leaver *b = right;

    if (a->zone != b->zone) {
        return compare(a->zone, b->zone);
    }
    if (a->priority != b->priority) {
        return compare(a->priority, b->priority);
    }
    return compare(b->score, a->score);
}

/* Of a group's members in a zone the lowest priority first, then the largest:
 * those that must go can take most with them. */
static int by_group(const void *left, const void *right)
{
    const struct leaver *a = left;
    const struct leaver *b = right;

    if (a->group_plus1 != b->group_plus1) {
        return compare(a->group_plus1, b->group_plus1);
    }
    if (a->zone != b->zone) {
        return compare(a->zone, b->zone);
    }
    if (a->priority != b->priority) {
        return compare(a->priority, b->priority);
    }
    return compare((uint64_t)b->cpu_milli + b->memory_mib,
                   (uint64_t)a->cpu_milli + a->memory_mib);
}

static uint32_t *wish_of(const struct bound *bound, uint32_t group_plus1,
                         uint32_t zone)
{
    return &bound->wishes[(size_t)(group_plus1 - 1) * ZONES_MAX + zone];
}

/* What each group's rule needs; the class of a member says which zones count.
 */
static void note_wishes(struct bound *bound)
{
    uint32_t slots = state_group_slots(bound->state);

    bound->wishes = memory_alloc_array((size_t)slots * ZONES_MAX + 1,
                                       sizeof(*bound->wishes));
    for (uint32_t i = 0; i < slots; i++) {
        const struct group *group = state_group_at(bound->state, i);
        const struct vm *member;

        if (group == NULL || group->vm_first_plus1 == 0) {
            continue;
        }
        member = state_vm_at(bound->state, group->vm_first_plus1 - 1);
        bound->wanted += balance_group_excess(
            group, balance_zones_of(&bound->balance, bound->state, member),
            wish_of(bound, i + 1, 0));
    }
}

static void collect(struct bound *bound, bool any_priority)
{
    uint32_t slots = state_vm_slots(bound->state);

    bound->leavers =
        memory_alloc_array((size_t)slots + 1, sizeof(*bound->leavers));
    for (uint32_t i = 0; i < slots; i++) {
        const struct vm *vm = state_vm_at(bound->state, i);
        struct candidate candidate;
        const struct resources *size;

        if (vm == NULL || !movable_check(&bound->movable, vm, &candidate)) {
            continue;
        }
        size = &state_class_at(bound->state, vm->class_slot)->resources;
        if (!candidate.wanted &&
            balance_load_with(&bound->balance.zones[candidate.zone], size, -1) <
                bound->bottom) {
            continue; /* Too large: its zone would be the emptiest. */
        }
        bound->leavers[bound->count++] = (struct leaver){
            .cpu_milli = size->cpu_milli,
            .memory_mib = size->memory_mib,
            .group_plus1 = vm->group_plus1,
            .priority = any_priority ? 0 : vm->priority,
            .zone = candidate.zone,
        };
    }
}

static void take_forced(struct bound *bound)
{
    qsort(bound->leavers, bound->count, sizeof(*bound->leavers), by_group);
    for (uint32_t i = 0; i < bound->count; i++) {
        struct leaver *leaver = &bound->leavers[i];
        uint32_t *wish;

        if (leaver->group_plus1 == 0) {
            continue;
        }
        wish = wish_of(bound, leaver->group_plus1, leaver->zone);
        if (*wish > 0) {
            (*wish)--;
            leaver->forced = true;
            bound->forced++;
        }
    }
}

/* Both resources have to become less: any mixture of the two gives a bound, and
 * the best one counts. With weights w and 8 - w, all of an excess is 8 wholes.
 */
#define WEIGHT_SUM 8
#define WHOLE_BITS 32

static uint64_t part(uint32_t amount, uint64_t excess, uint32_t weight)
{
    if (excess == 0) {
        return 0;
    }
    /* Rounded up: a bound may only be too low. */
    return (uint64_t)((((unsigned __int128)amount * weight << WHOLE_BITS) +
                       excess - 1) /
                      excess);
}

static void score(struct bound *bound, uint32_t cpu_weight)
{
    for (uint32_t i = 0; i < bound->count; i++) {
        struct leaver *leaver = &bound->leavers[i];

        leaver->score =
            part(leaver->cpu_milli, bound->movable.cpu_excess[leaver->zone],
                 cpu_weight) +
            part(leaver->memory_mib, bound->movable.memory_excess[leaver->zone],
                 WEIGHT_SUM - cpu_weight);
    }
    qsort(bound->leavers, bound->count, sizeof(*bound->leavers),
          by_zone_and_score);
}

/* The fewest leavers of each zone beside the forced ones. */
static void raise_fewest(const struct bound *bound, uint32_t cpu_weight,
                         uint32_t fewest[ZONES_MAX])
{
    uint32_t counts[ZONES_MAX] = {0};
    uint64_t left[ZONES_MAX];

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        uint64_t cpu = bound->movable.cpu_excess[i] == 0 ? 0 : cpu_weight;
        uint64_t memory =
            bound->movable.memory_excess[i] == 0 ? 0 : WEIGHT_SUM - cpu_weight;

        left[i] = (cpu + memory) << WHOLE_BITS;
    }
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < bound->count; i++) {
            const struct leaver *leaver = &bound->leavers[i];
            uint64_t *rest = &left[leaver->zone];

            if (leaver->forced != (pass == 0) || *rest == 0) {
                continue;
            }
            *rest -= leaver->score < *rest ? leaver->score : *rest;
            counts[leaver->zone] += pass == 0 ? 0 : 1;
        }
    }
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        fewest[i] = counts[i] > fewest[i] ? counts[i] : fewest[i];
    }
}

uint32_t rebalance_lower_bound(const struct state *state, uint64_t time_ms,
                               bool any_priority)
{
    uint32_t width = 1000 * state_policy(state)->rebalance_stop_permille;
    struct bound bound = {.state = state};
    struct balance_band band;
    uint32_t fewest[ZONES_MAX] = {0};
    uint32_t sum;

    balance_init(&bound.balance, state);
    band = balance_band(&bound.balance, width);
    bound.bottom = band.bottom;
    movable_init(&bound.movable, state, &bound.balance, band.top, time_ms);
    note_wishes(&bound);
    collect(&bound, any_priority);
    take_forced(&bound);
    for (uint32_t weight = 0; weight <= WEIGHT_SUM; weight++) {
        score(&bound, weight);
        raise_fewest(&bound, weight, fewest);
    }
    sum = bound.forced;
    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        sum += fewest[i];
    }
    movable_close(&bound.movable);
    free(bound.leavers);
    free(bound.wishes);
    return sum > bound.wanted ? sum : bound.wanted;
}
