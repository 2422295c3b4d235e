/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/steward.h"

#include "base/check.h"
#include "base/container.h"
#include "tests/sim/host.h"
#include "tests/sim/operator.h"
#include "tests/sim/terrain.h"

#include <inttypes.h>
#include <stdio.h>

#include <holdfast/v1/class_service.pb-c.h>
#include <holdfast/v1/cluster_service.pb-c.h>
#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/reservation_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define RESERVATIONS 2

/* --- Drains ----------------------------------------------------------------
 */

static void drain_host(struct sim_client *client, const char *host, bool drains)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__DrainHostRequest begin =
        HOLDFAST__V1__DRAIN_HOST_REQUEST__INIT;
    Holdfast__V1__CancelDrainHostRequest end =
        HOLDFAST__V1__CANCEL_DRAIN_HOST_REQUEST__INIT;
    char name[SIM_NAME_ROOM];
    char reason[] = "its power supply is replaced";
    char id[40];

    (void)snprintf(name, sizeof(name), "%s", host);
    sim_client_request_id(client, id);
    begin.name = end.name = name;
    begin.request_id = end.request_id = id;
    if (!drains) {
        sim_client_ask(client, "CancelDrainHost", &end.base);
        return;
    }
    begin.deadline_ms =
        sim_chance(world, 500) ? 0 : (uint32_t)sim_between(world, 1, 40000);
    begin.accept_risk = sim_chance(world, 300);
    begin.reason = reason;
    sim_client_ask(client, "DrainHost", &begin.base);
}

static void drain_zone(struct sim_client *client, const char *zone, bool drains)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__DrainZoneRequest begin =
        HOLDFAST__V1__DRAIN_ZONE_REQUEST__INIT;
    Holdfast__V1__CancelDrainZoneRequest end =
        HOLDFAST__V1__CANCEL_DRAIN_ZONE_REQUEST__INIT;
    char name[SIM_NAME_ROOM];
    char reason[] = "its cooling is replaced";
    char id[40];

    (void)snprintf(name, sizeof(name), "%s", zone);
    sim_client_request_id(client, id);
    begin.name = end.name = name;
    begin.request_id = end.request_id = id;
    if (!drains) {
        sim_client_ask(client, "CancelDrainZone", &end.base);
        return;
    }
    begin.deadline_ms =
        sim_chance(world, 500) ? 0 : (uint32_t)sim_between(world, 1, 40000);
    begin.accept_risk = sim_chance(world, 300);
    begin.reason = reason;
    sim_client_ask(client, "DrainZone", &begin.base);
}

/* --- Reservations ----------------------------------------------------------
 */

static void reserve(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__CreateReservationRequest create =
        HOLDFAST__V1__CREATE_RESERVATION_REQUEST__INIT;
    Holdfast__V1__UpdateReservationRequest update =
        HOLDFAST__V1__UPDATE_RESERVATION_REQUEST__INIT;
    Holdfast__V1__DeleteReservationRequest delete =
        HOLDFAST__V1__DELETE_RESERVATION_REQUEST__INIT;
    Holdfast__V1__ListReservationsRequest list =
        HOLDFAST__V1__LIST_RESERVATIONS_REQUEST__INIT;
    Holdfast__V1__Reservation reservation = HOLDFAST__V1__RESERVATION__INIT;
    uint64_t dice = sim_below(world, 10);
    char name[16];
    char zone[SIM_NAME_ROOM];
    char class[16];
    char id[40];

    (void)snprintf(name, sizeof(name), "r%u",
                   (unsigned)sim_below(world, RESERVATIONS));
    (void)snprintf(
        zone, sizeof(zone), "%s",
        sim_zone_name(world, (uint32_t)sim_below(world, world->zone_count)));
    (void)snprintf(class, sizeof(class), "%s",
                   sim_classes[sim_below(world, SIM_CLASSES)].name);
    sim_client_request_id(client, id);
    reservation.name = update.name = delete.name = name;
    reservation.zone = zone;
    reservation.class_name = class;
    reservation.count = update.count = (uint32_t)sim_between(world, 1, 3);
    create.reservation = &reservation;
    create.request_id = update.request_id = delete.request_id = id;
    if (dice < 3) {
        sim_client_ask(client, "CreateReservation", &create.base);
    } else if (dice < 5) {
        sim_client_ask(client, "UpdateReservation", &update.base);
    } else if (dice < 9) {
        sim_client_ask(client, "DeleteReservation", &delete.base);
    } else {
        sim_client_ask(client, "ListReservations", &list.base);
    }
}

