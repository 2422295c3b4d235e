/* SPDX-License-Identifier: Apache-2.0
 *
 * PlanService, but for ApplyPlan. */
#include "node/api_plan.h"

#include "base/check.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "node/api_page.h"
#include "node/plan_book.h"
#include "node/view.h"

#include <stdio.h>
#include <string.h>

/* --- Views ---------------------------------------------------------------- */

static char *text_at(struct arena *arena, const struct plan *plan,
                     uint32_t offset)
{
    return view_string(arena, plan_text(plan, offset));
}

static uint32_t clamp(uint64_t value)
{
    return value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
}

static Holdfast__V1__Resources *view_sum(struct arena *arena,
                                         const struct resource_sum *sum)
{
    Holdfast__V1__Resources *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__resources__init(view);
    view->cpu_milli = clamp(sum->cpu_milli);
    view->memory_mib = clamp(sum->memory_mib);
    view->disk_gib = clamp(sum->disk_gib);
    return view;
}

static Holdfast__V1__PlanTotals *view_totals(struct arena *arena,
                                             const struct plan *plan)
{
    Holdfast__V1__PlanTotals *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__plan_totals__init(view);
    view->moves = plan->counts[PLAN_MOVE];
    view->restarts = plan->counts[PLAN_RESTART];
    view->starts = plan->counts[PLAN_START];
    view->preempts = plan->counts[PLAN_PREEMPT];
    view->creates = plan->counts[PLAN_CREATE];
    view->deletes = plan->counts[PLAN_DELETE];
    view->unplaced = plan->lacks[PLAN_UNPLACED].count;
    view->waiting = plan->lacks[PLAN_WAITING].count;
    view->downtime_max_ms = plan->downtime_max_ms;
    view->downtime_median_ms = plan->downtime_median_ms;
    view->planning_us = plan->planning_us;
    return view;
}

static Holdfast__V1__PlanZone *view_row(struct arena *arena,
                                        const struct plan *plan,
                                        const struct plan_zone *row)
{
    Holdfast__V1__PlanZone *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__plan_zone__init(view);
    view->zone = text_at(arena, plan, row->name);
    view->capacity_before = view_sum(arena, &row->capacity_before);
    view->used_before = view_sum(arena, &row->used_before);
    view->capacity_after = view_sum(arena, &row->capacity_after);
    view->used_after = view_sum(arena, &row->used_after);
    view->vm_count_before = row->vms_before;
    view->vm_count_after = row->vms_after;
    view->unplaceable_before = row->unplaceable_before;
    view->unplaceable_after = row->unplaceable_after;
    return view;
}

static void *allocate(void *arena, size_t size)
{
    return view_alloc(arena, size);
}

static void release(void *arena, void *memory)
{
    (void)arena;
    (void)memory;
}

static Holdfast__V1__PlanAction *view_action(struct arena *arena,
                                             const struct plan *plan)
{
    ProtobufCAllocator allocator = {allocate, release, arena};
    Holdfast__V1__PlanAction *action = holdfast__v1__plan_action__unpack(
        &allocator, plan->action.len, plan->action.data);

    CHECK(action != NULL);
    return action;
}

Holdfast__V1__Plan *view_plan(struct arena *arena, const struct plan *plan)
{
    Holdfast__V1__Plan *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__plan__init(view);
    view->id = view_string(arena, plan->id);
    view->revision = plan->revision;
    view->create_time_ms = plan->time_ms;
    view->action = view_action(arena, plan);
    view->totals = view_totals(arena, plan);
    view->zones = view_alloc(arena, ZONES_MAX * sizeof(*view->zones));
    for (uint32_t i = 0; i < plan->zone_count; i++) {
        if (plan->zones[i].name != 0) {
            view->zones[view->n_zones++] =
                view_row(arena, plan, &plan->zones[i]);
        }
    }
    view->applicable = plan->applicable;
    view->warnings =
        view_alloc(arena, PLAN_WARNINGS_MAX * sizeof(*view->warnings));
    for (uint32_t i = 0; i < plan->warning_count; i++) {
        view->warnings[view->n_warnings++] =
            text_at(arena, plan, plan->warnings[i]);
    }
    view->changes = plan_has_changes(plan);
    view->headroom = (Holdfast__V1__HeadroomMode)plan->headroom_mode;
    view->headroom_known = plan->headroom;
    return view;
}

