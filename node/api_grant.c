/* SPDX-License-Identifier: Apache-2.0
 *
 * AccessService: grants. */
#include "base/container.h"
#include "node/access.h"
#include "node/api_check.h"
#include "node/api_page.h"
#include "node/view.h"

#include <inttypes.h>
#include <string.h>

#define OBJECT_ARENA_BYTES (256u << 10)

/* The end of the year 9999, the last that is written with four digits. */
#define EXPIRE_MS_MAX UINT64_C(253402300799999)

static char **view_zones(struct arena *arena, const struct state *state,
                         uint64_t mask, size_t *count)
{
    char **names = view_alloc(arena, ZONES_MAX * sizeof(*names));

    *count = 0;
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        if ((mask >> slot & 1) != 0) {
            names[(*count)++] =
                view_string(arena, state_zone_at(state, slot)->name);
        }
    }
    return names;
}

Holdfast__V1__Grant *view_grant(struct arena *arena, const struct state *state,
                                const struct grant *grant)
{
    static const Holdfast__V1__Grant__LabelsEntry entry =
        HOLDFAST__V1__GRANT__LABELS_ENTRY__INIT;
    Holdfast__V1__Grant *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__grant__init(view);
    view->name = view_string(arena, grant->name);
    view->subject_kind = (Holdfast__V1__SubjectKind)grant->kind;
    view->client = view_string(arena, grant->subject);
    view->role = (Holdfast__V1__AccessRole)grant->role;
    view->zones = view_zones(arena, state, grant->zone_mask, &view->n_zones);
    view->labels = view_map(arena, state_blob(state, grant->selector_blob),
                            &entry, &view->n_labels);
    view->uid = grant->uid;
    view->revision = grant->revision;
    view->create_time_ms = grant->create_time_ms;
    view->expire_time_ms = grant->expire_ms;
    return view;
}

/* The name is one that a certificate can have (tls/identity.c). */
static bool check_client(struct api_reply *reply, const char *client)
{
    size_t len = strlen(client);
    bool good = len > 0 && len < SUBJECT_BYTES;

    for (size_t i = 0; good && i < len; i++) {
        good = client[i] > ' ' && client[i] < 0x7f;
    }
    if (!good) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.client: must be the name in a client's certificate: 1 "
                 "to %d printable ASCII characters without blanks",
                 SUBJECT_BYTES - 1);
    }
    return good;
}

static bool check_subject(struct api_reply *reply,
                          const Holdfast__V1__Grant *grant)
{
    if (grant->subject_kind ==
        HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_CLIENT) {
        if (grant->secret_sha256.len != 0) {
            api_fail(reply, API_INVALID_FIELD,
                     "grant.secret_sha256: only tokens have one");
            return false;
        }
        return check_client(reply, grant->client);
    }
    if (grant->subject_kind != HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.subject_kind: must be client or token");
        return false;
    }
    if (grant->client[0] != '\0') {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.client: a token has the grant's name");
        return false;
    }
    if (grant->secret_sha256.len != SECRET_HASH_BYTES) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.secret_sha256: must be the 32 bytes of the SHA-256 of "
                 "the secret");
        return false;
    }
    return true;
}

static bool check_role(struct api_reply *reply,
                       const Holdfast__V1__Grant *grant)
{
    if (grant->role < HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_VIEWER ||
        grant->role > HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_DRILL_RUNNER) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.role: must be viewer, operator, admin or drill_runner");
        return false;
    }
    if ((grant->n_zones > 0 || grant->n_labels > 0) &&
        grant->role != HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_OPERATOR) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.%s: only operators can have a scope: who reads sees "
                 "all, and an administrator can give himself everything",
                 grant->n_zones > 0 ? "zones" : "labels");
        return false;
    }
    return true;
}

/* By the time of the turn. */
static bool check_end(struct api_reply *reply, const struct state *state,
                      uint64_t expire_ms)
{
    uint64_t now_ms = access_time_ms(state, 0);

    if (expire_ms == 0 || (expire_ms > now_ms && expire_ms <= EXPIRE_MS_MAX)) {
        return true;
    }
    api_fail(reply, API_INVALID_FIELD,
             "grant.expire_time_ms: %" PRIu64 " is %s: it must be later than "
             "%" PRIu64 ", which the leader's clock says, in ms since 1970, "
             "and not after the year 9999; 0: it never ends",
             expire_ms, expire_ms <= now_ms ? "over" : "too far ahead", now_ms);
    return false;
}

