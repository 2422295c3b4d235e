/* SPDX-License-Identifier: Apache-2.0 */
#include "node/move_control.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/limits.h"
#include "node/move_budget.h"
#include "node/operation.h"
#include "node/place.h"
#include "placement/rebalance.h"

#include <stdlib.h>

#define MINUTE_MS   60000
#define DAY_MINUTES 1440

struct move_queued {
    uint64_t uid;
    uint32_t order;
};

static int compare_queued(const void *a, const void *b)
{
    const struct move_queued *left = a;
    const struct move_queued *right = b;

    if (left->order != right->order) {
        return left->order < right->order ? -1 : 1;
    }
    return left->uid < right->uid ? -1 : left->uid > right->uid;
}

/* Runs, and holds room elsewhere. */
static bool is_queued(const struct vm *vm)
{
    return vm->moving == MOVE_CLAIMED && vm->host != SLOT_NONE;
}

static void add_queued(struct move_control *control, const struct vm *vm)
{
    if (map_get(&control->queued, vm->uid) != NULL) {
        return;
    }
    if (control->queue_count == control->queue_capacity) {
        control->queue_capacity = 2 * control->queue_capacity + 64;
        control->queue = memory_realloc_array(
            control->queue, control->queue_capacity, sizeof(*control->queue));
    }
    control->queue[control->queue_count++] =
        (struct move_queued){vm->uid, vm->move_order};
    map_put(&control->queued, vm->uid, control);
    control->sorted = false;
}

static void note_vm(struct move_control *control, const struct vm *vm,
                    bool deleted)
{
    bool counted = !deleted && move_is_counted(vm);

    if (map_get(&control->under_way, vm->uid) != NULL) {
        control->dirty = true;
        if (!counted) {
            map_remove(&control->under_way, vm->uid);
        }
    } else if (counted) {
        map_put(&control->under_way, vm->uid, control);
    }
    if (!deleted && is_queued(vm)) {
        add_queued(control, vm);
        control->dirty = true;
    }
}

/* --- Budgets ------------------------------------------------------------- */

/* In the map's order, which depends on history: sums do not. */
static void count_under_way(const struct move_control *control,
                            const struct state *state,
                            struct move_budget *budget)
{
    move_budget_init(budget, state_policy(state));
    for (size_t i = 0; i < control->under_way.capacity; i++) {
        const struct map_entry *entry = &control->under_way.entries[i];
        const struct vm *vm = entry->value == NULL
                                  ? NULL
                                  : state_vm(state, (struct vm_id){entry->key});

        if (vm != NULL && move_is_counted(vm)) {
            move_budget_count(budget, state, vm);
        }
    }
}

/* Room is held at the target, by the VM's claim or from now on. */
static void begin_move(struct turn_plan *plan, const struct vm *vm,
                       uint32_t host_slot, enum move_cause cause)
{
    struct change change = {.kind = CHANGE_VM_MOVE};

    change.vm_move = (struct change_vm_move){
        .vm = {vm->uid},
        .host = {state_host_at(plan->scratch, host_slot)->uid},
        .cause = cause,
    };
    turn_change(plan, &change);
}

/* --- The queue ----------------------------------------------------------- */

/* Whether VMs may still come there; if not, the VM stays where it runs. */
static bool takes_vms(const struct state *state, uint32_t host_slot)
{
    const struct host *host = state_host_at(state, host_slot);
    const struct zone *zone =
        host == NULL ? NULL : state_zone_at(state, host->zone);

    return host != NULL && host->state == HOST_UP && !host->cordoned &&
           !host->draining && zone->state == ZONE_UP && !zone->cordoned &&
           !zone->draining;
}

static bool may_begin(const struct vm *vm)
{
    return vm->state == VM_ASSIGNED || vm->state == VM_STARTING ||
           vm->state == VM_RUNNING;
}

/* It was to leave for a drain, which has ended before its turn came: cancelled,
 * or at the deadline. The cause and the records say so, so every leader sees
 * it, and however many there are, none begins: those that a turn does not look
 * at wait until one does. Rules 1 and 2 are not touched: the VM runs on where
 * it is, with the epoch that it has, and nothing but room is given back. */
static bool is_of_ended_drain(const struct state *state, const struct vm *vm)
{
    const struct host *host = state_host_at(state, vm->host);

    return (vm->move_cause == MOVE_CAUSE_HOST_DRAIN && !host->draining) ||
           (vm->move_cause == MOVE_CAUSE_ZONE_DRAIN &&
            !state_zone_at(state, host->zone)->draining);
}

