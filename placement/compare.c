/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of two hosts that both may take the VM is better. Numbered rules, the
 * first that tells them apart decides, the last cannot tie. Shares are compared
 * by cross-multiplication: no rounding, no floating point. */
#include "placement/internal.h"

static int compare_shares(const struct placement_share *a,
                          const struct placement_share *b)
{
    unsigned __int128 left = (unsigned __int128)a->part * b->whole;
    unsigned __int128 right = (unsigned __int128)b->part * a->whole;

    return left < right ? -1 : left > right;
}

struct placement_share placement_zone_load(const struct zone *zone)
{
    struct placement_share cpu = {zone->used.cpu_milli,
                                  zone->capacity.cpu_milli};
    struct placement_share memory = {zone->used.memory_mib,
                                     zone->capacity.memory_mib};

    return compare_shares(&cpu, &memory) < 0 ? memory : cpu;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* What the group wants of zones, as far as it is a wish. */
static int compare_by_group(const struct placement_query *query, uint32_t a,
                            uint32_t b)
{
    int order;

    if (query->group == NULL) {
        return 0;
    }
    switch (query->group->zone_rule) {
    case ZONE_RULE_SPREAD:
    case ZONE_RULE_APART:
        order = compare_numbers(query->counts[a], query->counts[b]);
        /* Until then as well, as far as that can be. */
        return order != 0 ? order
                          : compare_numbers(query->taken[a], query->taken[b]);
    case ZONE_RULE_TOGETHER:
        return compare_numbers(query->counts[b], query->counts[a]);
    default:
        return 0;
    }
}

int compare_loaded_zones(const struct placement_query *query, uint32_t a,
                         const struct placement_share *load_a, uint32_t b,
                         const struct placement_share *load_b)
{
    int order = compare_by_group(query, a, b);

    if (order == 0 && query->prefer_zone != SLOT_NONE) {
        order =
            compare_numbers(a != query->prefer_zone, b != query->prefer_zone);
    }
    if (order == 0) {
        order = compare_shares(load_a, load_b);
    }
    return order != 0 ? order : compare_numbers(a, b);
}

int compare_zones(const struct placement_query *query, uint32_t a, uint32_t b,
                  bool rule_only)
{
    struct placement_share load_a;
    struct placement_share load_b;

    if (rule_only) {
        return compare_by_group(query, a, b);
    }
    load_a = placement_zone_load(state_zone_at(query->state, a));
    load_b = placement_zone_load(state_zone_at(query->state, b));
    return compare_loaded_zones(query, a, &load_a, b, &load_b);
}

int compare_members(const struct placement_candidate *a,
                    const struct placement_candidate *b)
{
    int order = compare_numbers(a->domain_members, b->domain_members);

    return order != 0 ? order
                      : compare_numbers(a->host_members, b->host_members);
}

int compare_in_zone(const struct placement_candidate *a,
                    const struct placement_candidate *b)
{
    int order = compare_members(a, b);

    if (order == 0) {
        order = ranks_compare(&a->order, &b->order);
    }
    return order != 0 ? order : compare_numbers(a->host, b->host);
}

bool compare_failed_on(const struct vm *vm, uint32_t host)
{
    return vm->not_before_ms != 0 && host == vm->last_host;
}

int compare_candidates(const struct placement_query *query,
                       const struct placement_candidate *a,
                       const struct placement_candidate *b)
{
    int order;

    /* 1. Not where it just failed. */
    order = compare_numbers(compare_failed_on(query->vm, a->host),
                            compare_failed_on(query->vm, b->host));
    if (order != 0) {
        return order;
    }
    /* 2. Its group's rule for zones: spread over them, or together. */
    order = compare_zones(query, a->zone, b->zone, true);
    if (order != 0) {
        return order;
    }
    /* 3. Fewest members of its group in the fault domain, 4. on the host, if
     * the group wants that. */
    order = compare_members(a, b);
    if (order != 0) {
        return order;
    }
    /* 5. The zone that the caller prefers: it was there, and the zone is well.
     * 6. Across zones: spread, the least loaded zone first, then the lower
     * slot. */
    if (a->zone != b->zone) {
        return compare_zones(query, a->zone, b->zone, false);
    }
    /* 7. Inside a zone: pack, so that large holes stay for large VMs
     * (placement/ranks.h). 8. The lower slot. */
    return compare_in_zone(a, b);
}
