/* SPDX-License-Identifier: Apache-2.0
 *
 * Grants in the state: how they are found, counted, hashed and kept. */
#include "base/error.h"
#include "state/snapshot.h"
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void grant(struct mirror *mirror, const char *name, const char *client,
                  enum access_role role)
{
    struct change change = {.kind = CHANGE_GRANT_SET};

    change.grant_set = (struct change_grant_set){.name = text_of(name),
                                                 .kind = SUBJECT_CLIENT,
                                                 .subject = text_of(client),
                                                 .role = role,
                                                 .zone_mask = 5,
                                                 .selector = {"\1k\1v", 4}};
    mirror_apply(mirror, &change);
}

static void token(struct mirror *mirror, const char *name,
                  const uint8_t secret_hash[SECRET_HASH_BYTES])
{
    struct change change = {.kind = CHANGE_GRANT_SET};

    change.grant_set = (struct change_grant_set){
        .name = text_of(name),
        .kind = SUBJECT_TOKEN,
        .role = ACCESS_ROLE_VIEWER,
        .secret_hash = {(const char *)secret_hash, SECRET_HASH_BYTES}};
    mirror_apply(mirror, &change);
}

static void delete (struct mirror *mirror, const char *name)
{
    struct change change = {.kind = CHANGE_GRANT_DELETE};

    change.grant_delete.name = text_of(name);
    mirror_apply(mirror, &change);
}

static void check_all(struct mirror *mirror)
{
    struct random random;

    random_init(&random, 7);
    check_derived(mirror->state);
    check_restore(mirror->state, &random);
}

static void a_clients_grants_are_found_by_its_name(void **unused)
{
    struct mirror mirror;
    const struct grant *found[CLIENT_GRANTS_MAX];

    (void)unused;
    mirror_init(&mirror);
    assert_int_equal(
        state_grants_of_client(mirror.state, text_of("anna"), found), 0);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    grant(&mirror, "more", "anna", ACCESS_ROLE_OPERATOR);
    grant(&mirror, "other", "ann", ACCESS_ROLE_VIEWER);
    assert_int_equal(
        state_grants_of_client(mirror.state, text_of("anna"), found), 2);
    assert_int_equal(
        state_grants_of_client(mirror.state, text_of("ann"), found), 1);
    assert_string_equal(found[0]->name, "other");
    assert_int_equal(found[0]->zone_mask, 5);
    assert_int_equal(state_counts(mirror.state)->grants, 3);
    assert_int_equal(state_counts(mirror.state)->grants_of_admins, 1);
    check_all(&mirror);
    delete (&mirror, "other");
    assert_int_equal(
        state_grants_of_client(mirror.state, text_of("ann"), found), 0);
    assert_null(state_grant_named(mirror.state, text_of("other")));
    check_all(&mirror);
    mirror_close(&mirror);
}

static void a_token_is_found_by_all_of_its_hash(void **unused)
{
    struct mirror mirror;
    uint8_t hash[SECRET_HASH_BYTES] = {1, 2, 3};

    (void)unused;
    mirror_init(&mirror);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    token(&mirror, "ci", hash);
    assert_string_equal(state_grant_of_token(mirror.state, hash)->name, "ci");
    hash[SECRET_HASH_BYTES - 1] = 1;
    assert_null(state_grant_of_token(mirror.state, hash));
    token(&mirror, "cd", hash);
    check_all(&mirror);
    delete (&mirror, "cd");
    assert_null(state_grant_of_token(mirror.state, hash));
    check_all(&mirror);
    mirror_close(&mirror);
}

/* Watches and caches go by revisions and events. */
static void a_grant_raises_no_revision_but_a_number_of_its_own(void **unused)
{
    struct mirror mirror;
    uint64_t hash;

    (void)unused;
    mirror_init(&mirror);
    assert_int_equal(state_grant_changes(mirror.state), 0);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    hash = state_hash(mirror.state);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    assert_int_equal(state_revision(mirror.state), 0);
    assert_int_equal(state_grant_changes(mirror.state), 2);
    assert_int_equal(state_grant_named(mirror.state, text_of("root"))->revision,
                     2);
    assert_true(state_hash(mirror.state) != hash);
    mirror_close(&mirror);
}

/* So that data of a region that has none is read by who knows of none. */
static void a_snapshot_without_grants_has_no_format_3(void **unused)
{
    struct mirror mirror;

    (void)unused;
    mirror_init(&mirror);
    assert_false(state_needs_format_3(mirror.state));
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    assert_true(state_needs_format_3(mirror.state));
    assert_false(state_needs_format_2(mirror.state));
    check_all(&mirror);
    mirror_close(&mirror);
}

