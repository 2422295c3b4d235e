/* SPDX-License-Identifier: Apache-2.0 */
#include "node/planner.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api_errors.h"
#include "node/group_control.h"
#include "node/limits.h"
#include "node/planner_record.h"
#include "placement/headroom.h"
#include "placement/rebalance.h"

#include <stdlib.h>
#include <string.h>

/* --- Beginning ----------------------------------------------------------- */

static void on_event(struct event_sink *sink, const struct event *event)
{
    struct turn_plan *plan = container_of(sink, struct turn_plan, sink);
    struct planner *planner = container_of(plan, struct planner, plan);

    turn_plan_event(sink, event);
    failover_note(&planner->failover, event);
    if (event->kind == EVENT_VM) {
        planner_record(planner, event->vm, event->deleted);
    }
}

/* `placer` is of the state as it is: the leader's, or the plan's own before
 * anything was decided; it may know nothing of headroom yet. */
static void zones_before(struct planner *planner, const struct placer *placer)
{
    struct plan *result = planner->result;
    const struct state *state = planner->before;

    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        const struct zone *zone = state_zone_at(state, slot);
        struct plan_zone *row = &result->zones[slot];
        struct headroom_zone headroom;

        result->zone_count = slot + 1;
        if (zone == NULL) {
            continue;
        }
        row->name = plan_zone_name(result, state, slot);
        row->vms_before = zone->vm_count;
        row->capacity_before = zone->capacity;
        row->used_before = zone->used;
        if (placer != NULL && headroom_zone(placer, state, slot, &headroom)) {
            row->unplaceable_before = headroom.unplaceable_count;
            result->headroom = true;
        }
    }
}

void planner_begin(struct planner *planner, const struct planner_start *start,
                   const Holdfast__V1__PlanAction *action, bool brief,
                   struct api_reply *reply)
{
    *planner = (struct planner){
        .before = state_clone(start->state),
        .message = action,
        .reply = reply,
        .result = plan_create(),
        .brief = brief,
        .recording = !brief,
        .start_ms = start->start_ms,
    };
    if (start->voters != NULL) {
        planner->voters = *start->voters;
    }
    planner->plan = (struct turn_plan){
        .scratch = state_clone(start->state),
        .placer = placer_create(),
        .time_ms = start->time_ms,
        .now_ms = start->time_ms,
        .voters = &planner->voters,
        .dry_run = true,
        .sink = {on_event},
    };
    state_begin(planner->plan.scratch, start->time_ms);
    bytes_init(&planner->plan.entry);
    leases_init(&planner->leases);
    judge_init(&planner->judge, &planner->leases);
    failover_init(&planner->failover, &planner->judge);
    failover_lead(&planner->failover, planner->before);
    planner->failover.had_hosts = true;
    planner->failover.assign_max = PLAN_SLICE_PLACED;
    planner->drains.looks_max = PLAN_SLICE_WORK;
    map_init(&planner->steps);
    map_init(&planner->starts);
    planner->result->revision = state_revision(start->state);
    planner->result->time_ms = start->time_ms;
    zones_before(planner, start->placer);
    if (start->placer != NULL) {
        placer_share(planner->plan.placer, start->placer);
    }
    placer_rebuild_begin(planner->plan.placer, planner->plan.scratch);
}

void planner_close(struct planner *planner)
{
    plan_action_close(&planner->action);
    rebalance_destroy(planner->look);
    failover_close(&planner->failover);
    leases_close(&planner->leases);
    placer_destroy(planner->plan.placer);
    state_destroy(planner->plan.scratch);
    state_destroy(planner->before);
    bytes_close(&planner->plan.entry);
    plan_destroy(planner->result);
    map_close(&planner->steps);
    map_close(&planner->starts);
    free(planner->leaving);
    free(planner->arrived);
    planner_forget_reasons(planner);
}

/* --- Hosts that obey ----------------------------------------------------- */