/* Whether the entry stays in the queue. */
static bool run_queued(struct turn_plan *plan, struct move_budget *budget,
                       const struct move_queued *queued)
{
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){queued->uid});

    if (vm == NULL || !is_queued(vm)) {
        return false;
    }
    if (is_of_ended_drain(plan->scratch, vm) ||
        !takes_vms(plan->scratch, vm->move_host)) {
        place_unclaim(plan, vm);
        return false;
    }
    if (!may_begin(vm) ||
        !move_budget_take(budget, plan->scratch, vm->host, vm->move_host)) {
        return true;
    }
    begin_move(plan, vm, vm->move_host, (enum move_cause)vm->move_cause);
    return false;
}

static void keep(struct move_control *control, uint32_t *kept, uint32_t i)
{
    control->queue[(*kept)++] = control->queue[i];
}

static void sort_queue(struct move_control *control)
{
    if (!control->sorted && control->queue_count > 1) {
        qsort(control->queue, control->queue_count, sizeof(*control->queue),
              compare_queued);
        control->sorted = true;
    }
}

static void run_queue(struct move_control *control, struct turn_plan *plan,
                      struct move_budget *budget)
{
    uint32_t kept = 0;
    uint32_t i;

    sort_queue(control);
    for (i = 0; i < control->queue_count && i < MOVE_LOOKS_MAX &&
                plan->entry.len < TURN_BYTES_SOFT_MAX &&
                move_budget_left(budget, plan->scratch);
         i++) {
        if (run_queued(plan, budget, &control->queue[i])) {
            keep(control, &kept, i);
        } else {
            map_remove(&control->queued, control->queue[i].uid);
        }
    }
    for (; i < control->queue_count; i++) {
        keep(control, &kept, i);
    }
    control->queue_count = kept;
}

/* A zone is lost: what was to be moved at leisure must not keep room from what
 * has to be placed again. */
static void cancel_queue(struct move_control *control, struct turn_plan *plan)
{
    uint32_t looks = 0;

    while (control->queue_count > 0 && looks++ < MOVE_LOOKS_MAX &&
           plan->entry.len < TURN_BYTES_SOFT_MAX) {
        uint64_t uid = control->queue[--control->queue_count].uid;
        const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});

        map_remove(&control->queued, uid);
        if (vm != NULL && is_queued(vm)) {
            place_unclaim(plan, vm);
        }
    }
    control->cancelling = control->queue_count > 0;
}

/* --- Drains -------------------------------------------------------------- */

static bool is_over(bool draining, uint64_t deadline_ms,
                    const struct turn_plan *plan)
{
    return draining && deadline_ms != 0 && plan->time_ms >= deadline_ms;
}

/* What is left stays; nothing new comes until somebody says so. */
static void end_zone_drain(struct turn_plan *plan, struct zone_id id)
{
    struct change change = operation_drain_zone(state_zone(plan->scratch, id),
                                                false, 0, DRAIN_END_DEADLINE);

    turn_change(plan, &change);
    if (!state_zone(plan->scratch, id)->cordoned) {
        change.kind = CHANGE_ZONE_CORDON;
        change.zone_cordon = (struct change_zone_cordon){id, true};
        turn_change(plan, &change);
    }
}

static void end_host_drain(struct turn_plan *plan, struct host_id id)
{
    struct change change = operation_drain_host(state_host(plan->scratch, id),
                                                false, 0, DRAIN_END_DEADLINE);

    turn_change(plan, &change);
    if (!state_host(plan->scratch, id)->cordoned) {
        change.kind = CHANGE_HOST_CORDON;
        change.host_cordon = (struct change_host_cordon){id, true};
        turn_change(plan, &change);
    }
}

static void end_zone_drains(struct turn_plan *plan)
{
    for (uint32_t slot = 0; slot < state_zone_slots(plan->scratch); slot++) {
        const struct zone *zone = state_zone_at(plan->scratch, slot);

        if (zone != NULL &&
            is_over(zone->draining, zone->drain_deadline_ms, plan)) {
            end_zone_drain(plan, (struct zone_id){zone->uid});
        }
    }
}

