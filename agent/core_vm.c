/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/core_vm.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/planted.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* The share of the lease that a polite stop may take from its end. A host that
 * reaches its leader has never less than about two thirds left, and one that
 * waits for an election a third. */
#define POLITE_SHARE 8

bool core_vm_lives(const struct core_vm *vm)
{
    return vm->phase == CORE_PHASE_STARTING ||
           vm->phase == CORE_PHASE_RUNNING || vm->phase == CORE_PHASE_STOPPING;
}

static bool is_listed(enum core_phase phase)
{
    return phase != CORE_PHASE_NONE;
}

void core_vm_enter(struct core *core, struct core_vm *vm, enum core_phase phase)
{
    if (is_listed(vm->phase) && !is_listed(phase)) {
        list_remove(&vm->link);
        core->listed_count--;
        list_append(&core->remembered, &vm->link);
        core->remembered_count++;
    } else if (!is_listed(vm->phase) && is_listed(phase)) {
        list_remove(&vm->link);
        core->remembered_count--;
        list_append(&core->listed, &vm->link);
        core->listed_count++;
    }
    vm->phase = phase;
}

/* Forgetting the oldest is safe: the driver refuses epochs that ran here, and
 * an older order would need a leader whose leases still hold. */
static struct core_vm *vm_of(struct core *core, uint64_t uid)
{
    struct core_vm *vm = map_get(&core->vms, uid);

    if (vm != NULL) {
        return vm;
    }
    if (core->remembered_count >= CORE_MEMORY_MAX) {
        struct core_vm *oldest;

        CHECK(!list_empty(&core->remembered));
        oldest =
            list_entry(list_first(&core->remembered), struct core_vm, link);
        list_remove(&oldest->link);
        core->remembered_count--;
        free(map_remove(&core->vms, oldest->uid));
    }
    vm = memory_alloc(sizeof(*vm));
    vm->uid = uid;
    list_init(&vm->link);
    list_append(&core->remembered, &vm->link);
    core->remembered_count++;
    map_put(&core->vms, uid, vm);
    return vm;
}

void core_vm_report(const struct core_vm *vm, struct core_report *report)
{
    static const enum core_state states[] = {
        [CORE_PHASE_STARTING] = CORE_STARTING,
        [CORE_PHASE_RUNNING] = CORE_RUNNING,
        [CORE_PHASE_STOPPING] = CORE_STOPPING,
        [CORE_PHASE_GONE] = CORE_GONE,
        [CORE_PHASE_QUARANTINED] = CORE_RUNNING,
    };

    CHECK(is_listed(vm->phase));
    *report = (struct core_report){
        .uid = vm->uid,
        .epoch = vm->epoch,
        .state = states[vm->phase],
        .reason = vm->phase == CORE_PHASE_GONE ? vm->reason : "",
        .failed = vm->phase == CORE_PHASE_GONE && vm->failed,
    };
}

static void tell(struct core *core, const struct core_vm *vm)
{
    struct core_report report;

    if (core->link == CORE_LINK_UP) {
        core_vm_report(vm, &report);
        core->actions->report(core, &report);
    }
}

static void set_reason(struct core_vm *vm, const char *reason, bool failed)
{
    snprintf(vm->reason, sizeof(vm->reason), "%s", reason);
    vm->failed = failed;
}

/* The proof that nothing of `epoch` runs here, and the promise that nothing
 * will. */
static void gone(struct core *core, struct core_vm *vm, uint64_t epoch,
                 const char *reason, bool failed)
{
    CHECK(epoch >= vm->over_epoch);
    vm->epoch = epoch;
    vm->over_epoch = epoch;
    vm->answer_epoch = 0;
    vm->failed_ns = 0;
    vm->listed_seq = 0;
    set_reason(vm, reason, failed);
    core_vm_enter(core, vm, CORE_PHASE_GONE);
    tell(core, vm);
}

/* It was said before, but the leader asks: once more, until acknowledged. */
static void gone_again(struct core *core, struct core_vm *vm)
{
    if (vm->phase == CORE_PHASE_NONE) {
        vm->listed_seq = 0;
        core_vm_enter(core, vm, CORE_PHASE_GONE);
    }
    tell(core, vm);
}

