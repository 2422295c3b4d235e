/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of VMs. A VM is in one of two lists through host_next and host_prev:
 * that of its host, or, while PENDING, that of the pending. */
#include "base/check.h"
#include "base/planted.h"
#include "state/internal.h"

void vm_set_state(struct state *state, struct vm *vm, enum vm_state next)
{
    if (vm->state != 0) {
        state->counts.vms_by_state[vm->state]--;
    }
    state->counts.vms_by_state[next]++;
    if (vm->state != next) {
        vm->state_time_ms = state->head.time_ms;
    }
    vm->state = (uint8_t)next;
}

static void set_next(struct state *state, uint32_t slot, uint32_t next)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    vm->host_next = next;
    record_edited(state, TABLE_VM, slot);
}

static void set_prev(struct state *state, uint32_t slot, uint32_t prev)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    vm->host_prev = prev;
    record_edited(state, TABLE_VM, slot);
}

/* In these four, `vm` is the open record in `slot`; its neighbours are other
 * records, so opening them does not disturb it. */
static void pending_append(struct state *state, struct vm *vm, uint32_t slot)
{
    vm->host_next = SLOT_NONE;
    vm->host_prev = state->head.pending_last;
    if (state->head.pending_last == SLOT_NONE) {
        state->head.pending_first = slot;
    } else {
        set_next(state, state->head.pending_last, slot);
    }
    state->head.pending_last = slot;
}

static void pending_remove(struct state *state, struct vm *vm)
{
    if (vm->host_prev == SLOT_NONE) {
        state->head.pending_first = vm->host_next;
    } else {
        set_next(state, vm->host_prev, vm->host_next);
    }
    if (vm->host_next == SLOT_NONE) {
        state->head.pending_last = vm->host_prev;
    } else {
        set_prev(state, vm->host_next, vm->host_prev);
    }
    vm->host_next = SLOT_NONE;
    vm->host_prev = SLOT_NONE;
}

static const struct class *class_of(const struct state *state,
                                    const struct vm *vm)
{
    return table_get(&state->tables[TABLE_CLASS], vm->class_slot);
}

/* Adds to, or takes from, what host, zone and group have in use. */
static void account(struct state *state, struct host *host, const struct vm *vm,
                    int sign)
{
    struct zone *zone = record_edit(state, TABLE_ZONE, host->zone);
    const struct class *class = class_of(state, vm);

    if (!PLANTED(USE_KEPT) || sign > 0) {
        resources_add(&host->used, &class->resources, sign);
        amounts_add(&host->named_used, &class->named, sign);
    }
    host->vm_count += (uint32_t)sign;
    zone->vm_count += (uint32_t)sign;
    if (host->state == HOST_UP) {
        resource_sum_add(&zone->used, &class->resources, sign);
    }
    record_edited(state, TABLE_ZONE, host->zone);
    group_count_zone(state, vm, host->zone, sign);
}

static void host_add(struct state *state, struct vm *vm, uint32_t slot,
                     uint32_t host_slot)
{
    struct host *host = record_edit(state, TABLE_HOST, host_slot);

    /* Rule 6. */
    CHECK(host->state == HOST_UP && host_fits(host, class_of(state, vm)));
    vm->host = host_slot;
    vm->host_prev = SLOT_NONE;
    vm->host_next = host->vm_first;
    if (host->vm_first != SLOT_NONE) {
        set_prev(state, host->vm_first, slot);
    }
    host->vm_first = slot;
    account(state, host, vm, 1);
    record_edited(state, TABLE_HOST, host_slot);
}

static void host_remove(struct state *state, struct vm *vm)
{
    uint32_t host_slot = vm->host;
    struct host *host = record_edit(state, TABLE_HOST, host_slot);

    if (vm->host_prev == SLOT_NONE) {
        host->vm_first = vm->host_next;
    } else {
        set_next(state, vm->host_prev, vm->host_next);
    }
    if (vm->host_next != SLOT_NONE) {
        set_prev(state, vm->host_next, vm->host_prev);
    }
    account(state, host, vm, -1);
    record_edited(state, TABLE_HOST, host_slot);
    vm->host = SLOT_NONE;
    vm->host_next = SLOT_NONE;
    vm->host_prev = SLOT_NONE;
}

static void make_pending(struct state *state, struct vm *vm, uint32_t slot)
{
    vm_set_state(state, vm, VM_PENDING);
    vm->pending_reason = PENDING_QUEUED;
    pending_append(state, vm, slot);
}

void vm_finish(struct state *state, struct event_sink *sink, uint32_t slot,
               struct vm *vm)
{
    vm->revision = next_revision(state);
    record_edited(state, TABLE_VM, slot);
    emit(state, sink, TABLE_VM, slot, false);
}

