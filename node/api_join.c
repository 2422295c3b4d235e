/* SPDX-License-Identifier: Apache-2.0
 *
 * JoinService. What signs certificates stands outside (node_join.c): a token is
 * used by a change that is committed before there is one. */
#include "node/api_check.h"
#include "node/view.h"
#include "tls/csr.h"

#include <stdio.h>
#include <string.h>

#define OBJECT_ARENA_BYTES (256u << 10)
#define TTL_MS_DEFAULT     3600000
#define TTL_MS_MAX         604800000

_Static_assert(DIGEST_BYTES == SECRET_HASH_BYTES, "of tls/ and of state/");

Holdfast__V1__JoinToken *view_join_token(struct arena *arena,
                                         const struct state *state,
                                         const struct join_token *token)
{
    Holdfast__V1__JoinToken *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__join_token__init(view);
    view->name = view_string(arena, token->name);
    view->zone = view_string(arena, state_zone_at(state, token->zone)->name);
    view->uid = token->uid;
    view->revision = token->revision;
    view->create_time_ms = token->create_time_ms;
    view->expire_time_ms = token->expire_ms;
    view->use_time_ms = token->used_ms;
    return view;
}

static bool is_over(const struct join_token *token, const struct state *state)
{
    return token->used_ms != 0 || token->expire_ms <= state_time_ms(state);
}

static bool check_token(struct api_reply *reply,
                        const Holdfast__V1__CreateJoinTokenRequest *request)
{
    const Holdfast__V1__JoinToken *token = request->token;

    if (token == NULL) {
        api_fail(reply, API_INVALID_FIELD, "token: must be given");
        return false;
    }
    if (token->uid != 0 || token->revision != 0 || token->create_time_ms != 0 ||
        token->expire_time_ms != 0 || token->use_time_ms != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "token: uid, revision and times are given by Holdfast; leave "
                 "them out, and say ttl_ms");
        return false;
    }
    if (token->secret_sha256.len != SECRET_HASH_BYTES) {
        api_fail(reply, API_INVALID_FIELD,
                 "token.secret_sha256: must be the 32 bytes of the SHA-256 of "
                 "the secret");
        return false;
    }
    return api_check_name(reply, "token.name", token->name) &&
           (request->ttl_ms == 0 ||
            api_check_range(reply, "ttl_ms", request->ttl_ms, 1000,
                            TTL_MS_MAX)) &&
           api_check_range(reply, "expect_revision", request->expect_revision,
                           0, 0);
}

static bool check_room(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__JoinToken *token)
{
    const struct join_token *former =
        state_join_token_named(state, text_of(token->name));
    const struct join_token *same =
        state_join_token_of(state, token->secret_sha256.data);

    if (former != NULL && !is_over(former, state)) {
        api_fail(reply, API_NAME_TAKEN,
                 "there is a token for host '%s' already, which is still good; "
                 "delete it to make another",
                 token->name);
    } else if (same != NULL ||
               state_grant_of_token(state, token->secret_sha256.data) != NULL) {
        api_fail(reply, API_NAME_TAKEN,
                 "token.secret_sha256: a token has this secret already");
    }
    return reply->code == RPC_OK;
}

static void drop(struct turn_plan *plan, struct text name)
{
    struct change change = {.kind = CHANGE_JOIN_DELETE};

    change.join_delete.name = name;
    turn_change(plan, &change);
}

/* Nothing rests any more on those that have expired, and on the host's own. */
static void make_room(struct turn_plan *plan, const char *name)
{
    const struct state *state = plan->scratch;

    for (uint32_t slot = 0; slot < state_join_token_slots(state); slot++) {
        const struct join_token *token = state_join_token_at(state, slot);

        if (token != NULL && (token->expire_ms <= state_time_ms(state) ||
                              strcmp(token->name, name) == 0)) {
            char former[NAME_BYTES];

            memcpy(former, token->name, sizeof(former));
            drop(plan, text_of(former));
        }
    }
}

void api_create_join_token(const ProtobufCMessage *message,
                           struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__CreateJoinTokenRequest *request =
        (const Holdfast__V1__CreateJoinTokenRequest *)(const void *)message;
    const Holdfast__V1__JoinToken *token = request->token;
    Holdfast__V1__CreateJoinTokenResponse response =
        HOLDFAST__V1__CREATE_JOIN_TOKEN_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_JOIN_SET};
    const struct zone *zone;
    struct arena arena;

    if (!check_token(reply, request)) {
        return;
    }
    zone = api_find_zone(reply, plan->scratch, "token.zone", token->zone);
    if (zone == NULL || !check_room(reply, plan->scratch, token)) {
        return;
    }
    change.join_set = (struct change_join_set){
        .name = text_of(token->name),
        .zone = {zone->uid},
        .secret_hash = {(const char *)token->secret_sha256.data,
                        SECRET_HASH_BYTES},
        .expire_ms = state_time_ms(plan->scratch) +
                     (request->ttl_ms == 0 ? TTL_MS_DEFAULT : request->ttl_ms),
    };
    if (state_counts(plan->scratch)->join_tokens >= JOIN_TOKENS_MAX) {
        api_fail(reply, API_TABLE_FULL,
                 "the region holds %d tokens to join already", JOIN_TOKENS_MAX);
        return;
    }
    make_room(plan, token->name);
    turn_change(plan, &change);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.token = view_join_token(
        &arena, plan->scratch,
        state_join_token_named(plan->scratch, change.join_set.name));
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

