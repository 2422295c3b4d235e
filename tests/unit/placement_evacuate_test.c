/* SPDX-License-Identifier: Apache-2.0
 *
 * The plan after a loss, one behaviour a case: a small region, what is lost,
 * who goes where. */
#include "base/container.h"
#include "placement/evacuate.h"
#include "state/labels.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
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

/* --- Regions -------------------------------------------------------------- */

static void add_zone(struct state *state, const char *name)
{
    apply(state, (struct change){.kind = CHANGE_ZONE_CREATE,
                                 .zone_create = {text_of(name)}});
}

struct host_spec {
    const char *name;
    const char *zone;
    uint32_t cpus;
    uint32_t gib;
    const char *domain;
    const char *rack; /* A label; NULL: none. */
    const char *pool;
    uint32_t disk_gib;
};

static void add_host(struct state *state, struct host_spec spec)
{
    struct change change = {.kind = CHANGE_HOST_REGISTER};
    struct text pool = text_of(spec.pool != NULL ? spec.pool : "");
    struct label label = {text_of("rack"), {NULL, 0}};
    struct bytes labels;

    bytes_init(&labels);
    if (spec.rack != NULL) {
        label.value = text_of(spec.rack);
        assert_int_equal(labels_encode(&label, 1, &labels), 0);
    }
    change.host_register = (struct change_host_register){
        .name = text_of(spec.name),
        .zone = {state_zone_named(state, text_of(spec.zone))->uid},
        .fault_domain = text_of(spec.domain != NULL ? spec.domain : ""),
        .host_id = text_of(spec.name),
        .boot_id = text_of("boot"),
        .capacity = {spec.cpus * 1000, spec.gib * 1024, spec.disk_gib, 0},
        .pools = &pool,
        .pool_count = spec.pool != NULL,
        .driver_mask = 1 << DRIVER_QEMU,
        .labels = {(const char *)labels.data, (uint32_t)labels.len},
        .agent_version = text_of(""),
    };
    apply(state, change);
    bytes_close(&labels);
}

static void add_class(struct state *state, const char *name, uint32_t cpus,
                      uint32_t gib)
{
    apply(state,
          (struct change){
              .kind = CHANGE_CLASS_CREATE,
              .class_create = {.name = text_of(name),
                               .resources = {cpus * 1000, gib * 1024, 0, 0}}});
}

/* Zones za, zb and zc, classes of 1, 2 and 4 CPUs with 2 GiB each. A policy, so
 * that what was lost is known as recovering. */
static struct state *region(void)
{
    struct state *state = state_create();
    struct change policy = {.kind = CHANGE_POLICY};

    add_zone(state, "za");
    add_zone(state, "zb");
    add_zone(state, "zc");
    add_class(state, "small", 1, 2);
    add_class(state, "medium", 2, 4);
    add_class(state, "large", 4, 8);
    policy_init(&policy.policy.policy);
    apply(state, policy);
    return state;
}

static void plain_host(struct state *state, const char *name, const char *zone,
                       uint32_t cpus)
{
    add_host(state,
             (struct host_spec){
                 .name = name, .zone = zone, .cpus = cpus, .gib = cpus * 2});
}

struct vm_spec {
    const char *name;
    const char *class;
    const char *host; /* NULL: it stays pending. */
    uint32_t priority;
    const char *zone; /* NULL: any. */
    const char *group;
    const char *rack; /* Selector. */
    const char *pool;
    bool preemptible;
    bool local_disk;
};

static uint64_t uid_of(const struct state *state, const char *name)
{
    const struct vm *vm = state_vm_named(state, text_of(name));

    assert_non_null(vm);
    return vm->uid;
}

static uint32_t slot_of(const struct state *state, const char *name)
{
    return uid_slot(uid_of(state, name));
}

static void assign(struct state *state, const char *vm, const char *host)
{
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {uid_of(state, vm)},
        {state_host_named(state, text_of(host))->uid},
        state_vm_named(state, text_of(vm))->epoch + 1};
    apply(state, change);
}

