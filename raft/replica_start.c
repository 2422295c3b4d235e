/* SPDX-License-Identifier: Apache-2.0
 *
 * From the directory to a running replica. What is read must fit together:
 *
 *   the log begins at or before the entry behind the snapshot, holds the
 *   snapshot's last entry with the same chain hash, and has no gap. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"

#include <inttypes.h>
#include <string.h>

/* Fills the log in memory; what a snapshot covers stays out but for the
 * trailing entries. */
struct loader {
    struct log_visitor visitor;
    struct replica *replica;
    uint64_t drop_through;
    uint64_t chain_at_snapshot;
};

static void loader_begin(struct log_visitor *visitor, uint64_t first_index,
                         uint64_t chain)
{
    struct loader *loader = container_of(visitor, struct loader, visitor);
    entries_init(&loader->replica->log, first_index - 1, 0, chain);
    if (first_index - 1 == loader->replica->snapshot.index) {
        loader->replica->log.base_term = loader->replica->snapshot.term;
        loader->chain_at_snapshot = chain;
    }
}

static void loader_visit(struct log_visitor *visitor,
                         const struct record *record)
{
    struct loader *loader = container_of(visitor, struct loader, visitor);
    struct entries *log = &loader->replica->log;
    uint8_t *data =
        record->len == 0 ? NULL : memory_copy(record->data, record->len);
    entries_append(log, record->term, (enum entry_type)record->type, data,
                   record->len);
    CHECK(entries_chain(log, record->index) == record->chain);
    if (record->index == loader->replica->snapshot.index) {
        loader->chain_at_snapshot = record->chain;
    }
    if (record->index <= loader->drop_through) {
        entries_compact(log, record->index);
    }
}

static int load_snapshot(struct replica *replica, struct failure *failure)
{
    struct snapshot_inventory inventory;
    int rv = snapshot_store_open(&replica->snapshots, &inventory, failure);
    if (rv != 0 || !inventory.any) {
        return rv;
    }
    const struct snapshot_manifest *manifest = &inventory.newest;
    if (!members_check(manifest->members, manifest->members_len)) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "the snapshot at entry %" PRIu64
                           " has no valid members" FAILURE_CURE_REJOIN,
                           manifest->index);
    }
    replica->snapshot = *manifest;
    replica->snapshot_previous = inventory.previous_index;
    if (inventory.installing) {
        log_info("snapshot.install_again", "index=%" PRIu64, manifest->index);
        replica->snapshot_previous = 0;
        rv = log_store_reset(&replica->home.log, manifest->index + 1,
                             manifest->chain, failure);
        if (rv == 0) {
            rv = snapshot_store_installed(&replica->snapshots, manifest->index,
                                          failure);
        }
    }
    if (rv == 0) {
        rv = snapshot_store_clean(&replica->snapshots, manifest->index,
                                  replica->snapshot_previous, failure);
    }
    return rv;
}

static int check_fit(const struct replica *replica, const struct loader *loader,
                     struct failure *failure)
{
    const struct snapshot_manifest *snapshot = &replica->snapshot;
    const char *directory = replica->config.directory;
    uint64_t first = log_store_first(replica->log_store);
    if (first > snapshot->index + 1) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s/log begins at entry %" PRIu64
                           ", but the newest sound snapshot ends at "
                           "%" PRIu64 FAILURE_CURE_REJOIN,
                           directory, first, snapshot->index);
    }
    if (entries_last(&replica->log) < snapshot->index) {
        return failure_set(
            failure, REPLICA_FAILED_CORRUPT,
            "%s/log ends at entry %" PRIu64
            ", before the snapshot at %" PRIu64 FAILURE_CURE_REJOIN,
            directory, entries_last(&replica->log), snapshot->index);
    }
    if (snapshot->index > 0 && loader->chain_at_snapshot != snapshot->chain) {
        return failure_set(
            failure, REPLICA_FAILED_CORRUPT,
            "%s: log and snapshot differ at entry %" PRIu64 FAILURE_CURE_REJOIN,
            directory, snapshot->index);
    }
    const struct entry *oldest = entries_get(&replica->log, 1);
    bool begins = oldest != NULL && oldest->type == ENTRY_MEMBERS;
    /* Of a member that joined nothing may have come yet. */
    if (snapshot->index == 0 && !begins &&
        !(replica->joins && replica->log.count == 0)) {
        return failure_set(
            failure, REPLICA_FAILED_CORRUPT,
            "%s/log does not begin with the members" FAILURE_CURE_REJOIN,
            directory);
    }
    return 0;
}

static int check_entries(const struct replica *replica, struct failure *failure)
{
    const struct entries *log = &replica->log;
    for (uint64_t i = entries_first(log); i <= entries_last(log); i++) {
        const struct entry *entry = entries_get(log, i);
        if (entry->type == ENTRY_MEMBERS &&
            !members_check(entry->data, entry->len)) {
            return failure_set(failure, REPLICA_FAILED_CORRUPT,
                               "%s/log: entry %" PRIu64
                               " has no valid members" FAILURE_CURE_REJOIN,
                               replica->config.directory, i);
        }
    }
    return 0;
}

