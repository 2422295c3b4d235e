/* SPDX-License-Identifier: Apache-2.0
 *
 * --wait for what has a name as an operation: one call that is answered when it
 * is over, again and again until --wait-timeout. */
#ifndef CTL_OPERATION_WAIT_H
#define CTL_OPERATION_WAIT_H

#include "ctl/invocation.h"
#include "ctl/poll.h"
#include "holdfast/v1/operation_service.pb-c.h"

/* As it was last told of. */
struct operation_told {
    Holdfast__V1__OperationState state;
    char message[256];
    uint32_t left;
    uint32_t moving;  /* Of those that are left: on their way out. */
    uint32_t staying; /* Of those: can never leave. */
};

static inline bool operation_is_over(const struct operation_told *told)
{
    return told->state !=
           HOLDFAST__V1__OPERATION_STATE__OPERATION_STATE_RUNNING;
}

static inline bool operation_is_done(const struct operation_told *told)
{
    return told->state == HOLDFAST__V1__OPERATION_STATE__OPERATION_STATE_DONE;
}

/* One call: answered when it is over, or after so long. A failure is told, but
 * for EXIT_NOT_FOUND with `quiet`. */
enum exit_code operation_ask(struct invocation *invocation, const char *name,
                             uint32_t wait_ms, bool quiet,
                             struct operation_told *told);

/* Until it is over, or the poll's time is: EXIT_TIMED_OUT, which is not told.
 * Meanwhile a person is told how far `what` ("vm web-1") is. */
enum exit_code operation_follow(struct invocation *invocation, const char *name,
                                const char *what, struct poll *poll,
                                struct operation_told *told);

/* "done", "cancelled". */
struct operation_word {
    char text[32];
};
struct operation_word operation_word(Holdfast__V1__OperationState state);

/* It came to another end than it should: told, EXIT_FAILED. */
enum exit_code operation_tell_failure(const char *what,
                                      const struct operation_told *told);

#endif
