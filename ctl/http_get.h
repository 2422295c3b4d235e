/* SPDX-License-Identifier: Apache-2.0
 *
 * One GET by HTTP/1.1 to a node's port for monitoring. */
#ifndef CTL_HTTP_GET_H
#define CTL_HTTP_GET_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends the body of the answer to `path`; false: `error` says why there is
 * none. `deadline_ms` by clock_boot_ms(). */
bool http_get(const char *address, const char *path, uint64_t deadline_ms,
              struct bytes *body, char *error, size_t error_size);

#endif