static void ends(struct mirror *mirror, const char *name, const char *client,
                 enum access_role role, uint64_t expire_ms)
{
    struct change change = {.kind = CHANGE_GRANT_SET};

    change.grant_set = (struct change_grant_set){.name = text_of(name),
                                                 .kind = SUBJECT_CLIENT,
                                                 .subject = text_of(client),
                                                 .role = role,
                                                 .expire_ms = expire_ms};
    mirror_apply(mirror, &change);
}

static void a_grant_with_an_end_is_kept_and_no_administrator_counts(
    void **unused)
{
    struct mirror mirror;
    uint64_t hash;

    (void)unused;
    mirror_init(&mirror);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    ends(&mirror, "some", "ben", ACCESS_ROLE_ADMIN, 5000);
    assert_int_equal(state_counts(mirror.state)->grants_of_admins, 1);
    assert_int_equal(state_counts(mirror.state)->grants_that_end, 1);
    assert_int_equal(
        state_grant_named(mirror.state, text_of("some"))->expire_ms, 5000);
    check_all(&mirror);
    hash = state_hash(mirror.state);
    ends(&mirror, "some", "ben", ACCESS_ROLE_ADMIN, 5001);
    assert_true(state_hash(mirror.state) != hash);
    ends(&mirror, "some", "ben", ACCESS_ROLE_ADMIN, 0);
    assert_int_equal(state_counts(mirror.state)->grants_of_admins, 2);
    assert_int_equal(state_counts(mirror.state)->grants_that_end, 0);
    ends(&mirror, "some", "ben", ACCESS_ROLE_VIEWER, 7);
    delete (&mirror, "some");
    assert_int_equal(state_counts(mirror.state)->grants_that_end, 0);
    check_all(&mirror);
    mirror_close(&mirror);
}

static size_t snapshot_bytes(const struct state *state)
{
    struct snapshot_writer writer;
    struct bytes stream;
    size_t len;

    bytes_init(&stream);
    snapshot_writer_init(&writer, state);
    while (snapshot_writer_next(&writer, &stream, 1000)) {
    }
    len = stream.len;
    bytes_close(&stream);
    return len;
}

/* Who knows of no ends reads a snapshot in which there is none, and its hash;
 * and once one was deleted the snapshot is what it was. */
static void grants_are_written_as_in_format_3_while_none_ends(void **unused)
{
    struct mirror mirror;
    size_t before;

    (void)unused;
    mirror_init(&mirror);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    grant(&mirror, "more", "anna", ACCESS_ROLE_VIEWER);
    before = snapshot_bytes(mirror.state);
    assert_int_equal(state_format(mirror.state), 3);
    assert_false(state_needs_whole(mirror.state, TABLE_GRANT));
    ends(&mirror, "some", "ben", ACCESS_ROLE_VIEWER, 5000);
    assert_int_equal(state_format(mirror.state), 4);
    assert_true(state_needs_whole(mirror.state, TABLE_GRANT));
    assert_true(snapshot_bytes(mirror.state) >
                before + sizeof(struct grant) + 2 * sizeof(uint64_t));
    check_all(&mirror);
    delete (&mirror, "some");
    assert_int_equal(state_format(mirror.state), 3);
    check_all(&mirror);
    mirror_close(&mirror);
}

static void any_changed_byte_of_a_snapshot_with_grants_is_refused(void **unused)
{
    struct mirror mirror;

    (void)unused;
    mirror_init(&mirror);
    grant(&mirror, "root", "anna", ACCESS_ROLE_ADMIN);
    token(&mirror, "ci", (const uint8_t[SECRET_HASH_BYTES]){9});
    ends(&mirror, "some", "ben", ACCESS_ROLE_VIEWER, 5000);
    check_changed_bytes(mirror.state);
    mirror_close(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clients_grants_are_found_by_its_name),
        cmocka_unit_test(a_token_is_found_by_all_of_its_hash),
        cmocka_unit_test(a_grant_raises_no_revision_but_a_number_of_its_own),
        cmocka_unit_test(a_snapshot_without_grants_has_no_format_3),
        cmocka_unit_test(
            a_grant_with_an_end_is_kept_and_no_administrator_counts),
        cmocka_unit_test(grants_are_written_as_in_format_3_while_none_ends),
        cmocka_unit_test(any_changed_byte_of_a_snapshot_with_grants_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
