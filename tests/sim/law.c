/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/law.h"

#include "base/container.h"
#include "state/labels.h"
#include "tests/support/same.h"

#include <string.h>

/* --- May this VM run there? ------------------------------------------------
 */

/* Members of the VM's group, without itself. */
struct group_members {
    uint32_t in_zone[ZONES_MAX];   /* Where they are, or hold room. */
    uint32_t bound_for[ZONES_MAX]; /* Once those that hold room are there. */
    uint32_t in_domain;            /* Of the host that is asked about; */
    uint32_t on_host;              /* on that host. */
};

struct question {
    const struct state *state;
    const struct vm *vm;
    const struct host *host;
    const struct zone *zone;
    const struct class *class;
    const struct group *group; /* NULL: none. */
    struct group_members members;
};

static void count_member(struct question *question, const struct host *host)
{
    question->members.in_zone[host->zone]++;
    question->members.on_host += host->uid == question->host->uid;
    question->members.in_domain +=
        same_domain(question->state, host, question->host);
}

static void count_members(struct question *question)
{
    const struct state *state = question->state;
    uint32_t next = question->group->vm_first_plus1;

    while (next != 0) {
        const struct vm *vm = state_vm_at(state, next - 1);
        const struct host *claim =
            vm_holds_claim(vm) ? state_host_at(state, vm->move_host) : NULL;
        const struct host *host =
            vm->host == SLOT_NONE ? NULL : state_host_at(state, vm->host);

        next = vm->group_next_plus1;
        if (vm->uid == question->vm->uid) {
            continue;
        }
        if (host != NULL) {
            count_member(question, host);
        }
        if (claim != NULL) {
            count_member(question, claim);
        }
        if (claim != NULL || host != NULL) {
            question->members
                .bound_for[claim != NULL ? claim->zone : host->zone]++;
        }
    }
}

static void ask(struct question *question, const struct state *state,
                const struct vm *vm, const struct host *host)
{
    *question = (struct question){
        .state = state,
        .vm = vm,
        .host = host,
        .zone = state_zone_at(state, host->zone),
        .class = state_class_at(state, vm->class_slot),
    };
    if (vm->group_plus1 != 0) {
        question->group = state_group_at(state, vm->group_plus1 - 1);
        count_members(question);
    }
}

static bool has(uint64_t mask, uint32_t zone)
{
    return mask == 0 || (mask >> zone & 1) != 0;
}

static bool zone_is_open(const struct zone *zone)
{
    return zone->state == ZONE_UP && !zone->cordoned && !zone->draining;
}

static bool is_closed(const struct question *q)
{
    return q->host->state != HOST_UP || q->host->cordoned ||
           q->host->draining || !zone_is_open(q->zone);
}

static bool is_of_other_zone(const struct question *q)
{
    return q->vm->zone != SLOT_NONE && q->vm->zone != q->host->zone;
}

static bool lacks_class(const struct question *q)
{
    return !has(q->class->zone_mask, q->host->zone);
}

static bool lacks_driver(const struct question *q)
{
    return (q->host->driver_mask >> q->vm->driver & 1) == 0;
}

static bool lacks_pool(const struct question *q)
{
    return (q->vm->pool_mask & ~q->host->pool_mask) != 0;
}

static bool lacks_copy(const struct question *q)
{
    return !has(q->vm->disk_zone_mask, q->host->zone);
}

static bool is_not_home(const struct question *q)
{
    return q->vm->home_host_plus1 != 0 &&
           q->vm->home_host_plus1 - 1 != uid_slot(q->host->uid);
}

static bool lacks_label(const struct question *q)
{
    struct text wanted = state_blob(q->state, q->vm->selector_blob);
    struct label label;

    while (labels_next(&wanted, &label)) {
        struct text value;

        if (!labels_get(state_blob(q->state, q->host->labels_blob), label.key,
                        &value) ||
            !same_text(value, label.value)) {
            return true;
        }
    }
    return false;
}

static bool is_outside_group(const struct question *q)
{
    return q->group != NULL && !has(q->group->zone_mask, q->host->zone);
}

static bool is_strict(const struct question *q, enum zone_rule rule)
{
    return q->group != NULL && q->group->zone_mode == RULE_MODE_STRICT &&
           q->group->zone_rule == rule;
}

/* Of the zones that count: usable now, and allowed by group, class and disks.
 */
static uint32_t fewest(const struct question *q)
{
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < state_zone_slots(q->state); i++) {
        const struct zone *zone = state_zone_at(q->state, i);

        if (zone != NULL && zone_is_open(zone) && zone->host_up_count > 0 &&
            has(q->group->zone_mask, i) && has(q->group->disk_zone_mask, i) &&
            has(q->class->zone_mask, i) && has(q->vm->disk_zone_mask, i) &&
            q->members.bound_for[i] < least) {
            least = q->members.bound_for[i];
        }
    }
    return least == UINT32_MAX ? 0 : least;
}

