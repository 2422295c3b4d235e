/* SPDX-License-Identifier: Apache-2.0
 *
 * One member of a region's raft group: keeps the log and the snapshots of the
 * replicated state, elects leaders, and hands committed entries in order to
 * its owner. The consensus itself is libraft's core (cowsql/raft 0.22, stepped
 * by events); files, threads, network and time come in from outside, so the
 * same code runs in holdfastd and in the simulator.
 *
 * The life of an entry: replica_submit() on the leader -> written to the own
 * disk and sent to the members, both at once -> on disk at a majority:
 * committed -> owner->apply() on every member -> the request's callback on the
 * leader. One entry is in flight at a time; it carries a whole turn.
 *
 * All functions are called on one thread. Callbacks come only out of
 * replica_start(), replica_tick() and replica_receive(), and may call any
 * function but these and replica_stop(), replica_destroy(). */
#ifndef RAFT_REPLICA_H
#define RAFT_REPLICA_H

#include "base/list.h"
#include "raft/files.h"
#include "raft/limits.h"
#include "raft/members.h"
#include "raft/snapshot.h"
#include "raft/storage.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct replica;
struct replica_owner;

/* A member of the first configuration. */
struct replica_member {
    uint64_t id; /* 1 to 2^63; never used again, also not after data loss. */
    const char *address; /* host:port; for the transport and for hints. */
    enum replica_role role;
};

/* Zero means the default, where one is named. All is copied. */
struct replica_config {
    const char *region;    /* Guards against mixing two regions. */
    uint64_t id;           /* The own one of `members`, unless it joins. */
    const char *directory; /* The replica's own; created at first start. */

    /* Makes the directory if it is not there. Only for the very first start: a
     * member whose data was lost would forget its votes and what it
     * acknowledged, and must not come back under its id. */
    bool bootstrap;

    /* At the first start: begin with an empty log and no members, in a region
     * that is there. All comes from its leader, once this id was added there
     * (replica_reconfigure()). Later starts do not look at it. */
    bool join;

    /* Of the first start; afterwards the replicated configuration counts. All
     * members must start with the same ids and roles. */
    const struct replica_member *members;
    size_t member_count; /* 1 to RAFT_MEMBERS_MAX; when it joins, also 0. */

    /* An election begins when no leader was heard of for 1 to 2 times this.
     * Default 300: the failover median was 0.55 s, against 1.8 s at 1000 and
     * 0.28 s at 150; but at 150 a restore of 100 MB (180 ms on the loop) made
     * leadership flap. 20 to 60,000. */
    uint32_t election_timeout_ms;

    /* The leader's silence at most. Default election_timeout_ms / 6, so that
     * five lost in a row still keep the leader. */
    uint32_t heartbeat_ms;

    uint64_t segment_bytes;    /* Of a log file; default 64 MiB. */
    uint64_t snapshot_entries; /* Applied since the last one; default 20,000. */
    uint64_t snapshot_bytes;   /* Of entries since then; default 64 MiB. */

    /* Entries before a snapshot that stay in memory, so that a member a bit
     * behind needs no snapshot; default 4096, and no more than half of
     * snapshot_bytes. */
    uint64_t trailing_entries;

    /* A leader whose log writes take longer than this on average, while a
     * majority of others is at least twice as fast, hands leadership over:
     * libraft would keep it, and the region would run at the speed of its worst
     * disk. Default 200; UINT32_MAX switches it off. */
    uint32_t slow_disk_ms;

    uint64_t seed; /* For election timeouts; different on every member. */
};

/* Sends to a member, best effort: may lose, reorder and duplicate. */
struct replica_transport {
    /* `data` is lent for the call: one encoded holdfast.v1.PeerMessage. */
    void (*send)(struct replica_transport *transport, uint64_t to,
                 const uint8_t *data, size_t len);

    /* Bytes accepted for `to` that did not leave yet. Snapshot chunks wait
     * until it falls. */
    size_t (*unsent)(struct replica_transport *transport, uint64_t to);
};

struct replica_environment {
    struct files *files;
    struct storage *storage;
    struct replica_transport *transport;
};

/* Why a replica stopped; also holdfastd's exit code. */
enum replica_failure {
    REPLICA_FAILED_CONFIG = 78,   /* Settings do not fit the directory. */
    REPLICA_FAILED_LOCKED = 75,   /* Another process uses the directory. */
    REPLICA_FAILED_CORRUPT = 65,  /* Stored data is damaged. */
    REPLICA_FAILED_STORAGE = 74,  /* A file operation failed. */
    REPLICA_FAILED_SPACE = 73,    /* The disk is full. */
    REPLICA_FAILED_DIVERGED = 70, /* This copy differs from the leader's. */
    REPLICA_FAILED_REMOVED = 77,  /* No member any more; the owner's finding. */
};

