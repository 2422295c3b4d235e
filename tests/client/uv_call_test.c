/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls of the asynchronous client, against nodes on the same loop that answer,
 * refuse, keep silent and go away. */
#include "client/uv_node.h"

#include "base/memory.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MANY 1000

static void many_calls_share_one_connection(void **unused)
{
    struct outcome *outcomes = memory_alloc_array(MANY, sizeof(*outcomes));
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    for (int i = 0; i < MANY; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "vm-%d", i);
        assert_int_equal(get_vm(region.client, &outcomes[i], name, 60000),
                         HF_STATUS_OK);
        assert_int_equal(outcomes[i].told, 0);
    }
    for (int i = 0; i < MANY; i++) {
        char name[16];

        (void)snprintf(name, sizeof(name), "vm-%d", i);
        run_until(&region.loop, &outcomes[i].told, 1);
        assert_int_equal(outcomes[i].status.code, HF_STATUS_OK);
        assert_string_equal(outcomes[i].name, name);
        assert_int_equal(outcomes[i].status.attempts, 1);
    }
    assert_int_equal(
        rpc_server_stats(region.nodes[0].server)->connections_accepted, 1);
    assert_int_equal(region.nodes[1].calls, 0);
    uv_region_stop(&region);
    free(outcomes);
}

static void a_refusal_comes_whole_and_is_final(void **unused)
{
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].fail = 1;
    region.nodes[0].fail_code = RPC_FAILED_PRECONDITION;
    assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_FAILED_PRECONDITION);
    assert_string_equal(outcome.status.message, "told to \xc3\xbc");
    assert_string_equal(outcome.status.reason, "TEST");
    assert_int_equal(outcome.status.attempts, 1);
    assert_true(outcome.status.was_sent);
    uv_region_stop(&region);
}

static void what_cannot_begin_is_never_told(void **unused)
{
    Holdfast__V1__ListVmsRequest list = HOLDFAST__V1__LIST_VMS_REQUEST__INIT;
    Holdfast__V1__WatchRequest watch = HOLDFAST__V1__WATCH_REQUEST__INIT;
    struct outcome *outcomes =
        memory_alloc_array(HF_UV_CALLS_MAX + 1, sizeof(*outcomes));
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    assert_int_equal(hf_uv_call(region.client, &outcomes[0].call,
                                "VmService/GetVm", &list.base, 0, outcome_take),
                     HF_STATUS_INVALID_ARGUMENT);
    assert_int_equal(hf_uv_call(region.client, &outcomes[0].call, "Nothing",
                                &list.base, 0, outcome_take),
                     HF_STATUS_INVALID_ARGUMENT);
    assert_int_equal(hf_uv_call(region.client, &outcomes[0].call,
                                "WatchService/Watch", &watch.base, 0,
                                outcome_take),
                     HF_STATUS_INVALID_ARGUMENT);
    for (int i = 0; i < HF_UV_CALLS_MAX; i++) {
        assert_int_equal(get_vm(region.client, &outcomes[i], "a", 60000),
                         HF_STATUS_OK);
    }
    assert_int_equal(
        get_vm(region.client, &outcomes[HF_UV_CALLS_MAX], "a", 60000),
        HF_STATUS_RESOURCE_EXHAUSTED);
    close_client(region.client, &region.loop);
    for (int i = 0; i < HF_UV_CALLS_MAX; i++) {
        assert_int_equal(outcomes[i].told, 1);
        assert_int_equal(outcomes[i].status.code, HF_STATUS_CANCELLED);
    }
    assert_int_equal(outcomes[HF_UV_CALLS_MAX].told, 0);
    region.client = NULL;
    uv_region_stop(&region);
    free(outcomes);
}

static void a_mutation_keeps_its_id_over_attempts(void **unused)
{
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].fail = 1;
    assert_int_equal(create_vm(region.client, &outcome, "web"), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_OK);
    assert_int_equal(outcome.status.attempts, 2);
    assert_string_equal(outcome.name, "web");
    assert_int_equal(strlen(outcome.status.request_id), 32);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(region.nodes[i].request_id,
                            outcome.status.request_id);
    }
    assert_string_equal(region.nodes[0].previous, "");
    assert_string_equal(region.nodes[1].previous, "1");
    assert_string_equal(hf_uv_client_endpoint_error(region.client, 0),
                        "told to \xc3\xbc");
    /* The next call goes where the last one was answered. */
    assert_int_equal(create_vm(region.client, &outcome, "db"), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(region.nodes[0].calls, 1);
    assert_int_equal(region.nodes[1].calls, 2);
    uv_region_stop(&region);
}

