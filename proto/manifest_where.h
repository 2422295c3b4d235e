/* SPDX-License-Identifier: Apache-2.0
 *
 * Where in a manifest's text an object or a field stands, by the path that the
 * region names it with: "vms[17].template.disks[0].pool". For messages only, so
 * it reads the text again. */
#ifndef PROTO_MANIFEST_WHERE_H
#define PROTO_MANIFEST_WHERE_H

#include "proto/text_yaml.h"

#include <stdbool.h>

/* Several texts are one manifest, one behind the other: `skipped`, at first 0,
 * counts the items of the list in the texts before this one. False: not in this
 * text, and `skipped` has its items as well. `line` is from 1: of the field, or
 * of the last part of the path that is there. */
bool manifest_where(const struct text_source *source, const char *path,
                    size_t *skipped, unsigned *line);

#endif
