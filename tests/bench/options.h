/* SPDX-License-Identifier: Apache-2.0
 *
 * What benches take on their command lines: --name VALUE, each told of in the
 * bench's help. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One of them; one of `number`, `text` and `flag` is set, or number and flag:
 * then the number may be left out. */
struct bench_option {
    const char *name;
    uint32_t *number; /* From `least`, 0 as 1, to `most`. */
    uint32_t least;
    uint32_t most;
    const char **text;
    /* Of a text that may come `most` times: how often it came. */
    uint32_t *count;
    bool *flag;
};

/* Reads the command line; --help is known. -1: go on; else the bench ends with
 * this exit code, and what was wrong, or the help, has been printed. */
int bench_options(const struct bench_option *known, size_t count,
                  const char *help, int argc, char **argv);

#endif
