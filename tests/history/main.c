/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads histories and says whether they can be. */
#include "base/check.h"
#include "base/memory.h"
#include "tests/history/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_WRONG     1
#define EXIT_USAGE     2
#define EXIT_UNDECIDED 3

static bool read_file(const char *path, struct bytes *text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
    size_t count = 1;
    bool good;

    if (file == NULL) {
        return false;
    }
    while (count > 0) {
        count = fread(bytes_reserve(text, 65536), 1, 65536, file);
        text->len += count;
    }
    good = !ferror(file);
    if (file != stdin) {
        (void)fclose(file);
    }
    return good;
}

static int check_file(const char *path)
{
    static const char *const words[] = {
        [HISTORY_GOOD] = "linearizable",
        [HISTORY_WRONG] = "NOT LINEARIZABLE",
        [HISTORY_UNDECIDED] = "undecided",
    };
    static const int codes[] = {
        [HISTORY_GOOD] = 0,
        [HISTORY_WRONG] = EXIT_WRONG,
        [HISTORY_UNDECIDED] = EXIT_UNDECIDED,
    };
    struct history history;
    struct history_result result;
    struct text_error error;
    struct bytes text;
    int code = EXIT_USAGE;

    bytes_init(&text);
    history_init(&history);
    if (!read_file(path, &text)) {
        (void)fprintf(stderr, "%s: cannot be read: %m\n", path);
    } else if (history_read(&history, path, (const char *)text.data, text.len,
                            &error) != 0) {
        (void)fprintf(stderr, "%s\n", error.text);
    } else {
        history_check(&history, &result);
        printf("%.*s", (int)result.story.len,
               result.story.len == 0 ? "" : (const char *)result.story.data);
        printf("%s: %zu operations on %zu VMs, %zu of unknown outcome: %s\n",
               path, history.count, result.vms, result.unknown,
               words[result.verdict]);
        code = codes[result.verdict];
        bytes_close(&result.story);
    }
    history_close(&history);
    bytes_close(&text);
    return code;
}

int main(int argc, char **argv)
{
    int worst = 0;

    if (argc < 2 || argv[1][0] == '\0' ||
        (argv[1][0] == '-' && argv[1][1] != '\0')) {
        (void)fprintf(
            stderr,
            "usage: %s FILE...\n"
            "Checks histories of what clients asked and were told, JSON lines "
            "as in tests/history/history.proto;\n- is standard input. Exits "
            "with 0: all are linearizable, 1: one is not, 2: one cannot be "
            "read,\n3: one could not be decided.\n",
            argv[0]);
        return EXIT_USAGE;
    }
    for (int i = 1; i < argc; i++) {
        int code = check_file(argv[i]);

        /* A broken history outweighs all else. */
        if (worst != EXIT_WRONG && (code == EXIT_WRONG || code > worst)) {
            worst = code;
        }
    }
    return worst;
}
