/* SPDX-License-Identifier: Apache-2.0 */
#include "node/reports.h"

#include "base/check.h"
#include "base/memory.h"
#include "base/planted.h"
#include "node/limits.h"
#include "node/region.h"

#include <stdlib.h>
#include <string.h>

static bool text_equals(struct text a, struct text b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static uint64_t pool_mask(const struct state *state, const struct hello *hello,
                          uint32_t *unknown)
{
    uint64_t mask = 0;

    *unknown = 0;
    for (uint32_t i = 0; i < hello->pool_count; i++) {
        uint64_t bit = state_pool_bit(state, hello->pools[i]);

        mask |= bit;
        *unknown += bit == 0;
    }
    return mask;
}

static struct amounts named_capacity(const struct state *state,
                                     const struct hello *hello,
                                     uint32_t *unknown)
{
    struct amounts amounts = {{0}};

    *unknown = 0;
    for (uint32_t i = 0; i < hello->named_count; i++) {
        uint32_t slot = state_named_slot(state, hello->named[i].name);

        if (slot == SLOT_NONE) {
            (*unknown)++;
        } else {
            amounts.of[slot] = hello->named[i].amount;
        }
    }
    return amounts;
}

static uint32_t names_known(const struct state *state)
{
    uint32_t count = 0;

    while (count < NAMED_MAX && state_named_name(state, count).len > 0) {
        count++;
    }
    return count;
}

static uint32_t pools_known(const struct state *state)
{
    uint32_t count = 0;

    while (count < POOLS_MAX && state_pool_name(state, count).len > 0) {
        count++;
    }
    return count;
}

/* Whether the state already says all of this, so that an agent that merely
 * reconnects writes nothing. */
static bool is_as_registered(const struct state *state, const struct host *host,
                             const struct hello *hello)
{
    struct host_identity identity;
    uint32_t unknown;
    uint32_t unknown_names;
    struct amounts named = named_capacity(state, hello, &unknown_names);

    state_host_identity(state, host, &identity);
    return host->state == HOST_UP && unknown_names == 0 &&
           memcmp(&host->named_capacity, &named, sizeof(named)) == 0 &&
           text_equals(identity.fault_domain, hello->fault_domain) &&
           text_equals(identity.host_id, hello->host_id) &&
           text_equals(identity.boot_id, hello->boot_id) &&
           text_equals(identity.agent_version, hello->agent_version) &&
           memcmp(&host->capacity, &hello->capacity, sizeof(host->capacity)) ==
               0 &&
           host->driver_mask == hello->driver_mask &&
           host->pool_mask == pool_mask(state, hello, &unknown) &&
           unknown == 0 &&
           text_equals(state_blob(state, host->labels_blob), hello->labels);
}

static void register_host(struct turn_plan *plan, const struct hello *hello,
                          const struct zone *zone)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    change.host_register = (struct change_host_register){
        .name = hello->host,
        .zone = {zone->uid},
        .fault_domain = hello->fault_domain,
        .host_id = hello->host_id,
        .boot_id = hello->boot_id,
        .capacity = hello->capacity,
        .pools = hello->pools,
        .pool_count = hello->pool_count,
        .driver_mask = hello->driver_mask,
        .labels = hello->labels,
        .agent_version = hello->agent_version,
        .named = hello->named,
        .named_count = hello->named_count,
    };
    turn_change(plan, &change);
}

static bool is_other_boot(const struct state *state, const struct host *host,
                          const struct hello *hello)
{
    struct host_identity identity;

    state_host_identity(state, host, &identity);
    return !text_equals(identity.boot_id, hello->boot_id);
}

/* A registration that the leases do not know yet is one of this very turn. */
static bool may_hold_lease(const struct host *host, struct leases *leases,
                           uint64_t now_ms)
{
    const struct lease *lease = leases_get(leases, uid_slot(host->uid));

    if (host->state != HOST_UP) {
        return false;
    }
    return lease == NULL || lease->host_uid != host->uid ||
           lease->generation != host->generation || !lease_ended(lease, now_ms);
}

static enum hello_verdict check_hello(const struct turn_plan *plan,
                                      const struct hello *hello,
                                      const struct host *host,
                                      struct leases *leases)
{
    const struct state *state = plan->scratch;
    const struct zone *zone = state_zone_named(state, hello->zone);
    struct host_identity identity;
    uint32_t unknown;

