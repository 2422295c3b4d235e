/* SPDX-License-Identifier: Apache-2.0
 *
 * Changes of grants, and how a caller's are found. */
#include "base/check.h"
#include "base/hash.h"
#include "state/internal.h"
#include "state/labels.h"

#include <string.h>

/* Seeds, so that a client's name and a secret's hash do not meet. */
static uint64_t hash_of_client(struct text name)
{
    return hash_bytes(name.data, name.len, SUBJECT_CLIENT);
}

static uint64_t hash_of_secret(const void *secret_hash)
{
    return hash_bytes(secret_hash, SECRET_HASH_BYTES, SUBJECT_TOKEN);
}

static uint64_t hash_of_subject(const struct grant *grant)
{
    return grant->kind == SUBJECT_TOKEN
               ? hash_of_secret(grant->secret_hash)
               : hash_of_client((struct text){
                     grant->subject, (uint32_t)strlen(grant->subject)});
}

/* Adds it to what is counted, or with sign -1 takes it from there. */
static void count_grant(struct state *state, const struct grant *grant,
                        int sign)
{
    uint32_t step = (uint32_t)sign;

    if (grant->expire_ms != 0) {
        state->counts.grants_that_end += step;
    } else if (grant->role == ACCESS_ROLE_ADMIN) {
        state->counts.grants_of_admins += step;
    }
}

void grant_index(struct state *state, uint32_t slot, const struct grant *grant)
{
    index_insert(&state->subjects, hash_of_subject(grant), slot);
    state->counts.grants++;
    count_grant(state, grant, 1);
}

struct token_search {
    struct index_key key;
    const struct state *state;
    const uint8_t *secret_hash;
};

static bool token_matches(const struct index_key *key, uint32_t slot)
{
    const struct token_search *search =
        (const struct token_search *)(const void *)key;
    const struct grant *grant =
        table_get(&search->state->tables[TABLE_GRANT], slot);

    return grant->kind == SUBJECT_TOKEN &&
           memcmp(grant->secret_hash, search->secret_hash, SECRET_HASH_BYTES) ==
               0;
}

const struct grant *state_grant_of_token(
    const struct state *state, const uint8_t secret_hash[SECRET_HASH_BYTES])
{
    struct token_search search = {
        .key = {token_matches, hash_of_secret(secret_hash)},
        .state = state,
        .secret_hash = secret_hash,
    };

    return state_grant_at(state, index_find(&state->subjects, &search.key));
}

struct client_search {
    struct index_key key;
    const struct state *state;
    struct text name;
    const struct grant **grants;
    uint32_t *count;
};

/* Takes each and matches none, so that the search goes on. */
static bool take_client(const struct index_key *key, uint32_t slot)
{
    const struct client_search *search =
        (const struct client_search *)(const void *)key;
    const struct grant *grant =
        table_get(&search->state->tables[TABLE_GRANT], slot);

    if (*search->count < CLIENT_GRANTS_MAX && grant->kind == SUBJECT_CLIENT &&
        strlen(grant->subject) == search->name.len &&
        memcmp(grant->subject, search->name.data, search->name.len) == 0) {
        search->grants[(*search->count)++] = grant;
    }
    return false;
}

uint32_t state_grants_of_client(const struct state *state, struct text name,
                                const struct grant *grants[CLIENT_GRANTS_MAX])
{
    uint32_t count = 0;
    struct client_search search = {
        .key = {take_client, hash_of_client(name)},
        .state = state,
        .name = name,
        .grants = grants,
        .count = &count,
    };

    index_find(&state->subjects, &search.key);
    return count;
}

uint64_t state_grant_changes(const struct state *state)
{
    return state->head_access.changes;
}

static bool same_subject(const struct grant *grant,
                         const struct change_grant_set *change)
{
    if (grant->kind != (uint8_t)change->kind) {
        return false;
    }
    if (grant->kind == SUBJECT_TOKEN) {
        return memcmp(grant->secret_hash, change->secret_hash.data,
                      SECRET_HASH_BYTES) == 0;
    }
    return strlen(grant->subject) == change->subject.len &&
           memcmp(grant->subject, change->subject.data, change->subject.len) ==
               0;
}

static void check_form(const struct change_grant_set *change)
{
    bool token = change->kind == SUBJECT_TOKEN;

    CHECK(token || change->kind == SUBJECT_CLIENT);
    CHECK(change->subject.len < SUBJECT_BYTES);
    CHECK(token == (change->subject.len == 0));
    CHECK(change->secret_hash.len == (token ? SECRET_HASH_BYTES : 0));
    CHECK(change->role >= ACCESS_ROLE_VIEWER &&
          change->role < ACCESS_ROLE_COUNT);
    CHECK(labels_valid(change->selector));
}

static uint32_t grant_create(struct state *state,
                             const struct change_grant_set *change)
{
    const struct grant *others[CLIENT_GRANTS_MAX];
    uint32_t slot;
    struct grant *grant;

    if (change->kind == SUBJECT_TOKEN) {
        CHECK(state_grant_of_token(
                  state, (const uint8_t *)change->secret_hash.data) == NULL);
    } else {
        CHECK(state_grants_of_client(state, change->subject, others) <
              CLIENT_GRANTS_MAX);
    }
    slot = record_create(state, TABLE_GRANT, change->name);
    grant = record_edit(state, TABLE_GRANT, slot);
    grant->kind = (uint8_t)change->kind;
    if (change->kind == SUBJECT_TOKEN) {
        memcpy(grant->secret_hash, change->secret_hash.data, SECRET_HASH_BYTES);
    } else {
        memcpy(grant->subject, change->subject.data, change->subject.len);
    }
    record_edited(state, TABLE_GRANT, slot);
    grant_index(state, slot, grant);
    return slot;
}

static void grant_set(struct state *state,
                      const struct change_grant_set *change)
{
    uint32_t slot = record_named(state, TABLE_GRANT, change->name);
    struct grant *grant;

    check_form(change);
    if (slot == SLOT_NONE) {
        slot = grant_create(state, change);
    }
    grant = record_edit(state, TABLE_GRANT, slot);
    CHECK(same_subject(grant, change));
    count_grant(state, grant, -1);
    grant->role = (uint8_t)change->role;
    grant->zone_mask = change->zone_mask;
    grant->expire_ms = change->expire_ms;
    count_grant(state, grant, 1);
    blob_replace(state, &grant->selector_blob, change->selector);
    grant->revision = ++state->head_access.changes;
    record_edited(state, TABLE_GRANT, slot);
}

static void grant_delete(struct state *state, struct text name)
{
    uint32_t slot = record_named(state, TABLE_GRANT, name);
    const struct grant *grant = state_grant_at(state, slot);

    CHECK(grant != NULL);
    index_remove(&state->subjects, hash_of_subject(grant), slot);
    state->counts.grants--;
    count_grant(state, grant, -1);
    blobs_release(&state->blobs, grant->selector_blob);
    record_delete(state, TABLE_GRANT, slot);
    state->head_access.changes++;
}

void apply_grant(struct state *state, const struct change *change)
{
    if (change->kind == CHANGE_GRANT_SET) {
        grant_set(state, &change->grant_set);
    } else {
        grant_delete(state, change->grant_delete.name);
    }
    CHECK(state->counts.grants_of_admins > 0);
}
