/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/event.h"

#include "base/check.h"
#include "ctl/request.h"
#include "proto/text_field.h"

#include <string.h>

void event_stream_open(struct event_stream *stream,
                       struct invocation *invocation, uint64_t after_revision,
                       const char *kind)
{
    ProtobufCMessage *request =
        request_create(invocation, &holdfast__v1__watch_request__descriptor);
    Holdfast__V1__WatchRequest *watch = (void *)request;

    watch->after_revision = after_revision;
    if (kind != NULL) {
        CHECK(request_add(invocation, request, "kinds", kind, "--kind"));
    } else {
        /* Checked before: see run_watch(). */
        CHECK(request_add_options(invocation, request, "kinds", OPTION_KIND));
    }
    *stream = (struct event_stream){
        .watch = hf_client_watch(invocation->client, request)};
}

void event_stream_close(struct event_stream *stream)
{
    hf_watch_close(stream->watch);
    if (stream->response != NULL) {
        hf_message_free(&stream->response->base);
    }
    *stream = (struct event_stream){.watch = NULL};
}

bool event_stream_next(struct event_stream *stream, uint32_t timeout_ms,
                       struct hf_status *status)
{
    ProtobufCMessage *response;

    if (stream->response != NULL) {
        hf_message_free(&stream->response->base);
        stream->response = NULL;
    }
    if (hf_watch_next(stream->watch, timeout_ms, &response, status) !=
        HF_STATUS_OK) {
        return false;
    }
    CHECK(response->descriptor == &holdfast__v1__watch_response__descriptor);
    stream->response = (void *)response;
    stream->taken = 0;
    return true;
}

static const ProtobufCMessage *object_of(const Holdfast__V1__Event *event)
{
    switch (event->object_case) {
    case HOLDFAST__V1__EVENT__OBJECT_ZONE:
        return &event->zone->base;
    case HOLDFAST__V1__EVENT__OBJECT_VM_CLASS:
        return &event->vm_class->base;
    case HOLDFAST__V1__EVENT__OBJECT_HOST:
        return &event->host->base;
    case HOLDFAST__V1__EVENT__OBJECT_VM:
        return &event->vm->base;
    case HOLDFAST__V1__EVENT__OBJECT_SETTINGS:
        return &event->settings->base;
    case HOLDFAST__V1__EVENT__OBJECT_GROUP:
        return &event->group->base;
    case HOLDFAST__V1__EVENT__OBJECT_RESERVATION:
        return &event->reservation->base;
    default:
        return NULL;
    }
}

bool event_stream_take(struct event_stream *stream, struct event_view *view)
{
    const Holdfast__V1__WatchResponse *response = stream->response;

    while (response != NULL && stream->taken < response->n_events) {
        const Holdfast__V1__Event *event = response->events[stream->taken++];

        *view = (struct event_view){.event = &event->base,
                                    .object = object_of(event),
                                    .revision = event->revision,
                                    .time_ms = event->time_ms,
                                    .deleted = event->deleted != 0};
        if (view->object != NULL) {
            return true;
        }
    }
    return false;
}
