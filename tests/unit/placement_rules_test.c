/* SPDX-License-Identifier: Apache-2.0
 *
 * One row a rule: a small region, one thing changed, the host that is chosen
 * or the reason that is given. */
#include "base/container.h"
#include "placement/evacuate.h"
#include "placement/headroom.h"
#include "state/labels.h"

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

static void add_zone(struct state *state, const char *name)
{
    apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                 .zone_create = {text_of(name)}});
}

static void register_host(struct state *state, const char *name, uint32_t zone,
                          uint32_t cpu_milli, struct text labels)
{
    static const struct text pools[] = {{"ssd", 3}};
    struct change change = {.kind = CHANGE_HOST_REGISTER};

    change.host_register = (struct change_host_register){
        .name = text_of(name),
        .zone = {state_zone_at(state, zone)->uid},
        .host_id = text_of("id"),
        .capacity = {cpu_milli, 16384, 100, 0},
        .pools = pools,
        .pool_count = 1,
        .driver_mask = 1 << DRIVER_QEMU,
        .labels = labels,
    };
    apply(state, change);
}

static void add_host(struct state *state, const char *name, uint32_t zone,
                     uint32_t cpu_milli)
{
    register_host(state, name, zone, cpu_milli, text_of(""));
}

static void add_vm(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
    };
    apply(state, change);
}

/* Zones 0 and 1; a0 and a1 in zone 0, b0 in zone 1, 8 CPUs each; a class of 2
 * CPUs and 2 GiB; one pending VM. */
static struct state *region(void)
{
    struct state *state = state_create();

    add_zone(state, "za");
    add_zone(state, "zb");
    add_host(state, "a0", 0, 8000);
    add_host(state, "a1", 0, 8000);
    add_host(state, "b0", 1, 8000);
    apply(state,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {.name = text_of("small"),
                                           .resources = {2000, 2048, 10, 0}}});
    add_vm(state, "vm0");
    return state;
}

static struct placement_choice choose_preferring(struct state *state,
                                                 uint32_t zone)
{
    struct placer *placer = placer_create();
    struct placement_request request = {
        state_vm_at(state, state_pending_first(state)), zone};
    struct placement_choice choice;

    placer_rebuild(placer, state);
    placer_choose(placer, state, &request, &choice);
    if (choice.host == SLOT_NONE) {
        placer_count_refused(placer, state, &request, &choice);
    }
    placer_destroy(placer);
    return choice;
}

static const char *chosen(struct state *state)
{
    struct placement_choice choice = choose_preferring(state, SLOT_NONE);

    return choice.host == SLOT_NONE ? "none"
                                    : state_host_at(state, choice.host)->name;
}

static enum pending_reason reason(struct state *state)
{
    struct placement_choice choice = choose_preferring(state, SLOT_NONE);

    assert_int_equal(choice.host, SLOT_NONE);
    return choice.reason;
}

static void assign(struct state *state, const char *vm, const char *host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {state_vm_named(state, text_of(vm))->uid},
        {state_host_named(state, text_of(host))->uid},
        state_vm_named(state, text_of(vm))->epoch + 1};
    apply(state, change);
}

static void cordon(struct state *state, const char *host)
{
    apply(state, (struct change){
                     .kind = CHANGE_HOST_CORDON,
                     .host_cordon = {
                         {state_host_named(state, text_of(host))->uid}, true}});
}

static void an_empty_region_takes_the_first_host(void **unused)
{
    struct state *state = region();

    (void)unused;
    assert_string_equal(chosen(state), "a0");
    state_destroy(state);
}

static void zones_are_spread(void **unused)
{
    struct state *state = region();

    (void)unused;
    assign(state, "vm0", "a0");
    add_vm(state, "vm1");
    assert_string_equal(chosen(state), "b0");
    state_destroy(state);
}

static void hosts_of_a_zone_are_packed(void **unused)
{
    struct state *state = region();

    (void)unused;
    assign(state, "vm0", "a1");
    add_vm(state, "vm1");
    assign(state, "vm1", "b0");
    add_vm(state, "vm2");
    assign(state, "vm2", "b0");
    add_vm(state, "vm3");
    /* Zone a uses an eighth of its CPUs, zone b half: so a, and there the host
     * that is in use already. */
    assert_string_equal(chosen(state), "a1");
    state_destroy(state);
}

