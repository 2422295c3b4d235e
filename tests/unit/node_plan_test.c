/* SPDX-License-Identifier: Apache-2.0
 *
 * Plans: what they show is what happens, and nothing happens by showing it. */
#include "tests/unit/node_plans.h"

static void create_vms(struct office *office, const char *class, uint32_t count)
{
    char name[16];

    for (uint32_t i = 0; i < count; i++) {
        snprintf(name, sizeof(name), "%s-%u", class, i);
        office_vm(office, class, name, i % 7, false);
    }
    settle(office);
}

/* --- Making --------------------------------------------------------------- */

static const struct plan *make(struct office *office,
                               const Holdfast__V1__PlanAction *action)
{
    static struct asking asking;

    ask(office, &asking, action);
    if (asking.job.result == NULL) {
        print_message("%s\n", asking.reply.message);
    }
    assert_non_null(asking.job.result);
    return asking.job.result;
}

static const struct plan *plan_zone_loss(struct office *office,
                                         const char *name)
{
    char copy[NAME_BYTES];
    char *zone = copy;
    Holdfast__V1__PlanZoneLoss loss = HOLDFAST__V1__PLAN_ZONE_LOSS__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    snprintf(copy, sizeof(copy), "%s", name);
    loss.zones = &zone;
    loss.n_zones = 1;
    action.action_case = ACTION(ZONE_LOSS);
    action.zone_loss = &loss;
    return make(office, &action);
}

static const struct plan *plan_drain_host(struct office *office,
                                          const char *name)
{
    char copy[NAME_BYTES];
    Holdfast__V1__PlanDrainHost drain = HOLDFAST__V1__PLAN_DRAIN_HOST__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    snprintf(copy, sizeof(copy), "%s", name);
    drain.name = copy;
    action.action_case = ACTION(DRAIN_HOST);
    action.drain_host = &drain;
    return make(office, &action);
}

static const struct plan *plan_scale(struct office *office, const char *name,
                                     uint32_t count)
{
    char copy[NAME_BYTES];
    Holdfast__V1__PlanScaleGroup scale = HOLDFAST__V1__PLAN_SCALE_GROUP__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    snprintf(copy, sizeof(copy), "%s", name);
    scale.name = copy;
    scale.count = count;
    action.action_case = ACTION(SCALE_GROUP);
    action.scale_group = &scale;
    return make(office, &action);
}

/* A group's rules, as UpdateGroup takes them. */
struct rules {
    Holdfast__V1__ZoneRule zone_rule;
    Holdfast__V1__RuleMode zone_mode;
    uint32_t host_max; /* STRICT; 0: no such rule. */
    const char *zone;  /* The only one; NULL: all. */
};

static const struct plan *plan_rules(struct office *office, const char *name,
                                     struct rules rules)
{
    char texts[][16] = {"zone_rule", "zone_mode", "host_mode", "host_max",
                        "zones"};
    char *mask[] = {texts[0], texts[1], texts[2], texts[3], texts[4]};
    char copy[NAME_BYTES];
    char zone[NAME_BYTES];
    char *zones = zone;
    Holdfast__V1__Group group = HOLDFAST__V1__GROUP__INIT;
    Holdfast__V1__PlanUpdateGroup update =
        HOLDFAST__V1__PLAN_UPDATE_GROUP__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    snprintf(copy, sizeof(copy), "%s", name);
    group.name = copy;
    group.zone_rule = rules.zone_rule;
    group.zone_mode = rules.zone_mode;
    if (rules.host_max > 0) {
        group.host_mode = HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT;
        group.host_max = rules.host_max;
    }
    if (rules.zone != NULL) {
        snprintf(zone, sizeof(zone), "%s", rules.zone);
        group.zones = &zones;
        group.n_zones = 1;
    }
    update.group = &group;
    update.update_mask = mask;
    update.n_update_mask = ARRAY_LEN(mask);
    action.action_case = ACTION(UPDATE_GROUP);
    action.update_group = &update;
    return make(office, &action);
}

/* --- Applying ------------------------------------------------------------- */

static void assert_happened(const struct office *office,
                            const struct shown *shown, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        const struct vm *vm = office_vm_named(office, shown[i].vm);

        if (shown[i].kind == PLAN_DELETE) {
            assert_null(vm);
            continue;
        }
        assert_non_null(vm);
        assert_true(vm->host != SLOT_NONE);
        assert_string_equal(state_host_at(office->state, vm->host)->name,
                            shown[i].to_host);
    }
}

