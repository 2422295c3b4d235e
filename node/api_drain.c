/* SPDX-License-Identifier: Apache-2.0
 *
 * Drains of hosts and zones: only that they are wanted is written here, a
 * controller moves the VMs. Two things may be at risk, and then a person has to
 * say that they know: headroom, and the region's quorum. */
#include "node/api_check.h"
#include "node/api_headroom.h"
#include "node/api_operation.h"
#include "node/view.h"

#include <holdfast/v1/host_service.pb-c.h>
#include <holdfast/v1/zone_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)
#define DRAIN_MS_MAX       604800000 /* A week. */

/* What both requests say. */
struct drain {
    uint32_t deadline_ms;
    bool accept_risk;
    const char *reason;
};

static bool check_drain(struct api_reply *reply, const struct drain *drain)
{
    if (!api_check_range(reply, "deadline_ms", drain->deadline_ms, 0,
                         DRAIN_MS_MAX) ||
        !api_check_reason(reply, drain->reason)) {
        return false;
    }
    if (drain->accept_risk && drain->reason[0] == '\0') {
        api_fail(reply, API_INVALID_FIELD,
                 "reason: must be given with accept_risk; it goes on record");
        return false;
    }
    return true;
}

/* By the leader's clock, as the state counts time. */
static uint64_t deadline_of(const struct turn_plan *plan,
                            const struct drain *drain)
{
    return drain->deadline_ms == 0 ? 0 : plan->time_ms + drain->deadline_ms;
}

/* What was accepted holds until the drain ends: who asks again, for another
 * deadline, does not take it back. */
static bool is_at_risk(uint8_t draining, const struct drain *drain)
{
    return drain->accept_risk || draining == DRAIN_AT_RISK;
}

static void respond_host(struct api_reply *reply, const struct turn_plan *plan,
                         struct host_id id, bool cancelled)
{
    Holdfast__V1__DrainHostResponse drained =
        HOLDFAST__V1__DRAIN_HOST_RESPONSE__INIT;
    Holdfast__V1__CancelDrainHostResponse ended =
        HOLDFAST__V1__CANCEL_DRAIN_HOST_RESPONSE__INIT;
    struct arena arena;

    arena_init(&arena, OBJECT_ARENA_BYTES);
    drained.host = view_host(&arena, plan->scratch,
                             state_host(plan->scratch, id), NULL, 0);
    drained.operation_id = api_operation_id(
        &arena, operation_of_host(state_host(plan->scratch, id)));
    drained.revision = state_revision(plan->scratch);
    ended.host = drained.host;
    ended.revision = drained.revision;
    api_respond(reply, cancelled ? &ended.base : &drained.base);
    arena_close(&arena);
}

void api_drain_host(const ProtobufCMessage *message, struct turn_plan *plan,
                    struct api_reply *reply)
{
    const Holdfast__V1__DrainHostRequest *request =
        (const Holdfast__V1__DrainHostRequest *)(const void *)message;
    const struct drain drain = {request->deadline_ms, request->accept_risk,
                                request->reason};
    const struct host *host =
        api_find_host(reply, plan->scratch, request->name);
    struct change change;
    struct host_id id;

    if (host == NULL ||
        !api_check_revision(reply, request->expect_revision, host->revision,
                            request->name) ||
        !check_drain(reply, &drain)) {
        return;
    }
    if (!host->draining && !drain.accept_risk &&
        !api_check_drain_headroom(reply, plan, uid_slot(host->uid),
                                  SLOT_NONE)) {
        return;
    }
    id.uid = host->uid;
    change = operation_drain_host(host, true, deadline_of(plan, &drain),
                                  DRAIN_END_NONE);
    change.host_drain.at_risk = is_at_risk(host->draining, &drain);
    turn_change(plan, &change);
    respond_host(reply, plan, id, false);
}

