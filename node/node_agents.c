/* SPDX-License-Identifier: Apache-2.0
 *
 * AgentService: the leader's end of each host's session. A message becomes a
 * request of a turn; when the turn is applied it is acknowledged, and orders
 * that became due are sent. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_errors.h"
#include "node/node.h"
#include "node/orders.h"
#include "node/reports.h"
#include "state/labels.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/agent_service.pb-c.h>

#define REPORTS_MAX 4096

struct session {
    struct rpc_handler handler;
    struct list due; /* In node->sessions_due, or in no list. */
    struct order_sink orders;
    struct node *node;
    struct rpc_call *call; /* NULL: closed. */
    struct host_id host;
    uint64_t generation;
    struct order_book book;
    uint32_t pending; /* Messages in turns. */
    bool greeted;     /* A Hello came. */
    bool welcomed;
    bool rebooted;  /* Another boot than was registered before. */
    bool confirmed; /* It renewed: it is the agent's present session. */
};

/* One message on its way through a turn. */
struct agent_message {
    struct turn_request request;
    struct session *session;
    struct arena arena; /* All that the rest lends. */
    const Holdfast__V1__AgentMessage *message;
    uint64_t received_ms;
    struct vm_report *reports;
    size_t report_count;
    struct hello hello;
    struct bytes labels;
    enum hello_verdict verdict;
    struct host_id host;
    bool rebooted;
};

static void session_free(struct session *session)
{
    if (session->call == NULL && session->pending == 0) {
        list_remove(&session->due);
        order_book_close(&session->book);
        free(session);
    }
}

static void end_session(struct session *session, enum api_error error,
                        const char *detail)
{
    const struct api_error_entry *entry = api_error_entry(error);

    if (session->call == NULL) {
        return;
    }
    rpc_call_trailer(session->call, "holdfast-reason", entry->reason);
    rpc_call_finish(session->call, entry->code, "%s%s%s %s", detail,
                    detail[0] == '\0' ? "" : ": ", entry->meaning, entry->cure);
}

static struct session *session_at(const struct node *node, uint32_t host_slot)
{
    return map_get(&node->sessions, (uint64_t)host_slot + 1);
}

/* Welcomed, and not replaced since. */
static bool is_current(const struct session *session)
{
    return session->welcomed &&
           session_at(session->node, uid_slot(session->host.uid)) == session;
}

static void leave(struct session *session)
{
    struct node *node = session->node;
    uint32_t slot = uid_slot(session->host.uid);
    struct lease *lease = leases_get(&node->leases, slot);

    if (!is_current(session)) {
        return;
    }
    map_remove(&node->sessions, (uint64_t)slot + 1);
    list_remove(&session->due);
    if (lease != NULL) {
        lease->connected = false;
    }
}

static void send_order(struct order_sink *sink, const struct order *order)
{
    struct session *session = container_of(sink, struct session, orders);
    const struct state *state = session->node->state;
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
        template = holdfast__v1__vm_template__unpack(
            NULL, encoded.len, (const uint8_t *)encoded.data);
        wire.on_partition = (Holdfast__V1__OnPartition)vm->on_partition_active;
    }
    wire.name = name;
    wire.resources = &resources;
    wire.template_ = template;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_ORDER;
    message.order = &wire;
    rpc_call_send(session->call, &message.base);
    log_info("vm.order", "action=%s vm=%s uid=%" PRIu64 " epoch=%" PRIu64,
             order->action == ORDER_START  ? "start"
             : order->action == ORDER_STOP ? "stop"
                                           : "kill",
             name, order->vm.uid, order->epoch);
    if (template != NULL) {
        holdfast__v1__vm_template__free_unpacked(template, NULL);
    }
}

static void run_orders(struct session *session)
{
    const struct host *host = state_host(session->node->state, session->host);

    if (session->call != NULL && session->confirmed && host != NULL &&
        host->state == HOST_UP && host->generation == session->generation) {
        order_book_run(&session->book, session->node->state, host,
                       clock_boot_ms(), &session->orders);
    }
}