/* --- Tests ---------------------------------------------------------------- */

static void a_plan_changes_nothing(void **unused)
{
    struct office *office = opened(3, 9, 40);
    uint64_t hash;

    (void)unused;
    create_vms(office, "c", 100);
    hash = state_hash(office->state);
    assert_true(plan_zone_loss(office, "z0")->step_count > 30);
    assert_true(plan_drain_host(office, "h-1")->step_count > 5);
    assert_int_equal(state_hash(office->state), hash);
    assert_false(office_turn(office));
    closed(office);
}

static void lose_zone(struct office *office, uint32_t zone)
{
    struct change change = {.kind = CHANGE_ZONE_STATE};

    change.zone_state = (struct change_zone_state){
        {state_zone_at(office->state, zone)->uid}, ZONE_LOST};
    office_apply(office, &change);
    for (uint32_t slot = 0; slot < state_host_slots(office->state); slot++) {
        if (state_host_at(office->state, slot)->zone == zone) {
            office_fence(office, slot);
        }
    }
}

static void a_loss_is_planned_as_failover_does_it(void **unused)
{
    static const uint32_t counts[] = {100, 3600};

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        struct office *office = opened(3, 9, counts[i] / 5);
        const struct plan *plan;
        struct shown *shown;
        uint32_t count;

        create_vms(office, "c", counts[i]);
        plan = plan_zone_loss(office, "z1");
        count = plan->step_count;
        assert_int_equal(plan->counts[PLAN_RESTART], count);
        assert_int_equal(count, state_zone_at(office->state, 1)->vm_count);
        assert_false(plan->applicable);
        assert_int_equal(plan->lacks[PLAN_UNPLACED].count, 0);
        assert_int_equal(plan->zones[1].vms_after, 0);
        assert_true(plan->downtime_max_ms >=
                    state_settings(office->state)->lease_wait_ms);
        shown = keep_shown(plan);
        assert_string_equal(apply(office, plan->id, false),
                            "PLAN_NOT_APPLICABLE");
        lose_zone(office, 1);
        office_run(office, 100);
        assert_happened(office, shown, count);
        free(shown);
        closed(office);
    }
}

static void plan_applied_equals_plan_shown(void **unused)
{
    struct office *office = opened(3, 9, 40);
    const struct plan *plan;
    struct shown *shown;
    uint32_t count;

    (void)unused;
    create_vms(office, "c", 200);
    plan = plan_drain_host(office, "h-4");
    count = plan->step_count;
    assert_true(plan->applicable);
    assert_int_equal(count, office_host_named(office, "h-4")->vm_count);
    shown = keep_shown(plan);
    assert_null(apply(office, plan->id, true)); /* Dry. */
    assert_false(office_host_named(office, "h-4")->draining);
    assert_null(apply(office, plan->id, false));
    assert_true(office_host_named(office, "h-4")->draining);
    assert_int_equal(state_counts(office->state)->vms_claiming, count);
    settle(office);
    assert_int_equal(office_host_named(office, "h-4")->vm_count, 0);
    assert_int_equal(office_count(office, VM_RUNNING), 200);
    assert_happened(office, shown, count);
    free(shown);
    closed(office);
}

static void what_a_plan_drains_stays_when_the_drain_is_cancelled(void **unused)
{
    struct office *office = opened(3, 9, 40);
    struct change change = {.kind = CHANGE_HOST_DRAIN};
    uint32_t before;

    (void)unused;
    create_vms(office, "c", 200);
    before = office_host_named(office, "h-4")->vm_count;
    assert_null(apply(office, plan_drain_host(office, "h-4")->id, false));
    assert_int_equal(state_counts(office->state)->vms_claiming, before);
    change.host_drain =
        (struct change_host_drain){{office_host_named(office, "h-4")->uid},
                                   false,
                                   0,
                                   1,
                                   DRAIN_END_CANCELLED,
                                   false};
    office_apply(office, &change);
    settle(office);
    assert_int_equal(state_counts(office->state)->vms_claiming, 0);
    assert_int_equal(office_host_named(office, "h-4")->vm_count, before);
    closed(office);
}

