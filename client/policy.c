/* SPDX-License-Identifier: Apache-2.0 */
#include "client/policy.h"

#include "base/check.h"

#define ATTEMPT_LEAST_MS 1000

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   2000

void policy_init(struct policy *policy, uint64_t seed)
{
    *policy = (struct policy){.budget = POLICY_BUDGET_MAX};
    random_init(&policy->random, seed);
}

struct policy_course policy_begin(const struct policy *policy)
{
    return (struct policy_course){.endpoint = policy->current};
}

uint64_t policy_attempt_ms(const struct policy *policy, uint64_t left_ms)
{
    uint64_t share =
        left_ms / 2 > ATTEMPT_LEAST_MS ? left_ms / 2 : ATTEMPT_LEAST_MS;

    return policy->endpoint_count > 1 && share < left_ms ? share : left_ms;
}

uint64_t policy_backoff_ms(unsigned round, struct random *random)
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
static void charge(struct policy *policy, size_t calls_open)
{
    unsigned cost = POLICY_BUDGET_FAILURE;

    CHECK(calls_open >= 1);
    cost = calls_open < cost ? cost / (unsigned)calls_open : 1;
    policy->budget -= policy->budget < cost ? policy->budget : cost;
}

/* To the next endpoint, after a pause when that begins a round. Others may have
 * moved the client on already. */
static uint64_t move_on(struct policy *policy, struct policy_course *course)
{
    unsigned endpoints = (unsigned)policy->endpoint_count;
    size_t next = (course->endpoint + 1) % policy->endpoint_count;

    course->endpoint = next;
    course->failures++;
    return course->failures % endpoints == 0
               ? policy_backoff_ms(course->failures / endpoints,
                                   &policy->random)
               : 0;
}

bool policy_again(struct policy *policy, struct policy_course *course,
                  const struct policy_failure *failure, uint64_t *wait_ms)
{
    size_t failed = course->endpoint;

    *wait_ms = move_on(policy, course);
    if (policy->current == failed) {
        policy->current = course->endpoint;
    }
    if (!failure->never_seen) {
        charge(policy, failure->calls_open);
    }
    if (course->failures >= policy->endpoint_count * POLICY_ROUNDS_MAX ||
        policy->budget == 0) {
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

void policy_answered(struct policy *policy)
{
    policy->budget +=
        policy->budget <= POLICY_BUDGET_MAX - POLICY_BUDGET_SUCCESS
            ? POLICY_BUDGET_SUCCESS
            : POLICY_BUDGET_MAX - policy->budget;
}

bool policy_resume(struct policy *policy, struct policy_course *course,
                   uint64_t *wait_ms)
{
    *wait_ms = move_on(policy, course);
    return course->failures < policy->endpoint_count * POLICY_WATCH_ROUNDS_MAX;
}