static int add_found(struct core *core, uint64_t uid, uint64_t epoch,
                     struct core_vm **vm)
{
    CHECK(core->link == CORE_LINK_DOWN && core->session == 0);
    if (map_get(&core->vms, uid) != NULL) {
        return HF_ERROR_EXISTS;
    }
    if (core->listed_count >= CORE_VMS_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    *vm = vm_of(core, uid);
    (*vm)->epoch = epoch;
    (*vm)->seen_epoch = epoch;
    return 0;
}

int core_adopt(struct core *core, const struct core_found *found)
{
    struct core_vm *vm;
    int result = add_found(core, found->uid, found->epoch, &vm);

    if (result == 0) {
        vm->keep = found->keep;
        vm->stop_grace_ms = found->stop_grace_ms;
        vm->has_files = true;
        core_vm_enter(core, vm,
                      found->running ? CORE_PHASE_RUNNING
                                     : CORE_PHASE_STARTING);
    }
    return result;
}

int core_adopt_gone(struct core *core, uint64_t uid, uint64_t epoch,
                    const char *reason, bool failed)
{
    struct core_vm *vm;
    int result = add_found(core, uid, epoch, &vm);

    if (result == 0) {
        vm->has_files = true;
        gone(core, vm, epoch, reason, failed);
    }
    return result;
}

int core_quarantine(struct core *core, uint64_t uid, uint64_t epoch)
{
    struct core_vm *vm;
    int result = add_found(core, uid, epoch, &vm);

    if (result == 0) {
        core_vm_enter(core, vm, CORE_PHASE_QUARANTINED);
    }
    return result;
}

static void kill_vm(struct core *core, struct core_vm *vm, const char *reason)
{
    if (!vm->killed) {
        vm->killed = true;
        core->actions->kill(core, vm->uid, reason);
    }
    if (vm->phase != CORE_PHASE_STOPPING) {
        core_vm_enter(core, vm, CORE_PHASE_STOPPING);
        tell(core, vm);
    }
}

static void stop_vm(struct core *core, struct core_vm *vm, uint32_t grace_ms)
{
    if (vm->phase != CORE_PHASE_STOPPING) {
        core->actions->stop(core, vm->uid, grace_ms);
        core_vm_enter(core, vm, CORE_PHASE_STOPPING);
        tell(core, vm);
    }
}

static void start_vm(struct core *core, struct core_vm *vm, uint64_t now_ns,
                     struct core_order *order)
{
    char reason[CORE_REASON_MAX + 1] = "";
    int result;

    if (!core_lease_live(core, now_ns)) {
        gone(core, vm, order->epoch, "no lease", false);
        return;
    }
    CHECK(order->epoch > vm->over_epoch && order->epoch >= vm->seen_epoch);
    vm->epoch = order->epoch;
    vm->keep = order->keep;
    vm->stop_grace_ms = order->stop_grace_ms;
    vm->killed = false;
    vm->failed_ns = 0;
    vm->has_files = true;
    core_vm_enter(core, vm, CORE_PHASE_STARTING);
    result = core->actions->start(core, order, reason);
    if (result != 0) {
        gone(core, vm, order->epoch,
             reason[0] != '\0' ? reason : hf_error_name(result), true);
        return;
    }
    tell(core, vm);
}

/* A START for a uid under which something runs that we do not know: that
 * epoch never begins here, and the unknown one is left alone. */
static void answer_quarantined(struct core *core,
                               const struct core_order *order)
{
    struct core_report report = {
        .uid = order->uid,
        .epoch = order->epoch,
        .state = CORE_GONE,
        .reason = "an unknown VM holds this uid here",
        .failed = true,
    };

    if (order->action == CORE_ORDER_START) {
        core->actions->report(core, &report);
    } else {
        core->ignored_order_count++;
    }
}

static void order_living(struct core *core, struct core_vm *vm,
                         const struct core_order *order)
{
    if (order->epoch > vm->epoch) {
        /* What runs here is out of date. A START comes again once it is gone;
         * a STOP or KILL is answered then. */
        if (order->action != CORE_ORDER_START) {
            vm->answer_epoch = order->epoch;
        }
        kill_vm(core, vm, "a newer epoch was ordered");
    } else if (order->action == CORE_ORDER_START) {
        tell(core, vm);
    } else if (order->action == CORE_ORDER_STOP) {
        stop_vm(core, vm, vm->stop_grace_ms);
    } else {
        kill_vm(core, vm, "ordered");
    }
}

static bool is_stale(const struct core *core, const struct core_vm *vm,
                     const struct core_order *order)
{
    if (order->generation != core->generation) {
        return true;
    }
    /* To end exactly what runs is never wrong, whatever came since. */
    if (core_vm_lives(vm) && order->epoch == vm->epoch &&
        order->action != CORE_ORDER_START) {
        return false;
    }
    return order->epoch < vm->seen_epoch;
}

void core_order(struct core *core, uint64_t session, uint64_t now_ns,
                struct core_order *order)
{
    struct core_vm *vm = map_get(&core->vms, order->uid);

