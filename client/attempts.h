/* SPDX-License-Identifier: Apache-2.0
 *
 * When to try what again, and where: the same for the blocking and the
 * asynchronous client. Pure: time and randomness are arguments. The rules:
 * 1. UNAVAILABLE, no connection, no answer in the attempt's time: the next
 *    endpoint; every other status is the answer;
 * 2. a pause before each new round over the endpoints, and wherever the node
 *    asks for one (grpc-retry-pushback-ms; a negative one forbids the retry);
 * 3. at most ATTEMPTS_ROUNDS_MAX rounds, and only while the retry budget lasts;
 * 4. what no node has seen costs nothing of the budget, and what fails many
 *    calls at once costs as much as one failure;
 * 5. never past the call's deadline. */
#ifndef CLIENT_ATTEMPTS_H
#define CLIENT_ATTEMPTS_H

#include "base/random.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ATTEMPTS_ROUNDS_MAX 5

/* Rounds over the endpoints without any response before a watch gives up:
 * about half a minute with the pauses between them. */
#define ATTEMPTS_WATCH_ROUNDS_MAX 20

/* The retry budget, in thousandths of a token (gRPC proposal A6's throttling,
 * as it is for a single call). */
#define ATTEMPTS_BUDGET_MAX     10000
#define ATTEMPTS_BUDGET_FAILURE 1000
#define ATTEMPTS_BUDGET_SUCCESS 100

/* A client's. */
struct attempts {
    size_t endpoint_count;
    size_t current; /* The endpoint that new calls ask first. */
    unsigned budget;
    struct random random;
};

/* A call's or a watch's. */
struct attempts_course {
    size_t endpoint;   /* Is asked next. */
    unsigned failures; /* So far; of a watch, since the last response. */
};

void attempts_init(struct attempts *attempts, uint64_t seed);

/* Where a new call or watch begins. */
struct attempts_course attempts_begin(const struct attempts *attempts);

/* How long a watch may be silent before its stream is broken: three of the
 * empty responses that a node sends at least. `heartbeat_ms` as in the request;
 * 0: every 5 s. */
uint64_t attempts_silence_ms(uint32_t heartbeat_ms);

/* How long an attempt may take when so much time is left. With other endpoints
 * left it is half of that, but at least a second: a node that hangs must not
 * take all of it. */
uint64_t attempts_share_ms(const struct attempts *attempts, uint64_t left_ms);

struct attempts_failure {
    bool never_seen;   /* No node has seen the attempt, though one was there. */
    bool has_pushback; /* The node asked for a pause; negative: for no retry. */
    int64_t pushback_ms;
    size_t calls_open; /* All of the client's, with this one. */
    uint64_t left_ms;  /* Until the call's deadline. */
};

/* An attempt failed: whether to try again, at course->endpoint after `wait_ms`.
 */
bool attempts_again(struct attempts *attempts, struct attempts_course *course,
                    const struct attempts_failure *failure, uint64_t *wait_ms);

/* A call was answered, whatever the answer. */
void attempts_answered(struct attempts *attempts);

/* A watch's stream broke: whether to resume it, as above. */
bool attempts_resume(struct attempts *attempts, struct attempts_course *course,
                     uint64_t *wait_ms);

/* The pause before round `round` (from 1): 100 ms doubling to 2 s, with jitter
 * 0.8 to 1.2. */
uint64_t attempts_backoff_ms(unsigned round, struct random *random);

#endif
