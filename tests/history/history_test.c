/* SPDX-License-Identifier: Apache-2.0
 *
 * Histories known to be good and known to be bad; and the search beside trying
 * all orders, on random histories of a small store with concurrent clients. */
#include "base/check.h"
#include "base/error.h"
#include "base/random.h"
#include "tests/history/history.h"
#include "tests/history/search.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef Holdfast__History__V1__Operation operation_t;

/* A history is written as lines of: times, what, answer. */
struct line {
    unsigned begin;
    unsigned end; /* 0: the outcome is unknown. */
    const char *rest;
};

#define CREATE \
    "kind: create, vm: a, outcome: ok, uid: 1, revision: 5, at: 5, value: x"
#define STOPPED CREATE ", desired: stopped"
#define UPDATE \
    "kind: update, vm: a, outcome: ok, uid: 1, revision: 7, at: 7, value: y"
#define DELETE "kind: delete, vm: a, outcome: ok, uid: 1, revision: 5, at: 9"
#define GET_X \
    "kind: get, vm: a, outcome: ok, uid: 1, revision: 5, at: 6, value: x"
#define GET_Y \
    "kind: get, vm: a, outcome: ok, uid: 1, revision: 7, at: 8, value: y"
#define GET_NONE "kind: get, vm: a, outcome: refused, code: NOT_FOUND"
#define LOST     ", outcome: unknown"

static int read_lines(struct history *history, const struct line *lines,
                      size_t count, struct text_error *error)
{
    char text[16384];
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        char times[64];

        (void)snprintf(times, sizeof(times),
                       lines[i].end == 0 ? "begin_us: %u"
                                         : "begin_us: %u, end_us: %u",
                       lines[i].begin, lines[i].end);
        len += (size_t)snprintf(text + len, sizeof(text) - len, "{%s, %s}\n",
                                times, lines[i].rest);
        assert_true(len < sizeof(text));
    }
    return history_read(history, "test", text, len, error);
}

static enum history_verdict verdict_of(const struct line *lines, size_t count)
{
    struct history history;
    struct history_result result;
    struct text_error error;
    enum history_verdict verdict;

    history_init(&history);
    if (read_lines(&history, lines, count, &error) != 0) {
        fail_msg("%s", error.text);
    }
    history_check(&history, &result);
    verdict = result.verdict;
    /* Who is told that something is wrong is told what. */
    assert_int_equal(verdict != HISTORY_GOOD, result.story.len > 0);
    bytes_close(&result.story);
    history_close(&history);
    return verdict;
}

#define assert_good(lines)                                                  \
    assert_int_equal(verdict_of((lines), sizeof(lines) / sizeof(*(lines))), \
                     HISTORY_GOOD)
#define assert_wrong(lines)                                                 \
    assert_int_equal(verdict_of((lines), sizeof(lines) / sizeof(*(lines))), \
                     HISTORY_WRONG)

static void a_life_is_good(void **unused)
{
    const struct line life[] = {
        {1, 2, GET_NONE},
        {3, 4, STOPPED},
        {5, 6, GET_X},
        {7, 8, "kind: create, vm: a, outcome: refused, code: ALREADY_EXISTS"},
        {9, 10, UPDATE ", expect_revision: 5"},
        {11, 12,
         "kind: update, vm: a, outcome: refused, code: ABORTED, "
         "expect_revision: 5"},
        {13, 14, GET_Y},
        {15, 16,
         "kind: delete, vm: a, outcome: ok, uid: 1, revision: 7, at: 9"},
        {17, 18, GET_NONE},
        {19, 20, "kind: delete, vm: a, outcome: refused, code: NOT_FOUND"},
        {21, 22,
         "kind: create, vm: a, outcome: ok, uid: 2, revision: 10, at: 10, "
         "desired: stopped"},
    };

    (void)unused;
    assert_good(life);
}

