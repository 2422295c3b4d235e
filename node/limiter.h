/* SPDX-License-Identifier: Apache-2.0
 *
 * How much one caller may ask of this node: calls a second (a bucket of tokens
 * that fills evenly and holds one second's), open streams, and bytes under way.
 * Pure: who calls, and the time, are arguments. Agents and other nodes are not
 * limited here; caller.h says who is. */
#ifndef NODE_LIMITER_H
#define NODE_LIMITER_H

#include "base/list.h"
#include "base/map.h"
#include "rpc/account.h"

#include <stdbool.h>
#include <stdint.h>

struct limiter_limits {
    uint32_t calls_per_second; /* 1 to 1,000,000 */
    uint32_t streams;          /* 1 to 1,000,000 */
    size_t bytes;
};

enum limiter_verdict {
    LIMITER_ADMITTED,
    LIMITER_TOO_FAST,
    LIMITER_TOO_MANY_STREAMS,
    LIMITER_TOO_MANY_CALLERS /* All that there is room for have calls open. */
};
#define LIMITER_VERDICTS 4

/* One caller. He is remembered while he has calls open, and after that until
 * his place is needed for another. */
struct limiter_caller {
    struct rpc_account account;
    struct list recent; /* In limiter->recent. */
    uint64_t key;
    uint64_t level; /* Thousandths of calls in the bucket... */
    uint64_t at_ms; /* ...at that time. */
};

struct limiter {
    struct limiter_limits limits;
    struct map callers;
    struct list recent; /* The one who called last is last. */
    uint64_t seed;
    uint64_t verdicts[LIMITER_VERDICTS]; /* How often each was given. */
};

/* `seed`: random, so that nobody outside knows whose keys meet. */
void limiter_init(struct limiter *limiter, const struct limiter_limits *limits,
                  uint64_t seed);
/* No call is charged to a caller any more. */
void limiter_close(struct limiter *limiter);

/* One more call by the caller of this name. ADMITTED: `account` is his, to be
 * charged before the next call of this; it lasts while calls are charged to it.
 * Else `retry_ms` is when it is worth another try. Two names in 2^64 share an
 * account. The clock may stand still, but its going back is taken as that. */
enum limiter_verdict limiter_admit(struct limiter *limiter, const char *name,
                                   bool streams, uint64_t now_ms,
                                   struct rpc_account **account,
                                   uint64_t *retry_ms);

/* For people: "20000 calls a second". */
void limiter_explain(const struct limiter *limiter,
                     enum limiter_verdict verdict, char *text, size_t size);

#endif
