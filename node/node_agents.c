/* SPDX-License-Identifier: Apache-2.0
 *
 * AgentService: the wire of the agents' sessions with the leader; what they
 * mean is in node/sessions.h. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/caller.h"
#include "node/node.h"
#include "node/region.h"
#include "state/labels.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/agent_service.pb-c.h>

#define REPORTS_MAX 4096

/* One stream. */
struct agent_call {
    struct rpc_handler handler;
    struct session session;
    struct node *node;
    struct rpc_call *call; /* NULL: closed. */
    struct caller caller;
};

struct agent_message {
    struct session_message base;
    struct arena arena; /* All that the rest lends. */
    const Holdfast__V1__AgentMessage *message;
    struct bytes labels;
};

static struct agent_call *call_of(struct session *session)
{
    return container_of(session, struct agent_call, session);
}

/* --- To the agent -------------------------------------------------------- */

static void end_session(struct session *session, enum api_error error,
                        const char *detail)
{
    const struct api_error_entry *entry = api_error_entry(error);
    struct rpc_call *call = call_of(session)->call;

    rpc_call_trailer(call, "holdfast-reason", entry->reason);
    rpc_call_finish(call, entry->code, "%s%s%s %s", detail,
                    detail[0] == '\0' ? "" : ": ", entry->meaning, entry->cure);
}

static void send_order(struct session *session, const struct order *order)
{
    const struct state *state = call_of(session)->node->engine.state;
    const struct vm *vm = state_vm(state, order->vm);
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__Order wire = HOLDFAST__V1__ORDER__INIT;
    Holdfast__V1__Resources resources = HOLDFAST__V1__RESOURCES__INIT;
    Holdfast__V1__VmTemplate *template = NULL;
    char name[NAME_BYTES] = "";

    wire.action = (Holdfast__V1__OrderAction)order->action;
    wire.uid = order->vm.uid;
    wire.epoch = order->epoch;
    wire.generation = session->generation;
    if (vm != NULL) {
        const struct class *class = state_class_at(state, vm->class_slot);
        struct text encoded = state_blob(state, vm->template_blob);

        memcpy(name, vm->name, sizeof(name));
        resources.cpu_milli = class->resources.cpu_milli;
        resources.memory_mib = class->resources.memory_mib;
        resources.disk_gib = class->resources.disk_gib;
        resources.gpu_count = class->resources.gpu_count;
        template = holdfast__v1__vm_template__unpack(
            NULL, encoded.len, (const uint8_t *)encoded.data);
        wire.on_partition = (Holdfast__V1__OnPartition)vm->on_partition_active;
    }
    wire.name = name;
    wire.resources = &resources;
    wire.template_ = template;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_ORDER;
    message.order = &wire;
    rpc_call_send(call_of(session)->call, &message.base);
    log_info("vm.order", "action=%s vm=%s uid=%" PRIu64 " epoch=%" PRIu64,
             order->action == ORDER_START  ? "start"
             : order->action == ORDER_STOP ? "stop"
                                           : "kill",
             name, order->vm.uid, order->epoch);
    if (template != NULL) {
        holdfast__v1__vm_template__free_unpacked(template, NULL);
    }
}

static void send_welcome(struct session *session,
                         const struct settings *settings)
{
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__Welcome welcome = HOLDFAST__V1__WELCOME__INIT;
    struct region_id region =
        state_region(call_of(session)->node->engine.state);
    char region_id[REGION_TEXT_BYTES];

    CHECK(region_id_is_set(region));
    region_text(region, region_id);
    welcome.region_id = region_id;
    welcome.region_generation =
        call_of(session)->node->roster.members.generation;

    welcome.host_uid = session->host.uid;
    welcome.generation = session->generation;
    welcome.lease_run_ms = settings->lease_run_ms;
    welcome.renew_ms = settings->renew_ms;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_WELCOME;
    message.welcome = &welcome;
    rpc_call_send(call_of(session)->call, &message.base);
}

static void send_ack(struct session *session, uint64_t seq,
                     const struct settings *settings)
{
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__RenewAck ack = HOLDFAST__V1__RENEW_ACK__INIT;

    ack.seq = seq;
    ack.lease_run_ms = settings->lease_run_ms;
    ack.renew_ms = settings->renew_ms;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_RENEW_ACK;
    message.renew_ack = &ack;
    rpc_call_send(call_of(session)->call, &message.base);
}

static void release_message(struct session_message *base)
{
    struct agent_message *message =
        container_of(base, struct agent_message, base);

    bytes_close(&message->labels);
    free(message->base.reports);
    arena_close(&message->arena);
    free(message);
}

static void free_session(struct session *session)
{
    free(call_of(session));
}

static const struct session_ops session_ops = {
    .welcome = send_welcome,
    .ack = send_ack,
    .order = send_order,
    .end = end_session,
    .release = release_message,
    .free = free_session,
};