static void a_stale_read_is_wrong(void **unused)
{
    const struct line overlapping[] = {
        {1, 2, STOPPED}, {3, 9, UPDATE}, {4, 5, GET_X}, {6, 7, GET_Y}};
    const struct line stale[] = {
        {1, 2, STOPPED}, {3, 4, UPDATE}, {5, 6, GET_X}};
    const struct line back[] = {
        {1, 2, STOPPED}, {3, 9, UPDATE}, {4, 5, GET_Y}, {6, 7, GET_X}};
    /* Without the region's revisions, by the search alone. */
    const struct line blind[] = {
        {1, 2,
         "kind: create, vm: a, outcome: ok, uid: 1, revision: 5, value: x"},
        {3, 9,
         "kind: update, vm: a, outcome: ok, uid: 1, revision: 7, value: y"},
        {4, 5, "kind: get, vm: a, outcome: ok, uid: 1, revision: 7, value: y"},
        {6, 7, "kind: get, vm: a, outcome: ok, uid: 1, revision: 6, value: x"}};
    const struct line gone[] = {{1, 2, CREATE}, {3, 4, GET_NONE}};
    const struct line never[] = {{1, 2, GET_X}};

    (void)unused;
    assert_good(overlapping);
    assert_wrong(stale);
    assert_wrong(back);
    assert_wrong(blind);
    assert_wrong(gone);
    assert_wrong(never);
}

static void a_lost_write_is_wrong(void **unused)
{
    const struct line update[] = {
        {1, 2, CREATE},
        {3, 4, UPDATE},
        {5, 6, "kind: get, vm: a, outcome: ok, uid: 1, revision: 9, value: x"}};
    const struct line deleted[] = {
        {1, 2, CREATE},
        {3, 4, DELETE},
        {5, 6, "kind: get, vm: a, outcome: ok, uid: 1, revision: 9, value: x"}};
    const struct line taken[] = {
        {1, 2, GET_NONE},
        {3, 4, "kind: create, vm: a, outcome: refused, code: ALREADY_EXISTS"}};
    const struct line stop[] = {
        {1, 2, CREATE ", desired: running"},
        {3, 4, "kind: stop, vm: a, outcome: ok, uid: 1, revision: 6"},
        {5, 6,
         "kind: get, vm: a, outcome: ok, uid: 1, revision: 7, desired: "
         "running"}};

    (void)unused;
    assert_wrong(update);
    assert_wrong(deleted);
    assert_wrong(taken);
    assert_wrong(stop);
}

static void a_refused_write_has_no_effect(void **unused)
{
    const struct line effect[] = {
        {1, 2, STOPPED},
        {3, 4,
         "kind: update, vm: a, outcome: refused, code: ABORTED, "
         "expect_revision: 4, value: y"},
        {5, 6, GET_Y}};
    const struct line wrongly[] = {
        {1, 2, STOPPED},
        {3, 4,
         "kind: update, vm: a, outcome: refused, code: ABORTED, "
         "expect_revision: 5, value: y"}};
    const struct line other[] = {
        {1, 2, STOPPED},
        {3, 4,
         "kind: move, vm: a, outcome: refused, code: NOT_FOUND, reason: "
         "ZONE_NOT_FOUND"},
        {5, 6, GET_X}};

    (void)unused;
    assert_wrong(effect);
    assert_wrong(wrongly);
    assert_good(other);
}

static void compare_and_set_has_one_winner(void **unused)
{
    const char *second =
        "kind: update, vm: a, outcome: ok, uid: 1, revision: 8, at: 8, value: "
        "z, expect_revision: 5";
    const struct line both[] = {
        {1, 2, STOPPED}, {3, 9, UPDATE ", expect_revision: 5"}, {3, 9, second}};
    const struct line running[] = {
        {1, 2, CREATE}, {3, 9, UPDATE ", expect_revision: 5"}, {3, 9, second}};
    /* Of a VM that never ran nobody else raises the revision. */
    const struct line one[] = {
        {1, 2, STOPPED},
        {3, 9, UPDATE ", expect_revision: 5"},
        {3, 9,
         "kind: update, vm: a, outcome: refused, code: ABORTED, value: z, "
         "expect_revision: 5"}};

    (void)unused;
    assert_wrong(both);
    assert_wrong(running);
    assert_good(one);
}

static void unknown_outcomes_may_be_either(void **unused)
{
    const struct line early[] = {{1, 2, CREATE},
                                 {3, 0, "kind: update, vm: a, value: y" LOST},
                                 {4, 5, GET_Y},
                                 {6, 7, GET_Y}};
    const struct line late[] = {{1, 2, CREATE},
                                {3, 0, "kind: update, vm: a, value: y" LOST},
                                {4, 5, GET_X},
                                {40, 50, GET_Y}};
    const struct line never[] = {{1, 2, CREATE},
                                 {3, 0, "kind: update, vm: a, value: y" LOST},
                                 {4, 5, GET_X},
                                 {40, 50, GET_X}};
    const struct line taken_back[] = {
        {1, 2, CREATE},
        {3, 0, "kind: update, vm: a, value: y" LOST},
        {4, 5, GET_Y},
        {6, 7, "kind: get, vm: a, outcome: ok, uid: 1, revision: 9, value: x"}};
    const struct line before[] = {{1, 2, CREATE},
                                  {3, 4, GET_Y},
                                  {5, 0, "kind: update, vm: a, value: y" LOST}};
    const struct line learned[] = {
        {1, 0, "kind: create, vm: a, value: x" LOST},
        {3, 4, GET_X},
        {5, 6, "kind: get, vm: a, outcome: ok, uid: 3, revision: 6, value: x"}};

    (void)unused;
    assert_good(early);
    assert_good(late);
    assert_good(never);
    assert_wrong(taken_back);
    assert_wrong(before);
    assert_wrong(learned);
}

