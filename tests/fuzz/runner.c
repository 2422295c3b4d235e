/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs a fuzz target without libFuzzer, so that every compiler and every test
 * run covers it: each file of a folder, then mutations of it by a seeded
 * generator. Not a search; the preset `fuzz` does that.
 *
 * usage: fuzz_x FOLDER [ROUNDS [SEED]] */
#include "base/bytes.h"
#include "base/check.h"
#include "base/memory.h"
#include "base/random.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS_DEFAULT 200

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_file(const char *path, struct bytes *content)
{
    FILE *file = fopen(path, "re");
    size_t count = 1;

    CHECK(file != NULL);
    while (count > 0) {
        count = fread(bytes_reserve(content, 4096), 1, 4096, file);
        content->len += count;
    }
    CHECK(!ferror(file));
    (void)fclose(file);
}

/* Given an exact allocation, so that a sanitizer sees a read past the end. */
static void run(const struct bytes *input)
{
    uint8_t *copy = memory_copy(input->data, input->len);

    (void)LLVMFuzzerTestOneInput(copy, input->len);
    free(copy);
}

static void mutate(struct bytes *input, struct random *random)
{
    uint64_t edits = 1 + random_below(random, 4);

    for (uint64_t i = 0; i < edits && input->len > 0; i++) {
        size_t at = (size_t)random_below(random, input->len);
        size_t from = (size_t)random_below(random, input->len);

        switch (random_below(random, 5)) {
        case 0:
            input->data[at] ^= (uint8_t)(1u << random_below(random, 8));
            break;
        case 1:
            input->data[at] = (uint8_t)random_below(random, 256);
            break;
        case 2:
            input->data[at] = input->data[from];
            break;
        case 3: /* Cuts a piece out. */
            if (from > at) {
                memmove(input->data + at, input->data + from,
                        input->len - from);
                input->len -= from - at;
            }
            break;
        default: /* Repeats a piece. */
            if (from > at) {
                size_t len = from - at;
                uint8_t *end = bytes_reserve(input, len);

                memmove(end, input->data + at, len);
                input->len += len;
            }
            break;
        }
    }
}

static void run_file(const char *path, uint64_t rounds, struct random *random)
{
    struct bytes content;
    struct bytes input;

    bytes_init(&content);
    bytes_init(&input);
    read_file(path, &content);
    run(&content);
    for (uint64_t i = 0; i < rounds; i++) {
        bytes_clear(&input);
        if (content.len > 0) {
            bytes_append(&input, content.data, content.len);
        }
        mutate(&input, random);
        run(&input);
    }
    bytes_close(&input);
    bytes_close(&content);
}

int main(int argc, char **argv)
{
    uint64_t rounds = argc > 2 ? strtoull(argv[2], NULL, 10) : ROUNDS_DEFAULT;
    uint64_t seed = argc > 3 ? strtoull(argv[3], NULL, 10) : 1;
    struct dirent **entries;
    unsigned files = 0;
    int count;

    if (argc < 2 || (count = scandir(argv[1], &entries, NULL, alphasort)) < 0) {
        (void)fprintf(stderr, "usage: %s FOLDER [ROUNDS [SEED]]\n", argv[0]);
        return 2;
    }
    for (int i = 0; i < count; i++) {
        struct random random;
        char path[4096];

        (void)snprintf(path, sizeof(path), "%s/%s", argv[1],
                       entries[i]->d_name);
        if (entries[i]->d_name[0] != '.') {
            (void)printf("%s rounds=%" PRIu64 " seed=%" PRIu64 "\n", path,
                         rounds, seed);
            (void)fflush(stdout);
            random_init(&random, seed);
            run_file(path, rounds, &random);
            files++;
        }
        free(entries[i]);
    }
    free(entries);
    return files == 0; /* An empty folder tests nothing. */
}
