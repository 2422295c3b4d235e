/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: what they hold, how documents are merged, and what is told with
 * which place when one is wrong. */
#include "base/bytes.h"
#include "base/error.h"
#include "proto/manifest.h"
#include "proto/text_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static int read_text(const char *text, struct arena *arena,
                     Holdfast__V1__Manifest **manifest,
                     struct text_error *error)
{
    struct text_source source = {
        .name = "f.yaml", .text = text, .len = strlen(text)};

    return manifest_read(&source, arena, manifest, error);
}

static void assert_reads(const char *text, const char *json)
{
    Holdfast__V1__Manifest *manifest;
    struct arena arena;
    struct text_error error;
    struct bytes out;

    arena_init(&arena, MANIFEST_ARENA_BYTES);
    bytes_init(&out);
    if (read_text(text, &arena, &manifest, &error) != 0) {
        fail_msg("refused: %s", error.text);
    }
    assert_string_equal(error.text, "");
    text_json_write(&manifest->base, 0, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, json);
    bytes_close(&out);
    arena_close(&arena);
}

static void assert_refused(const char *text, int result, const char *words)
{
    Holdfast__V1__Manifest *manifest;
    struct arena arena;
    struct text_error error;

    arena_init(&arena, MANIFEST_ARENA_BYTES);
    assert_int_equal(read_text(text, &arena, &manifest, &error), result);
    assert_null(manifest);
    assert_string_equal(error.text, words);
    arena_close(&arena);
}

static void a_fleet_reads_as_people_write_it(void **unused)
{
    (void)unused;
    assert_reads("settings: {lease_wait_ms: 6000}\n"
                 "zones:\n"
                 "  - name: z1\n"
                 "  - {name: z2, cordoned: true}\n"
                 "classes:\n"
                 "  - name: small\n"
                 "    resources: {cpu_milli: 500, memory_mib: 512}\n"
                 "hosts:\n"
                 "  - name: h1\n"
                 "    zone: z1\n"
                 "    capacity: {cpu_milli: 64000, memory_mib: 262144}\n"
                 "    drivers: [qemu]\n"
                 "vms:\n"
                 "  - name: web-1\n"
                 "    class_name: small\n",
                 "{\"settings\":{\"lease_wait_ms\":6000},"
                 "\"zones\":[{\"name\":\"z1\"},"
                 "{\"name\":\"z2\",\"cordoned\":true}],"
                 "\"classes\":[{\"name\":\"small\",\"resources\":"
                 "{\"cpu_milli\":500,\"memory_mib\":512}}],"
                 "\"hosts\":[{\"name\":\"h1\",\"zone\":\"z1\",\"capacity\":"
                 "{\"cpu_milli\":64000,\"memory_mib\":262144},"
                 "\"drivers\":[\"qemu\"]}],"
                 "\"vms\":[{\"name\":\"web-1\",\"class_name\":\"small\"}]}");
    assert_reads("{\"zones\": [{\"name\": \"z1\"}]}",
                 "{\"zones\":[{\"name\":\"z1\"}]}");
}

static void nothing_at_all_is_an_empty_fleet(void **unused)
{
    (void)unused;
    assert_reads("", "{}");
    assert_reads("# later\n", "{}");
    assert_reads("---\n---\n~\n---\n{}\n...\n", "{}");
    assert_reads("zones: []\nvms:\nsettings: ~\n", "{}");
    assert_reads("\xef\xbb\xbfzones: []\r\nvms:\r\n", "{}");
}

static void documents_are_merged_in_order(void **unused)
{
    (void)unused;
    assert_reads("zones: [{name: z1}]\n"
                 "vms: [{name: a}, {name: b}, {name: c}]\n"
                 "settings:\n"
                 "---\n"
                 "# hosts of z1\n"
                 "hosts: [{name: a, labels: {k: v}}]\n"
                 "settings: {start_parallel: 2}\n"
                 "---\n"
                 "---\n"
                 "{\"vms\": [{\"name\": \"d\"}, {\"name\": \"e\"}]}\n"
                 "---\n"
                 "zones:\n"
                 "- name: z2\n",
                 "{\"settings\":{\"start_parallel\":2},"
                 "\"zones\":[{\"name\":\"z1\"},{\"name\":\"z2\"}],"
                 "\"hosts\":[{\"name\":\"a\",\"labels\":{\"k\":\"v\"}}],"
                 "\"vms\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"},"
                 "{\"name\":\"d\"},{\"name\":\"e\"}]}");
}