static void a_preferred_zone_wins_over_spread(void **unused)
{
    struct state *state = region();
    struct placement_choice choice;

    (void)unused;
    choice = choose_preferring(state, 1);
    assert_string_equal(state_host_at(state, choice.host)->name, "b0");
    state_destroy(state);
}

static void the_host_where_it_failed_comes_last(void **unused)
{
    struct state *state = region();
    struct change release = {.kind = CHANGE_VM_RELEASE};

    (void)unused;
    assign(state, "vm0", "a0");
    release.vm_release = (struct change_vm_release){
        .vm = {state_vm_named(state, text_of("vm0"))->uid},
        .epoch = 1,
        .reason = text_of("exited"),
        .failed = true,
        .not_before_ms = 1};
    apply(state, release);
    assert_string_equal(chosen(state), "a1");
    cordon(state, "a1");
    cordon(state, "b0");
    assert_string_equal(chosen(state), "a0");
    state_destroy(state);
}

static void lost_hosts_and_zones_are_left_out(void **unused)
{
    struct state *state = region();

    (void)unused;
    apply(state, (struct change){.kind = CHANGE_HOST_FENCE,
                                 .host_fence = {{state_host_at(state, 0)->uid},
                                                FENCE_LEASE_ENDED}});
    assert_string_equal(chosen(state), "a1");
    apply(state, (struct change){.kind = CHANGE_ZONE_STATE,
                                 .zone_state = {{state_zone_at(state, 0)->uid},
                                                ZONE_LOST}});
    assert_string_equal(chosen(state), "b0");
    apply(state, (struct change){
                     .kind = CHANGE_ZONE_CORDON,
                     .zone_cordon = {{state_zone_at(state, 1)->uid}, true}});
    assert_int_equal(reason(state), PENDING_ZONE_UNAVAILABLE);
    state_destroy(state);
}

static void a_full_region_says_no_capacity_and_what_would_help(void **unused)
{
    struct state *state = region();
    struct placement_choice choice;
    char words[512];
    char name[16];

    (void)unused;
    for (int i = 0; i < 12; i++) {
        assign(state, i == 0 ? "vm0" : name, chosen(state));
        snprintf(name, sizeof(name), "vm%d", i + 1);
        add_vm(state, name);
    }
    assert_int_equal(reason(state), PENDING_NO_CAPACITY);
    choice = choose_preferring(state, SLOT_NONE);
    placement_explain(state, &choice, words, sizeof(words));
    assert_string_equal(words,
                        "none of 3 hosts can take it: 3 too little free CPU; "
                        "add hosts, or stop or shrink VMs");
    state_destroy(state);
}

static void a_host_takes_no_more_vms_than_it_can_report(void **unused)
{
    struct state *state = state_create();
    char name[16];

    (void)unused;
    add_zone(state, "za");
    add_host(state, "a0", 0, 1024000);
    apply(state, (struct change){.kind = CHANGE_CLASS_CREATE,
                                 .class_create = {.name = text_of("tiny"),
                                                  .resources = {1, 1, 0, 0}}});
    for (int i = 0; i < PLACEMENT_HOST_VMS_MAX; i++) {
        snprintf(name, sizeof(name), "vm%d", i);
        add_vm(state, name);
        /* Each choice has a placer of its own, so only some are made. */
        if (i % 1000 == 0 || i == PLACEMENT_HOST_VMS_MAX - 1) {
            assert_string_equal(chosen(state), "a0");
        }
        assign(state, name, "a0");
    }
    add_vm(state, "last");
    assert_int_equal(reason(state), PENDING_NO_CAPACITY);
    state_destroy(state);
}

