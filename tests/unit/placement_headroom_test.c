/* SPDX-License-Identifier: Apache-2.0
 *
 * What headroom promises: small regions in which a rule or a refusal is seen,
 * and random fleets with rules and operations in which, after each step, the
 * loss of each zone is executed on a clone and every protected VM finds its
 * place. `--long SEEDS` runs so many fleets; HOLDFAST_SEED=N runs one. */
#include "base/check.h"
#include "base/container.h"
#include "base/random.h"
#include "placement/evacuate.h"
#include "placement/headroom.h"
#include "state/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SEEDS     15
#define STEPS     120
#define RUN_TIMES 1000
#define ASKS      100

static unsigned long seeds = SEEDS;

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

/* A region and a placer that is told of all its changes. */
struct region {
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
    uint32_t vm_names;
    uint32_t host_names;
};

static void tell(struct event_sink *sink, const struct event *event)
{
    struct region *region = container_of(sink, struct region, sink);
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

static void apply(struct region *region, const struct change *change)
{
    state_apply(region->state, change, &region->sink);
}

static void work(struct region *region)
{
    for (int i = 0; i < RUN_TIMES; i++) {
        if (headroom_work(region->placer, region->state, 1000)) {
            return;
        }
    }
    fail_msg("headroom_work() does not come to an end");
}

static void region_init(struct region *region, uint32_t zones,
                        enum headroom_mode mode)
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
    apply(region, &change);
    for (uint32_t i = 0; i < zones; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        apply(region, &(struct change){.kind = CHANGE_ZONE_CREATE,
                                       .zone_create = {text_of(name)}});
    }
}

static void region_close(struct region *region)
{
    placer_destroy(region->placer);
    state_destroy(region->state);
}

static void add_class(struct region *region, const char *name,
                      uint32_t cpu_milli, uint32_t memory_mib,
                      uint64_t zone_mask)
{
    struct change change = {.kind = CHANGE_CLASS_CREATE};

    change.class_create =
        (struct change_class_create){.name = text_of(name),
                                     .resources = {cpu_milli, memory_mib, 1, 0},
                                     .zone_mask = zone_mask};
    apply(region, &change);
}

struct host_wish {
    uint32_t zone;
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t pool_count; /* Of "p0", "p1". */
    const char *domain;
    const char *tier; /* Label; NULL: none. */
};

static uint32_t add_host(struct region *region, const struct host_wish *wish)
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
    apply(region, &change);
    bytes_close(&labels);
    return uid_slot(state_host_named(region->state, text_of(name))->uid);
}

/* A VM like `wish`, whose name and fixed fields are filled in. Its slot. */
static uint32_t add_vm(struct region *region, struct change_vm_create wish)
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
    apply(region, &change);
    return uid_slot(state_vm_named(region->state, text_of(name))->uid);
}

static struct class_id class_at(const struct region *region, uint32_t slot)
{
    return (struct class_id){state_class_at(region->state, slot)->uid};
}

static void assign(struct region *region, uint32_t vm_slot, uint32_t host)
{
    const struct vm *vm = state_vm_at(region->state, vm_slot);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(region->state, host)->uid}, vm->epoch + 1};
    apply(region, &change);
}

static void choose(struct region *region, uint32_t vm,
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
        work(region);
    }
    fail_msg("the placer says \"ask again\" for ever");
}

static void remove_vm(struct region *region, uint32_t slot)
{
    const struct vm *vm = state_vm_at(region->state, slot);
    struct change change = {.kind = CHANGE_VM_DESIRE};

    change.vm_desire =
        (struct change_vm_desire){{vm->uid}, DESIRED_STOPPED, true};
    if (vm->host == SLOT_NONE) {
        change.kind = CHANGE_VM_DELETE;
        change.vm_delete = (struct change_vm_delete){{vm->uid}};
        apply(region, &change);
        return;
    }
    apply(region, &change);
    change.kind = CHANGE_VM_RELEASE;
    change.vm_release = (struct change_vm_release){
        .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"done", 4}};
    apply(region, &change);
}

/* Asks for a place and takes it; false: there is none, and the VM is deleted.
 */
