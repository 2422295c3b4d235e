/* SPDX-License-Identifier: Apache-2.0
 *
 * Tokens to join: whom they let in, once, and what they refuse. */
#include "base/container.h"
#include "support/desk.h"
#include "tls/csr.h"
#include "tls/pki_join.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <holdfast/v1/join_service.pb-c.h>

/* Of 32 times 'a', and as YAML writes bytes: base64. */
#define HASH "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="

static const struct access_subject bearer = {
    SUBJECT_BY_TOKEN, "", {0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61}};
static const struct access_subject stranger = {SUBJECT_BY_TOKEN, "", {7}};
static const struct access_subject anna = {SUBJECT_BY_CERTIFICATE, "anna", {0}};

static char directory[] = "/tmp/hf-join-XXXXXX";

static int make_directory(void **unused)
{
    (void)unused;
    return mkdtemp(directory) == NULL;
}

static int remove_directory(void **unused)
{
    static const char *const names[] = {"one.key", "two.key", "one.crt"};
    char path[64];

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)unlink(path);
    }
    return rmdir(directory);
}

/* A request with the key of that name, which is made when it is first used. */
static struct bytes csr_of(const char *name)
{
    struct bytes csr;
    char error[200];

    bytes_init(&csr);
    if (pki_join_begin(directory, name, &csr, error, sizeof(error)) != 0) {
        fail_msg("%s", error);
    }
    return csr;
}

static void join(struct desk *desk, const struct access_subject *who,
                 const char *host, const char *key)
{
    Holdfast__V1__JoinHostRequest request =
        HOLDFAST__V1__JOIN_HOST_REQUEST__INIT;
    struct bytes csr = csr_of(key);

    request.name = (char *)(uintptr_t)host;
    request.csr.data = csr.data;
    request.csr.len = csr.len;
    desk->caller = who;
    desk_send(desk, "JoinHost", &request.base);
    desk->caller = NULL;
    bytes_close(&csr);
}

static void joins(struct desk *desk, const char *host, const char *key)
{
    join(desk, &bearer, host, key);
    if (desk->reply.code != RPC_OK) {
        fail_msg("%s", desk->reply.message);
    }
}

static void is_refused(struct desk *desk, const char *words)
{
    assert_int_equal(desk->reply.code, RPC_UNAUTHENTICATED);
    assert_string_equal(desk->reply.reason, "JOIN_REFUSED");
    if (strstr(desk->reply.message, words) == NULL) {
        fail_msg("'%s' is not in %s", words, desk->reply.message);
    }
}

static struct desk *desk_with_token(void)
{
    struct desk *desk = desk_create();

    desk_ok(desk, "CreateJoinToken",
            "token: {name: h7, zone: z2, secret_sha256: " HASH "}");
    return desk;
}

static void a_token_lets_its_host_in_once(void **unused)
{
    struct desk *desk = desk_with_token();
    uint64_t hash;

    (void)unused;
    joins(desk, "h7", "one");
    desk_says(desk, "\"zone\":\"z2\"");
    /* The answer was lost: the same key gets its own, and nothing changes. */
    hash = state_hash(desk->state);
    joins(desk, "h7", "one");
    assert_true(state_hash(desk->state) == hash);
    join(desk, &bearer, "h7", "two");
    is_refused(desk, "used already");
    desk_ok(desk, "ListJoinTokens", "{}");
    desk_says_not(desk, "\"use_time_ms\":\"0\"");
    desk_says_not(desk, "YWFh");
    desk_destroy(desk);
}

static void what_is_not_the_hosts_token_is_refused(void **unused)
{
    struct desk *desk = desk_with_token();

    (void)unused;
    join(desk, &bearer, "h8", "one");
    is_refused(desk, "another host");
    join(desk, &stranger, "h7", "one");
    is_refused(desk, "no such token");
    join(desk, &anna, "h7", "one");
    is_refused(desk, "no such token");
    join(desk, NULL, "h7", "one");
    is_refused(desk, "no such token");
    desk_ok(desk, "DeleteJoinToken", "{name: h7}");
    join(desk, &bearer, "h7", "one");
    is_refused(desk, "deleted");
    desk_destroy(desk);
}

