/* SPDX-License-Identifier: Apache-2.0
 *
 * Manual pages (troff, man macros), made from the tables of commands and
 * options as the help is. Pure. */
#ifndef CTL_MANUAL_H
#define CTL_MANUAL_H

#include "base/bytes.h"

/* holdfast(1): all commands, the options of each, exit codes, environment. */
void manual_write_all(const char *version, struct bytes *out);

/* holdfast-NOUN(1); the noun is one of the table. */
void manual_write_noun(const char *noun, const char *version,
                       struct bytes *out);

#endif