static void a_class_is_placed_only_where_it_is_offered(void **unused)
{
    struct state *state = region();
    struct change change = {.kind = CHANGE_VM_CREATE};

    (void)unused;
    assign(state, "vm0", "a0");
    apply(state,
          (struct change){.kind = CHANGE_CLASS_CREATE,
                          .class_create = {.name = text_of("zonal"),
                                           .resources = {1000, 1024, 0, 0},
                                           .zone_mask = 1}});
    change.vm_create = (struct change_vm_create){
        .name = text_of("vm1"),
        .class = {state_class_at(state, 1)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
    };
    apply(state, change);
    assert_string_equal(chosen(state), "a0");
    cordon(state, "a0");
    assert_string_equal(chosen(state), "a1");
    state_destroy(state);
}

static void drivers_and_pools_are_needed(void **unused)
{
    static const struct text pools[] = {{"tape", 4}};
    struct state *state = region();
    struct change change = {.kind = CHANGE_VM_CREATE};

    (void)unused;
    assign(state, "vm0", "a0");
    change.vm_create = (struct change_vm_create){
        .name = text_of("vm1"),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_EXEC,
    };
    apply(state, change);
    assert_int_equal(reason(state), PENDING_DRIVER_NOT_OFFERED);
    apply(state,
          (struct change){
              .kind = CHANGE_VM_DELETE,
              .vm_delete = {{state_vm_named(state, text_of("vm1"))->uid}}});
    change.vm_create.driver = DRIVER_QEMU;
    change.vm_create.pools = pools;
    change.vm_create.pool_count = 1;
    apply(state, change);
    assert_int_equal(reason(state), PENDING_DISK_NOT_REACHABLE);
    state_destroy(state);
}

static void a_move_goes_to_its_target_or_to_another_host(void **unused)
{
    struct state *state = region();
    struct change release = {.kind = CHANGE_VM_RELEASE};
    uint64_t uid;

    (void)unused;
    assign(state, "vm0", "a0");
    uid = state_vm_named(state, text_of("vm0"))->uid;
    apply(state,
          (struct change){.kind = CHANGE_VM_MOVE,
                          .vm_move = {.vm = {uid},
                                      .host = {state_host_at(state, 2)->uid}}});
    release.vm_release = (struct change_vm_release){
        .vm = {uid}, .epoch = 1, .reason = text_of("moved")};
    apply(state, release);
    assert_string_equal(chosen(state), "b0");
    assign(state, "vm0", "b0");
    apply(state,
          (struct change){.kind = CHANGE_VM_MOVE, .vm_move = {.vm = {uid}}});
    release.vm_release.epoch = 2;
    apply(state, release);
    cordon(state, "a0");
    assert_string_equal(chosen(state), "a1");
    cordon(state, "a1");
    assert_string_equal(chosen(state), "none");
    state_destroy(state);
}

/* One row an amount: the class asks for more of it than any host has. */
static void each_amount_that_is_lacking_has_its_own_refusal(void **unused)
{
    static const struct {
        struct resources wanted;
        enum placement_refusal refusal;
    } rows[] = {
        {{8001, 1, 0, 0}, REFUSED_CPU},
        {{1, 16385, 0, 0}, REFUSED_MEMORY},
        {{1, 1, 101, 0}, REFUSED_LOCAL_DISK},
        {{1, 1, 0, 1}, REFUSED_GPU},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct state *state = region();
        struct placement_choice choice;

        apply(state,
              (struct change){
                  .kind = CHANGE_CLASS_UPDATE,
                  .class_update = {.class = {state_class_at(state, 0)->uid},
                                   .mask = CLASS_UPDATE_RESOURCES,
                                   .resources = rows[i].wanted}});
        choice = choose_preferring(state, SLOT_NONE);
        assert_int_equal(choice.host, SLOT_NONE);
        assert_int_equal(choice.reason, PENDING_NO_CAPACITY);
        assert_int_equal(choice.refused[rows[i].refusal], 3);
        state_destroy(state);
    }
}

static void add_member(struct state *state, const char *name)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .group = {state_group_at(state, 0)->uid},
    };
    apply(state, change);
}

/* One row a strict rule of the VM's group: with a member on a0, the hosts that
 * it leaves. */
