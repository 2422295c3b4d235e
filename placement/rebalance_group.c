/* SPDX-License-Identifier: Apache-2.0
 *
 * Members of one group that break its rules, as these are now. A member that
 * holds room elsewhere counts there alone, so that what one call decides the
 * next one knows. Each move leaves fewer members where a rule forbids them and
 * breaks none, so that calls come to an end. */
#include "placement/rebalance.h"

#include "placement/balance.h"
#include "placement/candidates.h"
#include "placement/internal.h"
#include "placement/movable.h"
#include "placement/trial.h"

#include <string.h>

struct regroup {
    const struct fleet_host *hosts;
    struct group group; /* Its counts are those of the moves decided. */
    struct balance balance;
    struct map domains; /* Members, */
    struct map on_host; /* likewise. */
    struct trial trial;
    uint32_t failures;
};

static void add_to(struct map *map, uint64_t key, int sign)
{
    uintptr_t members = (uintptr_t)map_get(map, key);

    members += sign > 0 ? 1 : UINTPTR_MAX;
    if (members == 0) {
        map_remove(map, key);
    } else {
        map_put(map, key, (void *)members);
    }
}

static void count(struct regroup *regroup, uint32_t host, int sign)
{
    const struct fleet_host *at = &regroup->hosts[host];

    regroup->group.zone_counts[at->zone] += sign > 0 ? 1 : UINT32_MAX;
    add_to(&regroup->domains, at->domain, sign);
    add_to(&regroup->on_host, host, sign);
}

/* SLOT_NONE: nowhere. */
static uint32_t place_of(const struct vm *vm)
{
    return vm_holds_claim(vm) ? vm->move_host : vm->host;
}

static void count_members(struct regroup *regroup, const struct state *state)
{
    memset(regroup->group.zone_counts, 0, sizeof(regroup->group.zone_counts));
    for (uint32_t next = regroup->group.vm_first_plus1; next != 0;) {
        const struct vm *vm = state_vm_at(state, next - 1);

        next = vm->group_next_plus1;
        if (place_of(vm) != SLOT_NONE) {
            count(regroup, place_of(vm), 1);
        }
    }
}

static bool breaks_zones(const struct regroup *regroup, const struct vm *vm)
{
    const struct state *state = trial_state(&regroup->trial);

    return balance_group_wants(&regroup->group,
                               balance_zones_of(&regroup->balance, state, vm),
                               regroup->hosts[vm->host].zone);
}

static bool is_over(const struct map *map, uint64_t key, uint8_t mode,
                    uint32_t max)
{
    return mode == RULE_MODE_STRICT && max > 0 &&
           (uintptr_t)map_get(map, key) > max;
}

static bool breaks_hosts(const struct regroup *regroup, const struct vm *vm)
{
    const struct group *group = &regroup->group;

    return is_over(&regroup->domains, regroup->hosts[vm->host].domain,
                   group->domain_mode, group->domain_max) ||
           is_over(&regroup->on_host, vm->host, group->host_mode,
                   group->host_max);
}

static bool breaks_rules(const struct regroup *regroup, const struct vm *vm)
{
    return breaks_zones(regroup, vm) || breaks_hosts(regroup, vm);
}

static bool may_go(const struct regroup *regroup, const struct vm *vm,
                   uint64_t zones, uint32_t to)
{
    const struct group *group = &regroup->group;
    uint32_t from = regroup->hosts[vm->host].zone;

    if (to == from) {
        return !balance_group_wants(group, zones, from);
    }
    return balance_group_admits(group, zones, from, to) &&
           (!balance_group_wants(group, zones, from) ||
            balance_group_mends(group, zones, from, to));
}

/* Of the zones that were not tried: the VM's own first, when only its host or
 * fault domain is wrong, then the one with the fewest members, then the
 * emptiest. */
static uint32_t best_zone(const struct regroup *regroup, const struct vm *vm,
                          uint64_t zones, uint64_t untried)
{
    uint32_t from = regroup->hosts[vm->host].zone;
    uint64_t best_order = UINT64_MAX;
    uint32_t best = SLOT_NONE;

    for (uint32_t i = 0; i < regroup->balance.count; i++) {
        uint64_t order;

        if ((untried >> i & 1) == 0 || !may_go(regroup, vm, zones, i)) {
            continue;
        }
        order = i == from ? 0
                          : 1 + ((uint64_t)regroup->group.zone_counts[i] << 32 |
                                 balance_load(&regroup->balance.zones[i]));
        if (order < best_order) {
            best_order = order;
            best = i;
        }
    }
    return best;
}