    if (zone == NULL) {
        return HELLO_NO_ZONE;
    }
    pool_mask(state, hello, &unknown);
    if (pools_known(state) + unknown > POOLS_MAX) {
        return HELLO_TOO_MANY_POOLS;
    }
    named_capacity(state, hello, &unknown);
    if (names_known(state) + unknown > NAMED_MAX) {
        return HELLO_TOO_MANY_NAMES;
    }
    if (host == NULL) {
        return state_counts(state)->hosts < HOSTS_MAX ? HELLO_WELCOME
                                                      : HELLO_TOO_MANY_HOSTS;
    }
    state_host_identity(state, host, &identity);
    /* A name passes to another machine only when the former one is known to
     * run nothing: its lease is over and no VM is left with it. */
    if (!text_equals(identity.host_id, hello->host_id) &&
        (host->state == HOST_UP || host->vm_count > 0)) {
        return HELLO_TAKEN;
    }
    if (is_other_boot(state, host, hello) &&
        may_hold_lease(host, leases, plan->now_ms)) {
        return HELLO_STILL_LEASED;
    }
    if (host->zone != uid_slot(zone->uid) && host->vm_count > 0) {
        return HELLO_ZONE_CHANGED;
    }
    return HELLO_WELCOME;
}

static bool was_healthy(const struct turn_plan *plan, const struct vm *vm)
{
    return vm->state == VM_RUNNING && plan->time_ms >= vm->state_time_ms &&
           plan->time_ms - vm->state_time_ms >= RESTART_FORGET_MS;
}

static uint64_t restart_not_before(const struct turn_plan *plan,
                                   const struct vm *vm)
{
    uint64_t delay_ms = 1000;

    if (vm->restart_count == 0 || was_healthy(plan, vm)) {
        return plan->time_ms == 0 ? 1 : plan->time_ms;
    }
    for (uint32_t i = 1;
         i < vm->restart_count && delay_ms < RESTART_DELAY_MS_MAX; i++) {
        delay_ms *= 2;
    }
    delay_ms =
        delay_ms < RESTART_DELAY_MS_MAX ? delay_ms : RESTART_DELAY_MS_MAX;
    return plan->time_ms + delay_ms;
}

static void release(struct turn_plan *plan, const struct vm *vm,
                    struct text reason, bool failed)
{
    struct change change = {.kind = CHANGE_VM_RELEASE};
    /* A VM that was to stop has not failed, however it ended. */
    bool counts = failed && vm->state != VM_STOPPING;

    change.vm_release = (struct change_vm_release){
        .vm = {vm->uid},
        .epoch = vm->epoch,
        .reason = reason,
        .failed = counts,
        .not_before_ms = counts ? restart_not_before(plan, vm) : 0,
        .forget = counts && was_healthy(plan, vm),
    };
    turn_change(plan, &change);
}

static void move_along(struct turn_plan *plan, const struct vm *vm,
                       enum vm_state state)
{
    struct change change = {.kind = CHANGE_VM_REPORT};
    bool news = state == VM_STARTING
                    ? vm->state == VM_ASSIGNED
                    : vm->state == VM_ASSIGNED || vm->state == VM_STARTING;

    if (!news) {
        return;
    }
    change.vm_report = (struct change_vm_report){{vm->uid}, vm->epoch, state};
    turn_change(plan, &change);
}

void plan_report(struct turn_plan *plan, struct host_id host_id,
                 uint64_t generation, const struct vm_report *report)
{
    const struct host *host = state_host(plan->scratch, host_id);
    const struct vm *vm = state_vm(plan->scratch, report->vm);

    /* Rule 1: a report of an older epoch, of another host, or from before the
     * host's last registration says nothing about this VM. */
    if (host == NULL || host->state != HOST_UP ||
        host->generation != generation || vm == NULL ||
        vm->host != uid_slot(host_id.uid) || vm->epoch != report->epoch) {
        return;
    }
    switch (report->state) {
    case REPORT_STARTING:
        move_along(plan, vm, VM_STARTING);
        break;
    case REPORT_RUNNING:
        move_along(plan, vm, VM_RUNNING);
        break;
    case REPORT_STOPPING:
        break;
    case REPORT_GONE:
        release(plan, vm, report->reason, report->failed);
        break;
    }
}

