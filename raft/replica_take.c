/* SPDX-License-Identifier: Apache-2.0
 *
 * Own snapshots. The owner freezes its state in microseconds; a storage lane
 * writes the copy, slice by slice, while entries go on being applied:
 *
 *   NONE -> WRITES (slices) -> WAITS (until the log has its last entry on
 *   disk: a snapshot must not be ahead of the log) -> PUBLISHES -> NONE */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

static void write_slice(struct storage_job *job)
{
    struct taking *taking = container_of(job, struct taking, job);
    taking->result = snapshot_writing_slice(&taking->writing, &taking->failure);
}

static void publish(struct storage_job *job)
{
    struct taking *taking = container_of(job, struct taking, job);
    taking->result =
        snapshot_writing_publish(&taking->writing, &taking->failure);
    if (taking->result == 0) {
        taking->result = snapshot_store_clean(
            taking->writing.store, taking->writing.manifest.index,
            taking->previous, &taking->failure);
    }
}

static void job_done(struct storage_job *job)
{
    struct taking *taking = container_of(job, struct taking, job);
    taking->ended = true;
    replica_wake(taking->replica);
}

static void submit(struct replica *replica, enum taking_state state)
{
    struct taking *taking = &replica->taking;
    taking->replica = replica;
    taking->state = state;
    taking->ended = false;
    taking->job.lane = STORAGE_SNAPSHOT;
    taking->job.run = state == TAKING_WRITES ? write_slice : publish;
    taking->job.done = job_done;
    list_init(&taking->job.link);
    replica->environment.storage->submit(replica->environment.storage,
                                         &taking->job);
}

static bool due(const struct replica *replica)
{
    return replica->applied_index - replica->snapshot.index >=
               replica->config.snapshot_entries ||
           replica->applied_bytes >= replica->config.snapshot_bytes;
}

void taking_start(struct replica *replica)
{
    struct taking *taking = &replica->taking;
    if (taking->state != TAKING_NONE ||
        replica->incoming.state != INCOMING_NONE || replica->failed ||
        replica->applied_index <= replica->snapshot.index || !due(replica)) {
        return;
    }
    struct snapshot_manifest *manifest = &taking->writing.manifest;
    struct snapshot_manifest wanted;
    memset(&wanted, 0, sizeof wanted);
    wanted.index = replica->applied_index;
    wanted.term = replica->applied_term;
    wanted.chain = replica->applied_chain;
    wanted.members_index = replica->members_index;
    wanted.members_len = (uint32_t)replica->members.len;
    CHECK(replica->members.len <= sizeof wanted.members);
    memcpy(wanted.members, replica->members.data, replica->members.len);
    struct snapshot_content *content =
        replica->owner->snapshot_take(replica->owner);
    CHECK(content != NULL);
    replica->applied_bytes = 0;
    taking->cancelled = false;
    taking->previous = replica->snapshot.index;
    snapshot_writing_init(&taking->writing, &replica->snapshots, content,
                          &wanted);
    log_info("snapshot.begin", "index=%" PRIu64, manifest->index);
    submit(replica, TAKING_WRITES);
}

/* The log goes on behind this entry once a snapshot at `index` is there. */
uint64_t keep_from(const struct replica *replica, uint64_t index)
{
    const struct entries *log = &replica->log;
    uint64_t bytes = 0;
    uint64_t from = index;
    while (from > log->base_index &&
           index - from < replica->config.trailing_entries) {
        const struct entry *entry = entries_get(log, from);
        CHECK(entry != NULL);
        bytes += entry->len;
        if (bytes > replica->config.snapshot_bytes / 2) {
            break;
        }
        from--;
    }
    return from;
}

static void published(struct replica *replica)
{
    struct taking *taking = &replica->taking;
    struct core_update update;
    const struct snapshot_manifest *manifest = &taking->writing.manifest;
    uint64_t from = keep_from(replica, manifest->index);
    uint64_t trailing = manifest->index - from;
    CHECK(trailing <= UINT32_MAX);
    replica->snapshot_previous = replica->snapshot.index;
    replica->snapshot = *manifest;
    int rv = core_snapshot_taken(replica->core, replica->now_ms, manifest,
                                 (uint32_t)trailing, &update);
    /* As the core does: it keeps all when there is nothing before. */
    if (from > replica->log.base_index) {
        entries_compact(&replica->log, from);
    }
    log_info("snapshot.done", "index=%" PRIu64 " bytes=%" PRIu64,
             manifest->index, manifest->packed_bytes);
    /* The log on disk stays from the snapshot before: if this one is found
     * damaged, that one and the log are as good. */
    if (replica->snapshot_previous > 0) {
        log_trim(replica, replica->snapshot_previous + 1);
    }
    taking_close(replica);
    replica_absorb(replica, rv, &update, NULL);
}

bool taking_finish(struct replica *replica)
{
    struct taking *taking = &replica->taking;
    if (taking->state == TAKING_WAITS) {
        if (taking->cancelled) {
            taking_close(replica);
            return true;
        }
        if (replica->synced_index < taking->writing.manifest.index) {
            return false;
        }
        submit(replica, TAKING_PUBLISHES);
        return true;
    }
    if (taking->state == TAKING_NONE || !taking->ended) {
        return false;
    }
    taking->ended = false;
    if (taking->result != 0) {
        replica_fail(replica, &taking->failure);
    } else if (taking->state == TAKING_PUBLISHES) {
        published(replica);
    } else if (taking->cancelled) {
        taking_close(replica);
    } else if (taking->writing.complete) {
        taking->state = TAKING_WAITS;
    } else {
        submit(replica, TAKING_WRITES);
    }
    return true;
}

/* Takes effect when the lane gives the job back; not once it publishes. */
void taking_cancel(struct replica *replica)
{
    replica->taking.cancelled = true;
}

void taking_close(struct replica *replica)
{
    if (replica->taking.state != TAKING_NONE) {
        snapshot_writing_close(&replica->taking.writing);
        replica->taking.state = TAKING_NONE;
    }
}
