/* SPDX-License-Identifier: Apache-2.0
 *
 * What CreateVm shares with the other methods of VMs. */
#ifndef NODE_API_VM_H
#define NODE_API_VM_H

#include "node/api.h"

#include <holdfast/v1/resources.pb-c.h>

#define VM_ARENA_BYTES (1u << 20)

/* priority, on_partition and desired are in their ranges. */
bool api_check_vm_enums(struct api_reply *reply, const Holdfast__V1__Vm *vm);

/* With its default. */
enum on_partition api_on_partition(Holdfast__V1__OnPartition value);

#endif
