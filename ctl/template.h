/* SPDX-License-Identifier: Apache-2.0
 *
 * How VMs are started and how large they are, from options: for one VM and for
 * the members of a group. */
#ifndef CTL_TEMPLATE_H
#define CTL_TEMPLATE_H

#include "ctl/invocation.h"
#include "holdfast/v1/resources.pb-c.h"

#include <stdint.h>

/* What template_apply_options() reads. */
#define OPTIONS_TEMPLATE                                                   \
    (OPTION(DRIVER) | OPTION(IMAGE) | OPTION(DISK) | OPTION(ENVIRONMENT) | \
     OPTION(STOP_GRACE) | OPTION(COMMAND))

/* Puts the options over what the template has; disks and environment are added
 * to, or with `replace` replaced. A driver is chosen when there is none. False:
 * told. */
bool template_apply_options(struct invocation *invocation,
                            Holdfast__V1__VmTemplate *template, bool replace);

/* --cpu, --memory, --gpu, --named and `disk` (--disk or --host-disk). False:
 * told. */
bool size_apply_options(struct invocation *invocation,
                        Holdfast__V1__Resources *size, enum option disk);

/* Whether one of these was given. */
bool size_has_options(const struct arguments *arguments, enum option disk);

/* Whether both of what every size needs is there; told as of `what` ("a
 * class") if not. */
bool size_is_whole(struct invocation *invocation,
                   const Holdfast__V1__Resources *size, const char *what);

/* A whole number from `min` to `max`; true also when the option was not given.
 * False: told. */
bool number_option(struct invocation *invocation, enum option option,
                   uint32_t min, uint32_t max, uint32_t *number);

/* A time in milliseconds; true also when the option was not given. False:
 * told. */
bool duration_option(struct invocation *invocation, enum option option,
                     uint32_t *duration_ms);

#endif
