/* SPDX-License-Identifier: Apache-2.0
 *
 * HostService; drains are in api_drain.c. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/view.h"
#include "state/labels.h"

#include <stdio.h>
#include <string.h>

#include <holdfast/v1/host_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)
#define PAGE_BYTES_MAX     (3u << 20)

void api_get_host(const ProtobufCMessage *message, const struct api_view *view,
                  struct api_reply *reply)
{
    const Holdfast__V1__GetHostRequest *request =
        (const Holdfast__V1__GetHostRequest *)(const void *)message;
    Holdfast__V1__GetHostResponse response =
        HOLDFAST__V1__GET_HOST_RESPONSE__INIT;
    const struct host *host = api_find_host(reply, view->state, request->name);

    if (host == NULL) {
        return;
    }
    response.host =
        view_host(view->arena, view->state, host, view->leases, view->now_ms);
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

static bool has_labels(const struct state *state, const struct host *host,
                       const char *filter)
{
    struct text encoded = state_blob(state, host->labels_blob);

    while (*filter != '\0') {
        size_t len = strcspn(filter, ",");
        const char *equals = memchr(filter, '=', len);
        struct text key = {filter, (uint32_t)(equals - filter)};
        size_t value_len = (size_t)(filter + len - equals - 1);
        struct text value;

        if (!labels_get(encoded, key, &value) || value.len != value_len ||
            memcmp(value.data, equals + 1, value_len) != 0) {
            return false;
        }
        filter += len;
        filter += *filter == ',';
    }
    return true;
}

static bool check_filter(struct api_reply *reply, const char *filter)
{
    const char *at = filter;

    while (*at != '\0') {
        size_t len = strcspn(at, ",");
        const char *equals = memchr(at, '=', len);

        if (equals == NULL || equals == at) {
            api_fail(reply, API_INVALID_FIELD,
                     "filter: '%.80s' is not label=value, parted by commas",
                     at);
            return false;
        }
        at += len;
        at += *at == ',';
    }
    return true;
}

void api_list_hosts(const ProtobufCMessage *message,
                    const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListHostsRequest *request =
        (const Holdfast__V1__ListHostsRequest *)(const void *)message;
    Holdfast__V1__ListHostsResponse response =
        HOLDFAST__V1__LIST_HOSTS_RESPONSE__INIT;
    const struct zone *zone = NULL;
    char token[16] = "";
    uint32_t slot;
    uint32_t count;
    size_t size = 0;

    if (!api_check_page(reply, request->page_size, request->page_token, &slot,
                        &count) ||
        !check_filter(reply, request->filter)) {
        return;
    }
    if (request->zone[0] != '\0') {
        zone = api_find_zone(reply, view->state, "zone", request->zone);
        if (zone == NULL) {
            return;
        }
    }
    response.hosts = view_alloc(view->arena, count * sizeof(*response.hosts));
    for (; slot < state_host_slots(view->state); slot++) {
        const struct host *host = state_host_at(view->state, slot);
        Holdfast__V1__Host *item;

        if (host == NULL ||
            (zone != NULL && host->zone != uid_slot(zone->uid)) ||
            !has_labels(view->state, host, request->filter)) {
            continue;
        }
        if (response.n_hosts == count || size > PAGE_BYTES_MAX) {
            snprintf(token, sizeof(token), "%u", slot);
            break;
        }
        item = view_host(view->arena, view->state, host, view->leases,
                         view->now_ms);
        size += holdfast__v1__host__get_packed_size(item) + 8;
        response.hosts[response.n_hosts++] = item;
    }
    response.next_page_token = token;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* Sets the host's cordon; the host, or NULL when the reply has failed. */
