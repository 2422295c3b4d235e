/* SPDX-License-Identifier: Apache-2.0
 *
 * Why a change is made, told from the change and the state before it. Entries
 * say what was decided, not why, and need not: node/ decides by rules, and each
 * leaves a mark by which it is known. So logs and replicas from before causes
 * were told give the same ones. Each cause names the revision of the event that
 * it follows from, which by those rules is that of a record. */
#include "base/check.h"
#include "state/internal.h"

struct cause {
    enum event_cause cause;
    uint64_t revision;
};

static const struct cause from_outside = {CAUSE_REQUEST, 0};

static const struct zone *zone_at(const struct state *state, uint32_t slot)
{
    return table_get(&state->tables[TABLE_ZONE], slot);
}

static const struct host *host_at(const struct state *state, uint32_t slot)
{
    return table_get(&state->tables[TABLE_HOST], slot);
}

/* --- Zones and hosts ----------------------------------------------------- */

static bool is_over(uint64_t deadline_ms, const struct state *state)
{
    return deadline_ms != 0 && state_time_ms(state) >= deadline_ms;
}

/* A drain ends at its deadline, or because somebody cancels it; the cordon that
 * the end at the deadline leaves comes right behind it. */
static struct cause cause_of_cordon(const struct state *state, bool cordoned,
                                    uint64_t revision, enum event_cause drain)
{
    return cordoned && state->telling.cause == drain &&
                   state->head.revision == revision
               ? (struct cause){drain, revision}
               : from_outside;
}

static struct cause cause_of_zone(const struct state *state,
                                  const struct change *change)
{
    const struct zone *zone;

    switch (change->kind) {
    case CHANGE_ZONE_STATE:
        zone = zone_at(state, slot_of_zone(state, change->zone_state.zone));
        return change->zone_state.state == ZONE_LOST
                   ? (struct cause){CAUSE_LEASE_ENDED, 0}
                   : (struct cause){CAUSE_ZONE_RETURNED, zone->revision};
    case CHANGE_ZONE_DRAIN:
        zone = zone_at(state, slot_of_zone(state, change->zone_drain.zone));
        return !change->zone_drain.draining &&
                       is_over(zone->drain_deadline_ms, state)
                   ? (struct cause){CAUSE_ZONE_DRAIN, zone->revision}
                   : from_outside;
    case CHANGE_ZONE_CORDON:
        zone = zone_at(state, slot_of_zone(state, change->zone_cordon.zone));
        return cause_of_cordon(state, change->zone_cordon.cordoned,
                               zone->revision, CAUSE_ZONE_DRAIN);
    default:
        return from_outside;
    }
}

static struct cause cause_of_fence(const struct state *state,
                                   const struct change_host_fence *fence)
{
    const struct host *host = host_at(state, slot_of_host(state, fence->host));
    const struct zone *zone = zone_at(state, host->zone);

    switch (fence->proof) {
    case FENCE_REBOOTED:
        return (struct cause){CAUSE_AGENT, 0};
    case FENCE_DECLARED:
        return from_outside;
    default:
        return zone->state == ZONE_LOST
                   ? (struct cause){CAUSE_ZONE_LOST, zone->revision}
                   : (struct cause){CAUSE_LEASE_ENDED, 0};
    }
}

static struct cause cause_of_host(const struct state *state,
                                  const struct change *change)
{
    const struct host *host;

    switch (change->kind) {
    case CHANGE_HOST_REGISTER:
        return (struct cause){CAUSE_AGENT, 0};
    case CHANGE_HOST_FENCE:
        return cause_of_fence(state, &change->host_fence);
    case CHANGE_HOST_DRAIN:
        host = host_at(state, slot_of_host(state, change->host_drain.host));
        return !change->host_drain.draining &&
                       is_over(host->drain_deadline_ms, state)
                   ? (struct cause){CAUSE_HOST_DRAIN, host->revision}
                   : from_outside;
    default:
        host = host_at(state, slot_of_host(state, change->host_cordon.host));
        return cause_of_cordon(state, change->host_cordon.cordoned,
                               host->revision, CAUSE_HOST_DRAIN);
    }
}

