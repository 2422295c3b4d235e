/* SPDX-License-Identifier: Apache-2.0
 *
 * What the checks need, asked of every node by itself and of the leader. What
 * does not answer is a fact as well: nothing here ends the command. */
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "ctl/connect.h"
#include "ctl/doctor.h"
#include "ctl/drain.h"
#include "ctl/list.h"
#include "ctl/request.h"
#include "ctl/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* For each question to a node: a person waits, and a node that is well answers
 * at once. */
#define NODE_TIMEOUT_MS 1500

struct gather {
    struct invocation *invocation;
    struct doctor_facts *facts;
    struct hf_client *clients[DOCTOR_NODES_MAX]; /* By node; NULL: silent. */
};

void doctor_facts_close(struct doctor_facts *facts)
{
    ProtobufCMessage *const messages[] = {
        (void *)facts->settings, (void *)facts->zones,
        (void *)facts->hosts,    (void *)facts->pending,
        (void *)facts->grants,   (void *)facts->reservations};

    for (size_t i = 0; i < ARRAY_LEN(messages); i++) {
        hf_message_free(messages[i]);
    }
    for (size_t i = 0; i < facts->node_count; i++) {
        hf_message_free((void *)facts->nodes[i].status);
        hf_message_free((void *)facts->nodes[i].nodes);
    }
}

/* --- Nodes -----------------------------------------------------------------
 */

static ProtobufCMessage *ask(struct gather *gather, struct hf_client *client,
                             const char *method, struct hf_status *status)
{
    ProtobufCMessage *response;
    ProtobufCMessage *request =
        request_create(gather->invocation, hf_method_find(method)->input);

    (void)hf_client_call(client, method, request, &response, status);
    return response;
}

/* One question; its answer, or NULL. */
static Holdfast__V1__GetStatusResponse *take_sample(struct gather *gather,
                                                    struct hf_client *client,
                                                    struct doctor_node *node)
{
    struct doctor_sample sample = {.sent_us = clock_boot_ns() / 1000};
    uint64_t wall_ms = clock_wall_ms();
    struct hf_status status;
    Holdfast__V1__GetStatusResponse *answer =
        (void *)ask(gather, client, "ClusterService/GetStatus", &status);

    if (answer == NULL) {
        const char *why = hf_client_endpoint_error(client, 0);

        (void)snprintf(node->error, sizeof(node->error), "%.200s",
                       why[0] != '\0' ? why : status.message);
        return NULL;
    }
    sample.received_us = clock_boot_ns() / 1000;
    sample.wall_ms = wall_ms + (sample.received_us - sample.sent_us) / 2000;
    sample.its_wall_ms = answer->wall_time_ms;
    sample.its_uptime_ms = answer->uptime_ms;
    CHECK(node->sample_count < DOCTOR_SAMPLES);
    node->samples[node->sample_count++] = sample;
    return answer;
}

