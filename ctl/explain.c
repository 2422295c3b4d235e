/* SPDX-License-Identifier: Apache-2.0
 *
 * vm explain: the VM, its group, and a plan of the loss of its zone, which is
 * the only honest answer to what would become of it. */
#include "ctl/explain.h"

#include "base/clock.h"
#include "ctl/failure.h"
#include "ctl/output.h"
#include "ctl/plan.h"
#include "ctl/request.h"
#include "ctl/simple.h"
#include "holdfast/v1/group_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"

#include <string.h>

static void find_in_plan(struct explanation *it,
                         const Holdfast__V1__GetPlanResponse *plan)
{
    it->plan = plan->plan;
    for (size_t i = 0; i < plan->n_steps; i++) {
        const Holdfast__V1__PlanStep *step = plan->steps[i];

        if (step->kind ==
                HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_RESTART &&
            strcmp(step->vm, it->vm->name) == 0) {
            it->step = step;
        }
    }
    for (size_t i = 0; i < plan->n_unplaced; i++) {
        if (strcmp(plan->unplaced[i]->vm, it->vm->name) == 0) {
            it->unplaced = plan->unplaced[i];
        }
    }
}

/* What happens if the VM's zone is lost; NULL: it has none, or there is no plan
 * to be had. */
static Holdfast__V1__GetPlanResponse *lose_zone(struct invocation *invocation,
                                                const Holdfast__V1__Vm *vm)
{
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanZoneLoss loss = HOLDFAST__V1__PLAN_ZONE_LOSS__INIT;
    Holdfast__V1__GetPlanResponse *plan;
    char *zones[] = {vm->status->zone};

    if (vm->status->zone[0] == '\0') {
        return NULL;
    }
    loss.n_zones = 1;
    loss.zones = zones;
    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS;
    action.zone_loss = &loss;
    if (plan_make(invocation, &action, vm->status->zone, &plan) != EXIT_OK) {
        return NULL;
    }
    if (plan_get_rest(invocation, plan, true) != EXIT_OK) {
        hf_message_free(&plan->base);
        return NULL;
    }
    return plan;
}

static void explain(struct invocation *invocation, const Holdfast__V1__Vm *vm)
{
    struct explanation it = {.vm = vm, .now_ms = clock_wall_ms()};
    Holdfast__V1__GetPlanResponse *plan = lose_zone(invocation, vm);
    ProtobufCMessage *group = NULL;

    if (vm->group[0] != '\0') {
        group = request_try_get(invocation, "GroupService/GetGroup", vm->group);
    }
    if (group != NULL) {
        it.group = (const void *)response_object(group);
    }
    if (plan != NULL) {
        find_in_plan(&it, plan);
    }
    if (invocation->printed++ > 0) {
        bytes_append_u8(&invocation->out, '\n');
    }
    explain_write(&it, &invocation->out);
    if (group != NULL) {
        hf_message_free(group);
    }
    if (plan != NULL) {
        hf_message_free(&plan->base);
    }
}

static enum exit_code show(struct invocation *invocation,
                           const ProtobufCMessage *response)
{
    const Holdfast__V1__Vm *vm = (const void *)response_object(response);

    if (vm == NULL) {
        return EXIT_OK;
    }
    if (vm->status != NULL && (invocation->output == OUTPUT_TABLE ||
                               invocation->output == OUTPUT_WIDE)) {
        explain(invocation, vm);
    } else {
        output_object(invocation, &vm->base);
    }
    return EXIT_OK;
}

enum exit_code run_vm_explain(struct invocation *invocation)
{
    return simple_each(invocation, show);
}