static bool check_form(struct api_reply *reply,
                       const Holdfast__V1__Grant *grant)
{
    if (grant == NULL) {
        api_fail(reply, API_INVALID_FIELD, "grant: must be given");
        return false;
    }
    if (grant->uid != 0 || grant->revision != 0 || grant->create_time_ms != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant: uid, revision and create_time_ms are given by "
                 "Holdfast; leave them out");
        return false;
    }
    return api_check_name(reply, "grant.name", grant->name) &&
           check_subject(reply, grant) && check_role(reply, grant);
}

/* Nobody is locked out: who begins with grants is an administrator by the first
 * one. Whom a node without TLS lets in names him. */
static bool check_first(struct api_reply *reply, const struct state *state,
                        const Holdfast__V1__Grant *grant)
{
    const struct access_subject *caller = reply->caller;
    bool his = caller == NULL || caller->source == SUBJECT_EVERYBODY ||
               strcmp(caller->name, grant->client) == 0;

    if (state_counts(state)->grants > 0 ||
        (grant->role == HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_ADMIN &&
         grant->subject_kind ==
             HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_CLIENT &&
         grant->expire_time_ms == 0 && his)) {
        return true;
    }
    api_fail(reply, API_FIRST_GRANT,
             "the first grant must be of role admin, without an end, to a "
             "client's certificate%s%s%s, or nobody could make the next",
             caller == NULL || caller->name[0] == '\0' ? "" : ": yours, '",
             caller == NULL ? "" : caller->name,
             caller == NULL || caller->name[0] == '\0' ? "" : "'");
    return false;
}

static bool check_room(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__Grant *grant)
{
    const struct grant *others[CLIENT_GRANTS_MAX];
    bool token = grant->secret_sha256.len > 0;

    if (state_grant_named(state, text_of(grant->name)) != NULL) {
        api_fail(reply, API_NAME_TAKEN, "there is a grant '%s' already",
                 grant->name);
    } else if (token &&
               state_grant_of_token(state, grant->secret_sha256.data) != NULL) {
        api_fail(reply, API_NAME_TAKEN,
                 "grant.secret_sha256: a token has this secret already");
    } else if (state_counts(state)->grants >= GRANTS_MAX) {
        api_fail(reply, API_TABLE_FULL, "the region holds %d grants already",
                 GRANTS_MAX);
    } else if (!token && state_grants_of_client(state, text_of(grant->client),
                                                others) >= CLIENT_GRANTS_MAX) {
        api_fail(reply, API_TABLE_FULL, "client '%s' has %d grants already",
                 grant->client, CLIENT_GRANTS_MAX);
    }
    return reply->code == RPC_OK;
}

/* Zones and labels; these are kept in `selector`. */
static bool read_scope(struct api_reply *reply, const struct state *state,
                       const Holdfast__V1__Grant *grant, struct bytes *selector,
                       struct change_grant_set *set)
{
    if (!api_check_zones(reply, state, "grant.zones", grant->zones,
                         grant->n_zones, &set->zone_mask) ||
        !api_check_labels(reply, "grant.labels", grant->labels, grant->n_labels,
                          selector)) {
        return false;
    }
    set->selector =
        (struct text){(const char *)selector->data, (uint32_t)selector->len};
    return true;
}

void api_create_grant(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__CreateGrantRequest *request =
        (const Holdfast__V1__CreateGrantRequest *)(const void *)message;
    const Holdfast__V1__Grant *grant = request->grant;
    Holdfast__V1__CreateGrantResponse response =
        HOLDFAST__V1__CREATE_GRANT_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_GRANT_SET};
    struct change_grant_set *set = &change.grant_set;
    struct bytes selector;
    struct arena arena;

    if (!check_form(reply, grant) ||
        !api_check_range(reply, "expect_revision", request->expect_revision, 0,
                         0) ||
        !check_end(reply, plan->scratch, grant->expire_time_ms) ||
        !check_first(reply, plan->scratch, grant) ||
        !check_room(reply, plan->scratch, grant)) {
        return;
    }
    bytes_init(&selector);
    *set = (struct change_grant_set){
        .name = text_of(grant->name),
        .kind = (enum subject_kind)grant->subject_kind,
        .subject = text_of(grant->client),
        .role = (enum access_role)grant->role,
        .secret_hash = {(const char *)grant->secret_sha256.data,
                        (uint32_t)grant->secret_sha256.len},
        .expire_ms = grant->expire_time_ms,
    };
    if (read_scope(reply, plan->scratch, grant, &selector, set)) {
        turn_change(plan, &change);
        arena_init(&arena, OBJECT_ARENA_BYTES);
        response.grant = view_grant(
            &arena, plan->scratch, state_grant_named(plan->scratch, set->name));
        response.revision = state_revision(plan->scratch);
        api_respond(reply, &response.base);
        arena_close(&arena);
    }
    bytes_close(&selector);
}

