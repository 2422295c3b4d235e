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

uint64_t record_hash(enum table_kind kind, uint32_t slot, const void *record)
{
    return hash_bytes(record, table_record_bytes[kind],
                      (uint64_t)kind << 32 | slot);
}

void *record_edit(struct state *state, enum table_kind kind, uint32_t slot)
{
    void *record = table_edit(&state->tables[kind], slot);

    state->records_hash -= record_hash(kind, slot, record);
    return record;
}

void record_edited(struct state *state, enum table_kind kind, uint32_t slot)
{
    state->records_hash +=
        record_hash(kind, slot, table_get(&state->tables[kind], slot));
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

static uint32_t take_slot(struct state *state, enum table_kind kind)
{
    static const uint32_t slots_max[] = {
        [TABLE_ZONE] = ZONES_MAX,
        [TABLE_CLASS] = CLASSES_MAX,
        [TABLE_HOST] = HOSTS_MAX,
        [TABLE_VM] = VMS_MAX,
    };
    uint32_t slot = state->head.free_first[kind];
    struct table *table = &state->tables[kind];
    const struct record_head *hole;

    if (slot != SLOT_NONE) {
        hole = table_get(table, slot);
        CHECK(hole->revision == 0);
        state->head.free_first[kind] = (uint32_t)hole->create_time_ms - 1;
        return slot;
    }
    slot = table->slots;
    CHECK(slot < slots_max[kind]);
    table_grow(table, slot + 1);
    state->records_hash += record_hash(kind, slot, table_get(table, slot));
    return slot;
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
    head->create_time_ms = (uint64_t)state->head.free_first[kind] + 1;
    record_edited(state, kind, slot);
    state->head.free_first[kind] = slot;
}

static uint32_t slot_of(const struct state *state, enum table_kind kind,
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
    uint32_t slot = slot_of(state, kind, uid);

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

static const void *record_or_null(const struct state *state,
                                  enum table_kind kind, uint32_t slot)
{
    return slot == SLOT_NONE ? NULL : table_get(&state->tables[kind], slot);
}

const struct zone *state_zone(const struct state *state, struct zone_id id)
{
    return record_or_null(state, TABLE_ZONE,
                          slot_of(state, TABLE_ZONE, id.uid));
}

const struct class *state_class(const struct state *state, struct class_id id)
{
    return record_or_null(state, TABLE_CLASS,
                          slot_of(state, TABLE_CLASS, id.uid));
}

const struct host *state_host(const struct state *state, struct host_id id)
{
    return record_or_null(state, TABLE_HOST,
                          slot_of(state, TABLE_HOST, id.uid));
}

const struct vm *state_vm(const struct state *state, struct vm_id id)
{
    return record_or_null(state, TABLE_VM, slot_of(state, TABLE_VM, id.uid));
}

const struct zone *state_zone_named(const struct state *state, struct text name)
{
    return record_or_null(state, TABLE_ZONE,
                          record_named(state, TABLE_ZONE, name));
}

const struct class *state_class_named(const struct state *state,
                                      struct text name)
{
    return record_or_null(state, TABLE_CLASS,
                          record_named(state, TABLE_CLASS, name));
}

const struct host *state_host_named(const struct state *state, struct text name)
{
    return record_or_null(state, TABLE_HOST,
                          record_named(state, TABLE_HOST, name));
}

const struct vm *state_vm_named(const struct state *state, struct text name)
{
    return record_or_null(state, TABLE_VM, record_named(state, TABLE_VM, name));
}

static const void *record_at(const struct state *state, enum table_kind kind,
                             uint32_t slot)
{
    const struct record_head *head;

    if (slot >= state->tables[kind].slots) {
        return NULL;
    }
    head = table_get(&state->tables[kind], slot);
    return head->revision == 0 ? NULL : head;
}

const struct zone *state_zone_at(const struct state *state, uint32_t slot)
{
    return record_at(state, TABLE_ZONE, slot);
}

const struct class *state_class_at(const struct state *state, uint32_t slot)
{
    return record_at(state, TABLE_CLASS, slot);
}

const struct host *state_host_at(const struct state *state, uint32_t slot)
{
    return record_at(state, TABLE_HOST, slot);
}

const struct vm *state_vm_at(const struct state *state, uint32_t slot)
{
    return record_at(state, TABLE_VM, slot);
}

uint32_t state_zone_slots(const struct state *state)
{
    return state->tables[TABLE_ZONE].slots;
}

uint32_t state_class_slots(const struct state *state)
{
    return state->tables[TABLE_CLASS].slots;
}

uint32_t state_host_slots(const struct state *state)
{
    return state->tables[TABLE_HOST].slots;
}

uint32_t state_vm_slots(const struct state *state)
{
    return state->tables[TABLE_VM].slots;
}

const struct group *state_group(const struct state *state, struct group_id id)
{
    (void)state;
    (void)id;
    return NULL;
}

const struct group *state_group_named(const struct state *state,
                                      struct text name)
{
    (void)state;
    (void)name;
    return NULL;
}

const struct reservation *state_reservation_named(const struct state *state,
                                                  struct text name)
{
    (void)state;
    (void)name;
    return NULL;
}

uint32_t state_group_slots(const struct state *state)
{
    (void)state;
    return 0;
}

uint32_t state_reservation_slots(const struct state *state)
{
    (void)state;
    return 0;
}

const struct group *state_group_at(const struct state *state, uint32_t slot)
{
    (void)state;
    (void)slot;
    return NULL;
}

const struct reservation *state_reservation_at(const struct state *state,
                                               uint32_t slot)
{
    (void)state;
    (void)slot;
    return NULL;
}

const struct policy *state_policy(const struct state *state)
{
    static struct policy policy;

    (void)state;
    policy_init(&policy);
    return &policy;
}

uint32_t state_named_slot(const struct state *state, struct text name)
{
    (void)state;
    (void)name;
    return SLOT_NONE;
}

struct text state_named_name(const struct state *state, uint32_t slot)
{
    (void)state;
    (void)slot;
    return (struct text){"", 0};
}
