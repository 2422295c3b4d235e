/* SPDX-License-Identifier: Apache-2.0
 *
 * What comes from other members. Before the core sees a message, it is made
 * sure that the message keeps the rules that libraft only asserts, and in
 * Debian's build does not check at all. Each guard names the harm it keeps
 * off. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/log.h"

#include <inttypes.h>

/* The same strange chain hash, sent again so often, is no accident of one
 * message. */
#define STRANGE_MAX 3

static void refuse(struct replica *replica, uint64_t from, const char *why)
{
    replica->messages_bad++;
    log_debug("raft.refused", "from=%" PRIu64 " why=%s", from, why);
}

static void to_core(struct replica *replica, uint64_t from,
                    const struct message *message)
{
    struct core_update update;
    int rv =
        core_receive(replica->core, replica->now_ms, from, message, &update);
    replica_absorb(replica, rv, &update, message);
}

/* An append that begins before our log does: a leader that was away for long,
 * or a message that was. libraft looks up the entry before, finds nothing,
 * and would either refuse for ever or, for an append from the very first
 * entry on, put those entries behind the newest. All up to our snapshot is
 * committed, so every leader of this or a later term has it (Raft 3.6.3): the
 * append is taken as one from the snapshot on. */
static bool rebase(struct replica *replica, struct message *message)
{
    uint64_t previous = message->append.previous_index;
    uint64_t base = replica->snapshot.index;
    if (previous >= base || previous > replica->log.base_index) {
        return true;
    }
    uint64_t skip = base - previous;
    if (message->append.count >= skip) {
        if (message->append.entries[skip - 1].term != replica->snapshot.term) {
            return false;
        }
        message->append.entries += skip;
        message->append.count -= (size_t)skip;
    } else {
        message->append.count = 0;
    }
    message->append.previous_index = base;
    message->append.previous_term = replica->snapshot.term;
    return true;
}

/* Compares the chain hashes with those our log gives. */
static bool same_chain(struct replica *replica, const struct message *message)
{
    uint64_t index = message->append.previous_index;
    uint64_t chain = entries_chain(&replica->log, index);
    for (size_t i = 0; i < message->append.count; i++) {
        const struct entry *entry = &message->append.entries[i];
        index++;
        chain = entry_chain(chain, index, entry);
        if (chain == entry->chain) {
            continue;
        }
        if (replica->strange_index != index ||
            replica->strange_chain != entry->chain) {
            replica->strange_index = index;
            replica->strange_chain = entry->chain;
            replica->strange_count = 0;
        }
        replica->strange_count++;
        if (replica->strange_count >= STRANGE_MAX) {
            replica_fail_text(
                replica, REPLICA_FAILED_DIVERGED,
                "entry %" PRIu64
                " follows another log than the leader's" FAILURE_CURE_REJOIN,
                index);
        }
        return false;
    }
    replica->strange_count = 0;
    return true;
}

/* How many entries may be stepped at once: libraft notes the first new
 * entry's index as that of a change of members, so one must come first. */
static size_t part_of(const struct message *message)
{
    size_t n = message->append.count == 0 ? 0 : 1;
    while (n < message->append.count &&
           message->append.entries[n].type != ENTRY_MEMBERS) {
        n++;
    }
    return n;
}

static void append_parts(struct replica *replica, uint64_t from,
                         const struct message *message)
{
    struct message part = *message;
    struct message rest = *message;
    do {
        size_t n = part_of(&rest);
        part = rest;
        part.append.count = n;
        to_core(replica, from, &part);
        if (n > 0) {
            rest.append.previous_term = rest.append.entries[n - 1].term;
        }
        rest.append.previous_index += n;
        rest.append.entries += n;
        rest.append.count -= n;
    } while (rest.append.count > 0 && !replica->failed);
}

