/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/json.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct json json;

/* In memory of exactly its size, so that a step beyond is seen. */
static int parse(const char *text, size_t len)
{
    static char *copy;

    free(copy);
    copy = len == 0 ? malloc(1) : memory_copy(text, len);
    return json_parse(&json, copy, len);
}

static int parse_text(const char *text)
{
    return parse(text, strlen(text));
}

static void a_reply_of_qemu_is_read(void **unused)
{
    const struct json_value *result;

    (void)unused;
    assert_int_equal(
        parse_text("{\"return\": {\"status\": \"io-error\", \"singlestep\": "
                   "false, \"running\": true, \"list\": [1, -2, 3.5e2]}, "
                   "\"id\": 18446744073709551615}\r"),
        0);
    result = json_get(&json, &json.values[0], "return");
    assert_string_equal(json_string(json_get(&json, result, "status")),
                        "io-error");
    assert_int_equal(json_get(&json, result, "running")->kind, JSON_TRUE);
    assert_int_equal(json_get(&json, result, "singlestep")->kind, JSON_FALSE);
    assert_null(json_get(&json, result, "absent"));
    assert_null(json_string(json_get(&json, result, "running")));
    assert_null(json_string(NULL));
    assert_null(json_get(&json, NULL, "x"));
    assert_true(json_get(&json, &json.values[0], "id")->number == INT64_MAX);
}

static void strings_are_unescaped(void **unused)
{
    (void)unused;
    assert_int_equal(parse_text("\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\\u20AC"
                                "\\ud83d\\ude00\xc3\xa4\""),
                     0);
    assert_string_equal(json_string(&json.values[0]),
                        "a\"\\/\b\f\n\r\t\xc3\xa4\xe2\x82\xac"
                        "\xf0\x9f\x98\x80\xc3\xa4");
    assert_int_equal(parse_text("\"\""), 0);
    assert_string_equal(json_string(&json.values[0]), "");
}

static void what_is_not_json_is_refused(void **unused)
{
    static const char *const rows[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "[,1]",
        "[1 2]",
        "{\"a\":}",
        "{\"a\" 1}",
        "{a:1}",
        "{\"a\":1,}",
        "{1:1}",
        "nul",
        "nulll",
        "True",
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "1 1",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u000g\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\ud800\\u0041\"",
        "\"\\udc00\"",
        "\"\n\"",
        "\"\x80\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\xe2\x82\"",
        "\"\\",
    };

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (parse_text(rows[i]) != HF_ERROR_INVALID) {
            fail_msg("row %zu: %s", i, rows[i]);
        }
        assert_int_equal(json.count, 0);
    }
    assert_int_equal(parse("1\0", 2), HF_ERROR_INVALID);
    assert_int_equal(parse("\"a\0b\"", 5), HF_ERROR_INVALID);
}

static void depth_and_number_of_values_are_bounded(void **unused)
{
    char text[4096];
    size_t len = 0;

    (void)unused;
    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(parse(text, 2 * (size_t)depth),
                         depth > JSON_DEPTH_MAX ? HF_ERROR_TOO_LARGE : 0);
    }
    memset(text, '[', sizeof(text));
    assert_int_equal(parse(text, sizeof(text)), HF_ERROR_TOO_LARGE);
    text[len++] = '[';
    for (int i = 0; i < JSON_VALUES_MAX; i++) {
        text[len++] = '1';
        text[len++] = ',';
    }
    text[len - 1] = ']';
    assert_int_equal(parse(text, len), HF_ERROR_TOO_LARGE);
    text[len - 3] = ']'; /* One less. */
    assert_int_equal(parse(text, len - 2), 0);
    assert_int_equal(json.count, JSON_VALUES_MAX);
}

/* Every cut and many changes of a real line: an answer, never a crash. */
static void mangled_lines_do_no_harm(void **unused)
{
    static const char line[] =
        "{\"timestamp\": {\"seconds\": 1700000000, \"microseconds\": 12}, "
        "\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"device\": \"\", "
        "\"node-name\": \"disk0\", \"reason\": \"No space\\u0020left\", "
        "\"operation\": \"write\", \"action\": \"stop\", \"n\": [null, 1.5]}}";
    static const char bytes[] = "{}[]\",:\\u0dn1-.e \x80\xc3\xff\t";
    struct random random;
    char changed[sizeof(line)];

    (void)unused;
    for (size_t len = 0; len < sizeof(line) - 1; len++) {
        assert_int_equal(parse(line, len), HF_ERROR_INVALID);
    }
    assert_int_equal(parse(line, sizeof(line) - 1), 0);
    random_init(&random, 11);
    for (int i = 0; i < 50000; i++) {
        memcpy(changed, line, sizeof(line));
        for (uint64_t n = random_below(&random, 4) + 1; n > 0; n--) {
            changed[random_below(&random, sizeof(line) - 1)] =
                bytes[random_below(&random, sizeof(bytes))];
        }
        (void)parse(changed, sizeof(line) - 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_reply_of_qemu_is_read),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(depth_and_number_of_values_are_bounded),
        cmocka_unit_test(mangled_lines_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
