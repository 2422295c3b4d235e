/* SPDX-License-Identifier: Apache-2.0
 *
 * Entries, term and vote on their way to the disk. Two batches take turns: one
 * is filled while the other is written, so all that came in during one sync
 * goes out with the next. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/container.h"
#include "base/memory.h"

#include <stdlib.h>

#define DISK_WINDOW_MS 60000

static struct log_batch *filling(struct replica *replica)
{
    return &replica->batches[replica->filling];
}

static struct log_batch *running(struct replica *replica)
{
    return replica->batch_running ? &replica->batches[1 - replica->filling]
                                  : NULL;
}

static int run_op(struct log_batch *batch, const struct log_op *op)
{
    struct log_store *store = batch->replica->log_store;
    struct log_append append = {.data = batch->records.data + op->offset,
                                .len = op->len,
                                .index = op->index,
                                .chain_previous = op->chain_previous};
    switch (op->kind) {
    case LOG_APPEND:
        return log_store_append(store, &append, &batch->failure);
    case LOG_TRUNCATE:
        return log_store_truncate(store, op->index, &batch->failure);
    case LOG_TRIM:
        return log_store_trim(store, op->index, &batch->failure);
    }
    CHECK_UNREACHABLE("a log operation");
}

/* Term and vote go first: an entry of a term that the disk does not know of
 * must not outlive a crash. */
static void batch_run(struct storage_job *job)
{
    struct log_batch *batch = container_of(job, struct log_batch, job);
    bool appended = false;
    batch->result = 0;
    if (batch->vote) {
        batch->result = term_store_set(batch->replica->term_store, batch->term,
                                       batch->voted_for, &batch->failure);
    }
    for (size_t i = 0; batch->result == 0 && i < batch->op_count; i++) {
        batch->result = run_op(batch, &batch->ops[i]);
        appended = appended || batch->ops[i].kind == LOG_APPEND;
    }
    if (batch->result == 0 && appended) {
        batch->result =
            log_store_sync(batch->replica->log_store, &batch->failure);
    }
}

static void batch_done(struct storage_job *job)
{
    struct log_batch *batch = container_of(job, struct log_batch, job);
    batch->ended = true;
    replica_wake(batch->replica);
}

void log_init(struct replica *replica)
{
    for (int i = 0; i < 2; i++) {
        struct log_batch *batch = &replica->batches[i];
        batch->replica = replica;
        batch->job.lane = STORAGE_LOG;
        batch->job.run = batch_run;
        batch->job.done = batch_done;
        list_init(&batch->job.link);
        bytes_init(&batch->records);
    }
}

void log_close(struct replica *replica)
{
    for (int i = 0; i < 2; i++) {
        bytes_close(&replica->batches[i].records);
        free(replica->batches[i].ops);
        replica->batches[i].ops = NULL;
    }
}

static struct log_op *push_op(struct log_batch *batch, enum log_op_kind kind,
                              uint64_t index)
{
    if (batch->op_count == batch->op_capacity) {
        batch->op_capacity =
            batch->op_capacity == 0 ? 16 : batch->op_capacity * 2;
        batch->ops = memory_realloc_array(batch->ops, batch->op_capacity,
                                          sizeof *batch->ops);
    }
    struct log_op *op = &batch->ops[batch->op_count++];
    *op = (struct log_op){.kind = kind, .index = index};
    return op;
}

static void push_record(struct replica *replica, const struct record *record,
                        uint64_t chain_previous)
{
    struct log_batch *batch = filling(replica);
    struct log_op *op = push_op(batch, LOG_APPEND, record->index);
    op->offset = batch->records.len;
    op->chain_previous = chain_previous;
    record_append(&batch->records, record);
    op->len = batch->records.len - op->offset;
    if (batch->watermark < record->synced) {
        batch->watermark = record->synced;
    }
    replica->quiet_ms = 0;
}

void log_append_entry(struct replica *replica, uint64_t index)
{
    const struct entry *entry = entries_get(&replica->log, index);
    CHECK(entry != NULL);
    struct record record = {.type = (enum record_type)entry->type,
                            .index = index,
                            .term = entry->term,
                            .synced = replica->synced_index,
                            .chain = entry->chain,
                            .data = entry->data,
                            .len = entry->len};
    CHECK(replica->synced_index < index);
    push_record(replica, &record, entries_chain(&replica->log, index - 1));
    filling(replica)->through = index;
}

/* What is on its way to the disk from `index` on no longer counts. */
static void forget_from(struct replica *replica, uint64_t index)
{
    struct log_batch *batches[] = {filling(replica), running(replica)};
    for (size_t i = 0; i < ARRAY_LEN(batches); i++) {
        if (batches[i] != NULL && batches[i]->through >= index) {
            batches[i]->through = index - 1;
        }
    }
    if (replica->synced_index >= index) {
        replica->synced_index = index - 1;
    }
    if (replica->watermark >= index) {
        replica->watermark = index - 1;
    }
}

void log_truncate(struct replica *replica, uint64_t index)
{
    struct log_batch *batch = filling(replica);
    forget_from(replica, index);
    if (batch->watermark >= index) {
        batch->watermark = index - 1;
    }
    push_op(batch, LOG_TRUNCATE, index);
}

