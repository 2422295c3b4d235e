/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/recover.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/hash.h"
#include "raft/home.h"
#include "raft/message.h"
#include "raft/snapshot_store.h"
#include "raft/term_store.h"

#include <inttypes.h>
#include <string.h>

/* A directory, opened as at a start. */
struct opened {
    struct log_visitor visitor;
    struct recover_position *position;
    struct home_options home;
    struct file *lock;
    struct term_store *term_store;
    struct log_store *log_store;
    uint64_t vote;
    uint64_t chain; /* Of the last entry. */
    bool members_bad;
};

static void take_members(struct opened *opened, uint64_t index,
                         const uint8_t *data, size_t len)
{
    if (!members_check(data, len)) {
        opened->members_bad = true;
        return;
    }
    members_decode(&opened->position->members, data, len);
    opened->position->members_index = index;
}

static void begin(struct log_visitor *visitor, uint64_t first_index,
                  uint64_t chain)
{
    struct opened *opened = container_of(visitor, struct opened, visitor);
    opened->position->last_index = first_index - 1;
    opened->chain = chain;
}

static void visit(struct log_visitor *visitor, const struct record *record)
{
    struct opened *opened = container_of(visitor, struct opened, visitor);
    struct recover_position *position = opened->position;
    position->last_index = record->index;
    position->last_term = record->term;
    opened->chain = record->chain;
    if (record->type == RECORD_MEMBERS &&
        record->index > position->members_index) {
        take_members(opened, record->index, record->data, record->len);
    }
}

static int open_snapshot(struct opened *opened, struct failure *failure)
{
    struct snapshot_store store = {.files = opened->home.log.files,
                                   .directory = opened->home.log.directory};
    struct snapshot_inventory inventory;
    struct recover_position *position = opened->position;
    int rv = snapshot_store_open(&store, &inventory, failure);
    if (rv != 0 || !inventory.any) {
        return rv;
    }
    if (inventory.installing) {
        return failure_set(failure, REPLICA_FAILED_CONFIG,
                           "%s holds a snapshot that is not installed yet: "
                           "start the node once, and stop it",
                           store.directory);
    }
    position->snapshot_index = inventory.newest.index;
    position->last_term = inventory.newest.term; /* Of an empty log. */
    take_members(opened, inventory.newest.members_index,
                 inventory.newest.members, inventory.newest.members_len);
    return 0;
}

static int check_whole(const struct opened *opened, struct failure *failure)
{
    const struct recover_position *position = opened->position;
    if (opened->members_bad ||
        position->last_index < position->snapshot_index) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s: log and snapshot do not fit each other, or "
                           "have no valid members" FAILURE_CURE_REJOIN,
                           opened->home.log.directory);
    }
    if (position->members.count == 0) {
        return failure_set(failure, REPLICA_FAILED_CONFIG,
                           "%s is of a node that joins, to which nothing has "
                           "come yet: it knows of no member",
                           opened->home.log.directory);
    }
    return 0;
}

static int open_home(struct opened *opened, struct failure *failure)
{
    bool exists;
    bool joins;
    int rv = home_lock(&opened->home, &opened->lock, failure);
    if (rv == 0) {
        rv = home_exists(&opened->home, &exists, failure);
    }
    if (rv == 0 && !exists) {
        rv = failure_set(failure, REPLICA_FAILED_CONFIG, "%s is not there",
                         opened->home.log.directory);
    }
    return rv == 0 ? home_open(&opened->home, &joins, failure) : rv;
}

static int open_all(struct opened *opened,
                    const struct recover_options *options,
                    struct recover_position *position, struct failure *failure)
{
    const struct log_store_options log = {
        .files = options->files,
        .directory = options->directory,
        .segment_bytes = options->segment_bytes,
        .region_hash = hash_bytes(options->region, strlen(options->region), 0),
        .node_id = options->id};
    *opened = (struct opened){
        .visitor = {.begin = begin, .visit = visit},
        .position = position,
        .home = {.log = log, .region = options->region},
    };
    memset(position, 0, sizeof *position);
    members_init(&position->members);
    int rv = open_home(opened, failure);
    if (rv != 0) {
        return rv;
    }
    opened->term_store =
        term_store_open(options->files, options->directory, &position->term,
                        &opened->vote, failure);
    if (opened->term_store == NULL) {
        return HF_ERROR_IO;
    }
    rv = open_snapshot(opened, failure);
    if (rv != 0) {
        return rv;
    }
    opened->log_store =
        log_store_open(&opened->home.log, &opened->visitor, failure);
    return opened->log_store == NULL ? HF_ERROR_CORRUPT
                                     : check_whole(opened, failure);
}

static void close_all(struct opened *opened)
{
    log_store_close(opened->log_store);
    term_store_close(opened->term_store);
    file_close(opened->lock);
}

int recover_inspect(const struct recover_options *options,
                    struct recover_position *position, struct failure *failure)
{
    struct opened opened;
    int rv = open_all(&opened, options, position, failure);
    close_all(&opened);
    return rv;
}

static int append_members(struct opened *opened, uint64_t term,
                          const struct bytes *members, struct failure *failure)
{
    uint64_t index = opened->position->last_index + 1;
    struct bytes encoded;
    struct entry entry = {
        .term = term, .type = ENTRY_MEMBERS, .len = (uint32_t)members->len};
    entry.data = members->data; /* Lent. */
    struct record record = {.type = RECORD_MEMBERS,
                            .index = index,
                            .term = term,
                            .synced = opened->position->last_index,
                            .chain = entry_chain(opened->chain, index, &entry),
                            .data = members->data,
                            .len = (uint32_t)members->len};
    bytes_init(&encoded);
    record_append(&encoded, &record);
    struct log_append append = {.data = encoded.data,
                                .len = encoded.len,
                                .index = index,
                                .chain_previous = opened->chain};
    int rv = log_store_append(opened->log_store, &append, failure);
    if (rv == 0) {
        rv = log_store_sync(opened->log_store, failure);
    }
    bytes_close(&encoded);
    return rv;
}

int recover_write(const struct recover_options *options,
                  const struct members *members, struct failure *failure)
{
    struct recover_position position;
    struct opened opened;
    struct members next;
    struct bytes encoded;
    const struct member *self = members_get(members, options->id);
    CHECK(self != NULL && self->role == REPLICA_VOTER);
    members_init(&next);
    next.generation = members->generation + 1;
    next.id_max = members->id_max;
    next.items[next.count++] = *self;
    bytes_init(&encoded);
    members_encode(&next, &encoded);
    int rv = open_all(&opened, options, &position, failure);
    /* A term of its own: no entry of the others' can be taken for this one. It
     * is on disk before the entry, as for every leader. */
    if (rv == 0) {
        CHECK(position.members.generation == members->generation);
        rv = term_store_set(opened.term_store, position.term + 1, options->id,
                            failure);
    }
    if (rv == 0) {
        rv = append_members(&opened, position.term + 1, &encoded, failure);
    }
    close_all(&opened);
    bytes_close(&encoded);
    return rv;
}
