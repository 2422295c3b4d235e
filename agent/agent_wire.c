/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/agent.h"
#include "agent/order_spec.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/container.h"
#include "base/memory.h"
#include "rpc/unpack.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define VERSION "0.1.0"

/* Of the registry in node/api_errors.c. */
#define REASON_OTHER_REGION "OTHER_REGION"

/* An order's template is at most 16 KiB; this is far above what any message of
 * a node takes decoded. */
#define ARENA_BYTES_MAX   (2u << 20)
#define WAITING_BYTES_MAX (64u << 20)

static struct agent *agent_of(struct core *core)
{
    return container_of(core, struct agent, core);
}

/* Reports as the wire wants them: an array of pointers. */
struct report_list {
    Holdfast__V1__VmReport *items;
    Holdfast__V1__VmReport **pointers;
};

/* protobuf-c's strings are not const; packing does not change them. */
static char *lend(const char *text)
{
    union {
        const char *in;
        char *out;
    } pointer = {text};

    return pointer.out;
}

static void fill_report(Holdfast__V1__VmReport *to,
                        const struct core_report *from)
{
    holdfast__v1__vm_report__init(to);
    to->uid = from->uid;
    to->epoch = from->epoch;
    to->state = (Holdfast__V1__ReportState)from->state;
    to->reason = lend(from->reason);
    to->failed = from->failed;
}

static void list_init_from(struct report_list *list,
                           const struct core_report *reports, size_t count)
{
    list->items = memory_alloc_array(count, sizeof(*list->items));
    list->pointers = memory_alloc_array(count, sizeof(*list->pointers));
    for (size_t i = 0; i < count; i++) {
        fill_report(&list->items[i], &reports[i]);
        list->pointers[i] = &list->items[i];
    }
}

static void list_free(struct report_list *list)
{
    free(list->items);
    free(list->pointers);
}

static void send_message(struct agent *agent,
                         const Holdfast__V1__AgentMessage *message)
{
    session_send(&agent->session, &message->base);
}

/* What the host offers: drivers and labels, in arrays that hello points to. */
struct offer {
    Holdfast__V1__Resources capacity;
    Holdfast__V1__Driver drivers[AGENT_DRIVERS];
    Holdfast__V1__Hello__LabelsEntry *labels;
    Holdfast__V1__Hello__LabelsEntry **label_pointers;
    char **pools;
};

static void fill_offer(const struct agent *agent, struct offer *offer,
                       Holdfast__V1__Hello *hello)
{
    const Holdfast__V1__AgentConfig *config = agent->config->message;

    holdfast__v1__resources__init(&offer->capacity);
    offer->capacity.cpu_milli = agent->capacity.cpu_milli;
    offer->capacity.memory_mib = agent->capacity.memory_mib;
    offer->capacity.disk_gib = agent->capacity.disk_gib;
    offer->capacity.gpu_count = agent->capacity.gpu_count;
    if (config->capacity != NULL) {
        offer->capacity.n_named = config->capacity->n_named;
        offer->capacity.named = config->capacity->named;
    }
    hello->capacity = &offer->capacity;
    for (size_t i = 0; i < AGENT_DRIVERS; i++) {
        if (agent->offered[i]) {
            offer->drivers[hello->n_drivers++] =
                (Holdfast__V1__Driver)agent->drivers[i]->table->kind;
        }
    }
    hello->drivers = offer->drivers;
    offer->pools = memory_alloc_array(config->n_pools, sizeof(char *));
    for (size_t i = 0; i < config->n_pools; i++) {
        offer->pools[i] = config->pools[i]->name;
    }
    hello->n_pools = config->n_pools;
    hello->pools = offer->pools;
    offer->labels =
        memory_alloc_array(config->n_labels, sizeof(*offer->labels));
    offer->label_pointers =
        memory_alloc_array(config->n_labels, sizeof(*offer->label_pointers));
    for (size_t i = 0; i < config->n_labels; i++) {
        holdfast__v1__hello__labels_entry__init(&offer->labels[i]);
        offer->labels[i].key = config->labels[i]->key;
        offer->labels[i].value = config->labels[i]->value;
        offer->label_pointers[i] = &offer->labels[i];
    }
    hello->n_labels = config->n_labels;
    hello->labels = offer->label_pointers;
}

