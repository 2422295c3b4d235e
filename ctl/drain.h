/* SPDX-License-Identifier: Apache-2.0
 *
 * Draining: what is left on a host or in a zone, and why. */
#ifndef CTL_DRAIN_H
#define CTL_DRAIN_H

#include "ctl/invocation.h"
#include "holdfast/v1/resources.pb-c.h"

struct drain {
    const char *why; /* "has a local disk on this host"; lent from the VM. */
    bool moving;     /* On its way out. */
    bool stays;      /* Can never leave by a drain. */
    bool waits;      /* Could, and has no place elsewhere yet. */
};

/* Why a VM is still on the host, or in the zone, that is drained. Pure. */
struct drain drain_judge(const Holdfast__V1__Vm *vm, bool of_zone);

/* --accept-risk is for the record: told when --reason is missing. */
bool drain_check_risk(struct invocation *invocation);

#endif
