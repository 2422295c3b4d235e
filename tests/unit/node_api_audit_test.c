/* SPDX-License-Identifier: Apache-2.0
 *
 * What is audited, what a record says, and that its chain shows every change of
 * a byte. */
#include "base/container.h"
#include "node/audit.h"
#include "support/desk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct access_subject anna = {SUBJECT_BY_CERTIFICATE, "anna", {0}};
static const struct access_subject ci = {
    SUBJECT_BY_TOKEN, "", {0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61,
                           0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61}};
#define CI_HASH "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE="

#define VM                                                          \
    "vm: {name: web, class_name: small, labels: {team: blue}, "     \
    "template: {driver: exec, command: [/bin/true], environment: [" \
    "SECRET=hidden]}}"

/* What desk_create() asks for; the numbers below count from there. */
#define DESK_RECORDS 4

static int last(const struct desk *desk)
{
    return (int)state_audit_last(desk->state) - DESK_RECORDS;
}

static const struct audit *at(const struct desk *desk, int number)
{
    return state_audit(desk->state, (uint64_t)(DESK_RECORDS + number));
}

/* A record as its line; the caller frees it. */
static char *line_at(struct desk *desk, int number)
{
    char yaml[80];
    const char *json;
    const char *start;
    struct bytes line;

    /* As it stands in the answer, a string within JSON: unescaped. */
    snprintf(yaml, sizeof(yaml), "{after_number: %u, page_size: 1}",
             (unsigned)(DESK_RECORDS + number - 1));
    json = desk_ok(desk, "ExportAuditRecords", yaml);
    start = strchr(strstr(json, "\"lines\""), '[');
    start = strchr(start, '"') + 1;
    bytes_init(&line);
    for (; *start != '"'; start++) {
        start += *start == '\\';
        bytes_append_u8(&line, (uint8_t)*start);
    }
    bytes_append_u8(&line, '\0');
    return (char *)line.data;
}

static void says(struct desk *desk, int number, const char *words)
{
    char *line = line_at(desk, number);

    if (strstr(line, words) == NULL) {
        fail_msg("%s\nis not in\n%s", words, line);
    }
    free(line);
}

static void says_not(struct desk *desk, int number, const char *words)
{
    char *line = line_at(desk, number);

    if (strstr(line, words) != NULL) {
        fail_msg("%s\nis in\n%s", words, line);
    }
    free(line);
}

/* --- What is audited ------------------------------------------------------ */

static void what_was_carried_out_is_audited_and_nothing_else(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    assert_int_equal(last(desk), 0);
    desk_ok(desk, "CreateVm", VM);
    assert_int_equal(last(desk), 1);
    desk_ok(desk, "CordonHost", "{name: h1, dry_run: true}");
    desk_refused(desk, "CordonHost", "{name: h9}", "HOST_NOT_FOUND", "h9");
    desk_ok(desk, "ListHosts", "{}");
    assert_int_equal(last(desk), 1);
    desk_ok(desk, "CordonHost", "{name: h1, request_id: a}");
    desk_ok(desk, "CordonHost", "{name: h1, request_id: a}");
    assert_int_equal(last(desk), 2);
    desk_ok(desk, "CordonHost", "{name: h1}");
    desk_ok(desk, "CordonHost", "{name: h1, request_id: b}");
    assert_int_equal(last(desk), 2);
    desk_ok(desk, "UncordonHost", "{name: h1}");
    assert_int_equal(last(desk), 3);
    desk_destroy(desk);
}

static void a_record_says_who_what_when_and_what_differs(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk->caller = &anna;
    desk_ok(desk, "CordonHost", "{name: h1, request_id: r-1}");
    says(desk, 1,
         "\"caller\":\"client:anna\",\"method\":\"HostService/CordonHost\","
         "\"object_kind\":\"host\",\"object_name\":\"h1\",\"request_id\":\"r-1"
         "\",\"changes\":[{\"field\":\"cordoned\",\"after\":\"true\"}],"
         "\"previous\":\"");
    desk_ok(desk, "UncordonHost", "{name: h1}");
    says(desk, 2, "\"changes\":[{\"field\":\"cordoned\",\"before\":\"true\"}]");
    desk->caller = NULL;
    desk_ok(desk, "CordonHost", "{name: h2}");
    says(desk, 3, "\"caller\":\"loopback\"");
    desk_destroy(desk);
}