static void a_delete_may_take_its_time_but_is_final(void **unused)
{
    const char *still =
        "kind: get, vm: a, outcome: ok, uid: 1, revision: 9, deleting: true";
    const struct line slow[] = {
        {1, 2, CREATE},
        {3, 4, DELETE},
        {5, 6, still},
        {7, 8,
         "kind: update, vm: a, outcome: refused, code: FAILED_PRECONDITION, "
         "reason: VM_DELETING"},
        {9, 10, "kind: create, vm: a, outcome: refused, code: ALREADY_EXISTS"},
        {11, 12, GET_NONE},
        {13, 14,
         "kind: create, vm: a, outcome: ok, uid: 2, revision: 12, at: 12"}};
    const struct line returns[] = {
        {1, 2, CREATE}, {3, 4, DELETE}, {5, 6, GET_NONE}, {7, 8, still}};
    const struct line changes[] = {
        {1, 2, CREATE},
        {3, 4, DELETE},
        {5, 6,
         "kind: update, vm: a, outcome: ok, uid: 1, revision: 12, at: 12"}};
    const struct line not_yet[] = {{1, 2, CREATE}, {3, 4, still}};

    (void)unused;
    assert_good(slow);
    assert_wrong(returns);
    assert_wrong(changes);
    assert_wrong(not_yet);
}

static void all_vms_have_one_order(void **unused)
{
    const char *other =
        "kind: create, vm: b, outcome: ok, uid: 2, revision: 4, at: 4";
    const char *same =
        "kind: create, vm: b, outcome: ok, uid: 2, revision: 5, at: 5";
    const char *twin =
        "kind: create, vm: b, outcome: ok, uid: 1, revision: 6, at: 6";
    const struct line good[] = {{1, 5, CREATE}, {2, 3, other}};
    const struct line back[] = {{1, 2, CREATE}, {3, 4, other}};
    const struct line together[] = {{1, 5, CREATE}, {2, 3, same}};
    const struct line twins[] = {{1, 2, CREATE}, {3, 4, twin}};

    (void)unused;
    assert_good(good);
    assert_wrong(back);
    assert_wrong(together);
    assert_wrong(twins);
}

static void too_much_at_once_is_undecided(void **unused)
{
    static struct line lines[80];

    (void)unused;
    for (unsigned i = 0; i < 80; i++) {
        lines[i] =
            (struct line){i + 1, 0, "kind: update, vm: a, value: x" LOST};
    }
    assert_int_equal(verdict_of(lines, 60), HISTORY_GOOD);
    assert_int_equal(verdict_of(lines, 80), HISTORY_UNDECIDED);
}

static void problem_is(const char *rest, unsigned begin, unsigned end,
                       const char *words)
{
    struct line line = {begin, end, rest};
    struct history history;
    struct text_error error;

    history_init(&history);
    assert_int_equal(read_lines(&history, &line, 1, &error), HF_ERROR_INVALID);
    if (strstr(error.text, words) == NULL ||
        strncmp(error.text, "test:1: ", 8) != 0) {
        fail_msg("%s", error.text);
    }
    history_close(&history);
}