static void leave(struct turn_plan *plan, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_RELEASE};

    change.vm_release = (struct change_vm_release){
        .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"planned", 7}};
    turn_change(plan, &change);
}

/* Some of those that were told to stop have stopped, and what was assigned
 * runs. True when nobody is left. */
static bool obey(struct planner *planner)
{
    struct turn_plan *plan = &planner->plan;
    uint32_t left = PLAN_SLICE_VMS;

    for (; planner->arrived_count > 0 && left > 0; left--) {
        uint64_t uid = planner->arrived[--planner->arrived_count];
        const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});
        struct change change = {.kind = CHANGE_VM_REPORT};

        if (vm != NULL && vm->state == VM_ASSIGNED) {
            change.vm_report =
                (struct change_vm_report){{uid}, vm->epoch, VM_RUNNING};
            turn_change(plan, &change);
        }
    }
    for (; planner->leaving_count > 0 && left > 0; left--) {
        uint64_t uid = planner->leaving[--planner->leaving_count];
        const struct vm *vm = state_vm(plan->scratch, (struct vm_id){uid});

        if (vm != NULL && vm->host != SLOT_NONE && vm->state == VM_STOPPING) {
            leave(plan, vm);
        }
    }
    return planner->arrived_count == 0 && planner->leaving_count == 0;
}

/* --- The phases ---------------------------------------------------------- */

static void enter(struct planner *planner, enum planner_phase phase)
{
    planner->phase = phase;
    planner->cursor = 0;
    planner->rounds = 0;
}

/* Headroom is being worked out for the action, by what prepare() does. Each
 * host that is named may need that once. */
static bool is_unknown_yet(struct planner *planner)
{
    struct api_reply *reply = planner->reply;

    if (planner->brief || planner->rounds++ > PLAN_NAMES_MAX ||
        reply->reason != api_error_entry(API_HEADROOM_UNKNOWN)->reason) {
        return false;
    }
    reply->code = RPC_OK;
    reply->reason = NULL;
    reply->message[0] = '\0';
    return true;
}

/* Whether something may be done is also a question of headroom, and what a plan
 * changes of it is a question of how it was. */
static void prepare(struct planner *planner)
{
    struct placer *placer = planner->plan.placer;
    const struct state *state = planner->plan.scratch;

    if (!placer_work(placer, state, PLACER_SLICE_HOSTS) ||
        (!planner->brief &&
         !headroom_work(placer, state, HEADROOM_SLICE_VMS))) {
        return;
    }
    if (!planner->brief && !planner->result->headroom) {
        zones_before(planner, planner->plan.placer);
    }
    if (plan_action_begin(&planner->action, planner->message, &planner->plan,
                          planner->result, planner->reply)) {
        enter(planner, PLANNER_FENCE);
    } else if (!is_unknown_yet(planner)) {
        enter(planner, PLANNER_FAILED);
    }
}

/* Failover as it would go on, turn after turn, until nothing is left that it
 * could do. */
static void place(struct planner *planner)
{
    struct turn_plan *plan = &planner->plan;
    struct failover *failover = &planner->failover;

    if (planner->action.undecided) {
        enter(planner, PLANNER_MOVE);
        return;
    }
    if (!failover_work(failover, plan->scratch) || !obey(planner)) {
        return;
    }
    if (failover_is_due(failover, plan->scratch, plan->now_ms) &&
        planner->rounds++ < PLAN_ROUNDS_MAX) {
        failover->controller.plan(&failover->controller, plan);
        return;
    }
    /* What runs late after a group's or a drain's changes comes back here. */
    if (planner->action.group.uid != 0) {
        enter(planner, PLANNER_GROUP);
    } else {
        enter(planner, PLANNER_DRAIN);
    }
}

