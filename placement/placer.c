/* SPDX-License-Identifier: Apache-2.0
 *
 * The engine behind the interface: one pass over the hosts for each kind of
 * request, whose outcome is kept until the next turn and corrected as hosts
 * change. */
#include "base/check.h"
#include "base/memory.h"
#include "placement/internal.h"
#include "placement/memo.h"

#include <stdlib.h>
#include <string.h>

/* Kinds of VMs that one turn places in numbers; beyond, the oldest goes. */
#define MEMOS_MAX 8

struct placer {
    uint64_t choices; /* Made so far; for metrics. */
    struct memo memos[MEMOS_MAX];
    uint32_t memo_count;
    uint32_t memo_next; /* The oldest, once all are taken. */
};

struct placer *placer_create(void)
{
    return memory_alloc(sizeof(struct placer));
}

void placer_destroy(struct placer *placer)
{
    free(placer);
}

void placer_rebuild(struct placer *placer, const struct state *state)
{
    (void)state;
    placer->memo_count = 0;
    placer->memo_next = 0;
}

void placer_host_changed(struct placer *placer, const struct state *state,
                         uint32_t host_slot)
{
    CHECK(host_slot < state_host_slots(state));
    for (uint32_t i = 0; i < placer->memo_count; i++) {
        memo_host_changed(&placer->memos[i], state, host_slot);
    }
}

/* Today's choices ask nothing of these. */
void placer_vm_changed(struct placer *placer, const struct state *state,
                       uint32_t slot)
{
    const struct vm *vm = state_vm_at(state, slot);

    if (vm != NULL && vm->host != SLOT_NONE) {
        placer_host_changed(placer, state, vm->host);
    } else if (vm != NULL && vm->last_host != SLOT_NONE) {
        placer_host_changed(placer, state, vm->last_host);
    }
}

void placer_group_changed(struct placer *placer, const struct state *state,
                          uint32_t slot)
{
    (void)placer;
    (void)state;
    (void)slot;
}

void placer_reservation_changed(struct placer *placer,
                                const struct state *state, uint32_t slot)
{
    (void)placer;
    (void)state;
    (void)slot;
}

enum placement_refusal placer_refusal(struct placer *placer,
                                      const struct state *state,
                                      const struct vm *vm, uint32_t host)
{
    struct placement_query query = {
        .state = state,
        .vm = vm,
        .class = state_class_at(state, vm->class_slot),
        .prefer_zone = SLOT_NONE,
    };

    (void)placer;
    return filter_host(&query, state_host_at(state, host));
}

bool placer_preempt(struct placer *placer, const struct state *state,
                    const struct vm *vm, struct placement_preemption *out)
{
    (void)placer;
    (void)state;
    (void)vm;
    *out = (struct placement_preemption){.host = SLOT_NONE};
    return false;
}

void placer_reserved(const struct placer *placer, const struct state *state,
                     uint32_t reservation_slot, struct placement_reserved *out)
{
    (void)placer;
    (void)state;
    (void)reservation_slot;
    *out = (struct placement_reserved){0};
}

/* What a person should be told, from the counts: the rule that came closest to
 * letting the VM in, for a cure there helps. */
static enum pending_reason reason_of(const uint32_t *refused)
{
    if (refused[REFUSED_CPU] + refused[REFUSED_MEMORY] +
            refused[REFUSED_LOCAL_DISK] + refused[REFUSED_VM_COUNT] >
        0) {
        return PENDING_NO_CAPACITY;
    }
    if (refused[REFUSED_DISK] > 0) {
        return PENDING_DISK_NOT_REACHABLE;
    }
    if (refused[REFUSED_DRIVER] > 0) {
        return PENDING_DRIVER_NOT_OFFERED;
    }
    if (refused[REFUSED_ZONE_STATE] + refused[REFUSED_CORDONED] +
            refused[REFUSED_HOST_STATE] >
        0) {
        return PENDING_ZONE_UNAVAILABLE;
    }
    if (refused[REFUSED_CLASS] > 0) {
        return PENDING_CLASS_NOT_OFFERED;
    }
    return PENDING_NO_CAPACITY;
}

static struct memo *memo_of(struct placer *placer, const struct state *state,
                            const struct vm *vm)
{
    struct memo *memo;

    for (uint32_t i = 0; i < placer->memo_count; i++) {
        if (memo_matches(&placer->memos[i], state, vm)) {
            return &placer->memos[i];
        }
    }
    if (placer->memo_count < MEMOS_MAX) {
        memo = &placer->memos[placer->memo_count++];
    } else {
        memo = &placer->memos[placer->memo_next];
        placer->memo_next = (placer->memo_next + 1) % MEMOS_MAX;
    }
    memo_begin(memo, state, vm);
    return memo;
}

/* One pass over all hosts; counts who was refused for what. */
static void scan(const struct placement_query *query,
                 struct placement_choice *choice)
{
    const struct state *state = query->state;
    struct placement_candidate best = {NULL, NULL};

    for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
        struct placement_candidate candidate = {state_host_at(state, slot),
                                                NULL};
        enum placement_refusal refusal;

        if (candidate.host == NULL) {
            continue;
        }
        refusal = filter_host(query, candidate.host);
        if (refusal != PLACEMENT_REFUSAL_COUNT) {
            choice->refused[refusal]++;
            continue;
        }
        candidate.zone = state_zone_at(state, candidate.host->zone);
        if (best.host == NULL ||
            compare_candidates(query, &candidate, &best) < 0) {
            best = candidate;
            choice->host = slot;
        }
    }
}

void placer_choose(struct placer *placer, const struct state *state,
                   const struct placement_request *request,
                   struct placement_choice *choice)
{
    struct placement_query query = {
        .state = state,
        .vm = request->vm,
        .class = state_class_at(state, request->vm->class_slot),
        .prefer_zone = request->prefer_zone,
    };

    placer->choices++;
    memset(choice, 0, sizeof(*choice));
    choice->host = SLOT_NONE;
    if (memo_serves(request->vm)) {
        choice->host =
            memo_choose(memo_of(placer, state, request->vm), state, request);
    }
    if (choice->host == SLOT_NONE) {
        /* A VM with wishes of its own, or one that needs a reason. */
        scan(&query, choice);
    }
    if (choice->host == SLOT_NONE) {
        choice->reason = reason_of(choice->refused);
    }
}

void placer_zone_changed(struct placer *placer, const struct state *state,
                         uint32_t slot)
{
    (void)slot;
    placer_rebuild(placer, state);
}

void placer_class_changed(struct placer *placer, const struct state *state,
                          uint32_t slot)
{
    (void)slot;
    placer_rebuild(placer, state);
}
