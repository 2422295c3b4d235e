/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan in one sentence. */
#include "base/container.h"
#include "ctl/plan_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static char name_1[] = "z1";
static char name_2[] = "z2";
static char name_3[] = "z3";
static char *names[] = {name_1, name_2, name_3, name_1, name_2};

struct row {
    const char *sentence;
    unsigned action;
    size_t name_count;
    uint32_t moves;
    uint32_t restarts;
    uint32_t starts;
    uint32_t preempts;
    uint32_t creates;
    uint32_t deletes;
    uint32_t unplaced;
    uint32_t longest_ms;
    uint32_t median_ms;
    uint32_t gained[3]; /* VMs of z1, z2, z3 afterwards; there were 5. */
};

#define ACTION(name) HOLDFAST__V1__PLAN_ACTION__ACTION_##name

static const struct row rows[] = {
    {.action = ACTION(ZONE_LOSS),
     .name_count = 1,
     .restarts = 41,
     .longest_ms = 7200,
     .median_ms = 6000,
     .gained = {30, 0, 30},
     .sentence = "Losing zone z1: 41 VMs restart in z1 and z3, none without a "
                 "place; the last runs again after about 7.2 s."},
    {.action = ACTION(ZONE_LOSS),
     .name_count = 2,
     .restarts = 1,
     .unplaced = 3,
     .preempts = 2,
     .longest_ms = 31400,
     .median_ms = 31400,
     .gained = {0, 0, 6},
     .sentence = "Losing zones z1 and z2: 1 VM restarts in z3, 2 preemptible "
                 "VMs are stopped for others, 3 VMs without a place; the last "
                 "runs again after about 31 s."},
    {.action = ACTION(ZONE_LOSS),
     .name_count = 3,
     .gained = {5, 5, 5},
     .sentence = "Losing zones z1, z2 and z3: nothing would happen."},
    {.action = ACTION(HOST_LOSS),
     .name_count = 5,
     .unplaced = 1,
     .gained = {4, 5, 5},
     .sentence = "Losing 5 hosts: 1 VM without a place."},
    {.action = ACTION(DRAIN_HOST),
     .moves = 4,
     .unplaced = 1,
     .longest_ms = 4000,
     .median_ms = 2100,
     .gained = {5, 9, 5},
     .sentence = "Draining host z1: 4 VMs move to z2, 1 VM cannot "
                 "leave; each is down for about 2.1 s, at most 4.0 s."},
    {.action = ACTION(DRAIN_ZONE),
     .moves = 1,
     .unplaced = 2,
     .longest_ms = 150000,
     .median_ms = 150000,
     .gained = {5, 5, 5},
     .sentence = "Draining zone z1: 1 VM moves, 2 VMs cannot leave; "
                 "down for about 2m30s."},
    {.action = ACTION(SCALE_GROUP),
     .creates = 3,
     .unplaced = 1,
     .gained = {5, 5, 5},
     .sentence = "Scaling group z1 to 12: 3 VMs are created, 1 VM without a "
                 "place."},
    {.action = ACTION(SCALE_GROUP),
     .deletes = 1,
     .gained = {5, 5, 5},
     .sentence = "Scaling group z1 to 12: 1 VM is deleted."},
    {.action = ACTION(ADD_HOSTS),
     .starts = 2,
     .gained = {5, 5, 5},
     .sentence = "Adding 4 hosts to zone z1: 2 VMs start."},
    {.action = ACTION(REBALANCE),
     .gained = {5, 5, 5},
     .sentence = "Rebalancing: nothing would happen."},
};

struct made {
    Holdfast__V1__Plan plan;
    Holdfast__V1__PlanTotals totals;
    Holdfast__V1__PlanAction action;
    Holdfast__V1__PlanZone zones[3];
    Holdfast__V1__PlanZone *zone_list[3];
    Holdfast__V1__PlanZoneLoss zone_loss;
    Holdfast__V1__PlanHostLoss host_loss;
    Holdfast__V1__PlanDrainHost drain_host;
    Holdfast__V1__PlanDrainZone drain_zone;
    Holdfast__V1__PlanAddHosts add_hosts;
    Holdfast__V1__PlanScaleGroup scale_group;
    Holdfast__V1__PlanRebalance rebalance;
};