static void add_vm(struct state *state, struct vm_spec spec)
{
    struct change change = {.kind = CHANGE_VM_CREATE};
    struct text pool = text_of(spec.pool != NULL ? spec.pool : "");
    struct label label = {text_of("rack"), {NULL, 0}};
    struct bytes selector;

    bytes_init(&selector);
    if (spec.rack != NULL) {
        label.value = text_of(spec.rack);
        assert_int_equal(labels_encode(&label, 1, &selector), 0);
    }
    change.vm_create = (struct change_vm_create){
        .name = text_of(spec.name),
        .class = {state_class_named(state, text_of(spec.class))->uid},
        .zone = {spec.zone == NULL
                     ? 0
                     : state_zone_named(state, text_of(spec.zone))->uid},
        .priority = spec.priority,
        .on_partition = ON_PARTITION_MOVE,
        .desired = DESIRED_RUNNING,
        .driver = DRIVER_QEMU,
        .pools = &pool,
        .pool_count = spec.pool != NULL,
        .template = text_of(""),
        .labels = text_of(""),
        .selector = {(const char *)selector.data, (uint32_t)selector.len},
        .preemptible = spec.preemptible,
        .local_disk = spec.local_disk,
        .group = {spec.group == NULL
                      ? 0
                      : state_group_named(state, text_of(spec.group))->uid},
    };
    apply(state, change);
    bytes_close(&selector);
    if (spec.host != NULL) {
        assign(state, spec.name, spec.host);
    }
}

static void add_group(struct state *state, const char *name,
                      struct group_fields fields)
{
    fields.template = text_of("");
    fields.labels = text_of("");
    fields.selector = text_of("");
    apply(state, (struct change){.kind = CHANGE_GROUP_CREATE,
                                 .group_create = {text_of(name), fields}});
}

static void lose_host(struct state *state, const char *name)
{
    apply(state,
          (struct change){
              .kind = CHANGE_HOST_FENCE,
              .host_fence = {{state_host_named(state, text_of(name))->uid},
                             FENCE_LEASE_ENDED}});
}

static void lose_zone(struct state *state, const char *name)
{
    const struct zone *zone = state_zone_named(state, text_of(name));
    uint32_t slot = uid_slot(zone->uid);

    apply(state, (struct change){.kind = CHANGE_ZONE_STATE,
                                 .zone_state = {{zone->uid}, ZONE_LOST}});
    for (uint32_t i = 0; i < state_host_slots(state); i++) {
        const struct host *host = state_host_at(state, i);

        if (host != NULL && host->zone == slot) {
            lose_host(state, host->name);
        }
    }
}

/* --- Plans ---------------------------------------------------------------- */

static struct evacuation *plan(const struct state *state)
{
    struct evacuation *evacuation = evacuation_create(state);

    for (int slices = 0; !evacuation_work(evacuation, 100); slices++) {
        assert_true(slices < 100000);
    }
    return evacuation;
}

static const struct evacuation_step *step_of(const struct state *state,
                                             const struct evacuation *plan,
                                             const char *vm)
{
    uint32_t count;
    const struct evacuation_step *steps = evacuation_steps(plan, &count);

    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].vm == slot_of(state, vm)) {
            return &steps[i];
        }
    }
    return NULL;
}

/* Name of the host where the plan has the VM; "none", or "no step". */
static const char *goes(const struct state *state,
                        const struct evacuation *plan, const char *vm)
{
    const struct evacuation_step *step = step_of(state, plan, vm);

    return step == NULL              ? "no step"
           : step->host == SLOT_NONE ? "none"
                                     : state_host_at(state, step->host)->name;
}

static const char *zone_of(const struct state *state,
                           const struct evacuation *plan, const char *vm)
{
    const struct evacuation_step *step = step_of(state, plan, vm);

    if (step == NULL || step->host == SLOT_NONE) {
        return "none";
    }
    return state_zone_at(state, state_host_at(state, step->host)->zone)->name;
}

static void end(struct state *state, struct evacuation *plan)
{
    evacuation_destroy(plan);
    state_destroy(state);
}

/* --- Cases ---------------------------------------------------------------- */

