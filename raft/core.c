/* SPDX-License-Identifier: Apache-2.0
 *
 * Who owns what in libraft 0.22.1, found by reading its source; upstream
 * changed several of these later, so a new version means reading again:
 *
 * START               metadata lent, its configuration taken; entries lent on
 *                     success, freed with their batches on error.
 * RECEIVE append      the array lent, the batch of its entries taken: freed by
 *                     the core, or, when update.entries is set, ours again.
 * RECEIVE install     conf and data taken, and leaked while another install
 *                     runs. We pass none of both.
 * SUBMIT              ours, before and after. update.entries points at the
 *                     array that was stepped.
 * election barrier    update.entries points into struct raft; the batch is
 *                     ours to free.
 * PERSISTED_SNAPSHOT, SNAPSHOT, CONFIGURATION   the configuration is taken.
 * update.messages     the core's, until the next step; their addresses point
 *                     into the configuration or into the received message, so
 *                     we look only at ids.
 *
 * Debian's build has libraft's assertions off, so what they state is checked
 * here or in receive.c. */
#include "raft/core.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

#include <raft.h>

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(RAFT_VERSION_NUMBER >= 2201 && RAFT_VERSION_NUMBER < 2300,
               "the ownership rules above are those of libraft 0.22");
_Static_assert((int)ENTRY_COMMAND == RAFT_COMMAND &&
                   (int)ENTRY_BARRIER == RAFT_BARRIER &&
                   (int)ENTRY_MEMBERS == RAFT_CHANGE,
               "entry types are libraft's");
_Static_assert((int)REPLICA_STANDBY == RAFT_STANDBY &&
                   (int)REPLICA_VOTER == RAFT_VOTER,
               "roles are libraft's");

struct core {
    struct raft raft;
    struct core_outgoing *messages;
    size_t message_capacity;
    char error[160];
};

struct core *core_create(const struct core_options *options)
{
    struct core *core = memory_alloc(sizeof *core);
    char address[32];
    /* Real addresses are the transport's: so a change of address needs no
     * change of members, and a difference in spelling between two nodes'
     * files cannot make their first entries differ. */
    snprintf(address, sizeof address, "node/%" PRIu64, options->id);
    CHECK(raft_init(&core->raft, NULL, NULL, options->id, address) == 0);
    /* Its tracer formats every message into a static buffer. */
    core->raft.tracer = NULL;
    /* raft_init() leaves the generator's state unset. */
    raft_seed(&core->raft, options->seed);
    raft_set_election_timeout(&core->raft, options->election_timeout_ms);
    raft_set_heartbeat_timeout(&core->raft, options->heartbeat_ms);
    raft_set_pre_vote(&core->raft, true);
    raft_set_max_inflight_entries(&core->raft, RAFT_INFLIGHT_ENTRIES);
    /* Otherwise each event must state the disk's capacity. */
    raft_set_capacity_threshold(&core->raft, 0);
    return core;
}

void core_destroy(struct core *core)
{
    if (core != NULL) {
        raft_close(&core->raft, NULL);
        free(core->messages);
        free(core);
    }
}

const char *core_error(const struct core *core)
{
    return core->error;
}

static void configuration_of(const uint8_t *members, size_t len,
                             struct raft_configuration *configuration)
{
    struct raft_buffer buffer = {.len = len};
    CHECK(members_check(members, len));
    memcpy(&buffer.base, &members, sizeof members);
    CHECK(raft_configuration_decode(&buffer, configuration) == 0);
}

static void metadata_of(const struct snapshot_manifest *manifest,
                        struct raft_snapshot_metadata *metadata)
{
    metadata->index = manifest->index;
    metadata->term = manifest->term;
    metadata->configuration_index = manifest->members_index;
    configuration_of(manifest->members, manifest->members_len,
                     &metadata->configuration);
}

