/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/order_spec.h"

#include "base/check.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define IMAGE_NAME_MAX  255
#define POOL_PATH_MAX   255
#define EXPANDED_MAX    65536 /* vm_spec_check() says the rest. */
#define PLACEHOLDER_MAX 16

struct builder {
    struct vm_spec *spec;
    const Holdfast__V1__Order *order;
    const Holdfast__V1__AgentConfig *config;
    struct order_error *error;
};

__attribute__((format(printf, 3, 4))) static int fail(
    const struct builder *builder, int error, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(builder->error->reason, sizeof(builder->error->reason), format,
              args);
    va_end(args);
    return error;
}

bool order_keeps(const Holdfast__V1__Order *order)
{
    return order->on_partition == HOLDFAST__V1__ON_PARTITION__ON_PARTITION_KEEP;
}

uint32_t order_grace_ms(const Holdfast__V1__Order *order)
{
    uint32_t grace_ms =
        order->template_ != NULL ? order->template_->stop_grace_ms : 0;

    if (grace_ms == 0) {
        return ORDER_GRACE_MS;
    }
    return grace_ms < ORDER_GRACE_MS_MAX ? grace_ms : ORDER_GRACE_MS_MAX;
}

bool order_path_is_inside(const char *path)
{
    for (;;) {
        size_t len = strcspn(path, "/");

        if (len == 0 || (len == 1 && path[0] == '.') ||
            (len == 2 && path[0] == '.' && path[1] == '.')) {
            return false;
        }
        if (path[len] == '\0') {
            return true;
        }
        path += len + 1;
    }
}

/* The path of "diskN", or NULL. */
static const char *disk_path(const struct vm_spec *spec, const char *digits)
{
    char *end;
    unsigned long index;

    if (spec == NULL || digits[0] < '0' || digits[0] > '9' ||
        (digits[0] == '0' && digits[1] != '\0')) {
        return NULL;
    }
    index = strtoul(digits, &end, 10);
    return *end == '\0' && index < spec->disk_count ? spec->disks[index].path
                                                    : NULL;
}

/* Appends what the placeholder stands for; false when it is none. */
static bool expand_one(const char *placeholder, const struct order_names *names,
                       struct bytes *out)
{
    char number[24];
    const char *value = NULL;

    if (strcmp(placeholder, "name") == 0) {
        value = names->name;
    } else if (strcmp(placeholder, "uid") == 0) {
        snprintf(number, sizeof(number), "%" PRIu64, names->uid);
        value = number;
    } else if (strcmp(placeholder, "epoch") == 0) {
        snprintf(number, sizeof(number), "%" PRIu64, names->epoch);
        value = number;
    } else if (strncmp(placeholder, "disk", 4) == 0) {
        value = disk_path(names->spec, placeholder + 4);
    }
    if (value == NULL) {
        return false;
    }
    bytes_append(out, value, strlen(value));
    return true;
}

void order_expand(const char *text, const struct order_names *names,
                  struct bytes *out)
{
    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        char placeholder[PLACEHOLDER_MAX + 1];
        size_t len;

        bytes_append(out, text, plain);
        text += plain;
        if (*text == '\0') {
            break;
        }
        len = strcspn(text + 1, "{}");
        if (text[1 + len] == '}' && len <= PLACEHOLDER_MAX) {
            memcpy(placeholder, text + 1, len);
            placeholder[len] = '\0';
            if (expand_one(placeholder, names, out)) {
                text += len + 2;
                continue;
            }
        }
        bytes_append(out, text, 1);
        text++;
    }
    bytes_append_u8(out, 0);
}

/* "<image_dir>/<name>" of an image that is there. */
static int image_path(const struct builder *builder, const char *name,
                      struct bytes *path)
{
    const char *dir = builder->config->image_dir;

    if (strlen(name) > IMAGE_NAME_MAX || name[0] == '.' ||
        strchr(name, '/') != NULL || !order_path_is_inside(name)) {
        return fail(builder, HF_ERROR_INVALID, "\"%.64s\" is no image name",
                    name);
    }
    if (dir[0] == '\0') {
        return fail(builder, HF_ERROR_NOT_FOUND,
                    "this host has no image_dir for image %.64s", name);
    }
    bytes_append(path, dir, strlen(dir));
    bytes_append_u8(path, '/');
    bytes_append(path, name, strlen(name) + 1);
    if (access((const char *)path->data, R_OK) != 0) {
        return fail(builder, HF_ERROR_NOT_FOUND,
                    "image %.64s is missing on this host", name);
    }
    return 0;
}

static const Holdfast__V1__Pool *pool_named(
    const Holdfast__V1__AgentConfig *config, const char *name)
{
    for (size_t i = 0; i < config->n_pools; i++) {
        if (strcmp(config->pools[i]->name, name) == 0) {
            return config->pools[i];
        }
    }
    return NULL;
}

