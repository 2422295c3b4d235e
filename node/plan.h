/* SPDX-License-Identifier: Apache-2.0
 *
 * A plan that is complete: what would happen, step by step. It names things by
 * itself, so that it can be shown when they are gone, and knows them by number,
 * so that it can be applied. Pure. */
#ifndef NODE_PLAN_H
#define NODE_PLAN_H

#include "base/bytes.h"
#include "base/map.h"
#include "placement/headroom.h"
#include "state/state.h"

#define PLAN_ID_BYTES 48

/* The numbers of PlanStepKind in plan_service.proto. */
enum plan_step_kind {
    PLAN_MOVE = 1,
    PLAN_RESTART = 2,
    PLAN_START = 3,
    PLAN_PREEMPT = 4,
    PLAN_CREATE = 5,
    PLAN_DELETE = 6
};
#define PLAN_STEP_KINDS 7

/* Names are offsets into the plan's text; 0: none. */
struct plan_step {
    uint64_t vm;     /* uid; of a VM that is to be made 0. */
    uint64_t to_uid; /* Of the host; 0: none. */
    uint32_t name;
    uint32_t class_name;
    uint32_t from_zone;
    uint32_t from_host;
    uint32_t to_zone;
    uint32_t to_host;
    uint32_t downtime_ms;
    uint16_t priority;
    uint8_t kind;
    uint8_t cause; /* enum move_cause, of a move. */
};

struct plan_unplaced {
    uint32_t name;
    uint32_t class_name;
    uint32_t message;
    uint16_t priority;
    uint8_t reason; /* enum pending_reason */
};

/* What waits: VMs to which the action does nothing, and that have no place
 * before it nor after it. */
enum plan_lack { PLAN_UNPLACED, PLAN_WAITING, PLAN_LACKS };

struct plan_lacks {
    struct plan_unplaced *vms;
    uint32_t count;
    uint32_t capacity;
};

struct plan_zone {
    uint32_t name;
    uint32_t vms_before;
    uint32_t vms_after;
    uint32_t unplaceable_before;
    uint32_t unplaceable_after;
    struct resource_sum capacity_before;
    struct resource_sum capacity_after;
    struct resource_sum used_before;
    struct resource_sum used_after;
};

#define PLAN_WARNINGS_MAX 16

struct plan {
    char id[PLAN_ID_BYTES];
    uint64_t revision;   /* Of the state that it rests on. */
    uint64_t time_ms;    /* Leader's time. */
    uint64_t made_ms;    /* Boot clock. */
    uint64_t changes;    /* See struct plan_book. */
    struct bytes action; /* The PlanAction, encoded. */
    struct bytes text;   /* Names and sentences, each with its NUL. */
    struct map names;    /* Kind and slot of what has a name to its offset. */
    struct plan_step *steps;
    uint32_t step_count;
    uint32_t step_capacity;
    struct plan_lacks lacks[PLAN_LACKS]; /* By enum plan_lack. */
    struct plan_zone zones[ZONES_MAX];
    uint32_t zone_count;
    uint32_t warnings[PLAN_WARNINGS_MAX];
    uint32_t warning_count;
    uint32_t counts[PLAN_STEP_KINDS]; /* Of steps, by kind. */
    uint32_t downtime_max_ms;
    uint32_t downtime_median_ms;
    uint32_t planning_us;
    bool applicable;       /* Somebody could do it. */
    bool risky;            /* Only with accept_risk. */
    bool grows;            /* Hosts come. */
    bool headroom;         /* What the zones say of it is known. */
    uint8_t headroom_mode; /* enum headroom_mode */
};

struct plan *plan_create(void);
void plan_destroy(struct plan *plan);

/* Keeps a text; its offset. */
uint32_t plan_keep_text(struct plan *plan, struct text text);
uint32_t plan_keep_format(struct plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
const char *plan_text(const struct plan *plan, uint32_t offset);

/* The names of the state's things; each is kept once. */
uint32_t plan_host_name(struct plan *plan, const struct state *state,
                        uint32_t slot);
uint32_t plan_zone_name(struct plan *plan, const struct state *state,
                        uint32_t slot);
uint32_t plan_class_name(struct plan *plan, const struct state *state,
                         uint32_t slot);

void plan_warn(struct plan *plan, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A step more, all zero. */
struct plan_step *plan_add_step(struct plan *plan);
struct plan_unplaced *plan_add_unplaced(struct plan *plan, enum plan_lack lack);

/* Counts, and the downtimes' maximum and median. */
void plan_sum_up(struct plan *plan);

/* Steps and VMs without a place: what the plan takes to be kept. */
uint64_t plan_size(const struct plan *plan);

/* Something would happen, something that the action is about has no place, or
 * there would be more room. */
bool plan_has_changes(const struct plan *plan);

#endif