static char *reason_of(struct arena *arena, const struct plan *plan,
                       const struct plan_step *step)
{
    static const char *const reasons[PLAN_STEP_KINDS] = {
        [PLAN_MOVE] = "makes room for others",
        [PLAN_RESTART] = "its host is lost",
        [PLAN_START] = "it waits for a host",
        [PLAN_PREEMPT] = "stopped for a VM of higher priority",
        [PLAN_CREATE] = "its group lacks a member",
        [PLAN_DELETE] = "its group has a member too many, or an outdated one",
    };
    char words[128];

    if (step->kind == PLAN_MOVE && step->cause == MOVE_CAUSE_HOST_DRAIN) {
        snprintf(words, sizeof(words), "host %s is drained",
                 plan_text(plan, step->from_host));
    } else if (step->kind == PLAN_MOVE &&
               step->cause == MOVE_CAUSE_ZONE_DRAIN) {
        snprintf(words, sizeof(words), "zone %s is drained",
                 plan_text(plan, step->from_zone));
    } else if (step->kind == PLAN_MOVE && step->cause == MOVE_CAUSE_REBALANCE) {
        snprintf(words, sizeof(words), "evens out the zones");
    } else if (step->kind == PLAN_MOVE && step->cause == MOVE_CAUSE_PLAN) {
        snprintf(words, sizeof(words), "a rule of its group is broken");
    } else {
        snprintf(words, sizeof(words), "%s", reasons[step->kind]);
    }
    return view_string(arena, words);
}

static Holdfast__V1__PlanStep *view_step(struct arena *arena,
                                         const struct plan *plan,
                                         uint32_t number)
{
    const struct plan_step *step = &plan->steps[number];
    Holdfast__V1__PlanStep *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__plan_step__init(view);
    view->order = number + 1;
    view->kind = (Holdfast__V1__PlanStepKind)step->kind;
    view->vm = text_at(arena, plan, step->name);
    view->class_name = text_at(arena, plan, step->class_name);
    view->from_zone = text_at(arena, plan, step->from_zone);
    view->from_host = text_at(arena, plan, step->from_host);
    view->to_zone = text_at(arena, plan, step->to_zone);
    view->to_host = text_at(arena, plan, step->to_host);
    view->reason = reason_of(arena, plan, step);
    view->downtime_ms = step->downtime_ms;
    view->priority = step->priority;
    return view;
}

static Holdfast__V1__PlanUnplaced *view_unplaced(struct arena *arena,
                                                 const struct plan *plan,
                                                 uint32_t number)
{
    uint32_t count = plan->lacks[PLAN_UNPLACED].count;
    bool waits = number >= count;
    const struct plan_unplaced *unplaced =
        waits ? &plan->lacks[PLAN_WAITING].vms[number - count]
              : &plan->lacks[PLAN_UNPLACED].vms[number];
    Holdfast__V1__PlanUnplaced *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__plan_unplaced__init(view);
    view->vm = text_at(arena, plan, unplaced->name);
    view->class_name = text_at(arena, plan, unplaced->class_name);
    view->priority = unplaced->priority;
    view->reason = (Holdfast__V1__PendingReason)unplaced->reason;
    view->message = text_at(arena, plan, unplaced->message);
    view->waited_before = waits;
    return view;
}

/* --- Pages ---------------------------------------------------------------- */

/* First the steps, in order, then what is unplaced, then what waited before. */
struct page {
    Holdfast__V1__PlanStep **steps;
    size_t step_count;
    Holdfast__V1__PlanUnplaced **unplaced;
    size_t unplaced_count;
    char *next; /* "" at the end. */
};

