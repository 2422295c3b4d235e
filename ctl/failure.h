/* SPDX-License-Identifier: Apache-2.0
 *
 * A call that failed, told to a person: what, why, and what to do next. */
#ifndef CTL_FAILURE_H
#define CTL_FAILURE_H

#include "base/bytes.h"
#include "ctl/invocation.h"

/* DESIGN.md section 9's exit code for a status code. */
enum exit_code failure_exit_code(enum hf_code code);

/* What is known of a failed call. */
struct failure {
    const struct command *command;
    const char *name; /* Of the object; NULL: none. */
    const struct hf_status *status;
    const struct hf_client *client; /* For its endpoints; NULL: none. */
};

/* Appends the lines; pure. */
void failure_write(const struct failure *failure, struct bytes *out);

/* Writes them to stderr and returns the exit code. */
enum exit_code failure_tell(struct invocation *invocation, const char *name,
                            const struct hf_status *status);

/* --wait-timeout ran out, with the last that was seen. */
enum exit_code failure_tell_timeout(const char *seen);

#endif
