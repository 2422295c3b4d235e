/* SPDX-License-Identifier: Apache-2.0
 *
 * The replica's inside, shared by replica*.c. The loop's thread owns all of
 * it but what is marked with a lane: that is touched by the lane's jobs only,
 * and by the loop's thread before the first and after the last job. */
#ifndef RAFT_REPLICA_INTERNAL_H
#define RAFT_REPLICA_INTERNAL_H

#include "raft/core.h"
#include "raft/home.h"
#include "raft/log_store.h"
#include "raft/replica.h"
#include "raft/snapshot_store.h"
#include "raft/term_store.h"

#include "base/arena.h"

/* A watermark of its own is written after so much quiet. */
#define QUIET_MS 10

/* Entries beyond this many bytes wait for the disk: an append then counts as
 * a heartbeat only, and proposals are busy. */
#define PENDING_BYTES_MAX (64 * 1024 * 1024)

/* Chunks of a snapshot under way to a member. */
#define SEND_WINDOW 4

/* What the log lane does in one go, with one sync: group commit. */
enum log_op_kind { LOG_APPEND, LOG_TRUNCATE, LOG_TRIM };

struct log_op {
    enum log_op_kind kind;
    uint64_t index;
    uint64_t chain_previous; /* Of an append. */
    size_t offset;           /* Of an append, in `records`. */
    size_t len;
};

struct log_batch {
    struct storage_job job;
    struct replica *replica;
    struct bytes records;
    struct log_op *ops;
    size_t op_count;
    size_t op_capacity;
    bool vote; /* Set term and vote first. */
    uint64_t term;
    uint64_t voted_for;
    uint64_t vote_number; /* Which call for a vote it answers. */
    uint64_t through;     /* Entries up to here will be on disk; 0: none. */
    uint64_t watermark;   /* That the records carry. */
    uint64_t started_ms;
    bool ended;
    int result;
    struct failure failure;
};

/* A message that waits until term and vote are on disk. */
struct held_message {
    struct list link;
    uint64_t vote_number;
    uint64_t to;
    size_t len;
    uint8_t data[];
};

enum taking_state {
    TAKING_NONE,
    TAKING_WRITES,    /* A slice is on the snapshot lane. */
    TAKING_WAITS,     /* Written; its last entry is not yet on the disk. */
    TAKING_PUBLISHES, /* On the snapshot lane. */
};

/* The making of an own snapshot. */
struct taking {
    struct storage_job job;
    struct replica *replica;
    enum taking_state state;
    bool ended;
    bool cancelled;    /* One from the leader is on its way in. */
    uint64_t previous; /* The snapshot that stays beside it. */
    struct snapshot_writing writing;
    int result;
    struct failure failure;
};

enum incoming_state {
    INCOMING_NONE,
    INCOMING_COLLECTS,
    INCOMING_INSTALLS,
};

/* A snapshot from the leader. `receiving` belongs to the job that runs. */
struct incoming {
    struct storage_job job;
    struct replica *replica;
    enum incoming_state state;
    bool busy; /* The job runs. */
    bool ended;
    bool begun;        /* The file is made. */
    bool abandoned;    /* Drop it when the job has ended. */
    bool sound;        /* Whole and right. */
    uint64_t from;     /* Who sends, for the answers. */
    uint64_t accepted; /* Bytes taken from messages. */
    uint64_t written;  /* Of them in the file. */
    struct snapshot_manifest manifest;
    struct snapshot_receiving receiving;
    struct bytes waiting; /* Accepted, for the next job. */
    struct bytes writing; /* The job's. */
    int result;
    struct failure failure;
};

