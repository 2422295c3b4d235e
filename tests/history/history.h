/* SPDX-License-Identifier: Apache-2.0
 *
 * What clients asked and were told (history.proto), and whether that can be:
 * the linearizability of every VM by itself, found by search, and one order of
 * the whole region by the revisions that the answers name.
 *
 * The search is that of Wing and Gong (1993) with Lowe's just-in-time
 * linearization (2017): events are taken in the order of time, with the set of
 * all (state, operations that have taken effect already) that agree with what
 * was answered so far. It is exact, and quick as long as few operations on one
 * VM are open at once; an operation of unknown outcome stays open for ever. */
#ifndef TESTS_HISTORY_HISTORY_H
#define TESTS_HISTORY_HISTORY_H

#include "base/arena.h"
#include "base/bytes.h"
#include "proto/text_error.h"

#include "tests/history/history.pb-c.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Bytes of one line. */
#define HISTORY_LINE_MAX 4096

struct history {
    struct arena arena; /* Of all operations. */
    Holdfast__History__V1__Operation **operations;
    size_t count;
    size_t capacity;
};

void history_init(struct history *history);
void history_close(struct history *history);

/* Keeps a copy. HF_ERROR_INVALID: fields contradict each other or one is
 * missing, `problem` (lent, constant) says which. HF_ERROR_TOO_LARGE: there is
 * no more room. */
int history_add(struct history *history,
                const Holdfast__History__V1__Operation *operation,
                const char **problem);

/* Adds a text's lines; empty ones are skipped. Errors as above, and of the
 * format; `error` names `name` and the line. */
int history_read(struct history *history, const char *name, const char *text,
                 size_t len, struct text_error *error);

/* Appends one line. */
void history_write(const Holdfast__History__V1__Operation *operation,
                   struct bytes *out);

enum history_verdict {
    HISTORY_GOOD,
    HISTORY_WRONG,
    HISTORY_UNDECIDED /* Too many operations of one VM were open at once. */
};

struct history_result {
    enum history_verdict verdict;
    size_t vms;
    size_t unknown;     /* Operations. */
    size_t undecided;   /* VMs. */
    struct bytes story; /* What is wrong or undecided, for people: lines. */
};

/* Close the story. */
void history_check(const struct history *history,
                   struct history_result *result);

#endif
