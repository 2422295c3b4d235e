/* SPDX-License-Identifier: Apache-2.0
 *
 * What a host is asked to run: one VM at one epoch, all names resolved to
 * paths of this host. It is kept beside the VM as a text of one canonical
 * form, so that an agent that restarts knows what it adopts; whatever differs
 * from that form in one byte is refused. */
#ifndef AGENT_VM_SPEC_H
#define AGENT_VM_SPEC_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VM_SPEC_BYTES_MAX   65536 /* Encoded; templates are at most 16 KiB. */
#define VM_SPEC_NAME_MAX    63
#define VM_SPEC_PATH_MAX    4095
#define VM_SPEC_DISKS_MAX   16
#define VM_SPEC_STRINGS_MAX 64  /* Of argv and of env. */
#define VM_STRINGS_MAX      256 /* Of any list; QEMU's command line is longer. */

/* The numbers are those of the contract (resources.proto). */
enum vm_driver_kind { VM_DRIVER_QEMU = 1, VM_DRIVER_EXEC = 2 };
enum vm_disk_kind { VM_DISK_EPHEMERAL = 1, VM_DISK_SHARED = 2 };

struct vm_disk {
    enum vm_disk_kind kind;
    bool read_only;
    char *path;  /* Absolute. EPHEMERAL: made at each start. */
    char *image; /* EPHEMERAL: absolute, what it is made from; else NULL. */
};

/* A list of owned strings; `items` ends with NULL once there is one. */
struct vm_strings {
    char **items;
    size_t count;
};

/* Strings are owned. */
struct vm_spec {
    uint64_t uid;
    uint64_t epoch;
    char name[VM_SPEC_NAME_MAX + 1];
    enum vm_driver_kind driver;
    bool keep; /* on_partition: keep. The lease's end does not kill it. */
    uint32_t cpu_milli;
    uint32_t memory_mib;
    uint32_t stop_grace_ms;
    char *boot_image; /* QEMU: a raw image, first disk, read-only; or NULL. */
    struct vm_disk disks[VM_SPEC_DISKS_MAX];
    size_t disk_count;
    struct vm_strings argv; /* EXEC: program and arguments. */
    struct vm_strings env;  /* EXEC: "KEY=value". */
};

void vm_spec_init(struct vm_spec *spec);
void vm_spec_close(struct vm_spec *spec);

/* A deep copy; `copy` is not initialised before. */
void vm_spec_copy(struct vm_spec *copy, const struct vm_spec *spec);

/* Build a spec; the strings are copied. TOO_LARGE: there is no more room. */
int vm_spec_add_disk(struct vm_spec *spec, const struct vm_disk *disk);
int vm_strings_add(struct vm_strings *strings, const char *string);
void vm_strings_close(struct vm_strings *strings);

/* INVALID or TOO_LARGE; `*field` then names what is wrong. */
int vm_spec_check(const struct vm_spec *spec, const char **field);

/* Appends the text of a spec that passes the check. */
void vm_spec_encode(const struct vm_spec *spec, struct bytes *text);

/* Reads exactly what encode writes. INVALID or TOO_LARGE, and `spec` is then
 * empty; else the caller closes it. */
int vm_spec_decode(struct vm_spec *spec, const void *text, size_t len);

#endif
