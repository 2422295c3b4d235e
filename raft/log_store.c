/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/log_internal.h"

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

int segment_create(const struct log_store_options *options,
                   uint64_t first_index, uint64_t chain, uint64_t bytes,
                   struct file **file, struct failure *failure)
{
    struct segment_head head = {.first_index = first_index,
                                .chain = chain,
                                .region_hash = options->region_hash,
                                .node_id = options->node_id};
    uint8_t block[SEGMENT_HEAD_BYTES];
    struct path draft;
    struct path path;
    struct path folder;
    const char *verb = "create";
    path_numbered(&draft, options->directory, "log", first_index, ".draft");
    path_numbered(&path, options->directory, "log", first_index, ".seg");
    path_set(&folder, options->directory, "log");
    segment_head_encode(&head, block);
    int rv = file_open(options->files, draft.text, FILE_CREATE, file);
    if (rv != 0) {
        return failure_io(failure, rv, verb, draft.text);
    }
    verb = "allocate";
    rv = file_allocate(*file, bytes);
    if (rv == 0) {
        verb = "write";
        rv = file_write(*file, block, sizeof block, 0);
    }
    if (rv == 0) {
        verb = "sync";
        rv = file_sync(*file);
    }
    if (rv == 0) {
        verb = "rename";
        rv = files_rename(options->files, draft.text, path.text);
    }
    if (rv == 0) {
        verb = "sync the directory of";
        rv = files_sync_directory(options->files, folder.text);
    }
    if (rv != 0) {
        file_close(*file);
        *file = NULL;
        return failure_io(failure, rv, verb, path.text);
    }
    return 0;
}

int log_store_create(const struct log_store_options *options,
                     uint64_t first_index, uint64_t chain,
                     struct failure *failure)
{
    struct file *file;
    int rv = segment_create(options, first_index, chain, options->segment_bytes,
                            &file, failure);
    if (rv == 0) {
        file_close(file);
    }
    return rv;
}

void log_store_close(struct log_store *store)
{
    if (store != NULL) {
        file_close(store->file);
        free(store->segments);
        free(store);
    }
}

uint64_t log_store_first(const struct log_store *store)
{
    return store->segments[0];
}

uint64_t log_store_last(const struct log_store *store)
{
    return store->last_index;
}

uint64_t log_store_watermark(const struct log_store *store)
{
    return store->watermark;
}

int log_store_sync(struct log_store *store, struct failure *failure)
{
    int rv = file_sync(store->file);
    if (rv != 0) {
        struct path path;
        path_numbered(&path, store->options.directory, "log",
                      store->segments[store->segment_count - 1], ".seg");
        return failure_io(failure, rv, "sync", path.text);
    }
    return 0;
}

/* Goes on in a new file, large enough for a record of `len` bytes. */
static int roll(struct log_store *store, const struct log_append *append,
                struct failure *failure)
{
    int rv = log_store_sync(store, failure);
    if (rv != 0) {
        return rv;
    }
    uint64_t bytes = store->options.segment_bytes;
    uint64_t needed = SEGMENT_HEAD_BYTES + append->len + RECORD_HEAD_BYTES;
    if (bytes < needed) {
        bytes = needed;
    }
    struct file *file;
    rv = segment_create(&store->options, append->index, append->chain_previous,
                        bytes, &file, failure);
    if (rv != 0) {
        return rv;
    }
    file_close(store->file);
    store->file = file;
    store->offset = SEGMENT_HEAD_BYTES;
    store->allocated = bytes;
    segments_push(store, append->index);
    return 0;
}