static const struct {
    const char *text;
    const char *words;
} mistakes[] = {
    {"vm: []", "f.yaml:1:1: vm: unknown key (did you mean `vms`?)"},
    {"zones: []\n---\nhosts:\n- name: h1\n  zon: z1\n",
     "f.yaml:5:3: hosts[0].zon: unknown key (did you mean `zone`?)"},
    {"vms: [{name: a}]\n---\nvms:\n- name: b\n  priority: high\n",
     "f.yaml:5:13: vms[1].priority: expected a whole number from 0 to "
     "4294967295, not `high`"},
    {"zones: []\nzones: []\n",
     "f.yaml:2:1: zones: this key was given before, in line 1"},
    {"settings: {}\nzones: []\n---\nzones: []\n---\nsettings: {renew_ms: 1}\n",
     "f.yaml:6:1: settings: this key was given before, in line 1"},
    {"vms:\n- name: web-1\n- name: web-2\n- priority: 1\n  name: web-1\n",
     "f.yaml:5:9: vms[2].name: the name was given before, in line 2"},
    {"vms:\n- name: web-1\n---\nhosts: [{name: web-1}]\n---\n"
     "vms:\n- name: web-1\n",
     "f.yaml:7:9: vms[1].name: the name was given before, in line 2"},
    {"classes:\n- resources: {cpu_milli: 1}\n",
     "f.yaml:2:3: classes[0]: it needs a `name`"},
    {"zones: [{name: z1}, {}]", "f.yaml:1:21: zones[1]: it needs a `name`"},
    {"zones:\n- cordoned: true\n  name: ''\n",
     "f.yaml:2:3: zones[0]: it needs a `name`"},
    {"zones: [z1]",
     "f.yaml:1:9: zones[0]: expected keys with values, not a single value"},
    {"zones:\n- name: z1\n-\n",
     "f.yaml:3:2: zones[1]: an empty item (write \"\" for an empty text)"},
    {"zones: []\n--- z1\n",
     "f.yaml:2:5: expected keys with values, not a single value"},
    {"zones: []\n---\n- z1\n",
     "f.yaml:3:1: expected keys with values, not a list"},
    {"vms: [&a {name: x}]",
     "f.yaml:1:7: vms: anchors and aliases are not allowed: write it out"},
    {"zones: []\n---\nvms: [\n",
     "f.yaml:4:1: vms: did not find expected node content while parsing a "
     "flow node"},
};

static void mistakes_are_told_with_their_place(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
        assert_refused(mistakes[i].text, HF_ERROR_INVALID, mistakes[i].words);
    }
}

static void assert_limited(const struct text_limits *limits, const char *text,
                           const char *words)
{
    struct text_source source = {
        .name = "f.yaml", .text = text, .len = strlen(text)};
    ProtobufCMessage *message;
    struct text_error error;
    struct arena arena;
    int result;

    arena_init(&arena, MANIFEST_ARENA_BYTES);
    result =
        text_yaml_read_documents(&holdfast__v1__manifest__descriptor, &source,
                                 limits, &arena, &message, &error);
    assert_int_equal(result, words == NULL ? 0 : HF_ERROR_TOO_LARGE);
    assert_string_equal(error.text, words == NULL ? "" : words);
    arena_close(&arena);
}

static void every_size_has_a_limit(void **unused)
{
    static const char text[] = "hosts:\n- name: h\n  labels: {a: 1, b: 2}\n";
    struct text_limits limits = {
        .bytes_max = strlen(text), .value_max = 20, .map_max = 2};

    (void)unused;
    assert_limited(&limits, text, NULL);
    limits.bytes_max--;
    assert_limited(&limits, text, "f.yaml: larger than 39 bytes");
    limits.bytes_max++;
    limits.value_max--;
    assert_limited(&limits, text, "f.yaml:4:1: more than 19 values");
    limits.value_max++;
    limits.map_max--;
    assert_limited(&limits, text,
                   "f.yaml:3:18: hosts[0].labels: more than 1 keys");
}