static void every_kind_of_object_is_told(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "CreateVm", VM);
    says(desk, 1, "{\"field\":\"class_name\",\"after\":\"small\"}");
    says(desk, 1, "{\"field\":\"labels.team\",\"after\":\"blue\"}");
    says(desk, 1, "{\"field\":\"template.command\",\"after\":\"/bin/true\"}");
    desk_ok(desk, "UpdateVm",
            "{vm: {name: web, labels: {team: red}}, update_mask: [labels]}");
    says(desk, 2,
         "\"changes\":[{\"field\":\"labels.team\",\"before\":\"blue\","
         "\"after\":\"red\"}]");
    desk_ok(desk, "StopVm", "{name: web}");
    says(desk, 3,
         "{\"field\":\"desired\",\"before\":\"running\","
         "\"after\":\"stopped\"}");
    desk_ok(desk, "CreateZone", "name: z4");
    says(desk, 4, "\"object_kind\":\"zone\",\"object_name\":\"z4\"");
    desk_ok(
        desk, "CreateClass",
        "vm_class: {name: big, resources: {cpu_milli: 4000, memory_mib: 8}}");
    says(desk, 5, "{\"field\":\"resources.cpu_milli\",\"after\":\"4000\"}");
    desk_ok(desk, "DeleteClass", "{name: big}");
    says(desk, 6, "{\"field\":\"resources.cpu_milli\",\"before\":\"4000\"}");
    desk_ok(desk, "CreateGroup", "group: {name: crew}");
    says(desk, 7, "\"object_kind\":\"group\",\"object_name\":\"crew\"");
    desk_ok(
        desk, "CreateReservation",
        "reservation: {name: spare, zone: z1, class_name: small, count: 2}");
    says(desk, 8, "\"object_kind\":\"reservation\",\"object_name\":\"spare\"");
    desk_ok(desk, "UpdateSettings",
            "{settings: {start_parallel: 9}, update_mask: [start_parallel]}");
    says(desk, 9,
         "\"object_kind\":\"settings\",\"changes\":[{\"field\":"
         "\"start_parallel\",\"before\":\"4\",\"after\":\"9\"}]");
    desk_destroy(desk);
}

static void a_manifest_is_told_by_its_objects(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "ApplyManifest",
            "manifest: {zones: [{name: z7}], classes: [{name: small, resources:"
            " {cpu_milli: 1000, memory_mib: 1024}}, {name: big, resources: {"
            "cpu_milli: 4000, memory_mib: 2048}}]}");
    says(desk, 1, "\"object_kind\":\"manifest\"");
    says(desk, 1, "{\"field\":\"zone/z7\",\"after\":\"created\"}");
    says(desk, 1, "{\"field\":\"class/big\",\"after\":\"created\"}");
    says_not(desk, 1, "class/small");
    desk_destroy(desk);
}

static void several_vms_are_told_by_their_names(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "BatchCreateVms",
            "vms: [{name: a, class_name: small, template: {driver: exec, "
            "command: [/bin/true]}}, {name: b, class_name: small, template: "
            "{driver: exec, command: [/bin/true]}}]");
    says(desk, 1, "\"object_kind\":\"vm\"");
    says(desk, 1, "{\"field\":\"vm/a\",\"after\":\"create\"}");
    says(desk, 1, "{\"field\":\"vm/b\",\"after\":\"create\"}");
    desk_destroy(desk);
}

static void the_object_of_a_request_is_named_wherever_it_stands(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(
        desk, "CreateReservation",
        "reservation: {name: spare, zone: z1, class_name: small, count: 2}");
    desk_ok(desk, "UpdateReservation",
            "{reservation: {name: spare, count: 3}, update_mask: [count]}");
    says(desk, 2, "\"object_name\":\"spare\"");
    says(desk, 2, "{\"field\":\"count\",\"before\":\"2\",\"after\":\"3\"}");
    desk_destroy(desk);
}

