/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log_internal.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "raft/limits.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void segments_push(struct log_store *store, uint64_t first_index)
{
    store->segments = memory_realloc_array(
        store->segments, store->segment_count + 1, sizeof *store->segments);
    store->segments[store->segment_count++] = first_index;
}

struct lister {
    struct files_visitor visitor;
    struct log_store *store;
    uint64_t *drafts;
    size_t draft_count;
};

static void visit_name(struct files_visitor *visitor, const char *name)
{
    struct lister *lister = container_of(visitor, struct lister, visitor);
    uint64_t number;
    if (path_number_parse(name, ".seg", &number)) {
        segments_push(lister->store, number);
    } else if (path_number_parse(name, ".draft", &number)) {
        lister->drafts = memory_realloc_array(
            lister->drafts, lister->draft_count + 1, sizeof *lister->drafts);
        lister->drafts[lister->draft_count++] = number;
    }
}

static int ascending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a < b ? -1 : a > b;
}

int segments_list(struct log_store *store, struct failure *failure)
{
    struct lister lister = {.visitor.visit = visit_name, .store = store};
    struct path path;
    path_set(&path, store->options.directory, "log");
    int rv = files_list(store->options.files, path.text, &lister.visitor);
    if (rv != 0) {
        rv = failure_io(failure, rv, "list", path.text);
    }
    for (size_t i = 0; rv == 0 && i < lister.draft_count; i++) {
        path_numbered(&path, store->options.directory, "log", lister.drafts[i],
                      ".draft");
        rv = files_unlink(store->options.files, path.text);
        if (rv != 0) {
            rv = failure_io(failure, rv, "remove", path.text);
        }
    }
    free(lister.drafts);
    if (store->segment_count > 0) {
        qsort(store->segments, store->segment_count, sizeof *store->segments,
              ascending);
    }
    return rv;
}

int segment_open_last(struct log_store *store, struct failure *failure)
{
    struct path path;
    path_numbered(&path, store->options.directory, "log",
                  store->segments[store->segment_count - 1], ".seg");
    int rv =
        file_open(store->options.files, path.text, FILE_WRITE, &store->file);
    if (rv == 0) {
        rv = file_size(store->file, &store->allocated);
    }
    return rv == 0 ? 0 : failure_io(failure, rv, "open", path.text);
}

static bool all_zero(const uint8_t *data, size_t len)
{
    return len == 0 || (data[0] == 0 && memcmp(data, data + 1, len - 1) == 0);
}

/* So much of a file is read at once. */
#define PIECE_BYTES (1u << 20)

/* Adds what stands at `at`; what is between it and what came before is zeros,
 * as is all behind the content in the end. */
static int read_piece(struct file *file, uint64_t at, size_t len,
                      struct bytes *content, uint8_t *piece)
{
    size_t got;
    int rv = file_read(file, piece, len, at, &got);
    if (rv == 0 && !all_zero(piece, got)) {
        size_t gap = (size_t)at - content->len;
        memset(bytes_reserve(content, gap + got), 0, gap);
        content->len += gap;
        bytes_append(content, piece, got);
    }
    return rv;
}

/* Whatever begins in the content ends in it: the payload of a record may be
 * zeros to its end. */
static void add_zeros(struct bytes *content, uint64_t file_bytes)
{
    uint64_t behind = file_bytes - content->len;
    size_t most = record_bytes(RAFT_ENTRY_BYTES_MAX);
    size_t more = behind < most ? (size_t)behind : most;
    memset(bytes_reserve(content, more), 0, more);
    content->len += more;
}

/* A whole file in memory, but for most of the zeros at its end: a new log file
 * is nothing else. They are read all the same, not taken for granted. */
