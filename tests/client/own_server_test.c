/* SPDX-License-Identifier: Apache-2.0
 *
 * The client library against our own server (rpc/), which runs in a thread:
 * answers larger than a flow-control window, refusals with their reason, a
 * watch of many events, and a node that goes away in the middle of it. */
#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "rpc/server.h"

#include <holdfast/holdfast.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VM_COUNT 5000
/* More than all buffers on the way hold. */
#define EVENT_COUNT 200000

struct node {
    struct rpc_service service;
    struct rpc_method methods[3];
    struct rpc_server *server;
    struct rpc_server_close close;
    uv_loop_t loop;
    uv_async_t stop;
    pthread_t thread;
    char endpoint[32];
    int watches; /* The node's thread's, until node_stop(). */
};

struct node_call {
    struct rpc_handler handler;
    struct rpc_call *call;
    struct node *node;
    const struct rpc_method *method;
    uint64_t revision; /* The last event that was sent. */
};

static void list_vms(struct rpc_call *call)
{
    Holdfast__V1__ListVmsResponse response;
    Holdfast__V1__Vm *vms = memory_alloc_array(VM_COUNT, sizeof(*vms));
    Holdfast__V1__Vm **list = memory_alloc_array(VM_COUNT, sizeof(*list));
    char *names = memory_alloc_array(VM_COUNT, 64);

    holdfast__v1__list_vms_response__init(&response);
    for (int i = 0; i < VM_COUNT; i++) {
        holdfast__v1__vm__init(&vms[i]);
        list[i] = &vms[i];
        vms[i].name = names + i * 64;
        (void)snprintf(vms[i].name, 64, "vm-with-quite-a-long-name-%030d", i);
    }
    response.n_vms = VM_COUNT;
    response.vms = list;
    rpc_call_send(call, &response.base);
    rpc_call_finish(call, RPC_OK, "%s", "");
    free(names);
    free(list);
    free(vms);
}

/* As much as the peer takes; then the `writable` that follows. */
static void send_events(struct rpc_handler *handler)
{
    struct node_call *call = container_of(handler, struct node_call, handler);

    while (call->revision < EVENT_COUNT &&
           rpc_call_queued(call->call) < 65536) {
        Holdfast__V1__WatchResponse response;
        Holdfast__V1__Event event;
        Holdfast__V1__Event *events[] = {&event};

        holdfast__v1__watch_response__init(&response);
        holdfast__v1__event__init(&event);
        event.revision = ++call->revision;
        response.revision = call->revision;
        response.n_events = 1;
        response.events = events;
        rpc_call_send(call->call, &response.base);
    }
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct node_call *call = container_of(handler, struct node_call, handler);

    if (strstr(call->method->path, "ListVms") != NULL) {
        list_vms(call->call);
    } else if (strstr(call->method->path, "GetVm") != NULL) {
        rpc_call_trailer(call->call, "holdfast-reason", "vm_not_found");
        rpc_call_finish(call->call, RPC_NOT_FOUND, "no vm \"%s\"",
                        "gr\xc3\xbcn");
    } else {
        const Holdfast__V1__WatchRequest *request =
            (const Holdfast__V1__WatchRequest *)(const void *)message;

        call->node->watches++;
        call->revision = request->after_revision;
        send_events(handler);
    }
}

static void on_closed(struct rpc_handler *handler)
{
    free(container_of(handler, struct node_call, handler));
}

static const struct rpc_handler_ops ops = {
    .message = on_message, .writable = send_events, .closed = on_closed};

static struct rpc_handler *on_open(struct rpc_service *service,
                                   const struct rpc_method *method,
                                   struct rpc_call *rpc_call)
{
    struct node_call *call = memory_alloc(sizeof(*call));

    call->node = container_of(service, struct node, service);
    call->handler.ops = &ops;
    call->call = rpc_call;
    call->method = method;
    return &call->handler;
}

static void on_stopped(struct rpc_server_close *close)
{
    (void)close;
}

static void on_stop(uv_async_t *async)
{
    struct node *node = container_of(async, struct node, stop);

    rpc_server_drain(node->server, 0, &node->close);
    uv_close((uv_handle_t *)async, NULL);
}

static void *node_main(void *argument)
{
    struct node *node = argument;

    (void)uv_run(&node->loop, UV_RUN_DEFAULT);
    return NULL;
}

