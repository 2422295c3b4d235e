/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/vm_spec.h"

#include "agent/vm_spec_text.h"
#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define CPU_MILLI_MAX     1024000
#define MEMORY_MIB_MAX    67108864
#define STOP_GRACE_MS_MAX 600000
#define STRING_MAX        16384 /* One argument; templates are 16 KiB. */

void vm_spec_init(struct vm_spec *spec)
{
    memset(spec, 0, sizeof(*spec));
}

void vm_strings_close(struct vm_strings *strings)
{
    for (size_t i = 0; i < strings->count; i++) {
        free(strings->items[i]);
    }
    free(strings->items);
    memset(strings, 0, sizeof(*strings));
}

void vm_spec_close(struct vm_spec *spec)
{
    free(spec->boot_image);
    for (size_t i = 0; i < spec->disk_count; i++) {
        free(spec->disks[i].path);
        free(spec->disks[i].image);
    }
    vm_strings_close(&spec->argv);
    vm_strings_close(&spec->env);
    memset(spec, 0, sizeof(*spec));
}

static char *copy_or_null(const char *string)
{
    return string == NULL ? NULL : memory_copy_string(string);
}

static void strings_copy(struct vm_strings *copy,
                         const struct vm_strings *strings)
{
    memset(copy, 0, sizeof(*copy));
    for (size_t i = 0; i < strings->count; i++) {
        CHECK(vm_strings_add(copy, strings->items[i]) == 0);
    }
}

void vm_spec_copy(struct vm_spec *copy, const struct vm_spec *spec)
{
    *copy = *spec;
    copy->boot_image = copy_or_null(spec->boot_image);
    for (size_t i = 0; i < spec->disk_count; i++) {
        copy->disks[i].path = copy_or_null(spec->disks[i].path);
        copy->disks[i].image = copy_or_null(spec->disks[i].image);
    }
    strings_copy(&copy->argv, &spec->argv);
    strings_copy(&copy->env, &spec->env);
}

int vm_spec_add_disk(struct vm_spec *spec, const struct vm_disk *disk)
{
    struct vm_disk *to;

    if (spec->disk_count == VM_SPEC_DISKS_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    to = &spec->disks[spec->disk_count++];
    *to = *disk;
    to->path = copy_or_null(disk->path);
    to->image = copy_or_null(disk->image);
    return 0;
}

int vm_strings_add(struct vm_strings *strings, const char *string)
{
    if (strings->count == VM_STRINGS_MAX) {
        return HF_ERROR_TOO_LARGE;
    }
    /* One more, always NULL: execve() takes the array as it is. */
    strings->items = memory_realloc_array(strings->items, strings->count + 2,
                                          sizeof(*strings->items));
    strings->items[strings->count++] = memory_copy_string(string);
    strings->items[strings->count] = NULL;
    return 0;
}

/* Names as the contract has them: [a-z0-9-], letter or digit at the ends. */
static bool name_is_valid(const char name[VM_SPEC_NAME_MAX + 1])
{
    size_t len = strnlen(name, VM_SPEC_NAME_MAX + 1);

    if (len == 0 || len > VM_SPEC_NAME_MAX || name[0] == '-' ||
        name[len - 1] == '-') {
        return false;
    }
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

static bool path_is_valid(const char *path)
{
    return path != NULL && path[0] == '/' &&
           strnlen(path, VM_SPEC_PATH_MAX + 1) <= VM_SPEC_PATH_MAX;
}

static bool disk_is_valid(const struct vm_disk *disk)
{
    if (!path_is_valid(disk->path)) {
        return false;
    }
    if (disk->kind == VM_DISK_SHARED) {
        return disk->image == NULL;
    }
    return disk->kind == VM_DISK_EPHEMERAL && path_is_valid(disk->image);
}

static bool strings_are_valid(const struct vm_strings *strings, bool pairs)
{
    if (strings->count > VM_SPEC_STRINGS_MAX) {
        return false;
    }
    for (size_t i = 0; i < strings->count; i++) {
        const char *item = strings->items[i];

        if (strnlen(item, STRING_MAX + 1) > STRING_MAX ||
            (pairs && (item[0] == '=' || strchr(item, '=') == NULL))) {
            return false;
        }
    }
    return true;
}

static int check_program(const struct vm_spec *spec, const char **field)
{
    *field = "driver";
    if (spec->driver == VM_DRIVER_QEMU) {
        *field = "image";
        if (spec->boot_image == NULL && spec->disk_count == 0) {
            return HF_ERROR_INVALID;
        }
        if (spec->boot_image != NULL && !path_is_valid(spec->boot_image)) {
            return HF_ERROR_INVALID;
        }
        *field = "command";
        return spec->argv.count == 0 && spec->env.count == 0 ? 0
                                                             : HF_ERROR_INVALID;
    }
    if (spec->driver == VM_DRIVER_EXEC) {
        *field = "image";
        if (spec->boot_image != NULL) {
            return HF_ERROR_INVALID;
        }
        *field = "command";
        if (spec->argv.count == 0 || !strings_are_valid(&spec->argv, false) ||
            spec->argv.items[0][0] == '\0') {
            return HF_ERROR_INVALID;
        }
        *field = "environment";
        return strings_are_valid(&spec->env, true) ? 0 : HF_ERROR_INVALID;
    }
    return HF_ERROR_INVALID;
}

static int check_size(const struct vm_spec *spec, const char **field)
{
    struct bytes text;
    size_t len;

    bytes_init(&text);
    vm_spec_print(spec, &text);
    len = text.len;
    bytes_close(&text);
    *field = "spec";
    return len <= VM_SPEC_BYTES_MAX ? 0 : HF_ERROR_TOO_LARGE;
}

int vm_spec_check(const struct vm_spec *spec, const char **field)
{
    const struct {
        const char *field;
        bool valid;
    } rules[] = {
        {"uid", spec->uid != 0},
        {"epoch", spec->epoch != 0},
        {"name", name_is_valid(spec->name)},
        {"cpu_milli", spec->cpu_milli >= 1 && spec->cpu_milli <= CPU_MILLI_MAX},
        {"memory_mib",
         spec->memory_mib >= 1 && spec->memory_mib <= MEMORY_MIB_MAX},
        {"stop_grace_ms", spec->stop_grace_ms <= STOP_GRACE_MS_MAX},
        {"disks", spec->disk_count <= VM_SPEC_DISKS_MAX},
    };
    int error;

    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        *field = rules[i].field;
        if (!rules[i].valid) {
            return HF_ERROR_INVALID;
        }
    }
    for (size_t i = 0; i < spec->disk_count; i++) {
        if (!disk_is_valid(&spec->disks[i])) {
            return HF_ERROR_INVALID;
        }
    }
    error = check_program(spec, field);
    return error != 0 ? error : check_size(spec, field);
}
