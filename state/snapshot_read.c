/* SPDX-License-Identifier: Apache-2.0
 *
 * A stream back to a state. Nothing is believed: sizes, numbers and links are
 * checked before they are used, and the hash at the end covers all. */
#include "base/check.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "state/internal.h"
#include "state/snapshot.h"

#include <stdlib.h>
#include <string.h>

#include <holdfast/v1/snapshot.pb-c.h>

#define RECORD_BYTES_MAX (1u << 20)

struct snapshot_reader {
    struct state *state;
    struct bytes input;     /* What is not a whole record yet. */
    struct state_head head; /* As read; slots and links are claims. */
    struct state_head_added head_added; /* Likewise. */
    struct state_head_access head_access;
    struct state_head_audit head_audit;
    struct state_head_join head_join;
    struct state_head_apply head_apply;
    uint32_t format;
    bool has_head;
    bool has_end;
    int error;
};

struct snapshot_reader *snapshot_reader_create(void)
{
    struct snapshot_reader *reader = memory_alloc(sizeof(*reader));

    reader->state = state_create();
    bytes_init(&reader->input);
    return reader;
}

/* What stands in the head from some format on, and only then. */
static int read_part(const ProtobufCBinaryData *part, bool expected, void *copy,
                     size_t len)
{
    if (part->len != (expected ? len : 0)) {
        return HF_ERROR_CORRUPT;
    }
    if (expected) {
        memcpy(copy, part->data, len);
    }
    return 0;
}

static int read_head(struct snapshot_reader *reader,
                     const Holdfast__V1__SnapshotHead *head)
{
    if (reader->has_head) {
        return HF_ERROR_CORRUPT;
    }
    if (head->format < 1 || head->format > 4 ||
        head->base.n_unknown_fields > 0) {
        return HF_ERROR_UNSUPPORTED;
    }
    reader->head_added = reader->state->head_added;
    reader->head_access = reader->state->head_access;
    reader->head_audit = reader->state->head_audit;
    reader->head_join = reader->state->head_join;
    reader->head_apply = reader->state->head_apply;
    if (read_part(&head->state_head, true, &reader->head,
                  sizeof(reader->head)) != 0 ||
        read_part(&head->state_head_added, head->format >= 2,
                  &reader->head_added, sizeof(reader->head_added)) != 0 ||
        read_part(&head->state_head_access, head->format >= 3,
                  &reader->head_access, sizeof(reader->head_access)) != 0 ||
        read_part(&head->state_head_audit, head->format >= 4,
                  &reader->head_audit, sizeof(reader->head_audit)) != 0 ||
        read_part(&head->state_head_join, head->format >= 4, &reader->head_join,
                  sizeof(reader->head_join)) != 0 ||
        read_part(&head->state_head_apply,
                  head->format >= 4 && head->state_head_apply.len > 0,
                  &reader->head_apply, sizeof(reader->head_apply)) != 0) {
        return HF_ERROR_CORRUPT;
    }
    reader->format = head->format;
    reader->has_head = true;
    return 0;
}

static uint32_t slots_told(const struct snapshot_reader *reader,
                           enum table_kind kind)
{
    if (kind == TABLE_GRANT) {
        return reader->head_access.slots;
    }
    if (kind == TABLE_AUDIT) {
        return reader->head_audit.slots;
    }
    if (kind == TABLE_JOIN) {
        return reader->head_join.slots;
    }
    if (kind == TABLE_APPLY) {
        return reader->head_apply.slots;
    }
    return kind < TABLE_COUNT ? reader->head.slots[kind]
                              : reader->head_added.slots[kind - TABLE_COUNT];
}

static int read_region(struct snapshot_reader *reader,
                       const Holdfast__V1__SnapshotRegion *region)
{
    struct region_id id = {region->high, region->low};

    if (region_id_is_set(reader->state->region) || !region_id_is_set(id)) {
        return HF_ERROR_CORRUPT;
    }
    reader->state->region = id;
    return 0;
}

static int read_blob(struct snapshot_reader *reader,
                     const Holdfast__V1__SnapshotBlob *blob)
{
    bool used =
        blob->_content_case == HOLDFAST__V1__SNAPSHOT_BLOB___CONTENT_CONTENT;
    struct text content = {NULL, 0};

    if (used) {
        if (blob->refs == 0 || blob->link > 1) {
            return HF_ERROR_CORRUPT;
        }
        content.data =
            blob->content.len == 0 ? "" : (const char *)blob->content.data;
        content.len = (uint32_t)blob->content.len;
    }
    blobs_restore(&reader->state->blobs, content, blob->refs, blob->link);
    return 0;
}

/* Enters a record in the index of names; its name must end. */
static int index_name(struct state *state, enum table_kind kind, uint32_t slot,
                      const struct record_head *head, const char *name)
{
    if (head->revision == 0) {
        return 0;
    }
    if (uid_slot(head->uid) != slot || memchr(name, '\0', NAME_BYTES) == NULL ||
        name[0] == '\0') {
        return HF_ERROR_CORRUPT;
    }
    index_insert(&state->names[kind], hash_bytes(name, strlen(name), 0), slot);
    return 0;
}

