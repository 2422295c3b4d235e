/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of tokens to join, and how one is found. */
#include "base/check.h"
#include "state/internal.h"

#include <string.h>

/* There are few, and who asks is not often right: all are looked at. */
const struct join_token *state_join_token_of(
    const struct state *state, const uint8_t secret_hash[SECRET_HASH_BYTES])
{
    for (uint32_t slot = 0; slot < state_join_token_slots(state); slot++) {
        const struct join_token *token = state_join_token_at(state, slot);

        if (token != NULL &&
            memcmp(token->secret_hash, secret_hash, SECRET_HASH_BYTES) == 0) {
            return token;
        }
    }
    return NULL;
}

static uint32_t join_create(struct state *state,
                            const struct change_join_set *change)
{
    const uint8_t *hash = (const uint8_t *)change->secret_hash.data;
    uint32_t slot;
    struct join_token *token;

    CHECK(state_join_token_of(state, hash) == NULL);
    slot = record_create(state, TABLE_JOIN, change->name);
    token = record_edit(state, TABLE_JOIN, slot);
    memcpy(token->secret_hash, hash, SECRET_HASH_BYTES);
    record_edited(state, TABLE_JOIN, slot);
    state->counts.join_tokens++;
    return slot;
}

static void join_set(struct state *state, const struct change_join_set *change)
{
    uint32_t slot = record_named(state, TABLE_JOIN, change->name);
    struct join_token *token;

    CHECK(change->secret_hash.len == SECRET_HASH_BYTES);
    CHECK(change->key_digest.len == SECRET_HASH_BYTES ||
          change->key_digest.len == 0);
    if (slot == SLOT_NONE) {
        slot = join_create(state, change);
    }
    token = record_edit(state, TABLE_JOIN, slot);
    CHECK(memcmp(token->secret_hash, change->secret_hash.data,
                 SECRET_HASH_BYTES) == 0);
    CHECK(token->used_ms == 0);
    token->zone = slot_of_zone(state, change->zone);
    token->expire_ms = change->expire_ms;
    if (change->key_digest.len > 0) {
        token->used_ms = state->head.time_ms;
        memcpy(token->key_digest, change->key_digest.data, SECRET_HASH_BYTES);
    }
    token->revision = ++state->head_join.changes;
    record_edited(state, TABLE_JOIN, slot);
}

static void join_delete(struct state *state, struct text name)
{
    uint32_t slot = record_named(state, TABLE_JOIN, name);

    CHECK(slot != SLOT_NONE);
    record_delete(state, TABLE_JOIN, slot);
    state->counts.join_tokens--;
    state->head_join.changes++;
}

void apply_join(struct state *state, const struct change *change)
{
    if (change->kind == CHANGE_JOIN_SET) {
        join_set(state, &change->join_set);
    } else {
        join_delete(state, change->join_delete.name);
    }
}
