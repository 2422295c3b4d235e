/* SPDX-License-Identifier: Apache-2.0 */
#include "node/drain_wait.h"

#include "placement/rebalance.h"

#include <stdio.h>
#include <string.h>

bool drain_wait_is(const struct state *state, const struct vm *vm)
{
    const struct host *host =
        vm->host == SLOT_NONE ? NULL : state_host_at(state, vm->host);

    return host != NULL && host->state == HOST_UP && !vm->deleting &&
           vm->moving == MOVE_NONE && vm->state >= VM_ASSIGNED &&
           vm->state <= VM_RUNNING &&
           (host->draining || state_zone_at(state, host->zone)->draining);
}

/* What no room elsewhere would change. */
static uint32_t bound(const struct state *state, const struct vm *vm)
{
    const struct host *host = state_host_at(state, vm->host);

    if (vm->local_disk) {
        return OPERATION_WAITS_LOCAL_DISK;
    }
    if (vm->zone != SLOT_NONE && state_zone_at(state, host->zone)->draining) {
        return OPERATION_WAITS_ZONAL;
    }
    return PENDING_NONE;
}

static const char *bound_words(uint32_t reason)
{
    return reason == OPERATION_WAITS_LOCAL_DISK
               ? "its host is drained, and it stays: it has a local disk there"
               : "its zone is drained, and it stays: it may run there only";
}

static void say_choice(const struct state *state,
                       const struct placement_choice *choice, char *text,
                       size_t size)
{
    char words[400] = "whether headroom allows its move is being worked out";

    if (choice->host != SLOT_NONE) {
        snprintf(text, size,
                 "its host is drained, and it waits for its turn to leave: "
                 "moves under way are bounded by zone_moves and host_moves");
        return;
    }
    if (!choice->retry) {
        placement_explain(state, choice, words, sizeof(words));
    }
    snprintf(text, size, "its host is drained, and it stays: %s%s", words,
             choice->reason == PENDING_HEADROOM
                 ? ", or drain again with accept_risk"
                 : "");
}

uint32_t drain_wait_reason(struct placer *placer, const struct state *state,
                           const struct vm *vm, char *text, size_t size)
{
    uint32_t reason = bound(state, vm);
    struct placement_choice choice;

    if (reason != PENDING_NONE) {
        if (text != NULL) {
            snprintf(text, size, "%s", bound_words(reason));
        }
        return reason;
    }
    rebalance_drain_choose(placer, state, vm, &choice);
    if (text != NULL && choice.host == SLOT_NONE && !choice.retry) {
        placer_count_refused(
            placer, state, &(struct placement_request){vm, SLOT_NONE}, &choice);
    }
    if (text != NULL) {
        say_choice(state, &choice, text, size);
    }
    if (choice.host != SLOT_NONE) {
        return OPERATION_WAITS_BUDGET;
    }
    return choice.retry ? PENDING_HEADROOM : choice.reason;
}

/* --- Of a drain ----------------------------------------------------------- */

/* VMs that are alike wait for the same; padding is zero. */
struct wait_kind {
    uint64_t pool_mask;
    uint64_t disk_zone_mask;
    uint32_t class_slot;
    uint32_t zone;
    uint32_t group_plus1;
    uint32_t selector_blob;
    uint32_t from_host; /* Matters to rules about hosts alone. */
    uint8_t driver;
    uint8_t preemptible;
    uint8_t at_risk;
    uint8_t padding;
};

struct wait_kinds {
    struct wait_kind kinds[DRAIN_WAIT_KINDS_MAX];
    uint32_t reasons[DRAIN_WAIT_KINDS_MAX];
    uint32_t count;
};

static struct wait_kind kind_of(const struct state *state, const struct vm *vm)
{
    struct wait_kind kind;

    memset(&kind, 0, sizeof(kind));
    kind.pool_mask = vm->pool_mask;
    kind.disk_zone_mask = vm->disk_zone_mask;
    kind.class_slot = vm->class_slot;
    kind.zone = vm->zone;
    kind.group_plus1 = vm->group_plus1;
    kind.selector_blob = vm->selector_blob;
    kind.from_host = vm->group_plus1 != 0 ? vm->host : 0;
    kind.driver = vm->driver;
    kind.preemptible = vm->preemptible;
    kind.at_risk =
        rebalance_drain_at_risk(state, state_host_at(state, vm->host));
    return kind;
}

static uint32_t reason_of_kind(struct wait_kinds *kinds, struct placer *placer,
                               const struct state *state, const struct vm *vm)
{
    struct wait_kind kind = kind_of(state, vm);

    for (uint32_t i = 0; i < kinds->count; i++) {
        if (memcmp(&kinds->kinds[i], &kind, sizeof(kind)) == 0) {
            return kinds->reasons[i];
        }
    }
    if (kinds->count == DRAIN_WAIT_KINDS_MAX) {
        return PENDING_NO_CAPACITY;
    }
    kinds->kinds[kinds->count] = kind;
    return kinds->reasons[kinds->count++] =
               drain_wait_reason(placer, state, vm, NULL, 0);
}

static void tell_host(struct wait_kinds *kinds, struct placer *placer,
                      const struct state *state, const struct host *host,
                      struct operation *operation)
{
    const struct vm *vm;

    for (uint32_t slot = host->vm_first;
         slot != SLOT_NONE && operation->waits[PENDING_NO_CAPACITY] > 0;
         slot = vm->host_next) {
        vm = state_vm_at(state, slot);
        if (drain_wait_is(state, vm) && bound(state, vm) == PENDING_NONE) {
            operation->waits[PENDING_NO_CAPACITY]--;
            operation->waits[reason_of_kind(kinds, placer, state, vm)]++;
        }
    }
}

void drain_wait_tell(struct placer *placer, const struct state *state,
                     struct operation *operation)
{
    struct wait_kinds kinds = {.count = 0};
    uint32_t lacking = operation->waits[PENDING_NO_CAPACITY];
    const struct host *host;

    if (operation->state != OPERATION_RUNNING || lacking == 0) {
        return;
    }
    if (operation->ref.kind == OPERATION_DRAIN_HOST) {
        host = state_host(state, (struct host_id){operation->ref.uid});
        tell_host(&kinds, placer, state, host, operation);
    } else if (operation->ref.kind == OPERATION_DRAIN_ZONE) {
        for (uint32_t slot = 0; slot < state_host_slots(state); slot++) {
            host = state_host_at(state, slot);
            if (host != NULL && host->zone == uid_slot(operation->ref.uid)) {
                tell_host(&kinds, placer, state, host, operation);
            }
        }
    }
}
