/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages on their way out: libraft's appends get their entries from our log,
 * its answers are checked, and nothing leaves before the term and the vote it
 * speaks of are on disk. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void send_message(struct replica *replica, uint64_t to,
                  const struct message *message)
{
    struct replica_transport *transport = replica->environment.transport;
    bytes_clear(&replica->scratch);
    message_encode(message, &replica->scratch);
    CHECK(replica->scratch.len <= RAFT_MESSAGE_BYTES_MAX);
    if (replica->vote_done == replica->vote_asked) {
        transport->send(transport, to, replica->scratch.data,
                        replica->scratch.len);
        return;
    }
    if (replica->held_bytes + replica->scratch.len > RAFT_UNSENT_BYTES_MAX) {
        return; /* Lost, as the network may lose it. */
    }
    struct held_message *held =
        memory_alloc(sizeof *held + replica->scratch.len);
    list_init(&held->link);
    held->vote_number = replica->vote_asked;
    held->to = to;
    held->len = replica->scratch.len;
    memcpy(held->data, replica->scratch.data, held->len);
    replica->held_bytes += held->len;
    list_append(&replica->held, &held->link);
}

static void release(struct replica *replica, struct held_message *held)
{
    list_remove(&held->link);
    replica->held_bytes -= held->len;
    free(held);
}

void send_held(struct replica *replica)
{
    struct replica_transport *transport = replica->environment.transport;
    struct list *at;
    struct list *next;
    list_foreach_safe (at, next, &replica->held) {
        struct held_message *held = list_entry(at, struct held_message, link);
        if (held->vote_number > replica->vote_done) {
            return;
        }
        transport->send(transport, held->to, held->data, held->len);
        release(replica, held);
    }
}

void send_drop_held(struct replica *replica)
{
    struct list *at;
    struct list *next;
    list_foreach_safe (at, next, &replica->held) {
        release(replica, list_entry(at, struct held_message, link));
    }
}

/* How many entries from `index` on fit one message; at least 1. */
static size_t fit(const struct replica *replica, uint64_t index, size_t count)
{
    size_t bytes = 0;
    size_t n = 0;
    while (n < count && n < RAFT_APPEND_ENTRIES_MAX) {
        const struct entry *entry = entries_get(&replica->log, index + n);
        CHECK(entry != NULL);
        bytes += entry->len + 64;
        if (n > 0 && bytes > RAFT_APPEND_BYTES) {
            break;
        }
        n++;
    }
    return n;
}

/* One append of libraft's becomes several when its entries are large: they
 * follow each other on the stream. */
static void send_append(struct replica *replica,
                        const struct core_outgoing *out)
{
    struct message message = out->message;
    uint64_t previous = message.append.previous_index;
    size_t left = message.append.count;
    CHECK(previous == 0 || message.append.previous_term != 0);
    do {
        size_t count = left == 0 ? 0 : fit(replica, previous + 1, left);
        struct entry *entries = NULL;
        if (count > 0) {
            entries = memory_alloc_array(count, sizeof *entries);
        }
        for (size_t i = 0; i < count; i++) {
            entries[i] = *entries_get(&replica->log, previous + 1 + i);
        }
        message.append.previous_index = previous;
        message.append.entries = entries;
        message.append.count = count;
        send_message(replica, out->to, &message);
        free(entries);
        previous += count;
        left -= count;
        if (left > 0) {
            message.append.previous_term =
                entries_term(&replica->log, previous);
        }
    } while (left > 0);
}

/* The clamp: an answer never acknowledges more than is on this disk and was
 * compared with the log of this term's leader. Committed entries are in every
 * later leader's log (Raft 3.6.3), so they count as compared. In 0.15 libraft
 * acknowledged entries that nobody had compared; 0.22.1 has its own guard, and
 * still answers a message of an old term with an uninitialised index, which in
 * the right moment a new leader would take for its own. */
static void send_append_result(struct replica *replica,
                               const struct core_outgoing *out,
                               const struct message *received)
{
    struct message message = out->message;
    uint64_t term = core_term(replica->core);
    CHECK(message.term == term);
    message.append_result.request_term = term;
    if (received != NULL && received->term < term) {
        message.append_result.request_term = received->term;
        message.append_result.last_index = 0;
        send_message(replica, out->to, &message);
        return;
    }
    uint64_t limit =
        replica->verified_term == term ? replica->verified_index : 0;
    uint64_t commit = core_commit(replica->core);
    if (limit < commit) {
        limit = commit;
    }
    if (limit > replica->synced_index) {
        limit = replica->synced_index;
    }
    if (message.append_result.rejected_index == 0 &&
        message.append_result.last_index > limit) {
        replica->answers_capped++;
        message.append_result.last_index = limit;
    }
    send_message(replica, out->to, &message);
}

/* A voter that refuses a pre-vote for a term below its own says its term.
 * libraft echoes the asked term instead: then a member with the best log but
 * an old term never learns why nobody elects it, while nobody else can win
 * against its log. */
static void send_vote_result(struct replica *replica,
                             const struct core_outgoing *out)
{
    struct message message = out->message;
    uint64_t term = core_term(replica->core);
    if (message.vote_result.pre_vote && !message.vote_result.granted &&
        message.term < term) {
        message.term = term;
    }
    send_message(replica, out->to, &message);
}

void send_outgoing(struct replica *replica, const struct core_update *update,
                   const struct message *received)
{
    for (size_t i = 0; i < update->message_count; i++) {
        const struct core_outgoing *out = &update->messages[i];
        if (out->snapshot) {
            sender_start(replica, out->to);
            continue;
        }
        switch (out->message.type) {
        case MESSAGE_APPEND:
            send_append(replica, out);
            break;
        case MESSAGE_APPEND_RESULT:
            send_append_result(replica, out, received);
            break;
        case MESSAGE_REQUEST_VOTE_RESULT:
            send_vote_result(replica, out);
            break;
        case MESSAGE_REQUEST_VOTE:
        case MESSAGE_TIMEOUT_NOW:
            send_message(replica, out->to, &out->message);
            break;
        case MESSAGE_SNAPSHOT_CHUNK:
        case MESSAGE_SNAPSHOT_CHUNK_RESULT:
        case MESSAGE_PROBE:
        case MESSAGE_PROBE_RESULT:
            CHECK_UNREACHABLE("not from the core");
        }
    }
}
