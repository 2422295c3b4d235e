/* SPDX-License-Identifier: Apache-2.0
 *
 * Why it ends, and does not oscillate: a move that a group's rule wants leaves
 * fewer members where the rule forbids them; any other move leaves every rule
 * as well kept as it was and makes the fuller one of two zones emptier. Neither
 * can be undone by a later move, and what starts a run (one limit) is more than
 * what ends it (another). */
#include "placement/rebalance.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"
#include "placement/balance.h"
#include "placement/candidates.h"
#include "placement/internal.h"
#include "placement/movable.h"
#include "placement/trial.h"

#include <stdlib.h>
#include <string.h>

bool rebalance_is_due(const struct state *state, bool running)
{
    const struct policy *policy = state_policy(state);
    struct balance balance;

    balance_init(&balance, state);
    return PLANTED(SWINGS) ||
           balance_spread(&balance) >
               1000 * (running ? policy->rebalance_stop_permille
                               : policy->rebalance_start_permille);
}

/* --- Zones --------------------------------------------------------------- */

/* What rules want comes first, and it is many VMs: with the largest of them a
 * zone may be full before it has the members that it should have. So those go
 * first beside which the rest still has room, if it is small; then the rest,
 * the smallest first. */
enum pass {
    PASS_WANTED,
    PASS_WANTED_SMALL,
    PASS_FINE,
    PASS_COARSE /* VMs are large beside what is too much: any gain counts. */
};

struct run {
    struct balance balance;
    struct balance_band band;
    struct movable movable;
    struct candidates candidates;
    struct trial trial;
    uint32_t stop; /* Spread at which it is done, millionths. */
    uint32_t failures;
    uint32_t deferred; /* Wanted, but too large for now. */
    enum pass pass;
    uint32_t lack[ZONES_MAX]; /* Members that groups want there. */
    struct resources least;   /* Of what is wanted elsewhere. */
};

/* Which part of the VMs a call looks at. */
struct look {
    uint32_t first;
    uint32_t count;
    uint32_t slots;
};

static struct look look_of(const struct state *state, uint32_t max)
{
    struct look look = {0, state_vm_slots(state), state_vm_slots(state)};
    uint64_t most = (uint64_t)max * REBALANCE_LOOK_PER_MOVE;

    if (most < REBALANCE_LOOK_MIN) {
        most = REBALANCE_LOOK_MIN;
    }
    if (most < look.slots) {
        look.count = (uint32_t)most;
        /* Fibonacci hashing: revisions in a row give parts far apart. */
        look.first = (uint32_t)((state_revision(state) *
                                     UINT64_C(11400714819323198485) >>
                                 32) %
                                look.slots);
    }
    return look;
}

static const struct vm *look_at(const struct state *state,
                                const struct look *look, uint32_t i)
{
    return state_vm_at(state, (look->first + i) % look->slots);
}

/* A VM on its way counts where it goes. */
static void count_move_under_way(struct run *run, const struct state *state,
                                 const struct vm *vm)
{
    const struct resources *size;

    if (vm == NULL || !vm_holds_claim(vm)) {
        return;
    }
    size = &state_class_at(state, vm->class_slot)->resources;
    balance_add(&run->balance, state_host_at(state, vm->move_host)->zone, size,
                1);
    if (vm->host != SLOT_NONE) {
        balance_add(&run->balance, state_host_at(state, vm->host)->zone, size,
                    -1);
    }
}

static bool any_under_way(const struct state *state)
{
    const struct state_counts *counts = state_counts(state);

    return counts->vms_claiming + counts->vms_by_state[VM_STOPPING] +
               counts->vms_by_state[VM_PENDING] >
           0;
}

static void collect(struct run *run, const struct vm *vm)
{
    struct candidate candidate;

    if (vm != NULL && movable_check(&run->movable, vm, &candidate)) {
        candidates_add(&run->candidates, &candidate);
    }
}

