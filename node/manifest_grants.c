/* SPDX-License-Identifier: Apache-2.0
 *
 * The grants of a manifest: of clients' certificates alone. Tokens are left
 * aside, also by prune: whoever may write the file would otherwise make himself
 * one, by the hash of a secret that he chose; and no export has it, for the
 * region never tells a hash. */
#include "node/api_check.h"
#include "node/manifest_edit.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

#define KIND(NAME)   HOLDFAST__V1__MANIFEST_KIND__MANIFEST_KIND_##NAME
#define ACTION(NAME) HOLDFAST__V1__MANIFEST_ACTION__MANIFEST_ACTION_##NAME

size_t manifest_tokens(const struct state *state)
{
    size_t count = 0;

    for (uint32_t slot = 0; slot < state_grant_slots(state); slot++) {
        const struct grant *grant = state_grant_at(state, slot);

        count += grant != NULL && grant->kind == SUBJECT_TOKEN ? 1 : 0;
    }
    return count;
}

static bool check_no_token(struct manifest_edit *edit,
                           struct manifest_spot spot,
                           const Holdfast__V1__Grant *wish)
{
    if (wish->subject_kind != HOLDFAST__V1__SUBJECT_KIND__SUBJECT_KIND_TOKEN &&
        wish->secret_sha256.len == 0) {
        return true;
    }
    api_fail(edit->reply, API_INVALID_FIELD,
             "grants[%zu].%s: a manifest has no tokens: make them with "
             "`holdfast token create`, which shows the secret once",
             spot.index,
             wish->secret_sha256.len == 0 ? "subject_kind" : "secret_sha256");
    return false;
}

static bool change_grant(struct manifest_edit *edit, struct manifest_spot spot,
                         Holdfast__V1__Grant *wish,
                         const struct manifest_diff *diff)
{
    Holdfast__V1__UpdateGrantRequest update =
        HOLDFAST__V1__UPDATE_GRANT_REQUEST__INIT;
    char *mask[MANIFEST_FIELDS_MAX];

    update.grant = wish;
    update.n_update_mask = manifest_mask(diff, mask);
    update.update_mask = mask;
    return diff->count == 0 ||
           manifest_carry_out(edit, spot, api_update_grant, &update.base);
}

static bool edit_grant(struct manifest_edit *edit, size_t index)
{
    const struct manifest_spot spot = {KIND(GRANT), index};
    const struct state *state = edit->plan->scratch;
    Holdfast__V1__Grant *wish = edit->request->manifest->grants[index];
    const struct grant *grant = state_grant_named(state, text_of(wish->name));
    Holdfast__V1__CreateGrantRequest create =
        HOLDFAST__V1__CREATE_GRANT_REQUEST__INIT;
    const ProtobufCMessage *now;
    struct manifest_diff diff;

    if (!check_no_token(edit, spot, wish) ||
        !manifest_check_wishes(edit, spot, &wish->base)) {
        return false;
    }
    wish = manifest_grant(wish, &edit->scratch);
    if (grant == NULL) {
        create.grant = wish;
        if (!manifest_carry_out(edit, spot, api_create_grant, &create.base)) {
            return false;
        }
        grant = state_grant_named(state, text_of(wish->name));
        manifest_add(edit, spot.kind, wish->name, ACTION(CREATED),
                     grant->revision);
        return manifest_see(edit, spot, wish->name, grant->uid);
    }
    now = &view_grant(&edit->scratch, state, grant)->base;
    if (!manifest_see(edit, spot, wish->name, grant->uid) ||
        !manifest_check_diff(edit, spot, &wish->base, now, grant->revision,
                             &diff) ||
        !change_grant(edit, spot, wish, &diff)) {
        return false;
    }
    manifest_add_edited(edit, spot.kind, wish->name,
                        state_grant_named(state, text_of(wish->name))->revision,
                        now, &diff);
    return true;
}

/* What must be there before the rest may come or change: the caller's own, then
 * other administrators'. */
static unsigned rank_of(const struct manifest_edit *edit,
                        const Holdfast__V1__Grant *wish)
{
    const struct access_subject *caller = edit->reply->caller;

    if (wish->role != HOLDFAST__V1__ACCESS_ROLE__ACCESS_ROLE_ADMIN ||
        wish->expire_time_ms != 0) {
        return 2;
    }
    return caller != NULL && caller->source == SUBJECT_BY_CERTIFICATE &&
                   strcmp(caller->name, wish->client) == 0
               ? 0
               : 1;
}

/* By rank, and then told of in the order of the manifest. */
bool manifest_edit_grants(struct manifest_edit *edit)
{
    const Holdfast__V1__Manifest *manifest = edit->request->manifest;
    Holdfast__V1__ApplyManifestResponse *response = &edit->response;
    size_t first = response->n_objects;
    Holdfast__V1__ManifestObject **told =
        view_alloc(edit->arena, (manifest->n_grants + 1) * sizeof(*told));

    for (unsigned rank = 0; rank <= 2; rank++) {
        for (size_t i = 0; i < manifest->n_grants; i++) {
            if (rank_of(edit, manifest->grants[i]) != rank) {
                continue;
            }
            arena_clear(&edit->scratch);
            if (!edit_grant(edit, i) || !manifest_check_size(edit)) {
                return false;
            }
            told[i] = response->objects[response->n_objects - 1];
        }
    }
    for (size_t i = 0; i < manifest->n_grants; i++) {
        response->objects[first + i] = told[i];
    }
    return true;
}

bool manifest_prune_grants(struct manifest_edit *edit)
{
    const struct state *state = edit->plan->scratch;
    const struct map *seen = &edit->seen[KIND(GRANT)];

    if (edit->request->manifest->n_grants == 0) {
        return true;
    }
    for (uint32_t slot = 0; slot < state_grant_slots(state); slot++) {
        const struct grant *grant = state_grant_at(state, slot);
        Holdfast__V1__DeleteGrantRequest request =
            HOLDFAST__V1__DELETE_GRANT_REQUEST__INIT;
        char name[NAME_BYTES];

        if (grant == NULL || grant->kind == SUBJECT_TOKEN ||
            map_get(seen, grant->uid) != NULL) {
            continue;
        }
        snprintf(name, sizeof(name), "%s", grant->name);
        request.name = name;
        if (!manifest_delete(edit, KIND(GRANT), name, grant->revision,
                             api_delete_grant, &request.base)) {
            return false;
        }
    }
    return true;
}
