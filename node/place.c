/* SPDX-License-Identifier: Apache-2.0 */
#include "node/place.h"

#include "base/check.h"
#include "base/planted.h"
#include "placement/headroom.h"

void place_reason(struct turn_plan *plan, const struct vm *vm,
                  enum pending_reason reason)
{
    struct change change = {.kind = CHANGE_VM_PENDING};

    if (vm->pending_reason == reason) {
        return;
    }
    change.vm_pending = (struct change_vm_pending){{vm->uid}, reason};
    turn_change(plan, &change);
}

/* Rule 1: apply checks that the VM is PENDING, which means that its last epoch
 * is proved gone; the epoch rises with the assignment. */
void place_assign(struct turn_plan *plan, const struct vm *vm,
                  uint32_t host_slot)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid},
        {state_host_at(plan->scratch, host_slot)->uid},
        vm->epoch + 1};
    turn_change(plan, &change);
}

void place_unclaim(struct turn_plan *plan, const struct vm *vm)
{
    struct change change = {.kind = CHANGE_VM_CLAIM};

    change.vm_claim.vm.uid = vm->uid;
    turn_change(plan, &change);
}

bool place_by_proof(struct turn_plan *plan, const struct vm *vm)
{
    const struct host *last = vm->last_host == SLOT_NONE
                                  ? NULL
                                  : state_host_at(plan->scratch, vm->last_host);
    uint32_t slot = headroom_backup(plan->placer, uid_slot(vm->uid));

    if (slot == SLOT_NONE || !vm->recovering || vm->moving != MOVE_NONE ||
        last == NULL ||
        state_zone_at(plan->scratch, last->zone)->state == ZONE_UP ||
        placer_refusal(plan->placer, plan->scratch, vm, slot) !=
            PLACEMENT_REFUSAL_COUNT) {
        return false;
    }
    place_assign(plan, vm, slot);
    return true;
}

/* The zone where it was, if that is well: a lost host's VMs stay there. */
static uint32_t preferred_zone(const struct state *state, const struct vm *vm)
{
    const struct host *last =
        vm->last_host == SLOT_NONE ? NULL : state_host_at(state, vm->last_host);

    return last == NULL || vm->moving != MOVE_NONE ? SLOT_NONE : last->zone;
}

static void choose(struct turn_plan *plan, const struct vm *vm,
                   struct placement_choice *choice)
{
    struct placement_request request = {vm, preferred_zone(plan->scratch, vm)};
    struct vm other = *vm;

    if (PLANTED(RULE_IGNORED) || PLANTED(HEADROOM_FREE)) {
        other.selector_blob = PLANTED(RULE_IGNORED) ? 0 : vm->selector_blob;
        other.recovering |= PLANTED(HEADROOM_FREE);
        request.vm = &other;
    }
    placer_choose(plan->placer, plan->scratch, &request, choice);
}

/* The target could take the VM when the move was asked for, and cannot any
 * more. A VM that runs where it was not asked to is better than one that does
 * not run. */
static const struct vm *give_up_move(struct turn_plan *plan,
                                     const struct vm *vm)
{
    struct vm_id id = {vm->uid};
    struct change change = {.kind = CHANGE_VM_MOVE};

    change.vm_move = (struct change_vm_move){
        .vm = id, .cancel = true, .cause = (enum move_cause)vm->move_cause};
    turn_change(plan, &change);
    return state_vm(plan->scratch, id);
}

const struct vm *place_free(struct turn_plan *plan, const struct vm *vm)
{
    struct vm_id id = {vm->uid};

    if (vm->moving == MOVE_UNDER_WAY) {
        return give_up_move(plan, vm);
    }
    if (vm->moving == MOVE_CLAIMED) {
        place_unclaim(plan, vm);
    }
    return state_vm(plan->scratch, id);
}

static bool was_preempted(const struct vm *vm)
{
    return vm->moving == MOVE_UNDER_WAY && vm->move_host == SLOT_NONE &&
           vm->move_cause == MOVE_CAUSE_PREEMPTION;
}

/* It may go back, should room be there again; until it has a place it stays
 * known as one that was preempted. */
static void choose_after_preemption(struct turn_plan *plan,
                                    const struct vm **vm,
                                    struct placement_choice *choice)
{
    struct vm free = **vm;

    free.moving = MOVE_NONE;
    free.move_zone = SLOT_NONE;
    choose(plan, &free, choice);
    if (choice->host == SLOT_NONE) {
        choice->reason = PENDING_PREEMPTED;
    } else {
        *vm = give_up_move(plan, *vm);
    }
}

/* Whether the VM has lost to others only: preemption helps against nothing
 * else. */
static bool lacks_room(enum pending_reason reason)
{
    return reason == PENDING_NO_CAPACITY || reason == PENDING_RESERVED;
}

static bool is_leaving(const struct vm *vm)
{
    return vm->state == VM_STOPPING;
}

/* What a host has beyond its claims: with those that leave it gone, beside what
 * runs there, or alone. */
struct room {
    struct resource_sum taken;
    uint64_t gpus;
    uint64_t named[NAMED_MAX];
};

