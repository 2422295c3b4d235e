/* SPDX-License-Identifier: Apache-2.0 */
#include "client/attempts.h"

#include "base/check.h"

#define HEARTBEAT_DEFAULT_MS 5000
#define HEARTBEATS_MISSED    3

#define ATTEMPT_LEAST_MS 1000

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   2000

void attempts_init(struct attempts *attempts, uint64_t seed)
{
    *attempts = (struct attempts){.budget = ATTEMPTS_BUDGET_MAX};
    random_init(&attempts->random, seed);
}

struct attempts_course attempts_begin(const struct attempts *attempts)
{
    return (struct attempts_course){.endpoint = attempts->current};
}

uint64_t attempts_silence_ms(uint32_t heartbeat_ms)
{
    return HEARTBEATS_MISSED *
           (uint64_t)(heartbeat_ms == 0 ? HEARTBEAT_DEFAULT_MS : heartbeat_ms);
}

uint64_t attempts_share_ms(const struct attempts *attempts, uint64_t left_ms)
{
    uint64_t share =
        left_ms / 2 > ATTEMPT_LEAST_MS ? left_ms / 2 : ATTEMPT_LEAST_MS;

    return attempts->endpoint_count > 1 && share < left_ms ? share : left_ms;
}

uint64_t attempts_backoff_ms(unsigned round, struct random *random)
{
    uint64_t base = BACKOFF_FIRST_MS;

    CHECK(round >= 1);
    while (--round > 0 && base < BACKOFF_MAX_MS) {
        base *= 2;
    }
    base = base < BACKOFF_MAX_MS ? base : BACKOFF_MAX_MS;
    return base * 8 / 10 + random_below(random, base * 4 / 10 + 1);
}

/* A node that goes away under a hundred calls, or has no leader for them, is
 * one failure and not a hundred. */
static void charge(struct attempts *attempts, size_t calls_open)
{
    unsigned cost = ATTEMPTS_BUDGET_FAILURE;

    CHECK(calls_open >= 1);
    cost = calls_open < cost ? cost / (unsigned)calls_open : 1;
    attempts->budget -= attempts->budget < cost ? attempts->budget : cost;
}

/* To the next endpoint, after a pause when that begins a round. Others may have
 * moved the client on already. */
static uint64_t move_on(struct attempts *attempts,
                        struct attempts_course *course)
{
    unsigned endpoints = (unsigned)attempts->endpoint_count;
    size_t next = (course->endpoint + 1) % attempts->endpoint_count;

    course->endpoint = next;
    course->failures++;
    return course->failures % endpoints == 0
               ? attempts_backoff_ms(course->failures / endpoints,
                                     &attempts->random)
               : 0;
}

bool attempts_again(struct attempts *attempts, struct attempts_course *course,
                    const struct attempts_failure *failure, uint64_t *wait_ms)
{
    size_t failed = course->endpoint;

    *wait_ms = move_on(attempts, course);
    if (attempts->current == failed) {
        attempts->current = course->endpoint;
    }
    if (!failure->never_seen) {
        charge(attempts, failure->calls_open);
    }
    if (course->failures >= attempts->endpoint_count * ATTEMPTS_ROUNDS_MAX ||
        attempts->budget == 0) {
        return false;
    }
    if (failure->has_pushback) {
        if (failure->pushback_ms < 0) {
            return false;
        }
        *wait_ms = (uint64_t)failure->pushback_ms;
    }
    return *wait_ms < failure->left_ms;
}

void attempts_answered(struct attempts *attempts)
{
    attempts->budget +=
        attempts->budget <= ATTEMPTS_BUDGET_MAX - ATTEMPTS_BUDGET_SUCCESS
            ? ATTEMPTS_BUDGET_SUCCESS
            : ATTEMPTS_BUDGET_MAX - attempts->budget;
}

bool attempts_resume(struct attempts *attempts, struct attempts_course *course,
                     uint64_t *wait_ms)
{
    *wait_ms = move_on(attempts, course);
    return course->failures <
           attempts->endpoint_count * ATTEMPTS_WATCH_ROUNDS_MAX;
}