static bool is_known(const struct doctor_facts *facts, const char *name)
{
    for (size_t i = 0; i < facts->node_count; i++) {
        if (strcmp(facts->nodes[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The first question to an address. A node that was asked at another one is
 * left out. */
static void add_node(struct gather *gather, const char *address)
{
    struct doctor_facts *facts = gather->facts;
    struct doctor_node *node = &facts->nodes[facts->node_count];
    struct hf_client *client;
    struct hf_status status;

    if (facts->node_count == DOCTOR_NODES_MAX) {
        return;
    }
    client = connect_to(gather->invocation, address);
    if (client == NULL) {
        return; /* It was told. */
    }
    hf_client_set_timeout(client, NODE_TIMEOUT_MS);
    *node = (struct doctor_node){.sample_count = 0};
    (void)snprintf(node->address, sizeof(node->address), "%s", address);
    node->status = take_sample(gather, client, node);
    node->sample_count = 0; /* It took the time of connecting as well. */
    facts->tls = facts->tls || hf_client_certificate_end(client) != 0 ||
                 hf_client_node_certificate_end(client) != 0;
    facts->certificate_end_s = hf_client_certificate_end(client);
    if (node->status != NULL && node->status->node != NULL) {
        const Holdfast__V1__Node *self = node->status->node;

        if (is_known(facts, self->name)) {
            hf_message_free(&node->status->base);
            hf_client_close(client);
            return;
        }
        (void)snprintf(node->name, sizeof(node->name), "%s", self->name);
        (void)snprintf(node->zone, sizeof(node->zone), "%s", self->zone);
        node->certificate_end_s = hf_client_node_certificate_end(client);
        node->nodes =
            (void *)ask(gather, client, "ClusterService/ListNodes", &status);
    } else {
        hf_message_free((void *)node->status);
        node->status = NULL;
        hf_client_close(client);
        client = NULL;
    }
    gather->clients[facts->node_count++] = client;
}

/* An endpoint that did not answer gets its name by its address. */
static bool name_silent(struct doctor_facts *facts,
                        const Holdfast__V1__Node *member)
{
    for (size_t i = 0; i < facts->node_count; i++) {
        struct doctor_node *node = &facts->nodes[i];

        if (node->name[0] == '\0' &&
            strcmp(node->address, member->address) == 0) {
            (void)snprintf(node->name, sizeof(node->name), "%s", member->name);
            (void)snprintf(node->zone, sizeof(node->zone), "%s", member->zone);
            return true;
        }
    }
    return false;
}

/* Those that an endpoint named, then those that these know of. An endpoint that
 * did not answer and is no member's address is another way to one of them. */
static void find_nodes(struct gather *gather)
{
    struct doctor_facts *facts = gather->facts;
    struct hf_client *client = gather->invocation->client;
    const struct doctor_node *best;

    for (size_t i = 0; i < hf_client_endpoint_count(client); i++) {
        add_node(gather, hf_client_endpoint(client, i));
    }
    best = doctor_best(facts);
    for (size_t i = 0;
         best != NULL && best->nodes != NULL && i < best->nodes->n_nodes; i++) {
        const Holdfast__V1__Node *member = best->nodes->nodes[i];

        if (!is_known(facts, member->name) && !name_silent(facts, member)) {
            add_node(gather, member->address);
            (void)name_silent(facts, member);
        }
    }
}

static void take_more_samples(struct gather *gather)
{
    const struct timespec pause = {.tv_nsec = DOCTOR_PAUSE_MS * 1000000L};

    for (unsigned round = 0; round < DOCTOR_SAMPLES; round++) {
        for (size_t i = 0; i < gather->facts->node_count; i++) {
            if (gather->clients[i] != NULL) {
                hf_message_free((void *)take_sample(gather, gather->clients[i],
                                                    &gather->facts->nodes[i]));
            }
        }
        if (round + 1 < DOCTOR_SAMPLES) {
            (void)nanosleep(&pause, NULL);
        }
    }
}

/* --- The region ------------------------------------------------------------
 */

/* All pages; NULL: `status` says why. */
static ProtobufCMessage *fetch(struct gather *gather, const char *method,
                               ProtobufCMessage *request,
                               struct hf_status *status)
{
    struct invocation *invocation = gather->invocation;
    const char *token = "";
    ProtobufCMessage *all = NULL;

    do {
        ProtobufCMessage *page;

        if (protobuf_c_message_descriptor_get_field_by_name(
                request->descriptor, "page_token") != NULL) {
            CHECK(request_set(invocation, request, "page_token", token, "") &&
                  request_set(invocation, request, "page_size", "1000", ""));
        }
        if (hf_client_call(invocation->client, method, request, &page,
                           status) != HF_STATUS_OK) {
            hf_message_free(all);
            return NULL;
        }
        token = view_string(page, "next_page_token");
        token = request_copy(invocation, token, strlen(token));
        if (all == NULL) {
            all = page;
        } else {
            list_merge(all, page);
            hf_message_free(page);
        }
    } while (token[0] != '\0');
    return all;
}

static ProtobufCMessage *fetch_all(struct gather *gather, const char *method)
{
    struct hf_status status;
    ProtobufCMessage *all =
        fetch(gather, method,
              request_create(gather->invocation, hf_method_find(method)->input),
              &status);

    if (all == NULL) {
        (void)snprintf(gather->facts->region_error,
                       sizeof(gather->facts->region_error), "%.200s [%s]",
                       status.message, hf_code_name(status.code));
    }
    return all;
}

ProtobufCMessage *doctor_fetch(struct invocation *invocation,
                               struct doctor_facts *facts, const char *method)
{
    struct gather gather = {.invocation = invocation, .facts = facts};

    return fetch_all(&gather, method);
}

static void find_pending(struct gather *gather)
{
    static const char method[] = "VmService/ListVms";
    Holdfast__V1__ListVmsRequest *request = (void *)request_create(
        gather->invocation, hf_method_find(method)->input);
    struct hf_status status;

    request->state = HOLDFAST__V1__VM_STATE__VM_STATE_PENDING;
    gather->facts->pending =
        (void *)fetch(gather, method, &request->base, &status);
}

static void find_grants(struct gather *gather)
{
    static const char method[] = "AccessService/ListGrants";
    struct doctor_facts *facts = gather->facts;
    struct hf_status status;

    facts->grants = (void *)fetch(
        gather, method,
        request_create(gather->invocation, hf_method_find(method)->input),
        &status);
    facts->grants_known = facts->grants != NULL ? GRANTS_KNOWN
                          : status.code == HF_STATUS_PERMISSION_DENIED
                              ? GRANTS_HIDDEN
                              : GRANTS_UNKNOWN;
}

/* Why one of those that wait does: lists do not tell. */
static void find_why(struct gather *gather, const char *name, bool of_zone,
                     struct doctor_drain *drain)
{
    ProtobufCMessage *response =
        request_try_get(gather->invocation, "VmService/GetVm", name);
    const Holdfast__V1__Vm *vm =
        response == NULL ? NULL : (const void *)response_object(response);

    if (vm != NULL && vm->status != NULL && drain_judge(vm, of_zone).waits) {
        (void)snprintf(drain->why, sizeof(drain->why), "%s",
                       vm->status->message);
    }
    if (response != NULL) {
        hf_message_free(response);
    }
}

/* The VMs on a host or zone that is being drained. */
static void add_drain(struct gather *gather, const char *name, bool of_zone)
{
    static const char method[] = "VmService/ListVms";
    struct doctor_facts *facts = gather->facts;
    struct doctor_drain *drain = &facts->drains[facts->drain_count];
    Holdfast__V1__ListVmsRequest *request;
    Holdfast__V1__ListVmsResponse *left;
    struct hf_status status;
    bool asked = false;

    if (facts->drain_count == DOCTOR_DRAINS_MAX) {
        return;
    }
    request = (void *)request_create(gather->invocation,
                                     hf_method_find(method)->input);
    *(of_zone ? &request->zone : &request->host) =
        request_copy(gather->invocation, name, strlen(name));
    left = (void *)fetch(gather, method, &request->base, &status);
    if (left == NULL) {
        return;
    }
    *drain = (struct doctor_drain){.left = (uint32_t)left->n_vms};
    (void)snprintf(drain->subject, sizeof(drain->subject), "%s %s",
                   of_zone ? "zone" : "host", name);
    for (size_t i = 0; i < left->n_vms; i++) {
        struct drain judged = drain_judge(left->vms[i], of_zone);

        drain->staying += judged.stays;
        drain->moving += judged.moving || left->vms[i]->status->move_queued;
        if (judged.waits && !asked) {
            asked = true;
            find_why(gather, left->vms[i]->name, of_zone, drain);
        }
    }
    facts->drain_count++;
    hf_message_free(&left->base);
}

static void find_drains(struct gather *gather)
{
    const struct doctor_facts *facts = gather->facts;

    for (size_t i = 0; facts->zones != NULL && i < facts->zones->n_zones; i++) {
        if (facts->zones->zones[i]->draining) {
            add_drain(gather, facts->zones->zones[i]->name, true);
        }
    }
    for (size_t i = 0; facts->hosts != NULL && i < facts->hosts->n_hosts; i++) {
        if (facts->hosts->hosts[i]->draining) {
            add_drain(gather, facts->hosts->hosts[i]->name, false);
        }
    }
}

static void find_region(struct gather *gather)
{
    struct doctor_facts *facts = gather->facts;
    const struct doctor_node *best = doctor_best(facts);

    if (best == NULL || !best->status->quorum) {
        (void)snprintf(facts->region_error, sizeof(facts->region_error),
                       "there is no leader to ask");
        return;
    }
    facts->settings = (void *)fetch_all(gather, "ClusterService/GetSettings");
    if (facts->settings == NULL) {
        return;
    }
    facts->zones = (void *)fetch_all(gather, "ZoneService/ListZones");
    facts->hosts = (void *)fetch_all(gather, "HostService/ListHosts");
    facts->reservations =
        (void *)fetch_all(gather, "ReservationService/ListReservations");
    find_pending(gather);
    find_grants(gather);
    find_drains(gather);
}

void doctor_gather(struct invocation *invocation, struct doctor_facts *facts)
{
    struct gather gather = {.invocation = invocation, .facts = facts};

    *facts =
        (struct doctor_facts){.version = HF_VERSION, .now_ms = clock_wall_ms()};
    find_nodes(&gather);
    take_more_samples(&gather);
    find_region(&gather);
    for (size_t i = 0; i < facts->node_count; i++) {
        hf_client_close(gather.clients[i]);
    }
}