enum replica_state { REPLICA_FOLLOWER, REPLICA_CANDIDATE, REPLICA_LEADER };

struct replica_leadership {
    enum replica_state state; /* Of this member. */
    uint64_t term;
    uint64_t leader; /* 0: none known. */
};

/* What the owner gives; embed it. */
struct replica_owner {
    /* The next committed command, each exactly once since the last restore;
     * `data` is lent. Must not fail. */
    void (*apply)(struct replica_owner *owner, uint64_t index, uint64_t term,
                  const uint8_t *data, size_t len);

    /* State, term or known leader changed. Being leader is not yet proved. */
    void (*leadership)(struct replica_owner *owner,
                       const struct replica_leadership *leadership);

    /* replica_members() or replica_members_committed() changed: an entry came
     * in, was committed or replaced, or a snapshot was restored. NULL: nobody
     * asks. */
    void (*members)(struct replica_owner *owner);

    /* This member won the election of `term`, and an entry of that term is
     * applied: everything committed before is applied, too. Before this,
     * answer nothing. */
    void (*proved)(struct replica_owner *owner, uint64_t term, uint64_t index);

    /* Gives a frozen copy of the state as applied now; the replica destroys
     * it. Takes microseconds. */
    struct snapshot_content *(*snapshot_take)(struct replica_owner *owner);

    /* Throws the state away and reads it from `source`, which holds what
     * snapshot_take() gave on some member. 0, or an error: the replica then
     * fails. */
    int (*snapshot_restore)(struct replica_owner *owner,
                            struct snapshot_source *source);

    /* The replica cannot go on; nothing more will come from it, also no
     * request's callback. Log the reason and end the process with `failure`
     * as its exit code. `reason` says what happened and what to do. */
    void (*failed)(struct replica_owner *owner, enum replica_failure failure,
                   const char *reason);

    /* Something was queued: call replica_tick() soon, from a later turn. */
    void (*wake)(struct replica_owner *owner);
};

enum replica_outcome {
    REPLICA_COMMITTED, /* Committed, and applied here. */
    REPLICA_REFUSED,   /* Not proposed: this member is not the leader. */
    REPLICA_UNKNOWN,   /* Leadership was lost: may or may not take effect. */
};

struct replica_submit;
struct replica_barrier;
struct replica_transfer;
struct replica_reconfigure;

typedef void (*replica_submit_cb)(struct replica_submit *request,
                                  enum replica_outcome outcome, uint64_t index);
typedef void (*replica_barrier_cb)(struct replica_barrier *request,
                                   enum replica_outcome outcome,
                                   uint64_t index);
typedef void (*replica_transfer_cb)(struct replica_transfer *request,
                                    int status);
typedef void (*replica_reconfigure_cb)(struct replica_reconfigure *request,
                                       enum replica_outcome outcome,
                                       uint64_t index);

/* Requests are embedded in the caller's and live until their callback, or
 * until replica_stop(). */
struct replica_submit {
    replica_submit_cb done;
};

struct replica_barrier {
    struct list link;
    replica_barrier_cb done;
};

struct replica_transfer {
    replica_transfer_cb done;
};

struct replica_reconfigure {
    replica_reconfigure_cb done;
};

/* Aborts on settings outside their range. */
struct replica *replica_create(const struct replica_config *config,
                               const struct replica_environment *environment,
                               struct replica_owner *owner);

/* Reads the directory, or makes it at the first start, restores the newest
 * snapshot and joins. Synchronous. 0, or HF_ERROR_CLOSED after owner->failed()
 * was called. `now_ms`, here and below, never runs backwards. */
int replica_start(struct replica *replica, uint64_t now_ms);

/* Does what is due: timeouts, finished file work, queued requests. */
void replica_tick(struct replica *replica, uint64_t now_ms);

/* When replica_tick() is due next, if owner->wake() does not come first. */
uint64_t replica_deadline(const struct replica *replica);

/* One message from the member `from`, whose identity the caller has proved;
 * lent. Bad input is counted and dropped. */
void replica_receive(struct replica *replica, uint64_t from,
                     const uint8_t *data, size_t len, uint64_t now_ms);

/* Whether replica_submit() would take an entry now. */
bool replica_is_ready(const struct replica *replica);

