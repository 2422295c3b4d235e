/* SPDX-License-Identifier: Apache-2.0
 *
 * What stands behind `holdfast`: a command of the table in command.c, options
 * and names. Pure: errors become text, nothing is printed. */
#ifndef CTL_ARGUMENTS_H
#define CTL_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bit i of a command's `options` is option i. */
enum option {
    /* On every command. */
    OPTION_ENDPOINT,
    OPTION_CONTEXT,
    OPTION_OUTPUT,
    OPTION_TIMEOUT,
    OPTION_HELP,
    OPTION_TLS_CA,
    OPTION_TLS_CERT,
    OPTION_TLS_KEY,
    OPTION_TOKEN_FILE,
    /* On the commands that name them. */
    OPTION_WATCH,
    OPTION_SORT,
    OPTION_COLUMNS,
    OPTION_STALE,
    OPTION_FILTER,
    OPTION_REQUEST_ID,
    OPTION_EXPECT_REVISION,
    OPTION_DRY_RUN,
    OPTION_YES,
    OPTION_WAIT,
    OPTION_WAIT_TIMEOUT,
    OPTION_ZONE,
    OPTION_ZONES,
    OPTION_HOST,
    OPTION_STATE,
    OPTION_CLASS,
    OPTION_PRIORITY,
    OPTION_ON_PARTITION,
    OPTION_DRIVER,
    OPTION_IMAGE,
    OPTION_DISK,
    OPTION_ENVIRONMENT,
    OPTION_STOP_GRACE,
    OPTION_LABEL,
    OPTION_STOPPED,
    OPTION_COUNT,
    OPTION_FILE,
    OPTION_COMMAND,
    OPTION_CPU,
    OPTION_MEMORY,
    OPTION_DISK_SIZE,
    OPTION_CONFIRM,
    OPTION_REASON,
    OPTION_KIND,
    OPTION_AFTER,
    OPTION_STATUS,
    OPTION_TO_FILE,
    OPTION_MAN,
    OPTION_FLEET,
    OPTION_SEEDS,
    OPTION_FIRST,
    OPTION_FAULTS,
    OPTION_DELAY,
    OPTION_VERBOSE,
    OPTION_GROUP,
    OPTION_HOST_SELECTOR,
    OPTION_PREEMPTIBLE,
    OPTION_NOT_PREEMPTIBLE,
    OPTION_GPU,
    OPTION_NAMED,
    OPTION_HOST_DISK,
    OPTION_SPREAD,
    OPTION_MAX_SKEW,
    OPTION_STRICT,
    OPTION_BEST_EFFORT,
    OPTION_PER_DOMAIN,
    OPTION_PER_HOST,
    OPTION_GROUP_ZONES,
    OPTION_EVERY_ZONE,
    OPTION_UNPROTECTED,
    OPTION_PROTECTED,
    OPTION_MAX_UNAVAILABLE,
    OPTION_MEMBERS,
    OPTION_GROUP_FILE,
    OPTION_WITH_JOINED,
    OPTION_SLOTS,
    OPTION_DEADLINE,
    OPTION_ACCEPT_RISK,
    OPTION_ALL,
    OPTION_ONLY_UNPROTECTED,
    OPTION_HOSTS,
    OPTION_POOL,
    OPTION_HOST_DRIVERS,
    OPTION_HOST_LABEL,
    OPTION_FAULT_DOMAIN,
    OPTION_DIR,
    OPTION_OUT_DIR,
    OPTION_REGION,
    OPTION_NODE_ID,
    OPTION_ADDRESS,
    OPTION_DAYS,
    OPTION_ROLE,
    OPTION_CLIENT,
    OPTION_SCOPE_ZONE,
    OPTION_SCOPE_ZONES,
    OPTION_SCOPE_LABEL,
    OPTION_MANIFEST,
    OPTION_PRUNE,
    OPTION_CALLER,
    OPTION_METHOD,
    OPTION_OBJECT,
    OPTION_SINCE,
    OPTION_AFTER_NUMBER,
    OPTION_FIRST_DIGEST,
    OPTION_LAST_DIGEST,
    OPTION_NODE_ADDRESS,
    OPTION_ALLOW_FEWER_VOTERS,
    OPTION_FAIL_ON,
    OPTION_PREFIX,
    OPTION_IN_ZONES,
    OPTION_TREE,
    OPTION_LIVE,
    OPTION_IGNORE,
    OPTION_BUNDLE,
    OPTION_LOGS,
    OPTION_HOST_STATE,
    OPTION_UNHEALTHY,
    OPTION_TTL,
    OPTION_OPERATION_KIND,
    OPTION_OPERATION_OBJECT,
    OPTION_ACTIVE,
    OPTION_EXPIRES,
    OPTION_MAX
};

/* One bit an option. ISO C has no integer that is wide enough. */
__extension__ typedef unsigned __int128 option_set;

#define OPTION(name) ((option_set)1 << OPTION_##name)

#define OPTIONS_GLOBAL                                                       \
    (OPTION(ENDPOINT) | OPTION(CONTEXT) | OPTION(OUTPUT) | OPTION(TIMEOUT) | \
     OPTION(HELP) | OPTION(TLS_CA) | OPTION(TLS_CERT) | OPTION(TLS_KEY) |    \
     OPTION(TOKEN_FILE))

struct option_rule {
    const char *name;  /* "--zone". */
    char letter;       /* 'e' for -e; 0: none. */
    const char *value; /* "ZONE"; NULL: a switch. */
    const char *help;  /* One line. */
};

const struct option_rule *option_rule(enum option option);

/* Its help says so. */
bool option_is_repeatable(enum option option);

#define ARGUMENTS_NAMES_MAX   1024
#define ARGUMENTS_OPTIONS_MAX 256
#define ARGUMENTS_ERROR_MAX   512

struct command;

/* "cluster settings get"; bytes of each. */
#define ARGUMENTS_WORDS_MAX 3
#define ARGUMENTS_WORD_MAX  64

struct arguments {
    const struct command *command; /* NULL: none was given, or only a noun. */
    const char *noun; /* With no command: of which noun; or NULL. */
    const char *names[ARGUMENTS_NAMES_MAX];
    size_t name_count;
    /* Words of the command that were given by their beginning only. */
    char expanded[ARGUMENTS_WORDS_MAX][ARGUMENTS_WORD_MAX];
    struct {
        enum option option;
        const char *value; /* NULL for a switch. */
    } options[ARGUMENTS_OPTIONS_MAX];
    size_t option_count;
    /* Behind --command: all that is left. */
    char *const *rest;
    size_t rest_count;
    /* Why it was refused, with what was meant. */
    char error[ARGUMENTS_ERROR_MAX];
};

/* Reads argv from argv[1]; the texts stay lent. False: `error` says why. Checks
 * the command, the options and the number of names, not their values. */
bool arguments_read(struct arguments *arguments, int argc, char *const *argv);

bool arguments_has(const struct arguments *arguments, enum option option);

/* The last value given, or NULL. */
const char *arguments_value(const struct arguments *arguments,
                            enum option option);

/* The value of the `index`-th use of the option, or NULL behind the last. */
const char *arguments_value_at(const struct arguments *arguments,
                               enum option option, size_t index);

#endif
