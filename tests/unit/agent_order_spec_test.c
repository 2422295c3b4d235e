/* SPDX-License-Identifier: Apache-2.0
 *
 * Orders to specs: what stands in braces, and paths that try to get out. */
#include "agent/order_spec.h"
#include "base/container.h"
#include "base/error.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char image_dir[] = "/tmp/hf-order-XXXXXX";

struct fixture {
    Holdfast__V1__AgentConfig config;
    Holdfast__V1__Pool pool;
    Holdfast__V1__Pool *pools[1];
    Holdfast__V1__Order order;
    Holdfast__V1__Resources resources;
    Holdfast__V1__VmTemplate template;
    Holdfast__V1__Disk disk;
    Holdfast__V1__Disk *disks[1];
    char *command[3];
    struct vm_spec spec;
    struct order_error error;
};

/* protobuf-c's strings are not const. */
static char *text(const char *string)
{
    union {
        const char *in;
        char *out;
    } pointer = {string};

    return pointer.out;
}

static void fixture_init(struct fixture *f)
{
    holdfast__v1__agent_config__init(&f->config);
    holdfast__v1__pool__init(&f->pool);
    holdfast__v1__order__init(&f->order);
    holdfast__v1__resources__init(&f->resources);
    holdfast__v1__vm_template__init(&f->template);
    holdfast__v1__disk__init(&f->disk);
    f->config.state_dir = text("/var/lib/x");
    f->config.image_dir = image_dir;
    f->pool.name = text("p");
    f->pool.path = text("/mnt/p");
    f->pools[0] = &f->pool;
    f->config.pools = f->pools;
    f->config.n_pools = 1;
    f->order.name = text("web-1");
    f->order.uid = 77;
    f->order.epoch = 3;
    f->resources.cpu_milli = 100;
    f->resources.memory_mib = 64;
    f->order.resources = &f->resources;
    f->order.template_ = &f->template;
    f->template.driver = HOLDFAST__V1__DRIVER__DRIVER_EXEC;
    f->command[0] = text("/bin/run");
    f->command[1] = text("--vm={name}/{uid}.{epoch}");
    f->command[2] = text("{disk0}:{disk1}:{x}:{{name}}");
    f->template.command = f->command;
    f->template.n_command = 3;
    f->disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED;
    f->disk.pool = text("p");
    f->disk.path = text("vms/{name}-{uid}.img");
    f->disks[0] = &f->disk;
    f->template.disks = f->disks;
    f->template.n_disks = 1;
}

static int run(struct fixture *f)
{
    return order_spec(&f->spec, &f->order, &f->config, &f->error);
}

static void an_order_becomes_a_spec(void **unused)
{
    struct fixture f;

    (void)unused;
    fixture_init(&f);
    assert_int_equal(run(&f), 0);
    assert_string_equal(f.spec.disks[0].path, "/mnt/p/vms/web-1-77.img");
    assert_string_equal(f.spec.argv.items[1], "--vm=web-1/77.3");
    assert_string_equal(f.spec.argv.items[2],
                        "/mnt/p/vms/web-1-77.img:{disk1}:{x}:{web-1}");
    assert_int_equal(f.spec.stop_grace_ms, ORDER_GRACE_MS);
    assert_false(f.spec.keep);
    vm_spec_close(&f.spec);
}

static void local_and_replicated_disks_are_files_of_their_pool(void **unused)
{
    const Holdfast__V1__DiskKind kinds[] = {
        HOLDFAST__V1__DISK_KIND__DISK_KIND_LOCAL,
        HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED};

    (void)unused;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;

        fixture_init(&f);
        f.disk.kind = kinds[i];
        assert_int_equal(run(&f), 0);
        assert_string_equal(f.spec.disks[0].path, "/mnt/p/vms/web-1-77.img");
        vm_spec_close(&f.spec);
    }
}

static void an_ephemeral_disk_is_made_from_its_image(void **unused)
{
    struct fixture f;
    char path[64];

    (void)unused;
    fixture_init(&f);
    f.disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL;
    f.disk.image = text("base.img");
    assert_int_equal(run(&f), 0);
    assert_string_equal(f.spec.disks[0].path, "/var/lib/x/disks/77-0");
    snprintf(path, sizeof(path), "%s/base.img", image_dir);
    assert_string_equal(f.spec.disks[0].image, path);
    vm_spec_close(&f.spec);
    f.disk.image = text("other.img");
    assert_int_equal(run(&f), HF_ERROR_NOT_FOUND);
    assert_string_equal(f.error.reason,
                        "image other.img is missing on this host");
}

static void an_image_name_is_no_path(void **unused)
{
    static const char *const names[] = {
        "", "..", "../base.img", "/etc/passwd", ".hidden", "a/../base.img"};
    struct fixture f;

    (void)unused;
    fixture_init(&f);
    f.disk.kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        f.disk.image = text(names[i]);
        assert_int_equal(run(&f), HF_ERROR_INVALID);
        assert_non_null(strstr(f.error.reason, "is no image name"));
    }
}

static void a_disk_path_stays_in_its_pool(void **unused)
{
    static const char *const paths[] = {"",     "/etc/x", "../x", "a/../x",
                                        "a//x", "a/..",   "./x",  "a/"};
    struct fixture f;

    (void)unused;
    fixture_init(&f);
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        f.disk.path = text(paths[i]);
        assert_int_equal(run(&f), HF_ERROR_INVALID);
        assert_non_null(strstr(f.error.reason, "leaves its pool"));
    }
    f.order.name = text("..");
    f.disk.path = text("{name}/x"); /* Also after the names are filled in. */
    assert_int_equal(run(&f), HF_ERROR_INVALID);
    f.order.name = text("web-1");
    f.disk.path = text("..x/y..");
    assert_int_equal(run(&f), 0);
    vm_spec_close(&f.spec);
}

static void what_is_missing_is_said(void **unused)
{
    struct fixture f;

    (void)unused;
    fixture_init(&f);
    f.disk.pool = text("q");
    assert_int_equal(run(&f), HF_ERROR_NOT_FOUND);
    assert_string_equal(f.error.reason, "pool q is not on this host");
    fixture_init(&f);
    f.order.template_ = NULL;
    assert_int_equal(run(&f), HF_ERROR_INVALID);
    fixture_init(&f);
    f.template.n_command = 0;
    assert_int_equal(run(&f), HF_ERROR_INVALID);
    assert_non_null(strstr(f.error.reason, "the order is not valid"));
}

static int make_images(void **unused)
{
    char path[64];
    int fd;

    (void)unused;
    if (mkdtemp(image_dir) == NULL) {
        return -1;
    }
    snprintf(path, sizeof(path), "%s/base.img", image_dir);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : close(fd);
}

static int remove_images(void **unused)
{
    char path[64];

    (void)unused;
    snprintf(path, sizeof(path), "%s/base.img", image_dir);
    unlink(path);
    return rmdir(image_dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_order_becomes_a_spec),
        cmocka_unit_test(local_and_replicated_disks_are_files_of_their_pool),
        cmocka_unit_test(an_ephemeral_disk_is_made_from_its_image),
        cmocka_unit_test(an_image_name_is_no_path),
        cmocka_unit_test(a_disk_path_stays_in_its_pool),
        cmocka_unit_test(what_is_missing_is_said),
    };

    return cmocka_run_group_tests(tests, make_images, remove_images);
}
