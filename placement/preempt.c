/* SPDX-License-Identifier: Apache-2.0
 *
 * Whom to stop for a VM that finds no room. On each host where only room is
 * missing: the fewest preemptible VMs of lower priority that free enough, and
 * among equally few those whose highest priority is lowest; then the host where
 * that is least, then the lower slot. */
#include "base/check.h"
#include "placement/headroom_book.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

/* VMs of a host that are looked at: those of the lowest priority. */
#define CANDIDATES_MAX 256

/* Sets of VMs that are tried on a host for each number, before it counts as one
 * where that many do not suffice. */
#define TRIES_MAX 4096

/* In looks at a host as choices take them (placer_looks()): one at what its VMs
 * leave free, beside one for each VM. And hosts without VMs that may be
 * stopped, and sets that are tried, in the time of one. */
#define HOST_LOOKS   3
#define SKIPS_A_LOOK 32
#define TRIES_A_LOOK 2

/* A search of which the best host was no longer as good in the end begins anew
 * so often; then nobody is stopped for the VM for now. */
#define RESTARTS_MAX 3

/* CPU, memory, disk, GPUs, named resources. */
#define AMOUNTS (4 + NAMED_MAX)

struct amounts_list {
    uint64_t of[AMOUNTS];
};

struct victim {
    struct amounts_list frees;
    uint32_t vm;
    uint16_t priority;
};

struct search {
    struct amounts_list need;
    struct victim victims[CANDIDATES_MAX];
    /* The most that any of the victims from here on frees. */
    struct amounts_list most[CANDIDATES_MAX + 1];
    uint32_t count;
    uint32_t chosen[PLACEMENT_VICTIMS_MAX];
    uint32_t tries;
    uint64_t tried; /* All of them on the host. */
};

static void list_amounts(const struct resources *resources,
                         const struct amounts *named, struct amounts_list *list)
{
    list->of[0] = resources->cpu_milli;
    list->of[1] = resources->memory_mib;
    list->of[2] = resources->disk_gib;
    list->of[3] = resources->gpu_count;
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        list->of[4 + i] = named->of[i];
    }
}

/* Adds a room to a list. */
static void list_add(struct amounts_list *list,
                     const struct resources *resources,
                     const struct amounts *named)
{
    struct amounts_list part;

    list_amounts(resources, named, &part);
    for (uint32_t i = 0; i < AMOUNTS; i++) {
        list->of[i] += part.of[i];
    }
}

/* What has to become free. False: the host is too small, or nothing has to. */
static bool set_need(const struct placement_query *query, uint32_t slot,
                     struct search *search)
{
    const struct host *host = state_host_at(query->state, slot);
    const struct placer *placer = query->placer;
    struct amounts_list all;
    struct amounts_list taken = {{0}};
    struct amounts_list wanted;
    struct placer_room room;
    bool needs = false;

    list_amounts(&host->capacity, &host->named_capacity, &all);
    list_amounts(&query->class->resources, &query->class->named, &wanted);
    list_add(&taken, &host->used, &host->named_used);
    list_add(&taken, &host->claimed, &host->named_claimed);
    if (!view_has_reserved(query->view)) {
        reserve_of_host(placer, slot, &room);
        list_add(&taken, &room.resources, &room.named);
    }
    if (!view_has_held(query->view) && slot < placer->held_size) {
        room = placer->held[slot];
        list_add(&taken, &room.resources, &room.named);
    }
    for (uint32_t i = 0; i < AMOUNTS; i++) {
        if (wanted.of[i] > all.of[i]) {
            return false;
        }
        search->need.of[i] = taken.of[i] + wanted.of[i] > all.of[i]
                                 ? taken.of[i] + wanted.of[i] - all.of[i]
                                 : 0;
        search->need.of[i] = wanted.of[i] == 0 ? 0 : search->need.of[i];
        needs |= search->need.of[i] > 0;
    }
    return needs;
}

static int compare_victims(const void *a, const void *b)
{
    const struct victim *left = a;
    const struct victim *right = b;

    if (left->priority != right->priority) {
        return left->priority < right->priority ? -1 : 1;
    }
    return left->vm < right->vm ? -1 : left->vm > right->vm;
}

static bool may_be_stopped(const struct vm *vm, const struct vm *other)
{
    return other->preemptible && other->priority < vm->priority &&
           (other->state == VM_ASSIGNED || other->state == VM_STARTING ||
            other->state == VM_RUNNING);
}

/* Keeps the lowest priorities when there are too many. */
static void offer(struct search *search, const struct victim *victim)
{
    uint32_t worst = 0;

    if (search->count < CANDIDATES_MAX) {
        search->victims[search->count++] = *victim;
        return;
    }
    for (uint32_t i = 1; i < CANDIDATES_MAX; i++) {
        if (compare_victims(&search->victims[i], &search->victims[worst]) > 0) {
            worst = i;
        }
    }
    if (compare_victims(victim, &search->victims[worst]) < 0) {
        search->victims[worst] = *victim;
    }
}

