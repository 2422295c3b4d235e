/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_template.h"

#include "node/api_check.h"

#include <stdio.h>
#include <string.h>

#define TEMPLATE_BYTES_MAX 16384
#define DISKS_MAX          16
#define WORDS_MAX          64
#define STOP_GRACE_MS_MAX  600000
#define FIELD_BYTES        96

/* What is checked, and what it is part of. */
struct template_check {
    struct api_reply *reply;
    const struct state *state;
    const char *field;
    const Holdfast__V1__VmTemplate *message;
};

/* The name of a part of disk `number`. */
static const char *disk_field(const struct template_check *check, size_t number,
                              const char *part, char name[FIELD_BYTES])
{
    snprintf(name, FIELD_BYTES, "%s.disks[%zu].%s", check->field, number, part);
    return name;
}

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

/* Pools must be known: apply would give an unknown one a slot for ever. */
static bool add_pool(const struct template_check *check, const char *field,
                     const char *name, struct vm_template *template)
{
    if (!api_check_name(check->reply, field, name)) {
        return false;
    }
    if (state_pool_bit(check->state, text_of(name)) == 0) {
        api_fail(check->reply, API_POOL_UNKNOWN,
                 "%s: no host ever reported the pool '%s'; mount it on hosts "
                 "and name it in their configuration",
                 field, name);
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

/* The zones with a copy: those of several disks must have one in common. */
static bool add_zones(const struct template_check *check,
                      const Holdfast__V1__Disk *disk, size_t number,
                      struct vm_template *template)
{
    char field[FIELD_BYTES];
    uint64_t mask;

    disk_field(check, number, "zones", field);
    if (!api_check_zones(check->reply, check->state, field, disk->zones,
                         disk->n_zones, &mask)) {
        return false;
    }
    if (__builtin_popcountll(mask) < 2) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s: a replicated disk has copies in two zones or more; name "
                 "them",
                 field);
        return false;
    }
    if (template->disk_zone_mask != 0 &&
        (template->disk_zone_mask & mask) == 0) {
        api_fail(check->reply, API_RULES_CONFLICT,
                 "%s: no zone of this disk keeps a copy of the disks before "
                 "it as well, so the VM could run nowhere",
                 field);
        return false;
    }
    template->disk_zone_mask =
        template->disk_zone_mask == 0 ? mask : template->disk_zone_mask &mask;
    return true;
}

static bool check_kind(const struct template_check *check,
                       const Holdfast__V1__Disk *disk, size_t number)
{
    char field[FIELD_BYTES];

    if (disk->kind < HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL ||
        disk->kind > HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s: must be ephemeral, shared, local or replicated",
                 disk_field(check, number, "kind", field));
        return false;
    }
    if (disk->n_zones > 0 &&
        disk->kind != HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED) {
        api_fail(check->reply, API_INVALID_FIELD, "%s: only for replicated",
                 disk_field(check, number, "zones", field));
        return false;
    }
    return true;
}

static bool check_disk(const struct template_check *check,
                       const Holdfast__V1__Disk *disk, size_t number,
                       struct vm_template *template)
{
    char field[FIELD_BYTES];

    if (!check_kind(check, disk, number)) {
        return false;
    }
    if (disk->kind == HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL) {
        return check_path(check->reply,
                          disk_field(check, number, "image", field),
                          disk->image);
    }
    if (!check_path(check->reply, disk_field(check, number, "path", field),
                    disk->path) ||
        !add_pool(check, disk_field(check, number, "pool", field), disk->pool,
                  template)) {
        return false;
    }
    template->local_disk |=
        disk->kind == HOLDFAST__V1__DISK_KIND__DISK_KIND_LOCAL;
    return disk->kind != HOLDFAST__V1__DISK_KIND__DISK_KIND_REPLICATED ||
           add_zones(check, disk, number, template);
}

