/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_files.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/container.h"
#include "base/list.h"
#include "base/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECTOR         512
#define PATH_MAX_BYTES 4000

enum change_kind { CHANGE_WRITE, CHANGE_SIZE };

/* Something a file's last sync does not cover. */
struct change {
    enum change_kind kind;
    uint64_t offset; /* Or the new size. */
    struct bytes data;
};

struct inode {
    bool directory;
    unsigned refs;
    bool locked;
    uint64_t number; /* In order of creation. */
    struct bytes data;
    struct bytes synced;
    struct change *changes;
    size_t change_count;
    struct dentry *names; /* Of a directory, as the process sees it. */
    size_t name_count;
    struct dentry *synced_names;
    size_t synced_count;
    struct name_change *name_changes;
    size_t name_change_count;
};

struct dentry {
    char *name;
    struct inode *inode;
};

/* What a directory's last sync does not cover: a name comes or goes. */
struct name_change {
    char *name;
    struct inode *inode; /* NULL: goes. */
    uint64_t rename;     /* Both halves of one rename have the same number. */
};

struct sim_file {
    struct file file;
    struct list link;
    struct inode *inode;
    bool locks;
    bool orphan; /* Opened before the last death. */
};

struct sim_disk {
    struct files files;
    struct random random;
    struct inode *root;
    struct list open;
    uint64_t numbers;
    uint64_t renames;
    uint64_t operations;
    uint64_t fail_at;
    int fail_error;
    uint64_t die_at;
    bool die_by_power;
    bool dead;
    uint64_t room;
    char path[PATH_MAX_BYTES];
};

static struct inode *inode_create(struct sim_disk *disk, bool directory)
{
    struct inode *inode = memory_alloc(sizeof *inode);
    inode->directory = directory;
    inode->refs = 1;
    inode->number = ++disk->numbers;
    bytes_init(&inode->data);
    bytes_init(&inode->synced);
    return inode;
}

static void inode_unref(struct inode *inode);

static void dentries_clear(struct dentry **names, size_t *count)
{
    for (size_t i = 0; i < *count; i++) {
        free((*names)[i].name);
        inode_unref((*names)[i].inode);
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
            inode_unref(inode->name_changes[i].inode);
        }
    }
    free(inode->name_changes);
    inode->name_changes = NULL;
    inode->name_change_count = 0;
}

static void inode_unref(struct inode *inode)
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