/* Its orders are looked through at the end of this turn of the loop: once,
 * however much happens to the host's VMs in one turn. */
static void make_due(struct session *session)
{
    if (list_empty(&session->due)) {
        list_append(&session->node->sessions_due, &session->due);
    }
}

void node_agents_note_vm(struct node *node, uint32_t host_slot, uint64_t uid)
{
    struct session *session = session_at(node, host_slot);

    if (session != NULL) {
        order_book_note(&session->book, uid);
        make_due(session);
    }
}

void node_agents_note_host(struct node *node, uint32_t host_slot)
{
    struct session *session = session_at(node, host_slot);

    if (session != NULL) {
        order_book_note_all(&session->book);
        make_due(session);
    }
}

void node_agents_pump(struct node *node)
{
    while (!list_empty(&node->sessions_due)) {
        struct session *session =
            list_entry(list_first(&node->sessions_due), struct session, due);

        list_remove(&session->due);
        run_orders(session);
    }
}

void node_agents_drop(struct node *node)
{
    size_t cursor = 0;
    struct session *session;

    while ((session = map_next(&node->sessions, &cursor)) != NULL) {
        session->welcomed = false;
        end_session(session, API_NO_LEADER, "leadership moved");
    }
    map_close(&node->sessions);
    map_init(&node->sessions);
}

static void plan_message(struct turn_request *request, struct turn_plan *plan)
{
    struct agent_message *message =
        container_of(request, struct agent_message, request);
    struct session *session = message->session;

    if (message->message->message_case ==
        HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO) {
        message->verdict =
            plan_hello(plan, &message->hello, &session->node->leases,
                       &message->host, &message->rebooted);
        return;
    }
    for (size_t i = 0; i < message->report_count; i++) {
        plan_report(plan, session->host, session->generation,
                    &message->reports[i]);
    }
    if (message->message->message_case ==
            HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW &&
        !session->confirmed && is_current(session)) {
        plan_missing(plan, session->host, session->generation, message->reports,
                     message->report_count, session->rebooted);
    }
}

static void send_welcome(struct session *session,
                         const struct settings *settings)
{
    Holdfast__V1__NodeMessage message = HOLDFAST__V1__NODE_MESSAGE__INIT;
    Holdfast__V1__Welcome welcome = HOLDFAST__V1__WELCOME__INIT;
    char region_id[REGION_TEXT_BYTES];

    CHECK(region_id_is_set(state_region(session->node->state)));
    region_text(state_region(session->node->state), region_id);
    welcome.region_id = region_id;
    welcome.host_uid = session->host.uid;
    welcome.generation = session->generation;
    welcome.lease_run_ms = settings->lease_run_ms;
    welcome.renew_ms = settings->renew_ms;
    message.message_case = HOLDFAST__V1__NODE_MESSAGE__MESSAGE_WELCOME;
    message.welcome = &welcome;
    rpc_call_send(session->call, &message.base);
}

static void refuse_other_region(const struct agent_message *message)
{
    const struct node *node = message->session->node;
    char here[REGION_TEXT_BYTES];
    char detail[256];

    region_text(state_region(node->state), here);
    snprintf(detail, sizeof(detail),
             "region_id: host '%.63s' holds VMs of region %.32s, this is "
             "region '%s', %s",
             message->hello.host.data, message->hello.region_id.data,
             node->config->region, here);
    end_session(message->session, API_OTHER_REGION, detail);
}

static void refuse_hello(const struct agent_message *message)
{
    struct session *session = message->session;

    switch (message->verdict) {
    case HELLO_OTHER_REGION:
        refuse_other_region(message);
        break;
    case HELLO_NO_ZONE:
        end_session(session, API_ZONE_NOT_FOUND, "zone");
        break;
    case HELLO_TAKEN:
        end_session(session, API_HOST_NAME_TAKEN, "host");
        break;
    case HELLO_STILL_LEASED:
        end_session(session, API_HOST_STILL_LEASED, "host");
        break;
    case HELLO_ZONE_CHANGED:
        end_session(session, API_HOST_ZONE_CHANGED, "zone");
        break;
    case HELLO_TOO_MANY_HOSTS:
        end_session(session, API_TABLE_FULL, "host");
        break;
    default:
        end_session(session, API_TABLE_FULL, "pools");
        break;
    }
}

