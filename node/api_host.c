/* SPDX-License-Identifier: Apache-2.0
 *
 * HostService; drains are in api_drain.c. */
#include "base/check.h"
#include "base/container.h"
#include "node/api_check.h"
#include "node/api_page.h"
#include "node/label_filter.h"
#include "node/view.h"

#include <string.h>

#include <holdfast/v1/host_service.pb-c.h>

#define OBJECT_ARENA_BYTES (256u << 10)

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

/* The conditions of a list. */
struct host_lister {
    struct api_lister lister;
    uint32_t zone;  /* Slot; SLOT_NONE: any. */
    uint32_t state; /* enum host_state; 0: any. */
    struct label_filter labels;
};

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct host_lister *wanted =
        container_of(lister, struct host_lister, lister);
    const struct api_view *view = &page->view;
    const struct host *host = state_host_at(view->state, slot);

    if (host == NULL ||
        (wanted->zone != SLOT_NONE && host->zone != wanted->zone) ||
        (wanted->state != 0 && host->state != wanted->state) ||
        !label_filter_takes(&wanted->labels,
                            state_blob(view->state, host->labels_blob))) {
        return NULL;
    }
    return &view_host(view->arena, view->state, host, view->leases,
                      view->now_ms)
                ->base;
}

static bool read_conditions(struct api_reply *reply, const struct state *state,
                            const Holdfast__V1__ListHostsRequest *request,
                            struct host_lister *wanted)
{
    *wanted = (struct host_lister){
        .lister = {.item = list_item},
        .state = (uint32_t)request->state,
    };
    return api_check_range(reply, "state", wanted->state, 0, HOST_LOST) &&
           api_check_zone(reply, state, request->zone, &wanted->zone) &&
           label_filter_read(reply, request->filter, &wanted->labels);
}

void api_list_hosts(const ProtobufCMessage *message,
                    const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListHostsRequest *request =
        (const Holdfast__V1__ListHostsRequest *)(const void *)message;
    Holdfast__V1__ListHostsResponse response =
        HOLDFAST__V1__LIST_HOSTS_RESPONSE__INIT;
    struct host_lister wanted;
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token) ||
        !read_conditions(reply, page.view.state, request, &wanted)) {
        return;
    }
    api_page_fill(&page, &wanted.lister, state_host_slots(page.view.state));
    response.hosts = (void *)page.items;
    response.n_hosts = page.item_count;
    api_page_respond(&page, reply, &response.base);
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