static bool place_or_remove(struct region *region, uint32_t vm,
                            struct placement_choice *choice)
{
    choose(region, vm, choice);
    if (choice->host == SLOT_NONE) {
        remove_vm(region, vm);
        return false;
    }
    assign(region, vm, choice->host);
    return true;
}

static uint32_t unplaceable(struct region *region, uint32_t zone)
{
    struct headroom_zone out;

    work(region);
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

static bool same_domain(const struct state *state, const struct host *a,
                        const struct host *b)
{
    struct host_identity left;
    struct host_identity right;

    if (a == b) {
        return true;
    }
    state_host_identity(state, a, &left);
    state_host_identity(state, b, &right);
    return a->zone == b->zone && left.fault_domain.len > 0 &&
           left.fault_domain.len == right.fault_domain.len &&
           memcmp(left.fault_domain.data, right.fault_domain.data,
                  left.fault_domain.len) == 0;
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
static void execute_slots(struct region *region, uint32_t zone)
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

static void check_losses(struct region *region)
{
    for (uint32_t i = 0; i < state_zone_slots(region->state); i++) {
        const struct zone *zone = state_zone_at(region->state, i);

        if (zone->state == ZONE_UP && !zone->draining) {
            execute_slots(region, i);
        }
    }
}

/* --- Random fleets -------------------------------------------------------- */

static uint32_t below(struct random *random, uint32_t bound)
{
    return (uint32_t)random_below(random, bound);
}

static void random_host(struct region *region, struct random *random,
                        uint32_t zone)
{
    static const char *const domains[] = {NULL, "r1", "r2", "r3"};
    static const char *const tiers[] = {NULL, "gold"};
    struct host_wish wish = {
        .zone = zone,
        .cpu_milli = 4000 + 2000 * below(random, 7),
        .memory_mib = 8192 + 4096 * below(random, 7),
        .pool_count = below(random, 3),
        .domain = domains[below(random, 4)],
        .tier = tiers[below(random, 2)],
    };

    add_host(region, &wish);
}

static void random_group(struct region *region, struct random *random,
                         uint32_t number)
{
    struct change change = {.kind = CHANGE_GROUP_CREATE};
    struct group_fields *fields = &change.group_create.fields;
    char name[16];

    snprintf(name, sizeof(name), "g%u", number);
    change.group_create.name = text_of(name);
    *fields = (struct group_fields){
        .on_partition = ON_PARTITION_MOVE,
        .driver = DRIVER_QEMU,
        .zone_rule = (enum zone_rule)(1 + below(random, 4)),
        .max_skew = 1 + below(random, 2),
        .zone_mode = (enum rule_mode)(1 + below(random, 2)),
        .domain_mode = below(random, 3),
        .domain_max = 1 + below(random, 3),
        .host_mode = below(random, 3),
        .host_max = 1 + below(random, 2),
        .unprotected = below(random, 8) == 0,
    };
    apply(region, &change);
}

static void random_region(struct region *region, struct random *random)
{
    uint32_t zones = 2 + below(random, 4);

    region_init(region, zones, HEADROOM_ENFORCE);
    for (uint32_t zone = 0; zone < zones; zone++) {
        uint32_t hosts = 2 + below(random, 5);

        for (uint32_t i = 0; i < hosts; i++) {
            random_host(region, random, zone);
        }
    }
    add_class(region, "c0", 500, 1024, 0);
    add_class(region, "c1", 1000, 1024, 0);
    add_class(region, "c2", 2000, 6144, 0);
    add_class(region, "c3", 4000, 4096, 0);
    add_class(region, "c4", 1500, 3000, 3 + below(random, 2) * 4);
    for (uint32_t i = 0; i < 4; i++) {
        random_group(region, random, i);
    }
}

static uint32_t random_vm(struct region *region, struct random *random)
{
    static const struct text pools[] = {{"p0", 2}, {"p1", 2}};
    struct label label = {{"tier", 4}, {"gold", 4}};
    struct change_vm_create wish = {
        .class = class_at(region, below(random, 5)),
        .priority = below(random, 3),
        .pools = pools,
    };
    struct bytes selector;
    uint32_t vm;

    bytes_init(&selector);
    switch (below(random, 12)) {
    case 0:
        wish.pool_count = 1 + below(random, 2);
        wish.pool_count =
            state_pool_bit(region->state, pools[wish.pool_count - 1]) == 0
                ? 0
                : wish.pool_count;
        break;
    case 1:
        assert_int_equal(labels_encode(&label, 1, &selector), 0);
        wish.selector =
            (struct text){(const char *)selector.data, (uint32_t)selector.len};
        break;
    case 2:
        wish.preemptible = true;
        break;
    case 3:
        wish.zone.uid = state_zone_at(region->state, 0)->uid;
        break;
    case 4:
        wish.on_partition = ON_PARTITION_KEEP;
        break;
    case 5:
        wish.disk_zone_mask = 3;
        break;
    case 6:
    case 7:
    case 8:
        wish.group.uid = state_group_at(region->state, below(random, 4))->uid;
        break;
    default:
        break;
    }
    vm = add_vm(region, wish);
    bytes_close(&selector);
    return vm;
}

static uint32_t random_vm_slot(struct region *region, struct random *random)
{
    uint32_t slots = state_vm_slots(region->state);
    uint32_t from = slots == 0 ? 0 : below(random, slots);

    for (uint32_t i = 0; i < slots; i++) {
        uint32_t slot = (from + i) % slots;

        if (state_vm_at(region->state, slot) != NULL) {
            return slot;
        }
    }
    return SLOT_NONE;
}

/* The VM leaves its host and is placed again. */
static void move_vm(struct region *region, uint32_t slot)
{
    const struct vm *vm = state_vm_at(region->state, slot);
    struct change change = {.kind = CHANGE_VM_RELEASE};
    struct placement_choice choice;

    if (vm->host != SLOT_NONE) {
        change.vm_release = (struct change_vm_release){
            .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"moved", 5}};
        apply(region, &change);
        place_or_remove(region, slot, &choice);
    }
}

static bool is_in_strict_group(const struct region *region, uint32_t slot)
{
    const struct vm *vm = state_vm_at(region->state, slot);
    const struct group *group =
        vm->group_plus1 == 0
            ? NULL
            : state_group_at(region->state, vm->group_plus1 - 1);

    return group != NULL && group->zone_mode == RULE_MODE_STRICT &&
           group->zone_rule != ZONE_RULE_ANY;
}

/* --- Steps of operation: none of them is an admission. */

static uint32_t random_host_slot(struct region *region, struct random *random)
{
    return below(random, state_host_slots(region->state));
}

static void toggle_host(struct region *region, struct random *random)
{
    const struct host *host =
        state_host_at(region->state, random_host_slot(region, random));
    struct change change = {.kind = CHANGE_HOST_CORDON};

    change.host_cordon =
        (struct change_host_cordon){{host->uid}, !host->cordoned};
    if (below(random, 3) == 0) {
        change.kind = CHANGE_HOST_DRAIN;
        change.host_drain = (struct change_host_drain){
            {host->uid}, !host->draining, 0, 0, DRAIN_END_NONE};
    }
    apply(region, &change);
}

static void toggle_zone(struct region *region, struct random *random)
{
    const struct zone *zone = state_zone_at(
        region->state, below(random, state_zone_slots(region->state)));
    struct change change = {.kind = CHANGE_ZONE_CORDON};

    change.zone_cordon =
        (struct change_zone_cordon){{zone->uid}, !zone->cordoned};
    if (below(random, 3) == 0) {
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain = (struct change_zone_drain){
            {zone->uid}, !zone->draining, 0, 0, DRAIN_END_NONE};
    }
    apply(region, &change);
}

/* What was lost with a host goes elsewhere; some of it only later. */
static void place_pending(struct region *region, struct random *random)
{
    uint32_t slot = state_pending_first(region->state);

    while (slot != SLOT_NONE) {
        const struct vm *vm = state_vm_at(region->state, slot);
        uint32_t next = vm->host_next;
        struct placement_choice choice;

        if (below(random, 3) > 0) {
            choose(region, slot, &choice);
            if (choice.host != SLOT_NONE) {
                assign(region, slot, choice.host);
            }
        }
        slot = next;
    }
}

static void lose_host(struct region *region, struct random *random)
{
    const struct host *host =
        state_host_at(region->state, random_host_slot(region, random));
    struct change change = {.kind = CHANGE_HOST_FENCE};

    change.host_fence =
        (struct change_host_fence){{host->uid}, FENCE_LEASE_ENDED};
    apply(region, &change);
    place_pending(region, random);
}

static void lost_host_returns(struct region *region, struct random *random)
{
    uint32_t from = random_host_slot(region, random);
    uint32_t slots = state_host_slots(region->state);

    for (uint32_t i = 0; i < slots; i++) {
        const struct host *host =
            state_host_at(region->state, (from + i) % slots);
        struct change change = {.kind = CHANGE_HOST_REGISTER};

        if (host->state == HOST_LOST) {
            change.host_register = (struct change_host_register){
                .name = text_of(host->name),
                .zone = {state_zone_at(region->state, host->zone)->uid},
                .host_id = text_of(host->name),
                .boot_id = text_of(host->name),
                .capacity = host->capacity,
                .driver_mask = 1 << DRIVER_QEMU,
            };
            change.host_register.capacity.cpu_milli =
                4000 + 2000 * below(random, 7);
            if (host->vm_count > 0) {
                change.host_register.capacity = host->capacity;
            }
            apply(region, &change);
            return;
        }
    }
}

static void operate(struct region *region, struct random *random)
{
    switch (below(random, 6)) {
    case 0:
        toggle_zone(region, random);
        break;
    case 1:
        lose_host(region, random);
        break;
    case 2:
        lost_host_returns(region, random);
        break;
    case 3:
        place_pending(region, random);
        break;
    default:
        toggle_host(region, random);
    }
}

/* True when what the others count on may be less afterwards though nobody was
 * admitted: by operation, or when a member left a group with a strict rule for
 * zones. The others' slots may then break it where they are (one zone has too
 * few now), or one that had no zone to go to has one. */
static bool one_step(struct region *region, struct random *random,
                     bool operated)
{
    struct placement_choice choice;
    uint32_t what = below(random, operated ? 12 : 10);
    uint32_t slot = random_vm_slot(region, random);
    bool leaves = slot != SLOT_NONE && is_in_strict_group(region, slot);

    if (what >= 10) {
        operate(region, random);
        return true;
    }
    if (what >= 3 || slot == SLOT_NONE) {
        place_or_remove(region, random_vm(region, random), &choice);
        return false;
    }
    if (what == 0) {
        move_vm(region, slot);
    } else {
        remove_vm(region, slot);
    }
    return leaves;
}

static uint32_t unplaceable_in_all(struct region *region)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < state_zone_slots(region->state); i++) {
        count += unplaceable(region, i);
    }
    return count;
}

