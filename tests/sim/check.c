/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/check.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "tests/sim/check_placement.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is known of one node's process. */
struct seen {
    uint64_t hash;
    uint64_t index;
    uint64_t revision;
    uint64_t watched; /* Revision of the last event taken from its ring. */
    uint64_t term;    /* In which it last led. */
};

struct sim_check {
    struct sim_world *world;
    struct map hashes; /* By applied index: the state's hash, odd. */
    struct map events; /* By revision: the event's hash, odd. */
    struct map copies; /* By VM uid: the host that runs it. */
    struct map epochs; /* By VM uid: the newest epoch that began. */
    struct seen nodes[SIM_NODES_MAX];
    uint64_t newest_index; /* Whose state was looked through. */
    uint64_t acknowledged; /* The highest revision. */
    uint64_t newest_time_ms;
};

struct sim_check *sim_check_create(struct sim_world *world)
{
    struct sim_check *check = memory_alloc(sizeof(*check));

    check->world = world;
    map_init(&check->hashes);
    map_init(&check->events);
    map_init(&check->copies);
    map_init(&check->epochs);
    return check;
}

void sim_check_destroy(struct sim_check *check)
{
    map_close(&check->hashes);
    map_close(&check->events);
    map_close(&check->copies);
    map_close(&check->epochs);
    free(check);
}

/* Values of these maps are numbers that are not zero. */
static uint64_t number_get(const struct map *map, uint64_t key)
{
    return (uint64_t)(uintptr_t)map_get(map, key);
}

static void number_put(struct map *map, uint64_t key, uint64_t value)
{
    CHECK(value != 0);
    map_put(map, key, (void *)(uintptr_t)value);
}

/* True when it is the same as whoever said it first. */
static bool agrees(struct map *map, uint64_t key, uint64_t hash)
{
    uint64_t known = number_get(map, key);

    if (known == 0) {
        number_put(map, key, hash | 1);
    }
    return known == 0 || known == (hash | 1);
}

/* --- Rule 1: one copy ------------------------------------------------------
 */

void sim_check_guest_starts(struct sim_host *host,
                            const struct sim_guest *guest)
{
    struct sim_check *check = host->world->check;
    const struct sim_host *other = map_get(&check->copies, guest->uid);
    uint64_t epoch = number_get(&check->epochs, guest->uid);

    /* A machine that stands still runs nothing; sim_check_host_goes_on() sees
     * to it that a copy that was overtaken does not go on. */
    if (other != NULL && other->paused_until_us <= host->world->now_us) {
        sim_violation(host->world, "one-copy",
                      "vm %" PRIx64 " starts on %s while it runs on %s",
                      guest->uid, host->name, other->name);
    }
    if (guest->epoch <= epoch) {
        sim_violation(host->world, "epochs-rise",
                      "vm %" PRIx64 " starts with epoch %" PRIu64
                      " after %" PRIu64,
                      guest->uid, guest->epoch, epoch);
    }
    map_put(&check->copies, guest->uid, host);
    number_put(&check->epochs, guest->uid, guest->epoch);
}

void sim_check_guest_ends(struct sim_host *host, const struct sim_guest *guest)
{
    struct sim_check *check = host->world->check;

    if (!guest->foreign && map_get(&check->copies, guest->uid) == host) {
        map_remove(&check->copies, guest->uid);
    }
}

void sim_check_host_goes_on(struct sim_host *host)
{
    for (uint32_t i = 0; i < host->guest_count; i++) {
        const struct sim_guest *guest = &host->guests[i];

        if (guest->uid != 0 && !guest->foreign &&
            guest->state != SIM_GUEST_ENDED &&
            map_get(&host->world->check->copies, guest->uid) != host) {
            sim_violation(
                host->world, "one-copy",
                "vm %" PRIx64 " epoch %" PRIu64
                " (keep %d) goes on on %s after its pause, %" PRId64
                " ms of its lease left",
                guest->uid, guest->epoch, guest->keep, host->name,
                (int64_t)(host->deadline_ns / 1000 -
                          sim_clock_local(&host->clock, host->world->now_us)) /
                    1000);
        }
    }
}

/* --- Rules 2 and 3: nothing acknowledged is lost, linearizable --------------
 */

void sim_check_acknowledged(struct sim_world *world, uint64_t revision)
{
    struct sim_check *check = world->check;

    if (revision > check->acknowledged) {
        check->acknowledged = revision;
    }
}