static void each_strict_rule_of_a_group_has_its_own_refusal(void **unused)
{
    static const struct {
        struct group_fields rules;
        enum placement_refusal refusal;
        uint32_t count;
        const char *host; /* NULL: any but a0. */
    } rows[] = {
        {{.zone_rule = ZONE_RULE_TOGETHER, .zone_mode = RULE_MODE_STRICT},
         REFUSED_GROUP_ZONE,
         1,
         "a0"},
        {{.zone_rule = ZONE_RULE_APART, .zone_mode = RULE_MODE_STRICT},
         REFUSED_GROUP_ZONE,
         2,
         "b0"},
        {{.zone_rule = ZONE_RULE_SPREAD,
          .zone_mode = RULE_MODE_STRICT,
          .max_skew = 1},
         REFUSED_GROUP_ZONE,
         2,
         "b0"},
        {{.zone_rule = ZONE_RULE_ANY,
          .zone_mode = RULE_MODE_BEST_EFFORT,
          .host_mode = RULE_MODE_STRICT,
          .host_max = 1},
         REFUSED_GROUP_HOST,
         1,
         NULL},
        {{.zone_rule = ZONE_RULE_ANY,
          .zone_mode = RULE_MODE_BEST_EFFORT,
          .domain_mode = RULE_MODE_STRICT,
          .domain_max = 1},
         REFUSED_GROUP_DOMAIN,
         1,
         NULL},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct state *state = region();
        struct change group = {.kind = CHANGE_GROUP_CREATE};
        struct placer *placer = placer_create();
        uint32_t refused = 0;

        group.group_create.name = text_of("g");
        group.group_create.fields = rows[i].rules;
        group.group_create.fields.on_partition = ON_PARTITION_MOVE;
        group.group_create.fields.driver = DRIVER_QEMU;
        apply(state, group);
        assign(state, "vm0", "b0");
        add_member(state, "m0");
        assign(state, "m0", "a0");
        add_member(state, "m1");
        placer_rebuild(placer, state);
        for (uint32_t host = 0; host < 3; host++) {
            refused += placer_refusal(placer, state,
                                      state_vm_named(state, text_of("m1")),
                                      host) == rows[i].refusal;
        }
        placer_destroy(placer);
        assert_int_equal(refused, rows[i].count);
        if (rows[i].host != NULL) {
            assert_string_equal(chosen(state), rows[i].host);
        } else {
            assert_string_not_equal(chosen(state), "a0");
        }
        state_destroy(state);
    }
}

static void set_policy(struct state *state, enum headroom_mode mode)
{
    struct change change = {.kind = CHANGE_POLICY};

    policy_init(&change.policy.policy);
    change.policy.policy.headroom = mode;
    apply(state, change);
}

/* No host takes the VM: so many by this rule. All of them do when they are
 * asked alone as well, but for headroom: a host then knows what is held there,
 * not what else the VM would take from others. */
static void check_refusals(struct state *state, const char *vm,
                           enum placement_refusal refusal, uint32_t count,
                           enum pending_reason why)
{
    struct placer *placer = placer_create();
    struct placement_request request = {state_vm_named(state, text_of(vm)),
                                        SLOT_NONE};
    struct placement_choice choice = {.retry = true};
    uint32_t refused = 0;

    placer_rebuild(placer, state);
    while (choice.retry) {
        while (!headroom_work(placer, state, 1000)) {
        }
        placer_choose(placer, state, &request, &choice);
    }
    assert_int_equal(choice.host, SLOT_NONE);
    assert_int_equal(choice.reason, why);
    for (uint32_t host = 0; host < state_host_slots(state); host++) {
        refused += placer_refusal(placer, state, request.vm, host) == refusal;
    }
    placer_count_refused(placer, state, &request, &choice);
    assert_int_equal(choice.refused[refusal], count);
    assert_int_equal(refused, refusal == REFUSED_HEADROOM ? count - 1 : count);
    placer_destroy(placer);
}