static void labels_are_limited_and_the_arena_is(void **unused)
{
    Holdfast__V1__Manifest *manifest;
    struct text_error error;
    struct arena arena;
    struct bytes text;

    (void)unused;
    bytes_init(&text);
    bytes_append(&text, "vms:\n- name: a\n  labels:\n", 25);
    for (unsigned i = 0; i <= MANIFEST_LABELS_MAX; i++) {
        char line[32];
        int len = snprintf(line, sizeof(line), "    k%u: v\n", i);

        bytes_append(&text, line, (size_t)len);
    }
    bytes_append_u8(&text, '\0');
    assert_refused((const char *)text.data, HF_ERROR_TOO_LARGE,
                   "f.yaml:68:5: vms[0].labels: more than 64 keys");
    bytes_close(&text);
    arena_init(&arena, 512);
    assert_int_equal(read_text("vms: [{name: a}, {name: b}, {name: c}]", &arena,
                               &manifest, &error),
                     HF_ERROR_TOO_LARGE);
    assert_null(manifest);
    assert_non_null(strstr(error.text, "the text as a whole is too large"));
    arena_close(&arena);
}

/* 10,000 VMs of 9 lines, each in a list of all or in a document of its own:
 * what the arena takes shows that neither is copied again and again. */
static void assert_reads_many(const char *head, const char *each)
{
    Holdfast__V1__Manifest *manifest;
    struct text_error error;
    struct arena arena;
    struct bytes text;

    bytes_init(&text);
    arena_init(&arena, MANIFEST_ARENA_BYTES);
    bytes_append(&text, head, strlen(head));
    for (unsigned i = 0; i < 10000; i++) {
        char vm[512];
        int len = snprintf(vm, sizeof(vm),
                           "%s  - name: web-%05u\n"
                           "    class_name: small\n"
                           "    zone: z%u\n"
                           "    priority: 100\n"
                           "    template:\n"
                           "      driver: qemu\n"
                           "      image: web.img\n"
                           "    labels:\n"
                           "      app: web\n",
                           each, i, i % 3);

        bytes_append(&text, vm, (size_t)len);
    }
    bytes_append_u8(&text, '\0');
    if (read_text((const char *)text.data, &arena, &manifest, &error) != 0) {
        fail_msg("%s", error.text);
    }
    assert_int_equal(manifest->n_vms, 10000);
    assert_string_equal(manifest->vms[9999]->name, "web-09999");
    assert_string_equal(manifest->vms[9999]->zone, "z0");
    assert_true(arena.used_bytes < (size_t)10000 * 600);
    bytes_close(&text);
    arena_close(&arena);
}

static void a_large_fleet_takes_memory_in_proportion(void **unused)
{
    (void)unused;
    assert_reads_many("vms:\n", "");
    assert_reads_many("", "---\nvms:\n");
}

static void a_file_is_read_and_told_by_its_name(void **unused)
{
    char path[] = "/tmp/hf-manifest-XXXXXX";
    Holdfast__V1__Manifest *manifest;
    struct text_error error;
    struct arena arena;
    int fd = mkstemp(path);
    char words[128];

    (void)unused;
    assert_true(fd >= 0);
    arena_init(&arena, MANIFEST_ARENA_BYTES);
    assert_int_equal(write(fd, "zones:\n- name: z1\n", 18), 18);
    assert_int_equal(manifest_read_file(path, &arena, &manifest, &error), 0);
    assert_int_equal(manifest->n_zones, 1);
    assert_string_equal(manifest->zones[0]->name, "z1");
    assert_int_equal(write(fd, "- nam: z2\n", 10), 10);
    assert_int_equal(manifest_read_file(path, &arena, &manifest, &error),
                     HF_ERROR_INVALID);
    (void)snprintf(words, sizeof(words),
                   "%s:3:3: zones[1].nam: unknown key (did you mean `name`?)",
                   path);
    assert_string_equal(error.text, words);
    (void)close(fd);
    (void)unlink(path);
    assert_int_equal(manifest_read_file(path, &arena, &manifest, &error),
                     HF_ERROR_IO);
    assert_null(manifest);
    assert_non_null(strstr(error.text, "No such file or directory"));
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fleet_reads_as_people_write_it),
        cmocka_unit_test(nothing_at_all_is_an_empty_fleet),
        cmocka_unit_test(documents_are_merged_in_order),
        cmocka_unit_test(mistakes_are_told_with_their_place),
        cmocka_unit_test(every_size_has_a_limit),
        cmocka_unit_test(labels_are_limited_and_the_arena_is),
        cmocka_unit_test(a_large_fleet_takes_memory_in_proportion),
        cmocka_unit_test(a_file_is_read_and_told_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
