/* SPDX-License-Identifier: Apache-2.0
 *
 * Grants that end, that change, and that stand in manifests: at the edge of
 * time, and without ever locking everybody out. */
#include "base/container.h"
#include "support/desk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct access_subject root = {SUBJECT_BY_CERTIFICATE, "root", {0}};
static const struct access_subject anna = {SUBJECT_BY_CERTIFICATE, "anna", {0}};
static const struct access_subject ci = {
    SUBJECT_BY_TOKEN, "", {0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61}};
/* Of 32 times 'a', as YAML writes bytes: base64. */
#define CI_HASH "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="

#define ROOT "{name: root, client: root, role: admin}"
#define ANNA "{name: anna, client: anna, role: operator, zones: [z1]}"

static struct desk *desk_with_root(void)
{
    struct desk *desk = desk_create();

    desk->caller = &root;
    desk_ok(desk, "CreateGrant",
            "grant: {name: root, subject_kind: client, client: root, role: "
            "admin}");
    return desk;
}

/* As YAML, with `%PRIu64` for a moment `in_ms` after now. */
static const char *at(const struct desk *desk, const char *format, int in_ms)
{
    static char yaml[512];
    char moment[24];
    const char *mark = strstr(format, "@");

    assert_non_null(mark);
    snprintf(moment, sizeof(moment), "%" PRIu64,
             desk->now_ms + (uint64_t)(int64_t)in_ms);
    snprintf(yaml, sizeof(yaml), "%.*s%s%s", (int)(mark - format), format,
             moment, mark + 1);
    return yaml;
}

static void give(struct desk *desk, const char *name, const char *more)
{
    char yaml[400];

    snprintf(yaml, sizeof(yaml),
             "grant: {name: %s, subject_kind: client, client: anna, %s}", name,
             more);
    desk->caller = &root;
    desk_ok(desk, "CreateGrant", yaml);
    desk->caller = &anna;
}

#define TOKEN(more)                                                            \
    "grant: {name: ci, subject_kind: token, secret_sha256: " CI_HASH ", " more \
    "}"

/* --- Ends ----------------------------------------------------------------- */

static void a_token_ends_at_its_millisecond(void **unused)
{
    struct desk *desk = desk_with_root();
    uint64_t end_ms;

    (void)unused;
    desk_ok(desk, "CreateGrant",
            at(desk, TOKEN("role: viewer, expire_time_ms: @"), 50));
    desk_says(desk, "\"expire_time_ms\":");
    end_ms = state_grant_named(desk->state, (struct text){"ci", 2})->expire_ms;
    desk->caller = &ci;
    desk->wall_ms = end_ms - 1;
    desk_ok(desk, "ListVms", "{}");
    desk->wall_ms = end_ms;
    desk_refused(desk, "ListVms", "{}", "TOKEN_EXPIRED", "'ci' has expired");
    assert_int_equal(desk->reply.code, RPC_UNAUTHENTICATED);
    desk_refused(desk, "CanI", "method: VmService/GetVm", "TOKEN_EXPIRED",
                 "ci");
    desk->wall_ms = end_ms - 1;
    desk_ok(desk, "ListVms", "{}");
    /* And for good, when any change has had that time. */
    desk->now_ms = end_ms;
    desk->caller = &root;
    desk_ok(desk, "CreateZone", "name: z4");
    desk->caller = &ci;
    desk_refused(desk, "ListVms", "{}", "TOKEN_EXPIRED", "ci");
    desk_destroy(desk);
}

