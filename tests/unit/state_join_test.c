/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens to join in the state: once for a host, found by all of the hash. */
#include "tests/support/state_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t secret[SECRET_HASH_BYTES] = {1, 2, 3};
static const uint8_t other[SECRET_HASH_BYTES] = {1, 2, 4};
static const uint8_t key[SECRET_HASH_BYTES] = {9};

static struct text text_of(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void begin(struct mirror *mirror)
{
    struct change change = {.kind = CHANGE_ZONE_CREATE};

    mirror_init(mirror);
    change.zone_create.name = text_of("z1");
    mirror_apply(mirror, &change);
}

static void set(struct mirror *mirror, const char *host, const uint8_t *hash,
                const uint8_t *used_by)
{
    struct change change = {.kind = CHANGE_JOIN_SET};

    change.join_set = (struct change_join_set){
        .name = text_of(host),
        .zone = {state_zone_named(mirror->state, text_of("z1"))->uid},
        .secret_hash = {(const char *)hash, SECRET_HASH_BYTES},
        .expire_ms = 77,
        .key_digest = {(const char *)used_by,
                       used_by == NULL ? 0 : SECRET_HASH_BYTES},
    };
    mirror_apply(mirror, &change);
}

static void delete (struct mirror *mirror, const char *host)
{
    struct change change = {.kind = CHANGE_JOIN_DELETE};

    change.join_delete.name = text_of(host);
    mirror_apply(mirror, &change);
}

static void check_all(struct mirror *mirror)
{
    struct random random;

    random_init(&random, 5);
    check_derived(mirror->state);
    check_restore(mirror->state, &random);
}

static void a_token_is_found_by_its_host_and_by_all_of_its_hash(void **unused)
{
    struct mirror mirror;

    (void)unused;
    begin(&mirror);
    assert_false(state_needs_format_4(mirror.state));
    set(&mirror, "h1", secret, NULL);
    set(&mirror, "h2", other, NULL);
    assert_true(state_needs_format_4(mirror.state));
    assert_string_equal(state_join_token_of(mirror.state, secret)->name, "h1");
    assert_string_equal(state_join_token_of(mirror.state, other)->name, "h2");
    assert_null(state_join_token_of(mirror.state, key));
    assert_int_equal(
        state_join_token_named(mirror.state, text_of("h1"))->expire_ms, 77);
    assert_int_equal(state_counts(mirror.state)->join_tokens, 2);
    check_all(&mirror);
    delete (&mirror, "h1");
    assert_null(state_join_token_of(mirror.state, secret));
    assert_null(state_join_token_named(mirror.state, text_of("h1")));
    set(&mirror, "h3", secret, NULL);
    check_all(&mirror);
    mirror_close(&mirror);
}

static void a_used_token_says_when_and_by_whom(void **unused)
{
    struct mirror mirror;
    const struct join_token *token;
    uint64_t revision;

    (void)unused;
    begin(&mirror);
    revision = state_revision(mirror.state);
    set(&mirror, "h1", secret, NULL);
    token = state_join_token_of(mirror.state, secret);
    assert_int_equal(token->used_ms, 0);
    set(&mirror, "h1", secret, key);
    token = state_join_token_of(mirror.state, secret);
    assert_int_equal(token->used_ms, state_time_ms(mirror.state));
    assert_memory_equal(token->key_digest, key, SECRET_HASH_BYTES);
    /* Watches are told nothing of it. */
    assert_int_equal(state_revision(mirror.state), revision);
    check_all(&mirror);
    mirror_close(&mirror);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_found_by_its_host_and_by_all_of_its_hash),
        cmocka_unit_test(a_used_token_says_when_and_by_whom),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
