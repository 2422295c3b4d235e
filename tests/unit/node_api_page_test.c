/* SPDX-License-Identifier: Apache-2.0
 *
 * The pages of a list are of one revision, or the list can only begin again. */
#include "node/api_check.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void vm(struct desk *desk, const char *name)
{
    char yaml[256];

    snprintf(yaml, sizeof(yaml),
             "vm: {name: %s, class_name: small, desired: stopped, "
             "template: {driver: exec, command: [/bin/true]}}",
             name);
    desk_ok(desk, "CreateVm", yaml);
}

/* A page of ListVms; `token` becomes that of the next. */
static void page(struct desk *desk, char *token, size_t size)
{
    char yaml[256];
    const char *found;

    snprintf(yaml, sizeof(yaml), "{page_size: 2, page_token: '%s'}", token);
    desk_ok(desk, "ListVms", yaml);
    found = strstr((const char *)desk->json.data, "next_page_token");
    assert_non_null(found);
    found += strlen("next_page_token\":\"");
    snprintf(token, size, "%.*s", (int)strcspn(found, "\""), found);
}

static void expired(struct desk *desk, const char *token)
{
    char yaml[256];

    snprintf(yaml, sizeof(yaml), "{page_size: 2, page_token: '%s'}", token);
    desk_refused(desk, "ListVms", yaml, "PAGE_EXPIRED", "first page");
}

static struct desk *opened(void)
{
    struct desk *desk = desk_create();

    vm(desk, "a");
    vm(desk, "b");
    vm(desk, "c");
    vm(desk, "d");
    return desk;
}

static void what_changes_meanwhile_is_not_seen(void **unused)
{
    struct desk *desk = opened();
    uint64_t revision = state_revision(desk->state);
    char token[64] = "";
    char says[64];

    (void)unused;
    page(desk, token, sizeof(token));
    desk_says(desk, "\"a\"");
    desk_ok(desk, "DeleteVm", "name: c");
    desk_ok(desk, "UpdateVm",
            "vm: {name: d, priority: 9}\nupdate_mask: [priority]");
    vm(desk, "e");
    page(desk, token, sizeof(token));
    desk_says(desk, "\"c\"");
    desk_says(desk, "\"priority\":0");
    desk_says_not(desk, "\"e\"");
    snprintf(says, sizeof(says), "\"revision\":\"%llu\"",
             (unsigned long long)revision);
    desk_says(desk, says);
    assert_string_equal(token, "");
    assert_int_equal(desk->pages.count, 1);
    desk_destroy(desk);
}

/* A new leader has kept nothing, and needs nothing while nothing changed. */
static void a_list_goes_on_at_a_node_that_kept_nothing(void **unused)
{
    struct desk *desk = opened();
    char token[64] = "";

    (void)unused;
    page(desk, token, sizeof(token));
    page_book_close(&desk->pages);
    page(desk, token, sizeof(token));
    desk_says(desk, "\"c\"");
    desk_destroy(desk);
}

static void a_list_of_which_nothing_was_kept_begins_again(void **unused)
{
    struct desk *desk = opened();
    char token[64] = "";

    (void)unused;
    page(desk, token, sizeof(token));
    page_book_close(&desk->pages);
    vm(desk, "e");
    expired(desk, token);
    desk_destroy(desk);
}

static void a_list_that_rests_is_given_up(void **unused)
{
    struct desk *desk = opened();
    char token[64] = "";
    char first[64];

    (void)unused;
    page(desk, token, sizeof(token));
    vm(desk, "e");
    for (int i = 0; i < 3; i++) { /* Each use keeps it. */
        desk->now_ms += PAGE_PIN_IDLE_MS - 10;
        snprintf(first, sizeof(first), "%s", token);
        page(desk, first, sizeof(first));
    }
    desk->now_ms += PAGE_PIN_IDLE_MS + 1;
    expired(desk, token);
    assert_int_equal(desk->pages.count, 0);
    desk_destroy(desk);
}