static void risks_and_words_on_hosts_keep_their_reasons(void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_ok(desk, "DrainHost",
            "{name: h1, accept_risk: true, reason: \"smoke in \\\"z1\\\"\"}");
    says(desk, 1,
         "\"reason\":\"smoke in \\\"z1\\\"\",\"arguments\":[{\"name\":"
         "\"accept_risk\",\"value\":\"true\"}]");
    desk->now_ms += 600000;
    desk_ok(desk, "DeclareHostDead",
            "{name: h2, confirm: h2, reason: it burns}");
    says(desk, 2, "\"method\":\"HostService/DeclareHostDead\"");
    says(desk, 2, "\"reason\":\"it burns\"");
    says(desk, 2, "{\"field\":\"state\",\"before\":\"up\",\"after\":\"lost\"}");
    desk_destroy(desk);
}

static void secrets_are_in_no_record(void **unused)
{
    struct desk *desk = desk_create();
    char hex[] = "6161616161616161";

    (void)unused;
    desk->caller = &anna;
    desk_ok(desk, "CreateGrant",
            "grant: {name: root, subject_kind: client, client: anna, role: "
            "admin}");
    says(desk, 1, "{\"field\":\"role\",\"after\":\"admin\"}");
    desk_ok(desk, "CreateGrant",
            "grant: {name: ci, subject_kind: token, role: admin, "
            "secret_sha256: " CI_HASH "}");
    says_not(desk, 2, "YWFh");
    says_not(desk, 2, hex);
    says_not(desk, 2, "aaaaaaaa");
    desk->caller = &ci;
    desk_ok(desk, "CreateVm", VM);
    says(desk, 3, "\"caller\":\"token:ci\"");
    says_not(desk, 3, "hidden");
    says_not(desk, 3, "SECRET");
    /* He was somebody when he asked. */
    desk_ok(desk, "DeleteGrant", "{name: ci}");
    desk->caller = &anna;
    says(desk, 4, "\"caller\":\"token:ci\"");
    desk_destroy(desk);
}

static void a_record_is_bounded_and_says_what_is_left_out(void **unused)
{
    struct desk *desk = desk_create();
    struct bytes yaml;
    const struct audit *audit;

    (void)unused;
    bytes_init(&yaml);
    bytes_append(&yaml, VM, strlen(VM) - 2);
    bytes_append(&yaml, ", disks: [", 10);
    for (int i = 0; i < 16; i++) {
        char disk[400];
        int len =
            snprintf(disk, sizeof(disk), "%s{kind: ephemeral, image: %0250d}",
                     i == 0 ? "" : ", ", i);

        bytes_append(&yaml, disk, (size_t)len);
    }
    bytes_append(&yaml, "]}}", 4);
    desk_ok(desk, "CreateVm", (const char *)yaml.data);
    audit = at(desk, 1);
    assert_true(state_blob(desk->state, audit->blob).len <=
                AUDIT_CONTENT_BYTES_MAX);
    says(desk, 1, "0...\"}");
    says(desk, 1, "\"left_out\":");
    bytes_close(&yaml);
    desk_destroy(desk);
}

/* --- The chain ------------------------------------------------------------ */

/* As anybody can do it, with nothing but the lines. */
static bool is_good(const char *line, const char *previous)
{
    const char *at = strstr(line, ",\"digest\":\"");
    const char *before = strstr(line, ",\"previous\":\"");
    uint8_t digest[DIGEST_BYTES];
    char text[DIGEST_TEXT_BYTES];

    if (at == NULL || before == NULL || strlen(at) != 11 + 64 + 2 ||
        strcmp(at + 11 + 64, "\"}") != 0) {
        return false;
    }
    digest_sha256(line, (size_t)(at - line), digest);
    digest_text(digest, text);
    return strncmp(at + 11, text, 64) == 0 &&
           strncmp(before + 13, previous, 64) == 0;
}

static void every_changed_byte_of_a_line_shows(void **unused)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000"
                                "000000000000000000";
    struct desk *desk = desk_create();
    char *zero;
    char *first;
    char *second;
    const char *digest;

    (void)unused;
    desk_ok(desk, "CordonHost", "{name: h1, request_id: a}");
    desk_ok(desk, "UncordonHost", "{name: h1, request_id: b}");
    zero = line_at(desk, 1 - DESK_RECORDS);
    assert_true(is_good(zero, zeros));
    free(zero);
    zero = line_at(desk, 0);
    first = line_at(desk, 1);
    second = line_at(desk, 2);
    digest = strstr(first, ",\"digest\":\"") + 11;
    assert_true(is_good(first, strstr(zero, ",\"digest\":\"") + 11));
    assert_true(is_good(second, digest));
    /* One left out, and two exchanged. */
    assert_false(is_good(second, zeros));
    for (size_t i = 0; i < strlen(second); i++) {
        for (int bit = 0; bit < 8; bit++) {
            char *line = strdup(second);

            line[i] = (char)(line[i] ^ 1 << bit);
            assert_false(is_good(line, digest));
            free(line);
        }
    }
    free(zero);
    free(first);
    free(second);
    desk_destroy(desk);
}