    if (PLANTED(UNKNOWN_KILLED) && order->action == CORE_ORDER_KILL) {
        core->actions->kill(core, order->uid, "ordered");
        return;
    }
    if (session != core->session || core->link != CORE_LINK_UP ||
        order->uid == 0 || order->epoch == 0 ||
        order->epoch == CORE_EPOCH_UNKNOWN ||
        ((vm == NULL || vm->phase == CORE_PHASE_NONE) &&
         core->listed_count >= CORE_VMS_MAX)) {
        core->ignored_order_count++;
        return;
    }
    vm = vm_of(core, order->uid);
    if (order->generation == core->generation &&
        vm->phase == CORE_PHASE_QUARANTINED) {
        answer_quarantined(core, order);
        return;
    }
    if (is_stale(core, vm, order)) {
        core->ignored_order_count++;
        return;
    }
    vm->seen_epoch =
        order->epoch > vm->seen_epoch ? order->epoch : vm->seen_epoch;
    if (core_vm_lives(vm)) {
        order_living(core, vm, order);
    } else if (order->epoch <= vm->over_epoch) {
        gone_again(core, vm);
    } else if (order->action == CORE_ORDER_START) {
        start_vm(core, vm, now_ns, order);
    } else {
        gone(core, vm, order->epoch, "was not here", false);
    }
}

void core_vm_event(struct core *core, uint64_t now_ns, uint64_t uid,
                   enum core_vm_event event, const char *reason, bool failed)
{
    struct core_vm *vm = map_get(&core->vms, uid);

    if (vm == NULL || !core_vm_lives(vm)) {
        return;
    }
    switch (event) {
    case CORE_VM_STARTED:
        break;
    case CORE_VM_RUNNING:
        vm->failed_ns = 0;
        if (vm->phase == CORE_PHASE_STARTING) {
            core_vm_enter(core, vm, CORE_PHASE_RUNNING);
            tell(core, vm);
        }
        break;
    case CORE_VM_FAILED:
        if (vm->failed_ns == 0 && vm->phase != CORE_PHASE_STOPPING) {
            vm->failed_ns = now_ns;
            set_reason(vm, reason, true);
        }
        break;
    case CORE_VM_GONE:
        if (vm->answer_epoch != 0) {
            gone(core, vm, vm->answer_epoch, "was not here", false);
        } else if (vm->failed_ns != 0 && vm->killed) {
            char cause[CORE_REASON_MAX + 1];

            memcpy(cause, vm->reason, sizeof(cause));
            gone(core, vm, vm->epoch, cause, true);
        } else {
            gone(core, vm, vm->epoch, reason, failed);
        }
        break;
    }
}

uint64_t core_polite_stop_ns(const struct core *core, uint32_t stop_grace_ms)
{
    uint32_t share_ms = core->lease_run_ms / POLITE_SHARE;
    uint32_t early_ms = stop_grace_ms < share_ms ? stop_grace_ms : share_ms;
    uint64_t early_ns = early_ms * NS_PER_MS;

    return core->deadline_ns > early_ns ? core->deadline_ns - early_ns : 0;
}

uint64_t core_vm_tick(struct core *core, struct core_vm *vm, uint64_t now_ns)
{
    uint64_t due_ns = UINT64_MAX;
    uint64_t polite_ns;

    if (!core_vm_lives(vm) || vm->killed) {
        return due_ns;
    }
    if (vm->failed_ns != 0) {
        due_ns = vm->failed_ns + CORE_FAILED_MS * NS_PER_MS;
        if (now_ns >= due_ns) {
            kill_vm(core, vm, vm->reason);
            return UINT64_MAX;
        }
    }
    if (vm->keep) {
        return due_ns;
    }
    if (now_ns >= core->deadline_ns) {
        kill_vm(core, vm, "the lease is over");
        return UINT64_MAX;
    }
    polite_ns = core_polite_stop_ns(core, vm->stop_grace_ms);
    if (now_ns >= polite_ns) {
        /* The grace ends with the lease; so does the shim's patience. */
        stop_vm(core, vm, (uint32_t)((core->deadline_ns - now_ns) / NS_PER_MS));
        polite_ns = core->deadline_ns;
    }
    return polite_ns < due_ns ? polite_ns : due_ns;
}
