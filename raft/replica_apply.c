/* SPDX-License-Identifier: Apache-2.0
 *
 * Committed entries on their way up, and what the leader does for them: the
 * one entry in flight, the proof of leadership, handing over. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Above this many times the limit a single write counts, not the average. */
#define SLOW_ONCE_FACTOR 4

/* Between two attempts to hand over for a slow disk. */
#define HANDOVER_PAUSE_MS     10000
#define HANDOVER_PAUSE_MAX_MS 300000

static void answer_submit(struct replica_submit **slot,
                          enum replica_outcome outcome, uint64_t index)
{
    struct replica_submit *request = *slot;
    *slot = NULL;
    if (request != NULL) {
        request->done(request, outcome, index);
    }
}

static void flight_landed(struct replica *replica, uint64_t index)
{
    replica->flight_us = (replica->now_ms - replica->flight_ms) * 1000;
    replica->commit_us = (replica->commit_us * 7 + replica->flight_us) / 8;
    replica->flight_index = 0;
    answer_submit(&replica->flight_submit, REPLICA_COMMITTED, index);
    reconfigure_answer(&replica->flight_reconfigure, REPLICA_COMMITTED, index);
}

static void apply_members(struct replica *replica, uint64_t index,
                          const struct entry *entry)
{
    struct core_update update;
    bytes_clear(&replica->members);
    bytes_append(&replica->members, entry->data, entry->len);
    replica->members_index = index;
    members_take_committed(replica);
    int rv = core_members_committed(replica->core, replica->now_ms, index,
                                    entry->data, entry->len, &update);
    replica_absorb(replica, rv, &update, NULL);
}

static bool apply_one(struct replica *replica, uint64_t index)
{
    const struct entry *entry = entries_get(&replica->log, index);
    CHECK(entry != NULL && entry->term >= replica->applied_term);
    uint64_t term = entry->term;
    uint64_t chain = entry_chain(replica->applied_chain, index, entry);
    if (chain != entry->chain) {
        replica_fail_text(replica, REPLICA_FAILED_DIVERGED,
                          "entry %" PRIu64
                          " changed in memory between log and state: check "
                          "this machine's memory, then start the node again",
                          index);
        return false;
    }
    replica->applied_index = index;
    replica->applied_term = term;
    replica->applied_chain = chain;
    replica->applied_bytes += entry->len;
    if (entry->type == ENTRY_COMMAND) {
        replica->owner->apply(replica->owner, index, term, entry->data,
                              entry->len);
    } else if (entry->type == ENTRY_MEMBERS) {
        apply_members(replica, index, entry);
    }
    if (replica->leading_term == term && replica->proved_term != term) {
        replica->proved_term = term;
        log_info("raft.proved", "term=%" PRIu64 " index=%" PRIu64, term, index);
        replica->owner->proved(replica->owner, term, index);
    }
    if (index == replica->flight_index) {
        CHECK(term == replica->leading_term);
        flight_landed(replica, index);
    }
    return true;
}

bool apply_committed(struct replica *replica)
{
    bool any = false;
    /* While a snapshot is being installed the log is empty, yet heartbeats
     * may already have raised the core's commit index to the snapshot's. */
    while (!replica->failed && replica->incoming.state != INCOMING_INSTALLS) {
        uint64_t commit = core_commit(replica->core);
        uint64_t last = entries_last(&replica->log);
        if (replica->applied_index >= (commit < last ? commit : last)) {
            break;
        }
        if (!apply_one(replica, replica->applied_index + 1)) {
            break;
        }
        any = true;
    }
    return any;
}

/* Tells the owner what changed, and ends what leadership had begun. */
void leadership_changed(struct replica *replica)
{
    struct replica_leadership now = {
        .state = core_state(replica->core),
        .term = core_term(replica->core),
        .leader = core_leader(replica->core),
    };
    uint64_t leading = now.state == REPLICA_LEADER ? now.term : 0;
    bool lost = replica->leading_term != 0 && leading != replica->leading_term;
    replica->leading_term = leading;
    if (memcmp(&now.term, &replica->told.term, sizeof now.term) != 0 ||
        now.state != replica->told.state ||
        now.leader != replica->told.leader) {
        replica->told = now;
        log_info("raft.leadership",
                 "node=%" PRIu64 " term=%" PRIu64 " leader=%" PRIu64
                 " state=%s",
                 replica->config.id, now.term, now.leader,
                 now.state == REPLICA_LEADER      ? "leader"
                 : now.state == REPLICA_CANDIDATE ? "candidate"
                                                  : "follower");
        replica->owner->leadership(replica->owner, &now);
    }
    if (lost) {
        replica->flight_index = 0;
        answer_submit(&replica->flight_submit, REPLICA_UNKNOWN, 0);
        reconfigure_answer(&replica->flight_reconfigure, REPLICA_UNKNOWN, 0);
        barriers_answer(&replica->probing.barriers, REPLICA_UNKNOWN, 0);
    }
    if (leading == 0) {
        answer_submit(&replica->queued_submit, REPLICA_REFUSED, 0);
        reconfigure_answer(&replica->queued_reconfigure, REPLICA_REFUSED, 0);
        barriers_answer(&replica->queued_barriers, REPLICA_REFUSED, 0);
    }
    if (replica->transfer != NULL) {
        bool moved = now.leader != 0 && now.leader != replica->config.id;
        bool gave_up =
            core_transferee(replica->core) == 0 &&
            (leading != 0 || replica->now_ms >= replica->transfer_until_ms);
        if (moved || gave_up) {
            struct replica_transfer *request = replica->transfer;
            replica->transfer = NULL;
            request->done(request, moved ? 0 : HF_ERROR_BUSY);
        }
    }
}

