/* SPDX-License-Identifier: Apache-2.0
 *
 * Headroom beyond CPU and memory: GPUs, named resources, reserved room, moves,
 * and what only warns. Three zones with a host each, filled VM by VM; after
 * each step the slots that are kept must fit, whichever zone is lost. */
#include "base/container.h"
#include "placement/headroom.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ZONES 3

struct region {
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
    uint32_t names;
};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void tell(struct event_sink *sink, const struct event *event)
{
    struct region *region = container_of(sink, struct region, sink);

    if (event->kind == EVENT_VM) {
        placer_vm_changed(region->placer, region->state,
                          uid_slot(event->vm->uid));
    } else if (event->kind == EVENT_HOST) {
        placer_host_changed(region->placer, region->state,
                            uid_slot(event->host->uid));
    }
}

static void apply(struct region *region, const struct change *change)
{
    state_apply(region->state, change, &region->sink);
}

static void work(struct region *region)
{
    while (!headroom_work(region->placer, region->state, 1000)) {
    }
}

/* 64 CPUs, 64 GiB, 2 GPUs and 2 licences a host; a VM of the one class takes
 * these. The placer is told of all from here on. */
static void begin(struct region *region, enum headroom_mode mode,
                  struct resources wanted, uint32_t licences)
{
    static const struct named_amount two = {{"lic", 3}, 2};
    struct named_amount some = {{"lic", 3}, licences};
    struct change change = {.kind = CHANGE_POLICY};
    char name[8];

    *region = (struct region){.state = state_create(), .sink = {tell}};
    policy_init(&change.policy.policy);
    change.policy.policy.headroom = mode;
    state_apply(region->state, &change, NULL);
    for (uint32_t i = 0; i < ZONES; i++) {
        snprintf(name, sizeof(name), "z%u", i);
        change = (struct change){.kind = CHANGE_ZONE_CREATE};
        change.zone_create.name = text_of(name);
        state_apply(region->state, &change, NULL);
        change = (struct change){.kind = CHANGE_HOST_REGISTER};
        change.host_register = (struct change_host_register){
            .name = text_of(name),
            .zone = {state_zone_at(region->state, i)->uid},
            .host_id = text_of(name),
            .capacity = {64000, 65536, 100, 2},
            .driver_mask = 1 << DRIVER_QEMU,
            .named = &two,
            .named_count = 1,
        };
        state_apply(region->state, &change, NULL);
    }
    change = (struct change){.kind = CHANGE_CLASS_CREATE};
    change.class_create = (struct change_class_create){
        .name = text_of("c"),
        .resources = wanted,
        .named = &some,
        .named_count = licences > 0,
    };
    state_apply(region->state, &change, NULL);
    region->placer = placer_create();
    placer_rebuild(region->placer, region->state);
    work(region);
}

static void end(struct region *region)
{
    placer_destroy(region->placer);
    state_destroy(region->state);
}

static void choose(struct region *region, const struct vm *vm,
                   struct placement_choice *choice)
{
    struct placement_request request = {vm, SLOT_NONE};

    do {
        work(region);
        placer_choose(region->placer, region->state, &request, choice);
    } while (choice->retry);
}

/* What VMs of a failing zone would take on a host, by the slots kept. */
static void add_slots(const struct region *region, uint32_t failing,
                      uint32_t host, struct resources *sum, uint32_t *licences)
{
    const struct state *state = region->state;

    for (uint32_t i = 0; i < state_vm_slots(state); i++) {
        const struct vm *vm = state_vm_at(state, i);
        const struct class *class;

        if (vm == NULL || vm->host == SLOT_NONE ||
            state_host_at(state, vm->host)->zone != failing ||
            headroom_backup(region->placer, i) != host) {
            continue;
        }
        class = state_class_at(state, vm->class_slot);
        sum->cpu_milli += class->resources.cpu_milli;
        sum->memory_mib += class->resources.memory_mib;
        sum->gpu_count += class->resources.gpu_count;
        *licences += class->named.of[0];
    }
}

static void check_slots(struct region *region)
{
    const struct state *state = region->state;

    work(region);
    for (uint32_t failing = 0; failing < ZONES; failing++) {
        struct resources none = {0};
        uint32_t no_licences = 0;

        /* Never where it is itself. */
        add_slots(region, failing, failing, &none, &no_licences);
        assert_int_equal(none.cpu_milli, 0);
        for (uint32_t slot = 0; slot < ZONES; slot++) {
            const struct host *host = state_host_at(state, slot);
            struct resources sum = host->used;
            uint32_t licences =
                host->named_used.of[0] + host->named_claimed.of[0];

            add_slots(region, failing, slot, &sum, &licences);
            assert_in_range(sum.cpu_milli + host->claimed.cpu_milli, 0,
                            host->capacity.cpu_milli);
            assert_in_range(sum.memory_mib + host->claimed.memory_mib, 0,
                            host->capacity.memory_mib);
            assert_in_range(sum.gpu_count + host->claimed.gpu_count, 0,
                            host->capacity.gpu_count);
            assert_in_range(licences, 0, host->named_capacity.of[0]);
        }
    }
}

static uint32_t unplaceable(struct region *region)
{
    uint32_t count = 0;

    work(region);
    for (uint32_t zone = 0; zone < ZONES; zone++) {
        struct headroom_zone headroom;

        assert_true(
            headroom_zone(region->placer, region->state, zone, &headroom));
        count += headroom.unplaceable_count;
    }
    return count;
}

