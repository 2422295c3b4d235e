/* SPDX-License-Identifier: Apache-2.0
 *
 * Groups, and how they are. */
#include "base/memory.h"
#include "node/view.h"
#include "placement/placement.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a member runs. */
struct seat {
    uint32_t host;
    uint32_t zone;
    struct text domain;
};

/* What a walk over the members finds. */
struct census {
    struct seat *seats; /* Of those with a host. */
    uint32_t seat_count;
    uint32_t members; /* But for those that are being deleted. */
    uint32_t made;    /* Of these, from the template. */
    uint32_t running;
    uint32_t pending;
    uint32_t outdated;
    uint32_t skew;
};

static uint64_t or_any(uint64_t mask)
{
    return mask == 0 ? UINT64_MAX : mask;
}

static uint64_t usable_zones(const struct state *state,
                             const struct group *group)
{
    return placement_group_zones(
        state, group,
        group->class_slot == SLOT_NONE
            ? NULL
            : state_class_at(state, group->class_slot));
}

static uint32_t skew_of(const struct group *group, uint64_t usable)
{
    uint32_t most = 0;
    uint32_t fewest = UINT32_MAX;

    for (uint32_t slot = 0; slot < ZONES_MAX; slot++) {
        uint32_t count = group->zone_counts[slot];

        if ((usable >> slot & 1) == 0) {
            continue;
        }
        most = count > most ? count : most;
        fewest = count < fewest ? count : fewest;
    }
    return most > fewest ? most - fewest : 0;
}

static void count_member(const struct state *state, const struct group *group,
                         const struct vm *vm, struct census *census)
{
    if (vm->host != SLOT_NONE) {
        const struct host *host = state_host_at(state, vm->host);
        struct seat *seat = &census->seats[census->seat_count++];
        struct host_identity identity;

        state_host_identity(state, host, &identity);
        *seat = (struct seat){vm->host, host->zone, identity.fault_domain};
    }
    if (vm->deleting) {
        return;
    }
    census->members++;
    census->running += vm->state == VM_RUNNING;
    census->pending += vm->state == VM_PENDING;
    census->made += vm->template_generation != 0;
    census->outdated += vm->template_generation != 0 &&
                        vm->template_generation != group->generation;
}

static void take_census(const struct state *state, const struct group *group,
                        struct census *census)
{
    uint32_t next = group->vm_first_plus1;

    *census = (struct census){0};
    census->seats = memory_alloc_array(group->vm_count, sizeof(*census->seats));
    while (next != 0) {
        const struct vm *vm = state_vm_at(state, next - 1);

        count_member(state, group, vm, census);
        next = vm->group_next_plus1;
    }
    census->skew = skew_of(group, usable_zones(state, group));
}

static int compare_seats(const void *a, const void *b)
{
    const struct seat *left = a;
    const struct seat *right = b;
    uint32_t len = left->domain.len < right->domain.len ? left->domain.len
                                                        : right->domain.len;
    int order;

    if (left->zone != right->zone) {
        return left->zone < right->zone ? -1 : 1;
    }
    order = len == 0 ? 0 : memcmp(left->domain.data, right->domain.data, len);
    if (order != 0) {
        return order;
    }
    if (left->domain.len != right->domain.len) {
        return left->domain.len < right->domain.len ? -1 : 1;
    }
    return left->host < right->host ? -1 : left->host > right->host;
}

static bool same_domain(const struct seat *a, const struct seat *b)
{
    return a->zone == b->zone && a->domain.len == b->domain.len &&
           (a->domain.len == 0 ||
            memcmp(a->domain.data, b->domain.data, a->domain.len) == 0);
}

/* The most members on one host and in one domain. Hosts that say no domain are
 * in none. */
