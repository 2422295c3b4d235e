/* SPDX-License-Identifier: Apache-2.0
 *
 * What is on a simulated disk (sim_files.h): files and directories, each as the
 * process sees it and as its last sync left it, with the changes in between
 * that a power cut keeps or loses. */
#ifndef TESTS_SUPPORT_SIM_INODE_H
#define TESTS_SUPPORT_SIM_INODE_H

#include "base/bytes.h"
#include "base/random.h"

struct change;
struct name_change;

struct dentry {
    char *name;
    struct inode *inode;
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

/* With one reference, the caller's. `*numbers` counts them. */
struct inode *sim_inode_create(uint64_t *numbers, bool directory);
void sim_inode_unref(struct inode *inode);

/* A copy of all below it, as the process sees it and synced. */
struct inode *sim_inode_clone(uint64_t *numbers, const struct inode *from);

/* What the directory has under this name; NULL: nothing. Lent. */
struct inode *sim_inode_child(const struct inode *directory, const char *name,
                              size_t len);

/* The name comes, or with NULL goes. Both halves of one rename have the same
 * number; 0: it is none. */
void sim_inode_name(struct inode *directory, const char *name,
                    struct inode *inode, uint64_t rename);

void sim_inode_write(struct inode *inode, const void *data, size_t len,
                     uint64_t offset);
void sim_inode_resize(struct inode *inode, uint64_t bytes);

/* What the process sees of the file, or of the directory's names, is on disk.
 */
void sim_inode_sync(struct inode *inode);
void sim_inode_sync_names(struct inode *directory);

/* Of all below it the changes since the last sync are kept in parts. `salt`:
 * of this loss. */
void sim_inode_lose(struct inode *inode, struct random *random, uint64_t salt);

#endif
