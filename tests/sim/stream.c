/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/stream.h"

#include "base/check.h"
#include "base/memory.h"
#include "tests/sim/host.h"
#include "tests/sim/node.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_US   (200 * SIM_MS) /* TCP's, on a way that is cut. */
#define GIVE_UP    50             /* Retries of a close: then by keepalive. */
#define CONNECT_US (500 * SIM_MS) /* As SESSION_CONNECT_MS of the agent. */
#define NODE_NONE  UINT32_MAX

/* One message in a pipe. */
struct parcel {
    struct list link;
    uint64_t at_us;
    bool close; /* Up: the stream's other end is gone. */
    bool local; /* Down: the agent's own timer, no message. */
    struct session_message message;
    char (*reasons)[64];
    struct sim_reply reply; /* Down. */
};

struct pipe {
    struct list parcels;
    uint64_t last_us;
    uint32_t retries;
    bool moving;
};

struct sim_stream {
    struct list link; /* In world->streams. */
    struct sim_world *world;
    struct sim_host *host; /* NULL: the agent's end is closed. */
    uint32_t zone;         /* The host's. */
    struct sim_host *machine;
    uint32_t via;
    uint32_t leader; /* NODE_NONE: none yet. */
    bool via_alive;
    bool refused; /* Nothing more goes up. */
    bool session_open;
    struct session session;
    struct pipe up;
    struct pipe down;
    uint32_t refs;
};

static void parcel_free(struct parcel *parcel)
{
    free(parcel->message.reports);
    free(parcel->reasons);
    free(parcel);
}

static void pipe_clear(struct pipe *pipe)
{
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &pipe->parcels) {
        parcel_free(list_entry(at, struct parcel, link));
    }
    list_init(&pipe->parcels);
}

static void unref(struct sim_stream *stream)
{
    CHECK(stream->refs > 0);
    stream->refs--;
    if (stream->refs == 0) {
        pipe_clear(&stream->up);
        pipe_clear(&stream->down);
        list_remove(&stream->link);
        free(stream);
    }
}

/* --- Ways ------------------------------------------------------------------
 */

static bool way_up_is_open(const struct sim_stream *stream, uint32_t leader)
{
    const struct sim_world *world = stream->world;

    if (stream->via_alive &&
        !sim_host_reaches(stream->machine, stream->via, true)) {
        return false;
    }
    return leader == NODE_NONE ||
           !sim_nodes_are_cut(world, stream->via, leader);
}

static bool way_down_is_open(const struct sim_stream *stream, uint32_t leader)
{
    const struct sim_world *world = stream->world;

    if (!sim_host_reaches(stream->machine, stream->via, false)) {
        return false;
    }
    return leader == NODE_NONE ||
           !sim_nodes_are_cut(world, leader, stream->via);
}

static uint64_t way_us(struct sim_stream *stream)
{
    uint64_t us = sim_latency(stream->world, stream->zone,
                              stream->world->nodes[stream->via]->zone);

    if (stream->leader != NODE_NONE && stream->leader != stream->via) {
        us += sim_nodes_latency(stream->world, stream->via, stream->leader);
    }
    return us;
}

/* --- Pipes -----------------------------------------------------------------
 */

struct pipe_event {
    struct sim_event event;
    struct sim_stream *stream;
    bool up;
};

static void pipe_event_free(struct sim_event *event)
{
    struct pipe_event *at = container_of(event, struct pipe_event, event);

    unref(at->stream);
    free(at);
}

static bool pipe_event_run(struct sim_event *event);

static void pipe_move(struct sim_stream *stream, struct pipe *pipe,
                      uint64_t at_us)
{
    struct pipe_event *next = memory_alloc(sizeof(*next));

    *next = (struct pipe_event){
        .event = {.run = pipe_event_run, .free = pipe_event_free},
        .stream = stream,
        .up = pipe == &stream->up};
    pipe->moving = true;
    stream->refs++;
    sim_world_add(stream->world, &next->event, at_us);
}

static void put(struct sim_stream *stream, struct pipe *pipe,
                struct parcel *parcel)
{
    uint64_t at_us = stream->world->now_us + way_us(stream);

    parcel->at_us = at_us < pipe->last_us ? pipe->last_us : at_us;
    pipe->last_us = parcel->at_us;
    list_init(&parcel->link);
    list_append(&pipe->parcels, &parcel->link);
    if (!pipe->moving) {
        pipe_move(stream, pipe, parcel->at_us);
    }
}

