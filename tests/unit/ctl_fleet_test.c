/* SPDX-License-Identifier: Apache-2.0
 *
 * What an export holds: every field of every object is a wish, a fact, or left
 * out on purpose; and answers and events in any order become one fleet. */
#include "base/container.h"
#include "base/memory.h"
#include "ctl/fleet.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/vm_service.pb-c.h"
#include "holdfast/v1/zone_service.pb-c.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static unsigned times_in(const char *words, const char *word)
{
    size_t len = strlen(word);
    unsigned times = 0;

    for (const char *at = words; (at = strstr(at, word)) != NULL; at += len) {
        bool begins = at == words || at[-1] == ' ';
        bool ends = at[len] == '\0' || at[len] == ' ';

        times += begins && ends;
    }
    return times;
}

static unsigned word_count(const char *words)
{
    unsigned count = words[0] != '\0';

    for (; words[0] != '\0'; words++) {
        count += words[0] == ' ';
    }
    return count;
}

static void assert_decided(const struct fleet_fields *fields, const char *name)
{
    unsigned times = times_in(fields->wishes, name) +
                     times_in(fields->facts, name) +
                     times_in(fields->left_out, name);

    if (times != 1) {
        fail_msg("%s.%s is in %u lists", fields->descriptor->short_name, name,
                 times);
    }
}

static void every_field_was_decided_on(void **unused)
{
    (void)unused;
    for (size_t i = 0; i < fleet_fields_count; i++) {
        const struct fleet_fields *fields = &fleet_fields[i];

        for (unsigned k = 0; k < fields->descriptor->n_fields; k++) {
            assert_decided(fields, fields->descriptor->fields[k].name);
        }
        assert_int_equal(word_count(fields->wishes) +
                             word_count(fields->facts) +
                             word_count(fields->left_out),
                         fields->descriptor->n_fields);
    }
}

/* A message as if it came over the wire. */
static ProtobufCMessage *message_of(
    const ProtobufCMessageDescriptor *descriptor, const char *yaml)
{
    struct text_source source = {
        .name = "test", .text = yaml, .len = strlen(yaml)};
    struct text_error error;
    ProtobufCMessage *read;
    ProtobufCMessage *message;
    struct arena arena;
    uint8_t *packed;
    size_t size;

    arena_init(&arena, (size_t)1024 * 1024);
    if (text_yaml_read(descriptor, &source, &arena, &read, &error) != 0) {
        fail_msg("%s", error.text);
    }
    size = protobuf_c_message_get_packed_size(read);
    packed = memory_alloc(size + 1);
    protobuf_c_message_pack(read, packed);
    message = protobuf_c_message_unpack(descriptor, NULL, size, packed);
    assert_non_null(message);
    free(packed);
    arena_close(&arena);
    return message;
}

static void take(struct fleet *fleet,
                 const ProtobufCMessageDescriptor *descriptor, const char *yaml)
{
    ProtobufCMessage *response = message_of(descriptor, yaml);

    fleet_take(fleet, response);
    protobuf_c_message_free_unpacked(response, NULL);
}

static void change_vm(struct fleet *fleet, uint64_t revision, bool deleted,
                      const char *yaml)
{
    ProtobufCMessage *vm = message_of(&holdfast__v1__vm__descriptor, yaml);
    struct event_view event = {
        .object = vm, .revision = revision, .deleted = deleted};

    fleet_change(fleet, &event);
    protobuf_c_message_free_unpacked(vm, NULL);
}

static void assert_manifest(struct fleet *fleet, bool facts, const char *json)
{
    Holdfast__V1__Manifest *manifest = fleet_manifest(fleet, facts);
    struct bytes out;

    bytes_init(&out);
    text_json_write(&manifest->base, 0, &out);
    bytes_append_u8(&out, '\0');
    assert_string_equal((const char *)out.data, json);
    bytes_close(&out);
    hf_message_free(&manifest->base);
    fleet_close(fleet);
}

#define VMS   (&holdfast__v1__list_vms_response__descriptor)
#define ZONES (&holdfast__v1__list_zones_response__descriptor)

static void pages_become_one_fleet_in_order_of_names(void **unused)
{
    struct fleet fleet;

    (void)unused;
    fleet_init(&fleet);
    take(&fleet, ZONES,
         "{zones: [{name: z1, uid: 9, host_count: 3, used: {cpu_milli: 5}}], "
         "revision: 7}");
    take(&fleet, VMS,
         "{vms: [{name: web-10, uid: 1}, {name: web-9, uid: 2, "
         "labels: {b: x, a: y}}], next_page_token: '3', revision: 9}");
    take(&fleet, VMS, "{vms: [{name: a, uid: 5}], revision: 8}");
    assert_int_equal(fleet.oldest, 7);
    assert_int_equal(fleet.newest, 9);
    assert_manifest(&fleet, false,
                    "{\"zones\":[{\"name\":\"z1\"}],"
                    "\"vms\":[{\"name\":\"a\"},{\"name\":\"web-9\","
                    "\"labels\":{\"a\":\"y\",\"b\":\"x\"}},"
                    "{\"name\":\"web-10\"}]}");
}