/* The stamp of the turn counts, which is the leader's, and no other clock. */
static void a_mutation_is_held_against_its_turns_time(void **unused)
{
    struct desk *desk = desk_with_root();
    uint64_t end_ms = desk->now_ms + 100;

    (void)unused;
    desk_ok(desk, "CreateGrant",
            at(desk, TOKEN("role: admin, expire_time_ms: @"), 100));
    desk->caller = &ci;
    desk->now_ms = end_ms - 2; /* The next turn is a millisecond later. */
    desk_ok(desk, "CreateZone", "name: z4");
    desk_refused(desk, "CreateZone", "name: z5", "TOKEN_EXPIRED", "ci");
    desk_refused(desk, "CreateZone", "{name: z5, dry_run: true}",
                 "TOKEN_EXPIRED", "ci");
    desk_destroy(desk);
}

static void a_grant_that_ended_is_listed_and_allows_nothing(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    give(desk, "once", at(desk, "role: operator, expire_time_ms: @", 1000));
    give(desk, "still", "role: viewer");
    desk_ok(desk, "CanI", "method: HostService/CordonHost");
    desk_says(desk, "\"allowed\":true");
    desk_says(desk, "by grant 'once'");
    desk_says(desk, "\"expire_time_ms\":\"1");
    desk->now_ms += 2000;
    desk_refused(desk, "CordonHost", "name: h1", "ROLE_NEEDED",
                 "client:anna has viewer");
    desk->wall_ms = desk->now_ms;
    desk_ok(desk, "ListVms", "{}");
    desk_ok(desk, "CanI", "method: HostService/CordonHost");
    desk_says(desk, "\"allowed\":false");
    desk->caller = &root;
    desk_ok(desk, "DeleteGrant", "name: still");
    desk->caller = &anna;
    desk_refused(desk, "ListVms", "{}", "ROLE_NEEDED",
                 "none (grant 'once' has expired)");
    desk_ok(desk, "CanI", "method: VmService/ListVms");
    desk_says(desk, "none (grant 'once' has expired)");
    desk->caller = &root;
    desk_ok(desk, "ListGrants", "{}");
    desk_says(desk, "\"name\":\"once\"");
    desk_refused(desk, "CreateGrant",
                 "grant: {name: once, subject_kind: client, client: anna, "
                 "role: viewer}",
                 "NAME_TAKEN", "once");
    desk_ok(desk, "DeleteGrant", "name: once");
    desk_destroy(desk);
}

static void the_next_end_is_that_of_the_first_grant_in_force(void **unused)
{
    struct desk *desk = desk_with_root();
    struct access access;
    uint64_t now_ms;

    (void)unused;
    give(desk, "a", at(desk, "role: viewer, expire_time_ms: @", 3000));
    give(desk, "b", at(desk, "role: viewer, expire_time_ms: @", 1000));
    give(desk, "c", "role: viewer");
    now_ms = desk->now_ms;
    access_decide(desk->state, &anna, PERMISSION_READ, now_ms, &access);
    assert_int_equal(access.count, 3);
    assert_null(access.ended);
    assert_int_equal(
        access.next_end_ms,
        state_grant_named(desk->state, (struct text){"b", 1})->expire_ms);
    access_decide(desk->state, &anna, PERMISSION_READ, access.next_end_ms,
                  &access);
    assert_int_equal(access.count, 2);
    assert_string_equal(access.ended->name, "b");
    access_decide(desk->state, &anna, PERMISSION_READ, access.next_end_ms,
                  &access);
    assert_int_equal(access.count, 1);
    assert_int_equal(access.next_end_ms, 0);
    assert_string_equal(access.ended->name, "a");
    assert_int_equal(access.verdict, ACCESS_ALLOWED);
    desk_destroy(desk);
}

static void an_end_is_ahead_and_has_four_digits_of_years(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_refused(desk, "CreateGrant",
                 at(desk, TOKEN("role: viewer, expire_time_ms: @"), 1),
                 "INVALID_FIELD", "grant.expire_time_ms: ");
    desk_ok(desk, "CreateGrant",
            TOKEN("role: viewer, expire_time_ms: 253402300799999"));
    desk_refused(desk, "UpdateGrant",
                 "{grant: {name: ci, expire_time_ms: 253402300800000}, "
                 "update_mask: [expire_time_ms]}",
                 "INVALID_FIELD", "too far ahead");
    desk_refused(desk, "UpdateGrant",
                 "{grant: {name: ci, expire_time_ms: 5}, update_mask: "
                 "[expire_time_ms]}",
                 "INVALID_FIELD", "is over");
    desk_destroy(desk);
}

