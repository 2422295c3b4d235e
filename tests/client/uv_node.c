/* SPDX-License-Identifier: Apache-2.0 */
#include "client/uv_node.h"

#include "base/check.h"
#include "base/memory.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node_call {
    struct rpc_handler handler;
    struct list link; /* In watchers. */
    struct rpc_call *call;
    struct uv_node *node;
    const struct rpc_method *method;
    uint64_t revision; /* The last event that was sent. */
};

static struct node_call *of(struct rpc_handler *handler)
{
    return container_of(handler, struct node_call, handler);
}

static void send_events(struct rpc_handler *handler)
{
    struct node_call *call = of(handler);

    while (!list_empty(&call->link) && call->revision < call->node->revision &&
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

static void watch(struct node_call *call,
                  const Holdfast__V1__WatchRequest *request)
{
    struct uv_node *node = call->node;

    node->watches++;
    node->after_revision = request->after_revision;
    if (request->after_revision < node->oldest) {
        rpc_call_trailer(call->call, "holdfast-reason", "WATCH_COMPACTED");
        rpc_call_finish(call->call, RPC_OUT_OF_RANGE, "too far behind");
    } else if (node->garbled) {
        rpc_call_send_raw(call->call, "\xff", 1);
    } else {
        call->revision = request->after_revision;
        list_append(&node->watchers, &call->link);
        send_events(&call->handler);
    }
}

static void copy(char *to, size_t size, const char *from)
{
    (void)snprintf(to, size, "%s", from != NULL ? from : "");
}

static void fail_call(struct node_call *call)
{
    struct uv_node *node = call->node;

    node->fail--;
    if (node->pushback != NULL) {
        rpc_call_trailer(call->call, "grpc-retry-pushback-ms", node->pushback);
    }
    rpc_call_trailer(call->call, "holdfast-reason", "TEST");
    rpc_call_finish(call->call, node->fail_code, "told to \xc3\xbc");
}

static void answer(struct node_call *call, char *name)
{
    Holdfast__V1__GetVmResponse get = HOLDFAST__V1__GET_VM_RESPONSE__INIT;
    Holdfast__V1__CreateVmResponse create =
        HOLDFAST__V1__CREATE_VM_RESPONSE__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;

    vm.name = name;
    get.vm = &vm;
    create.vm = &vm;
    rpc_call_send(call->call, call->method == &call->node->methods[0]
                                  ? &get.base
                                  : &create.base);
    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct node_call *call = of(handler);
    struct uv_node *node = call->node;
    const Holdfast__V1__CreateVmRequest *create =
        (const Holdfast__V1__CreateVmRequest *)(const void *)message;
    bool is_create = call->method == &node->methods[1];

    if (call->method == &node->methods[2]) {
        watch(call, (const Holdfast__V1__WatchRequest *)(const void *)message);
        return;
    }
    node->calls++;
    copy(node->authorization, sizeof(node->authorization),
         rpc_call_metadata(call->call, "authorization"));
    copy(node->previous, sizeof(node->previous),
         rpc_call_metadata(call->call, "holdfast-previous-attempts"));
    if (is_create) {
        copy(node->request_id, sizeof(node->request_id), create->request_id);
    }
    if (node->fail > 0) {
        fail_call(call);
    } else if (node->garbled) {
        rpc_call_send_raw(call->call, "\xff", 1);
    } else if (node->empty) {
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    } else if (!node->silent) {
        answer(call,
               is_create
                   ? create->vm->name
                   : ((const Holdfast__V1__GetVmRequest *)(const void *)message)
                         ->name);
    }
}

static void on_call_closed(struct rpc_handler *handler)
{
    struct node_call *call = of(handler);

    list_remove(&call->link);
    call->node->open--;
    free(call);
}

static const struct rpc_handler_ops ops = {
    .message = on_message, .writable = send_events, .closed = on_call_closed};

static struct rpc_handler *on_open(struct rpc_service *service,
                                   const struct rpc_method *method,
                                   struct rpc_call *rpc_call)
{
    struct node_call *call = memory_alloc(sizeof(*call));

    call->node = container_of(service, struct uv_node, service);
    call->node->open++;
    call->handler.ops = &ops;
    call->call = rpc_call;
    call->method = method;
    list_init(&call->link);
    return &call->handler;
}

void uv_node_start(struct uv_node *node, uv_loop_t *loop, struct tls *tls)
{
    uv_node_start_at(node, loop, tls, "127.0.0.1:0");
}

void uv_node_start_at(struct uv_node *node, uv_loop_t *loop, struct tls *tls,
                      const char *address)
{
    static const char *const names[] = {"VmService/GetVm", "VmService/CreateVm",
                                        "WatchService/Watch"};
    static const char *const paths[] = {"/holdfast.v1.VmService/GetVm",
                                        "/holdfast.v1.VmService/CreateVm",
                                        "/holdfast.v1.WatchService/Watch"};
    char error[256];

    *node = (struct uv_node){
        .service.open = on_open, .loop = loop, .fail_code = RPC_UNAVAILABLE};
    list_init(&node->watchers);
    node->server = rpc_server_create(loop);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        const ProtobufCMethodDescriptor *method = hf_method_find(names[i]);

        node->methods[i] = (struct rpc_method){.path = paths[i],
                                               .input = method->input,
                                               .output = method->output,
                                               .server_streams = i == 2,
                                               .service = &node->service};
        rpc_server_add(node->server, &node->methods[i]);
    }
    if (tls != NULL) {
        rpc_server_use_tls(node->server, tls);
    }
    CHECK(rpc_server_listen(node->server, address, error, sizeof(error)) == 0);
    (void)snprintf(node->endpoint, sizeof(node->endpoint), "127.0.0.1:%d",
                   rpc_server_port(node->server));
}

void uv_node_publish(struct uv_node *node, uint64_t revision)
{
    struct list *at;

    node->revision = revision;
    list_foreach (at, &node->watchers) {
        send_events(&list_entry(at, struct node_call, link)->handler);
    }
}

static void on_closed(struct rpc_server_close *close)
{
    container_of(close, struct uv_node, close)->closed++;
}

void uv_node_leave(struct uv_node *node)
{
    node->close.done = on_closed;
    rpc_server_drain(node->server, 3600000, &node->close);
}

void uv_node_stop(struct uv_node *node)
{
    node->close.done = on_closed;
    rpc_server_drain(node->server, 0, &node->close);
    run_until(node->loop, &node->closed, 1);
}

void run_until(uv_loop_t *loop, const int *number, int reached)
{
    while (*number < reached) {
        (void)uv_run(loop, UV_RUN_ONCE);
    }
    CHECK(*number == reached);
}

void outcome_take(struct hf_uv_call *call, const struct hf_status *status,
                  ProtobufCMessage *response)
{
    struct outcome *outcome = container_of(call, struct outcome, call);

    CHECK((response != NULL) == (status->code == HF_STATUS_OK));
    outcome->told++;
    outcome->status = *status;
    if (response != NULL) {
        /* Of both the VM is the first field. */
        const Holdfast__V1__GetVmResponse *get =
            (const Holdfast__V1__GetVmResponse *)(const void *)response;
        const Holdfast__V1__CreateVmResponse *create =
            (const Holdfast__V1__CreateVmResponse *)(const void *)response;

        copy(outcome->name, sizeof(outcome->name),
             response->descriptor == &holdfast__v1__get_vm_response__descriptor
                 ? get->vm->name
                 : create->vm->name);
        hf_message_free(response);
    }
}

enum hf_code get_vm(struct hf_uv_client *client, struct outcome *outcome,
                    const char *name, uint32_t timeout_ms)
{
    Holdfast__V1__GetVmRequest request = HOLDFAST__V1__GET_VM_REQUEST__INIT;
    char own[64];

    copy(own, sizeof(own), name);
    request.name = own;
    *outcome = (struct outcome){.told = 0};
    return hf_uv_call(client, &outcome->call, "VmService/GetVm", &request.base,
                      timeout_ms, outcome_take);
}

enum hf_code create_vm(struct hf_uv_client *client, struct outcome *outcome,
                       const char *name)
{
    Holdfast__V1__CreateVmRequest request =
        HOLDFAST__V1__CREATE_VM_REQUEST__INIT;
    Holdfast__V1__Vm vm = HOLDFAST__V1__VM__INIT;
    char own[64];

    copy(own, sizeof(own), name);
    vm.name = own;
    request.vm = &vm;
    *outcome = (struct outcome){.told = 0};
    return hf_uv_call(client, &outcome->call, "VmService/CreateVm",
                      &request.base, 0, outcome_take);
}

struct closing {
    struct hf_uv_close close;
    int done;
};

static void on_client_closed(struct hf_uv_close *close)
{
    container_of(close, struct closing, close)->done++;
}

void close_client(struct hf_uv_client *client, uv_loop_t *loop)
{
    struct closing closing = {.done = 0};

    hf_uv_client_close(client, &closing.close, on_client_closed);
    CHECK(closing.done == 0);
    run_until(loop, &closing.done, 1);
}

void close_loop(uv_loop_t *loop)
{
    (void)uv_run(loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(loop) == 0);
}

void uv_region_start(struct uv_region *region)
{
    char endpoints[80];
    struct hf_status status;

    CHECK(uv_loop_init(&region->loop) == 0);
    uv_node_start(&region->nodes[0], &region->loop, NULL);
    uv_node_start(&region->nodes[1], &region->loop, NULL);
    (void)snprintf(endpoints, sizeof(endpoints), "%s,%s",
                   region->nodes[0].endpoint, region->nodes[1].endpoint);
    region->client = hf_uv_client_open(&region->loop, endpoints, &status);
    CHECK(region->client != NULL);
}

void uv_region_stop(struct uv_region *region)
{
    if (region->client != NULL) {
        close_client(region->client, &region->loop);
    }
    for (size_t i = 0; i < 2; i++) {
        if (region->nodes[i].closed == 0) {
            uv_node_stop(&region->nodes[i]);
        }
        CHECK(region->nodes[i].open == 0);
    }
    close_loop(&region->loop);
}
