/* SPDX-License-Identifier: Apache-2.0
 *
 * Out of what is drained, a window of it at a time. */
#include "placement/balance.h"
#include "placement/candidates.h"
#include "placement/movable.h"
#include "placement/rebalance.h"
#include "placement/trial.h"

static enum move_cause drain_of(const struct state *state,
                                const struct host *host)
{
    if (host == NULL || host->state != HOST_UP) {
        return MOVE_CAUSE_NONE; /* A lost host's VMs are the judge's. */
    }
    if (state_zone_at(state, host->zone)->draining) {
        return MOVE_CAUSE_ZONE_DRAIN;
    }
    return host->draining ? MOVE_CAUSE_HOST_DRAIN : MOVE_CAUSE_NONE;
}

bool rebalance_drain_at_risk(const struct state *state, const struct host *host)
{
    return host->draining == DRAIN_AT_RISK ||
           state_zone_at(state, host->zone)->draining == DRAIN_AT_RISK;
}

/* The zone to prefer: a drained host's own. */
static uint32_t zone_near(const struct state *state, const struct host *host)
{
    return drain_of(state, host) == MOVE_CAUSE_HOST_DRAIN ? host->zone
                                                          : SLOT_NONE;
}

void rebalance_drain_choose(struct placer *placer, const struct state *state,
                            const struct vm *vm,
                            struct placement_choice *choice)
{
    const struct host *host = state_host_at(state, vm->host);
    struct placement_request request = {vm, zone_near(state, host)};

    if (rebalance_drain_at_risk(state, host)) {
        placer_choose_at_risk(placer, state, &request, choice);
    } else {
        placer_choose(placer, state, &request, choice);
    }
}

/* Whether its own rules hold the VM where it is drained. */
static bool is_held(const struct state *state, const struct balance *balance,
                    const struct vm *vm, enum move_cause cause)
{
    uint64_t zones = balance_zones_of(balance, state, vm);

    if (vm->local_disk) {
        return true;
    }
    if (vm->zone != SLOT_NONE) {
        zones &= UINT64_C(1) << vm->zone;
    }
    /* A drained host may stand in a cordoned zone: no VM is placed there. */
    (void)cause;
    return zones == 0;
}

/* What may be asked to leave a host; returns how many were looked at. */
static uint32_t collect_leaving(const struct state *state,
                                const struct balance *balance,
                                const struct host *host,
                                struct candidates *candidates, uint32_t *held)
{
    enum move_cause cause = drain_of(state, host);
    const struct vm *vm;
    uint32_t looks = 1;

    if (cause == MOVE_CAUSE_NONE) {
        return looks;
    }
    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;
         slot = vm->host_next) {
        vm = state_vm_at(state, slot);
        looks++;
        if (!movable_may_stop(vm)) {
            continue;
        }
        if (is_held(state, balance, vm, cause)) {
            (*held)++;
            continue;
        }
        candidates_add(
            candidates,
            &(struct candidate){
                .vm = slot,
                .memory_mib =
                    state_class_at(state, vm->class_slot)->resources.memory_mib,
                .priority = vm->priority,
            });
    }
    return looks;
}

/* Of the hosts of a window; returns where it ends, 0: with the last host. */
static uint32_t collect_drained(const struct state *state,
                                const struct balance *balance,
                                const struct rebalance_window *window,
                                struct candidates *candidates, uint32_t *held)
{
    uint32_t slots = state_host_slots(state);
    uint32_t slot = window == NULL ? 0 : window->first;
    uint64_t looks = 0;

    for (; slot < slots &&
           (window == NULL || (looks < REBALANCE_WINDOW_LOOKS &&
                               candidates->count < REBALANCE_WINDOW_VMS));
         slot++) {
        looks += collect_leaving(state, balance, state_host_at(state, slot),
                                 candidates, held);
    }
    candidates_order(candidates);
    return slot < slots ? slot : 0;
}

/* A call's course through what it collected. */
struct leaving {
    struct trial trial;
    struct candidates candidates;
    uint64_t looks_end; /* Of the placer. */
    uint32_t taken;     /* Candidates. */
    uint32_t stuck;
};

static bool is_spent(const struct leaving *leaving)
{
    return placer_looks(leaving->trial.placer) >= leaving->looks_end;
}

static uint32_t move_drained(struct leaving *leaving,
                             struct rebalance_move *moves, uint32_t max)
{
    struct trial *trial = &leaving->trial;
    struct candidate candidate;
    uint32_t count = 0;
    uint32_t failures = 0;

    while (count < max && failures < TRIAL_FAILURES_MAX && !is_spent(leaving) &&
           candidates_take(&leaving->candidates, &candidate)) {
        const struct state *state = trial_state(trial);
        const struct vm *vm = state_vm_at(state, candidate.vm);
        const struct host *source = state_host_at(state, vm->host);
        enum move_cause cause = drain_of(state, source);
        uint32_t near = zone_near(state, source);
        uint32_t tried = trial->vm_count;
        uint32_t host;

        trial->at_risk = rebalance_drain_at_risk(state, source);
        host = trial_move(trial, candidate.vm, SLOT_NONE, near, cause);
        leaving->taken++;
        if (host == SLOT_NONE) {
            failures += trial->vm_count - tried;
            leaving->stuck++;
        } else {
            moves[count++] = (struct rebalance_move){candidate.vm, host, cause};
        }
    }
    return count;
}

bool rebalance_window_next(struct rebalance_window *window)
{
    window->first = window->next;
    window->skip = window->next_skip;
    return window->first == 0 && window->skip == 0;
}

/* Those that were tried in former calls. */
static void skip_tried(struct leaving *leaving,
                       const struct rebalance_window *window)
{
    struct candidate candidate;

    while (leaving->taken < window->skip &&
           candidates_take(&leaving->candidates, &candidate)) {
        leaving->taken++;
    }
}

uint32_t rebalance_drains(struct placer *placer, const struct state *state,
                          struct rebalance_window *window,
                          struct rebalance_move *moves, uint32_t max,
                          uint32_t *stuck)
{
    const struct state_counts *counts = state_counts(state);
    struct leaving leaving = {.looks_end = UINT64_MAX};
    struct balance balance;
    uint32_t held = 0;
    uint32_t count;
    uint32_t end;

    *stuck = 0;
    if (counts->hosts_draining + counts->zones_draining == 0) {
        return 0;
    }
    balance_init(&balance, state);
    candidates_init(&leaving.candidates);
    end = collect_drained(state, &balance, window, &leaving.candidates, &held);
    trial_begin(&leaving.trial, placer, state);
    leaving.trial.guarded = state_policy(state)->headroom == HEADROOM_ENFORCE;
    if (window != NULL) {
        skip_tried(&leaving, window);
        held = window->skip == 0 ? held : 0; /* They were counted. */
        leaving.looks_end = window->looks_max == 0
                                ? UINT64_MAX
                                : placer_looks(placer) + window->looks_max;
    }
    count = move_drained(&leaving, moves, max);
    if (window != NULL) {
        bool more = leaving.candidates.heap_count > 0;

        window->next = more ? window->first : end;
        window->next_skip = more ? leaving.taken : 0;
    }
    *stuck = held + leaving.stuck;
    trial_end(&leaving.trial);
    candidates_close(&leaving.candidates);
    return count;
}
