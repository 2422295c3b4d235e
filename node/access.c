/* SPDX-License-Identifier: Apache-2.0 */
#include "node/access.h"

#include "base/check.h"
#include "base/container.h"
#include "state/labels.h"

#include <stdio.h>
#include <string.h>

#define ROLE(name) (1u << ACCESS_ROLE_##name)

static const struct {
    const char *name;
    unsigned roles;
    /* A grant with a scope has it, if what is changed is in the scope; or as
     * one without. */
    bool scoped;
    bool scope_ignored;
} permissions[PERMISSION_COUNT] = {
    [PERMISSION_NONE] = {"none", 0, false, false},
    [PERMISSION_ASK] = {"ask",
                        ROLE(VIEWER) | ROLE(OPERATOR) | ROLE(ADMIN) |
                            ROLE(DRILL_RUNNER),
                        false, true},
    [PERMISSION_READ] = {"read",
                         ROLE(VIEWER) | ROLE(OPERATOR) | ROLE(ADMIN) |
                             ROLE(DRILL_RUNNER),
                         false, true},
    [PERMISSION_REHEARSE] = {"rehearse",
                             ROLE(OPERATOR) | ROLE(ADMIN) | ROLE(DRILL_RUNNER),
                             false, true},
    [PERMISSION_WORKLOAD] = {"workload", ROLE(OPERATOR) | ROLE(ADMIN), true,
                             false},
    [PERMISSION_OPERATE] = {"operate", ROLE(OPERATOR) | ROLE(ADMIN), false,
                            false},
    [PERMISSION_ADMINISTER] = {"administer", ROLE(ADMIN), false, false},
    [PERMISSION_JOIN] = {"join", 0, false, false},
};

const struct access_method access_methods[] = {
    {"/holdfast.v1.ClusterService/GetStatus", PERMISSION_READ},
    {"/holdfast.v1.ClusterService/ListNodes", PERMISSION_READ},
    {"/holdfast.v1.ClusterService/TransferLeadership", PERMISSION_OPERATE},
    {"/holdfast.v1.ClusterService/AddNode", PERMISSION_ADMINISTER},
    {"/holdfast.v1.ClusterService/PromoteNode", PERMISSION_ADMINISTER},
    {"/holdfast.v1.ClusterService/RemoveNode", PERMISSION_ADMINISTER},
    {"/holdfast.v1.WatchService/Watch", PERMISSION_READ},
    {NULL, PERMISSION_NONE},
};

const char *permission_name(enum permission permission)
{
    CHECK(permission < PERMISSION_COUNT);
    return permissions[permission].name;
}

const char *access_role_name(enum access_role role)
{
    static const char *const names[ACCESS_ROLE_COUNT] = {
        "none", "viewer", "operator", "admin", "drill-runner"};

    CHECK(role < ACCESS_ROLE_COUNT);
    return names[role];
}

bool access_role_has(enum access_role role, enum permission permission)
{
    CHECK(permission < PERMISSION_COUNT && role < ACCESS_ROLE_COUNT);
    return (permissions[permission].roles >> role & 1) != 0;
}

enum permission access_permission_of(const char *path)
{
    const struct access_method *at = access_methods;

    while (at->path != NULL && strcmp(at->path, path) != 0) {
        at++;
    }
    return at->permission;
}

static bool has_scope(const struct grant *grant)
{
    return grant->zone_mask != 0 || grant->selector_blob != 0;
}

uint64_t access_time_ms(const struct state *state, uint64_t wall_ms)
{
    return wall_ms > state_time_ms(state) ? wall_ms : state_time_ms(state);
}

bool access_has_ended(const struct grant *grant, uint64_t time_ms)
{
    return grant->expire_ms != 0 && grant->expire_ms <= time_ms;
}

