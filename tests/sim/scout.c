/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/scout.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "tests/sim/check_plans.h"
#include "tests/sim/groups.h"
#include "tests/sim/host.h"
#include "tests/sim/operator.h"
#include "tests/sim/terrain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>

void sim_scout_close(struct sim_scout *scout)
{
    if (scout->shown != NULL) {
        holdfast__v1__make_plan_response__free_unpacked(scout->shown, NULL);
    }
    scout->shown = NULL;
}

/* --- What it is told ------------------------------------------------------ */

static void told_of_plan(struct sim_client *client, const struct sim_told *told)
{
    struct sim_scout *scout = sim_client_scout(client);
    size_t len;
    uint8_t *packed;

    sim_scout_close(scout);
    if (told->response == NULL) {
        return;
    }
    len = protobuf_c_message_get_packed_size(told->response);
    packed = memory_alloc(len + 1);
    protobuf_c_message_pack(told->response, packed);
    scout->shown = holdfast__v1__make_plan_response__unpack(NULL, len, packed);
    free(packed);
    CHECK(scout->shown != NULL);
    sim_check_plan(sim_client_world(client), scout->shown);
}

static void told_again(struct sim_client *client, const struct sim_told *told)
{
    if (told->response != NULL) {
        sim_check_same_plan(sim_client_world(client),
                            sim_client_scout(client)->shown,
                            (const void *)told->response);
    }
}

static void told_of_apply(struct sim_client *client,
                          const struct sim_told *told)
{
    struct sim_scout *scout = sim_client_scout(client);
    const Holdfast__V1__PlanAction *action = scout->shown->plan->action;
    bool refused = told->known && told->response == NULL;

    if (told->response != NULL) {
        sim_client_world(client)->figures.plans_applied++;
    }
    if (!refused &&
        action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_SCALE_GROUP) {
        sim_groups_scaled(client, action->scale_group->name,
                          action->scale_group->count, told->known);
    }
    sim_scout_close(scout);
}

/* --- What it asks --------------------------------------------------------- */

static void make(struct sim_client *client, Holdfast__V1__PlanAction *action)
{
    Holdfast__V1__MakePlanRequest request =
        HOLDFAST__V1__MAKE_PLAN_REQUEST__INIT;

    request.action = action;
    request.page_size = 10000;
    sim_client_world(client)->figures.plans++;
    sim_client_ask_told(client, "MakePlan", &request.base, told_of_plan);
}

void sim_scout_asks_loss(struct sim_client *client, uint32_t zone)
{
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanZoneLoss loss = HOLDFAST__V1__PLAN_ZONE_LOSS__INIT;
    char name[SIM_NAME_ROOM];
    char *zones[] = {name};

    (void)snprintf(name, sizeof(name), "%s",
                   sim_zone_name(sim_client_world(client), zone));
    loss.zones = zones;
    loss.n_zones = 1;
    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS;
    action.zone_loss = &loss;
    make(client, &action);
}

static void plan_host_loss(struct sim_client *client, char *host)
{
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanHostLoss loss = HOLDFAST__V1__PLAN_HOST_LOSS__INIT;
    char *hosts[] = {host};

    loss.hosts = hosts;
    loss.n_hosts = 1;
    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_HOST_LOSS;
    action.host_loss = &loss;
    make(client, &action);
}

static void plan_drain(struct sim_client *client, char *host, char *zone)
{
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanDrainHost of_host = HOLDFAST__V1__PLAN_DRAIN_HOST__INIT;
    Holdfast__V1__PlanDrainZone of_zone = HOLDFAST__V1__PLAN_DRAIN_ZONE__INIT;
    Holdfast__V1__PlanRemoveHosts removal =
        HOLDFAST__V1__PLAN_REMOVE_HOSTS__INIT;
    char *hosts[] = {host};

    of_host.name = host;
    of_zone.name = zone;
    removal.hosts = hosts;
    removal.n_hosts = 1;
    switch (sim_below(sim_client_world(client), 4)) {
    case 0:
        action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_DRAIN_ZONE;
        action.drain_zone = &of_zone;
        break;
    case 1:
        action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_REMOVE_HOSTS;
        action.remove_hosts = &removal;
        break;
    default:
        action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_DRAIN_HOST;
        action.drain_host = &of_host;
        break;
    }
    make(client, &action);
}

static void plan_rebalance(struct sim_client *client)
{
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanRebalance rebalance = HOLDFAST__V1__PLAN_REBALANCE__INIT;

    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_REBALANCE;
    action.rebalance = &rebalance;
    make(client, &action);
}

