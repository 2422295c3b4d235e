/* SPDX-License-Identifier: Apache-2.0 */
#include "node/view.h"

#include "node/drain_wait.h"
#include "placement/headroom.h"

#include <inttypes.h>
#include <stdio.h>

/* Why a VM waits that is held back by something else than placement; NULL. */
static const char *held_message(const struct state *state, const struct vm *vm,
                                char *words, size_t size)
{
    uint64_t now_ms = state_time_ms(state);
    uint64_t left_ms =
        vm->not_before_ms > now_ms ? vm->not_before_ms - now_ms : 0;

    switch (vm->pending_reason) {
    case PENDING_HELD_BY_POLICY:
        snprintf(words, size,
                 "it ended by itself, so far %u times; it is started again "
                 "%" PRIu64 " s from now at the latest",
                 vm->restart_count, (left_ms + 999) / 1000);
        return words;
    case PENDING_PREEMPTING:
        return "preemptible VMs are being stopped for it; it starts when they "
               "have left";
    default:
        return NULL;
    }
}

/* What the record says, where nobody has a placer: on a follower, and while a
 * turn is under way. To make one would cost as much as a new leader's
 * beginning. */
static void recorded_choice(const struct vm *vm,
                            struct placement_choice *choice)
{
    *choice = (struct placement_choice){
        .host = SLOT_NONE,
        .reason = (enum pending_reason)vm->pending_reason,
        .headroom = {SLOT_NONE, SLOT_NONE, 0},
    };
}

static bool is_queued(const struct vm *vm)
{
    return vm->pending_reason == PENDING_NONE ||
           vm->pending_reason == PENDING_QUEUED ||
           vm->pending_reason == PENDING_PREEMPTED;
}

static char *pending_message(struct arena *arena, const struct state *state,
                             const struct vm *vm, struct placer *placer)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;
    char words[512];
    const char *held = held_message(state, vm, words, sizeof(words));

    if (held != NULL) {
        return view_string(arena, held);
    }
    if (placer != NULL) {
        placer_choose(placer, state, &request, &choice);
    } else if (is_queued(vm)) {
        return view_string(arena, "it waits for the leader to place it");
    } else {
        recorded_choice(vm, &choice);
    }
    if (choice.host == SLOT_NONE && choice.retry) {
        return view_string(arena, "whether headroom allows it is being worked "
                                  "out");
    }
    if (choice.host != SLOT_NONE) {
        return view_string(arena, "placed in the next turn");
    }
    if (placer != NULL) {
        placer_count_refused(placer, state, &request, &choice);
    }
    placement_explain(state, &choice, words, sizeof(words));
    return view_string(arena, words);
}

static char *zone_name(struct arena *arena, const struct state *state,
                       uint32_t slot)
{
    return slot == SLOT_NONE
               ? view_string(arena, "")
               : view_string(arena, state_zone_at(state, slot)->name);
}

static char *host_name(struct arena *arena, const struct state *state,
                       uint32_t slot)
{
    return slot == SLOT_NONE
               ? view_string(arena, "")
               : view_string(arena, state_host_at(state, slot)->name);
}

static Holdfast__V1__VmStatus *view_status(struct arena *arena,
                                           const struct state *state,
                                           const struct vm *vm)
{
    Holdfast__V1__VmStatus *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__vm_status__init(view);
    view->state = (Holdfast__V1__VmState)vm->state;
    view->host = host_name(arena, state, vm->host);
    view->zone =
        zone_name(arena, state,
                  vm->host == SLOT_NONE ? SLOT_NONE
                                        : state_host_at(state, vm->host)->zone);
    view->epoch = vm->epoch;
    view->pending_reason = (Holdfast__V1__PendingReason)vm->pending_reason;
    view->restart_count = vm->restart_count;
    view->state_time_ms = vm->state_time_ms;
    view->deleting = vm->deleting;
    view->move_zone = zone_name(arena, state, vm->move_zone);
    view->move_host = host_name(arena, state, vm->move_host);
    view->move_cause = (Holdfast__V1__MoveCause)vm->move_cause;
    view->move_queued = vm->moving == MOVE_CLAIMED;
    view->last_end = view_text(arena, state_blob(state, vm->end_blob));
    if (vm->host != SLOT_NONE) {
        view->on_partition_active =
            (Holdfast__V1__OnPartition)vm->on_partition_active;
    }
    view->home_host = host_name(
        arena, state,
        vm->home_host_plus1 == 0 ? SLOT_NONE : vm->home_host_plus1 - 1);
    view->template_generation = vm->template_generation;
    return view;
}

/* A class of its own is the VM's size, and no name to anybody. */
static void view_size(struct arena *arena, const struct state *state,
                      const struct vm *vm, Holdfast__V1__Vm *view)
{
    const struct class *class = state_class_at(state, vm->class_slot);

    if (class ==
        NULL) { /* It went with this VM, of whose end an event tells. */
        return;
    }
    view->class_name = view_string(arena, class->custom ? "" : class->name);
    if (class->custom) {
        view->resources =
            view_resources(arena, state, &class->resources, &class->named);
    }
}

Holdfast__V1__Vm *view_vm(struct arena *arena, const struct state *state,
                          const struct vm *vm, bool explain,
                          struct placer *placer)
{
    static const Holdfast__V1__Vm__LabelsEntry label =
        HOLDFAST__V1__VM__LABELS_ENTRY__INIT;
    static const Holdfast__V1__Vm__HostSelectorEntry selector =
        HOLDFAST__V1__VM__HOST_SELECTOR_ENTRY__INIT;
    Holdfast__V1__Vm *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__vm__init(view);
    view->name = view_string(arena, vm->name);
    view->uid = vm->uid;
    view_size(arena, state, vm, view);
    view->zone = zone_name(arena, state, vm->zone);
    view->priority = vm->priority;
    view->on_partition = (Holdfast__V1__OnPartition)vm->on_partition;
    view->desired = (Holdfast__V1__DesiredState)vm->desired;
    view->template_ =
        view_template(arena, state_blob(state, vm->template_blob));
    view->labels = view_map(arena, state_blob(state, vm->labels_blob), &label,
                            &view->n_labels);
    view->host_selector = view_map(arena, state_blob(state, vm->selector_blob),
                                   &selector, &view->n_host_selector);
    view->preemptible = vm->preemptible;
    if (vm->group_plus1 != 0) {
        view->group = view_string(
            arena, state_group_at(state, vm->group_plus1 - 1)->name);
    }
    view->revision = vm->revision;
    view->create_time_ms = vm->create_time_ms;
    view->status = view_status(arena, state, vm);
    if (explain && vm->state == VM_PENDING) {
        view->status->message = pending_message(arena, state, vm, placer);
    }
    if (explain && placer != NULL && drain_wait_is(state, vm)) {
        char words[512];

        drain_wait_reason(placer, state, vm, words, sizeof(words));
        view->status->message = view_string(arena, words);
    }
    if (placer != NULL && vm->host != SLOT_NONE) {
        view->status->unprotected_reason =
            (Holdfast__V1__UnprotectedReason)headroom_protection(placer, state,
                                                                 vm);
    }
    return view;
}
