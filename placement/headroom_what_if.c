/* SPDX-License-Identifier: Apache-2.0
 *
 * What would become of headroom if a host or zone were drained, or a class
 * offered in fewer zones? Tried out on a clone, with a placer of its own, step
 * by step:
 *
 *   LOAD    the copy's witness is made, and what is without a slot is counted
 *   SETTLE  the change is made, slots that it cost are found anew
 *   COLLECT the VMs that would have to leave, hosts by hosts
 *   LEAVE   they go, the largest first; one that only headroom keeps says no
 *   COUNT   more without a slot, or without protection, than before says no
 *
 * What is drained need not be empty in the end: VMs that cannot leave at all
 * stay there, drain or no drain. */
#include "base/container.h"
#include "base/memory.h"
#include "placement/candidates.h"
#include "placement/headroom_book.h"
#include "placement/internal.h"

#include <stdlib.h>
#include <string.h>

/* A choice that says "ask again" is asked again so often. */
#define ASKS_MAX 8

/* What of the budget a VM costs that leaves: two choices, and its slot's way
 * from one host to another. */
#define LEAVE_COST 16

/* Answers that are remembered, the oldest goes. */
#define ANSWERS_MAX 16

enum step {
    STEP_NONE,
    STEP_LOAD,
    STEP_SETTLE,
    STEP_COLLECT,
    STEP_LEAVE,
    STEP_COUNT
};

/* No padding: compared as bytes. */
struct question {
    uint64_t zone_mask; /* Of the class. */
    uint32_t host_slot; /* One of the three, the others SLOT_NONE. */
    uint32_t zone_slot;
    uint32_t class_slot;
    uint32_t hosts;    /* How many there were, */
    uint32_t draining; /* and how many of them and of the zones drained. */
    uint32_t padding;
};

struct answered {
    struct question question;
    uint64_t asked_ms; /* 0: none. */
    bool allowed;
    struct placement_headroom missing;
};

/* Protected VMs without a slot, by zone, and VMs without protection. */
struct census {
    uint32_t unplaceable[ZONES_MAX];
    uint32_t unprotected;
    uint32_t unprotected_in[ZONES_MAX];
};

struct headroom_what_if {
    struct answered now;
    enum step step;
    struct state *state;
    struct placer *placer;
    struct event_sink sink;
    struct census before;
    struct candidates leavers;
    uint32_t host_at; /* COLLECT. */
    uint32_t leaving; /* LEAVE: the VM that has no host now. SLOT_NONE. */
    uint32_t home;    /* Where it was, */
    uint32_t asks;    /* and how often it was asked for. */
    struct answered answers[ANSWERS_MAX];
    uint32_t answer_next;
};

/* --- The copy ------------------------------------------------------------- */

static void tell(struct event_sink *sink, const struct event *event)
{
    struct headroom_what_if *job =
        container_of(sink, struct headroom_what_if, sink);

    switch (event->kind) {
    case EVENT_HOST:
        placer_host_changed(job->placer, job->state,
                            uid_slot(event->host->uid));
        break;
    case EVENT_VM:
        placer_vm_changed(job->placer, job->state, uid_slot(event->vm->uid));
        break;
    case EVENT_GROUP:
        placer_group_changed(job->placer, job->state,
                             uid_slot(event->group->uid));
        break;
    case EVENT_ZONE:
        placer_zone_changed(job->placer, job->state,
                            uid_slot(event->zone->uid));
        break;
    case EVENT_CLASS:
        placer_class_changed(job->placer, job->state,
                             uid_slot(event->class->uid));
        break;
    default:
        break;
    }
}

static void apply(struct headroom_what_if *job, const struct change *change)
{
    state_apply(job->state, change, &job->sink);
}

/* It enforces, whatever the policy is, so that it looks for places that keep
 * headroom. */
