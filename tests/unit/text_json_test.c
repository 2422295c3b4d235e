/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages as JSON: each case shows what a script will read. */
#include "holdfast/v1/resources.pb-c.h"
#include "holdfast/v1/snapshot.pb-c.h"
#include "holdfast/v1/watch_service.pb-c.h"
#include "proto/text_field.h"
#include "proto/text_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_json(const ProtobufCMessage *message, unsigned flags,
                        const char *expected)
{
    struct bytes out;

    bytes_init(&out);
    text_json_write(message, flags, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, expected);
    bytes_close(&out);
}

static void a_message_without_values_is_an_empty_object(void **unused)
{
    Holdfast__V1__Vm vm;

    (void)unused;
    holdfast__v1__vm__init(&vm);
    assert_json(&vm.base, 0, "{}");
    assert_json(&vm.base, TEXT_PRETTY, "{}");
}

static void names_enums_numbers_and_maps_follow_the_mapping(void **unused)
{
    char role[] = "role";
    char web[] = "web";
    char empty[] = "empty";
    char name[] = "web-1";
    Holdfast__V1__Vm__LabelsEntry one;
    Holdfast__V1__Vm__LabelsEntry two;
    Holdfast__V1__Vm__LabelsEntry *labels[] = {&one, &two};
    Holdfast__V1__VmStatus status;
    Holdfast__V1__Vm vm;

    (void)unused;
    holdfast__v1__vm__labels_entry__init(&one);
    holdfast__v1__vm__labels_entry__init(&two);
    holdfast__v1__vm_status__init(&status);
    holdfast__v1__vm__init(&vm);
    one.key = role;
    one.value = web;
    two.key = empty;
    status.state = HOLDFAST__V1__VM_STATE__VM_STATE_PENDING;
    status.pending_reason =
        HOLDFAST__V1__PENDING_REASON__PENDING_REASON_NO_CAPACITY;
    status.deleting = 1;
    vm.name = name;
    vm.uid = UINT64_MAX;
    vm.priority = 10;
    vm.n_labels = 2;
    vm.labels = labels;
    vm.status = &status;
    assert_json(&vm.base, 0,
                "{\"name\":\"web-1\",\"uid\":\"18446744073709551615\","
                "\"priority\":10,\"labels\":{\"role\":\"web\",\"empty\":\"\"},"
                "\"status\":{\"state\":\"pending\","
                "\"pending_reason\":\"no_capacity\",\"deleting\":true}}");
}

static void defaults_show_every_key_that_can_be_zero(void **unused)
{
    Holdfast__V1__Class class;

    (void)unused;
    holdfast__v1__class__init(&class);
    assert_json(&class.base, TEXT_DEFAULTS,
                "{\"name\":\"\",\"uid\":\"0\",\"zones\":[],\"vm_count\":0,"
                "\"revision\":\"0\",\"create_time_ms\":\"0\"}");
}

static void pretty_puts_one_member_on_a_line(void **unused)
{
    char z1[] = "z1";
    char z2[] = "z2";
    char *zones[] = {z1, z2};
    Holdfast__V1__Resources resources;
    Holdfast__V1__Class class;

    (void)unused;
    holdfast__v1__resources__init(&resources);
    holdfast__v1__class__init(&class);
    resources.cpu_milli = 500;
    class.resources = &resources;
    class.n_zones = 2;
    class.zones = zones;
    assert_json(&class.base, TEXT_PRETTY,
                "{\n  \"resources\": {\n    \"cpu_milli\": 500\n  },\n"
                "  \"zones\": [\n    \"z1\",\n    \"z2\"\n  ]\n}");
}

static void a_oneof_shows_the_member_that_is_set(void **unused)
{
    uint8_t data[] = {0xff, 0x00, 0x10, 0x80};
    Holdfast__V1__SnapshotBlob blob;
    Holdfast__V1__Zone zone;
    Holdfast__V1__Event event;

    (void)unused;
    holdfast__v1__snapshot_blob__init(&blob);
    holdfast__v1__zone__init(&zone);
    holdfast__v1__event__init(&event);
    assert_json(&blob.base, TEXT_DEFAULTS, "{\"refs\":0,\"link\":0}");
    blob._content_case = HOLDFAST__V1__SNAPSHOT_BLOB___CONTENT_CONTENT;
    assert_json(&blob.base, 0, "{\"content\":\"\"}");
    blob.content = (ProtobufCBinaryData){.len = 4, .data = data};
    assert_json(&blob.base, 0, "{\"content\":\"/wAQgA==\"}");
    blob.content.len = 3;
    assert_json(&blob.base, 0, "{\"content\":\"/wAQ\"}");

    zone.cordoned = 1;
    event.kind = HOLDFAST__V1__KIND__KIND_ZONE;
    event.object_case = HOLDFAST__V1__EVENT__OBJECT_ZONE;
    event.zone = &zone;
    assert_json(&event.base, 0,
                "{\"kind\":\"zone\",\"zone\":{\"cordoned\":true}}");
}

static void an_enum_value_from_a_newer_version_shows_its_number(void **unused)
{
    Holdfast__V1__Zone zone;

    (void)unused;
    holdfast__v1__zone__init(&zone);
    zone.state = (Holdfast__V1__ZoneState)77;
    assert_json(&zone.base, 0, "{\"state\":77}");
}

static void strings_cannot_break_json_or_steer_a_terminal(void **unused)
{
    static struct {
        char text[16];
        const char *json;
    } rows[] = {
        {"a\"b\\c\n\t", "a\\\"b\\\\c\\n\\t"},
        {"\x1b[31m\x7f", "\\u001b[31m\\u007f"},
        {"\xc2\x9b", "\\u009b"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa7",
         "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa7"},
        {"\xff", "\xef\xbf\xbd"},                 /* no UTF-8 */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"}, /* cut off */
        {"\xf5\x80\x80\x80",
         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
    };

    (void)unused;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        Holdfast__V1__Zone zone;
        char expected[128];

        holdfast__v1__zone__init(&zone);
        zone.name = rows[i].text;
        (void)snprintf(expected, sizeof(expected), "{\"name\":\"%s\"}",
                       rows[i].json);
        assert_json(&zone.base, 0, expected);
    }
}

static void enum_names_go_both_ways(void **unused)
{
    const ProtobufCEnumDescriptor *descriptor =
        &holdfast__v1__on_partition__descriptor;
    char name[TEXT_NAME_MAX + 1];
    int value;

    (void)unused;
    for (unsigned i = 0; i < descriptor->n_values; i++) {
        text_enum_name(descriptor, descriptor->values[i].value, name);
        assert_true(text_enum_find(descriptor, name, &value));
        assert_int_equal(value, descriptor->values[i].value);
    }
    assert_string_equal(name, "keep");
    assert_true(text_enum_find(descriptor, "ON_PARTITION_KEEP", &value));
    assert_false(text_enum_find(descriptor, "Keep", &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_without_values_is_an_empty_object),
        cmocka_unit_test(names_enums_numbers_and_maps_follow_the_mapping),
        cmocka_unit_test(defaults_show_every_key_that_can_be_zero),
        cmocka_unit_test(pretty_puts_one_member_on_a_line),
        cmocka_unit_test(a_oneof_shows_the_member_that_is_set),
        cmocka_unit_test(an_enum_value_from_a_newer_version_shows_its_number),
        cmocka_unit_test(strings_cannot_break_json_or_steer_a_terminal),
        cmocka_unit_test(enum_names_go_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
