/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/snapshot_store.h"

#include "base/check.h"
#include "base/container.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "raft/paths.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define READ_BYTES   (4 * MANIFEST_HASH_BLOCK)
#define UNPACK_BYTES 262144

int snapshot_open_packed(const struct snapshot_store *store, uint64_t index,
                         struct file **file, struct failure *failure)
{
    struct path path;
    path_numbered(&path, store->directory, "snapshots", index, ".lz4");
    int rv = file_open(store->files, path.text, FILE_READ, file);
    return rv == 0 ? 0 : failure_io(failure, rv, "open", path.text);
}

struct snapshot_source {
    struct snapshot_manifest manifest;
    struct file *file;
    LZ4F_dctx *unpacker;
    uint64_t offset; /* Of what is not in `packed` yet. */
    size_t packed_at;
    size_t packed_len;
    bool ended;
    uint8_t packed[READ_BYTES];
    uint8_t content[UNPACK_BYTES];
};

struct snapshot_source *snapshot_source_open(
    const struct snapshot_store *store,
    const struct snapshot_manifest *manifest, struct failure *failure)
{
    struct file *file;
    if (snapshot_open_packed(store, manifest->index, &file, failure) != 0) {
        return NULL;
    }
    struct snapshot_source *source = memory_alloc(sizeof *source);
    source->manifest = *manifest;
    source->file = file;
    CHECK(!LZ4F_isError(
        LZ4F_createDecompressionContext(&source->unpacker, LZ4F_VERSION)));
    return source;
}

void snapshot_source_close(struct snapshot_source *source)
{
    if (source != NULL) {
        file_close(source->file);
        LZ4F_freeDecompressionContext(source->unpacker);
        free(source);
    }
}

uint64_t snapshot_source_index(const struct snapshot_source *source)
{
    return source->manifest.index;
}

/* Reads on in the file; at its end packed_len is 0. */
static int refill(struct snapshot_source *source)
{
    uint64_t left = source->manifest.packed_bytes - source->offset;
    size_t want = left < READ_BYTES ? (size_t)left : READ_BYTES;
    source->packed_at = 0;
    int rv = file_read(source->file, source->packed, want, source->offset,
                       &source->packed_len);
    if (rv != 0) {
        return HF_ERROR_IO;
    }
    source->offset += source->packed_len;
    return 0;
}

int snapshot_source_next(struct snapshot_source *source, const uint8_t **data,
                         size_t *len)
{
    *data = source->content;
    *len = 0;
    while (!source->ended && *len == 0) {
        if (source->packed_at == source->packed_len) {
            int rv = refill(source);
            if (rv != 0) {
                return rv;
            }
            if (source->packed_len == 0) {
                return HF_ERROR_CORRUPT; /* The frame is cut short. */
            }
        }
        size_t taken = source->packed_len - source->packed_at;
        *len = UNPACK_BYTES;
        size_t rest =
            LZ4F_decompress(source->unpacker, source->content, len,
                            source->packed + source->packed_at, &taken, NULL);
        if (LZ4F_isError(rest)) {
            *len = 0;
            return HF_ERROR_CORRUPT;
        }
        source->packed_at += taken;
        source->ended = rest == 0;
    }
    if (source->ended && *len == 0 &&
        (source->packed_at != source->packed_len ||
         source->offset != source->manifest.packed_bytes)) {
        return HF_ERROR_CORRUPT; /* Something follows the frame. */
    }
    return 0;
}

struct finder {
    struct files_visitor visitor;
    uint64_t *indexes; /* With a manifest or an install. */
    size_t count;
    uint64_t *data; /* With packed bytes. */
    size_t data_count;
    uint64_t install; /* 0: none. */
    char **drafts;
    size_t draft_count;
};

