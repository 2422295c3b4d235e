/* SPDX-License-Identifier: Apache-2.0
 *
 * What QEMU is told. Each rule here is one that safety or a user leans on. */
#include "agent/json.h"
#include "agent/qemu_command.h"
#include "base/container.h"
#include "base/error.h"
#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char odd_path[] = "/pool/a,b=\"c\"\\d\n.img";
static char plain_path[] = "/state/e.img";
static char image[] = "/images/base.img";

static void fill(struct vm_spec *spec)
{
    struct vm_disk shared = {.kind = VM_DISK_SHARED, .path = odd_path};
    struct vm_disk made = {
        .kind = VM_DISK_EPHEMERAL, .path = plain_path, .image = image};
    struct vm_disk read_only = {
        .kind = VM_DISK_SHARED, .read_only = true, .path = plain_path};

    vm_spec_init(spec);
    spec->uid = 1;
    spec->epoch = 1;
    memcpy(spec->name, "web-7", sizeof("web-7"));
    spec->driver = VM_DRIVER_QEMU;
    spec->cpu_milli = 1001;
    spec->memory_mib = 64;
    spec->boot_image = memory_copy_string(image);
    assert_int_equal(vm_spec_add_disk(spec, &shared), 0);
    assert_int_equal(vm_spec_add_disk(spec, &made), 0);
    assert_int_equal(vm_spec_add_disk(spec, &read_only), 0);
}

static bool has(const struct vm_strings *argv, const char *word)
{
    for (size_t i = 0; i < argv->count; i++) {
        if (strcmp(argv->items[i], word) == 0) {
            return true;
        }
    }
    return false;
}

static bool has_pair(const struct vm_strings *argv, const char *option,
                     const char *value)
{
    for (size_t i = 0; i + 1 < argv->count; i++) {
        if (strcmp(argv->items[i], option) == 0 &&
            strcmp(argv->items[i + 1], value) == 0) {
            return true;
        }
    }
    return false;
}

/* The n-th -blockdev, parsed. */
static struct json json;
static char *text;

static const struct json_value *drive(const struct vm_strings *argv, int n)
{
    for (size_t i = 0; i + 1 < argv->count; i++) {
        if (strcmp(argv->items[i], "-blockdev") == 0 && n-- == 0) {
            free(text);
            text = memory_copy_string(argv->items[i + 1]);
            assert_int_equal(json_parse(&json, text, strlen(text)), 0);
            return &json.values[0];
        }
    }
    return NULL;
}

static bool is_direct(const struct json_value *object)
{
    const struct json_value *cache = json_get(&json, object, "cache");

    return cache != NULL && json_get(&json, cache, "direct")->kind == JSON_TRUE;
}

static void the_machine_is_bare_and_fenced_in(void **unused)
{
    struct vm_spec spec;
    struct vm_strings argv = {0};
    struct qemu_disk_file files[3] = {{false, false}};

    (void)unused;
    fill(&spec);
    assert_int_equal(qemu_command(&spec, "/bin/q", ACCEL_TCG, files, &argv), 0);
    assert_string_equal(argv.items[0], "/bin/q");
    assert_true(has(&argv, "-nodefaults"));
    assert_true(has(&argv, "-no-user-config"));
    assert_false(has(&argv, "-daemonize")); /* It would leave the shim. */
    assert_false(has(&argv, "-runas"));     /* It clears PDEATHSIG. */
    assert_true(has_pair(&argv, "-sandbox",
                         "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
                         "resourcecontrol=deny"));
    assert_true(has_pair(&argv, "-chardev",
                         "socket,id=monitor,path=qmp,server=on,wait=off"));
    assert_true(has_pair(&argv, "-smp", "2")); /* 1001 is more than one. */
    assert_true(has_pair(&argv, "-m", "64M"));
    assert_true(has_pair(&argv, "-name", "guest=web-7"));
    assert_true(has_pair(&argv, "-cpu", "max"));
    vm_strings_close(&argv);
    assert_int_equal(qemu_command(&spec, "/bin/q", ACCEL_KVM, files, &argv), 0);
    assert_true(has_pair(&argv, "-cpu", "host"));
    vm_strings_close(&argv);
    spec.cpu_milli = 255001;
    assert_int_equal(qemu_command(&spec, "/bin/q", ACCEL_TCG, files, &argv),
                     HF_ERROR_INVALID);
    vm_strings_close(&argv);
    vm_spec_close(&spec);
}

static void every_disk_is_locked_and_shared_ones_are_direct(void **unused)
{
    static const struct {
        const char *path;
        bool read_only;
        bool direct;
        const char *driver;
    } rows[] = {
        {image, true, false, "file"},           /* The boot image. */
        {odd_path, false, true, "host_device"}, /* Shared, on a device. */
        {plain_path, false, false, "file"},     /* Ephemeral: cached. */
        {plain_path, true, false, "file"},      /* It cannot be direct. */
    };
    struct qemu_disk_file files[3] = {{.block_device = true, .direct = true},
                                      {.direct = true},
                                      {.direct = false}};
    struct vm_spec spec;
    struct vm_strings argv = {0};

    (void)unused;
    fill(&spec);
    assert_int_equal(qemu_command(&spec, "/bin/q", ACCEL_TCG, files, &argv), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const struct json_value *outer = drive(&argv, (int)i);
        const struct json_value *inner = json_get(&json, outer, "file");

        assert_string_equal(json_string(json_get(&json, outer, "driver")),
                            "raw");
        assert_string_equal(json_string(json_get(&json, inner, "driver")),
                            rows[i].driver);
        assert_string_equal(json_string(json_get(&json, inner, "filename")),
                            rows[i].path);
        assert_string_equal(json_string(json_get(&json, inner, "locking")),
                            "on");
        assert_int_equal(json_get(&json, outer, "read-only")->kind,
                         rows[i].read_only ? JSON_TRUE : JSON_FALSE);
        assert_int_equal(json_get(&json, inner, "read-only")->kind,
                         rows[i].read_only ? JSON_TRUE : JSON_FALSE);
        assert_int_equal(is_direct(outer), rows[i].direct);
        assert_int_equal(is_direct(inner), rows[i].direct);
    }
    assert_null(drive(&argv, 4));
    assert_true(has_pair(&argv, "-device",
                         "virtio-blk-pci,drive=boot,bootindex=0,werror=stop,"
                         "rerror=stop"));
    assert_true(has_pair(&argv, "-device",
                         "virtio-blk-pci,drive=disk2,bootindex=3,werror=stop,"
                         "rerror=stop"));
    free(text);
    text = NULL;
    vm_strings_close(&argv);
    vm_spec_close(&spec);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_machine_is_bare_and_fenced_in),
        cmocka_unit_test(every_disk_is_locked_and_shared_ones_are_direct),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
