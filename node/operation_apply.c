/* SPDX-License-Identifier: Apache-2.0
 *
 * How applies stand: each part is judged as the operation that it is. */
#include "base/check.h"
#include "node/applies.h"
#include "node/operation_internal.h"

#include <stdio.h>
#include <string.h>

static const char *object_of(const struct state *state,
                             const struct operation_ref *part)
{
    const struct zone *zone;
    const struct host *host;
    const struct group *group;
    const struct vm *vm;

    switch (part->kind) {
    case OPERATION_DRAIN_ZONE:
        zone = state_zone(state, (struct zone_id){part->uid});
        return zone == NULL ? "" : zone->name;
    case OPERATION_DRAIN_HOST:
        host = state_host(state, (struct host_id){part->uid});
        return host == NULL ? "" : host->name;
    case OPERATION_SCALE_GROUP:
    case OPERATION_UPDATE_GROUP:
    case OPERATION_DELETE_GROUP:
        group = state_group(state, (struct group_id){part->uid});
        return group == NULL ? "" : group->name;
    default:
        vm = state_vm(state, (struct vm_id){part->uid});
        return vm == NULL ? "" : vm->name;
    }
}

/* The operation that the part is; where its object had a newer one since, it is
 * cancelled. */
static void judge_part(const struct state *state,
                       const struct operation_ref *part,
                       enum operation_depth depth, struct operation *operation)
{
    if (!operation_judge(state, part, depth, operation)) {
        operation->state = OPERATION_CANCELLED;
    }
}

static bool is_left(const struct state *state, const struct operation_ref *part)
{
    struct operation operation;

    judge_part(state, part, OPERATION_ENDED, &operation);
    return operation.state == OPERATION_RUNNING;
}

uint32_t applies_left(const struct state *state,
                      const struct apply_record *record,
                      struct operation_ref *parts, uint32_t max)
{
    struct text text = state_blob(state, record->parts_blob);
    struct apply_cursor cursor = {0, 0};
    struct operation_ref part;
    uint32_t count = 0;

    while (count < max && apply_parts_next(text, &cursor, &part)) {
        if (is_left(state, &part)) {
            (void)snprintf(part.object, sizeof(part.object), "%s",
                           object_of(state, &part));
            parts[count++] = part;
        }
    }
    return count;
}

bool applies_are_over(const struct state *state,
                      const struct apply_record *record,
                      struct applies_look *look, uint32_t *looks)
{
    struct text text = state_blob(state, record->parts_blob);
    struct operation_ref part;

    for (;;) {
        struct apply_cursor before = look->cursor;

        if (!apply_parts_next(text, &look->cursor, &part)) {
            return true;
        }
        if (*looks == 0 || is_left(state, &part)) {
            look->cursor = before;
            return false;
        }
        --*looks;
    }
}

struct tally {
    uint32_t left;
    uint32_t failed;
    uint32_t cancelled;
};

static void count_part(struct operation *whole, const struct operation *part,
                       struct tally *tally)
{
    tally->left += part->state == OPERATION_RUNNING;
    tally->failed += part->state == OPERATION_FAILED;
    tally->cancelled += part->state == OPERATION_CANCELLED;
    if (part->state != OPERATION_RUNNING) {
        return;
    }
    whole->cancellable |= part->cancellable;
    for (int reason = 0; reason < OPERATION_REASON_COUNT; reason++) {
        whole->waits[reason] += part->waits[reason];
    }
}

static void count_parts(const struct state *state,
                        const struct apply_record *record,
                        struct operation *whole, struct tally *tally)
{
    struct text text = state_blob(state, record->parts_blob);
    struct apply_cursor cursor = {0, 0};
    struct operation_ref ref;

    while (apply_parts_next(text, &cursor, &ref)) {
        struct operation part;

        judge_part(state, &ref, OPERATION_ENDED, &part);
        if (part.state == OPERATION_RUNNING &&
            whole->depth == OPERATION_WHOLE) {
            judge_part(state, &ref, OPERATION_WHOLE, &part);
        }
        count_part(whole, &part, tally);
    }
}

static enum operation_state end_of(const struct apply_record *record,
                                   const struct tally *tally)
{
    if (record->end != APPLY_END_NONE) {
        return (enum operation_state)record->end;
    }
    if (tally->left > 0) {
        return OPERATION_RUNNING;
    }
    if (record->cancelled) {
        return OPERATION_CANCELLED;
    }
    if (tally->failed > 0) {
        return OPERATION_FAILED;
    }
    return tally->cancelled > 0 ? OPERATION_CANCELLED : OPERATION_DONE;
}

static void say_parts(struct operation *operation, enum operation_state state,
                      const struct apply_record *record,
                      const struct tally *tally)
{
    char ends[64] = "";
    char more[80] = "";

    if (tally->failed > 0 || tally->cancelled > 0) {
        (void)snprintf(ends, sizeof(ends), ", %u failed, %u cancelled",
                       tally->failed, tally->cancelled);
    }
    if (record->left_out > 0) {
        (void)snprintf(more, sizeof(more),
                       "; %u more are not followed: there are too many",
                       record->left_out);
    }
    operation_say(operation, state, "%u of %u parts are as they shall be%s%s",
                  operation->done, operation->total, ends, more);
}

bool operation_judge_apply(const struct state *state,
                           struct operation *operation)
{
    const struct apply_record *record =
        state_apply_record(state, operation->ref.uid);
    struct tally tally;

    if (record == NULL || record->number != operation->ref.mark ||
        (record->kind == APPLY_PLAN) !=
            (operation->ref.kind == OPERATION_APPLY_PLAN) ||
        strcmp(applies_words(state, record).object, operation->ref.object) !=
            0) {
        return false;
    }
    if (operation->depth == OPERATION_ENDED) {
        operation->state = record->end == APPLY_END_NONE
                               ? OPERATION_RUNNING
                               : (enum operation_state)record->end;
        return true;
    }
    tally = (struct tally){0, record->failed_count, record->cancelled_count};
    count_parts(state, record, operation, &tally);
    operation->revision = record->state_revision;
    operation->begin_ms = record->create_time_ms;
    operation->end_ms = record->end_time_ms;
    operation->total = record->part_count;
    operation->left = tally.left;
    operation->done =
        record->part_count - tally.left - tally.failed - tally.cancelled;
    operation->failed = tally.failed;
    operation->cancelled = tally.cancelled;
    operation->ending = record->cancelled;
    say_parts(operation, end_of(record, &tally), record, &tally);
    return true;
}