static int read_all(struct file *file, const char *path, struct bytes *content,
                    struct failure *failure)
{
    uint64_t bytes;
    bytes_init(content);
    int rv = file_size(file, &bytes);
    uint8_t *piece = memory_alloc(PIECE_BYTES);
    for (uint64_t at = 0; rv == 0 && at < bytes; at += PIECE_BYTES) {
        size_t len =
            bytes - at < PIECE_BYTES ? (size_t)(bytes - at) : PIECE_BYTES;
        rv = read_piece(file, at, len, content, piece);
    }
    free(piece);
    if (rv != 0) {
        bytes_close(content);
        return failure_io(failure, rv, "read", path);
    }
    add_zeros(content, bytes);
    return 0;
}

/* Where the reading of one file stands. */
struct scan {
    const char *path;
    const uint8_t *data;
    size_t len;
    size_t at;
    uint64_t last_index; /* Of the entry before `at`. */
    uint64_t last_term;
    uint64_t last_chain;
    uint64_t watermark;
};

/* Whether the record fits behind what was read. */
static bool follows(const struct scan *scan, const struct record *record)
{
    if (record->type == RECORD_SYNCED) {
        return record->index == scan->last_index && record->len == 0 &&
               record->chain == scan->last_chain;
    }
    struct entry entry = {.term = record->term,
                          .type = (enum entry_type)record->type,
                          .len = record->len};
    /* entry_chain() only reads. */
    memcpy(&entry.data, &record->data, sizeof entry.data);
    return record->index == scan->last_index + 1 &&
           record->term >= scan->last_term && record->term > 0 &&
           record->chain ==
               entry_chain(scan->last_chain, record->index, &entry);
}

/* Reads sound records up to `until` (not visited) or the first bad one. */
static void scan_records(struct scan *scan, uint64_t until,
                         struct log_visitor *visitor)
{
    struct record record;
    size_t taken;
    while (record_decode(&record, scan->data + scan->at, scan->len - scan->at,
                         &taken) &&
           follows(scan, &record) &&
           !(record.type != RECORD_SYNCED && record.index == until)) {
        if (record.type != RECORD_SYNCED) {
            if (visitor != NULL) {
                visitor->visit(visitor, &record);
            }
            scan->last_index = record.index;
            scan->last_term = record.term;
            scan->last_chain = record.chain;
        }
        if (record.synced > scan->watermark) {
            scan->watermark = record.synced;
        }
        scan->at += taken;
    }
}

static int scan_begin(const struct log_store *store, struct scan *scan,
                      uint64_t first_index, struct failure *failure)
{
    struct segment_head head;
    int rv = scan->len < SEGMENT_HEAD_BYTES
                 ? HF_ERROR_CORRUPT
                 : segment_head_decode(&head, scan->data);
    if (rv == HF_ERROR_UNSUPPORTED) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s at 8: unknown format; it was written by a "
                           "newer version: run that one",
                           scan->path);
    }
    if (rv != 0 || head.first_index != first_index) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s at 0: the head of entry %" PRIu64
                           " is damaged" FAILURE_CURE_REJOIN,
                           scan->path, first_index);
    }
    if (head.region_hash != store->options.region_hash ||
        head.node_id != store->options.node_id) {
        return failure_set(failure, REPLICA_FAILED_CONFIG,
                           "%s belongs to node %" PRIu64
                           " or to another region; give each node its own "
                           "directory",
                           scan->path, head.node_id);
    }
    scan->at = SEGMENT_HEAD_BYTES;
    scan->last_chain = head.chain;
    scan->last_index = first_index - 1;
    return 0;
}

static int refuse(const struct scan *scan, struct failure *failure)
{
    return failure_set(
        failure, REPLICA_FAILED_CORRUPT,
        "%s at %zu: entry %" PRIu64
        " is damaged although it was on disk" FAILURE_CURE_REJOIN,
        scan->path, scan->at, scan->last_index + 1);
}

