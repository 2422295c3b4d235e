/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/headroom.h"

#include "base/container.h"
#include "base/memory.h"
#include "placement/headroom_book.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

/* VMs that the book is worked on for between two looks. */
#define DRAIN_BUDGET 100000

/* A choice that says "ask again" is asked again so often on a copy. */
#define DRAIN_ASKS_MAX 8

enum unprotected_reason headroom_protection(const struct placer *placer,
                                            const struct state *state,
                                            const struct vm *vm)
{
    struct headroom *headroom = placer_headroom(placer);
    uint32_t slot = uid_slot(vm->uid);
    enum unprotected_reason reason;
    uint64_t mask;
    uint8_t status;

    if (vm->host == SLOT_NONE || vm->desired != DESIRED_RUNNING ||
        vm->deleting) {
        return PROTECTED;
    }
    headroom->state = state;
    reason = headroom_reason(headroom, vm, state_host_at(state, vm->host)->zone,
                             &mask);
    if (reason != PROTECTED || slot >= headroom->witness.item_count) {
        return reason;
    }
    status = headroom->witness.items[slot].status;
    return status == ITEM_STUCK || status == ITEM_TODO ? UNPROTECTED_NO_HEADROOM
                                                       : PROTECTED;
}

static bool is_known(const struct headroom *headroom, uint32_t zone)
{
    return headroom->phase == HEADROOM_READY &&
           headroom->host_sweep_at == SLOT_NONE &&
           headroom->sweep_at == SLOT_NONE && headroom->dirty.count == 0 &&
           headroom->witness.zones[zone].todo.count == 0 &&
           headroom->zones[zone].in_job == 0;
}

bool headroom_zone(const struct placer *placer, const struct state *state,
                   uint32_t zone, struct headroom_zone *out)
{
    const struct headroom *headroom = placer_headroom(placer);
    const struct headroom_zone_book *book = &headroom->zones[zone];
    const struct witness_zone *counts = &headroom->witness.zones[zone];

    *out = (struct headroom_zone){.missing_class = SLOT_NONE,
                                  .revision = state_revision(state)};
    if (!is_known(headroom, zone)) {
        return false;
    }
    out->unplaceable_count = counts->stuck.count;
    out->protected_count = counts->backed - book->kept + counts->stuck.count;
    out->unprotected_count = book->unprotected;
    for (uint32_t i = 0; i < book->missing_size; i++) {
        if (book->missing[i] > out->missing_count) {
            out->missing_count = book->missing[i];
            out->missing_class = headroom->witness.sizes[i].class_slot;
        }
    }
    return true;
}

uint32_t headroom_backup(const struct placer *placer, uint32_t vm_slot)
{
    const struct headroom *headroom = placer_headroom(placer);

    return vm_slot < headroom->witness.item_count
               ? headroom->witness.items[vm_slot].host
               : SLOT_NONE;
}

bool headroom_work(struct placer *placer, const struct state *state,
                   uint32_t budget)
{
    return headroom_run(placer_headroom(placer), state, budget);
}

/* --- May it be drained? ----------------------------------------------------
 */

/* The region in which the hosts are drained, with a placer that follows. */
struct trial {
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
};

static void tell(struct event_sink *sink, const struct event *event)
{
    struct trial *trial = container_of(sink, struct trial, sink);

    switch (event->kind) {
    case EVENT_HOST:
        placer_host_changed(trial->placer, trial->state,
                            uid_slot(event->host->uid));
        break;
    case EVENT_VM:
        placer_vm_changed(trial->placer, trial->state,
                          uid_slot(event->vm->uid));
        break;
    case EVENT_GROUP:
        placer_group_changed(trial->placer, trial->state,
                             uid_slot(event->group->uid));
        break;
    case EVENT_ZONE:
        placer_zone_changed(trial->placer, trial->state,
                            uid_slot(event->zone->uid));
        break;
    default:
        break;
    }
}

static void settle(struct trial *trial)
{
    while (!headroom_work(trial->placer, trial->state, DRAIN_BUDGET)) {
    }
}

static void apply(struct trial *trial, const struct change *change)
{
    state_apply(trial->state, change, &trial->sink);
}

/* A placer of its own that enforces, whatever the policy is, so that it looks
 * for places that keep headroom. */
static void trial_begin(struct trial *trial, const struct placer *placer,
                        const struct state *state)
{
    struct change change = {.kind = CHANGE_POLICY};

    trial->state = state_clone(state);
    trial->sink.event = tell;
    change.policy.policy = *state_policy(state);
    change.policy.policy.headroom = HEADROOM_ENFORCE;
    state_apply(trial->state, &change, NULL);
    trial->placer = placer_create();
    placer_share(trial->placer, placer);
    placer_rebuild(trial->placer, trial->state);
    settle(trial);
}

static void trial_end(struct trial *trial)
{
    placer_destroy(trial->placer);
    state_destroy(trial->state);
}

