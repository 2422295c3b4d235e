/* SPDX-License-Identifier: Apache-2.0
 *
 * Reading the log at start: finds its end, cuts an unfinished write, refuses
 * anything worse. */
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "raft/limits.h"
#include "raft/log_format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One segment's bytes and where the reading stands. */
struct load {
    struct log_store *store;
    struct log_reader *reader;
    uint64_t chain;
    uint64_t synced;     /* Highest watermark seen. */
    uint64_t next_index; /* 0 while unknown: at the first segment. */
    uint64_t last_term;
    uint64_t number;
    uint8_t *data;
    size_t len;
    size_t offset;
};

static int refuse(struct load *load, const char *what)
{
    snprintf(load->store->files->error, sizeof(load->store->files->error),
             "log segment %" PRIu64 " is corrupt at offset %zu (index %" PRIu64
             ", synced up to %" PRIu64 "): %s. Acknowledged data may be "
             "damaged: keep the files, remove this node from the region and "
             "join under a new id",
             load->number, load->offset, load->next_index, load->synced, what);
    return HF_ERROR_CORRUPT;
}

/* The data's length if a whole record with a right checksum begins at `at`,
 * else -1. */
static int64_t record_at(const struct load *load, size_t at)
{
    const uint8_t *record = load->data + at;
    uint32_t len;

    if (load->len - at < LOG_HEADER_BYTES ||
        bytes_get_u32(record) != LOG_MAGIC) {
        return -1;
    }
    len = bytes_get_u32(record + 4);
    if (len > ENTRY_BYTES_MAX + 64 ||
        load->len - at - LOG_HEADER_BYTES < log_padded(len) ||
        bytes_get_u32(record + 44) != log_checksum(record, len)) {
        return -1;
    }
    return len;
}

/* Looks for whole records behind a bad one: their watermarks tell how far
 * writes had been acknowledged. */
static void scan_watermarks(struct load *load)
{
    size_t at = load->offset + 8;

    while (at + LOG_HEADER_BYTES <= load->len) {
        int64_t len = record_at(load, at);

        if (len >= 0) {
            uint64_t synced = bytes_get_u64(load->data + at + 24);

            load->synced = synced > load->synced ? synced : load->synced;
            at += LOG_HEADER_BYTES + log_padded((uint32_t)len);
        } else {
            at += 8;
        }
    }
}

static bool rest_is_zero(const struct load *load)
{
    for (size_t i = load->offset; i < load->len; i++) {
        if (load->data[i] != 0) {
            return false;
        }
    }
    return true;
}

static int take_entry(struct load *load, const struct log_record *record)
{
    if (load->next_index != 0 && record->index != load->next_index) {
        return refuse(load, "an entry is missing");
    }
    if (record->term < load->last_term || record->index == 0) {
        return refuse(load, "terms run backwards");
    }
    load->last_term = record->term;
    load->next_index = record->index + 1;
    load->reader->entry(load->reader, record);
    return 0;
}

static int take_record(struct load *load, const struct log_record *record)
{
    switch (record->type) {
    case LOG_COMMAND:
    case LOG_BARRIER:
    case LOG_CONFIGURATION:
        return take_entry(load, record);
    case LOG_CUT:
        if (record->index == 0 ||
            (load->next_index != 0 && record->index > load->next_index)) {
            return refuse(load, "a cut behind the end of the log");
        }
        /* The term of what is left is not known here; raft checks terms. */
        load->last_term = 0;
        load->next_index = record->index;
        load->reader->cut(load->reader, record->index);
        return 0;
    case LOG_RESET:
        load->last_term = record->term;
        load->next_index = record->index + 1;
        load->reader->reset(load->reader, record->index, record->term);
        return 0;
    case LOG_WATERMARK:
        return 0;
    default:
        return refuse(load, "a record of an unknown type; it may be of a "
                            "newer version");
    }
}

/* Reads the records of one segment up to the first bad one. */
static int load_records(struct load *load, struct log_segment *segment)
{
    int64_t len;

    while ((len = record_at(load, load->offset)) >= 0) {
        const uint8_t *at = load->data + load->offset;
        struct log_record record = {
            .type = (enum log_record_type)bytes_get_u32(at + 40),
            .index = bytes_get_u64(at + 8),
            .term = bytes_get_u64(at + 16),
            .data = at + LOG_HEADER_BYTES,
            .len = (uint32_t)len,
        };
        uint64_t synced = bytes_get_u64(at + 24);
        int rv;

        load->chain = log_chain(load->chain, at, record.len);
        if (bytes_get_u64(at + 32) != load->chain) {
            /* Left behind by an unfinished write that was cut and written
             * over: it ends the log as garbage would. */
            break;
        }
        load->synced = synced > load->synced ? synced : load->synced;
        rv = take_record(load, &record);
        if (rv != 0) {
            return rv;
        }
        if (record.type <= LOG_CONFIGURATION &&
            segment->last_index < record.index) {
            segment->last_index = record.index;
        }
        load->offset += LOG_HEADER_BYTES + log_padded(record.len);
    }
    return 0;
}