static void apart(struct group_fields *fields)
{
    fields->zone_rule = ZONE_RULE_APART;
    fields->zone_mode = RULE_MODE_STRICT;
    fields->count = 5;
}

/* The fifth of them waits for a zone, and one that is between two hosts of a
 * zone is still there. */
static void a_pending_member_takes_no_zone_from_one_that_moves(void **unused)
{
    struct office *office = opened(4, 8, 40);
    struct group_id id = office_group(office, "c", "g", 0);

    (void)unused;
    office_group_update(office, id, apart, false);
    settle(office);
    assert_int_equal(office_count(office, VM_RUNNING), 4);
    for (uint32_t i = 0; i < 4; i++) {
        const struct host *from;
        const struct vm *vm;
        struct shown *shown;
        const struct plan *plan;
        uint32_t count;
        char name[8];

        snprintf(name, sizeof(name), "g-%u", i);
        vm = office_vm_named(office, name);
        from = state_host_at(office->state, vm->host);
        plan = plan_drain_host(office, from->name);
        count = plan->step_count;
        shown = keep_shown(plan);
        assert_int_equal(count, 1);
        assert_null(apply(office, plan->id, false));
        settle(office);
        assert_happened(office, shown, count);
        free(shown);
    }
    assert_int_equal(office_count(office, VM_RUNNING), 4);
    closed(office);
}

static void a_scaled_group_gets_the_members_that_were_shown(void **unused)
{
    static const uint32_t counts[] = {40, 12};
    struct office *office = opened(3, 9, 40);
    struct group_id id = office_group(office, "c", "web", 20);

    (void)unused;
    settle(office);
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        const struct plan *plan = plan_scale(office, "web", counts[i]);
        struct shown *shown = keep_shown(plan);
        uint32_t count = plan->step_count;

        assert_int_equal(count, i == 0 ? 20 : 28);
        assert_null(apply(office, plan->id, false));
        settle(office);
        assert_int_equal(state_group(office->state, id)->vm_count, counts[i]);
        assert_int_equal(state_group(office->state, id)->next_member, 40);
        assert_happened(office, shown, count);
        free(shown);
    }
    closed(office);
}

#define SPREAD   HOLDFAST__V1__ZONE_RULE__ZONE_RULE_SPREAD
#define TOGETHER HOLDFAST__V1__ZONE_RULE__ZONE_RULE_TOGETHER
#define ANY      HOLDFAST__V1__ZONE_RULE__ZONE_RULE_ANY
#define STRICT   HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT
#define WISH     HOLDFAST__V1__RULE_MODE__RULE_MODE_BEST_EFFORT

/* The plan for these rules shows so many moves, and is what happens. */
static void regroup(struct office *office, struct rules rules, uint32_t moves)
{
    const struct plan *plan = plan_rules(office, "web", rules);
    struct shown *shown = keep_shown(plan);
    uint32_t count = plan->step_count;

    assert_int_equal(plan->counts[PLAN_MOVE], moves);
    assert_int_equal(count, moves);
    assert_int_equal(plan->warning_count, 0);
    assert_null(apply(office, plan->id, false));
    settle(office);
    assert_happened(office, shown, count);
    free(shown);
    /* And then there is nothing left to do. */
    assert_int_equal(plan_rules(office, "web", rules)->step_count, 0);
}

static void members_that_break_the_groups_new_rules_are_moved(void **unused)
{
    struct office *office = opened(3, 9, 40);
    struct group_id id = office_group(office, "c", "web", 9);
    const uint32_t *members;

    (void)unused;
    settle(office);
    members = state_group(office->state, id)->zone_counts;
    assert_int_equal(members[0] + members[1] + members[2], 9);
    regroup(office, (struct rules){TOGETHER, STRICT, 0, NULL}, 6);
    regroup(office, (struct rules){SPREAD, STRICT, 0, NULL}, 6);
    for (uint32_t zone = 0; zone < 3; zone++) {
        assert_int_equal(state_group(office->state, id)->zone_counts[zone], 3);
    }
    regroup(office, (struct rules){ANY, WISH, 0, "z1"}, 6);
    assert_int_equal(state_group(office->state, id)->zone_counts[1], 9);
    regroup(office, (struct rules){SPREAD, WISH, 0, NULL}, 6);
    closed(office);
}

