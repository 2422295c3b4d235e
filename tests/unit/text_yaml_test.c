/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML and JSON into messages: one row for each thing that a person can get
 * wrong, with the words that the person then reads. */
#include "base/error.h"
#include "holdfast/v1/config.pb-c.h"
#include "holdfast/v1/resources.pb-c.h"
#include "holdfast/v1/snapshot.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define VM    (&holdfast__v1__vm__descriptor)
#define NODE  (&holdfast__v1__node_config__descriptor)
#define AGENT (&holdfast__v1__agent_config__descriptor)
#define EVENT (&holdfast__v1__event__descriptor)
#define BLOB  (&holdfast__v1__snapshot_blob__descriptor)

#define ARENA_BYTES 262144

static int read_text(const ProtobufCMessageDescriptor *descriptor,
                     const char *text, struct arena *arena,
                     ProtobufCMessage **message, struct text_error *error)
{
    struct text_source source = {
        .name = "f.yaml", .text = text, .len = strlen(text)};

    return text_yaml_read(descriptor, &source, arena, message, error);
}

/* Compares by the JSON of what was read. */
static void assert_reads(const ProtobufCMessageDescriptor *descriptor,
                         const char *text, const char *json)
{
    struct arena arena;
    struct text_error error;
    struct bytes out;
    ProtobufCMessage *message;

    arena_init(&arena, ARENA_BYTES);
    bytes_init(&out);
    if (read_text(descriptor, text, &arena, &message, &error) != 0) {
        fail_msg("refused: %s", error.text);
    }
    assert_string_equal(error.text, "");
    text_json_write(message, 0, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, json);
    bytes_close(&out);
    arena_close(&arena);
}

static void assert_refused(const ProtobufCMessageDescriptor *descriptor,
                           const char *text, int result, const char *words)
{
    struct arena arena;
    struct text_error error;
    ProtobufCMessage *message;

    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(read_text(descriptor, text, &arena, &message, &error),
                     result);
    assert_null(message);
    assert_string_equal(error.text, words);
    arena_close(&arena);
}

static void a_node_configuration_reads_as_people_write_it(void **unused)
{
    (void)unused;
    assert_reads(NODE,
                 "# comment\n"
                 "region: eu\n"
                 "name: n1\n"
                 "nodes:\n"
                 "  - name: n1\n"
                 "    id: 1\n"
                 "    zone: z1\n"
                 "    address: 127.0.0.1:7400\n"
                 "  - {name: n2, id: 0x2, zone: no, address: 'h:1'}\n"
                 "log_level:\n"
                 "election_timeout_ms: ~\n",
                 "{\"region\":\"eu\",\"name\":\"n1\",\"nodes\":["
                 "{\"name\":\"n1\",\"id\":\"1\",\"zone\":\"z1\","
                 "\"address\":\"127.0.0.1:7400\"},"
                 "{\"name\":\"n2\",\"id\":\"2\",\"zone\":\"no\","
                 "\"address\":\"h:1\"}]}");
}

static void json_reads_through_the_same_door(void **unused)
{
    (void)unused;
    assert_reads(VM,
                 "{\"name\": \"a\\nb\", \"uid\": \"18446744073709551615\",\n"
                 "\t\"desired\": \"stopped\", \"labels\": {\"k\": \"v\"},\n"
                 "  \"status\": {\"deleting\": true}, \"template\": "
                 "{\"driver\": \"DRIVER_EXEC\", \"command\": [\"x\", \"\"]}}",
                 "{\"name\":\"a\\nb\",\"uid\":\"18446744073709551615\","
                 "\"desired\":\"stopped\",\"template\":{\"driver\":\"exec\","
                 "\"command\":[\"x\",\"\"]},\"labels\":{\"k\":\"v\"},"
                 "\"status\":{\"deleting\":true}}");
}

static void nothing_at_all_is_every_default(void **unused)
{
    (void)unused;
    assert_reads(VM, "", "{}");
    assert_reads(VM, "# only words\n", "{}");
    assert_reads(VM, "---\n...\n", "{}");
    assert_reads(VM, "{}", "{}");
}