static void visit_name(struct files_visitor *visitor, const char *name)
{
    struct finder *finder = container_of(visitor, struct finder, visitor);
    uint64_t index;
    bool installing = path_number_parse(name, ".install", &index);
    if (installing || path_number_parse(name, ".manifest", &index)) {
        finder->indexes = memory_realloc_array(
            finder->indexes, finder->count + 1, sizeof *finder->indexes);
        finder->indexes[finder->count++] = index;
        if (installing) {
            finder->install = index;
        }
    } else if (path_number_parse(name, ".lz4", &index)) {
        finder->data = memory_realloc_array(
            finder->data, finder->data_count + 1, sizeof *finder->data);
        finder->data[finder->data_count++] = index;
    } else if (path_ends_with(name, ".draft") ||
               strcmp(name, "incoming") == 0) {
        finder->drafts = memory_realloc_array(
            finder->drafts, finder->draft_count + 1, sizeof *finder->drafts);
        finder->drafts[finder->draft_count++] = memory_copy_string(name);
    }
}

static int descending(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;
    return a > b ? -1 : a < b;
}

static int find(const struct snapshot_store *store, struct finder *finder,
                struct failure *failure)
{
    struct path folder;
    finder->visitor.visit = visit_name;
    path_set(&folder, store->directory, "snapshots");
    int rv = files_list(store->files, folder.text, &finder->visitor);
    if (rv != 0) {
        return failure_io(failure, rv, "list", folder.text);
    }
    if (finder->count > 0) {
        qsort(finder->indexes, finder->count, sizeof *finder->indexes,
              descending);
    }
    return 0;
}

static void finder_close(struct finder *finder)
{
    for (size_t i = 0; i < finder->draft_count; i++) {
        free(finder->drafts[i]);
    }
    free(finder->drafts);
    free(finder->data);
    free(finder->indexes);
}

static int read_manifest(const struct snapshot_store *store, uint64_t index,
                         bool installing, struct snapshot_manifest *manifest,
                         struct failure *failure)
{
    uint8_t data[MANIFEST_HEAD_BYTES + MANIFEST_MEMBERS_BYTES_MAX + 1];
    struct path path;
    struct file *file;
    size_t got;
    path_numbered(&path, store->directory, "snapshots", index,
                  installing ? ".install" : ".manifest");
    int rv = file_open(store->files, path.text, FILE_READ, &file);
    if (rv != 0) {
        return failure_io(failure, rv, "open", path.text);
    }
    rv = file_read(file, data, sizeof data, 0, &got);
    file_close(file);
    if (rv != 0) {
        return failure_io(failure, rv, "read", path.text);
    }
    rv = manifest_decode(manifest, data, got);
    if (rv != 0 || manifest->index != index) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s is damaged or of a newer version", path.text);
    }
    return 0;
}

/* Whether the packed bytes are those the manifest speaks of. */
static int verify(const struct snapshot_store *store,
                  const struct snapshot_manifest *manifest,
                  struct failure *failure)
{
    struct file *file;
    uint64_t hash = 0;
    uint64_t at = 0;
    int rv = snapshot_open_packed(store, manifest->index, &file, failure);
    if (rv != 0) {
        return rv;
    }
    uint8_t *block = memory_alloc(MANIFEST_HASH_BLOCK);
    while (at < manifest->packed_bytes) {
        uint64_t left = manifest->packed_bytes - at;
        size_t want =
            left < MANIFEST_HASH_BLOCK ? (size_t)left : MANIFEST_HASH_BLOCK;
        size_t got;
        rv = file_read(file, block, want, at, &got);
        if (rv != 0 || got < want) {
            break;
        }
        hash = snapshot_hash_block(hash, block, want);
        at += want;
    }
    free(block);
    file_close(file);
    if (rv != 0) {
        return failure_io(failure, rv, "read", "a snapshot");
    }
    if (at < manifest->packed_bytes || hash != manifest->packed_hash) {
        return failure_set(failure, REPLICA_FAILED_CORRUPT,
                           "%s/snapshots: the snapshot at entry %" PRIu64
                           " is damaged before %" PRIu64 FAILURE_CURE_REJOIN,
                           store->directory, manifest->index, at);
    }
    return 0;
}

/* Gone already is fine: a crash may have been faster. */
static int unlink_numbered(const struct snapshot_store *store, uint64_t index,
                           const char *suffix, struct failure *failure)
{
    struct path path;
    path_numbered(&path, store->directory, "snapshots", index, suffix);
    int rv = files_unlink(store->files, path.text);
    return rv == 0 || rv == -ENOENT
               ? 0
               : failure_io(failure, rv, "remove", path.text);
}