static int read_whole(struct load *load, int handle)
{
    struct files *files = load->store->files;
    int64_t size = files->size(files, handle);
    int64_t got;

    if (size < 0) {
        return (int)size;
    }
    load->data = memory_alloc((size_t)size);
    load->len = (size_t)size;
    got = files->read(files, handle, load->data, load->len, 0);
    if (got < 0) {
        return (int)got;
    }
    return got < size ? HF_ERROR_IO : 0;
}

static int check_segment_header(struct load *load, bool first)
{
    load->offset = 0;
    if (load->len < LOG_SEGMENT_HEADER_BYTES ||
        bytes_get_u64(load->data) != LOG_SEGMENT_MAGIC ||
        bytes_get_u64(load->data + 8) != load->number ||
        bytes_get_u32(load->data + 24) != crc32c(0, load->data, 24)) {
        return refuse(load, "bad segment header");
    }
    if (first) {
        load->chain = bytes_get_u64(load->data + 16);
    } else if (load->chain != bytes_get_u64(load->data + 16)) {
        return refuse(load, "it does not continue the segment before it");
    }
    load->offset = LOG_SEGMENT_HEADER_BYTES;
    return 0;
}

/* What follows the last good record of the last segment: nothing, or an
 * unfinished write. */
static int end_log(struct load *load)
{
    struct files *files = load->store->files;
    uint64_t bad_index = load->next_index;
    int rv;

    load->store->offset = load->offset;
    load->store->size = load->len;
    if (rest_is_zero(load)) {
        /* Zeros too can be damage: a sector that lost its content. */
        return load->synced >= bad_index && bad_index != 0
                   ? refuse(load, "acknowledged entries are missing")
                   : 0;
    }
    scan_watermarks(load);
    if (bad_index == 0 || load->synced >= bad_index) {
        return refuse(load, "a bad record among acknowledged ones");
    }
    /* Cut for good, so that nothing of it is ever taken for data. */
    rv = files->truncate(files, load->store->handle, load->offset);
    if (rv == 0) {
        rv = files->allocate(files, load->store->handle, load->len);
    }
    return rv == 0 ? files->sync(files, load->store->handle) : rv;
}

static int load_segment(struct load *load, struct log_segment *segment,
                        bool first, bool last)
{
    struct files *files = load->store->files;
    char path[LOG_PATH_BYTES];
    int handle;
    int rv;

    load->number = segment->number;
    log_segment_path(path, segment->number);
    handle = files->open(files, path, 0);
    if (handle < 0) {
        return handle;
    }
    load->store->handle = handle;
    rv = read_whole(load, handle);
    if (rv == 0) {
        rv = check_segment_header(load, first);
    }
    if (rv == 0) {
        rv = load_records(load, segment);
    }
    if (rv == 0 && last) {
        rv = end_log(load);
    } else if (rv == 0 && !rest_is_zero(load)) {
        rv = refuse(load, "a bad record before the last segment");
    }
    free(load->data);
    load->data = NULL;
    if (rv != 0 || !last) {
        files->close(files, handle);
        load->store->handle = -1;
    }
    return rv;
}

struct segment_names {
    struct files_visitor visitor;
    struct log_store *store;
};

static void note_name(struct files_visitor *visitor, const char *name)
{
    struct segment_names *names = (struct segment_names *)(void *)visitor;
    char *end;
    uint64_t number;

    if (strlen(name) != 24 || strcmp(name + 20, ".seg") != 0) {
        return;
    }
    number = strtoull(name, &end, 10);
    if (end == name + 20) {
        log_store_add_segment(names->store, number);
    }
}

static int compare_segments(const void *a, const void *b)
{
    uint64_t left = ((const struct log_segment *)a)->number;
    uint64_t right = ((const struct log_segment *)b)->number;

    return left < right ? -1 : left > right;
}

static int find_segments(struct load *load)
{
    struct log_store *store = load->store;
    struct segment_names names = {{note_name}, store};
    int rv = store->files->list(store->files, LOG_DIRECTORY, &names.visitor);

    if (rv != 0) {
        return rv;
    }
    if (store->segment_count == 0) {
        return refuse(load, "there is no segment");
    }
    qsort(store->segments, store->segment_count, sizeof(*store->segments),
          compare_segments);
    for (uint32_t i = 1; i < store->segment_count; i++) {
        if (store->segments[i].number != store->segments[i - 1].number + 1) {
            load->number = store->segments[i - 1].number + 1;
            return refuse(load, "the segment is missing");
        }
    }
    return 0;
}

int log_store_open(struct log_store *store, struct files *files,
                   uint64_t segment_bytes, struct log_reader *reader,
                   struct log_encoder *encoder)
{
    struct load load = {.store = store, .reader = reader};
    int rv;

    *store = (struct log_store){
        .files = files, .segment_bytes = segment_bytes, .handle = -1};
    rv = find_segments(&load);
    for (uint32_t i = 0; rv == 0 && i < store->segment_count; i++) {
        if (i > 0) {
            store->segments[i].last_index = store->segments[i - 1].last_index;
        }
        rv = load_segment(&load, &store->segments[i], i == 0,
                          i + 1 == store->segment_count);
    }
    if (rv != 0) {
        log_store_close(store);
        return rv;
    }
    encoder->chain = load.chain;
    /* Everything that was read is synced before it is relied upon. */
    encoder->synced = load.next_index == 0 ? 0 : load.next_index - 1;
    return files->sync(files, store->handle);
}