static void nothing_pending_gives_an_empty_plan(void **unused)
{
    struct state *state = region();
    struct evacuation *it;
    uint32_t count;

    (void)unused;
    it = plan(state);
    evacuation_steps(it, &count);
    assert_int_equal(count, 0);
    assert_int_equal(evacuation_unplaced(it), 0);
    end(state, it);
}

static void a_lost_zone_goes_to_the_others_by_their_load(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 8);
    plain_host(state, "b0", "zb", 8);
    plain_host(state, "c0", "zc", 8);
    add_vm(state,
           (struct vm_spec){.name = "v0", .class = "medium", .host = "a0"});
    add_vm(state,
           (struct vm_spec){.name = "v1", .class = "medium", .host = "a0"});
    add_vm(state,
           (struct vm_spec){.name = "w0", .class = "large", .host = "c0"});
    lose_zone(state, "za");
    it = plan(state);
    assert_string_equal(goes(state, it, "v0"), "b0");
    assert_string_equal(goes(state, it, "v1"), "b0");
    assert_string_equal(goes(state, it, "w0"), "no step");
    assert_int_equal(evacuation_unplaced(it), 0);
    end(state, it);
}

static void priority_wins_the_last_room(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 8);
    plain_host(state, "b0", "zb", 2);
    add_vm(state,
           (struct vm_spec){
               .name = "low", .class = "medium", .host = "a0", .priority = 1});
    add_vm(state,
           (struct vm_spec){
               .name = "high", .class = "small", .host = "a0", .priority = 2});
    lose_zone(state, "za");
    it = plan(state);
    assert_string_equal(goes(state, it, "high"), "b0");
    assert_string_equal(goes(state, it, "low"), "none");
    assert_int_equal(evacuation_unplaced(it), 1);
    end(state, it);
}

static void steps_come_by_priority_then_size(void **unused)
{
    static const char *const expected[] = {"h", "l", "m", "s"};
    struct state *state = region();
    struct evacuation *it;
    const struct evacuation_step *steps;
    uint32_t count;

    (void)unused;
    plain_host(state, "a0", "za", 16);
    plain_host(state, "b0", "zb", 16);
    add_vm(state,
           (struct vm_spec){
               .name = "s", .class = "small", .host = "a0", .priority = 1});
    add_vm(state,
           (struct vm_spec){
               .name = "l", .class = "large", .host = "a0", .priority = 1});
    add_vm(state,
           (struct vm_spec){
               .name = "m", .class = "medium", .host = "a0", .priority = 1});
    add_vm(state,
           (struct vm_spec){
               .name = "h", .class = "small", .host = "a0", .priority = 9});
    lose_zone(state, "za");
    it = plan(state);
    steps = evacuation_steps(it, &count);
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(steps[i].vm, slot_of(state, expected[i]));
        assert_int_equal(steps[i].kind, EVACUATION_PLACE);
    }
    end(state, it);
}

static void a_host_starts_few_at_once_while_there_is_room(void **unused)
{
    struct state *state = region();
    struct evacuation *it;
    uint32_t starts[16] = {0};
    const struct evacuation_step *steps;
    uint32_t count;
    char name[8];

    (void)unused;
    plain_host(state, "a0", "za", 16);
    plain_host(state, "b0", "zb", 32);
    plain_host(state, "b1", "zb", 32);
    plain_host(state, "b2", "zb", 32);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        add_vm(state,
               (struct vm_spec){.name = name, .class = "small", .host = "a0"});
    }
    lose_zone(state, "za");
    it = plan(state);
    steps = evacuation_steps(it, &count);
    for (uint32_t i = 0; i < count; i++) {
        starts[steps[i].host]++;
        assert_true(starts[steps[i].host] <= 4); /* start_parallel */
    }
    assert_int_equal(evacuation_unplaced(it), 0);
    end(state, it);
}

