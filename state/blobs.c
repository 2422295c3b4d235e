/* SPDX-License-Identifier: Apache-2.0 */
#include "state/blobs.h"

#include "base/check.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

/* Shared by the same blob of all clones. */
struct blob_bytes {
    uint32_t shares;
    uint32_t len;
    char data[];
};

static void share(const void *record)
{
    const struct blob *blob = record;

    if (blob->bytes != NULL) {
        blob->bytes->shares++;
    }
}

static void drop(const void *record)
{
    const struct blob *blob = record;

    if (blob->bytes != NULL && --blob->bytes->shares == 0) {
        free(blob->bytes);
    }
}

static const struct table_ops blob_ops = {.share = share, .drop = drop};

static const struct blob *blob_at(const struct blobs *blobs, uint32_t slot)
{
    return table_get(&blobs->table, slot);
}

/* What a blob adds to the state's hash; pointers do not count. */
static uint64_t blob_hash(const struct blob *blob, uint32_t slot)
{
    uint64_t parts[4] = {blob->content_hash, blob->refs, blob->interned, slot};

    return hash_bytes(parts, sizeof(parts), blob->bytes != NULL);
}

static struct blob *edit_begin(struct blobs *blobs, uint32_t slot)
{
    struct blob *blob = table_edit(&blobs->table, slot);

    blobs->hash -= blob_hash(blob, slot);
    return blob;
}

static void edit_end(struct blobs *blobs, uint32_t slot,
                     const struct blob *blob)
{
    blobs->hash += blob_hash(blob, slot);
}

static uint32_t append_slot(struct blobs *blobs)
{
    uint32_t slot = blobs->table.slots;
    const struct blob empty = {0};

    CHECK(slot < SLOT_NONE - 1);
    table_grow(&blobs->table, slot + 1);
    blobs->hash += blob_hash(&empty, slot);
    return slot;
}

static void set_content(struct blob *blob, struct text content)
{
    blob->bytes = memory_alloc(sizeof(*blob->bytes) + content.len);
    blob->bytes->shares = 1;
    blob->bytes->len = content.len;
    if (content.len > 0) {
        memcpy(blob->bytes->data, content.data, content.len);
    }
    blob->content_hash = hash_bytes(blob->bytes->data, content.len, 0);
}

static uint32_t store(struct blobs *blobs, struct text content, bool interned)
{
    uint32_t slot = blobs->free_first;
    struct blob *blob;

    if (slot == SLOT_NONE) {
        slot = append_slot(blobs);
        blob = edit_begin(blobs, slot);
    } else {
        blob = edit_begin(blobs, slot);
        blobs->free_first = blob->interned;
    }
    set_content(blob, content);
    blob->refs = 1;
    blob->interned = interned;
    edit_end(blobs, slot, blob);
    blobs->bytes += content.len;
    if (interned) {
        index_insert(&blobs->index, blob->content_hash, slot);
    }
    return slot;
}

void blobs_init(struct blobs *blobs)
{
    *blobs = (struct blobs){.free_first = SLOT_NONE};
    table_init(&blobs->table, sizeof(struct blob), &blob_ops);
    index_init(&blobs->index);
    store(blobs, (struct text){"", 0}, true);
}

void blobs_close(struct blobs *blobs)
{
    table_close(&blobs->table);
    index_close(&blobs->index);
}

void blobs_clone(struct blobs *blobs, const struct blobs *original)
{
    *blobs = *original;
    table_clone(&blobs->table, &original->table);
    index_clone(&blobs->index, &original->index);
}

struct content_key {
    struct index_key key;
    const struct blobs *blobs;
    struct text content;
};

static bool content_matches(const struct index_key *key, uint32_t slot)
{
    const struct content_key *wanted =
        (const struct content_key *)(const void *)key;
    struct text content = blobs_get(wanted->blobs, slot);

    return content.len == wanted->content.len &&
           memcmp(content.data, wanted->content.data, content.len) == 0;
}

uint32_t blobs_intern(struct blobs *blobs, struct text content)
{
    struct content_key key = {
        .key = {.matches = content_matches,
                .hash = hash_bytes(content.len == 0 ? "" : content.data,
                                   content.len, 0)},
        .blobs = blobs,
        .content = {content.len == 0 ? "" : content.data, content.len},
    };
    uint32_t slot = index_find(&blobs->index, &key.key);
    struct blob *blob;

    if (slot == SLOT_NONE) {
        return store(blobs, key.content, true);
    }
    if (slot != 0) {
        blob = edit_begin(blobs, slot);
        blob->refs++;
        edit_end(blobs, slot, blob);
    }
    return slot;
}

uint32_t blobs_add(struct blobs *blobs, struct text content)
{
    return store(blobs, content, false);
}

void blobs_release(struct blobs *blobs, uint32_t slot)
{
    struct blob *blob;

    if (slot == 0) {
        return;
    }
    blob = edit_begin(blobs, slot);
    CHECK(blob->refs > 0 && blob->bytes != NULL);
    if (--blob->refs == 0) {
        if (blob->interned) {
            index_remove(&blobs->index, blob->content_hash, slot);
        }
        blobs->bytes -= blob->bytes->len;
        drop(blob);
        *blob = (struct blob){.interned = blobs->free_first};
        blobs->free_first = slot;
    }
    edit_end(blobs, slot, blob);
}

struct text blobs_get(const struct blobs *blobs, uint32_t slot)
{
    const struct blob *blob = blob_at(blobs, slot);

    CHECK(blob->bytes != NULL);
    return (struct text){blob->bytes->data, blob->bytes->len};
}

void blobs_restore(struct blobs *blobs, struct text content, uint32_t refs,
                   uint32_t interned_or_next)
{
    uint32_t slot = append_slot(blobs);
    struct blob *blob = edit_begin(blobs, slot);

    if (content.data != NULL) {
        set_content(blob, content);
        blobs->bytes += content.len;
        if (interned_or_next) {
            index_insert(&blobs->index, blob->content_hash, slot);
        }
    }
    blob->refs = refs;
    blob->interned = interned_or_next;
    edit_end(blobs, slot, blob);
}

uint64_t blobs_hash_recomputed(const struct blobs *blobs)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < blobs->table.slots; i++) {
        struct blob blob = *blob_at(blobs, i);

        if (blob.bytes != NULL) {
            blob.content_hash =
                hash_bytes(blob.bytes->data, blob.bytes->len, 0);
        }
        sum += blob_hash(&blob, i);
    }
    return sum;
}