void core_members_encode(const struct replica_member *members, size_t count,
                         struct bytes *out)
{
    struct raft_configuration configuration;
    struct raft_buffer buffer;
    raft_configuration_init(&configuration);
    for (size_t i = 0; i < count; i++) {
        char address[32];
        snprintf(address, sizeof address, "node/%" PRIu64, members[i].id);
        CHECK(raft_configuration_add(&configuration, members[i].id, address,
                                     (int)members[i].role) == 0);
    }
    CHECK(raft_configuration_encode(&configuration, &buffer) == 0);
    bytes_append(out, buffer.base, buffer.len);
    raft_free(buffer.base);
    raft_configuration_close(&configuration);
    CHECK(members_check(out->data, out->len));
}

static void translate_result(const struct raft_append_entries_result *from,
                             struct message *to)
{
    to->type = MESSAGE_APPEND_RESULT;
    to->term = from->term;
    to->append_result.request_term = from->term;
    to->append_result.rejected_index = from->rejected;
    to->append_result.last_index = from->last_log_index;
}

static void translate_append(const struct raft_append_entries *from,
                             struct message *to)
{
    to->type = MESSAGE_APPEND;
    to->term = from->term;
    to->append.previous_index = from->prev_log_index;
    to->append.previous_term = from->prev_log_term;
    to->append.commit_index = from->leader_commit;
    to->append.count = from->n_entries;
}

static void translate_vote(const struct raft_request_vote *from,
                           struct message *to)
{
    to->type = MESSAGE_REQUEST_VOTE;
    to->term = from->term;
    to->vote.last_index = from->last_log_index;
    to->vote.last_term = from->last_log_term;
    to->vote.pre_vote = from->pre_vote;
    to->vote.disrupt_leader = from->disrupt_leader;
}

static void translate(const struct raft_message *from, struct core_outgoing *to)
{
    memset(to, 0, sizeof *to);
    to->to = from->server_id;
    switch (from->type) {
    case RAFT_APPEND_ENTRIES:
        translate_append(&from->append_entries, &to->message);
        return;
    case RAFT_APPEND_ENTRIES_RESULT:
        translate_result(&from->append_entries_result, &to->message);
        return;
    case RAFT_REQUEST_VOTE:
        translate_vote(&from->request_vote, &to->message);
        return;
    case RAFT_REQUEST_VOTE_RESULT:
        to->message.type = MESSAGE_REQUEST_VOTE_RESULT;
        to->message.term = from->request_vote_result.term;
        to->message.vote_result.granted =
            from->request_vote_result.vote_granted;
        to->message.vote_result.pre_vote = from->request_vote_result.pre_vote;
        return;
    case RAFT_INSTALL_SNAPSHOT:
        to->snapshot = true;
        return;
    case RAFT_TIMEOUT_NOW:
        to->message.type = MESSAGE_TIMEOUT_NOW;
        to->message.term = from->timeout_now.term;
        to->message.timeout_now.last_index = from->timeout_now.last_log_index;
        to->message.timeout_now.last_term = from->timeout_now.last_log_term;
        return;
    }
    CHECK_UNREACHABLE("a message of libraft 0.22");
}