static void labels_that_a_selector_asks_for_are_needed(void **unused)
{
    struct label label = {{"disk", 4}, {"fast", 4}};
    struct state *state = region();
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct bytes selector;

    (void)unused;
    bytes_init(&selector);
    assert_int_equal(labels_encode(&label, 1, &selector), 0);
    change.vm_create = (struct change_vm_create){
        .name = text_of("vm1"),
        .class = {state_class_at(state, 0)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .selector = {(const char *)selector.data, (uint32_t)selector.len},
    };
    assign(state, "vm0", "a0");
    apply(state, change);
    check_refusals(state, "vm1", REFUSED_SELECTOR, 3, PENDING_NO_MATCHING_HOST);
    register_host(state, "b1", 1, 8000, change.vm_create.selector);
    assert_string_equal(chosen(state), "b1");
    bytes_close(&selector);
    state_destroy(state);
}

static void named_resources_are_needed(void **unused)
{
    static const struct named_amount wanted = {{"lic", 3}, 2};
    struct state *state = region();
    struct change change = {.kind = CHANGE_CLASS_UPDATE};

    (void)unused;
    change.class_update =
        (struct change_class_update){.class = {state_class_at(state, 0)->uid},
                                     .mask = CLASS_UPDATE_RESOURCES,
                                     .resources = {2000, 2048, 10, 0},
                                     .named = &wanted,
                                     .named_count = 1};
    apply(state, change);
    check_refusals(state, "vm0", REFUSED_NAMED, 3, PENDING_NO_CAPACITY);
    state_destroy(state);
}

static void add_class(struct state *state, const char *name, uint32_t cpu_milli)
{
    apply(state, (struct change){
                     .kind = CHANGE_CLASS_CREATE,
                     .class_create = {.name = text_of(name),
                                      .resources = {cpu_milli, 2048, 0, 0}}});
}

/* Of the class in the slot. */
static void add_vm_of(struct state *state, const char *name,
                      uint32_t class_slot, bool preemptible)
{
    struct change change = {.kind = CHANGE_VM_CREATE};

    change.vm_create = (struct change_vm_create){
        .name = text_of(name),
        .class = {state_class_at(state, class_slot)->uid},
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .preemptible = preemptible,
    };
    apply(state, change);
}

/* Room that a VM on its way here holds is not free. */
static void claimed_room_is_left_alone(void **unused)
{
    static const char *const hosts[] = {"a0", "a1", "b0"};
    struct state *state = region();
    char name[8];

    (void)unused;
    set_policy(state, HEADROOM_OFF);
    add_class(state, "large", 8000);
    assign(state, "vm0", "a0");
    for (uint32_t i = 0; i < 3; i++) {
        struct change change = {.kind = CHANGE_VM_CLAIM};

        snprintf(name, sizeof(name), "c%u", i);
        add_vm(state, name);
        change.vm_claim = (struct change_vm_claim){
            .vm = {state_vm_named(state, text_of(name))->uid},
            .host = {state_host_named(state, text_of(hosts[i]))->uid},
            .cause = MOVE_CAUSE_REQUEST};
        apply(state, change);
    }
    /* The one VM that runs leaves a0 as full as the others. */
    apply(state,
          (struct change){
              .kind = CHANGE_VM_RELEASE,
              .vm_release = {.vm = {state_vm_named(state, text_of("vm0"))->uid},
                             .epoch = 1,
                             .reason = text_of("stopped")}});
    add_vm_of(state, "big", 1, false);
    check_refusals(state, "big", REFUSED_CLAIMED, 3, PENDING_NO_CAPACITY);
    state_destroy(state);
}

/* Where the plan for a loss has the VM; "none" where it has no place. */
static const char *planned(const struct state *state, const char *vm)
{
    struct evacuation *plan = evacuation_create(state);
    const struct evacuation_step *steps;
    const char *host = "none";
    uint32_t count;

    while (!evacuation_work(plan, 100)) {
    }
    steps = evacuation_steps(plan, &count);
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].vm == uid_slot(state_vm_named(state, text_of(vm))->uid) &&
            steps[i].host != SLOT_NONE) {
            host = state_host_at(state, steps[i].host)->name;
        }
    }
    evacuation_destroy(plan);
    return host;
}

