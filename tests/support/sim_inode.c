/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_inode.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define SECTOR 512

enum change_kind { CHANGE_WRITE, CHANGE_SIZE };

/* Something a file's last sync does not cover. */
struct change {
    enum change_kind kind;
    uint64_t offset; /* Or the new size. */
    struct bytes data;
};

/* What a directory's last sync does not cover: a name comes or goes. */
struct name_change {
    char *name;
    struct inode *inode; /* NULL: goes. */
    uint64_t rename;     /* Both halves of one rename have the same number. */
};

struct inode *sim_inode_create(uint64_t *numbers, bool directory)
{
    struct inode *inode = memory_alloc(sizeof *inode);
    inode->directory = directory;
    inode->refs = 1;
    inode->number = ++*numbers;
    bytes_init(&inode->data);
    bytes_init(&inode->synced);
    return inode;
}

static void dentries_clear(struct dentry **names, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        free((*names)[i].name);
        sim_inode_unref((*names)[i].inode);
    }
    free(*names);
    *names = NULL;
    *count = 0;
}

static void changes_clear(struct inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        bytes_close(&inode->changes[i].data);
    }
    free(inode->changes);
    inode->changes = NULL;
    inode->change_count = 0;
}

static void name_changes_clear(struct inode *inode)
{
    for (size_t i = 0; i < inode->name_change_count; i++) {
        free(inode->name_changes[i].name);
        if (inode->name_changes[i].inode != NULL) {
            sim_inode_unref(inode->name_changes[i].inode);
        }
    }
    free(inode->name_changes);
    inode->name_changes = NULL;
    inode->name_change_count = 0;
}

void sim_inode_unref(struct inode *inode)
{
    CHECK(inode->refs > 0);
    if (--inode->refs > 0) {
        return;
    }
    name_changes_clear(inode);
    dentries_clear(&inode->names, &inode->name_count);
    dentries_clear(&inode->synced_names, &inode->synced_count);
    changes_clear(inode);
    bytes_close(&inode->data);
    bytes_close(&inode->synced);
    free(inode);
}

static struct dentry *names_find(struct dentry *names, size_t count,
                                 const char *name, size_t len)
{
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i].name) == len &&
            memcmp(names[i].name, name, len) == 0) {
            return &names[i];
        }
    }
    return NULL;
}

struct inode *sim_inode_child(const struct inode *directory, const char *name,
                              size_t len)
{
    const struct dentry *entry =
        names_find(directory->names, directory->name_count, name, len);
    return entry == NULL ? NULL : entry->inode;
}

