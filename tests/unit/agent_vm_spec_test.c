/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a spec decides what an agent adopts: one spec, one text. */
#include "agent/vm_spec.h"
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

static char path_a[] = "/pool/a b,c=%d.img";
static char path_b[] = "/state/\xc3\xa4\n";
static char image[] = "/images/base.img";

static void fill(struct vm_spec *spec, enum vm_driver_kind driver)
{
    struct vm_disk shared = {.kind = VM_DISK_SHARED, .path = path_a};
    struct vm_disk made = {.kind = VM_DISK_EPHEMERAL,
                           .read_only = true,
                           .path = path_b,
                           .image = image};

    vm_spec_init(spec);
    spec->uid = UINT64_MAX;
    spec->epoch = 3;
    memcpy(spec->name, "web-7", sizeof("web-7"));
    spec->driver = driver;
    spec->keep = driver == VM_DRIVER_EXEC;
    spec->cpu_milli = 1500;
    spec->memory_mib = 64;
    spec->stop_grace_ms = 10000;
    assert_int_equal(vm_spec_add_disk(spec, &shared), 0);
    assert_int_equal(vm_spec_add_disk(spec, &made), 0);
    if (driver == VM_DRIVER_QEMU) {
        spec->boot_image = memory_copy_string(image);
        return;
    }
    assert_int_equal(vm_strings_add(&spec->argv, "/bin/sh"), 0);
    assert_int_equal(vm_strings_add(&spec->argv, ""), 0);
    assert_int_equal(vm_strings_add(&spec->argv, "a b\n%\x01\xff~!"), 0);
    assert_int_equal(vm_strings_add(&spec->env, "A=b=c d"), 0);
    assert_int_equal(vm_strings_add(&spec->env, "B="), 0);
}

static void encode(const struct vm_spec *spec, struct bytes *text)
{
    bytes_init(text);
    vm_spec_encode(spec, text);
}

static void the_text_is_the_documented_one(void **unused)
{
    static const char expected[] =
        "holdfast-vm-spec 1\nuid=18446744073709551615\nepoch=3\nname=web-7\n"
        "driver=exec\non_partition=keep\ncpu_milli=1500\nmemory_mib=64\n"
        "stop_grace_ms=10000\nboot_image=\n"
        "disk=shared rw /pool/a%20b,c=%25d.img\n"
        "disk=ephemeral ro /state/%C3%A4%0A /images/base.img\n"
        "argv=/bin/sh\nargv=\nargv=a%20b%0A%25%01%FF~!\n"
        "env=A=b=c%20d\nenv=B=\nend\n";
    struct vm_spec spec;
    struct bytes text;

    (void)unused;
    fill(&spec, VM_DRIVER_EXEC);
    encode(&spec, &text);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
    bytes_close(&text);
    vm_spec_close(&spec);
}

static void a_spec_comes_back_as_it_was(void **unused)
{
    (void)unused;
    for (int driver = VM_DRIVER_QEMU; driver <= VM_DRIVER_EXEC; driver++) {
        struct vm_spec spec;
        struct vm_spec back;
        struct vm_spec copy;
        struct bytes text;
        struct bytes again;

        fill(&spec, (enum vm_driver_kind)driver);
        encode(&spec, &text);
        assert_int_equal(vm_spec_decode(&back, text.data, text.len), 0);
        assert_true(back.uid == spec.uid && back.epoch == spec.epoch);
        assert_string_equal(back.name, spec.name);
        assert_int_equal(back.driver, spec.driver);
        assert_int_equal(back.keep, spec.keep);
        assert_int_equal(back.cpu_milli, spec.cpu_milli);
        assert_int_equal(back.disk_count, 2);
        assert_string_equal(back.disks[0].path, path_a);
        assert_null(back.disks[0].image);
        assert_string_equal(back.disks[1].path, path_b);
        assert_string_equal(back.disks[1].image, image);
        assert_true(back.disks[1].read_only && !back.disks[0].read_only);
        assert_int_equal(back.argv.count, spec.argv.count);
        vm_spec_copy(&copy, &back);
        encode(&copy, &again);
        assert_int_equal(again.len, text.len);
        assert_memory_equal(again.data, text.data, text.len);
        vm_spec_close(&copy);
        vm_spec_close(&back);
        vm_spec_close(&spec);
        bytes_close(&text);
        bytes_close(&again);
    }
}

