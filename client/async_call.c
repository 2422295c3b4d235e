/* SPDX-License-Identifier: Apache-2.0
 *
 * One call over several attempts, as client/attempts.h rules. */
#include "client/async.h"
#include "client/status.h"
#include "rpc/outcome.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>

static struct hf_uv_call_state *of_stream(struct rpc_stream *stream)
{
    return container_of(stream, struct hf_uv_call_state, stream);
}

static uint64_t left_ms(const struct hf_uv_call_state *call)
{
    uint64_t now_ms = uv_now(call->client->loop);

    return call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
}

static void free_if_done(struct hf_uv_call_state *call)
{
    if (call->handle == NULL && call->carrier == NULL) {
        bytes_close(&call->request);
        free(call);
    }
}

/* The outcome is in the status; it is told on the next turn. */
static void finish(struct hf_uv_call_state *call)
{
    CHECK(call->state != ASYNC_OVER);
    call->state = ASYNC_OVER;
    list_remove(&call->alarm.link);
    if (call->status.code != HF_STATUS_OK) {
        hf_message_free(call->response);
        call->response = NULL;
    }
    async_later(call->client, &call->turn);
}

static void tell(struct hf_uv_call_state *call)
{
    struct hf_uv_call *handle = call->handle;
    ProtobufCMessage *response = call->response;
    struct hf_status status = call->status;

    list_remove(&call->link);
    call->client->call_count--;
    call->response = NULL;
    call->handle = NULL;
    handle->state = NULL;
    free_if_done(call);
    handle->done(handle, &status, response);
}

/* Ends it from this side, whatever it is doing. */
static void give_up(struct hf_uv_call_state *call)
{
    if (call->carrier != NULL) {
        call->status.was_sent |= call->stream.id != 0;
        rpc_stream_cancel(&call->stream);
    }
    finish(call);
}

static void on_message(struct rpc_stream *stream, const uint8_t *data,
                       size_t len)
{
    struct hf_uv_call_state *call = of_stream(stream);

    if (call->state == ASYNC_OVER) {
        return;
    }
    hf_message_free(call->response);
    call->response = request_unpack(call->method->output, data, len);
    if (call->response == NULL) {
        call->malformed = true;
        rpc_stream_cancel(stream);
    }
}

/* Code, text and reason of an attempt that has come to its end. */
static enum hf_code judge(struct hf_uv_call_state *call,
                          const struct rpc_result *result)
{
    const char *type = call->method->output->short_name;
    bool answered = result->code == RPC_OK && call->response != NULL;

    if (call->malformed) {
        return status_set(&call->status, HF_STATUS_INTERNAL,
                          "the answer is no %s", type);
    }
    if (call->late && !answered) {
        return status_set(&call->status, HF_STATUS_UNAVAILABLE,
                          "no answer in time");
    }
    if (result->code == RPC_OK && call->response == NULL) {
        return status_set(&call->status, HF_STATUS_INTERNAL,
                          "the answer holds no message");
    }
    return status_take(&call->status, (enum hf_code)result->code,
                       result->message, result->trailers);
}

/* UNAVAILABLE: again, or over. */
static void failed(struct hf_uv_call_state *call,
                   const struct rpc_result *result, bool was_connected)
{
    struct hf_uv_client *client = call->client;
    struct attempts_failure failure = {.never_seen =
                                           result->never_seen && was_connected,
                                       .calls_open = client->call_count,
                                       .left_ms = left_ms(call)};
    uint64_t wait_ms;

    contact_note_error(&client->contact, call->course.endpoint,
                       call->status.message);
    hf_message_free(call->response);
    call->response = NULL;
    failure.has_pushback =
        rpc_outcome_pushback(result->trailers, &failure.pushback_ms);
    if (!attempts_again(&client->contact.attempts, &call->course, &failure,
                        &wait_ms)) {
        if (failure.left_ms == 0) {
            status_at_deadline(&call->status, call->timeout_ms);
        }
        finish(call);
        return;
    }
    call->state = ASYNC_PAUSED;
    if (wait_ms == 0) {
        async_later(client, &call->turn);
    }
    async_alarm(client, &call->alarm,
                wait_ms > 0 ? uv_now(client->loop) + wait_ms
                            : call->deadline_ms);
}

static void on_closed(struct rpc_stream *stream,
                      const struct rpc_result *result)
{
    static const struct bytes none;
    struct hf_uv_call_state *call = of_stream(stream);
    struct rpc_result whole = *result;
    bool was_connected = rpc_channel_connected(call->carrier->channel);

    if (whole.trailers == NULL) {
        whole.trailers = &none;
    }
    carrier_release(call->carrier);
    call->carrier = NULL;
    if (call->state == ASYNC_OVER) {
        free_if_done(call);
        return;
    }
    if (!whole.never_seen) {
        call->seen++;
        call->status.was_sent = true;
    }
    if (judge(call, &whole) == HF_STATUS_UNAVAILABLE) {
        failed(call, &whole, was_connected);
        return;
    }
    attempts_answered(&call->client->contact.attempts);
    finish(call);
}