/* One raft_step(), its update in our types. */
static int step(struct core *core, uint64_t now_ms, struct raft_event *event,
                struct core_update *update)
{
    struct raft_update out;
    memset(update, 0, sizeof *update);
    memset(&out, 0, sizeof out);
    event->time = now_ms;
    /* The core subtracts times without looking which is later. */
    CHECK(now_ms >= core->raft.now);
    int rv = raft_step(&core->raft, event, &out);
    if (rv == RAFT_NOTLEADER) {
        return HF_ERROR_NOT_LEADER;
    }
    if (rv == RAFT_NOTFOUND || rv == RAFT_BADID) {
        return HF_ERROR_NOT_FOUND;
    }
    if (rv == RAFT_CANTCHANGE) {
        return HF_ERROR_BUSY;
    }
    if (rv != 0) {
        snprintf(core->error, sizeof core->error,
                 "event %d, state %s, term %llu, commit %llu: %s",
                 (int)event->type, raft_state_name((int)core->raft.state),
                 raft_current_term(&core->raft), raft_commit_index(&core->raft),
                 raft_strerror(rv));
        return HF_ERROR_CORRUPT;
    }
    update->vote_changed = (out.flags & (RAFT_UPDATE_CURRENT_TERM)) != 0 ||
                           (out.flags & (RAFT_UPDATE_VOTED_FOR)) != 0;
    update->state_changed = (out.flags & (RAFT_UPDATE_STATE)) != 0;
    update->commit_changed = (out.flags & (RAFT_UPDATE_COMMIT_INDEX)) != 0;
    update->install = (out.flags & (RAFT_UPDATE_SNAPSHOT)) != 0;
    if ((out.flags & (RAFT_UPDATE_ENTRIES)) != 0) {
        CHECK(out.entries.n > 0 && out.entries.batch != NULL);
        update->first_index = out.entries.index;
        update->entry_count = out.entries.n;
        update->barrier = out.entries.batch == &core->raft.barrier;
        if (event->type != RAFT_SUBMIT) {
            raft_free(out.entries.batch[0].batch);
        }
    }
    size_t count =
        (out.flags & (RAFT_UPDATE_MESSAGES)) != 0 ? out.messages.n : 0;
    if (count > core->message_capacity) {
        core->messages =
            memory_realloc_array(core->messages, count, sizeof *core->messages);
        core->message_capacity = count;
    }
    for (size_t i = 0; i < count; i++) {
        translate(&out.messages.batch[i], &core->messages[i]);
    }
    update->messages = core->messages;
    update->message_count = count;
    return 0;
}

/* The core wants a batch with entries that it did not make: a token, for the
 * payload stays outside. */
static void *batch_token(void)
{
    void *token = raft_malloc(1);
    CHECK(token != NULL);
    return token;
}

static void fill_entry(struct raft_entry *to, const struct entry *from,
                       void *batch)
{
    memset(to, 0, sizeof *to);
    to->term = from->term;
    to->type = (enum raft_entry_type)from->type;
    to->batch = batch;
    if (from->type == ENTRY_MEMBERS) {
        CHECK(members_check(from->data, from->len));
        to->buf.base = from->data; /* Lent: the core decodes it at once. */
        to->buf.len = from->len;
    }
}

int core_start(struct core *core, uint64_t now_ms,
               const struct core_start *start, struct core_update *update)
{
    struct raft_event event = {.type = RAFT_START};
    struct raft_snapshot_metadata metadata;
    const struct entries *log = start->entries;
    struct raft_entry *entries = NULL;
    /* The core forgets entries below a gap and asks for none. */
    CHECK(entries_first(log) <= start->snapshot->index + 1);
    CHECK(log->count <= UINT_MAX);
    if (log->count > 0) {
        entries = memory_alloc_array(log->count, sizeof *entries);
    }
    for (size_t i = 0; i < log->count; i++) {
        fill_entry(&entries[i], entries_get(log, entries_first(log) + i), NULL);
    }
    event.start.term = start->term;
    event.start.voted_for = start->vote;
    event.start.start_index = entries_first(log);
    event.start.entries = entries;
    event.start.n_entries = (unsigned)log->count;
    if (start->snapshot->index > 0) {
        metadata_of(start->snapshot, &metadata);
        event.start.metadata = &metadata;
    }
    int rv = step(core, now_ms, &event, update);
    if (rv == 0) {
        free(entries);
    }
    return rv;
}

/* A voter that hears nothing becomes a candidate, and has no leader then.
 * libraft lets a standby have its own for ever: it would name a leader that is
 * long gone, and refuse its vote to whoever wants to be the next, see
 * receive_request_vote(). */
