/* SPDX-License-Identifier: Apache-2.0
 *
 * A choice: the zones in their order, in each the index's hosts in theirs,
 * until one passes the rules that the index does not know. Exactly the best by
 * placement/compare.c, however many hosts that takes; mostly the first. */
#include "base/check.h"
#include "placement/headroom_book.h"
#include "placement/internal.h"

#include <string.h>

/* What a choice costs that finds its host at once, or that there is none, in
 * looks at a host; and each part of the index. */
#define CHOICE_LOOKS 8
#define PART_LOOKS   1

/* Zones that no rule refuses as a whole, and how full they are. */
static uint64_t find_zones(const struct placement_query *query,
                           uint64_t not_zones, struct placement_share *loads)
{
    uint32_t slots = state_zone_slots(query->state);
    uint64_t rest = filter_zones(query) & ~not_zones;
    uint64_t zones = 0;

    if (slots < ZONES_MAX) {
        rest &= (UINT64_C(1) << slots) - 1;
    }
    for (; rest != 0; rest &= rest - 1) {
        uint32_t zone = (uint32_t)__builtin_ctzll(rest);
        const struct zone *record = state_zone_at(query->state, zone);

        if (record != NULL && filter_zone(query, zone, record)) {
            loads[zone] = placement_zone_load(record);
            zones |= UINT64_C(1) << zone;
        }
    }
    return zones;
}

/* The best zone is mostly enough, so they are not sorted. */
static uint32_t best_zone(const struct placement_query *query, uint64_t zones,
                          const struct placement_share *loads)
{
    uint32_t best = (uint32_t)__builtin_ctzll(zones);

    for (zones &= zones - 1; zones != 0; zones &= zones - 1) {
        uint32_t zone = (uint32_t)__builtin_ctzll(zones);

        if (compare_loaded_zones(query, zone, &loads[zone], best,
                                 &loads[best]) < 0) {
            best = zone;
        }
    }
    return best;
}

/* Of the hosts that come in the order of the index, the first that passes; with
 * wishes of a group, the first of those with the fewest members. */
static void find_in_part(const struct placement_query *query,
                         struct ranks_walk *walk,
                         struct placement_candidate *best)
{
    struct placer *placer = query->placer;
    uint32_t least = query->domain_soft
                         ? counts_least(placer, query->group_slot, best->zone)
                         : 0;
    uint32_t host;

    while ((host = ranks_walk_next(walk)) != RANKS_NONE) {
        struct placement_candidate candidate;

        placer->looks++;
        if (!filter_found(query, host)) {
            continue;
        }
        if (!query->domain_soft && !query->host_soft) {
            best->host = host;
            ranks_walk_order(walk, &best->order);
            return;
        }
        candidate = (struct placement_candidate){host, best->zone, 0, 0, {0}};
        if (query->domain_soft) {
            candidate.domain_members = query_domain_count(
                query, fleet_hosts(placer->fleet)[host].domain);
        }
        if (query->host_soft) {
            candidate.host_members = query_host_count(query, host);
        }
        if (best->host == SLOT_NONE || compare_members(&candidate, best) < 0) {
            *best = candidate;
            ranks_walk_order(walk, &best->order);
        }
        if (best->domain_members <= least && best->host_members == 0) {
            return;
        }
    }
}

static void find_in_zone(const struct placement_query *query,
                         struct ranks *ranks, const struct ranks_want *want,
                         struct placement_candidate *best)
{
    const struct placer_index *index = &query->placer->index;

    for (uint32_t kind = 0; kind < index->kind_count; kind++) {
        struct placement_candidate candidate = {
            SLOT_NONE, best->zone, 0, 0, {0}};
        struct ranks_walk walk;

        if (!filter_kind(query, &index->kinds[kind])) {
            continue;
        }
        ranks_walk_begin(&walk, ranks, best->zone * index->zone_stride + kind,
                         want);
        find_in_part(query, &walk, &candidate);
        query->placer->looks += PART_LOOKS + walk.looks;
        if (candidate.host != SLOT_NONE &&
            (best->host == SLOT_NONE ||
             compare_in_zone(&candidate, best) < 0)) {
            *best = candidate;
        }
    }
}

