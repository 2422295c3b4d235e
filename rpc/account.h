/* SPDX-License-Identifier: Apache-2.0
 *
 * What one caller has under way at a server, over all his connections. Who
 * knows callers keeps their accounts and has calls charged to them
 * (rpc_call_charge); rpc/ counts, and refuses what would be too many bytes. */
#ifndef RPC_ACCOUNT_H
#define RPC_ACCOUNT_H

#include <stddef.h>
#include <stdint.h>

struct rpc_account {
    uint32_t calls;   /* Open. */
    uint32_t streams; /* Of these, of methods that stream. */
    size_t bytes;     /* Of requests until their calls are over, and of answers
                       * until they are sent; a call counts RPC_CALL_BYTES. */
    size_t bytes_max; /* More is refused, reason OVER_LIMIT. */
};

#endif