/* The fields of format 2. */
static void create_added(struct state *state, struct vm *vm, uint32_t slot,
                         const struct change_vm_create *change)
{
    vm->preemptible = change->preemptible;
    vm->local_disk = change->local_disk;
    vm->disk_zone_mask = change->disk_zone_mask;
    vm->selector_blob = blobs_intern(&state->blobs, change->selector);
    vm->template_generation = change->template_generation;
    if (change->group.uid != 0) {
        group_add(state, vm, slot, slot_of_group(state, change->group));
    }
}

static void create(struct state *state, const struct change_vm_create *change,
                   struct event_sink *sink)
{
    uint32_t class_slot = slot_of_class(state, change->class);
    uint32_t slot = record_create(state, TABLE_VM, change->name);
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    vm->class_slot = class_slot;
    vm->zone =
        change->zone.uid == 0 ? SLOT_NONE : slot_of_zone(state, change->zone);
    vm->host = SLOT_NONE;
    vm->host_next = SLOT_NONE;
    vm->host_prev = SLOT_NONE;
    vm->last_host = SLOT_NONE;
    vm_end_move(state, vm, slot);
    vm->priority = (uint16_t)change->priority;
    vm->on_partition = (uint8_t)change->on_partition;
    vm->desired = (uint8_t)change->desired;
    vm->driver = (uint8_t)change->driver;
    vm->template_blob = blobs_intern(&state->blobs, change->template);
    vm->labels_blob = blobs_intern(&state->blobs, change->labels);
    vm->pool_mask = pool_bits(state, change->pools, change->pool_count);
    create_added(state, vm, slot, change);
    if (change->desired == DESIRED_RUNNING) {
        make_pending(state, vm, slot);
    } else {
        vm_set_state(state, vm, VM_STOPPED);
    }
    vm_finish(state, sink, slot, vm);
    class_count_vms(state, class_slot, 1, sink);
    state->counts.vms++;
}

static void update(struct state *state, uint32_t slot,
                   const struct change_vm_update *change,
                   struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    if (change->mask & VM_UPDATE_PRIORITY) {
        vm->priority = (uint16_t)change->priority;
    }
    if (change->mask & VM_UPDATE_ON_PARTITION) {
        vm->on_partition = (uint8_t)change->on_partition;
    }
    if (change->mask & VM_UPDATE_LABELS) {
        blob_replace(state, &vm->labels_blob, change->labels);
    }
    if (change->mask & VM_UPDATE_PREEMPTIBLE) {
        vm->preemptible = change->preemptible;
    }
    vm_finish(state, sink, slot, vm);
}

static void desire(struct state *state, uint32_t slot,
                   const struct change_vm_desire *change,
                   struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);
    bool stop = change->deleting || change->desired == DESIRED_STOPPED;

    CHECK(!vm->deleting || change->deleting);
    CHECK(!change->deleting || vm->host != SLOT_NONE);
    vm->desired = (uint8_t)change->desired;
    vm->deleting = change->deleting;
    if (vm->host != SLOT_NONE) {
        if (stop && vm->moving == MOVE_CLAIMED) {
            vm_end_move(state, vm, slot); /* It needs no room elsewhere. */
        }
        if (stop && vm->state != VM_LOST) {
            vm_set_state(state, vm, VM_STOPPING);
        }
    } else if (stop && vm->state == VM_PENDING) {
        pending_remove(state, vm);
        vm->pending_reason = PENDING_NONE;
        vm->not_before_ms = 0;
        vm->recovering = 0;
        vm_end_move(state, vm, slot);
        vm_set_state(state, vm, VM_STOPPED);
    } else if (!stop && vm->state == VM_STOPPED) {
        make_pending(state, vm, slot);
    }
    vm_finish(state, sink, slot, vm);
}

static void assign(struct state *state, uint32_t slot,
                   const struct change_vm_assign *change,
                   struct event_sink *sink)
{
    uint32_t host = slot_of_host(state, change->host);
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    /* Rule 1: PENDING means that the last epoch was proved gone. */
    CHECK(vm->state == VM_PENDING && vm->host == SLOT_NONE);
    CHECK(change->epoch == vm->epoch + 1);
    pending_remove(state, vm);
    vm->epoch = change->epoch;
    vm->pending_reason = PENDING_NONE;
    vm->on_partition_active = vm->on_partition;
    vm_end_move(state, vm, slot);
    vm->recovering = 0;
    if (state_has_policy(state)) {
        vm->assign_time_ms = state->head.time_ms;
    }
    if (vm->local_disk && vm->home_host_plus1 == 0) {
        vm->home_host_plus1 = host + 1;
    }
    host_add(state, vm, slot, host);
    vm_set_state(state, vm, VM_ASSIGNED);
    vm_finish(state, sink, slot, vm);
}

