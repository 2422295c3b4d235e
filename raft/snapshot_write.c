/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/snapshot_store.h"

#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "raft/paths.h"

#include <errno.h>
#include <string.h>

/* Of content, for one slice on the snapshot lane: others wait so long. */
#define SLICE_BYTES 1048576

/* Synced this often, so that the log's next sync does not wait for a long
 * queue of the disk's. */
#define SYNC_BYTES (8 * 1048576)

uint64_t snapshot_hash_block(uint64_t hash, const uint8_t *data, size_t len)
{
    CHECK(len > 0 && len <= MANIFEST_HASH_BLOCK);
    return hash_bytes(data, len, hash);
}

void snapshot_writing_init(struct snapshot_writing *writing,
                           const struct snapshot_store *store,
                           struct snapshot_content *content,
                           const struct snapshot_manifest *manifest)
{
    memset(writing, 0, sizeof *writing);
    writing->store = store;
    writing->content = content;
    writing->manifest = *manifest;
    writing->manifest.packed_bytes = 0;
    writing->manifest.packed_hash = 0;
    bytes_init(&writing->raw);
    bytes_init(&writing->packed);
}

void snapshot_writing_close(struct snapshot_writing *writing)
{
    if (writing->content != NULL) {
        writing->content->destroy(writing->content);
        writing->content = NULL;
    }
    file_close(writing->file);
    writing->file = NULL;
    LZ4F_freeCompressionContext(writing->packer);
    writing->packer = NULL;
    bytes_close(&writing->raw);
    bytes_close(&writing->packed);
}

static void draft_path(const struct snapshot_writing *writing,
                       struct path *path)
{
    path_numbered(path, writing->store->directory, "snapshots",
                  writing->manifest.index, ".lz4.draft");
}

/* Writes what is packed: whole blocks, at the end also the rest. */
static int flush(struct snapshot_writing *writing, bool end,
                 struct failure *failure)
{
    struct snapshot_manifest *manifest = &writing->manifest;
    size_t done = 0;
    while (writing->packed.len - done >= MANIFEST_HASH_BLOCK ||
           (end && done < writing->packed.len)) {
        size_t len = writing->packed.len - done;
        if (len > MANIFEST_HASH_BLOCK) {
            len = MANIFEST_HASH_BLOCK;
        }
        manifest->packed_hash = snapshot_hash_block(
            manifest->packed_hash, writing->packed.data + done, len);
        done += len;
    }
    if (done == 0) {
        return 0;
    }
    int rv = file_write(writing->file, writing->packed.data, done,
                        manifest->packed_bytes);
    manifest->packed_bytes += done;
    writing->unsynced += done;
    bytes_consume(&writing->packed, done);
    if (rv == 0 && (end || writing->unsynced >= SYNC_BYTES)) {
        writing->unsynced = 0;
        rv = file_sync(writing->file);
    }
    if (rv != 0) {
        struct path path;
        draft_path(writing, &path);
        return failure_io(failure, rv, "write", path.text);
    }
    return 0;
}

/* An attempt that was given up may have left the file. */
static int create_anew(struct files *files, const char *path,
                       struct file **file)
{
    int rv = files_unlink(files, path);
    if (rv != 0 && rv != -ENOENT) {
        return rv;
    }
    return file_open(files, path, FILE_CREATE, file);
}

static const LZ4F_preferences_t preferences = {
    .frameInfo = {.blockSizeID = LZ4F_max256KB,
                  .contentChecksumFlag = LZ4F_contentChecksumEnabled},
};

static int begin(struct snapshot_writing *writing, struct failure *failure)
{
    struct path path;
    draft_path(writing, &path);
    int rv = create_anew(writing->store->files, path.text, &writing->file);
    if (rv != 0) {
        return failure_io(failure, rv, "create", path.text);
    }
    CHECK(!LZ4F_isError(
        LZ4F_createCompressionContext(&writing->packer, LZ4F_VERSION)));
    uint8_t *out = bytes_reserve(&writing->packed, LZ4F_HEADER_SIZE_MAX);
    size_t got = LZ4F_compressBegin(writing->packer, out, LZ4F_HEADER_SIZE_MAX,
                                    &preferences);
    CHECK(!LZ4F_isError(got));
    writing->packed.len += got;
    return 0;
}

int snapshot_writing_slice(struct snapshot_writing *writing,
                           struct failure *failure)
{
    CHECK(!writing->complete);
    if (writing->file == NULL) {
        int rv = begin(writing, failure);
        if (rv != 0) {
            return rv;
        }
    }
    bytes_clear(&writing->raw);
    bool more =
        writing->content->next(writing->content, &writing->raw, SLICE_BYTES);
    size_t bound = LZ4F_compressBound(writing->raw.len, &preferences);
    uint8_t *out = bytes_reserve(&writing->packed, bound);
    size_t got = 0;
    if (writing->raw.len > 0) {
        got = LZ4F_compressUpdate(writing->packer, out, bound,
                                  writing->raw.data, writing->raw.len, NULL);
        CHECK(!LZ4F_isError(got));
        writing->packed.len += got;
    }
    if (!more) {
        bound = LZ4F_compressBound(0, &preferences);
        out = bytes_reserve(&writing->packed, bound);
        got = LZ4F_compressEnd(writing->packer, out, bound, NULL);
        CHECK(!LZ4F_isError(got));
        writing->packed.len += got;
    }
    int rv = flush(writing, !more, failure);
    if (rv == 0) {
        writing->complete = !more;
    }
    return rv;
}