static void starting_few_at_once_gives_way_to_room(void **unused)
{
    struct state *state = region();
    struct evacuation *it;
    char name[8];

    (void)unused;
    plain_host(state, "a0", "za", 16);
    plain_host(state, "b0", "zb", 16);
    plain_host(state, "b1", "zb", 2);
    plain_host(state, "b2", "zb", 2);
    for (int i = 0; i < 12; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        add_vm(state,
               (struct vm_spec){.name = name, .class = "small", .host = "a0"});
    }
    lose_zone(state, "za");
    it = plan(state);
    assert_int_equal(evacuation_unplaced(it), 0);
    end(state, it);
}

static void a_lost_host_is_restarted_in_its_zone(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 8);
    plain_host(state, "a1", "za", 8);
    plain_host(state, "b0", "zb", 8);
    add_vm(state,
           (struct vm_spec){.name = "v0", .class = "medium", .host = "a0"});
    add_vm(state,
           (struct vm_spec){.name = "w0", .class = "large", .host = "a1"});
    lose_host(state, "a0");
    it = plan(state);
    assert_string_equal(goes(state, it, "v0"), "a1");
    end(state, it);
}

static void rules_of_hosts_are_kept(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 32);
    add_host(state, (struct host_spec){.name = "a1",
                                       .zone = "za",
                                       .cpus = 32,
                                       .gib = 64,
                                       .rack = "r1",
                                       .pool = "ssd"});
    plain_host(state, "b0", "zb", 64);
    add_host(
        state,
        (struct host_spec){
            .name = "b1", .zone = "zb", .cpus = 4, .gib = 8, .rack = "r1"});
    add_host(
        state,
        (struct host_spec){
            .name = "b2", .zone = "zb", .cpus = 2, .gib = 4, .pool = "ssd"});
    add_vm(state,
           (struct vm_spec){
               .name = "zonal", .class = "small", .host = "a0", .zone = "za"});
    add_vm(state,
           (struct vm_spec){
               .name = "racked", .class = "large", .host = "a1", .rack = "r1"});
    add_vm(state, (struct vm_spec){.name = "racked2",
                                   .class = "small",
                                   .host = "a1",
                                   .rack = "r1"});
    add_vm(state, (struct vm_spec){.name = "pooled",
                                   .class = "medium",
                                   .host = "a1",
                                   .pool = "ssd"});
    add_vm(state,
           (struct vm_spec){.name = "free", .class = "large", .host = "a0"});
    lose_zone(state, "za");
    it = plan(state);
    assert_string_equal(goes(state, it, "zonal"), "none");
    assert_string_equal(goes(state, it, "racked"), "b1");
    assert_string_equal(goes(state, it, "racked2"), "none");
    assert_string_equal(goes(state, it, "pooled"), "b2");
    assert_string_equal(goes(state, it, "free"), "b0");
    end(state, it);
}

static void local_disks_bind_to_their_host(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 8);
    plain_host(state, "b0", "zb", 8);
    add_vm(state, (struct vm_spec){.name = "lost",
                                   .class = "small",
                                   .host = "a0",
                                   .local_disk = true});
    add_vm(state, (struct vm_spec){.name = "well",
                                   .class = "small",
                                   .host = "b0",
                                   .local_disk = true});
    apply(state, (struct change){.kind = CHANGE_VM_RELEASE,
                                 .vm_release = {.vm = {uid_of(state, "well")},
                                                .epoch = 1,
                                                .reason = text_of("")}});
    lose_zone(state, "za");
    it = plan(state);
    assert_string_equal(goes(state, it, "lost"), "none");
    assert_string_equal(goes(state, it, "well"), "b0");
    end(state, it);
}

/* Three members in za; zb and zc have room, zb more. */
static struct state *grouped(struct group_fields fields)
{
    struct state *state = region();
    char name[8];

    plain_host(state, "a0", "za", 16);
    add_group(state, "g", fields);
    add_host(state, (struct host_spec){.name = "b0",
                                       .zone = "zb",
                                       .cpus = 64,
                                       .gib = 128,
                                       .domain = "d0"});
    add_host(state, (struct host_spec){.name = "b1",
                                       .zone = "zb",
                                       .cpus = 64,
                                       .gib = 128,
                                       .domain = "d0"});
    add_host(state, (struct host_spec){.name = "b2",
                                       .zone = "zb",
                                       .cpus = 64,
                                       .gib = 128,
                                       .domain = "d1"});
    add_host(
        state,
        (struct host_spec){
            .name = "c0", .zone = "zc", .cpus = 8, .gib = 16, .domain = "d0"});
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        add_vm(state,
               (struct vm_spec){
                   .name = name, .class = "small", .host = "a0", .group = "g"});
    }
    add_vm(state,
           (struct vm_spec){.name = "filler", .class = "large", .host = "c0"});
    lose_zone(state, "za");
    return state;
}

