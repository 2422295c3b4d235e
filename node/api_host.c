/* SPDX-License-Identifier: Apache-2.0
 *
 * HostService and the settings. */
#include "base/check.h"
#include "node/api_check.h"
#include "node/view.h"
#include "state/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <holdfast/v1/cluster_service.pb-c.h>
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
    if (strlen(request->reason) > 255) {
        api_fail(reply, API_INVALID_FIELD, "reason: at most 255 bytes");
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

void api_get_settings(const ProtobufCMessage *message,
                      const struct api_view *view, struct api_reply *reply)
{
    Holdfast__V1__GetSettingsResponse response =
        HOLDFAST__V1__GET_SETTINGS_RESPONSE__INIT;

    (void)message;
    response.settings = view_settings(view->arena, state_settings(view->state));
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* The field of the settings with this name, or NULL. */
static uint32_t *settings_field(struct settings *settings, const char *name)
{
    struct {
        const char *name;
        uint32_t *value;
    } fields[] = {
        {"lease_wait_ms", &settings->lease_wait_ms},
        {"lease_run_ms", &settings->lease_run_ms},
        {"renew_ms", &settings->renew_ms},
        {"kill_budget_ms", &settings->kill_budget_ms},
        {"margin_ms", &settings->margin_ms},
        {"clock_error_permille", &settings->clock_error_permille},
        {"zone_loss_permille", &settings->zone_loss_permille},
        {"storm_permille", &settings->storm_permille},
        {"zone_hold_ms", &settings->zone_hold_ms},
        {"start_parallel", &settings->start_parallel},
    };

    for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return fields[i].value;
        }
    }
    return NULL;
}

static void read_settings(const Holdfast__V1__Settings *message,
                          struct settings *settings)
{
    *settings = (struct settings){
        .lease_wait_ms = message->lease_wait_ms,
        .lease_run_ms = message->lease_run_ms,
        .renew_ms = message->renew_ms,
        .kill_budget_ms = message->kill_budget_ms,
        .margin_ms = message->margin_ms,
        .clock_error_permille = message->clock_error_permille,
        .zone_loss_permille = message->zone_loss_permille,
        .storm_permille = message->storm_permille,
        .zone_hold_ms = message->zone_hold_ms,
        .start_parallel = message->start_parallel,
    };
}

static bool merge_settings(struct api_reply *reply,
                           const Holdfast__V1__UpdateSettingsRequest *request,
                           struct settings *merged)
{
    struct settings given;

    if (request->settings == NULL || request->n_update_mask == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "settings, update_mask: give the values and name at least "
                 "one field");
        return false;
    }
    read_settings(request->settings, &given);
    for (size_t i = 0; i < request->n_update_mask; i++) {
        const char *name = request->update_mask[i];
        uint32_t *to = settings_field(merged, name);
        const uint32_t *from = settings_field(&given, name);

        if (to == NULL || from == NULL) {
            api_fail(reply, API_INVALID_FIELD,
                     "update_mask: there is no setting '%.80s'", name);
            return false;
        }
        *to = *from;
    }
    return true;
}

/* A shorter lease_wait_ms is dangerous while a host may hold a lease that was
 * given for a longer lease_run_ms: a new leader would not wait that long. So
 * the new wait must be safe for the present lease_run_ms as well, and the
 * present settings must have been in force for one present wait: by then every
 * lease given under still older ones, for which the present wait was checked
 * in the same way, has ended. Rule 1 therefore holds across any sequence of
 * changes and elections. */
static bool check_shorter_wait(struct api_reply *reply,
                               const struct turn_plan *plan,
                               const struct settings *now,
                               const struct settings *merged)
{
    struct settings both = *merged;
    uint64_t settled_ms = plan->now_ms - plan->settings_since_ms;

    if (merged->lease_wait_ms >= now->lease_wait_ms) {
        return true;
    }
    both.lease_run_ms = now->lease_run_ms > merged->lease_run_ms
                            ? now->lease_run_ms
                            : merged->lease_run_ms;
    if (settings_check(&both) != NULL) {
        api_fail(reply, API_UNSAFE_SETTINGS,
                 "settings: leases of %u ms are given out already, and "
                 "lease_wait_ms %u would not wait for them; lower "
                 "lease_run_ms first, then lease_wait_ms in a second change",
                 now->lease_run_ms, merged->lease_wait_ms);
        return false;
    }
    if (settled_ms < now->lease_wait_ms) {
        api_fail(reply, API_SETTINGS_UNSETTLED,
                 "settings: lease_wait_ms can be lowered in %" PRIu64
                 " ms; leases under former settings may run until then",
                 now->lease_wait_ms - settled_ms);
        return false;
    }
    return true;
}

void api_update_settings(const ProtobufCMessage *message,
                         struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__UpdateSettingsRequest *request =
        (const Holdfast__V1__UpdateSettingsRequest *)(const void *)message;
    Holdfast__V1__UpdateSettingsResponse response =
        HOLDFAST__V1__UPDATE_SETTINGS_RESPONSE__INIT;
    const struct settings *now = state_settings(plan->scratch);
    struct change change = {.kind = CHANGE_SETTINGS};
    struct settings *merged = &change.settings.settings;
    const char *fault;
    struct arena arena;

    *merged = *now;
    if (!api_check_revision(reply, request->expect_revision, now->revision,
                            "settings") ||
        !merge_settings(reply, request, merged)) {
        return;
    }
    fault = settings_check(merged);
    if (fault != NULL) {
        api_fail(reply, API_UNSAFE_SETTINGS, "settings: %s", fault);
        return;
    }
    if (!check_shorter_wait(reply, plan, now, merged)) {
        return;
    }
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.settings = view_settings(&arena, state_settings(plan->scratch));
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