static void plan_scale(struct sim_client *client, char *group)
{
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanScaleGroup scale = HOLDFAST__V1__PLAN_SCALE_GROUP__INIT;

    scale.name = group;
    scale.count = (uint32_t)sim_below(sim_client_world(client), 8);
    action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_SCALE_GROUP;
    action.scale_group = &scale;
    make(client, &action);
}

/* What if there were more hosts, or a class of another size? */
static void plan_what_if(struct sim_client *client, char *zone)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__PlanAction action = HOLDFAST__V1__PLAN_ACTION__INIT;
    Holdfast__V1__PlanAddHosts add = HOLDFAST__V1__PLAN_ADD_HOSTS__INIT;
    Holdfast__V1__PlanUpdateClass update =
        HOLDFAST__V1__PLAN_UPDATE_CLASS__INIT;
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    char field[] = "resources";
    char *mask[] = {field};
    char name[16];

    resources.cpu_milli = 1000 * (uint32_t)sim_between(world, 1, 16);
    resources.memory_mib = 1024 * (uint32_t)sim_between(world, 1, 16);
    resources.disk_gib = (uint32_t)sim_below(world, 100);
    if (sim_chance(world, 600)) {
        add.zone = zone;
        add.count = (uint32_t)sim_between(world, 1, 3);
        add.capacity = &resources;
        action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_ADD_HOSTS;
        action.add_hosts = &add;
    } else {
        (void)snprintf(name, sizeof(name), "%s",
                       sim_classes[sim_below(world, SIM_CLASSES)].name);
        class.name = name;
        class.resources = &resources;
        update.vm_class = &class;
        update.update_mask = mask;
        update.n_update_mask = 1;
        action.action_case = HOLDFAST__V1__PLAN_ACTION__ACTION_UPDATE_CLASS;
        action.update_class = &update;
    }
    make(client, &action);
}

static void ask_capacity(struct sim_client *client)
{
    Holdfast__V1__GetCapacityRequest request =
        HOLDFAST__V1__GET_CAPACITY_REQUEST__INIT;

    sim_client_ask(client, "GetCapacity", &request.base);
}

static void plan_something(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    uint32_t zone = (uint32_t)sim_below(world, world->zone_count);
    char zone_name[SIM_NAME_ROOM];
    char host[SIM_NAME_ROOM];
    char group[SIM_GROUP_NAME];

    (void)snprintf(zone_name, sizeof(zone_name), "%s",
                   sim_zone_name(world, zone));
    (void)snprintf(host, sizeof(host), "%s",
                   world->hosts[sim_below(world, world->host_count)]->name);
    switch (sim_below(world, 9)) {
    case 0:
        sim_scout_asks_loss(client, zone);
        break;
    case 1:
        plan_host_loss(client, host);
        break;
    case 2:
    case 3:
        plan_drain(client, host, zone_name);
        break;
    case 4:
        plan_rebalance(client);
        break;
    case 5:
        plan_what_if(client, zone_name);
        break;
    case 6:
        ask_capacity(client);
        break;
    default:
        if (sim_groups_some(client, group)) {
            plan_scale(client, group);
        } else {
            plan_rebalance(client);
        }
        break;
    }
}

static void apply(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    const Holdfast__V1__Plan *plan = sim_client_scout(client)->shown->plan;
    Holdfast__V1__ApplyPlanRequest request =
        HOLDFAST__V1__APPLY_PLAN_REQUEST__INIT;
    char reason[] = "it looks good";
    char id[40];

    sim_client_request_id(client, id);
    request.id = plan->id;
    request.reason = reason;
    request.accept_risk = sim_chance(world, 700);
    request.dry_run = sim_chance(world, 50);
    request.request_id = id;
    if (request.dry_run) {
        sim_client_ask(client, "ApplyPlan", &request.base);
    } else {
        sim_client_ask_told(client, "ApplyPlan", &request.base, told_of_apply);
    }
}

static void look_again(struct sim_client *client)
{
    Holdfast__V1__GetPlanRequest request = HOLDFAST__V1__GET_PLAN_REQUEST__INIT;

    request.id = sim_client_scout(client)->shown->plan->id;
    request.page_size = 10000;
    sim_client_ask_told(client, "GetPlan", &request.base, told_again);
}

void sim_scout_acts(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    uint64_t dice = sim_below(world, 100);

    if (sim_client_scout(client)->shown == NULL || dice < 15) {
        plan_something(client);
    } else if (dice < 25) {
        look_again(client);
    } else {
        apply(client);
    }
}