/* --- Another role, scope or end ------------------------------------------ */

enum { FIELD_ROLE = 1, FIELD_ZONES = 2, FIELD_LABELS = 4, FIELD_END = 8 };

/* Whose it is is said by its name, and cannot be changed: so nobody takes a
 * grant for another's by mistake. */
static bool check_same_subject(struct api_reply *reply,
                               const Holdfast__V1__Grant *wish,
                               const struct grant *grant)
{
    if (wish->secret_sha256.len != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.secret_sha256: a token's secret never changes; make "
                 "another token");
    } else if (wish->client[0] != '\0' &&
               strcmp(wish->client, grant->subject) != 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.client: whose grant it is cannot be changed; leave it "
                 "out, or make another grant");
    } else if (wish->subject_kind !=
                   HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_UNSPECIFIED &&
               (uint32_t)wish->subject_kind != grant->kind) {
        api_fail(reply, API_INVALID_FIELD,
                 "grant.subject_kind: whose grant it is cannot be changed; "
                 "leave it out, or make another grant");
    }
    return reply->code == RPC_OK;
}

/* As it is, with the fields that the mask names as they are to be. */
static Holdfast__V1__Grant *merge(struct arena *arena,
                                  const struct state *state,
                                  const struct grant *grant,
                                  const Holdfast__V1__Grant *wish,
                                  uint32_t mask)
{
    Holdfast__V1__Grant *merged = view_grant(arena, state, grant);

    if ((mask & FIELD_ROLE) != 0) {
        merged->role = wish->role;
    }
    if ((mask & FIELD_ZONES) != 0) {
        merged->zones = wish->zones;
        merged->n_zones = wish->n_zones;
    }
    if ((mask & FIELD_LABELS) != 0) {
        merged->labels = wish->labels;
        merged->n_labels = wish->n_labels;
    }
    if ((mask & FIELD_END) != 0) {
        merged->expire_time_ms = wish->expire_time_ms;
    }
    return merged;
}

static bool is_lasting_admin(enum access_role role, uint64_t expire_ms)
{
    return role == ACCESS_ROLE_ADMIN && expire_ms == 0;
}

/* Some administrator's grant that never ends stays, else nobody could change
 * anything some day. */
static bool check_admins(struct api_reply *reply, const struct state *state,
                         const struct grant *grant, const char *what)
{
    if (!is_lasting_admin((enum access_role)grant->role, grant->expire_ms) ||
        state_counts(state)->grants_of_admins > 1) {
        return true;
    }
    api_fail(reply, API_LAST_ADMIN,
             "'%s' is the last administrator's grant that never ends; %s, "
             "nobody could make another one",
             grant->name, what);
    return false;
}

static bool changes_anything(const struct state *state,
                             const struct grant *grant,
                             const struct change_grant_set *set)
{
    return grant->role != (uint8_t)set->role ||
           grant->expire_ms != set->expire_ms ||
           grant->zone_mask != set->zone_mask ||
           !api_text_equals(state_blob(state, grant->selector_blob),
                            set->selector);
}

/* What is to become of the grant; false: the reply has failed. */
static bool read_update(struct api_reply *reply, struct turn_plan *plan,
                        const struct grant *grant,
                        const Holdfast__V1__Grant *merged,
                        struct bytes *selector, struct change_grant_set *set)
{
    *set = (struct change_grant_set){
        .name = text_of(grant->name),
        .kind = (enum subject_kind)grant->kind,
        .subject = text_of(grant->subject),
        .role = (enum access_role)merged->role,
        .expire_ms = merged->expire_time_ms,
    };
    if (grant->kind == SUBJECT_TOKEN) {
        set->secret_hash =
            (struct text){(const char *)grant->secret_hash, SECRET_HASH_BYTES};
    }
    return check_role(reply, merged) &&
           (set->expire_ms == grant->expire_ms ||
            check_end(reply, plan->scratch, set->expire_ms)) &&
           read_scope(reply, plan->scratch, merged, selector, set) &&
           (is_lasting_admin(set->role, set->expire_ms) ||
            check_admins(reply, plan->scratch, grant, "changed like that"));
}