static void find_crowds(struct census *census, uint32_t *host, uint32_t *domain)
{
    uint32_t on_host = 0;
    uint32_t in_domain = 0;

    *host = 0;
    *domain = 0;
    if (census->seat_count > 1) {
        qsort(census->seats, census->seat_count, sizeof(*census->seats),
              compare_seats);
    }
    for (uint32_t i = 0; i < census->seat_count; i++) {
        const struct seat *seat = &census->seats[i];

        on_host = i > 0 && seat->host == seat[-1].host ? on_host + 1 : 1;
        in_domain = i > 0 && same_domain(seat, &seat[-1]) ? in_domain + 1 : 1;
        *host = on_host > *host ? on_host : *host;
        if (seat->domain.len > 0 && in_domain > *domain) {
            *domain = in_domain;
        }
    }
}

/* A rule for zones that is not kept; NULL: all are. */
static const char *broken_zone_rule(const struct group *group,
                                    const struct census *census, char *words,
                                    size_t size)
{
    uint32_t zones = 0;
    uint32_t most = 0;

    for (uint32_t slot = 0; slot < ZONES_MAX; slot++) {
        uint32_t count = group->zone_counts[slot];

        zones += count > 0;
        most = count > most ? count : most;
        if (count > 0 && (or_any(group->zone_mask) >> slot & 1) == 0) {
            return "members run in zones that it does not allow";
        }
    }
    if (group->zone_rule == ZONE_RULE_TOGETHER && zones > 1) {
        return "its members shall run in one zone and run in several";
    }
    if (group->zone_rule == ZONE_RULE_APART && most > 1) {
        return "no two members shall run in one zone, and some do";
    }
    if (group->zone_rule == ZONE_RULE_SPREAD &&
        census->skew > group->max_skew) {
        snprintf(words, size,
                 "the zones' members differ by %u, more than max_skew %u",
                 census->skew, group->max_skew);
        return words;
    }
    return NULL;
}

/* What keeps the group from being healthy; NULL: nothing. */
static const char *ailment(const struct group *group, struct census *census,
                           char *words, size_t size)
{
    uint32_t on_host;
    uint32_t in_domain;
    const char *broken;

    if (census->made != group->count && group->class_slot != SLOT_NONE) {
        snprintf(words, size, "%u of %u members are there", census->made,
                 group->count);
        return words;
    }
    if (census->pending > 0) {
        snprintf(words, size, "%u members wait for a host; each says why",
                 census->pending);
        return words;
    }
    if (census->running < census->members) {
        snprintf(words, size, "%u of %u members run", census->running,
                 census->members);
        return words;
    }
    broken = broken_zone_rule(group, census, words, size);
    if (broken != NULL) {
        return broken;
    }
    find_crowds(census, &on_host, &in_domain);
    if (group->host_max > 0 && on_host > group->host_max) {
        return "a host has more members than host_max";
    }
    if (group->domain_max > 0 && in_domain > group->domain_max) {
        return "a fault domain has more members than domain_max";
    }
    if (census->outdated > 0 && group->max_unavailable > 0) {
        snprintf(words, size, "%u members of an older template are replaced",
                 census->outdated);
        return words;
    }
    return NULL;
}

static void view_zones(struct arena *arena, const struct state *state,
                       const struct group *group, uint64_t usable,
                       Holdfast__V1__GroupStatus *view)
{
    view->zones = view_alloc(arena, ZONES_MAX * sizeof(*view->zones));
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        Holdfast__V1__GroupZone *zone;

        if (state_zone_at(state, slot) == NULL ||
            (group->zone_counts[slot] == 0 &&
             (or_any(group->zone_mask) >> slot & 1) == 0)) {
            continue;
        }
        zone = view_alloc(arena, sizeof(*zone));
        holdfast__v1__group_zone__init(zone);
        zone->zone = view_string(arena, state_zone_at(state, slot)->name);
        zone->member_count = group->zone_counts[slot];
        zone->usable = usable >> slot & 1;
        view->zones[view->n_zones++] = zone;
    }
}

