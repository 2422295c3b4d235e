/* SPDX-License-Identifier: Apache-2.0
 *
 * The newest snapshot on its way to a member: chunks are read on the snapshot
 * lane, a few are under way at a time, and every answer says where to go on.
 * A transfer ends when the member's log has passed the snapshot, or with the
 * own leadership. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/log.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void read_chunk(struct storage_job *job)
{
    struct sender *sender = container_of(job, struct sender, job);
    sender->result = 0;
    if (sender->file == NULL) {
        sender->result = snapshot_open_packed(&sender->replica->snapshots,
                                              sender->manifest.index,
                                              &sender->file, &sender->failure);
    }
    if (sender->result == 0) {
        size_t got;
        int rv = file_read(sender->file, sender->chunk, sender->read_len,
                           sender->read_offset, &got);
        if (rv != 0 || got != sender->read_len) {
            sender->result =
                failure_io(&sender->failure, rv, "read", "a snapshot");
        }
    }
}

static void job_done(struct storage_job *job)
{
    struct sender *sender = container_of(job, struct sender, job);
    sender->ended = true;
    replica_wake(sender->replica);
}

static struct sender *find(struct replica *replica, uint64_t to)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (replica->senders[i] != NULL && replica->senders[i]->to == to) {
            return replica->senders[i];
        }
    }
    return NULL;
}

static void end(struct sender *sender)
{
    sender->active = false;
    if (!sender->busy) {
        file_close(sender->file);
        sender->file = NULL;
    }
}

void sender_start(struct replica *replica, uint64_t to)
{
    struct sender *sender = find(replica, to);
    CHECK(replica->snapshot.index > 0);
    for (size_t i = 0; sender == NULL && i < RAFT_MEMBERS_MAX; i++) {
        if (replica->senders[i] == NULL ||
            (!replica->senders[i]->active && !replica->senders[i]->busy)) {
            free(replica->senders[i]);
            sender = memory_alloc(sizeof *sender);
            sender->replica = replica;
            sender->to = to;
            replica->senders[i] = sender;
        }
    }
    CHECK(sender != NULL);
    if (sender->active || sender->busy) {
        return; /* It is on its way; libraft asks at every heartbeat. */
    }
    log_info("snapshot.send", "to=%" PRIu64 " index=%" PRIu64, to,
             replica->snapshot.index);
    sender->active = true;
    sender->manifest = replica->snapshot;
    sender->acked = 0;
    sender->next = 0;
    sender->careful = true; /* Until the member says where it stands. */
    sender->heard_ms = replica->now_ms;
    replica_wake(replica);
}

void sender_result(struct replica *replica, uint64_t from,
                   const struct message *message)
{
    struct sender *sender = find(replica, from);
    uint64_t received = message->chunk_result.received_bytes;
    if (sender == NULL || !sender->active ||
        message->chunk_result.index != sender->manifest.index ||
        message->chunk_result.index_term != sender->manifest.term ||
        received > sender->manifest.packed_bytes) {
        return;
    }
    sender->heard_ms = replica->now_ms;
    sender->careful = false;
    if (received < sender->acked) {
        sender->next = received; /* It lost what it had. */
    }
    sender->acked = received;
    if (sender->next < received) {
        sender->next = received;
    }
    replica_wake(replica);
}

static uint64_t patience(const struct replica *replica)
{
    return replica->config.election_timeout_ms;
}

/* Whether another chunk may leave now. */
static bool ready(const struct replica *replica, struct sender *sender)
{
    struct replica_transport *transport = replica->environment.transport;
    if (!sender->active || sender->busy) {
        return false;
    }
    if (replica->now_ms - sender->heard_ms >= patience(replica)) {
        sender->heard_ms = replica->now_ms;
        if (sender->acked == sender->manifest.packed_bytes) {
            /* It had all and is still behind: it lost it, or has moved past
             * this snapshot but not to where our log begins. libraft asks
             * again, then for the newest. */
            end(sender);
            return false;
        }
        sender->next = sender->acked;
        sender->careful = true;
    }
    uint64_t window = sender->careful ? 1 : SEND_WINDOW;
    return sender->next < sender->manifest.packed_bytes &&
           sender->next < sender->acked + window * RAFT_CHUNK_BYTES &&
           transport->unsent(transport, sender->to) < RAFT_UNSENT_BYTES_MAX / 2;
}

static void send_chunk(struct replica *replica, struct sender *sender)
{
    struct bytes manifest;
    struct message message = {.type = MESSAGE_SNAPSHOT_CHUNK,
                              .term = core_term(replica->core)};
    bytes_init(&manifest);
    manifest_encode(&sender->manifest, &manifest);
    message.chunk.manifest = manifest.data;
    message.chunk.manifest_len = manifest.len;
    message.chunk.offset = sender->read_offset;
    message.chunk.data = sender->chunk;
    message.chunk.len = sender->read_len;
    send_message(replica, sender->to, &message);
    bytes_close(&manifest);
}

bool sender_finish(struct replica *replica)
{
    bool any = false;
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct sender *sender = replica->senders[i];
        if (sender == NULL || !sender->ended) {
            continue;
        }
        any = true;
        sender->ended = false;
        sender->busy = false;
        if (sender->result != 0) {
            replica_fail(replica, &sender->failure);
            return true;
        }
        if (!sender->active) {
            end(sender);
            continue;
        }
        send_chunk(replica, sender);
        if (sender->next == sender->read_offset) {
            sender->next += sender->read_len;
        }
    }
    return any;
}

void sender_run(struct replica *replica)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        struct sender *sender = replica->senders[i];
        if (sender == NULL) {
            continue;
        }
        if (sender->active &&
            (replica->leading_term == 0 ||
             !core_is_member(replica->core, sender->to) ||
             core_match(replica->core, sender->to) >= sender->manifest.index)) {
            end(sender);
        }
        if (!ready(replica, sender)) {
            continue;
        }
        uint64_t left = sender->manifest.packed_bytes - sender->next;
        sender->busy = true;
        sender->ended = false;
        sender->read_offset = sender->next;
        sender->read_len =
            left < RAFT_CHUNK_BYTES ? (size_t)left : RAFT_CHUNK_BYTES;
        sender->job.lane = STORAGE_SNAPSHOT;
        sender->job.run = read_chunk;
        sender->job.done = job_done;
        list_init(&sender->job.link);
        replica->environment.storage->submit(replica->environment.storage,
                                             &sender->job);
    }
}

uint64_t sender_deadline(const struct replica *replica)
{
    uint64_t deadline = UINT64_MAX;
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        const struct sender *sender = replica->senders[i];
        if (sender != NULL && sender->active && !sender->busy &&
            sender->heard_ms + patience(replica) < deadline) {
            deadline = sender->heard_ms + patience(replica);
        }
    }
    return deadline;
}

void sender_close(struct replica *replica)
{
    for (size_t i = 0; i < RAFT_MEMBERS_MAX; i++) {
        if (replica->senders[i] != NULL) {
            file_close(replica->senders[i]->file);
            free(replica->senders[i]);
            replica->senders[i] = NULL;
        }
    }
}
