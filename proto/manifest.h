/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads a manifest (holdfast/v1/manifest.proto) from a file. Checks its form:
 * keys, types, a name for everything, no name twice in its list. What it means
 * is judged by who uses it, such as whether a VM's class exists: a manifest may
 * speak of what is in the region already. */
#ifndef PROTO_MANIFEST_H
#define PROTO_MANIFEST_H

#include "base/arena.h"
#include "holdfast/v1/manifest.pb-c.h"
#include "proto/text_error.h"
#include "proto/text_yaml.h"

/* Measured (release, one core): reading takes 25 ms a MiB whatever the size,
 * and the arena 450 bytes a VM of 9 lines, 840 a VM of 24 lines with labels, a
 * disk and all its facts. So a region of 1,000,000 VMs, the most that is
 * promised, fits either way: 151 MiB in 4 s, or 523 MiB in 13 s. */
#define MANIFEST_BYTES_MAX  ((size_t)1024 * 1024 * 1024)
#define MANIFEST_VALUES_MAX ((size_t)128 * 1024 * 1024)
/* Twice the labels that an object may have: the API tells of too many. */
#define MANIFEST_LABELS_MAX 64

/* For the arena of a manifest; only what is used is allocated. */
#define MANIFEST_ARENA_BYTES ((size_t)2 * 1024 * 1024 * 1024)

/* "-" is standard input. The manifest lies in the arena (do not free it by
 * protobuf-c) and lives as long. HF_ERROR_INVALID, HF_ERROR_TOO_LARGE,
 * HF_ERROR_IO: `error` says what is wrong and where. */
int manifest_read_file(const char *path, struct arena *arena,
                       Holdfast__V1__Manifest **manifest,
                       struct text_error *error);

/* The same from memory. */
int manifest_read(const struct text_source *source, struct arena *arena,
                  Holdfast__V1__Manifest **manifest, struct text_error *error);

#endif