static int add_from_pool(const struct builder *builder,
                         const Holdfast__V1__Disk *from)
{
    const Holdfast__V1__Pool *pool = pool_named(builder->config, from->pool);
    const struct order_names names = {.name = builder->order->name,
                                      .uid = builder->order->uid,
                                      .epoch = builder->order->epoch};
    struct vm_disk disk = {.kind = VM_DISK_SHARED,
                           .read_only = from->read_only != 0};
    struct bytes path;
    size_t pool_len;
    int result = 0;

    if (pool == NULL) {
        return fail(builder, HF_ERROR_NOT_FOUND,
                    "pool %.64s is not on this host", from->pool);
    }
    if (strlen(from->path) > POOL_PATH_MAX) {
        return fail(builder, HF_ERROR_TOO_LARGE, "a disk's path is too long");
    }
    bytes_init(&path);
    pool_len = strlen(pool->path);
    bytes_append(&path, pool->path, pool_len);
    bytes_append_u8(&path, '/');
    order_expand(from->path, &names, &path);
    if (!order_path_is_inside((const char *)path.data + pool_len + 1)) {
        result = fail(builder, HF_ERROR_INVALID,
                      "disk path \"%.64s\" leaves its pool", from->path);
    } else {
        disk.path = (char *)path.data;
        result = vm_spec_add_disk(builder->spec, &disk);
    }
    bytes_close(&path);
    return result;
}

static int add_ephemeral(const struct builder *builder,
                         const Holdfast__V1__Disk *from)
{
    struct vm_disk disk = {.kind = VM_DISK_EPHEMERAL,
                           .read_only = from->read_only != 0};
    char path[VM_SPEC_PATH_MAX + 1];
    struct bytes image;
    int result;
    int len = snprintf(path, sizeof(path), "%s/%s/%" PRIu64 "-%zu",
                       builder->config->state_dir, ORDER_DISKS_DIR,
                       builder->order->uid, builder->spec->disk_count);

    if (len < 0 || (size_t)len >= sizeof(path)) {
        return fail(builder, HF_ERROR_TOO_LARGE, "state_dir is too long");
    }
    bytes_init(&image);
    result = image_path(builder, from->image, &image);
    if (result == 0) {
        disk.path = path;
        disk.image = (char *)image.data;
        result = vm_spec_add_disk(builder->spec, &disk);
    }
    bytes_close(&image);
    return result;
}

static int add_disks(const struct builder *builder,
                     const Holdfast__V1__VmTemplate *template)
{
    for (size_t i = 0; i < template->n_disks; i++) {
        const Holdfast__V1__Disk *disk = template->disks[i];
        int result;

        switch (disk->kind) {
        case HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL:
            result = add_ephemeral(builder, disk);
            break;
        case HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED:
        case HOLDFAST__V1__DISK_KIND__DISK_KIND_LOCAL:
        case HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED:
            /* To a host all three are a file of a pool; where else that is
             * concerns placement alone. */
            result = add_from_pool(builder, disk);
            break;
        default:
            result = fail(builder, HF_ERROR_INVALID,
                          "a disk's kind is not known here");
            break;
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

static int add_command(const struct builder *builder,
                       const Holdfast__V1__VmTemplate *template)
{
    const struct order_names names = {.name = builder->order->name,
                                      .uid = builder->order->uid,
                                      .epoch = builder->order->epoch,
                                      .spec = builder->spec};
    struct bytes text;
    int result = 0;

    bytes_init(&text);
    for (size_t i = 0; i < template->n_command && result == 0; i++) {
        bytes_clear(&text);
        order_expand(template->command[i], &names, &text);
        if (text.len > EXPANDED_MAX) {
            result = fail(builder, HF_ERROR_TOO_LARGE, "command is too long");
        } else {
            result =
                vm_strings_add(&builder->spec->argv, (const char *)text.data);
        }
    }
    for (size_t i = 0; i < template->n_environment && result == 0; i++) {
        result = vm_strings_add(&builder->spec->env, template->environment[i]);
    }
    bytes_close(&text);
    return result;
}

static int build(const struct builder *builder)
{
    const Holdfast__V1__VmTemplate *template = builder->order->template_;
    struct vm_spec *spec = builder->spec;
    struct bytes image;
    const char *field = "";
    int result = add_disks(builder, template);

    if (result == 0 && template->image[0] != '\0') {
        bytes_init(&image);
        result = image_path(builder, template->image, &image);
        if (result == 0) {
            spec->boot_image = (char *)bytes_take(&image, &(size_t){0});
        }
        bytes_close(&image);
    }
    if (result == 0 && spec->driver == VM_DRIVER_EXEC) {
        result = add_command(builder, template);
    }
    if (result == 0) {
        result = vm_spec_check(spec, &field);
    }
    if (result != 0 && builder->error->reason[0] == '\0') {
        return fail(builder, result, "the order is not valid: %.64s", field);
    }
    return result;
}

int order_spec(struct vm_spec *spec, const Holdfast__V1__Order *order,
               const Holdfast__V1__AgentConfig *config,
               struct order_error *error)
{
    const struct builder builder = {spec, order, config, error};
    int result;

    error->reason[0] = '\0';
    vm_spec_init(spec);
    if (order->template_ == NULL || order->resources == NULL) {
        return fail(&builder, HF_ERROR_INVALID,
                    "the order has no template or resources");
    }
    if (strlen(order->name) > VM_SPEC_NAME_MAX) {
        return fail(&builder, HF_ERROR_INVALID, "the VM's name is too long");
    }
    spec->uid = order->uid;
    spec->epoch = order->epoch;
    memcpy(spec->name, order->name, strlen(order->name) + 1);
    spec->driver = (enum vm_driver_kind)order->template_->driver;
    spec->keep = order_keeps(order);
    spec->cpu_milli = order->resources->cpu_milli;
    spec->memory_mib = order->resources->memory_mib;
    spec->stop_grace_ms = order_grace_ms(order);
    result = build(&builder);
    if (result != 0) {
        vm_spec_close(spec);
    }
    return result;
}
