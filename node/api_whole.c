/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_whole.h"

#include "base/check.h"
#include "state/batch.h"

#include <stdio.h>
#include <string.h>

void api_whole_fail(struct api_reply *reply, const char *place,
                    const char *part, const struct api_reply *step)
{
    size_t len = strlen(part);
    const char *words = step->message;

    if (reply->code != RPC_OK) {
        return;
    }
    reply->code = step->code;
    reply->reason = step->reason;
    if (strncmp(words, part, len) == 0 &&
        (words[len] == '.' || words[len] == ':')) {
        snprintf(reply->message, sizeof(reply->message), "%s%.440s", place,
                 words + len);
    } else if (strncmp(words, "name:", 5) == 0 ||
               strncmp(words, "count:", 6) == 0) {
        snprintf(reply->message, sizeof(reply->message), "%s.%.440s", place,
                 words);
    } else {
        snprintf(reply->message, sizeof(reply->message), "%s: %.440s", place,
                 words);
    }
}

/* What was decided on the trial, for good. */
static void decide_again(const struct bytes *entry, struct turn_plan *plan)
{
    struct arena arena;
    struct batch batch;

    arena_init(&arena, BATCH_ARENA_BYTES);
    CHECK(batch_decode(entry->data, entry->len, &arena, &batch) == 0);
    for (size_t i = 0; i < batch.count; i++) {
        turn_change(plan, &batch.changes[i]);
    }
    arena_close(&arena);
}

void api_whole_decide(struct api_whole *whole, struct turn_plan *plan,
                      bool dry_run)
{
    const struct batch_head head = {.time_ms = plan->time_ms};
    struct turn_trial trial;
    struct bytes entry;
    bool good;

    if (dry_run) {
        CHECK(plan->trial != NULL);
        whole->decide(whole, plan);
        return;
    }
    turn_trial_begin(&trial, plan);
    batch_begin(&trial.plan.entry, &head);
    good = whole->decide(whole, &trial.plan);
    entry = trial.plan.entry;
    bytes_init(&trial.plan.entry);
    turn_trial_end(&trial);
    if (good) {
        decide_again(&entry, plan);
    }
    bytes_close(&entry);
}
