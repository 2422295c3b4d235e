/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/template.h"

#include "base/similar.h"
#include "ctl/format.h"
#include "ctl/labels.h"
#include "ctl/request.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

bool number_option(struct invocation *invocation, enum option option,
                   uint32_t min, uint32_t max, uint32_t *number)
{
    const char *text = arguments_value(invocation->arguments, option);
    unsigned long long value;
    char *end;

    if (text == NULL) {
        return true;
    }
    value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < min ||
        value > max) {
        (void)usage_error(
            invocation, "%s: `%s` is not a number from %" PRIu32 " to %" PRIu32,
            option_rule(option)->name, text, min, max);
        return false;
    }
    *number = (uint32_t)value;
    return true;
}

bool duration_option(struct invocation *invocation, enum option option,
                     uint32_t *duration_ms)
{
    const char *text = arguments_value(invocation->arguments, option);
    uint64_t value;

    if (text == NULL) {
        return true;
    }
    if (!format_read_duration(text, &value) || value > UINT32_MAX) {
        (void)usage_error(invocation, "%s: `%s` is no time; write 10s or 5m",
                          option_rule(option)->name, text);
        return false;
    }
    *duration_ms = (uint32_t)value;
    return true;
}

/* "z1+z2": commas part the keys of a disk. */
static bool set_zones(struct invocation *invocation, Holdfast__V1__Disk *disk,
                      const char *zones)
{
    while (zones[0] != '\0') {
        size_t len = strcspn(zones, "+");

        if (!request_add(invocation, &disk->base, "zones",
                         request_copy(invocation, zones, len), "--disk")) {
            return false;
        }
        zones += len + (zones[len] == '+');
    }
    return true;
}

/* "key=value" of a --disk. */
static bool set_disk(struct invocation *invocation, Holdfast__V1__Disk *disk,
                     const char *pair)
{
    const ProtobufCMessageDescriptor *descriptor = disk->base.descriptor;
    const char *equals = strchr(pair, '=');
    struct similar similar;
    const char *key;

    if (equals == NULL) {
        (void)usage_error(invocation, "--disk: `%s` is not KEY=VALUE", pair);
        return false;
    }
    key = request_copy(invocation, pair, (size_t)(equals - pair));
    if (strcmp(key, "zones") == 0) {
        return set_zones(invocation, disk, equals + 1);
    }
    if (protobuf_c_message_descriptor_get_field_by_name(descriptor, key) !=
        NULL) {
        return request_set(invocation, &disk->base, key, equals + 1, "--disk");
    }
    similar_init(&similar, key);
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        similar_offer(&similar, descriptor->fields[i].name);
    }
    (void)usage_error(invocation,
                      "--disk: unknown key `%s`; it takes kind, pool, path, "
                      "image, read_only, zones%s%s%s",
                      key, similar.best == NULL ? "" : "; did you mean `",
                      similar.best == NULL ? "" : similar.best,
                      similar.best == NULL ? "" : "`?");
    return false;
}

static bool read_disk(struct invocation *invocation, const char *text,
                      Holdfast__V1__Disk *disk)
{
    while (text[0] != '\0') {
        size_t len = strcspn(text, ",");

        if (!set_disk(invocation, disk, request_copy(invocation, text, len))) {
            return false;
        }
        text += len + (text[len] == ',');
    }
    if (disk->kind != HOLDFAST__V1__DISK_KIND__DISK_KIND_UNSPECIFIED) {
        return true;
    }
    if (disk->n_zones > 0) {
        disk->kind = HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED;
    } else {
        disk->kind = disk->pool[0] != '\0'
                         ? HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED
                         : HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL;
    }
    return true;
}

static bool apply_disks(struct invocation *invocation,
                        Holdfast__V1__VmTemplate *template, bool replace)
{
    const char *text;

    if (replace && arguments_has(invocation->arguments, OPTION_DISK)) {
        template->n_disks = 0;
    }
    for (size_t i = 0; (text = arguments_value_at(invocation->arguments,
                                                  OPTION_DISK, i)) != NULL;
         i++) {
        size_t count = template->n_disks;
        Holdfast__V1__Disk **disks =
            request_alloc(invocation, (count + 1) * sizeof(template->disks[0]));

        if (count > 0) {
            memcpy(disks, template->disks, count * sizeof(disks[0]));
        }
        disks[count] =
            (void *)request_create(invocation, &holdfast__v1__disk__descriptor);
        if (!read_disk(invocation, text, disks[count])) {
            return false;
        }
        template->disks = disks;
        template->n_disks++;
    }
    return true;
}

