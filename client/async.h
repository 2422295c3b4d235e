/* SPDX-License-Identifier: Apache-2.0
 *
 * What the asynchronous client is made of. The callbacks of rpc/ come from
 * inside nghttp2; what they bring is put down, and the caller is told from a
 * turn of its own. */
#ifndef CLIENT_ASYNC_H
#define CLIENT_ASYNC_H

#include "base/list.h"
#include "client/contact.h"
#include "client/request.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "rpc/channel.h"

#include <holdfast/holdfast_uv.h>

/* Something to be done on the loop's next turn. Embed it; `link` is in no list
 * when it is not due. */
struct turn {
    struct list link;
    void (*run)(struct turn *turn);
};

/* Something to be done at a time, by the loop's clock. Likewise. */
struct alarm {
    struct list link;
    uint64_t at_ms;
    void (*ring)(struct alarm *alarm);
};

struct hf_uv_client {
    struct contact contact;
    uv_loop_t *loop;
    uv_idle_t idle; /* Active while a turn is due. */
    uv_timer_t timer;
    uint64_t timer_at_ms;
    struct list turns;
    struct list alarms;
    struct list calls;
    struct list watches;
    size_t call_count;
    size_t watch_count;
    struct carrier *carriers[HF_ENDPOINTS_MAX]; /* NULL: none yet. */
    struct list all_carriers;                   /* Retired ones too. */
    int handles_open;
    bool closing;
    bool handles_closing;
    struct hf_uv_close *close;
};

/* Harmless when it is due already. */
void async_later(struct hf_uv_client *client, struct turn *turn);

/* Sets it anew; list_remove(&alarm->link) stops it. */
void async_alarm(struct hf_uv_client *client, struct alarm *alarm,
                 uint64_t at_ms);

/* Goes on with a close, if that is all that is left. */
void async_go_on_closing(struct hf_uv_client *client);

/*   PAUSED --turn or alarm--> UNDER_WAY --outcome--> OVER --turn--> told
 *      ^                          |  |
 *      +------failed, again-------+  +--cancel, deadline--> OVER
 *
 * A call that is ended from this side does not wait for its stream: the state
 * outlives the telling until the stream is closed. */
enum async_state { ASYNC_PAUSED, ASYNC_UNDER_WAY, ASYNC_OVER };

struct hf_uv_call_state {
    struct list link;
    struct hf_uv_client *client;
    struct hf_uv_call *handle; /* NULL: told. */
    enum async_state state;
    struct turn turn;
    struct alarm alarm;
    const ProtobufCMethodDescriptor *method;
    char path[REQUEST_PATH_BYTES];
    struct bytes request;
    uint64_t timeout_ms;
    uint64_t deadline_ms;
    struct attempts_course course;
    unsigned seen;           /* Attempts that a node may have seen. */
    struct carrier *carrier; /* NULL: no stream is open. */
    struct rpc_stream stream;
    bool late;      /* The attempt has had its time. */
    bool malformed; /* A response came that is none. */
    struct hf_status status;
    ProtobufCMessage *response;
};

struct hf_uv_watch_state {
    struct list link;
    struct hf_uv_client *client;
    struct hf_uv_watch *handle; /* NULL: told. */
    enum async_state state;
    struct turn turn;
    struct alarm alarm; /* To resume, or of silence. */
    Holdfast__V1__WatchRequest *request;
    struct attempts_course course;
    struct arrived *arrived;       /* Responses to be told; NULL: none. */
    struct arrived **arrived_next; /* Where the next one goes. */
    struct carrier *carrier;       /* NULL: no stream is open. */
    struct rpc_stream stream;
    bool suspected; /* Nothing came in time; one more turn is given. */
    bool silent;    /* Given up for it. */
    struct hf_status status;
};

/* Ends what is open, for the client closes. */
void async_call_close(struct hf_uv_call_state *call);
void async_watch_close(struct hf_uv_watch_state *watch);

/* --- async_carrier.c: connections and who is on them ---------------------- */

/* One channel to an endpoint. When the node says goodbye it is retired: the
 * calls on it go on, new ones get a new carrier. */
struct carrier {
    struct list link;
    struct hf_uv_client *client;
    struct rpc_channel *channel;
    struct rpc_channel_close close;
    size_t endpoint;
    size_t streams; /* Open on it. */
    bool retired;
    bool closing;
};

struct carrier_call {
    const char *path;
    const struct bytes *message;
    uint64_t timeout_ms; /* For the node to know; 0: none. */
    unsigned previous;   /* How often it was sent before. */
};

/* Opens a stream at the endpoint and sends the one message. carrier_release()
 * when it is closed. */
struct carrier *carrier_open(struct hf_uv_client *client, size_t endpoint,
                             struct rpc_stream *stream,
                             const struct rpc_stream_ops *ops,
                             const struct carrier_call *call);
void carrier_release(struct carrier *carrier);

/* The client closes: its streams are closed soon, and then it is gone. */
void carrier_close(struct carrier *carrier);

#endif
