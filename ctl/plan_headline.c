/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/format.h"
#include "ctl/plan_text.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Names that a sentence may hold; of more it tells the number. */
#define NAMES_MAX 4

struct sentence {
    char *text;
    size_t size;
    size_t used;
    unsigned clauses;
};

static void __attribute__((format(printf, 2, 3)))
say(struct sentence *sentence, const char *format, ...)
{
    va_list arguments;
    int len;

    if (sentence->used >= sentence->size) {
        return;
    }
    va_start(arguments, format);
    len = vsnprintf(sentence->text + sentence->used,
                    sentence->size - sentence->used, format, arguments);
    va_end(arguments);
    sentence->used += len > 0 ? (size_t)len : 0;
}

/* "z1, z2 and z3". */
static void say_names(struct sentence *sentence, const char *noun,
                      char *const *names, size_t count)
{
    if (count > NAMES_MAX) {
        say(sentence, "%zu %ss", count, noun);
        return;
    }
    say(sentence, "%s%s ", noun, plural(count));
    for (size_t i = 0; i < count; i++) {
        say(sentence, "%s%s",
            i == 0           ? ""
            : i + 1 == count ? " and "
                             : ", ",
            names[i]);
    }
}

static void say_subject(struct sentence *sentence,
                        const Holdfast__V1__PlanAction *action)
{
    switch (action->action_case) {
    case HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS:
        say(sentence, "Losing ");
        say_names(sentence, "zone", action->zone_loss->zones,
                  action->zone_loss->n_zones);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_HOST_LOSS:
        say(sentence, "Losing ");
        say_names(sentence, "host", action->host_loss->hosts,
                  action->host_loss->n_hosts);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_DRAIN_HOST:
        say(sentence, "Draining host %s", action->drain_host->name);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_DRAIN_ZONE:
        say(sentence, "Draining zone %s", action->drain_zone->name);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_ADD_HOSTS:
        say(sentence, "Adding %" PRIu32 " host%s to zone %s",
            action->add_hosts->count, plural(action->add_hosts->count),
            action->add_hosts->zone);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_REMOVE_HOSTS:
        say(sentence, "Removing ");
        say_names(sentence, "host", action->remove_hosts->hosts,
                  action->remove_hosts->n_hosts);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_SCALE_GROUP:
        say(sentence, "Scaling group %s to %" PRIu32, action->scale_group->name,
            action->scale_group->count);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_UPDATE_CLASS:
        say(sentence, "Changing class %s",
            action->update_class->vm_class == NULL
                ? ""
                : action->update_class->vm_class->name);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_UPDATE_GROUP:
        say(sentence, "Changing group %s",
            action->update_group->group == NULL
                ? ""
                : action->update_group->group->name);
        break;
    case HOLDFAST__V1__PLAN_ACTION__ACTION_REBALANCE:
        say(sentence, "Rebalancing");
        break;
    default:
        say(sentence, "This plan");
        break;
    }
}

static bool is_loss(const Holdfast__V1__PlanAction *action)
{
    return action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_ZONE_LOSS ||
           action->action_case == HOLDFAST__V1__PLAN_ACTION__ACTION_HOST_LOSS;
}

bool plan_text_empties(const Holdfast__V1__Plan *plan)
{
    const Holdfast__V1__PlanAction *action = plan->action;

    return action != NULL &&
           (action->action_case ==
                HOLDFAST__V1__PLAN_ACTION__ACTION_DRAIN_HOST ||
            action->action_case ==
                HOLDFAST__V1__PLAN_ACTION__ACTION_DRAIN_ZONE ||
            action->action_case ==
                HOLDFAST__V1__PLAN_ACTION__ACTION_REMOVE_HOSTS);
}

/* "41 VMs restart", with a comma before it unless it is the first. */
static bool say_count(struct sentence *sentence, uint32_t count,
                      const char *noun, const char *one, const char *many)
{
    if (count == 0) {
        return false;
    }
    say(sentence, "%s%" PRIu32 " %s%s %s", sentence->clauses++ > 0 ? ", " : "",
        count, noun, plural(count), count == 1 ? one : many);
    return true;
}