/* Zones that the group likes equally are told apart by its wishes for domains
 * and hosts first. */
static uint32_t find_best(const struct placement_query *query,
                          uint64_t not_zones)
{
    struct ranks *ranks = index_view(query->placer, query->state, query->view);
    struct ranks_want want = ranks_want(query->placer->index.table,
                                        query->class->resources.cpu_milli,
                                        query->class->resources.memory_mib);
    struct placement_candidate best = {.host = SLOT_NONE};
    struct placement_share loads[ZONES_MAX];
    uint64_t zones = find_zones(query, not_zones, loads);

    while (zones != 0) {
        uint32_t zone = best_zone(query, zones, loads);
        struct placement_candidate candidate = {SLOT_NONE, zone, 0, 0, {0}};

        if (best.host != SLOT_NONE &&
            ((best.domain_members == 0 && best.host_members == 0) ||
             compare_zones(query, zone, best.zone, true) != 0)) {
            break;
        }
        find_in_zone(query, ranks, &want, &candidate);
        if (candidate.host != SLOT_NONE &&
            (best.host == SLOT_NONE ||
             compare_members(&candidate, &best) < 0)) {
            best = candidate;
        }
        zones &= ~(UINT64_C(1) << zone);
    }
    return best.host;
}

static bool takes(const struct placement_query *query, uint32_t host)
{
    const struct placer *placer = query->placer;

    return host < fleet_slots(placer->fleet) &&
           fleet_hosts(placer->fleet)[host].zone != SLOT_NONE &&
           filter_host(query, host) == PLACEMENT_REFUSAL_COUNT;
}

uint32_t choose_only_host(const struct vm *vm)
{
    if (vm->moving != MOVE_NONE && vm->move_host != SLOT_NONE) {
        return vm->move_host;
    }
    return vm->home_host_plus1 - 1;
}

uint32_t choose_host(const struct placement_query *query, uint64_t not_zones)
{
    const struct vm *vm = query->vm;
    uint32_t host = choose_only_host(vm);

    if (host == SLOT_NONE) {
        host = find_best(query, not_zones);
        if (host != SLOT_NONE) {
            return host;
        }
        host = vm->not_before_ms != 0 ? vm->last_host : SLOT_NONE;
    }
    if (host == SLOT_NONE || !takes(query, host)) {
        return SLOT_NONE;
    }
    return not_zones >> fleet_hosts(query->placer->fleet)[host].zone & 1
               ? SLOT_NONE
               : host;
}

/* All that a choice looks at in a VM, but which one it is. */
static void kind_of(const struct vm *vm, struct vm *kind)
{
    memset(kind, 0, sizeof(*kind));
    kind->pool_mask = vm->pool_mask;
    kind->class_slot = vm->class_slot;
    kind->zone = vm->zone;
    kind->disk_zone_mask = vm->disk_zone_mask;
    kind->group_plus1 = vm->group_plus1;
    kind->selector_blob = vm->selector_blob;
    kind->driver = vm->driver;
    kind->preemptible = vm->preemptible;
    kind->recovering = vm->recovering;
}

/* One that moves, is bound to a host or just failed has wishes of its own. */
static bool is_of_a_kind(const struct vm *vm)
{
    return vm->moving == MOVE_NONE && vm->not_before_ms == 0 &&
           vm->home_host_plus1 == 0 && vm->host == SLOT_NONE;
}

static struct placer_refusal *known_refusal(struct placer *placer,
                                            const struct vm *vm)
{
    struct vm kind;

    if (!is_of_a_kind(vm)) {
        return NULL;
    }
    kind_of(vm, &kind);
    for (uint32_t i = 0; i < REFUSALS_MAX; i++) {
        struct placer_refusal *refusal = &placer->refusals[i];

        if (refusal->version == placer->version &&
            memcmp(&refusal->kind, &kind, sizeof(kind)) == 0) {
            return refusal;
        }
    }
    return NULL;
}