static void node_start(struct node *node)
{
    static const char *const paths[] = {"/holdfast.v1.VmService/ListVms",
                                        "/holdfast.v1.VmService/GetVm",
                                        "/holdfast.v1.WatchService/Watch"};
    char error[256];

    *node = (struct node){.service.open = on_open, .close.done = on_stopped};
    CHECK(uv_loop_init(&node->loop) == 0);
    CHECK(uv_async_init(&node->loop, &node->stop, on_stop) == 0);
    node->server = rpc_server_create(&node->loop);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const ProtobufCMethodDescriptor *method =
            hf_method_find(paths[i] + strlen("/holdfast.v1."));

        node->methods[i] = (struct rpc_method){.path = paths[i],
                                               .input = method->input,
                                               .output = method->output,
                                               .server_streams = i == 2,
                                               .service = &node->service};
        rpc_server_add(node->server, &node->methods[i]);
    }
    CHECK(rpc_server_listen(node->server, "127.0.0.1:0", error,
                            sizeof(error)) == 0);
    (void)snprintf(node->endpoint, sizeof(node->endpoint), "127.0.0.1:%d",
                   rpc_server_port(node->server));
    CHECK(pthread_create(&node->thread, NULL, node_main, node) == 0);
}

static void node_stop(struct node *node)
{
    CHECK(uv_async_send(&node->stop) == 0);
    CHECK(pthread_join(node->thread, NULL) == 0);
    CHECK(uv_loop_close(&node->loop) == 0);
}

static void answers_and_refusals_come_whole(void **unused)
{
    Holdfast__V1__ListVmsRequest list;
    Holdfast__V1__GetVmRequest get;
    struct hf_status status;
    struct hf_client *client;
    ProtobufCMessage *message;
    struct node node;

    (void)unused;
    node_start(&node);
    client = hf_client_open(node.endpoint, &status);
    assert_non_null(client);
    holdfast__v1__list_vms_request__init(&list);
    holdfast__v1__get_vm_request__init(&get);
    for (int i = 0; i < 3; i++) { /* On the same connection. */
        assert_int_equal(hf_client_call(client, "VmService/ListVms", &list.base,
                                        &message, &status),
                         HF_STATUS_OK);
        assert_int_equal(
            ((Holdfast__V1__ListVmsResponse *)(void *)message)->n_vms,
            VM_COUNT);
        hf_message_free(message);
        assert_int_equal(hf_client_call(client, "VmService/GetVm", &get.base,
                                        &message, &status),
                         HF_STATUS_NOT_FOUND);
        assert_null(message);
        assert_string_equal(status.message, "no vm \"gr\xc3\xbcn\"");
        assert_string_equal(status.reason, "vm_not_found");
        assert_int_equal(status.attempts, 1);
    }
    hf_client_close(client);
    node_stop(&node);
}

static void a_method_that_the_node_lacks_is_told(void **unused)
{
    Holdfast__V1__StartVmRequest request;
    struct hf_status status;
    struct hf_client *client;
    ProtobufCMessage *message;
    struct node node;

    (void)unused;
    node_start(&node);
    client = hf_client_open(node.endpoint, &status);
    holdfast__v1__start_vm_request__init(&request);
    assert_int_equal(hf_client_call(client, "VmService/StartVm", &request.base,
                                    &message, &status),
                     HF_STATUS_UNIMPLEMENTED);
    hf_client_close(client);
    node_stop(&node);
}

/* The first node goes in the middle; the second goes on behind the last
 * revision: every event once, in order. */
static void a_watch_misses_nothing_when_its_node_goes(void **unused)
{
    Holdfast__V1__WatchRequest request;
    char endpoints[80];
    struct hf_status status;
    struct hf_client *client;
    struct hf_watch *watch;
    struct node nodes[2];
    uint64_t seen = 0;

    (void)unused;
    node_start(&nodes[0]);
    node_start(&nodes[1]);
    (void)snprintf(endpoints, sizeof(endpoints), "%s,%s", nodes[0].endpoint,
                   nodes[1].endpoint);
    client = hf_client_open(endpoints, &status);
    holdfast__v1__watch_request__init(&request);
    watch = hf_client_watch(client, &request.base);
    while (seen < EVENT_COUNT) {
        const Holdfast__V1__WatchResponse *response;
        ProtobufCMessage *message;

        assert_int_equal(hf_watch_next(watch, 60000, &message, &status),
                         HF_STATUS_OK);
        response = (const Holdfast__V1__WatchResponse *)(const void *)message;
        for (size_t i = 0; i < response->n_events; i++) {
            assert_int_equal(response->events[i]->revision, ++seen);
        }
        hf_message_free(message);
        if (seen == 100) {
            node_stop(&nodes[0]);
        }
    }
    hf_watch_close(watch);
    hf_client_close(client);
    node_stop(&nodes[1]);
    assert_int_equal(nodes[0].watches, 1);
    assert_int_equal(nodes[1].watches, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_and_refusals_come_whole),
        cmocka_unit_test(a_method_that_the_node_lacks_is_told),
        cmocka_unit_test(a_watch_misses_nothing_when_its_node_goes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