static void read_page(struct arena *arena, const struct plan *plan,
                      uint32_t first, uint32_t count, struct page *page)
{
    uint64_t total = plan_size(plan);
    char token[16] = "";
    size_t size = 0;

    *page = (struct page){
        .steps = view_alloc(arena, count * sizeof(*page->steps)),
        .unplaced = view_alloc(arena, count * sizeof(*page->unplaced)),
    };
    for (; first < total && count > 0 && size < PAGE_BYTES_MAX;
         first++, count--) {
        if (first < plan->step_count) {
            Holdfast__V1__PlanStep *step = view_step(arena, plan, first);

            size += holdfast__v1__plan_step__get_packed_size(step) + 8;
            page->steps[page->step_count++] = step;
        } else {
            Holdfast__V1__PlanUnplaced *unplaced =
                view_unplaced(arena, plan, first - plan->step_count);

            size += holdfast__v1__plan_unplaced__get_packed_size(unplaced) + 8;
            page->unplaced[page->unplaced_count++] = unplaced;
        }
    }
    if (first < total) {
        snprintf(token, sizeof(token), "%u", first);
    }
    page->next = view_string(arena, token);
}

/* --- MakePlan ------------------------------------------------------------- */

static bool make_plan_begin(const ProtobufCMessage *message,
                            const struct api_view *view, struct plan_job *job,
                            struct api_reply *reply)
{
    const Holdfast__V1__MakePlanRequest *request =
        (const Holdfast__V1__MakePlanRequest *)(const void *)message;
    uint32_t first;
    uint32_t count;

    (void)view;
    if (request->action == NULL) {
        api_fail(reply, API_INVALID_FIELD, "action: must be given");
        return false;
    }
    job->action = request->action;
    return api_check_page(reply, request->page_size, "", &first, &count);
}

static void make_plan_answer(const ProtobufCMessage *message,
                             const struct api_view *view,
                             const struct plan_job *job,
                             struct api_reply *reply)
{
    const Holdfast__V1__MakePlanRequest *request =
        (const Holdfast__V1__MakePlanRequest *)(const void *)message;
    Holdfast__V1__MakePlanResponse response =
        HOLDFAST__V1__MAKE_PLAN_RESPONSE__INIT;
    uint32_t first;
    uint32_t count;
    struct page page;

    if (job->result == NULL ||
        !api_check_page(reply, request->page_size, "", &first, &count)) {
        CHECK(reply->code != RPC_OK);
        return;
    }
    read_page(view->arena, job->result, first, count, &page);
    response.plan = view_plan(view->arena, job->result);
    response.steps = page.steps;
    response.n_steps = page.step_count;
    response.unplaced = page.unplaced;
    response.n_unplaced = page.unplaced_count;
    response.next_page_token = page.next;
    response.revision = job->result->revision;
    api_respond(reply, &response.base);
}

const struct api_job api_make_plan = {make_plan_begin, make_plan_answer};

/* --- GetPlan -------------------------------------------------------------- */

const struct plan *api_find_plan(struct api_reply *reply,
                                 struct plan_book *plans, const char *id,
                                 uint64_t now_ms)
{
    const struct plan *plan =
        plans == NULL ? NULL : plan_book_find(plans, id, now_ms);

    if (plan == NULL) {
        api_fail(
            reply, API_PLAN_NOT_FOUND,
            "id: there is no plan '%.60s'; plans are kept for ten minutes, "
            "and a new leader has none: make it again",
            id);
    }
    return plan;
}

void api_get_plan(const ProtobufCMessage *message, const struct api_view *view,
                  struct api_reply *reply)
{
    const Holdfast__V1__GetPlanRequest *request =
        (const Holdfast__V1__GetPlanRequest *)(const void *)message;
    Holdfast__V1__GetPlanResponse response =
        HOLDFAST__V1__GET_PLAN_RESPONSE__INIT;
    const struct plan *plan;
    uint32_t first;
    uint32_t count;
    struct page page;