/* Proposes an entry; `data` is copied, 1 to RAFT_ENTRY_BYTES_MAX bytes.
 * Returns 0 and calls done() exactly once, or
 * HF_ERROR_NOT_LEADER, HF_ERROR_BUSY (an entry is in flight, or leadership is
 * not proved or being handed over), HF_ERROR_TOO_LARGE, HF_ERROR_CLOSED. */
int replica_submit(struct replica *replica, const uint8_t *data, size_t len,
                   struct replica_submit *request, replica_submit_cb done);

/* Proves that this member was still the leader after the call, for
 * linearizable reads: a majority says, asked after the call, that it knows no
 * later term (Raft 6.4). Nothing is written. All barriers that wait share the
 * next round of questions. The callback gets the index applied here, with
 * everything in it that was acknowledged anywhere before the call. Errors as
 * above, but never busy for an entry in flight. */
int replica_barrier(struct replica *replica, struct replica_barrier *request,
                    replica_barrier_cb done);

/* Hands leadership to member `to`; 0 chooses the best. The callback gets 0
 * when another leader is known, HF_ERROR_BUSY when the time was up: this
 * member then leads on, or there is no majority. Returns HF_ERROR_NOT_LEADER,
 * HF_ERROR_BUSY (one is under way), HF_ERROR_NOT_FOUND (no such voter),
 * HF_ERROR_CLOSED. */
int replica_transfer(struct replica *replica, uint64_t to,
                     struct replica_transfer *request,
                     replica_transfer_cb done);

/* The newest configuration that this member has, committed or not; without
 * members while it joins. */
void replica_members(const struct replica *replica, struct members *members);
bool replica_members_committed(const struct replica *replica);

/* Index of the entry with the newest committed configuration that this member
 * has applied; 0: none yet. */
uint64_t replica_members_index(const struct replica *replica);

/* A committed change has taken `id` out, or its number was used before: it will
 * never be a member again. */
bool replica_has_removed(const struct replica *replica, uint64_t id);

/* Proposes `members` (copied) in place of replica_members():
 * members_may_follow, and the leader stays a voter. Goes before an entry that
 * waits. Each member acts by the new configuration as soon as it has it;
 * REPLICA_COMMITTED: a majority of it has, and it stays. Why this is safe:
 * replica_members.c. Whether the voters that are left answer, and a new one has
 * caught up, is the caller's to look at first, for otherwise nothing commits
 * any more. Returns HF_ERROR_NOT_LEADER, HF_ERROR_BUSY (leadership is not
 * proved or being handed over, or another change is not committed yet),
 * HF_ERROR_INVALID (not a change by one member, an id that was used, the leader
 * itself), HF_ERROR_CLOSED. */
int replica_reconfigure(struct replica *replica, const struct members *members,
                        struct replica_reconfigure *request,
                        replica_reconfigure_cb done);

struct replica_peer_status {
    uint64_t id;
    enum replica_role role;
    uint64_t match_index; /* On its disk, as the leader knows. */
    uint64_t lag_entries; /* 0 for the member itself. */
    bool snapshot;        /* It is being sent one. */
};

struct replica_status {
    struct replica_leadership leadership;
    bool proved;
    uint64_t commit_index;
    uint64_t leader_commit_index; /* The newest that a leader told of. */
    uint64_t applied_index;
    uint64_t first_index;  /* Of the log in memory; */
    uint64_t last_index;   /* first - 1 when it is empty. */
    uint64_t synced_index; /* On the own disk. */
    uint64_t snapshot_index;
    uint64_t log_bytes; /* Entries in memory. */
    uint64_t disk_ms;   /* A log write, on average; */
    uint64_t disk_us;   /* the same, finer. */
    /* Log writes of the last one to two minutes. */
    uint64_t disk_recent_count;
    uint64_t disk_recent_mean_us;
    uint64_t disk_recent_max_us;
    uint64_t messages_bad;   /* Received and refused. */
    uint64_t answers_capped; /* Acknowledgements the clamp cut; see core.c. */
    size_t peer_count;       /* Only on the leader; else 0. */
    struct replica_peer_status peers[RAFT_MEMBERS_MAX];
};

void replica_status(const struct replica *replica,
                    struct replica_status *status);

/* Takes nothing in any more and drops all requests without calling them. Close
 * the storage next, then destroy. */
void replica_stop(struct replica *replica);

/* After the storage has finished its jobs, or thrown them away. */
void replica_destroy(struct replica *replica);

#endif