/* Leaves those that are in force. */
static void pass_over_ended(struct access *access, uint64_t time_ms)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < access->count; i++) {
        const struct grant *grant = access->grants[i];

        if (access_has_ended(grant, time_ms)) {
            if (access->ended == NULL ||
                access->ended->expire_ms < grant->expire_ms) {
                access->ended = grant;
            }
            continue;
        }
        if (grant->expire_ms != 0 && (access->next_end_ms == 0 ||
                                      grant->expire_ms < access->next_end_ms)) {
            access->next_end_ms = grant->expire_ms;
        }
        access->grants[count++] = grant;
    }
    access->count = count;
}

static void find_grants(struct access *access)
{
    const struct access_subject *subject = access->subject;
    const struct grant *grant;

    if (subject->source == SUBJECT_BY_TOKEN) {
        grant = state_grant_of_token(access->state, subject->secret_hash);
        if (grant != NULL) {
            access->grants[access->count++] = grant;
        }
        return;
    }
    access->count = state_grants_of_client(
        access->state,
        (struct text){subject->name, (uint32_t)strlen(subject->name)},
        access->grants);
}

void access_decide(const struct state *state,
                   const struct access_subject *subject,
                   enum permission permission, uint64_t wall_ms,
                   struct access *access)
{
    bool scoped = false;

    *access = (struct access){
        .state = state, .subject = subject, .permission = permission};
    if (subject == NULL || subject->source == SUBJECT_EVERYBODY ||
        permission == PERMISSION_JOIN ||
        (subject->source == SUBJECT_BY_CERTIFICATE &&
         state_counts(state)->grants == 0)) {
        return;
    }
    find_grants(access);
    pass_over_ended(access, access_time_ms(state, wall_ms));
    access->verdict = ACCESS_ROLE_MISSING;
    if (access->count == 0 && subject->source == SUBJECT_BY_TOKEN) {
        access->verdict =
            access->ended == NULL ? ACCESS_TOKEN_UNKNOWN : ACCESS_TOKEN_EXPIRED;
        return;
    }
    if (permission == PERMISSION_ASK) {
        access->verdict = ACCESS_ALLOWED;
        return;
    }
    for (uint32_t i = 0; i < access->count; i++) {
        const struct grant *grant = access->grants[i];

        if (!access_role_has((enum access_role)grant->role, permission)) {
            continue;
        }
        if (!has_scope(grant) || permissions[permission].scope_ignored) {
            access->verdict = ACCESS_ALLOWED;
            access->by = grant;
            return;
        }
        scoped = scoped || permissions[permission].scoped;
    }
    if (scoped) {
        access->verdict = ACCESS_SCOPED;
    }
}

/* All of `wanted` are among `labels`. */
static bool has_labels(struct text labels, struct text wanted)
{
    struct label label;
    struct text value;

    while (labels_next(&wanted, &label)) {
        if (!labels_get(labels, label.key, &value) ||
            value.len != label.value.len ||
            (value.len > 0 &&
             memcmp(value.data, label.value.data, value.len) != 0)) {
            return false;
        }
    }
    return true;
}

bool access_covers(const struct access *access, uint64_t zones,
                   struct text labels)
{
    for (uint32_t i = 0; i < access->count; i++) {
        const struct grant *grant = access->grants[i];

        if (access_role_has((enum access_role)grant->role,
                            access->permission) &&
            (grant->zone_mask == 0 ||
             (zones != 0 && (zones & ~grant->zone_mask) == 0)) &&
            has_labels(labels,
                       state_blob(access->state, grant->selector_blob))) {
            return true;
        }
    }
    return false;
}

static uint64_t any_if_none(uint64_t mask)
{
    return mask == 0 ? UINT64_MAX : mask;
}

static uint64_t zones_of_group(const struct state *state,
                               const struct group *group)
{
    uint64_t zones = any_if_none(group->zone_mask);

    if (group->class_slot != SLOT_NONE) {
        zones &=
            any_if_none(state_class_at(state, group->class_slot)->zone_mask);
    }
    return zones;
}

