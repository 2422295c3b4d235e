/* SPDX-License-Identifier: Apache-2.0
 *
 * Records of what was applied: few, without events, and dropped by the leader's
 * word alone. What a part is and whether it is over only node/ knows. */
#include "base/check.h"
#include "state/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static struct text name_of(uint64_t number, char text[24])
{
    int len = snprintf(text, 24, "%" PRIu64, number);

    return (struct text){text, (uint32_t)len};
}

static uint32_t slot_of(const struct state *state, uint64_t number)
{
    char text[24];
    uint32_t slot = record_named(state, TABLE_APPLY, name_of(number, text));

    CHECK(slot != SLOT_NONE);
    return slot;
}

const struct apply_record *state_apply_newest(const struct state *state)
{
    char text[24];
    uint32_t slot = record_named(state, TABLE_APPLY,
                                 name_of(state->head_apply.written, text));

    return slot == SLOT_NONE ? NULL
                             : table_get(&state->tables[TABLE_APPLY], slot);
}

/* Closes the record, which is open. */
static void finish(struct state *state, struct apply_record *record)
{
    record->revision = ++state->head_apply.changes;
    record_edited(state, TABLE_APPLY, uid_slot(record->uid));
}

static void add(struct state *state, const struct change_apply_add *change)
{
    uint64_t number = state->head_apply.written + 1;
    struct apply_record *record;
    char text[24];
    uint32_t slot;

    CHECK(change->kind == APPLY_PLAN || change->kind == APPLY_MANIFEST);
    CHECK(change->words.len <= APPLY_WORDS_BYTES_MAX);
    CHECK(change->parts.len <= APPLY_PARTS_BYTES_MAX);
    CHECK(state->counts.applies < APPLIES_MAX);
    slot = record_create(state, TABLE_APPLY, name_of(number, text));
    record = record_edit(state, TABLE_APPLY, slot);
    record->number = number;
    record->state_revision = state->head.revision;
    record->kind = (uint8_t)change->kind;
    record->part_count = change->part_count;
    record->left_out = change->left_out;
    record->words_blob = blobs_intern(&state->blobs, change->words);
    record->parts_blob =
        change->parts.len == 0 ? 0 : blobs_add(&state->blobs, change->parts);
    state->head_apply.written = number;
    state->counts.applies++;
    state->counts.applies_open++;
    finish(state, record);
}

static void cancel(struct state *state, uint64_t number)
{
    struct apply_record *record =
        record_edit(state, TABLE_APPLY, slot_of(state, number));

    CHECK(record->end == APPLY_END_NONE);
    record->cancelled = 1;
    finish(state, record);
}

static void end(struct state *state, const struct change_apply_end *change)
{
    struct apply_record *record =
        record_edit(state, TABLE_APPLY, slot_of(state, change->number));

    CHECK(record->end == APPLY_END_NONE);
    CHECK(change->end >= APPLY_END_DONE && change->end <= APPLY_END_CANCELLED);
    CHECK(change->failed_count <= record->part_count &&
          change->cancelled_count <= record->part_count - change->failed_count);
    blobs_release(&state->blobs, record->parts_blob);
    record->parts_blob = 0;
    record->end = (uint8_t)change->end;
    record->end_time_ms = state->head.time_ms;
    record->failed_count = change->failed_count;
    record->cancelled_count = change->cancelled_count;
    state->counts.applies_open--;
    finish(state, record);
}

static void drop(struct state *state, uint64_t number)
{
    uint32_t slot = slot_of(state, number);
    const struct apply_record *record =
        table_get(&state->tables[TABLE_APPLY], slot);

    state->counts.applies--;
    state->counts.applies_open -= record->end == APPLY_END_NONE;
    blobs_release(&state->blobs, record->parts_blob);
    blobs_release(&state->blobs, record->words_blob);
    record_delete(state, TABLE_APPLY, slot);
    state->head_apply.changes++;
}

bool apply_index(struct state *state, const struct apply_record *record)
{
    if (record->revision == 0) {
        return true;
    }
    state->counts.applies++;
    state->counts.applies_open += record->end == APPLY_END_NONE;
    return (record->kind == APPLY_PLAN || record->kind == APPLY_MANIFEST) &&
           record->end <= APPLY_END_CANCELLED && record->end != 1 &&
           uid_slot(record->uid) < APPLIES_MAX &&
           record->parts_blob < state->blobs.table.slots &&
           record->words_blob < state->blobs.table.slots;
}

void apply_apply(struct state *state, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_APPLY_ADD:
        add(state, &change->apply_add);
        break;
    case CHANGE_APPLY_CANCEL:
        cancel(state, change->apply_cancel.number);
        break;
    case CHANGE_APPLY_END:
        end(state, &change->apply_end);
        break;
    default:
        CHECK(change->kind == CHANGE_APPLY_DROP);
        drop(state, change->apply_drop.number);
        break;
    }
}
