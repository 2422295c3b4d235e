/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sim_files.h"

#include "base/check.h"
#include "base/container.h"
#include "base/list.h"
#include "base/memory.h"
#include "tests/support/sim_inode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATH_MAX_BYTES 4000

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
        at = sim_inode_child(at, path, (size_t)(slash - path));
        if (at == NULL || !at->directory) {
            return NULL;
        }
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
    return *name == '\0' ? parent : sim_inode_child(parent, name, strlen(name));
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
        inode = sim_inode_create(&disk->numbers, false);
        sim_inode_name(parent, name, inode, 0);
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
    sim_inode_unref(sim->inode);
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
    sim_inode_write(inode, data, len, offset);
    operated(disk);
    return 0;
}
static int sim_sync(struct file *file)
{
    struct sim_disk *disk = disk_of(file->files);
    int rv = file_usable(file);
    if (rv == 0) {
        rv = operation(disk);
    }
    if (rv == 0) {
        sim_inode_sync(sim_of(file)->inode);
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
        sim_inode_resize(inode, bytes);
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
    sim_inode_name(to_parent, to_name, inode, number);
    sim_inode_name(from_parent, from_name, NULL, number);
    sim_inode_unref(inode);
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
        sim_inode_name(parent, name, NULL, 0);
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
    struct inode *inode = sim_inode_create(&disk->numbers, true);
    sim_inode_name(parent, name, inode, 0);
    inode->refs--;
    operated(disk);
    return 0;
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
    sim_inode_sync_names(directory);
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
    disk->root = sim_inode_create(&disk->numbers, true);
    list_init(&disk->open);
    disk->room = UINT64_MAX;
    return disk;
}

void sim_disk_destroy(struct sim_disk *disk)
{
    if (disk != NULL) {
        CHECK(list_empty(&disk->open));
        sim_inode_unref(disk->root);
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

void sim_disk_power_cut(struct sim_disk *disk)
{
    sim_disk_kill(disk);
    sim_inode_lose(disk->root, &disk->random, random_u64(&disk->random));
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

struct sim_disk *sim_disk_clone(const struct sim_disk *disk)
{
    struct sim_disk *copy = sim_disk_create(1);
    copy->random = disk->random;
    sim_inode_unref(copy->root);
    copy->root = sim_inode_clone(&copy->numbers, disk->root);
    return copy;
}