static uint32_t in_zone(const struct state *state, const struct evacuation *it,
                        const char *zone)
{
    return (uint32_t)(strcmp(zone_of(state, it, "v0"), zone) == 0) +
           (uint32_t)(strcmp(zone_of(state, it, "v1"), zone) == 0) +
           (uint32_t)(strcmp(zone_of(state, it, "v2"), zone) == 0);
}

static void a_spread_group_stays_even(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_SPREAD,
                                      .zone_mode = RULE_MODE_STRICT,
                                      .max_skew = 1});
    struct evacuation *it = plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_true(in_zone(state, it, "zb") >= 1 && in_zone(state, it, "zc") >= 1);
    end(state, it);
}

static void a_group_apart_leaves_what_has_no_zone(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_APART,
                                      .zone_mode = RULE_MODE_STRICT,
                                      .max_skew = 1});
    struct evacuation *it = plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 1);
    assert_int_equal(in_zone(state, it, "zb"), 1);
    assert_int_equal(in_zone(state, it, "zc"), 1);
    end(state, it);
}

static void a_group_together_stays_together(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_TOGETHER,
                                      .zone_mode = RULE_MODE_STRICT,
                                      .max_skew = 1});
    struct evacuation *it = plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_true(in_zone(state, it, "zb") == 3 || in_zone(state, it, "zc") == 3);
    end(state, it);
}

static void strict_domains_and_hosts_are_kept(void **unused)
{
    struct group_fields domains = {.zone_rule = ZONE_RULE_ANY,
                                   .zone_mode = RULE_MODE_BEST_EFFORT,
                                   .max_skew = 1,
                                   .domain_mode = RULE_MODE_STRICT,
                                   .domain_max = 1};
    struct group_fields hosts = {.zone_rule = ZONE_RULE_ANY,
                                 .zone_mode = RULE_MODE_BEST_EFFORT,
                                 .max_skew = 1,
                                 .zone_mask = 2,
                                 .host_mode = RULE_MODE_STRICT,
                                 .host_max = 1};
    struct state *state = grouped(domains);
    struct evacuation *it = plan(state);

    (void)unused;
    /* d0 and d1 of zb, d0 of zc: one each. */
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_int_equal(in_zone(state, it, "zb"), 2);
    end(state, it);
    state = grouped(hosts);
    it = plan(state);
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_string_not_equal(goes(state, it, "v0"), goes(state, it, "v1"));
    assert_string_not_equal(goes(state, it, "v1"), goes(state, it, "v2"));
    assert_string_not_equal(goes(state, it, "v0"), goes(state, it, "v2"));
    end(state, it);
}

static void a_best_effort_rule_never_costs_a_place(void **unused)
{
    struct state *state =
        grouped((struct group_fields){.zone_rule = ZONE_RULE_APART,
                                      .zone_mode = RULE_MODE_BEST_EFFORT,
                                      .max_skew = 1,
                                      .domain_mode = RULE_MODE_BEST_EFFORT,
                                      .domain_max = 1,
                                      .host_mode = RULE_MODE_BEST_EFFORT,
                                      .host_max = 1});
    struct evacuation *it = plan(state);

    (void)unused;
    assert_int_equal(evacuation_unplaced(it), 0);
    assert_int_equal(in_zone(state, it, "zb"), 2);
    end(state, it);
}

