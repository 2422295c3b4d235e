/* SPDX-License-Identifier: Apache-2.0
 *
 * Contexts: the regions that a person has to do with, by name, in one file
 * (ContextFile of config.proto). */
#ifndef CTL_CONTEXT_H
#define CTL_CONTEXT_H

#include "ctl/invocation.h"
#include "holdfast/v1/config.pb-c.h"

/* A file's name is shown in errors and in `context list`. */
#define CONTEXT_PATH_MAX 1024

struct context_file {
    char path[CONTEXT_PATH_MAX];
    Holdfast__V1__ContextFile *file; /* In the arena; empty if not there. */
};

/* Reads and checks the file. EXIT_USAGE: told, with file, line and key. */
enum exit_code context_read(struct invocation *invocation,
                            struct context_file *file);

/* Writes it whole or not at all, for its owner only, and makes its folder. */
enum exit_code context_write(const struct context_file *file);

/* NULL: there is none of that name. */
Holdfast__V1__Context *context_find(const struct context_file *file,
                                    const char *name);

/* The context of this run into `invocation->context` (NULL: none): that of
 * --context, else of HOLDFAST_CONTEXT, else the current one. EXIT_USAGE: it is
 * not there, or the file is not in order; told. */
enum exit_code context_choose(struct invocation *invocation);

bool context_name_is_fine(const char *name);

/* "table" and so on; false: there is no such form. */
bool context_output_is_known(const char *output);

#endif