static const struct rpc_stream_ops stream_ops = {.message = on_message,
                                                 .closed = on_closed};

static void attempt(struct hf_uv_call_state *call)
{
    struct hf_uv_client *client = call->client;
    uint64_t left = left_ms(call);
    /* The node gets the whole time: its own DEADLINE_EXCEEDED is final. */
    const struct carrier_call what = {.path = call->path,
                                      .message = &call->request,
                                      .timeout_ms = left > 0 ? left : 1,
                                      .previous = call->seen};

    CHECK(call->state == ASYNC_PAUSED && call->carrier == NULL);
    call->state = ASYNC_UNDER_WAY;
    call->late = false;
    call->status.reason[0] = '\0';
    call->status.attempts++;
    call->carrier = carrier_open(client, call->course.endpoint, &call->stream,
                                 &stream_ops, &what);
    async_alarm(client, &call->alarm,
                uv_now(client->loop) +
                    attempts_share_ms(&client->contact.attempts, left));
}

static void on_turn(struct turn *turn)
{
    struct hf_uv_call_state *call =
        container_of(turn, struct hf_uv_call_state, turn);

    if (call->state == ASYNC_OVER) {
        tell(call);
    } else {
        attempt(call);
    }
}

static void on_alarm(struct alarm *alarm)
{
    struct hf_uv_call_state *call =
        container_of(alarm, struct hf_uv_call_state, alarm);

    if (left_ms(call) == 0) {
        list_remove(&call->turn.link);
        if (call->state == ASYNC_UNDER_WAY) {
            (void)status_set(&call->status, HF_STATUS_UNAVAILABLE,
                             "no answer in time");
            contact_note_error(&call->client->contact, call->course.endpoint,
                               call->status.message);
        }
        status_at_deadline(&call->status, call->timeout_ms);
        give_up(call);
    } else if (call->state == ASYNC_PAUSED) {
        attempt(call);
    } else {
        call->late = true;
        rpc_stream_cancel(&call->stream);
        async_alarm(call->client, &call->alarm, call->deadline_ms);
    }
}

static struct hf_uv_call_state *create(struct hf_uv_client *client,
                                       const char *method, uint32_t timeout_ms)
{
    struct hf_uv_call_state *call = memory_alloc(sizeof(*call));

    call->client = client;
    call->method = hf_method_find(method);
    request_path(method, call->path);
    uv_update_time(client->loop);
    call->timeout_ms = timeout_ms > 0 ? timeout_ms : client->contact.timeout_ms;
    call->deadline_ms = uv_now(client->loop) + call->timeout_ms;
    call->course = attempts_begin(&client->contact.attempts);
    call->turn.run = on_turn;
    call->alarm.ring = on_alarm;
    list_init(&call->link);
    list_init(&call->turn.link);
    list_init(&call->alarm.link);
    return call;
}

enum hf_code hf_uv_call(struct hf_uv_client *client, struct hf_uv_call *call,
                        const char *method, const ProtobufCMessage *request,
                        uint32_t timeout_ms, hf_uv_call_cb done)
{
    struct hf_uv_call_state *state;
    struct hf_status status;
    struct bytes packed;

    if (client->closing) {
        return HF_STATUS_FAILED_PRECONDITION;
    }
    if (client->call_count == HF_UV_CALLS_MAX) {
        return HF_STATUS_RESOURCE_EXHAUSTED;
    }
    bytes_init(&packed);
    if (request_pack(method, request, &packed, &status) != HF_STATUS_OK) {
        bytes_close(&packed);
        return status.code;
    }
    state = create(client, method, timeout_ms);
    state->request = packed;
    state->status = status;
    state->handle = call;
    call->done = done;
    call->state = state;
    list_append(&client->calls, &state->link);
    client->call_count++;
    attempt(state);
    return HF_STATUS_OK;
}

static void cancel(struct hf_uv_call_state *call, const char *why)
{
    if (call->state != ASYNC_OVER) {
        list_remove(&call->turn.link);
        (void)status_set(&call->status, HF_STATUS_CANCELLED, "%s", why);
        give_up(call);
    }
}

void hf_uv_call_cancel(struct hf_uv_call *call)
{
    if (call->state != NULL) {
        cancel(call->state, "cancelled by the caller");
    }
}

void async_call_close(struct hf_uv_call_state *call)
{
    cancel(call, "the client closes");
}
