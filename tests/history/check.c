/* SPDX-License-Identifier: Apache-2.0
 *
 * The whole history: one VM after the other, and one order for all. */
#include "base/check.h"
#include "base/memory.h"
#include "tests/history/history.h"
#include "tests/history/search.h"

#include <stdlib.h>
#include <string.h>

typedef Holdfast__History__V1__Operation operation_t;

/* Stories told; there is more where these come from. */
#define STORIES_MAX 5

static int compare_vms(const void *a, const void *b)
{
    const operation_t *left = *(operation_t *const *)a;
    const operation_t *right = *(operation_t *const *)b;

    return strcmp(left->vm, right->vm);
}

static int compare_numbers(uint64_t left, uint64_t right)
{
    return left < right ? -1 : left > right;
}

static int compare_ats(const void *a, const void *b)
{
    const operation_t *left = *(operation_t *const *)a;
    const operation_t *right = *(operation_t *const *)b;

    return compare_numbers(left->at, right->at);
}

static int compare_ends(const void *a, const void *b)
{
    const operation_t *left = *(operation_t *const *)a;
    const operation_t *right = *(operation_t *const *)b;

    return compare_numbers(left->end_us, right->end_us);
}

static int compare_begins(const void *a, const void *b)
{
    const operation_t *left = *(operation_t *const *)a;
    const operation_t *right = *(operation_t *const *)b;

    return compare_numbers(left->begin_us, right->begin_us);
}

static int compare_uids(const void *a, const void *b)
{
    const operation_t *left = *(operation_t *const *)a;
    const operation_t *right = *(operation_t *const *)b;

    return compare_numbers(left->uid, right->uid);
}

static void wrong(struct history_result *result, const char *what,
                  const operation_t *first, const operation_t *second)
{
    result->verdict = HISTORY_WRONG;
    bytes_append(&result->story, what, strlen(what));
    bytes_append_u8(&result->story, '\n');
    search_tell(first, &result->story);
    search_tell(second, &result->story);
}

/* Changes surely make a revision of their own; start, stop and delete may come
 * upon what is so already. */
static bool surely_changes(const operation_t *operation)
{
    return operation->kind ==
               HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE ||
           operation->kind ==
               HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_UPDATE ||
           operation->kind ==
               HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_MOVE;
}

/* What ended before another began has not the higher revision. */
static void check_real_time(operation_t **told, size_t count,
                            struct history_result *result)
{
    operation_t **begins = memory_copy(told, count * sizeof(*told));
    const operation_t *highest = NULL;
    size_t ended = 0;

    qsort(told, count, sizeof(*told), (compare_ends));
    qsort(begins, count, sizeof(*begins), compare_begins);
    for (size_t i = 0; i < count; i++) {
        const operation_t *one = begins[i];

        while (ended < count && told[ended]->end_us < one->begin_us) {
            if (highest == NULL || told[ended]->at > highest->at) {
                highest = told[ended];
            }
            ended++;
        }
        if (highest != NULL &&
            (one->at < highest->at ||
             (one->at == highest->at && surely_changes(one)))) {
            wrong(result,
                  "the first had ended at its revision before the second "
                  "began, whose is not later:",
                  highest, one);
            break;
        }
    }
    free(begins);
}

static void check_revisions(const struct history *history,
                            struct history_result *result)
{
    operation_t **told = memory_alloc_array(history->count + 1, sizeof(*told));
    const operation_t *before = NULL;
    size_t count = 0;

    for (size_t i = 0; i < history->count; i++) {
        if (history->operations[i]->at != 0) {
            told[count++] = history->operations[i];
        }
    }
    if (count > 0) {
        check_real_time(told, count, result);
        qsort(told, count, sizeof(*told), compare_ats);
    }
    for (size_t i = 0; i < count; i++) {
        if (!surely_changes(told[i])) {
            continue;
        }
        if (before != NULL && before->at == told[i]->at) {
            wrong(result, "two changes took effect at one revision:", before,
                  told[i]);
            break;
        }
        before = told[i];
    }
    free(told);
}

/* No uid is given twice, whatever the names. */
static void check_uids(const struct history *history,
                       struct history_result *result)
{
    operation_t **created =
        memory_alloc_array(history->count + 1, sizeof(*created));
    size_t count = 0;

    for (size_t i = 0; i < history->count; i++) {
        operation_t *one = history->operations[i];

        if (one->kind ==
                HOLDFAST__HISTORY__V1__OPERATION_KIND__OPERATION_KIND_CREATE &&
            one->uid != 0) {
            created[count++] = one;
        }
    }
    qsort(created, count, sizeof(*created), compare_uids);
    for (size_t i = 1; i < count; i++) {
        if (created[i]->uid == created[i - 1]->uid) {
            wrong(result, "two VMs have one uid:", created[i - 1], created[i]);
            break;
        }
    }
    free(created);
}

static void check_vms(const struct history *history,
                      struct history_result *result)
{
    operation_t **sorted =
        memory_alloc_array(history->count + 1, sizeof(*sorted));
    size_t stories = 0;
    size_t end;

    if (history->count > 0) {
        memcpy(sorted, history->operations, history->count * sizeof(*sorted));
        qsort(sorted, history->count, sizeof(*sorted), compare_vms);
    }
    for (size_t begin = 0; begin < history->count; begin = end) {
        struct bytes story;
        enum history_verdict verdict;

        for (end = begin + 1; end < history->count &&
                              strcmp(sorted[end]->vm, sorted[begin]->vm) == 0;
             end++) {
        }
        bytes_init(&story);
        verdict = search_vm(sorted + begin, end - begin, &story);
        result->vms++;
        result->undecided += verdict == HISTORY_UNDECIDED;
        if (verdict == HISTORY_WRONG ||
            (verdict == HISTORY_UNDECIDED && result->verdict == HISTORY_GOOD)) {
            result->verdict = verdict;
        }
        if (verdict != HISTORY_GOOD && stories++ < STORIES_MAX) {
            bytes_append(&result->story, story.data, story.len);
        }
        bytes_close(&story);
    }
    free(sorted);
}

void history_check(const struct history *history, struct history_result *result)
{
    *result = (struct history_result){.verdict = HISTORY_GOOD};
    bytes_init(&result->story);
    for (size_t i = 0; i < history->count; i++) {
        result->unknown += history->operations[i]->outcome ==
                           HOLDFAST__HISTORY__V1__OUTCOME__OUTCOME_UNKNOWN;
    }
    check_vms(history, result);
    check_revisions(history, result);
    check_uids(history, result);
}