static struct parcel *reply_down(struct sim_stream *stream,
                                 const struct sim_reply *reply)
{
    struct parcel *parcel = memory_alloc(sizeof(*parcel));

    parcel->reply = *reply;
    put(stream, &stream->down, parcel);
    return parcel;
}

static void end_down(struct sim_stream *stream, bool by_node, bool conflict)
{
    struct sim_reply reply = {
        .kind = SIM_END, .by_node = by_node, .conflict = conflict};

    stream->refused = true;
    reply_down(stream, &reply);
}

/* --- The leader's end
 * -------------------------------------------------------*/

static struct sim_stream *stream_of(struct session *session)
{
    return container_of(session, struct sim_stream, session);
}

static void close_session(struct sim_stream *stream)
{
    if (stream->session_open) {
        stream->session_open = false;
        session_close(&stream->session);
    }
}

static void take_terms(struct core_terms *terms,
                       const struct settings *settings)
{
    terms->lease_run_ms = settings->lease_run_ms;
    terms->renew_ms = settings->renew_ms;
}

static void on_welcome(struct session *session, const struct settings *settings)
{
    struct sim_reply reply = {.kind = SIM_WELCOME,
                              .generation = session->generation};

    take_terms(&reply.terms, settings);
    reply_down(stream_of(session), &reply);
}

static void on_ack(struct session *session, uint64_t seq,
                   const struct settings *settings)
{
    struct sim_reply reply = {.kind = SIM_ACK, .seq = seq};

    take_terms(&reply.terms, settings);
    reply_down(stream_of(session), &reply);
}

static void on_order(struct session *session, const struct order *order)
{
    struct sim_stream *stream = stream_of(session);
    const struct state *state =
        stream->world->nodes[stream->leader]->engine.state;
    const struct vm *vm = state_vm(state, order->vm);
    struct sim_reply reply = {
        .kind = SIM_ORDER,
        .order = {.action = (enum core_order_action)order->action,
                  .uid = order->vm.uid,
                  .epoch = order->epoch,
                  .generation = session->generation,
                  .keep = vm != NULL &&
                          vm->on_partition_active == ON_PARTITION_KEEP,
                  .stop_grace_ms = 2000}};
    static const char *const words[] = {"?", "start", "stop", "kill"};

    if (order->action == ORDER_START && stream->world->lost_us != 0) {
        stream->world->figures.start_order_us =
            stream->world->now_us - stream->world->lost_us;
    }
    sim_trace(stream->world,
              "n%" PRIu32 " tells %s to %s vm %" PRIx64 " epoch %" PRIu64,
              stream->leader + 1, stream->machine->name, words[order->action],
              order->vm.uid, order->epoch);
    reply_down(stream, &reply);
}

static void on_end(struct session *session, enum api_error error,
                   const char *detail)
{
    struct sim_stream *stream = stream_of(session);

    sim_trace(stream->world, "n%" PRIu32 " ends the session of %s (%s) %s",
              stream->leader + 1, stream->machine->name,
              api_error_entry(error)->reason, detail);
    end_down(stream, true,
             error == API_SESSION_REPLACED || error == API_HOST_STILL_LEASED ||
                 error == API_HOST_NAME_TAKEN);
}

static void on_release(struct session_message *message)
{
    parcel_free(container_of(message, struct parcel, message));
}

static void on_free(struct session *session)
{
    unref(stream_of(session));
}

static const struct session_ops session_ops = {
    .welcome = on_welcome,
    .ack = on_ack,
    .order = on_order,
    .end = on_end,
    .release = on_release,
    .free = on_free,
};

/* The first message reaches the node: it is the leader, or passes it on. */
static bool find_leader(struct sim_stream *stream)
{
    struct sim_node *via = stream->world->nodes[stream->via];
    uint64_t leader = via->engine.leadership.leader;
    struct sim_node *node;

    if (leader == 0) {
        return false;
    }
    node = stream->world->nodes[leader - 1];
    if (node != via &&
        (sim_nodes_are_cut(stream->world, stream->via, (uint32_t)leader - 1) ||
         !sim_node_runs(node))) {
        return false;
    }
    if (!engine_leads(&node->engine)) {
        return false;
    }
    stream->leader = (uint32_t)leader - 1;
    session_open(&stream->session, &session_ops, &node->engine.sessions);
    stream->session_open = true;
    stream->refs++;
    return true;
}