/* --- Updates -------------------------------------------------------------- */

static void an_update_changes_what_it_names_and_counts_at_once(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    give(desk, "a", "role: operator, zones: [z1], labels: {team: red}");
    desk_refused(desk, "CordonHost", "name: h1", "ROLE_NEEDED", "in a scope");
    desk->caller = &root;
    desk_ok(desk, "UpdateGrant",
            "{grant: {name: a}, update_mask: [zones, labels]}");
    desk_says_not(desk, "z1");
    desk_says_not(desk, "team");
    desk_says(desk, "\"role\":\"operator\"");
    desk->caller = &anna;
    desk_ok(desk, "CordonHost", "name: h1");
    desk->caller = &root;
    desk_ok(desk, "UpdateGrant",
            "{grant: {name: a, role: viewer}, update_mask: [role]}");
    desk->caller = &anna;
    desk_refused(desk, "UncordonHost", "name: h1", "ROLE_NEEDED", "viewer");
    desk_destroy(desk);
}

static void an_update_of_a_token_keeps_its_secret_and_never_tells_it(
    void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "CreateGrant", TOKEN("role: viewer"));
    desk_ok(desk, "UpdateGrant",
            at(desk,
               "{grant: {name: ci, role: operator, expire_time_ms: @}, "
               "update_mask: [role, expire_time_ms]}",
               60000));
    desk_says(desk, "\"secret_sha256\":\"\"");
    desk_says_not(desk, CI_HASH);
    desk->caller = &ci;
    desk_ok(desk, "CordonHost", "name: h1");
    desk->caller = &root;
    desk_refused(desk, "UpdateGrant",
                 "{grant: {name: ci, secret_sha256: " CI_HASH
                 "}, update_mask: [role]}",
                 "INVALID_FIELD", "grant.secret_sha256: ");
    desk_ok(desk, "ExportAuditRecords", "{}");
    desk_says(desk, "UpdateGrant");
    desk_says(desk, "{\\\"field\\\":\\\"role\\\",\\\"before\\\":\\\"viewer\\\","
                    "\\\"after\\\":\\\"operator\\\"}");
    desk_says_not(desk, CI_HASH);
    desk_destroy(desk);
}

static void wrong_updates_are_refused(void **unused)
{
    static const struct {
        const char *yaml;
        const char *reason;
        const char *words;
    } rows[] = {
        {"{}", "INVALID_FIELD", "grant: "},
        {"{grant: {name: none}, update_mask: [role]}", "GRANT_NOT_FOUND",
         "none"},
        {"{grant: {name: a, role: viewer}}", "INVALID_FIELD", "update_mask"},
        {"{grant: {name: a, role: viewer}, update_mask: [name]}",
         "INVALID_FIELD", "update_mask"},
        {"{grant: {name: a}, update_mask: [role]}", "INVALID_FIELD",
         "grant.role"},
        {"{grant: {name: a, client: ben, role: viewer}, update_mask: [role]}",
         "INVALID_FIELD", "grant.client: "},
        {"{grant: {name: a, subject_kind: token}, update_mask: [role]}",
         "INVALID_FIELD", "grant.subject_kind: "},
        {"{grant: {name: a, role: viewer}, update_mask: [role]}",
         "INVALID_FIELD", "grant.zones: "},
        {"{grant: {name: a, zones: [z9]}, update_mask: [zones]}",
         "ZONE_NOT_FOUND", "grant.zones"},
        {"{grant: {name: a, labels: {'': x}}, update_mask: [labels]}",
         "INVALID_FIELD", "grant.labels"},
        {"{grant: {name: a}, update_mask: [zones], expect_revision: 77}",
         "REVISION_CONFLICT", "77"},
    };
    struct desk *desk = desk_with_root();

    (void)unused;
    give(desk, "a", "role: operator, zones: [z1]");
    desk->caller = &root;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        desk_refused(desk, "UpdateGrant", rows[i].yaml, rows[i].reason,
                     rows[i].words);
    }
    desk_destroy(desk);
}