void api_list_join_tokens(const ProtobufCMessage *message,
                          const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListJoinTokensRequest *request =
        (const Holdfast__V1__ListJoinTokensRequest *)(const void *)message;
    Holdfast__V1__ListJoinTokensResponse response =
        HOLDFAST__V1__LIST_JOIN_TOKENS_RESPONSE__INIT;
    char next[16] = "";
    uint32_t slot;
    uint32_t count;

    if (!api_check_page(reply, request->page_size, request->page_token, &slot,
                        &count)) {
        return;
    }
    response.tokens =
        view_alloc(view->arena, JOIN_TOKENS_MAX * sizeof(*response.tokens));
    for (; slot < state_join_token_slots(view->state); slot++) {
        const struct join_token *token = state_join_token_at(view->state, slot);

        if (token == NULL) {
            continue;
        }
        if (response.n_tokens == count) {
            snprintf(next, sizeof(next), "%u", slot);
            break;
        }
        response.tokens[response.n_tokens++] =
            view_join_token(view->arena, view->state, token);
    }
    response.next_page_token = next;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

void api_delete_join_token(const ProtobufCMessage *message,
                           struct turn_plan *plan, struct api_reply *reply)
{
    const Holdfast__V1__DeleteJoinTokenRequest *request =
        (const Holdfast__V1__DeleteJoinTokenRequest *)(const void *)message;
    Holdfast__V1__DeleteJoinTokenResponse response =
        HOLDFAST__V1__DELETE_JOIN_TOKEN_RESPONSE__INIT;
    const struct join_token *token =
        state_join_token_named(plan->scratch, text_of(request->name));
    struct arena arena;

    if (token == NULL) {
        api_fail(reply, API_JOIN_TOKEN_NOT_FOUND,
                 "there is no token to join for host '%.80s'", request->name);
        return;
    }
    if (!api_check_revision(reply, request->expect_revision, token->revision,
                            request->name)) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.token = view_join_token(&arena, plan->scratch, token);
    drop(plan, text_of(request->name));
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}

/* --- Its use -------------------------------------------------------------- */

/* The token that lets this key in as this host; NULL: the reply has failed, and
 * says no more than who has the secret may know. */
static const struct join_token *find_token(
    struct api_reply *reply, const struct state *state, const char *name,
    const uint8_t key_digest[DIGEST_BYTES])
{
    const struct access_subject *caller = reply->caller;
    const struct join_token *token =
        caller != NULL && caller->source == SUBJECT_BY_TOKEN
            ? state_join_token_of(state, caller->secret_hash)
            : NULL;

    if (token == NULL) {
        api_fail(reply, API_JOIN_REFUSED,
                 "there is no such token to join, or it was deleted");
    } else if (token->expire_ms <= state_time_ms(state)) {
        api_fail(reply, API_JOIN_REFUSED, "the token has expired");
    } else if (strcmp(token->name, name) != 0) {
        api_fail(reply, API_JOIN_REFUSED, "the token is for another host");
    } else if (token->used_ms != 0 &&
               memcmp(token->key_digest, key_digest, DIGEST_BYTES) != 0) {
        api_fail(reply, API_JOIN_REFUSED, "the token was used already");
    }
    return reply->code == RPC_OK ? token : NULL;
}

static void use(struct turn_plan *plan, const struct join_token *token,
                const uint8_t key_digest[DIGEST_BYTES])
{
    struct change change = {.kind = CHANGE_JOIN_SET};
    struct join_token copy = *token;

    change.join_set = (struct change_join_set){
        .name = text_of(copy.name),
        .zone = {state_zone_at(plan->scratch, copy.zone)->uid},
        .secret_hash = {(const char *)copy.secret_hash, SECRET_HASH_BYTES},
        .expire_ms = copy.expire_ms,
        .key_digest = {(const char *)key_digest, DIGEST_BYTES},
    };
    turn_change(plan, &change);
}

void api_join_host(const ProtobufCMessage *message, struct turn_plan *plan,
                   struct api_reply *reply)
{
    const Holdfast__V1__JoinHostRequest *request =
        (const Holdfast__V1__JoinHostRequest *)(const void *)message;
    Holdfast__V1__JoinHostResponse response =
        HOLDFAST__V1__JOIN_HOST_RESPONSE__INIT;
    uint8_t key_digest[DIGEST_BYTES];
    const struct join_token *token;
    char zone[NAME_BYTES];

    if (!csr_read(request->csr.data, request->csr.len, key_digest)) {
        api_fail(reply, API_INVALID_FIELD,
                 "csr: must be a PKCS #10 request in DER for a key on P-256, "
                 "signed by it, of at most %d bytes",
                 CSR_BYTES_MAX);
        return;
    }
    token = find_token(reply, plan->scratch, request->name, key_digest);
    if (token == NULL) {
        return;
    }
    memcpy(zone, state_zone_at(plan->scratch, token->zone)->name, sizeof(zone));
    if (token->used_ms == 0) {
        use(plan, token, key_digest);
    }
    response.zone = zone;
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
}
