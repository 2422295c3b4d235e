/* SPDX-License-Identifier: Apache-2.0
 *
 * Records for readers: by uid, by name, by slot. */
#include "state/internal.h"

static const void *record_or_null(const struct state *state,
                                  enum table_kind kind, uint32_t slot)
{
    return slot == SLOT_NONE ? NULL : table_get(&state->tables[kind], slot);
}

static const void *of_uid(const struct state *state, enum table_kind kind,
                          uint64_t uid)
{
    return record_or_null(state, kind, record_of_uid(state, kind, uid));
}

static const void *named(const struct state *state, enum table_kind kind,
                         struct text name)
{
    return record_or_null(state, kind, record_named(state, kind, name));
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

/* A hole keeps the uid of its last user, and each user's counts one more. */
static bool was_uid(const struct state *state, enum table_kind kind,
                    uint64_t uid)
{
    const struct record_head *head;

    if (uid_slot(uid) >= state->tables[kind].slots || uid >> 32 == 0) {
        return false;
    }
    head = table_get(&state->tables[kind], uid_slot(uid));
    return uid <= head->uid;
}

bool state_was_vm(const struct state *state, struct vm_id id)
{
    return was_uid(state, TABLE_VM, id.uid);
}

bool state_was_group(const struct state *state, struct group_id id)
{
    return was_uid(state, TABLE_GROUP, id.uid);
}

const struct zone *state_zone(const struct state *state, struct zone_id id)
{
    return of_uid(state, TABLE_ZONE, id.uid);
}

const struct class *state_class(const struct state *state, struct class_id id)
{
    return of_uid(state, TABLE_CLASS, id.uid);
}

const struct host *state_host(const struct state *state, struct host_id id)
{
    return of_uid(state, TABLE_HOST, id.uid);
}

const struct vm *state_vm(const struct state *state, struct vm_id id)
{
    return of_uid(state, TABLE_VM, id.uid);
}

const struct group *state_group(const struct state *state, struct group_id id)
{
    return of_uid(state, TABLE_GROUP, id.uid);
}

const struct zone *state_zone_named(const struct state *state, struct text name)
{
    return named(state, TABLE_ZONE, name);
}

const struct class *state_class_named(const struct state *state,
                                      struct text name)
{
    return named(state, TABLE_CLASS, name);
}

const struct host *state_host_named(const struct state *state, struct text name)
{
    return named(state, TABLE_HOST, name);
}

const struct vm *state_vm_named(const struct state *state, struct text name)
{
    return named(state, TABLE_VM, name);
}

const struct group *state_group_named(const struct state *state,
                                      struct text name)
{
    return named(state, TABLE_GROUP, name);
}

const struct reservation *state_reservation_named(const struct state *state,
                                                  struct text name)
{
    return named(state, TABLE_RESERVATION, name);
}

const struct grant *state_grant_named(const struct state *state,
                                      struct text name)
{
    return named(state, TABLE_GRANT, name);
}

const struct grant *state_grant_at(const struct state *state, uint32_t slot)
{
    return record_at(state, TABLE_GRANT, slot);
}

const struct join_token *state_join_token_named(const struct state *state,
                                                struct text host)
{
    return named(state, TABLE_JOIN, host);
}

const struct join_token *state_join_token_at(const struct state *state,
                                             uint32_t slot)
{
    return record_at(state, TABLE_JOIN, slot);
}

uint32_t state_join_token_slots(const struct state *state)
{
    return state->tables[TABLE_JOIN].slots;
}

const struct apply_record *state_apply_record(const struct state *state,
                                              uint64_t uid)
{
    return of_uid(state, TABLE_APPLY, uid);
}

const struct apply_record *state_apply_at(const struct state *state,
                                          uint32_t slot)
{
    return record_at(state, TABLE_APPLY, slot);
}

uint32_t state_apply_slots(const struct state *state)
{
    return state->tables[TABLE_APPLY].slots;
}

uint32_t state_grant_slots(const struct state *state)
{
    return state->tables[TABLE_GRANT].slots;
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

uint32_t state_mark_span(const struct state *state, uint32_t slot,
                         const uint32_t **marks)
{
    const struct table *table = &state->asks.marks;
    uint32_t page = 1u << table->page_shift;
    uint32_t count = page - (slot & (page - 1));

    *marks = table_get(table, slot);
    return count < table->slots - slot ? count : table->slots - slot;
}

const struct ask *state_ask_at(const struct state *state, uint32_t number)
{
    const struct ask_entry *entry = table_get(&state->asks.entries, number);

    return &entry->ask;
}

uint32_t state_ask_slots(const struct state *state)
{
    return state->asks.entries.slots;
}

const struct group *state_group_at(const struct state *state, uint32_t slot)
{
    return record_at(state, TABLE_GROUP, slot);
}

const struct reservation *state_reservation_at(const struct state *state,
                                               uint32_t slot)
{
    return record_at(state, TABLE_RESERVATION, slot);
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

uint32_t state_group_slots(const struct state *state)
{
    return state->tables[TABLE_GROUP].slots;
}

uint32_t state_reservation_slots(const struct state *state)
{
    return state->tables[TABLE_RESERVATION].slots;
}
