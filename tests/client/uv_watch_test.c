/* SPDX-License-Identifier: Apache-2.0
 *
 * Watches of the asynchronous client, and what comes over TLS: nothing is
 * missed and nothing comes twice, whatever the nodes do. */
#include "client/uv_node.h"

#include "base/check.h"
#include "base/memory.h"
#include "client/async.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "tls/pki.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* More than all buffers on the way hold. */
#define EVENTS 100000

/* A region and a watch of it. */
struct region {
    struct uv_region own;
    struct hf_uv_watch watch;
    uint64_t seen;    /* The last event; they come one after the other. */
    uint64_t stop_at; /* Event at which the callback cancels; 0: none. */
    struct hf_status status;
    int ended;
};

static void on_response(struct hf_uv_watch *watch, ProtobufCMessage *message)
{
    struct region *region = container_of(watch, struct region, watch);
    const Holdfast__V1__WatchResponse *response =
        (const Holdfast__V1__WatchResponse *)(const void *)message;

    CHECK(region->ended == 0);
    CHECK(region->stop_at == 0 || region->seen < region->stop_at);
    for (size_t i = 0; i < response->n_events; i++) {
        CHECK(response->events[i]->revision == ++region->seen);
    }
    hf_message_free(message);
    if (region->stop_at != 0 && region->seen == region->stop_at) {
        hf_uv_watch_cancel(watch);
        CHECK(region->ended == 0);
    }
}

static void on_ended(struct hf_uv_watch *watch, const struct hf_status *status)
{
    struct region *region = container_of(watch, struct region, watch);

    region->ended++;
    region->status = *status;
}

static void watch_from(struct region *region, uint64_t revision)
{
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;

    request.after_revision = revision;
    region->seen = revision;
    region->ended = 0;
    assert_int_equal(hf_uv_watch(region->own.client, &region->watch,
                                 &request.base, on_response, on_ended),
                     HF_STATUS_OK);
}

static void see(struct region *region, uint64_t revision)
{
    while (region->seen < revision) {
        (void)uv_run(&region->own.loop, UV_RUN_ONCE);
        assert_int_equal(region->ended, 0);
    }
}

static void region_start(struct region *region)
{
    memset(region, 0, sizeof(*region));
    uv_region_start(&region->own);
}

static void every_event_comes_once_though_nodes_go(void **unused)
{
    struct outcome outcome;
    struct region region;

    (void)unused;
    region_start(&region);
    for (size_t i = 0; i < 2; i++) {
        uv_node_publish(&region.own.nodes[i], EVENTS / 2);
    }
    watch_from(&region, 7);
    see(&region, 100);
    uv_node_stop(&region.own.nodes[0]);
    see(&region, EVENTS / 2);
    uv_node_publish(&region.own.nodes[1], EVENTS);
    /* Calls are not starved by a busy watch of the same connection. */
    assert_int_equal(get_vm(region.own.client, &outcome, "a", 60000),
                     HF_STATUS_OK);
    run_until(&region.own.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_OK);
    see(&region, EVENTS);
    assert_int_equal(region.own.nodes[0].watches, 1);
    assert_int_equal(region.own.nodes[1].watches, 1);
    assert_true(region.own.nodes[1].after_revision >= 100);
    uv_region_stop(&region.own);
    assert_int_equal(region.ended, 1);
    assert_int_equal(region.status.code, HF_STATUS_CANCELLED);
}

static void one_that_is_too_far_behind_ends(void **unused)
{
    struct region region;

    (void)unused;
    region_start(&region);
    region.own.nodes[0].oldest = 50;
    watch_from(&region, 10);
    run_until(&region.own.loop, &region.ended, 1);
    assert_int_equal(region.status.code, HF_STATUS_OUT_OF_RANGE);
    assert_string_equal(region.status.reason, "WATCH_COMPACTED");
    /* Listed again: from the list's revision. */
    uv_node_publish(&region.own.nodes[0], 60);
    watch_from(&region, 55);
    see(&region, 60);
    uv_region_stop(&region.own);
}

