/* SPDX-License-Identifier: Apache-2.0
 *
 * A snapshot from the leader, for a member that is behind the leader's log:
 *
 *   NONE -> COLLECTS (chunks into a file) -> whole and sound: the core is
 *   told -> INSTALLS (made valid, log begun anew) -> restored -> NONE
 *
 * The core hears of it only when all is there, so a slow or broken transfer
 * does not occupy it. Until then it goes on refusing the leader's appends, and
 * the leader goes on asking for a transfer that already runs. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

static void job_done(struct storage_job *job)
{
    struct incoming *incoming = container_of(job, struct incoming, job);
    incoming->ended = true;
    replica_wake(incoming->replica);
}

/* On the snapshot lane. */
static void collect(struct storage_job *job)
{
    struct incoming *incoming = container_of(job, struct incoming, job);
    incoming->result = 0;
    if (!incoming->begun) {
        incoming->begun = true;
        incoming->result = snapshot_receiving_begin(
            &incoming->receiving, &incoming->replica->snapshots,
            &incoming->manifest, &incoming->failure);
    }
    if (incoming->result == 0 && incoming->writing.len > 0) {
        incoming->result =
            snapshot_receiving_add(&incoming->receiving, incoming->writing.data,
                                   incoming->writing.len, &incoming->failure);
    }
    incoming->sound =
        incoming->result == 0 && snapshot_receiving_sound(&incoming->receiving);
}

static void begin_nowhere(struct log_visitor *visitor, uint64_t first_index,
                          uint64_t chain)
{
    (void)visitor;
    (void)first_index;
    (void)chain;
}

/* On the log lane: nothing else is written meanwhile. After a crash anywhere
 * in it, load in replica_start.c finds the .install and does the rest. */
static void install(struct storage_job *job)
{
    struct incoming *incoming = container_of(job, struct incoming, job);
    struct replica *replica = incoming->replica;
    struct failure *failure = &incoming->failure;
    const struct snapshot_manifest *manifest = &incoming->manifest;
    const struct log_store_options *log = &replica->home.log;
    struct log_visitor nothing = {.begin = begin_nowhere};
    int rv = snapshot_receiving_publish(&incoming->receiving, failure);
    log_store_close(replica->log_store);
    replica->log_store = NULL;
    if (rv == 0) {
        rv =
            log_store_reset(log, manifest->index + 1, manifest->chain, failure);
    }
    if (rv == 0) {
        replica->log_store = log_store_open(log, &nothing, failure);
        rv = replica->log_store == NULL ? HF_ERROR_IO : 0;
    }
    if (rv == 0) {
        rv = snapshot_store_installed(&replica->snapshots, manifest->index,
                                      failure);
    }
    if (rv == 0) {
        rv = snapshot_store_clean(&replica->snapshots, manifest->index, 0,
                                  failure);
    }
    incoming->result = rv;
}

static void submit(struct replica *replica, enum storage_lane lane,
                   void (*run)(struct storage_job *job))
{
    struct incoming *incoming = &replica->incoming;
    CHECK(!incoming->busy);
    incoming->busy = true;
    incoming->ended = false;
    incoming->job.lane = lane;
    incoming->job.run = run;
    incoming->job.done = job_done;
    list_init(&incoming->job.link);
    replica->environment.storage->submit(replica->environment.storage,
                                         &incoming->job);
}

static void write_on(struct replica *replica)
{
    struct incoming *incoming = &replica->incoming;
    if (incoming->busy || incoming->waiting.len == 0) {
        return;
    }
    struct bytes empty = incoming->writing;
    incoming->writing = incoming->waiting;
    incoming->waiting = empty;
    bytes_clear(&incoming->waiting);
    submit(replica, STORAGE_SNAPSHOT, collect);
}

static void answer(struct replica *replica, uint64_t to, uint64_t index,
                   uint64_t term, uint64_t received)
{
    struct message message = {.type = MESSAGE_SNAPSHOT_CHUNK_RESULT,
                              .term = core_term(replica->core)};
    message.chunk_result.index = index;
    message.chunk_result.index_term = term;
    message.chunk_result.received_bytes = received;
    send_message(replica, to, &message);
}

static void drop(struct incoming *incoming)
{
    if (incoming->begun) {
        snapshot_receiving_close(&incoming->receiving);
    }
    bytes_close(&incoming->waiting);
    bytes_close(&incoming->writing);
    incoming->state = INCOMING_NONE;
    incoming->begun = false;
    incoming->abandoned = false;
    incoming->sound = false;
    incoming->accepted = 0;
    incoming->written = 0;
}

static bool same(const struct snapshot_manifest *left,
                 const struct snapshot_manifest *right)
{
    return left->index == right->index && left->term == right->term &&
           left->chain == right->chain &&
           left->packed_bytes == right->packed_bytes &&
           left->packed_hash == right->packed_hash;
}

/* Chunks come only from the leader that this member follows: a manifest is
 * believed because it is that member's. */