/* With a budget of ten tokens all but ten would be given up. */
static void a_region_without_a_leader_fails_no_call(void **unused)
{
    struct outcome *outcomes = memory_alloc_array(MANY, sizeof(*outcomes));
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    for (int i = 0; i < 2; i++) {
        region.nodes[i].fail = MANY;
        region.nodes[i].pushback = "20";
    }
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(get_vm(region.client, &outcomes[i], "a", 60000),
                         HF_STATUS_OK);
    }
    for (int i = 0; i < MANY; i++) {
        run_until(&region.loop, &outcomes[i].told, 1);
        assert_int_equal(outcomes[i].status.code, HF_STATUS_OK);
        assert_true(outcomes[i].status.attempts <= 10);
    }
    assert_int_equal(region.nodes[0].calls + region.nodes[1].calls, 3 * MANY);
    uv_region_stop(&region);
    free(outcomes);
}

static void a_node_may_forbid_the_retry(void **unused)
{
    static const char *const pushbacks[] = {"-1", "soon"};
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    for (size_t i = 0; i < ARRAY_LEN(pushbacks); i++) {
        region.nodes[i].fail = 1;
        region.nodes[i].pushback = pushbacks[i];
        assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
        run_until(&region.loop, &outcome.told, 1);
        assert_int_equal(outcome.status.code, HF_STATUS_UNAVAILABLE);
        assert_int_equal(outcome.status.attempts, 1);
    }
    uv_region_stop(&region);
}

static void nobody_there_is_told_in_the_end(void **unused)
{
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    uv_node_stop(&region.nodes[0]);
    uv_node_stop(&region.nodes[1]);
    assert_int_equal(create_vm(region.client, &outcome, "a"), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_UNAVAILABLE);
    assert_non_null(strstr(outcome.status.message, "connection refused"));
    assert_false(outcome.status.was_sent);
    assert_true(outcome.status.attempts > 2);
    for (size_t i = 0; i < hf_uv_client_endpoint_count(region.client); i++) {
        assert_string_equal(hf_uv_client_endpoint(region.client, i),
                            region.nodes[i].endpoint);
        assert_non_null(strstr(hf_uv_client_endpoint_error(region.client, i),
                               "connection refused"));
    }
    uv_region_stop(&region);
}

static void a_silent_node_does_not_take_all_the_time(void **unused)
{
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    assert_int_equal(get_vm(region.client, &outcome, "a", 2500), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_OK);
    assert_int_equal(outcome.status.attempts, 2);
    assert_string_equal(region.nodes[1].previous, "1");
    uv_region_stop(&region);
}

static void the_deadline_holds_over_all_attempts(void **unused)
{
    struct outcome outcomes[2];
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    region.nodes[1].fail = 1000;
    region.nodes[1].pushback = "10";
    assert_int_equal(get_vm(region.client, &outcomes[0], "a", 300),
                     HF_STATUS_OK);
    run_until(&region.loop, &outcomes[0].told, 1);
    assert_int_equal(outcomes[0].status.code, HF_STATUS_DEADLINE_EXCEEDED);
    assert_true(outcomes[0].status.was_sent);
    assert_string_equal(outcomes[0].status.message,
                        "not done within 300 ms: no answer in time");
    /* In a pause. */
    region.nodes[0].silent = false;
    region.nodes[0].fail = 1000;
    region.nodes[0].pushback = "200";
    region.nodes[1].pushback = "200";
    assert_int_equal(get_vm(region.client, &outcomes[1], "a", 300),
                     HF_STATUS_OK);
    run_until(&region.loop, &outcomes[1].told, 1);
    assert_true(outcomes[1].status.code == HF_STATUS_UNAVAILABLE ||
                outcomes[1].status.code == HF_STATUS_DEADLINE_EXCEEDED);
    uv_region_stop(&region);
}