static void maps_lists_and_bytes_are_read(void **unused)
{
    (void)unused;
    assert_reads(AGENT,
                 "labels: {a: 1, b: 'null', c: , d: no}\n"
                 "drivers: [qemu, 2]\n"
                 "pools:\n- {name: p, path: /srv}\n"
                 "nodes: [h:1, h:2, h:3, h:4, h:5]\n",
                 "{\"nodes\":[\"h:1\",\"h:2\",\"h:3\",\"h:4\",\"h:5\"],"
                 "\"pools\":[{\"name\":\"p\",\"path\":\"/srv\"}],"
                 "\"drivers\":[\"qemu\",\"exec\"],\"labels\":{\"a\":\"1\","
                 "\"b\":\"null\",\"c\":\"\",\"d\":\"no\"}}");
    assert_reads(BLOB, "content: /wAQgA==", "{\"content\":\"/wAQgA==\"}");
    assert_reads(BLOB, "content: _wAQ", "{\"content\":\"/wAQ\"}");
    assert_reads(BLOB, "content: ''", "{\"content\":\"\"}");
}

static const struct {
    const ProtobufCMessageDescriptor *descriptor;
    const char *text;
    const char *words;
} mistakes[] = {
    {NODE, "region: eu\nnodes:\n- name: n1\n  adress: x\n",
     "f.yaml:4:3: nodes[0].adress: unknown key (did you mean `address`?)"},
    {&holdfast__v1__pool__descriptor, "colour: red",
     "f.yaml:1:1: colour: unknown key; known here: name, path"},
    {NODE, "name: a\nname: b\n",
     "f.yaml:2:1: name: this key was given before, in line 1"},
    {AGENT, "labels: {a: 1, b: 2, a: 3}",
     "f.yaml:1:22: labels.a: this key was given before"},
    {NODE, "election_timeout_ms: 300ms\n",
     "f.yaml:1:22: election_timeout_ms: expected a whole number from 0 to "
     "4294967295, not `300ms`"},
    {NODE, "election_timeout_ms: 4294967296\n",
     "f.yaml:1:22: election_timeout_ms: expected a whole number from 0 to "
     "4294967295, not `4294967296`"},
    {NODE, "election_timeout_ms: 010\n",
     "f.yaml:1:22: election_timeout_ms: expected a whole number from 0 to "
     "4294967295, not `010`"},
    {NODE, "election_timeout_ms: -1\n",
     "f.yaml:1:22: election_timeout_ms: expected a whole number from 0 to "
     "4294967295, not `-1`"},
    {VM, "uid: 18446744073709551616\n",
     "f.yaml:1:6: uid: expected a whole number from 0 to "
     "18446744073709551615, not `18446744073709551616`"},
    {VM, "uid: ''\n",
     "f.yaml:1:6: uid: expected a whole number from 0 to "
     "18446744073709551615, not ``"},
    {VM, "status: {deleting: yes}",
     "f.yaml:1:20: status.deleting: expected `true` or `false`, not `yes`"},
    {VM, "on_partition: mov",
     "f.yaml:1:15: on_partition: unknown value `mov` (did you mean "
     "`move`?); allowed: move, keep"},
    {VM, "desired: 9",
     "f.yaml:1:10: desired: unknown value `9`; allowed: running, stopped"},
    {NODE, "nodes: {name: n1}",
     "f.yaml:1:8: nodes: expected a list (lines with `- `), not keys with "
     "values"},
    {NODE, "nodes: [n1]",
     "f.yaml:1:9: nodes[0]: expected keys with values, not a single value"},
    {NODE, "name: [n1]",
     "f.yaml:1:7: name: expected a single value, not a list"},
    {NODE, "- a", "f.yaml:1:1: expected keys with values, not a list"},
    {NODE, "[a]: b", "f.yaml:1:1: expected a key, not a list"},
    {AGENT, "nodes: [a, , b]",
     "f.yaml:1:12: nodes: did not find expected node content while parsing "
     "a flow "
     "node"},
    {AGENT, "nodes:\n- a\n-\n",
     "f.yaml:3:2: nodes[1]: an empty item (write \"\" for an empty text)"},
    {AGENT, "labels: {a: [1]}",
     "f.yaml:1:13: labels.a: expected a single value, not a list"},
    {NODE, "name: \"a\\0b\"",
     "f.yaml:1:7: name: a text must not hold the character NUL"},
    {NODE, "name: a\n---\nname: b\n",
     "f.yaml:2:1: a second document begins here: one is allowed"},
    {EVENT, "zone: {name: a}\nhost: {name: b}\n",
     "f.yaml:2:7: host: excludes `zone`, which was given before: keep one"},
    {BLOB, "content: a*b=",
     "f.yaml:1:10: content: expected base64, not "
     "`a*b=`"},
    {BLOB, "content: abcde", "f.yaml:1:10: content: base64 text is cut off"},
    {NODE, "name: !!str x",
     "f.yaml:1:7: name: tags are not allowed: the key decides the type"},
    {NODE, "name: a\n  region: b\n",
     "f.yaml:2:9: mapping values are not allowed in this context"},
    {NODE, "name: a\nzone: \xff\n", "f.yaml:2:7: invalid leading UTF-8 octet"},
};