/* What follows the last sound record of the last file. */
static int finish_last(struct log_store *store, const struct scan *scan,
                       struct failure *failure)
{
    const uint8_t *rest = scan->data + scan->at;
    size_t len = scan->len - scan->at;
    if (record_proves(rest, len, scan->last_index + 1)) {
        return refuse(scan, failure);
    }
    int rv = segment_open_last(store, failure);
    if (rv != 0) {
        return rv;
    }
    store->offset = scan->at;
    store->last_index = scan->last_index;
    store->watermark = scan->watermark;
    if (!all_zero(rest, len)) {
        log_warn("log.cut", "file=%s offset=%zu index=%" PRIu64, scan->path,
                 scan->at, scan->last_index + 1);
        return segment_cut(store, scan->at, failure);
    }
    /* What was read may be in memory only, after a kill. */
    return log_store_sync(store, failure);
}

/* Reads segment `i`; `scan` carries over from the one before. */
static int load_segment(struct log_store *store, size_t i, struct scan *scan,
                        struct log_visitor *visitor, struct failure *failure)
{
    struct path path;
    struct file *file;
    struct bytes content;
    uint64_t first = store->segments[i];
    uint64_t chain_before = scan->last_chain;
    path_numbered(&path, store->options.directory, "log", first, ".seg");
    int rv = file_open(store->options.files, path.text, FILE_READ, &file);
    if (rv != 0) {
        return failure_io(failure, rv, "open", path.text);
    }
    rv = read_all(file, path.text, &content, failure);
    file_close(file);
    if (rv != 0) {
        return rv;
    }
    scan->path = path.text;
    scan->data = content.data;
    scan->len = content.len;
    rv = scan_begin(store, scan, first, failure);
    if (rv == 0 && i > 0 && scan->last_chain != chain_before) {
        rv = failure_set(failure, REPLICA_FAILED_CORRUPT,
                         "%s at 24: entry %" PRIu64
                         " does not follow the file before" FAILURE_CURE_REJOIN,
                         path.text, first);
    }
    if (rv == 0) {
        if (i == 0) {
            visitor->begin(visitor, first, scan->last_chain);
        }
        scan_records(scan, UINT64_MAX, visitor);
        if (i + 1 == store->segment_count) {
            rv = finish_last(store, scan, failure);
        } else if (scan->last_index + 1 != store->segments[i + 1]) {
            /* The next file was begun when this one was whole and on disk. */
            rv = refuse(scan, failure);
        }
    }
    bytes_close(&content);
    scan->data = NULL;
    scan->path = NULL;
    return rv;
}

struct log_store *log_store_open(const struct log_store_options *options,
                                 struct log_visitor *visitor,
                                 struct failure *failure)
{
    struct log_store *store = memory_alloc(sizeof *store);
    struct scan scan = {0};
    store->options = *options;
    int rv = segments_list(store, failure);
    if (rv == 0 && store->segment_count == 0) {
        rv = failure_set(failure, REPLICA_FAILED_CORRUPT,
                         "%s/log has no file" FAILURE_CURE_REJOIN,
                         options->directory);
    }
    for (size_t i = 0; rv == 0 && i < store->segment_count; i++) {
        rv = load_segment(store, i, &scan, visitor, failure);
    }
    if (rv != 0) {
        log_store_close(store);
        return NULL;
    }
    return store;
}

int segment_find(struct log_store *store, uint64_t index, uint64_t *offset,
                 struct failure *failure)
{
    struct path path;
    struct scan scan = {0};
    struct bytes content;
    uint64_t first = store->segments[store->segment_count - 1];
    path_numbered(&path, store->options.directory, "log", first, ".seg");
    scan.path = path.text;
    int rv = read_all(store->file, path.text, &content, failure);
    if (rv != 0) {
        return rv;
    }
    scan.data = content.data;
    scan.len = content.len;
    rv = scan_begin(store, &scan, first, failure);
    if (rv == 0) {
        scan_records(&scan, index, NULL);
        if (scan.last_index + 1 != index) {
            rv = refuse(&scan, failure);
        }
    }
    *offset = scan.at;
    bytes_close(&content);
    return rv;
}
