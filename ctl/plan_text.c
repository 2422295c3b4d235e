/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/plan_text.h"

#include "ctl/format.h"
#include "ctl/grid.h"
#include "ctl/prose.h"
#include "ctl/view.h"
#include "proto/text_field.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* VMs without a place are told by what they lack; so many kinds are told. */
#define LACKS_MAX 20

/* Names of VMs of one kind. */
#define LACK_NAMES_MAX 5

static const Holdfast__V1__Resources nothing = HOLDFAST__V1__RESOURCES__INIT;
static const Holdfast__V1__PlanTotals no_totals =
    HOLDFAST__V1__PLAN_TOTALS__INIT;

static const Holdfast__V1__PlanTotals *totals_of(const Holdfast__V1__Plan *plan)
{
    return plan->totals == NULL ? &no_totals : plan->totals;
}

static void put_colour(const struct plan_text *text, enum colour colour,
                       struct bytes *out)
{
    const char *escape = colour_escape(colour);

    if (text->colours) {
        bytes_append(out, escape, strlen(escape));
    }
}

static void write_headline(const struct plan_text *text,
                           const Holdfast__V1__Plan *plan, struct bytes *out)
{
    enum colour colour =
        totals_of(plan)->unplaced > 0 ? COLOUR_BAD : COLOUR_GOOD;
    char headline[1024];

    plan_text_headline(plan, headline, sizeof(headline));
    put_colour(text, colour, out);
    prose_write(out, headline, 0, 0);
    put_colour(text, COLOUR_NONE, out);
    for (size_t i = 0; i < plan->n_warnings; i++) {
        put_colour(text, COLOUR_WAIT, out);
        bytes_append_format(out, "Warning: ");
        prose_write(out, plan->warnings[i], 9, 9);
        put_colour(text, COLOUR_NONE, out);
    }
}

/* "before -> after", or one of them when they are equal. */
static void cell_change(struct grid *grid, enum colour colour,
                        const char *before, const char *after)
{
    char text[160];

    if (strcmp(before, after) == 0) {
        grid_cell_colour(grid, colour, after);
        return;
    }
    (void)snprintf(text, sizeof(text), "%s -> %s", before, after);
    grid_cell_colour(grid, colour, text);
}

/* Percent of what there is, rounded up so that 100 means full; "-" of
 * nothing. */
static struct format share(uint64_t used, uint64_t capacity)
{
    struct format out = {.text = "-"};

    if (capacity > 0) {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu64 " %%",
                       (used * 100 + capacity - 1) / capacity);
    }
    return out;
}

/* Of a plan that does not know it: why. NULL: it does. */
static const char *unknown_headroom(const Holdfast__V1__Plan *plan)
{
    if (plan->headroom_known) {
        return NULL;
    }
    return plan->headroom == HOLDFAST__V1__HEADROOM_MODE__HEADROOM_MODE_OFF
               ? "off"
               : "unknown";
}

static struct format unplaceable(uint32_t count)
{
    struct format out = {.text = "ok"};

    if (count > 0) {
        (void)snprintf(out.text, FORMAT_MAX, "%" PRIu32 " unplaceable", count);
    }
    return out;
}

static const Holdfast__V1__Resources *of(const Holdfast__V1__Resources *size)
{
    return size == NULL ? &nothing : size;
}

static struct format count_of(uint32_t count)
{
    struct format out;

    (void)snprintf(out.text, FORMAT_MAX, "%" PRIu32, count);
    return out;
}

static void zone_row(const struct plan_text *text, struct grid *grid,
                     const char *unknown, const Holdfast__V1__PlanZone *zone)
{
    const Holdfast__V1__Resources *before = of(zone->used_before);
    const Holdfast__V1__Resources *after = of(zone->used_after);
    const Holdfast__V1__Resources *had = of(zone->capacity_before);
    const Holdfast__V1__Resources *has = of(zone->capacity_after);

    grid_cell(grid, zone->zone);
    cell_change(grid, COLOUR_NONE, count_of(zone->vm_count_before).text,
                count_of(zone->vm_count_after).text);
    cell_change(grid, COLOUR_NONE,
                share(before->cpu_milli, had->cpu_milli).text,
                share(after->cpu_milli, has->cpu_milli).text);
    cell_change(grid, COLOUR_NONE,
                share(before->memory_mib, had->memory_mib).text,
                share(after->memory_mib, has->memory_mib).text);
    if (has->cpu_milli == 0 && had->cpu_milli > 0) {
        grid_cell_colour(grid, COLOUR_DIM, "gone");
    } else if (unknown != NULL) {
        grid_cell_colour(grid, COLOUR_DIM, unknown);
    } else {
        cell_change(grid,
                    zone->unplaceable_after > 0 ? COLOUR_BAD : COLOUR_GOOD,
                    unplaceable(zone->unplaceable_before).text,
                    unplaceable(zone->unplaceable_after).text);
    }
    if (text->wide) {
        cell_change(grid, COLOUR_NONE, format_cpu(before->cpu_milli).text,
                    format_cpu(after->cpu_milli).text);
        cell_change(grid, COLOUR_NONE, format_cpu(had->cpu_milli).text,
                    format_cpu(has->cpu_milli).text);
        cell_change(grid, COLOUR_NONE, format_mib(before->memory_mib).text,
                    format_mib(after->memory_mib).text);
        cell_change(grid, COLOUR_NONE, format_mib(had->memory_mib).text,
                    format_mib(has->memory_mib).text);
    }
}

