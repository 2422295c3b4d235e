/* SPDX-License-Identifier: Apache-2.0
 *
 * Help at every level, made from the table of commands. Pure. */
#ifndef CTL_HELP_H
#define CTL_HELP_H

#include "base/bytes.h"
#include "ctl/command.h"

/* All nouns and verbs. */
void help_write_all(struct bytes *out);

/* The verbs of a noun. */
void help_write_noun(const char *noun, struct bytes *out);

void help_write_command(const struct command *command, struct bytes *out);

#endif