static void reserved_room_is_for_what_was_lost(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 8);
    plain_host(state, "b0", "zb", 4);
    apply(state, (struct change){
                     .kind = CHANGE_RESERVATION_SET,
                     .reservation_set = {
                         text_of("spare"),
                         {state_zone_named(state, text_of("zb"))->uid},
                         {state_class_named(state, text_of("medium"))->uid},
                         2}});
    add_vm(state,
           (struct vm_spec){.name = "lost", .class = "medium", .host = "a0"});
    add_vm(state, (struct vm_spec){.name = "new",
                                   .class = "small",
                                   .host = NULL,
                                   .priority = 1000});
    lose_zone(state, "za");
    it = plan(state);
    assert_string_equal(goes(state, it, "lost"), "b0");
    assert_string_equal(goes(state, it, "new"), "none");
    end(state, it);
}

static void what_is_held_back_is_no_part_of_the_plan(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "b0", "zb", 4);
    add_vm(state,
           (struct vm_spec){.name = "v0", .class = "small", .host = "b0"});
    apply(state, (struct change){.kind = CHANGE_VM_RELEASE,
                                 .vm_release = {.vm = {uid_of(state, "v0")},
                                                .epoch = 1,
                                                .reason = text_of("exited"),
                                                .failed = true,
                                                .not_before_ms = 5000}});
    it = plan(state);
    assert_string_equal(goes(state, it, "v0"), "no step");
    end(state, it);
}

static void the_same_state_gives_the_same_plan(void **unused)
{
    struct state *state = region();
    struct evacuation *first;
    struct evacuation *second;
    const struct evacuation_step *a;
    const struct evacuation_step *b;
    uint32_t count;
    uint32_t count_again;
    char name[8];

    (void)unused;
    plain_host(state, "a0", "za", 64);
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof(name), "b%d", i);
        plain_host(state, name, i % 2 == 0 ? "zb" : "zc", 6);
    }
    for (int i = 0; i < 20; i++) {
        snprintf(name, sizeof(name), "v%d", i);
        add_vm(state, (struct vm_spec){.name = name,
                                       .class = i % 3 == 0 ? "large" : "medium",
                                       .host = "a0"});
    }
    lose_zone(state, "za");
    first = plan(state);
    second = evacuation_create(state);
    while (!evacuation_work(second, 7)) {
    }
    a = evacuation_steps(first, &count);
    b = evacuation_steps(second, &count_again);
    assert_int_equal(count, count_again);
    assert_true(evacuation_unplaced(first) > 0);
    for (uint32_t i = 0; i < count; i++) {
        assert_int_equal(a[i].vm, b[i].vm);
        assert_int_equal(a[i].host, b[i].host);
        assert_int_equal(a[i].kind, b[i].kind);
    }
    evacuation_destroy(second);
    end(state, first);
}

static void run(struct state *state, const char *name)
{
    apply(state,
          (struct change){.kind = CHANGE_VM_REPORT,
                          .vm_report = {{uid_of(state, name)}, 1, VM_RUNNING}});
}

static uint32_t position(const struct state *state, const struct evacuation *it,
                         const char *vm)
{
    uint32_t count;
    const struct evacuation_step *steps = evacuation_steps(it, &count);

    return (uint32_t)(step_of(state, it, vm) - steps);
}

static void a_vm_that_runs_makes_room_before_who_needs_it(void **unused)
{
    struct state *state = region();
    struct evacuation *it;

    (void)unused;
    plain_host(state, "a0", "za", 8);
    plain_host(state, "b0", "zb", 4);
    plain_host(state, "c0", "zc", 2);
    add_vm(state,
           (struct vm_spec){.name = "big", .class = "large", .host = "a0"});
    add_vm(state,
           (struct vm_spec){.name = "small", .class = "small", .host = "b0"});
    run(state, "small");
    lose_zone(state, "za");
    it = plan(state);
    assert_string_equal(goes(state, it, "big"), "b0");
    assert_string_equal(goes(state, it, "small"), "c0");
    assert_int_equal(step_of(state, it, "small")->kind, EVACUATION_MOVE);
    assert_true(position(state, it, "small") < position(state, it, "big"));
    assert_int_equal(evacuation_unplaced(it), 0);
    end(state, it);
}

/* A full host with three preemptible VMs of priority 1, 2 and 3; a large one of
 * priority 5 was lost. */