static void members_leave_a_host_that_has_too_many(void **unused)
{
    struct office *office = opened(3, 18, 40);
    uint32_t moves = 0;

    (void)unused;
    office_group(office, "c", "web", 9);
    settle(office);
    for (uint32_t i = 0; i < 18; i++) {
        uint32_t count = state_host_at(office->state, i)->vm_count;

        moves += count > 1 ? count - 1 : 0;
    }
    /* Zones are packed. */
    assert_int_equal(moves, 6);
    regroup(office, (struct rules){SPREAD, STRICT, 1, NULL}, moves);
    for (uint32_t i = 0; i < 18; i++) {
        assert_true(state_host_at(office->state, i)->vm_count <= 1);
    }
    closed(office);
}

/* More than one slice of the planner decides: each knows of the former ones. */
static void large_groups_are_moved_as_few_times_as_it_takes(void **unused)
{
    struct office *office = opened(3, 9, 400);
    struct group_id id = office_group(office, "c", "web", 900);
    const struct plan *plan;
    uint32_t to_zone[3] = {0};

    (void)unused;
    settle(office);
    office_group_update(office, id, NULL, false);
    plan = plan_rules(office, "web", (struct rules){TOGETHER, STRICT, 0, NULL});
    assert_int_equal(plan->counts[PLAN_MOVE], 600);
    plan = plan_rules(office, "web", (struct rules){ANY, WISH, 0, "z1"});
    assert_int_equal(plan->counts[PLAN_MOVE], 600);
    assert_null(apply(office, plan->id, false));
    for (int i = 0; i < 40; i++) {
        settle(office);
    }
    assert_int_equal(state_group(office->state, id)->zone_counts[1], 900);
    plan = plan_rules(office, "web", (struct rules){SPREAD, STRICT, 0, NULL});
    assert_int_equal(plan->counts[PLAN_MOVE], 600);
    for (uint32_t i = 0; i < plan->step_count; i++) {
        to_zone[plan_text(plan, plan->steps[i].to_zone)[1] - '0']++;
    }
    assert_int_equal(to_zone[0], 300);
    assert_int_equal(to_zone[2], 300);
    closed(office);
}

static void members_without_a_better_place_are_told_of(void **unused)
{
    struct office *office = opened(3, 3, 4);
    const struct plan *plan;

    (void)unused;
    office_group(office, "c", "web", 9);
    settle(office);
    /* One more fits beside the three in a zone. */
    plan = plan_rules(office, "web", (struct rules){TOGETHER, STRICT, 0, NULL});
    assert_int_equal(plan->counts[PLAN_MOVE], 1);
    assert_true(plan->warning_count > 0);
    assert_non_null(strstr(plan_text(plan, plan->warnings[0]),
                           "5 members of group 'web' break its rules"));
    closed(office);
}

static const struct plan *plan_rebalance(struct office *office)
{
    Holdfast__V1__PlanRebalance rebalance = HOLDFAST__V1__PLAN_REBALANCE__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;

    action.action_case = ACTION(REBALANCE);
    action.rebalance = &rebalance;
    return make(office, &action);
}

static void vms_that_came_lately_rest_and_the_plan_says_so(void **unused)
{
    struct office *office = opened(1, 3, 12);
    const struct plan *plan;

    (void)unused;
    create_vms(office, "c", 24);
    office_zone(office, "z1");
    office_host(office, "z1", "late", 36);
    plan = plan_rebalance(office);
    assert_int_equal(plan->step_count, 0);
    assert_int_equal(plan->warning_count, 1);
    assert_non_null(strstr(plan_text(plan, plan->warnings[0]),
                           "24 VMs where too much is came there less than 600 "
                           "s ago"));
    office->now_ms += state_policy(office->state)->vm_cool_down_ms;
    plan = plan_rebalance(office);
    assert_true(plan->step_count > 6);
    assert_int_equal(plan->warning_count, 0);
    closed(office);
}