static void wrong_lines_are_refused_by_name(void **unused)
{
    (void)unused;
    problem_is("vm: a, outcome: ok", 1, 2, "kind: ");
    problem_is("kind: get, vm: a", 1, 2, "outcome: ");
    problem_is("kind: get, outcome: ok", 1, 2, "vm: ");
    problem_is(GET_X, 0, 2, "begin_us: ");
    problem_is(GET_X, 3, 2, "end_us: ");
    problem_is(GET_X, 3, 0, "end_us: ");
    problem_is("kind: get, vm: a" LOST, 3, 4, "end_us: ");
    problem_is("kind: get, vm: a, outcome: ok", 3, 4, "uid, revision: ");
    problem_is("kind: get, vm: a, outcome: refused", 3, 4, "code: ");
    problem_is(GET_NONE ", at: 4", 3, 4, "uid, revision, at: ");
    problem_is("kind: get, vm: a, outcome: ok, uid: 1, revision: 5, at: 4", 3,
               4, "at: ");
    problem_is(CREATE ", expect_revision: 4", 3, 4, "expect_revision: ");
    problem_is("kind: gett, vm: a", 1, 2, "kind: ");
    problem_is("kindd: get, vm: a", 1, 2, "kindd: ");
}

static void what_is_written_reads_the_same(void **unused)
{
    const struct line lines[] = {
        {1, 2, STOPPED}, {3, 4, GET_NONE}, {5, 0, "kind: delete, vm: a" LOST}};
    struct history history;
    struct history again;
    struct text_error error;
    struct bytes text;
    struct bytes second;

    (void)unused;
    history_init(&history);
    history_init(&again);
    bytes_init(&text);
    bytes_init(&second);
    assert_int_equal(read_lines(&history, lines, 3, &error), 0);
    for (size_t i = 0; i < history.count; i++) {
        history_write(history.operations[i], &text);
    }
    assert_int_equal(history_read(&again, "again", (const char *)text.data,
                                  text.len, &error),
                     0);
    assert_int_equal(again.count, 3);
    for (size_t i = 0; i < again.count; i++) {
        history_write(again.operations[i], &second);
    }
    assert_int_equal(text.len, second.len);
    assert_memory_equal(text.data, second.data, text.len);
    bytes_close(&text);
    bytes_close(&second);
    history_close(&history);
    history_close(&again);
}

/* --- Random histories ------------------------------------------------------
 */

#define RANDOM_OPERATIONS 7

struct random_history {
    operation_t operations[RANDOM_OPERATIONS];
    operation_t *order[RANDOM_OPERATIONS];
    char values[RANDOM_OPERATIONS][8];
    struct random *random;
};

static uint64_t below(struct random_history *history, uint64_t bound)
{
    return random_below(history->random, bound);
}

static void refuse(operation_t *one, const char *code)
{
    one->outcome = HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_REFUSED;
    one->code = (char *)(uintptr_t)code;
}

/* The store of which this is a history. */
struct store {
    bool there;
    uint64_t uids;
    uint64_t uid;
    uint64_t region;
    uint64_t revision;
    char *value;
};

static void answer(struct store *store, operation_t *one, bool tells_at)
{
    one->outcome = HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_OK;
    one->uid = store->uid;
    one->revision = store->revision;
    one->at = tells_at ? store->region : 0;
}

static void take_effect(struct store *store, operation_t *one, bool tells_at)
{
    int kind = (int)one->kind;

    if (kind == HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE) {
        if (store->there) {
            refuse(one, "ALREADY_EXISTS");
            return;
        }
        store->there = true;
        store->uid = ++store->uids;
        store->revision = ++store->region;
        store->value = one->value;
        answer(store, one, tells_at);
        return;
    }
    if (!store->there) {
        refuse(one, "NOT_FOUND");
        return;
    }
    if (one->expect_revision != 0 && one->expect_revision != store->revision) {
        refuse(one, "ABORTED");
        return;
    }
    if (kind == HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_UPDATE) {
        store->revision = ++store->region;
        store->value = one->value;
    } else if (kind ==
               HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_GET) {
        one->value = store->value;
    } else {
        store->there = false;
        store->region++;
    }
    answer(store, one, tells_at);
}

/* The time of each effect is its number; begin and end lie around it. */
static void make(struct random_history *history)
{
    static const int kinds[] = {
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE,
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE,
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_GET,
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_GET,
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_UPDATE,
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_UPDATE,
        HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_DELETE,
    };
    static char name[] = "a";
    static char stopped[] = "stopped";
    struct store store = {.region = 1};
    bool tells_at = below(history, 2) == 0;

    for (unsigned i = 0; i < RANDOM_OPERATIONS; i++) {
        operation_t *one = &history->operations[i];
        uint64_t moment = 100 + 10 * i;

        holdfast__history__v1__operation__init(one);
        history->order[i] = one;
        one->kind = (Holdfast__History__V1__OperationKind)
            kinds[below(history, sizeof(kinds) / sizeof(*kinds))];
        one->vm = name;
        one->begin_us = moment - below(history, 40);
        one->end_us = moment + below(history, 40);
        (void)snprintf(history->values[i], sizeof(history->values[i]), "v%u",
                       i % 100);
        if (one->kind ==
            (Holdfast__History__V1__OperationKind)
                HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE) {
            one->desired = stopped;
            one->value = history->values[i];
        } else if (
            one->kind ==
            (Holdfast__History__V1__OperationKind)
                HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_UPDATE) {
            one->value = history->values[i];
            one->expect_revision =
                below(history, 2) == 0 ? 0 : store.revision - below(history, 2);
        }
        take_effect(&store, one, tells_at);
        if (below(history, 8) == 0) {
            one->outcome = HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_UNKNOWN;
            one->end_us = 0;
            one->uid = one->revision = one->at = 0;
            one->code = (char *)(uintptr_t)protobuf_c_empty_string;
        }
    }
}