void agent_send_hello(struct core *core, const struct core_report *reports,
                      size_t count)
{
    struct agent *agent = agent_of(core);
    const Holdfast__V1__AgentConfig *config = agent->config->message;
    Holdfast__V1__AgentMessage message = HOLDFAST__V1__AGENT_MESSAGE__INIT;
    Holdfast__V1__Hello hello = HOLDFAST__V1__HELLO__INIT;
    struct report_list list;
    struct offer offer;

    list_init_from(&list, reports, count);
    fill_offer(agent, &offer, &hello);
    hello.host = config->host;
    hello.zone = config->zone;
    hello.fault_domain = config->fault_domain;
    hello.host_id = agent->host_id;
    hello.region_id = lend(agent_region_of_vms(agent));
    hello.boot_id = agent->boot_id;
    hello.agent_version = lend(VERSION);
    hello.n_vms = count;
    hello.vms = list.pointers;
    message.message_case = HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_HELLO;
    message.hello = &hello;
    send_message(agent, &message);
    free(offer.pools);
    free(offer.labels);
    free(offer.label_pointers);
    list_free(&list);
}

void agent_send_renew(struct core *core, uint64_t seq, uint64_t generation,
                      const struct core_report *reports, size_t count)
{
    Holdfast__V1__AgentMessage message = HOLDFAST__V1__AGENT_MESSAGE__INIT;
    Holdfast__V1__Renew renew = HOLDFAST__V1__RENEW__INIT;
    struct report_list list;

    list_init_from(&list, reports, count);
    renew.seq = seq;
    renew.generation = generation;
    renew.n_vms = count;
    renew.vms = list.pointers;
    message.message_case = HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_RENEW;
    message.renew = &renew;
    send_message(agent_of(core), &message);
    list_free(&list);
}

void agent_send_report(struct core *core, const struct core_report *report)
{
    Holdfast__V1__AgentMessage message = HOLDFAST__V1__AGENT_MESSAGE__INIT;
    Holdfast__V1__Report wrapped = HOLDFAST__V1__REPORT__INIT;
    Holdfast__V1__VmReport vm;

    fill_report(&vm, report);
    wrapped.vm = &vm;
    message.message_case = HOLDFAST__V1__AGENT_MESSAGE__MESSAGE_REPORT;
    message.report = &wrapped;
    send_message(agent_of(core), &message);
}

static void drop_waiting(struct agent *agent)
{
    bytes_clear(&agent->waiting);
    agent->waiting_count = 0;
}

void agent_hang_up(struct core *core, const char *reason)
{
    struct agent *agent = agent_of(core);

    log_warn("session.hang_up", "node=%s reason=\"%s\"",
             session_node(&agent->session), reason);
    agent->connected = false;
    drop_waiting(agent);
    session_hang_up(&agent->session);
}

static void on_opened(struct session *session)
{
    struct agent *agent = container_of(session, struct agent, session);

    drop_waiting(agent);
    agent_region_settle(agent);
    agent->core_session = core_session_opened(&agent->core, clock_boot_ns());
    agent_tick(agent);
}

static void on_closed(struct session *session, const char *reason)
{
    struct agent *agent = container_of(session, struct agent, session);

    if (strcmp(reason, REASON_OTHER_REGION) == 0) {
        agent_region_refused(agent);
    }
    agent->connected = false;
    drop_waiting(agent);
    core_session_closed(&agent->core, agent->core_session);
    agent_tick(agent);
}

static void take_order(struct agent *agent, const Holdfast__V1__Order *message)
{
    uint64_t ignored = agent->core.ignored_order_count;
    struct agent_order order = {
        .core =
            {
                .action = (enum core_order_action)message->action,
                .uid = message->uid,
                .epoch = message->epoch,
                .generation = message->generation,
                .keep = order_keeps(message),
                .stop_grace_ms = order_grace_ms(message),
            },
        .message = message,
    };

    if (message->action < HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_START ||
        message->action > HOLDFAST__V1__ORDER_ACTION__ORDER_ACTION_KILL) {
        return; /* Of a newer leader; it will see that nothing came of it. */
    }
    core_order(&agent->core, agent->core_session, clock_boot_ns(), &order.core);
    if (agent->core.ignored_order_count != ignored) {
        log_warn("order.ignored", "uid=%" PRIu64 " epoch=%" PRIu64 " action=%d",
                 message->uid, message->epoch, (int)message->action);
    }
}