static const struct host *cordon_host(struct api_reply *reply,
                                      struct turn_plan *plan, const char *name,
                                      uint64_t expect_revision, bool cordoned)
{
    struct change change = {.kind = CHANGE_HOST_CORDON};
    const struct host *host = api_find_host(reply, plan->scratch, name);
    struct host_id id;

    if (host == NULL ||
        !api_check_revision(reply, expect_revision, host->revision, name)) {
        return NULL;
    }
    id.uid = host->uid;
    if (host->cordoned != (cordoned ? 1 : 0)) {
        change.host_cordon = (struct change_host_cordon){id, cordoned};
        turn_change(plan, &change);
    }
    return state_host(plan->scratch, id);
}

void api_cordon_host(const ProtobufCMessage *message, struct turn_plan *plan,
                     struct api_reply *reply)
{
    const Holdfast__V1__CordonHostRequest *request =
        (const Holdfast__V1__CordonHostRequest *)(const void *)message;
    Holdfast__V1__CordonHostResponse response =
        HOLDFAST__V1__CORDON_HOST_RESPONSE__INIT;
    const struct host *host =
        cordon_host(reply, plan, request->name, request->expect_revision, true);
    struct arena arena;

    if (host == NULL) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.host = view_host(&arena, plan->scratch, host, NULL, 0);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

void api_uncordon_host(const ProtobufCMessage *message, struct turn_plan *plan,
                       struct api_reply *reply)
{
    const Holdfast__V1__UncordonHostRequest *request =
        (const Holdfast__V1__UncordonHostRequest *)(const void *)message;
    Holdfast__V1__UncordonHostResponse response =
        HOLDFAST__V1__UNCORDON_HOST_RESPONSE__INIT;
    const struct host *host = cordon_host(reply, plan, request->name,
                                          request->expect_revision, false);
    struct arena arena;

    if (host == NULL) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.host = view_host(&arena, plan->scratch, host, NULL, 0);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

/* An operator's word counts as proof, so it is asked for twice, and refused
 * while the host is heard: an operator who is wrong about a host that lives
 * would make two copies. Setting `fencing` keeps a renewal that arrives later
 * from being acknowledged. */
static const struct host *check_declare(
    struct api_reply *reply, const struct turn_plan *plan,
    const Holdfast__V1__DeclareHostDeadRequest *request)
{
    const struct host *host =
        api_find_host(reply, plan->scratch, request->name);
    const struct lease *lease;

    if (host == NULL || !api_check_revision(reply, request->expect_revision,
                                            host->revision, request->name)) {
        return NULL;
    }
    if (strcmp(request->name, request->confirm) != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "confirm: must repeat the host's name '%s'; if the host is "
                 "not off, two copies of its VMs may run",
                 request->name);
        return NULL;
    }
    if (!api_check_reason(reply, request->reason)) {
        return NULL;
    }
    lease = plan->leases == NULL
                ? NULL
                : leases_get(plan->leases, uid_slot(host->uid));
    if (host->state == HOST_UP && lease != NULL &&
        !lease_is_late(lease, state_settings(plan->scratch), plan->now_ms)) {
        api_fail(reply, API_HOST_ALIVE,
                 "the agent of host '%s' still renews its lease; stop it or "
                 "cut the host's power first",
                 request->name);
        return NULL;
    }
    return host;
}

void api_declare_host_dead(const ProtobufCMessage *message,
                           struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__DeclareHostDeadRequest *request =
        (const Holdfast__V1__DeclareHostDeadRequest *)(const void *)message;
    Holdfast__V1__DeclareHostDeadResponse response =
        HOLDFAST__V1__DECLARE_HOST_DEAD_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_HOST_FENCE};
    const struct host *host = check_declare(reply, plan, request);
    struct lease *lease;
    struct arena arena;

    if (host == NULL) {
        return;
    }
    change.host_fence = (struct change_host_fence){{host->uid}, FENCE_DECLARED};
    lease = plan->leases == NULL
                ? NULL
                : leases_get(plan->leases, uid_slot(host->uid));
    if (lease != NULL && !plan->dry_run) {
        lease->fencing = true;
    }
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.host =
        view_host(&arena, plan->scratch,
                  state_host(plan->scratch, change.host_fence.host), NULL, 0);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
