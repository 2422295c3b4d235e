/* SPDX-License-Identifier: Apache-2.0
 *
 * --wait for things that no single event tells: ask again and again, until
 * --wait-timeout is over. */
#ifndef CTL_POLL_H
#define CTL_POLL_H

#include "ctl/invocation.h"

#include <stdbool.h>
#include <stdint.h>

#define WAIT_TIMEOUT_DEFAULT_MS 120000

struct poll {
    uint64_t deadline_ms; /* clock_boot_ms(). */
    char told[256];       /* The last progress. */
};

/* Whether the command waits: --wait was given, and no --dry-run. */
bool poll_is_wanted(const struct invocation *invocation);

/* From now on; the options were checked by wait_check_options(). */
void poll_init(struct poll *poll, const struct invocation *invocation);

/* What is left of its time. */
uint32_t poll_left_ms(const struct poll *poll);

/* Before the next question; false: the time is up. */
bool poll_again(const struct poll *poll);

/* Tells a person at the terminal how far it is, when that is new. */
void poll_tell(struct poll *poll, const struct invocation *invocation,
               const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
