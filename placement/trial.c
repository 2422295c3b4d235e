/* SPDX-License-Identifier: Apache-2.0 */
#include "placement/trial.h"

#include "base/check.h"
#include "base/memory.h"
#include "placement/headroom.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of VMs that are remembered as finding no place; the oldest goes. */
#define FAILED_MAX 64

/* What decides where a VM may go, as far as rules look at it; padding is
 * zero. */
struct trial_kind {
    uint64_t pool_mask;
    uint64_t disk_zone_mask;
    uint32_t class_slot;
    uint32_t zone;
    uint32_t to_zone;
    uint32_t group_plus1;
    uint32_t selector_blob;
    uint32_t from_host; /* Matters to rules about hosts alone. */
    uint8_t driver;
    uint8_t preemptible;
    uint8_t at_risk;
    uint8_t padding[5];
};

static struct trial_kind kind_of(const struct trial *trial, const struct vm *vm,
                                 uint32_t zone)
{
    struct trial_kind kind;

    memset(&kind, 0, sizeof(kind));
    kind.pool_mask = vm->pool_mask;
    kind.disk_zone_mask = vm->disk_zone_mask;
    kind.class_slot = vm->class_slot;
    kind.zone = vm->zone;
    kind.to_zone = zone;
    kind.group_plus1 = vm->group_plus1;
    kind.selector_blob = vm->selector_blob;
    kind.from_host = vm->group_plus1 != 0 ? vm->host : 0;
    kind.driver = vm->driver;
    kind.preemptible = vm->preemptible;
    kind.at_risk = trial->at_risk;
    return kind;
}

static bool has_failed(const struct trial *trial, const struct trial_kind *kind)
{
    for (uint32_t i = 0; i < trial->failed_count; i++) {
        if (memcmp(&trial->failed[i], kind, sizeof(*kind)) == 0) {
            return true;
        }
    }
    return false;
}

static void remember_failed(struct trial *trial, const struct trial_kind *kind)
{
    trial->failed[trial->failed_next] = *kind;
    trial->failed_next = (trial->failed_next + 1) % FAILED_MAX;
    if (trial->failed_count < FAILED_MAX) {
        trial->failed_count++;
    }
}

void trial_begin(struct trial *trial, struct placer *placer,
                 const struct state *state)
{
    memset(trial, 0, sizeof(*trial));
    trial->placer = placer;
    trial->state = state;
    trial->guarded = state_policy(state)->headroom != HEADROOM_OFF;
}

static void keep(uint32_t **slots, uint32_t *count, uint32_t *capacity,
                 uint32_t slot)
{
    if (*count == *capacity) {
        *capacity = *capacity == 0 ? 64 : *capacity * 2;
        *slots = memory_realloc_array(*slots, *capacity, sizeof(**slots));
    }
    (*slots)[(*count)++] = slot;
}

void trial_end(struct trial *trial)
{
    for (uint32_t i = 0; i < trial->vm_count; i++) {
        uint32_t slot = trial->vms[i];
        const struct vm *vm = state_vm_at(trial->state, slot);

        placer_vm_changed(trial->placer, trial->state, slot);
        placer_host_changed(trial->placer, trial->state, vm->host);
        if (vm->group_plus1 != 0) {
            placer_group_changed(trial->placer, trial->state,
                                 vm->group_plus1 - 1);
        }
    }
    for (uint32_t i = 0; i < trial->host_count; i++) {
        placer_host_changed(trial->placer, trial->state, trial->hosts[i]);
    }
    free(trial->vms);
    free(trial->hosts);
    free(trial->failed);
    state_destroy(trial->scratch);
    memset(trial, 0, sizeof(*trial));
}

const struct state *trial_state(const struct trial *trial)
{
    return trial->scratch != NULL ? trial->scratch : trial->state;
}

/* --- Headroom ------------------------------------------------------------ */

/* How it is before a move that shall not make it worse. */
static void look_at_headroom(struct trial *trial)
{
    const struct state *state = trial_state(trial);
    struct headroom_zone headroom;

    if (!trial->guarded || trial->at_risk || trial->looked) {
        return;
    }
    trial->looked = true;
    trial->headroom_known = 0;
    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        if (state_zone_at(state, i) != NULL &&
            headroom_zone(trial->placer, state, i, &headroom)) {
            trial->headroom_known |= UINT64_C(1) << i;
            trial->unplaceable[i] = headroom.unplaceable_count;
        }
    }
}

static bool headroom_is_worse(const struct trial *trial)
{
    struct headroom_zone headroom;

    for (uint32_t i = 0; trial->looked && i < ZONES_MAX; i++) {
        if ((trial->headroom_known >> i & 1) != 0 &&
            headroom_zone(trial->placer, trial->scratch, i, &headroom) &&
            headroom.unplaceable_count > trial->unplaceable[i]) {
            return true;
        }
    }
    return false;
}

/* --- A move -------------------------------------------------------------- */

static void apply(struct trial *trial, const struct change *change,
                  uint32_t vm_slot)
{
    const struct vm *vm;

    state_apply(trial->scratch, change, NULL);
    placer_vm_changed(trial->placer, trial->scratch, vm_slot);
    vm = state_vm_at(trial->scratch, vm_slot);
    if (vm->group_plus1 != 0) {
        placer_group_changed(trial->placer, trial->scratch,
                             vm->group_plus1 - 1);
    }
}

