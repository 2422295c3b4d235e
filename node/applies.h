/* SPDX-License-Identifier: Apache-2.0
 *
 * Applies of plans and manifests as operations: what one set in motion, kept in
 * a small record of the state, and how it stands. Its parts are operations of
 * single objects (node/operation.h), and are judged when somebody asks. Pure.
 */
#ifndef NODE_APPLIES_H
#define NODE_APPLIES_H

#include "node/api.h"
#include "node/apply_parts.h"

struct apply_request {
    enum apply_kind kind;
    const char *object; /* The plan's id; of manifests "manifest". */
    const char *request_id;
};

/* Decides the record of what this trial has decided so far, which is all of the
 * apply, and writes the operation's name; "" when it has changed nothing. Where
 * there is no room for one more record, the oldest that is over makes room, or,
 * if none of the APPLY_LOOKS_OLD oldest is, the oldest. */
void applies_record(struct turn_plan *trial,
                    const struct apply_request *request,
                    const struct api_reply *reply,
                    char name[OPERATION_NAME_BYTES]);

struct operation_ref operation_of_apply(const struct state *state,
                                        const struct apply_record *record);

/* Who began it, as its record says; both lent from the state. */
struct apply_words {
    const char *object;
    const char *caller;
    const char *request_id;
};
struct apply_words applies_words(const struct state *state,
                                 const struct apply_record *record);

/* The record of which this operation is a part and that is not over; NULL: none
 * of the newest, of which so many bytes of parts are looked at. */
const struct apply_record *applies_with_part(const struct state *state,
                                             const struct operation_ref *part,
                                             uint32_t bytes_max);

/* Those of its parts that are not over, with their objects' names, at most
 * `max` of them; returns how many. */
uint32_t applies_left(const struct state *state,
                      const struct apply_record *record,
                      struct operation_ref *parts, uint32_t max);

/* Whether each of its parts is over, or was when it was looked at. Goes on
 * where the last look ended, over at most `looks` parts, of which it takes what
 * it needs: so all looks together look at each part once. */
bool applies_are_over(const struct state *state,
                      const struct apply_record *record,
                      struct applies_look *look, uint32_t *looks);

#endif