static void control_group(struct planner *planner)
{
    struct group_id id = planner->action.group;
    bool wants_room = false;
    uint32_t decided = 0;

    if (!obey(planner)) {
        return;
    }
    if (state_group(planner->plan.scratch, id) != NULL &&
        planner->rounds++ < PLAN_ROUNDS_MAX) {
        decided = group_control_decide(&planner->plan, id, PLAN_SLICE_MEMBERS,
                                       &wants_room);
    }
    if (wants_room) {
        const struct group *group = state_group(planner->plan.scratch, id);

        plan_warn(planner->result,
                  "of %u members of group '%s' only %u are made: more would "
                  "leave the loss of a zone without an answer",
                  group->count, group->name, group->vm_count);
        decided = 0;
    }
    if (decided == 0) {
        planner->action.group.uid = 0;
        enter(planner, PLANNER_PLACE);
    }
}

/* Moves become claims: all of them hold at once, as they will when the plan is
 * applied. */
static uint32_t claim_moves(struct planner *planner,
                            const struct rebalance_move *moves, uint32_t count)
{
    struct turn_plan *plan = &planner->plan;
    uint32_t claimed = 0;

    for (uint32_t i = 0; i < count; i++) {
        const struct vm *vm = state_vm_at(plan->scratch, moves[i].vm);
        struct change change = {.kind = CHANGE_VM_CLAIM};

        if (moves[i].host == SLOT_NONE || vm->moving != MOVE_NONE ||
            vm->host == SLOT_NONE || vm->state == VM_STOPPING ||
            vm->state == VM_LOST) {
            continue;
        }
        change.vm_claim = (struct change_vm_claim){
            {vm->uid},
            {state_host_at(plan->scratch, moves[i].host)->uid},
            moves[i].cause,
            planner->result->step_count + 1,
        };
        turn_change(plan, &change);
        claimed++;
    }
    return claimed;
}

static bool may_claim(const struct planner *planner)
{
    return state_policy(planner->plan.scratch)->uid != 0 &&
           planner->rounds < PLAN_ROUNDS_MAX && !planner->truncated;
}

/* A move that headroom forbids, and one of which it does not know yet, look the
 * same: so what keeps headroom has to be known again after each part of them,
 * as it is between turns. */
static bool knows_headroom(struct planner *planner)
{
    return headroom_work(planner->plan.placer, planner->plan.scratch,
                         HEADROOM_SLICE_VMS);
}

/* A window of what is drained; true while there are more, or a pass over all of
 * it still found some that can leave. */
static bool drain_on(struct planner *planner)
{
    struct rebalance_move moves[MOVE_BATCH_MAX];
    uint32_t claimed;
    uint32_t stuck; /* Is told of when all is done. */

    if (!planner->action.drains || !may_claim(planner)) {
        return false;
    }
    if (!knows_headroom(planner)) {
        return true;
    }
    planner->rounds++;
    claimed = claim_moves(
        planner, moves,
        rebalance_drains(planner->plan.placer, planner->plan.scratch,
                         &planner->drains, moves, MOVE_BATCH_MAX, &stuck));
    planner->drained += claimed;
    if (claimed > 0) {
        return true;
    }
    if (!rebalance_window_next(&planner->drains)) {
        return true;
    }
    if (planner->drained == 0) {
        return false;
    }
    planner->drained = 0;
    return true;
}

static void drain(struct planner *planner)
{
    if (drain_on(planner)) {
        return;
    }
    enter(planner, PLANNER_REGROUP);
}

/* Members that break their group's new rules. */
static void regroup(struct planner *planner)
{
    struct turn_plan *plan = &planner->plan;
    const struct group *group =
        state_group(plan->scratch, planner->action.regroup);
    struct rebalance_move moves[MOVE_BATCH_MAX];
    uint32_t claimed = 0;
    uint32_t stuck = 0;

    if (group != NULL && may_claim(planner)) {
        if (!knows_headroom(planner)) {
            return;
        }
        planner->rounds++;
        claimed = claim_moves(planner, moves,
                              rebalance_group(plan->placer, plan->scratch,
                                              uid_slot(group->uid), moves,
                                              MOVE_BATCH_MAX, &stuck));
    }
    if (claimed > 0) {
        return;
    }
    if (stuck > 0) {
        plan_warn(planner->result,
                  "%u member%s of group '%s' break%s its rules and stay%s: "
                  "disks, other rules, headroom or room keep them there",
                  stuck, stuck == 1 ? "" : "s", group->name,
                  stuck == 1 ? "s" : "", stuck == 1 ? "s" : "");
    }
    enter(planner, PLANNER_REBALANCE);
}

