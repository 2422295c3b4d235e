/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check_placement.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/memory.h"
#include "state/batch.h"
#include "tests/sim/law.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct sim_rules {
    struct arena arena;
    struct map victims;    /* By VM uid: stopped for the claim that it has. */
    uint64_t newest_index; /* Of the entries that were looked at. */
};

struct sim_rules *sim_rules_create(void)
{
    struct sim_rules *rules = memory_alloc(sizeof(*rules));

    arena_init(&rules->arena, BATCH_ARENA_BYTES);
    map_init(&rules->victims);
    return rules;
}

void sim_rules_destroy(struct sim_rules *rules)
{
    arena_close(&rules->arena);
    map_close(&rules->victims);
    free(rules);
}

/* --- Decisions, one by one -------------------------------------------------
 */

static bool obeys_move(const struct state *state, const struct vm *vm,
                       const struct host *host)
{
    uint32_t slot = uid_slot(host->uid);

    if (vm->moving == MOVE_NONE) {
        return true;
    }
    if (vm->move_host != SLOT_NONE) {
        return vm->move_host == slot;
    }
    return vm->move_zone != SLOT_NONE
               ? vm->move_zone == host->zone
               : vm->last_host != slot || state_policy(state)->uid == 0;
}

static void check_assign(struct sim_world *world, const struct state *state,
                         const struct change_vm_assign *assign)
{
    const struct vm *vm = state_vm(state, assign->vm);
    const struct host *host = state_host(state, assign->host);
    const char *law;

    if (vm == NULL || host == NULL) {
        return; /* Apply aborts. */
    }
    law = obeys_move(state, vm, host) ? sim_law_broken(state, vm, host)
                                      : "its move's target";
    if (law != NULL) {
        sim_violation(world, "rules-hold",
                      "vm %s epoch %" PRIu64 " goes to %s against %s", vm->name,
                      assign->epoch, host->name, law);
    }
    if (!sim_law_has_room(state, vm, host)) {
        sim_violation(world, "claims-hold",
                      "vm %s epoch %" PRIu64
                      " goes to %s into room that is held for others",
                      vm->name, assign->epoch, host->name);
    }
}

static uint64_t victims_of(const struct sim_rules *rules, uint64_t uid)
{
    return (uint64_t)(uintptr_t)map_get(&rules->victims, uid);
}

static void check_preempt(struct sim_world *world, const struct state *state,
                          const struct change_vm_preempt *preempt)
{
    struct sim_rules *rules = world->rules;
    const struct vm *victim = state_vm(state, preempt->vm);
    const struct vm *other = state_vm(state, preempt->beneficiary);
    uint64_t count = victims_of(rules, preempt->beneficiary.uid) + 1;

    if (victim == NULL || other == NULL) {
        return;
    }
    map_put(&rules->victims, other->uid, (void *)(uintptr_t)count);
    if (!victim->preemptible || victim->priority >= other->priority) {
        sim_violation(world, "preemption-is-just",
                      "vm %s (preemptible %d, priority %d) is stopped for %s "
                      "of priority %d",
                      victim->name, victim->preemptible, victim->priority,
                      other->name, other->priority);
    } else if (count > state_policy(state)->preempt_max) {
        sim_violation(world, "preemption-is-just",
                      "%" PRIu64 " VMs are stopped for %s, at most %" PRIu32
                      " may be",
                      count, other->name, state_policy(state)->preempt_max);
    }
}

static void check_decision(struct sim_world *world, const struct state *state,
                           const struct change *change)
{
    switch (change->kind) {
    case CHANGE_VM_ASSIGN:
        check_assign(world, state, &change->vm_assign);
        break;
    case CHANGE_VM_CLAIM:
        map_remove(&world->rules->victims, change->vm_claim.vm.uid);
        break;
    case CHANGE_VM_PREEMPT:
        check_preempt(world, state, &change->vm_preempt);
        break;
    default:
        break;
    }
}

static bool has_decisions(const struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->changes[i].kind == CHANGE_VM_ASSIGN ||
            batch->changes[i].kind == CHANGE_VM_CLAIM ||
            batch->changes[i].kind == CHANGE_VM_PREEMPT) {
            return true;
        }
    }
    return false;
}

void sim_check_entry(struct sim_node *node, uint64_t index, const uint8_t *data,
                     size_t len)
{
    struct sim_world *world = node->world;
    struct sim_rules *rules = world->rules;
    const struct state *before = node->engine.state;
    struct state *state;
    struct batch batch;

    if (index <= rules->newest_index || world->violation[0] != '\0') {
        return;
    }
    rules->newest_index = index;
    arena_clear(&rules->arena);
    if (batch_decode(data, len, &rules->arena, &batch) != 0 ||
        batch.head.base_revision != state_revision(before) ||
        batch.head.base_hash != state_hash(before) || !has_decisions(&batch)) {
        return;
    }
    state = state_clone(before);
    state_begin(state, batch.head.time_ms);
    for (size_t i = 0; i < batch.count && world->violation[0] == '\0'; i++) {
        check_decision(world, state, &batch.changes[i]);
        state_apply(state, &batch.changes[i], NULL);
    }
    state_destroy(state);
}