static bool is_done(const struct run *run)
{
    return !PLANTED(SWINGS) && balance_spread(&run->balance) <= run->stop;
}

/* Whether the two zones are better off with the VM in the other one. */
static bool is_gain(const struct run *run, uint32_t from, uint32_t to,
                    const struct resources *size)
{
    const struct balance_zone *source = &run->balance.zones[from];
    uint32_t before = balance_load(source);
    uint32_t left = balance_load_with(source, size, -1);
    uint32_t filled = balance_load_with(&run->balance.zones[to], size, 1);
    uint32_t fuller = left > filled ? left : filled;

    if (PLANTED(SWINGS)) {
        return true;
    }
    if (run->pass != PASS_COARSE) {
        return filled <= run->band.top && left >= run->band.bottom;
    }
    /* Half of what it takes away at least: a move for less is not worth it. */
    return fuller < before && before - fuller >= (before - left) / 2;
}

/* The zone among `zones` that should get the VM; SLOT_NONE: none. */
static uint32_t zone_for(const struct run *run, const struct vm *vm,
                         const struct group *group, uint64_t zones, bool wanted)
{
    const struct state *state = trial_state(&run->trial);
    const struct resources *size =
        &state_class_at(state, vm->class_slot)->resources;
    uint64_t allowed = balance_zones_of(&run->balance, state, vm);
    uint32_t from = state_host_at(state, vm->host)->zone;
    uint32_t best = SLOT_NONE;
    uint64_t best_order = UINT64_MAX;

    for (uint32_t i = 0; i < run->balance.count; i++) {
        uint64_t order;

        if ((zones >> i & 1) == 0 || i == from ||
            (group != NULL && !balance_group_admits(group, allowed, from, i)) ||
            (!wanted && !is_gain(run, from, i, size)) ||
            (wanted && !balance_group_mends(group, allowed, from, i))) {
            continue;
        }
        /* Of usable zones alone: a lost one has nothing to share. */
        order = balance_load(&run->balance.zones[i]);
        if (wanted && group != NULL) {
            /* Fewest members first, for the rule's sake. */
            order |= (uint64_t)group->zone_counts[i] << 32;
        }
        if (order < best_order) {
            best_order = order;
            best = i;
        }
    }
    return best;
}

/* Whether the zone would be too full for what else rules want there. */
static bool overfills(const struct run *run, const struct vm *vm, uint32_t to)
{
    const struct resources *size =
        &state_class_at(trial_state(&run->trial), vm->class_slot)->resources;
    struct balance_zone filled = run->balance.zones[to];

    if (run->pass != PASS_WANTED || run->lack[to] == 0) {
        return false;
    }
    filled.cpu_milli += (uint64_t)(run->lack[to] - 1) * run->least.cpu_milli;
    filled.memory_mib += (uint64_t)(run->lack[to] - 1) * run->least.memory_mib;
    return balance_load_with(&filled, size, 1) > run->band.top;
}

/* With its members where they will be: earlier moves may still wait. */
static const struct group *group_of(const struct run *run, const struct vm *vm,
                                    struct group *copy)
{
    const struct state *state = trial_state(&run->trial);

    return counts_bound(run->trial.placer,
                        state_group_at(state, vm->group_plus1 - 1), copy);
}

static uint32_t move_to_some_zone(struct run *run, uint32_t slot, bool wanted)
{
    const struct vm *vm = state_vm_at(trial_state(&run->trial), slot);
    uint64_t zones =
        balance_zones_of(&run->balance, trial_state(&run->trial), vm);

    while (run->failures < TRIAL_FAILURES_MAX) {
        const struct state *state = trial_state(&run->trial);
        uint32_t tried = run->trial.vm_count;
        const struct group *group = NULL;
        struct group copy;
        uint32_t zone;
        uint32_t host;

        vm = state_vm_at(state, slot);
        if (vm->group_plus1 != 0) {
            group = group_of(run, vm, &copy);
        }
        zone = zone_for(run, vm, group, zones, wanted);
        if (zone == SLOT_NONE) {
            break;
        }
        if (overfills(run, vm, zone)) {
            run->deferred++;
            break;
        }
        host = trial_move(&run->trial, slot, zone, zone, MOVE_CAUSE_REBALANCE);
        if (host != SLOT_NONE) {
            return host;
        }
        run->failures += run->trial.vm_count - tried;
        zones &= ~(UINT64_C(1) << zone);
    }
    return SLOT_NONE;
}

