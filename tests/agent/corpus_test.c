/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs the fuzz targets over their corpora in every build, so that what a
 * fuzzer found once stays found. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The targets, renamed by the build. */
int fuzz_vm_spec(const uint8_t *data, size_t size);
int fuzz_json(const uint8_t *data, size_t size);

static unsigned run_all(const char *corpus,
                        int (*target)(const uint8_t *data, size_t size))
{
    char path[512];
    DIR *dir = opendir(corpus);
    struct dirent *item;
    unsigned count = 0;

    assert_non_null(dir);
    while ((item = readdir(dir)) != NULL) {
        static uint8_t data[1024 * 1024];
        FILE *file;
        size_t len;

        if (item->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "%s/%.200s", corpus, item->d_name);
        file = fopen(path, "re");
        assert_non_null(file);
        len = fread(data, 1, sizeof(data), file);
        fclose(file);
        assert_int_equal(target(data, len), 0);
        count++;
    }
    closedir(dir);
    return count;
}

static void the_spec_decoder_holds_on_its_corpus(void **unused)
{
    (void)unused;
    assert_true(run_all(HF_CORPUS "/vm_spec", fuzz_vm_spec) >= 4);
}

static void the_json_reader_holds_on_its_corpus(void **unused)
{
    (void)unused;
    assert_true(run_all(HF_CORPUS "/json", fuzz_json) >= 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_spec_decoder_holds_on_its_corpus),
        cmocka_unit_test(the_json_reader_holds_on_its_corpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