static void names_put(struct dentry **names, size_t *count, const char *name,
                      struct inode *inode)
{
    struct dentry *old = names_find(*names, *count, name, strlen(name));
    inode->refs++;
    if (old != NULL) {
        /* Its name's reference is its own.
         * NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
        inode_unref(old->inode);
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
        inode_unref(old->inode);
        *old = (*names)[--*count];
    }
}

static void directory_change(struct inode *directory, const char *name,
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

/* The directory that holds the last part of `path`, and that part. */
static struct inode *parent_of(struct sim_disk *disk, const char *path,
                               const char **name)
{
    struct inode *at = disk->root;
    for (;;) {
        while (*path == '/') {
            path++;
        }
        const char *slash = strchr(path, '/');
        if (slash == NULL) {
            *name = path;
            return at;
        }
        struct dentry *entry =
            names_find(at->names, at->name_count, path, (size_t)(slash - path));
        if (entry == NULL || !entry->inode->directory) {
            return NULL;
        }
        at = entry->inode;
        path = slash;
    }
}

static struct inode *inode_at(struct sim_disk *disk, const char *path)
{
    const char *name;
    struct inode *parent = parent_of(disk, path, &name);
    if (parent == NULL) {
        return NULL;
    }
    if (*name == '\0') {
        return parent;
    }
    struct dentry *entry =
        names_find(parent->names, parent->name_count, name, strlen(name));
    return entry == NULL ? NULL : entry->inode;
}

/* Before each operation that changes or syncs. */
static int operation(struct sim_disk *disk)
{
    if (disk->dead) {
        return -EIO;
    }
    disk->operations++;
    if (disk->fail_at > 0 && --disk->fail_at == 0) {
        return disk->fail_error;
    }
    return 0;
}

/* After it. */
static void operated(struct sim_disk *disk)
{
    if (disk->die_at > 0 && --disk->die_at == 0) {
        if (disk->die_by_power) {
            sim_disk_power_cut(disk);
        } else {
            sim_disk_kill(disk);
        }
    }
}

static struct sim_disk *disk_of(struct files *files)
{
    return container_of(files, struct sim_disk, files);
}

static struct sim_file *sim_of(struct file *file)
{
    return container_of(file, struct sim_file, file);
}

static int file_usable(struct file *file)
{
    return disk_of(file->files)->dead || sim_of(file)->orphan ? -EIO : 0;
}

static int sim_open(struct files *files, const char *path, enum file_mode mode,
                    struct file **file)
{
    struct sim_disk *disk = disk_of(files);
    struct inode *inode = inode_at(disk, path);
    if (disk->dead) {
        return -EIO;
    }
    if (mode == FILE_CREATE) {
        const char *name;
        struct inode *parent = parent_of(disk, path, &name);
        int rv = operation(disk);
        if (rv != 0) {
            return rv;
        }
        if (inode != NULL) {
            return -EEXIST;
        }
        if (parent == NULL) {
            return -ENOENT;
        }
        inode = inode_create(disk, false);
        directory_change(parent, name, inode, 0);
        inode->refs--;
    } else if (inode == NULL) {
        return -ENOENT;
    }
    struct sim_file *sim = memory_alloc(sizeof *sim);
    sim->file.files = files;
    sim->inode = inode;
    inode->refs++;
    list_init(&sim->link);
    list_append(&disk->open, &sim->link);
    *file = &sim->file;
    if (mode == FILE_CREATE) {
        operated(disk);
    }
    return 0;
}

static void sim_close(struct file *file)
{
    struct sim_file *sim = sim_of(file);
    if (sim->locks && !sim->orphan) {
        sim->inode->locked = false;
    }
    list_remove(&sim->link);
    inode_unref(sim->inode);
    free(sim);
}

static int sim_read(struct file *file, void *data, size_t len, uint64_t offset,
                    size_t *got)
{
    const struct inode *inode = sim_of(file)->inode;
    int rv = file_usable(file);
    *got = 0;
    if (rv == 0 && offset < inode->data.len) {
        size_t left = inode->data.len - (size_t)offset;
        *got = len < left ? len : left;
        memcpy(data, inode->data.data + offset, *got);
    }
    return rv;
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

static int take_room(struct sim_disk *disk, const struct inode *inode,
                     uint64_t size)
{
    if (size <= inode->data.len || disk->room == UINT64_MAX) {
        return 0;
    }
    uint64_t more = size - inode->data.len;
    if (more > disk->room) {
        return -ENOSPC;
    }
    disk->room -= more;
    return 0;
}

static int sim_write(struct file *file, const void *data, size_t len,
                     uint64_t offset)
{
    struct inode *inode = sim_of(file)->inode;
    struct sim_disk *disk = disk_of(file->files);
    int rv = file_usable(file);
    if (rv == 0) {
        rv = operation(disk);
    }
    if (rv == 0) {
        rv = take_room(disk, inode, offset + len);
    }
    if (rv != 0) {
        return rv;
    }
    put(&inode->data, data, len, offset);
    bytes_append(&change_add(inode, CHANGE_WRITE, offset)->data, data, len);
    operated(disk);
    return 0;
}

static void inode_sync(struct inode *inode)
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

static int sim_sync(struct file *file)
{
    struct sim_disk *disk = disk_of(file->files);
    int rv = file_usable(file);
    if (rv == 0) {
        rv = operation(disk);
    }
    if (rv == 0) {
        inode_sync(sim_of(file)->inode);
        operated(disk);
    }
    return rv;
}

static int sim_size(struct file *file, uint64_t *bytes)
{
    *bytes = sim_of(file)->inode->data.len;
    return file_usable(file);
}

static int set_size(struct file *file, uint64_t bytes)
{
    struct inode *inode = sim_of(file)->inode;
    struct sim_disk *disk = disk_of(file->files);
    int rv = file_usable(file);
    if (rv == 0) {
        rv = operation(disk);
    }
    if (rv == 0) {
        rv = take_room(disk, inode, bytes);
    }
    if (rv == 0) {
        resize(&inode->data, bytes);
        change_add(inode, CHANGE_SIZE, bytes);
        operated(disk);
    }
    return rv;
}

static int sim_truncate(struct file *file, uint64_t bytes)
{
    return set_size(file, bytes);
}

static int sim_allocate(struct file *file, uint64_t bytes)
{
    if (bytes <= sim_of(file)->inode->data.len) {
        return file_usable(file);
    }
    return set_size(file, bytes);
}

static int sim_lock(struct file *file)
{
    struct sim_file *sim = sim_of(file);
    int rv = file_usable(file);
    if (rv != 0) {
        return rv; /* A dead process holds no lock. */
    }
    if (sim->inode->locked) {
        return -EWOULDBLOCK;
    }
    sim->inode->locked = true;
    sim->locks = true;
    return 0;
}

static int sim_rename(struct files *files, const char *from, const char *to)
{
    struct sim_disk *disk = disk_of(files);
    const char *from_name;
    const char *to_name;
    int rv = operation(disk);
    if (rv != 0) {
        return rv;
    }
    struct inode *inode = inode_at(disk, from);
    struct inode *target = inode_at(disk, to);
    struct inode *from_parent = parent_of(disk, from, &from_name);
    struct inode *to_parent = parent_of(disk, to, &to_name);
    if (inode == NULL || to_parent == NULL) {
        return -ENOENT;
    }
    if (target != NULL && target->directory && target->name_count > 0) {
        return -ENOTEMPTY;
    }
    uint64_t number = ++disk->renames;
    inode->refs++;
    directory_change(to_parent, to_name, inode, number);
    directory_change(from_parent, from_name, NULL, number);
    inode_unref(inode);
    operated(disk);
    return 0;
}

static int remove_name(struct files *files, const char *path, bool directory)
{
    struct sim_disk *disk = disk_of(files);
    const char *name;
    struct inode *inode = inode_at(disk, path);
    struct inode *parent = parent_of(disk, path, &name);
    if (disk->dead) {
        return -EIO;
    }
    if (inode == NULL || parent == NULL) {
        return -ENOENT;
    }
    if (inode->directory != directory) {
        return directory ? -ENOTDIR : -EISDIR;
    }
    if (directory && inode->name_count > 0) {
        return -ENOTEMPTY;
    }
    int rv = operation(disk);
    if (rv == 0) {
        if (!directory && disk->room != UINT64_MAX) {
            disk->room += inode->data.len;
        }
        directory_change(parent, name, NULL, 0);
        operated(disk);
    }
    return rv;
}

static int sim_unlink(struct files *files, const char *path)
{
    return remove_name(files, path, false);
}

static int sim_remove_directory(struct files *files, const char *path)
{
    return remove_name(files, path, true);
}

static int sim_make_directory(struct files *files, const char *path)
{
    struct sim_disk *disk = disk_of(files);
    const char *name;
    struct inode *parent = parent_of(disk, path, &name);
    int rv = operation(disk);
    if (rv != 0) {
        return rv;
    }
    if (parent == NULL) {
        return -ENOENT;
    }
    if (inode_at(disk, path) != NULL) {
        return -EEXIST;
    }
    struct inode *inode = inode_create(disk, true);
    directory_change(parent, name, inode, 0);
    inode->refs--;
    operated(disk);
    return 0;
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

static int sim_sync_directory(struct files *files, const char *path)
{
    struct sim_disk *disk = disk_of(files);
    struct inode *directory = inode_at(disk, path);
    int rv = operation(disk);
    if (rv != 0) {
        return rv;
    }
    if (directory == NULL) {
        return -ENOENT;
    }
    for (size_t i = 0; i < directory->name_change_count; i++) {
        apply_name_change(directory, &directory->name_changes[i]);
    }
    name_changes_clear(directory);
    operated(disk);
    return 0;
}

static int sim_list(struct files *files, const char *path,
                    struct files_visitor *visitor)
{
    struct sim_disk *disk = disk_of(files);
    const struct inode *directory = inode_at(disk, path);
    if (disk->dead) {
        return -EIO;
    }
    if (directory == NULL) {
        return -ENOENT;
    }
    for (size_t i = 0; i < directory->name_count; i++) {
        visitor->visit(visitor, directory->names[i].name);
    }
    return 0;
}

static const struct files_ops sim_ops = {
    .open = sim_open,
    .close = sim_close,
    .read = sim_read,
    .write = sim_write,
    .sync = sim_sync,
    .size = sim_size,
    .truncate = sim_truncate,
    .allocate = sim_allocate,
    .lock = sim_lock,
    .rename = sim_rename,
    .unlink = sim_unlink,
    .make_directory = sim_make_directory,
    .remove_directory = sim_remove_directory,
    .sync_directory = sim_sync_directory,
    .list = sim_list,
};

struct sim_disk *sim_disk_create(uint64_t seed)
{
    struct sim_disk *disk = memory_alloc(sizeof *disk);
    disk->files.ops = &sim_ops;
    random_init(&disk->random, seed);
    disk->root = inode_create(disk, true);
    list_init(&disk->open);
    disk->room = UINT64_MAX;
    return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
    if (disk != NULL) {
        CHECK(list_empty(&disk->open));
        inode_unref(disk->root);
        free(disk);
    }
}

struct files *sim_disk_files(struct sim_disk *disk)
{
    return &disk->files;
}

static void orphan_files(struct sim_disk *disk)
{
    struct list *link;
    list_foreach (link, &disk->open) {
        struct sim_file *sim = list_entry(link, struct sim_file, link);
        sim->orphan = true;
        sim->inode->locked = false;
    }
}

void sim_disk_kill(struct sim_disk *disk)
{
    orphan_files(disk);
    disk->dead = true;
    disk->fail_at = 0;
    disk->die_at = 0;
}

/* A write reaches the disk wholly, torn, or not; sizes do or do not. */
static void lose_content(struct sim_disk *disk, struct inode *inode)
{
    for (size_t i = 0; i < inode->change_count; i++) {
        const struct change *change = &inode->changes[i];
        uint64_t fate = random_below(&disk->random, 3);
        if (fate == 0) {
            continue;
        }
        if (change->kind == CHANGE_SIZE) {
            resize(&inode->synced, change->offset);
            continue;
        }
        size_t len = change->data.len;
        if (fate == 1 && len > 0) {
            uint64_t end = change->offset + random_below(&disk->random, len);
            end -= end % SECTOR;
            len = end <= change->offset ? 0 : (size_t)(end - change->offset);
        }
        put(&inode->synced, change->data.data, len, change->offset);
    }
    changes_clear(inode);
    bytes_clear(&inode->data);
    bytes_append(&inode->data, inode->synced.data, inode->synced.len);
}

static bool survives(struct sim_disk *disk, uint64_t salt, uint64_t rename)
{
    if (rename == 0) {
        return random_below(&disk->random, 2) == 0;
    }
    /* Both halves of a rename share their fate. */
    struct random random;
    random_init(&random, salt ^ rename);
    return random_below(&random, 2) == 0;
}

static void lose_names(struct sim_disk *disk, struct inode *directory,
                       uint64_t salt)
{
    for (size_t i = 0; i < directory->name_change_count; i++) {
        const struct name_change *change = &directory->name_changes[i];
        if (survives(disk, salt, change->rename)) {
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

static void lose(struct sim_disk *disk, struct inode *inode, uint64_t salt)
{
    if (!inode->directory) {
        lose_content(disk, inode);
        return;
    }
    lose_names(disk, inode, salt);
    for (size_t i = 0; i < inode->name_count; i++) {
        lose(disk, inode->names[i].inode, salt);
    }
}

void sim_disk_power_cut(struct sim_disk *disk)
{
    sim_disk_kill(disk);
    lose(disk, disk->root, random_u64(&disk->random));
}

void sim_disk_revive(struct sim_disk *disk)
{
    disk->dead = false;
}

bool sim_disk_dead(const struct sim_disk *disk)
{
    return disk->dead;
}

uint64_t sim_disk_operations(const struct sim_disk *disk)
{
    return disk->operations;
}

void sim_disk_fail_at(struct sim_disk *disk, uint64_t at, int error)
{
    disk->fail_at = at;
    disk->fail_error = error;
}

void sim_disk_die_at(struct sim_disk *disk, uint64_t at, bool power_cut)
{
    disk->die_at = at;
    disk->die_by_power = power_cut;
}

void sim_disk_set_room(struct sim_disk *disk, uint64_t bytes)
{
    disk->room = bytes;
}

/* The `*skip`-th file below the directory. */
static bool walk(struct sim_disk *disk, const struct inode *directory,
                 size_t at, size_t *skip)
{
    for (size_t i = 0; i < directory->name_count; i++) {
        const struct dentry *entry = &directory->names[i];
        int len = snprintf(disk->path + at, sizeof disk->path - at, "/%s",
                           entry->name);
        CHECK(len > 0 && (size_t)len < sizeof disk->path - at);
        if (entry->inode->directory) {
            if (walk(disk, entry->inode, at + (size_t)len, skip)) {
                return true;
            }
        } else if ((*skip)-- == 0) {
            return true;
        }
    }
    return false;
}

const char *sim_disk_path(struct sim_disk *disk, size_t i)
{
    return walk(disk, disk->root, 0, &i) ? disk->path : NULL;
}

uint64_t sim_disk_size(struct sim_disk *disk, const char *path)
{
    const struct inode *inode = inode_at(disk, path);
    return inode == NULL ? 0 : inode->data.len;
}

bool sim_disk_flip(struct sim_disk *disk, const char *path, uint64_t byte,
                   unsigned bit)
{
    struct inode *inode = inode_at(disk, path);
    if (inode == NULL || byte >= inode->data.len) {
        return false;
    }
    inode->data.data[byte] ^= (uint8_t)(1U << bit);
    if (byte < inode->synced.len) {
        inode->synced.data[byte] = inode->data.data[byte];
    }
    return true;
}

static struct inode *inode_clone(struct sim_disk *disk,
                                 const struct inode *from)
{
    struct inode *inode = inode_create(disk, from->directory);
    bytes_append(&inode->data, from->data.data, from->data.len);
    bytes_append(&inode->synced, from->data.data, from->data.len);
    for (size_t i = 0; i < from->name_count; i++) {
        struct inode *child = inode_clone(disk, from->names[i].inode);
        names_put(&inode->names, &inode->name_count, from->names[i].name,
                  child);
        names_put(&inode->synced_names, &inode->synced_count,
                  from->names[i].name, child);
        inode_unref(child);
    }
    return inode;
}

struct sim_disk *sim_disk_clone(const struct sim_disk *disk)
{
    struct sim_disk *copy = sim_disk_create(1);
    copy->random = disk->random;
    inode_unref(copy->root);
    copy->root = inode_clone(copy, disk->root);
    return copy;
}
