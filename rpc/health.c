/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/health.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/health/v1/health.pb-c.h>

enum { METHOD_CHECK = 0, METHOD_WATCH = 1 };

struct health_call {
    struct rpc_handler handler;
    struct rpc_health *health;
    struct rpc_call *call;
    struct list link; /* In health->watches, for a Watch. */
    bool watches;
    bool known;
};

static bool is_known(const struct rpc_health *health, const char *name)
{
    if (name[0] == '\0') {
        return true;
    }
    for (size_t i = 0; i < health->name_count; i++) {
        if (strcmp(health->names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

static void send_status(const struct health_call *call)
{
    Grpc__Health__V1__HealthCheckResponse response =
        GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;

    response.status =
        call->health->serving
            ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
            : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
    if (!call->known) {
        response.status =
            GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
    }
    rpc_call_send(call->call, &response.base);
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct health_call *call =
        container_of(handler, struct health_call, handler);
    const Grpc__Health__V1__HealthCheckRequest *request =
        (const Grpc__Health__V1__HealthCheckRequest *)(const void *)message;

    call->known = is_known(call->health, request->service);
    if (call->watches) {
        send_status(call);
        list_append(&call->health->watches, &call->link);
    } else if (!call->known) {
        rpc_call_finish(call->call, RPC_NOT_FOUND, "there is no service '%s'",
                        request->service);
    } else {
        send_status(call);
        rpc_call_finish(call->call, RPC_OK, "%s", "");
    }
}

static void on_closed(struct rpc_handler *handler)
{
    struct health_call *call =
        container_of(handler, struct health_call, handler);

    list_remove(&call->link);
    free(call);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct rpc_health *health =
        container_of(service, struct rpc_health, service);
    struct health_call *call = memory_alloc(sizeof(*call));

    call->handler.ops = &handler_ops;
    call->health = health;
    call->call = rpc_call;
    call->watches = method == &health->methods[METHOD_WATCH];
    list_init(&call->link);
    return &call->handler;
}

void rpc_health_init(struct rpc_health *health, struct rpc_server *server,
                     const char *const *names, size_t name_count)
{
    *health = (struct rpc_health){
        .service = {open_call}, .names = names, .name_count = name_count};
    list_init(&health->watches);
    for (int i = METHOD_CHECK; i <= METHOD_WATCH; i++) {
        health->methods[i] = (struct rpc_method){
            .path = i == METHOD_CHECK ? "/grpc.health.v1.Health/Check"
                                      : "/grpc.health.v1.Health/Watch",
            .input = &grpc__health__v1__health_check_request__descriptor,
            .output = &grpc__health__v1__health_check_response__descriptor,
            .server_streams = i == METHOD_WATCH,
            .service = &health->service,
        };
        rpc_server_add(server, &health->methods[i]);
    }
}

void rpc_health_set(struct rpc_health *health, bool serving)
{
    struct list *at;

    if (health->serving == serving) {
        return;
    }
    health->serving = serving;
    list_foreach (at, &health->watches) {
        send_status(list_entry(at, struct health_call, link));
    }
}
