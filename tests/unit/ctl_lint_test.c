/* SPDX-License-Identifier: Apache-2.0
 *
 * Each rule of `holdfast lint`: a fleet that breaks it, and next to it one that
 * does not. */
#include "base/arena.h"
#include "base/container.h"
#include "ctl/lint.h"
#include "proto/manifest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* Without a fault; rows add to its lists. */
#define SETTINGS "settings: {headroom: enforce}\n"
#define ZONES    "zones: [{name: z1}, {name: z2}, {name: z3}]\n"
#define CLASSES                                                             \
    "classes: [{name: small, resources: {cpu_milli: 1000, memory_mib: 64}}" \
    "]\n"
#define HOST(name, zone)                                            \
    "- {name: " name ", zone: " zone                                \
    ", capacity: {cpu_milli: 4000, memory_mib: 512}, pools: [ceph]" \
    ", labels: {rack: a}}\n"
#define HOSTS "hosts:\n" HOST("h1", "z1") HOST("h2", "z2") HOST("h3", "z3")
#define BASE  SETTINGS ZONES CLASSES
#define WHOLE BASE HOSTS
#define EXEC  "template: {driver: exec, command: [/bin/true]}"
#define WEB   EXEC "}"
#define VM(more)                                            \
    "vms: [{name: a, class_name: small, " more " " EXEC "}" \
    "]\n"
#define GROUP(more)                                               \
    "groups: [{name: web, " more " template: {class_name: small," \
    " host_selector: {rack: a}, " EXEC "}}]\n"
#define DISKS(more)                                                \
    "vms: [{name: a, class_name: small, host_selector: {rack: a}," \
    " template: {driver: qemu, disks: [" more "]}}]\n"
#define ADMIN "{name: root, client: root, role: admin}"
#define KEPT  "{kind: shared, pool: ceph, path: '{name}.img'}"

