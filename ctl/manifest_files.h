/* SPDX-License-Identifier: Apache-2.0
 *
 * The manifest that several --file options are together. The texts are kept, so
 * that what the region says of "vms[17].zone" can be said of a file's line. */
#ifndef CTL_MANIFEST_FILES_H
#define CTL_MANIFEST_FILES_H

#include "base/arena.h"
#include "base/bytes.h"
#include "ctl/invocation.h"
#include "holdfast/v1/manifest.pb-c.h"

#define MANIFEST_FILES_MAX 64

struct manifest_files {
    const char *names[MANIFEST_FILES_MAX];
    struct bytes texts[MANIFEST_FILES_MAX];
    size_t count;
    struct arena arena; /* Of the manifest. */
    Holdfast__V1__Manifest manifest;
};

/* Reads all of them; what is wrong is told. Close it in any case. */
enum exit_code manifest_files_read(struct manifest_files *files,
                                   struct invocation *invocation);
void manifest_files_close(struct manifest_files *files);

/* Where "vms[17].zone" stands; false: nowhere. It reads the texts again. */
bool manifest_files_find(const struct manifest_files *files, const char *path,
                         const char **file, unsigned *line);

/* Puts file and line before a message that begins with a path in the
 * manifest. */
void manifest_files_place(const struct manifest_files *files, char *message,
                          size_t size);

#endif
