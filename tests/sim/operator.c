/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/operator.h"

#include "base/check.h"
#include "tests/sim/host.h"
#include "tests/sim/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define NAME_ROOM SIM_NAME_ROOM

static void some_zone(struct sim_world *world, char name[NAME_ROOM])
{
    uint32_t zone = (uint32_t)sim_below(world, world->zone_count);

    (void)snprintf(name, NAME_ROOM, "%s", sim_zone_name(world, zone));
}

static struct sim_host *some_host(struct sim_world *world)
{
    return world->hosts[sim_below(world, world->host_count)];
}

static void cordon_zone(struct sim_client *client, const char *zone,
                        bool cordons)
{
    Holdfast__V1__CordonZoneRequest cordon =
        HOLDFAST__V1__CORDON_ZONE_REQUEST__INIT;
    Holdfast__V1__UncordonZoneRequest uncordon =
        HOLDFAST__V1__UNCORDON_ZONE_REQUEST__INIT;
    char name[NAME_ROOM];
    char id[40];

    (void)snprintf(name, sizeof(name), "%s", zone);
    sim_client_request_id(client, id);
    cordon.name = uncordon.name = name;
    cordon.request_id = uncordon.request_id = id;
    if (cordons) {
        sim_client_ask(client, "CordonZone", &cordon.base);
    } else {
        sim_client_ask(client, "UncordonZone", &uncordon.base);
    }
}

static void cordon_host(struct sim_client *client, const char *host,
                        bool cordons)
{
    Holdfast__V1__CordonHostRequest cordon =
        HOLDFAST__V1__CORDON_HOST_REQUEST__INIT;
    Holdfast__V1__UncordonHostRequest uncordon =
        HOLDFAST__V1__UNCORDON_HOST_REQUEST__INIT;
    char name[NAME_ROOM];
    char id[40];

    (void)snprintf(name, sizeof(name), "%s", host);
    sim_client_request_id(client, id);
    cordon.name = uncordon.name = name;
    cordon.request_id = uncordon.request_id = id;
    if (cordons) {
        sim_client_ask(client, "CordonHost", &cordon.base);
    } else {
        sim_client_ask(client, "UncordonHost", &uncordon.base);
    }
}

/* Longer leases and shorter ones, each safe: what hosts were promised before
 * must still be waited for. */
static void change_leases(struct sim_client *client)
{
    static const uint32_t sets[][3] = {
        {5000, 4400, 1000}, {8000, 7200, 1500}, {3000, 2400, 500}};
    struct sim_world *world = sim_client_world(client);
    const uint32_t *set = sets[sim_below(world, 3)];
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    Holdfast__V1__Settings settings = HOLDFAST__V1__SETTINGS__INIT;
    char wait[] = "lease_wait_ms";
    char run[] = "lease_run_ms";
    char renew[] = "renew_ms";
    char parallel[] = "start_parallel";
    char *mask[] = {wait, run, renew, parallel};
    char id[40];

    sim_client_request_id(client, id);
    settings.lease_wait_ms = set[0];
    settings.lease_run_ms = set[1];
    settings.renew_ms = set[2];
    settings.start_parallel = (uint32_t)sim_between(world, 1, 8);
    request.settings = &settings;
    request.update_mask = mask;
    request.n_update_mask = 4;
    request.request_id = id;
    sim_client_ask(client, "UpdateSettings", &request.base);
}

/* Only of a machine that is off; should it have come back by the time that the
 * word is heard, its revision is another one. */
static void declare_dead(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    struct sim_host *host = some_host(world);
    const struct sim_node *leader = sim_world_leader(world);
    const struct host *known;
    Holdfast__V1__DeclareHostDeadRequest request =
        HOLDFAST__V1__DECLARE_HOST_DEAD_REQUEST__INIT;
    char reason[] = "its power is off";
    char id[40];

    known = leader == NULL
                ? NULL
                : state_host_named(
                      leader->engine.state,
                      (struct text){host->name, (uint32_t)strlen(host->name)});
    if (host->powered || known == NULL) {
        cordon_host(client, host->name, false);
        return;
    }
    sim_client_request_id(client, id);
    request.name = host->name;
    request.confirm = host->name;
    request.reason = reason;
    request.expect_revision = known->revision;
    request.request_id = id;
    sim_client_ask(client, "DeclareHostDead", &request.base);
}

