/* SPDX-License-Identifier: Apache-2.0
 *
 * A watch that outlives its nodes: each broken stream begins again elsewhere
 * behind the last revision that was received whole. */
#include "client/async.h"
#include "client/status.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>

/* When the loop itself was held up, what came meanwhile is read before a node
 * is called silent. */
#define GRACE_MS 1000

struct arrived {
    struct arrived *next;
    ProtobufCMessage *response;
};

static struct hf_uv_watch_state *of_stream(struct rpc_stream *stream)
{
    return container_of(stream, struct hf_uv_watch_state, stream);
}

static void free_if_done(struct hf_uv_watch_state *watch)
{
    if (watch->handle == NULL && watch->carrier == NULL) {
        holdfast__v1__watch_request__free_unpacked(watch->request, NULL);
        free(watch);
    }
}

/* The first response that was not told yet, taken out; NULL: none. */
static ProtobufCMessage *take_arrived(struct hf_uv_watch_state *watch)
{
    struct arrived *first = watch->arrived;
    ProtobufCMessage *response;

    if (first == NULL) {
        return NULL;
    }
    response = first->response;
    watch->arrived = first->next;
    if (watch->arrived == NULL) {
        watch->arrived_next = &watch->arrived;
    }
    free(first);
    return response;
}

static void tell_ended(struct hf_uv_watch_state *watch)
{
    struct hf_uv_watch *handle = watch->handle;
    struct hf_status status = watch->status;

    list_remove(&watch->link);
    watch->client->watch_count--;
    watch->handle = NULL;
    handle->state = NULL;
    free_if_done(watch);
    handle->ended(handle, &status);
}

static void end(struct hf_uv_watch_state *watch, enum hf_code code,
                const char *message)
{
    CHECK(watch->state != ASYNC_OVER);
    watch->state = ASYNC_OVER;
    list_remove(&watch->alarm.link);
    (void)status_set(&watch->status, code, "%s", message);
    if (watch->carrier != NULL) {
        rpc_stream_cancel(&watch->stream);
    }
    /* Behind what is being run: from a later turn. */
    list_remove(&watch->turn.link);
    async_later(watch->client, &watch->turn);
}

/* To the next endpoint, after a pause at the end of each round. */
static void failed(struct hf_uv_watch_state *watch, const char *reason)
{
    struct hf_uv_client *client = watch->client;
    uint64_t wait_ms;

    contact_note_error(&client->contact, watch->course.endpoint, reason);
    if (!attempts_resume(&client->contact.attempts, &watch->course, &wait_ms)) {
        end(watch, HF_STATUS_UNAVAILABLE, reason);
        return;
    }
    watch->state = ASYNC_PAUSED;
    async_alarm(client, &watch->alarm, uv_now(client->loop) + wait_ms);
}

static void expect_more(struct hf_uv_watch_state *watch)
{
    watch->suspected = false;
    async_alarm(watch->client, &watch->alarm,
                uv_now(watch->client->loop) +
                    attempts_silence_ms(watch->request->heartbeat_ms));
}

static void on_message(struct rpc_stream *stream, const uint8_t *data,
                       size_t len)
{
    struct hf_uv_watch_state *watch = of_stream(stream);
    const Holdfast__V1__WatchResponse *response;
    ProtobufCMessage *message;
    struct arrived *arrived;

    if (watch->state == ASYNC_OVER) {
        return;
    }
    message =
        request_unpack(&holdfast__v1__watch_response__descriptor, data, len);
    if (message == NULL) {
        end(watch, HF_STATUS_INTERNAL, "the answer is no WatchResponse");
        return;
    }
    response = (const Holdfast__V1__WatchResponse *)(const void *)message;
    if (response->revision > watch->request->after_revision) {
        watch->request->after_revision = response->revision;
    }
    watch->course.failures = 0;
    expect_more(watch);
    arrived = memory_alloc(sizeof(*arrived));
    arrived->response = message;
    *watch->arrived_next = arrived;
    watch->arrived_next = &arrived->next;
    async_later(watch->client, &watch->turn);
}

