/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check_plans.h"

#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RULE "plans-are-kept"

/* --- Of one piece --------------------------------------------------------- */

static uint32_t steps_of(const Holdfast__V1__MakePlanResponse *shown,
                         Holdfast__V1__PlanStepKind kind)
{
    uint32_t count = 0;

    for (size_t i = 0; i < shown->n_steps; i++) {
        count += shown->steps[i]->kind == kind;
    }
    return count;
}

static uint32_t unplaced_in(const Holdfast__V1__MakePlanResponse *shown)
{
    uint32_t count = 0;

    for (size_t i = 0; i < shown->n_unplaced; i++) {
        count += !shown->unplaced[i]->waited_before;
    }
    return count;
}

static bool adds_up(const Holdfast__V1__MakePlanResponse *shown)
{
    const Holdfast__V1__PlanTotals *totals = shown->plan->totals;
    uint32_t unplaced = unplaced_in(shown);
    bool grows = shown->plan->action->action_case ==
                 HOLDFAST__V1__PLAN_ACTION__ACTION_ADD_HOSTS;

    for (size_t i = 0; i < shown->n_steps; i++) {
        if (shown->steps[i]->order != i + 1) {
            return false;
        }
    }
    return totals->moves ==
               steps_of(shown,
                        HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_MOVE) &&
           totals->restarts ==
               steps_of(shown,
                        HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_RESTART) &&
           totals->starts ==
               steps_of(shown,
                        HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_START) &&
           totals->creates ==
               steps_of(shown,
                        HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_CREATE) &&
           totals->deletes ==
               steps_of(shown,
                        HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_DELETE) &&
           totals->unplaced == unplaced &&
           totals->waiting == shown->n_unplaced - unplaced &&
           shown->plan->changes == (grows || shown->n_steps + unplaced > 0);
}

/* Nobody can bring about a loss, or hosts that are not there. */
static bool is_imagined(const Holdfast__V1__PlanAction *action)
{
    return action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS ||
           action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_HOST_LOSS ||
           action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_ADD_HOSTS;
}

void sim_check_plan(struct sim_world *world,
                    const Holdfast__V1__MakePlanResponse *shown)
{
    if (!adds_up(shown)) {
        sim_violation(world, RULE,
                      "plan %s has %zu steps and %zu VMs unplaced, and says "
                      "otherwise",
                      shown->plan->id, shown->n_steps, shown->n_unplaced);
    } else if (shown->plan->applicable && is_imagined(shown->plan->action)) {
        sim_violation(world, RULE, "plan %s of a loss can be applied",
                      shown->plan->id);
    }
}

static bool same_message(const ProtobufCMessage *a, const ProtobufCMessage *b)
{
    size_t len = protobuf_c_message_get_packed_size(a);
    uint8_t *left = memory_alloc(len + 1);
    uint8_t *right = memory_alloc(protobuf_c_message_get_packed_size(b) + 1);
    bool same =
        protobuf_c_message_pack(a, left) == protobuf_c_message_pack(b, right) &&
        memcmp(left, right, len) == 0;

    free(left);
    free(right);
    return same;
}

void sim_check_same_plan(struct sim_world *world,
                         const Holdfast__V1__MakePlanResponse *shown,
                         const Holdfast__V1__GetPlanResponse *again)
{
    bool same = shown->n_steps == again->n_steps &&
                shown->n_unplaced == again->n_unplaced &&
                same_message(&shown->plan->base, &again->plan->base);

    for (size_t i = 0; same && i < shown->n_steps; i++) {
        same = same_message(&shown->steps[i]->base, &again->steps[i]->base);
    }
    for (size_t i = 0; same && i < shown->n_unplaced; i++) {
        same =
            same_message(&shown->unplaced[i]->base, &again->unplaced[i]->base);
    }
    if (!same) {
        sim_violation(world, RULE, "plan %s is another one the second time",
                      shown->plan->id);
    }
}

