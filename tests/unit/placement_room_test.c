/* SPDX-License-Identifier: Apache-2.0
 *
 * Room that is not for everybody: reservations, what headroom holds, claims,
 * and VMs that are stopped for others. */
#include "base/container.h"
#include "placement/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void apply(struct state *state, struct change change)
{
    state_apply(state, &change, NULL);
}

static uint64_t class_uid(const struct state *state, const char *name)
{
    return state_class_named(state, text_of(name))->uid;
}

static void add_class(struct state *state, const char *name, uint32_t cpus)
{
    apply(state,
          (struct change){
              .kind = CHANGE_CLASS_CREATE,
              .class_create = {.name = text_of(name),
                               .resources = {cpus * 1000, cpus * 1024, 0, 0}}});
}

static void add_host(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(state, 0)->uid},
        .host_id = text_of(name),
        .capacity = {8000, 8192, 0, 0},
        .driver_mask = 1 << DRIVER_QEMU,
    };
    apply(state, change);
}

/* One zone, hosts h0 and h1 of 8 CPUs and 8 GiB, classes of 2 and 4. */
static struct state *region(void)
{
    struct state *state = state_create();
    struct change policy = {.kind = CHANGE_POLICY};

    policy_init(&policy.policy.policy);
    apply(state, policy);
    apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                 .zone_create = {text_of("z")}});
    add_host(state, "h0");
    add_host(state, "h1");
    add_class(state, "two", 2);
    add_class(state, "four", 4);
    return state;
}

static const struct vm *add_vm(struct state *state, const char *name,
                               const char *class, uint32_t priority,
                               bool preemptible)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {class_uid(state, class)},
        .priority = priority,
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .preemptible = preemptible,
    };
    apply(state, change);
    return state_vm_named(state, text_of(name));
}

static void assign(struct state *state, struct placer *placer, const char *name,
                   const char *host)
{
    const struct vm *vm = state_vm_named(state, text_of(name));
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign =
        (struct change_vm_assign){{vm->uid},
                                  {state_host_named(state, text_of(host))->uid},
                                  vm->epoch + 1};
    apply(state, change);
    placer_vm_changed(placer, state, uid_slot(vm->uid));
}

static void run_on(struct state *state, struct placer *placer, const char *name,
                   const char *class, uint32_t priority, const char *host)
{
    add_vm(state, name, class, priority, true);
    assign(state, placer, name, host);
}

static struct placement_choice choose(struct state *state,
                                      struct placer *placer,
                                      const struct vm *vm)
{
    struct placement_request request = {vm, SLOT_NONE};
    struct placement_choice choice;

    placer_choose(placer, state, &request, &choice);
    if (choice.host == SLOT_NONE) {
        placer_count_refused(placer, state, &request, &choice);
    }
    return choice;
}

static void reserve(struct state *state, struct placer *placer, uint32_t count)
{
    struct change change = {.kind = CHANGE_RESERVATION_SET};

    change.reservation_set =
        (struct change_reservation_set){text_of("r"),
                                        {state_zone_at(state, 0)->uid},
                                        {class_uid(state, "four")},
                                        count};
    apply(state, change);
    placer_reservation_changed(placer, state, 0);
}

static void expect_slots(const struct placer *placer, const struct state *state,
                         uint32_t free, uint32_t used, uint32_t missing)
{
    struct placement_reserved slots;

    placer_reserved(placer, state, 0, &slots);
    assert_int_equal(slots.free_count, free);
    assert_int_equal(slots.used_count, used);
    assert_int_equal(slots.missing_count, missing);
}

static void reserved_room_is_for_those_that_recover_or_may_be_stopped(
    void **unused)
{
    struct state *state = region();
    struct placer *placer = placer_create();
    struct vm vm;

    (void)unused;
    placer_rebuild(placer, state);
    reserve(state, placer, 5);
    expect_slots(placer, state, 4, 0, 1);
    vm = *add_vm(state, "vm", "two", 0, false);
    assert_int_equal(choose(state, placer, &vm).host, SLOT_NONE);
    assert_int_equal(choose(state, placer, &vm).reason, PENDING_RESERVED);
    assert_int_equal(choose(state, placer, &vm).refused[REFUSED_RESERVED], 2);
    vm.recovering = 1;
    assert_int_not_equal(choose(state, placer, &vm).host, SLOT_NONE);
    vm.recovering = 0;
    vm.preemptible = 1;
    assert_int_not_equal(choose(state, placer, &vm).host, SLOT_NONE);
    placer_destroy(placer);
    state_destroy(state);
}

