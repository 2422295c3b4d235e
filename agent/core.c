/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/core.h"

#include "agent/core_vm.h"
#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define NS_PER_MS UINT64_C(1000000)

/* Unanswered for this many periods: the session is given up. With the default
 * settings a third of the lease is then left to find another node. */
#define STALL_PERIODS 2

/* Whoever still holds a lease has no time for a node that stands still: its
 * kernel takes the connection and nobody answers. One period then, yet not
 * less than what a busy leader far away may need. */
#define WELCOME_MS_MIN UINT64_C(500)

/* Settings allow no more than a third of L; this bounds what a bad peer can
 * ask for. */
#define RENEW_MS_MIN 20

void core_init(struct core *core, const struct core_actions *actions,
               uint64_t deadline_ns)
{
    *core = (struct core){.actions = actions, .deadline_ns = deadline_ns};
    core->lease_run_ms = CORE_LEASE_MS;
    core->renew_ms = CORE_RENEW_MS;
    map_init(&core->vms);
    list_init(&core->listed);
    list_init(&core->remembered);
}

void core_close(struct core *core)
{
    size_t cursor = 0;
    struct core_vm *vm;

    while ((vm = map_next(&core->vms, &cursor)) != NULL) {
        free(vm);
    }
    map_close(&core->vms);
}

bool core_lease_live(const struct core *core, uint64_t now_ns)
{
    return now_ns < core->deadline_ns;
}

static bool is_current(const struct core *core, uint64_t session)
{
    return core->link != CORE_LINK_DOWN && session == core->session;
}

/* All that is listed; the caller frees it. */
static struct core_report *list_reports(const struct core *core)
{
    struct core_report *reports =
        memory_alloc_array(core->listed_count, sizeof(*reports));
    struct list *item;
    size_t count = 0;

    list_foreach (item, &core->listed) {
        CHECK(count < core->listed_count);
        core_vm_report(list_entry(item, struct core_vm, link),
                       &reports[count++]);
    }
    CHECK(count == core->listed_count);
    return reports;
}

uint64_t core_session_opened(struct core *core, uint64_t now_ns)
{
    struct core_report *reports = list_reports(core);

    CHECK(core->link == CORE_LINK_DOWN && core->in_flight_count == 0);
    core->session++;
    core->link = CORE_LINK_HELLO;
    core->acked = false;
    core->since_ns = now_ns;
    core->actions->hello(core, reports, core->listed_count);
    free(reports);
    return core->session;
}

void core_session_closed(struct core *core, uint64_t session)
{
    if (!is_current(core, session)) {
        return;
    }
    core->link = CORE_LINK_DOWN;
    core->acked = false;
    core->generation = 0;
    core->in_flight_count = 0;
}

bool core_is_free(const struct core *core, uint64_t now_ns)
{
    struct list *item;

    list_foreach (item, &core->listed) {
        if (list_entry(item, struct core_vm, link)->phase != CORE_PHASE_GONE) {
            return false;
        }
    }
    return !core_lease_live(core, now_ns);
}

void core_forget_region(struct core *core, uint64_t now_ns)
{
    size_t cursor = 0;
    struct core_vm *vm;

    CHECK(core_is_free(core, now_ns) && core->link != CORE_LINK_UP);
    while ((vm = map_next(&core->vms, &cursor)) != NULL) {
        if (vm->has_files) {
            core->actions->forget(core, vm->uid);
        }
        free(vm);
    }
    map_close(&core->vms);
    map_init(&core->vms);
    list_init(&core->listed);
    list_init(&core->remembered);
    core->listed_count = 0;
    core->remembered_count = 0;
}

static void hang_up(struct core *core, const char *reason)
{
    core_session_closed(core, core->session);
    core->actions->hang_up(core, reason);
}

static bool terms_are_sane(const struct core_terms *terms)
{
    return terms->lease_run_ms > 0 &&
           terms->lease_run_ms <= CORE_LEASE_MS_MAX && terms->renew_ms > 0 &&
           terms->renew_ms <= terms->lease_run_ms;
}

static void take_terms(struct core *core, const struct core_terms *terms)
{
    core->lease_run_ms = terms->lease_run_ms;
    core->renew_ms =
        terms->renew_ms < RENEW_MS_MIN ? RENEW_MS_MIN : terms->renew_ms;
}

void core_welcome(struct core *core, uint64_t session, uint64_t now_ns,
                  uint64_t generation, const struct core_terms *terms)
{
    if (!is_current(core, session) || core->link != CORE_LINK_HELLO) {
        return;
    }
    if (!terms_are_sane(terms)) {
        hang_up(core, "bad lease terms");
        return;
    }
    core->link = CORE_LINK_UP;
    core->generation = generation;
    core->next_renew_ns = now_ns;
    take_terms(core, terms);
}