static void begin(struct headroom_what_if *job, const struct placer *placer,
                  const struct state *state)
{
    struct change change = {.kind = CHANGE_POLICY};

    job->state = state_clone(state);
    job->sink.event = tell;
    change.policy.policy = *state_policy(state);
    change.policy.policy.headroom = HEADROOM_ENFORCE;
    state_apply(job->state, &change, NULL);
    job->placer = placer_create();
    placer_share(job->placer, placer);
    placer_rebuild_begin(job->placer, job->state);
    candidates_init(&job->leavers);
    job->host_at = 0;
    job->leaving = SLOT_NONE;
    job->step = STEP_LOAD;
}

static void end(struct headroom_what_if *job)
{
    if (job->step != STEP_NONE) {
        candidates_close(&job->leavers);
        placer_destroy(job->placer);
        state_destroy(job->state);
        job->step = STEP_NONE;
    }
}

static void answer(struct headroom_what_if *job, bool allowed)
{
    end(job);
    job->now.allowed = allowed;
    job->answers[job->answer_next++ % ANSWERS_MAX] = job->now;
}

/* --- The steps ------------------------------------------------------------ */

static void count(const struct headroom_what_if *job, struct census *census)
{
    memset(census, 0, sizeof(*census));
    for (uint32_t i = 0; i < state_zone_slots(job->state); i++) {
        struct headroom_zone zone;

        headroom_zone(job->placer, job->state, i, &zone);
        census->unplaceable[i] = zone.unplaceable_count;
        census->unprotected_in[i] = zone.unprotected_count;
        census->unprotected += zone.unprotected_count;
    }
}

static void make_change(struct headroom_what_if *job)
{
    const struct question *question = &job->now.question;
    const struct state *state = job->state;
    struct change change = {.kind = CHANGE_HOST_DRAIN};

    if (question->host_slot != SLOT_NONE) {
        change.host_drain = (struct change_host_drain){
            {state_host_at(state, question->host_slot)->uid},
            true,
            0,
            0,
            DRAIN_END_NONE,
            false};
    } else if (question->zone_slot != SLOT_NONE) {
        change.kind = CHANGE_ZONE_DRAIN;
        change.zone_drain = (struct change_zone_drain){
            {state_zone_at(state, question->zone_slot)->uid},
            true,
            0,
            0,
            DRAIN_END_NONE,
            false};
    } else {
        change.kind = CHANGE_CLASS_UPDATE;
        change.class_update = (struct change_class_update){
            .class = {state_class_at(state, question->class_slot)->uid},
            .mask = CLASS_UPDATE_ZONES,
            .zone_mask = question->zone_mask};
    }
    apply(job, &change);
}

/* Those that are to run there. Those of a lost host wait for it, LOST: no drain
 * moves them. */
static void collect_of_host(struct headroom_what_if *job,
                            const struct host *host)
{
    const struct vm *vm;

    for (uint32_t slot = host->vm_first; slot != SLOT_NONE;
         slot = vm->host_next) {
        const struct resources *size;

        vm = state_vm_at(job->state, slot);
        if (vm->deleting || vm->desired != DESIRED_RUNNING ||
            vm->moving != MOVE_NONE || vm->state == VM_LOST) {
            continue;
        }
        size = &state_class_at(job->state, vm->class_slot)->resources;
        candidates_add(
            &job->leavers,
            &(struct candidate){
                .vm = slot,
                .gain = (uint64_t)size->cpu_milli * 4 + size->memory_mib,
            });
    }
}

static bool collect(struct headroom_what_if *job, uint32_t budget)
{
    const struct question *question = &job->now.question;
    uint32_t hosts = state_host_slots(job->state);

    if (question->host_slot != SLOT_NONE) {
        collect_of_host(job, state_host_at(job->state, question->host_slot));
        job->host_at = hosts;
    }
    if (question->zone_slot == SLOT_NONE) {
        job->host_at = hosts;
    }
    for (; budget > 0 && job->host_at < hosts; job->host_at++) {
        const struct host *host = state_host_at(job->state, job->host_at);

        budget--;
        if (host != NULL && host->zone == question->zone_slot) {
            budget -= host->vm_count < budget ? host->vm_count : budget;
            collect_of_host(job, host);
        }
    }
    if (job->host_at < hosts) {
        return false;
    }
    candidates_order(&job->leavers);
    return true;
}