uint64_t sim_check_floor(const struct sim_world *world)
{
    return world->check->acknowledged;
}

void sim_check_answer(struct sim_world *world, uint64_t floor,
                      uint64_t revision, const char *what)
{
    if (revision < floor) {
        sim_violation(world, "linearizable",
                      "%s answers as of revision %" PRIu64 ", but %" PRIu64
                      " was acknowledged before it began",
                      what, revision, floor);
    }
}

static bool is_newest_leader(const struct sim_node *node)
{
    for (uint32_t i = 0; i < node->world->node_count; i++) {
        const struct sim_node *other = node->world->nodes[i];

        if (sim_node_runs(other) &&
            other->engine.leadership.term > node->engine.leadership.term) {
            return false;
        }
    }
    return true;
}

/* A new leader has all that was acknowledged before it was proved. One that was
 * deposed and does not know it yet may lag (a pause between its election and
 * its proof, seed 1408): it can neither commit nor answer. */
static void check_nothing_is_lost(struct sim_node *node, struct seen *seen,
                                  const struct seen *now)
{
    const struct sim_check *check = node->world->check;

    if (!engine_leads(&node->engine) ||
        seen->term == node->engine.leadership.term) {
        return;
    }
    seen->term = node->engine.leadership.term;
    node->world->figures.elections++;
    if (is_newest_leader(node) && now->revision < check->acknowledged) {
        sim_violation(node->world, "nothing-lost",
                      "n%" PRIu32 " leads at revision %" PRIu64 ", but %" PRIu64
                      " was acknowledged",
                      node->index + 1, now->revision, check->acknowledged);
    }
}

/* --- Rule 5: replicas agree ------------------------------------------------
 */

static void check_replicas_agree(struct sim_node *node, const struct seen *now)
{
    struct sim_check *check = node->world->check;

    if (!agrees(&check->hashes, now->index + 1, now->hash)) {
        sim_violation(node->world, "replicas-agree",
                      "n%" PRIu32 " has another state at index %" PRIu64,
                      node->index + 1, now->index);
    }
}

/* --- Rule 7: watches have no gaps ------------------------------------------
 */

/* Of what kind the event is from which one with this cause follows; 0: any. */
static enum event_kind kind_behind(enum event_cause cause)
{
    switch (cause) {
    case CAUSE_ZONE_LOST:
    case CAUSE_ZONE_RETURNED:
        return EVENT_ZONE;
    case CAUSE_HOST_LOST:
    case CAUSE_HOST_RETURNED:
        return EVENT_HOST;
    case CAUSE_FAILOVER:
    case CAUSE_PLACEMENT:
    case CAUSE_PREEMPTION:
        return EVENT_VM;
    case CAUSE_GROUP:
        return EVENT_GROUP;
    default:
        return 0;
    }
}

/* It follows from an earlier event, which is of the kind that its cause says.
 */
static bool cause_is_sound(const struct watch_ring *ring,
                           const struct watch_entry *entry)
{
    enum event_kind kind = kind_behind(entry->cause);

    if (entry->cause == 0 || entry->cause_revision >= entry->revision ||
        (kind != 0 && entry->cause_revision == 0)) {
        return false;
    }
    return kind == 0 || entry->cause_revision < ring->first ||
           watch_ring_at(ring, entry->cause_revision)->kind == kind;
}

static void check_watches(struct sim_node *node, struct seen *seen)
{
    struct sim_check *check = node->world->check;
    const struct watch_ring *ring = &node->engine.ring;

    if (!watch_ring_reaches(ring, seen->watched)) {
        seen->watched = ring->first - 1; /* OUT_OF_RANGE, and on from here. */
    }
    while (seen->watched + 1 < ring->next) {
        const struct watch_entry *entry =
            watch_ring_at(ring, seen->watched + 1);

        seen->watched++;
        if (entry->revision != seen->watched ||
            !agrees(&check->events, entry->revision,
                    hash_bytes(entry->data, entry->len, 7))) {
            sim_violation(node->world, "watches-have-no-gaps",
                          "n%" PRIu32 " shows revision %" PRIu64
                          " where %" PRIu64 " is due, or another event",
                          node->index + 1, entry->revision, seen->watched);
            return;
        }
        if (!cause_is_sound(ring, entry)) {
            sim_violation(node->world, "watches-have-no-gaps",
                          "n%" PRIu32 " says that revision %" PRIu64
                          " follows from %" PRIu64 " by cause %d",
                          node->index + 1, entry->revision,
                          entry->cause_revision, (int)entry->cause);
            return;
        }
    }
    if (seen->watched != state_revision(node->engine.state)) {
        sim_violation(node->world, "watches-have-no-gaps",
                      "n%" PRIu32 " shows events up to %" PRIu64 " of %" PRIu64,
                      node->index + 1, seen->watched,
                      state_revision(node->engine.state));
    }
}