static void take(struct room *room, const struct resources *resources,
                 const struct amounts *named, int sign)
{
    uint64_t factor = (uint64_t)sign; /* Modulo 2^64; the sums are exact. */

    room->taken.cpu_milli += factor * resources->cpu_milli;
    room->taken.memory_mib += factor * resources->memory_mib;
    room->taken.disk_gib += factor * resources->disk_gib;
    room->gpus += factor * resources->gpu_count;
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        room->named[i] += factor * named->of[i];
    }
}

static bool fits(const struct host *host, const struct class *wanted,
                 const struct room *room)
{
    bool good =
        room->taken.cpu_milli + wanted->resources.cpu_milli <=
            host->capacity.cpu_milli &&
        room->taken.memory_mib + wanted->resources.memory_mib <=
            host->capacity.memory_mib &&
        room->taken.disk_gib + wanted->resources.disk_gib <=
            host->capacity.disk_gib &&
        room->gpus + wanted->resources.gpu_count <= host->capacity.gpu_count;

    for (uint32_t i = 0; i < NAMED_MAX && good; i++) {
        good =
            room->named[i] + wanted->named.of[i] <= host->named_capacity.of[i];
    }
    return good;
}

bool place_fits_beside(const struct state *state, const struct vm *vm,
                       uint32_t host_slot)
{
    const struct host *host = state_host_at(state, host_slot);
    struct room room = {{0}, 0, {0}};

    take(&room, &host->claimed, &host->named_claimed, 1);
    take(&room, &host->used, &host->named_used, 1);
    return fits(host, state_class_at(state, vm->class_slot), &room);
}

bool place_fits_later(const struct state *state, const struct vm *vm,
                      uint32_t host_slot)
{
    const struct host *host = state_host_at(state, host_slot);
    struct room room = {{0}, 0, {0}};

    take(&room, &host->claimed, &host->named_claimed, 1);
    take(&room, &host->used, &host->named_used, 1);
    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;) {
        const struct vm *other = state_vm_at(state, slot);
        const struct class *class = state_class_at(state, other->class_slot);

        if (is_leaving(other)) {
            take(&room, &class->resources, &class->named, -1);
        }
        slot = other->host_next;
    }
    return fits(host, state_class_at(state, vm->class_slot), &room);
}

/* Without a policy nobody holds room: state/apply_move.c. */
static bool may_claim(const struct state *state, const struct vm *vm,
                      uint32_t host_slot)
{
    const struct host *host = state_host_at(state, host_slot);
    struct room room = {{0}, 0, {0}};

    if (state_policy(state)->uid == 0 || host == NULL ||
        host->state != HOST_UP || vm->moving != MOVE_NONE) {
        return false;
    }
    take(&room, &host->claimed, &host->named_claimed, 1);
    return fits(host, state_class_at(state, vm->class_slot), &room);
}

bool place_claim(struct turn_plan *plan, const struct vm *vm,
                 uint32_t host_slot, enum move_cause cause)
{
    struct vm_id id = {vm->uid};
    struct change change = {.kind = CHANGE_VM_CLAIM};

    CHECK(vm->state == VM_PENDING);
    if (!may_claim(plan->scratch, vm, host_slot)) {
        return false;
    }
    change.vm_claim = (struct change_vm_claim){
        .vm = id,
        .host = {state_host_at(plan->scratch, host_slot)->uid},
        .cause = cause,
    };
    turn_change(plan, &change);
    place_reason(plan, state_vm(plan->scratch, id), PENDING_PREEMPTING);
    return true;
}

/* As few preemptible VMs as possible are stopped for it. It holds their room
 * from now on, and runs there once they have gone: that they have gone is
 * proved as for any other stop, so nothing here touches rule 1. */
static enum placement_found preempt(struct turn_plan *plan, const struct vm *vm,
                                    struct placement_search *search)
{
    const struct placement_preemption *found = &search->found;
    struct vm_id id = {vm->uid};
    struct vm greedy = *vm;
    enum placement_found progress;

    if (PLANTED(PREEMPTS_EQUALS)) {
        greedy.priority = UINT16_MAX;
        vm = &greedy;
    }
    if (vm->moving != MOVE_NONE ||
        state_policy(plan->scratch)->preempt_max == 0) {
        return PLACEMENT_NONE;
    }
    progress = placer_preempt(plan->placer, plan->scratch, vm,
                              turn_work_left(plan), search);
    if (progress != PLACEMENT_FOUND) {
        return progress;
    }
    CHECK(found->victim_count > 0 &&
          found->victim_count <= PLACEMENT_VICTIMS_MAX);
    if (!place_claim(plan, vm, found->host, MOVE_CAUSE_PREEMPTION)) {
        return PLACEMENT_NONE;
    }
    for (uint32_t i = 0; i < found->victim_count; i++) {
        struct change change = {.kind = CHANGE_VM_PREEMPT};

        change.vm_preempt.vm.uid =
            state_vm_at(plan->scratch, found->victims[i])->uid;
        change.vm_preempt.beneficiary = id;
        turn_change(plan, &change);
    }
    return PLACEMENT_FOUND;
}

