/* SPDX-License-Identifier: Apache-2.0
 *
 * A text into a file, whole or not at all: nobody finds half of it, also after
 * a crash. */
#ifndef CTL_SAVE_H
#define CTL_SAVE_H

#include "base/bytes.h"

#include <stdbool.h>

/* Writes beside the file, onto the disk, then renames. A file that is there
 * keeps its rights (and the place that a link leads to); a new one is for its
 * owner only. What is no ordinary file (/dev/stderr, a pipe) is written to as
 * it is. False: errno says why, and the file is as it was. */
bool save_file(const char *path, const struct bytes *text);

/* The same for a file that is not there yet: false and EEXIST when it is. Its
 * owner alone may read it. */
bool save_new_file(const char *path, const struct bytes *text);

#endif