static void forget_leader(struct core *core)
{
    const struct raft_configuration *members = &core->raft.configuration;
    if (core->raft.state != RAFT_FOLLOWER) {
        return;
    }
    for (size_t i = 0; i < members->n; i++) {
        if (members->servers[i].id == core->raft.id &&
            members->servers[i].role == RAFT_VOTER) {
            return; /* It stays for a reason: a write or a snapshot. */
        }
    }
    raft_free(core->raft.follower_state.current_leader.address);
    core->raft.follower_state.current_leader.address = NULL;
    core->raft.follower_state.current_leader.id = 0;
}

int core_timeout(struct core *core, uint64_t now_ms, struct core_update *update)
{
    struct raft_event event = {.type = RAFT_TIMEOUT};
    bool silent = now_ms >= core_deadline(core);
    int rv = step(core, now_ms, &event, update);
    if (rv == 0 && silent) {
        forget_leader(core);
    }
    return rv;
}

static int receive_append(struct core *core, uint64_t now_ms,
                          struct raft_message *wire,
                          const struct message *message,
                          struct core_update *update)
{
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = wire};
    struct raft_entry *entries = NULL;
    size_t count = message->append.count;
    if (count > 0) {
        void *token = batch_token();
        entries = memory_alloc_array(count, sizeof *entries);
        for (size_t i = 0; i < count; i++) {
            const struct entry *entry = &message->append.entries[i];
            /* The core notes the index of the first new entry as that of a
             * change of members, wherever it stands. */
            CHECK(i == 0 || entry->type != ENTRY_MEMBERS);
            fill_entry(&entries[i], entry, token);
        }
    }
    wire->type = RAFT_APPEND_ENTRIES;
    wire->append_entries.term = message->term;
    wire->append_entries.prev_log_index = message->append.previous_index;
    wire->append_entries.prev_log_term = message->append.previous_term;
    wire->append_entries.leader_commit = message->append.commit_index;
    wire->append_entries.entries = entries;
    wire->append_entries.n_entries = (unsigned)count;
    int rv = step(core, now_ms, &event, update);
    free(entries);
    return rv;
}

/* Whether a vote counts is the candidate's to judge, by its own configuration
 * (Raft 4.1). libraft refuses votes where the own configuration has no voter of
 * that id; but the entry that makes it one may be on its way. With it lost,
 * voters that are well and together are a majority would elect nobody: those
 * that have the entry need this vote, and nobody else's log is as new. So for
 * the step, which looks at the own role only, a standby is taken for a voter.
 */
static int receive_request_vote(struct core *core, uint64_t now_ms,
                                struct raft_event *event,
                                struct core_update *update)
{
    struct raft_configuration *members = &core->raft.configuration;
    struct raft_server *self = NULL;
    int role = RAFT_VOTER;
    for (size_t i = 0; i < members->n; i++) {
        if (members->servers[i].id == core->raft.id) {
            self = &members->servers[i];
        }
    }
    if (self != NULL) {
        role = self->role;
        self->role = RAFT_VOTER;
    }
    int rv = step(core, now_ms, event, update);
    if (self != NULL) {
        self->role = role;
    }
    return rv;
}

