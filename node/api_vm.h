/* SPDX-License-Identifier: Apache-2.0
 *
 * What CreateVm shares with the other methods of VMs. */
#ifndef NODE_API_VM_H
#define NODE_API_VM_H

#include "node/api.h"

#include <holdfast/v1/resources.pb-c.h>
#include <holdfast/v1/vm_service.pb-c.h>

#define VM_ARENA_BYTES (1u << 20)

#define VM_PRIORITY_MAX 1000

/* With its default. */
enum on_partition api_on_partition(Holdfast__V1__OnPartition value);

/* --- The methods without their answers; false: the reply has failed --------
 */

/* `place`: it gets a host at once, else it is queued. */
bool api_vm_make(struct api_reply *reply, struct turn_plan *plan,
                 const Holdfast__V1__Vm *vm, bool place);
bool api_vm_change(struct api_reply *reply, struct turn_plan *plan,
                   const Holdfast__V1__UpdateVmRequest *request);

/* Starts or stops it; it is not being deleted. */
bool api_vm_desire(struct api_reply *reply, struct turn_plan *plan,
                   const struct vm *vm, enum desired_state desired, bool place);

/* Accepts its delete. */
void api_vm_remove(struct turn_plan *plan, const struct vm *vm);

#endif