static char *replace(const char *text, const char *old, const char *new)
{
    const char *at = strstr(text, old);
    size_t size = strlen(text) + strlen(new) + 1;
    char *changed = memory_alloc(size);

    assert_non_null(at);
    snprintf(changed, size, "%.*s%s%s", (int)(at - text), text, new,
             at + strlen(old));
    return changed;
}

/* One row, one way in which a text differs from the form. */
static const char *const bad_forms[][2] = {
    {"holdfast-vm-spec 1", "holdfast-vm-spec 2"},
    {"uid=1", "uid=01"},
    {"uid=18446744073709551615", "uid=18446744073709551616"},
    {"uid=18446744073709551615", "uid=0"},
    {"epoch=3", "epoch=0"},
    {"epoch=3", "epoch=3 "},
    {"epoch=3\n", ""},
    {"epoch=3\n", "epoch=3\nepoch=3\n"},
    {"name=web-7", "name=-web"},
    {"name=web-7", "name=Web"},
    {"name=web-7", "name="},
    {"name=web-7", "name=a2345678901234567890123456789012345678901234567890"
                   "12345678901234"},
    {"driver=exec", "driver=EXEC"},
    {"driver=exec", "driver=qemu"}, /* It has a command. */
    {"on_partition=keep", "on_partition=stay"},
    {"cpu_milli=1500", "cpu_milli=0"},
    {"cpu_milli=1500", "cpu_milli=1024001"},
    {"memory_mib=64", "memory_mib=-64"},
    {"stop_grace_ms=10000", "stop_grace_ms=600001"},
    {"boot_image=", "boot_image=/x"},
    {"disk=shared rw", "disk=shared rx"},
    {"disk=shared rw", "disk=local rw"},
    {"disk=shared rw /pool", "disk=shared rw pool"},
    {"disk=shared rw ", "disk=shared  rw "},
    {" /images/base.img", ""},
    {"%20b", "%2"},
    {"%20b", " b"},
    {"a%20b,c", "a%20b%2Cc"},
    {"%C3", "%c3"},
    {"argv=/bin/sh", "argv="},
    {"argv=/bin/sh\nargv=\nargv=a%20b%0A%25%01%FF~!\n", ""},
    {"argv=/bin/sh", "argv=/bin%00sh"},
    {"env=B=", "env=B"},
    {"env=B=", "env==B"},
    {"env=B=\n", "env=B=\nargv=x\n"},
    {"end\n", "end"},
    {"end\n", "end\nend\n"},
    {"end\n", "end\n\n"},
    {"\n", "\r\n"},
};

static void any_other_form_is_refused(void **unused)
{
    struct vm_spec spec;
    struct bytes text;

    (void)unused;
    fill(&spec, VM_DRIVER_EXEC);
    encode(&spec, &text);
    bytes_append_u8(&text, 0);
    for (size_t i = 0; i < ARRAY_LEN(bad_forms); i++) {
        struct vm_spec back;
        char *changed;

        changed =
            replace((const char *)text.data, bad_forms[i][0], bad_forms[i][1]);
        if (vm_spec_decode(&back, changed, strlen(changed)) !=
            HF_ERROR_INVALID) {
            fail_msg("row %zu: %s", i, bad_forms[i][1]);
        }
        assert_int_equal(back.disk_count, 0);
        free(changed);
    }
    /* Also with a NUL in it, and cut anywhere. */
    for (size_t len = 0; len < text.len - 1; len++) {
        struct vm_spec back;

        assert_int_equal(vm_spec_decode(&back, text.data, len),
                         HF_ERROR_INVALID);
    }
    vm_spec_close(&spec);
    assert_int_equal(vm_spec_decode(&spec, text.data, text.len),
                     HF_ERROR_INVALID);
    bytes_close(&text);
}

