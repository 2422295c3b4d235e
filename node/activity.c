/* SPDX-License-Identifier: Apache-2.0 */
#include "node/activity.h"

#include "base/check.h"
#include "base/container.h"

#include <string.h>

static const char *const kind_names[ACTIVITY_KINDS] = {
    [CHANGE_ZONE_CREATE] = "zone_create",
    [CHANGE_ZONE_CORDON] = "zone_cordon",
    [CHANGE_ZONE_STATE] = "zone_state",
    [CHANGE_CLASS_CREATE] = "class_create",
    [CHANGE_CLASS_DELETE] = "class_delete",
    [CHANGE_HOST_REGISTER] = "host_register",
    [CHANGE_HOST_CORDON] = "host_cordon",
    [CHANGE_HOST_FENCE] = "host_fence",
    [CHANGE_VM_CREATE] = "vm_create",
    [CHANGE_VM_UPDATE] = "vm_update",
    [CHANGE_VM_DESIRE] = "vm_desire",
    [CHANGE_VM_MOVE] = "vm_move",
    [CHANGE_VM_ASSIGN] = "vm_assign",
    [CHANGE_VM_PENDING] = "vm_pending",
    [CHANGE_VM_REPORT] = "vm_report",
    [CHANGE_VM_RELEASE] = "vm_release",
    [CHANGE_VM_DELETE] = "vm_delete",
    [CHANGE_SETTINGS] = "settings",
    [CHANGE_REPLY] = "reply",
    [CHANGE_REGION] = "region",
    [CHANGE_CLASS_UPDATE] = "class_update",
    [CHANGE_HOST_DRAIN] = "host_drain",
    [CHANGE_ZONE_DRAIN] = "zone_drain",
    [CHANGE_GROUP_CREATE] = "group_create",
    [CHANGE_GROUP_UPDATE] = "group_update",
    [CHANGE_GROUP_DELETE] = "group_delete",
    [CHANGE_RESERVATION_SET] = "reservation_set",
    [CHANGE_RESERVATION_DELETE] = "reservation_delete",
    [CHANGE_POLICY] = "policy",
    [CHANGE_VM_CLAIM] = "vm_claim",
    [CHANGE_VM_PREEMPT] = "vm_preempt",
    [CHANGE_GRANT_SET] = "grant_set",
    [CHANGE_GRANT_DELETE] = "grant_delete",
    [CHANGE_AUDIT] = "audit",
    [CHANGE_AUDIT_KEEP] = "audit_keep",
    [CHANGE_JOIN_SET] = "join_set",
    [CHANGE_JOIN_DELETE] = "join_delete",
    [CHANGE_APPLY_ADD] = "apply_add",
    [CHANGE_APPLY_CANCEL] = "apply_cancel",
    [CHANGE_APPLY_END] = "apply_end",
    [CHANGE_APPLY_DROP] = "apply_drop",
};

/* It last left a host because that was fenced (state/apply_host.c). */
static bool was_fenced(const struct state *state, struct vm_id id)
{
    static const char fenced[] = "fenced";
    const struct vm *vm = state_vm(state, id);
    struct text end = {NULL, 0};

    if (vm != NULL) {
        end = state_blob(state, vm->end_blob);
    }
    return end.len == strlen(fenced) && memcmp(end.data, fenced, end.len) == 0;
}

void activity_note(struct activity *activity, const struct batch *batch,
                   const struct state *state)
{
    for (size_t i = 0; i < batch->count; i++) {
        const struct change *change = &batch->changes[i];

        CHECK(change->kind < ARRAY_LEN(activity->changes));
        activity->changes[change->kind]++;
        if (change->kind == CHANGE_VM_ASSIGN &&
            was_fenced(state, change->vm_assign.vm)) {
            activity->failovers++;
        }
    }
}

const char *activity_kind_name(size_t kind)
{
    return kind < ARRAY_LEN(kind_names) ? kind_names[kind] : NULL;
}