static bool is_uneven(const struct question *q)
{
    return is_strict(q, ZONE_RULE_SPREAD) &&
           q->members.bound_for[q->host->zone] + 1 >
               fewest(q) + q->group->max_skew;
}

static bool is_not_apart(const struct question *q)
{
    return is_strict(q, ZONE_RULE_APART) &&
           q->members.in_zone[q->host->zone] > 0;
}

static bool is_not_together(const struct question *q)
{
    uint32_t most = 0;

    for (uint32_t i = 0; i < ZONES_MAX; i++) {
        most = q->members.bound_for[i] > most ? q->members.bound_for[i] : most;
    }
    return is_strict(q, ZONE_RULE_TOGETHER) &&
           q->members.bound_for[q->host->zone] < most;
}

static bool is_full_domain(const struct question *q)
{
    return q->group != NULL && q->group->domain_mode == RULE_MODE_STRICT &&
           q->group->domain_max > 0 &&
           q->members.in_domain >= q->group->domain_max;
}

static bool is_full_host(const struct question *q)
{
    return q->group != NULL && q->group->host_mode == RULE_MODE_STRICT &&
           q->group->host_max > 0 && q->members.on_host >= q->group->host_max;
}

static const struct {
    const char *name;
    bool (*broken)(const struct question *question);
} laws[] = {
    {"a host or zone that takes no VMs", is_closed},
    {"its zone", is_of_other_zone},
    {"the zones of its class", lacks_class},
    {"its driver", lacks_driver},
    {"its pools", lacks_pool},
    {"the copies of its disks", lacks_copy},
    {"the host of its local disks", is_not_home},
    {"its host selector", lacks_label},
    {"its group's zones", is_outside_group},
    {"its group's spread", is_uneven},
    {"its group's rule apart", is_not_apart},
    {"its group's rule together", is_not_together},
    {"its group's fault domains", is_full_domain},
    {"its group's hosts", is_full_host},
};

const char *sim_law_broken(const struct state *state, const struct vm *vm,
                           const struct host *host)
{
    struct question question;

    ask(&question, state, vm, host);
    for (size_t i = 0; i < ARRAY_LEN(laws); i++) {
        if (laws[i].broken(&question)) {
            return laws[i].name;
        }
    }
    return NULL;
}

/* --- Room ------------------------------------------------------------------
 */

static struct sim_amount amount(const struct resources *resources,
                                const struct amounts *named)
{
    struct sim_amount amount = {{resources->cpu_milli, resources->memory_mib,
                                 resources->disk_gib, resources->gpu_count}};

    for (int i = 0; i < NAMED_MAX; i++) {
        amount.of[4 + i] = named->of[i];
    }
    return amount;
}

struct sim_amount sim_amount_of_vm(const struct state *state,
                                   const struct vm *vm)
{
    const struct class *class = state_class_at(state, vm->class_slot);

    return amount(&class->resources, &class->named);
}

void sim_amount_add(struct sim_amount *sum, const struct sim_amount *part)
{
    for (int i = 0; i < SIM_KINDS; i++) {
        sum->of[i] += part->of[i];
    }
}

bool sim_amount_fits(const struct sim_amount *taken,
                     const struct sim_amount *capacity)
{
    for (int i = 0; i < SIM_KINDS; i++) {
        if (taken->of[i] > capacity->of[i]) {
            return false;
        }
    }
    return true;
}

struct sim_amount sim_amount_capacity(const struct host *host)
{
    return amount(&host->capacity, &host->named_capacity);
}

struct sim_amount sim_amount_used(const struct host *host)
{
    return amount(&host->used, &host->named_used);
}

struct sim_amount sim_amount_claimed(const struct host *host)
{
    return amount(&host->claimed, &host->named_claimed);
}

static bool holds_room_on(const struct state *state, const struct vm *vm,
                          uint32_t host)
{
    return state_policy(state)->uid != 0 && vm_holds_claim(vm) &&
           vm->move_host == host;
}

bool sim_law_has_room(const struct state *state, const struct vm *vm,
                      const struct host *host)
{
    struct sim_amount taken = sim_amount_used(host);
    struct sim_amount claimed = sim_amount_claimed(host);
    struct sim_amount own = sim_amount_of_vm(state, vm);
    struct sim_amount capacity = sim_amount_capacity(host);

    sim_amount_add(&taken, &claimed);
    if (!holds_room_on(state, vm, uid_slot(host->uid))) {
        sim_amount_add(&taken, &own);
    }
    for (int i = 0; i < SIM_KINDS; i++) {
        /* Of what it does not ask for, more may be held than there is. */
        if (own.of[i] > 0 && taken.of[i] > capacity.of[i]) {
            return false;
        }
    }
    return true;
}