static void answers_that_are_none_are_internal_errors(void **unused)
{
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].garbled = true;
    assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_INTERNAL);
    assert_string_equal(outcome.status.message,
                        "the answer is no GetVmResponse");
    region.nodes[0].garbled = false;
    region.nodes[0].empty = true;
    assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
    run_until(&region.loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_INTERNAL);
    assert_string_equal(outcome.status.message, "the answer holds no message");
    uv_region_stop(&region);
}

/* --- Cancelling, in each state ------------------------------------------- */

static void cancelled(struct uv_region *region, struct outcome *outcome)
{
    hf_uv_call_cancel(&outcome->call);
    hf_uv_call_cancel(&outcome->call); /* Harmless. */
    assert_int_equal(outcome->told, 0);
    run_until(&region->loop, &outcome->told, 1);
    assert_int_equal(outcome->status.code, HF_STATUS_CANCELLED);
    hf_uv_call_cancel(&outcome->call); /* Over. */
    (void)uv_run(&region->loop, UV_RUN_NOWAIT);
    assert_int_equal(outcome->told, 1);
}

static void a_call_is_cancelled_in_each_state(void **unused)
{
    struct outcome outcome;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    /* Before there is a connection. */
    assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
    cancelled(&region, &outcome);
    assert_false(outcome.status.was_sent);
    /* Submitted, and not written yet. */
    assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
    run_until(&region.loop, &region.nodes[0].calls, 1);
    cancelled(&region, &outcome);
    assert_true(outcome.status.was_sent);
    assert_int_equal(get_vm(region.client, &outcome, "a", 0), HF_STATUS_OK);
    cancelled(&region, &outcome);
    /* The node hears of it. */
    while (region.nodes[0].open > 0) {
        (void)uv_run(&region.loop, UV_RUN_ONCE);
    }
    /* In a pause. */
    for (int i = 0; i < 2; i++) {
        region.nodes[i].silent = false;
        region.nodes[i].fail = 1;
        region.nodes[i].pushback = "3600000";
    }
    assert_int_equal(get_vm(region.client, &outcome, "a", 7200000),
                     HF_STATUS_OK);
    while (region.nodes[0].fail + region.nodes[1].fail == 2) {
        (void)uv_run(&region.loop, UV_RUN_ONCE);
    }
    (void)uv_run(&region.loop, UV_RUN_NOWAIT);
    cancelled(&region, &outcome);
    uv_region_stop(&region);
}

/* Calls that the server has no room for yet do not wait for room to end. */
static void a_call_beyond_the_servers_limit_is_cancelled(void **unused)
{
    struct outcome *outcomes = memory_alloc_array(300, sizeof(*outcomes));
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    for (int i = 0; i < 300; i++) {
        assert_int_equal(get_vm(region.client, &outcomes[i], "a", 60000),
                         HF_STATUS_OK);
    }
    run_until(&region.loop, &region.nodes[0].calls, 256);
    cancelled(&region, &outcomes[299]);
    assert_false(outcomes[299].status.was_sent);
    /* One that ends makes room for one. */
    cancelled(&region, &outcomes[0]);
    run_until(&region.loop, &region.nodes[0].calls, 257);
    uv_region_stop(&region);
    free(outcomes);
}

/* --- Nodes that go ------------------------------------------------------- */

static void a_node_that_goes_loses_no_call(void **unused)
{
    struct outcome *outcomes = memory_alloc_array(100, sizeof(*outcomes));
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(create_vm(region.client, &outcomes[i], "a"),
                         HF_STATUS_OK);
    }
    run_until(&region.loop, &region.nodes[0].calls, 100);
    uv_node_stop(&region.nodes[0]);
    for (int i = 0; i < 100; i++) {
        run_until(&region.loop, &outcomes[i].told, 1);
        assert_int_equal(outcomes[i].status.code, HF_STATUS_OK);
        assert_int_equal(outcomes[i].status.attempts, 2);
    }
    uv_region_stop(&region);
    free(outcomes);
}