static void mistakes_are_told_with_their_place(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        assert_refused(mistakes[i].descriptor, mistakes[i].text,
                       HF_ERROR_INVALID, mistakes[i].words);
    }
}

static void bombs_are_refused(void **unused)
{
    (void)unused;
    assert_refused(NODE, "name: &a x\nregion: *a\n", HF_ERROR_INVALID,
                   "f.yaml:1:7: name: anchors and aliases are not allowed: "
                   "write it out");
    assert_refused(NODE, "nodes: [*a]\n", HF_ERROR_INVALID,
                   "f.yaml:1:9: nodes: anchors and aliases are not allowed: "
                   "write it out");
}

static void assert_too_large(char *text, const char *words)
{
    struct arena arena;
    struct text_error error;
    ProtobufCMessage *message;

    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(read_text(AGENT, text, &arena, &message, &error),
                     HF_ERROR_TOO_LARGE);
    if (strstr(error.text, words) == NULL) {
        fail_msg("`%s` is not in: %s", words, error.text);
    }
    arena_close(&arena);
    free(text);
}

static char *repeat(const char *head, const char *piece, size_t count)
{
    size_t len = strlen(piece);
    size_t head_len = strlen(head);
    char *text = malloc(head_len + len * count + 1);

    assert_non_null(text);
    memcpy(text, head, head_len + 1);
    for (size_t i = 0; i < count; i++) {
        memcpy(text + head_len + i * len, piece, len + 1);
    }
    return text;
}

static void every_size_has_a_limit(void **unused)
{
    char *text;

    (void)unused;
    assert_too_large(repeat("name: ", "x", TEXT_BYTES_MAX), "f.yaml: larger");
    assert_too_large(repeat("nodes:\n", "- a\n", TEXT_VALUES_MAX), "too large");
    text = repeat("labels:\n", " k00000: \n", TEXT_MAP_MAX + 1);
    for (size_t i = 0; i <= TEXT_MAP_MAX; i++) {
        (void)snprintf(text + 8 + i * 10, 11, " k%05zu: \n", i);
    }
    assert_too_large(text, "more than 1024 keys");
    assert_refused(AGENT, text = repeat("[", "[", 5000), HF_ERROR_INVALID,
                   "f.yaml:1:1: expected keys with values, not a list");
    free(text);
}

/* What the writer makes, the reader takes, and it is the same. */
static void written_yaml_reads_back(void **unused)
{
    static const char *const texts[] = {
        "{}",
        "{\"name\":\"no\",\"zone\":\"1.5\",\"priority\":7}",
        "{\"name\":\"a: b\",\"class_name\":\"c #d\",\"zone\":\"-x\"}",
        "{\"template\":{}}",
        "{\"template\":{\"driver\":\"qemu\",\"disks\":[{\"kind\":\"shared\","
        "\"pool\":\"p\",\"path\":\"{name}.img\"},{},{\"read_only\":true}],"
        "\"command\":[\"a b\",\"\",\"~\",\"\\u001b\xc3\xbc\\\"\\\\\"]},"
        "\"labels\":{\"on\":\"off\",\"k\":\"\",\"/x\":\"y \"},"
        "\"status\":{\"epoch\":\"18446744073709551615\","
        "\"message\":\"exited: status=1, done\"}}",
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct arena arena;
        struct text_error error;
        struct bytes yaml;
        ProtobufCMessage *message;

        arena_init(&arena, ARENA_BYTES);
        bytes_init(&yaml);
        assert_int_equal(read_text(VM, texts[i], &arena, &message, &error), 0);
        text_yaml_write(message, 0, &yaml);
        bytes_append_u8(&yaml, '\0');
        assert_reads(VM, (const char *)yaml.data, texts[i]);
        bytes_clear(&yaml);
        text_yaml_write(message, TEXT_DEFAULTS, &yaml);
        bytes_append_u8(&yaml, '\0');
        assert_reads(VM, (const char *)yaml.data, texts[i]);
        bytes_close(&yaml);
        arena_close(&arena);
    }
}