static void arrive_up(struct sim_stream *stream, struct parcel *parcel)
{
    struct sim_world *world = stream->world;
    struct sim_node *node;

    if (parcel->close) {
        parcel_free(parcel);
        close_session(stream);
        return;
    }
    if (stream->refused || !stream->via_alive ||
        (stream->leader == NODE_NONE && !find_leader(stream))) {
        parcel_free(parcel);
        if (!stream->refused && stream->via_alive) {
            end_down(stream, true, false);
        }
        return;
    }
    if (!stream->session_open ||
        !session_takes(&stream->session, parcel->message.kind)) {
        parcel_free(parcel);
        return;
    }
    node = world->nodes[stream->leader];
    parcel->message.received_ms = sim_node_time(node).boot_ms;
    session_submit(&stream->session, &parcel->message);
    sim_node_settle(node);
}

static void arrive_down(struct sim_stream *stream, struct parcel *parcel)
{
    struct sim_reply reply = parcel->reply;

    parcel_free(parcel);
    if (stream->host != NULL) {
        sim_agent_reply(stream->host, stream, &reply);
    }
}

/* When the parcel can arrive, or 0: it is there. */
static uint64_t later(struct sim_stream *stream, struct pipe *pipe,
                      const struct parcel *parcel)
{
    struct sim_world *world = stream->world;
    bool up = pipe == &stream->up;
    uint32_t leader = stream->leader;
    bool open = parcel->local ? true
                : up          ? way_up_is_open(stream, leader)
                     : way_down_is_open(stream, parcel->reply.kind == SIM_END
                                                    ? NODE_NONE
                                                    : leader);
    uint64_t awake_us = world->now_us;

    if (!open) {
        pipe->retries++;
        if (!parcel->close || pipe->retries < GIVE_UP) {
            return world->now_us + RETRY_US;
        }
    }
    pipe->retries = 0;
    if (up) {
        const struct sim_node *via = world->nodes[stream->via];
        const struct sim_node *node =
            leader == NODE_NONE ? via : world->nodes[leader];

        awake_us = sim_node_awake_us(node);
        if (stream->via_alive && sim_node_awake_us(via) > awake_us) {
            awake_us = sim_node_awake_us(via);
        }
    } else if (stream->host != NULL) {
        awake_us = sim_agent_awake_us(stream->host);
    }
    return awake_us > world->now_us ? awake_us : 0;
}

static bool pipe_event_run(struct sim_event *event)
{
    struct pipe_event *at = container_of(event, struct pipe_event, event);
    struct sim_stream *stream = at->stream;
    struct pipe *pipe = at->up ? &stream->up : &stream->down;
    struct parcel *parcel;
    uint64_t again_us;

    pipe->moving = false;
    if (list_empty(&pipe->parcels)) {
        return true;
    }
    parcel = list_entry(list_first(&pipe->parcels), struct parcel, link);
    again_us = parcel->at_us > stream->world->now_us
                   ? parcel->at_us
                   : later(stream, pipe, parcel);
    if (again_us != 0) {
        pipe_move(stream, pipe, again_us);
        return true;
    }
    list_remove(&parcel->link);
    if (!list_empty(&pipe->parcels)) {
        pipe_move(
            stream, pipe,
            list_entry(list_first(&pipe->parcels), struct parcel, link)->at_us);
    }
    if (at->up) {
        arrive_up(stream, parcel);
    } else {
        arrive_down(stream, parcel);
    }
    return true;
}

/* --- The agent's end -------------------------------------------------------
 */

static void close_up(struct sim_stream *stream)
{
    struct parcel *parcel = memory_alloc(sizeof(*parcel));

    parcel->close = true;
    put(stream, &stream->up, parcel);
}

struct sim_stream *sim_stream_open(struct sim_host *host, uint32_t node)
{
    struct sim_world *world = host->world;
    struct sim_stream *stream = memory_alloc(sizeof(*stream));
    bool there = world->nodes[node]->powered &&
                 sim_host_reaches(host, node, true) &&
                 sim_host_reaches(host, node, false);
    struct sim_reply reply = {.kind = SIM_CONNECTED};

    *stream = (struct sim_stream){
        .world = world,
        .host = host,
        .machine = host,
        .zone = host->zone,
        .via = node,
        .leader = NODE_NONE,
        .via_alive = there && sim_node_runs(world->nodes[node]),
        .refs = 1,
    };
    list_init(&stream->up.parcels);
    list_init(&stream->down.parcels);
    list_init(&stream->link);
    list_append(&world->streams, &stream->link);
    if (!stream->via_alive) {
        reply.kind = SIM_END;
        stream->refused = true;
        if (!there) {
            stream->down.last_us = world->now_us + CONNECT_US;
        }
    }
    reply_down(stream, &reply)->local = !there;
    return stream;
}