static void slots_are_used_come_back_and_are_looked_for_again(void **unused)
{
    struct state *state = region();
    struct placer *placer = placer_create();
    struct change release = {.kind = CHANGE_VM_RELEASE};
    uint64_t uid;

    (void)unused;
    placer_rebuild(placer, state);
    reserve(state, placer, 4);
    run_on(state, placer, "guest", "two", 0, "h0");
    expect_slots(placer, state, 3, 1, 0);
    uid = state_vm_named(state, text_of("guest"))->uid;
    release.vm_release = (struct change_vm_release){
        .vm = {uid}, .epoch = 1, .reason = text_of("moved")};
    apply(state, release);
    placer_vm_changed(placer, state, uid_slot(uid));
    expect_slots(placer, state, 4, 0, 0);
    reserve(state, placer, 6);
    expect_slots(placer, state, 4, 0, 2);
    add_host(state, "h2");
    placer_host_changed(placer, state, 2);
    expect_slots(placer, state, 6, 0, 0);
    reserve(state, placer, 1);
    expect_slots(placer, state, 1, 0, 0);
    placer_destroy(placer);
    state_destroy(state);
}

static void slots_leave_a_host_that_closes(void **unused)
{
    struct state *state = region();
    struct placer *placer = placer_create();
    const struct vm *vm;

    (void)unused;
    placer_rebuild(placer, state);
    reserve(state, placer, 2);
    apply(state, (struct change){
                     .kind = CHANGE_HOST_CORDON,
                     .host_cordon = {{state_host_at(state, 0)->uid}, true}});
    placer_host_changed(placer, state, 0);
    vm = add_vm(state, "vm", "two", 0, false);
    assert_int_equal(choose(state, placer, vm).host, SLOT_NONE);
    expect_slots(placer, state, 2, 0, 0);
    apply(state, (struct change){.kind = CHANGE_RESERVATION_DELETE,
                                 .reservation_delete = {text_of("r")}});
    placer_reservation_changed(placer, state, 0);
    assert_int_equal(choose(state, placer, vm).host, 1);
    expect_slots(placer, state, 0, 0, 0);
    placer_destroy(placer);
    state_destroy(state);
}

static void what_is_held_is_left_by_all_but_those_that_recover(void **unused)
{
    static const struct placer_room all = {{8000, 8192, 0, 0}, {{0}}};
    static const struct placer_room none = {{0, 0, 0, 0}, {{0}}};
    struct state *state = region();
    struct placer *placer = placer_create();
    struct vm vm;

    (void)unused;
    placer_rebuild(placer, state);
    vm = *add_vm(state, "vm", "two", 0, true);
    placer_hold(placer, 0, &all);
    assert_int_equal(choose(state, placer, &vm).host, 1);
    placer_hold(placer, 1, &all);
    assert_int_equal(choose(state, placer, &vm).reason, PENDING_HEADROOM);
    vm.recovering = 1;
    assert_int_equal(choose(state, placer, &vm).host, 0);
    vm.recovering = 0;
    placer_hold(placer, 1, &none);
    assert_int_equal(choose(state, placer, &vm).host, 1);
    placer_destroy(placer);
    state_destroy(state);
}

/* Host by host it finds the same as at once. */
static void compare_in_slices(struct state *state, struct placer *placer,
                              const struct vm *vm, enum placement_found found,
                              const struct placement_preemption *whole)
{
    struct placement_search search = {0};
    enum placement_found progress;
    uint32_t slices = 0;

    while ((progress = placer_preempt(placer, state, vm, 1, &search)) ==
           PLACEMENT_GOES_ON) {
        slices++;
    }
    assert_int_equal(progress, found);
    assert_true(slices <= state_host_slots(state));
    if (found == PLACEMENT_FOUND) {
        assert_int_equal(search.found.host, whole->host);
        assert_int_equal(search.found.victim_count, whole->victim_count);
        assert_memory_equal(search.found.victims, whole->victims,
                            whole->victim_count * sizeof(*whole->victims));
    }
}

static const char *victims(struct state *state, struct placer *placer,
                           const struct vm *vm)
{
    static char names[256];
    struct placement_search search = {0};
    const struct placement_preemption *found = &search.found;
    enum placement_found progress =
        placer_preempt(placer, state, vm, UINT64_MAX, &search);
    size_t len = 0;

    compare_in_slices(state, placer, vm, progress, found);
    if (progress != PLACEMENT_FOUND) {
        return "none";
    }
    len += (size_t)snprintf(names, sizeof(names),
                            "%s:", state_host_at(state, found->host)->name);
    for (uint32_t i = 0; i < found->victim_count; i++) {
        len += (size_t)snprintf(names + len, sizeof(names) - len, " %s",
                                state_vm_at(state, found->victims[i])->name);
    }
    return names;
}

