/* SPDX-License-Identifier: Apache-2.0
 *
 * The small tables beside the named ones: pools, names of further resources,
 * and the ring of remembered requests. */
#include "base/bytes.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/planted.h"
#include "state/internal.h"

#include <string.h>

static uint32_t side_name_find(const struct state *state, enum table_kind kind,
                               struct text name)
{
    const struct table *table = &state->tables[kind];

    for (uint32_t slot = 0; slot < table->slots; slot++) {
        const struct side_name *side = table_get(table, slot);

        if (strlen(side->name) == name.len &&
            memcmp(side->name, name.data, name.len) == 0) {
            return slot;
        }
    }
    return SLOT_NONE;
}

uint32_t side_name_slot(struct state *state, enum table_kind kind,
                        struct text name)
{
    uint32_t slot = side_name_find(state, kind, name);
    struct side_name *side;

    if (slot != SLOT_NONE) {
        return slot;
    }
    CHECK(state->tables[kind].slots <
          (kind == TABLE_POOL ? POOLS_MAX : NAMED_MAX));
    CHECK(name.len > 0 && name.len < NAME_BYTES);
    slot = record_add(state, kind);
    side = record_edit(state, kind, slot);
    side->uid = slot + 1;
    memcpy(side->name, name.data, name.len);
    record_edited(state, kind, slot);
    return slot;
}

static struct text side_name_at(const struct state *state, enum table_kind kind,
                                uint32_t slot)
{
    const struct side_name *side;

    if (slot >= state->tables[kind].slots) {
        return (struct text){"", 0};
    }
    side = table_get(&state->tables[kind], slot);
    return (struct text){side->name, (uint32_t)strlen(side->name)};
}

uint64_t pool_bits(struct state *state, const struct text *pools,
                   uint32_t count)
{
    uint64_t bits = 0;

    for (uint32_t i = 0; i < count; i++) {
        bits |= UINT64_C(1) << side_name_slot(state, TABLE_POOL, pools[i]);
    }
    return bits;
}

uint64_t state_pool_bit(const struct state *state, struct text name)
{
    uint32_t slot = side_name_find(state, TABLE_POOL, name);

    return slot == SLOT_NONE ? 0 : UINT64_C(1) << slot;
}

struct text state_pool_name(const struct state *state, uint32_t slot)
{
    return side_name_at(state, TABLE_POOL, slot);
}

void amounts_of(struct state *state, const struct named_amount *named,
                uint32_t count, struct amounts *amounts)
{
    uint32_t seen = 0;

    *amounts = (struct amounts){{0}};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t slot = side_name_slot(state, TABLE_NAMED, named[i].name);

        CHECK((seen >> slot & 1) == 0);
        seen |= 1u << slot;
        amounts->of[slot] = named[i].amount;
    }
}

uint32_t state_named_slot(const struct state *state, struct text name)
{
    return side_name_find(state, TABLE_NAMED, name);
}

struct text state_named_name(const struct state *state, uint32_t slot)
{
    return side_name_at(state, TABLE_NAMED, slot);
}

static struct text reply_id(const struct state *state,
                            const struct reply *reply)
{
    struct text packed = state_blob(state, reply->blob);

    return (struct text){packed.data + 1, (uint8_t)packed.data[0]};
}

struct reply_key {
    struct index_key key;
    const struct state *state;
    struct text id;
};

static bool reply_matches(const struct index_key *key, uint32_t slot)
{
    const struct reply_key *wanted =
        (const struct reply_key *)(const void *)key;
    struct text id = reply_id(
        wanted->state, table_get(&wanted->state->tables[TABLE_REPLY], slot));

    return id.len == wanted->id.len &&
           memcmp(id.data, wanted->id.data, id.len) == 0;
}

static uint32_t reply_find(const struct state *state, struct text id)
{
    struct reply_key key = {
        .key = {.matches = reply_matches,
                .hash = hash_bytes(id.data, id.len, 0)},
        .state = state,
        .id = id,
    };

    return index_find(&state->reply_ids, &key.key);
}

bool state_reply(const struct state *state, struct text request_id,
                 struct reply_record *record)
{
    uint32_t slot = reply_find(state, request_id);
    const struct reply *reply;
    struct text packed;

    if (slot == SLOT_NONE || PLANTED(REPLY_FORGOTTEN)) {
        return false;
    }
    reply = table_get(&state->tables[TABLE_REPLY], slot);
    packed = state_blob(state, reply->blob);
    record->fingerprint = reply->fingerprint;
    record->response.data = packed.data + 1 + request_id.len;
    record->response.len = packed.len - 1 - request_id.len;
    return true;
}

static uint32_t pack_reply(struct state *state,
                           const struct change_reply *change)
{
    struct bytes packed;
    uint32_t blob;

    bytes_init(&packed);
    bytes_append_u8(&packed, (uint8_t)change->request_id.len);
    bytes_append(&packed, change->request_id.data, change->request_id.len);
    bytes_append(&packed, change->response.data, change->response.len);
    blob = blobs_add(&state->blobs, (struct text){(const char *)packed.data,
                                                  (uint32_t)packed.len});
    bytes_close(&packed);
    return blob;
}

void apply_reply(struct state *state, const struct change_reply *change)
{
    struct table *table = &state->tables[TABLE_REPLY];
    uint32_t slot = (uint32_t)(state->head.replies_written++ % REPLIES_MAX);
    struct reply *reply;

    CHECK(change->request_id.len > 0 && change->request_id.len <= 64);
    CHECK(reply_find(state, change->request_id) == SLOT_NONE);
    if (slot == table->slots) {
        record_add(state, TABLE_REPLY);
    }
    reply = record_edit(state, TABLE_REPLY, slot);
    if (reply->used) {
        index_remove(&state->reply_ids, reply->id_hash, slot);
        blobs_release(&state->blobs, reply->blob);
    }
    reply->used = 1;
    reply->id_hash =
        hash_bytes(change->request_id.data, change->request_id.len, 0);
    reply->fingerprint = change->fingerprint;
    reply->blob = pack_reply(state, change);
    record_edited(state, TABLE_REPLY, slot);
    index_insert(&state->reply_ids, reply->id_hash, slot);
}