/* As many as a turn can; the rest in the next one. */
static void end_drains(struct move_control *control, struct turn_plan *plan)
{
    uint32_t slots = state_host_slots(plan->scratch);
    uint32_t slot = control->ends_next;
    uint32_t end = slot + DRAIN_END_LOOKS_MAX;
    uint32_t ended = 0;

    end_zone_drains(plan);
    if (state_counts(plan->scratch)->hosts_draining == 0) {
        control->ends_next = 0;
        return;
    }
    for (; slot < slots && slot < end && ended < DRAIN_ENDS_MAX &&
           plan->entry.len < TURN_BYTES_SOFT_MAX;
         slot++) {
        const struct host *host = state_host_at(plan->scratch, slot);

        if (host != NULL &&
            is_over(host->draining, host->drain_deadline_ms, plan)) {
            end_host_drain(plan, (struct host_id){host->uid});
            ended++;
        }
    }
    control->ends_next = slot < slots ? slot : 0;
    control->dirty |= slot < slots;
}

/* Those for which there is a budget; how many. */
static uint32_t begin_moves(struct turn_plan *plan, struct move_budget *budget,
                            const struct rebalance_move *moves, uint32_t count)
{
    uint32_t begun = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct vm *vm = state_vm_at(plan->scratch, moves[i].vm);

        CHECK(vm != NULL && vm->host != SLOT_NONE);
        if (moves[i].host != SLOT_NONE && may_begin(vm) &&
            move_budget_take(budget, plan->scratch, vm->host, moves[i].host)) {
            begin_move(plan, vm, moves[i].host, moves[i].cause);
            begun++;
        }
    }
    return begun;
}

static bool has_drains(const struct state *state)
{
    return state_counts(state)->hosts_draining > 0 ||
           state_counts(state)->zones_draining > 0;
}

static void forget_window(struct move_control *control)
{
    control->window = (struct rebalance_window){0};
    control->stuck = 0;
    control->stuck_so_far = 0;
}

/* A window has no move that may begin now. The next one comes in the next turn;
 * after the last all of them rest until something changes, or for a while. */
static void turn_window(struct move_control *control, uint32_t stuck)
{
    control->stuck_so_far += stuck;
    if (!rebalance_window_next(&control->window)) {
        control->dirty = true;
        return;
    }
    control->stuck = control->stuck_so_far;
    control->stuck_so_far = 0;
}

/* Failover comes after this, and half of the turn's work is left to it. */
static void run_drains(struct move_control *control, struct turn_plan *plan,
                       struct move_budget *budget)
{
    struct rebalance_move moves[MOVE_BATCH_MAX];
    uint32_t count;
    uint32_t stuck;

    if (!has_drains(plan->scratch)) {
        forget_window(control);
        return;
    }
    if (PLANTED(DRAIN_RESTS) || !move_budget_left(budget, plan->scratch)) {
        return;
    }
    control->window.looks_max = 1 + turn_work_left(plan) / 2;
    count = rebalance_drains(plan->placer, plan->scratch, &control->window,
                             moves, MOVE_BATCH_MAX, &stuck);
    if (begin_moves(plan, budget, moves, count) == 0) {
        turn_window(control, stuck);
    }
}

/* --- Evening out zones --------------------------------------------------- */

bool move_control_in_window(const struct policy *policy, uint64_t time_ms)
{
    uint64_t minute = time_ms / MINUTE_MS % DAY_MINUTES;
    uint32_t start = policy->rebalance_window_start_minute;
    uint32_t end = policy->rebalance_window_end_minute;

    return start <= end ? minute >= start && minute < end
                        : minute >= start || minute < end;
}

static bool is_wanted(const struct state *state, uint64_t time_ms)
{
    const struct policy *policy = state_policy(state);

    return policy->rebalance == REBALANCE_AUTO ||
           (policy->rebalance == REBALANCE_WINDOW &&
            move_control_in_window(policy, time_ms));
}

/* Nothing is lost, watched or on its way back: evening out is not urgent, and
 * while zones are missing it would move VMs that have to move back. */
static bool is_quiet(const struct move_control *control,
                     const struct state *state)
{
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        const struct zone *zone = state_zone_at(state, slot);

        if (zone != NULL && (zone->state != ZONE_UP || zone->draining)) {
            return false;
        }
    }
    return control->pending->recovering_total == 0 && !control->judge->more &&
           state_counts(state)->vms_by_state[VM_LOST] == 0;
}

static void end_look(struct move_control *control)
{
    rebalance_destroy(control->look);
    control->look = NULL;
    control->looked = false;
}

void move_control_drop(struct move_control *control)
{
    end_look(control);
}

/* Between turns: what is found is for the next one. */
bool move_control_work(struct move_control *control)
{
    if (control->look != NULL && !control->looked) {
        control->looked = rebalance_work(control->look, REBALANCE_SLICE_VMS);
        control->dirty |= control->looked;
    }
    return control->look == NULL || control->looked;
}