int log_store_append(struct log_store *store, const struct log_append *append,
                     struct failure *failure)
{
    bool synced_only = append->index == store->last_index;
    CHECK(synced_only || append->index == store->last_index + 1);
    /* Room for a watermark always stays behind the last entry. */
    uint64_t end = store->offset + append->len;
    if (synced_only && end > store->allocated) {
        return 0;
    }
    if (!synced_only && end + RECORD_HEAD_BYTES > store->allocated) {
        int rv = roll(store, append, failure);
        if (rv != 0) {
            return rv;
        }
    }
    int rv = file_write(store->file, append->data, append->len, store->offset);
    if (rv != 0) {
        struct path path;
        path_numbered(&path, store->options.directory, "log",
                      store->segments[store->segment_count - 1], ".seg");
        return failure_io(failure, rv, "write", path.text);
    }
    store->offset += append->len;
    store->last_index = append->index;
    return 0;
}

/* A removal is on disk before the next one: else a power cut could leave a
 * gap in the middle. */
int segment_unlink(const struct log_store_options *options,
                   uint64_t first_index, struct failure *failure)
{
    struct path path;
    struct path folder;
    path_numbered(&path, options->directory, "log", first_index, ".seg");
    path_set(&folder, options->directory, "log");
    int rv = files_unlink(options->files, path.text);
    if (rv == 0) {
        rv = files_sync_directory(options->files, folder.text);
    }
    return rv == 0 ? 0 : failure_io(failure, rv, "remove", path.text);
}

/* Makes everything from `offset` on read as zeros again. */
int segment_cut(struct log_store *store, uint64_t offset,
                struct failure *failure)
{
    uint64_t bytes = store->options.segment_bytes;
    if (bytes < store->allocated) {
        bytes = store->allocated;
    }
    /* On disk before anything is written behind: otherwise a power cut could
     * bring old records back behind new ones. */
    int rv = file_truncate(store->file, offset);
    if (rv == 0) {
        rv = file_sync(store->file);
    }
    if (rv == 0) {
        rv = file_allocate(store->file, bytes);
    }
    if (rv == 0) {
        rv = file_sync(store->file);
    }
    if (rv != 0) {
        struct path path;
        path_numbered(&path, store->options.directory, "log",
                      store->segments[store->segment_count - 1], ".seg");
        return failure_io(failure, rv, "cut", path.text);
    }
    store->offset = offset;
    store->allocated = bytes;
    return 0;
}

int log_store_truncate(struct log_store *store, uint64_t index,
                       struct failure *failure)
{
    CHECK(index > store->segments[0] || store->segment_count == 1);
    CHECK(index >= store->segments[0] && index <= store->last_index);
    bool dropped = false;
    while (store->segment_count > 1 &&
           store->segments[store->segment_count - 1] >= index) {
        file_close(store->file);
        store->file = NULL;
        int rv =
            segment_unlink(&store->options,
                           store->segments[store->segment_count - 1], failure);
        if (rv != 0) {
            return rv;
        }
        store->segment_count--;
        dropped = true;
    }
    if (dropped) {
        int rv = segment_open_last(store, failure);
        if (rv != 0) {
            return rv;
        }
    }
    uint64_t offset;
    int rv = segment_find(store, index, &offset, failure);
    if (rv == 0) {
        rv = segment_cut(store, offset, failure);
    }
    if (rv == 0) {
        store->last_index = index - 1;
    }
    return rv;
}

int log_store_trim(struct log_store *store, uint64_t index,
                   struct failure *failure)
{
    while (store->segment_count > 1 && store->segments[1] <= index) {
        int rv = segment_unlink(&store->options, store->segments[0], failure);
        if (rv != 0) {
            return rv;
        }
        store->segment_count--;
        memmove(store->segments, store->segments + 1,
                store->segment_count * sizeof *store->segments);
    }
    return 0;
}

int log_store_reset(const struct log_store_options *options,
                    uint64_t first_index, uint64_t chain,
                    struct failure *failure)
{
    struct log_store scratch = {.options = *options};
    int rv = segments_list(&scratch, failure);
    while (rv == 0 && scratch.segment_count > 0) {
        scratch.segment_count--;
        rv = segment_unlink(options, scratch.segments[scratch.segment_count],
                            failure);
    }
    free(scratch.segments);
    return rv != 0 ? rv
                   : log_store_create(options, first_index, chain, failure);
}