/* Whether the VM is where it was when it was found, and may leave as it could
 * then: turns have gone by since. */
static bool is_as_found(const struct run *run, uint32_t slot)
{
    const struct vm *found = state_vm_at(run->movable.state, slot);
    const struct vm *vm = slot < state_vm_slots(run->trial.state)
                              ? state_vm_at(run->trial.state, slot)
                              : NULL;
    const struct host *host;

    if (vm == NULL || vm->uid != found->uid || vm->host != found->host ||
        vm->group_plus1 != found->group_plus1 ||
        vm->class_slot != found->class_slot || vm->zone != SLOT_NONE ||
        vm->local_disk || !movable_may_stop(vm)) {
        return false;
    }
    host = state_host_at(run->trial.state, vm->host);
    return host->state == HOST_UP && !host->draining &&
           (run->balance.usable >> host->zone & 1) != 0;
}

/* Whether the candidate still is what it was when it was found; as it is now.
 */
static bool is_still_good(struct run *run, const struct candidate *candidate)
{
    const struct state *state = trial_state(&run->trial);
    const struct vm *vm = state_vm_at(state, candidate->vm);
    uint32_t from = state_host_at(state, vm->host)->zone;
    struct group copy;

    if (trial_has_moved(&run->trial, candidate->vm)) {
        return false; /* The coarse pass sees all again. */
    }
    if (candidate->wanted) {
        return balance_group_wants(group_of(run, vm, &copy),
                                   balance_zones_of(&run->balance, state, vm),
                                   from);
    }
    return !is_done(run) &&
           balance_load(&run->balance.zones[from]) >
               (run->pass == PASS_COARSE ? run->band.bottom : run->band.top);
}

/* The zone lost a VM: what is worth most now? */
static void weigh_again(struct run *run, uint32_t zone)
{
    if (!movable_update(&run->movable, zone) ||
        run->pass == PASS_WANTED_SMALL) {
        return;
    }
    for (uint32_t i = 0; i < run->candidates.heap_count; i++) {
        struct candidate *candidate = &run->candidates.all[i];

        if (candidate->zone == zone) {
            candidate->gain =
                movable_gain(&run->movable, zone, candidate->class_slot);
        }
    }
    candidates_reorder(&run->candidates);
}

static bool consider(struct run *run, struct candidate *candidate,
                     struct rebalance_move *move)
{
    const struct state *state = trial_state(&run->trial);
    const struct vm *vm;
    const struct resources *size;
    uint32_t from;
    uint32_t host;

    if (!is_as_found(run, candidate->vm)) {
        return false;
    }
    vm = state_vm_at(state, candidate->vm);
    if (!is_still_good(run, candidate)) {
        if (candidate->wanted) {
            /* The rule is content; the load may not be. */
            candidate->wanted = false;
            candidates_return(&run->candidates, candidate);
        }
        return false;
    }
    if (candidate->wanted && run->pass >= PASS_FINE) {
        return false; /* It was tried. */
    }
    from = state_host_at(state, vm->host)->zone;
    host = move_to_some_zone(run, candidate->vm, candidate->wanted);
    if (host == SLOT_NONE) {
        return false;
    }
    state = trial_state(&run->trial);
    size = &state_class_at(state, state_vm_at(state, candidate->vm)->class_slot)
                ->resources;
    balance_add(&run->balance, from, size, -1);
    balance_add(&run->balance, state_host_at(state, host)->zone, size, 1);
    if (candidate->wanted && run->lack[state_host_at(state, host)->zone] > 0) {
        run->lack[state_host_at(state, host)->zone]--;
    }
    weigh_again(run, from);
    *move = (struct rebalance_move){candidate->vm, host, MOVE_CAUSE_REBALANCE};
    return true;
}