bool access_covers_vm(const struct access *access, const struct state *state,
                      const struct vm *vm)
{
    uint64_t zones =
        any_if_none(state_class_at(state, vm->class_slot)->zone_mask);

    if (vm->zone != SLOT_NONE) {
        zones = UINT64_C(1) << vm->zone;
    } else if (vm->group_plus1 != 0) {
        zones &=
            any_if_none(state_group_at(state, vm->group_plus1 - 1)->zone_mask);
    }
    return access_covers(access, zones, state_blob(state, vm->labels_blob));
}

bool access_covers_group(const struct access *access, const struct state *state,
                         const struct group *group)
{
    uint32_t at = group->vm_first_plus1;

    if (!access_covers(access, zones_of_group(state, group),
                       state_blob(state, group->labels_blob))) {
        return false;
    }
    while (at != 0) {
        const struct vm *vm = state_vm_at(state, at - 1);

        if (!access_covers_vm(access, state, vm)) {
            return false;
        }
        at = vm->group_next_plus1;
    }
    return true;
}

void access_subject_text(const struct access *access,
                         char text[ACCESS_SUBJECT_TEXT_BYTES])
{
    const struct access_subject *subject = access->subject;

    text[0] = '\0';
    if (subject == NULL || subject->source == SUBJECT_EVERYBODY) {
        return;
    }
    if (subject->source == SUBJECT_BY_TOKEN) {
        snprintf(text, ACCESS_SUBJECT_TEXT_BYTES, "token:%s",
                 access->count > 0       ? access->grants[0]->name
                 : access->ended != NULL ? access->ended->name
                                         : "");
    } else {
        snprintf(text, ACCESS_SUBJECT_TEXT_BYTES, "client:%s", subject->name);
    }
}

/* "operator or admin" */
static void list_needed(const struct access *access, char *text, size_t size)
{
    static const enum access_role order[] = {
        ACCESS_ROLE_VIEWER, ACCESS_ROLE_DRILL_RUNNER, ACCESS_ROLE_OPERATOR,
        ACCESS_ROLE_ADMIN};
    size_t len = 0;

    text[0] = '\0';
    for (size_t i = 0; i < ARRAY_LEN(order) && len < size; i++) {
        if (access_role_has(order[i], access->permission)) {
            len += (size_t)snprintf(text + len, size - len, "%s%s",
                                    len == 0 ? "" : " or ",
                                    access_role_name(order[i]));
        }
    }
}

/* "viewer, operator in a scope"; at most the first few. */
static void list_held(const struct access *access, char *text, size_t size)
{
    size_t len = 0;

    snprintf(text, size, "none%s%s%s", access->ended == NULL ? "" : " (grant '",
             access->ended == NULL ? "" : access->ended->name,
             access->ended == NULL ? "" : "' has expired)");
    for (uint32_t i = 0; i < access->count && i < 4; i++) {
        const struct grant *grant = access->grants[i];

        len += (size_t)snprintf(text + len, size - len, "%s%s%s",
                                len == 0 ? "" : ", ",
                                access_role_name((enum access_role)grant->role),
                                has_scope(grant) ? " in a scope" : "");
        CHECK(len < size);
    }
}

void access_explain(const struct access *access, const char *method, char *text,
                    size_t size)
{
    char who[ACCESS_SUBJECT_TEXT_BYTES];
    char needed[80];
    char held[160];

    access_subject_text(access, who);
    list_needed(access, needed, sizeof(needed));
    list_held(access, held, sizeof(held));
    if (access->verdict == ACCESS_SCOPED) {
        snprintf(text, size,
                 "%s: outside of the scope of %s; needed: a grant of %s whose "
                 "zones and labels cover all that would be changed",
                 method, who, needed);
        return;
    }
    snprintf(text, size, "%s needs the role %s%s; %s has %s", method, needed,
             permissions[access->permission].scope_ignored ||
                     permissions[access->permission].scoped
                 ? ""
                 : " without a scope",
             who, held);
}