static void receive_append(struct replica *replica, uint64_t from,
                           struct message *message)
{
    uint64_t term = core_term(replica->core);
    if (message->term < term) {
        /* Only to be told our term. */
        message->append.count = 0;
        to_core(replica, from, message);
        return;
    }
    if (core_state(replica->core) == REPLICA_LEADER && message->term == term) {
        /* libraft would treat a leader's memory as a follower's. */
        log_error("raft.two_leaders",
                  "term=%" PRIu64 " self=%" PRIu64 " other=%" PRIu64, term,
                  replica->config.id, from);
        refuse(replica, from, "second_leader");
        return;
    }
    if (replica->leader_commit < message->append.commit_index) {
        replica->leader_commit = message->append.commit_index;
    }
    if (!rebase(replica, message)) {
        refuse(replica, from, "other_history");
        return;
    }
    uint64_t previous = message->append.previous_index;
    bool matches = previous == 0 || entries_term(&replica->log, previous) ==
                                        message->append.previous_term;
    if (previous == 0 && replica->log.base_index > 0) {
        refuse(replica, from, "before_snapshot");
        return;
    }
    if (!matches) {
        /* The core refuses it: nothing of it may be used, not in parts. */
        message->append.count = 0;
        to_core(replica, from, message);
        return;
    }
    if (!same_chain(replica, message)) {
        refuse(replica, from, "chain");
        return;
    }
    if (log_pending_bytes(replica) > PENDING_BYTES_MAX ||
        replica->incoming.state == INCOMING_INSTALLS) {
        message->append.count = 0; /* A heartbeat: the leader sends again. */
    }
    if (replica->verified_term != message->term) {
        replica->verified_term = message->term;
        replica->verified_index = 0;
    }
    if (replica->verified_index < previous + message->append.count) {
        replica->verified_index = previous + message->append.count;
    }
    append_parts(replica, from, message);
}

static void receive_append_result(struct replica *replica, uint64_t from,
                                  struct message *message)
{
    /* An answer to a message of an earlier term speaks of that term's log. */
    if (message->term == core_term(replica->core) &&
        message->append_result.request_term != message->term) {
        return;
    }
    /* A refusal of what has matched since is late; two streams of one peer can
     * overtake each other. libraft 0.22.1 ignores it while it pipelines, but
     * while it probes it steps back below the match and stays there: no answer
     * raises the match, so it never sends another entry. Taken as the answer
     * to a heartbeat it still says that the member is there. */
    if (message->append_result.rejected_index > 0 &&
        message->append_result.rejected_index <=
            core_match(replica->core, from)) {
        message->append_result.rejected_index = 0;
    }
    to_core(replica, from, message);
}

static void receive_vote_result(struct replica *replica, uint64_t from,
                                const struct message *message)
{
    /* Elsewhere libraft reads the candidate's part of a union that then holds
     * something else, and may raise its term for a late answer. */
    if (core_state(replica->core) == REPLICA_CANDIDATE) {
        to_core(replica, from, message);
    }
}

static void receive_timeout_now(struct replica *replica, uint64_t from,
                                const struct message *message)
{
    if (message->term == core_term(replica->core)) {
        to_core(replica, from, message);
    }
}

static void dispatch(struct replica *replica, uint64_t from,
                     struct message *message)
{
    switch (message->type) {
    case MESSAGE_REQUEST_VOTE:
        to_core(replica, from, message);
        return;
    case MESSAGE_REQUEST_VOTE_RESULT:
        receive_vote_result(replica, from, message);
        return;
    case MESSAGE_APPEND:
        receive_append(replica, from, message);
        return;
    case MESSAGE_APPEND_RESULT:
        receive_append_result(replica, from, message);
        return;
    case MESSAGE_SNAPSHOT_CHUNK:
        incoming_chunk(replica, from, message);
        return;
    case MESSAGE_SNAPSHOT_CHUNK_RESULT:
        if (message->term == core_term(replica->core)) {
            sender_result(replica, from, message);
        }
        return;
    case MESSAGE_TIMEOUT_NOW:
        receive_timeout_now(replica, from, message);
        return;
    case MESSAGE_PROBE:
        probe_answer(replica, from, message);
        return;
    case MESSAGE_PROBE_RESULT:
        probe_result(replica, from, message);
        return;
    }
}

void replica_receive(struct replica *replica, uint64_t from,
                     const uint8_t *data, size_t len, uint64_t now_ms)
{
    struct message message;
    if (replica->failed || replica->stopped || !replica->started) {
        return;
    }
    CHECK(!replica->pumping);
    replica->pumping = true;
    replica_clock(replica, now_ms);
    arena_clear(&replica->arena);
    if (!members_hear(replica, from)) {
        refuse(replica, from, "not_a_member");
    } else if (message_decode(&message, &replica->arena, data, len) != 0) {
        refuse(replica, from, "malformed");
    } else if (message.term > core_term(replica->core) + RAFT_TERM_LEAP_MAX) {
        refuse(replica, from, "term_leap");
    } else {
        dispatch(replica, from, &message);
    }
    replica->pumping = false;
    replica_pump(replica);
}