static struct state *preemptible_region(uint32_t preempt_max)
{
    struct state *state = region();
    struct change policy = {.kind = CHANGE_POLICY};

    policy_init(&policy.policy.policy);
    policy.policy.policy.preempt_max = preempt_max;
    apply(state, policy);
    plain_host(state, "a0", "za", 4);
    plain_host(state, "b0", "zb", 6);
    add_vm(state,
           (struct vm_spec){
               .name = "lost", .class = "large", .host = "a0", .priority = 5});
    for (uint32_t i = 1; i <= 3; i++) {
        char name[8];

        snprintf(name, sizeof(name), "p%u", i);
        add_vm(state, (struct vm_spec){.name = name,
                                       .class = "medium",
                                       .host = "b0",
                                       .priority = i,
                                       .preemptible = true});
        run(state, name);
    }
    lose_zone(state, "za");
    return state;
}

static void the_fewest_and_lowest_are_preempted(void **unused)
{
    struct state *state = preemptible_region(4);
    struct evacuation *it = plan(state);

    (void)unused;
    assert_string_equal(goes(state, it, "lost"), "b0");
    assert_int_equal(step_of(state, it, "p1")->kind, EVACUATION_PREEMPT);
    assert_int_equal(step_of(state, it, "p2")->kind, EVACUATION_PREEMPT);
    assert_null(step_of(state, it, "p3"));
    assert_true(position(state, it, "p2") < position(state, it, "lost"));
    end(state, it);
}

static void no_more_are_preempted_than_the_policy_says(void **unused)
{
    struct state *state = preemptible_region(1);
    struct evacuation *it = plan(state);

    (void)unused;
    assert_string_equal(goes(state, it, "lost"), "none");
    assert_null(step_of(state, it, "p1"));
    end(state, it);
}

static void who_is_not_lower_is_never_preempted(void **unused)
{
    struct state *state = preemptible_region(4);
    struct evacuation *it;

    (void)unused;
    apply(state, (struct change){.kind = CHANGE_VM_UPDATE,
                                 .vm_update = {.vm = {uid_of(state, "p1")},
                                               .mask = VM_UPDATE_PRIORITY,
                                               .priority = 5}});
    apply(state, (struct change){.kind = CHANGE_VM_UPDATE,
                                 .vm_update = {.vm = {uid_of(state, "p2")},
                                               .mask = VM_UPDATE_PRIORITY,
                                               .priority = 6}});
    it = plan(state);
    assert_string_equal(goes(state, it, "lost"), "none");
    assert_null(step_of(state, it, "p3"));
    end(state, it);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_pending_gives_an_empty_plan),
        cmocka_unit_test(a_lost_zone_goes_to_the_others_by_their_load),
        cmocka_unit_test(priority_wins_the_last_room),
        cmocka_unit_test(steps_come_by_priority_then_size),
        cmocka_unit_test(a_host_starts_few_at_once_while_there_is_room),
        cmocka_unit_test(starting_few_at_once_gives_way_to_room),
        cmocka_unit_test(a_lost_host_is_restarted_in_its_zone),
        cmocka_unit_test(rules_of_hosts_are_kept),
        cmocka_unit_test(local_disks_bind_to_their_host),
        cmocka_unit_test(a_spread_group_stays_even),
        cmocka_unit_test(a_group_apart_leaves_what_has_no_zone),
        cmocka_unit_test(a_group_together_stays_together),
        cmocka_unit_test(strict_domains_and_hosts_are_kept),
        cmocka_unit_test(a_best_effort_rule_never_costs_a_place),
        cmocka_unit_test(reserved_room_is_for_what_was_lost),
        cmocka_unit_test(a_vm_that_runs_makes_room_before_who_needs_it),
        cmocka_unit_test(the_fewest_and_lowest_are_preempted),
        cmocka_unit_test(no_more_are_preempted_than_the_policy_says),
        cmocka_unit_test(who_is_not_lower_is_never_preempted),
        cmocka_unit_test(what_is_held_back_is_no_part_of_the_plan),
        cmocka_unit_test(the_same_state_gives_the_same_plan),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
