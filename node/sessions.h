/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's end of the agents' sessions (agent_service.proto). A message
 * becomes a request of a turn; when the turn is applied, the lease is extended
 * and the message acknowledged, and orders that became due are given. The
 * stream itself belongs to whoever embeds the session. Pure. */
#ifndef NODE_SESSIONS_H
#define NODE_SESSIONS_H

#include "base/list.h"
#include "base/map.h"
#include "node/api_errors.h"
#include "node/lease.h"
#include "node/orders.h"
#include "node/reports.h"
#include "node/turn.h"

struct session;
struct session_message;

struct session_ops {
    /* What to send to the agent. The session has its host and generation. */
    void (*welcome)(struct session *session, const struct settings *settings);
    void (*ack)(struct session *session, uint64_t seq,
                const struct settings *settings);
    void (*order)(struct session *session, const struct order *order);

    /* Ends the stream; session_close() follows, not from inside this. `detail`
     * says more and may be empty. */
    void (*end)(struct session *session, enum api_error error,
                const char *detail);

    /* Its turn is over and what came of it was sent. */
    void (*release)(struct session_message *message);

    /* Closed, and no message of it is under way. */
    void (*free)(struct session *session);
};

struct sessions {
    struct turn *turn;
    struct leases *leases;
    const struct state **applied;
    struct map by_host; /* By host slot + 1: the one that was welcomed. */
    struct list due;    /* Those whose orders may have changed. */
    const char *region; /* Its name; lent. */
};

struct session {
    const struct session_ops *ops;
    struct sessions *sessions;
    struct list due; /* In sessions->due, or in no list. */
    struct order_sink orders;
    struct host_id host; /* Once welcomed. */
    uint64_t generation;
    struct order_book book;
    uint32_t pending; /* Messages in turns. */
    bool open;
    bool greeted; /* A Hello came. */
    bool welcomed;
    bool rebooted;  /* Another boot than was registered before. */
    bool confirmed; /* It renewed: it is the agent's present session. */
};

enum session_message_kind { SESSION_HELLO, SESSION_RENEW, SESSION_REPORT };

/* One message on its way through a turn; embed it. What it lends lives until
 * ops->release. */
struct session_message {
    struct turn_request request;
    struct session *session;
    enum session_message_kind kind;
    uint64_t received_ms; /* Boot clock. */
    uint64_t seq;         /* RENEW; */
    uint64_t generation;  /* likewise. */
    struct hello hello;   /* HELLO. */
    struct vm_report *reports;
    size_t report_count;
    /* What its turn found. */
    enum hello_verdict verdict;
    struct host_id host;
    bool rebooted;
};

void sessions_init(struct sessions *sessions, struct turn *turn,
                   struct leases *leases, const struct state **applied,
                   const char *region);
void sessions_close(struct sessions *sessions);

/* A VM that is or was on the host has changed, or the host itself has. */
void sessions_note_vm(struct sessions *sessions, uint32_t host_slot,
                      uint64_t uid);
void sessions_note_host(struct sessions *sessions, uint32_t host_slot);

/* Gives the orders that became due since the last time. */
void sessions_pump(struct sessions *sessions, uint64_t now_ms);

/* Leadership is lost: ends them all. */
void sessions_drop(struct sessions *sessions);

/* A stream was opened. */
void session_open(struct session *session, const struct session_ops *ops,
                  struct sessions *sessions);

/* Whether the order of the protocol allows such a message now: one Hello
 * first, anything else after the Welcome. */
bool session_takes(const struct session *session,
                   enum session_message_kind kind);

/* Queues a message of a kind that it takes; its kind, received_ms and what
 * came in it are set. */
void session_submit(struct session *session, struct session_message *message);

/* The stream is gone. */
void session_close(struct session *session);

#endif
