/* SPDX-License-Identifier: Apache-2.0
 *
 * apply --wait: until the VMs and groups of a manifest are what it says. */
#ifndef CTL_APPLY_WAIT_H
#define CTL_APPLY_WAIT_H

#include "ctl/invocation.h"
#include "holdfast/v1/manifest_service.pb-c.h"

/* VMs run or are stopped as wished, groups have all their members, what was
 * deleted is gone. EXIT_TIMED_OUT, with what is missing told, when
 * --wait-timeout is over first. */
enum exit_code apply_wait(struct invocation *invocation,
                          const Holdfast__V1__Manifest *manifest,
                          const Holdfast__V1__ApplyManifestResponse *response);

#endif