/* m0 has left one host and is on its way to a0. */
static void a_plan_leaves_those_between_two_hosts_their_places(void **unused)
{
    static const struct {
        struct group_fields rules;
        const char *host; /* For m1. */
    } rows[] = {
        {{.zone_rule = ZONE_RULE_ANY, .zone_mode = RULE_MODE_STRICT}, "a0"},
        {{.zone_rule = ZONE_RULE_APART, .zone_mode = RULE_MODE_STRICT}, "b0"},
        {{.zone_rule = ZONE_RULE_ANY,
          .zone_mode = RULE_MODE_STRICT,
          .host_mode = RULE_MODE_STRICT,
          .host_max = 1},
         "a1"},
        {{.zone_rule = ZONE_RULE_ANY,
          .zone_mode = RULE_MODE_STRICT,
          .domain_mode = RULE_MODE_STRICT,
          .domain_max = 1},
         "a1"},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct state *state = region();
        struct change change = {.kind = CHANGE_GROUP_CREATE};

        set_policy(state, HEADROOM_OFF);
        change.group_create.name = text_of("g");
        change.group_create.fields = rows[i].rules;
        change.group_create.fields.on_partition = ON_PARTITION_MOVE;
        change.group_create.fields.driver = DRIVER_QEMU;
        apply(state, change);
        assign(state, "vm0", "b0");
        add_member(state, "m0");
        add_member(state, "m1");
        change = (struct change){.kind = CHANGE_VM_CLAIM};
        change.vm_claim = (struct change_vm_claim){
            .vm = {state_vm_named(state, text_of("m0"))->uid},
            .host = {state_host_named(state, text_of("a0"))->uid},
            .cause = MOVE_CAUSE_PLAN};
        apply(state, change);
        assert_string_equal(planned(state, "m1"), rows[i].host);
        state_destroy(state);
    }
}

static void reserved_room_is_for_failover_and_the_preemptible(void **unused)
{
    struct state *state = region();

    (void)unused;
    set_policy(state, HEADROOM_OFF);
    add_class(state, "large", 8000);
    for (uint32_t zone = 0; zone < 2; zone++) {
        struct change change = {.kind = CHANGE_RESERVATION_SET};

        change.reservation_set = (struct change_reservation_set){
            .name = text_of(zone == 0 ? "ra" : "rb"),
            .zone = {state_zone_at(state, zone)->uid},
            .class = {state_class_at(state, 1)->uid},
            .count = zone == 0 ? 2 : 1};
        apply(state, change);
    }
    check_refusals(state, "vm0", REFUSED_RESERVED, 3, PENDING_RESERVED);
    assign(state, "vm0", "a0");
    add_vm_of(state, "spot", 0, true);
    assert_string_not_equal(chosen(state), "none");
    state_destroy(state);
}

/* One large VM in zone a could go to zone b if its zone were lost, but not two,
 * and not one if zone b is full. */
static void headroom_is_left_alone(void **unused)
{
    struct state *state = region();

    (void)unused;
    set_policy(state, HEADROOM_ENFORCE);
    add_class(state, "large", 8000);
    apply(state,
          (struct change){
              .kind = CHANGE_VM_DELETE,
              .vm_delete = {{state_vm_named(state, text_of("vm0"))->uid}}});
    add_vm_of(state, "big", 1, false);
    assign(state, "big", "a0");
    add_vm_of(state, "too", 1, false);
    check_refusals(state, "too", REFUSED_HEADROOM, 2, PENDING_HEADROOM);
    set_policy(state, HEADROOM_WARN);
    assert_string_equal(chosen(state), "b0");
    state_destroy(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_region_takes_the_first_host),
        cmocka_unit_test(zones_are_spread),
        cmocka_unit_test(hosts_of_a_zone_are_packed),
        cmocka_unit_test(a_preferred_zone_wins_over_spread),
        cmocka_unit_test(the_host_where_it_failed_comes_last),
        cmocka_unit_test(lost_hosts_and_zones_are_left_out),
        cmocka_unit_test(a_full_region_says_no_capacity_and_what_would_help),
        cmocka_unit_test(a_host_takes_no_more_vms_than_it_can_report),
        cmocka_unit_test(a_class_is_placed_only_where_it_is_offered),
        cmocka_unit_test(drivers_and_pools_are_needed),
        cmocka_unit_test(a_move_goes_to_its_target_or_to_another_host),
        cmocka_unit_test(each_amount_that_is_lacking_has_its_own_refusal),
        cmocka_unit_test(each_strict_rule_of_a_group_has_its_own_refusal),
        cmocka_unit_test(labels_that_a_selector_asks_for_are_needed),
        cmocka_unit_test(named_resources_are_needed),
        cmocka_unit_test(claimed_room_is_left_alone),
        cmocka_unit_test(a_plan_leaves_those_between_two_hosts_their_places),
        cmocka_unit_test(reserved_room_is_for_failover_and_the_preemptible),
        cmocka_unit_test(headroom_is_left_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