static bool apply_environment(struct invocation *invocation,
                              Holdfast__V1__VmTemplate *template, bool replace)
{
    const char *text;

    if (replace && arguments_has(invocation->arguments, OPTION_ENVIRONMENT)) {
        template->n_environment = 0;
    }
    for (size_t i = 0;
         (text = arguments_value_at(invocation->arguments, OPTION_ENVIRONMENT,
                                    i)) != NULL;
         i++) {
        if (strchr(text, '=') == NULL) {
            (void)usage_error(invocation, "--env: `%s` is not KEY=VALUE", text);
            return false;
        }
        if (!request_add(invocation, &template->base, "environment", text,
                         "--env")) {
            return false;
        }
    }
    return true;
}

static bool apply_command(struct invocation *invocation,
                          Holdfast__V1__VmTemplate *template)
{
    const struct arguments *arguments = invocation->arguments;

    if (arguments->rest_count == 0) {
        return true;
    }
    template->n_command = 0;
    for (size_t i = 0; i < arguments->rest_count; i++) {
        if (!request_add(invocation, &template->base, "command",
                         arguments->rest[i], "--command")) {
            return false;
        }
    }
    return true;
}

bool template_apply_options(struct invocation *invocation,
                            Holdfast__V1__VmTemplate *template, bool replace)
{
    ProtobufCMessage *message = &template->base;

    if (!duration_option(invocation, OPTION_STOP_GRACE,
                         &template->stop_grace_ms) ||
        !apply_environment(invocation, template, replace) ||
        !request_set_option(invocation, message, "driver", OPTION_DRIVER) ||
        !request_set_option(invocation, message, "image", OPTION_IMAGE) ||
        !apply_disks(invocation, template, replace) ||
        !apply_command(invocation, template)) {
        return false;
    }
    if (template->driver == HOLDFAST__V1__DRIVER__DRIVER_UNSPECIFIED) {
        template->driver = template->n_command > 0
                               ? HOLDFAST__V1__DRIVER__DRIVER_EXEC
                               : HOLDFAST__V1__DRIVER__DRIVER_QEMU;
    }
    return true;
}

/* An option's size in units of `unit_mib`, rounded never. */
static bool read_size(struct invocation *invocation, enum option option,
                      uint64_t unit_mib, uint32_t *size)
{
    const char *text = arguments_value(invocation->arguments, option);
    uint64_t mib;

    if (text == NULL) {
        return true;
    }
    if (!format_read_size(text, unit_mib, &mib) || mib % unit_mib != 0 ||
        mib / unit_mib > UINT32_MAX) {
        (void)usage_error(invocation, "%s: `%s` is no size; write %s",
                          option_rule(option)->name, text,
                          unit_mib == 1 ? "512MiB or 8GiB" : "20GiB or 1TiB");
        return false;
    }
    *size = (uint32_t)(mib / unit_mib);
    return true;
}

bool size_apply_options(struct invocation *invocation,
                        Holdfast__V1__Resources *size, enum option disk)
{
    const char *cpu = arguments_value(invocation->arguments, OPTION_CPU);

    if (cpu != NULL && !format_read_cpu(cpu, &size->cpu_milli)) {
        (void)usage_error(invocation,
                          "--cpu: `%s` is no number of CPUs; write 4, 0.5 or "
                          "500m",
                          cpu);
        return false;
    }
    return read_size(invocation, OPTION_MEMORY, 1, &size->memory_mib) &&
           read_size(invocation, disk, 1024, &size->disk_gib) &&
           request_set_option(invocation, &size->base, "gpu_count",
                              OPTION_GPU) &&
           labels_apply_options(invocation, &size->base, "named", OPTION_NAMED,
                                false);
}

bool size_has_options(const struct arguments *arguments, enum option disk)
{
    return arguments_has(arguments, OPTION_CPU) ||
           arguments_has(arguments, OPTION_MEMORY) ||
           arguments_has(arguments, OPTION_GPU) ||
           arguments_has(arguments, OPTION_NAMED) ||
           arguments_has(arguments, disk);
}

bool size_is_whole(struct invocation *invocation,
                   const Holdfast__V1__Resources *size, const char *what)
{
    if (size->cpu_milli > 0 && size->memory_mib > 0) {
        return true;
    }
    (void)usage_error(invocation, "%s needs --cpu and --memory", what);
    return false;
}