/* --- From the agent ------------------------------------------------------ */

/* The first refusal counts. */
static bool wrong(struct api_reply *reply, const char *what)
{
    api_fail(reply, API_INVALID_FIELD, "%s", what);
    return false;
}

static bool take_report(const Holdfast__V1__VmReport *wire,
                        struct vm_report *report, struct api_reply *reply)
{
    if (wire->state < HOLDFAST__V1__REPORT_STATE__REPORT_STATE_STARTING ||
        wire->state > HOLDFAST__V1__REPORT_STATE__REPORT_STATE_GONE ||
        strlen(wire->reason) > 255) {
        return wrong(reply, "vms: state must be starting to gone, reason at "
                            "most 255 bytes");
    }
    *report = (struct vm_report){
        .vm = {wire->uid},
        .epoch = wire->epoch,
        .state = (enum report_state)wire->state,
        .reason = text_of(wire->reason),
        .failed = wire->failed,
    };
    return true;
}

static bool take_reports(struct agent_message *message,
                         Holdfast__V1__VmReport **wire, size_t count,
                         struct api_reply *reply)
{
    if (count > REPORTS_MAX) {
        return wrong(reply, "vms: more than 4096");
    }
    message->base.reports =
        memory_alloc_array(count, sizeof(*message->base.reports));
    message->base.report_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!take_report(wire[i], &message->base.reports[i], reply)) {
            return false;
        }
    }
    return true;
}

static bool take_labels(struct agent_message *message,
                        const Holdfast__V1__Hello *wire,
                        struct api_reply *reply)
{
    struct label labels[LABELS_MAX];

    if (wire->n_labels > LABELS_MAX) {
        return wrong(reply, "labels: more than 32");
    }
    for (size_t i = 0; i < wire->n_labels; i++) {
        const char *value = wire->labels[i]->value;

        labels[i].key = text_of(wire->labels[i]->key);
        labels[i].value = text_of(value == NULL ? "" : value);
    }
    if (labels_encode(labels, wire->n_labels, &message->labels) != 0) {
        return wrong(reply, "labels: keys must be 1 to 63 bytes and differ, "
                            "values at most 255 bytes");
    }
    message->base.hello.labels = (struct text){
        (const char *)message->labels.data, (uint32_t)message->labels.len};
    return true;
}

static bool take_pools(struct agent_message *message,
                       const Holdfast__V1__Hello *wire, struct api_reply *reply)
{
    struct text *pools;

    if (wire->n_pools > POOLS_MAX) {
        return wrong(reply, "pools: more than 64");
    }
    pools = arena_alloc(&message->arena, (wire->n_pools + 1) * sizeof(*pools));
    for (size_t i = 0; i < wire->n_pools; i++) {
        if (!api_check_name(reply, "pools", wire->pools[i])) {
            return false;
        }
        pools[i] = text_of(wire->pools[i]);
    }
    message->base.hello.pools = pools;
    message->base.hello.pool_count = (uint32_t)wire->n_pools;
    for (size_t i = 0; i < wire->n_drivers; i++) {
        if (wire->drivers[i] != HOLDFAST__V1__DRIVER__DRIVER_QEMU &&
            wire->drivers[i] != HOLDFAST__V1__DRIVER__DRIVER_EXEC) {
            return wrong(reply, "drivers: each must be qemu or exec");
        }
        message->base.hello.driver_mask |= 1u << wire->drivers[i];
    }
    return true;
}

/* An agent's certificate is for one host. */
static bool speaks_for(const struct caller *caller, const char *host,
                       struct api_reply *reply)
{
    if (caller->role != TLS_ROLE_AGENT || strcmp(caller->name, host) == 0) {
        return true;
    }
    api_fail(reply, API_NOT_ALLOWED,
             "host: '%.63s' is not the host of the agent's certificate, '%s'",
             host, caller->name);
    return false;
}

static void take_capacity(struct agent_message *message,
                          const Holdfast__V1__Resources *wire)
{
    struct hello *hello = &message->base.hello;
    struct named_amount *named =
        arena_alloc(&message->arena, (wire->n_named + 1) * sizeof(*named));

    CHECK(named != NULL);
    hello->capacity = (struct resources){wire->cpu_milli, wire->memory_mib,
                                         wire->disk_gib, wire->gpu_count};
    for (size_t i = 0; i < wire->n_named; i++) {
        if (wire->named[i]->value > 0) {
            named[hello->named_count++] = (struct named_amount){
                text_of(wire->named[i]->key), wire->named[i]->value};
        }
    }
    hello->named = named;
}

