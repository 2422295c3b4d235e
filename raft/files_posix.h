/* SPDX-License-Identifier: Apache-2.0
 *
 * The real file operations, below one directory. */
#ifndef RAFT_FILES_POSIX_H
#define RAFT_FILES_POSIX_H

#include "raft/files.h"

struct files_posix {
    struct files files;
    int root; /* Descriptor of the directory. */
    int lock; /* Descriptor of its lock file. */
};

/* Makes the directory if need be (mode 0700) and takes its lock. HF_ERROR_BUSY
 * when another process holds it, HF_ERROR_IO; `files.error` says more. */
int files_posix_open(struct files_posix *posix, const char *directory);
void files_posix_close(struct files_posix *posix);

#endif