    if (!api_check_page(reply, request->page_size, request->page_token, &first,
                        &count)) {
        return;
    }
    plan = api_find_plan(reply, view->plans, request->id, view->now_ms);
    if (plan == NULL) {
        return;
    }
    read_page(view->arena, plan, first, count, &page);
    response.plan = view_plan(view->arena, plan);
    response.steps = page.steps;
    response.n_steps = page.step_count;
    response.unplaced = page.unplaced;
    response.n_unplaced = page.unplaced_count;
    response.next_page_token = page.next;
    response.age_ms = view->age_ms;
    response.revision = state_revision(view->state);
    api_respond(reply, &response.base);
}

/* --- GetCapacity ---------------------------------------------------------- */

static bool add_class(const struct api_view *view, const char *name,
                      struct plan_job *job, struct api_reply *reply)
{
    const struct class *class =
        api_find_class(reply, view->state, "classes", name);

    if (class != NULL) {
        job->classes[job->class_count++].uid = class->uid;
    }
    return class != NULL;
}

static bool get_capacity_begin(const ProtobufCMessage *message,
                               const struct api_view *view,
                               struct plan_job *job, struct api_reply *reply)
{
    const Holdfast__V1__GetCapacityRequest *request =
        (const Holdfast__V1__GetCapacityRequest *)(const void *)message;

    if (request->n_classes > CLASSES_MAX) {
        api_fail(reply, API_INVALID_FIELD, "classes: at most %d can be named",
                 CLASSES_MAX);
        return false;
    }
    job->classes = memory_alloc_array(CLASSES_MAX, sizeof(*job->classes));
    for (size_t i = 0; i < request->n_classes; i++) {
        if (!add_class(view, request->classes[i], job, reply)) {
            return false;
        }
    }
    for (uint32_t slot = 0;
         request->n_classes == 0 && slot < state_class_slots(view->state);
         slot++) {
        const struct class *class = state_class_at(view->state, slot);

        if (class != NULL && !class->custom) {
            job->classes[job->class_count++].uid = class->uid;
        }
    }
    return true;
}

static Holdfast__V1__ClassCapacity *view_class_capacity(
    struct arena *arena, const struct capacity *capacity,
    const struct capacity_class *class)
{
    const struct state *state = capacity->state;
    Holdfast__V1__ClassCapacity *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__class_capacity__init(view);
    view->class_name =
        view_string(arena, state_class_at(state, class->slot)->name);
    view->free_count = clamp(capacity_free(capacity, class));
    view->safe_count = clamp(capacity_safe(capacity, class));
    view->zones = view_alloc(arena, ZONES_MAX * sizeof(*view->zones));
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        Holdfast__V1__ZoneCapacity *zone = view_alloc(arena, sizeof(*zone));

        if (state_zone_at(state, slot) == NULL) {
            continue;
        }
        holdfast__v1__zone_capacity__init(zone);
        zone->zone = view_string(arena, state_zone_at(state, slot)->name);
        zone->free_count = clamp(class->free[slot]);
        zone->free_count_without = clamp(class->without[slot]);
        view->zones[view->n_zones++] = zone;
    }
    return view;
}

static void get_capacity_answer(const ProtobufCMessage *message,
                                const struct api_view *view,
                                const struct plan_job *job,
                                struct api_reply *reply)
{
    Holdfast__V1__GetCapacityResponse response =
        HOLDFAST__V1__GET_CAPACITY_RESPONSE__INIT;
    const struct capacity *capacity = &job->capacity;

    (void)message;
    response.classes = view_alloc(view->arena, (capacity->class_count + 1) *
                                                   sizeof(*response.classes));
    for (uint32_t i = 0; i < capacity->class_count; i++) {
        response.classes[response.n_classes++] =
            view_class_capacity(view->arena, capacity, &capacity->classes[i]);
    }
    response.revision = state_revision(capacity->state);
    api_respond(reply, &response.base);
}

const struct api_job api_get_capacity = {get_capacity_begin,
                                         get_capacity_answer};