/* Zones that differ, and a plan that does nothing about it, need a word. */
static void warn_of_resting(struct planner *planner)
{
    const struct state *state = planner->plan.scratch;
    uint32_t resting;

    if (!planner->action.rebalances || !rebalance_is_due(state, true)) {
        return;
    }
    resting = rebalance_resting(state, planner->plan.time_ms);
    if (resting > 0) {
        plan_warn(planner->result,
                  "%u VM%s where too much is came there less than %u s ago and "
                  "rest%s (vm_cool_down_ms); plan again later",
                  resting, resting == 1 ? "" : "s",
                  state_policy(state)->vm_cool_down_ms / 1000,
                  resting == 1 ? "s" : "");
    }
}

static bool should_rebalance(const struct planner *planner)
{
    return planner->action.rebalances && may_claim(planner) &&
           rebalance_is_due(planner->plan.scratch, planner->rounds > 0);
}

static void rebalance(struct planner *planner)
{
    struct turn_plan *plan = &planner->plan;
    struct rebalance_move moves[MOVE_BATCH_MAX];
    uint32_t claimed = 0;

    if (planner->look == NULL && should_rebalance(planner)) {
        if (!knows_headroom(planner)) {
            return;
        }
        planner->rounds++;
        planner->look =
            rebalance_create(plan->scratch, plan->time_ms, MOVE_BATCH_MAX);
    }
    if (planner->look != NULL) {
        if (!rebalance_work(planner->look, REBALANCE_SLICE_VMS)) {
            return;
        }
        claimed =
            claim_moves(planner, moves,
                        rebalance_decide(planner->look, plan->placer,
                                         plan->scratch, moves, MOVE_BATCH_MAX));
        rebalance_destroy(planner->look);
        planner->look = NULL;
    }
    if (claimed == 0) {
        warn_of_resting(planner);
        enter(planner, PLANNER_MOVE);
    }
}

/* What holds room elsewhere goes there: so that it shows what is used, and what
 * is proved, afterwards. */
static void move(struct planner *planner)
{
    struct turn_plan *plan = &planner->plan;
    uint32_t end = planner->cursor + PLAN_SLICE_VMS;

    planner->recording = false;
    for (;
         planner->cursor < planner->result->step_count && planner->cursor < end;
         planner->cursor++) {
        struct vm_id id = {planner->result->steps[planner->cursor].vm};
        const struct vm *vm = state_vm(plan->scratch, id);
        struct change change = {.kind = CHANGE_VM_MOVE};
        uint32_t target;

        if (vm == NULL || vm->moving != MOVE_CLAIMED || vm->host == SLOT_NONE) {
            continue;
        }
        target = vm->move_host;
        change.vm_move = (struct change_vm_move){
            .vm = id,
            .host = {state_host_at(plan->scratch, target)->uid},
            .cause = (enum move_cause)vm->move_cause};
        turn_change(plan, &change);
        leave(plan, state_vm(plan->scratch, id));
        place_assign(plan, state_vm(plan->scratch, id), target);
    }
    if (planner->cursor == planner->result->step_count) {
        enter(planner, PLANNER_PROVE);
    }
}

