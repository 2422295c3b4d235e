/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the region is and who we are there: from options, the environment and
 * the context, in this order. */
#ifndef CTL_CONNECT_H
#define CTL_CONNECT_H

#include "ctl/invocation.h"

/* Makes the invocation's client; false: what is wrong was told. */
bool connect_client(struct invocation *invocation);

/* A client of this endpoint alone, with the same certificate and token; NULL:
 * what is wrong was told. Close it with hf_client_close(). */
struct hf_client *connect_to(struct invocation *invocation,
                             const char *endpoint);

#endif