/* Its GOAWAY: what is open goes on there, what is new goes elsewhere. */
static void a_node_that_says_goodbye_gets_no_new_call(void **unused)
{
    struct outcome old;
    struct outcome new;
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    region.nodes[0].silent = true;
    assert_int_equal(get_vm(region.client, &old, "old", 60000), HF_STATUS_OK);
    run_until(&region.loop, &region.nodes[0].calls, 1);
    region.nodes[0].silent = false;
    uv_node_leave(&region.nodes[0]);
    while (region.nodes[1].calls < 3) {
        assert_int_equal(get_vm(region.client, &new, "new", 60000),
                         HF_STATUS_OK);
        run_until(&region.loop, &new.told, 1);
        assert_int_equal(new.status.code, HF_STATUS_OK);
    }
    assert_int_equal(old.told, 0);
    assert_int_equal(region.nodes[0].open, 1);
    cancelled(&region, &old);
    run_until(&region.loop, &region.nodes[0].closed, 1);
    uv_region_stop(&region);
}

/* As behind a proxy that is replaced: while a call is open on the connection
 * that takes no more, new ones get a connection of their own. */
static void calls_go_on_where_a_goodbye_was_said(void **unused)
{
    struct hf_uv_client *client;
    struct hf_status status;
    struct uv_node nodes[2];
    struct outcome old;
    struct outcome new;
    uv_loop_t loop;

    (void)unused;
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_node_start(&nodes[0], &loop, NULL);
    client = hf_uv_client_open(&loop, nodes[0].endpoint, &status);
    nodes[0].silent = true;
    assert_int_equal(get_vm(client, &old, "old", 3600000), HF_STATUS_OK);
    run_until(&loop, &nodes[0].calls, 1);
    uv_node_leave(&nodes[0]);
    (void)uv_run(&loop, UV_RUN_NOWAIT); /* The port is free. */
    uv_node_start_at(&nodes[1], &loop, NULL, nodes[0].endpoint);
    nodes[0].silent = false;
    while (nodes[1].calls < 3) {
        assert_int_equal(get_vm(client, &new, "new", 60000), HF_STATUS_OK);
        run_until(&loop, &new.told, 1);
        assert_int_equal(new.status.code, HF_STATUS_OK);
    }
    assert_int_equal(old.told, 0);
    assert_int_equal(nodes[0].open, 1);
    hf_uv_call_cancel(&old.call);
    run_until(&loop, &nodes[0].closed, 1);
    close_client(client, &loop);
    uv_node_stop(&nodes[1]);
    close_loop(&loop);
}

/* --- Closing ------------------------------------------------------------- */

/* A call that, when it is over, closes the client from its callback. */
struct last_call {
    struct hf_uv_call call;
    struct hf_uv_client *client;
    struct hf_uv_close close;
    int closed;
};

static void on_last_closed(struct hf_uv_close *close)
{
    container_of(close, struct last_call, close)->closed++;
}

static void on_last(struct hf_uv_call *call, const struct hf_status *status,
                    ProtobufCMessage *response)
{
    struct last_call *last = container_of(call, struct last_call, call);
    struct outcome late;

    assert_int_equal(status->code, HF_STATUS_OK);
    hf_message_free(response);
    hf_uv_client_close(last->client, &last->close, on_last_closed);
    assert_int_equal(get_vm(last->client, &late, "late", 0),
                     HF_STATUS_FAILED_PRECONDITION);
}

static void a_client_is_closed_from_a_callback_with_calls_open(void **unused)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    struct last_call last = {.closed = 0};
    struct outcome outcomes[10];
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    last.client = region.client;
    assert_int_equal(hf_uv_call(region.client, &last.call, "VmService/GetVm",
                                &request.base, 0, on_last),
                     HF_STATUS_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(get_vm(region.client, &outcomes[i], "a", 0),
                         HF_STATUS_OK);
    }
    run_until(&region.loop, &last.closed, 1);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(outcomes[i].told, 1);
        assert_true(outcomes[i].status.code == HF_STATUS_OK ||
                    outcomes[i].status.code == HF_STATUS_CANCELLED);
    }
    region.client = NULL;
    uv_region_stop(&region);
}

/* A call whose callback makes the next one with the same struct. */
struct chain {
    struct hf_uv_call call;
    struct hf_uv_client *client;
    int length;
};

static void go_on(struct hf_uv_call *call, const struct hf_status *status,
                  ProtobufCMessage *response)
{
    struct chain *chain = container_of(call, struct chain, call);
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;

    assert_int_equal(status->code, HF_STATUS_OK);
    hf_message_free(response);
    if (++chain->length < 100) {
        assert_int_equal(hf_uv_call(chain->client, call, "VmService/GetVm",
                                    &request.base, 0, go_on),
                         HF_STATUS_OK);
    }
}