static void no_list_goes_on_for_ever(void **unused)
{
    struct desk *desk = opened();
    uint64_t began_ms = desk->now_ms;
    char token[64] = "";
    char first[64];

    (void)unused;
    page(desk, token, sizeof(token));
    vm(desk, "e");
    while (desk->now_ms + 10000 - began_ms < PAGE_PIN_AGE_MS_MAX) {
        desk->now_ms += 10000;
        snprintf(first, sizeof(first), "%s", token);
        page(desk, first, sizeof(first));
    }
    desk->now_ms += 20000;
    expired(desk, token);
    desk_destroy(desk);
}

static void the_idlest_list_makes_room(void **unused)
{
    struct desk *desk = opened();
    char tokens[PAGE_PINS_MAX + 1][64];
    char name[16];
    char used[64];

    (void)unused;
    for (int i = 0; i <= PAGE_PINS_MAX; i++) {
        desk->now_ms++;
        tokens[i][0] = '\0';
        if (i == PAGE_PINS_MAX) { /* The first goes on, the second not. */
            snprintf(used, sizeof(used), "%s", tokens[0]);
            page(desk, used, sizeof(used));
        }
        page(desk, tokens[i], sizeof(tokens[i]));
        snprintf(name, sizeof(name), "vm-%d", i);
        vm(desk, name);
    }
    assert_int_equal(desk->pages.count, PAGE_PINS_MAX);
    expired(desk, tokens[1]);
    page(desk, tokens[0], sizeof(tokens[0]));
    page(desk, tokens[2], sizeof(tokens[2]));
    desk_destroy(desk);
}

static void grants_change_without_a_revision(void **unused)
{
    struct desk *desk = desk_create();
    char yaml[128];
    const char *token;

    (void)unused;
    desk_ok(desk, "CreateGrant",
            "grant: {name: root, subject_kind: client, client: root, "
            "role: admin}");
    desk_ok(desk, "CreateGrant",
            "grant: {name: b, subject_kind: client, client: b, role: viewer}");
    desk_ok(desk, "ListGrants", "page_size: 1");
    token = strstr((const char *)desk->json.data, "next_page_token");
    assert_non_null(token);
    token += strlen("next_page_token\":\"");
    snprintf(yaml, sizeof(yaml), "{page_size: 1, page_token: '%.*s'}",
             (int)strcspn(token, "\""), token);
    desk_ok(desk, "DeleteGrant", "name: b");
    desk_ok(desk, "ListGrants", yaml);
    desk_says(desk, "\"name\":\"b\"");
    page_book_close(&desk->pages);
    desk_refused(desk, "ListGrants", yaml, "PAGE_EXPIRED", "first page");
    desk_destroy(desk);
}

static void tokens_that_no_list_gave_are_refused(void **unused)
{
    static const char *const tokens[] = {"x",
                                         "1",
                                         "1.2",
                                         "1.2.",
                                         ".2.3",
                                         "1.2.3.",
                                         "1.2.-3",
                                         "1.2.4294967295",
                                         " 1.2.3",
                                         "1.2.3 ",
                                         "111111111111111111111.2.3"};
    struct desk *desk = opened();
    char yaml[128];

    (void)unused;
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        snprintf(yaml, sizeof(yaml), "page_token: '%s'", tokens[i]);
        desk_refused(desk, "ListVms", yaml, "INVALID_FIELD", "page_token");
    }
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_changes_meanwhile_is_not_seen),
        cmocka_unit_test(a_list_goes_on_at_a_node_that_kept_nothing),
        cmocka_unit_test(a_list_of_which_nothing_was_kept_begins_again),
        cmocka_unit_test(a_list_that_rests_is_given_up),
        cmocka_unit_test(no_list_goes_on_for_ever),
        cmocka_unit_test(the_idlest_list_makes_room),
        cmocka_unit_test(grants_change_without_a_revision),
        cmocka_unit_test(tokens_that_no_list_gave_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
