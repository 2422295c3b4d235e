/* SPDX-License-Identifier: Apache-2.0
 *
 * The watch as the commands see it: one changed object after the other. */
#ifndef CTL_EVENT_H
#define CTL_EVENT_H

#include "ctl/format.h"
#include "ctl/invocation.h"
#include "ctl/view.h"
#include "holdfast/v1/watch_service.pb-c.h"

#include <protobuf-c/protobuf-c.h>

struct event_view {
    const ProtobufCMessage *event;  /* The Event itself. */
    const ProtobufCMessage *object; /* What changed; NULL: newer than we are. */
    uint64_t revision;
    uint64_t time_ms;
    int cause; /* enum Cause. */
    uint64_t cause_revision;
    bool deleted;
    bool left; /* The filters take it no more. */
};

struct event_stream {
    struct hf_watch *watch;
    Holdfast__V1__WatchResponse *response; /* The last received, or NULL. */
    size_t taken;                          /* Events of it that were taken. */
};

/* What --after, --kind and the other conditions ask for. NULL: an option was
 * wrong and is told. */
Holdfast__V1__WatchRequest *event_request(struct invocation *invocation);

/* `request` is copied. */
void event_stream_begin(struct event_stream *stream,
                        struct invocation *invocation,
                        const Holdfast__V1__WatchRequest *request);

/* `kind`: "vm" and so on; NULL: all. */
void event_stream_open(struct event_stream *stream,
                       struct invocation *invocation, uint64_t after_revision,
                       const char *kind);
void event_stream_close(struct event_stream *stream);

/* Waits for more; false: the stream ended or nothing came in that time,
 * `status` says which. */
bool event_stream_next(struct event_stream *stream, uint32_t timeout_ms,
                       struct hf_status *status);

/* The next event that came; false: none is left. Skips objects of kinds that
 * we do not know. Lent until event_stream_next(). */
bool event_stream_take(struct event_stream *stream, struct event_view *event);

/* What became of the object, for people: "running", and for VMs with a host
 * " on h1 (z1), epoch 3". */
struct event_text {
    char state[128];
    char place[192];
    enum colour colour;
};

struct event_text event_text(const struct event_view *event);

/* "lease ended". */
struct format event_cause_text(int cause);

#endif
