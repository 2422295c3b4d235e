/* SPDX-License-Identifier: Apache-2.0 */
#include "node/api_rules.h"

#include "base/container.h"

#include <stddef.h>

void api_rules_of_group(struct api_rules *rules, const struct state *state,
                        const struct group_fields *fields)
{
    *rules = (struct api_rules){
        .state = state,
        .group = fields,
        .group_zones = fields->zone_mask,
        .disk_zones = fields->disk_zone_mask,
        .local_disk = fields->local_disk,
        .preemptible = fields->preemptible,
        .keep = fields->on_partition == ON_PARTITION_KEEP,
    };
}

/* --- Zones --------------------------------------------------------------- */

static uint64_t or_any(uint64_t mask)
{
    return mask == 0 ? UINT64_MAX : mask;
}

static uint64_t all_zones(const struct state *state)
{
    uint64_t mask = 0;

    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        mask |= UINT64_C(1) << slot;
    }
    return mask;
}

/* Where all rules together let it run. */
static uint64_t allowed(const struct api_rules *r)
{
    return all_zones(r->state) & or_any(r->own_zone) & or_any(r->group_zones) &
           or_any(r->class_zones) & or_any(r->disk_zones);
}

static uint32_t count_of(uint64_t mask)
{
    return (uint32_t)__builtin_popcountll(mask);
}

static bool apart(uint64_t a, uint64_t b)
{
    return (or_any(a) & or_any(b)) == 0;
}

static bool zone_and_group(const struct api_rules *r)
{
    return apart(r->own_zone, r->group_zones);
}

static bool zone_and_disks(const struct api_rules *r)
{
    return apart(r->own_zone, r->disk_zones);
}

static bool zones_and_class(const struct api_rules *r)
{
    return apart(r->group_zones, r->class_zones);
}

static bool zones_and_disks(const struct api_rules *r)
{
    return apart(r->group_zones, r->disk_zones);
}

static bool class_and_disks(const struct api_rules *r)
{
    return apart(r->class_zones, r->disk_zones);
}

static bool zones_class_and_disks(const struct api_rules *r)
{
    return (or_any(r->group_zones) & or_any(r->class_zones) &
            or_any(r->disk_zones)) == 0;
}

/* --- Members and their number -------------------------------------------- */

static bool has_template(const struct api_rules *r)
{
    return r->group->class.uid != 0;
}

static bool count_without_template(const struct api_rules *r)
{
    return r->group->count > 0 && !has_template(r);
}

static bool update_without_template(const struct api_rules *r)
{
    return r->group->max_unavailable > 0 && !has_template(r);
}

static bool skew_without_spread(const struct api_rules *r)
{
    return r->group->max_skew > 0 && r->group->zone_rule != ZONE_RULE_SPREAD;
}

static bool is_strictly_apart(const struct api_rules *r)
{
    return r->group->zone_rule == ZONE_RULE_APART &&
           r->group->zone_mode == RULE_MODE_STRICT;
}

static bool more_apart_than_zones(const struct api_rules *r)
{
    return is_strictly_apart(r) && r->group->count > count_of(allowed(r));
}

static bool domain_max_without_strict(const struct api_rules *r)
{
    return r->group->domain_max > 0 &&
           r->group->domain_mode != RULE_MODE_STRICT;
}

static bool host_max_without_strict(const struct api_rules *r)
{
    return r->group->host_max > 0 && r->group->host_mode != RULE_MODE_STRICT;
}

/* Hosts that are not there yet are no rule: only where some are. */
static bool more_than_hosts(const struct api_rules *r)
{
    uint64_t mask = allowed(r);
    uint64_t hosts = 0;

    if (r->group->host_mode != RULE_MODE_STRICT) {
        return false;
    }
    for (uint32_t slot = 0; slot < state_zone_slots(r->state); slot++) {
        hosts +=
            mask >> slot & 1 ? state_zone_at(r->state, slot)->host_count : 0;
    }
    return hosts > 0 && r->group->host_max > 0 &&
           r->group->count > hosts * r->group->host_max;
}

static bool shares_disk(const struct api_rules *r)
{
    return r->shares_disk && r->group->count > 1;
}

/* --- Protection ---------------------------------------------------------- */

static bool protects_local(const struct api_rules *r)
{
    return r->protect && r->local_disk;
}

static bool protects_preemptible(const struct api_rules *r)
{
    return r->protect && r->preemptible;
}

static bool protects_keep(const struct api_rules *r)
{
    return r->protect && r->keep;
}

/* That a region has one zone so far is no rule. */
static bool protects_one_zone(const struct api_rules *r)
{
    return r->protect &&
           count_of(or_any(r->group_zones) & or_any(r->class_zones) &
                    or_any(r->disk_zones)) == 1;
}

