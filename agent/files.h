/* SPDX-License-Identifier: Apache-2.0
 *
 * Small files in run directories: read whole with a bound, replaced whole. */
#ifndef AGENT_FILES_H
#define AGENT_FILES_H

#include <stddef.h>
#include <stdint.h>

/* Reads a regular file of at most size - 1 bytes and adds a NUL; `*len` is
 * without it. NOT_FOUND, TOO_LARGE, INVALID (not a regular file), IO. */
int files_read(int dir_fd, const char *name, char *buf, size_t size,
               size_t *len);

/* Writes a new file and renames it over `name`: readers see the old or the new
 * content. Not synced: run directories do not outlive a boot. IO. */
int files_replace(int dir_fd, const char *name, const void *data, size_t len);

/* The same for what outlives a boot: after a crash at any time the old or the
 * new content is there, whole; after a return of 0 the new one. IO. */
int files_replace_synced(int dir_fd, const char *name, const void *data,
                         size_t len);

/* Digits only, no leading zero, at most `max`. INVALID. */
int files_parse_u64(const char *text, size_t len, uint64_t max,
                    uint64_t *value);

#endif