static void zones_after(struct planner *planner)
{
    struct plan *result = planner->result;
    const struct state *state = planner->plan.scratch;
    bool enforced = state_policy(state)->headroom == HEADROOM_ENFORCE;
    bool known = result->headroom && !planner->action.undecided;

    result->headroom_mode = (uint8_t)state_policy(state)->headroom;
    result->headroom = false;
    for (uint32_t slot = 0; slot < result->zone_count; slot++) {
        const struct zone *zone = state_zone_at(state, slot);
        struct plan_zone *row = &result->zones[slot];
        struct headroom_zone headroom;

        if (zone == NULL) {
            continue;
        }
        row->vms_after = zone->vm_count;
        row->capacity_after = zone->capacity;
        row->used_after = zone->used;
        if (!planner->brief &&
            headroom_zone(planner->plan.placer, state, slot, &headroom)) {
            row->unplaceable_after = headroom.unplaceable_count;
            result->headroom = known;
        }
        if (result->headroom &&
            row->unplaceable_after > row->unplaceable_before) {
            plan_warn(result,
                      "%u VM%s more than now could not be placed if zone '%s' "
                      "were lost afterwards",
                      row->unplaceable_after - row->unplaceable_before,
                      row->unplaceable_after - row->unplaceable_before == 1
                          ? ""
                          : "s",
                      zone->name);
            result->risky |= enforced;
        }
    }
}

static void prove(struct planner *planner)
{
    if (!planner->brief &&
        !headroom_work(planner->plan.placer, planner->plan.scratch,
                       HEADROOM_SLICE_VMS)) {
        return;
    }
    zones_after(planner);
    enter(planner, planner->brief ? PLANNER_DONE : PLANNER_EXPLAIN);
}

static void warn_of_staying(struct plan *result, uint32_t count,
                            const char *why)
{
    if (count > 0) {
        plan_warn(result, "%u VM%s cannot leave and stay%s: %s", count,
                  count == 1 ? "" : "s", count == 1 ? "s" : "", why);
    }
}

static void finish(struct planner *planner)
{
    struct plan *result = planner->result;
    bool rebalances = planner->action.message->action_case ==
                      HOLDFAST__V1__PLAN_ACTION__ACTION_REBALANCE;

    plan_sum_up(result);
    warn_of_staying(result, planner->stuck, "disks, rules or room keep them");
    warn_of_staying(result, planner->guarded,
                    "headroom keeps them, for the loss of a zone could not be "
                    "survived without; a drain with accept_risk moves them");
    if (planner->truncated) {
        plan_warn(result, "more than %d steps: the rest is not shown",
                  PLAN_STEPS_MAX);
    }
    result->grows = planner->action.imagined;
    result->applicable = !planner->action.loss && !planner->action.imagined &&
                         !planner->action.refused && !planner->truncated &&
                         result->counts[PLAN_PREEMPT] == 0 &&
                         result->counts[PLAN_RESTART] == 0 &&
                         (!rebalances || result->step_count > 0);
    enter(planner, PLANNER_DONE);
}

bool planner_work(struct planner *planner)
{
    bytes_clear(&planner->plan.entry); /* Nobody wants it. */
    turn_work_begin(&planner->plan, PLAN_SLICE_WORK);
    switch (planner->phase) {
    case PLANNER_PREPARE:
        prepare(planner);
        break;
    case PLANNER_FENCE:
        if (plan_action_fence(&planner->action, &planner->plan,
                              PLAN_SLICE_HOSTS)) {
            enter(planner, PLANNER_PLACE);
        }
        break;
    case PLANNER_PLACE:
        place(planner);
        break;
    case PLANNER_GROUP:
        control_group(planner);
        break;
    case PLANNER_DRAIN:
        drain(planner);
        break;
    case PLANNER_REGROUP:
        regroup(planner);
        break;
    case PLANNER_REBALANCE:
        rebalance(planner);
        break;
    case PLANNER_MOVE:
        move(planner);
        break;
    case PLANNER_PROVE:
        prove(planner);
        break;
    case PLANNER_EXPLAIN:
        if (planner_explain(planner)) {
            finish(planner);
        }
        break;
    case PLANNER_DONE:
    case PLANNER_FAILED:
        break;
    }
    return planner->phase >= PLANNER_DONE;
}

struct plan *planner_take(struct planner *planner)
{
    struct plan *result = planner->result;

    CHECK(planner->phase == PLANNER_DONE);
    planner->result = NULL;
    return result;
}
