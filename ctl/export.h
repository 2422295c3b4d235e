/* SPDX-License-Identifier: Apache-2.0
 *
 * The live region as a manifest, for commands that compare with it. */
#ifndef CTL_EXPORT_H
#define CTL_EXPORT_H

#include "ctl/invocation.h"
#include "holdfast/v1/manifest.pb-c.h"

/* What a person would write, all of it as of one revision; to be freed with
 * hf_message_free(). What is wrong is told. */
enum exit_code export_manifest(struct invocation *invocation,
                               Holdfast__V1__Manifest **manifest);

#endif