static bool take_hello(struct agent_message *message,
                       const Holdfast__V1__Hello *wire, struct api_reply *reply)
{
    struct hello *hello = &message->base.hello;

    if (!speaks_for(&call_of(message->base.session)->caller, wire->host,
                    reply)) {
        return false;
    }
    hello->host = text_of(wire->host);
    hello->zone = text_of(wire->zone);
    hello->fault_domain = text_of(wire->fault_domain);
    hello->host_id = text_of(wire->host_id);
    hello->boot_id = text_of(wire->boot_id);
    hello->agent_version = text_of(wire->agent_version);
    hello->region_id = text_of(wire->region_id);
    if (!api_check_name(reply, "host", wire->host) ||
        !api_check_name(reply, "zone", wire->zone) ||
        !api_check_resources(reply, "capacity", wire->capacity)) {
        return false;
    }
    if (hello->fault_domain.len > 63 || hello->host_id.len < 16 ||
        hello->host_id.len > 64 || hello->boot_id.len < 1 ||
        hello->boot_id.len > 128 || hello->agent_version.len > 63) {
        return wrong(reply, "fault_domain, host_id, boot_id, agent_version: "
                            "at most 63, 16 to 64, 1 to 128, at most 63 "
                            "bytes");
    }
    if (hello->region_id.len != 0 &&
        hello->region_id.len != REGION_TEXT_BYTES - 1) {
        return wrong(reply, "region_id: empty or 32 hexadecimal digits");
    }
    take_capacity(message, wire->capacity);
    if (!take_labels(message, wire, reply) ||
        !take_pools(message, wire, reply) ||
        !take_reports(message, wire->vms, wire->n_vms, reply)) {
        return false;
    }
    hello->reports = message->base.reports;
    hello->report_count = message->base.report_count;
    return true;
}

static bool refuse_order(struct api_reply *reply)
{
    api_fail(reply, API_HELLO_EXPECTED,
             "a session begins with one Hello, its Welcome comes before all "
             "else, and there is no second one");
    return false;
}

static bool take_message(struct agent_message *message, struct api_reply *reply)
{
    const Holdfast__V1__AgentMessage *wire = message->message;
    struct session_message *base = &message->base;

    switch (wire->message_case) {
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO:
        base->kind = SESSION_HELLO;
        break;
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW:
        base->kind = SESSION_RENEW;
        break;
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_REPORT:
        base->kind = SESSION_REPORT;
        break;
    default:
        return refuse_order(reply);
    }
    if (!session_takes(base->session, base->kind)) {
        return refuse_order(reply);
    }
    if (base->kind == SESSION_HELLO) {
        return take_hello(message, wire->hello, reply);
    }
    if (base->kind == SESSION_RENEW) {
        base->seq = wire->renew->seq;
        base->generation = wire->renew->generation;
        return take_reports(message, wire->renew->vms, wire->renew->n_vms,
                            reply);
    }
    if (wire->report->vm == NULL) {
        return wrong(reply, "report.vm: must be given");
    }
    return take_reports(message, &wire->report->vm, 1, reply);
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *wire)
{
    struct agent_call *call = container_of(handler, struct agent_call, handler);
    struct agent_message *message = memory_alloc(sizeof(*message));
    struct api_reply reply;

    api_reply_init(&reply);
    message->message = (const Holdfast__V1__AgentMessage *)(const void *)wire;
    message->base.session = &call->session;
    message->base.received_ms = clock_boot_ms();
    rpc_call_take_arena(call->call, &message->arena);
    if (take_message(message, &reply)) {
        session_submit(&call->session, &message->base);
    } else {
        rpc_call_trailer(call->call, "holdfast-reason", reply.reason);
        rpc_call_finish(call->call, reply.code, "%s", reply.message);
        release_message(&message->base);
    }
    api_reply_close(&reply);
}

static void on_half_closed(struct rpc_handler *handler)
{
    struct agent_call *call = container_of(handler, struct agent_call, handler);

    rpc_call_finish(call->call, RPC_OK, "%s", "");
}

static void on_closed(struct rpc_handler *handler)
{
    struct agent_call *call = container_of(handler, struct agent_call, handler);

    call->call = NULL;
    session_close(&call->session);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *rpc_call)
{
    struct node *node = container_of(service, struct node, agents);
    struct agent_call *call;

    (void)method;
    if (!node_leads(node)) {
        node_refuse_no_leader(rpc_call);
        return NULL;
    }
    call = memory_alloc(sizeof(*call));
    call->handler.ops = &handler_ops;
    call->node = node;
    call->call = rpc_call;
    CHECK(caller_find(rpc_call, &call->caller));
    session_open(&call->session, &session_ops, &node->engine.sessions);
    call->session.book.certificate_end_s = caller_certificate_end(rpc_call);
    return &call->handler;
}

void node_agents_open(struct node *node)
{
    static struct rpc_method method = {
        .path = "/holdfast.v1.AgentService/Session",
        .input = &holdfast__v1__agent_message__descriptor,
        .output = &holdfast__v1__node_message__descriptor,
        .client_streams = true,
        .server_streams = true,
    };

    node->agents.open = open_call;
    method.service = &node->agents;
    rpc_server_add(node->server, &method);
}