static int index_vm(struct state *state, uint32_t slot, const struct vm *vm)
{
    if (vm->revision != 0) {
        if (vm->state < VM_PENDING || vm->state > VM_LOST ||
            vm->moving > MOVE_CLAIMED) {
            return HF_ERROR_CORRUPT;
        }
        claims_index(state, slot, vm);
        state->counts.vms++;
        state->counts.vms_by_state[vm->state]++;
    }
    return index_name(state, TABLE_VM, slot,
                      (const struct record_head *)(const void *)vm, vm->name);
}

static int index_host(struct state *state, uint32_t slot,
                      const struct host *host)
{
    if (host->draining > DRAIN_AT_RISK) {
        return HF_ERROR_CORRUPT;
    }
    state->counts.hosts += host->revision != 0;
    state->counts.hosts_up += host->revision != 0 && host->state == HOST_UP;
    state->counts.hosts_draining += host->revision != 0 && host->draining;
    return index_name(state, TABLE_HOST, slot,
                      (const struct record_head *)(const void *)host,
                      host->name);
}

static int index_zone(struct state *state, uint32_t slot,
                      const struct zone *zone)
{
    if (zone->draining > DRAIN_AT_RISK) {
        return HF_ERROR_CORRUPT;
    }
    state->counts.zones += zone->revision != 0;
    state->counts.zones_draining += zone->revision != 0 && zone->draining;
    return index_name(state, TABLE_ZONE, slot,
                      (const struct record_head *)(const void *)zone,
                      zone->name);
}

/* Names without an index; searched as strings, and few. */
static int check_side_name(uint32_t slot, uint32_t slots_max,
                           const struct side_name *side)
{
    return slot < slots_max && memchr(side->name, '\0', NAME_BYTES) != NULL
               ? 0
               : HF_ERROR_CORRUPT;
}

static int index_grant(struct state *state, uint32_t slot,
                       const struct grant *grant)
{
    if (grant->revision != 0) {
        if (grant->kind < SUBJECT_CLIENT || grant->kind > SUBJECT_TOKEN ||
            grant->role < ACCESS_ROLE_VIEWER ||
            grant->role >= ACCESS_ROLE_COUNT ||
            memchr(grant->subject, '\0', SUBJECT_BYTES) == NULL) {
            return HF_ERROR_CORRUPT;
        }
        grant_index(state, slot, grant);
    }
    return index_name(state, TABLE_GRANT, slot,
                      (const struct record_head *)(const void *)grant,
                      grant->name);
}

static int index_added(struct state *state, enum table_kind kind, uint32_t slot,
                       const void *record)
{
    switch (kind) {
    case TABLE_GROUP:
        state->counts.groups += ((const struct group *)record)->revision != 0;
        return index_name(state, kind, slot, record,
                          ((const struct group *)record)->name);
    case TABLE_RESERVATION:
        state->counts.reservations +=
            ((const struct reservation *)record)->revision != 0;
        return index_name(state, kind, slot, record,
                          ((const struct reservation *)record)->name);
    case TABLE_NAMED:
        return check_side_name(slot, NAMED_MAX, record);
    case TABLE_GRANT:
        return index_grant(state, slot, record);
    case TABLE_JOIN:
        state->counts.join_tokens +=
            ((const struct join_token *)record)->revision != 0;
        return index_name(state, kind, slot, record,
                          ((const struct join_token *)record)->name);
    case TABLE_APPLY:
        return apply_index(state, record)
                   ? index_name(state, kind, slot, record,
                                ((const struct apply_record *)record)->name)
                   : HF_ERROR_CORRUPT;
    case TABLE_AUDIT: /* All at once, at the end: audit_is_whole(). */
        return slot < AUDIT_RECORDS_MAX ? 0 : HF_ERROR_CORRUPT;
    default:
        CHECK(kind == TABLE_POLICY);
        return slot == 0 && policy_check(record) == NULL ? 0 : HF_ERROR_CORRUPT;
    }
}

/* Rebuilds what is derived from one record: indexes and counts. */
static int index_record(struct state *state, enum table_kind kind,
                        uint32_t slot)
{
    const void *record = table_get(&state->tables[kind], slot);

    switch (kind) {
    case TABLE_ZONE:
        return index_zone(state, slot, record);
    case TABLE_CLASS:
        state->counts.classes += ((const struct class *)record)->revision != 0;
        return index_name(state, kind, slot, record,
                          ((const struct class *)record)->name);
    case TABLE_HOST:
        return index_host(state, slot, record);
    case TABLE_VM:
        return index_vm(state, slot, record);
    case TABLE_REPLY:
        if (((const struct reply *)record)->used) {
            index_insert(&state->reply_ids,
                         ((const struct reply *)record)->id_hash, slot);
        }
        return 0;
    case TABLE_POOL:
        return check_side_name(slot, POOLS_MAX, record);
    default:
        return index_added(state, kind, slot, record);
    }
}

/* Whether records of the table have that size in this format; see
 * state_needs_whole(). */
