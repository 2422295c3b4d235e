/* SPDX-License-Identifier: Apache-2.0
 *
 * --label and --disk: small texts into messages. */
#ifndef CTL_LABELS_H
#define CTL_LABELS_H

#include "ctl/invocation.h"
#include "holdfast/v1/resources.pb-c.h"

/* Sets or, with value NULL, removes a label; texts are copied. */
void labels_set(struct invocation *invocation, Holdfast__V1__Vm *vm,
                const char *key, const char *value);

/* All --label options; `removable`: KEY- removes. False: told. */
bool labels_apply_options(struct invocation *invocation, Holdfast__V1__Vm *vm,
                          bool removable);

/* All --disk options behind the disks that are there. False: told. */
bool disks_apply_options(struct invocation *invocation,
                         Holdfast__V1__VmTemplate *template);

#endif
