/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/files.h"
#include "agent/order_spec.h"
#include "agent/scan.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct agent *agent_of(struct core *core)
{
    return container_of(core, struct agent, core);
}

static void on_event(struct vm_listener *listener, struct vm *vm,
                     const struct vm_event *event)
{
    struct agent_vm *entry = container_of(listener, struct agent_vm, listener);
    struct agent *agent = entry->agent;
    uint64_t uid = entry->spec.uid;
    const char *reason = event->reason == NULL ? "" : event->reason;
    uint64_t now_ns = clock_boot_ns();

    switch (event->kind) {
    case VM_EVENT_STARTED:
        core_vm_event(&agent->core, now_ns, uid, CORE_VM_STARTED, "", false);
        break;
    case VM_EVENT_RUNNING:
    case VM_EVENT_PAUSED: /* By the guest's own wish. */
        log_info("vm.running", "uid=%" PRIu64 " name=%s epoch=%" PRIu64, uid,
                 entry->spec.name, entry->spec.epoch);
        core_vm_event(&agent->core, now_ns, uid, CORE_VM_RUNNING, "", false);
        break;
    case VM_EVENT_FAILED:
        log_warn("vm.failed", "uid=%" PRIu64 " name=%s reason=\"%s\"", uid,
                 entry->spec.name, reason);
        core_vm_event(&agent->core, now_ns, uid, CORE_VM_FAILED, reason, true);
        break;
    case VM_EVENT_GONE:
        log_info(
            "vm.gone",
            "uid=%" PRIu64 " name=%s epoch=%" PRIu64 " failed=%d reason=\"%s\"",
            uid, entry->spec.name, entry->spec.epoch, event->failed, reason);
        entry->vm = NULL;
        core_vm_event(&agent->core, now_ns, uid, CORE_VM_GONE, reason,
                      event->failed);
        vm_destroy(vm);
        break;
    }
    agent_tick(agent);
}

/* Takes the spec over. */
static struct agent_vm *add_entry(struct agent *agent, struct vm_spec *spec)
{
    struct agent_vm *entry = memory_alloc(sizeof(*entry));

    CHECK(map_get(&agent->vms, spec->uid) == NULL);
    entry->listener.event = on_event;
    entry->agent = agent;
    entry->spec = *spec;
    vm_spec_init(spec);
    map_put(&agent->vms, entry->spec.uid, entry);
    return entry;
}

static void free_entry(struct agent_vm *entry)
{
    vm_destroy(entry->vm);
    vm_spec_close(&entry->spec);
    free(entry);
}

static struct vm_driver *driver_of(struct agent *agent,
                                   enum vm_driver_kind kind)
{
    for (size_t i = 0; i < AGENT_DRIVERS; i++) {
        if (agent->drivers[i]->table->kind == kind) {
            return agent->drivers[i];
        }
    }
    return NULL;
}

static bool is_offered(const struct agent *agent,
                       const struct vm_driver *driver)
{
    for (size_t i = 0; i < AGENT_DRIVERS; i++) {
        if (agent->drivers[i] == driver) {
            return agent->offered[i];
        }
    }
    return false;
}

static int start(struct agent *agent, struct vm_spec *spec, char *reason)
{
    struct vm_driver *driver = driver_of(agent, spec->driver);
    struct agent_vm *entry;
    int result;

    if (driver == NULL || !is_offered(agent, driver)) {
        snprintf(reason, CORE_REASON_MAX + 1,
                 "this host does not offer its driver");
        return HF_ERROR_UNSUPPORTED;
    }
    /* What an earlier epoch left is cleaned up by the driver's start. */
    entry = map_remove(&agent->vms, spec->uid);
    if (entry != NULL) {
        CHECK(entry->vm == NULL);
        free_entry(entry);
    }
    entry = add_entry(agent, spec);
    result = vm_start(driver, &entry->spec, &entry->listener, &entry->vm);
    if (result == HF_ERROR_CLOSED) {
        snprintf(reason, CORE_REASON_MAX + 1, "no live lease or guard");
    } else if (result == HF_ERROR_UNSUPPORTED) {
        snprintf(reason, CORE_REASON_MAX + 1,
                 "this host cannot fence it; only on_partition: keep");
    } else if (result == HF_ERROR_EXISTS) {
        snprintf(reason, CORE_REASON_MAX + 1, "something holds its lock here");
    } else if (result != 0) {
        snprintf(reason, CORE_REASON_MAX + 1, "start failed: %s",
                 hf_error_name(result));
    }
    return result;
}

int agent_start_vm(struct core *core, struct core_order *order,
                   char reason[CORE_REASON_MAX + 1])
{
    const struct agent_order *whole =
        container_of(order, struct agent_order, core);
    struct agent *agent = agent_of(core);
    struct order_error error;
    struct vm_spec spec;
    int result =
        order_spec(&spec, whole->message, agent->config->message, &error);

    if (result != 0) {
        snprintf(reason, CORE_REASON_MAX + 1, "%.*s", CORE_REASON_MAX,
                 error.reason);
    } else {
        result = start(agent, &spec, reason);
        vm_spec_close(&spec);
    }
    if (result != 0) {
        log_warn("vm.start_refused",
                 "uid=%" PRIu64 " epoch=%" PRIu64 " reason=\"%s\"", order->uid,
                 order->epoch, reason);
    } else {
        log_info("vm.start", "uid=%" PRIu64 " name=%s epoch=%" PRIu64,
                 order->uid, whole->message->name, order->epoch);
    }
    return result;
}

static struct vm *living(struct core *core, uint64_t uid)
{
    struct agent_vm *entry = map_get(&agent_of(core)->vms, uid);

    return entry == NULL ? NULL : entry->vm;
}

