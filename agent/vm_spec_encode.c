/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/vm_spec_text.h"
#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void print_line(struct bytes *text, const char *key, const char *value)
{
    bytes_append(text, key, strlen(key));
    bytes_append_u8(text, '=');
    bytes_append(text, value, strlen(value));
    bytes_append_u8(text, '\n');
}

static void print_number(struct bytes *text, const char *key, uint64_t value)
{
    char number[24];

    snprintf(number, sizeof(number), "%" PRIu64, value);
    print_line(text, key, number);
}

static void print_escaped(struct bytes *text, const char *string)
{
    static const char digits[] = "0123456789ABCDEF";

    for (const char *at = string; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;

        if (byte > 0x20 && byte < 0x7f && byte != '%') {
            bytes_append_u8(text, byte);
        } else {
            bytes_append_u8(text, '%');
            bytes_append_u8(text, (uint8_t)digits[byte >> 4]);
            bytes_append_u8(text, (uint8_t)digits[byte & 15]);
        }
    }
}

static void print_string(struct bytes *text, const char *key,
                         const char *string)
{
    bytes_append(text, key, strlen(key));
    bytes_append_u8(text, '=');
    print_escaped(text, string);
    bytes_append_u8(text, '\n');
}

static void print_disk(struct bytes *text, const struct vm_disk *disk)
{
    const char *head =
        disk->kind == VM_DISK_SHARED ? "disk=shared " : "disk=ephemeral ";

    bytes_append(text, head, strlen(head));
    bytes_append(text, disk->read_only ? "ro " : "rw ", 3);
    print_escaped(text, disk->path);
    if (disk->kind == VM_DISK_EPHEMERAL) {
        bytes_append_u8(text, ' ');
        print_escaped(text, disk->image);
    }
    bytes_append_u8(text, '\n');
}

void vm_spec_print(const struct vm_spec *spec, struct bytes *text)
{
    static const char first[] = VM_SPEC_FIRST_LINE "\n";

    bytes_append(text, first, strlen(first));
    print_number(text, "uid", spec->uid);
    print_number(text, "epoch", spec->epoch);
    print_line(text, "name", spec->name);
    print_line(text, "driver", vm_spec_driver_name(spec->driver));
    print_line(text, "on_partition", spec->keep ? "keep" : "move");
    print_number(text, "cpu_milli", spec->cpu_milli);
    print_number(text, "memory_mib", spec->memory_mib);
    print_number(text, "stop_grace_ms", spec->stop_grace_ms);
    print_string(text, "boot_image",
                 spec->boot_image == NULL ? "" : spec->boot_image);
    for (size_t i = 0; i < spec->disk_count; i++) {
        print_disk(text, &spec->disks[i]);
    }
    for (size_t i = 0; i < spec->argv.count; i++) {
        print_string(text, "argv", spec->argv.items[i]);
    }
    for (size_t i = 0; i < spec->env.count; i++) {
        print_string(text, "env", spec->env.items[i]);
    }
    bytes_append(text, "end\n", 4);
}

void vm_spec_encode(const struct vm_spec *spec, struct bytes *text)
{
    const char *field;

    CHECK(vm_spec_check(spec, &field) == 0);
    vm_spec_print(spec, text);
}