static void drop_renewals(struct core *core, size_t count)
{
    core->in_flight_count -= count;
    memmove(core->in_flight, core->in_flight + count,
            core->in_flight_count * sizeof(core->in_flight[0]));
}

/* The leader has applied what a renewal said: its GONEs need not be said
 * again. Every renewal lists all of them, so this one held each whose first
 * renewal is not later. */
static void settle_gone(struct core *core, uint64_t seq)
{
    struct list *item;
    struct list *next;

    list_foreach_safe (item, next, &core->listed) {
        struct core_vm *vm = list_entry(item, struct core_vm, link);
        bool has_files = vm->has_files;

        if (vm->phase != CORE_PHASE_GONE || vm->listed_seq == 0 ||
            vm->listed_seq > seq) {
            continue;
        }
        vm->has_files = false;
        if (has_files) {
            core->actions->forget(core, vm->uid);
        }
        core_vm_enter(core, vm, CORE_PHASE_NONE);
    }
}

void core_renew_ack(struct core *core, uint64_t session, uint64_t now_ns,
                    uint64_t seq, const struct core_terms *terms)
{
    uint64_t deadline_ns;
    size_t i = 0;

    (void)now_ns; /* Never the base of a deadline: see rule 1. */
    while (i < core->in_flight_count && core->in_flight[i].seq != seq) {
        i++;
    }
    if (!is_current(core, session) || core->link != CORE_LINK_UP ||
        i == core->in_flight_count || !terms_are_sane(terms)) {
        core->ignored_ack_count++;
        return;
    }
    deadline_ns =
        core->in_flight[i].reading_ns + terms->lease_run_ms * NS_PER_MS;
    drop_renewals(core, i + 1);
    take_terms(core, terms);
    core->acked = true;
    if (deadline_ns > core->deadline_ns) {
        core->deadline_ns = deadline_ns;
        core->actions->lease(core, deadline_ns);
    }
    settle_gone(core, seq);
}

bool core_takes_orders(const struct core *core)
{
    return core->link == CORE_LINK_UP && core->acked;
}

static void renew(struct core *core, uint64_t now_ns)
{
    struct core_report *reports = list_reports(core);
    struct list *item;

    core->seq++;
    core->in_flight[core->in_flight_count++] =
        (struct core_renewal){core->seq, now_ns};
    list_foreach (item, &core->listed) {
        struct core_vm *vm = list_entry(item, struct core_vm, link);

        if (vm->phase == CORE_PHASE_GONE && vm->listed_seq == 0) {
            vm->listed_seq = core->seq;
        }
    }
    core->next_renew_ns = now_ns + core->renew_ms * NS_PER_MS;
    core->actions->renew(core, core->seq, core->generation, reports,
                         core->listed_count);
    free(reports);
}

static uint64_t welcome_ms(const struct core *core)
{
    uint64_t long_ms = STALL_PERIODS * core->renew_ms;
    uint64_t short_ms =
        core->renew_ms > WELCOME_MS_MIN ? core->renew_ms : WELCOME_MS_MIN;

    return core->deadline_ns > core->since_ns && short_ms < long_ms ? short_ms
                                                                    : long_ms;
}

static uint64_t stall_ns(const struct core *core)
{
    if (core->link == CORE_LINK_HELLO) {
        return core->since_ns + welcome_ms(core) * NS_PER_MS;
    }
    if (core->in_flight_count == 0) {
        return UINT64_MAX;
    }
    return core->in_flight[0].reading_ns +
           STALL_PERIODS * core->renew_ms * NS_PER_MS;
}

static uint64_t tick_link(struct core *core, uint64_t now_ns)
{
    if (core->link == CORE_LINK_DOWN) {
        return UINT64_MAX;
    }
    if (now_ns >= stall_ns(core)) {
        hang_up(core, core->link == CORE_LINK_HELLO ? "no welcome"
                                                    : "no acknowledgement");
        return UINT64_MAX;
    }
    if (core->link == CORE_LINK_HELLO) {
        return stall_ns(core);
    }
    if (now_ns >= core->next_renew_ns &&
        core->in_flight_count < CORE_IN_FLIGHT_MAX) {
        renew(core, now_ns);
    }
    return core->next_renew_ns < stall_ns(core) ? core->next_renew_ns
                                                : stall_ns(core);
}

uint64_t core_tick(struct core *core, uint64_t now_ns)
{
    uint64_t due_ns = tick_link(core, now_ns);
    struct list *item;

    list_foreach (item, &core->listed) {
        uint64_t vm_due_ns =
            core_vm_tick(core, list_entry(item, struct core_vm, link), now_ns);

        due_ns = vm_due_ns < due_ns ? vm_due_ns : due_ns;
    }
    return due_ns;
}
