/* SPDX-License-Identifier: Apache-2.0 */
#include "node/plan.h"

#include "base/check.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plan *plan_create(void)
{
    struct plan *plan = memory_alloc(sizeof(*plan));

    bytes_init(&plan->action);
    bytes_init(&plan->text);
    bytes_append_u8(&plan->text, 0); /* Offset 0: nothing. */
    map_init(&plan->names);
    return plan;
}

void plan_destroy(struct plan *plan)
{
    if (plan == NULL) {
        return;
    }
    bytes_close(&plan->action);
    bytes_close(&plan->text);
    map_close(&plan->names);
    free(plan->steps);
    for (enum plan_lack lack = PLAN_UNPLACED; lack < PLAN_LACKS; lack++) {
        free(plan->lacks[lack].vms);
    }
    free(plan);
}

uint32_t plan_keep_text(struct plan *plan, struct text text)
{
    uint32_t offset = (uint32_t)plan->text.len;

    if (text.len == 0) {
        return 0;
    }
    CHECK(plan->text.len + text.len + 1 < UINT32_MAX);
    bytes_append(&plan->text, text.data, text.len);
    bytes_append_u8(&plan->text, 0);
    return offset;
}

static uint32_t keep_string(struct plan *plan, const char *string)
{
    return plan_keep_text(plan,
                          (struct text){string, (uint32_t)strlen(string)});
}

uint32_t plan_keep_format(struct plan *plan, const char *format, ...)
{
    char words[600];
    va_list args;

    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    return keep_string(plan, words);
}

const char *plan_text(const struct plan *plan, uint32_t offset)
{
    CHECK(offset < plan->text.len);
    return (const char *)plan->text.data + offset;
}

static uint32_t name_of(struct plan *plan, enum event_kind kind, uint64_t uid,
                        const char *name)
{
    uint64_t key = (uint64_t)kind << 56 ^ uid;
    uintptr_t known = (uintptr_t)map_get(&plan->names, key);

    if (known == 0) {
        known = keep_string(plan, name);
        map_put(&plan->names, key, (void *)known);
    }
    return (uint32_t)known;
}

uint32_t plan_host_name(struct plan *plan, const struct state *state,
                        uint32_t slot)
{
    const struct host *host =
        slot == SLOT_NONE ? NULL : state_host_at(state, slot);

    return host == NULL ? 0 : name_of(plan, EVENT_HOST, host->uid, host->name);
}

uint32_t plan_zone_name(struct plan *plan, const struct state *state,
                        uint32_t slot)
{
    const struct zone *zone =
        slot == SLOT_NONE ? NULL : state_zone_at(state, slot);

    return zone == NULL ? 0 : name_of(plan, EVENT_ZONE, zone->uid, zone->name);
}

/* A VM's own size has no name that anybody knows. */
uint32_t plan_class_name(struct plan *plan, const struct state *state,
                         uint32_t slot)
{
    const struct class *class = state_class_at(state, slot);

    return class == NULL || class->custom
               ? 0
               : name_of(plan, EVENT_CLASS, class->uid, class->name);
}

void plan_warn(struct plan *plan, const char *format, ...)
{
    char words[600];
    va_list args;

    if (plan->warning_count == PLAN_WARNINGS_MAX) {
        return;
    }
    va_start(args, format);
    vsnprintf(words, sizeof(words), format, args);
    va_end(args);
    plan->warnings[plan->warning_count++] = keep_string(plan, words);
}

struct plan_step *plan_add_step(struct plan *plan)
{
    if (plan->step_count == plan->step_capacity) {
        plan->step_capacity = 2 * plan->step_capacity + 256;
        plan->steps = memory_realloc_array(plan->steps, plan->step_capacity,
                                           sizeof(*plan->steps));
    }
    plan->steps[plan->step_count] = (struct plan_step){0};
    return &plan->steps[plan->step_count++];
}

struct plan_unplaced *plan_add_unplaced(struct plan *plan, enum plan_lack lack)
{
    struct plan_lacks *lacks = &plan->lacks[lack];

    if (lacks->count == lacks->capacity) {
        lacks->capacity = 2 * lacks->capacity + 256;
        lacks->vms = memory_realloc_array(lacks->vms, lacks->capacity,
                                          sizeof(*lacks->vms));
    }
    lacks->vms[lacks->count] = (struct plan_unplaced){0};
    return &lacks->vms[lacks->count++];
}

static int compare_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

void plan_sum_up(struct plan *plan)
{
    uint32_t *downtimes =
        memory_alloc_array(plan->step_count + 1, sizeof(*downtimes));
    uint32_t count = 0;

    for (uint32_t i = 0; i < plan->step_count; i++) {
        plan->counts[plan->steps[i].kind]++;
        if (plan->steps[i].downtime_ms > 0) {
            downtimes[count++] = plan->steps[i].downtime_ms;
        }
    }
    qsort(downtimes, count, sizeof(*downtimes), compare_numbers);
    if (count > 0) {
        plan->downtime_max_ms = downtimes[count - 1];
        plan->downtime_median_ms = downtimes[count / 2];
    }
    free(downtimes);
}

uint64_t plan_size(const struct plan *plan)
{
    return (uint64_t)plan->step_count + plan->lacks[PLAN_UNPLACED].count +
           plan->lacks[PLAN_WAITING].count;
}

bool plan_has_changes(const struct plan *plan)
{
    return plan->step_count > 0 || plan->lacks[PLAN_UNPLACED].count > 0 ||
           plan->grows;
}
