/* SPDX-License-Identifier: Apache-2.0
 *
 * Segments: creation, appending, dropping. Loading is in log_load.c. */
#include "raft/log_store.h"

#include "base/check.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/memory.h"
#include "raft/log_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void log_encode(struct log_encoder *encoder, const struct log_record *record,
                struct bytes *out)
{
    size_t padded = log_padded(record->len);
    uint8_t *at = bytes_reserve(out, LOG_HEADER_BYTES + padded);

    memset(at, 0, LOG_HEADER_BYTES);
    bytes_put_u32(at, LOG_MAGIC);
    bytes_put_u32(at + 4, record->len);
    bytes_put_u64(at + 8, record->index);
    bytes_put_u64(at + 16, record->term);
    bytes_put_u64(at + 24, encoder->synced);
    bytes_put_u32(at + 40, record->type);
    if (record->len > 0) {
        memcpy(at + LOG_HEADER_BYTES, record->data, record->len);
    }
    memset(at + LOG_HEADER_BYTES + record->len, 0, padded - record->len);
    encoder->chain = log_chain(encoder->chain, at, record->len);
    bytes_put_u64(at + 32, encoder->chain);
    bytes_put_u32(at + 44, log_checksum(at, record->len));
    out->len += LOG_HEADER_BYTES + padded;
}

void log_segment_path(char *path, uint64_t number)
{
    snprintf(path, LOG_PATH_BYTES, LOG_DIRECTORY "/%020llu.seg",
             (unsigned long long)number);
}

/* A segment appears under its name only when it is whole, so a crash leaves
 * at most a file that nobody looks at. */
int log_segment_create(struct files *files, uint64_t number, uint64_t size,
                       uint64_t chain)
{
    uint8_t header[LOG_SEGMENT_HEADER_BYTES] = {0};
    char path[LOG_PATH_BYTES];
    int handle = files->open(files, LOG_DIRECTORY "/new.tmp", 1);
    int rv;

    if (handle < 0) {
        return handle;
    }
    bytes_put_u64(header, LOG_SEGMENT_MAGIC);
    bytes_put_u64(header + 8, number);
    bytes_put_u64(header + 16, chain);
    bytes_put_u32(header + 24, crc32c(0, header, 24));
    rv = files->truncate(files, handle, 0);
    if (rv == 0) {
        rv = files->allocate(files, handle, size);
    }
    if (rv == 0) {
        rv = files->write(files, handle, header, sizeof(header), 0);
    }
    if (rv == 0) {
        rv = files->sync(files, handle);
    }
    files->close(files, handle);
    if (rv == 0) {
        log_segment_path(path, number);
        rv = files->rename(files, LOG_DIRECTORY "/new.tmp", path);
    }
    return rv == 0 ? files->sync_directory(files, LOG_DIRECTORY) : rv;
}

int log_store_create(struct files *files, uint64_t segment_bytes)
{
    int rv = files->make_directory(files, LOG_DIRECTORY);

    if (rv == 0) {
        rv = files->sync_directory(files, ".");
    }
    return rv == 0 ? log_segment_create(files, 1, segment_bytes, 0) : rv;
}

void log_store_close(struct log_store *store)
{
    if (store->handle >= 0) {
        store->files->close(store->files, store->handle);
    }
    free(store->segments);
    store->segments = NULL;
    store->handle = -1;
}

struct log_segment *log_store_add_segment(struct log_store *store,
                                          uint64_t number)
{
    struct log_segment *segment;

    store->segments = memory_realloc_array(
        store->segments, store->segment_count + 1, sizeof(*store->segments));
    segment = &store->segments[store->segment_count++];
    *segment = (struct log_segment){.number = number};
    if (store->segment_count > 1) {
        segment->last_index = segment[-1].last_index;
    }
    return segment;
}

static int roll(struct log_store *store, size_t needed, uint64_t chain)
{
    struct files *files = store->files;
    uint64_t size = store->segment_bytes;
    struct log_segment *last = &store->segments[store->segment_count - 1];
    char path[LOG_PATH_BYTES];
    int rv;

    if (size < LOG_SEGMENT_HEADER_BYTES + needed) {
        size = LOG_SEGMENT_HEADER_BYTES + needed;
    }
    rv = log_segment_create(files, last->number + 1, size, chain);
    if (rv != 0) {
        return rv;
    }
    files->close(files, store->handle);
    log_segment_path(path, last->number + 1);
    log_store_add_segment(store, last->number + 1);
    store->handle = files->open(files, path, 0);
    store->offset = LOG_SEGMENT_HEADER_BYTES;
    store->size = size;
    return store->handle < 0 ? store->handle : 0;
}

int log_store_append(struct log_store *store, const struct bytes *records,
                     uint64_t chain_before, uint64_t last_index)
{
    struct log_segment *segment;
    int rv;

    if (store->size - store->offset < records->len) {
        rv = roll(store, records->len, chain_before);
        if (rv != 0) {
            return rv;
        }
    }
    rv = store->files->write(store->files, store->handle, records->data,
                             records->len, store->offset);
    if (rv == 0) {
        rv = store->files->sync(store->files, store->handle);
    }
    if (rv != 0) {
        return rv;
    }
    store->offset += records->len;
    segment = &store->segments[store->segment_count - 1];
    if (segment->last_index < last_index) {
        segment->last_index = last_index;
    }
    return 0;
}

int log_store_drop(struct log_store *store, uint64_t index)
{
    uint32_t count = 0;
    char path[LOG_PATH_BYTES];

    /* Oldest first, and the open one never: what remains is always a run. */
    while (count + 1 < store->segment_count &&
           store->segments[count].last_index <= index) {
        int rv;

        log_segment_path(path, store->segments[count].number);
        rv = store->files->unlink(store->files, path);
        if (rv == 0) {
            rv = store->files->sync_directory(store->files, LOG_DIRECTORY);
        }
        if (rv != 0) {
            return rv;
        }
        count++;
    }
    if (count > 0) {
        store->segment_count -= count;
        memmove(store->segments, store->segments + count,
                store->segment_count * sizeof(*store->segments));
    }
    return 0;
}