static void view_members(struct arena *arena, const struct state *state,
                         const struct group *group,
                         Holdfast__V1__GroupStatus *view)
{
    struct census census;
    char words[128];
    const char *message;

    take_census(state, group, &census);
    message = ailment(group, &census, words, sizeof(words));
    view->member_count = census.members;
    view->running_count = census.running;
    view->pending_count = census.pending;
    view->outdated_count = census.outdated;
    view->healthy = message == NULL && !group->deleting;
    if (message != NULL) {
        view->message = view_string(arena, message);
    }
    free(census.seats);
}

static Holdfast__V1__GroupStatus *view_status(struct arena *arena,
                                              const struct state *state,
                                              const struct group *group,
                                              enum view_group_parts parts)
{
    Holdfast__V1__GroupStatus *view = view_alloc(arena, sizeof(*view));
    uint64_t usable = usable_zones(state, group);

    holdfast__v1__group_status__init(view);
    view_zones(arena, state, group, usable, view);
    view->skew = skew_of(group, usable);
    view->deleting = group->deleting;
    view->member_count = group->vm_count;
    if (parts != GROUP_BRIEF) {
        view_members(arena, state, group, view);
    }
    return view;
}

static Holdfast__V1__GroupTemplate *view_group_template(
    struct arena *arena, const struct state *state, const struct group *group)
{
    static const Holdfast__V1__GroupTemplate__LabelsEntry label =
        HOLDFAST__V1__GROUP_TEMPLATE__LABELS_ENTRY__INIT;
    static const Holdfast__V1__GroupTemplate__HostSelectorEntry selector =
        HOLDFAST__V1__GROUP_TEMPLATE__HOST_SELECTOR_ENTRY__INIT;
    const struct class *class = state_class_at(state, group->class_slot);
    Holdfast__V1__GroupTemplate *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__group_template__init(view);
    view->class_name = view_string(arena, class->custom ? "" : class->name);
    if (class->custom) {
        view->resources =
            view_resources(arena, state, &class->resources, &class->named);
    }
    view->priority = group->priority;
    view->on_partition = (Holdfast__V1__OnPartition)group->on_partition;
    view->preemptible = group->preemptible;
    view->template_ =
        view_template(arena, state_blob(state, group->template_blob));
    view->labels = view_map(arena, state_blob(state, group->labels_blob),
                            &label, &view->n_labels);
    view->host_selector =
        view_map(arena, state_blob(state, group->selector_blob), &selector,
                 &view->n_host_selector);
    return view;
}

Holdfast__V1__Group *view_group(struct arena *arena, const struct state *state,
                                const struct group *group,
                                enum view_group_parts parts)
{
    Holdfast__V1__Group *view = view_alloc(arena, sizeof(*view));

    holdfast__v1__group__init(view);
    view->name = view_string(arena, group->name);
    view->uid = group->uid;
    view->count = group->count;
    if (parts == GROUP_ALL && group->class_slot != SLOT_NONE) {
        view->template_ = view_group_template(arena, state, group);
    }
    view->zone_rule = (Holdfast__V1__ZoneRule)group->zone_rule;
    view->max_skew = group->max_skew;
    view->zone_mode = (Holdfast__V1__RuleMode)group->zone_mode;
    view->zones = view_alloc(arena, ZONES_MAX * sizeof(char *));
    for (uint32_t slot = 0; slot < state_zone_slots(state); slot++) {
        if (group->zone_mask >> slot & 1) {
            view->zones[view->n_zones++] =
                view_string(arena, state_zone_at(state, slot)->name);
        }
    }
    view->domain_mode = (Holdfast__V1__RuleMode)group->domain_mode;
    view->domain_max = group->domain_max;
    view->host_mode = (Holdfast__V1__RuleMode)group->host_mode;
    view->host_max = group->host_max;
    view->_protected_case = HOLDFAST__V1__GROUP___PROTECTED_PROTECTED;
    view->protected_ = !group->unprotected;
    view->max_unavailable = group->max_unavailable;
    view->generation = group->generation;
    view->revision = group->revision;
    view->create_time_ms = group->create_time_ms;
    view->status = view_status(arena, state, group, parts);
    return view;
}