void incoming_chunk(struct replica *replica, uint64_t from,
                    const struct message *message)
{
    struct incoming *incoming = &replica->incoming;
    struct snapshot_manifest manifest;
    memset(&manifest, 0, sizeof manifest);
    if (manifest_decode(&manifest, message->chunk.manifest,
                        message->chunk.manifest_len) != 0 ||
        !members_check(manifest.members, manifest.members_len) ||
        manifest.term > message->term ||
        message->chunk.len > manifest.packed_bytes ||
        message->chunk.offset > manifest.packed_bytes - message->chunk.len) {
        replica->messages_bad++;
        return;
    }
    if (message->term != core_term(replica->core) ||
        from != core_leader(replica->core) || from == replica->config.id) {
        return;
    }
    if (manifest.index <= replica->applied_index) {
        /* Late: all of it is here already. */
        answer(replica, from, manifest.index, manifest.term,
               manifest.packed_bytes);
        return;
    }
    if (incoming->state == INCOMING_INSTALLS || incoming->abandoned) {
        return;
    }
    if (incoming->state == INCOMING_COLLECTS &&
        !same(&incoming->manifest, &manifest)) {
        incoming->abandoned = true;
        replica_wake(replica);
        return;
    }
    if (incoming->state == INCOMING_NONE) {
        log_info("snapshot.incoming",
                 "from=%" PRIu64 " index=%" PRIu64 " bytes=%" PRIu64, from,
                 manifest.index, manifest.packed_bytes);
        incoming->replica = replica;
        incoming->state = INCOMING_COLLECTS;
        incoming->manifest = manifest;
    }
    incoming->from = from;
    if (message->chunk.offset == incoming->accepted &&
        incoming->waiting.len < SEND_WINDOW * RAFT_CHUNK_BYTES) {
        bytes_append(&incoming->waiting, message->chunk.data,
                     message->chunk.len);
        incoming->accepted += message->chunk.len;
        write_on(replica);
    } else {
        answer(replica, from, manifest.index, manifest.term,
               incoming->accepted);
    }
}

/* Whole and sound: it is the core's turn. */
static bool offer(struct replica *replica)
{
    struct incoming *incoming = &replica->incoming;
    struct core_update update;
    uint64_t leader = core_leader(replica->core);
    if (leader == 0 || leader == replica->config.id) {
        return false;
    }
    if (replica->taking.state != TAKING_NONE) {
        taking_cancel(replica);
        return false;
    }
    const struct snapshot_manifest *manifest = &incoming->manifest;
    int rv =
        core_install(replica->core, replica->now_ms, leader, manifest, &update);
    if (rv == 0 && update.install) {
        incoming->state = INCOMING_INSTALLS;
        log_forget_entries(replica);
        entries_reset(&replica->log, manifest->index, manifest->term,
                      manifest->chain);
        submit(replica, STORAGE_LOG, install);
    } else {
        drop(incoming); /* The log got there in the meantime. */
    }
    replica_absorb(replica, rv, &update, NULL);
    return true;
}

/* From Raft figure 7.3: the state is that of the snapshot, the log goes on
 * behind it. */
static void installed(struct replica *replica)
{
    struct incoming *incoming = &replica->incoming;
    struct core_update update;
    replica->snapshot = incoming->manifest;
    replica->snapshot_previous = 0;
    drop(incoming);
    if (restore_snapshot(replica) != 0) {
        return;
    }
    const struct snapshot_manifest *manifest = &replica->snapshot;
    replica->synced_index = manifest->index;
    replica->watermark = manifest->index;
    int rv = core_installed(replica->core, replica->now_ms, manifest, &update);
    replica_absorb(replica, rv, &update, NULL);
    log_info("snapshot.installed", "index=%" PRIu64, manifest->index);
}

static void collected(struct replica *replica)
{
    struct incoming *incoming = &replica->incoming;
    const struct snapshot_manifest *manifest = &incoming->manifest;
    incoming->written += incoming->writing.len;
    bytes_clear(&incoming->writing);
    bool whole = incoming->written == manifest->packed_bytes;
    if (whole && !incoming->sound) {
        log_warn("snapshot.unsound", "from=%" PRIu64 " index=%" PRIu64,
                 incoming->from, manifest->index);
        replica->messages_bad++;
        incoming->abandoned = true;
    }
    answer(replica, incoming->from, manifest->index, manifest->term,
           incoming->abandoned ? 0 : incoming->written);
    write_on(replica);
}

bool incoming_finish(struct replica *replica)
{
    struct incoming *incoming = &replica->incoming;
    bool any = false;
    if (incoming->busy && incoming->ended) {
        incoming->busy = false;
        incoming->ended = false;
        any = true;
        if (incoming->result != 0) {
            replica_fail(replica, &incoming->failure);
            return true;
        }
        if (incoming->state == INCOMING_INSTALLS) {
            installed(replica);
            return true;
        }
        collected(replica);
    }
    if (incoming->state == INCOMING_COLLECTS &&
        incoming->manifest.index <= replica->applied_index) {
        incoming->abandoned = true; /* The log was faster. */
    }
    if (!incoming->busy && incoming->abandoned) {
        drop(incoming);
        return true;
    }
    if (!incoming->busy && incoming->sound &&
        incoming->state == INCOMING_COLLECTS) {
        any = offer(replica) || any;
    }
    return any;
}

void incoming_close(struct replica *replica)
{
    drop(&replica->incoming);
}