int core_receive(struct core *core, uint64_t now_ms, uint64_t from,
                 const struct message *message, struct core_update *update)
{
    struct raft_message wire;
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = &wire};
    char address[32];
    memset(&wire, 0, sizeof wire);
    snprintf(address, sizeof address, "node/%" PRIu64, from);
    wire.server_id = from;
    wire.server_address = address;
    switch (message->type) {
    case MESSAGE_APPEND:
        return receive_append(core, now_ms, &wire, message, update);
    case MESSAGE_APPEND_RESULT:
        wire.type = RAFT_APPEND_ENTRIES_RESULT;
        wire.append_entries_result.version = 2;
        wire.append_entries_result.term = message->term;
        wire.append_entries_result.rejected =
            message->append_result.rejected_index;
        wire.append_entries_result.last_log_index =
            message->append_result.last_index;
        break;
    case MESSAGE_REQUEST_VOTE:
        wire.type = RAFT_REQUEST_VOTE;
        wire.request_vote.version = 2;
        wire.request_vote.term = message->term;
        wire.request_vote.candidate_id = from;
        wire.request_vote.last_log_index = message->vote.last_index;
        wire.request_vote.last_log_term = message->vote.last_term;
        wire.request_vote.disrupt_leader = message->vote.disrupt_leader;
        wire.request_vote.pre_vote = message->vote.pre_vote;
        return receive_request_vote(core, now_ms, &event, update);
    case MESSAGE_REQUEST_VOTE_RESULT:
        wire.type = RAFT_REQUEST_VOTE_RESULT;
        wire.request_vote_result.version = 2;
        wire.request_vote_result.term = message->term;
        wire.request_vote_result.vote_granted = message->vote_result.granted;
        wire.request_vote_result.pre_vote = message->vote_result.pre_vote;
        break;
    case MESSAGE_TIMEOUT_NOW:
        wire.type = RAFT_TIMEOUT_NOW;
        wire.timeout_now.term = message->term;
        wire.timeout_now.last_log_index = message->timeout_now.last_index;
        wire.timeout_now.last_log_term = message->timeout_now.last_term;
        break;
    case MESSAGE_SNAPSHOT_CHUNK:
    case MESSAGE_SNAPSHOT_CHUNK_RESULT:
    default:
        CHECK_UNREACHABLE("a message for the core");
    }
    return step(core, now_ms, &event, update);
}

int core_install(struct core *core, uint64_t now_ms, uint64_t leader,
                 const struct snapshot_manifest *manifest,
                 struct core_update *update)
{
    struct raft_message wire;
    struct raft_event event = {.type = RAFT_RECEIVE, .receive.message = &wire};
    char address[32];
    CHECK(!core->raft.snapshot.installing);
    memset(&wire, 0, sizeof wire);
    snprintf(address, sizeof address, "node/%" PRIu64, leader);
    wire.type = RAFT_INSTALL_SNAPSHOT;
    wire.server_id = leader;
    wire.server_address = address;
    wire.install_snapshot.term = core_term(core);
    wire.install_snapshot.last_index = manifest->index;
    wire.install_snapshot.last_term = manifest->term;
    wire.install_snapshot.conf_index = manifest->members_index;
    return step(core, now_ms, &event, update);
}

int core_installed(struct core *core, uint64_t now_ms,
                   const struct snapshot_manifest *manifest,
                   struct core_update *update)
{
    struct raft_event event = {.type = RAFT_PERSISTED_SNAPSHOT};
    CHECK(core->raft.snapshot.installing);
    CHECK(core->raft.state == RAFT_FOLLOWER);
    metadata_of(manifest, &event.persisted_snapshot.metadata);
    event.persisted_snapshot.last = true;
    return step(core, now_ms, &event, update);
}

int core_persisted(struct core *core, uint64_t now_ms, uint64_t index,
                   struct core_update *update)
{
    struct raft_event event = {.type = RAFT_PERSISTED_ENTRIES,
                               .persisted_entries.index = index};
    CHECK(index > core->raft.last_stored && index <= core_last(core));
    /* As a candidate this would be an error: the core becomes one only when
     * all its entries are on disk. */
    CHECK(core->raft.state != RAFT_CANDIDATE);
    return step(core, now_ms, &event, update);
}

/* A change of members takes effect in the core with this step, and is rolled
 * back there if another leader's entries replace it. */
int core_submit(struct core *core, uint64_t now_ms, const struct entry *entry,
                struct core_update *update)
{
    struct raft_entry wire;
    struct raft_event event = {.type = RAFT_SUBMIT};
    fill_entry(&wire, entry, batch_token());
    wire.term = core_term(core);
    event.submit.entries = &wire;
    event.submit.n = 1;
    int rv = step(core, now_ms, &event, update);
    raft_free(wire.batch);
    CHECK(rv != 0 || (update->entry_count == 1 && !update->barrier));
    return rv;
}