/* Whoever is told that it was done was told so once. */
static void an_update_counts_once_and_a_dry_run_not_at_all(void **unused)
{
    static const char once[] =
        "{request_id: r1, grant: {name: a, role: viewer}, update_mask: "
        "[role]}";
    struct desk *desk = desk_with_root();
    uint64_t hash;

    (void)unused;
    give(desk, "a", "role: operator");
    desk->caller = &root;
    hash = state_hash(desk->state);
    desk_ok(desk, "UpdateGrant",
            "{dry_run: true, grant: {name: a, role: viewer}, update_mask: "
            "[role]}");
    desk_says(desk, "\"role\":\"viewer\"");
    assert_true(state_hash(desk->state) == hash);
    desk_ok(desk, "UpdateGrant", once);
    desk_ok(desk, "UpdateGrant",
            "{grant: {name: a, role: operator}, update_mask: [role]}");
    hash = state_hash(desk->state);
    desk_ok(desk, "UpdateGrant", once);
    desk_says(desk, "\"role\":\"viewer\"");
    assert_true(state_hash(desk->state) == hash);
    /* What is so already is no change, and leaves no record. */
    desk_ok(desk, "UpdateGrant",
            "{grant: {name: a, role: operator}, update_mask: [role, labels]}");
    assert_true(state_hash(desk->state) == hash);
    desk_destroy(desk);
}

static void one_administrator_always_stays_for_good(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk->caller = &root;
    desk_refused(desk, "CreateGrant",
                 "grant: {name: root, subject_kind: client, client: root, "
                 "role: admin, expire_time_ms: 4000000000000}",
                 "FIRST_GRANT", "without an end");
    desk_ok(desk, "CreateGrant",
            "grant: {name: root, subject_kind: client, client: root, role: "
            "admin}");
    /* An administrator for some time is none to rely on. */
    give(desk, "a", "role: admin, expire_time_ms: 4000000000000");
    desk->caller = &root;
    desk_refused(desk, "DeleteGrant", "name: root", "LAST_ADMIN", "root");
    desk_refused(desk, "UpdateGrant",
                 "{grant: {name: root, role: viewer}, update_mask: [role]}",
                 "LAST_ADMIN", "root");
    desk_refused(desk, "UpdateGrant",
                 "{grant: {name: root, expire_time_ms: 4000000000000}, "
                 "update_mask: [expire_time_ms]}",
                 "LAST_ADMIN", "never ends");
    desk_ok(desk, "UpdateGrant",
            "{grant: {name: a}, update_mask: [expire_time_ms]}");
    desk_ok(desk, "UpdateGrant",
            "{grant: {name: root, role: viewer}, update_mask: [role]}");
    desk->caller = &anna;
    desk_refused(desk, "DeleteGrant", "name: a", "LAST_ADMIN", "'a'");
    desk_destroy(desk);
}

static void who_is_no_administrator_changes_no_grant(void **unused)
{
    static const char *const roles[] = {"viewer", "operator", "drill_runner",
                                        "operator, zones: [z1]"};
    char more[60];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct desk *desk = desk_with_root();

        snprintf(more, sizeof(more), "role: %s", roles[i]);
        give(desk, "a", more);
        desk_refused(desk, "UpdateGrant",
                     "{grant: {name: a, role: admin}, update_mask: [role, "
                     "zones]}",
                     "ROLE_NEEDED", "needs the role admin");
        desk_refused(desk, "UpdateGrant",
                     "{grant: {name: root, role: viewer}, update_mask: "
                     "[role]}",
                     "ROLE_NEEDED", "needs the role admin");
        desk_refused(desk, "ApplyManifest",
                     "manifest: {grants: [{name: a, client: anna, role: "
                     "admin}]}",
                     "ROLE_NEEDED", "needs the role admin");
        desk_destroy(desk);
    }
}