static void facts_are_there_when_they_are_asked_for(void **unused)
{
    static const char vms[] =
        "{vms: [{name: a, uid: 1, revision: 4, create_time_ms: 3, zone: z1, "
        "status: {state: running, host: h1, epoch: 2}}, "
        "{name: b, uid: 2, status: {deleting: true}}], revision: 5}";
    struct fleet fleet;

    (void)unused;
    fleet_init(&fleet);
    take(&fleet, VMS, vms);
    assert_manifest(&fleet, false,
                    "{\"vms\":[{\"name\":\"a\",\"zone\":\"z1\"}]}");
    fleet_init(&fleet);
    take(&fleet, VMS, vms);
    assert_manifest(
        &fleet, true,
        "{\"vms\":[{\"name\":\"a\",\"uid\":\"1\",\"zone\":\"z1\","
        "\"revision\":\"4\",\"create_time_ms\":\"3\",\"status\":"
        "{\"state\":\"running\",\"host\":\"h1\",\"epoch\":\"2\"}},"
        "{\"name\":\"b\",\"uid\":\"2\",\"status\":{\"deleting\":true}}]}");
}

static void events_bring_all_of_it_to_the_newest_answer(void **unused)
{
    struct fleet fleet;

    (void)unused;
    fleet_init(&fleet);
    take(&fleet, VMS,
         "{vms: [{name: a, uid: 1, revision: 3, priority: 1}, "
         "{name: b, uid: 2, revision: 5}, {name: c, uid: 3, revision: 9, "
         "priority: 9}], next_page_token: '4', revision: 10}");
    take(&fleet, VMS, "{vms: [{name: d, uid: 4, revision: 6}], revision: 12}");
    /* What a page shows already is not turned back. */
    change_vm(&fleet, 8, false, "{name: c, uid: 3, revision: 8, priority: 8}");
    change_vm(&fleet, 11, false, "{name: a, uid: 1, revision: 11}");
    change_vm(&fleet, 12, true, "{name: b, uid: 2, revision: 12}");
    change_vm(&fleet, 12, false, "{name: b, uid: 7, revision: 12}");
    /* Beyond. */
    change_vm(&fleet, 13, true, "{name: d, uid: 4, revision: 13}");
    change_vm(&fleet, 14, false, "{name: e, uid: 8, revision: 14}");
    assert_manifest(&fleet, false,
                    "{\"vms\":[{\"name\":\"a\"},{\"name\":\"b\"},"
                    "{\"name\":\"c\",\"priority\":9},{\"name\":\"d\"}]}");
}

static void grants_are_in_it_and_tokens_and_what_ended_are_not(void **unused)
{
    static const char grants[] =
        "{grants: [{name: ci, uid: 1, subject_kind: token, role: viewer}, "
        "{name: b, uid: 2, subject_kind: client, client: b, role: operator, "
        "zones: [z1], labels: {d: x, c: y}, revision: 7, expire_time_ms: 11}, "
        "{name: a, uid: 3, subject_kind: client, client: a, role: viewer, "
        "expire_time_ms: 10}]}";
    struct fleet fleet;

    (void)unused;
    fleet_init(&fleet);
    fleet.now_ms = 10;
    take(&fleet, &holdfast__v1__list_grants_response__descriptor, grants);
    assert_manifest(&fleet, false,
                    "{\"grants\":[{\"name\":\"b\",\"client\":\"b\",\"role\":"
                    "\"operator\",\"zones\":[\"z1\"],\"labels\":{\"c\":"
                    "\"y\",\"d\":\"x\"},\"expire_time_ms\":\"11\"}]}");
    fleet_init(&fleet);
    fleet.now_ms = 10;
    take(&fleet, &holdfast__v1__list_grants_response__descriptor, grants);
    assert_manifest(&fleet, true,
                    "{\"grants\":[{\"name\":\"a\",\"client\":\"a\",\"role\":"
                    "\"viewer\",\"uid\":\"3\",\"expire_time_ms\":\"10\"},"
                    "{\"name\":\"b\",\"client\":\"b\",\"role\":"
                    "\"operator\",\"zones\":[\"z1\"],\"labels\":{\"c\":"
                    "\"y\",\"d\":\"x\"},\"uid\":\"2\",\"revision\":\"7\","
                    "\"expire_time_ms\":\"11\"}]}");
}

static void a_fleet_that_is_not_used_is_freed(void **unused)
{
    struct fleet fleet;

    (void)unused;
    fleet_init(&fleet);
    take(&fleet, VMS, "{vms: [{name: a, uid: 1, labels: {a: b}}]}");
    fleet_close(&fleet);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_was_decided_on),
        cmocka_unit_test(pages_become_one_fleet_in_order_of_names),
        cmocka_unit_test(facts_are_there_when_they_are_asked_for),
        cmocka_unit_test(events_bring_all_of_it_to_the_newest_answer),
        cmocka_unit_test(grants_are_in_it_and_tokens_and_what_ended_are_not),
        cmocka_unit_test(a_fleet_that_is_not_used_is_freed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