static void remember_refusal(struct placer *placer, const struct vm *vm,
                             const struct placement_choice *choice)
{
    struct placer_refusal *refusal;

    if (!is_of_a_kind(vm)) {
        return;
    }
    refusal = &placer->refusals[placer->refusal_next++ % REFUSALS_MAX];
    refusal->version = placer->version;
    kind_of(vm, &refusal->kind);
    refusal->choice = *choice;
    refusal->counted = false;
}

/* Whether some host would take the VM if nothing were reserved or held: the
 * index says so without a look at every host. */
static bool has_room_kept(const struct placement_query *query)
{
    struct placement_query free = *query;

    if (index_view_is_all(query->placer, query->view)) {
        return false;
    }
    free.view = VIEW_RECOVERING;
    return choose_host(&free, 0) != SLOT_NONE;
}

static bool is_guarded(const struct placement_query *query)
{
    return !view_has_held(query->view) &&
           headroom_guards(query->placer, query->vm);
}

/* `not_zones`: where headroom said no. */
static void refuse(struct placement_query *query, uint64_t not_zones,
                   struct placement_choice *choice)
{
    struct placer *placer = query->placer;
    bool own = query->view == query_view(query->vm);
    const struct placer_refusal *known =
        own ? known_refusal(placer, query->vm) : NULL;
    bool kept;

    if (known != NULL) {
        *choice = known->choice;
        return;
    }
    kept = has_room_kept(query);
    if (kept && is_guarded(query) &&
        headroom_choose_hard(query, choice, not_zones)) {
        return;
    }
    choice->headroom_zones = not_zones;
    choice->reason = choice->headroom.count > 0 || not_zones != 0
                         ? PENDING_HEADROOM
                         : refusal_reason(query, kept);
    if (own) {
        remember_refusal(placer, query->vm, choice);
    }
}

static void choose(struct placement_query *query,
                   struct placement_choice *choice)
{
    uint64_t not_zones = 0;

    query->placer->choices++;
    query->placer->looks += CHOICE_LOOKS;
    memset(choice, 0, sizeof(*choice));
    choice->host = SLOT_NONE;
    if (is_guarded(query)) {
        headroom_choose(query, choice, &not_zones);
    } else {
        choice->host = choose_host(query, 0);
    }
    if (choice->host == SLOT_NONE && !choice->retry) {
        refuse(query, not_zones, choice);
    }
}

void placer_choose(struct placer *placer, const struct state *state,
                   const struct placement_request *request,
                   struct placement_choice *choice)
{
    struct placement_query query;

    query_init(&query, placer, state, request->vm, request->prefer_zone);
    choose(&query, choice);
}

static void accept_risk(struct placement_query *query)
{
    query->view =
        view_has_reserved(query->view) ? VIEW_RECOVERING : VIEW_AT_RISK;
}

void placer_choose_at_risk(struct placer *placer, const struct state *state,
                           const struct placement_request *request,
                           struct placement_choice *choice)
{
    struct placement_query query;

    query_init(&query, placer, state, request->vm, request->prefer_zone);
    accept_risk(&query);
    choose(&query, choice);
    choice->at_risk = true;
}

void placer_count_refused(struct placer *placer, const struct state *state,
                          const struct placement_request *request,
                          struct placement_choice *choice)
{
    struct placer_refusal *known =
        choice->at_risk ? NULL : known_refusal(placer, request->vm);
    struct placement_query query;

    CHECK(choice->host == SLOT_NONE && !choice->retry);
    if (known != NULL && known->counted) {
        *choice = known->choice;
        return;
    }
    query_init(&query, placer, state, request->vm, request->prefer_zone);
    if (choice->at_risk) {
        accept_risk(&query);
    }
    refusal_count(&query, choice->headroom_zones, choice->refused);
    if (known != NULL) {
        known->choice = *choice;
        known->counted = true;
    }
}

enum placement_refusal placer_refusal(struct placer *placer,
                                      const struct state *state,
                                      const struct vm *vm, uint32_t host)
{
    struct placement_query query;

    query_init(&query, placer, state, vm, SLOT_NONE);
    return filter_host(&query, host);
}