/* Puts an entry into the log and on its way. The core wants it in its log
 * before ours has it, so the payload is kept until it is asked for. */
static void propose_entry(struct replica *replica, enum entry_type type)
{
    struct core_update update;
    struct message message = {.type = MESSAGE_APPEND,
                              .term = core_term(replica->core)};
    struct entry entry = {.type = type, .term = message.term};
    if (type == ENTRY_COMMAND) {
        entry.data = replica->queued_data.data;
        entry.len = (uint32_t)replica->queued_data.len;
        replica->flight_submit = replica->queued_submit;
        replica->queued_submit = NULL;
    } else if (type == ENTRY_MEMBERS) {
        entry.data = replica->queued_members.data;
        entry.len = (uint32_t)replica->queued_members.len;
        replica->flight_reconfigure = replica->queued_reconfigure;
        replica->queued_reconfigure = NULL;
    }
    message.append.previous_index = entries_last(&replica->log);
    message.append.entries = &entry;
    message.append.count = 1;
    replica->flight_index = entries_last(&replica->log) + 1;
    replica->flight_ms = replica->now_ms;
    replica->own_entry_term = message.term;
    int rv = core_submit(replica->core, replica->now_ms, &entry, &update);
    /* It is the leader, no transfer runs, and no other change of members is
     * uncommitted: the core has no reason. */
    CHECK(rv == 0);
    replica_absorb(replica, rv, &update, &message);
}

bool propose(struct replica *replica)
{
    if (replica->failed || replica->leading_term == 0 ||
        replica->flight_index != 0 || core_transferee(replica->core) != 0 ||
        log_pending_bytes(replica) > PENDING_BYTES_MAX) {
        return false;
    }
    if (replica->own_entry_term != replica->leading_term) {
        /* libraft adds its own barrier at an election only when something is
         * uncommitted. Without one, nothing would prove the new term. */
        propose_entry(replica, ENTRY_BARRIER);
        return true;
    }
    if (replica->proved_term != replica->leading_term) {
        return false;
    }
    if (replica->queued_reconfigure != NULL) {
        CHECK(replica_members_committed(replica));
        propose_entry(replica, ENTRY_MEMBERS);
        return true;
    }
    if (replica->queued_submit != NULL) {
        propose_entry(replica, ENTRY_COMMAND);
        return true;
    }
    return false;
}

static bool is_busy(const struct replica *replica)
{
    return replica->proved_term != replica->leading_term ||
           replica->flight_index != 0 || replica->queued_submit != NULL ||
           core_transferee(replica->core) != 0 ||
           log_pending_bytes(replica) > PENDING_BYTES_MAX;
}

bool replica_is_ready(const struct replica *replica)
{
    return replica->started && !replica->failed && !replica->stopped &&
           replica->leading_term != 0 && !is_busy(replica);
}