static const struct row {
    const char *text;
    const char *region; /* NULL: not asked. */
    const char *ids;    /* The worst first, parted by blanks. */
} rows[] = {
    {"", NULL, "headroom"},
    {SETTINGS, NULL, ""},
    {"settings: {headroom: warn}\n", NULL, "headroom"},
    {"zones: [{name: z1}]\n", SETTINGS, ""},
    {"settings: {headroom: enforce, storm_permille: 999}\n", NULL, ""},
    {"settings: {headroom: enforce, storm_permille: 1000}\n", NULL,
     "storm-off"},
    {BASE GROUP("count: 2,"), NULL, ""},

    {SETTINGS "zones: [{name: z1}, {name: Z2}]\n", NULL, "name-form"},
    {SETTINGS "zones: [{name: -z1}, {name: z2}]\n", NULL, "name-form"},
    {SETTINGS "zones: [{name: z1}, {name: Z1}]\n", NULL, "name-form name-case"},

    {BASE "vms: [{name: a, class_name: big, " WEB "]\n", NULL,
     "unknown-class class-unused"},
    {SETTINGS "vms: [{name: a, class_name: big, " WEB "]\n", NULL, ""},
    {SETTINGS "vms: [{name: a, class_name: big, " WEB "]\n", ZONES,
     "unknown-class"},
    {SETTINGS "vms: [{name: a, class_name: small, " WEB "]\n", BASE, ""},
    {BASE VM("zone: z1,"), NULL, "vm-one-zone"},
    {BASE VM("zone: z4,"), NULL, "unknown-zone"},
    {BASE VM("zone: z4,"), "zones: [{name: z4}]\n", "vm-one-zone"},
    {BASE VM("group: web,"), NULL, ""},
    {BASE VM("group: web,"), BASE, "unknown-group"},
    {BASE VM("group: web,"), BASE GROUP("count: 2,"), ""},
    {BASE GROUP("count: 2, zones: [z1, z2, z4],"), NULL, "unknown-zone"},
    {SETTINGS ZONES "classes: [{name: small, zones: [z1, z9]}]\n", NULL,
     "unknown-zone"},

    {SETTINGS ZONES "classes: [{name: small, zones: [z1]}]\n", NULL,
     "class-one-zone"},
    {SETTINGS ZONES "classes: [{name: small, zones: [z1, z2]}]\n", NULL, ""},
    {BASE "reservations: [{name: r, zone: z1, class_name: small, count: 1}]\n",
     NULL, ""},
    {BASE VM("preemptible: true,") "reservations: [{name: r, zone: z1, "
                                   "class_name: small, count: 1}]\n",
     NULL, ""},
    {BASE VM("") "reservations: [{name: r, zone: z1, class_name: small, count: "
                 "1}]\n",
     NULL, "nothing-preemptible"},
    {SETTINGS "classes: [{name: a, resources: {cpu_milli: 1}}, {name: b, "
              "resources: {cpu_milli: 1}}]\n",
     NULL, "class-twice"},
    {SETTINGS ZONES "classes: [{name: a, resources: {cpu_milli: 1}}, {name: b, "
                    "resources: {cpu_milli: 1}, zones: [z1, z2]}]\n",
     NULL, ""},

    {BASE GROUP("count: 2, zones: [z1],"), NULL, "group-one-zone"},
    {SETTINGS "classes: [{name: small}]\n" GROUP("count: 2, zones: [z1],"),
     NULL, "group-one-zone"},
    {SETTINGS "zones: [{name: z1}]\nclasses: [{name: small}]\n" GROUP(
         "count: 2, zone_mode: strict,"),
     NULL, "group-zones-few"},
    {BASE GROUP("count: 3, zone_rule: apart, zone_mode: strict,"), NULL, ""},
    {BASE GROUP("count: 4, zone_rule: apart, zone_mode: strict,"), NULL,
     "group-zones-few"},
    {BASE GROUP("count: 4, zone_rule: apart,"), NULL, ""},
    {SETTINGS ZONES "classes: [{name: small, zones: [z1, z2]}]\n" GROUP(
         "count: 2, zones: [z3],"),
     NULL, "group-no-zone"},
    {WHOLE GROUP("count: 3, host_mode: strict, host_max: 1,"), NULL, ""},
    {WHOLE GROUP("count: 4, host_mode: strict, host_max: 1,"), NULL,
     "group-hosts-few"},
    {BASE GROUP("count: 4, host_mode: strict, host_max: 1,"), NULL, ""},
    {BASE GROUP("count: 4, host_mode: strict, host_max: 1,"), HOSTS,
     "group-hosts-few"},

    {BASE GROUP("count: 2, protected: false,"), NULL, "group-unprotected"},
    {BASE GROUP("count: 2, protected: true,"), NULL, ""},
    {BASE GROUP("count: 2, protected: true, zones: [z1],"), NULL,
     "group-protected group-one-zone"},
    {BASE "groups: [{name: web, count: 2, protected: true, template: "
          "{class_name: small, preemptible: true, " EXEC "}}]\n",
     NULL, "group-protected"},
    {BASE GROUP("count: 2, max_unavailable: 1,"), NULL, ""},
    {BASE GROUP("count: 2, max_unavailable: 2,"), NULL, "group-rollout"},

    {WHOLE DISKS(KEPT), NULL, ""},
    {WHOLE DISKS("{kind: local, pool: ceph, path: a}"), NULL, "local-disk"},
    {WHOLE DISKS("{kind: shared, pool: nfs, path: a}"), NULL, "pool-unknown"},
    {BASE DISKS("{kind: shared, pool: nfs, path: a}"), NULL, ""},
    {BASE DISKS("{kind: shared, pool: nfs, path: a}"), HOSTS, "pool-unknown"},
    {BASE VM("on_partition: keep,"), NULL, "keep-without-disk"},
    {WHOLE "vms: [{name: a, class_name: small, on_partition: keep, "
           "host_selector: {rack: a}, template: {driver: qemu, disks: [" KEPT
           "]}}]\n",
     NULL, ""},
    {WHOLE DISKS("{kind: ephemeral, image: debian.img}"), NULL, "nothing-kept"},
    {WHOLE DISKS("{kind: ephemeral, image: /srv/debian.img}, " KEPT), NULL,
     "image-path"},
    {BASE "vms: [{name: a, class_name: small, template: {driver: qemu, image: "
          "../x, disks: [" KEPT "]}}]\n",
     NULL, "image-path"},
    {BASE "vms:\n- {name: a, class_name: small, priority: 1, template: "
          "{driver: qemu, disks: [{kind: shared, pool: p, path: x}]}}\n"
          "- {name: b, class_name: small, template: {driver: qemu, disks: "
          "[{kind: shared, pool: p, path: x}]}}\n",
     NULL, "disk-shared"},
    {BASE "vms:\n- {name: a, class_name: small, priority: 1, template: "
          "{driver: qemu, disks: [{kind: shared, pool: p, path: x}]}}\n"
          "- {name: b, class_name: small, template: {driver: qemu, disks: "
          "[{kind: shared, pool: q, path: x}, {kind: shared, pool: p, path: "
          "x, read_only: true}]}}\n",
     NULL, ""},
    {BASE "groups: [{name: web, count: 2, template: {class_name: small, "
          "template: {driver: qemu, disks: [{kind: shared, pool: p, path: x}]}"
          "}}]\n",
     NULL, "disk-shared"},

    {WHOLE "vms: [{name: a, class_name: small, host_selector: {rack: b}, " WEB
           "]\n",
     NULL, "selector-no-host"},
    {BASE "vms: [{name: a, class_name: small, host_selector: {rack: b}, " WEB
          "]\n",
     NULL, ""},
    {BASE "vms: [{name: a, class_name: small, host_selector: {rack: b}, " WEB
          "]\n",
     HOSTS, "selector-no-host"},
    {WHOLE VM(""), NULL, "label-unused"},
    {BASE "vms: [{name: a, class_name: small, template: {driver: exec, "
          "command: [/bin/true], environment: ['API_TOKEN=x']}}]\n",
     NULL, "secret"},
    {BASE "vms: [{name: a, class_name: small, template: {driver: exec, "
          "command: [/bin/true], environment: ['API_TOKEN=', 'MONKEY=x']}}]\n",
     NULL, ""},
    {BASE "vms:\n- {name: a, class_name: small, " WEB
          "\n- {name: b, class_name: small, " WEB "\n",
     NULL, "priorities-equal"},
    {BASE "vms:\n- {name: a, class_name: small, priority: 9, " WEB
          "\n- {name: b, class_name: small, " WEB "\n",
     NULL, ""},
    {WHOLE GROUP("count: 8,"), NULL, ""},
    {WHOLE GROUP("count: 9,"), NULL, "capacity capacity capacity"},
    {BASE GROUP("count: 9,"), HOSTS, "capacity capacity capacity"},
    {WHOLE "groups: [{name: web, count: 9, template: {class_name: small, "
           "preemptible: true, host_selector: {rack: a}, " EXEC "}}]\n",
     NULL, ""},

    {SETTINGS "grants: [" ADMIN "]\n", NULL, ""},
    {SETTINGS "grants: [{name: x, subject_kind: token, role: admin}]\n", NULL,
     "grant-token"},
    {SETTINGS "grants: [" ADMIN ", {name: x, client: x, role: operator}]\n",
     NULL, "grant-wide"},
    {SETTINGS "grants: [" ADMIN ", {name: x, client: x, role: operator, "
              "labels: {a: b}}]\n",
     NULL, ""},
    {SETTINGS "grants: [" ADMIN ", {name: x, client: x, role: viewer, labels: "
              "{a: b}}]\n",
     NULL, "grant-scope"},
    {SETTINGS "grants: [{name: X, client: x, role: viewer}]\n", NULL,
     "name-form grant-no-admin"},
    {SETTINGS "grants: [{name: x, client: x, role: admin, expire_time_ms: "
              "10001}]\n",
     NULL, "grant-no-admin"},
    {SETTINGS "grants: [" ADMIN ", {name: x, client: x, role: viewer, "
              "expire_time_ms: 10000}]\n",
     NULL, "grant-ended"},
    {SETTINGS ZONES "grants: [" ADMIN ", {name: x, client: x, role: operator, "
                    "zones: [z1, z4]}]\n",
     NULL, "unknown-zone"},
};

