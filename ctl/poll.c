/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/poll.h"

#include "base/check.h"
#include "base/clock.h"
#include "ctl/format.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Each question costs the leader a turn or a share of one. */
#define PERIOD_MS 250

bool poll_is_wanted(const struct invocation *invocation)
{
    return arguments_has(invocation->arguments, OPTION_WAIT) &&
           !arguments_has(invocation->arguments, OPTION_DRY_RUN);
}

void poll_init(struct poll *poll, const struct invocation *invocation)
{
    const char *text =
        arguments_value(invocation->arguments, OPTION_WAIT_TIMEOUT);
    uint64_t timeout_ms = WAIT_TIMEOUT_DEFAULT_MS;

    CHECK(text == NULL || format_read_duration(text, &timeout_ms));
    *poll = (struct poll){.deadline_ms = clock_boot_ms() + timeout_ms};
}

uint32_t poll_left_ms(const struct poll *poll)
{
    uint64_t now_ms = clock_boot_ms();
    uint64_t left_ms =
        now_ms < poll->deadline_ms ? poll->deadline_ms - now_ms : 0;

    return left_ms > UINT32_MAX ? UINT32_MAX : (uint32_t)left_ms;
}

bool poll_again(const struct poll *poll)
{
    uint64_t now_ms = clock_boot_ms();
    uint64_t pause_ms = PERIOD_MS;
    struct timespec pause;

    if (now_ms >= poll->deadline_ms) {
        return false;
    }
    if (pause_ms > poll->deadline_ms - now_ms) {
        pause_ms = poll->deadline_ms - now_ms;
    }
    pause = (struct timespec){.tv_nsec = (long)pause_ms * 1000000};
    (void)nanosleep(&pause, NULL);
    return true;
}

void poll_tell(struct poll *poll, const struct invocation *invocation,
               const char *format, ...)
{
    char text[sizeof(poll->told)];
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (invocation->progress && strcmp(text, poll->told) != 0) {
        (void)fprintf(stderr, "%s\n", text);
    }
    memcpy(poll->told, text, sizeof(text));
}