/* Whether or not its session is still there: a host that is UP has a lease, or
 * nothing would ever end its registration. */
static void note_registration(const struct agent_message *message)
{
    struct node *node = message->session->node;
    const struct host *host = state_host(node->state, message->host);

    if (message->verdict == HELLO_WELCOME && host != NULL) {
        leases_registered(&node->leases, host, message->received_ms,
                          state_settings(node->state)->lease_wait_ms);
    }
}

static void hello_done(struct agent_message *message)
{
    struct session *session = message->session;
    struct node *node = session->node;
    const struct host *host = state_host(node->state, message->host);
    uint32_t slot = uid_slot(message->host.uid);
    const struct settings *settings = state_settings(node->state);
    struct session *former;

    if (message->verdict != HELLO_WELCOME || host == NULL) {
        refuse_hello(message);
        return;
    }
    former = session_at(node, slot);
    if (former != NULL && former != session) {
        leave(former);
        end_session(former, API_SESSION_REPLACED, "");
    }
    session->host = message->host;
    session->generation = host->generation;
    session->welcomed = true;
    session->rebooted = message->rebooted;
    leases_get(&node->leases, slot)->connected = true;
    map_put(&node->sessions, (uint64_t)slot + 1, session);
    log_info("host.session", "host=%s generation=%" PRIu64 " vms=%zu",
             host->name, host->generation, message->report_count);
    send_welcome(session, settings);
    order_book_reports(&session->book, message->reports, message->report_count,
                       true);
    make_due(session);
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
    rpc_call_send(session->call, &message.base);
}

static void renew_done(struct agent_message *message)
{
    struct session *session = message->session;
    struct node *node = session->node;
    const struct settings *settings = state_settings(node->state);

    if (message->message->renew->generation != session->generation ||
        !leases_renewed(&node->leases, state_host(node->state, session->host),
                        session->generation, message->received_ms,
                        settings->lease_wait_ms)) {
        /* Fenced: it says Hello again, and is then as new. */
        leave(session);
        end_session(session, API_NO_LEADER, "the lease has ended");
        return;
    }
    session->confirmed = true;
    order_book_reports(&session->book, message->reports, message->report_count,
                       true);
    send_ack(session, message->message->renew->seq, settings);
    make_due(session);
}

static void message_free(struct agent_message *message)
{
    struct session *session = message->session;

    session->pending--;
    session_free(session);
    bytes_close(&message->labels);
    free(message->reports);
    arena_close(&message->arena);
    free(message);
}