static bool is_covered(const struct amounts_list *need,
                       const struct amounts_list *all)
{
    bool covered = true;

    for (uint32_t i = 0; i < AMOUNTS; i++) {
        covered &= need->of[i] <= all->of[i];
    }
    return covered;
}

/* False: even with all of them gone it would not fit. */
static bool collect(const struct placement_query *query, uint32_t slot,
                    struct search *search)
{
    const struct state *state = query->state;
    uint32_t at = state_host_at(state, slot)->vm_first;
    struct amounts_list all = {{0}};

    search->count = 0;
    while (at != SLOT_NONE) {
        const struct vm *other = state_vm_at(state, at);

        query->placer->looks++;
        if (may_be_stopped(query->vm, other)) {
            const struct class *class =
                state_class_at(state, other->class_slot);
            struct victim victim = {.vm = at, .priority = other->priority};

            list_amounts(&class->resources, &class->named, &victim.frees);
            list_add(&all, &class->resources, &class->named);
            offer(search, &victim);
        }
        at = other->host_next;
    }
    if (!is_covered(&search->need, &all)) {
        return false;
    }
    qsort(search->victims, search->count, sizeof(*search->victims),
          compare_victims);
    return true;
}

/* Of the first `count` victims. */
static void prepare_bounds(struct search *search, uint32_t count)
{
    search->most[count] = (struct amounts_list){{0}};
    for (uint32_t i = count; i-- > 0;) {
        for (uint32_t j = 0; j < AMOUNTS; j++) {
            uint64_t here = search->victims[i].frees.of[j];
            uint64_t later = search->most[i + 1].of[j];

            search->most[i].of[j] = here > later ? here : later;
        }
    }
}

static bool is_met(const struct amounts_list *need)
{
    uint64_t missing = 0;

    for (uint32_t i = 0; i < AMOUNTS; i++) {
        missing |= need->of[i];
    }
    return missing == 0;
}

static bool is_hopeless(const struct search *search, uint32_t from,
                        uint32_t left, const struct amounts_list *need)
{
    for (uint32_t i = 0; i < AMOUNTS; i++) {
        if (need->of[i] > search->most[from].of[i] * left) {
            return true;
        }
    }
    return false;
}

/* How many victims suffice: `size` of the first `count`, or 0 when so many do
 * not. Depth first over the sets in order; the stack is `chosen`, with what is
 * still needed beside it. */
static uint32_t covers(struct search *search, uint32_t count, uint32_t size)
{
    struct amounts_list needs[PLACEMENT_VICTIMS_MAX + 1];
    uint32_t depth = 0;
    uint32_t next = 0;

    needs[0] = search->need;
    prepare_bounds(search, count);
    for (;;) {
        uint32_t left = size - depth;

        if (left > 0 && next + left <= count && search->tries < TRIES_MAX &&
            !is_hopeless(search, next, left, &needs[depth])) {
            const struct victim *victim = &search->victims[next];

            search->tries++;
            search->tried++;
            for (uint32_t i = 0; i < AMOUNTS; i++) {
                uint64_t need = needs[depth].of[i];
                uint64_t frees = victim->frees.of[i];

                needs[depth + 1].of[i] = need > frees ? need - frees : 0;
            }
            search->chosen[depth++] = next++;
            if (is_met(&needs[depth])) {
                return depth;
            }
            continue;
        }
        if (depth == 0) {
            return 0;
        }
        next = search->chosen[--depth] + 1;
    }
}

/* Victims of priorities up to that of victim `i`, if `i` is its last. */
static bool is_last_of_priority(const struct search *search, uint32_t i)
{
    return i + 1 == search->count ||
           search->victims[i].priority != search->victims[i + 1].priority;
}

/* Whether the host needs fewer victims than the best so far, or as few of
 * lower priority. */
static bool beats(struct search *search, struct placement_victims *best)
{
    for (uint32_t size = 1; size <= best->count; size++) {
        search->tries = 0;
        for (uint32_t i = 0; i < search->count; i++) {
            uint32_t priority = search->victims[i].priority;
            uint32_t found;

            if (!is_last_of_priority(search, i) || i + 1 < size) {
                continue;
            }
            if (size == best->count && priority >= best->priority) {
                break;
            }
            found = covers(search, i + 1, size);
            if (found > 0) {
                *best = (struct placement_victims){found, priority};
                return true;
            }
        }
    }
    return false;
}