/* A snapshot on its way to a member. */
struct sender {
    struct storage_job job;
    struct replica *replica;
    uint64_t to;
    bool active;
    bool busy; /* The job runs. */
    bool ended;
    struct file *file; /* The job's while busy. */
    struct snapshot_manifest manifest;
    uint64_t acked;
    uint64_t next;
    uint64_t heard_ms; /* Of the last answer, or the last attempt. */
    bool careful;      /* Nothing was heard: one chunk at a time. */
    uint64_t read_offset;
    size_t read_len;
    int result;
    struct failure failure;
    uint8_t chunk[RAFT_CHUNK_BYTES];
};

/* A round of questions to the other voters, for all barriers that had come
 * before it. */
struct probing {
    struct list barriers; /* Empty: no round is under way. */
    uint64_t number;      /* Of the newest round; never goes back. */
    uint64_t asked_ms;
    struct {
        uint64_t id;
        uint64_t number; /* Of the newest round that it answered. */
    } answers[RAFT_MEMBERS_MAX];
    size_t answer_count;
};

/* Writes of entries that ended in one minute. */
struct disk_window {
    uint64_t since_ms;
    uint64_t count;
    uint64_t sum_us;
    uint64_t max_us;
};

struct replica {
    struct replica_config config; /* Pointers in it are copies. */
    struct home_options home;
    struct replica_environment environment;
    struct replica_owner *owner;
    struct core *core;
    struct entries log;
    uint64_t now_ms;    /* The core's clock: boot_ms - paused_ms. */
    uint64_t boot_ms;   /* The owner's clock when it last called. */
    uint64_t paused_ms; /* Sum of the times in which we were held up. */
    uint64_t look_ms;   /* By when the owner must call; later is a pause. */
    bool joins;         /* The directory was made without a first entry. */
    bool started;
    bool stopped;
    bool failed;
    bool pumping;
    bool woken;

    /* Storage. */
    struct file *lock;
    struct log_store *log_store;   /* Log lane. */
    struct term_store *term_store; /* Log lane. */
    struct snapshot_store snapshots;
    struct log_batch batches[2];
    unsigned filling; /* Which batch takes work in; the other may run. */
    bool batch_running;
    uint64_t vote_asked;
    uint64_t vote_done;
    struct list held; /* Of struct held_message. */
    size_t held_bytes;
    uint64_t synced_index;
    uint64_t watermark;
    uint64_t quiet_ms; /* When it became quiet; 0: it is not. */
    uint64_t disk_us;  /* Average of a batch, in microseconds. */
    struct disk_window disk_windows[2]; /* This minute's, the last one's. */
    uint64_t commit_us; /* Of an own entry, from proposal to commit. */
    uint64_t handover_not_before_ms;
    uint64_t handover_pause_ms;

    /* Applying. */
    uint64_t leader_commit; /* The newest that a leader told of. */
    uint64_t applied_index;
    uint64_t applied_term;
    uint64_t applied_chain;
    uint64_t applied_bytes;   /* Since the last snapshot. */
    struct bytes members;     /* The committed configuration, */
    struct members committed; /* the same, decoded. */
    uint64_t members_index;
    struct core_members_version members_told; /* What the owner knows. */

    /* Leading. */
    struct replica_leadership told; /* What the owner knows. */
    uint64_t leading_term;          /* 0: not leading. */
    uint64_t own_entry_term;        /* An entry of this own term exists. */
    uint64_t proved_term;
    uint64_t flight_index; /* The entry in flight; 0: none. */
    uint64_t flight_ms;    /* Since when. */
    uint64_t flight_us;    /* How long the last one took. */
    struct replica_submit *flight_submit;
    struct replica_submit *queued_submit;
    struct bytes queued_data;
    struct probing probing;
    struct list queued_barriers; /* For the next round of questions. */
    struct replica_reconfigure *flight_reconfigure;
    struct replica_reconfigure *queued_reconfigure;
    struct bytes queued_members;
    struct replica_transfer *transfer;
    uint64_t transfer_until_ms; /* The successor must be known by then. */

