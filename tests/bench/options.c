/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include "base/check.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define OPTIONS_MAX 16
#define USAGE       2
#define HELP        OPTIONS_MAX

static bool take_number(const struct bench_option *option, const char *text)
{
    uint32_t least = option->least == 0 ? 1 : option->least;
    unsigned long value;
    char *end;

    errno = 0;
    value = strtoul(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || text[0] == '-' ||
        value < least || value > option->most) {
        fprintf(stderr,
                "--%s: %s is no number from %" PRIu32 " to %" PRIu32 "\n",
                option->name, text, least, option->most);
        return false;
    }
    *option->number = (uint32_t)value;
    return true;
}

static bool take_text(const struct bench_option *option, const char *text)
{
    if (option->count == NULL) {
        *option->text = text;
        return true;
    }
    if (*option->count == option->most) {
        fprintf(stderr, "--%s: at most %" PRIu32 " times\n", option->name,
                option->most);
        return false;
    }
    option->text[(*option->count)++] = text;
    return true;
}

static bool take(const struct bench_option *option, const char *text)
{
    if (option->flag != NULL) {
        *option->flag = true;
        if (text == NULL) {
            return true;
        }
    }
    return option->number != NULL ? take_number(option, text)
                                  : take_text(option, text);
}

/* What getopt_long() calls it. */
static int argument_of(const struct bench_option *option)
{
    if (option->flag == NULL) {
        return required_argument;
    }
    return option->number == NULL ? no_argument : optional_argument;
}

int bench_options(const struct bench_option *known, size_t count,
                  const char *help, int argc, char **argv)
{
    struct option options[OPTIONS_MAX + 2] = {{0}};
    int at;

    CHECK(count <= OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        options[i] = (struct option){known[i].name, argument_of(&known[i]),
                                     NULL, (int)i};
    }
    options[count] = (struct option){"help", no_argument, NULL, HELP};
    while ((at = getopt_long(argc, argv, "", options, NULL)) >= 0) {
        if (at == HELP) {
            fputs(help, stdout);
            return 0;
        }
        /* What is not known, getopt_long() has told. */
        if ((size_t)at >= count || !take(&known[at], optarg)) {
            fputs("--help says what there is\n", stderr);
            return USAGE;
        }
    }
    if (optind != argc) {
        fprintf(stderr, "%s is no option; --help says what there is\n",
                argv[optind]);
        return USAGE;
    }
    return -1;
}
