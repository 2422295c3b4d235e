/* SPDX-License-Identifier: Apache-2.0
 *
 * ApplyPlan: exactly what the plan shows, or nothing. All of it is tried first;
 * a step that no longer holds, or an entry that would be too large, refuses the
 * whole. Moves become claims, which begin in the plan's order within the
 * budgets; what waits for room that others leave holds that room. */
#include "base/check.h"
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_plan.h"
#include "node/api_whole.h"
#include "node/applies.h"
#include "node/group_control.h"
#include "node/limits.h"
#include "node/place.h"
#include "node/plan_action.h"
#include "node/plan_book.h"
#include "node/view.h"

#include <stdlib.h>
#include <string.h>

#define PLAN_ARENA_BYTES (8u << 20)

/* Everything that one application is made of. */
struct application {
    struct api_whole whole;
    const Holdfast__V1__ApplyPlanRequest *request;
    struct api_reply *reply;
    struct arena *arena;
    Holdfast__V1__ApplyPlanResponse *response;
    const struct plan *found;
    const Holdfast__V1__PlanAction *action;
    const char *risk_reason; /* NULL: no risk is accepted. */
};

static const struct host *target_of(const struct turn_plan *plan,
                                    const struct plan_step *step)
{
    const struct host *host =
        state_host(plan->scratch, (struct host_id){step->to_uid});

    return host != NULL && host->state == HOST_UP ? host : NULL;
}

/* What a drain moves stays its own: when it ends early, those that have not
 * begun stay (node/move_control.c). */
static enum move_cause cause_of(const struct plan_step *step)
{
    return step->cause == MOVE_CAUSE_HOST_DRAIN ||
                   step->cause == MOVE_CAUSE_ZONE_DRAIN
               ? (enum move_cause)step->cause
               : MOVE_CAUSE_PLAN;
}

static bool apply_move(const struct plan_step *step, uint32_t order,
                       struct turn_plan *plan)
{
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){step->vm});
    const struct host *host = target_of(plan, step);
    struct change change = {.kind = CHANGE_VM_CLAIM};

    if (vm == NULL || host == NULL || vm->host == SLOT_NONE ||
        vm->host == uid_slot(host->uid) || vm->moving != MOVE_NONE ||
        vm->state < VM_ASSIGNED || vm->state > VM_RUNNING ||
        !place_fits_beside(plan->scratch, vm, uid_slot(host->uid))) {
        return false;
    }
    change.vm_claim =
        (struct change_vm_claim){{vm->uid}, {host->uid}, cause_of(step), order};
    turn_change(plan, &change);
    return true;
}

/* Whether it may be assigned there. The room is free where headroom alone says
 * no: what that holds there, it held for the fleet as it was. Of the fleet that
 * the plan makes the plan has proved that no more is lost with any zone, or it
 * is risky. */
static bool may_take(enum placement_refusal refusal)
{
    return refusal == PLACEMENT_REFUSAL_COUNT || refusal == REFUSED_HEADROOM;
}

/* What the plan deletes is still there, and what is reserved has no other room
 * until it has gone. Nobody can hold that as room is held; so the VM waits like
 * any other, and is placed where there is a place then, which the plan has
 * shown. */
static bool waits_for_deleted(const struct application *application,
                              enum placement_refusal refusal)
{
    return application->found->counts[PLAN_DELETE] > 0 &&
           refusal == REFUSED_RESERVED;
}

/* Where the plan has it; if others are still there, once they have gone. A move
 * that the plan found to be in vain, or room that it holds elsewhere, is given
 * up first. */
static bool apply_place(const struct application *application,
                        const struct plan_step *step, const struct vm *vm,
                        struct turn_plan *plan)
{
    const struct host *host = target_of(plan, step);
    enum placement_refusal refusal;
    uint32_t slot;