/* Exports from before must go on to be the beginning of later ones: this line
 * is for ever. */
static void a_line_looks_as_it_always_did(void **unused)
{
    Holdfast__V1__AuditArgument argument = HOLDFAST__V1__AUDIT_ARGUMENT__INIT;
    Holdfast__V1__AuditChange difference = HOLDFAST__V1__AUDIT_CHANGE__INIT;
    Holdfast__V1__AuditArgument *arguments = &argument;
    Holdfast__V1__AuditChange *differences = &difference;
    Holdfast__V1__AuditRecord record = HOLDFAST__V1__AUDIT_RECORD__INIT;
    struct change change = {.kind = CHANGE_AUDIT};
    struct desk *desk = desk_create();
    uint8_t digest[DIGEST_BYTES] = {0xab};
    uint8_t content[500];
    char wanted[800];
    char *zero;
    char *line;

    (void)unused;
    zero = line_at(desk, 0);
    argument.name = (char *)(uintptr_t) "accept_risk";
    argument.value = (char *)(uintptr_t) "true";
    difference.field = (char *)(uintptr_t) "state";
    difference.before = (char *)(uintptr_t) "up";
    difference.after = (char *)(uintptr_t) "lost";
    record.caller = (char *)(uintptr_t) "client:anna";
    record.method = (char *)(uintptr_t) "HostService/DrainHost";
    record.object_kind = (char *)(uintptr_t) "host";
    record.object_name = (char *)(uintptr_t) "h1";
    record.request_id = (char *)(uintptr_t) "r-1";
    record.reason = (char *)(uintptr_t) "fire\n\xc3\xbc";
    record.n_arguments = 1;
    record.arguments = &arguments;
    record.n_changes = 1;
    record.changes = &differences;
    record.left_out = 3;
    change.audit = (struct change_audit){
        {(const char *)content,
         (uint32_t)holdfast__v1__audit_record__pack(&record, content)},
        {(const char *)digest, sizeof(digest)}};
    desk_apply(desk, &change);
    snprintf(wanted, sizeof(wanted),
             "{\"number\":\"5\",\"time_ms\":\"%llu\",\"revision\":\"%llu\","
             "\"caller\":\"client:anna\",\"method\":\"HostService/DrainHost\","
             "\"object_kind\":\"host\",\"object_name\":\"h1\",\"request_id\":"
             "\"r-1\",\"reason\":\"fire\\n\xc3\xbc\",\"arguments\":[{\"name\":"
             "\"accept_risk\",\"value\":\"true\"}],\"changes\":[{\"field\":"
             "\"state\",\"before\":\"up\",\"after\":\"lost\"}],\"left_out\":3,"
             "\"previous\":\"%.64s\",\"digest\":\"ab%062d\"}",
             (unsigned long long)at(desk, 1)->time_ms,
             (unsigned long long)state_revision(desk->state),
             strstr(zero, ",\"digest\":\"") + 11, 0);
    free(zero);
    line = line_at(desk, 1);
    assert_string_equal(line, wanted);
    free(line);
    desk_destroy(desk);
}

/* --- Reading -------------------------------------------------------------- */

