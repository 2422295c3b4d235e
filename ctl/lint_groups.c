/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules on groups: whether their own rules can be kept, and what they say of
 * protection. */
#include "ctl/lint.h"
#include "ctl/view.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool is_strict(Holdfast__V1__RuleMode mode)
{
    return mode == HOLDFAST__V1__RULE_MODE__RULE_MODE_STRICT;
}

static bool has_local_disk(const Holdfast__V1__VmTemplate *template)
{
    for (size_t i = 0; template != NULL && i < template->n_disks; i++) {
        if (template->disks[i]->kind ==
            HOLDFAST__V1__DISK_KIND__DISK_KIND_LOCAL) {
            return true;
        }
    }
    return false;
}

/* Every zone that it names is there. */
static void judge_zone_names(struct lint *lint, const struct lint_work *work)
{
    const Holdfast__V1__Group *group = work->group;

    for (size_t i = 0; i < group->n_zones; i++) {
        char field[32];

        (void)snprintf(field, sizeof(field), "zones[%zu]", i);
        if (lint_knows_zones(lint->input) &&
            !lint_has_zone(lint->input, group->zones[i])) {
            lint_add(lint, LINT_UNKNOWN_ZONE, lint_path(work, field).text,
                     lint_subject(work).text, "there is no zone %s",
                     group->zones[i]);
        }
    }
}

static void judge_zones(struct lint *lint, const struct lint_work *work)
{
    const Holdfast__V1__Group *group = work->group;
    size_t zones = lint_zones_of(lint->input, work);
    bool apart = group->zone_rule == HOLDFAST__V1__ZONE_RULE__ZONE_RULE_APART;
    bool spread =
        group->zone_rule == HOLDFAST__V1__ZONE_RULE__ZONE_RULE_SPREAD ||
        group->zone_rule == HOLDFAST__V1__ZONE_RULE__ZONE_RULE_UNSPECIFIED;
    bool strict = is_strict(group->zone_mode);

    if (!lint_knows_zones(lint->input)) {
        zones = group->n_zones; /* 0: any. */
    } else if (zones == 0) {
        lint_add(lint, LINT_GROUP_NO_ZONE, lint_path(work, "zones").text,
                 lint_subject(work).text,
                 "no zone may have its members: none is both allowed by the "
                 "group and offers class %s",
                 work->class_name);
        return;
    }
    if (strict && zones > 0 &&
        ((apart && work->count > zones) || (spread && zones == 1))) {
        lint_add(lint, LINT_GROUP_ZONES_FEW, lint_path(work, "zone_mode").text,
                 lint_subject(work).text,
                 apart ? "%" PRIu32 " members in different zones, of which "
                         "there %s %zu: the rest stays pending for ever"
                       : "%" PRIu32 " members strictly spread over zones, of "
                         "which there %s %zu: all are lost with it",
                 work->count, zones == 1 ? "is" : "are", zones);
    } else if (zones == 1) {
        lint_add(lint, LINT_GROUP_ONE_ZONE, lint_path(work, "zones").text,
                 lint_subject(work).text,
                 "all its members are in one zone, and are not placed again "
                 "when it is lost");
    }
}

static void judge_hosts(struct lint *lint, const struct lint_work *work)
{
    const Holdfast__V1__Group *group = work->group;
    uint32_t host_max = group->host_max == 0 ? 1 : group->host_max;
    size_t hosts;

    (void)lint_hosts(lint->input, &hosts);
    if (is_strict(group->host_mode) && hosts > 0 && group->host_max > 0 &&
        work->count > (uint64_t)hosts * host_max) {
        lint_add(lint, LINT_GROUP_HOSTS_FEW, lint_path(work, "host_max").text,
                 lint_subject(work).text,
                 "%" PRIu32 " members, at most %" PRIu32 " on each of %zu "
                 "host%s: the rest stays pending for ever",
                 work->count, host_max, hosts, plural(hosts));
    }
}

/* What makes `protected: true` impossible; NULL: nothing. */
static const char *why_unprotected(const struct lint_work *work)
{
    return has_local_disk(work->template) ? "it has a local disk"
           : work->preemptible            ? "it is preemptible"
           : work->keeps                  ? "on_partition is keep"
           : work->group->n_zones == 1    ? "it may be in one zone only"
                                          : NULL;
}

static void judge_protection(struct lint *lint, const struct lint_work *work)
{
    const Holdfast__V1__Group *group = work->group;
    const char *why = why_unprotected(work);

    if (group->_protected_case != HOLDFAST__V1__GROUP___PROTECTED_PROTECTED) {
        return;
    }
    if (!group->protected_) {
        lint_add(lint, LINT_GROUP_UNPROTECTED,
                 lint_path(work, "protected").text, lint_subject(work).text,
                 "no room is kept for its members: those of a zone that is "
                 "lost come back only if some is left");
    } else if (why != NULL) {
        lint_add(lint, LINT_GROUP_PROTECTED, lint_path(work, "protected").text,
                 lint_subject(work).text, "the region refuses it: %s", why);
    }
}

void lint_groups(struct lint *lint)
{
    for (size_t i = 0; i < lint->work_count; i++) {
        const struct lint_work *work = &lint->work[i];

        if (work->group == NULL) {
            continue;
        }
        judge_zone_names(lint, work);
        judge_zones(lint, work);
        judge_hosts(lint, work);
        judge_protection(lint, work);
        if (work->group->max_unavailable >= work->count && work->count > 0 &&
            work->group->max_unavailable > 0) {
            lint_add(lint, LINT_GROUP_ROLLOUT,
                     lint_path(work, "max_unavailable").text,
                     lint_subject(work).text,
                     "a new template may replace all %" PRIu32 " member%s at "
                     "once",
                     work->count, plural(work->count));
        }
    }
}