static void set_pending_reason(struct state *state, uint32_t slot,
                               enum pending_reason reason,
                               struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    CHECK(vm->state == VM_PENDING && reason != PENDING_NONE);
    vm->pending_reason = (uint8_t)reason;
    vm_finish(state, sink, slot, vm);
}

static void report(struct state *state, uint32_t slot,
                   const struct change_vm_report *change,
                   struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    CHECK(vm->host != SLOT_NONE && vm->epoch == change->epoch);
    CHECK(change->state >= VM_STARTING && change->state <= VM_STOPPING);
    if (vm->state != VM_STOPPING) {
        vm_set_state(state, vm, change->state);
    }
    if (change->state == VM_RUNNING) {
        vm->not_before_ms = 0;
    }
    vm_finish(state, sink, slot, vm);
}

static void vm_remove(struct state *state, uint32_t slot,
                      struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);
    uint32_t class_slot = vm->class_slot;

    CHECK(vm->host == SLOT_NONE);
    if (vm->state == VM_PENDING) {
        pending_remove(state, vm);
    }
    vm_end_move(state, vm, slot);
    group_remove(state, vm);
    vm->revision = next_revision(state);
    record_edited(state, TABLE_VM, slot);
    emit(state, sink, TABLE_VM, slot, true);
    blobs_release(&state->blobs, vm->template_blob);
    blobs_release(&state->blobs, vm->labels_blob);
    blobs_release(&state->blobs, vm->end_blob);
    blobs_release(&state->blobs, vm->selector_blob);
    state->counts.vms--;
    state->counts.vms_by_state[vm->state]--;
    record_delete(state, TABLE_VM, slot);
    class_count_vms(state, class_slot, -1, sink);
}

void vm_release(struct state *state, uint32_t slot,
                const struct change_vm_release *change, bool fenced,
                struct event_sink *sink)
{
    struct vm *vm = record_edit(state, TABLE_VM, slot);

    CHECK(vm->host != SLOT_NONE && vm->epoch == change->epoch);
    blob_replace(state, &vm->end_blob, change->reason);
    if (change->forget) {
        vm->restart_count = 0;
    }
    if (change->failed) {
        vm->restart_count++;
    }
    vm->last_host = vm->host;
    vm->not_before_ms = change->not_before_ms;
    if (vm->moving == MOVE_CLAIMED) {
        vm_end_move(state, vm, slot); /* It is placed anew, where it is best. */
    }
    host_remove(state, vm);
    if (vm->deleting) {
        record_edited(state, TABLE_VM, slot);
        vm_remove(state, slot, sink);
        return;
    }
    if (vm->desired == DESIRED_STOPPED) {
        vm_end_move(state, vm, slot);
        vm->not_before_ms = 0;
        vm_set_state(state, vm, VM_STOPPED);
    } else {
        vm->recovering = fenced && state_has_policy(state);
        make_pending(state, vm, slot);
    }
    vm_finish(state, sink, slot, vm);
}

void apply_vm(struct state *state, const struct change *change,
              struct event_sink *sink)
{
    switch (change->kind) {
    case CHANGE_VM_CREATE:
        create(state, &change->vm_create, sink);
        break;
    case CHANGE_VM_UPDATE:
        update(state, slot_of_vm(state, change->vm_update.vm),
               &change->vm_update, sink);
        break;
    case CHANGE_VM_DESIRE:
        desire(state, slot_of_vm(state, change->vm_desire.vm),
               &change->vm_desire, sink);
        break;
    case CHANGE_VM_MOVE:
        vm_move(state, slot_of_vm(state, change->vm_move.vm), &change->vm_move,
                sink);
        break;
    case CHANGE_VM_CLAIM:
        vm_claim(state, slot_of_vm(state, change->vm_claim.vm),
                 &change->vm_claim, sink);
        break;
    case CHANGE_VM_PREEMPT:
        vm_preempt(state, slot_of_vm(state, change->vm_preempt.vm),
                   &change->vm_preempt, sink);
        break;
    case CHANGE_VM_ASSIGN:
        assign(state, slot_of_vm(state, change->vm_assign.vm),
               &change->vm_assign, sink);
        break;
    case CHANGE_VM_PENDING:
        set_pending_reason(state, slot_of_vm(state, change->vm_pending.vm),
                           change->vm_pending.reason, sink);
        break;
    case CHANGE_VM_REPORT:
        report(state, slot_of_vm(state, change->vm_report.vm),
               &change->vm_report, sink);
        break;
    case CHANGE_VM_RELEASE:
        vm_release(state, slot_of_vm(state, change->vm_release.vm),
                   &change->vm_release, false, sink);
        break;
    case CHANGE_VM_DELETE:
        vm_remove(state, slot_of_vm(state, change->vm_delete.vm), sink);
        break;
    default:
        CHECK_UNREACHABLE("a change of a kind that exists");
    }
}