void agent_stop_vm(struct core *core, uint64_t uid, uint32_t grace_ms)
{
    struct vm *vm = living(core, uid);

    log_info("vm.stop", "uid=%" PRIu64 " grace_ms=%" PRIu32, uid, grace_ms);
    if (vm != NULL) {
        vm_stop(vm, grace_ms);
    }
}

void agent_kill_vm(struct core *core, uint64_t uid, const char *reason)
{
    struct vm *vm = living(core, uid);

    if (vm != NULL) {
        vm_kill(vm);
    }
    log_warn("vm.kill", "uid=%" PRIu64 " reason=\"%s\"", uid, reason);
}

void agent_forget_vm(struct core *core, uint64_t uid)
{
    struct agent *agent = agent_of(core);
    struct agent_vm *entry = map_remove(&agent->vms, uid);
    int result;

    if (entry == NULL) {
        return; /* It never came so far as to have a directory. */
    }
    CHECK(entry->vm == NULL);
    result = vm_forget(&agent->run, &entry->spec);
    if (result != 0 && result != HF_ERROR_NOT_FOUND) {
        log_warn("vm.leftovers", "uid=%" PRIu64 " error=%s", uid,
                 hf_error_name(result));
    }
    free_entry(entry);
}

/* The epoch of a VM whose spec cannot be read. */
static uint64_t read_epoch(const struct run_dir *run, uint64_t uid)
{
    char text[24];
    size_t len;
    uint64_t epoch = CORE_EPOCH_UNKNOWN;
    int dir_fd = run_dir_open_vm(run, uid, false);

    if (dir_fd < 0) {
        return CORE_EPOCH_UNKNOWN;
    }
    if (files_read(dir_fd, VM_FILE_EPOCH, text, sizeof(text), &len) != 0 ||
        len == 0 || text[len - 1] != '\n' ||
        files_parse_u64(text, len - 1, UINT64_MAX - 1, &epoch) != 0) {
        epoch = CORE_EPOCH_UNKNOWN;
    }
    close(dir_fd);
    return epoch;
}

static int quarantine(struct agent *agent, uint64_t uid)
{
    uint64_t epoch = read_epoch(&agent->run, uid);

    log_error("vm.unknown", "uid=%" PRIu64 " epoch=%" PRIu64, uid, epoch);
    return core_quarantine(&agent->core, uid, epoch);
}

static int adopt_live(struct agent *agent, struct vm_spec *spec)
{
    struct vm_driver *driver = driver_of(agent, spec->driver);
    const struct core_found found = {
        .uid = spec->uid,
        .epoch = spec->epoch,
        .keep = spec->keep,
        .stop_grace_ms = spec->stop_grace_ms,
    };
    struct agent_vm *entry = add_entry(agent, spec);
    int result = driver == NULL ? HF_ERROR_UNSUPPORTED
                                : vm_adopt(driver, &entry->spec,
                                           &entry->listener, &entry->vm);

    if (result != 0) {
        free_entry(map_remove(&agent->vms, found.uid));
        return quarantine(agent, found.uid);
    }
    log_info("vm.adopted", "uid=%" PRIu64 " name=%s epoch=%" PRIu64, found.uid,
             entry->spec.name, found.epoch);
    return core_adopt(&agent->core, &found);
}

static int adopt_one(struct agent *agent, struct scan_entry *found)
{
    uint64_t epoch = found->spec.epoch;

    switch (found->state) {
    case SCAN_LIVE:
        return adopt_live(agent, &found->spec);
    case SCAN_ENDED:
        add_entry(agent, &found->spec);
        log_info("vm.ended_meanwhile",
                 "uid=%" PRIu64 " epoch=%" PRIu64 " reason=\"%s\"", found->uid,
                 epoch, found->reason);
        return core_adopt_gone(&agent->core, found->uid, epoch, found->reason,
                               found->failed);
    case SCAN_UNKNOWN:
        return quarantine(agent, found->uid);
    }
    return 0;
}

/* A shim whose files somebody removed runs its VM all the same; not to list it
 * would be to say that the VM is gone (rules 1 and 8). */
static int quarantine_lost(struct agent *agent)
{
    struct shim_found *found =
        memory_alloc_array(SCAN_ENTRIES_MAX, sizeof(*found));
    struct shim_place place;
    int count = machine_place(&agent->run, &place);
    int result;

    if (count == 0) {
        count = machine_find_shims(&place, found, SCAN_ENTRIES_MAX);
    }
    result = count < 0 ? count : 0;
    for (int i = 0; i < count && result == 0; i++) {
        if (found[i].uid == 0) {
            continue;
        }
        result =
            core_quarantine(&agent->core, found[i].uid, CORE_EPOCH_UNKNOWN);
        if (result == 0) {
            log_error("vm.files_lost", "uid=%" PRIu64 " shim=%d", found[i].uid,
                      (int)found[i].pid);
        } else if (result == HF_ERROR_EXISTS) {
            result = 0; /* As all should: the scan found it. */
        }
    }
    free(found);
    return result;
}

int agent_adopt(struct agent *agent)
{
    struct scan scan;
    int result = scan_run(&scan, &agent->run);

    if (result != 0) {
        return result;
    }
    for (size_t i = 0; i < scan.count && result == 0; i++) {
        result = adopt_one(agent, &scan.entries[i]);
    }
    scan_close(&scan);
    return result == 0 ? quarantine_lost(agent) : result;
}

void agent_release_vms(struct agent *agent)
{
    size_t cursor = 0;
    struct agent_vm *entry;

    while ((entry = map_next(&agent->vms, &cursor)) != NULL) {
        free_entry(entry);
    }
    map_close(&agent->vms);
    map_init(&agent->vms);
}