/* --- Rule 9: bad input costs nothing ----------------------------------------
 */

void sim_check_refusal(struct sim_world *world, bool decided,
                       const char *reason)
{
    if (decided) {
        sim_violation(world, "bad-input-costs-nothing",
                      "a call was refused (%s) and changed something", reason);
    }
}

/* --- Rule 10: settings cannot break safety ----------------------------------
 */

/* DESIGN.md section 6, written down a second time on purpose. */
static void check_settings(struct sim_world *world, const struct state *state)
{
    const struct settings *s = state_settings(state);
    double run_ms =
        s->lease_run_ms * (1 + 2 * s->clock_error_permille / 1000.0);

    if (run_ms + s->kill_budget_ms + s->margin_ms > s->lease_wait_ms) {
        sim_violation(
            world, "settings-are-safe",
            "hosts may run for %.0f ms, and the leader waits %" PRIu32 " ms",
            run_ms + s->kill_budget_ms + s->margin_ms, s->lease_wait_ms);
    }
}

/* --- All of them ------------------------------------------------------------
 */

static void check_goes_on(struct sim_node *node, const struct seen *before,
                          const struct seen *now)
{
    if (now->index < before->index || now->revision < before->revision) {
        sim_violation(node->world, "revisions-rise",
                      "n%" PRIu32 " goes back from revision %" PRIu64
                      " to %" PRIu64,
                      node->index + 1, before->revision, now->revision);
    }
}

static void check_time(struct sim_world *world, const struct state *state)
{
    struct sim_check *check = world->check;

    if (state_time_ms(state) < check->newest_time_ms) {
        sim_violation(world, "time-rises", "%" PRIu64 " after %" PRIu64,
                      state_time_ms(state), check->newest_time_ms);
    }
    check->newest_time_ms = state_time_ms(state);
}

void sim_check_node(struct sim_node *node)
{
    struct sim_check *check = node->world->check;
    struct seen *seen = &check->nodes[node->index];
    const struct state *state = node->engine.state;
    struct seen now = *seen;
    struct replica_status status;

    now.hash = state_hash(state);
    now.revision = state_revision(state);
    check_nothing_is_lost(node, seen, &now);
    if (node->engine.judge.storm && !engine_leads(&node->engine)) {
        sim_violation(node->world, "followers-judge-nothing",
                      "n%" PRIu32 " shows a storm and does not lead",
                      node->index + 1);
    }
    now.term = seen->term;
    if (now.hash == seen->hash && seen->index != 0) {
        return;
    }
    replica_status(node->engine.replica, &status);
    now.index = status.applied_index;
    if (now.index == 0) {
        return;
    }
    check_goes_on(node, seen, &now);
    check_replicas_agree(node, &now);
    check_watches(node, &now);
    if (now.index > check->newest_index) {
        check->newest_index = now.index;
        sim_check_sums(node->world, state);
        check_settings(node->world, state);
        check_time(node->world, state);
    }
    *seen = now;
}

void sim_check_node_starts(struct sim_node *node)
{
    node->world->check->nodes[node->index] = (struct seen){0};
}

/* --- When all is over -------------------------------------------------------
 */

static bool zone_is_there(const struct state *state, uint32_t slot)
{
    return slot == SLOT_NONE || state_zone_at(state, slot)->state == ZONE_UP;
}

/* Its disks are on a host that is not there. */
static bool home_is_lost(const struct state *state, const struct vm *vm)
{
    return vm->state == VM_PENDING && vm->home_host_plus1 != 0 &&
           state_host_at(state, vm->home_host_plus1 - 1)->state != HOST_UP;
}

static void count_vm(const struct state *state, const struct vm *vm,
                     struct sim_census *census)
{
    if (vm->state == VM_RUNNING) {
        census->running++;
    } else if (vm->state == VM_LOST || home_is_lost(state, vm)) {
        census->waiting_host++;
    } else if (!sim_waits_rightly(state, vm)) {
        census->other++;
    } else if (!zone_is_there(state, vm->zone)) {
        census->waiting_zone++;
    } else {
        census->unplaced++;
    }
}

