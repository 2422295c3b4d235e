/* SPDX-License-Identifier: Apache-2.0
 *
 * WatchService: every node serves watches from its own ring, for events are
 * committed wherever they are applied. A watch pulls: the next events are
 * built when the last ones have left. */
#include "base/check.h"
#include "base/clock.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/caller.h"
#include "node/limits.h"
#include "node/node.h"
#include "node/watch_filter.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <holdfast/v1/watch_service.pb-c.h>

/* Events of one message, and bytes that wait before no more are added. */
#define WATCH_EVENTS_MAX 500
#define WATCH_QUEUE_MAX  (256u << 10)

/* A request, with as many names as it may have; and its copy unpacked, of which
 * an empty text takes the most: 32 bytes for 2. */
#define WATCH_REQUEST_BYTES_MAX (128u << 10)
#define WATCH_ARENA_BYTES       (4u << 20)

/* `left: true`, as it stands in an Event. */
#define LEFT_TAG (14 << 3)

struct watch {
    struct rpc_handler handler;
    struct list link;
    struct node *node;
    struct rpc_call *call;
    uint64_t sent;       /* All up to this revision have been sent. */
    uint64_t told_at_ms; /* Loop time of the last message. */
    uint32_t heartbeat_ms;
    struct watch_filter filter;
    struct arena arena; /* What the filter lends. */
    bool begun;
    struct access_subject subject;
    uint64_t grants_known;  /* As of which change of grants he may watch. */
    uint64_t grants_end_ms; /* And until when; 0: as long as they stay. */
};

static void put_varint(struct bytes *out, uint64_t value)
{
    while (value >= 0x80) {
        bytes_append_u8(out, (uint8_t)(value | 0x80));
        value >>= 7;
    }
    bytes_append_u8(out, (uint8_t)value);
}

static void put_event(struct bytes *out, const struct watch_entry *entry,
                      bool left)
{
    bytes_append_u8(out, 1 << 3 | 2);
    put_varint(out, entry->len + (left ? 2 : 0));
    bytes_append(out, entry->data, entry->len);
    if (left) {
        bytes_append_u8(out, LEFT_TAG);
        bytes_append_u8(out, 1);
    }
}

/* A WatchResponse of events that are encoded already: field 1 for each event,
 * field 15 for the revision. Without an event it goes out only if it is to be
 * told all the same. */
static void send_events(struct watch *watch, uint64_t up_to, bool tell)
{
    const struct watch_ring *ring = &watch->node->engine.ring;
    struct bytes out;

    bytes_init(&out);
    for (uint64_t at = watch->sent + 1; at <= up_to; at++) {
        const struct watch_entry *entry = watch_ring_at(ring, at);
        enum watch_choice choice = watch_filter_choose(&watch->filter, entry);

        if (choice != WATCH_SKIPS) {
            put_event(&out, entry, choice == WATCH_LEFT);
        }
    }
    watch->sent = up_to;
    if (out.len > 0 || tell) {
        bytes_append_u8(&out, 15 << 3);
        put_varint(&out, up_to);
        rpc_call_send_raw(watch->call, out.data, out.len);
        watch->told_at_ms = uv_now(watch->node->loop);
    }
    bytes_close(&out);
}

static void end(struct watch *watch, enum api_error error, const char *message)
{
    const struct api_error_entry *entry = api_error_entry(error);

    watch->begun = false;
    rpc_call_trailer(watch->call, "holdfast-reason", entry->reason);
    rpc_call_finish(watch->call, entry->code, "%s", message);
}

/* Looks whether he may, and notes until when that holds. */
static void ask_whether_allowed(struct watch *watch)
{
    struct node *node = watch->node;

    watch->grants_known = state_grant_changes(node->engine.state);
    watch->begun = caller_allow(node, watch->call, &watch->subject);
    watch->grants_end_ms = caller_next_end(node, &watch->subject);
}

/* A grant that is taken away ends what it allowed, and so does one whose end
 * comes: every watch is pumped at each tick, NODE_TICK_MS, also where nothing
 * changes. */
static bool still_allowed(struct watch *watch)
{
    const struct state *state = watch->node->engine.state;

    if (state_grant_changes(state) != watch->grants_known ||
        (watch->grants_end_ms != 0 &&
         access_time_ms(state, clock_wall_ms()) >= watch->grants_end_ms)) {
        ask_whether_allowed(watch);
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
                        (left < WATCH_EVENTS_MAX ? left : WATCH_EVENTS_MAX),
                    false);
    }
    if (uv_now(watch->node->loop) - watch->told_at_ms >= watch->heartbeat_ms &&
        watch->sent <= newest) {
        send_events(watch, watch->sent, true);
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

/* Copies the request, from which the filter lends. False: the reply says what
 * is wrong with it. */
static bool read_request(struct watch *watch, const ProtobufCMessage *message,
                         struct api_reply *reply)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    const Holdfast__V1__WatchRequest *request;
    struct bytes packed;

    if (len > WATCH_REQUEST_BYTES_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "names: with all else the request has %zu bytes; at most %u",
                 len, WATCH_REQUEST_BYTES_MAX);
        return false;
    }
    bytes_init(&packed);
    protobuf_c_message_pack(message, bytes_reserve(&packed, len));
    request = (const Holdfast__V1__WatchRequest *)(const void *)api_unpack(
        message->descriptor, packed.data, len, &watch->arena);
    bytes_close(&packed);
    watch->heartbeat_ms = request->heartbeat_ms == 0
                              ? WATCH_HEARTBEAT_MS_DEFAULT
                              : request->heartbeat_ms;
    return watch_filter_read(reply, watch->node->engine.state, request,
                             &watch->filter) &&
           api_check_range(reply, "heartbeat_ms", watch->heartbeat_ms,
                           WATCH_HEARTBEAT_MS_MIN, WATCH_HEARTBEAT_MS_MAX);
}

static void begin(struct watch *watch)
{
    uint64_t after = watch->filter.request->after_revision;
    uint64_t newest = watch->node->engine.ring.next - 1;

    ask_whether_allowed(watch);
    if (!watch->begun) {
        return;
    }
    watch->sent = after == 0 ? newest : after;
    if (watch->sent <= newest &&
        watch_ring_reaches(&watch->node->engine.ring, watch->sent)) {
        send_events(watch, watch->sent, true); /* Says where it begins. */
    }
    pump(watch);
}

static void on_message(struct rpc_handler *handler,
                       const ProtobufCMessage *message)
{
    struct watch *watch = container_of(handler, struct watch, handler);
    struct api_reply reply;

    api_reply_init(&reply);
    if (read_request(watch, message, &reply)) {
        begin(watch);
    } else {
        rpc_call_trailer(watch->call, "holdfast-reason", reply.reason);
        rpc_call_finish(watch->call, reply.code, "%s", reply.message);
    }
    api_reply_close(&reply);
}

static void on_writable(struct rpc_handler *handler)
{
    pump(container_of(handler, struct watch, handler));
}

static void on_closed(struct rpc_handler *handler)
{
    struct watch *watch = container_of(handler, struct watch, handler);

    list_remove(&watch->link);
    arena_close(&watch->arena);
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
    arena_init(&watch->arena, WATCH_ARENA_BYTES);
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