int replica_submit(struct replica *replica, const uint8_t *data, size_t len,
                   struct replica_submit *request, replica_submit_cb done)
{
    if (replica->failed || replica->stopped || !replica->started) {
        return HF_ERROR_CLOSED;
    }
    if (replica->leading_term == 0) {
        return HF_ERROR_NOT_LEADER;
    }
    if (len == 0 || len > RAFT_ENTRY_BYTES_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    if (is_busy(replica)) {
        return HF_ERROR_BUSY;
    }
    request->done = done;
    replica->queued_submit = request;
    bytes_clear(&replica->queued_data);
    bytes_append(&replica->queued_data, data, len);
    replica_wake(replica);
    return 0;
}

int replica_barrier(struct replica *replica, struct replica_barrier *request,
                    replica_barrier_cb done)
{
    if (replica->failed || replica->stopped || !replica->started) {
        return HF_ERROR_CLOSED;
    }
    if (replica->leading_term == 0) {
        return HF_ERROR_NOT_LEADER;
    }
    request->done = done;
    list_init(&request->link);
    list_append(&replica->queued_barriers, &request->link);
    replica_wake(replica);
    return 0;
}

/* The voter that has most of the log; 0 when none has what is committed. */
static uint64_t best_successor(const struct replica *replica)
{
    uint64_t best = 0;
    uint64_t best_match = core_commit(replica->core);
    for (size_t i = 0; i < core_member_count(replica->core); i++) {
        uint64_t id = core_member_id(replica->core, i);
        uint64_t match = core_match(replica->core, id);
        if (id != replica->config.id &&
            core_member_role(replica->core, i) == REPLICA_VOTER &&
            match >= best_match && (best == 0 || match > best_match)) {
            best = id;
            best_match = match;
        }
    }
    return best;
}

static int transfer_to(struct replica *replica, uint64_t to)
{
    struct core_update update;
    int rv = core_transfer(replica->core, replica->now_ms, to, &update);
    if (rv == HF_ERROR_NOT_FOUND || rv == HF_ERROR_NOT_LEADER) {
        return rv;
    }
    replica_absorb(replica, rv, &update, NULL);
    return 0;
}

int replica_transfer(struct replica *replica, uint64_t to,
                     struct replica_transfer *request, replica_transfer_cb done)
{
    if (replica->failed || replica->stopped || !replica->started) {
        return HF_ERROR_CLOSED;
    }
    if (replica->leading_term == 0) {
        return HF_ERROR_NOT_LEADER;
    }
    if (replica->transfer != NULL || core_transferee(replica->core) != 0) {
        return HF_ERROR_BUSY;
    }
    if (to == 0) {
        to = best_successor(replica);
    }
    if (to == 0 || to == replica->config.id) {
        return HF_ERROR_NOT_FOUND;
    }
    int rv = transfer_to(replica, to);
    if (rv != 0) {
        return rv;
    }
    request->done = done;
    replica->transfer = request;
    replica->transfer_until_ms =
        replica->now_ms + 2 * (uint64_t)replica->config.election_timeout_ms;
    replica_wake(replica);
    return 0;
}

static uint64_t max(uint64_t one, uint64_t other)
{
    return one > other ? one : other;
}

/* A leader with a slow disk leads slowly, and libraft keeps it for ever. But
 * only a majority of faster disks is worth an election, as which commits come
 * sooner than the own disk shows. Otherwise nothing is won, and all may be
 * lost: an election waits for four syncs, one after the other, and when those
 * take longer than its timeout, as with storage that all nodes share, it is
 * followed by the next one, until the storage is well again. */
static bool others_are_faster(const struct replica *replica)
{
    uint64_t limit_us = (uint64_t)replica->config.slow_disk_ms * 1000;
    uint64_t stuck_us = 0;
    if (replica->batch_running) {
        stuck_us = (replica->now_ms -
                    replica->batches[1 - replica->filling].started_ms) *
                   1000;
    }
    /* The average hears late of what has just become slow. */
    uint64_t commit_us = max(replica->commit_us, replica->flight_us);
    if (replica->flight_index != 0) {
        commit_us =
            max(commit_us, (replica->now_ms - replica->flight_ms) * 1000);
    }
    return (replica->disk_us > limit_us && commit_us * 2 <= replica->disk_us) ||
           (stuck_us > limit_us * SLOW_ONCE_FACTOR &&
            commit_us * 2 <= stuck_us);
}

void handover_check(struct replica *replica)
{
    if (replica->config.slow_disk_ms == UINT32_MAX ||
        replica->leading_term == 0 ||
        replica->proved_term != replica->leading_term ||
        replica->now_ms < replica->handover_not_before_ms ||
        core_transferee(replica->core) != 0) {
        return;
    }
    uint64_t to = others_are_faster(replica) ? best_successor(replica) : 0;
    if (to == 0) {
        return;
    }
    if (replica->handover_pause_ms == 0) {
        replica->handover_pause_ms = HANDOVER_PAUSE_MS;
    }
    log_warn("raft.slow_disk",
             "disk_ms=%" PRIu64 " commit_ms=%" PRIu64 " handing_to=%" PRIu64,
             replica->disk_us / 1000, replica->commit_us / 1000, to);
    replica->handover_not_before_ms =
        replica->now_ms + replica->handover_pause_ms;
    replica->handover_pause_ms *= 2;
    if (replica->handover_pause_ms > HANDOVER_PAUSE_MAX_MS) {
        replica->handover_pause_ms = HANDOVER_PAUSE_MAX_MS;
    }
    int rv = transfer_to(replica, to);
    CHECK(rv == 0 || replica->failed);
}