static void write_zones(const struct plan_text *text,
                        const Holdfast__V1__Plan *plan, struct bytes *out)
{
    struct grid grid;

    if (plan->n_zones == 0) {
        return;
    }
    grid_init(&grid);
    grid_column(&grid, "ZONE");
    grid_column(&grid, "VMS");
    grid_column(&grid, "CPU USED");
    grid_column(&grid, "MEMORY USED");
    grid_column(&grid, "IF LOST");
    if (text->wide) {
        grid_column(&grid, "CPU");
        grid_column(&grid, "OF");
        grid_column(&grid, "MEMORY");
        grid_column(&grid, "OF");
    }
    for (size_t i = 0; i < plan->n_zones; i++) {
        zone_row(text, &grid, unknown_headroom(plan), plan->zones[i]);
    }
    bytes_append_u8(out, '\n');
    grid_write(&grid, true, text->colours, out);
    grid_close(&grid);
}

static void cell_place(struct grid *grid, const char *zone, const char *host)
{
    if (zone[0] == '\0') {
        grid_cell(grid, host);
    } else {
        grid_cell_format(grid, "%s%s%s", zone, host[0] == '\0' ? "" : "/",
                         host);
    }
}

static enum colour kind_colour(Holdfast__V1__PlanStepKind kind)
{
    switch (kind) {
    case HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_PREEMPT:
    case HOLDFAST__V1__PLAN_STEP_KIND__PLAN_STEP_KIND_DELETE:
        return COLOUR_WAIT;
    default:
        return COLOUR_NONE;
    }
}

static void step_row(const struct plan_text *text, struct grid *grid,
                     const Holdfast__V1__PlanStep *step, bool reasons)
{
    char kind[TEXT_NAME_MAX + 1];

    text_enum_name(&holdfast__v1__plan_step_kind__descriptor, (int)step->kind,
                   kind);
    grid_cell_format(grid, "%" PRIu32, step->order);
    grid_cell_colour(grid, kind_colour(step->kind), kind);
    grid_cell(grid, step->vm);
    cell_place(grid, step->from_zone, step->from_host);
    cell_place(grid, step->to_zone, step->to_host);
    grid_cell(grid, step->downtime_ms == 0
                        ? ""
                        : format_seconds(step->downtime_ms).text);
    if (text->wide) {
        grid_cell(grid, step->class_name);
        grid_cell_format(grid, "%" PRIu32, step->priority);
    }
    if (reasons) {
        grid_cell(grid, step->reason);
    }
}

static void step_columns(const struct plan_text *text, struct grid *grid,
                         bool reasons)
{
    grid_column_right(grid, "#");
    grid_column(grid, "STEP");
    grid_column(grid, "VM");
    grid_column(grid, "FROM");
    grid_column(grid, "TO");
    grid_column_right(grid, "DOWN");
    if (text->wide) {
        grid_column(grid, "CLASS");
        grid_column_right(grid, "PRIORITY");
    }
    if (reasons) {
        grid_column(grid, "WHY");
    }
}

static size_t step_count(const Holdfast__V1__Plan *plan)
{
    const Holdfast__V1__PlanTotals *totals = totals_of(plan);

    return (size_t)totals->moves + totals->restarts + totals->starts +
           totals->preempts + totals->creates + totals->deletes;
}

/* A reason that all of them share is told once. */
static void write_steps(const struct plan_text *text, struct bytes *out)
{
    const Holdfast__V1__GetPlanResponse *response = text->response;
    size_t total = step_count(response->plan);
    size_t count = response->n_steps < text->steps_max ? response->n_steps
                                                       : text->steps_max;
    bool reasons = false;
    struct grid grid;

    if (count == 0) {
        return;
    }
    for (size_t i = 1; i < count; i++) {
        reasons = reasons || strcmp(response->steps[i]->reason,
                                    response->steps[0]->reason) != 0;
    }
    bytes_append_u8(out, '\n');
    if (!reasons && response->steps[0]->reason[0] != '\0') {
        bytes_append_format(out, "Why: ");
        prose_write(out, response->steps[0]->reason, 5, 5);
    }
    grid_init(&grid);
    step_columns(text, &grid, reasons);
    for (size_t i = 0; i < count; i++) {
        step_row(text, &grid, response->steps[i], reasons);
    }
    grid_write(&grid, true, text->colours, out);
    grid_close(&grid);
    total = total > response->n_steps ? total : response->n_steps;
    if (total > count) {
        bytes_append_format(out, "and %zu more: --all or -o json\n",
                            total - count);
    }
}

