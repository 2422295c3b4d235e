/* SPDX-License-Identifier: Apache-2.0
 *
 * The search for an order of one VM's operations. */
#ifndef TESTS_HISTORY_SEARCH_H
#define TESTS_HISTORY_SEARCH_H

#include "tests/history/model.h"

/* Operations of one VM that may be open at once; more: undecided. */
#define SEARCH_OPEN_MAX 64
/* Agreeing (state, operations) looked at for one answer; more: undecided. */
#define SEARCH_WAYS_MAX 1000000

/* Operations of one VM in any order. On a verdict other than good a story of
 * it is appended. */
enum history_verdict search_vm(
    Holdfast__History__V1__Operation *const *operations, size_t count,
    struct bytes *story);

/* Appends one operation for people, with a newline. */
void search_tell(const Holdfast__History__V1__Operation *operation,
                 struct bytes *story);

#endif