void sim_stream_close(struct sim_stream *stream)
{
    CHECK(stream->host != NULL);
    stream->host = NULL;
    pipe_clear(&stream->down);
    if (stream->via_alive) {
        close_up(stream);
    }
    unref(stream);
}

static struct parcel *parcel_of(const struct core_report *reports, size_t count,
                                enum session_message_kind kind)
{
    struct parcel *parcel = memory_alloc(sizeof(*parcel));

    parcel->message.kind = kind;
    parcel->message.report_count = count;
    parcel->message.reports =
        memory_alloc_array(count + 1, sizeof(struct vm_report));
    parcel->reasons = memory_alloc_array(count + 1, sizeof(*parcel->reasons));
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(parcel->reasons[i], sizeof(parcel->reasons[i]), "%.63s",
                       reports[i].reason);
        parcel->message.reports[i] =
            (struct vm_report){.vm = {reports[i].uid},
                               .epoch = reports[i].epoch,
                               .state = (enum report_state)reports[i].state,
                               .reason = {parcel->reasons[i],
                                          (uint32_t)strlen(parcel->reasons[i])},
                               .failed = reports[i].failed};
    }
    return parcel;
}

static struct text lend(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

void sim_stream_hello(struct sim_stream *stream,
                      const struct core_report *reports, size_t count)
{
    struct parcel *parcel = parcel_of(reports, count, SESSION_HELLO);
    struct sim_host *host = stream->host;
    char *boot = parcel->reasons[count]; /* The one that is left over. */

    (void)snprintf(boot, sizeof(parcel->reasons[0]), "boot-%" PRIu32,
                   host->boot);
    parcel->message.hello = (struct hello){
        .host = lend(host->name),
        .zone = lend(sim_zone_name(host->world, host->zone)),
        .fault_domain = lend(host->fault_domain),
        .host_id = lend(host->name),
        .boot_id = lend(boot),
        .capacity = host->capacity,
        .named = host->named,
        .named_count = host->named_count,
        .pools = host->pools,
        .pool_count = host->pool_count,
        .driver_mask = host->driver_mask,
        .labels = {(const char *)host->labels.data, (uint32_t)host->labels.len},
        .agent_version = {"", 0},
        .reports = parcel->message.reports,
        .report_count = count,
    };
    put(stream, &stream->up, parcel);
}

void sim_stream_renew(struct sim_stream *stream, uint64_t seq,
                      uint64_t generation, const struct core_report *reports,
                      size_t count)
{
    struct parcel *parcel = parcel_of(reports, count, SESSION_RENEW);

    parcel->message.seq = seq;
    parcel->message.generation = generation;
    put(stream, &stream->up, parcel);
}

void sim_stream_report(struct sim_stream *stream,
                       const struct core_report *report)
{
    put(stream, &stream->up, parcel_of(report, 1, SESSION_REPORT));
}

/* --- Nodes come and go -----------------------------------------------------
 */

void sim_streams_drop(struct sim_node *node)
{
    struct list *at;

    list_foreach (at, &node->world->streams) {
        struct sim_stream *stream = list_entry(at, struct sim_stream, link);

        if (stream->via == node->index && stream->via_alive &&
            stream->leader != NODE_NONE && stream->leader != node->index &&
            stream->leader + 1 != node->engine.leadership.leader &&
            !stream->refused) {
            end_down(stream, true, false);
            close_up(stream);
        }
    }
}

static void lose_node(struct sim_stream *stream, const struct sim_node *node)
{
    if (stream->leader == node->index) {
        pipe_clear(&stream->up);
        close_session(stream);
        if (stream->via != node->index && stream->via_alive &&
            !stream->refused && node->powered) {
            end_down(stream, false, false);
        }
    }
    if (stream->via == node->index && stream->via_alive) {
        pipe_clear(&stream->up);
        pipe_clear(&stream->down);
        stream->via_alive = false;
        if (stream->session_open) {
            close_up(stream);
        }
        if (node->powered && !stream->refused) {
            end_down(stream, false, false);
        }
    }
}

void sim_streams_lose_node(struct sim_node *node)
{
    struct list *at;
    struct list *next;

    list_foreach_safe (at, next, &node->world->streams) {
        struct sim_stream *stream = list_entry(at, struct sim_stream, link);

        stream->refs++; /* Its session's end may be its own. */
        lose_node(stream, node);
        next = stream->link.next;
        unref(stream);
    }
}