static void limits_hold(void **unused)
{
    struct vm_spec spec;
    const char *field;
    struct vm_disk disk = {.kind = VM_DISK_SHARED, .path = path_a};
    char *long_text = memory_alloc(20000);

    (void)unused;
    fill(&spec, VM_DRIVER_EXEC);
    assert_int_equal(vm_spec_check(&spec, &field), 0);
    while (spec.disk_count < VM_SPEC_DISKS_MAX) {
        assert_int_equal(vm_spec_add_disk(&spec, &disk), 0);
    }
    assert_int_equal(vm_spec_add_disk(&spec, &disk), HF_ERROR_TOO_LARGE);
    assert_int_equal(vm_spec_check(&spec, &field), 0);
    memset(long_text, 'x', 16384);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(vm_strings_add(&spec.argv, long_text), 0);
    }
    assert_int_equal(vm_spec_check(&spec, &field), HF_ERROR_TOO_LARGE);
    assert_string_equal(field, "spec");
    vm_spec_close(&spec);

    fill(&spec, VM_DRIVER_EXEC);
    while (spec.env.count < VM_SPEC_STRINGS_MAX) {
        assert_int_equal(vm_strings_add(&spec.env, "A=b"), 0);
    }
    assert_int_equal(vm_spec_check(&spec, &field), 0);
    assert_int_equal(vm_strings_add(&spec.env, "A=b"), 0);
    assert_int_equal(vm_spec_check(&spec, &field), HF_ERROR_INVALID);
    assert_string_equal(field, "environment");
    vm_spec_close(&spec);

    free(long_text);
    long_text = memory_alloc(VM_SPEC_BYTES_MAX + 1);
    assert_int_equal(vm_spec_decode(&spec, long_text, VM_SPEC_BYTES_MAX),
                     HF_ERROR_INVALID);
    assert_int_equal(vm_spec_decode(&spec, long_text, VM_SPEC_BYTES_MAX + 1),
                     HF_ERROR_TOO_LARGE);
    free(long_text);
    fill(&spec, VM_DRIVER_QEMU);
    free(spec.boot_image);
    spec.boot_image = NULL;
    assert_int_equal(vm_spec_check(&spec, &field), 0);
    vm_spec_close(&spec);
}

/* Seeded changes of good texts: what is accepted encodes to the same bytes. */
static void mangled_texts_do_no_harm(void **unused)
{
    struct vm_spec spec;
    struct bytes text;
    struct random random;
    unsigned accepted = 0;

    (void)unused;
    fill(&spec, VM_DRIVER_EXEC);
    encode(&spec, &text);
    vm_spec_close(&spec);
    random_init(&random, 5);
    for (int i = 0; i < 30000; i++) {
        uint8_t *changed = memory_copy(text.data, text.len);
        struct vm_spec back;

        for (uint64_t n = random_below(&random, 3) + 1; n > 0; n--) {
            uint64_t from = random_below(&random, text.len);

            changed[random_below(&random, text.len)] =
                random_below(&random, 2) == 0
                    ? text.data[from]
                    : (uint8_t)random_below(&random, 256);
        }
        if (vm_spec_decode(&back, changed, text.len) == 0) {
            struct bytes again;

            encode(&back, &again);
            assert_int_equal(again.len, text.len);
            assert_memory_equal(again.data, changed, text.len);
            bytes_close(&again);
            vm_spec_close(&back);
            accepted++;
        }
        free(changed);
    }
    assert_true(accepted > 0);
    bytes_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_text_is_the_documented_one),
        cmocka_unit_test(a_spec_comes_back_as_it_was),
        cmocka_unit_test(any_other_form_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(mangled_texts_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
