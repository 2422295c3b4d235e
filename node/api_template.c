/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_template.h"

#include "node/api_check.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE_BYTES_MAX 16384
#define DISKS_MAX          16
#define WORDS_MAX          64
#define STOP_GRACE_MS_MAX  600000

void vm_template_init(struct vm_template *template)
{
    *template = (struct vm_template){0};
    bytes_init(&template->encoded);
}

void vm_template_close(struct vm_template *template)
{
    bytes_close(&template->encoded);
}

/* Below a directory that the host's operator chose, and nowhere else. */
static bool check_path(struct api_reply *reply, const char *field,
                       const char *path)
{
    size_t len = strlen(path);
    bool good = len >= 1 && len <= 255 && path[0] != '/';

    for (const char *part = path; good && *part != '\0';) {
        size_t part_len = strcspn(part, "/");

        good = part_len > 0 && !(part_len == 1 && part[0] == '.') &&
               !(part_len == 2 && part[0] == '.' && part[1] == '.');
        part += part_len;
        part += *part == '/';
    }
    for (size_t i = 0; good && i < len; i++) {
        /* A comma or a control character could add options to QEMU's. */
        good = (unsigned char)path[i] > ' ' && path[i] != ',' &&
               path[i] != 0x7f && path[i] != '\\';
    }
    if (!good) {
        api_fail(reply, API_INVALID_FIELD,
                 "%s: '%.80s' must be a relative path of 1 to 255 bytes "
                 "without '..', blanks, commas and backslashes",
                 field, path);
    }
    return good;
}

static bool add_pool(struct api_reply *reply, const char *field,
                     const char *name, struct vm_template *template)
{
    if (!api_check_name(reply, field, name)) {
        return false;
    }
    for (uint32_t i = 0; i < template->pool_count; i++) {
        if (template->pools[i].len == strlen(name) &&
            memcmp(template->pools[i].data, name, strlen(name)) == 0) {
            return true;
        }
    }
    /* As many as disks at most, so there is always room. */
    template->pools[template->pool_count++] = text_of(name);
    return true;
}

static bool check_disk(struct api_reply *reply, const Holdfast__V1__Disk *disk,
                       size_t number, struct vm_template *template)
{
    char field[64];

    if (disk->kind == HOLDFAST__V1__DISK_KIND__DISK_KIND_SHARED) {
        snprintf(field, sizeof(field), "vm.template.disks[%zu].pool", number);
        if (!add_pool(reply, field, disk->pool, template)) {
            return false;
        }
        snprintf(field, sizeof(field), "vm.template.disks[%zu].path", number);
        return check_path(reply, field, disk->path);
    }
    if (disk->kind == HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL) {
        snprintf(field, sizeof(field), "vm.template.disks[%zu].image", number);
        return check_path(reply, field, disk->image);
    }
    api_fail(reply, API_INVALID_FIELD,
             "vm.template.disks[%zu].kind: must be ephemeral or shared",
             number);
    return false;
}

static bool check_command(struct api_reply *reply,
                          const Holdfast__V1__VmTemplate *message)
{
    bool exec = message->driver == HOLDFAST__V1__DRIVER__DRIVER_EXEC;

    if (exec && (message->n_command == 0 || message->command[0][0] == '\0')) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template.command: the exec driver needs a program");
        return false;
    }
    if (!exec && message->n_command + message->n_environment > 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template.command, environment: only for the exec "
                 "driver");
        return false;
    }
    if (message->n_command > WORDS_MAX || message->n_environment > WORDS_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template.command, environment: at most %d each",
                 WORDS_MAX);
        return false;
    }
    for (size_t i = 0; i < message->n_environment; i++) {
        const char *equals = strchr(message->environment[i], '=');

        if (equals == NULL || equals == message->environment[i]) {
            api_fail(reply, API_INVALID_FIELD,
                     "vm.template.environment[%zu]: must be KEY=value", i);
            return false;
        }
    }
    return true;
}

static bool check_boot(struct api_reply *reply,
                       const Holdfast__V1__VmTemplate *message)
{
    if (message->image[0] != '\0' &&
        !check_path(reply, "vm.template.image", message->image)) {
        return false;
    }
    if (message->driver == HOLDFAST__V1__DRIVER__DRIVER_QEMU &&
        message->image[0] == '\0' && message->n_disks == 0) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template: the qemu driver needs an image or a disk to "
                 "boot from");
        return false;
    }
    return true;
}

static bool check_parts(struct api_reply *reply,
                        const Holdfast__V1__VmTemplate *message,
                        struct vm_template *template)
{
    if (message->driver != HOLDFAST__V1__DRIVER__DRIVER_QEMU &&
        message->driver != HOLDFAST__V1__DRIVER__DRIVER_EXEC) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template.driver: must be qemu or exec");
        return false;
    }
    if (message->n_disks > DISKS_MAX) {
        api_fail(reply, API_INVALID_FIELD, "vm.template.disks: %zu; at most %d",
                 message->n_disks, DISKS_MAX);
        return false;
    }
    for (size_t i = 0; i < message->n_disks; i++) {
        if (!check_disk(reply, message->disks[i], i, template)) {
            return false;
        }
    }
    return check_boot(reply, message) && check_command(reply, message) &&
           api_check_range(reply, "vm.template.stop_grace_ms",
                           message->stop_grace_ms, 0, STOP_GRACE_MS_MAX);
}

bool api_check_template(struct api_reply *reply,
                        const Holdfast__V1__VmTemplate *message,
                        struct vm_template *template)
{
    size_t len;

    if (message == NULL) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template: must say at least the driver");
        return false;
    }
    if (!check_parts(reply, message, template)) {
        return false;
    }
    template->driver = (enum driver)message->driver;
    len = holdfast__v1__vm_template__get_packed_size(message);
    if (len > TEMPLATE_BYTES_MAX) {
        api_fail(reply, API_INVALID_FIELD,
                 "vm.template: %zu bytes encoded; at most %d", len,
                 TEMPLATE_BYTES_MAX);
        return false;
    }
    bytes_reserve(&template->encoded, len);
    template->encoded.len =
        holdfast__v1__vm_template__pack(message, template->encoded.data);
    return true;
}
