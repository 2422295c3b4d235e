/* SPDX-License-Identifier: Apache-2.0
 *
 * A replica's directory:
 *
 *   <directory>.lock   held while a process uses the directory
 *   identity           region and node; guards against mixed-up directories
 *   term               term and vote (raft/term_store.h)
 *   log/               (raft/log_store.h)
 *   snapshots/         (raft/snapshot_store.h)
 *   reserve            space to start again with when the disk was full
 *
 * It is made as <directory>.new and then renamed, so it is there in full or
 * not at all. Used before the storage lanes start. */
#ifndef RAFT_HOME_H
#define RAFT_HOME_H

#include "raft/failure.h"
#include "raft/log_store.h"

struct home_options {
    struct log_store_options log;
    const char *region;
};

/* Takes the lock. 0, or a negative error; the lock ends with the file. */
int home_lock(const struct home_options *options, struct file **lock,
              struct failure *failure);

/* Whether the directory is there; 0 or a negative error. */
int home_exists(const struct home_options *options, bool *exists,
                struct failure *failure);

/* Makes it, with one entry in the log: the members, in term 1. With `len` 0
 * without it: for a member that joins. */
int home_bootstrap(const struct home_options *options, const uint8_t *members,
                   size_t len, struct failure *failure);

/* Checks the identity. Makes the reserve, or gives it up on a full disk.
 * `joins`: it was made without an entry. */
int home_open(const struct home_options *options, bool *joins,
              struct failure *failure);

#endif
