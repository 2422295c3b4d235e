/* SPDX-License-Identifier: Apache-2.0
 *
 * Where things are in a replica's directory. */
#ifndef RAFT_PATHS_H
#define RAFT_PATHS_H

#include <stdbool.h>
#include <stdint.h>

#define RAFT_DIRECTORY_BYTES_MAX 3000

struct path {
    char text[RAFT_DIRECTORY_BYTES_MAX + 128];
};

/* "<directory>/<name>", or only the directory when `name` is "". */
void path_set(struct path *path, const char *directory, const char *name);

/* "<directory>/<folder>/<20 digits><suffix>". */
void path_numbered(struct path *path, const char *directory, const char *folder,
                   uint64_t number, const char *suffix);

/* Whether `name` is 20 digits and `suffix`; gives the number. */
bool path_number_parse(const char *name, const char *suffix, uint64_t *number);

/* Whether `name` ends with `suffix`. */
bool path_ends_with(const char *name, const char *suffix);

#endif