static void plan_is_refused_when_the_state_moved_on(void **unused)
{
    struct office *office = opened(3, 9, 40);
    const struct plan *plan;
    uint64_t revision;

    (void)unused;
    create_vms(office, "c", 200);
    plan = plan_drain_host(office, "h-4");
    office_vm(office, "c", "other", 0, false);
    office_run(office, 10);
    revision = state_revision(office->state);
    assert_string_equal(apply(office, plan->id, false), "PLAN_STALE");
    assert_int_equal(state_revision(office->state), revision);
    assert_string_equal(apply(office, "p0-0", false), "PLAN_NOT_FOUND");
    /* What hosts report is no reason. */
    office_hosts_obey(office);
    plan = plan_drain_host(office, "h-4");
    for (uint32_t slot = 0; slot < 20; slot++) {
        struct change change = {.kind = CHANGE_VM_REPORT};
        const struct vm *vm = state_vm_at(office->state, slot);

        change.vm_report =
            (struct change_vm_report){{vm->uid}, vm->epoch, VM_RUNNING};
        office_apply(office, &change);
    }
    assert_null(apply(office, plan->id, false));
    /* And it is stale once it is applied. */
    assert_string_equal(apply(office, plan->id, false), "PLAN_STALE");
    closed(office);
}

static void what_has_no_place_is_explained(void **unused)
{
    struct office *office = opened(3, 9, 12);
    const struct plan *plan;

    (void)unused;
    create_vms(office, "big", 9);
    plan = plan_zone_loss(office, "z0");
    assert_int_equal(plan->step_count, 0);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].count, 3);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].vms[0].reason,
                     PENDING_NO_CAPACITY);
    assert_true(strlen(plan_text(
                    plan, plan->lacks[PLAN_UNPLACED].vms[0].message)) > 20);
    assert_true(plan_has_changes(plan));
    closed(office);
}

static void hosts_that_are_not_there_take_what_waits(void **unused)
{
    struct office *office = opened(1, 1, 4);
    Holdfast__V1__PlanAddHosts add = HOLDFAST__V1__PLAN_ADD_HOSTS__INIT;
    Holdfast__V1__Resources capacity = HOLDFAST__V1__RESOURCES__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    const struct plan *plan;
    char zone[] = "z0";

    (void)unused;
    create_vms(office, "c", 10);
    assert_int_equal(office_count(office, VM_PENDING), 6);
    capacity.cpu_milli = 2000;
    capacity.memory_mib = 8192;
    add.zone = zone;
    add.count = 2;
    add.capacity = &capacity;
    action.action_case = ACTION(ADD_HOSTS);
    action.add_hosts = &add;
    plan = make(office, &action);
    assert_int_equal(plan->counts[PLAN_START], 4);
    assert_int_equal(plan->lacks[PLAN_UNPLACED].count, 0);
    assert_int_equal(plan->lacks[PLAN_WAITING].count, 2);
    assert_false(plan->applicable);
    assert_true(plan_has_changes(plan));
    assert_int_equal(state_counts(office->state)->hosts, 1);
    /* Without anything that waits there is more room all the same. */
    add.count = 1;
    capacity.cpu_milli = 100;
    plan = make(office, &action);
    assert_int_equal(plan->step_count, 0);
    assert_true(plan_has_changes(plan));
    closed(office);
}

static void a_wrong_action_is_refused_by_its_field(void **unused)
{
    struct office *office = opened(1, 1, 4);
    Holdfast__V1__PlanZoneLoss loss = HOLDFAST__V1__PLAN_ZONE_LOSS__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    struct asking asking;
    char name[] = "nowhere";
    char *zone = name;

    (void)unused;
    loss.zones = &zone;
    loss.n_zones = 1;
    action.action_case = ACTION(ZONE_LOSS);
    action.zone_loss = &loss;
    ask(office, &asking, &action);
    assert_null(asking.job.result);
    assert_string_equal(asking.reply.reason, "ZONE_NOT_FOUND");
    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION__NOT_SET;
    ask(office, &asking, &action);
    assert_string_equal(asking.reply.reason, "INVALID_FIELD");
    closed(office);
}

static void the_last_plans_are_kept_for_ten_minutes(void **unused)
{
    struct office *office = opened(3, 9, 40);
    char first[PLAN_ID_BYTES];

    (void)unused;
    create_vms(office, "c", 10);
    snprintf(first, sizeof(first), "%s", plan_zone_loss(office, "z0")->id);
    for (int i = 1; i < PLANS_KEPT_MAX; i++) {
        plan_zone_loss(office, "z1");
    }
    assert_non_null(plan_book_find(&book, first, office->now_ms));
    plan_zone_loss(office, "z1");
    assert_null(plan_book_find(&book, first, office->now_ms));
    assert_int_equal(book.count, PLANS_KEPT_MAX);
    assert_null(plan_book_find(&book, "", office->now_ms + PLAN_KEPT_MS));
    assert_int_equal(book.count, 0);
    closed(office);
}