    /* Following. */
    uint64_t verified_term;
    uint64_t verified_index; /* As the leader of that term has it. */
    uint64_t strange_index;  /* An entry with an unexpected chain hash, */
    uint64_t strange_chain;
    unsigned strange_count; /* so often in a row. */

    /* Snapshots. */
    struct snapshot_manifest snapshot; /* The newest; index 0: none. */
    uint64_t snapshot_previous;
    struct taking taking;
    struct incoming incoming;
    struct sender *senders[RAFT_MEMBERS_MAX];

    uint64_t core_not_before_ms;
    uint64_t messages_bad;
    uint64_t answers_capped;
    struct arena arena;
    struct bytes scratch;
};

/* replica.c */
void replica_fail(struct replica *replica, const struct failure *failure);
void replica_fail_text(struct replica *replica, enum replica_failure code,
                       const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void replica_wake(struct replica *replica);
void replica_pump(struct replica *replica);

/* Takes the owner's clock, once for each of its calls. */
void replica_clock(struct replica *replica, uint64_t boot_ms);

/* Does what a step asks for. `message` is the append that was stepped. */
void replica_absorb(struct replica *replica, int rv,
                    const struct core_update *update,
                    const struct message *message);

/* replica_log.c: the batches. */
void log_init(struct replica *replica);
void log_close(struct replica *replica);
void log_append_entry(struct replica *replica, uint64_t index);
void log_truncate(struct replica *replica, uint64_t index);
void log_trim(struct replica *replica, uint64_t index);
void log_set_vote(struct replica *replica);
void log_forget_entries(struct replica *replica);
size_t log_pending_bytes(const struct replica *replica);
bool log_finish(struct replica *replica);
void log_disk_recent(const struct replica *replica,
                     struct replica_status *status);
void log_start(struct replica *replica);
uint64_t log_deadline(const struct replica *replica);

/* replica_send.c */
void send_message(struct replica *replica, uint64_t to,
                  const struct message *message);
void send_outgoing(struct replica *replica, const struct core_update *update,
                   const struct message *received);
void send_held(struct replica *replica);
void send_drop_held(struct replica *replica);

/* replica_apply.c: committed entries, requests, leadership. */
bool apply_committed(struct replica *replica);
bool propose(struct replica *replica);
void leadership_changed(struct replica *replica);
void handover_check(struct replica *replica);

/* replica_members.c */
void members_changed(struct replica *replica);
void members_take_committed(struct replica *replica);
bool members_hear(const struct replica *replica, uint64_t from);
void reconfigure_answer(struct replica_reconfigure **slot,
                        enum replica_outcome outcome, uint64_t index);

/* replica_probe.c: leadership proved without an entry. */
void probe_run(struct replica *replica);
bool probe_finish(struct replica *replica);
void probe_answer(struct replica *replica, uint64_t from,
                  const struct message *message);
void probe_result(struct replica *replica, uint64_t from,
                  const struct message *message);
uint64_t probe_deadline(const struct replica *replica);
void barriers_answer(struct list *waiting, enum replica_outcome outcome,
                     uint64_t index);

/* replica_take.c: own snapshots. */
bool taking_finish(struct replica *replica);
void taking_start(struct replica *replica);
void taking_cancel(struct replica *replica);
void taking_close(struct replica *replica);
uint64_t keep_from(const struct replica *replica, uint64_t index);

/* replica_install.c: a snapshot that comes in. */
void incoming_chunk(struct replica *replica, uint64_t from,
                    const struct message *message);
bool incoming_finish(struct replica *replica);
void incoming_close(struct replica *replica);
int restore_snapshot(struct replica *replica);

/* replica_transfer.c: a snapshot that goes out. */
void sender_start(struct replica *replica, uint64_t to);
void sender_result(struct replica *replica, uint64_t from,
                   const struct message *message);
bool sender_finish(struct replica *replica);
void sender_run(struct replica *replica);
uint64_t sender_deadline(const struct replica *replica);
void sender_close(struct replica *replica);

#endif