/* Something is told that may not be so. */
static void spoil(struct random_history *history)
{
    operation_t *one = &history->operations[below(history, RANDOM_OPERATIONS)];

    if (one->outcome == HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_OK) {
        switch (below(history, 4)) {
        case 0:
            one->revision += below(history, 3);
            break;
        case 1:
            one->value = history->values[below(history, RANDOM_OPERATIONS)];
            break;
        case 2:
            one->end_us = one->begin_us += 30 - below(history, 60);
            break;
        default:
            one->uid += 1;
            break;
        }
    } else if (one->outcome ==
               HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_REFUSED) {
        one->end_us = one->begin_us += 30 - below(history, 60);
    }
}

/* Tries all orders: what ended before another began stands before it. */
static bool try_all(operation_t *const *order, unsigned left,
                    const struct model *model)
{
    bool open = false;

    for (unsigned i = 0; i < RANDOM_OPERATIONS; i++) {
        bool first = true;

        if ((left >> i & 1) == 0 || !model_concerns(order[i])) {
            continue;
        }
        open = open || order[i]->outcome !=
                           HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_UNKNOWN;
        for (unsigned k = 0; k < RANDOM_OPERATIONS && first; k++) {
            first = (left >> k & 1) == 0 || order[k]->end_us == 0 ||
                    order[k]->end_us >= order[i]->begin_us ||
                    !model_concerns(order[k]);
        }
        if (first) {
            struct model after = *model;

            if (model_apply(&after, MODEL_STILL, order[i]) &&
                try_all(order, left & ~(1u << i), &after)) {
                return true;
            }
        }
    }
    return !open;
}

static bool has_create(const struct random_history *history)
{
    for (unsigned i = 0; i < RANDOM_OPERATIONS; i++) {
        if ((int)history->operations[i].kind ==
            HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE) {
            return true;
        }
    }
    return false;
}

static void the_search_is_as_good_as_trying_all_orders(void **unused)
{
    struct random random;
    struct random_history history = {.random = &random};
    unsigned wrong = 0;

    (void)unused;
    random_init(&random, 11);
    for (unsigned round = 0; round < 20000; round++) {
        struct model start = {0};
        struct bytes story;
        bool good;

        bytes_init(&story);
        make(&history);
        if (has_create(&history)) {
            assert_int_equal(
                search_vm(history.order, RANDOM_OPERATIONS, &story),
                HISTORY_GOOD);
            spoil(&history);
            good =
                try_all(history.order, (1u << RANDOM_OPERATIONS) - 1, &start);
            wrong += !good;
            assert_int_equal(
                search_vm(history.order, RANDOM_OPERATIONS, &story),
                good ? HISTORY_GOOD : HISTORY_WRONG);
        }
        bytes_close(&story);
    }
    /* What is compared must not be the same answer all the time. */
    assert_in_range(wrong, 4000, 16000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_life_is_good),
        cmocka_unit_test(a_stale_read_is_wrong),
        cmocka_unit_test(a_lost_write_is_wrong),
        cmocka_unit_test(a_refused_write_has_no_effect),
        cmocka_unit_test(compare_and_set_has_one_winner),
        cmocka_unit_test(unknown_outcomes_may_be_either),
        cmocka_unit_test(a_delete_may_take_its_time_but_is_final),
        cmocka_unit_test(all_vms_have_one_order),
        cmocka_unit_test(too_much_at_once_is_undecided),
        cmocka_unit_test(wrong_lines_are_refused_by_name),
        cmocka_unit_test(what_is_written_reads_the_same),
        cmocka_unit_test(the_search_is_as_good_as_trying_all_orders),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