    if (vm == NULL || vm->state != VM_PENDING || host == NULL) {
        return false;
    }
    slot = uid_slot(host->uid);
    refusal = placer_refusal(plan->placer, plan->scratch, vm, slot);
    if (refusal != PLACEMENT_REFUSAL_COUNT && vm->moving != MOVE_NONE) {
        if (vm_holds_claim(vm) && vm->move_host == slot) {
            return place_passes(plan->scratch, vm, slot, refusal);
        }
        vm = place_free(plan, vm);
        refusal = placer_refusal(plan->placer, plan->scratch, vm, slot);
    }
    if (may_take(refusal)) {
        place_assign(plan, vm, slot);
        return true;
    }
    if (waits_for_deleted(application, refusal)) {
        return true;
    }
    return place_passes(plan->scratch, vm, slot, refusal) &&
           place_fits_later(plan->scratch, vm, slot) &&
           place_claim(plan, vm, slot, MOVE_CAUSE_PLAN);
}

static struct group_id group_of(const struct application *application,
                                const struct turn_plan *plan)
{
    const Holdfast__V1__PlanAction *action = application->action;
    const char *name = "";
    const struct group *group;

    if (action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_SCALE_GROUP) {
        name = action->scale_group->name;
    } else if (action->action_case ==
               HOLDFAST__V1__PLAN_ACTION__ACTION_UPDATE_GROUP) {
        name = action->update_group->group->name;
    }
    group = state_group_named(plan->scratch, text_of(name));
    return (struct group_id){group == NULL ? 0 : group->uid};
}

static bool apply_create(const struct application *application,
                         const struct plan_step *step, struct turn_plan *plan)
{
    const char *name = plan_text(application->found, step->name);
    struct group_id id = group_of(application, plan);

    if (id.uid == 0 || state_vm_named(plan->scratch, text_of(name)) != NULL ||
        state_counts(plan->scratch)->vms >= VMS_MAX) {
        return false;
    }
    group_control_make(plan, id, name);
    if (step->to_uid == 0) {
        place_vm(plan, state_vm_named(plan->scratch, text_of(name)), NULL);
        return true;
    }
    return apply_place(application, step,
                       state_vm_named(plan->scratch, text_of(name)), plan);
}

static bool apply_step(const struct application *application, uint32_t number,
                       struct turn_plan *plan)
{
    const struct plan_step *step = &application->found->steps[number];
    const struct vm *vm = state_vm(plan->scratch, (struct vm_id){step->vm});

    switch (step->kind) {
    case PLAN_MOVE:
        return apply_move(step, number + 1, plan);
    case PLAN_START:
        return apply_place(application, step, vm, plan);
    case PLAN_CREATE:
        return apply_create(application, step, plan);
    case PLAN_DELETE:
        if (vm != NULL && !vm->deleting) {
            group_control_delete(plan, uid_slot(step->vm));
        }
        return vm != NULL;
    default:
        CHECK_UNREACHABLE("a step of a plan that can be applied");
    }
}

static bool fail_stale(const struct plan *found, struct api_reply *reply)
{
    api_fail(reply, API_PLAN_STALE,
             "id: what plan '%s' rests on has changed since revision %llu; "
             "make it again",
             found->id, (unsigned long long)found->revision);
    return false;
}

/* After the members that were made: a name is not used again. */
static uint32_t next_number(const struct application *application,
                            const struct turn_plan *plan)
{
    const struct plan *found = application->found;
    uint32_t next =
        state_group(plan->scratch, group_of(application, plan))->next_member;

    for (uint32_t i = 0; i < found->step_count; i++) {
        const char *name = plan_text(found, found->steps[i].name);
        const char *dash = strrchr(name, '-');

        if (found->steps[i].kind == PLAN_CREATE && dash != NULL) {
            uint32_t number = (uint32_t)strtoul(dash + 1, NULL, 10);

            next = number >= next ? number + 1 : next;
        }
    }
    return next;
}

static bool perform(const struct application *application,
                    struct turn_plan *plan, struct api_reply *reply)
{
    const struct plan *found = application->found;