/* --- Classes and the policy ------------------------------------------------
 */

static void change_class(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__UpdateClassRequest request =
        HOLDFAST__V1__UPDATE_CLASS_REQUEST__INIT;
    Holdfast__V1__Class class = HOLDFAST__V1__CLASS__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    char name[16];
    char zone_names[SIM_ZONES_MAX][8];
    char *zones[SIM_ZONES_MAX];
    char zones_field[] = "zones";
    char resources_field[] = "resources";
    char *mask[] = {zones_field};
    char id[40];

    (void)snprintf(name, sizeof(name), "%s",
                   sim_classes[sim_below(world, SIM_CLASSES)].name);
    sim_client_request_id(client, id);
    class.name = name;
    class.zones = zones;
    for (uint32_t i = 0; i < world->zone_count && sim_chance(world, 700); i++) {
        (void)snprintf(zone_names[i], sizeof(zone_names[i]), "%s",
                       sim_zone_name(world, i));
        zones[class.n_zones++] = zone_names[i];
    }
    if (sim_chance(world, 200)) {
        mask[0] = resources_field;
        resources.cpu_milli = 250 * (uint32_t)sim_between(world, 1, 8);
        resources.memory_mib = 1024;
        class.resources = &resources;
        class.n_zones = 0;
    }
    request.vm_class = &class;
    request.update_mask = mask;
    request.n_update_mask = 1;
    request.request_id = id;
    sim_client_ask(client, "UpdateClass", &request.base);
}

static void change_policy(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    Holdfast__V1__UpdateSettingsRequest request =
        HOLDFAST__V1__UPDATE_SETTINGS_REQUEST__INIT;
    Holdfast__V1__Settings settings = HOLDFAST__V1__SETTINGS__INIT;
    static const char *const fields[] = {"headroom",   "preempt_max",
                                         "rebalance",  "zone_moves",
                                         "host_moves", "vm_cool_down_ms"};
    char *mask[ARRAY_LEN(fields)];
    char id[40];

    sim_client_request_id(client, id);
    settings.headroom = (Holdfast__V1__HeadroomMode)sim_between(world, 1, 3);
    settings._preempt_max_case =
        HOLDFAST__V1__SETTINGS___PREEMPT_MAX_PREEMPT_MAX;
    settings.preempt_max = (uint32_t)sim_below(world, 5);
    settings.rebalance = (Holdfast__V1__RebalanceMode)sim_between(world, 1, 2);
    settings.zone_moves = (uint32_t)sim_between(world, 1, 10);
    settings.host_moves = (uint32_t)sim_between(world, 1, 4);
    settings._vm_cool_down_ms_case =
        HOLDFAST__V1__SETTINGS___VM_COOL_DOWN_MS_VM_COOL_DOWN_MS;
    settings.vm_cool_down_ms = (uint32_t)sim_below(world, 30000);
    request.settings = &settings;
    request.update_mask = mask;
    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        mask[i] = (char *)(uintptr_t)fields[i];
    }
    request.n_update_mask = ARRAY_LEN(fields);
    request.request_id = id;
    sim_client_ask(client, "UpdateSettings", &request.base);
}

/* --- All of it -------------------------------------------------------------
 */

void sim_steward_acts(struct sim_client *client)
{
    struct sim_world *world = sim_client_world(client);
    const char *zone =
        sim_zone_name(world, (uint32_t)sim_below(world, world->zone_count));
    const char *host = world->hosts[sim_below(world, world->host_count)]->name;

    switch (sim_below(world, 10)) {
    case 0:
    case 1:
        drain_host(client, host, true);
        break;
    case 2:
        drain_host(client, host, false);
        break;
    case 3:
        drain_zone(client, zone, true);
        break;
    case 4:
    case 5:
        drain_zone(client, zone, false);
        break;
    case 6:
        reserve(client);
        break;
    case 7:
        change_class(client);
        break;
    default:
        change_policy(client);
        break;
    }
}

void sim_steward_tidies(struct sim_client *client, uint32_t at)
{
    struct sim_world *world = sim_client_world(client);
    const struct sim_host *host;

    if (at < world->zone_count) {
        drain_zone(client, sim_zone_name(world, at), false);
        return;
    }
    CHECK(at - world->zone_count < world->host_count);
    host = world->hosts[at - world->zone_count];
    /* Some hosts go on being drained, also those that were not. */
    drain_host(client, host->name, sim_chance(world, 150));
}
