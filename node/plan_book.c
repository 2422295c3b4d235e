/* SPDX-License-Identifier: Apache-2.0 */
#include "node/plan_book.h"

#include "base/check.h"
#include "base/error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void plan_book_init(struct plan_book *book)
{
    *book = (struct plan_book){.start_ms = PLAN_START_MS};
    list_init(&book->jobs);
}

void plan_book_close(struct plan_book *book)
{
    CHECK(list_empty(&book->jobs));
    for (uint32_t i = 0; i < book->count; i++) {
        plan_destroy(book->plans[i]);
    }
}

static void end_job(struct plan_book *book, struct plan_job *job)
{
    list_remove(&job->link);
    book->job_count--;
    if (job->begun && job->action != NULL) {
        planner_close(&job->planner);
    } else if (job->begun) {
        capacity_close(&job->capacity);
    }
    job->begun = false;
    free(job->classes);
    job->classes = NULL;
}

void plan_book_drop(struct plan_book *book)
{
    while (!list_empty(&book->jobs)) {
        struct plan_job *job =
            list_entry(list_first(&book->jobs), struct plan_job, link);

        end_job(book, job);
        job->done(job, HF_ERROR_NOT_LEADER);
    }
    for (uint32_t i = 0; i < book->count; i++) {
        plan_destroy(book->plans[i]);
    }
    book->count = 0;
}

/* An eighth of each new start: steady, and soon right. */
static void learn_start(struct plan_book *book, const struct event *event)
{
    uint64_t start_ms;

    if (event->kind != EVENT_VM || event->deleted ||
        event->vm->state != VM_RUNNING || event->vm->assign_time_ms == 0 ||
        event->vm->state_time_ms != event->time_ms ||
        event->time_ms < event->vm->assign_time_ms) {
        return;
    }
    start_ms = event->time_ms - event->vm->assign_time_ms;
    start_ms = start_ms < 3600000 ? start_ms : 3600000;
    book->start_ms = (uint32_t)((7 * (uint64_t)book->start_ms + start_ms) / 8);
}

void plan_book_note(struct plan_book *book, const struct event *event)
{
    book->changes += turn_is_decision(event);
    learn_start(book, event);
}

int plan_book_submit(struct plan_book *book, struct plan_job *job)
{
    if (book->job_count == PLAN_JOBS_MAX) {
        return HF_ERROR_BUSY;
    }
    job->begun = false;
    job->work_us = 0;
    job->result = NULL;
    list_init(&job->link);
    list_append(&book->jobs, &job->link);
    book->job_count++;
    return 0;
}

void plan_book_cancel(struct plan_book *book, struct plan_job *job)
{
    end_job(book, job);
}

static void forget_oldest(struct plan_book *book)
{
    plan_destroy(book->plans[0]);
    book->count--;
    memmove(book->plans, book->plans + 1, book->count * sizeof(book->plans[0]));
}

static void forget_old(struct plan_book *book, uint64_t now_ms)
{
    while (book->count > 0 &&
           now_ms - book->plans[0]->made_ms >= PLAN_KEPT_MS) {
        forget_oldest(book);
    }
}

static uint64_t kept_steps(const struct plan_book *book)
{
    uint64_t steps = 0;

    for (uint32_t i = 0; i < book->count; i++) {
        steps += plan_size(book->plans[i]);
    }
    return steps;
}

static void keep(struct plan_book *book, struct plan *plan, uint64_t now_ms)
{
    forget_old(book, now_ms);
    while (book->count == PLANS_KEPT_MAX ||
           (book->count > 0 &&
            kept_steps(book) + plan_size(plan) > PLAN_STEPS_MAX)) {
        forget_oldest(book);
    }
    plan->made_ms = now_ms;
    book->made++;
    snprintf(plan->id, sizeof(plan->id), "p%" PRIu64 "-%" PRIu64,
             plan->revision, book->made);
    book->plans[book->count++] = plan;
}

static void begin(struct plan_book *book, struct plan_job *job,
                  const struct plan_slice *slice)
{
    struct planner_start start = slice->start;

    start.start_ms = book->start_ms;
    job->begun = true;
    if (job->action == NULL) {
        capacity_begin(&job->capacity, &start, job->classes, job->class_count);
        return;
    }
    planner_begin(&job->planner, &start, job->action, false, job->reply);
    job->planner.result->changes = book->changes;
    bytes_reserve(&job->planner.result->action,
                  holdfast__v1__plan_action__get_packed_size(job->action));
    job->planner.result->action.len = holdfast__v1__plan_action__pack(
        job->action, job->planner.result->action.data);
}

static void finish(struct plan_book *book, struct plan_job *job,
                   const struct plan_slice *slice)
{
    if (job->action != NULL && job->planner.phase == PLANNER_DONE) {
        struct plan *plan = planner_take(&job->planner);

        plan->planning_us =
            job->work_us < UINT32_MAX ? (uint32_t)job->work_us : UINT32_MAX;
        keep(book, plan, slice->now_ms);
        job->result = plan;
    }
    job->answer(job);
    end_job(book, job);
    job->done(job, 0);
}

bool plan_book_work(struct plan_book *book, const struct plan_slice *slice)
{
    uint64_t since_us = slice->clock_us == NULL ? 0 : slice->clock_us();
    struct plan_job *job;
    bool complete;

    if (list_empty(&book->jobs)) {
        return true;
    }
    job = list_entry(list_first(&book->jobs), struct plan_job, link);
    if (!job->begun) {
        begin(book, job, slice);
        complete = false;
    } else if (job->action != NULL) {
        complete = planner_work(&job->planner);
    } else {
        complete = capacity_work(&job->capacity);
    }
    if (slice->clock_us != NULL) {
        job->work_us += slice->clock_us() - since_us;
    }
    if (complete) {
        finish(book, job, slice);
    }
    return list_empty(&book->jobs);
}

const struct plan *plan_book_find(struct plan_book *book, const char *id,
                                  uint64_t now_ms)
{
    forget_old(book, now_ms);
    for (uint32_t i = 0; i < book->count; i++) {
        if (strcmp(book->plans[i]->id, id) == 0) {
            return book->plans[i];
        }
    }
    return NULL;
}