static void lists_are_narrowed_down_and_paged(void **unused)
{
    struct desk *desk = desk_create();
    char yaml[120];

    (void)unused;
    desk->caller = &anna;
    desk_ok(desk, "CordonHost", "{name: h1}");
    desk->caller = NULL;
    desk->now_ms += 1000;
    desk_ok(desk, "CordonHost", "{name: h2}");
    desk_ok(desk, "CordonZone", "{name: z1}");
    desk_ok(desk, "ListAuditRecords", "{object: host}");
    desk_says(desk, "\"h1\"");
    desk_says(desk, "\"h2\"");
    desk_says_not(desk, "CordonZone");
    desk_ok(desk, "ListAuditRecords", "{object: host/h2}");
    desk_says_not(desk, "\"h1\"");
    desk_says(desk, "\"h2\"");
    desk_ok(desk, "ListAuditRecords", "{caller: \"client:anna\"}");
    desk_says(desk, "\"h1\"");
    desk_says_not(desk, "\"h2\"");
    desk_ok(desk, "ListAuditRecords", "{method: ZoneService/CordonZone}");
    desk_says_not(desk, "HostService");
    desk_says(desk, "\"z1\"");
    snprintf(yaml, sizeof(yaml), "{until_ms: %llu}",
             (unsigned long long)at(desk, 2)->time_ms);
    desk_ok(desk, "ListAuditRecords", yaml);
    desk_says_not(desk, "\"h2\"");
    snprintf(yaml, sizeof(yaml), "{after_revision: %llu}",
             (unsigned long long)at(desk, 2)->revision);
    desk_ok(desk, "ListAuditRecords", yaml);
    desk_says_not(desk, "\"h2\"");
    desk_says(desk, "\"z1\"");
    desk_ok(desk, "ListAuditRecords", "{page_size: 5}");
    desk_says(desk, "\"next_page_token\":\"6\"");
    desk_ok(desk, "ListAuditRecords", "{page_size: 2, page_token: \"6\"}");
    desk_says(desk, "\"next_page_token\":\"\"");
    desk_says_not(desk, "\"h1\"");
    desk_refused(desk, "ListAuditRecords", "{page_token: x}", "INVALID_FIELD",
                 "page_token");
    desk_destroy(desk);
}

static void exports_go_on_where_they_ended_or_say_that_they_cannot(
    void **unused)
{
    struct desk *desk = desk_create();

    (void)unused;
    desk_refused(desk, "ExportAuditRecords", "{after_number: 5}", "AUDIT_GONE",
                 "1 to 4");
    desk_ok(desk, "UpdateSettings",
            "{settings: {audit_records_max: 100}, update_mask: "
            "[audit_records_max]}");
    says(desk, 1,
         "{\"field\":\"audit_records_max\",\"before\":\"50000\","
         "\"after\":\"100\"}");
    for (int i = 0; i < 101; i++) {
        desk_ok(desk, i % 2 == 0 ? "CordonHost" : "UncordonHost", "{name: h1}");
    }
    desk_ok(desk, "ExportAuditRecords", "{}");
    desk_says(desk, "\"last_number\":\"106\"");
    desk_says(desk, "\"more\":false");
    desk_ok(desk, "ExportAuditRecords", "{page_size: 10}");
    desk_says(desk, "\"last_number\":\"16\"");
    desk_says(desk, "\"more\":true");
    desk_ok(desk, "ExportAuditRecords", "{after_number: 106}");
    desk_says(desk, "\"lines\":[]");
    desk_refused(desk, "ExportAuditRecords", "{after_number: 1}", "AUDIT_GONE",
                 "7 to 106");
    desk_refused(desk, "ExportAuditRecords", "{after_number: 107}",
                 "AUDIT_GONE", "7 to 106");
    desk_refused(desk, "UpdateSettings",
                 "{settings: {audit_records_max: 99}, update_mask: "
                 "[audit_records_max]}",
                 "INVALID_FIELD", "audit_records_max");
    desk_destroy(desk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_carried_out_is_audited_and_nothing_else),
        cmocka_unit_test(a_record_says_who_what_when_and_what_differs),
        cmocka_unit_test(every_kind_of_object_is_told),
        cmocka_unit_test(a_manifest_is_told_by_its_objects),
        cmocka_unit_test(several_vms_are_told_by_their_names),
        cmocka_unit_test(the_object_of_a_request_is_named_wherever_it_stands),
        cmocka_unit_test(risks_and_words_on_hosts_keep_their_reasons),
        cmocka_unit_test(secrets_are_in_no_record),
        cmocka_unit_test(a_record_is_bounded_and_says_what_is_left_out),
        cmocka_unit_test(every_changed_byte_of_a_line_shows),
        cmocka_unit_test(a_line_looks_as_it_always_did),
        cmocka_unit_test(lists_are_narrowed_down_and_paged),
        cmocka_unit_test(
            exports_go_on_where_they_ended_or_say_that_they_cannot),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