static void take_off(struct trial *trial, uint32_t vm_slot, uint32_t zone,
                     enum move_cause cause)
{
    const struct vm *vm = state_vm_at(trial->scratch, vm_slot);
    struct vm_id id = {vm->uid};
    uint64_t epoch = vm->epoch;
    struct change change = {.kind = CHANGE_VM_MOVE};

    change.vm_move.vm = id;
    change.vm_move.cause = cause;
    if (zone != SLOT_NONE) {
        change.vm_move.zone.uid = state_zone_at(trial->scratch, zone)->uid;
    }
    state_apply(trial->scratch, &change, NULL);
    change = (struct change){.kind = CHANGE_VM_RELEASE};
    change.vm_release.vm = id;
    change.vm_release.epoch = epoch;
    apply(trial, &change, vm_slot);
}

static void put_on(struct trial *trial, uint32_t vm_slot, uint32_t host)
{
    const struct vm *vm = state_vm_at(trial->scratch, vm_slot);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign.vm.uid = vm->uid;
    change.vm_assign.host.uid = state_host_at(trial->scratch, host)->uid;
    change.vm_assign.epoch = vm->epoch + 1;
    apply(trial, &change, vm_slot);
}

/* `host` SLOT_NONE: gives the claim up, which is on `on`. It has no cause: so
 * it is known as one for what the VM has left, not for where it goes. */
static void claim(struct trial *trial, uint32_t vm_slot, uint32_t host,
                  uint32_t on)
{
    struct change change = {.kind = CHANGE_VM_CLAIM};

    change.vm_claim.vm.uid = state_vm_at(trial->scratch, vm_slot)->uid;
    change.vm_claim.cause = MOVE_CAUSE_NONE;
    if (host != SLOT_NONE) {
        change.vm_claim.host.uid = state_host_at(trial->scratch, host)->uid;
    }
    apply(trial, &change, vm_slot);
    placer_host_changed(trial->placer, trial->scratch, on);
}

static uint32_t choose(struct trial *trial, uint32_t vm_slot,
                       uint32_t prefer_zone)
{
    struct placement_request request = {state_vm_at(trial->scratch, vm_slot),
                                        prefer_zone};
    struct placement_choice choice;

    if (trial->at_risk) {
        placer_choose_at_risk(trial->placer, trial->scratch, &request, &choice);
        trial->looked = false;
    } else {
        placer_choose(trial->placer, trial->scratch, &request, &choice);
    }
    return choice.host;
}

bool trial_has_moved(const struct trial *trial, uint32_t vm_slot)
{
    return state_vm_at(trial->state, vm_slot)->host !=
           state_vm_at(trial_state(trial), vm_slot)->host;
}

static const struct class *class_of(const struct trial *trial, uint32_t vm_slot)
{
    return state_class_at(trial->scratch,
                          state_vm_at(trial->scratch, vm_slot)->class_slot);
}

/* A region of the first format, which no leader of this version has written to
 * yet, knows no claims. */
static void begin_claims(struct state *scratch)
{
    struct change change = {.kind = CHANGE_POLICY};

    change.policy.policy = *state_policy(scratch);
    if (change.policy.policy.uid == 0) {
        state_apply(scratch, &change, NULL);
    }
}

uint32_t trial_move(struct trial *trial, uint32_t vm_slot, uint32_t zone,
                    uint32_t prefer_zone, enum move_cause cause)
{
    const struct vm *vm = state_vm_at(trial_state(trial), vm_slot);
    struct trial_kind kind = kind_of(trial, vm, zone);
    uint32_t source = vm->host;
    uint32_t target;
    bool claimed;

    CHECK(vm->host != SLOT_NONE && vm->moving == MOVE_NONE &&
          !trial_has_moved(trial, vm_slot));
    if (has_failed(trial, &kind)) {
        return SLOT_NONE;
    }
    look_at_headroom(trial);
    if (trial->scratch == NULL) {
        trial->scratch = state_clone(trial->state);
        begin_claims(trial->scratch);
        trial->failed = memory_alloc_array(FAILED_MAX, sizeof(kind));
    }
    keep(&trial->vms, &trial->vm_count, &trial->vm_capacity, vm_slot);
    take_off(trial, vm_slot, zone, cause);
    target = choose(trial, vm_slot, prefer_zone);
    if (target == source) {
        target = SLOT_NONE;
    }
    if (target == SLOT_NONE) {
        remember_failed(trial, &kind);
        put_on(trial, vm_slot, source);
        return SLOT_NONE;
    }
    keep(&trial->hosts, &trial->host_count, &trial->host_capacity, target);
    put_on(trial, vm_slot, target);
    /* What others claim there already may be more than was free: VMs that make
     * room for one that waits. */
    claimed = state_claim_fits(state_host_at(trial->scratch, source),
                               class_of(trial, vm_slot));
    if (claimed) {
        claim(trial, vm_slot, source, source);
    }
    if (!headroom_is_worse(trial)) {
        return target;
    }
    if (claimed) {
        claim(trial, vm_slot, SLOT_NONE, source);
    }
    take_off(trial, vm_slot, SLOT_NONE, cause);
    put_on(trial, vm_slot, source);
    placer_host_changed(trial->placer, trial->scratch, target);
    return SLOT_NONE;
}
