/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "raft/paths.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ELECTION_TIMEOUT_MS 300
#define HEARTBEATS          6
#define SEGMENT_BYTES       (64 * 1024 * 1024)
#define SNAPSHOT_ENTRIES    20000
#define SNAPSHOT_BYTES      (64 * 1024 * 1024)
#define TRAILING_ENTRIES    4096
#define SLOW_DISK_MS        200
#define PAUSE_GRACE_MS      2

static void set_default(uint64_t *value, uint64_t otherwise)
{
    if (*value == 0) {
        *value = otherwise;
    }
}

static void copy_config(struct replica *replica,
                        const struct replica_config *from)
{
    struct replica_config *config = &replica->config;
    *config = *from;
    CHECK(from->region != NULL && *from->region != '\0' &&
          strlen(from->region) <= RAFT_REGION_BYTES_MAX);
    CHECK(from->directory != NULL && *from->directory != '\0' &&
          strlen(from->directory) < RAFT_DIRECTORY_BYTES_MAX);
    CHECK(from->id > 0 && from->id < RAFT_NUMBER_MAX * 2);
    CHECK((from->member_count > 0 || from->join) &&
          from->member_count <= RAFT_MEMBERS_MAX);
    config->region = memory_copy_string(from->region);
    config->directory = memory_copy_string(from->directory);
    struct replica_member *members =
        memory_alloc_array(from->member_count + 1, sizeof *members);
    for (size_t i = 0; i < from->member_count; i++) {
        members[i] = from->members[i];
        members[i].address = memory_copy_string(from->members[i].address);
    }
    config->members = members;
    if (config->election_timeout_ms == 0) {
        config->election_timeout_ms = ELECTION_TIMEOUT_MS;
    }
    CHECK(config->election_timeout_ms >= 20 &&
          config->election_timeout_ms <= 60000);
    if (config->heartbeat_ms == 0) {
        config->heartbeat_ms = config->election_timeout_ms / HEARTBEATS;
    }
    CHECK(config->heartbeat_ms > 0 &&
          config->heartbeat_ms < config->election_timeout_ms);
    if (config->slow_disk_ms == 0) {
        config->slow_disk_ms = SLOW_DISK_MS;
    }
    set_default(&config->segment_bytes, SEGMENT_BYTES);
    set_default(&config->snapshot_entries, SNAPSHOT_ENTRIES);
    set_default(&config->snapshot_bytes, SNAPSHOT_BYTES);
    set_default(&config->trailing_entries, TRAILING_ENTRIES);
}

struct replica *replica_create(const struct replica_config *config,
                               const struct replica_environment *environment,
                               struct replica_owner *owner)
{
    struct replica *replica = memory_alloc(sizeof *replica);
    copy_config(replica, config);
    replica->environment = *environment;
    replica->owner = owner;
    replica->home = (struct home_options){
        .region = replica->config.region,
        .log = {.files = environment->files,
                .directory = replica->config.directory,
                .segment_bytes = replica->config.segment_bytes,
                .region_hash = hash_bytes(replica->config.region,
                                          strlen(replica->config.region), 0),
                .node_id = replica->config.id},
    };
    replica->snapshots = (struct snapshot_store){
        .files = environment->files, .directory = replica->config.directory};
    struct core_options options = {
        .id = replica->config.id,
        .election_timeout_ms = replica->config.election_timeout_ms,
        .heartbeat_ms = replica->config.heartbeat_ms,
        .seed = (uint32_t)hash_u64(config->seed ^ config->id)};
    replica->core = core_create(&options);
    entries_init(&replica->log, 0, 0, 0);
    list_init(&replica->held);
    list_init(&replica->probing.barriers);
    list_init(&replica->queued_barriers);
    bytes_init(&replica->members);
    members_init(&replica->committed);
    bytes_init(&replica->queued_data);
    bytes_init(&replica->queued_members);
    bytes_init(&replica->scratch);
    bytes_init(&replica->incoming.waiting);
    bytes_init(&replica->incoming.writing);
    arena_init(&replica->arena, RAFT_MESSAGE_ARENA_BYTES);
    log_init(replica);
    return replica;
}

void replica_stop(struct replica *replica)
{
    replica->stopped = true;
    replica->flight_submit = NULL;
    replica->queued_submit = NULL;
    replica->flight_reconfigure = NULL;
    replica->queued_reconfigure = NULL;
    list_init(&replica->probing.barriers);
    list_init(&replica->queued_barriers);
    replica->transfer = NULL;
}

static void close_config(struct replica_config *config)
{
    for (size_t i = 0; i < config->member_count; i++) {
        const char *address = config->members[i].address;
        char *owned;
        memcpy(&owned, &address, sizeof owned);
        free(owned);
    }
    void *owned;
    memcpy(&owned, &config->members, sizeof owned);
    free(owned);
    memcpy(&owned, &config->region, sizeof owned);
    free(owned);
    memcpy(&owned, &config->directory, sizeof owned);
    free(owned);
}