static bool knows_size(const struct snapshot_reader *reader,
                       enum table_kind kind, uint32_t record_bytes)
{
    if (kind == TABLE_GRANT) {
        return record_bytes == table_format1_bytes[kind] ||
               (record_bytes == table_record_bytes[kind] &&
                reader->format >= 4);
    }
    return record_bytes == (reader->format == 1 ? table_format1_bytes[kind]
                                                : table_record_bytes[kind]);
}

static int read_rows(struct snapshot_reader *reader,
                     const Holdfast__V1__SnapshotRows *rows)
{
    enum table_kind kind = (enum table_kind)rows->table;
    struct state *state = reader->state;
    struct table *table;
    uint32_t record_bytes = rows->record_bytes;
    size_t count;

    if (rows->table >= TABLE_ALL || rows->records.len == 0 ||
        !knows_size(reader, kind, record_bytes)) {
        return HF_ERROR_CORRUPT;
    }
    table = &state->tables[kind];
    count = rows->records.len / record_bytes;
    if (rows->records.len % record_bytes != 0 ||
        count > slots_told(reader, kind) - table->slots) {
        return HF_ERROR_CORRUPT;
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t slot = table->slots;
        int rv;

        /* What the format does not know stays zero. */
        table_grow(table, slot + 1);
        memcpy(table_edit(table, slot), rows->records.data + i * record_bytes,
               record_bytes);
        record_edited(state, kind, slot);
        rv = index_record(state, kind, slot);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

static int read_end(struct snapshot_reader *reader,
                    const Holdfast__V1__SnapshotEnd *end)
{
    struct state *state = reader->state;

    for (int i = 0; i < TABLE_ALL; i++) {
        if (state->tables[i].slots != slots_told(reader, (enum table_kind)i)) {
            return HF_ERROR_CORRUPT;
        }
    }
    /* Kept as read, but for what state_hash fills in itself. */
    memcpy(&state->head, &reader->head, sizeof(state->head));
    memset(state->head.slots, 0, sizeof(state->head.slots));
    state->head.blob_free_first = 0;
    state->head_added = reader->head_added;
    memset(state->head_added.slots, 0, sizeof(state->head_added.slots));
    state->head_access = reader->head_access;
    state->head_access.slots = 0;
    state->head_audit = reader->head_audit;
    state->head_audit.slots = 0;
    state->head_join = reader->head_join;
    state->head_join.slots = 0;
    state->head_apply = reader->head_apply;
    state->head_apply.slots = 0;
    state->blobs.free_first = reader->head.blob_free_first;
    if (!audit_is_whole(state) || state_hash(state) != end->hash) {
        return HF_ERROR_CORRUPT;
    }
    reader->has_end = true;
    return 0;
}

static int read_record(struct snapshot_reader *reader, const uint8_t *data,
                       size_t len)
{
    Holdfast__V1__SnapshotRecord *record =
        holdfast__v1__snapshot_record__unpack(NULL, len, data);
    int rv = HF_ERROR_CORRUPT;

    if (record == NULL) {
        return HF_ERROR_CORRUPT;
    }
    if (record->base.n_unknown_fields > 0) {
        rv = HF_ERROR_UNSUPPORTED;
    } else if (record->record_case ==
               HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_HEAD) {
        rv = read_head(reader, record->head);
    } else if (!reader->has_head || reader->has_end) {
        rv = HF_ERROR_CORRUPT;
    } else if (record->record_case ==
               HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_REGION) {
        rv = read_region(reader, record->region);
    } else if (record->record_case ==
               HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_BLOB) {
        rv = read_blob(reader, record->blob);
    } else if (record->record_case ==
               HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_ROWS) {
        rv = read_rows(reader, record->rows);
    } else if (record->record_case ==
               HOLDFAST__V1__SNAPSHOT_RECORD__RECORD_END) {
        rv = read_end(reader, record->end);
    }
    holdfast__v1__snapshot_record__free_unpacked(record, NULL);
    return rv;
}

int snapshot_reader_feed(struct snapshot_reader *reader, const void *data,
                         size_t len)
{
    size_t at = 0;

    if (reader->error != 0) {
        return reader->error;
    }
    bytes_append(&reader->input, data, len);
    while (reader->input.len - at >= 4) {
        uint32_t size = bytes_get_u32(reader->input.data + at);

        if (size > RECORD_BYTES_MAX) {
            reader->error = HF_ERROR_CORRUPT;
            return reader->error;
        }
        if (reader->input.len - at - 4 < size) {
            break;
        }
        reader->error = read_record(reader, reader->input.data + at + 4, size);
        if (reader->error != 0) {
            return reader->error;
        }
        at += 4 + size;
    }
    bytes_consume(&reader->input, at);
    return 0;
}

struct state *snapshot_reader_finish(struct snapshot_reader *reader)
{
    struct state *state = NULL;

    if (reader->error == 0 && reader->has_end && reader->input.len == 0) {
        state = reader->state;
        reader->state = NULL;
    }
    snapshot_reader_abandon(reader);
    return state;
}

void snapshot_reader_abandon(struct snapshot_reader *reader)
{
    state_destroy(reader->state);
    bytes_close(&reader->input);
    free(reader);
}
