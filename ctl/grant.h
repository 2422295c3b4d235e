/* SPDX-License-Identifier: Apache-2.0
 *
 * What creating and updating grants and tokens share. */
#ifndef CTL_GRANT_H
#define CTL_GRANT_H

#include "ctl/invocation.h"
#include "holdfast/v1/access_service.pb-c.h"

/* From --role, which must be given; false: told. */
bool grant_set_role(struct invocation *invocation, Holdfast__V1__Grant *grant);

/* From --expires, where it is given; false: told. */
bool grant_set_end(struct invocation *invocation, Holdfast__V1__Grant *grant);

#endif