static int sync_folder(const struct snapshot_store *store,
                       struct failure *failure)
{
    struct path folder;
    path_set(&folder, store->directory, "snapshots");
    int rv = files_sync_directory(store->files, folder.text);
    return rv == 0 ? 0 : failure_io(failure, rv, "sync", folder.text);
}

/* The manifest goes first, and for good: data without one is nothing. */
static int drop(const struct snapshot_store *store, uint64_t index,
                struct failure *failure)
{
    int rv = unlink_numbered(store, index, ".manifest", failure);
    if (rv == 0) {
        rv = sync_folder(store, failure);
    }
    if (rv == 0) {
        rv = unlink_numbered(store, index, ".lz4", failure);
    }
    return rv;
}

static bool has_manifest(const struct finder *finder, uint64_t index)
{
    for (size_t i = 0; i < finder->count; i++) {
        if (finder->indexes[i] == index) {
            return true;
        }
    }
    return false;
}

/* What crashes left behind. */
static int remove_drafts(const struct snapshot_store *store,
                         const struct finder *finder, struct failure *failure)
{
    for (size_t i = 0; i < finder->data_count; i++) {
        if (!has_manifest(finder, finder->data[i])) {
            int rv = unlink_numbered(store, finder->data[i], ".lz4", failure);
            if (rv != 0) {
                return rv;
            }
        }
    }
    for (size_t i = 0; i < finder->draft_count; i++) {
        struct path path;
        struct path folder;
        path_set(&folder, store->directory, "snapshots");
        path_set(&path, folder.text, finder->drafts[i]);
        int rv = files_unlink(store->files, path.text);
        if (rv != 0) {
            return failure_io(failure, rv, "remove", path.text);
        }
    }
    return 0;
}

int snapshot_store_open(const struct snapshot_store *store,
                        struct snapshot_inventory *inventory,
                        struct failure *failure)
{
    struct finder finder = {.count = 0};
    memset(inventory, 0, sizeof *inventory);
    int rv = find(store, &finder, failure);
    if (rv == 0) {
        rv = remove_drafts(store, &finder, failure);
    }
    bool damaged = false;
    for (size_t i = 0; rv == 0 && i < finder.count; i++) {
        uint64_t index = finder.indexes[i];
        bool installing = index == finder.install;
        rv = read_manifest(store, index, installing, &inventory->newest,
                           failure);
        if (rv == 0) {
            rv = verify(store, &inventory->newest, failure);
        }
        if (rv == 0) {
            inventory->any = true;
            inventory->installing = installing;
            inventory->previous_index =
                i + 1 < finder.count ? finder.indexes[i + 1] : 0;
            break;
        }
        /* Try the one before: the log goes on from it, which the caller
         * verifies. */
        if (rv == HF_ERROR_CORRUPT && i + 1 < finder.count && !installing) {
            log_warn("snapshot.damaged", "%s", failure->reason);
            damaged = true;
            rv = 0;
        }
    }
    for (size_t i = 0; damaged && rv == 0 && i < finder.count &&
                       finder.indexes[i] > inventory->newest.index;
         i++) {
        rv = drop(store, finder.indexes[i], failure);
    }
    finder_close(&finder);
    return rv;
}

int snapshot_store_installed(const struct snapshot_store *store, uint64_t index,
                             struct failure *failure)
{
    struct path from;
    struct path path;
    path_numbered(&from, store->directory, "snapshots", index, ".install");
    path_numbered(&path, store->directory, "snapshots", index, ".manifest");
    int rv = files_rename(store->files, from.text, path.text);
    if (rv != 0) {
        return failure_io(failure, rv, "rename", from.text);
    }
    return sync_folder(store, failure);
}

int snapshot_store_clean(const struct snapshot_store *store, uint64_t index,
                         uint64_t previous, struct failure *failure)
{
    struct finder finder = {.count = 0};
    int rv = find(store, &finder, failure);
    for (size_t i = 0; rv == 0 && i < finder.count; i++) {
        if (finder.indexes[i] != index && finder.indexes[i] != previous) {
            rv = drop(store, finder.indexes[i], failure);
        }
    }
    finder_close(&finder);
    return rv;
}