static void take(const struct search *search, uint32_t host,
                 struct placement_search *out)
{
    out->found.host = host;
    out->found.victim_count = out->best.count;
    for (uint32_t i = 0; i < out->best.count; i++) {
        out->found.victims[i] = search->victims[search->chosen[i]].vm;
    }
}

/* Any set of the largest number is better than none. */
static struct placement_victims worst(const struct state *state)
{
    uint32_t most = state_policy(state)->preempt_max;

    return (struct placement_victims){
        most < PLACEMENT_VICTIMS_MAX ? most : PLACEMENT_VICTIMS_MAX,
        UINT32_MAX};
}

static void begin(struct placement_search *out, const struct state *state,
                  const struct vm *vm)
{
    *out = (struct placement_search){
        .vm_uid = vm->uid,
        .class_slot = vm->class_slot,
        .priority = vm->priority,
        .best = worst(state),
        .found = {.host = SLOT_NONE},
        .restarts = out->restarts,
    };
}

/* Whether the host is better than `best`, which it then is. */
static bool look_at(const struct placement_query *query, uint32_t slot,
                    struct search *search, struct placement_victims *best)
{
    bool better;

    query->placer->looks += HOST_LOOKS;
    search->tried = 0;
    better = filter_but_room(query, slot) && set_need(query, slot, search) &&
             collect(query, slot, search) && beats(search, best);
    query->placer->looks += search->tried / TRIES_A_LOOK;
    return better;
}

/* What was found some turns ago may have changed since. */
static bool is_still_so(const struct placement_query *query,
                        struct placement_search *out)
{
    struct placement_victims best = worst(query->state);
    struct search search;
    uint32_t slot = out->found.host;

    if (slot >= fleet_slots(query->placer->fleet) ||
        query->placer->preemptible[slot] == 0 ||
        !look_at(query, slot, &search, &best) || best.count > out->best.count ||
        (best.count == out->best.count && best.priority > out->best.priority)) {
        return false;
    }
    out->best = best;
    take(&search, slot, out);
    return true;
}

/* Nobody is stopped for less. */
static bool is_least(const struct placement_victims *best)
{
    return best->count == 1 && best->priority == 0;
}

/* Looks at hosts while there is work left; true at the end. */
static bool look_on(const struct placement_query *query,
                    struct placement_search *out, uint64_t work_end)
{
    struct placer *placer = query->placer;
    uint32_t slots = fleet_slots(placer->fleet);
    struct search search;

    while (out->next < slots && !is_least(&out->best)) {
        uint32_t slot = out->next++;

        placer->looks += slot % SKIPS_A_LOOK == 0;
        if (placer->preemptible[slot] > 0 &&
            look_at(query, slot, &search, &out->best)) {
            take(&search, slot, out);
        }
        if (placer_looks(placer) >= work_end) {
            break;
        }
    }
    return out->next >= slots || is_least(&out->best);
}

static bool is_of(const struct placement_search *search, const struct vm *vm)
{
    return search->vm_uid == vm->uid && search->vm_uid != 0 &&
           search->class_slot == vm->class_slot &&
           search->priority == vm->priority;
}

/* Room is not all that it takes: with it, every zone's loss must still be
 * survived. Those that would be stopped hold no slots. */
static bool headroom_allows(struct placer *placer, const struct state *state,
                            const struct vm *vm, uint32_t host)
{
    struct placement_headroom missing;

    return !headroom_guards(placer, vm) ||
           headroom_admits(placer_headroom(placer), state, vm, host,
                           &missing) == HEADROOM_YES;
}

enum placement_found placer_preempt(struct placer *placer,
                                    const struct state *state,
                                    const struct vm *vm, uint64_t work_max,
                                    struct placement_search *search)
{
    uint64_t begun = placer_looks(placer);
    uint64_t work_end =
        work_max < UINT64_MAX - begun ? begun + work_max : UINT64_MAX;
    struct placement_query query;
    bool resumed = is_of(search, vm);

    placer_know_preemptible(placer, state);
    if (placer->preemptible_total == 0) {
        search->vm_uid = 0;
        return PLACEMENT_NONE;
    }
    if (!resumed) {
        search->restarts = 0;
        begin(search, state, vm);
    }
    query_init(&query, placer, state, vm, SLOT_NONE);
    if (!look_on(&query, search, work_end)) {
        return PLACEMENT_GOES_ON;
    }
    if (search->found.host != SLOT_NONE && resumed &&
        !is_still_so(&query, search)) {
        begin(search, state, vm);
        if (search->restarts++ < RESTARTS_MAX) {
            return PLACEMENT_GOES_ON;
        }
    }
    search->vm_uid = 0;
    return search->found.host != SLOT_NONE &&
                   headroom_allows(placer, state, vm, search->found.host)
               ? PLACEMENT_FOUND
               : PLACEMENT_NONE;
}