/* --- Sums ------------------------------------------------------------------
 */

struct sums {
    struct sim_amount used;
    struct sim_amount claimed;
    struct sim_amount claimed_by_running; /* Of VMs that have a host. */
    uint32_t vms;
    uint32_t claims;
};

static void sum_vm(struct sim_world *world, const struct state *state,
                   const struct vm *vm, struct sums *hosts)
{
    struct sim_amount size = sim_amount_of_vm(state, vm);

    if (vm->host != SLOT_NONE) {
        const struct host *host = state_host_at(state, vm->host);

        sim_amount_add(&hosts[vm->host].used, &size);
        hosts[vm->host].vms++;
        if (vm->zone != SLOT_NONE && vm->zone != host->zone) {
            sim_violation(world, "capacity-holds",
                          "zonal vm %s is on %s in another zone", vm->name,
                          host->name);
        }
    }
    if (vm_holds_claim(vm) && state_policy(state)->uid != 0) {
        struct sums *host = &hosts[vm->move_host];

        sim_amount_add(&host->claimed, &size);
        host->claims++;
        if (vm->host != SLOT_NONE) {
            sim_amount_add(&host->claimed_by_running, &size);
        }
    }
}

static bool equal(const struct sim_amount *a, const struct sim_amount *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

/* Its list has just the VMs that are on it. */
static bool lists_its_vms(const struct state *state, const struct host *host)
{
    uint32_t slot = host->vm_first;
    uint32_t count = 0;

    for (; slot != SLOT_NONE; slot = state_vm_at(state, slot)->host_next) {
        if (state_vm_at(state, slot)->host != uid_slot(host->uid)) {
            return false;
        }
        count++;
    }
    return count == host->vm_count;
}

static void check_host(struct sim_world *world, const struct state *state,
                       const struct host *host, const struct sums *sums)
{
    struct sim_amount capacity = sim_amount_capacity(host);
    struct sim_amount used = sim_amount_used(host);
    struct sim_amount claimed = sim_amount_claimed(host);
    struct sim_amount both = sums->used;

    if (!sim_amount_fits(&sums->used, &capacity) ||
        !equal(&sums->used, &used) || sums->vms != host->vm_count ||
        !lists_its_vms(state, host)) {
        sim_violation(world, "capacity-holds",
                      "%s has %" PRIu32 " VMs with %" PRIu64
                      " milli CPU, says %" PRIu32 ", of %" PRIu32,
                      host->name, sums->vms, sums->used.of[0],
                      host->used.cpu_milli, host->capacity.cpu_milli);
    }
    sim_amount_add(&both, &sums->claimed_by_running);
    if (!equal(&sums->claimed, &claimed) || sums->claims != host->claim_count) {
        sim_violation(world, "claims-hold",
                      "%" PRIu32 " VMs hold %" PRIu64
                      " milli CPU on %s, which says %" PRIu32 " of %" PRIu32
                      " VMs",
                      sums->claims, sums->claimed.of[0], host->name,
                      host->claimed.cpu_milli, host->claim_count);
    } else if (!sim_amount_fits(&both, &capacity)) {
        sim_violation(world, "claims-hold",
                      "%s has %" PRIu64 " milli CPU in use and %" PRIu64
                      " held for VMs that run elsewhere, of %" PRIu32,
                      host->name, sums->used.of[0],
                      sums->claimed_by_running.of[0], host->capacity.cpu_milli);
    }
}

static void check_group_sums(struct sim_world *world, const struct state *state,
                             const struct group *group)
{
    uint32_t zones[ZONES_MAX] = {0};
    uint32_t count = 0;
    uint32_t next = group->vm_first_plus1;

    while (next != 0) {
        const struct vm *vm = state_vm_at(state, next - 1);

        next = vm->group_next_plus1;
        count++;
        if (vm->host != SLOT_NONE) {
            zones[state_host_at(state, vm->host)->zone]++;
        }
    }
    if (count != group->vm_count ||
        memcmp(zones, group->zone_counts, sizeof(zones)) != 0) {
        sim_violation(world, "capacity-holds",
                      "group %s has %" PRIu32 " members and says %" PRIu32
                      ", or other zones for them",
                      group->name, count, group->vm_count);
    }
}

void sim_check_sums(struct sim_world *world, const struct state *state)
{
    uint32_t hosts = state_host_slots(state);
    struct sums *sums = memory_alloc_array(hosts + 1, sizeof(*sums));

    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL) {
            sum_vm(world, state, vm, sums);
        }
    }
    for (uint32_t slot = 0; slot < hosts; slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL) {
            check_host(world, state, host, &sums[slot]);
        }
    }
    for (uint32_t slot = 0; slot < state_group_slots(state); slot++) {
        const struct group *group = state_group_at(state, slot);

        if (group != NULL) {
            check_group_sums(world, state, group);
        }
    }
    free(sums);
}

/* --- At rest ---------------------------------------------------------------
 */