static const struct grant *find_grant(struct api_reply *reply,
                                      const struct state *state,
                                      const char *name,
                                      uint64_t expect_revision)
{
    const struct grant *grant = state_grant_named(state, text_of(name));

    if (grant == NULL) {
        api_fail(reply, API_GRANT_NOT_FOUND, "there is no grant '%.80s'", name);
        return NULL;
    }
    return api_check_revision(reply, expect_revision, grant->revision, name)
               ? grant
               : NULL;
}

void api_update_grant(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    static const struct api_mask_field fields[] = {
        {"role", FIELD_ROLE},
        {"zones", FIELD_ZONES},
        {"labels", FIELD_LABELS},
        {"expire_time_ms", FIELD_END}};
    const Holdfast__V1__UpdateGrantRequest *request =
        (const Holdfast__V1__UpdateGrantRequest *)(const void *)message;
    Holdfast__V1__UpdateGrantResponse response =
        HOLDFAST__V1__UPDATE_GRANT_RESPONSE__INIT;
    struct change change = {.kind = CHANGE_GRANT_SET};
    const Holdfast__V1__Grant *merged;
    struct grant grant; /* A copy: the change lends from it. */
    const struct grant *found;
    struct bytes selector;
    struct arena arena;
    uint32_t mask;

    if (request->grant == NULL) {
        api_fail(reply, API_INVALID_FIELD, "grant: must be given");
        return;
    }
    found = find_grant(reply, plan->scratch, request->grant->name,
                       request->expect_revision);
    if (found == NULL ||
        !api_check_mask(reply, request->update_mask, request->n_update_mask,
                        fields, ARRAY_LEN(fields), &mask) ||
        !check_same_subject(reply, request->grant, found)) {
        return;
    }
    grant = *found;
    bytes_init(&selector);
    arena_init(&arena, OBJECT_ARENA_BYTES);
    merged = merge(&arena, plan->scratch, &grant, request->grant, mask);
    if (read_update(reply, plan, &grant, merged, &selector,
                    &change.grant_set)) {
        if (changes_anything(plan->scratch, &grant, &change.grant_set)) {
            turn_change(plan, &change);
        }
        response.grant =
            view_grant(&arena, plan->scratch,
                       state_grant_named(plan->scratch, text_of(grant.name)));
        response.revision = state_revision(plan->scratch);
        api_respond(reply, &response.base);
    }
    arena_close(&arena);
    bytes_close(&selector);
}

/* --- Lists, deletes ------------------------------------------------------- */

static ProtobufCMessage *list_item(struct api_lister *lister,
                                   const struct api_page *page, uint32_t slot)
{
    const struct api_view *view = &page->view;
    const struct grant *grant = state_grant_at(view->state, slot);

    (void)lister;
    return grant == NULL ? NULL
                         : &view_grant(view->arena, view->state, grant)->base;
}

void api_list_grants(const ProtobufCMessage *message,
                     const struct api_view *view, struct api_reply *reply)
{
    const Holdfast__V1__ListGrantsRequest *request =
        (const Holdfast__V1__ListGrantsRequest *)(const void *)message;
    Holdfast__V1__ListGrantsResponse response =
        HOLDFAST__V1__LIST_GRANTS_RESPONSE__INIT;
    struct api_lister lister = {.item = list_item};
    struct api_page page;

    if (!api_page_begin(&page, reply, view, request->page_size,
                        request->page_token)) {
        return;
    }
    api_page_fill(&page, &lister, state_grant_slots(page.view.state));
    response.grants = (void *)page.items;
    response.n_grants = page.item_count;
    api_page_respond(&page, reply, &response.base);
}

void api_delete_grant(const ProtobufCMessage *message, struct turn_plan *plan,
                      struct api_reply *reply)
{
    const Holdfast__V1__DeleteGrantRequest *request =
        (const Holdfast__V1__DeleteGrantRequest *)(const void *)message;
    Holdfast__V1__DeleteGrantResponse response =
        HOLDFAST__V1__DELETE_GRANT_RESPONSE__INIT;
    struct text name = text_of(request->name);
    const struct grant *grant = find_grant(reply, plan->scratch, request->name,
                                           request->expect_revision);
    struct change change = {.kind = CHANGE_GRANT_DELETE};
    struct arena arena;

    if (grant == NULL ||
        !check_admins(reply, plan->scratch, grant, "without it")) {
        return;
    }
    arena_init(&arena, OBJECT_ARENA_BYTES);
    response.grant = view_grant(&arena, plan->scratch, grant);
    change.grant_delete.name = name;
    turn_change(plan, &change);
    response.revision = state_revision(plan->scratch);
    api_respond(reply, &response.base);
    arena_close(&arena);
}
