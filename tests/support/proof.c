/* SPDX-License-Identifier: Apache-2.0 */
#include "proof.h"

#include "base/container.h"
#include "state/labels.h"
#include "tests/support/same.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define RUN_TIMES 1000
#define ASKS      100

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void tell(struct event_sink *sink, const struct event *event)
{
    struct proof *region = container_of(sink, struct proof, sink);
    struct placer *placer = region->placer;
    const struct state *state = region->state;

    switch (event->kind) {
    case EVENT_ZONE:
        placer_zone_changed(placer, state, uid_slot(event->zone->uid));
        break;
    case EVENT_CLASS:
        placer_class_changed(placer, state, uid_slot(event->class->uid));
        break;
    case EVENT_HOST:
        placer_host_changed(placer, state, uid_slot(event->host->uid));
        break;
    case EVENT_VM:
        placer_vm_changed(placer, state, uid_slot(event->vm->uid));
        break;
    case EVENT_GROUP:
        placer_group_changed(placer, state, uid_slot(event->group->uid));
        break;
    case EVENT_RESERVATION:
        placer_reservation_changed(placer, state,
                                   uid_slot(event->reservation->uid));
        break;
    default:
        placer_rebuild(placer, state);
    }
}

void proof_apply(struct proof *region, const struct change *change)
{
    state_apply(region->state, change, &region->sink);
}

void proof_work(struct proof *region)
{
    for (int i = 0; i < RUN_TIMES; i++) {
        if (headroom_work(region->placer, region->state, 1000)) {
            return;
        }
    }
    fail_msg("headroom_work() does not come to an end");
}

void proof_init(struct proof *region, uint32_t zones, enum headroom_mode mode)
{
    struct change change = {.kind = CHANGE_POLICY};
    char name[16];

    memset(region, 0, sizeof(*region));
    region->state = state_create();
    region->placer = placer_create();
    region->sink.event = tell;
    placer_rebuild(region->placer, region->state);
    policy_init(&change.policy.policy);
    change.policy.policy.headroom = mode;
    proof_apply(region, &change);
    for (uint32_t i = 0; i < zones; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        proof_apply(region, &(struct change){.kind = CHANGE_ZONE_CREATE,
                                             .zone_create = {text_of(name)}});
    }
}

void proof_close(struct proof *region)
{
    placer_destroy(region->placer);
    state_destroy(region->state);
}

void proof_add_class(struct proof *region, const char *name, uint32_t cpu_milli,
                     uint32_t memory_mib, uint64_t zone_mask)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};

    change.class_create =
        (struct change_class_create){.name = text_of(name),
                                     .resources = {cpu_milli, memory_mib, 1, 0},
                                     .zone_mask = zone_mask};
    proof_apply(region, &change);
}

uint32_t proof_add_host(struct proof *region, const struct proof_host *wish)
{
    static const struct text pools[] = {{"p0", 2}, {"p1", 2}};
    struct label label = {{"tier", 4}, {"", 0}};
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    struct bytes labels;
    char name[16];

    bytes_init(&labels);
    if (wish->tier != NULL) {
        label.value = text_of(wish->tier);
        assert_int_equal(labels_encode(&label, 1, &labels), 0);
    }
    snprintf(name, sizeof(name), "h%u", region->host_names++);
    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(region->state, wish->zone)->uid},
        .fault_domain = text_of(wish->domain == NULL ? "" : wish->domain),
        .host_id = text_of(name),
        .boot_id = text_of(name),
        .capacity = {wish->cpu_milli, wish->memory_mib, 1000, 0},
        .pools = pools,
        .pool_count = wish->pool_count,
        .driver_mask = 1 << DRIVER_QEMU,
        .labels = {(const char *)labels.data, (uint32_t)labels.len},
    };
    proof_apply(region, &change);
    bytes_close(&labels);
    return uid_slot(state_host_named(region->state, text_of(name))->uid);
}

