/* SPDX-License-Identifier: Apache-2.0
 *
 * apply --wait: until all is over that a manifest set in motion. */
#ifndef CTL_APPLY_WAIT_H
#define CTL_APPLY_WAIT_H

#include "ctl/invocation.h"
#include "holdfast/v1/manifest_service.pb-c.h"

/* The operation that the answer names is done; of an answer without one: VMs
 * run or are stopped as wished, groups have all their members, what was deleted
 * is gone. EXIT_FAILED, told, when the operation ended otherwise.
 * EXIT_TIMED_OUT, with what is missing told, when
 * --wait-timeout is over first. */
enum exit_code apply_wait(struct invocation *invocation,
                          const Holdfast__V1__Manifest *manifest,
                          const Holdfast__V1__ApplyManifestResponse *response);

#endif
