/* SPDX-License-Identifier: Apache-2.0
 *
 * The node's configuration file: read, completed with its defaults, checked. */
#ifndef NODE_CONFIG_H
#define NODE_CONFIG_H

#include "base/arena.h"

#include <holdfast/v1/config.pb-c.h>

/* Reads the file; all of the result lies in the arena. NULL with a sentence
 * that names file, line and key in `error`. */
Holdfast__V1__NodeConfig *config_read(const char *path, struct arena *arena,
                                      char *error, size_t error_size);

#endif
