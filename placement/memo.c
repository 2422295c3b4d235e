/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/memo.h"

#include "base/check.h"

#include <string.h>

bool memo_serves(const struct vm *vm)
{
    return !vm->moving && vm->not_before_ms == 0;
}

bool memo_matches(const struct memo *memo, const struct state *state,
                  const struct vm *vm)
{
    return memo->kind.class_slot == vm->class_slot &&
           memo->kind.zone == vm->zone && memo->kind.driver == vm->driver &&
           memo->kind.pool_mask == vm->pool_mask &&
           memo->class_uid == state_class_at(state, vm->class_slot)->uid;
}

void memo_begin(struct memo *memo, const struct state *state,
                const struct vm *vm)
{
    CHECK(memo_serves(vm));
    memset(memo, 0, sizeof(*memo));
    memo->kind.class_slot = vm->class_slot;
    memo->kind.zone = vm->zone;
    memo->kind.driver = vm->driver;
    memo->kind.pool_mask = vm->pool_mask;
    memo->class_uid = state_class_at(state, vm->class_slot)->uid;
}

static struct placement_query query_of(const struct memo *memo,
                                       const struct state *state)
{
    return (struct placement_query){
        .state = state,
        .vm = &memo->kind,
        .class = state_class_at(state, memo->kind.class_slot),
        .prefer_zone = SLOT_NONE,
    };
}

static struct placement_candidate candidate_at(const struct state *state,
                                               uint32_t slot)
{
    const struct host *host = state_host_at(state, slot);

    return (struct placement_candidate){host, state_zone_at(state, host->zone)};
}

static void take(struct memo *memo, const struct host *host)
{
    memo->best[host->zone] = uid_slot(host->uid);
    memo->used[host->zone] = host->used;
    memo->capacity[host->zone] = host->capacity;
}

/* Takes the host if it is the better one of its zone. */
static void offer(struct memo *memo, const struct placement_query *query,
                  uint32_t slot)
{
    struct placement_candidate candidate = candidate_at(query->state, slot);
    uint32_t best = memo->best[candidate.host->zone];
    struct placement_candidate former;

    if (filter_host(query, candidate.host) != PLACEMENT_REFUSAL_COUNT) {
        return;
    }
    if (best == SLOT_NONE) {
        take(memo, candidate.host);
        return;
    }
    former = candidate_at(query->state, best);
    if (compare_candidates(query, &candidate, &former) < 0) {
        take(memo, candidate.host);
    }
}

/* One pass over the hosts for all zones that are not known. */
static void fill(struct memo *memo, const struct placement_query *query)
{
    uint64_t known = memo->known;

    for (uint32_t zone = 0; zone < ZONES_MAX; zone++) {
        if ((known >> zone & 1) == 0) {
            memo->best[zone] = SLOT_NONE;
        }
    }
    for (uint32_t slot = 0; slot < state_host_slots(query->state); slot++) {
        const struct host *host = state_host_at(query->state, slot);

        if (host != NULL && (known >> host->zone & 1) == 0) {
            offer(memo, query, slot);
        }
    }
    memo->known = UINT64_MAX;
}

/* The best host that became fuller stays the best: packing prefers the host
 * that has the least left, and the others are as they were. */
static bool stays_best(const struct memo *memo,
                       const struct placement_query *query,
                       const struct host *host)
{
    const struct resources *used = &memo->used[host->zone];

    return memcmp(&host->capacity, &memo->capacity[host->zone],
                  sizeof(host->capacity)) == 0 &&
           host->used.cpu_milli >= used->cpu_milli &&
           host->used.memory_mib >= used->memory_mib &&
           filter_host(query, host) == PLACEMENT_REFUSAL_COUNT;
}

void memo_host_changed(struct memo *memo, const struct state *state,
                       uint32_t host_slot)
{
    struct placement_query query = query_of(memo, state);
    const struct host *host = state_host_at(state, host_slot);

    if (host == NULL || query.class == NULL) {
        memo->known = 0;
        return;
    }
    /* A host may have come from another zone, whose best it was. */
    for (uint32_t zone = 0; zone < ZONES_MAX; zone++) {
        if (memo->best[zone] == host_slot && zone != host->zone) {
            memo->known &= ~(UINT64_C(1) << zone);
        }
    }
    if ((memo->known >> host->zone & 1) == 0) {
        return;
    }
    if (memo->best[host->zone] != host_slot) {
        offer(memo, &query, host_slot);
    } else if (stays_best(memo, &query, host)) {
        take(memo, host);
    } else {
        memo->known &= ~(UINT64_C(1) << host->zone);
    }
}

uint32_t memo_choose(struct memo *memo, const struct state *state,
                     const struct placement_request *request)
{
    struct placement_query query = query_of(memo, state);
    struct placement_candidate best = {NULL, NULL};

    query.prefer_zone = request->prefer_zone;
    if (memo->known != UINT64_MAX) {
        fill(memo, &query);
    }
    for (uint32_t zone = 0; zone < state_zone_slots(state); zone++) {
        struct placement_candidate candidate;

        if (memo->best[zone] == SLOT_NONE) {
            continue;
        }
        candidate = candidate_at(state, memo->best[zone]);
        if (best.host == NULL ||
            compare_candidates(&query, &candidate, &best) < 0) {
            best = candidate;
        }
    }
    return best.host == NULL ? SLOT_NONE : uid_slot(best.host->uid);
}