/* --- Groups and their members -------------------------------------------- */

/* What only the group's control writes: the number of the next member's name;
 * and the end of a group that somebody deleted before. */
static struct cause cause_of_group(const struct state *state,
                                   const struct change *change)
{
    bool deletes = change->kind == CHANGE_GROUP_DELETE;
    const struct group *group;

    if (change->kind == CHANGE_GROUP_CREATE) {
        return from_outside;
    }
    group =
        table_get(&state->tables[TABLE_GROUP],
                  slot_of_group(state, deletes ? change->group_delete.group
                                               : change->group_update.group));
    if (deletes
            ? group->deleting
            : change->group_update.fields.next_member != group->next_member) {
        return (struct cause){CAUSE_GROUP, group->revision};
    }
    return from_outside;
}

/* A member that goes while its group has too many, or replaces those of an
 * older template, or is being deleted, was taken by the group. */
static struct cause cause_of_going(const struct state *state,
                                   const struct vm *vm)
{
    const struct group *group;

    if (vm->group_plus1 == 0 || vm->template_generation == 0) {
        return from_outside;
    }
    group = table_get(&state->tables[TABLE_GROUP], vm->group_plus1 - 1);
    if (group->deleting || group->vm_count > group->count ||
        (group->max_unavailable > 0 &&
         vm->template_generation != group->generation)) {
        return (struct cause){CAUSE_GROUP, group->revision};
    }
    return from_outside;
}

static struct cause cause_of_create(const struct state *state,
                                    const struct change_vm_create *create)
{
    const struct group *group;

    if (create->group.uid == 0 || create->template_generation == 0) {
        return from_outside;
    }
    group = table_get(&state->tables[TABLE_GROUP],
                      slot_of_group(state, create->group));
    return (struct cause){CAUSE_GROUP, group->revision};
}

/* --- VMs ----------------------------------------------------------------- */

/* A move that begins, as a claim or at once. */
static struct cause cause_of_move(const struct state *state,
                                  const struct vm *vm, enum move_cause why)
{
    const struct host *host =
        vm->host == SLOT_NONE ? NULL : host_at(state, vm->host);

    switch (why) {
    case MOVE_CAUSE_HOST_DRAIN:
        return (struct cause){CAUSE_HOST_DRAIN,
                              host == NULL ? vm->revision : host->revision};
    case MOVE_CAUSE_ZONE_DRAIN:
        return (struct cause){
            CAUSE_ZONE_DRAIN,
            host == NULL ? vm->revision : zone_at(state, host->zone)->revision};
    case MOVE_CAUSE_REBALANCE:
        return (struct cause){CAUSE_REBALANCE, 0};
    case MOVE_CAUSE_PLAN:
        return (struct cause){CAUSE_PLAN, 0};
    case MOVE_CAUSE_PREEMPTION:
        return (struct cause){CAUSE_PREEMPTION, vm->revision};
    default:
        return from_outside;
    }
}

/* What follows for a VM from what it was before. */
static struct cause cause_of_next(const struct state *state,
                                  const struct vm *vm)
{
    struct cause cause = {CAUSE_PLACEMENT, vm->revision};

    if (vm->recovering) {
        cause.cause = CAUSE_FAILOVER;
    } else if (vm->moving == MOVE_UNDER_WAY ||
               (vm->moving == MOVE_CLAIMED && vm->host != SLOT_NONE)) {
        cause.cause =
            cause_of_move(state, vm, (enum move_cause)vm->move_cause).cause;
    }
    return cause;
}

