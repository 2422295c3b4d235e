/* SPDX-License-Identifier: Apache-2.0
 *
 * The leader's plans: those that are kept, and the queue of what is to be
 * worked out, one at a time, in slices between turns. Soft: a new leader has
 * none. Pure. */
#ifndef NODE_PLAN_BOOK_H
#define NODE_PLAN_BOOK_H

#include "base/list.h"
#include "node/capacity.h"
#include "node/limits.h"

/* One thing to work out. When it is complete `answer` is called, while all of
 * it is still there, and then `done`, once: with 0, or with HF_ERROR_NOT_LEADER
 * and without an answer when leadership ended. */
struct plan_job {
    struct list link;
    /* What: a plan of this action; NULL: the capacity for these classes. */
    const Holdfast__V1__PlanAction *action;
    struct class_id *classes; /* Owned; some may go while the job waits. */
    uint32_t class_count;
    struct api_reply *reply; /* Lent; it may fail. */
    void (*answer)(struct plan_job *job);
    void (*done)(struct plan_job *job, int status);
    bool begun;
    uint64_t work_us;          /* So far. */
    struct planner planner;    /* Once it is begun. */
    struct capacity capacity;  /* Likewise. */
    const struct plan *result; /* Lent from the book, at the end. */
};

struct plan_book {
    struct plan *plans[PLANS_KEPT_MAX]; /* The oldest first. */
    uint32_t count;
    struct list jobs; /* The first one is being worked out. */
    uint32_t job_count;
    uint64_t made; /* Plans so far. */
    uint64_t
        changes; /* That a plan rests on, so far; see turn_is_decision(). */
    uint32_t start_ms; /* How long VMs took to start lately. */
};

void plan_book_init(struct plan_book *book);
void plan_book_close(struct plan_book *book);

/* Leadership ended: everything is forgotten, every job done. */
void plan_book_drop(struct plan_book *book);

/* Tells of an applied event. */
void plan_book_note(struct plan_book *book, const struct event *event);

/* HF_ERROR_BUSY when too many wait; then `done` is not called. */
int plan_book_submit(struct plan_book *book, struct plan_job *job);

/* The caller went away; `done` is not called. */
void plan_book_cancel(struct plan_book *book, struct plan_job *job);

/* When and with what a slice is done; `clock` measures it and may be NULL. */
struct plan_slice {
    struct planner_start start;
    uint64_t now_ms; /* Boot clock. */
    uint64_t (*clock_us)(void);
};

/* One slice; true when nothing waits. */
bool plan_book_work(struct plan_book *book, const struct plan_slice *slice);

/* The plan, or NULL: never made, too old, or of another leader. */
const struct plan *plan_book_find(struct plan_book *book, const char *id,
                                  uint64_t now_ms);

#endif
