/* SPDX-License-Identifier: Apache-2.0
 *
 * The one way in which records are made, written and unmade. */
#include "base/check.h"
#include "base/hash.h"
#include "state/internal.h"

#include <stddef.h>
#include <string.h>

/* Each named record begins as struct record_head does. */
#define HEAD_IS_RIGHT(type)                                              \
    _Static_assert(offsetof(struct type, uid) ==                         \
                           offsetof(struct record_head, uid) &&          \
                       offsetof(struct type, revision) ==                \
                           offsetof(struct record_head, revision) &&     \
                       offsetof(struct type, create_time_ms) ==          \
                           offsetof(struct record_head, create_time_ms), \
                   "struct " #type " begins with struct record_head")
HEAD_IS_RIGHT(zone);
HEAD_IS_RIGHT(class);
HEAD_IS_RIGHT(host);
HEAD_IS_RIGHT(vm);
HEAD_IS_RIGHT(group);
HEAD_IS_RIGHT(reservation);
HEAD_IS_RIGHT(grant);
HEAD_IS_RIGHT(join_token);
HEAD_IS_RIGHT(apply_record);

/* Whether the part that format 2 added is in use. Records and their parts are
 * whole words. */
static bool is_grown(enum table_kind kind, const void *record)
{
    const uint64_t *words = record;
    uint32_t end = table_record_bytes[kind] / sizeof(uint64_t);

    for (uint32_t i = table_format1_bytes[kind] / sizeof(uint64_t); i < end;
         i++) {
        if (words[i] != 0) {
            return true;
        }
    }
    return false;
}

static uint64_t hash_as(enum table_kind kind, uint32_t slot, const void *record,
                        bool grown)
{
    return hash_bytes(
        record, grown ? table_record_bytes[kind] : table_format1_bytes[kind],
        (uint64_t)kind << 32 | slot);
}

uint64_t record_hash(enum table_kind kind, uint32_t slot, const void *record)
{
    return hash_as(kind, slot, record, is_grown(kind, record));
}

void *record_edit(struct state *state, enum table_kind kind, uint32_t slot)
{
    void *record = table_edit(&state->tables[kind], slot);
    bool grown = is_grown(kind, record);

    state->records_hash -= hash_as(kind, slot, record, grown);
    state->grown -= grown;
    return record;
}

void record_edited(struct state *state, enum table_kind kind, uint32_t slot)
{
    const void *record = table_get(&state->tables[kind], slot);
    bool grown = is_grown(kind, record);

    state->records_hash += hash_as(kind, slot, record, grown);
    state->grown += grown;
    if (kind == TABLE_VM) {
        asks_mark(&state->asks, slot, record);
    }
}

uint32_t record_add(struct state *state, enum table_kind kind)
{
    struct table *table = &state->tables[kind];
    uint32_t slot = table->slots;

    table_grow(table, slot + 1);
    record_edited(state, kind, slot);
    return slot;
}

static uint64_t name_hash(struct text name)
{
    return hash_bytes(name.data, name.len, 0);
}

/* The name stands in a different place in each kind of record. */
static const char *name_of(enum table_kind kind, const void *record)
{
    switch (kind) {
    case TABLE_ZONE:
        return ((const struct zone *)record)->name;
    case TABLE_CLASS:
        return ((const struct class *)record)->name;
    case TABLE_HOST:
        return ((const struct host *)record)->name;
    case TABLE_VM:
        return ((const struct vm *)record)->name;
    case TABLE_GROUP:
        return ((const struct group *)record)->name;
    case TABLE_RESERVATION:
        return ((const struct reservation *)record)->name;
    case TABLE_GRANT:
        return ((const struct grant *)record)->name;
    case TABLE_JOIN:
        return ((const struct join_token *)record)->name;
    case TABLE_APPLY:
        return ((const struct apply_record *)record)->name;
    default:
        CHECK_UNREACHABLE("a table with names");
        return "";
    }
}

static char *name_for_writing(enum table_kind kind, void *record)
{
    switch (kind) {
    case TABLE_ZONE:
        return ((struct zone *)record)->name;
    case TABLE_CLASS:
        return ((struct class *)record)->name;
    case TABLE_HOST:
        return ((struct host *)record)->name;
    case TABLE_VM:
        return ((struct vm *)record)->name;
    case TABLE_GROUP:
        return ((struct group *)record)->name;
    case TABLE_RESERVATION:
        return ((struct reservation *)record)->name;
    case TABLE_GRANT:
        return ((struct grant *)record)->name;
    case TABLE_JOIN:
        return ((struct join_token *)record)->name;
    case TABLE_APPLY:
        return ((struct apply_record *)record)->name;
    default:
        CHECK_UNREACHABLE("a table with names");
        return NULL;
    }
}

struct name_key {
    struct index_key key;
    const struct table *table;
    enum table_kind kind;
    struct text name;
};

static bool name_matches(const struct index_key *key, uint32_t slot)
{
    const struct name_key *wanted = (const struct name_key *)(const void *)key;
    const char *name = name_of(wanted->kind, table_get(wanted->table, slot));

    return memcmp(name, wanted->name.data, wanted->name.len) == 0 &&
           name[wanted->name.len] == '\0';
}

uint32_t record_named(const struct state *state, enum table_kind kind,
                      struct text name)
{
    struct name_key key = {
        .key = {.matches = name_matches},
        .table = &state->tables[kind],
        .kind = kind,
        .name = name,
    };

    if (name.len == 0 || name.len >= NAME_BYTES) {
        return SLOT_NONE;
    }
    key.key.hash = name_hash(name);
    return index_find(&state->names[kind], &key.key);
}

static uint32_t *free_first(struct state *state, enum table_kind kind)
{
    if (kind == TABLE_GRANT) {
        return &state->head_access.free_first;
    }
    if (kind == TABLE_JOIN) {
        return &state->head_join.free_first;
    }
    if (kind == TABLE_APPLY) {
        return &state->head_apply.free_first;
    }
    return kind < TABLE_COUNT
               ? &state->head.free_first[kind]
               : &state->head_added.free_first[kind - TABLE_COUNT];
}

static uint32_t take_slot(struct state *state, enum table_kind kind)
{
    static const uint32_t slots_max[] = {
        [TABLE_ZONE] = ZONES_MAX,    [TABLE_CLASS] = CLASSES_MAX,
        [TABLE_HOST] = HOSTS_MAX,    [TABLE_VM] = VMS_MAX,
        [TABLE_GROUP] = GROUPS_MAX,  [TABLE_RESERVATION] = RESERVATIONS_MAX,
        [TABLE_GRANT] = GRANTS_MAX,  [TABLE_JOIN] = JOIN_TOKENS_MAX,
        [TABLE_APPLY] = APPLIES_MAX,
    };
    uint32_t slot = *free_first(state, kind);
    const struct record_head *hole;

    if (slot != SLOT_NONE) {
        hole = table_get(&state->tables[kind], slot);
        CHECK(hole->revision == 0);
        *free_first(state, kind) = (uint32_t)hole->create_time_ms - 1;
        return slot;
    }
    CHECK(state->tables[kind].slots < slots_max[kind]);
    return record_add(state, kind);
}

uint32_t record_create(struct state *state, enum table_kind kind,
                       struct text name)
{
    uint32_t slot;
    struct record_head *head;
    uint64_t uses;

    CHECK(record_named(state, kind, name) == SLOT_NONE);
    CHECK(name.len > 0 && name.len < NAME_BYTES);
    slot = take_slot(state, kind);
    head = record_edit(state, kind, slot);
    uses = (head->uid >> 32) + 1;
    memset(head, 0, table_record_bytes[kind]);
    head->uid = uses << 32 | slot;
    head->revision = 1; /* No hole any more; the caller stamps it. */
    head->create_time_ms = state->head.time_ms;
    memcpy(name_for_writing(kind, head), name.data, name.len);
    record_edited(state, kind, slot);
    index_insert(&state->names[kind], name_hash(name), slot);
    return slot;
}

void record_delete(struct state *state, enum table_kind kind, uint32_t slot)
{
    struct record_head *head = record_edit(state, kind, slot);
    uint64_t uid = head->uid;
    const char *name = name_of(kind, head);

    index_remove(&state->names[kind], hash_bytes(name, strlen(name), 0), slot);
    memset(head, 0, table_record_bytes[kind]);
    head->uid = uid;
    head->create_time_ms = (uint64_t)*free_first(state, kind) + 1;
    record_edited(state, kind, slot);
    *free_first(state, kind) = slot;
}

uint32_t record_of_uid(const struct state *state, enum table_kind kind,
                       uint64_t uid)
{
    uint32_t slot = uid_slot(uid);
    const struct record_head *head;

    if (slot >= state->tables[kind].slots) {
        return SLOT_NONE;
    }
    head = table_get(&state->tables[kind], slot);
    return head->uid == uid && head->revision != 0 ? slot : SLOT_NONE;
}

static uint32_t slot_that_exists(const struct state *state,
                                 enum table_kind kind, uint64_t uid)
{
    uint32_t slot = record_of_uid(state, kind, uid);

    CHECK(slot != SLOT_NONE);
    return slot;
}

uint32_t slot_of_zone(const struct state *state, struct zone_id id)
{
    return slot_that_exists(state, TABLE_ZONE, id.uid);
}

uint32_t slot_of_class(const struct state *state, struct class_id id)
{
    return slot_that_exists(state, TABLE_CLASS, id.uid);
}

uint32_t slot_of_host(const struct state *state, struct host_id id)
{
    return slot_that_exists(state, TABLE_HOST, id.uid);
}

uint32_t slot_of_vm(const struct state *state, struct vm_id id)
{
    return slot_that_exists(state, TABLE_VM, id.uid);
}

uint32_t slot_of_group(const struct state *state, struct group_id id)
{
    return slot_that_exists(state, TABLE_GROUP, id.uid);
}