int core_members_committed(struct core *core, uint64_t now_ms, uint64_t index,
                           const uint8_t *members, size_t len,
                           struct core_update *update)
{
    struct raft_event event = {.type = RAFT_CONFIGURATION};
    event.configuration.index = index;
    configuration_of(members, len, &event.configuration.conf);
    return step(core, now_ms, &event, update);
}

int core_snapshot_taken(struct core *core, uint64_t now_ms,
                        const struct snapshot_manifest *manifest,
                        uint32_t trailing, struct core_update *update)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT,
                               .snapshot.trailing = trailing};
    CHECK(!core->raft.snapshot.installing);
    CHECK(manifest->index > core->raft.trail.snapshot.index &&
          manifest->index <= core_last(core) &&
          manifest->index > core->raft.trail.offset);
    metadata_of(manifest, &event.snapshot.metadata);
    return step(core, now_ms, &event, update);
}

int core_transfer(struct core *core, uint64_t now_ms, uint64_t to,
                  struct core_update *update)
{
    struct raft_event event = {.type = RAFT_TRANSFER, .transfer.server_id = to};
    return step(core, now_ms, &event, update);
}

enum replica_state core_state(const struct core *core)
{
    switch (core->raft.state) {
    case RAFT_LEADER:
        return REPLICA_LEADER;
    case RAFT_CANDIDATE:
        return REPLICA_CANDIDATE;
    default:
        return REPLICA_FOLLOWER;
    }
}

uint64_t core_term(const struct core *core)
{
    return raft_current_term(&core->raft);
}

uint64_t core_vote(const struct core *core)
{
    return raft_voted_for(&core->raft);
}

uint64_t core_leader(const struct core *core)
{
    switch (core->raft.state) {
    case RAFT_LEADER:
        return core->raft.id;
    case RAFT_FOLLOWER:
        return core->raft.follower_state.current_leader.id;
    default:
        return 0;
    }
}

uint64_t core_commit(const struct core *core)
{
    return raft_commit_index(&core->raft);
}

uint64_t core_last(struct core *core)
{
    return raft_last_index(&core->raft);
}

uint64_t core_first(const struct core *core)
{
    return core->raft.trail.offset + 1;
}

uint64_t core_stored(const struct core *core)
{
    return core->raft.last_stored;
}

uint64_t core_deadline(const struct core *core)
{
    return raft_timeout(&core->raft);
}

uint64_t core_transferee(const struct core *core)
{
    return raft_transferee(&core->raft);
}

bool core_members(const struct core *core, struct bytes *out)
{
    struct raft_buffer buffer;
    if (core->raft.configuration.n == 0) {
        return false;
    }
    CHECK(raft_configuration_encode(&core->raft.configuration, &buffer) == 0);
    bytes_append(out, buffer.base, buffer.len);
    raft_free(buffer.base);
    return true;
}

struct core_members_version core_members_version(const struct core *core)
{
    return (struct core_members_version){
        core->raft.configuration_committed_index,
        core->raft.configuration_uncommitted_index};
}

size_t core_member_count(const struct core *core)
{
    return core->raft.configuration.n;
}

uint64_t core_member_id(const struct core *core, size_t i)
{
    CHECK(i < core->raft.configuration.n);
    return core->raft.configuration.servers[i].id;
}

enum replica_role core_member_role(const struct core *core, size_t i)
{
    CHECK(i < core->raft.configuration.n);
    return core->raft.configuration.servers[i].role == RAFT_VOTER
               ? REPLICA_VOTER
               : REPLICA_STANDBY;
}

bool core_is_member(const struct core *core, uint64_t id)
{
    for (size_t i = 0; i < core->raft.configuration.n; i++) {
        if (core->raft.configuration.servers[i].id == id) {
            return true;
        }
    }
    return false;
}

uint64_t core_match(const struct core *core, uint64_t id)
{
    raft_index index = 0;
    return raft_match_index(&core->raft, id, &index) == 0 ? index : 0;
}
