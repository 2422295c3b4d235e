/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/event.h"

#include "base/check.h"
#include "base/container.h"
#include "ctl/request.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

Holdfast__V1__WatchRequest *event_request(struct invocation *invocation)
{
    static const struct {
        const char *field;
        enum option option;
    } lists[] = {{"kinds", OPTION_KIND},
                 {"name_prefixes", OPTION_PREFIX},
                 {"zones", OPTION_IN_ZONES},
                 {"vm_states", OPTION_STATE}};
    ProtobufCMessage *request =
        request_create(invocation, &holdfast__v1__watch_request__descriptor);
    const struct arguments *arguments = invocation->arguments;

    if (!request_set_option(invocation, request, "after_revision",
                            OPTION_AFTER) ||
        !request_set_option(invocation, request, "filter", OPTION_FILTER)) {
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        if (!request_add_options(invocation, request, lists[i].field,
                                 lists[i].option)) {
            return NULL;
        }
    }
    for (size_t i = 0; i < arguments->name_count; i++) {
        if (!request_add(invocation, request, "names", arguments->names[i],
                         "NAME")) {
            return NULL;
        }
    }
    return (Holdfast__V1__WatchRequest *)(void *)request;
}

void event_stream_begin(struct event_stream *stream,
                        struct invocation *invocation,
                        const Holdfast__V1__WatchRequest *request)
{
    *stream = (struct event_stream){
        .watch = hf_client_watch(invocation->client, &request->base)};
}

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
    }
    event_stream_begin(stream, invocation, watch);
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
                                    .cause = (int)event->cause,
                                    .cause_revision = event->cause_revision,
                                    .left = event->left != 0,
                                    .deleted = event->deleted != 0};
        if (view->object != NULL) {
            return true;
        }
    }
    return false;
}

static struct view_state change_of(const ProtobufCMessage *object)
{
    if (object->descriptor == view_vm.descriptor) {
        const Holdfast__V1__Vm *vm = (const void *)object;

        if (vm->status != NULL &&
            vm->status->pending_reason ==
                HOLDFAST__V1__PENDING_REASON__PENDING_REASON_QUEUED &&
            !vm->status->deleting) { /* No reason yet. */
            return (struct view_state){.text = "pending",
                                       .colour = COLOUR_WAIT};
        }
        return view_vm_state(object);
    }
    if (object->descriptor == view_host.descriptor) {
        return view_host_state(object);
    }
    if (object->descriptor == view_zone.descriptor) {
        return view_zone_state(object);
    }
    if (object->descriptor == view_group.descriptor) {
        return view_group_state(object);
    }
    return (struct view_state){.text = "changed"};
}

/* " on h1 (z1), epoch 3"; empty without a host. */
static void write_place(const ProtobufCMessage *object, char *place,
                        size_t size)
{
    const Holdfast__V1__VmStatus *status;

    place[0] = '\0';
    if (object->descriptor != view_vm.descriptor) {
        return;
    }
    status = ((const Holdfast__V1__Vm *)(const void *)object)->status;
    if (status != NULL && status->host[0] != '\0') {
        (void)snprintf(place, size, " on %s (%s), epoch %" PRIu64, status->host,
                       status->zone, status->epoch);
    }
}

struct event_text event_text(const struct event_view *event)
{
    struct event_text text = {.colour = COLOUR_DIM};
    struct view_state state;

    if (event->deleted) {
        (void)snprintf(text.state, sizeof(text.state), "deleted");
        return text;
    }
    state = change_of(event->object);
    if (!event->left) {
        text.colour = state.colour;
    }
    (void)snprintf(text.state, sizeof(text.state), "%s%s",
                   event->left ? "left: " : "", state.text);
    write_place(event->object, text.place, sizeof(text.place));
    return text;
}

struct format event_cause_text(int cause)
{
    char name[TEXT_NAME_MAX + 1];
    struct format text = {"-"}; /* A node from before causes were told. */

    if (cause == 0) {
        return text;
    }
    text_enum_name(&holdfast__v1__cause__descriptor, cause, name);
    for (char *at = name; *at != '\0'; at++) {
        *at = *at == '_' ? ' ' : *at;
    }
    (void)snprintf(text.text, sizeof(text.text), "%.*s", FORMAT_MAX - 1, name);
    return text;
}
