/* SPDX-License-Identifier: Apache-2.0
 *
 * The adapter around libraft's event core: the only place that includes
 * <raft.h>. Events go in, one function each; a core_update comes out, in our
 * own types. The core does no I/O and reads no clock.
 *
 * No payload ever enters the core: of an entry it needs the term, the type,
 * and the bytes only if it changes the members. So its rules of who frees
 * which buffer, which differ from event to event in 0.22.1, concern only
 * small things that are made and freed in core.c; each is explained there. */
#ifndef RAFT_CORE_H
#define RAFT_CORE_H

#include "base/bytes.h"
#include "raft/message.h"
#include "raft/replica.h"
#include "raft/snapshot_manifest.h"

struct core;

struct core_options {
    uint64_t id;
    uint32_t election_timeout_ms;
    uint32_t heartbeat_ms;
    uint32_t seed;
};

/* What to do after a step, in this order: */
struct core_update {
    /* Term and vote changed: on disk before any message of this or a later
     * update leaves. */
    bool vote_changed;

    /* Entries to append from `first_index` on, in place of what is there now;
     * count 0: none. They are the last `entry_count` of those that were
     * stepped, or the barrier of a new leader, which nobody stepped. */
    uint64_t first_index;
    size_t entry_count;
    bool barrier;

    /* The snapshot of the step must be installed. */
    bool install;

    bool state_changed;
    bool commit_changed;

    /* To send; appends without their entries: `count` of them follow
     * previous_index. Lent until the next step. */
    const struct core_outgoing *messages;
    size_t message_count;
};

struct core_outgoing {
    uint64_t to;
    bool snapshot; /* Not a message: `to` needs the newest snapshot. */
    struct message message;
};

struct core *core_create(const struct core_options *options);
void core_destroy(struct core *core);

/* The configuration of members, as it stands in entries. */
void core_members_encode(const struct replica_member *members, size_t count,
                         struct bytes *out);

/* All steps return 0, HF_ERROR_NOT_LEADER, HF_ERROR_NOT_FOUND (transfer) or
 * HF_ERROR_BUSY (submit); anything else of libraft's is fatal and returned as
 * HF_ERROR_CORRUPT, with core_error() saying what. */
const char *core_error(const struct core *core);

/* First step: what is on disk. `entries` are those behind its base; without a
 * snapshot its index is 0. */
struct core_start {
    uint64_t term;
    uint64_t vote;
    const struct snapshot_manifest *snapshot;
    const struct entries *entries;
};
int core_start(struct core *core, uint64_t now_ms,
               const struct core_start *start, struct core_update *update);

int core_timeout(struct core *core, uint64_t now_ms,
                 struct core_update *update);

/* Any message but snapshot chunks and their results; checked and prepared by
 * receive.c. At most the first entry may be of ENTRY_MEMBERS. */
int core_receive(struct core *core, uint64_t now_ms, uint64_t from,
                 const struct message *message, struct core_update *update);

/* A whole snapshot of the current leader has arrived. If `update` says
 * install: core_installed() when it is on disk and restored. */
int core_install(struct core *core, uint64_t now_ms, uint64_t leader,
                 const struct snapshot_manifest *manifest,
                 struct core_update *update);
int core_installed(struct core *core, uint64_t now_ms,
                   const struct snapshot_manifest *manifest,
                   struct core_update *update);

/* All entries up to `index` are on disk. */
int core_persisted(struct core *core, uint64_t now_ms, uint64_t index,
                   struct core_update *update);

/* Of `entry`, type and, if it changes the members, the bytes are looked at.
 * HF_ERROR_BUSY: another change of members is not committed yet. */
int core_submit(struct core *core, uint64_t now_ms, const struct entry *entry,
                struct core_update *update);

/* The ENTRY_MEMBERS at `index` is committed. */
int core_members_committed(struct core *core, uint64_t now_ms, uint64_t index,
                           const uint8_t *members, size_t len,
                           struct core_update *update);

/* An own snapshot is on disk, the log starts behind its index - trailing. */
int core_snapshot_taken(struct core *core, uint64_t now_ms,
                        const struct snapshot_manifest *manifest,
                        uint32_t trailing, struct core_update *update);

int core_transfer(struct core *core, uint64_t now_ms, uint64_t to,
                  struct core_update *update);

enum replica_state core_state(const struct core *core);
uint64_t core_term(const struct core *core);
uint64_t core_vote(const struct core *core);
uint64_t core_leader(const struct core *core);
uint64_t core_commit(const struct core *core);
uint64_t core_last(struct core *core); /* libraft wants it writable. */
uint64_t core_first(const struct core *core);
uint64_t core_stored(const struct core *core);
uint64_t core_deadline(const struct core *core);
uint64_t core_transferee(const struct core *core);

/* The current configuration, committed or not, as it stands in entries; false:
 * there is none yet. */
bool core_members(const struct core *core, struct bytes *out);

/* Differs when the configuration does, or whether it is committed. */
struct core_members_version {
    uint64_t committed_index;
    uint64_t uncommitted_index; /* 0: it is committed. */
};
struct core_members_version core_members_version(const struct core *core);

/* Of the current configuration, committed or not. */
size_t core_member_count(const struct core *core);
uint64_t core_member_id(const struct core *core, size_t i);
enum replica_role core_member_role(const struct core *core, size_t i);
bool core_is_member(const struct core *core, uint64_t id);

/* On the leader: what `id` has on its disk; else 0. */
uint64_t core_match(const struct core *core, uint64_t id);

#endif
