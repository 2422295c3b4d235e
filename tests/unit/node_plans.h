/* SPDX-License-Identifier: Apache-2.0
 *
 * An office that makes plans and applies them, for node_plan*_test. */
#ifndef TESTS_NODE_PLANS_H
#define TESTS_NODE_PLANS_H

#include "base/check.h"
#include "base/error.h"
#include "base/memory.h"
#include "node/api.h"
#include "node/plan_book.h"
#include "support/office.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ACTION(name) HOLDFAST__V1__PLAN_ACTION__ACTION_##name

static struct plan_book book;

static void note(struct office *office, const struct event *event)
{
    (void)office;
    plan_book_note(&book, event);
}

static struct office *opened(uint32_t zones, uint32_t hosts, uint32_t cores)
{
    struct office *office = office_create();

    plan_book_init(&book);
    office->turn.plans = &book;
    office->on_event = note;
    office_hosts(office, zones, hosts, cores);
    office_class(office, "c", 1);
    office_class(office, "big", 8);
    return office;
}

static void closed(struct office *office)
{
    plan_book_drop(&book);
    plan_book_close(&book);
    office_destroy(office);
}

static void settle(struct office *office)
{
    for (int i = 0; i < 60; i++) {
        office_run(office, 50);
        office_hosts_obey(office);
    }
}

/* --- Making --------------------------------------------------------------- */

struct asking {
    struct plan_job job;
    struct api_reply reply;
    int done;
    int status;
    uint64_t free[8]; /* Of the classes, as asked. */
    uint64_t safe[8];
    uint64_t without[8];
};

static void take_answer(struct plan_job *job)
{
    struct asking *asking = container_of(job, struct asking, job);

    for (uint32_t i = 0; job->action == NULL && i < job->class_count; i++) {
        const struct capacity_class *class = &job->capacity.classes[i];

        asking->free[i] = capacity_free(&job->capacity, class);
        asking->safe[i] = capacity_safe(&job->capacity, class);
        asking->without[i] = class->without[0];
    }
}

static void job_done(struct plan_job *job, int status)
{
    struct asking *asking = container_of(job, struct asking, job);

    asking->done++;
    asking->status = status;
}

static void work(struct office *office)
{
    struct plan_slice slice = {
        .start = {.state = office->state,
                  .placer = turn_placer(&office->turn),
                  .time_ms = office->now_ms},
        .now_ms = office->now_ms,
    };

    while (!plan_book_work(&book, &slice)) {
    }
}

static void ask(struct office *office, struct asking *asking,
                const Holdfast__V1__PlanAction *action)
{
    *asking = (struct asking){0};
    api_reply_init(&asking->reply);
    asking->job.action = action;
    asking->job.reply = &asking->reply;
    asking->job.answer = take_answer;
    asking->job.done = job_done;
    assert_int_equal(plan_book_submit(&book, &asking->job), 0);
    work(office);
    assert_int_equal(asking->done, 1);
    assert_int_equal(asking->status, 0);
    api_reply_close(&asking->reply);
}

/* --- Applying ------------------------------------------------------------- */

struct applying {
    struct turn_request request;
    struct api_reply reply;
    const char *id;
    const char *risk; /* The reason why it is accepted; NULL: it is not. */
    bool dry_run;
    int done;
};

static const struct api_method *apply_method(void)
{
    const struct api_method *method = api_methods;

    while (strcmp(method->path, "/holdfast.v1.PlanService/ApplyPlan") != 0) {
        method++;
    }
    return method;
}

static void plan_apply(struct turn_request *request, struct turn_plan *plan)
{
    struct applying *applying = container_of(request, struct applying, request);
    Holdfast__V1__ApplyPlanRequest message =
        HOLDFAST__V1__APPLY_PLAN_REQUEST__INIT;
    char id[PLAN_ID_BYTES];
    char reason[32];

    snprintf(id, sizeof(id), "%s", applying->id);
    message.id = id;
    message.dry_run = applying->dry_run;
    if (applying->risk != NULL) {
        snprintf(reason, sizeof(reason), "%s", applying->risk);
        message.accept_risk = true;
        message.reason = reason;
    }
    api_mutate(apply_method(), &message.base, plan, &applying->reply);
}

static void apply_done(struct turn_request *request, int status)
{
    assert_int_equal(status, 0);
    container_of(request, struct applying, request)->done++;
}

/* The reason of a refusal, or NULL. */
static const char *apply_accepting(struct office *office, const char *id,
                                   bool dry_run, const char *risk)
{
    struct applying applying = {
        .request = {.plan = plan_apply, .done = apply_done},
        .id = id,
        .risk = risk,
        .dry_run = dry_run,
    };

    api_reply_init(&applying.reply);
    assert_int_equal(
        turn_submit(&office->turn, LANE_MUTATION, &applying.request), 0);
    office_turn(office);
    assert_int_equal(applying.done, 1);
    if (applying.reply.code != RPC_OK) {
        print_message("%s\n", applying.reply.message);
    }
    api_reply_close(&applying.reply);
    return applying.reply.code == RPC_OK ? NULL : applying.reply.reason;
}

static inline const char *apply(struct office *office, const char *id,
                                bool dry_run)
{
    return apply_accepting(office, id, dry_run, NULL);
}

/* Steps as they were, for plans are forgotten. */
struct shown {
    char vm[NAME_BYTES];
    char to_host[NAME_BYTES];
    uint8_t kind;
};

static struct shown *keep_shown(const struct plan *plan)
{
    struct shown *shown =
        memory_alloc_array(plan->step_count + 1, sizeof(*shown));

    for (uint32_t i = 0; i < plan->step_count; i++) {
        const struct plan_step *step = &plan->steps[i];

        snprintf(shown[i].vm, NAME_BYTES, "%s", plan_text(plan, step->name));
        snprintf(shown[i].to_host, NAME_BYTES, "%s",
                 plan_text(plan, step->to_host));
        shown[i].kind = step->kind;
    }
    return shown;
}

#endif