static bool has_reservations(const struct state *state, uint32_t zone)
{
    for (uint32_t i = 0; i < state_reservation_slots(state); i++) {
        const struct reservation *one = state_reservation_at(state, i);

        if (one != NULL && one->zone == zone) {
            return true;
        }
    }
    return false;
}

/* Room that is neither reserved nor kept for the loss of a zone: which hosts
 * these are on is worked out, not written down; so this says yes only where
 * nothing of that kind can be meant. */
static bool is_free_to_take(const struct state *state, const struct vm *vm,
                            const struct host *host)
{
    if (vm->recovering) {
        return true;
    }
    return state_policy(state)->headroom != HEADROOM_ENFORCE &&
           (vm->preemptible || !has_reservations(state, host->zone));
}

static bool could_take(const struct state *state, const struct vm *vm,
                       const struct host *host)
{
    return sim_law_broken(state, vm, host) == NULL &&
           sim_law_has_room(state, vm, host) &&
           is_free_to_take(state, vm, host);
}

/* One that was stopped for another may go anywhere; all other wishes are given
 * up when they cannot be kept. */
static bool is_on_its_way(const struct vm *vm)
{
    return vm->moving == MOVE_CLAIMED ||
           (vm->moving == MOVE_UNDER_WAY &&
            vm->move_cause != MOVE_CAUSE_PREEMPTION);
}

bool sim_waits_rightly(const struct state *state, const struct vm *vm)
{
    if (vm->state != VM_PENDING || is_on_its_way(vm)) {
        return false;
    }
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && could_take(state, vm, host)) {
            return false;
        }
    }
    return true;
}

struct census {
    uint32_t members; /* Made from the template, not being deleted. */
    uint32_t running;
    uint32_t outdated;
    uint32_t outdated_down; /* Of these, those that do not run. */
};

static void take_census(const struct state *state, const struct group *group,
                        struct census *census)
{
    uint32_t next = group->vm_first_plus1;

    *census = (struct census){0};
    while (next != 0) {
        const struct vm *vm = state_vm_at(state, next - 1);
        bool runs = vm->state == VM_RUNNING;
        bool outdated = vm->template_generation < group->generation;

        next = vm->group_next_plus1;
        if (vm->template_generation != 0 && !vm->deleting) {
            census->members++;
            census->running += runs;
            census->outdated += outdated;
            census->outdated_down += outdated && !runs;
        }
    }
}

static bool must_renew(const struct group *group, const struct census *census)
{
    uint32_t down =
        group->count > census->running ? group->count - census->running : 0;

    return group->max_unavailable > 0 && census->members == group->count &&
           (census->outdated_down > 0 ||
            (census->outdated > 0 && down < group->max_unavailable));
}

static void check_group_at_rest(struct sim_world *world,
                                const struct state *state,
                                const struct group *group)
{
    bool guarded = state_policy(state)->headroom == HEADROOM_ENFORCE;
    struct census census;

    take_census(state, group, &census);
    if (group->deleting) {
        sim_violation(world, "groups-converge",
                      "the deleted group %s is still there, with %" PRIu32
                      " members",
                      group->name, group->vm_count);
    } else if (group->class_slot != SLOT_NONE &&
               (census.members > group->count ||
                (census.members < group->count && !guarded))) {
        sim_violation(world, "groups-converge",
                      "group %s has %" PRIu32 " members of %" PRIu32,
                      group->name, census.members, group->count);
    } else if (must_renew(group, &census)) {
        sim_violation(
            world, "groups-converge",
            "group %s has %" PRIu32
            " members of an older template, and %" PRIu32 " of %" PRIu32 " run",
            group->name, census.outdated, census.running, group->count);
    }
}

void sim_check_groups_at_rest(struct sim_world *world,
                              const struct state *state)
{
    for (uint32_t slot = 0; slot < state_group_slots(state); slot++) {
        const struct group *group = state_group_at(state, slot);

        if (group != NULL) {
            check_group_at_rest(world, state, group);
        }
    }
}

static bool is_draining(const struct state *state, const struct host *host)
{
    return host->draining || state_zone_at(state, host->zone)->draining;
}

static const struct host *way_out(const struct state *state,
                                  const struct vm *vm)
{
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && slot != vm->host && could_take(state, vm, host)) {
            return host;
        }
    }
    return NULL;
}

/* With headroom in force a drain leaves behind what would endanger others. */
void sim_check_drains_at_rest(struct sim_world *world,
                              const struct state *state)
{
    if (state_policy(state)->headroom != HEADROOM_OFF) {
        return;
    }
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);
        const struct host *host = vm == NULL || vm->host == SLOT_NONE
                                      ? NULL
                                      : state_host_at(state, vm->host);
        const struct host *target;

        if (host == NULL || !is_draining(state, host)) {
            continue;
        }
        target = way_out(state, vm);
        if (target != NULL) {
            sim_violation(world, "drains-end",
                          "vm %s is still on %s, which is drained, and %s "
                          "could take it",
                          vm->name, host->name, target->name);
        }
    }
}