/* Writes <index><suffix> by way of a draft; nothing there is ever half. */
static int write_manifest(const struct snapshot_store *store,
                          const struct snapshot_manifest *manifest,
                          const char *suffix, struct failure *failure)
{
    struct path draft;
    struct path path;
    struct path folder;
    struct file *file;
    struct bytes bytes;
    path_numbered(&draft, store->directory, "snapshots", manifest->index,
                  ".manifest.draft");
    path_numbered(&path, store->directory, "snapshots", manifest->index,
                  suffix);
    path_set(&folder, store->directory, "snapshots");
    int rv = create_anew(store->files, draft.text, &file);
    if (rv != 0) {
        return failure_io(failure, rv, "create", draft.text);
    }
    bytes_init(&bytes);
    manifest_encode(manifest, &bytes);
    rv = file_write(file, bytes.data, bytes.len, 0);
    bytes_close(&bytes);
    if (rv == 0) {
        rv = file_sync(file);
    }
    file_close(file);
    if (rv == 0) {
        rv = files_rename(store->files, draft.text, path.text);
    }
    if (rv == 0) {
        rv = files_sync_directory(store->files, folder.text);
    }
    return rv == 0 ? 0 : failure_io(failure, rv, "write", path.text);
}

/* Gives synced data its name, then writes the manifest. */
static int publish(const struct snapshot_store *store, const char *draft,
                   const struct snapshot_manifest *manifest, const char *suffix,
                   struct failure *failure)
{
    struct path path;
    struct path folder;
    path_numbered(&path, store->directory, "snapshots", manifest->index,
                  ".lz4");
    path_set(&folder, store->directory, "snapshots");
    int rv = files_rename(store->files, draft, path.text);
    if (rv == 0) {
        rv = files_sync_directory(store->files, folder.text);
    }
    if (rv != 0) {
        return failure_io(failure, rv, "rename", draft);
    }
    return write_manifest(store, manifest, suffix, failure);
}

int snapshot_writing_publish(struct snapshot_writing *writing,
                             struct failure *failure)
{
    struct path draft;
    CHECK(writing->complete && writing->packed.len == 0);
    draft_path(writing, &draft);
    return publish(writing->store, draft.text, &writing->manifest, ".manifest",
                   failure);
}

int snapshot_receiving_begin(struct snapshot_receiving *receiving,
                             const struct snapshot_store *store,
                             const struct snapshot_manifest *manifest,
                             struct failure *failure)
{
    struct path path;
    memset(receiving, 0, sizeof *receiving);
    receiving->store = store;
    receiving->manifest = *manifest;
    bytes_init(&receiving->tail);
    path_set(&path, store->directory, "snapshots/incoming");
    int rv = create_anew(store->files, path.text, &receiving->file);
    return rv == 0 ? 0 : failure_io(failure, rv, "create", path.text);
}

int snapshot_receiving_add(struct snapshot_receiving *receiving,
                           const uint8_t *data, size_t len,
                           struct failure *failure)
{
    CHECK(len <= receiving->manifest.packed_bytes - receiving->received);
    int rv = file_write(receiving->file, data, len, receiving->received);
    if (rv != 0) {
        return failure_io(failure, rv, "write", "snapshots/incoming");
    }
    receiving->received += len;
    bytes_append(&receiving->tail, data, len);
    bool end = receiving->received == receiving->manifest.packed_bytes;
    size_t done = 0;
    while (receiving->tail.len - done >= MANIFEST_HASH_BLOCK ||
           (end && done < receiving->tail.len)) {
        size_t block = receiving->tail.len - done;
        if (block > MANIFEST_HASH_BLOCK) {
            block = MANIFEST_HASH_BLOCK;
        }
        receiving->hash = snapshot_hash_block(
            receiving->hash, receiving->tail.data + done, block);
        done += block;
    }
    bytes_consume(&receiving->tail, done);
    return 0;
}

bool snapshot_receiving_sound(const struct snapshot_receiving *receiving)
{
    return receiving->received == receiving->manifest.packed_bytes &&
           receiving->hash == receiving->manifest.packed_hash;
}

int snapshot_receiving_publish(struct snapshot_receiving *receiving,
                               struct failure *failure)
{
    struct path draft;
    CHECK(snapshot_receiving_sound(receiving));
    path_set(&draft, receiving->store->directory, "snapshots/incoming");
    int rv = file_sync(receiving->file);
    if (rv != 0) {
        return failure_io(failure, rv, "sync", draft.text);
    }
    return publish(receiving->store, draft.text, &receiving->manifest,
                   ".install", failure);
}

void snapshot_receiving_close(struct snapshot_receiving *receiving)
{
    file_close(receiving->file);
    receiving->file = NULL;
    bytes_close(&receiving->tail);
}