uint32_t proof_add_vm(struct proof *region, struct change_vm_create wish)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    char name[16];

    snprintf(name, sizeof(name), "v%u", region->vm_names++);
    wish.name = text_of(name);
    if (wish.on_partition == 0) {
        wish.on_partition = ON_PARTITION_MOVE;
    }
    wish.desired = DESIRED_RUNNING;
    wish.driver = DRIVER_QEMU;
    change.vm_create = wish;
    proof_apply(region, &change);
    return uid_slot(state_vm_named(region->state, text_of(name))->uid);
}

struct class_id proof_class_at(const struct proof *region, uint32_t slot)
{
    return (struct class_id){state_class_at(region->state, slot)->uid};
}

void proof_assign(struct proof *region, uint32_t vm_slot, uint32_t host)
{
    const struct vm *vm = state_vm_at(region->state, vm_slot);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(region->state, host)->uid}, vm->epoch + 1};
    proof_apply(region, &change);
}

void proof_choose(struct proof *region, uint32_t vm,
                  struct placement_choice *choice)
{
    for (int i = 0; i < ASKS; i++) {
        struct placement_request request = {state_vm_at(region->state, vm),
                                            SLOT_NONE};

        placer_choose(region->placer, region->state, &request, choice);
        if (!choice->retry) {
            return;
        }
        assert_int_equal(choice->host, SLOT_NONE);
        proof_work(region);
    }
    fail_msg("the placer says \"ask again\" for ever");
}

void proof_remove_vm(struct proof *region, uint32_t slot)
{
    const struct vm *vm = state_vm_at(region->state, slot);
    struct change change = {.kind = CHANGE_VM_DESIRE};

    change.vm_desire =
        (struct change_vm_desire){{vm->uid}, DESIRED_STOPPED, true};
    if (vm->host == SLOT_NONE) {
        change.kind = CHANGE_VM_DELETE;
        change.vm_delete = (struct change_vm_delete){{vm->uid}};
        proof_apply(region, &change);
        return;
    }
    proof_apply(region, &change);
    change.kind = CHANGE_VM_RELEASE;
    change.vm_release = (struct change_vm_release){
        .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"done", 4}};
    proof_apply(region, &change);
}

bool proof_place_or_remove(struct proof *region, uint32_t vm,
                           struct placement_choice *choice)
{
    proof_choose(region, vm, choice);
    if (choice->host == SLOT_NONE) {
        proof_remove_vm(region, vm);
        return false;
    }
    proof_assign(region, vm, choice->host);
    return true;
}

uint32_t proof_unplaceable(struct proof *region, uint32_t zone)
{
    struct headroom_zone out;

    proof_work(region);
    assert_true(headroom_zone(region->placer, region->state, zone, &out));
    return out.unplaceable_count;
}

/* --- Losses, executed ----------------------------------------------------- */

static void lose_zone(struct state *state, uint32_t zone)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(state, zone)->uid}, ZONE_LOST};
    state_apply(state, &change, NULL);
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host != NULL && host->zone == zone && host->state == HOST_UP) {
            change.kind = CHANGE_HOST_FENCE;
            change.host_fence =
                (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
            state_apply(state, &change, NULL);
        }
    }
}

static void assign_on(struct state *state, uint32_t slot, uint32_t host)
{
    const struct vm *vm = state_vm_at(state, slot);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(state, host)->uid}, vm->epoch + 1};
    state_apply(state, &change, NULL);
}

static bool zone_is_usable(const struct zone *zone)
{
    return zone->state == ZONE_UP && !zone->cordoned && !zone->draining;
}

static bool selector_fits(const struct state *state, const struct vm *vm,
                          const struct host *host)
{
    struct text selector = state_blob(state, vm->selector_blob);
    struct label wanted;
    struct text value;

    while (labels_next(&selector, &wanted)) {
        if (!labels_get(state_blob(state, host->labels_blob), wanted.key,
                        &value) ||
            value.len != wanted.value.len ||
            memcmp(value.data, wanted.value.data, value.len) != 0) {
            return false;
        }
    }
    return true;
}