static void names_put(struct dentry **names, size_t *count, const char *name,
                      struct inode *inode)
{
    struct dentry *old = names_find(*names, *count, name, strlen(name));
    inode->refs++;
    if (old != NULL) {
        /* Its name's reference is its own.
         * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        sim_inode_unref(old->inode);
        old->inode = inode;
        return;
    }
    *names = memory_realloc_array(*names, *count + 1, sizeof **names);
    (*names)[(*count)++] =
        (struct dentry){.name = memory_copy_string(name), .inode = inode};
}

static void names_remove(struct dentry **names, size_t *count, const char *name)
{
    struct dentry *old = names_find(*names, *count, name, strlen(name));
    if (old != NULL) {
        free(old->name);
        /* As above. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        sim_inode_unref(old->inode);
        *old = (*names)[--*count];
    }
}

void sim_inode_name(struct inode *directory, const char *name,
                    struct inode *inode, uint64_t rename)
{
    if (inode != NULL) {
        names_put(&directory->names, &directory->name_count, name, inode);
        inode->refs++;
    } else {
        names_remove(&directory->names, &directory->name_count, name);
    }
    directory->name_changes = memory_realloc_array(
        directory->name_changes, directory->name_change_count + 1,
        sizeof *directory->name_changes);
    directory->name_changes[directory->name_change_count++] =
        (struct name_change){
            .name = memory_copy_string(name), .inode = inode, .rename = rename};
}

static void resize(struct bytes *bytes, uint64_t size)
{
    if (size > bytes->len) {
        size_t more = (size_t)size - bytes->len;
        memset(bytes_reserve(bytes, more), 0, more);
    }
    bytes->len = (size_t)size;
}

static void put(struct bytes *bytes, const void *data, size_t len,
                uint64_t offset)
{
    if (offset + len > bytes->len) {
        resize(bytes, offset + len);
    }
    if (len > 0) {
        memcpy(bytes->data + offset, data, len);
    }
}

static struct change *change_add(struct inode *inode, enum change_kind kind,
                                 uint64_t offset)
{
    inode->changes = memory_realloc_array(
        inode->changes, inode->change_count + 1, sizeof *inode->changes);
    struct change *change = &inode->changes[inode->change_count++];
    change->kind = kind;
    change->offset = offset;
    bytes_init(&change->data);
    return change;
}

void sim_inode_write(struct inode *inode, const void *data, size_t len,
                     uint64_t offset)
{
    put(&inode->data, data, len, offset);
    bytes_append(&change_add(inode, CHANGE_WRITE, offset)->data, data, len);
}

void sim_inode_resize(struct inode *inode, uint64_t bytes)
{
    resize(&inode->data, bytes);
    change_add(inode, CHANGE_SIZE, bytes);
}

void sim_inode_sync(struct inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct change *change = &inode->changes[i];
        if (change->kind == CHANGE_SIZE) {
            resize(&inode->synced, change->offset);
        } else {
            put(&inode->synced, change->data.data, change->data.len,
                change->offset);
        }
    }
    changes_clear(inode);
    CHECK(inode->synced.len == inode->data.len);
}

static void apply_name_change(struct inode *directory,
                              const struct name_change *change)
{
    if (change->inode != NULL) {
        names_put(&directory->synced_names, &directory->synced_count,
                  change->name, change->inode);
    } else {
        names_remove(&directory->synced_names, &directory->synced_count,
                     change->name);
    }
}

void sim_inode_sync_names(struct inode *directory)
{
    for (size_t i = 0; i < directory->name_change_count; i++) {
        apply_name_change(directory, &directory->name_changes[i]);
    }
    name_changes_clear(directory);
}

/* A write reaches the disk wholly, torn, or not; sizes do or do not. */
static void lose_content(struct inode *inode, struct random *random)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct change *change = &inode->changes[i];
        uint64_t fate = random_below(random, 3);
        if (fate == 0) {
            continue;
        }
        if (change->kind == CHANGE_SIZE) {
            resize(&inode->synced, change->offset);
            continue;
        }
        size_t len = change->data.len;
        if (fate == 1 && len > 0) {
            uint64_t end = change->offset + random_below(random, len);
            end -= end % SECTOR;
            len = end <= change->offset ? 0 : (size_t)(end - change->offset);
        }
        put(&inode->synced, change->data.data, len, change->offset);
    }
    changes_clear(inode);
    bytes_clear(&inode->data);
    bytes_append(&inode->data, inode->synced.data, inode->synced.len);
}

static bool survives(struct random *random, uint64_t salt, uint64_t rename)
{
    if (rename == 0) {
        return random_below(random, 2) == 0;
    }
    /* Both halves of a rename share their fate. */
    struct random shared;
    random_init(&shared, salt ^ rename);
    return random_below(&shared, 2) == 0;
}

static void lose_names(struct inode *directory, struct random *random,
                       uint64_t salt)
{
    for (size_t i = 0; i < directory->name_change_count; i++) {
        const struct name_change *change = &directory->name_changes[i];
        if (survives(random, salt, change->rename)) {
            apply_name_change(directory, change);
        }
    }
    name_changes_clear(directory);
    dentries_clear(&directory->names, &directory->name_count);
    for (size_t i = 0; i < directory->synced_count; i++) {
        names_put(&directory->names, &directory->name_count,
                  directory->synced_names[i].name,
                  directory->synced_names[i].inode);
    }
}

void sim_inode_lose(struct inode *inode, struct random *random, uint64_t salt)
{
    if (!inode->directory) {
        lose_content(inode, random);
        return;
    }
    lose_names(inode, random, salt);
    for (size_t i = 0; i < inode->name_count; i++) {
        sim_inode_lose(inode->names[i].inode, random, salt);
    }
}

struct inode *sim_inode_clone(uint64_t *numbers, const struct inode *from)
{
    struct inode *inode = sim_inode_create(numbers, from->directory);
    bytes_append(&inode->data, from->data.data, from->data.len);
    bytes_append(&inode->synced, from->data.data, from->data.len);
    for (size_t i = 0; i < from->name_count; i++) {
        struct inode *child = sim_inode_clone(numbers, from->names[i].inode);
        names_put(&inode->names, &inode->name_count, from->names[i].name,
                  child);
        names_put(&inode->synced_names, &inode->synced_count,
                  from->names[i].name, child);
        sim_inode_unref(child);
    }
    return inode;
}