static void a_callback_makes_the_next_call(void **unused)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    struct chain chain = {.length = 0};
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    chain.client = region.client;
    assert_int_equal(hf_uv_call(region.client, &chain.call, "VmService/GetVm",
                                &request.base, 0, go_on),
                     HF_STATUS_OK);
    run_until(&region.loop, &chain.length, 100);
    uv_region_stop(&region);
}

static void an_unused_client_closes(void **unused)
{
    struct hf_status status;
    uv_loop_t loop;

    (void)unused;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_null(hf_uv_client_open(&loop, "here", &status));
    assert_int_equal(status.code, HF_STATUS_INVALID_ARGUMENT);
    close_client(hf_uv_client_open(&loop, "127.0.0.1:1", &status), &loop);
    close_loop(&loop);
}

static void a_host_is_found_by_its_name(void **unused)
{
    struct hf_uv_client *client;
    struct hf_status status;
    struct outcome outcome;
    struct uv_node node;
    char endpoint[32];
    uv_loop_t loop;

    (void)unused;
    assert_int_equal(uv_loop_init(&loop), 0);
    uv_node_start(&node, &loop, NULL);
    /* ::1 may come first, where nobody listens. */
    (void)snprintf(endpoint, sizeof(endpoint), "localhost:%d",
                   rpc_server_port(node.server));
    client = hf_uv_client_open(&loop, endpoint, &status);
    assert_int_equal(get_vm(client, &outcome, "a", 0), HF_STATUS_OK);
    run_until(&loop, &outcome.told, 1);
    assert_int_equal(outcome.status.code, HF_STATUS_OK);
    assert_int_equal(outcome.status.attempts, 1);
    close_client(client, &loop);
    /* Closed while the name is looked up. */
    client = hf_uv_client_open(&loop, endpoint, &status);
    assert_int_equal(get_vm(client, &outcome, "a", 0), HF_STATUS_OK);
    close_client(client, &loop);
    assert_int_equal(outcome.status.code, HF_STATUS_CANCELLED);
    uv_node_stop(&node);
    close_loop(&loop);
}

static void *make_calls(void *unused)
{
    struct uv_region region;

    (void)unused;
    uv_region_start(&region);
    for (int i = 0; i < 200; i++) {
        struct outcome outcome;

        assert_int_equal(get_vm(region.client, &outcome, "a", 60000),
                         HF_STATUS_OK);
        run_until(&region.loop, &outcome.told, 1);
        assert_int_equal(outcome.status.code, HF_STATUS_OK);
    }
    uv_region_stop(&region);
    return NULL;
}

static void loops_of_two_threads_do_not_meet(void **unused)
{
    pthread_t thread;

    (void)unused;
    assert_int_equal(pthread_create(&thread, NULL, make_calls, NULL), 0);
    (void)make_calls(NULL);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_calls_share_one_connection),
        cmocka_unit_test(a_refusal_comes_whole_and_is_final),
        cmocka_unit_test(what_cannot_begin_is_never_told),
        cmocka_unit_test(a_mutation_keeps_its_id_over_attempts),
        cmocka_unit_test(a_region_without_a_leader_fails_no_call),
        cmocka_unit_test(a_node_may_forbid_the_retry),
        cmocka_unit_test(nobody_there_is_told_in_the_end),
        cmocka_unit_test(a_silent_node_does_not_take_all_the_time),
        cmocka_unit_test(the_deadline_holds_over_all_attempts),
        cmocka_unit_test(answers_that_are_none_are_internal_errors),
        cmocka_unit_test(a_call_is_cancelled_in_each_state),
        cmocka_unit_test(a_call_beyond_the_servers_limit_is_cancelled),
        cmocka_unit_test(a_node_that_goes_loses_no_call),
        cmocka_unit_test(a_node_that_says_goodbye_gets_no_new_call),
        cmocka_unit_test(calls_go_on_where_a_goodbye_was_said),
        cmocka_unit_test(a_client_is_closed_from_a_callback_with_calls_open),
        cmocka_unit_test(a_callback_makes_the_next_call),
        cmocka_unit_test(an_unused_client_closes),
        cmocka_unit_test(a_host_is_found_by_its_name),
        cmocka_unit_test(loops_of_two_threads_do_not_meet),
    };

    (void)alarm(240);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