/* The rules of a VM and a host, said again in the plainest way. */
static void check_rules(const struct state *state, const struct vm *vm)
{
    const struct host *host = state_host_at(state, vm->host);
    const struct class *class = state_class_at(state, vm->class_slot);

    assert_int_equal(host->state, HOST_UP);
    assert_false(host->cordoned);
    assert_false(host->draining);
    assert_true(zone_is_usable(state_zone_at(state, host->zone)));
    assert_true(class->zone_mask == 0 || (class->zone_mask >> host->zone & 1));
    assert_true((vm->pool_mask & ~host->pool_mask) == 0);
    assert_true(selector_fits(state, vm, host));
    assert_true(vm->disk_zone_mask == 0 ||
                (vm->disk_zone_mask >> host->zone & 1));
}

static uint32_t fewest_of(const struct state *state, const struct group *group)
{
    uint32_t min = UINT32_MAX;

    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        if (zone_is_usable(state_zone_at(state, i)) &&
            (group->zone_mask == 0 || (group->zone_mask >> i & 1) != 0) &&
            group->zone_counts[i] < min) {
            min = group->zone_counts[i];
        }
    }
    return min;
}

/* A member that has just come to its host. */
static void check_group(const struct state *state, const struct vm *vm)
{
    const struct group *group = state_group_at(state, vm->group_plus1 - 1);
    const struct host *host = state_host_at(state, vm->host);
    uint32_t here = group->zone_counts[host->zone];
    uint32_t on_host = 0;
    uint32_t in_domain = 0;

    assert_true(group->zone_mask == 0 || (group->zone_mask >> host->zone & 1));
    for (uint32_t m = group->vm_first_plus1; m != 0;) {
        const struct vm *member = state_vm_at(state, m - 1);

        m = member->group_next_plus1;
        if (member->host != SLOT_NONE) {
            on_host += member->host == vm->host;
            in_domain +=
                same_domain(state, state_host_at(state, member->host), host);
        }
    }
    if (group->host_mode == RULE_MODE_STRICT && group->host_max > 0) {
        assert_true(on_host <= group->host_max);
    }
    if (group->domain_mode == RULE_MODE_STRICT && group->domain_max > 0) {
        assert_true(in_domain <= group->domain_max);
    }
    if (group->zone_mode != RULE_MODE_STRICT) {
        return;
    }
    if (group->zone_rule == ZONE_RULE_APART) {
        assert_int_equal(here, 1);
    } else if (group->zone_rule == ZONE_RULE_SPREAD) {
        assert_true(here <= fewest_of(state, group) + group->max_skew);
    } else if (group->zone_rule == ZONE_RULE_TOGETHER) {
        for (uint32_t i = 0; i < state_zone_slots(state); i++) {
            assert_true(i == host->zone || group->zone_counts[i] == 0);
        }
    }
}

/* Each VM of the zone goes to its slot. apply aborts where one has no room. */
static void execute_slots(struct proof *region, uint32_t zone)
{
    struct state *clone = state_clone(region->state);

    lose_zone(clone, zone);
    for (uint32_t i = 0; i < state_vm_slots(region->state); i++) {
        const struct vm *vm = state_vm_at(region->state, i);
        uint32_t host;

        if (vm == NULL || vm->host == SLOT_NONE ||
            state_host_at(region->state, vm->host)->zone != zone ||
            headroom_protection(region->placer, region->state, vm) !=
                PROTECTED) {
            continue;
        }
        host = headroom_backup(region->placer, i);
        if (host == SLOT_NONE) {
            fail_msg("%s is protected and has no slot", vm->name);
        }
        assert_int_equal(state_vm_at(clone, i)->state, VM_PENDING);
        assign_on(clone, i, host);
        check_rules(clone, state_vm_at(clone, i));
    }
    for (uint32_t i = 0; i < state_vm_slots(clone); i++) {
        const struct vm *vm = state_vm_at(clone, i);

        if (vm != NULL && vm->host != SLOT_NONE && vm->group_plus1 != 0 &&
            vm->host != state_vm_at(region->state, i)->host) {
            check_group(clone, vm);
        }
    }
    state_destroy(clone);
}

void proof_check_losses(struct proof *region)
{
    for (uint32_t i = 0; i < state_zone_slots(region->state); i++) {
        const struct zone *zone = state_zone_at(region->state, i);

        if (zone->state == ZONE_UP && !zone->draining) {
            execute_slots(region, i);
        }
    }
}