static void live(uint64_t seed, bool operated)
{
    struct region region;
    struct random random;
    uint32_t known = 0;

    random_init(&random, seed);
    random_region(&region, &random);
    for (int i = 0; i < STEPS; i++) {
        bool may_break = one_step(&region, &random, operated);
        uint32_t count = unplaceable_in_all(&region);

        if (count > known && !may_break) {
            fail_msg("seed %llu: step %d leaves %u VMs without a slot, %u more",
                     (unsigned long long)seed, i, count, count - known);
        }
        known = count;
        check_losses(&region);
    }
    region_close(&region);
}

static void live_all(bool operated)
{
    const char *only = getenv("HOLDFAST_SEED");

    if (only != NULL) {
        live(strtoull(only, NULL, 10), operated);
        return;
    }
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        fprintf(stderr, "\rHOLDFAST_SEED=%llu ", (unsigned long long)seed);
        live(seed, operated);
    }
    fprintf(stderr, "\n");
}

static void every_zone_may_be_lost_after_each_admission(void **unused)
{
    (void)unused;
    live_all(false);
}

static void slots_hold_while_hosts_and_zones_come_and_go(void **unused)
{
    (void)unused;
    live_all(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_zone_may_be_lost_after_each_admission),
        cmocka_unit_test(slots_hold_while_hosts_and_zones_come_and_go),
    };

    if (argc == 3 && strcmp(argv[1], "--long") == 0) {
        seeds = strtoul(argv[2], NULL, 10);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
