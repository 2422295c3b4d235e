/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/retry.h"

#include "base/check.h"

static void start_anew(struct retry *retry)
{
    retry->failures = 0;
    retry->pause_ms = RETRY_MS_MIN;
    retry->conflict_ms = RETRY_MS_MIN;
}

void retry_init(struct retry *retry, struct random *random)
{
    *retry = (struct retry){.random = random};
    start_anew(retry);
}

void retry_begun(struct retry *retry)
{
    CHECK(retry->current < retry->nodes);
    retry->renewals = 0;
}

void retry_renewed(struct retry *retry)
{
    if (retry->renewals < RETRY_USEFUL_RENEWALS &&
        ++retry->renewals == RETRY_USEFUL_RENEWALS) {
        start_anew(retry);
    }
}

/* Between a half and all of it; the next one is twice as long. */
static uint64_t take_pause(struct retry *retry, uint64_t *length_ms,
                           uint64_t max_ms)
{
    uint64_t half_ms = *length_ms / 2;
    uint64_t pause_ms = half_ms + random_below(retry->random, half_ms + 1);

    *length_ms = *length_ms * 2 < max_ms ? *length_ms * 2 : max_ms;
    return pause_ms;
}

uint64_t retry_ended(struct retry *retry, enum retry_end end)
{
    CHECK(retry->nodes > 0);
    if (end == RETRY_BROKEN || retry->failures > 0) {
        retry->current = (retry->current + 1) % retry->nodes;
    }
    retry->failures++;
    if (end == RETRY_CONFLICT) {
        return take_pause(retry, &retry->conflict_ms, RETRY_CONFLICT_MS_MAX);
    }
    return retry->failures % retry->nodes == 0
               ? take_pause(retry, &retry->pause_ms, RETRY_MS_MAX)
               : 0;
}

bool retry_is_stuck(const struct retry *retry)
{
    return retry->failures >= retry->nodes;
}

bool retry_is_in_conflict(const struct retry *retry)
{
    return retry->conflict_ms == RETRY_CONFLICT_MS_MAX;
}
