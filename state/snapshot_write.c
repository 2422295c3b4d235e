/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "state/internal.h"
#include "state/snapshot.h"

#include <string.h>

#include <holdfast/v1/snapshot.pb-c.h>

#define ROWS_BYTES 65536

/* The walk's places before and after the tables. */
enum { STEP_HEAD = 0, STEP_BLOBS = 1, STEP_TABLES = 2 };

void snapshot_writer_init(struct snapshot_writer *writer,
                          const struct state *state)
{
    *writer = (struct snapshot_writer){.state = state};
}

static void put_record(struct bytes *out,
                       const Holdfast__V1__SnapshotRecord *record)
{
    size_t len = holdfast__v1__snapshot_record__get_packed_size(record);

    bytes_append_u32(out, (uint32_t)len);
    bytes_reserve(out, len);
    holdfast__v1__snapshot_record__pack(record, out->data + out->len);
    out->len += len;
}

static void put_head(const struct state *state, struct bytes *out)
{
    Holdfast__V1__SnapshotRecord record = HOLDFAST__V1__SNAPSHOT_RECORD__INIT;
    Holdfast__V1__SnapshotHead head = HOLDFAST__V1__SNAPSHOT_HEAD__INIT;
    struct state_head_added added = state->head_added;
    struct state_head_access access = state_head_access(state);
    struct state_head_audit audit = state_head_audit(state);
    struct state_head_join join = state_head_join(state);
    struct state_head_apply apply = state_head_apply(state);
    struct state_head copy;

    memcpy(&copy, &state->head, sizeof(copy));
    for (int i = 0; i < TABLE_COUNT; i++) {
        copy.slots[i] = state->tables[i].slots;
    }
    copy.blob_free_first = state->blobs.free_first;
    head.format = state_format(state);
    if (head.format >= 2) {
        for (int i = 0; i < TABLES_ADDED; i++) {
            added.slots[i] = state->tables[TABLE_COUNT + i].slots;
        }
        head.state_head_added.data = (uint8_t *)&added;
        head.state_head_added.len = sizeof(added);
    }
    if (head.format >= 3) {
        head.state_head_access.data = (uint8_t *)&access;
        head.state_head_access.len = sizeof(access);
    }
    if (head.format >= 4) {
        head.state_head_audit.data = (uint8_t *)&audit;
        head.state_head_audit.len = sizeof(audit);
        head.state_head_join.data = (uint8_t *)&join;
        head.state_head_join.len = sizeof(join);
    }
    if (state_has_applies(state)) {
        head.state_head_apply.data = (uint8_t *)&apply;
        head.state_head_apply.len = sizeof(apply);
    }
    head.state_head.data = (uint8_t *)&copy;
    head.state_head.len = sizeof(copy);
    record.record_case = HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_HEAD;
    record.head = &head;
    put_record(out, &record);
}

static void put_region(const struct state *state, struct bytes *out)
{
    Holdfast__V1__SnapshotRecord record = HOLDFAST__V1__SNAPSHOT_RECORD__INIT;
    Holdfast__V1__SnapshotRegion region = HOLDFAST__V1__SNAPSHOT_REGION__INIT;

    region.high = state->region.high;
    region.low = state->region.low;
    record.record_case = HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_REGION;
    record.region = &region;
    put_record(out, &record);
}

static void put_blob(const struct state *state, uint32_t slot,
                     struct bytes *out)
{
    Holdfast__V1__SnapshotRecord record = HOLDFAST__V1__SNAPSHOT_RECORD__INIT;
    Holdfast__V1__SnapshotBlob message = HOLDFAST__V1__SNAPSHOT_BLOB__INIT;
    const struct blob *blob = table_get(&state->blobs.table, slot);
    union {
        const char *lent;
        uint8_t *data; /* protobuf-c's field is not const, but only reads. */
    } content;

    if (blob->bytes != NULL) {
        struct text text = blobs_get(&state->blobs, slot);

        content.lent = text.data;
        message._content_case = HOLDFAST__V1__SNAPSHOT_BLOB___CONTENT_CONTENT;
        message.content.data = content.data;
        message.content.len = text.len;
    }
    message.refs = blob->refs;
    message.link = blob->interned;
    record.record_case = HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_BLOB;
    record.blob = &message;
    put_record(out, &record);
}

static uint32_t put_rows(const struct state *state, enum table_kind kind,
                         uint32_t slot, struct bytes *out)
{
    Holdfast__V1__SnapshotRecord record = HOLDFAST__V1__SNAPSHOT_RECORD__INIT;
    Holdfast__V1__SnapshotRows rows = HOLDFAST__V1__SNAPSHOT_ROWS__INIT;
    const struct table *table = &state->tables[kind];
    uint32_t record_bytes = state_needs_whole(state, kind)
                                ? table_record_bytes[kind]
                                : table_format1_bytes[kind];
    struct bytes content;

    bytes_init(&content);
    while (slot < table->slots && content.len + record_bytes <= ROWS_BYTES) {
        bytes_append(&content, table_get(table, slot), record_bytes);
        slot++;
    }
    rows.table = (uint32_t)kind;
    rows.record_bytes = record_bytes;
    rows.records.data = content.data;
    rows.records.len = content.len;
    record.record_case = HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_ROWS;
    record.rows = &rows;
    put_record(out, &record);
    bytes_close(&content);
    return slot;
}

static void put_end(const struct state *state, struct bytes *out)
{
    Holdfast__V1__SnapshotRecord record = HOLDFAST__V1__SNAPSHOT_RECORD__INIT;
    Holdfast__V1__SnapshotEnd end = HOLDFAST__V1__SNAPSHOT_END__INIT;

    end.hash = state_hash(state);
    record.record_case = HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_END;
    record.end = &end;
    put_record(out, &record);
}

/* Writes the next record and moves on. */
static void step(struct snapshot_writer *writer, struct bytes *out)
{
    const struct state *state = writer->state;

    if (writer->table == STEP_HEAD) {
        put_head(state, out);
        if (region_id_is_set(state->region)) {
            put_region(state, out);
        }
        writer->table = STEP_BLOBS;
        writer->slot = 1; /* Blob 0 is the empty one, in every state. */
    } else if (writer->table == STEP_BLOBS) {
        if (writer->slot < state->blobs.table.slots) {
            put_blob(state, writer->slot++, out);
        } else {
            writer->table = STEP_TABLES;
            writer->slot = 0;
        }
    } else if (writer->table < STEP_TABLES + TABLE_ALL) {
        enum table_kind kind = (enum table_kind)(writer->table - STEP_TABLES);

        if (writer->slot < state->tables[kind].slots) {
            writer->slot = put_rows(state, kind, writer->slot, out);
        } else {
            writer->table++;
            writer->slot = 0;
        }
    } else {
        put_end(state, out);
        writer->done = true;
    }
}

bool snapshot_writer_next(struct snapshot_writer *writer, struct bytes *out,
                          size_t budget)
{
    size_t start = out->len;

    while (!writer->done && out->len - start < budget) {
        step(writer, out);
    }
    return out->len > start;
}
