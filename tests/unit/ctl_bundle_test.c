/* SPDX-License-Identifier: Apache-2.0
 *
 * What a support bundle is made of: archives byte by byte, and messages without
 * what may be secret. */
#include "base/container.h"
#include "base/memory.h"
#include "ctl/redact.h"
#include "ctl/tar.h"
#include "holdfast/v1/access_service.pb-c.h"
#include "holdfast/v1/manifest.pb-c.h"
#include "proto/text_json.h"
#include "proto/text_yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_file_is_a_header_and_whole_blocks(void **unused)
{
    struct bytes tar;
    unsigned sum = 0;

    (void)unused;
    bytes_init(&tar);
    assert_true(tar_add(&tar, "a/b.txt", "hello", 5, 1796027562));
    assert_int_equal(tar.len, 1024);
    assert_string_equal((const char *)tar.data, "a/b.txt");
    assert_string_equal((const char *)tar.data + 100, "0000600");
    assert_string_equal((const char *)tar.data + 124, "00000000005");
    assert_string_equal((const char *)tar.data + 136, "15303232252");
    assert_int_equal(tar.data[156], '0');
    assert_memory_equal(tar.data + 257, "ustar\00000", 8);
    for (size_t i = 0; i < 512; i++) {
        sum += i >= 148 && i < 156 ? ' ' : tar.data[i];
    }
    assert_int_equal(strtoul((const char *)tar.data + 148, NULL, 8), sum);
    assert_memory_equal(tar.data + 512, "hello\0\0", 7);
    assert_true(tar_add(&tar, "empty", NULL, 0, 0));
    assert_int_equal(tar.len, 1536);
    tar_end(&tar);
    assert_int_equal(tar.len, 10240);
    for (size_t i = 1536; i < tar.len; i++) {
        assert_int_equal(tar.data[i], 0);
    }
    bytes_close(&tar);
}

static void what_does_not_fit_is_refused(void **unused)
{
    char name[TAR_NAME_MAX + 2];
    struct bytes tar;

    (void)unused;
    bytes_init(&tar);
    memset(name, 'n', sizeof(name));
    name[TAR_NAME_MAX] = '\0';
    assert_true(tar_add(&tar, name, "x", 1, 0));
    assert_int_equal(tar.len, 1024);
    name[TAR_NAME_MAX] = 'n';
    name[TAR_NAME_MAX + 1] = '\0';
    assert_false(tar_add(&tar, name, "x", 1, 0));
    assert_false(tar_add(&tar, "", "x", 1, 0));
    assert_false(tar_add(&tar, "x", "x", 1, TAR_FILE_MAX + 1));
    assert_int_equal(tar.len, 1024);
    bytes_close(&tar);
}

static const char fleet[] =
    "vms:\n"
    "- name: a\n"
    "  template:\n"
    "    driver: exec\n"
    "    command: [/opt/run, --password, hunter2]\n"
    "    environment: ['DB_PASSWORD=hunter2', 'hunter2', 'A=b=hunter2']\n"
    "groups:\n"
    "- name: g\n"
    "  template:\n"
    "    template: {command: [hunter2], environment: ['X=hunter2']}\n";

/* Through the wire, so that protobuf-c owns all of it, as of an answer. */
static ProtobufCMessage *unpacked(const char *text)
{
    const struct text_source source = {"fleet.yaml", text, strlen(text)};
    ProtobufCMessage *message;
    struct text_error error;
    struct arena arena;
    struct bytes packed;

    arena_init(&arena, 1024 * 1024);
    assert_int_equal(text_yaml_read(&holdfast__v1__manifest__descriptor,
                                    &source, &arena, &message, &error),
                     0);
    bytes_init(&packed);
    packed.len = protobuf_c_message_pack(
        message,
        bytes_reserve(&packed, protobuf_c_message_get_packed_size(message)));
    message = protobuf_c_message_unpack(message->descriptor, NULL, packed.len,
                                        packed.data);
    bytes_close(&packed);
    arena_close(&arena);
    return message;
}

static void commands_and_environments_are_taken_out(void **unused)
{
    ProtobufCMessage *message = unpacked(fleet);
    const Holdfast__V1__Manifest *manifest = (const void *)message;
    const Holdfast__V1__VmTemplate *template;
    struct bytes text;

    (void)unused;
    redact(message);
    bytes_init(&text);
    text_json_write(message, 0, &text);
    bytes_append_u8(&text, '\0');
    assert_null(strstr((const char *)text.data, "hunter2"));
    assert_null(strstr((const char *)text.data, "--password"));
    template = manifest->vms[0]->template_;
    assert_int_equal(template->n_command, 3);
    assert_string_equal(template->command[0], REDACTED);
    assert_string_equal(template->environment[0], "DB_PASSWORD=" REDACTED);
    assert_string_equal(template->environment[2], "A=" REDACTED);
    assert_string_equal(manifest->groups[0]->name, "g");
    bytes_close(&text);
    protobuf_c_message_free_unpacked(message, NULL);
}

static void hashes_of_tokens_are_taken_out(void **unused)
{
    Holdfast__V1__Grant *grant = memory_alloc(sizeof(*grant));

    (void)unused;
    holdfast__v1__grant__init(grant);
    grant->secret_sha256.data = memory_copy("0123", 4);
    grant->secret_sha256.len = 4;
    redact(&grant->base);
    assert_int_equal(grant->secret_sha256.len, 0);
    protobuf_c_message_free_unpacked(&grant->base, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_is_a_header_and_whole_blocks),
        cmocka_unit_test(what_does_not_fit_is_refused),
        cmocka_unit_test(commands_and_environments_are_taken_out),
        cmocka_unit_test(hashes_of_tokens_are_taken_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