static const Holdfast__V1__Manifest *read_text(const char *text,
                                               struct arena *arena)
{
    const struct text_source source = {"fleet.yaml", text, strlen(text)};
    Holdfast__V1__Manifest *manifest;
    struct text_error error;

    if (manifest_read(&source, arena, &manifest, &error) != 0) {
        fail_msg("%s in\n%s", error.text, text);
    }
    return manifest;
}

static void judge(const struct row *row, struct diagnosis *diagnosis)
{
    struct lint_input input = {.region = NULL, .now_ms = 10000};
    struct arena arena;

    arena_init(&arena, 1024 * 1024);
    input.manifest = read_text(row->text, &arena);
    if (row->region != NULL) {
        input.region = read_text(row->region, &arena);
    }
    lint_judge(&input, diagnosis);
    arena_close(&arena);
}

static void each_rule_finds_what_it_is_for_and_nothing_else(void **unused)
{
    bool seen[LINT_RULES] = {false};
    unsigned wrong = 0;

    (void)unused;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct diagnosis diagnosis;
        struct bytes ids;

        diagnosis_init(&diagnosis);
        judge(&rows[i], &diagnosis);
        bytes_init(&ids);
        for (size_t j = 0; j < diagnosis.message.n_findings; j++) {
            const Holdfast__V1__Finding *it = diagnosis.message.findings[j];

            assert_true(it->cure[0] != '\0' && it->found[0] != '\0');
            bytes_append_format(&ids, "%s%s", j > 0 ? " " : "", it->id);
            for (int id = 0; id < LINT_RULES; id++) {
                seen[id] = seen[id] ||
                           strcmp(lint_rule((enum lint_id)id)->id, it->id) == 0;
            }
        }
        bytes_append_u8(&ids, '\0');
        if (strcmp((const char *)ids.data, rows[i].ids) != 0) {
            print_error("row %zu: \"%s\", not \"%s\" in\n%s\n", i,
                        (const char *)ids.data, rows[i].ids, rows[i].text);
            wrong++;
        }
        bytes_close(&ids);
        diagnosis_close(&diagnosis);
    }
    assert_int_equal(wrong, 0);
    for (int id = 0; id < LINT_RULES; id++) {
        if (!seen[id]) {
            fail_msg("no row breaks %s", lint_rule((enum lint_id)id)->id);
        }
    }
}