static uint32_t move_member(struct regroup *regroup, uint32_t slot)
{
    struct trial *trial = &regroup->trial;
    const struct vm *vm = state_vm_at(trial_state(trial), slot);
    uint64_t zones =
        balance_zones_of(&regroup->balance, trial_state(trial), vm);
    uint64_t untried = zones;

    if (vm->zone != SLOT_NONE) {
        untried &= UINT64_C(1) << vm->zone;
    }
    while (regroup->failures < TRIAL_FAILURES_MAX) {
        uint32_t tried = trial->vm_count;
        uint32_t zone;
        uint32_t host;

        vm = state_vm_at(trial_state(trial), slot);
        zone = best_zone(regroup, vm, zones, untried);
        if (zone == SLOT_NONE) {
            break;
        }
        host = trial_move(trial, slot, zone, zone, MOVE_CAUSE_PLAN);
        if (host != SLOT_NONE) {
            return host;
        }
        regroup->failures += trial->vm_count - tried;
        untried &= ~(UINT64_C(1) << zone);
    }
    return SLOT_NONE;
}

static void collect(const struct regroup *regroup, const struct state *state,
                    struct candidates *candidates)
{
    for (uint32_t next = regroup->group.vm_first_plus1; next != 0;) {
        uint32_t slot = next - 1;
        const struct vm *vm = state_vm_at(state, slot);

        next = vm->group_next_plus1;
        if (movable_may_stop(vm) && regroup->hosts[vm->host].up &&
            breaks_rules(regroup, vm)) {
            candidates_add(
                candidates,
                &(struct candidate){
                    .vm = slot,
                    .memory_mib = state_class_at(state, vm->class_slot)
                                      ->resources.memory_mib,
                    .priority = vm->priority,
                });
        }
    }
    candidates_order(candidates);
}

/* As each comes up: what went before it may have mended its rule. */
static uint32_t move_all(struct regroup *regroup, struct candidates *candidates,
                         struct rebalance_move *moves, uint32_t max,
                         uint32_t *stuck)
{
    struct candidate candidate;
    uint32_t moved = 0;

    while (moved < max && candidates_take(candidates, &candidate)) {
        const struct vm *vm =
            state_vm_at(trial_state(&regroup->trial), candidate.vm);
        uint32_t from = vm->host;
        uint32_t host = SLOT_NONE;

        if (!breaks_rules(regroup, vm)) {
            continue;
        }
        if (!vm->local_disk) {
            host = move_member(regroup, candidate.vm);
        }
        if (host == SLOT_NONE) {
            (*stuck)++;
            continue;
        }
        count(regroup, from, -1);
        count(regroup, host, 1);
        moves[moved++] =
            (struct rebalance_move){candidate.vm, host, MOVE_CAUSE_PLAN};
    }
    return moved;
}

uint32_t rebalance_group(struct placer *placer, const struct state *state,
                         uint32_t group_slot, struct rebalance_move *moves,
                         uint32_t max, uint32_t *stuck)
{
    struct regroup regroup = {
        .hosts = fleet_hosts(placer->fleet),
        .group = *state_group_at(state, group_slot),
    };
    struct candidates candidates;
    uint32_t moved;

    *stuck = 0;
    balance_init(&regroup.balance, state);
    map_init(&regroup.domains);
    map_init(&regroup.on_host);
    candidates_init(&candidates);
    trial_begin(&regroup.trial, placer, state);
    /* Somebody asked for the rule: what it costs is warned of, unless the
     * policy forbids it. */
    regroup.trial.guarded = state_policy(state)->headroom == HEADROOM_ENFORCE;
    count_members(&regroup, state);
    collect(&regroup, state, &candidates);
    moved = move_all(&regroup, &candidates, moves, max, stuck);
    trial_end(&regroup.trial);
    candidates_close(&candidates);
    map_close(&regroup.on_host);
    map_close(&regroup.domains);
    return moved;
}