/* VMs of one class that lack the same. */
struct lack {
    const Holdfast__V1__PlanUnplaced *first;
    size_t count;
    const char *names[LACK_NAMES_MAX];
};

static size_t find_lacks(const Holdfast__V1__GetPlanResponse *response,
                         bool waited, struct lack *lacks, size_t *others)
{
    size_t count = 0;

    *others = 0;
    for (size_t i = 0; i < response->n_unplaced; i++) {
        const Holdfast__V1__PlanUnplaced *vm = response->unplaced[i];
        size_t at = 0;

        if ((vm->waited_before != 0) != waited) {
            continue;
        }
        while (at < count &&
               (lacks[at].first->reason != vm->reason ||
                strcmp(lacks[at].first->class_name, vm->class_name) != 0 ||
                strcmp(lacks[at].first->message, vm->message) != 0)) {
            at++;
        }
        if (at == count && count == LACKS_MAX) {
            ++*others;
            continue;
        }
        if (at == count) {
            lacks[count++] = (struct lack){.first = vm};
        }
        if (lacks[at].count < LACK_NAMES_MAX) {
            lacks[at].names[lacks[at].count] = vm->vm;
        }
        lacks[at].count++;
    }
    return count;
}

static void write_lack(const struct plan_text *text, enum colour colour,
                       const struct lack *lack, struct bytes *out)
{
    char reason[TEXT_NAME_MAX + 1];
    char names[512] = "";
    size_t used = 0;
    size_t shown = lack->count < LACK_NAMES_MAX ? lack->count : LACK_NAMES_MAX;

    text_enum_name(&holdfast__v1__pending_reason__descriptor,
                   (int)lack->first->reason, reason);
    put_colour(text, colour, out);
    bytes_append_format(
        out, "  %zu VM%s of %s: %s\n", lack->count, plural(lack->count),
        lack->first->class_name[0] == '\0' ? "a size of its own"
                                           : lack->first->class_name,
        reason);
    put_colour(text, COLOUR_NONE, out);
    if (lack->first->message[0] != '\0') {
        bytes_append_format(out, "    ");
        prose_write(out, lack->first->message, 4, 4);
    }
    for (size_t i = 0; i < shown; i++) {
        used += (size_t)snprintf(names + used, sizeof(names) - used, "%s%s",
                                 i == 0 ? "" : ", ", lack->names[i]);
    }
    if (lack->count > shown) {
        (void)snprintf(names + used, sizeof(names) - used, " and %zu more",
                       lack->count - shown);
    }
    bytes_append_format(out, "    ");
    prose_write(out, names, 4, 4);
}

static void write_lacks(const struct plan_text *text, bool waited,
                        const char *title, struct bytes *out)
{
    struct lack lacks[LACKS_MAX];
    size_t others;
    size_t count = find_lacks(text->response, waited, lacks, &others);

    if (count == 0) {
        return;
    }
    bytes_append_format(out, "\n%s:\n", title);
    for (size_t i = 0; i < count; i++) {
        write_lack(text, waited ? COLOUR_WAIT : COLOUR_BAD, &lacks[i], out);
    }
    if (others > 0) {
        bytes_append_format(out,
                            "  and %zu VM%s more, for other reasons: -o json\n",
                            others, plural(others));
    }
}

static void write_next(const Holdfast__V1__Plan *plan, struct bytes *out)
{
    uint32_t us = totals_of(plan)->planning_us;

    if (plan->applicable && plan->changes) {
        bytes_append_format(
            out,
            "\nNothing was changed. Within ten minutes, to do exactly "
            "this:\n  holdfast plan apply %s%s\n",
            plan->id,
            plan->n_warnings > 0 ? " [--accept-risk --reason TEXT]" : "");
    } else {
        bytes_append_format(out,
                            "\nNothing was changed. Plan %s, revision %" PRIu64,
                            plan->id, plan->revision);
        if (us > 0) {
            bytes_append_format(out,
                                ", worked out in %" PRIu32 ".%" PRIu32 " ms",
                                us / 1000, us % 1000 / 100);
        }
        bytes_append_format(out, ".\n");
    }
}

void plan_text_write(const struct plan_text *text, struct bytes *out)
{
    const Holdfast__V1__Plan *plan = text->response->plan;

    write_headline(text, plan, out);
    write_zones(text, plan, out);
    write_steps(text, out);
    write_lacks(text, false,
                plan_text_empties(plan) ? "Cannot leave" : "Without a place",
                out);
    write_lacks(text, true, "Waited before, and still would", out);
    write_next(plan, out);
}
