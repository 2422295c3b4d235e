/* SPDX-License-Identifier: Apache-2.0
 *
 * Every command, as one table: what it is called, what it takes, what it says
 * of itself, what does it. Parsing, help and running all read this table. */
#ifndef CTL_COMMAND_H
#define CTL_COMMAND_H

#include "ctl/arguments.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* DESIGN.md section 9. */
enum exit_code {
    EXIT_OK = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    EXIT_CHANGES = 2, /* Of `plan`, for which wrong usage is 1. */
    EXIT_NOT_FOUND = 3,
    EXIT_CONFLICT = 4,
    EXIT_NO_QUORUM = 5,
    EXIT_REFUSED = 6,
    EXIT_TIMED_OUT = 7
};

struct invocation;

struct command {
    const char *noun;  /* "vm"; also "watch", which has no verb. */
    const char *verb;  /* "create", "settings set"; NULL: none. */
    const char *names; /* "NAME..."; "": none. */
    unsigned name_min;
    unsigned name_max;
    option_set options;  /* Beside OPTIONS_GLOBAL. */
    bool destroys;       /* A person at a terminal is asked first. */
    const char *summary; /* One line, small letter, no full stop. */
    const char *details; /* Paragraphs for --help; NULL: none. */
    /* For commands that are one call with the object's name. */
    const char *method;  /* "ZoneService/CordonZone" */
    const char *outcome; /* "cordoned"; what a person reads afterwards. */
    enum exit_code (*run)(struct invocation *invocation);
};

/* The rows in the order in which help shows them; NULL behind the last. */
const struct command *command_at(size_t index);

/* "Availability zones"; NULL for a noun that is none. */
const char *noun_summary(const char *noun);

/* Number of words of the command: "cluster settings get" has 3. */
size_t command_words(const struct command *command);

/* The command that the words begin with; the longest. NULL: none. */
const struct command *command_find(const char *const *words, size_t count);

#endif