static void jobs_end_with_the_leadership(void **unused)
{
    struct office *office = opened(3, 9, 40);
    Holdfast__V1__PlanRebalance rebalance = HOLDFAST__V1__PLAN_REBALANCE__INIT;
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    struct asking askings[PLAN_JOBS_MAX + 1];
    struct plan_slice slice = {.start = {.state = office->state}};

    (void)unused;
    action.action_case = ACTION(REBALANCE);
    action.rebalance = &rebalance;
    for (int i = 0; i <= PLAN_JOBS_MAX; i++) {
        askings[i] = (struct asking){.job = {.action = &action,
                                             .reply = &askings[i].reply,
                                             .answer = take_answer,
                                             .done = job_done}};
        api_reply_init(&askings[i].reply);
        assert_int_equal(plan_book_submit(&book, &askings[i].job),
                         i < PLAN_JOBS_MAX ? 0 : HF_ERROR_BUSY);
    }
    plan_book_work(&book, &slice);
    plan_book_cancel(&book, &askings[1].job);
    plan_book_drop(&book);
    for (int i = 0; i < PLAN_JOBS_MAX; i++) {
        assert_int_equal(askings[i].done, i != 1);
        assert_int_equal(askings[i].status, i == 1 ? 0 : HF_ERROR_NOT_LEADER);
        api_reply_close(&askings[i].reply);
    }
    closed(office);
}

static void capacity_counts_what_fits_with_any_zone_lost(void **unused)
{
    struct office *office = opened(3, 9, 12);
    struct asking asking = {.job = {.answer = take_answer, .done = job_done}};

    (void)unused;
    create_vms(office, "big", 3); /* One in each zone. */
    asking.job.reply = &asking.reply;
    /* One that was deleted while the question waited is left out. */
    asking.job.classes = memory_alloc_array(3, sizeof(*asking.job.classes));
    asking.job.classes[0].uid = state_class_at(office->state, 0)->uid;
    asking.job.classes[1].uid = UINT64_C(7) << 32;
    asking.job.classes[2].uid = state_class_at(office->state, 1)->uid;
    asking.job.class_count = 3;
    api_reply_init(&asking.reply);
    assert_int_equal(plan_book_submit(&book, &asking.job), 0);
    work(office);
    assert_int_equal(asking.done, 1);
    /* Nine hosts of 12; three have 4 left. */
    assert_int_equal(asking.free[0], 6 * 12 + 3 * 4);
    assert_int_equal(asking.free[1], 6);
    /* Six hosts are left then, three of them with a big one. */
    assert_int_equal(asking.without[0], 3 * 12 + 3 * 4);
    assert_int_equal(asking.without[1], 3);
    assert_int_equal(asking.safe[0], 3 * 12 + 3 * 4);
    assert_int_equal(asking.safe[1], 3);
    api_reply_close(&asking.reply);
    closed(office);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plan_changes_nothing),
        cmocka_unit_test(a_loss_is_planned_as_failover_does_it),
        cmocka_unit_test(plan_applied_equals_plan_shown),
        cmocka_unit_test(what_a_plan_drains_stays_when_the_drain_is_cancelled),
        cmocka_unit_test(a_pending_member_takes_no_zone_from_one_that_moves),
        cmocka_unit_test(a_scaled_group_gets_the_members_that_were_shown),
        cmocka_unit_test(members_that_break_the_groups_new_rules_are_moved),
        cmocka_unit_test(members_leave_a_host_that_has_too_many),
        cmocka_unit_test(large_groups_are_moved_as_few_times_as_it_takes),
        cmocka_unit_test(members_without_a_better_place_are_told_of),
        cmocka_unit_test(vms_that_came_lately_rest_and_the_plan_says_so),
        cmocka_unit_test(plan_is_refused_when_the_state_moved_on),
        cmocka_unit_test(what_has_no_place_is_explained),
        cmocka_unit_test(hosts_that_are_not_there_take_what_waits),
        cmocka_unit_test(a_wrong_action_is_refused_by_its_field),
        cmocka_unit_test(the_last_plans_are_kept_for_ten_minutes),
        cmocka_unit_test(jobs_end_with_the_leadership),
        cmocka_unit_test(capacity_counts_what_fits_with_any_zone_lost),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