static void a_token_to_join_is_for_nothing_else(void **unused)
{
    struct desk *desk = desk_with_token();

    (void)unused;
    desk->caller = &bearer;
    desk_refused(desk, "ListVms", "{}", "TOKEN_UNKNOWN", "token");
    desk_refused(desk, "CordonHost", "{name: h1}", "TOKEN_UNKNOWN", "token");
    desk_destroy(desk);
}

static void a_token_expires_by_the_leaders_time(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateJoinToken",
            "{token: {name: h7, zone: z2, secret_sha256: " HASH
            "}, ttl_ms: 1000}");
    joins(desk, "h7", "one");
    desk->now_ms += 2000;
    join(desk, &bearer, "h7", "one");
    is_refused(desk, "expired");
    /* The next one for this host takes its place, and its secret. */
    desk_ok(desk, "CreateJoinToken",
            "token: {name: h7, zone: z1, secret_sha256: "
            "YmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmJiYmI=}");
    assert_int_equal(state_counts(desk->state)->join_tokens, 1);
    desk_destroy(desk);
}

static void a_request_that_is_none_uses_nothing(void **unused)
{
    struct desk *desk = desk_with_token();
    struct bytes csr = csr_of("one");
    uint8_t digest[DIGEST_BYTES];

    (void)unused;
    desk->caller = &bearer;
    desk_refused(desk, "JoinHost", "name: h7", "INVALID_FIELD", "csr");
    desk_refused(desk, "JoinHost", "{name: h7, csr: YWFhYWFh}", "INVALID_FIELD",
                 "csr");
    /* Every byte is under the signature, is checked, or says the same. */
    assert_true(csr_read(csr.data, csr.len, digest));
    for (size_t i = 0; i < csr.len; i++) {
        csr.data[i] ^= 1;
        assert_false(csr_read(csr.data, csr.len, digest));
        assert_false(csr_read(csr.data, i, digest));
        csr.data[i] ^= 1;
    }
    bytes_append_u8(&csr, 0);
    assert_false(csr_read(csr.data, csr.len, digest));
    bytes_close(&csr);
    joins(desk, "h7", "one");
    desk_destroy(desk);
}

static void tokens_are_checked_when_they_are_made(void **unused)
{
    struct desk *desk = desk_with_token();

    (void)unused;
    desk_refused(desk, "CreateJoinToken",
                 "token: {name: h7, zone: z1, secret_sha256: " HASH "}",
                 "NAME_TAKEN", "still good");
    desk_refused(desk, "CreateJoinToken",
                 "token: {name: h8, zone: z1, secret_sha256: " HASH "}",
                 "NAME_TAKEN", "secret");
    desk_refused(desk, "CreateJoinToken",
                 "token: {name: h8, zone: z9, secret_sha256: " HASH "}",
                 "ZONE_NOT_FOUND", "z9");
    desk_refused(desk, "CreateJoinToken", "token: {name: h8, zone: z1}",
                 "INVALID_FIELD", "32 bytes");
    desk_refused(desk, "CreateJoinToken",
                 "token: {name: H/8, zone: z1, secret_sha256: " HASH "}",
                 "INVALID_FIELD", "token.name");
    desk_refused(desk, "CreateJoinToken",
                 "{token: {name: h8, zone: z1, secret_sha256: " HASH
                 "}, ttl_ms: 10}",
                 "INVALID_FIELD", "ttl_ms");
    desk_refused(desk, "DeleteJoinToken", "name: h9", "JOIN_TOKEN_NOT_FOUND",
                 "h9");
    desk_destroy(desk);
}

static void all_of_it_is_audited_without_the_secret(void **unused)
{
    struct desk *desk = desk_with_token();

    (void)unused;
    joins(desk, "h7", "one");
    desk_ok(desk, "ListAuditRecords", "{object: join_token/h7}");
    desk_says(desk, "JoinService/CreateJoinToken");
    desk_says(desk, "\"caller\":\"join-token\"");
    desk_says(desk, "use_time_ms");
    desk_says_not(desk, "YWFh");
    desk_says_not(desk, "616161");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_lets_its_host_in_once),
        cmocka_unit_test(what_is_not_the_hosts_token_is_refused),
        cmocka_unit_test(a_token_to_join_is_for_nothing_else),
        cmocka_unit_test(a_token_expires_by_the_leaders_time),
        cmocka_unit_test(a_request_that_is_none_uses_nothing),
        cmocka_unit_test(tokens_are_checked_when_they_are_made),
        cmocka_unit_test(all_of_it_is_audited_without_the_secret),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