static void rules_have_names_of_their_own_and_cures(void **unused)
{
    (void)unused;
    for (int a = 0; a < LINT_RULES; a++) {
        const struct lint_rule *rule = lint_rule((enum lint_id)a);

        assert_true(rule->id[0] != '\0' && rule->cure[0] != '\0');
        assert_true(rule->severity >= SEVERITY(NOTE) &&
                    rule->severity <= SEVERITY(CRITICAL));
        for (int b = 0; b < a; b++) {
            assert_string_not_equal(rule->id, lint_rule((enum lint_id)b)->id);
        }
    }
}

static void what_is_ignored_is_not_told(void **unused)
{
    struct lint_input input = {.ignored = {[LINT_HEADROOM] = true}};
    struct diagnosis diagnosis;
    struct arena arena;
    struct bytes text;

    (void)unused;
    arena_init(&arena, 1024 * 1024);
    input.manifest = read_text("", &arena);
    diagnosis_init(&diagnosis);
    lint_judge(&input, &diagnosis);
    assert_int_equal(diagnosis.message.n_findings, 0);
    assert_int_equal(diagnosis.message.severity, SEVERITY(OK));
    bytes_init(&text);
    diagnosis_summary(&diagnosis, &text);
    assert_int_equal(text.len, strlen("nothing was found\n"));
    assert_memory_equal(text.data, "nothing was found\n", text.len);
    bytes_close(&text);
    diagnosis_close(&diagnosis);
    arena_close(&arena);
}

/* As lint.c's, but where the paths are is enough. */
static bool note_path(struct lint_place *place, const char *path,
                      const char **file, unsigned *line)
{
    (void)place;
    *file = path;
    *line = 7;
    return true;
}

static void of_many_the_first_are_told_and_the_rest_counted(void **unused)
{
    struct lint_place place = {note_path};
    struct lint_input input = {.place = &place};
    const Holdfast__V1__Diagnosis *message;
    struct diagnosis diagnosis;
    struct arena arena;
    struct bytes text;

    (void)unused;
    bytes_init(&text);
    bytes_append_format(&text, "%svms:\n", SETTINGS);
    for (int i = 0; i < LINT_EACH_MAX + 3; i++) {
        bytes_append_format(&text, "- {name: v%d, zone: z1, priority: %d}\n", i,
                            i);
    }
    bytes_append_u8(&text, '\0');
    arena_init(&arena, 1024 * 1024);
    input.manifest = read_text((const char *)text.data, &arena);
    diagnosis_init(&diagnosis);
    lint_judge(&input, &diagnosis);
    message = &diagnosis.message;
    assert_int_equal(message->n_findings, LINT_EACH_MAX + 1);
    assert_string_equal(message->findings[0]->file, "vms[0].zone");
    assert_int_equal(message->findings[0]->line, 7);
    assert_string_equal(message->findings[LINT_EACH_MAX]->found,
                        "3 more of these are not told one by one");
    diagnosis_close(&diagnosis);
    arena_close(&arena);
    bytes_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rule_finds_what_it_is_for_and_nothing_else),
        cmocka_unit_test(rules_have_names_of_their_own_and_cures),
        cmocka_unit_test(what_is_ignored_is_not_told),
        cmocka_unit_test(of_many_the_first_are_told_and_the_rest_counted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
