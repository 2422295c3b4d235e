/* SPDX-License-Identifier: Apache-2.0 */
#include "node/limiter.h"

#include "base/check.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/memory.h"
#include "node/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CALL 1000 /* Thousandths. */

/* Streams end when their client ends them: nobody knows when. */
#define STREAM_RETRY_MS 1000

void limiter_init(struct limiter *limiter, const struct limiter_limits *limits,
                  uint64_t seed)
{
    CHECK(limits->calls_per_second > 0 && limits->streams > 0);
    *limiter = (struct limiter){.limits = *limits, .seed = seed};
    map_init(&limiter->callers);
    list_init(&limiter->recent);
}

static void forget(struct limiter *limiter, struct limiter_caller *caller)
{
    CHECK(caller->account.calls == 0 && caller->account.bytes == 0);
    list_remove(&caller->recent);
    CHECK(map_remove(&limiter->callers, caller->key) == caller);
    free(caller);
}

void limiter_close(struct limiter *limiter)
{
    while (!list_empty(&limiter->recent)) {
        forget(limiter, list_entry(list_first(&limiter->recent),
                                   struct limiter_caller, recent));
    }
    map_close(&limiter->callers);
}

/* Of those without an open call the one that called longest ago. He begins
 * anew with a full bucket, which he nearly has by then. */
static bool make_room(struct limiter *limiter)
{
    struct list *at;

    list_foreach (at, &limiter->recent) {
        struct limiter_caller *caller =
            list_entry(at, struct limiter_caller, recent);

        if (caller->account.calls == 0) {
            forget(limiter, caller);
            return true;
        }
    }
    return false;
}

static uint64_t full(const struct limiter *limiter)
{
    return (uint64_t)limiter->limits.calls_per_second * CALL;
}

static struct limiter_caller *find(struct limiter *limiter, const char *name,
                                   uint64_t now_ms)
{
    uint64_t key = hash_bytes(name, strlen(name), limiter->seed);
    struct limiter_caller *caller = map_get(&limiter->callers, key);

    if (caller == NULL) {
        if (limiter->callers.count >= LIMITER_CALLERS_MAX &&
            !make_room(limiter)) {
            return NULL;
        }
        caller = memory_alloc(sizeof(*caller));
        caller->account.bytes_max = limiter->limits.bytes;
        caller->key = key;
        caller->level = full(limiter);
        caller->at_ms = now_ms;
        list_init(&caller->recent);
        map_put(&limiter->callers, key, caller);
    }
    list_remove(&caller->recent);
    list_append(&limiter->recent, &caller->recent);
    return caller;
}

/* A rate of n a second is n thousandths a millisecond. */
static void fill(const struct limiter *limiter, struct limiter_caller *caller,
                 uint64_t now_ms)
{
    uint64_t elapsed_ms = now_ms > caller->at_ms ? now_ms - caller->at_ms : 0;
    uint64_t lacks = full(limiter) - caller->level;

    /* A bucket is full after a second at most; no product overflows. */
    elapsed_ms = elapsed_ms < 1000 ? elapsed_ms : 1000;
    elapsed_ms *= limiter->limits.calls_per_second;
    caller->level += elapsed_ms < lacks ? elapsed_ms : lacks;
    caller->at_ms = now_ms;
}

enum limiter_verdict limiter_admit(struct limiter *limiter, const char *name,
                                   bool streams, uint64_t now_ms,
                                   struct rpc_account **account,
                                   uint64_t *retry_ms)
{
    uint32_t rate = limiter->limits.calls_per_second;
    struct limiter_caller *caller = find(limiter, name, now_ms);
    enum limiter_verdict verdict = LIMITER_ADMITTED;

    *retry_ms = STREAM_RETRY_MS;
    if (caller == NULL) {
        verdict = LIMITER_TOO_MANY_CALLERS;
    } else {
        fill(limiter, caller, now_ms);
        if (caller->level < CALL) {
            verdict = LIMITER_TOO_FAST;
            *retry_ms = (CALL - caller->level + rate - 1) / rate;
        } else if (streams &&
                   caller->account.streams >= limiter->limits.streams) {
            verdict = LIMITER_TOO_MANY_STREAMS;
        }
    }
    limiter->verdicts[verdict]++;
    if (verdict == LIMITER_ADMITTED) {
        caller->level -= CALL;
        *account = &caller->account;
    }
    return verdict;
}

void limiter_explain(const struct limiter *limiter,
                     enum limiter_verdict verdict, char *text, size_t size)
{
    switch (verdict) {
    case LIMITER_TOO_FAST:
        snprintf(text, size, "%" PRIu32 " calls a second",
                 limiter->limits.calls_per_second);
        return;
    case LIMITER_TOO_MANY_STREAMS:
        snprintf(text, size, "%" PRIu32 " open watches and other streams",
                 limiter->limits.streams);
        return;
    case LIMITER_TOO_MANY_CALLERS:
        snprintf(text, size, "%d callers with open calls", LIMITER_CALLERS_MAX);
        return;
    case LIMITER_ADMITTED:
        break;
    }
    snprintf(text, size, "nothing");
}