static int compare_reports(const void *a, const void *b)
{
    uint64_t left = (*(const struct vm_report *const *)a)->vm.uid;
    uint64_t right = (*(const struct vm_report *const *)b)->vm.uid;

    return left < right ? -1 : left > right;
}

static int compare_to_uid(const void *key, const void *element)
{
    uint64_t uid = *(const uint64_t *)key;
    uint64_t other = (*(const struct vm_report *const *)element)->vm.uid;

    return uid < other ? -1 : uid > other;
}

/* Assigned since the host last registered, it was never begun in this boot: it
 * is ordered again with the same epoch on the same host. From before, it may
 * have been begun in a former boot, and an epoch begins only once; that it was
 * another boot is forgotten with the session that said so. */
static bool may_be_begun_here(const struct vm *vm, const struct host *host)
{
    return vm->state == VM_ASSIGNED &&
           (PLANTED(EPOCH_AGAIN) || vm->state_time_ms > host->state_time_ms);
}

/* Nothing of a former boot runs, `keep` VMs among it (DESIGN.md section 6,
 * point 6), and that is no failure of the VM. */
static void release_missing(struct turn_plan *plan, uint32_t host_slot,
                            const struct vm_report **sorted, size_t count,
                            bool rebooted)
{
    struct text reason = rebooted ? (struct text){"host rebooted", 13}
                                  : (struct text){"missing after restart", 21};
    uint32_t slot = state_host_at(plan->scratch, host_slot)->vm_first;

    while (slot != SLOT_NONE) {
        const struct vm *vm = state_vm_at(plan->scratch, slot);
        uint32_t next = vm->host_next;
        const struct vm_report *const *listed =
            bsearch(&vm->uid, sorted, count, sizeof(*sorted), compare_to_uid);
        bool failed = !rebooted && vm->state != VM_ASSIGNED;

        if ((rebooted ||
             !may_be_begun_here(vm, state_host_at(plan->scratch, host_slot))) &&
            (listed == NULL || (*listed)->epoch < vm->epoch)) {
            release(plan, vm, reason, failed);
        }
        slot = next;
    }
}

void plan_missing(struct turn_plan *plan, struct host_id host_id,
                  uint64_t generation, const struct vm_report *reports,
                  size_t count, bool rebooted)
{
    const struct host *host = state_host(plan->scratch, host_id);
    const struct vm_report **sorted;

    if (host == NULL || host->state != HOST_UP ||
        host->generation != generation) {
        return;
    }
    sorted = memory_alloc_array(count, sizeof(*sorted));
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &reports[i];
    }
    qsort(sorted, count, sizeof(*sorted), compare_reports);
    release_missing(plan, uid_slot(host_id.uid), sorted, count, rebooted);
    free(sorted);
}

/* Uids of two regions are alike, so its reports would be taken for those of
 * VMs here, and its VMs for ones that nobody ordered. */
static bool is_of_other_region(const struct state *state,
                               const struct hello *hello)
{
    char here[REGION_TEXT_BYTES];

    region_text(state_region(state), here);
    return hello->region_id.len > 0 &&
           !text_equals(hello->region_id,
                        (struct text){here, (uint32_t)strlen(here)});
}

enum hello_verdict plan_hello(struct turn_plan *plan, const struct hello *hello,
                              struct leases *leases, struct host_id *id,
                              bool *rebooted)
{
    const struct zone *zone = state_zone_named(plan->scratch, hello->zone);
    const struct host *host = state_host_named(plan->scratch, hello->host);
    enum hello_verdict verdict = is_of_other_region(plan->scratch, hello)
                                     ? HELLO_OTHER_REGION
                                     : check_hello(plan, hello, host, leases);

    if (verdict != HELLO_WELCOME) {
        return verdict;
    }
    *rebooted = host != NULL && is_other_boot(plan->scratch, host, hello);
    if (host == NULL || host->zone != uid_slot(zone->uid) ||
        !is_as_registered(plan->scratch, host, hello)) {
        register_host(plan, hello, zone);
    }
    host = state_host_named(plan->scratch, hello->host);
    id->uid = host->uid;
    for (size_t i = 0; i < hello->report_count; i++) {
        plan_report(plan, *id, host->generation, &hello->reports[i]);
    }
    return HELLO_WELCOME;
}