/* --- Manifests ------------------------------------------------------------ */

static void a_manifest_begins_with_its_callers_grant_wherever_it_stands(
    void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk->caller = &root;
    desk_refused(desk, "ApplyManifest", "manifest: {grants: [" ANNA "]}",
                 "FIRST_GRANT", "grants[0]");
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: a, client: anna, role: admin}]}",
                 "FIRST_GRANT", "grants[0]");
    desk_ok(desk, "ApplyManifest",
            "manifest: {grants: [" ANNA
            ", {name: b, client: ben, role: admin}, " ROOT "]}");
    desk_says(desk, "\"created_count\":3");
    desk_says(desk, "\"objects\":[{\"kind\":\"grant\",\"name\":\"anna\"");
    desk_says(desk, "\"grant_revision\":\"3\"");
    desk_ok(desk, "ApplyManifest",
            "{prune: true, manifest: {zones: [{name: z1}, {name: z2}, {name: "
            "z3}], classes: [{name: small, resources: {cpu_milli: 1000, "
            "memory_mib: 1024}}], grants: [" ANNA
            ", {name: b, client: ben, role: admin}, " ROOT "]}}");
    desk_says(desk, "\"unchanged_count\":7");
    desk_says(desk, "\"deleted_count\":0");
    desk_destroy(desk);
}

static void a_manifest_changes_grants_and_the_record_says_how(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    give(desk, "anna", "role: viewer");
    desk->caller = &root;
    desk_ok(desk, "ApplyManifest",
            "manifest: {grants: [" ANNA ", {name: ben, client: ben, role: "
            "drill_runner}]}");
    desk_says(desk, "\"fields\":[\"role\",\"zones\"]");
    desk_says(desk, "\"before\":{");
    desk_ok(desk, "ListAuditRecords", "{}");
    desk_says(desk, "{\"field\":\"grant/anna.role\",\"before\":\"viewer\","
                    "\"after\":\"operator\"}");
    desk_says(desk, "{\"field\":\"grant/ben.role\",\"before\":\"\",\"after\":"
                    "\"drill_runner\"}");
    desk->caller = &anna;
    desk_refused(desk, "CordonHost", "name: h1", "ROLE_NEEDED", "in a scope");
    desk_destroy(desk);
}

/* Both ways at once, whichever comes first in the file. */
static void a_manifest_hands_administration_over(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "ApplyManifest",
            "manifest: {grants: [{name: root, client: root, role: viewer}, "
            "{name: anna, client: anna, role: admin}]}");
    desk->caller = &root;
    desk_refused(desk, "ListGrants", "{}", "ROLE_NEEDED", "admin");
    desk->caller = &anna;
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: anna, client: anna, role: "
                 "operator}]}",
                 "LAST_ADMIN", "grants[0]");
    desk_destroy(desk);
}