static bool check_command(const struct template_check *check)
{
    const Holdfast__V1__VmTemplate *message = check->message;
    bool exec = message->driver == HOLDFAST__V1__DRIVER__DRIVER_EXEC;

    if (exec && (message->n_command == 0 || message->command[0][0] == '\0')) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s.command: the exec driver needs a program", check->field);
        return false;
    }
    if (!exec && message->n_command + message->n_environment > 0) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s.command, %s.environment: only for the exec driver",
                 check->field, check->field);
        return false;
    }
    if (message->n_command > WORDS_MAX || message->n_environment > WORDS_MAX) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s.command, %s.environment: at most %d each", check->field,
                 check->field, WORDS_MAX);
        return false;
    }
    for (size_t i = 0; i < message->n_environment; i++) {
        const char *equals = strchr(message->environment[i], '=');

        if (equals == NULL || equals == message->environment[i]) {
            api_fail(check->reply, API_INVALID_FIELD,
                     "%s.environment[%zu]: must be KEY=value", check->field, i);
            return false;
        }
    }
    return true;
}

static bool check_boot(const struct template_check *check)
{
    const Holdfast__V1__VmTemplate *message = check->message;
    char field[FIELD_BYTES];

    snprintf(field, sizeof(field), "%s.image", check->field);
    if (message->image[0] != '\0' &&
        !check_path(check->reply, field, message->image)) {
        return false;
    }
    if (message->driver == HOLDFAST__V1__DRIVER__DRIVER_QEMU &&
        message->image[0] == '\0' && message->n_disks == 0) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s: the qemu driver needs an image or a disk to boot from",
                 check->field);
        return false;
    }
    return true;
}

static bool check_parts(const struct template_check *check,
                        struct vm_template *template)
{
    const Holdfast__V1__VmTemplate *message = check->message;
    char field[FIELD_BYTES];

    if (message->driver != HOLDFAST__V1__DRIVER__DRIVER_QEMU &&
        message->driver != HOLDFAST__V1__DRIVER__DRIVER_EXEC) {
        api_fail(check->reply, API_INVALID_FIELD,
                 "%s.driver: must be qemu or exec", check->field);
        return false;
    }
    if (message->n_disks > DISKS_MAX) {
        api_fail(check->reply, API_INVALID_FIELD, "%s.disks: %zu; at most %d",
                 check->field, message->n_disks, DISKS_MAX);
        return false;
    }
    for (size_t i = 0; i < message->n_disks; i++) {
        if (!check_disk(check, message->disks[i], i, template)) {
            return false;
        }
    }
    snprintf(field, sizeof(field), "%s.stop_grace_ms", check->field);
    return check_boot(check) && check_command(check) &&
           api_check_range(check->reply, field, message->stop_grace_ms, 0,
                           STOP_GRACE_MS_MAX);
}

bool api_check_template(struct api_reply *reply, const struct state *state,
                        const char *field,
                        const Holdfast__V1__VmTemplate *message,
                        struct vm_template *template)
{
    const struct template_check check = {reply, state, field, message};
    size_t len;

    if (message == NULL) {
        api_fail(reply, API_INVALID_FIELD, "%s: must say at least the driver",
                 field);
        return false;
    }
    if (!check_parts(&check, template)) {
        return false;
    }
    template->driver = (enum driver)message->driver;
    len = holdfast__v1__vm_template__get_packed_size(message);
    if (len > TEMPLATE_BYTES_MAX) {
        api_fail(reply, API_INVALID_FIELD, "%s: %zu bytes encoded; at most %d",
                 field, len, TEMPLATE_BYTES_MAX);
        return false;
    }
    bytes_reserve(&template->encoded, len);
    template->encoded.len =
        holdfast__v1__vm_template__pack(message, template->encoded.data);
    return true;
}

bool api_template_shares(const Holdfast__V1__VmTemplate *message)
{
    if (message->driver != HOLDFAST__V1__DRIVER__DRIVER_QEMU) {
        return false;
    }
    for (size_t i = 0; i < message->n_disks; i++) {
        const Holdfast__V1__Disk *disk = message->disks[i];

        if (disk->kind != HOLDFAST__V1__DISK_KIND__DISK_KIND_EPHEMERAL &&
            !disk->read_only && strstr(disk->path, "{name}") == NULL &&
            strstr(disk->path, "{uid}") == NULL) {
            return true;
        }
    }
    return false;
}