static void message_done(struct turn_request *request, int status)
{
    struct agent_message *message =
        container_of(request, struct agent_message, request);
    struct session *session = message->session;

    if (status == 0 && message->message->message_case ==
                           HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO) {
        note_registration(message);
    }
    if (session->call != NULL && status != 0) {
        end_session(session, API_NO_LEADER, "");
    } else if (session->call != NULL) {
        switch (message->message->message_case) {
        case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO:
            hello_done(message);
            break;
        case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW:
            renew_done(message);
            break;
        default:
            order_book_reports(&session->book, message->reports,
                               message->report_count, false);
            make_due(session);
            break;
        }
    }
    message_free(message);
}

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
    message->reports = memory_alloc_array(count, sizeof(*message->reports));
    message->report_count = count;
    for (size_t i = 0; i < count; i++) {
        if (!take_report(wire[i], &message->reports[i], reply)) {
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
    message->hello.labels = (struct text){(const char *)message->labels.data,
                                          (uint32_t)message->labels.len};
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
    message->hello.pools = pools;
    message->hello.pool_count = (uint32_t)wire->n_pools;
    for (size_t i = 0; i < wire->n_drivers; i++) {
        if (wire->drivers[i] != HOLDFAST__V1__DRIVER__DRIVER_QEMU &&
            wire->drivers[i] != HOLDFAST__V1__DRIVER__DRIVER_EXEC) {
            return wrong(reply, "drivers: each must be qemu or exec");
        }
        message->hello.driver_mask |= 1u << wire->drivers[i];
    }
    return true;
}

static bool take_hello(struct agent_message *message,
                       const Holdfast__V1__Hello *wire, struct api_reply *reply)
{
    struct hello *hello = &message->hello;

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
    hello->capacity = (struct resources){wire->capacity->cpu_milli,
                                         wire->capacity->memory_mib,
                                         wire->capacity->disk_gib, 0};
    if (!take_labels(message, wire, reply) ||
        !take_pools(message, wire, reply) ||
        !take_reports(message, wire->vms, wire->n_vms, reply)) {
        return false;
    }
    hello->reports = message->reports;
    hello->report_count = message->report_count;
    return true;
}

static bool take_message(struct agent_message *message, struct api_reply *reply)
{
    const Holdfast__V1__AgentMessage *wire = message->message;
    const struct session *session = message->session;

    switch (wire->message_case) {
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO:
        if (!session->greeted) {
            return take_hello(message, wire->hello, reply);
        }
        break;
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW:
        if (session->welcomed) {
            return take_reports(message, wire->renew->vms, wire->renew->n_vms,
                                reply);
        }
        break;
    case HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_REPORT:
        if (session->welcomed && wire->report->vm == NULL) {
            return wrong(reply, "report.vm: must be given");
        }
        if (session->welcomed) {
            return take_reports(message, &wire->report->vm, 1, reply);
        }
        break;
    default:
        break;
    }
    api_fail(reply, API_HELLO_EXPECTED,
             "a session begins with one Hello, its Welcome comes before all "
             "else, and there is no second one");
    return false;
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *wire)
{
    struct session *session = container_of(handler, struct session, handler);
    struct agent_message *message = memory_alloc(sizeof(*message));
    struct api_reply reply;

    api_reply_init(&reply);
    message->session = session;
    message->request.plan = plan_message;
    message->request.done = message_done;
    message->message = (const Holdfast__V1__AgentMessage *)(const void *)wire;
    message->received_ms = clock_boot_ms();
    rpc_call_take_arena(session->call, &message->arena);
    session->pending++;
    if (!take_message(message, &reply)) {
        rpc_call_trailer(session->call, "holdfast-reason", reply.reason);
        rpc_call_finish(session->call, reply.code, "%s", reply.message);
        message_free(message);
    } else if (turn_submit(&session->node->turn, LANE_FAILOVER,
                           &message->request) != 0) {
        end_session(session, API_NO_LEADER, "");
        message_free(message);
    }
    session->greeted = true;
    api_reply_close(&reply);
}

static void on_half_closed(struct rpc_handler *handler)
{
    struct session *session = container_of(handler, struct session, handler);

    rpc_call_finish(session->call, RPC_OK, "%s", "");
}

static void on_closed(struct rpc_handler *handler)
{
    struct session *session = container_of(handler, struct session, handler);

    leave(session);
    session->call = NULL;
    session_free(session);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .half_closed = on_half_closed,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *call)
{
    struct node *node = container_of(service, struct node, agents);
    struct session *session;

    (void)method;
    if (!node_leads(node)) {
        node_refuse_no_leader(call);
        return NULL;
    }
    session = memory_alloc(sizeof(*session));
    session->handler.ops = &handler_ops;
    list_init(&session->due);
    session->orders.order = send_order;
    session->node = node;
    session->call = call;
    order_book_init(&session->book);
    return &session->handler;
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

    map_init(&node->sessions);
    list_init(&node->sessions_due);
    node->agents.open = open_call;
    method.service = &node->agents;
    rpc_server_add(node->server, &method);
}