static void it_is_cancelled_in_each_state(void **unused)
{
    struct region region;

    (void)unused;
    region_start(&region);
    /* Before there is a connection. */
    watch_from(&region, 0);
    hf_uv_watch_cancel(&region.watch);
    hf_uv_watch_cancel(&region.watch);
    assert_int_equal(region.ended, 0);
    run_until(&region.own.loop, &region.ended, 1);
    assert_int_equal(region.status.code, HF_STATUS_CANCELLED);
    hf_uv_watch_cancel(&region.watch); /* Over. */
    /* From its callback, with more events at hand. */
    uv_node_publish(&region.own.nodes[0], 1000);
    region.stop_at = 500;
    watch_from(&region, 0);
    run_until(&region.own.loop, &region.ended, 1);
    assert_int_equal(region.seen, 500);
    region.stop_at = 0;
    /* Quiet. */
    watch_from(&region, 0);
    see(&region, 1000);
    hf_uv_watch_cancel(&region.watch);
    run_until(&region.own.loop, &region.ended, 1);
    /* In a pause: nobody is there. */
    uv_node_stop(&region.own.nodes[0]);
    uv_node_stop(&region.own.nodes[1]);
    watch_from(&region, 0);
    while (region.watch.state->course.failures < 4) {
        (void)uv_run(&region.own.loop, UV_RUN_ONCE);
    }
    assert_int_equal(region.watch.state->state, ASYNC_PAUSED);
    hf_uv_watch_cancel(&region.watch);
    run_until(&region.own.loop, &region.ended, 1);
    uv_region_stop(&region.own);
}

/* Fifteen seconds are not waited for: its alarm is rung by hand. */
static void a_node_that_goes_silent_is_left(void **unused)
{
    struct region region;
    struct alarm *alarm;

    (void)unused;
    region_start(&region);
    uv_node_publish(&region.own.nodes[0], 10);
    uv_node_publish(&region.own.nodes[1], 20);
    watch_from(&region, 0);
    see(&region, 10);
    alarm = &region.watch.state->alarm;
    list_remove(&alarm->link);
    alarm->ring(
        alarm); /* Suspected, no more: the loop may have been held up. */
    (void)uv_run(&region.own.loop, UV_RUN_NOWAIT);
    uv_node_publish(&region.own.nodes[0], 12);
    see(&region, 12);
    assert_int_equal(region.own.nodes[1].watches, 0);
    for (int i = 0; i < 2; i++) {
        list_remove(&alarm->link);
        alarm->ring(alarm);
    }
    see(&region, 20);
    assert_int_equal(region.own.nodes[1].after_revision, 12);
    assert_string_equal(hf_uv_client_endpoint_error(region.own.client, 0),
                        "the node has gone silent");
    uv_region_stop(&region.own);
}

static void what_is_no_response_ends_it(void **unused)
{
    struct region region;

    (void)unused;
    region_start(&region);
    region.own.nodes[0].garbled = true;
    watch_from(&region, 1);
    run_until(&region.own.loop, &region.ended, 1);
    assert_int_equal(region.status.code, HF_STATUS_INTERNAL);
    uv_region_stop(&region.own);
}

static void what_cannot_begin_is_never_told(void **unused)
{
    Holdfast__V1__ListVmsRequest list = HOLDFAST__V1__LIST_VMS_REQUEST__INIT;
    Holdfast__V1__WatchRequest request = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct region *regions =
        memory_alloc_array(HF_UV_WATCHES_MAX, sizeof(*regions));
    struct hf_uv_watch one_more;
    struct region region;

    (void)unused;
    region_start(&region);
    assert_int_equal(hf_uv_watch(region.own.client, &region.watch, &list.base,
                                 on_response, on_ended),
                     HF_STATUS_INVALID_ARGUMENT);
    for (int i = 0; i < HF_UV_WATCHES_MAX; i++) {
        assert_int_equal(hf_uv_watch(region.own.client, &regions[i].watch,
                                     &request.base, on_response, on_ended),
                         HF_STATUS_OK);
    }
    assert_int_equal(hf_uv_watch(region.own.client, &one_more, &request.base,
                                 on_response, on_ended),
                     HF_STATUS_RESOURCE_EXHAUSTED);
    uv_region_stop(&region.own);
    for (int i = 0; i < HF_UV_WATCHES_MAX; i++) {
        assert_int_equal(regions[i].ended, 1);
    }
    free(regions);
}

/* --- TLS ----------------------------------------------------------------- */

struct papers {
    char dir[64];
    char paths[5][96]; /* node.crt, node.key, client.crt, client.key, ca. */
};

static void issue(const struct papers *papers, enum pki_role role,
                  const char *name)
{
    struct pki_request request = {.role = role,
                                  .name = role == PKI_NODE ? "1" : "anna",
                                  .common_name = name,
                                  .hosts = {"127.0.0.1"},
                                  .host_count = role == PKI_NODE ? 1 : 0};
    char error[256];

    CHECK(pki_issue(papers->dir, &request, papers->dir, name, error,
                    sizeof(error)) == 0);
}

static void papers_make(struct papers *papers)
{
    static const char *const names[] = {"node.crt", "node.key", "client.crt",
                                        "client.key", "node-ca.crt"};
    char error[256];

    (void)snprintf(papers->dir, sizeof(papers->dir), "/tmp/hf-uv-XXXXXX");
    CHECK(mkdtemp(papers->dir) != NULL);
    CHECK(pki_init(papers->dir, "test", error, sizeof(error)) == 0);
    issue(papers, PKI_NODE, "node");
    issue(papers, PKI_CLIENT, "client");
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(papers->paths[i], sizeof(papers->paths[i]), "%s/%s",
                       papers->dir, names[i]);
    }
}