static bool is_over(const struct run *run)
{
    const struct candidates *candidates = &run->candidates;

    return candidates->heap_count == 0 ||
           (run->pass <= PASS_WANTED_SMALL && !candidates->all[0].wanted);
}

static uint32_t consider_all(struct run *run, struct rebalance_move *moves,
                             uint32_t max)
{
    struct candidate candidate;
    uint32_t count = 0;

    while (count < max && run->failures < TRIAL_FAILURES_MAX && !is_over(run) &&
           candidates_take(&run->candidates, &candidate)) {
        if (consider(run, &candidate, &moves[count])) {
            count++;
        } else if (!candidate.wanted && is_done(run)) {
            break; /* Only wanted ones could still go, and they came first. */
        }
    }
    return count;
}

/* What groups want of each zone, and the least that a member asks for. */
static void count_wanted(struct run *run, const struct state *state)
{
    bool any = false;

    run->least = (struct resources){UINT32_MAX, UINT32_MAX, 0, 0};
    for (uint32_t i = 0; i < run->candidates.count; i++) {
        const struct candidate *candidate = &run->candidates.all[i];
        const struct resources *size =
            &state_class_at(state, candidate->class_slot)->resources;

        if (!candidate->wanted) {
            continue;
        }
        any = true;
        if (size->cpu_milli < run->least.cpu_milli) {
            run->least.cpu_milli = size->cpu_milli;
        }
        if (size->memory_mib < run->least.memory_mib) {
            run->least.memory_mib = size->memory_mib;
        }
    }
    for (uint32_t i = 0; any && i < state_group_slots(state); i++) {
        const struct group *group = state_group_at(state, i);
        const struct class *class = NULL;

        if (group != NULL) {
            class = group->class_slot == SLOT_NONE
                        ? NULL
                        : state_class_at(state, group->class_slot);
            balance_group_lack(
                group, placement_group_zones(state, group, class), run->lack);
        }
    }
}

/* Wanted ones: the smallest first. Others, and all in the end: by gain. */
static void order_for(struct run *run, const struct state *state,
                      enum pass pass)
{
    run->pass = pass;
    for (uint32_t i = 0; i < run->candidates.count; i++) {
        struct candidate *candidate = &run->candidates.all[i];
        const struct balance_zone none = {
            .cpu_capacity = run->balance.zones[candidate->zone].cpu_capacity,
            .memory_capacity =
                run->balance.zones[candidate->zone].memory_capacity};

        candidate->gain =
            pass == PASS_WANTED_SMALL && candidate->wanted
                ? UINT64_MAX - balance_load_with(
                                   &none,
                                   &state_class_at(state, candidate->class_slot)
                                        ->resources,
                                   1)
                : movable_gain(&run->movable, candidate->zone,
                               candidate->class_slot);
    }
    candidates_order(&run->candidates);
}

static uint32_t make_passes(struct run *run, const struct state *state,
                            struct rebalance_move *moves, uint32_t max)
{
    uint32_t count = consider_all(run, moves, max);

    for (enum pass pass = PASS_WANTED_SMALL; pass <= PASS_COARSE; pass++) {
        if (count == max || (pass >= PASS_FINE && is_done(run))) {
            break;
        }
        if (run->deferred == 0 && pass <= PASS_FINE) {
            run->pass = pass; /* The heap has what is left. */
        } else {
            order_for(run, state, pass);
        }
        count += consider_all(run, moves + count, max - count);
    }
    return count;
}

enum look_step { LOOK_MOVES, LOOK_VMS, LOOK_DONE };

