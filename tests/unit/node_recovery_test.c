/* SPDX-License-Identifier: Apache-2.0
 *
 * When a survivor may go on alone, and when not. */
#include "node/recovery.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct recover_position position;
static struct recovery_claim claim;
static char dead_text[64];
static char survivor_text[4][32];

/* n1 to nN are voters; this node's last entry is 100 of term 5. */
static int region(size_t voters)
{
    memset(&claim, 0, sizeof(claim));
    memset(&position, 0, sizeof(position));
    members_init(&position.members);
    position.last_term = 5;
    position.last_index = 100;
    for (size_t i = 0; i < voters; i++) {
        struct member *member =
            &position.members.items[position.members.count++];

        *member = (struct member){.id = i + 1, .role = REPLICA_VOTER};
        (void)snprintf(member->name, sizeof(member->name), "n%zu", i + 1);
    }
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return region(3);
}

static void dead(const char *names)
{
    (void)snprintf(dead_text, sizeof(dead_text), "%s", names);
    assert_true(recovery_read_dead(&claim, dead_text));
}

static void survives(const char *text)
{
    char *copy = survivor_text[claim.survivor_count];

    (void)snprintf(copy, sizeof(survivor_text[0]), "%s", text);
    assert_true(recovery_read_survivor(&claim, copy));
}

static void right(uint64_t self)
{
    char why[512] = "";

    if (!recovery_is_right(&position, self, &claim, why, sizeof(why))) {
        fail_msg("refused: %s", why);
    }
}

static void wrong(uint64_t self, const char *words)
{
    char why[512] = "";

    assert_false(recovery_is_right(&position, self, &claim, why, sizeof(why)));
    if (strstr(why, words) == NULL) {
        fail_msg("'%s' is not in: %s", words, why);
    }
}

static void all_others_dead_is_right(void **state)
{
    (void)state;
    dead("n2,n3\n");
    right(1);
    wrong(2, "'n2'"); /* It is that one itself. */
}

static void each_other_member_needs_a_word(void **state)
{
    (void)state;
    wrong(1, "n2");
    dead("n2");
    wrong(1, "nothing is said of n3");
}

static void names_must_be_members(void **state)
{
    (void)state;
    dead("n2, n3, n4");
    wrong(1, "'n4'");
}

static void nobody_is_dead_and_alive(void **state)
{
    (void)state;
    dead("n2,n3");
    survives("n3=1/1");
    wrong(1, "'n3'");
}

static void a_majority_loses_nothing(void **state)
{
    (void)state;
    dead("n2");
    survives("n3=5/100");
    wrong(1, "2 of 3 voters survive");
}

static void the_newest_log_goes_on(void **state)
{
    static const struct {
        const char *other;
        bool ahead;
    } rows[] = {
        {"n5=5/100", false}, {"n5=5/99", false}, {"n5=4/900", false},
        {"n5=5/101", true},  {"n5=6/1", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        region(5);
        dead("n2,n3,n4");
        survives(rows[i].other);
        if (rows[i].ahead) {
            wrong(1, "n5 is ahead");
        } else {
            right(1);
        }
    }
}

static void a_standby_may_lack_what_counted(void **state)
{
    (void)state;
    position.members.items[0].role = REPLICA_STANDBY;
    dead("n2,n3");
    wrong(1, "no voter");
    wrong(9, "no voter");
}

static void positions_are_numbers(void **state)
{
    static const char *const bad[] = {"n2",    "=1/2",  "n2=",    "n2=1",
                                      "n2=1/", "n2=/2", "n2=a/1", "n2=1/2x"};

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char text[32];

        (void)snprintf(text, sizeof(text), "%s", bad[i]);
        assert_false(recovery_read_survivor(&claim, text));
    }
    assert_int_equal(claim.survivor_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(all_others_dead_is_right, setup),
        cmocka_unit_test_setup(each_other_member_needs_a_word, setup),
        cmocka_unit_test_setup(names_must_be_members, setup),
        cmocka_unit_test_setup(nobody_is_dead_and_alive, setup),
        cmocka_unit_test_setup(a_majority_loses_nothing, setup),
        cmocka_unit_test_setup(the_newest_log_goes_on, setup),
        cmocka_unit_test_setup(a_standby_may_lack_what_counted, setup),
        cmocka_unit_test_setup(positions_are_numbers, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
