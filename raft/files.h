/* SPDX-License-Identifier: Apache-2.0
 *
 * The file operations that the stores need, as a table: raft/files_posix.c is
 * the real one, the simulator brings a disk that loses what was not synced.
 * All functions return 0 or a negative errno value; after any error the caller
 * stops for good (a failed fsync leaves pages marked clean: a retry lies).
 * Functions run on the storage threads, one thread at a time for one file. */
#ifndef RAFT_FILES_H
#define RAFT_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct files;

/* An open file; the table's owner embeds it in its own struct. */
struct file {
    struct files *files;
};

enum file_mode {
    FILE_READ,   /* Must exist; reading only. */
    FILE_WRITE,  /* Must exist; reading and writing. */
    FILE_CREATE, /* Must not exist; reading and writing. */
};

/* Called with each name in a directory but "." and ".."; lent. */
struct files_visitor {
    void (*visit)(struct files_visitor *visitor, const char *name);
};

struct files_ops {
    int (*open)(struct files *files, const char *path, enum file_mode mode,
                struct file **file);
    void (*close)(struct file *file);

    /* Reads up to `len` bytes; *got is smaller only at the end of the file. */
    int (*read)(struct file *file, void *data, size_t len, uint64_t offset,
                size_t *got);

    /* Writes all of it or fails. */
    int (*write)(struct file *file, const void *data, size_t len,
                 uint64_t offset);

    /* Returns when content and size are on disk. */
    int (*sync)(struct file *file);

    int (*size)(struct file *file, uint64_t *bytes);

    /* Cuts the file off at `bytes`, or extends it with a hole. */
    int (*truncate)(struct file *file, uint64_t bytes);

    /* Extends the file to `bytes`, with room on disk, reading as zeros. */
    int (*allocate)(struct file *file, uint64_t bytes);

    /* Keeps other processes out while the file is open; -EWOULDBLOCK when one
     * has it. */
    int (*lock)(struct file *file);

    int (*rename)(struct files *files, const char *from, const char *to);
    int (*unlink)(struct files *files, const char *path);
    int (*make_directory)(struct files *files, const char *path);
    int (*remove_directory)(struct files *files, const char *path);

    /* Creations, renames and removals in the directory are on disk. */
    int (*sync_directory)(struct files *files, const char *path);

    int (*list)(struct files *files, const char *path,
                struct files_visitor *visitor);
};

struct files {
    const struct files_ops *ops;
};

/* The real ones; nothing to close. */
struct files *files_posix(void);

static inline int file_open(struct files *files, const char *path,
                            enum file_mode mode, struct file **file)
{
    return files->ops->open(files, path, mode, file);
}

/* NULL is fine. */
static inline void file_close(struct file *file)
{
    if (file != NULL) {
        file->files->ops->close(file);
    }
}

static inline int file_read(struct file *file, void *data, size_t len,
                            uint64_t offset, size_t *got)
{
    return file->files->ops->read(file, data, len, offset, got);
}

static inline int file_write(struct file *file, const void *data, size_t len,
                             uint64_t offset)
{
    return file->files->ops->write(file, data, len, offset);
}

static inline int file_sync(struct file *file)
{
    return file->files->ops->sync(file);
}

static inline int file_size(struct file *file, uint64_t *bytes)
{
    return file->files->ops->size(file, bytes);
}

static inline int file_truncate(struct file *file, uint64_t bytes)
{
    return file->files->ops->truncate(file, bytes);
}

static inline int file_allocate(struct file *file, uint64_t bytes)
{
    return file->files->ops->allocate(file, bytes);
}

static inline int file_lock(struct file *file)
{
    return file->files->ops->lock(file);
}

static inline int files_rename(struct files *files, const char *from,
                               const char *to)
{
    return files->ops->rename(files, from, to);
}

static inline int files_unlink(struct files *files, const char *path)
{
    return files->ops->unlink(files, path);
}

static inline int files_make_directory(struct files *files, const char *path)
{
    return files->ops->make_directory(files, path);
}

static inline int files_remove_directory(struct files *files, const char *path)
{
    return files->ops->remove_directory(files, path);
}

static inline int files_sync_directory(struct files *files, const char *path)
{
    return files->ops->sync_directory(files, path);
}

static inline int files_list(struct files *files, const char *path,
                             struct files_visitor *visitor)
{
    return files->ops->list(files, path, visitor);
}

#endif