static void drain(struct trial *trial, uint32_t host_slot, uint32_t zone_slot)
{
    struct change change = {.kind = CHANGE_HOST_DRAIN};

    if (host_slot != SLOT_NONE) {
        change.host_drain = (struct change_host_drain){
            {state_host_at(trial->state, host_slot)->uid}, true, 0};
    } else {
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain = (struct change_zone_drain){
            {state_zone_at(trial->state, zone_slot)->uid}, true, 0};
    }
    apply(trial, &change);
    settle(trial);
}

static void assign(struct trial *trial, uint32_t vm_slot, uint32_t host)
{
    const struct vm *vm = state_vm_at(trial->state, vm_slot);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(trial->state, host)->uid}, vm->epoch + 1};
    apply(trial, &change);
}

/* The VM leaves its host for another one. One that nothing but headroom keeps
 * where it is says no; one that cannot leave at all stays, drain or no drain.
 */
static bool leaves(struct trial *trial, uint32_t vm_slot,
                   struct placement_headroom *out)
{
    const struct vm *vm = state_vm_at(trial->state, vm_slot);
    uint32_t home = vm->host;
    struct change release = {.kind = CHANGE_VM_RELEASE};
    struct placement_request request = {NULL, SLOT_NONE};
    struct placement_choice choice;

    release.vm_release = (struct change_vm_release){
        .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"drained", 7}};
    apply(trial, &release);
    for (uint32_t asked = 0; asked < DRAIN_ASKS_MAX; asked++) {
        request.vm = state_vm_at(trial->state, vm_slot);
        placer_choose(trial->placer, trial->state, &request, &choice);
        if (!choice.retry) {
            break;
        }
        settle(trial);
    }
    if (choice.host == SLOT_NONE && choice.reason == PENDING_HEADROOM) {
        *out = choice.headroom;
        return false;
    }
    assign(trial, vm_slot, choice.host == SLOT_NONE ? home : choice.host);
    return true;
}

/* VMs there that are to run, larger ones first. Those of a lost host wait for
 * it, LOST: no drain moves them. */
struct leaver {
    uint64_t weight;
    uint32_t vm;
};

static int compare_leavers(const void *a, const void *b)
{
    const struct leaver *left = a;
    const struct leaver *right = b;

    if (left->weight != right->weight) {
        return left->weight > right->weight ? -1 : 1;
    }
    return left->vm < right->vm ? -1 : left->vm > right->vm;
}

static struct leaver *leavers_of(const struct state *state, uint32_t host_slot,
                                 uint32_t zone_slot, uint32_t *count)
{
    struct leaver *leavers =
        memory_alloc_array(state_counts(state)->vms, sizeof(*leavers));

    *count = 0;
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);
        const struct class *class;

        if (vm == NULL || vm->host == SLOT_NONE || vm->deleting ||
            vm->desired != DESIRED_RUNNING || vm->moving != MOVE_NONE ||
            vm->state == VM_LOST ||
            (host_slot != SLOT_NONE
                 ? vm->host != host_slot
                 : state_host_at(state, vm->host)->zone != zone_slot)) {
            continue;
        }
        class = state_class_at(state, vm->class_slot);
        leavers[(*count)++] =
            (struct leaver){(uint64_t) class->resources.cpu_milli * 4 +
                                class->resources.memory_mib,
                            slot};
    }
    qsort(leavers, *count, sizeof(*leavers), compare_leavers);
    return leavers;
}

/* Zones that the drain leaves worse than they were. */
static bool is_no_worse(struct trial *trial, const uint32_t *before,
                        struct placement_headroom *out)
{
    for (uint32_t i = 0; i < state_zone_slots(trial->state); i++) {
        struct headroom_zone after;

        headroom_zone(trial->placer, trial->state, i, &after);
        if (after.unplaceable_count > before[i]) {
            *out = (struct placement_headroom){i, after.missing_class,
                                               after.missing_count};
            return false;
        }
    }
    return true;
}

bool headroom_allows_drain(const struct placer *placer,
                           const struct state *state, uint32_t host_slot,
                           uint32_t zone_slot, struct placement_headroom *out)
{
    struct trial trial;
    struct leaver *leavers;
    uint32_t before[ZONES_MAX] = {0};
    uint32_t count;
    bool allowed = true;

    *out = (struct placement_headroom){SLOT_NONE, SLOT_NONE, 0};
    if (state_policy(state)->headroom == HEADROOM_OFF) {
        return true;
    }
    trial_begin(&trial, placer, state);
    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        struct headroom_zone zone;

        headroom_zone(trial.placer, trial.state, i, &zone);
        before[i] = zone.unplaceable_count;
    }
    drain(&trial, host_slot, zone_slot);
    leavers = leavers_of(trial.state, host_slot, zone_slot, &count);
    for (uint32_t i = 0; allowed && i < count; i++) {
        allowed = leaves(&trial, leavers[i].vm, out);
    }
    settle(&trial);
    allowed = allowed && is_no_worse(&trial, before, out);
    free(leavers);
    trial_end(&trial);
    return allowed;
}