static struct cause cause_of_claim(const struct state *state,
                                   const struct change_vm_claim *claim)
{
    const struct vm *vm =
        table_get(&state->tables[TABLE_VM], slot_of_vm(state, claim->vm));

    return claim->host.uid == 0 || vm->host == SLOT_NONE
               ? cause_of_next(state, vm)
               : cause_of_move(state, vm, claim->cause);
}

/* A queued move begins when its turn has come. */
static struct cause cause_of_going_on(const struct state *state,
                                      const struct change_vm_move *move)
{
    const struct vm *vm =
        table_get(&state->tables[TABLE_VM], slot_of_vm(state, move->vm));
    bool claimed = vm->moving == MOVE_CLAIMED && vm->host != SLOT_NONE &&
                   move->host.uid != 0 &&
                   vm->move_host == slot_of_host(state, move->host);

    return move->cancel || claimed ? cause_of_next(state, vm)
                                   : cause_of_move(state, vm, move->cause);
}

/* The end of a VM that was to run on comes from outside. */
static struct cause cause_of_report(const struct vm *vm, bool release)
{
    bool by_itself = release && vm->state == VM_RUNNING;

    return (struct cause){CAUSE_AGENT, by_itself ? 0 : vm->revision};
}

static const struct vm *vm_of(const struct state *state, struct vm_id id)
{
    return table_get(&state->tables[TABLE_VM], slot_of_vm(state, id));
}

static struct cause cause_of_vm(const struct state *state,
                                const struct change *change)
{
    switch (change->kind) {
    case CHANGE_VM_CREATE:
        return cause_of_create(state, &change->vm_create);
    case CHANGE_VM_DESIRE:
        return change->vm_desire.deleting
                   ? cause_of_going(state, vm_of(state, change->vm_desire.vm))
                   : from_outside;
    case CHANGE_VM_DELETE:
        return cause_of_going(state, vm_of(state, change->vm_delete.vm));
    case CHANGE_VM_MOVE:
        return cause_of_going_on(state, &change->vm_move);
    case CHANGE_VM_CLAIM:
        return cause_of_claim(state, &change->vm_claim);
    case CHANGE_VM_PREEMPT:
        return (struct cause){
            CAUSE_PREEMPTION,
            vm_of(state, change->vm_preempt.beneficiary)->revision};
    case CHANGE_VM_ASSIGN:
        return cause_of_next(state, vm_of(state, change->vm_assign.vm));
    case CHANGE_VM_PENDING:
        return cause_of_next(state, vm_of(state, change->vm_pending.vm));
    case CHANGE_VM_REPORT:
        return cause_of_report(vm_of(state, change->vm_report.vm), false);
    case CHANGE_VM_RELEASE:
        return cause_of_report(vm_of(state, change->vm_release.vm), true);
    default:
        return from_outside;
    }
}

void cause_of_change(const struct state *state, const struct change *change,
                     enum event_cause *cause, uint64_t *revision)
{
    struct cause found;

    switch (change->kind) {
    case CHANGE_ZONE_CREATE:
    case CHANGE_ZONE_CORDON:
    case CHANGE_ZONE_STATE:
    case CHANGE_ZONE_DRAIN:
        found = cause_of_zone(state, change);
        break;
    case CHANGE_HOST_REGISTER:
    case CHANGE_HOST_CORDON:
    case CHANGE_HOST_FENCE:
    case CHANGE_HOST_DRAIN:
        found = cause_of_host(state, change);
        break;
    case CHANGE_GROUP_CREATE:
    case CHANGE_GROUP_UPDATE:
    case CHANGE_GROUP_DELETE:
        found = cause_of_group(state, change);
        break;
    case CHANGE_POLICY: /* The first is the first leader's. */
        found = (struct cause){
            state_has_policy(state) ? CAUSE_REQUEST : CAUSE_FOUNDING, 0};
        break;
    default:
        found = cause_of_vm(state, change);
        break;
    }
    *cause = found.cause;
    *revision = found.revision;
}