static void papers_remove(const struct papers *papers)
{
    static const char *const all[] = {
        "node.crt",      "node.key",     "client.crt",   "client.key",
        "node-ca.crt",   "node-ca.key",  "agent-ca.crt", "agent-ca.key",
        "client-ca.crt", "client-ca.key"};

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        char path[128];

        (void)snprintf(path, sizeof(path), "%s/%s", papers->dir, all[i]);
        CHECK(unlink(path) == 0);
    }
    CHECK(rmdir(papers->dir) == 0);
}

static struct tls *tls_of_node(const struct papers *papers)
{
    char client_ca[96];
    char error[256];
    struct tls_files files = {.certificate = papers->paths[0],
                              .key = papers->paths[1],
                              .node_ca = papers->paths[4],
                              .client_ca = client_ca};
    struct tls *tls;

    (void)snprintf(client_ca, sizeof(client_ca), "%s/client-ca.crt",
                   papers->dir);
    tls = tls_create(&files, error, sizeof(error));
    CHECK(tls != NULL);
    return tls;
}

#define TOKEN \
    "hf_00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static void all_goes_over_tls_with_a_token(void **unused)
{
    struct hf_uv_client *client;
    struct hf_status status;
    struct outcome outcome;
    struct papers papers;
    struct uv_node node;
    struct tls *tls;
    uv_loop_t loop;

    (void)unused;
    papers_make(&papers);
    tls = tls_of_node(&papers);
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_node_start(&node, &loop, tls);
    client = hf_uv_client_open(&loop, node.endpoint, &status);
    assert_int_equal(
        hf_uv_client_use_tls(client,
                             &(struct hf_tls){.ca = papers.paths[4],
                                              .certificate = papers.paths[2],
                                              .key = papers.paths[3]},
                             &status),
        HF_STATUS_OK);
    assert_int_equal(hf_uv_client_use_token(client, TOKEN, &status),
                     HF_STATUS_OK);
    assert_int_equal(create_vm(client, &outcome, "web"), HF_STATUS_OK);
    run_until(&loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_OK);
    assert_string_equal(node.authorization, "Bearer " TOKEN);
    assert_int_equal(
        hf_uv_client_use_tls(client, &(struct hf_tls){.ca = papers.paths[4]},
                             &status),
        HF_STATUS_FAILED_PRECONDITION);
    close_client(client, &loop);
    uv_node_stop(&node);
    close_loop(&loop);
    tls_destroy(tls);
    papers_remove(&papers);
}

static void a_node_of_another_authority_is_not_spoken_to(void **unused)
{
    struct hf_uv_client *client;
    struct hf_status status;
    struct outcome outcome;
    struct papers papers;
    struct uv_node node;
    struct tls *tls;
    uv_loop_t loop;

    (void)unused;
    papers_make(&papers);
    tls = tls_of_node(&papers);
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_node_start(&node, &loop, tls);
    client = hf_uv_client_open(&loop, node.endpoint, &status);
    assert_int_equal(hf_uv_client_use_tls(
                         client, &(struct hf_tls){.ca = "/nowhere"}, &status),
                     HF_STATUS_INVALID_ARGUMENT);
    /* The client trusts the wrong one of the three authorities. */
    papers.paths[4][0] = '\0';
    (void)snprintf(papers.paths[4], sizeof(papers.paths[4]), "%s/agent-ca.crt",
                   papers.dir);
    assert_int_equal(
        hf_uv_client_use_tls(client, &(struct hf_tls){.ca = papers.paths[4]},
                             &status),
        HF_STATUS_OK);
    assert_int_equal(get_vm(client, &outcome, "a", 0), HF_STATUS_OK);
    run_until(&loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_UNAVAILABLE);
    assert_non_null(strstr(outcome.status.message, "certificate"));
    assert_int_equal(node.calls, 0);
    close_client(client, &loop);
    uv_node_stop(&node);
    close_loop(&loop);
    tls_destroy(tls);
    papers_remove(&papers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_comes_once_though_nodes_go),
        cmocka_unit_test(one_that_is_too_far_behind_ends),
        cmocka_unit_test(it_is_cancelled_in_each_state),
        cmocka_unit_test(a_node_that_goes_silent_is_left),
        cmocka_unit_test(what_is_no_response_ends_it),
        cmocka_unit_test(what_cannot_begin_is_never_told),
        cmocka_unit_test(all_goes_over_tls_with_a_token),
        cmocka_unit_test(a_node_of_another_authority_is_not_spoken_to),
    };

    (void)alarm(240);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