/* " in z1 and z3": the zones that have more VMs afterwards. */
static void say_targets(struct sentence *sentence,
                        const Holdfast__V1__Plan *plan, const char *word)
{
    const char *names[NAMES_MAX] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < plan->n_zones; i++) {
        const Holdfast__V1__PlanZone *zone = plan->zones[i];

        if (zone->vm_count_after > zone->vm_count_before) {
            if (count < NAMES_MAX) {
                names[count] = zone->zone;
            }
            count++;
        }
    }
    if (count > NAMES_MAX) {
        say(sentence, " %s %zu zones", word, count);
    }
    for (size_t i = 0; count <= NAMES_MAX && i < count; i++) {
        if (i == 0) {
            say(sentence, " %s ", word);
        } else {
            say(sentence, i + 1 == count ? " and " : ", ");
        }
        say(sentence, "%s", names[i]);
    }
}

static void say_unplaced(struct sentence *sentence,
                         const Holdfast__V1__Plan *plan)
{
    uint32_t unplaced = plan->totals->unplaced;

    if (plan_text_empties(plan)) {
        (void)say_count(sentence, unplaced, "VM", "cannot leave",
                        "cannot leave");
    } else if (unplaced > 0 || !is_loss(plan->action)) {
        (void)say_count(sentence, unplaced, "VM", "without a place",
                        "without a place");
    } else if (sentence->clauses > 0) {
        say(sentence, ", none without a place");
    }
}

static void say_times(struct sentence *sentence,
                      const Holdfast__V1__PlanTotals *totals)
{
    struct format max = format_seconds(totals->downtime_max_ms);
    struct format median = format_seconds(totals->downtime_median_ms);

    if (totals->downtime_max_ms == 0) {
        return;
    }
    if (totals->restarts > 0) {
        say(sentence, "; the last runs again after about %s", max.text);
    } else if (totals->moves == 1 || strcmp(max.text, median.text) == 0) {
        say(sentence, "; down for about %s", max.text);
    } else if (totals->moves > 0) {
        say(sentence, "; each is down for about %s, at most %s", median.text,
            max.text);
    }
}

/* "no VM moves; zone z1 has 48 CPUs and 96 GiB then, 32 and 64 GiB now". */
static bool say_growth(struct sentence *sentence,
                       const Holdfast__V1__Plan *plan)
{
    for (size_t i = 0; i < plan->n_zones; i++) {
        const Holdfast__V1__PlanZone *zone = plan->zones[i];

        if (plan->action->action_case ==
                HOLDFAST__V1__PLAN_ACTION__ACTION_ADD_HOSTS &&
            strcmp(zone->zone, plan->action->add_hosts->zone) == 0 &&
            zone->capacity_before != NULL && zone->capacity_after != NULL) {
            say(sentence, "no VM moves; zone %s has %s CPU and %s then, ",
                zone->zone, format_cpu(zone->capacity_after->cpu_milli).text,
                format_mib(zone->capacity_after->memory_mib).text);
            say(sentence, "%s and %s now",
                format_cpu(zone->capacity_before->cpu_milli).text,
                format_mib(zone->capacity_before->memory_mib).text);
            return true;
        }
    }
    return false;
}

void plan_text_headline(const Holdfast__V1__Plan *plan, char *text, size_t size)
{
    const Holdfast__V1__PlanTotals *totals = plan->totals;
    struct sentence sentence = {.text = text, .size = size};

    text[0] = '\0';
    if (plan->action == NULL || totals == NULL) {
        say(&sentence, "The plan is empty.");
        return;
    }
    say_subject(&sentence, plan->action);
    say(&sentence, ": ");
    if (say_count(&sentence, totals->restarts, "VM", "restarts", "restart")) {
        say_targets(&sentence, plan, "in");
    }
    if (say_count(&sentence, totals->moves, "VM", "moves", "move")) {
        say_targets(&sentence, plan, "to");
    }
    (void)say_count(&sentence, totals->creates, "VM", "is created",
                    "are created");
    (void)say_count(&sentence, totals->starts, "VM", "starts", "start");
    (void)say_count(&sentence, totals->deletes, "VM", "is deleted",
                    "are deleted");
    (void)say_count(&sentence, totals->preempts, "preemptible VM",
                    "is stopped for others", "are stopped for others");
    say_unplaced(&sentence, plan);
    if (sentence.clauses == 0 && say_growth(&sentence, plan)) {
        /* That is all. */
    } else if (sentence.clauses == 0) {
        say(&sentence, "nothing would happen");
    } else {
        say_times(&sentence, totals);
    }
    say(&sentence, ".");
}
