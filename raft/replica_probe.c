/* SPDX-License-Identifier: Apache-2.0
 *
 * Barriers: the proof that this leader has not been replaced, without a log
 * entry and its disk writes (Raft 6.4). The leader asks all other voters; one
 * that is still in the leader's term says so, one of a later term is silent.
 *
 * Why a majority's word is enough: whoever was elected in a later term before
 * the answers has the votes of a majority, so one of those who answered had
 * voted for it, and was in that later term already. Terms never go back, also
 * not over a restart: no answer leaves before the term is on disk. So at the
 * time of the answers, which is after the barrier was asked for, there was no
 * later leader that could have acknowledged anything. What this or an earlier
 * leader acknowledged before is applied here: this one answers after applying,
 * and an entry of the own term, with all before it, was applied at the proof of
 * leadership.
 *
 * A leader that sleeps and finds answers when it wakes is no exception: what
 * they prove is about the time when they were given, and the barriers of this
 * round were asked for before that. */
#include "raft/replica_internal.h"

#include "base/check.h"
#include "base/container.h"

void barriers_answer(struct list *waiting, enum replica_outcome outcome,
                     uint64_t index)
{
    struct list answered;
    struct list *link;
    list_init(&answered);
    list_splice(&answered, waiting);
    while ((link = list_first(&answered)) != NULL) {
        list_remove(link);
        struct replica_barrier *request =
            list_entry(link, struct replica_barrier, link);
        request->done(request, outcome, index);
    }
}

static bool leads_and_is_proved(const struct replica *replica)
{
    return replica->leading_term != 0 &&
           replica->proved_term == replica->leading_term;
}

static uint64_t answered(const struct replica *replica, uint64_t id)
{
    for (size_t i = 0; i < replica->probing.answer_count; i++) {
        if (replica->probing.answers[i].id == id) {
            return replica->probing.answers[i].number;
        }
    }
    return 0;
}

static void note_answer(struct replica *replica, uint64_t id, uint64_t number)
{
    struct probing *probing = &replica->probing;
    size_t i = 0;
    while (i < probing->answer_count && probing->answers[i].id != id) {
        i++;
    }
    if (i == probing->answer_count) {
        if (i == ARRAY_LEN(probing->answers)) {
            i = 0; /* Of a member that has left, or it answers again. */
        } else {
            probing->answer_count++;
        }
        probing->answers[i].id = id;
        probing->answers[i].number = 0;
    }
    if (probing->answers[i].number < number) {
        probing->answers[i].number = number;
    }
}

static bool is_other_voter(const struct replica *replica, size_t member)
{
    return core_member_role(replica->core, member) == REPLICA_VOTER &&
           core_member_id(replica->core, member) != replica->config.id;
}

/* Whoever has not answered this round yet. */
static void ask(struct replica *replica)
{
    struct message message = {
        .type = MESSAGE_PROBE,
        .term = replica->leading_term,
        .probe = {.number = replica->probing.number},
    };
    for (size_t i = 0; i < core_member_count(replica->core); i++) {
        uint64_t id = core_member_id(replica->core, i);
        if (is_other_voter(replica, i) &&
            answered(replica, id) < replica->probing.number) {
            send_message(replica, id, &message);
        }
    }
    replica->probing.asked_ms = replica->now_ms;
}

static bool majority_answered(const struct replica *replica)
{
    size_t voters = 0;
    size_t with_us = 0;
    for (size_t i = 0; i < core_member_count(replica->core); i++) {
        if (core_member_role(replica->core, i) != REPLICA_VOTER) {
            continue;
        }
        uint64_t id = core_member_id(replica->core, i);
        voters++;
        with_us += id == replica->config.id ||
                           answered(replica, id) == replica->probing.number
                       ? 1
                       : 0;
    }
    return with_us * 2 > voters;
}

/* Begins a round when one is due, and asks again when answers stay away. */
void probe_run(struct replica *replica)
{
    struct probing *probing = &replica->probing;
    if (!leads_and_is_proved(replica)) {
        return;
    }
    if (!list_empty(&probing->barriers)) {
        if (replica->now_ms - probing->asked_ms >=
            replica->config.heartbeat_ms) {
            ask(replica);
        }
        return;
    }
    if (list_empty(&replica->queued_barriers)) {
        return;
    }
    list_splice(&probing->barriers, &replica->queued_barriers);
    probing->number++;
    ask(replica);
    if (majority_answered(replica)) {
        replica_wake(replica); /* The only voter; from a later turn. */
    }
}

bool probe_finish(struct replica *replica)
{
    if (replica->failed || !leads_and_is_proved(replica) ||
        list_empty(&replica->probing.barriers) || !majority_answered(replica)) {
        return false;
    }
    CHECK(core_term(replica->core) == replica->leading_term);
    barriers_answer(&replica->probing.barriers, REPLICA_COMMITTED,
                    replica->applied_index);
    return true;
}

void probe_answer(struct replica *replica, uint64_t from,
                  const struct message *message)
{
    struct message answer = {
        .type = MESSAGE_PROBE_RESULT,
        .term = message->term,
        .probe = message->probe,
    };
    if (message->term == core_term(replica->core)) {
        send_message(replica, from, &answer);
    }
}

void probe_result(struct replica *replica, uint64_t from,
                  const struct message *message)
{
    if (message->term == replica->leading_term &&
        message->probe.number <= replica->probing.number) {
        note_answer(replica, from, message->probe.number);
    }
}

uint64_t probe_deadline(const struct replica *replica)
{
    return list_empty(&replica->probing.barriers) ||
                   !leads_and_is_proved(replica)
               ? UINT64_MAX
               : replica->probing.asked_ms + replica->config.heartbeat_ms;
}