void replica_destroy(struct replica *replica)
{
    if (replica == NULL) {
        return;
    }
    taking_close(replica);
    incoming_close(replica);
    sender_close(replica);
    send_drop_held(replica);
    log_close(replica);
    log_store_close(replica->log_store);
    term_store_close(replica->term_store);
    file_close(replica->lock);
    core_destroy(replica->core);
    entries_close(&replica->log);
    bytes_close(&replica->members);
    bytes_close(&replica->queued_data);
    bytes_close(&replica->queued_members);
    bytes_close(&replica->scratch);
    arena_close(&replica->arena);
    close_config(&replica->config);
    free(replica);
}

void replica_fail(struct replica *replica, const struct failure *failure)
{
    if (!replica->failed) {
        replica->failed = true;
        log_error("raft.failed", "code=%d reason=\"%s\"", (int)failure->code,
                  failure->reason);
        replica->owner->failed(replica->owner, failure->code, failure->reason);
    }
}

void replica_fail_text(struct replica *replica, enum replica_failure code,
                       const char *format, ...)
{
    struct failure failure = {.code = code};
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure.reason, sizeof failure.reason, format, arguments);
    va_end(arguments);
    replica_fail(replica, &failure);
}

void replica_wake(struct replica *replica)
{
    if (!replica->woken && !replica->failed && !replica->stopped) {
        replica->woken = true;
        replica->owner->wake(replica->owner);
    }
}

/* Entries that the core took in: into our log and on their way to the disk. */
static void absorb_entries(struct replica *replica,
                           const struct core_update *update,
                           const struct message *message)
{
    struct entry barrier = {.term = core_term(replica->core),
                            .type = ENTRY_BARRIER};
    const struct entry *entries = &barrier;
    uint64_t first = update->first_index;
    if (update->barrier) {
        CHECK(update->entry_count == 1);
        replica->own_entry_term = barrier.term;
        replica->flight_index = first;
        replica->flight_ms = replica->now_ms;
    } else {
        CHECK(message != NULL && message->type == MESSAGE_APPEND &&
              update->entry_count <= message->append.count);
        size_t known = message->append.count - update->entry_count;
        CHECK(first == message->append.previous_index + known + 1);
        entries = message->append.entries + known;
    }
    if (first <= entries_last(&replica->log)) {
        /* A conflict with the leader: Raft figure 3.1, rule 3. */
        CHECK(first > replica->applied_index);
        entries_truncate(&replica->log, first);
        log_truncate(replica, first);
    }
    CHECK(first == entries_last(&replica->log) + 1);
    for (size_t i = 0; i < update->entry_count; i++) {
        uint8_t *data = entries[i].len == 0
                            ? NULL
                            : memory_copy(entries[i].data, entries[i].len);
        entries_append(&replica->log, entries[i].term, entries[i].type, data,
                       entries[i].len);
        log_append_entry(replica, first + i);
    }
}

void replica_absorb(struct replica *replica, int rv,
                    const struct core_update *update,
                    const struct message *message)
{
    if (replica->failed) {
        return;
    }
    if (rv != 0) {
        replica_fail_text(replica, REPLICA_FAILED_DIVERGED,
                          "the consensus core gave up: %s; if it happens "
                          "again" FAILURE_CURE_REJOIN,
                          core_error(replica->core));
        return;
    }
    if (update->vote_changed) {
        log_set_vote(replica);
    }
    if (update->entry_count > 0) {
        absorb_entries(replica, update, message);
    }
    /* The core's log and ours are the same: what it will ask to send and
     * apply is there. */
    CHECK(core_last(replica->core) == entries_last(&replica->log));
    CHECK(core_first(replica->core) == entries_first(&replica->log));
    send_outgoing(replica, update, message);
    members_changed(replica);
    leadership_changed(replica);
}

void replica_pump(struct replica *replica)
{
    CHECK(!replica->pumping);
    replica->pumping = true;
    bool any = true;
    while (any && !replica->failed) {
        any = log_finish(replica);
        any = (!replica->failed && incoming_finish(replica)) || any;
        any = (!replica->failed && taking_finish(replica)) || any;
        any = (!replica->failed && sender_finish(replica)) || any;
        any = apply_committed(replica) || any;
        any = propose(replica) || any;
        any = probe_finish(replica) || any;
        if (!replica->failed && replica->leading_term == 0) {
            leadership_changed(replica); /* Refuses what was queued. */
        }
    }
    if (!replica->failed) {
        handover_check(replica);
    }
    if (!replica->failed) {
        taking_start(replica);
        sender_run(replica);
        probe_run(replica);
        log_start(replica);
    }
    replica->pumping = false;
}