static void make_class(struct sim_client *client, bool drop)
{
    Holdfast__V1__CreateClassRequest create =
        HOLDFAST__V1__CREATE_CLASS_REQUEST__INIT;
    Holdfast__V1__DeleteClassRequest delete =
        HOLDFAST__V1__DELETE_CLASS_REQUEST__INIT;
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    char name[] = "other";
    char id[40];

    sim_client_request_id(client, id);
    resources.cpu_milli = 500;
    resources.memory_mib = 256;
    class.name = name;
    class.resources = &resources;
    create.vm_class = &class;
    delete.name = name;
    create.request_id = delete.request_id = id;
    if (drop) {
        sim_client_ask(client, "DeleteClass", &delete.base);
    } else {
        sim_client_ask(client, "CreateClass", &create.base);
    }
}

static void look_at_one(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__GetZoneRequest zone = HOLDFAST__V1__GET_ZONE_REQUEST__INIT;
    Holdfast__V1__GetHostRequest host = HOLDFAST__V1__GET_HOST_REQUEST__INIT;
    Holdfast__V1__GetSettingsRequest settings =
        HOLDFAST__V1__GET_SETTINGS_REQUEST__INIT;
    char name[NAME_ROOM];

    some_zone(world, name);
    zone.name = name;
    host.name = some_host(world)->name;
    switch (sim_below(world, 3)) {
    case 0:
        sim_client_ask(client, "GetZone", &zone.base);
        break;
    case 1:
        sim_client_ask(client, "GetHost", &host.base);
        break;
    default:
        sim_client_ask(client, "GetSettings", &settings.base);
        break;
    }
}

static void look_at_all(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__ListZonesRequest zones =
        HOLDFAST__V1__LIST_ZONES_REQUEST__INIT;
    Holdfast__V1__ListHostsRequest hosts =
        HOLDFAST__V1__LIST_HOSTS_REQUEST__INIT;
    Holdfast__V1__ListClassesRequest classes =
        HOLDFAST__V1__LIST_CLASSES_REQUEST__INIT;
    Holdfast__V1__ListVmsRequest vms = HOLDFAST__V1__LIST_VMS_REQUEST__INIT;
    char name[NAME_ROOM];

    some_zone(world, name);
    switch (sim_below(world, 4)) {
    case 0:
        sim_client_ask(client, "ListZones", &zones.base);
        break;
    case 1:
        hosts.zone = name;
        sim_client_ask(client, "ListHosts", &hosts.base);
        break;
    case 2:
        sim_client_ask(client, "ListClasses", &classes.base);
        break;
    default:
        vms.zone = name;
        vms.page_size = (uint32_t)sim_between(world, 1, 10);
        sim_client_ask(client, "ListVms", &vms.base);
        break;
    }
}

void sim_operator_acts(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    char zone[NAME_ROOM];

    some_zone(world, zone);
    switch (sim_below(world, 8)) {
    case 0:
        cordon_zone(client, zone, sim_chance(world, 300));
        break;
    case 1:
        cordon_host(client, some_host(world)->name, sim_chance(world, 500));
        break;
    case 2:
        change_leases(client);
        break;
    case 3:
        declare_dead(client);
        break;
    case 4:
        make_class(client, sim_chance(world, 500));
        break;
    case 5:
        look_at_one(client);
        break;
    default:
        look_at_all(client);
        break;
    }
}

void sim_operator_tidies(struct sim_client *client, uint32_t at)
{
    struct sim_world *world = sim_client_world(client);
    char zone[NAME_ROOM];

    if (at < world->zone_count) {
        (void)snprintf(zone, sizeof(zone), "%s", sim_zone_name(world, at));
        cordon_zone(client, zone, false);
    } else {
        CHECK(at - world->zone_count < world->host_count);
        cordon_host(client, world->hosts[at - world->zone_count]->name, false);
    }
}
