/* SPDX-License-Identifier: Apache-2.0
 *
 * WatchService: every node serves watches from its own ring, for events are
 * committed wherever they are applied. A watch pulls: the next events are
 * built when the last ones have left. */
#include "base/check.h"
#include "base/memory.h"
#include "node/api_errors.h"
#include "node/caller.h"
#include "node/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <holdfast/v1/watch_service.pb-c.h>

/* Events of one message, and bytes that wait before no more are added. */
#define WATCH_EVENTS_MAX   500
#define WATCH_QUEUE_MAX    (256u << 10)
#define WATCH_HEARTBEAT_MS 5000

struct watch {
    struct rpc_handler handler;
    struct list link;
    struct node *node;
    struct rpc_call *call;
    uint64_t sent;       /* All up to this revision have been sent. */
    uint64_t told_at_ms; /* Loop time of the last message. */
    uint32_t kinds;      /* Bits 1 << kind; 0: all. */
    bool begun;
    struct access_subject subject;
    uint64_t grants_known; /* As of which change of grants he may watch. */
};

static void put_varint(struct bytes *out, uint64_t value)
{
    while (value >= 0x80) {
        bytes_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    bytes_append_u8(out, (uint8_t)value);
}

/* A WatchResponse of events that are encoded already: field 1 for each event,
 * field 15 for the revision. */
static void send_events(struct watch *watch, uint64_t up_to)
{
    const struct watch_ring *ring = &watch->node->engine.ring;
    struct bytes out;

    bytes_init(&out);
    for (uint64_t at = watch->sent + 1; at <= up_to; at++) {
        const struct watch_entry *entry = watch_ring_at(ring, at);

        if (watch->kinds == 0 || (watch->kinds >> entry->kind & 1) != 0) {
            bytes_append_u8(&out, 1 << 3 | 2);
            put_varint(&out, entry->len);
            bytes_append(&out, entry->data, entry->len);
        }
    }
    bytes_append_u8(&out, 15 << 3);
    put_varint(&out, up_to);
    rpc_call_send_raw(watch->call, out.data, out.len);
    bytes_close(&out);
    watch->sent = up_to;
    watch->told_at_ms = uv_now(watch->node->loop);
}

static void end(struct watch *watch, enum api_error error, const char *message)
{
    const struct api_error_entry *entry = api_error_entry(error);

    watch->begun = false;
    rpc_call_trailer(watch->call, "holdfast-reason", entry->reason);
    rpc_call_finish(watch->call, entry->code, "%s", message);
}

/* A grant that is taken away ends what it allowed. */
static bool still_allowed(struct watch *watch)
{
    struct node *node = watch->node;
    uint64_t changes = state_grant_changes(node->engine.state);

    if (changes != watch->grants_known) {
        watch->grants_known = changes;
        watch->begun = caller_allow(node, watch->call, &watch->subject);
    }
    return watch->begun;
}

static void pump(struct watch *watch)
{
    const struct watch_ring *ring = &watch->node->engine.ring;
    uint64_t newest = ring->next - 1;
    char message[192];

    if (!watch->begun || !still_allowed(watch)) {
        return;
    }
    if (!watch_ring_reaches(ring, watch->sent)) {
        snprintf(message, sizeof(message),
                 "events after revision %" PRIu64
                 " are no longer kept, the oldest is %" PRIu64
                 "; list again and watch from the list's revision",
                 watch->sent, ring->first);
        end(watch, API_WATCH_COMPACTED, message);
        return;
    }
    while (watch->sent < newest &&
           rpc_call_queued(watch->call) < WATCH_QUEUE_MAX) {
        uint64_t left = newest - watch->sent;

        send_events(watch,
                    watch->sent +
                        (left < WATCH_EVENTS_MAX ? left : WATCH_EVENTS_MAX));
    }
    if (uv_now(watch->node->loop) - watch->told_at_ms >= WATCH_HEARTBEAT_MS &&
        watch->sent <= newest) {
        send_events(watch, watch->sent);
    }
}

void node_watch_pump(struct node *node)
{
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &node->watches) {
        pump(list_entry(at, struct watch, link));
    }
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct watch *watch = container_of(handler, struct watch, handler);
    const Holdfast__V1__WatchRequest *request =
        (const Holdfast__V1__WatchRequest *)(const void *)message;
    uint64_t newest = watch->node->engine.ring.next - 1;

    for (size_t i = 0; i < request->n_kinds; i++) {
        if (request->kinds[i] < HOLDFAST__V1__KIND__KIND_ZONE ||
            request->kinds[i] > HOLDFAST__V1__KIND__KIND_RESERVATION) {
            end(watch, API_INVALID_FIELD,
                "kinds: must be zone, class, host, vm, settings, group or "
                "reservation");
            return;
        }
        watch->kinds |= 1u << request->kinds[i];
    }
    watch->grants_known = state_grant_changes(watch->node->engine.state);
    watch->begun = caller_allow(watch->node, watch->call, &watch->subject);
    if (!watch->begun) {
        return;
    }
    watch->sent =
        request->after_revision == 0 ? newest : request->after_revision;
    if (watch->sent <= newest &&
        watch_ring_reaches(&watch->node->engine.ring, watch->sent)) {
        send_events(watch, watch->sent); /* Says where it begins. */
    }
    pump(watch);
}

static void on_writable(struct rpc_handler *handler)
{
    pump(container_of(handler, struct watch, handler));
}

static void on_closed(struct rpc_handler *handler)
{
    struct watch *watch = container_of(handler, struct watch, handler);

    list_remove(&watch->link);
    free(watch);
}

static const struct rpc_handler_ops handler_ops = {
    .message = on_message,
    .writable = on_writable,
    .closed = on_closed,
};

static struct rpc_handler *open_call(struct rpc_service *service,
                                     const struct rpc_method *method,
                                     struct rpc_call *call)
{
    struct node *node = container_of(service, struct node, watch);
    struct watch *watch = memory_alloc(sizeof(*watch));

    (void)method;
    watch->handler.ops = &handler_ops;
    watch->node = node;
    watch->call = call;
    caller_subject(call, &watch->subject);
    list_init(&watch->link);
    list_append(&node->watches, &watch->link);
    return &watch->handler;
}

void node_watch_open(struct node *node)
{
    static struct rpc_method method = {
        .path = "/holdfast.v1.WatchService/Watch",
        .input = &holdfast__v1__watch_request__descriptor,
        .output = &holdfast__v1__watch_response__descriptor,
        .server_streams = true,
    };

    list_init(&node->watches);
    node->watch.open = open_call;
    method.service = &node->watch;
    rpc_server_add(node->server, &method);
}