/* The core's clock stands still while this process does: a host that was
 * suspended, a loop that was held up, a machine whose processors were taken
 * away. Time in which we did not run is not silence of the others, and it is
 * often the others' pause as well: with the plain clock such a pause of all
 * members ended a leadership that nobody had doubted, and a new leader makes
 * every host's lease wait begin anew. Whoever did run meanwhile elects by its
 * own clock.
 *
 * Rules 1 and 2 do not depend on it: Raft is safe with any clocks, leases are
 * counted by their owners' own readings, and a leader that slept through its
 * replacement can commit nothing, so it answers nothing. */
void replica_clock(struct replica *replica, uint64_t boot_ms)
{
    if (boot_ms > replica->boot_ms) {
        if (boot_ms > replica->look_ms + replica->config.heartbeat_ms) {
            replica->paused_ms += boot_ms - replica->look_ms;
            /* Timers come before sockets in a loop: read first what waits
             * there. */
            replica->core_not_before_ms =
                boot_ms - replica->paused_ms + PAUSE_GRACE_MS;
        }
        replica->boot_ms = boot_ms;
    }
    replica->look_ms = replica->boot_ms + replica->config.heartbeat_ms;
    replica->now_ms = replica->boot_ms - replica->paused_ms;
}

void replica_tick(struct replica *replica, uint64_t now_ms)
{
    if (replica->failed || replica->stopped || !replica->started) {
        return;
    }
    replica->woken = false;
    replica_clock(replica, now_ms);
    if (core_deadline(replica->core) <= replica->now_ms &&
        replica->core_not_before_ms <= replica->now_ms) {
        struct core_update update;
        /* With a member that it no longer replicates to, libraft's deadline
         * stays in the past: never spin. */
        replica->core_not_before_ms = replica->now_ms + 1;
        int rv = core_timeout(replica->core, replica->now_ms, &update);
        replica_absorb(replica, rv, &update, NULL);
    }
    replica_pump(replica);
}

static uint64_t earlier(uint64_t left, uint64_t right)
{
    return left < right ? left : right;
}

uint64_t replica_deadline(const struct replica *replica)
{
    if (replica->failed || replica->stopped || !replica->started) {
        return UINT64_MAX;
    }
    uint64_t core_ms = core_deadline(replica->core);
    if (core_ms < replica->core_not_before_ms) {
        core_ms = replica->core_not_before_ms;
    }
    uint64_t deadline = earlier(core_ms, log_deadline(replica));
    deadline = earlier(deadline, sender_deadline(replica));
    deadline = earlier(deadline, probe_deadline(replica));
    /* Looked at often enough to tell a pause from quiet. */
    return deadline == UINT64_MAX
               ? replica->look_ms
               : earlier(deadline + replica->paused_ms, replica->look_ms);
}

static void peers_status(const struct replica *replica,
                         struct replica_status *status)
{
    uint64_t last = entries_last(&replica->log);
    for (size_t i = 0; i < core_member_count(replica->core); i++) {
        struct replica_peer_status *peer = &status->peers[status->peer_count++];
        peer->id = core_member_id(replica->core, i);
        peer->role = core_member_role(replica->core, i);
        peer->match_index = core_match(replica->core, peer->id);
        peer->lag_entries =
            peer->id == replica->config.id || last < peer->match_index
                ? 0
                : last - peer->match_index;
        for (size_t j = 0; j < RAFT_MEMBERS_MAX; j++) {
            const struct sender *sender = replica->senders[j];
            peer->snapshot =
                peer->snapshot ||
                (sender != NULL && sender->active && sender->to == peer->id);
        }
    }
}

void replica_status(const struct replica *replica,
                    struct replica_status *status)
{
    memset(status, 0, sizeof *status);
    status->leadership.state = core_state(replica->core);
    status->leadership.term = core_term(replica->core);
    status->leadership.leader = core_leader(replica->core);
    status->proved = replica->leading_term != 0 &&
                     replica->proved_term == replica->leading_term;
    status->commit_index = core_commit(replica->core);
    status->leader_commit_index = replica->leader_commit > status->commit_index
                                      ? replica->leader_commit
                                      : status->commit_index;
    status->applied_index = replica->applied_index;
    status->first_index = entries_first(&replica->log);
    status->last_index = entries_last(&replica->log);
    status->synced_index = replica->synced_index;
    status->snapshot_index = replica->snapshot.index;
    status->log_bytes = replica->log.bytes;
    status->disk_ms = replica->disk_us / 1000;
    status->disk_us = replica->disk_us;
    log_disk_recent(replica, status);
    status->messages_bad = replica->messages_bad;
    status->answers_capped = replica->answers_capped;
    if (replica->leading_term != 0) {
        peers_status(replica, status);
    }
}