    if (!plan_action_apply(application->action, plan, application->risk_reason,
                           reply)) {
        return false;
    }
    for (uint32_t i = 0; i < found->step_count; i++) {
        if (!apply_step(application, i, plan)) {
            return fail_stale(found, reply);
        }
        if (plan->entry.len > TURN_REQUEST_BYTES_MAX) {
            break; /* Too large: see decide(). */
        }
    }
    if (found->counts[PLAN_CREATE] > 0) {
        group_control_count(plan, group_of(application, plan),
                            next_number(application, plan));
    }
    return true;
}

static void record(const struct application *application,
                   struct turn_plan *plan)
{
    const struct apply_request apply = {APPLY_PLAN, application->found->id,
                                        application->request->request_id};
    char name[OPERATION_NAME_BYTES];

    if (!application->request->dry_run) {
        applies_record(plan, &apply, application->reply, name);
        application->response->operation_id =
            view_string(application->arena, name);
    }
}

/* On a trial, see api_whole.h: every step holds, and all of it fits one entry.
 */
static bool decide(struct api_whole *whole, struct turn_plan *plan)
{
    const struct application *application =
        container_of(whole, struct application, whole);
    const struct plan *found = application->found;
    struct api_reply *reply = application->reply;

    if (!perform(application, plan, reply)) {
        return false;
    }
    record(application, plan);
    if (plan->entry.len > TURN_REQUEST_BYTES_MAX) {
        api_fail(reply, API_PLAN_NOT_APPLICABLE,
                 "id: plan '%s' has %u steps, too many to be applied at once; "
                 "drain hosts one after the other, or scale in parts",
                 found->id, found->step_count);
        return false;
    }
    application->response->revision = state_revision(plan->scratch);
    api_respond(reply, &application->response->base);
    return true;
}

static bool check(const Holdfast__V1__ApplyPlanRequest *request,
                  const struct plan *found, const struct turn_plan *plan,
                  struct api_reply *reply)
{
    if (!api_check_reason(reply, request->reason) ||
        !api_check_revision(reply, request->expect_revision, found->revision,
                            found->id)) {
        return false;
    }
    if (request->accept_risk && request->reason[0] == '\0') {
        api_fail(reply, API_INVALID_FIELD,
                 "reason: must be given with accept_risk; it goes on record");
        return false;
    }
    if (!found->applicable) {
        api_fail(reply, API_PLAN_NOT_APPLICABLE,
                 "id: plan '%s' is of a loss, of what is not there or not "
                 "allowed, of nothing, or stops VMs for others: nothing to "
                 "apply",
                 found->id);
        return false;
    }
    if (found->changes != plan->plans->changes + plan->decisions) {
        return fail_stale(found, reply);
    }
    if (found->risky && !request->accept_risk) {
        api_fail(reply, API_HEADROOM,
                 "accept_risk: the plan warns: %s; accept_risk if you know",
                 found->warning_count == 0
                     ? "headroom"
                     : plan_text(found, found->warnings[0]));
        return false;
    }
    return true;
}

void api_apply_plan(const ProtobufCMessage *message, struct turn_plan *plan,
                    struct api_reply *reply)
{
    const Holdfast__V1__ApplyPlanRequest *request =
        (const Holdfast__V1__ApplyPlanRequest *)(const void *)message;
    Holdfast__V1__ApplyPlanResponse response =
        HOLDFAST__V1__APPLY_PLAN_RESPONSE__INIT;
    const struct plan *found =
        api_find_plan(reply, plan->plans, request->id, plan->now_ms);
    struct application application = {.whole = {decide},
                                      .request = request,
                                      .reply = reply,
                                      .response = &response,
                                      .found = found};
    struct arena arena;

    if (found == NULL || !check(request, found, plan, reply)) {
        return;
    }
    arena_init(&arena, PLAN_ARENA_BYTES);
    response.plan = view_plan(&arena, found);
    application.action = response.plan->action;
    application.risk_reason = request->accept_risk ? request->reason : NULL;
    application.arena = &arena;
    api_whole_decide(&application.whole, plan, request->dry_run);
    arena_close(&arena);
}