/* --- Applied -------------------------------------------------------------- */

static struct text lend(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static bool is_host(const struct state *state, uint32_t slot, const char *name)
{
    return slot != SLOT_NONE &&
           strcmp(state_host_at(state, slot)->name, name) == 0;
}

/* It is there, or has room held there. */
static bool is_bound_for(const struct state *state, const struct vm *vm,
                         const char *host)
{
    return is_host(state, vm->host, host) ||
           (vm_holds_claim(vm) && is_host(state, vm->move_host, host));
}

/* Whether the step has been decided. */
static bool is_done(const Holdfast__V1__PlanStep *step,
                    const struct state *before, const struct state *after)
{
    const struct vm *was = state_vm_named(before, lend(step->vm));
    const struct vm *is = state_vm_named(after, lend(step->vm));

    switch (step->kind) {
    case HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_MOVE:
        return was != NULL && is != NULL &&
               is_host(after, is->host, step->from_host) &&
               vm_holds_claim(is) &&
               is_host(after, is->move_host, step->to_host);
    case HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_START:
        return was != NULL && is != NULL &&
               is_bound_for(after, is, step->to_host);
    case HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_CREATE:
        return was == NULL && is != NULL &&
               (step->to_host[0] == '\0' ||
                is_bound_for(after, is, step->to_host));
    case HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_DELETE:
        return was != NULL && (is == NULL || is->deleting);
    default:
        return false; /* Nobody can do that. */
    }
}

static bool is_in(const Holdfast__V1__MakePlanResponse *shown, const char *vm)
{
    for (size_t i = 0; i < shown->n_steps; i++) {
        if (strcmp(shown->steps[i]->vm, vm) == 0) {
            return true;
        }
    }
    return false;
}

/* Where it is, where it goes, and whether it is to be. */
static bool is_as_it_was(const struct vm *was, const struct vm *is)
{
    return was != NULL && is != NULL && was->uid == is->uid &&
           was->host == is->host && was->moving == is->moving &&
           was->move_host == is->move_host && was->deleting == is->deleting &&
           was->desired == is->desired;
}

/* The first VM that is not in the plan and had something done to it. */
static const struct vm *touched(const Holdfast__V1__MakePlanResponse *shown,
                                const struct state *a, const struct state *b)
{
    for (uint32_t slot = 0; slot < state_vm_slots(a); slot++) {
        const struct vm *vm = state_vm_at(a, slot);

        if (vm != NULL && !is_in(shown, vm->name) &&
            !is_as_it_was(vm, state_vm_named(b, lend(vm->name)))) {
            return vm;
        }
    }
    return NULL;
}

static void check_done(struct sim_world *world,
                       const Holdfast__V1__MakePlanResponse *shown,
                       const struct state *before, const struct state *after)
{
    const struct vm *other = touched(shown, before, after);

    for (size_t i = 0; i < shown->n_steps; i++) {
        const Holdfast__V1__PlanStep *step = shown->steps[i];

        if (!is_done(step, before, after)) {
            sim_violation(world, RULE,
                          "plan %s is applied, and its step %" PRIu32
                          " (%d, %s from %s to %s) is not",
                          shown->plan->id, step->order, (int)step->kind,
                          step->vm, step->from_host, step->to_host);
        }
    }
    other = other == NULL ? touched(shown, after, before) : other;
    if (other != NULL) {
        sim_violation(world, RULE,
                      "plan %s is applied, and does something to %s, which is "
                      "not in it",
                      shown->plan->id, other->name);
    }
}

/* Of the very state that it rests on, a plan that can be applied must not be
 * stale. What is proved of headroom at that moment is no part of the state. */
static void check_refused(struct sim_world *world,
                          const Holdfast__V1__MakePlanResponse *shown,
                          const struct state *before,
                          const struct api_reply *reply)
{
    if (strcmp(reply->reason, "PLAN_STALE") == 0 &&
        state_revision(before) == shown->plan->revision &&
        state_policy(before)->headroom != HEADROOM_ENFORCE) {
        sim_violation(world, RULE,
                      "plan %s is refused as stale, and nothing has changed "
                      "since",
                      shown->plan->id);
    }
}

void sim_check_applied(struct sim_world *world,
                       const Holdfast__V1__MakePlanResponse *shown,
                       const struct state *before, const struct state *after,
                       const struct api_reply *reply)
{
    if (reply->code != RPC_OK) {
        check_refused(world, shown, before, reply);
    } else if (!shown->plan->applicable) {
        sim_violation(world, RULE, "plan %s is applied, and cannot be",
                      shown->plan->id);
    } else {
        check_done(world, shown, before, after);
    }
}

/* --- Come true ------------------------------------------------------------ */

static const Holdfast__V1__PlanUnplaced *unplaced_of(
    const Holdfast__V1__MakePlanResponse *shown, const char *vm)
{
    for (size_t i = 0; i < shown->n_unplaced; i++) {
        if (strcmp(shown->unplaced[i]->vm, vm) == 0) {
            return shown->unplaced[i];
        }
    }
    return NULL;
}

/* A move that began after the plan took it into the zone, before anybody knew
 * that this was lost. */
static bool came_too_late(const struct vm *vm,
                          const Holdfast__V1__MakePlanResponse *shown)
{
    return vm->state == VM_LOST &&
           vm->assign_time_ms > shown->plan->create_time_ms;
}

/* Whether VMs contend for room: turns are planned one after the other, as
 * hosts' leases end, and the plan at once; so the last places may go to others.
 * A group's new member contends, too. */
static bool is_contended(const struct state *state,
                         const Holdfast__V1__MakePlanResponse *shown)
{
    for (size_t i = 0; i < shown->n_unplaced; i++) {
        Holdfast__V1__PendingReason reason = shown->unplaced[i]->reason;

        if (reason !=
                HOLDFAST__V1__PENDING_REASON__PENDING_REASON_HELD_BY_POLICY &&
            reason !=
                HOLDFAST__V1__PENDING_REASON__PENDING_REASON_ZONE_UNAVAILABLE &&
            reason !=
                HOLDFAST__V1__PENDING_REASON__PENDING_REASON_DISK_NOT_REACHABLE) {
            return true;
        }
    }
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL && (vm->create_time_ms > shown->plan->create_time_ms ||
                           came_too_late(vm, shown))) {
            return true;
        }
    }
    return steps_of(shown,
                    HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_PREEMPT) > 0;
}