static void take_off(struct headroom_what_if *job, uint32_t slot)
{
    const struct vm *vm = state_vm_at(job->state, slot);
    struct change release = {.kind = CHANGE_VM_RELEASE};

    job->leaving = slot;
    job->home = vm->host;
    job->asks = 0;
    release.vm_release = (struct change_vm_release){
        .vm = {vm->uid}, .epoch = vm->epoch, .reason = {"drained", 7}};
    apply(job, &release);
}

static void put_on(struct headroom_what_if *job, uint32_t host)
{
    const struct vm *vm = state_vm_at(job->state, job->leaving);
    struct change change = {.kind = CHANGE_VM_ASSIGN};

    change.vm_assign = (struct change_vm_assign){
        {vm->uid}, {state_host_at(job->state, host)->uid}, vm->epoch + 1};
    apply(job, &change);
    job->leaving = SLOT_NONE;
}

/* The one that has no host gets one. ASK_AGAIN: not yet. */
static enum headroom_answer find_host(struct headroom_what_if *job)
{
    struct placement_request request = {state_vm_at(job->state, job->leaving),
                                        SLOT_NONE};
    struct placement_choice choice;

    placer_choose(job->placer, job->state, &request, &choice);
    if (choice.retry && ++job->asks < ASKS_MAX) {
        return HEADROOM_ASK_AGAIN;
    }
    if (choice.host == SLOT_NONE && choice.reason == PENDING_HEADROOM) {
        job->now.missing = choice.headroom;
        return HEADROOM_NO;
    }
    put_on(job, choice.host == SLOT_NONE ? job->home : choice.host);
    return HEADROOM_YES;
}

/* NO: one may not leave; ASK_AGAIN: there are more. */
static enum headroom_answer leave(struct headroom_what_if *job, uint32_t budget)
{
    enum headroom_answer found = HEADROOM_YES;

    while (found == HEADROOM_YES && budget >= LEAVE_COST) {
        struct candidate candidate;

        if (job->leaving == SLOT_NONE) {
            if (!candidates_take(&job->leavers, &candidate)) {
                return HEADROOM_YES;
            }
            take_off(job, candidate.vm);
        }
        found = find_host(job);
        budget -= LEAVE_COST;
    }
    return found == HEADROOM_YES ? HEADROOM_ASK_AGAIN : found;
}

/* Worse than it was? */
static bool is_worse(struct headroom_what_if *job)
{
    struct placement_headroom *missing = &job->now.missing;
    struct census after;

    count(job, &after);
    for (uint32_t i = 0; i < state_zone_slots(job->state); i++) {
        struct headroom_zone zone;

        if (after.unplaceable[i] > job->before.unplaceable[i]) {
            headroom_zone(job->placer, job->state, i, &zone);
            *missing = (struct placement_headroom){i, zone.missing_class,
                                                   zone.missing_count};
            return true;
        }
    }
    if (after.unprotected <= job->before.unprotected) {
        return false;
    }
    *missing = (struct placement_headroom){
        SLOT_NONE, job->now.question.class_slot,
        after.unprotected - job->before.unprotected};
    for (uint32_t i = 0; i < state_zone_slots(job->state); i++) {
        if (after.unprotected_in[i] > job->before.unprotected_in[i]) {
            missing->zone = i;
        }
    }
    return true;
}

/* What the last step left to do in the witness comes first. */
static void work(struct headroom_what_if *job, uint32_t budget)
{
    enum headroom_answer left;

    if (!placer_work(job->placer, job->state, budget) ||
        !headroom_work(job->placer, job->state, budget)) {
        return;
    }
    switch (job->step) {
    case STEP_LOAD:
        count(job, &job->before);
        make_change(job);
        job->step = STEP_SETTLE;
        break;
    case STEP_SETTLE:
        job->step = STEP_COLLECT;
        break;
    case STEP_COLLECT:
        job->step = collect(job, budget) ? STEP_LEAVE : STEP_COLLECT;
        break;
    case STEP_LEAVE:
        left = leave(job, budget);
        if (left == HEADROOM_NO) {
            answer(job, false);
        } else if (left == HEADROOM_YES) {
            job->step = STEP_COUNT;
        }
        break;
    default:
        answer(job, !is_worse(job));
        break;
    }
}

