/* SPDX-License-Identifier: Apache-2.0
 *
 * Which word is meant by a mistyped one. */
#include "base/container.h"
#include "base/similar.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *pick(const char *wanted)
{
    static const char *const words[] = {"cordon", "uncordon", "create",
                                        "delete", "list",     "show"};
    struct similar similar;

    similar_init(&similar, wanted);
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        similar_offer(&similar, words[i]);
    }
    return similar.best;
}

static void the_nearest_word_is_found(void **unused)
{
    static const struct {
        const char *typed;
        const char *meant;
    } rows[] = {
        {"lsit", "list"},
        {"creat", "create"},
        {"delet", "delete"},
        {"del", "delete"},
        {"uncordno", "uncordon"},
        {"sho", "show"},
        {"cordn", "cordon"},
        {"crd", NULL},
        {"x", NULL},
        {"", NULL},
        {"migrate", NULL},
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *meant = pick(rows[i].typed);

        if (rows[i].meant == NULL) {
            assert_null(meant);
        } else {
            assert_non_null(meant);
            assert_string_equal(meant, rows[i].meant);
        }
    }
}

static void very_long_words_match_nothing(void **unused)
{
    char word[200];

    (void)unused;
    memset(word, 'a', sizeof(word) - 1);
    word[sizeof(word) - 1] = '\0';
    assert_null(pick(word));
    word[63] = '\0';
    assert_null(pick(word));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nearest_word_is_found),
        cmocka_unit_test(very_long_words_match_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