/* Small regions are looked at in the turn itself, and decided on there: that
 * asks for no further turn, or one would follow the other for as long as zones
 * differ and nothing may move. */
static void run_rebalance(struct move_control *control, struct turn_plan *plan,
                          struct move_budget *budget)
{
    struct rebalance_move moves[MOVE_BATCH_MAX];
    uint32_t count;

    control->rebalancing =
        is_wanted(plan->scratch, plan->time_ms) &&
        is_quiet(control, plan->scratch) &&
        rebalance_is_due(plan->scratch, control->rebalancing);
    if (!control->rebalancing || !move_budget_left(budget, plan->scratch)) {
        end_look(control);
        return;
    }
    if (control->look == NULL) {
        control->look =
            rebalance_create(plan->scratch, plan->time_ms, MOVE_BATCH_MAX);
        control->looked = rebalance_work(control->look, REBALANCE_SLICE_VMS);
    }
    if (control->looked) {
        count = rebalance_decide(control->look, plan->placer, plan->scratch,
                                 moves, MOVE_BATCH_MAX);
        (void)begin_moves(plan, budget, moves, count);
        end_look(control);
    }
}

/* --- The controller ------------------------------------------------------ */

static uint64_t lost_zones(const struct state *state)
{
    uint64_t lost = 0;

    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        const struct zone *zone = state_zone_at(state, slot);

        if (zone != NULL && zone->state == ZONE_LOST) {
            lost |= UINT64_C(1) << slot;
        }
    }
    return lost;
}

static bool rebalances(const struct state *state)
{
    return state_policy(state)->rebalance != REBALANCE_MANUAL;
}

static void look(struct move_control *control, struct turn_plan *plan)
{
    struct move_budget budget;

    control->dirty = false;
    if (has_drains(plan->scratch)) {
        control->next_look_ms = plan->now_ms + DRAIN_LOOK_MS;
        end_drains(control, plan);
    } else {
        control->next_look_ms = plan->now_ms + REBALANCE_LOOK_MS;
    }
    count_under_way(control, plan->scratch, &budget);
    run_queue(control, plan, &budget);
    run_drains(control, plan, &budget);
    run_rebalance(control, plan, &budget);
    move_budget_close(&budget);
}

static void plan_moves(struct turn_controller *controller,
                       struct turn_plan *plan)
{
    struct move_control *control =
        container_of(controller, struct move_control, controller);
    uint64_t lost = lost_zones(plan->scratch);

    control->cancelling |= (lost & ~control->lost_zones) != 0;
    control->lost_zones = lost;
    if (control->cancelling) {
        cancel_queue(control, plan);
    }
    if (!control->judge->storm && !control->judge->more &&
        (control->dirty || plan->now_ms >= control->next_look_ms)) {
        look(control, plan);
    }
}

void move_control_init(struct move_control *control, const struct judge *judge,
                       const struct pending *pending)
{
    *control = (struct move_control){
        .controller = {plan_moves},
        .judge = judge,
        .pending = pending,
    };
    map_init(&control->queued);
    map_init(&control->under_way);
}

void move_control_close(struct move_control *control)
{
    map_close(&control->queued);
    map_close(&control->under_way);
    free(control->queue);
    end_look(control);
}

static void load(struct move_control *control, const struct state *state)
{
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL) {
            note_vm(control, vm, false);
        }
    }
}

void move_control_lead(struct move_control *control, const struct state *state)
{
    const struct judge *judge = control->judge;
    const struct pending *pending = control->pending;

    move_control_close(control);
    move_control_init(control, judge, pending);
    load(control, state);
    control->lost_zones = lost_zones(state);
    /* The former leader may not have come to the end of it. What was claimed
     * since a loss, by a plan say, is given up as well: room is short. */
    control->cancelling = control->lost_zones != 0 && control->queue_count > 0;
    control->dirty = true;
}

void move_control_note(struct move_control *control, const struct event *event)
{
    if (event->kind == EVENT_VM) {
        note_vm(control, event->vm, event->deleted);
    } else {
        control->dirty = true;
    }
}

bool move_control_is_due(const struct move_control *control,
                         const struct state *state, uint64_t now_ms)
{
    if (control->judge->storm || control->judge->more) {
        return false;
    }
    if (control->queue_count == 0 && !has_drains(state) && !rebalances(state)) {
        return false;
    }
    return control->cancelling || control->dirty ||
           now_ms >= control->next_look_ms;
}