bool headroom_what_if_step(struct headroom *headroom, uint32_t budget)
{
    struct headroom_what_if *job = headroom->what_if;

    if (job == NULL || job->step == STEP_NONE) {
        return true;
    }
    work(job, budget);
    return job->step == STEP_NONE;
}

void headroom_what_if_close(struct headroom *headroom)
{
    if (headroom->what_if != NULL) {
        end(headroom->what_if);
        free(headroom->what_if);
        headroom->what_if = NULL;
    }
}

/* --- Asking --------------------------------------------------------------- */

static const struct answered *find_answer(const struct headroom_what_if *job,
                                          const struct question *question,
                                          uint64_t time_ms)
{
    for (uint32_t i = 0; i < ANSWERS_MAX; i++) {
        const struct answered *known = &job->answers[i];

        if (known->asked_ms != 0 &&
            time_ms - known->asked_ms <= HEADROOM_ANSWER_KEPT_MS &&
            memcmp(&known->question, question, sizeof(*question)) == 0) {
            return known;
        }
    }
    return NULL;
}

static struct headroom_what_if *job_of(struct placer *placer)
{
    struct headroom *headroom = placer_headroom(placer);

    if (headroom->what_if == NULL) {
        headroom->what_if = memory_alloc(sizeof(*headroom->what_if));
    }
    return headroom->what_if;
}

static enum headroom_answer tell_answer(const struct answered *known,
                                        struct placement_headroom *out)
{
    *out = known->missing;
    if (!known->allowed && out->count == 0) {
        out->count = 1;
    }
    return known->allowed ? HEADROOM_YES : HEADROOM_NO;
}

static enum headroom_answer ask(struct placer *placer,
                                const struct state *state,
                                struct question question,
                                struct placement_headroom *out)
{
    const struct state_counts *counts = state_counts(state);
    uint64_t time_ms = state_time_ms(state) + 1; /* Never 0. */
    const struct answered *known;
    struct headroom_what_if *job;

    *out = (struct placement_headroom){SLOT_NONE, SLOT_NONE, 0};
    if (state_policy(state)->headroom == HEADROOM_OFF) {
        return HEADROOM_YES;
    }
    question.hosts = counts->hosts;
    question.draining = counts->hosts_draining + counts->zones_draining;
    if (counts->vms + counts->hosts <= HEADROOM_AT_ONCE) {
        struct headroom_what_if once = {.now = {.question = question,
                                                .asked_ms = time_ms,
                                                .missing = *out}};

        begin(&once, placer, state);
        while (once.step != STEP_NONE) {
            work(&once, UINT32_MAX);
        }
        return tell_answer(&once.now, out);
    }
    job = job_of(placer);
    known = find_answer(job, &question, time_ms);
    if (known != NULL) {
        return tell_answer(known, out);
    }
    /* One at a time: others ask again, as this one does. */
    if (job->step == STEP_NONE) {
        job->now = (struct answered){
            .question = question, .asked_ms = time_ms, .missing = *out};
        begin(job, placer, state);
    }
    return HEADROOM_ASK_AGAIN;
}

enum headroom_answer headroom_allows_drain(struct placer *placer,
                                           const struct state *state,
                                           uint32_t host_slot,
                                           uint32_t zone_slot,
                                           struct placement_headroom *out)
{
    struct question question;

    memset(&question, 0, sizeof(question));
    question.host_slot = host_slot;
    question.zone_slot = zone_slot;
    question.class_slot = SLOT_NONE;
    return ask(placer, state, question, out);
}

enum headroom_answer headroom_allows_class(struct placer *placer,
                                           const struct state *state,
                                           uint32_t class_slot,
                                           uint64_t zone_mask,
                                           struct placement_headroom *out)
{
    struct question question;

    memset(&question, 0, sizeof(question));
    question.host_slot = SLOT_NONE;
    question.zone_slot = SLOT_NONE;
    question.class_slot = class_slot;
    question.zone_mask = zone_mask;
    return ask(placer, state, question, out);
}