/* Decodes one NodeMessage; the caller closes the arena. */
static const Holdfast__V1__NodeMessage *decode(struct arena *arena,
                                               const uint8_t *data, size_t len)
{
    struct unpack_error error;
    const ProtobufCMessage *message;

    arena_init(arena, ARENA_BYTES_MAX);
    message = message_unpack(&holdfast__v1__node_message__descriptor, arena,
                             data, len, &error);
    if (message == NULL) {
        log_error("session.bad_message", "field=%s reason=\"%s\"", error.field,
                  error.reason);
    }
    return (const Holdfast__V1__NodeMessage *)message;
}

static void take_waiting(struct agent *agent)
{
    struct bytes orders = agent->waiting;
    struct bytes_reader reader;

    bytes_init(&agent->waiting);
    agent->waiting_count = 0;
    bytes_reader_init(&reader, orders.data, orders.len);
    while (reader.len > 0) {
        uint32_t len = bytes_read_u32(&reader);
        const uint8_t *data = bytes_read(&reader, len);
        const Holdfast__V1__NodeMessage *message;
        struct arena arena;

        CHECK(!reader.failed);
        message = decode(&arena, data, len);
        CHECK(message != NULL);
        take_order(agent, message->order);
        arena_close(&arena);
    }
    bytes_close(&orders);
}

static void put_aside(struct agent *agent, const uint8_t *data, size_t len)
{
    if (agent->waiting_count >= AGENT_ORDERS_MAX ||
        agent->waiting.len + len > WAITING_BYTES_MAX) {
        return; /* Given again by the leader. */
    }
    bytes_append_u32(&agent->waiting, (uint32_t)len);
    bytes_append(&agent->waiting, data, len);
    agent->waiting_count++;
}

static void on_welcome(struct agent *agent,
                       const Holdfast__V1__Welcome *welcome)
{
    const struct core_terms terms = {welcome->lease_run_ms, welcome->renew_ms};

    if (agent_region_welcome(agent, welcome->region_id,
                             welcome->region_generation) != 0) {
        core_session_closed(&agent->core, agent->core_session);
        agent_hang_up(&agent->core, "a region that cannot be joined");
        return;
    }
    agent->connected = true;
    log_info("session.welcome",
             "node=%s host_uid=%" PRIu64 " generation=%" PRIu64
             " lease_run_ms=%" PRIu32 " renew_ms=%" PRIu32,
             session_node(&agent->session), welcome->host_uid,
             welcome->generation, welcome->lease_run_ms, welcome->renew_ms);
    core_welcome(&agent->core, agent->core_session, clock_boot_ns(),
                 welcome->generation, &terms);
}

static void on_renew_ack(struct agent *agent, const Holdfast__V1__RenewAck *ack)
{
    const struct core_terms terms = {ack->lease_run_ms, ack->renew_ms};
    bool took_orders = core_takes_orders(&agent->core);
    uint64_t ignored = agent->core.ignored_ack_count;

    core_renew_ack(&agent->core, agent->core_session, clock_boot_ns(), ack->seq,
                   &terms);
    if (agent->core.ignored_ack_count == ignored) {
        session_renewed(&agent->session);
    }
    if (!took_orders && core_takes_orders(&agent->core)) {
        take_waiting(agent);
    }
}

static void on_message(struct session *session, const uint8_t *data, size_t len)
{
    struct agent *agent = container_of(session, struct agent, session);
    const Holdfast__V1__NodeMessage *message;
    struct arena arena;

    message = decode(&arena, data, len);
    if (message == NULL) {
        core_session_closed(&agent->core, agent->core_session);
        agent_hang_up(&agent->core, "a message that cannot be read");
    } else if (message->message_case ==
               HOLDFAST__V1__NODE_MESSAGE__MESSAGE_WELCOME) {
        on_welcome(agent, message->welcome);
    } else if (message->message_case ==
               HOLDFAST__V1__NODE_MESSAGE__MESSAGE_RENEW_ACK) {
        on_renew_ack(agent, message->renew_ack);
    } else if (message->message_case ==
               HOLDFAST__V1__NODE_MESSAGE__MESSAGE_ORDER) {
        if (core_takes_orders(&agent->core)) {
            take_order(agent, message->order);
        } else {
            put_aside(agent, data, len);
        }
    }
    arena_close(&arena);
    agent_tick(agent);
}

const struct session_ops agent_session_ops = {
    .opened = on_opened,
    .message = on_message,
    .closed = on_closed,
};