static void assign(struct region *region, const struct vm *vm, uint32_t host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(region->state, host)->uid}, vm->epoch + 1};
    apply(region, &change);
}

/* One VM more; why not, or PENDING_NONE. */
static enum pending_reason add_vm(struct region *region)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct placement_choice choice;
    const struct vm *vm;
    char name[8];

    snprintf(name, sizeof(name), "v%u", region->names++);
    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(region->state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
    };
    apply(region, &change);
    vm = state_vm_named(region->state, text_of(name));
    choose(region, vm, &choice);
    if (choice.host == SLOT_NONE) {
        return choice.reason;
    }
    assign(region, vm, choice.host);
    return PENDING_NONE;
}

/* So many are admitted, the next one is not. */
static void fill(struct region *region, uint32_t count,
                 enum pending_reason reason)
{
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(add_vm(region), PENDING_NONE);
        check_slots(region);
        assert_int_equal(unplaceable(region), 0);
    }
    assert_int_equal(add_vm(region), reason);
}

/* Two thirds of all: what any two zones have. */
static void gpus_and_names_are_kept_like_cpus(void **unused)
{
    static const struct {
        struct resources wanted;
        uint32_t licences;
        uint32_t admitted;
    } rows[] = {
        {{1000, 1024, 0, 1}, 0, 4},  {{1000, 1024, 0, 0}, 1, 4},
        {{1000, 1024, 0, 2}, 0, 2},  {{1000, 1024, 0, 1}, 2, 2},
        {{16000, 1024, 0, 0}, 0, 8}, {{1000, 16384, 0, 0}, 0, 8},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct region region;

        begin(&region, HEADROOM_ENFORCE, rows[i].wanted, rows[i].licences);
        fill(&region, rows[i].admitted, PENDING_HEADROOM);
        end(&region);
    }
}

static void warn_admits_and_says_what_is_missing(void **unused)
{
    struct region region;

    (void)unused;
    begin(&region, HEADROOM_WARN, (struct resources){1000, 1024, 0, 1}, 0);
    for (uint32_t i = 0; i < 6; i++) {
        assert_int_equal(add_vm(&region), PENDING_NONE);
        check_slots(&region);
        /* With five of six GPUs in use one is free: a zone with two VMs has
         * one too many; with six all have two. */
        assert_int_equal(unplaceable(&region), i < 4 ? 0 : i == 4 ? 3 : 6);
    }
    assert_int_equal(add_vm(&region), PENDING_NO_CAPACITY);
    end(&region);
}

/* Reserved room is for failover: slots may lie there, VMs may not. */
static void reserved_room_holds_slots(void **unused)
{
    struct change change = {.kind = CHANGE_RESERVATION_SET};
    struct region region;

    (void)unused;
    begin(&region, HEADROOM_ENFORCE, (struct resources){16000, 1024, 0, 0}, 0);
    change.reservation_set = (struct change_reservation_set){
        .name = text_of("r"),
        .zone = {state_zone_at(region.state, 2)->uid},
        .class = {state_class_at(region.state, 0)->uid},
        .count = 4};
    state_apply(region.state, &change, NULL);
    placer_reservation_changed(region.placer, region.state, 0);
    fill(&region, 8, PENDING_RESERVED);
    assert_int_equal(state_host_at(region.state, 2)->vm_count, 0);
    end(&region);
}

/* Room that a move holds at its target is no slot's; once the VM is there its
 * own slot lies elsewhere. */
static void slots_make_way_for_a_move(void **unused)
{
    struct change change = {.kind = CHANGE_VM_CLAIM};
    const struct vm *vm;
    struct region region;
    uint32_t from;
    uint32_t to;

    (void)unused;
    begin(&region, HEADROOM_ENFORCE, (struct resources){1000, 1024, 0, 1}, 0);
    for (uint32_t i = 0; i < 3; i++) {
        assert_int_equal(add_vm(&region), PENDING_NONE);
    }
    vm = state_vm_named(region.state, text_of("v0"));
    from = vm->host;
    to = (from + 1) % ZONES;
    change.vm_claim =
        (struct change_vm_claim){.vm = {vm->uid},
                                 .host = {state_host_at(region.state, to)->uid},
                                 .cause = MOVE_CAUSE_REQUEST,
                                 .order = 1};
    apply(&region, &change);
    check_slots(&region);
    change = (struct change){.kind = CHANGE_VM_MOVE};
    change.vm_move =
        (struct change_vm_move){.vm = {vm->uid},
                                .host = {state_host_at(region.state, to)->uid},
                                .cause = MOVE_CAUSE_REQUEST};
    apply(&region, &change);
    check_slots(&region);
    change = (struct change){.kind = CHANGE_VM_RELEASE};
    change.vm_release = (struct change_vm_release){
        .vm = {vm->uid}, .epoch = 1, .reason = text_of("moved")};
    apply(&region, &change);
    check_slots(&region);
    vm = state_vm_named(region.state, text_of("v0"));
    assign(&region, vm, to);
    check_slots(&region);
    assert_int_equal(unplaceable(&region), 0);
    vm = state_vm_named(region.state, text_of("v0"));
    assert_int_not_equal(headroom_backup(region.placer, uid_slot(vm->uid)), to);
    end(&region);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpus_and_names_are_kept_like_cpus),
        cmocka_unit_test(warn_admits_and_says_what_is_missing),
        cmocka_unit_test(reserved_room_holds_slots),
        cmocka_unit_test(slots_make_way_for_a_move),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