static void make_action(struct made *made, const struct row *row)
{
    holdfast__v1__plan_action__init(&made->action);
    holdfast__v1__plan_zone_loss__init(&made->zone_loss);
    holdfast__v1__plan_host_loss__init(&made->host_loss);
    holdfast__v1__plan_drain_host__init(&made->drain_host);
    holdfast__v1__plan_drain_zone__init(&made->drain_zone);
    holdfast__v1__plan_add_hosts__init(&made->add_hosts);
    holdfast__v1__plan_scale_group__init(&made->scale_group);
    holdfast__v1__plan_rebalance__init(&made->rebalance);
    made->zone_loss.zones = names;
    made->zone_loss.n_zones = row->name_count;
    made->host_loss.hosts = names;
    made->host_loss.n_hosts = row->name_count;
    made->drain_host.name = name_1;
    made->drain_zone.name = name_1;
    made->add_hosts.zone = name_1;
    made->add_hosts.count = 4;
    made->scale_group.name = name_1;
    made->scale_group.count = 12;
    made->action.action_case =
        (Holdfast__V1__PlanAction__ActionCase)row->action;
    switch (made->action.action_case) {
    case ACTION(ZONE_LOSS):
        made->action.zone_loss = &made->zone_loss;
        break;
    case ACTION(HOST_LOSS):
        made->action.host_loss = &made->host_loss;
        break;
    case ACTION(DRAIN_HOST):
        made->action.drain_host = &made->drain_host;
        break;
    case ACTION(DRAIN_ZONE):
        made->action.drain_zone = &made->drain_zone;
        break;
    case ACTION(ADD_HOSTS):
        made->action.add_hosts = &made->add_hosts;
        break;
    case ACTION(SCALE_GROUP):
        made->action.scale_group = &made->scale_group;
        break;
    default:
        made->action.rebalance = &made->rebalance;
        break;
    }
}

static void make_plan(struct made *made, const struct row *row)
{
    make_action(made, row);
    holdfast__v1__plan__init(&made->plan);
    holdfast__v1__plan_totals__init(&made->totals);
    made->plan.action = &made->action;
    made->plan.totals = &made->totals;
    made->plan.zones = made->zone_list;
    made->plan.n_zones = 3;
    for (size_t i = 0; i < 3; i++) {
        holdfast__v1__plan_zone__init(&made->zones[i]);
        made->zones[i].zone = names[i];
        made->zones[i].vm_count_before = 5;
        made->zones[i].vm_count_after = row->gained[i];
        made->zone_list[i] = &made->zones[i];
    }
    made->totals.moves = row->moves;
    made->totals.restarts = row->restarts;
    made->totals.starts = row->starts;
    made->totals.preempts = row->preempts;
    made->totals.creates = row->creates;
    made->totals.deletes = row->deletes;
    made->totals.unplaced = row->unplaced;
    made->totals.downtime_max_ms = row->longest_ms;
    made->totals.downtime_median_ms = row->median_ms;
}

static void each_plan_is_one_sentence(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct made made;
        char text[1024];

        make_plan(&made, &rows[i]);
        plan_text_headline(&made.plan, text, sizeof(text));
        assert_string_equal(text, rows[i].sentence);
    }
}

static void a_sentence_that_is_too_long_is_cut(void **unused)
{
    struct made made;
    char text[16];

    (void)unused;
    make_plan(&made, &rows[0]);
    plan_text_headline(&made.plan, text, sizeof(text));
    assert_string_equal(text, "Losing zone z1:");
}

static void an_answer_without_totals_is_told_as_empty(void **unused)
{
    Holdfast__V1__Plan plan = HOLDFAST__V1__PLAN__INIT;
    char text[64];

    (void)unused;
    plan_text_headline(&plan, text, sizeof(text));
    assert_string_equal(text, "The plan is empty.");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_plan_is_one_sentence),
        cmocka_unit_test(a_sentence_that_is_too_long_is_cut),
        cmocka_unit_test(an_answer_without_totals_is_told_as_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