static bool has_leaving(const struct state *state, const struct host *host)
{
    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;) {
        const struct vm *vm = state_vm_at(state, slot);

        if (is_leaving(vm)) {
            return true;
        }
        slot = vm->host_next;
    }
    return false;
}

static bool group_has_leaving(const struct state *state, const struct vm *vm)
{
    uint32_t next =
        vm->group_plus1 == 0
            ? 0
            : state_group_at(state, vm->group_plus1 - 1)->vm_first_plus1;

    while (next != 0) {
        const struct vm *member = state_vm_at(state, next - 1);

        if (is_leaving(member)) {
            return true;
        }
        next = member->group_next_plus1;
    }
    return false;
}

bool place_passes(const struct state *state, const struct vm *vm,
                  uint32_t host_slot, enum placement_refusal refusal)
{
    if (refusal >= REFUSED_GROUP_ZONE && refusal <= REFUSED_GROUP_HOST) {
        return group_has_leaving(state, vm);
    }
    return refusal >= REFUSED_CPU && refusal <= REFUSED_CLAIMED &&
           has_leaving(state, state_host_at(state, host_slot));
}

/* It has stopped for a move, and a VM of higher priority has claimed what
 * others are leaving there: with those gone both fit. It waits that long rather
 * than lose the place that it holds; one that is recovering takes any. */
static bool waits_on_its_way(const struct turn_plan *plan, const struct vm *vm)
{
    return vm->moving == MOVE_UNDER_WAY && vm->move_host != SLOT_NONE &&
           !vm->recovering &&
           place_passes(
               plan->scratch, vm, vm->move_host,
               placer_refusal(plan->placer, plan->scratch, vm, vm->move_host));
}

/* It holds room that others are leaving: true when it is assigned there or
 * waits on. When the last of them has gone and it still does not fit (another
 * proof than theirs is missing, the host is cordoned), it tries elsewhere. */
static bool take_claim(struct turn_plan *plan, const struct vm *vm,
                       enum pending_reason *reason)
{
    uint32_t host_slot = vm->move_host;
    enum placement_refusal refusal =
        placer_refusal(plan->placer, plan->scratch, vm, host_slot);

    *reason = PENDING_NONE;
    if (refusal == PLACEMENT_REFUSAL_COUNT) {
        place_assign(plan, vm, host_slot);
        return true;
    }
    if (place_passes(plan->scratch, vm, host_slot, refusal)) {
        place_reason(plan, vm, PENDING_PREEMPTING);
        *reason = PENDING_PREEMPTING;
        return true;
    }
    return false;
}

static enum pending_reason choose_and_place(struct turn_plan *plan,
                                            const struct vm *vm,
                                            struct placement_search *search,
                                            bool *goes_on)
{
    struct placement_choice choice;
    enum placement_found found = PLACEMENT_NONE;

    choose(plan, vm, &choice);
    if (choice.host == SLOT_NONE && was_preempted(vm)) {
        choose_after_preemption(plan, &vm, &choice);
    } else if (choice.host == SLOT_NONE && vm->moving != MOVE_NONE) {
        vm = give_up_move(plan, vm);
        choose(plan, vm, &choice);
    }
    if (choice.host != SLOT_NONE) {
        place_assign(plan, vm, choice.host);
        return PENDING_NONE;
    }
    if (lacks_room(choice.reason)) {
        found = preempt(plan, vm, search);
    }
    if (found == PLACEMENT_GOES_ON) {
        *goes_on = true;
        return PENDING_QUEUED;
    }
    if (found == PLACEMENT_FOUND) {
        return PENDING_PREEMPTING;
    }
    place_reason(plan, vm, choice.reason);
    return choice.reason;
}

static enum pending_reason decide(struct turn_plan *plan, const struct vm *vm,
                                  struct placement_search *search,
                                  bool *goes_on)
{
    enum pending_reason reason;

    if (vm->moving == MOVE_CLAIMED) {
        struct vm_id id = {vm->uid};

        if (take_claim(plan, vm, &reason)) {
            return reason;
        }
        place_unclaim(plan, vm);
        vm = state_vm(plan->scratch, id);
    }
    if (place_by_proof(plan, vm)) {
        return PENDING_NONE;
    }
    if (waits_on_its_way(plan, vm)) {
        place_reason(plan, vm, PENDING_PREEMPTING);
        return PENDING_PREEMPTING;
    }
    return choose_and_place(plan, vm, search, goes_on);
}

enum pending_reason place_vm(struct turn_plan *plan, const struct vm *vm,
                             struct placement_search *search)
{
    struct placement_search own = {0};
    enum pending_reason reason;
    bool goes_on = false;

    CHECK(vm->state == VM_PENDING);
    if (turn_work_left(plan) == 0) {
        return PENDING_QUEUED;
    }
    search = search != NULL ? search : &own;
    reason = decide(plan, vm, search, &goes_on);
    if (!goes_on) {
        search->vm_uid = 0; /* It has come to an end some other way. */
    }
    return reason;
}
