/* SPDX-License-Identifier: Apache-2.0
 *
 * Manifests: what they hold, how documents are merged, and what is told with
 * which place when one is wrong. */
#include "base/error.h"
#include "base/memory.h"
#include "proto/manifest.h"
#include "proto/text_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fleet_reads_as_people_write_it),
        cmocka_unit_test(nothing_at_all_is_an_empty_fleet),
        cmocka_unit_test(documents_are_merged_in_order),
        cmocka_unit_test(mistakes_are_told_with_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