void log_trim(struct replica *replica, uint64_t index)
{
    push_op(filling(replica), LOG_TRIM, index);
}

void log_set_vote(struct replica *replica)
{
    struct log_batch *batch = filling(replica);
    batch->vote = true;
    batch->term = core_term(replica->core);
    batch->voted_for = core_vote(replica->core);
    batch->vote_number = ++replica->vote_asked;
}

/* The log begins anew behind a snapshot: nothing that waits matters. */
void log_forget_entries(struct replica *replica)
{
    struct log_batch *batch = filling(replica);
    forget_from(replica, 1);
    batch->op_count = 0;
    bytes_clear(&batch->records);
    batch->watermark = 0;
    replica->quiet_ms = 0;
}

size_t log_pending_bytes(const struct replica *replica)
{
    return replica->batches[replica->filling].records.len;
}

/* After a while without entries the watermark goes to disk on its own: until
 * then a damaged last entry looks like an unfinished one. */
static void maybe_watermark(struct replica *replica)
{
    struct log_batch *batch = filling(replica);
    uint64_t last = entries_last(&replica->log);
    if (replica->watermark >= replica->synced_index ||
        replica->synced_index != last || batch->op_count > 0 ||
        replica->batch_running ||
        replica->incoming.state == INCOMING_INSTALLS) {
        return;
    }
    if (replica->quiet_ms == 0) {
        replica->quiet_ms = replica->now_ms;
    }
    if (replica->now_ms - replica->quiet_ms < QUIET_MS) {
        return;
    }
    struct record record = {.type = RECORD_SYNCED,
                            .index = last,
                            .term = entries_term(&replica->log, last),
                            .synced = replica->synced_index,
                            .chain = entries_chain(&replica->log, last)};
    push_record(replica, &record, record.chain);
}

uint64_t log_deadline(const struct replica *replica)
{
    if (replica->quiet_ms == 0 || replica->batch_running) {
        return UINT64_MAX;
    }
    return replica->quiet_ms + QUIET_MS;
}

void log_start(struct replica *replica)
{
    maybe_watermark(replica);
    struct log_batch *batch = filling(replica);
    if (replica->batch_running || (!batch->vote && batch->op_count == 0)) {
        return;
    }
    replica->filling = 1 - replica->filling;
    replica->batch_running = true;
    batch->started_ms = replica->now_ms;
    batch->ended = false;
    replica->environment.storage->submit(replica->environment.storage,
                                         &batch->job);
}

static void batch_clear(struct log_batch *batch)
{
    bytes_clear(&batch->records);
    batch->op_count = 0;
    batch->vote = false;
    batch->through = 0;
    batch->watermark = 0;
    batch->ended = false;
}

static void count_write(struct replica *replica, uint64_t took_us)
{
    struct disk_window *window = &replica->disk_windows[0];

    if (replica->now_ms - window->since_ms >= DISK_WINDOW_MS) {
        replica->disk_windows[1] = *window;
        *window = (struct disk_window){.since_ms = replica->now_ms};
    }
    window->count++;
    window->sum_us += took_us;
    window->max_us = took_us > window->max_us ? took_us : window->max_us;
}

void log_disk_recent(const struct replica *replica,
                     struct replica_status *status)
{
    uint64_t sum_us = 0;

    for (size_t i = 0; i < ARRAY_LEN(replica->disk_windows); i++) {
        const struct disk_window *window = &replica->disk_windows[i];

        if (replica->now_ms - window->since_ms < 2 * DISK_WINDOW_MS) {
            status->disk_recent_count += window->count;
            sum_us += window->sum_us;
            status->disk_recent_max_us =
                window->max_us > status->disk_recent_max_us
                    ? window->max_us
                    : status->disk_recent_max_us;
        }
    }
    if (status->disk_recent_count > 0) {
        status->disk_recent_mean_us = sum_us / status->disk_recent_count;
    }
}

/* The average over about eight batches, of all that wrote entries. A new leader
 * knows nothing of the others' disks yet: as slow as its own. */
static void measure(struct replica *replica, const struct log_batch *batch)
{
    uint64_t took_us = (replica->now_ms - batch->started_ms) * 1000;
    count_write(replica, took_us);
    replica->disk_us = (replica->disk_us * 7 + took_us) / 8;
    if (replica->leading_term == 0) {
        replica->commit_us = replica->disk_us;
    }
}

/* Takes in what the finished batch achieved. */
bool log_finish(struct replica *replica)
{
    struct log_batch *batch = running(replica);
    if (batch == NULL || !batch->ended) {
        return false;
    }
    replica->batch_running = false;
    if (batch->result != 0) {
        replica_fail(replica, &batch->failure);
        return true;
    }
    measure(replica, batch);
    uint64_t through = batch->through;
    if (batch->vote) {
        replica->vote_done = batch->vote_number;
    }
    if (batch->watermark > replica->watermark) {
        replica->watermark = batch->watermark;
    }
    batch_clear(batch);
    send_held(replica);
    if (through > replica->synced_index) {
        replica->synced_index = through;
    }
    if (through > core_stored(replica->core)) {
        struct core_update update;
        int rv =
            core_persisted(replica->core, replica->now_ms, through, &update);
        replica_absorb(replica, rv, &update, NULL);
    }
    return true;
}