static int load_log(struct replica *replica, struct failure *failure)
{
    uint64_t index = replica->snapshot.index;
    uint64_t keep = replica->config.trailing_entries;
    struct loader loader = {
        .visitor = {.begin = loader_begin, .visit = loader_visit},
        .replica = replica,
        .drop_through = index > keep ? index - keep : 0,
    };
    replica->log_store =
        log_store_open(&replica->home.log, &loader.visitor, failure);
    if (replica->log_store == NULL) {
        return HF_ERROR_CORRUPT;
    }
    int rv = check_fit(replica, &loader, failure);
    if (rv == 0) {
        rv = check_entries(replica, failure);
    }
    if (rv == 0) {
        replica->synced_index = log_store_last(replica->log_store);
        replica->watermark = log_store_watermark(replica->log_store);
        if (replica->watermark > replica->synced_index) {
            replica->watermark = replica->synced_index;
        }
    }
    return rv;
}

/* Makes the directory at the very first start. */
static int first_start(struct replica *replica, struct failure *failure)
{
    struct bytes members;
    bool exists;
    int rv = home_exists(&replica->home, &exists, failure);
    if (rv != 0 || exists) {
        return rv;
    }
    if (!replica->config.bootstrap) {
        return failure_set(failure, REPLICA_FAILED_CONFIG,
                           "%s is not there: make it with a first start that "
                           "asks for it; but if the node had data before, its "
                           "id must not be used again, for it could vote "
                           "twice: let it rejoin under a new id",
                           replica->config.directory);
    }
    bytes_init(&members);
    if (!replica->config.join) {
        core_members_encode(replica->config.members,
                            replica->config.member_count, &members);
    }
    log_info("raft.bootstrap", "region=%s node=%" PRIu64 " members=%zu join=%s",
             replica->config.region, replica->config.id,
             replica->config.member_count, replica->config.join ? "yes" : "no");
    rv = home_bootstrap(&replica->home, members.data, members.len, failure);
    bytes_close(&members);
    return rv;
}

int restore_snapshot(struct replica *replica)
{
    struct failure failure;
    const struct snapshot_manifest *manifest = &replica->snapshot;
    struct snapshot_source *source =
        snapshot_source_open(&replica->snapshots, manifest, &failure);
    if (source == NULL) {
        replica_fail(replica, &failure);
        return HF_ERROR_IO;
    }
    int rv = replica->owner->snapshot_restore(replica->owner, source);
    snapshot_source_close(source);
    if (rv != 0) {
        replica_fail_text(replica, REPLICA_FAILED_CORRUPT,
                          "the snapshot at entry %" PRIu64
                          " cannot be restored (%s)" FAILURE_CURE_REJOIN,
                          manifest->index, hf_error_name(rv));
        return rv;
    }
    replica->applied_index = manifest->index;
    replica->applied_term = manifest->term;
    replica->applied_chain = manifest->chain;
    replica->applied_bytes = 0;
    bytes_clear(&replica->members);
    bytes_append(&replica->members, manifest->members, manifest->members_len);
    replica->members_index = manifest->members_index;
    members_take_committed(replica);
    return 0;
}

static int load(struct replica *replica, uint64_t *term, uint64_t *vote)
{
    struct failure failure = {.code = REPLICA_FAILED_STORAGE};
    int rv = home_lock(&replica->home, &replica->lock, &failure);
    if (rv == 0) {
        rv = first_start(replica, &failure);
    }
    if (rv == 0) {
        rv = home_open(&replica->home, &replica->joins, &failure);
    }
    if (rv == 0) {
        replica->term_store =
            term_store_open(replica->environment.files,
                            replica->config.directory, term, vote, &failure);
        rv = replica->term_store == NULL ? HF_ERROR_IO : 0;
    }
    if (rv == 0) {
        rv = load_snapshot(replica, &failure);
    }
    if (rv == 0) {
        rv = load_log(replica, &failure);
    }
    if (rv != 0) {
        replica_fail(replica, &failure);
    }
    return rv;
}

int replica_start(struct replica *replica, uint64_t now_ms)
{
    struct core_update update;
    uint64_t term;
    uint64_t vote;
    CHECK(!replica->started);
    replica->look_ms = now_ms;
    replica_clock(replica, now_ms);
    if (load(replica, &term, &vote) != 0) {
        return HF_ERROR_CLOSED;
    }
    if (replica->snapshot.index > 0 && restore_snapshot(replica) != 0) {
        return HF_ERROR_CLOSED;
    }
    struct core_start start = {
        .term = term,
        .vote = vote,
        .snapshot = &replica->snapshot,
        .entries = &replica->log,
    };
    if (term < entries_term(&replica->log, entries_last(&replica->log))) {
        replica_fail_text(replica, REPLICA_FAILED_CORRUPT,
                          "%s/term is older than the log" FAILURE_CURE_REJOIN,
                          replica->config.directory);
        return HF_ERROR_CLOSED;
    }
    log_info("raft.start",
             "node=%" PRIu64 " term=%" PRIu64 " snapshot=%" PRIu64
             " last=%" PRIu64,
             replica->config.id, term, replica->snapshot.index,
             entries_last(&replica->log));
    int rv = core_start(replica->core, now_ms, &start, &update);
    replica->started = true;
    replica_absorb(replica, rv, &update, NULL);
    replica_pump(replica);
    return replica->failed ? HF_ERROR_CLOSED : 0;
}
