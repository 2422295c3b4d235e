/* SPDX-License-Identifier: Apache-2.0
 *
 * What may stand at each place of a command line, and the scripts for shells
 * that are made from that. All of it comes from the tables of commands and
 * options. Pure. */
#ifndef CTL_COMPLETE_H
#define CTL_COMPLETE_H

#include "base/bytes.h"
#include "ctl/command.h"

#include <stdbool.h>

enum complete_kind {
    COMPLETE_NOTHING, /* A person's own text. */
    COMPLETE_WORDS,   /* `text`: words, parted by one blank. */
    COMPLETE_NAMES,   /* `text`: the noun whose names are asked for. */
    COMPLETE_FILE,
    COMPLETE_DIRECTORY
};

#define COMPLETE_TEXT_MAX 2048

struct complete {
    enum complete_kind kind;
    bool list; /* Several, with commas. */
    char text[COMPLETE_TEXT_MAX];
};

/* The value of an option that has one. */
void complete_value(enum option option, struct complete *complete);

/* The name at this place, from 0; all behind the last are like the last. */
void complete_name(const struct command *command, unsigned place,
                   struct complete *complete);

/* The words that may follow `path` ("", "vm", "cluster settings") in the order
 * of the table: calls `each` with the word and the command that it completes,
 * or NULL when it is only the beginning of some. */
typedef void (*complete_each)(void *context, const char *word,
                              const struct command *command);
void complete_words(const char *path, complete_each each, void *context);

/* Calls `each` with every path that words follow, "" first; once each. */
void complete_paths(void (*each)(void *context, const char *path),
                    void *context);

/* What a word behind the path is: "Availability zones", a command's summary.
 * Lent. */
const char *complete_summary(const char *path, const char *word,
                             const struct command *command);

/* The scripts, appended. */
void complete_bash(struct bytes *out);
void complete_zsh(struct bytes *out);
void complete_fish(struct bytes *out);

#endif