struct rebalance {
    struct state *clone;
    struct look look;
    enum look_step step;
    uint32_t at;
    uint64_t time_ms;
    struct run run;
};

struct rebalance *rebalance_create(const struct state *state, uint64_t time_ms,
                                   uint32_t max)
{
    struct rebalance *rebalance = memory_alloc(sizeof(*rebalance));

    rebalance->clone = state_clone(state);
    rebalance->look = look_of(state, max);
    rebalance->time_ms = time_ms;
    rebalance->run.stop = 1000 * state_policy(state)->rebalance_stop_permille;
    rebalance->at = any_under_way(state) ? 0 : rebalance->look.count;
    balance_init(&rebalance->run.balance, rebalance->clone);
    candidates_init(&rebalance->run.candidates);
    return rebalance;
}

void rebalance_destroy(struct rebalance *rebalance)
{
    if (rebalance == NULL) {
        return;
    }
    movable_close(&rebalance->run.movable);
    candidates_close(&rebalance->run.candidates);
    state_destroy(rebalance->clone);
    free(rebalance);
}

/* All that are on their way are counted. */
static void begin_to_collect(struct rebalance *rebalance)
{
    struct run *run = &rebalance->run;

    /* A little narrower than asked for, so that the last moves end it. */
    run->band = balance_band(&run->balance, run->stop - run->stop / 8);
    movable_init(&run->movable, rebalance->clone, &run->balance, run->band.top,
                 rebalance->time_ms);
    rebalance->at = 0;
    rebalance->step = LOOK_VMS;
}

bool rebalance_work(struct rebalance *rebalance, uint32_t budget)
{
    const struct look *look = &rebalance->look;
    const struct state *state = rebalance->clone;
    struct run *run = &rebalance->run;

    while (rebalance->step != LOOK_DONE) {
        for (; rebalance->at < look->count; rebalance->at++, budget--) {
            const struct vm *vm;

            if (budget == 0) {
                return false;
            }
            vm = look_at(state, look, rebalance->at);
            if (rebalance->step == LOOK_MOVES) {
                count_move_under_way(run, state, vm);
            } else {
                collect(run, vm);
            }
        }
        if (rebalance->step == LOOK_MOVES) {
            begin_to_collect(rebalance);
        } else {
            candidates_order(&run->candidates);
            count_wanted(run, state);
            rebalance->step = LOOK_DONE;
        }
    }
    return true;
}

uint32_t rebalance_decide(struct rebalance *rebalance, struct placer *placer,
                          const struct state *state,
                          struct rebalance_move *moves, uint32_t max)
{
    struct run *run = &rebalance->run;
    uint32_t count;

    CHECK(rebalance->step == LOOK_DONE);
    trial_begin(&run->trial, placer, state);
    count = make_passes(run, rebalance->clone, moves, max);
    trial_end(&run->trial);
    return count;
}

uint32_t rebalance_zones(struct placer *placer, const struct state *state,
                         uint64_t time_ms, struct rebalance_move *moves,
                         uint32_t max)
{
    struct rebalance *rebalance;
    uint32_t count;

    if (max == 0 || state_vm_slots(state) == 0) {
        return 0;
    }
    rebalance = rebalance_create(state, time_ms, max);
    while (!rebalance_work(rebalance, UINT32_MAX)) {
    }
    count = rebalance_decide(rebalance, placer, state, moves, max);
    rebalance_destroy(rebalance);
    return count;
}

uint32_t rebalance_resting(const struct state *state, uint64_t time_ms)
{
    struct balance balance;
    struct balance_band band;
    struct movable movable;
    uint32_t count;

    balance_init(&balance, state);
    band = balance_band(&balance,
                        1000 * state_policy(state)->rebalance_stop_permille);
    movable_init(&movable, state, &balance, band.top, time_ms);
    count = movable_count_warm(&movable, REBALANCE_LOOK_MIN);
    movable_close(&movable);
    return count;
}