static bool protects_full_apart(const struct api_rules *r)
{
    return r->protect && is_strictly_apart(r) && r->group->count > 0 &&
           r->group->count >= count_of(allowed(r));
}

/* --- The table ----------------------------------------------------------- */

/* The fields as they are called in a group and in a VM; NULL: the row is none
 * of its. */
struct conflict {
    bool (*clashes)(const struct api_rules *rules);
    const char *group[2];
    const char *vm[2];
    const char *why;
};

static const struct conflict conflicts[] = {
    {zone_and_group,
     {NULL, NULL},
     {"vm.zone", "zones of its group"},
     "the group's zones are others"},
    {zone_and_disks,
     {NULL, NULL},
     {"vm.zone", "zones of vm.template.disks"},
     "the zone keeps no copy of a replicated disk"},
    {zones_and_class,
     {"group.zones", "zones of group.template.class_name"},
     {"zones of vm.class_name", "zones of its group"},
     "none of the group's zones offers the class"},
    {zones_and_disks,
     {"group.zones", "zones of group.template.template.disks"},
     {"zones of vm.template.disks", "zones of its group"},
     "none of the group's zones keeps a copy of the replicated disks"},
    {class_and_disks,
     {"zones of group.template.class_name",
      "zones of group.template.template.disks"},
     {"zones of vm.class_name", "zones of vm.template.disks"},
     "no zone with a copy of the replicated disks offers the class"},
    {zones_class_and_disks,
     {"group.zones", "zones of group.template.class_name and its disks"},
     {"zones of its group", "zones of vm.class_name and vm.template.disks"},
     "no zone is allowed by all of them"},
    {count_without_template,
     {"group.count", "group.template"},
     {NULL, NULL},
     "members are made from a template; give one, or count 0"},
    {update_without_template,
     {"group.max_unavailable", "group.template"},
     {NULL, NULL},
     "without a template no member is ever replaced"},
    {skew_without_spread,
     {"group.max_skew", "group.zone_rule"},
     {NULL, NULL},
     "a skew counts for the rule spread alone; leave it out, or choose spread"},
    {more_apart_than_zones,
     {"group.count", "group.zone_rule"},
     {NULL, NULL},
     "strictly apart, each member needs a zone of its own, and fewer are "
     "allowed; lower the count, allow more zones, or make zone_mode "
     "best_effort"},
    {domain_max_without_strict,
     {"group.domain_max", "group.domain_mode"},
     {NULL, NULL},
     "a limit is kept by the mode strict alone"},
    {host_max_without_strict,
     {"group.host_max", "group.host_mode"},
     {NULL, NULL},
     "a limit is kept by the mode strict alone"},
    {more_than_hosts,
     {"group.count", "group.host_max"},
     {NULL, NULL},
     "the allowed zones have fewer hosts than these members need; lower the "
     "count, add hosts, or raise host_max"},
    {shares_disk,
     {"group.count", "group.template.template.disks"},
     {NULL, NULL},
     "all members would write the same file; put {name} or {uid} into the "
     "path, or make the disk read_only"},
    {protects_local,
     {"group.protected", "group.template.template.disks"},
     {NULL, NULL},
     "a VM with a local disk cannot be placed elsewhere"},
    {protects_preemptible,
     {"group.protected", "group.template.preemptible"},
     {NULL, NULL},
     "room is kept for VMs that may not be stopped for others"},
    {protects_keep,
     {"group.protected", "group.template.on_partition"},
     {NULL, NULL},
     "VMs that keep running while cut off wait for a proof that they are gone"},
    {protects_one_zone,
     {"group.protected", "group.zones"},
     {NULL, NULL},
     "only one zone is allowed, so its loss leaves none"},
    {protects_full_apart,
     {"group.protected", "group.zone_rule"},
     {NULL, NULL},
     "strictly apart, the members fill all allowed zones, so none is left for "
     "those of a lost one"},
};

bool api_check_rules(struct api_reply *reply, const char *subject,
                     const struct api_rules *rules,
                     const struct api_rules *before)
{
    for (size_t i = 0; i < ARRAY_LEN(conflicts); i++) {
        const struct conflict *conflict = &conflicts[i];
        const char *const *fields =
            rules->group != NULL ? conflict->group : conflict->vm;

        if (fields[0] == NULL || !conflict->clashes(rules) ||
            (before != NULL && conflict->clashes(before))) {
            continue;
        }
        api_fail(reply, API_RULES_CONFLICT,
                 "%s: %s and %s cannot both be kept: %s", subject, fields[0],
                 fields[1], conflict->why);
        return false;
    }
    return true;
}