static void a_manifest_has_no_tokens_and_prunes_none(void **unused)
{
    struct desk *desk = desk_with_root();

    (void)unused;
    desk_ok(desk, "CreateGrant", TOKEN("role: viewer"));
    give(desk, "gone", "role: viewer");
    desk->caller = &root;
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: x, subject_kind: token, role: "
                 "viewer}]}",
                 "INVALID_FIELD", "grants[0].subject_kind: ");
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: x, client: x, role: viewer, "
                 "secret_sha256: " CI_HASH "}]}",
                 "INVALID_FIELD", "grants[0].secret_sha256: ");
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: ci, client: x, role: viewer}]}",
                 "FIELD_FIXED", "grants[0].subject_kind: ");
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: gone, client: x, role: viewer}]}",
                 "FIELD_FIXED", "grants[0].client: ");
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [" ROOT ", {name: y, client: y, role: "
                 "viewer, expire_time_ms: 7}]}",
                 "INVALID_FIELD", "grants[1].expire_time_ms: ");
    desk_refused(desk, "ApplyManifest",
                 "manifest: {grants: [{name: root, client: root, role: admin, "
                 "uid: 4}]}",
                 "INVALID_FIELD", "grants[0].uid: ");
    /* A file that says nothing of grants takes none away. */
    desk_ok(desk, "ApplyManifest",
            "{prune: true, manifest: {zones: [{name: z1}]}}");
    desk_says(desk, "grants stay as they are");
    assert_int_equal(state_counts(desk->state)->grants, 3);
    desk_ok(desk, "ApplyManifest",
            "{prune: true, manifest: {zones: [{name: z1}], grants: [" ROOT
            "]}}");
    desk_says(desk, "{\"kind\":\"grant\",\"name\":\"gone\",\"action\":"
                    "\"deleted\"");
    desk_says(desk, "1 token is left aside");
    assert_int_equal(state_counts(desk->state)->grants, 2);
    desk->caller = &ci;
    desk_ok(desk, "ListVms", "{}");
    desk->caller = &root;
    desk_refused(desk, "ApplyManifest",
                 "{prune: true, manifest: {zones: [{name: z1}], grants: "
                 "[{name: v, client: v, role: "
                 "viewer}]}}",
                 "LAST_ADMIN", "prune: grant 'root'");
    desk_destroy(desk);
}

/* What was shown before it is deleted is what is deleted. */
static void a_grant_that_came_in_between_is_not_pruned(void **unused)
{
    struct desk *desk = desk_with_root();
    char yaml[200];

    (void)unused;
    desk_ok(desk, "ApplyManifest",
            "{prune: true, dry_run: true, manifest: {zones: [{name: z1}], "
            "grants: [" ROOT "]}}");
    desk_says(desk, "\"grant_revision\":\"1\"");
    snprintf(yaml, sizeof(yaml),
             "{prune: true, expect_grant_revision: 1, manifest: {zones: "
             "[{name: z1}], grants: [" ROOT "]}}");
    desk_ok(desk, "ApplyManifest", yaml);
    give(desk, "new", "role: viewer");
    desk->caller = &root;
    desk_refused(desk, "ApplyManifest", yaml, "REVISION_CONFLICT",
                 "expect_grant_revision: grant 'new'");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_ends_at_its_millisecond),
        cmocka_unit_test(a_mutation_is_held_against_its_turns_time),
        cmocka_unit_test(a_grant_that_ended_is_listed_and_allows_nothing),
        cmocka_unit_test(the_next_end_is_that_of_the_first_grant_in_force),
        cmocka_unit_test(an_end_is_ahead_and_has_four_digits_of_years),
        cmocka_unit_test(an_update_changes_what_it_names_and_counts_at_once),
        cmocka_unit_test(
            an_update_of_a_token_keeps_its_secret_and_never_tells_it),
        cmocka_unit_test(wrong_updates_are_refused),
        cmocka_unit_test(an_update_counts_once_and_a_dry_run_not_at_all),
        cmocka_unit_test(one_administrator_always_stays_for_good),
        cmocka_unit_test(who_is_no_administrator_changes_no_grant),
        cmocka_unit_test(
            a_manifest_begins_with_its_callers_grant_wherever_it_stands),
        cmocka_unit_test(a_manifest_changes_grants_and_the_record_says_how),
        cmocka_unit_test(a_manifest_hands_administration_over),
        cmocka_unit_test(a_manifest_has_no_tokens_and_prunes_none),
        cmocka_unit_test(a_grant_that_came_in_between_is_not_pruned),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