static void the_fewest_are_stopped_then_those_of_lowest_priority(void **unused)
{
    struct state *state = region();
    struct placer *placer = placer_create();
    const struct vm *vm;

    (void)unused;
    placer_rebuild(placer, state);
    for (int i = 0; i < 4; i++) {
        char name[8];

        snprintf(name, sizeof(name), "a%d", i);
        run_on(state, placer, name, "two", 1, "h0");
    }
    run_on(state, placer, "b0", "four", 5, "h1");
    run_on(state, placer, "b1", "four", 3, "h1");
    /* Two of priority 1 on h0 would do, but one of priority 3 does. */
    vm = add_vm(state, "vm", "four", 9, false);
    assert_string_equal(victims(state, placer, vm), "h1: b1");
    /* b0 and b1 are not below 3. */
    vm = add_vm(state, "low", "four", 3, false);
    assert_string_equal(victims(state, placer, vm), "h0: a0 a1");
    vm = add_vm(state, "lowest", "four", 1, false);
    assert_string_equal(victims(state, placer, vm), "none");
    vm = add_vm(state, "small", "two", 2, false);
    assert_string_equal(victims(state, placer, vm), "h0: a0");
    placer_destroy(placer);
    state_destroy(state);
}

static void a_search_in_slices_finds_the_same(void **unused)
{
    struct state *state = region();
    struct placer *placer = placer_create();
    uint32_t found = 0;
    char name[16];
    char host[16];

    (void)unused;
    placer_rebuild(placer, state);
    add_class(state, "one", 1);
    for (uint32_t i = 2; i < 40; i++) {
        snprintf(name, sizeof(name), "h%u", i);
        add_host(state, name);
        placer_host_changed(placer, state, i);
    }
    /* Eight cores each, in parts of one, two and four. */
    for (uint32_t i = 0; i < 40 * 8; i++) {
        static const char *const classes[] = {"one", "two", "four"};
        uint32_t mixed = i * 2654435761u >> 7;
        const char *class = classes[mixed % 3];

        snprintf(name, sizeof(name), "v%u", i);
        snprintf(host, sizeof(host), "h%u", i % 40);
        if (state_host_named(state, text_of(host))->used.cpu_milli +
                1000 * (1u << mixed % 3) <=
            8000) {
            run_on(state, placer, name, class, mixed / 3 % 7, host);
        }
    }
    for (uint32_t i = 0; i < 14; i++) {
        const struct vm *vm;

        snprintf(name, sizeof(name), "w%u", i);
        vm = add_vm(state, name, i % 2 == 0 ? "four" : "two", i / 2, false);
        found += strcmp(victims(state, placer, vm), "none") != 0;
    }
    assert_in_range(found, 6, 13);
    placer_destroy(placer);
    state_destroy(state);
}

static void no_more_are_stopped_than_the_policy_allows(void **unused)
{
    struct state *state = region();
    struct placer *placer = placer_create();
    struct change policy = {.kind = CHANGE_POLICY};
    const struct vm *vm;

    (void)unused;
    placer_rebuild(placer, state);
    for (int i = 0; i < 4; i++) {
        char name[8];

        snprintf(name, sizeof(name), "a%d", i);
        run_on(state, placer, name, "two", 0, "h0");
        snprintf(name, sizeof(name), "b%d", i);
        run_on(state, placer, name, "two", 0, "h1");
    }
    vm = add_vm(state, "vm", "four", 9, false);
    assert_string_equal(victims(state, placer, vm), "h0: a0 a1");
    policy.policy.policy = *state_policy(state);
    policy.policy.policy.preempt_max = 1;
    apply(state, policy);
    vm = state_vm_named(state, text_of("vm"));
    assert_string_equal(victims(state, placer, vm), "none");
    policy.policy.policy.preempt_max = 0;
    apply(state, policy);
    vm = state_vm_named(state, text_of("vm"));
    assert_string_equal(victims(state, placer, vm), "none");
    placer_destroy(placer);
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            reserved_room_is_for_those_that_recover_or_may_be_stopped),
        cmocka_unit_test(slots_are_used_come_back_and_are_looked_for_again),
        cmocka_unit_test(slots_leave_a_host_that_closes),
        cmocka_unit_test(what_is_held_is_left_by_all_but_those_that_recover),
        cmocka_unit_test(the_fewest_are_stopped_then_those_of_lowest_priority),
        cmocka_unit_test(a_search_in_slices_finds_the_same),
        cmocka_unit_test(no_more_are_stopped_than_the_policy_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
