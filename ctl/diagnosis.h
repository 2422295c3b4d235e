/* SPDX-License-Identifier: Apache-2.0
 *
 * What checks find, and how a person reads it. Pure. */
#ifndef CTL_DIAGNOSIS_H
#define CTL_DIAGNOSIS_H

#include "base/bytes.h"
#include "ctl/invocation.h"
#include "holdfast/v1/diagnosis.pb-c.h"

#include <stdbool.h>
#include <stddef.h>

#define SEVERITY(name) HOLDFAST__V1__SEVERITY__SEVERITY_##name

struct diagnosis {
    Holdfast__V1__Diagnosis message; /* All of it owned. */
    size_t capacity;                 /* Of its findings. */
};

void diagnosis_init(struct diagnosis *diagnosis);
void diagnosis_close(struct diagnosis *diagnosis);

/* Adds a finding; the subject may be empty, the rest is the sentence. */
void diagnosis_add(struct diagnosis *diagnosis, const char *id,
                   Holdfast__V1__Severity severity, const char *subject,
                   const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* What to do about the one added last; where it stands. */
void diagnosis_cure(struct diagnosis *diagnosis, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void diagnosis_place(struct diagnosis *diagnosis, const char *file,
                     unsigned line);

/* By file and line; those without at the end. */
void diagnosis_sort(struct diagnosis *diagnosis);

size_t diagnosis_count(const struct diagnosis *diagnosis,
                       Holdfast__V1__Severity severity);

/* "2 critical, 1 warning, 3 notes, 12 ok". */
void diagnosis_summary(const struct diagnosis *diagnosis, struct bytes *out);

/* Each finding in lines of a terminal, and the summary. */
void diagnosis_write(const struct diagnosis *diagnosis, bool colours,
                     struct bytes *out);

/* Puts it out in the form asked for. EXIT_FAILED when the worst of it is at
 * least what --fail-on says, or `otherwise` without. */
enum exit_code diagnosis_output(struct invocation *invocation,
                                const struct diagnosis *diagnosis,
                                Holdfast__V1__Severity otherwise);

/* Whether --fail-on is a severity; if not, it was told. Before the work. */
bool diagnosis_check_options(const struct invocation *invocation);

#endif
