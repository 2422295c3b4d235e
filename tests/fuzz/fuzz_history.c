/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a history. What is accepted must come out the same when it is
 * written and read again, and be given a verdict, with a story unless it is
 * good. */
#include "base/check.h"
#include "base/error.h"
#include "tests/history/history.h"

#include <string.h>

/* What is open at once can take a second to decide; not what is tried here. */
#define OPERATIONS_MAX 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(const struct history *history, struct bytes *text)
{
    for (size_t i = 0; i < history->count; i++) {
        history_write(history->operations[i], text);
    }
}

static void check_same(const struct history *history)
{
    struct history again;
    struct text_error error;
    struct bytes once;
    struct bytes twice;

    history_init(&again);
    bytes_init(&once);
    bytes_init(&twice);
    write_all(history, &once);
    if (history_read(&again, "again", (const char *)once.data, once.len,
                     &error) == 0) {
        write_all(&again, &twice);
        CHECK(once.len == twice.len &&
              (once.len == 0 || memcmp(once.data, twice.data, once.len) == 0));
    } else {
        /* Escapes make lines longer. */
        CHECK(strstr(error.text, "longer than") != NULL);
    }
    history_close(&again);
    bytes_close(&once);
    bytes_close(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct history history;
    struct text_error error;
    int result;

    history_init(&history);
    result = history_read(&history, "fuzz", (const char *)data, size, &error);
    CHECK(result == 0 || result == HF_ERROR_INVALID ||
          result == HF_ERROR_TOO_LARGE);
    if (result == 0) {
        check_same(&history);
        if (history.count <= OPERATIONS_MAX) {
            struct history_result verdict;

            history_check(&history, &verdict);
            CHECK((verdict.verdict == HISTORY_GOOD) ==
                  (verdict.story.len == 0));
            bytes_close(&verdict.story);
        }
    }
    history_close(&history);
    return 0;
}