void sim_check_census(const struct sim_world *world, struct sim_census *census)
{
    const struct sim_node *leader = sim_world_leader(world);
    const struct state *state;

    *census = (struct sim_census){0};
    if (leader == NULL) {
        census->other = 1;
        return;
    }
    state = leader->engine.state;
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL && vm->desired == DESIRED_RUNNING) {
            count_vm(state, vm, census);
        }
    }
}

static void check_vm_at_rest(struct sim_world *world, const struct state *state,
                             const struct vm *vm)
{
    const struct sim_host *host = map_get(&world->check->copies, vm->uid);
    bool wanted = vm->desired == DESIRED_RUNNING;

    if (wanted && host == NULL && sim_waits_rightly(state, vm)) {
        return;
    }
    if (wanted && (vm->state != VM_RUNNING || host == NULL)) {
        sim_violation(world, "all-run",
                      "vm %s (%" PRIx64 ") is to run, is in state %d, reason "
                      "%d, and %s",
                      vm->name, vm->uid, vm->state, vm->pending_reason,
                      host == NULL ? "runs nowhere" : host->name);
    } else if (!wanted && (vm->state != VM_STOPPED || host != NULL)) {
        sim_violation(world, "all-run", "vm %s is to be stopped, is %d on %s",
                      vm->name, vm->state, host == NULL ? "none" : host->name);
    }
}

/* What runs and nobody knows as a VM. */
static void check_strays(struct sim_world *world, const struct state *state)
{
    for (uint32_t i = 0; i < world->host_count; i++) {
        for (uint32_t k = 0; k < world->hosts[i]->guest_count; k++) {
            const struct sim_guest *guest = &world->hosts[i]->guests[k];

            if (guest->uid == 0 || guest->foreign ||
                guest->state == SIM_GUEST_ENDED) {
                continue;
            }
            if (state_vm(state, (struct vm_id){guest->uid}) == NULL) {
                sim_violation(world, "all-run",
                              "%s still runs vm %" PRIx64 ", which was deleted",
                              world->hosts[i]->name, guest->uid);
            }
        }
    }
}

/* Rule 8: what is not ours is still there, unless its machine was off. */
static void check_unknown(struct sim_world *world)
{
    for (uint32_t i = 0; i < world->host_count; i++) {
        const struct sim_host *host = world->hosts[i];

        if (host->boot == 1 && host->had_foreign &&
            (!host->guests[0].foreign ||
             host->guests[0].state != SIM_GUEST_RUNNING)) {
            sim_violation(world, "unknown-is-not-dead",
                          "%s ended a VM that it does not know", host->name);
        }
    }
}

static bool is_pinned_to(const struct sim_world *world,
                         const struct state *state, const struct vm *vm,
                         uint32_t zone)
{
    return vm->zone != SLOT_NONE &&
           sim_zone_index(world, state_zone_at(state, vm->zone)->name) == zone;
}

void sim_check_zone_loss(struct sim_world *world, uint32_t zone)
{
    const struct sim_node *leader = sim_world_leader(world);
    const struct state *state;

    if (leader == NULL) {
        sim_violation(world, "all-run", "there is no leader");
        return;
    }
    state = leader->engine.state;
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        /* A `keep` VM waits for its host, LOST. */
        if (vm != NULL && !is_pinned_to(world, state, vm, zone) &&
            vm->state != VM_LOST) {
            check_vm_at_rest(world, state, vm);
        }
    }
}

void sim_check_rest(struct sim_world *world)
{
    const struct sim_node *leader = sim_world_leader(world);
    const struct state *state;

    if (leader == NULL) {
        sim_violation(world, "all-run", "there is no leader");
        return;
    }
    state = leader->engine.state;
    for (uint32_t slot = 0; slot < state_vm_slots(state); slot++) {
        const struct vm *vm = state_vm_at(state, slot);

        if (vm != NULL) {
            check_vm_at_rest(world, state, vm);
        }
    }
    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        const struct host *host = state_host_at(state, slot);

        if (host != NULL && host->state != HOST_UP) {
            sim_violation(world, "all-run", "%s is not up again", host->name);
        }
    }
    sim_check_groups_at_rest(world, state);
    sim_check_drains_at_rest(world, state);
    check_strays(world, state);
    check_unknown(world);
}