static void check_vm(struct sim_world *world, const struct vm *vm,
                     const Holdfast__V1__MakePlanResponse *shown)
{
    const Holdfast__V1__PlanUnplaced *unplaced = unplaced_of(shown, vm->name);

    if (vm->state != VM_RUNNING && unplaced == NULL) {
        sim_violation(world, RULE,
                      "VM %s (state %d, reason %d) waits after the loss, and "
                      "plan %s had a place for it",
                      vm->name, vm->state, vm->pending_reason, shown->plan->id);
    } else if (vm->state == VM_RUNNING && unplaced != NULL) {
        sim_violation(world, RULE,
                      "VM %s runs after the loss, and plan %s had no place for "
                      "it: %s",
                      vm->name, shown->plan->id, unplaced->message);
    }
}

void sim_check_foreseen(struct sim_world *world,
                        const Holdfast__V1__MakePlanResponse *shown)
{
    const struct sim_node *leader = sim_world_leader(world);

    if (leader == NULL || is_contended(leader->engine.state, shown)) {
        return;
    }
    world->figures.foreseen++;
    for (uint32_t slot = 0; slot < state_vm_slots(leader->engine.state);
         slot++) {
        const struct vm *vm = state_vm_at(leader->engine.state, slot);

        if (vm != NULL && vm->desired == DESIRED_RUNNING) {
            check_vm(world, vm, shown);
        }
    }
}