/* A label whose key is `count` times the piece. */
static void write_key(const char *piece, size_t count, struct bytes *text)
{
    bytes_clear(text);
    bytes_append(text, "labels: {? \"", 12);
    for (size_t i = 0; i < count; i++) {
        bytes_append(text, piece, strlen(piece));
    }
    bytes_append(text, "\" : v}", 7); /* With its NUL. */
}

/* The longest key, of what takes most room when written; then one more. */
static void a_key_that_reads_can_be_written(void **unused)
{
    struct arena arena;
    struct text_error error;
    struct bytes text;
    ProtobufCMessage *message;

    (void)unused;
    arena_init(&arena, ARENA_BYTES);
    bytes_init(&text);
    write_key("\\x01", TEXT_KEY_MAX, &text);
    assert_int_equal(read_text(VM, (char *)text.data, &arena, &message, &error),
                     0);
    bytes_clear(&text);
    text_yaml_write(message, 0, &text);
    bytes_append_u8(&text, '\0');
    assert_int_equal(read_text(VM, (char *)text.data, &arena, &message, &error),
                     0);
    bytes_clear(&text);
    text_json_write(message, 0, &text);
    bytes_append_u8(&text, '\0');
    assert_reads(VM, (char *)text.data, (char *)text.data);
    write_key("k", TEXT_KEY_MAX + 1, &text);
    assert_refused(VM, (char *)text.data, HF_ERROR_TOO_LARGE,
                   "f.yaml:1:12: labels: a key of more than 128 bytes");
    bytes_close(&text);
    arena_close(&arena);
}

static void yaml_is_written_as_people_write_it(void **unused)
{
    struct arena arena;
    struct text_error error;
    struct bytes yaml;
    ProtobufCMessage *message;

    (void)unused;
    arena_init(&arena, ARENA_BYTES);
    bytes_init(&yaml);
    assert_int_equal(
        read_text(VM,
                  "{name: web-1, uid: 7, desired: running, labels: {a: 'on'}, "
                  "template: {disks: [{kind: shared, path: /a b}, {}], "
                  "command: [x, '1']}}",
                  &arena, &message, &error),
        0);
    text_yaml_write(message, 0, &yaml);
    bytes_append_u8(&yaml, '\0');
    assert_string_equal((const char *)yaml.data, "name: web-1\n"
                                                 "uid: 7\n"
                                                 "desired: running\n"
                                                 "template:\n"
                                                 "  disks:\n"
                                                 "    - kind: shared\n"
                                                 "      path: /a b\n"
                                                 "    - {}\n"
                                                 "  command:\n"
                                                 "    - x\n"
                                                 "    - \"1\"\n"
                                                 "labels:\n"
                                                 "  a: \"on\"\n");
    bytes_close(&yaml);
    arena_close(&arena);
}

static void a_file_that_is_not_there_is_named(void **unused)
{
    struct arena arena;
    struct text_error error;
    ProtobufCMessage *message;

    (void)unused;
    arena_init(&arena, ARENA_BYTES);
    assert_int_equal(
        text_yaml_read_file(NODE, "/nowhere/x.yaml", &arena, &message, &error),
        HF_ERROR_IO);
    assert_string_equal(error.text,
                        "/nowhere/x.yaml: No such file or directory");
    assert_int_equal(text_yaml_read_file(NODE, "/", &arena, &message, &error),
                     HF_ERROR_IO);
    assert_string_equal(error.text, "/: Is a directory");
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_configuration_reads_as_people_write_it),
        cmocka_unit_test(json_reads_through_the_same_door),
        cmocka_unit_test(nothing_at_all_is_every_default),
        cmocka_unit_test(maps_lists_and_bytes_are_read),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(every_size_has_a_limit),
        cmocka_unit_test(written_yaml_reads_back),
        cmocka_unit_test(a_key_that_reads_can_be_written),
        cmocka_unit_test(yaml_is_written_as_people_write_it),
        cmocka_unit_test(a_file_that_is_not_there_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
