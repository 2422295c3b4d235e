/* SPDX-License-Identifier: Apache-2.0
 *
 * Sentences in lines of a terminal. Pure. */
#ifndef CTL_PROSE_H
#define CTL_PROSE_H

#include "base/bytes.h"

#include <stddef.h>

#define PROSE_WIDTH 79

/* Appends words up to the line's width, and a line feed; following lines begin
 * at `indent`, `used` is where the first line stands. Control characters become
 * `?`. A word that is too long stands in a line of its own. */
void prose_write(struct bytes *out, const char *text, size_t used,
                 size_t indent);

#endif
