/* SPDX-License-Identifier: Apache-2.0
 *
 * The audit records: a ring of the newest ones, of which each digest leads to
 * the next, also from the last one that was dropped. */
#include "base/check.h"
#include "base/memory.h"
#include "state/internal.h"

#include <stdlib.h>
#include <string.h>

static uint32_t slot_of(const struct state *state, uint64_t number)
{
    return (uint32_t)((number - 1) % state_audit_records_max(state));
}

uint64_t state_audit_first(const struct state *state)
{
    return state->head_audit.first;
}

uint64_t state_audit_last(const struct state *state)
{
    return state->head_audit.written;
}

uint32_t state_audit_records_max(const struct state *state)
{
    return state->head_audit.records_max == 0 ? AUDIT_RECORDS_DEFAULT
                                              : state->head_audit.records_max;
}

const struct audit *state_audit(const struct state *state, uint64_t number)
{
    const struct audit *audit;

    CHECK(number >= state->head_audit.first &&
          number <= state->head_audit.written);
    audit = table_get(&state->tables[TABLE_AUDIT], slot_of(state, number));
    CHECK(audit->number == number);
    return audit;
}

const uint8_t *state_audit_previous(const struct state *state, uint64_t number)
{
    return number == state->head_audit.first
               ? state->head_audit.before_first
               : state_audit(state, number - 1)->digest;
}

/* The oldest record goes; the slot's record is open. */
static void drop_first(struct state *state, const struct audit *audit)
{
    CHECK(audit->number == state->head_audit.first);
    blobs_release(&state->blobs, audit->blob);
    memcpy(state->head_audit.before_first, audit->digest, AUDIT_DIGEST_BYTES);
    state->head_audit.first++;
}

static struct audit *open_slot(struct state *state, uint64_t number)
{
    uint32_t slot = slot_of(state, number);

    while (state->tables[TABLE_AUDIT].slots <= slot) {
        record_add(state, TABLE_AUDIT);
    }
    return record_edit(state, TABLE_AUDIT, slot);
}

static void audit_add(struct state *state, const struct change_audit *change)
{
    struct audit *audit;

    CHECK(change->content.len > 0 &&
          change->content.len <= AUDIT_CONTENT_BYTES_MAX);
    CHECK(change->digest.len == AUDIT_DIGEST_BYTES);
    state->head_audit.written++;
    audit = open_slot(state, state->head_audit.written);
    if (audit->number != 0) {
        drop_first(state, audit);
    }
    audit->number = state->head_audit.written;
    audit->revision = state->head.revision;
    audit->time_ms = state->head.time_ms;
    audit->blob = blobs_add(&state->blobs, change->content);
    memcpy(audit->digest, change->digest.data, AUDIT_DIGEST_BYTES);
    record_edited(state, TABLE_AUDIT, slot_of(state, audit->number));
}

/* The records lie elsewhere in a ring of another size: all are taken out and
 * put back. Rare, and some ten milliseconds for the largest ring. */
static void audit_keep(struct state *state, uint32_t records_max)
{
    struct table *table = &state->tables[TABLE_AUDIT];
    struct state_head_audit *head = &state->head_audit;
    uint32_t count = (uint32_t)(head->written + 1 - head->first);
    struct audit *kept = memory_alloc_array(count + 1, sizeof(*kept));
    uint32_t taken = 0;

    CHECK(records_max >= AUDIT_RECORDS_MIN && records_max <= AUDIT_RECORDS_MAX);
    for (uint64_t number = head->first; number <= head->written; number++) {
        const struct audit *audit = state_audit(state, number);

        if (head->written - number >= records_max) {
            drop_first(state, audit);
        } else {
            kept[taken++] = *audit;
        }
    }
    for (uint32_t slot = 0; slot < table->slots; slot++) {
        memset(record_edit(state, TABLE_AUDIT, slot), 0, sizeof(*kept));
        record_edited(state, TABLE_AUDIT, slot);
    }
    head->records_max = records_max;
    for (uint32_t i = 0; i < taken; i++) {
        *open_slot(state, kept[i].number) = kept[i];
        record_edited(state, TABLE_AUDIT, slot_of(state, kept[i].number));
    }
    free(kept);
}

bool audit_is_whole(const struct state *state)
{
    const struct state_head_audit *head = &state->head_audit;
    const struct table *table = &state->tables[TABLE_AUDIT];
    uint32_t used = 0;

    if ((head->records_max != 0 && (head->records_max < AUDIT_RECORDS_MIN ||
                                    head->records_max > AUDIT_RECORDS_MAX)) ||
        head->first < 1 || head->first > head->written + 1 ||
        head->written + 1 - head->first > state_audit_records_max(state)) {
        return false;
    }
    for (uint32_t slot = 0; slot < table->slots; slot++) {
        const struct audit *audit = table_get(table, slot);

        if (audit->number != 0 &&
            (audit->number < head->first || audit->number > head->written ||
             slot_of(state, audit->number) != slot ||
             audit->blob >= state->blobs.table.slots)) {
            return false;
        }
        used += audit->number != 0;
    }
    return used == head->written + 1 - head->first;
}

void apply_audit(struct state *state, const struct change *change)
{
    if (change->kind == CHANGE_AUDIT) {
        audit_add(state, &change->audit);
    } else {
        audit_keep(state, change->audit_keep.records_max);
    }
}
