/* SPDX-License-Identifier: Apache-2.0 */
#include "node/apply_control.h"

#include "base/container.h"
#include "node/applies.h"
#include "node/limits.h"

/* Each part was over; how many ended otherwise is counted once. Where one is
 * not any more, a VM that is started again, say, all are looked at again. */
static void end(struct turn_plan *plan, const struct apply_record *record,
                struct applies_look *look)
{
    struct operation_ref ref = operation_of_apply(plan->scratch, record);
    struct change change = {.kind = CHANGE_APPLY_END};
    struct operation operation;

    *look = (struct applies_look){{0, 0}};
    if (!operation_judge(plan->scratch, &ref, OPERATION_BRIEF, &operation) ||
        operation.state == OPERATION_RUNNING) {
        return;
    }
    change.apply_end = (struct change_apply_end){
        record->number,
        (enum apply_end)operation.state,
        operation.failed,
        operation.cancelled,
    };
    turn_change(plan, &change);
}

/* Whether some apply is over; each goes on where it was left. */
static bool find_over(struct apply_control *control, const struct state *state,
                      uint32_t looks)
{
    bool found = false;

    for (uint32_t slot = 0; slot < state_apply_slots(state); slot++) {
        const struct apply_record *record = state_apply_at(state, slot);

        if (record == NULL || record->end != APPLY_END_NONE) {
            continue;
        }
        if (control->looks[slot].uid != record->uid) {
            control->looks[slot].uid = record->uid;
            control->looks[slot].look = (struct applies_look){{0, 0}};
        }
        found |=
            applies_are_over(state, record, &control->looks[slot].look, &looks);
    }
    return found;
}

static void decide(struct turn_controller *controller, struct turn_plan *plan)
{
    struct apply_control *control =
        container_of(controller, struct apply_control, controller);

    if (!control->found) {
        return;
    }
    control->found = false;
    for (uint32_t slot = 0; slot < state_apply_slots(plan->scratch); slot++) {
        const struct apply_record *record = state_apply_at(plan->scratch, slot);
        uint32_t looks = 0; /* Only those that were looked through. */

        if (record != NULL && record->end == APPLY_END_NONE &&
            record->uid == control->looks[slot].uid &&
            applies_are_over(plan->scratch, record, &control->looks[slot].look,
                             &looks)) {
            end(plan, record, &control->looks[slot].look);
        }
    }
}

void apply_control_init(struct apply_control *control)
{
    *control = (struct apply_control){.controller = {decide}};
}

bool apply_control_is_due(struct apply_control *control,
                          const struct state *state, uint64_t now_ms)
{
    if (state_counts(state)->applies_open > 0 &&
        now_ms >= control->next_look_ms) {
        control->next_look_ms = now_ms + APPLY_LOOK_MS;
        control->found = find_over(control, state, APPLY_LOOKS_MAX);
    }
    return control->found;
}
