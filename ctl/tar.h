/* SPDX-License-Identifier: Apache-2.0
 *
 * Tar archives in the ustar format of POSIX.1-1988 (pax(1), "ustar Interchange
 * Format"): regular files of mode 0600, which every tar opens. Pure. */
#ifndef CTL_TAR_H
#define CTL_TAR_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of a name, and of a file. */
#define TAR_NAME_MAX 100
#define TAR_FILE_MAX UINT64_C(077777777777)

/* Appends a file; false: its name or content is too long. `time_s` since
 * 1970. */
bool tar_add(struct bytes *tar, const char *name, const void *data, size_t len,
             uint64_t time_s);

/* Ends the archive. */
void tar_end(struct bytes *tar);

#endif
