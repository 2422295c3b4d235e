/* SPDX-License-Identifier: Apache-2.0
 *
 * The text of a spec, between the files that check, write and read it.
 *
 *   holdfast-vm-spec 1
 *   uid=12
 *   epoch=3
 *   name=web-7
 *   driver=qemu|exec
 *   on_partition=move|keep
 *   cpu_milli=500
 *   memory_mib=64
 *   stop_grace_ms=10000
 *   boot_image=PATH          nothing behind the sign: none
 *   disk=shared rw PATH      any number; or "ephemeral rw PATH IMAGE"
 *   argv=STRING              any number
 *   env=STRING               any number
 *   end
 *
 * Bytes outside '!' to '~', and '%', stand as %XX with capital digits; no
 * other byte may. */
#ifndef AGENT_VM_SPEC_TEXT_H
#define AGENT_VM_SPEC_TEXT_H

#include "agent/vm_spec.h"

#define VM_SPEC_FIRST_LINE "holdfast-vm-spec 1"

static inline const char *vm_spec_driver_name(enum vm_driver_kind driver)
{
    return driver == VM_DRIVER_QEMU ? "qemu" : "exec";
}

/* Appends the text, whatever its length. */
void vm_spec_print(const struct vm_spec *spec, struct bytes *text);

#endif
