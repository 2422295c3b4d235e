/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/qemu_command.h"

#include "agent/run_dir.h"
#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct qemu_disk_file qemu_disk_probe(const char *path)
{
    struct qemu_disk_file file = {0};
    struct stat info;
    int fd;

    if (stat(path, &info) < 0) {
        return file;
    }
    file.block_device = S_ISBLK(info.st_mode);
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode)) {
        return file;
    }
    /* Some file systems (tmpfs before 6.6, some FUSE) refuse it; QEMU would
     * not start then. */
    fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0) {
        file.direct = true;
        close(fd);
    }
    return file;
}

static void add(struct vm_strings *argv, const char *string)
{
    CHECK(vm_strings_add(argv, string) == 0);
}

static void add_pair(struct vm_strings *argv, const char *option,
                     const char *value)
{
    add(argv, option);
    add(argv, value);
}

static void append_text(struct bytes *to, const char *text)
{
    bytes_append(to, text, strlen(text));
}

/* A JSON string: commas and equal signs of a path mean nothing in it, as they
 * would in QEMU's own syntax. */
static void append_json(struct bytes *to, const char *text)
{
    char escape[8];

    bytes_append_u8(to, '"');
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;

        if (byte < 0x20 || byte == '"' || byte == '\\') {
            snprintf(escape, sizeof(escape), "\\u%04x", byte);
            append_text(to, escape);
        } else {
            bytes_append_u8(to, byte);
        }
    }
    bytes_append_u8(to, '"');
}

struct drive {
    const char *node;
    const char *path;
    struct qemu_disk_file file;
    bool read_only;
    unsigned boot_index;
};

static void add_drive(struct vm_strings *argv, const struct drive *drive)
{
    struct bytes text;
    char device[160];

    bytes_init(&text);
    append_text(&text, "{\"driver\":\"raw\",\"node-name\":");
    append_json(&text, drive->node);
    append_text(&text, drive->read_only ? ",\"read-only\":true"
                                        : ",\"read-only\":false");
    append_text(&text,
                drive->file.direct ? ",\"cache\":{\"direct\":true}" : "");
    append_text(&text, ",\"file\":{\"driver\":");
    append_json(&text, drive->file.block_device ? "host_device" : "file");
    /* The image lock: a second QEMU that writes to the same image is refused,
     * also while the first is stopped. The last line of rule 1. */
    append_text(&text, ",\"locking\":\"on\"");
    append_text(&text, drive->read_only ? ",\"read-only\":true"
                                        : ",\"read-only\":false");
    append_text(&text,
                drive->file.direct ? ",\"cache\":{\"direct\":true}" : "");
    append_text(&text, ",\"filename\":");
    append_json(&text, drive->path);
    append_text(&text, "}}");
    bytes_append_u8(&text, '\0');
    add_pair(argv, "-blockdev", (const char *)text.data);
    bytes_close(&text);
    /* An I/O error stops the guest, and the driver reports it: a guest that
     * goes on with a read-only root is alive for nobody. */
    snprintf(device, sizeof(device),
             "virtio-blk-pci,drive=%s,bootindex=%u,werror=stop,rerror=stop",
             drive->node, drive->boot_index);
    add_pair(argv, "-device", device);
}

static void add_drives(const struct vm_spec *spec,
                       const struct qemu_disk_file *files,
                       struct vm_strings *argv)
{
    if (spec->boot_image != NULL) {
        /* Shared by many VMs and by the page cache: never direct. */
        struct drive boot = {
            .node = "boot", .path = spec->boot_image, .read_only = true};

        add_drive(argv, &boot);
    }
    for (unsigned i = 0; i < spec->disk_count; i++) {
        const struct vm_disk *disk = &spec->disks[i];
        char node[16];
        struct drive drive = {.node = node,
                              .path = disk->path,
                              .file = files[i],
                              .read_only = disk->read_only,
                              .boot_index = i + 1};

        /* A shared disk is written by another host next: what the guest was
         * told is written must not sit in this host's cache. */
        drive.file.direct = drive.file.direct && disk->kind == VM_DISK_SHARED;
        snprintf(node, sizeof(node), "disk%u", i);
        add_drive(argv, &drive);
    }
}

static void add_size(const struct vm_spec *spec, unsigned cpus,
                     struct vm_strings *argv)
{
    char text[96];

    snprintf(text, sizeof(text), "guest=%s", spec->name);
    add_pair(argv, "-name", text);
    snprintf(text, sizeof(text), "%u", cpus);
    add_pair(argv, "-smp", text);
    snprintf(text, sizeof(text), "%" PRIu32 "M", spec->memory_mib);
    add_pair(argv, "-m", text);
}

int qemu_command(const struct vm_spec *spec, const char *program,
                 enum accel accel, const struct qemu_disk_file *files,
                 struct vm_strings *argv)
{
    uint32_t cpus = (spec->cpu_milli + 999) / 1000;

    if (cpus > QEMU_CPUS_MAX) {
        return HF_ERROR_INVALID;
    }
    add(argv, program);
    /* Nothing that we did not ask for, from no file on this host. */
    add(argv, "-nodefaults");
    add(argv, "-no-user-config");
    add_pair(argv, "-display", "none");
    /* `pc`: microvm hangs under TCG. No fallback by "kvm:tcg": the probe has
     * decided, and that list does not help where KVM opens and then hangs. */
    add_pair(argv, "-machine",
             accel == ACCEL_KVM ? "pc,accel=kvm,usb=off,vmport=off"
                                : "pc,accel=tcg,usb=off,vmport=off");
    add_pair(argv, "-cpu", accel == ACCEL_KVM ? "host" : "max");
    add_size(spec, cpus, argv);
    /* No new programs, no more rights: so nothing of a VM survives a kill of
     * its one process. */
    add_pair(argv, "-sandbox",
             "on,obsolete=deny,elevateprivileges=deny,spawn=deny,"
             "resourcecontrol=deny");
    /* Relative to the VM's directory, in which the shim starts us: a socket's
     * name is at most 107 bytes. */
    add_pair(argv, "-chardev",
             "socket,id=monitor,path=" VM_FILE_QMP ",server=on,wait=off");
    add_pair(argv, "-mon", "chardev=monitor,mode=control");
    /* To the shim, which bounds it (console.h). */
    add_pair(argv, "-chardev", "stdio,id=serial0,signal=off");
    add_pair(argv, "-device", "isa-serial,chardev=serial0");
    /* A guest that panics is stopped and reported, not rebooted. */
    add_pair(argv, "-device", "pvpanic");
    add_pair(argv, "-action", "panic=pause");
    add_drives(spec, files, argv);
    return 0;
}