void api_cancel_drain_host(const ProtobufCMessage *message,
                           struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__CancelDrainHostRequest *request =
        (const Holdfast__V1__CancelDrainHostRequest *)(const void *)message;
    const struct host *host =
        api_find_host(reply, plan->scratch, request->name);
    struct change change;
    struct host_id id;

    if (host == NULL || !api_check_revision(reply, request->expect_revision,
                                            host->revision, request->name)) {
        return;
    }
    id.uid = host->uid;
    if (host->draining) {
        change = operation_drain_host(host, false, 0, DRAIN_END_CANCELLED);
        turn_change(plan, &change);
    }
    respond_host(reply, plan, id, true);
}

static void respond_zone(struct api_reply *reply, const struct turn_plan *plan,
                         struct zone_id id, bool cancelled)
{
    Holdfast__V1__DrainZoneResponse drained =
        HOLDFAST__V1__DRAIN_ZONE_RESPONSE__INIT;
    Holdfast__V1__CancelDrainZoneResponse ended =
        HOLDFAST__V1__CANCEL_DRAIN_ZONE_RESPONSE__INIT;
    struct arena arena;

    arena_init(&arena, OBJECT_ARENA_BYTES);
    drained.zone =
        view_zone(&arena, plan->scratch, state_zone(plan->scratch, id), NULL);
    drained.operation_id = api_operation_id(
        &arena, operation_of_zone(state_zone(plan->scratch, id)));
    drained.revision = state_revision(plan->scratch);
    ended.zone = drained.zone;
    ended.revision = drained.revision;
    api_respond(reply, cancelled ? &ended.base : &drained.base);
    arena_close(&arena);
}

/* A zone is drained to be switched off, its node with it. */
static bool check_quorum(struct api_reply *reply, const struct turn_plan *plan,
                         const struct zone *zone)
{
    if (!turn_needs_zones(plan->voters, UINT64_C(1) << uid_slot(zone->uid))) {
        return true;
    }
    api_fail(reply, API_QUORUM_NEEDED,
             "the nodes of zone '%s' are needed: without them those that "
             "answer are no majority, so switching the zone off would stop "
             "the region; bring the others back first, or accept_risk",
             zone->name);
    return false;
}

void api_drain_zone(const ProtobufCMessage *message, struct turn_plan *plan,
                    struct api_reply *reply)
{
    const Holdfast__V1__DrainZoneRequest *request =
        (const Holdfast__V1__DrainZoneRequest *)(const void *)message;
    const struct drain drain = {request->deadline_ms, request->accept_risk,
                                request->reason};
    const struct zone *zone =
        api_find_zone(reply, plan->scratch, "name", request->name);
    struct change change;
    struct zone_id id;

    if (zone == NULL ||
        !api_check_revision(reply, request->expect_revision, zone->revision,
                            request->name) ||
        !check_drain(reply, &drain)) {
        return;
    }
    if (!zone->draining && !drain.accept_risk &&
        (!check_quorum(reply, plan, zone) ||
         !api_check_drain_headroom(reply, plan, SLOT_NONE,
                                   uid_slot(zone->uid)))) {
        return;
    }
    id.uid = zone->uid;
    change = operation_drain_zone(zone, true, deadline_of(plan, &drain),
                                  DRAIN_END_NONE);
    change.zone_drain.at_risk = is_at_risk(zone->draining, &drain);
    turn_change(plan, &change);
    respond_zone(reply, plan, id, false);
}

void api_cancel_drain_zone(const ProtobufCMessage *message,
                           struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__CancelDrainZoneRequest *request =
        (const Holdfast__V1__CancelDrainZoneRequest *)(const void *)message;
    const struct zone *zone =
        api_find_zone(reply, plan->scratch, "name", request->name);
    struct change change;
    struct zone_id id;

    if (zone == NULL || !api_check_revision(reply, request->expect_revision,
                                            zone->revision, request->name)) {
        return;
    }
    id.uid = zone->uid;
    if (zone->draining) {
        change = operation_drain_zone(zone, false, 0, DRAIN_END_CANCELLED);
        turn_change(plan, &change);
    }
    respond_zone(reply, plan, id, true);
}