static void on_closed(struct rpc_stream *stream,
                      const struct rpc_result *result)
{
    struct hf_uv_watch_state *watch = of_stream(stream);
    struct hf_status status = {.code = HF_STATUS_OK};
    static const struct bytes none;

    carrier_release(watch->carrier);
    watch->carrier = NULL;
    if (watch->state == ASYNC_OVER) {
        free_if_done(watch);
        return;
    }
    list_remove(&watch->alarm.link);
    (void)status_take(&status, (enum hf_code)result->code, result->message,
                      result->trailers != NULL ? result->trailers : &none);
    if (watch->silent) {
        failed(watch, "the node has gone silent");
    } else if (status.code == HF_STATUS_UNAVAILABLE) {
        failed(watch, status.message);
    } else if (status.code == HF_STATUS_OK) {
        failed(watch, "the node ended the watch");
    } else {
        watch->status = status;
        end(watch, status.code, status.message);
    }
}

static const struct rpc_stream_ops stream_ops = {.message = on_message,
                                                 .closed = on_closed};

static void begin(struct hf_uv_watch_state *watch)
{
    const ProtobufCMessage *request = &watch->request->base;
    size_t size = protobuf_c_message_get_packed_size(request);
    char path[REQUEST_PATH_BYTES];
    struct carrier_call what = {.path = path};
    struct bytes packed;

    CHECK(watch->state == ASYNC_PAUSED && watch->carrier == NULL);
    watch->state = ASYNC_UNDER_WAY;
    watch->silent = false;
    request_path("WatchService/Watch", path);
    bytes_init(&packed);
    packed.len =
        protobuf_c_message_pack(request, bytes_reserve(&packed, size + 1));
    what.message = &packed;
    watch->carrier = carrier_open(watch->client, watch->course.endpoint,
                                  &watch->stream, &stream_ops, &what);
    bytes_close(&packed);
    expect_more(watch);
}

static void on_turn(struct turn *turn)
{
    struct hf_uv_watch_state *watch =
        container_of(turn, struct hf_uv_watch_state, turn);
    ProtobufCMessage *response;

    while ((response = take_arrived(watch)) != NULL) {
        watch->handle->response(watch->handle, response);
    }
    /* Cancelled by the callback above, it is due again and told then. */
    if (watch->state == ASYNC_OVER && list_empty(&watch->turn.link)) {
        tell_ended(watch);
    }
}

static void on_alarm(struct alarm *alarm)
{
    struct hf_uv_watch_state *watch =
        container_of(alarm, struct hf_uv_watch_state, alarm);

    if (watch->state == ASYNC_PAUSED) {
        begin(watch);
    } else if (!watch->suspected) {
        watch->suspected = true;
        async_alarm(watch->client, alarm,
                    uv_now(watch->client->loop) + GRACE_MS);
    } else {
        watch->silent = true;
        rpc_stream_cancel(&watch->stream);
    }
}

enum hf_code hf_uv_watch(struct hf_uv_client *client, struct hf_uv_watch *watch,
                         const ProtobufCMessage *request,
                         hf_uv_watch_response_cb response,
                         hf_uv_watch_ended_cb ended)
{
    struct hf_uv_watch_state *state;

    if (client->closing) {
        return HF_STATUS_FAILED_PRECONDITION;
    }
    if (request->descriptor != &holdfast__v1__watch_request__descriptor) {
        return HF_STATUS_INVALID_ARGUMENT;
    }
    if (client->watch_count == HF_UV_WATCHES_MAX) {
        return HF_STATUS_RESOURCE_EXHAUSTED;
    }
    state = memory_alloc(sizeof(*state));
    state->client = client;
    state->handle = watch;
    state->request = request_watch_copy(request);
    state->course = attempts_begin(&client->contact.attempts);
    state->turn.run = on_turn;
    state->alarm.ring = on_alarm;
    list_init(&state->link);
    list_init(&state->turn.link);
    list_init(&state->alarm.link);
    state->arrived_next = &state->arrived;
    *watch = (struct hf_uv_watch){
        .response = response, .ended = ended, .state = state};
    list_append(&client->watches, &state->link);
    client->watch_count++;
    uv_update_time(client->loop);
    begin(state);
    return HF_STATUS_OK;
}

static void cancel(struct hf_uv_watch_state *watch, const char *why)
{
    ProtobufCMessage *response;

    while ((response = take_arrived(watch)) != NULL) {
        hf_message_free(response);
    }
    if (watch->state != ASYNC_OVER) {
        end(watch, HF_STATUS_CANCELLED, why);
    }
}

void hf_uv_watch_cancel(struct hf_uv_watch *watch)
{
    if (watch->state != NULL) {
        cancel(watch->state, "cancelled by the caller");
    }
}

void async_watch_close(struct hf_uv_watch_state *watch)
{
    cancel(watch, "the client closes");
}
