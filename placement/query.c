/* SPDX-License-Identifier: Apache-2.0
 *
 * What a choice looks at, gathered once. */
#include "placement/internal.h"

enum placer_view query_view(const struct vm *vm)
{
    if (vm->recovering) {
        return VIEW_RECOVERING;
    }
    return vm->preemptible ? VIEW_PREEMPTIBLE : VIEW_ORDINARY;
}

static void take_amounts(struct placement_query *query)
{
    const struct class *class = query->class;

    query->named_mask = amounts_mask(&class->named);
    query->more_amounts = query->named_mask != 0 ||
                          class->resources.disk_gib > 0 ||
                          class->resources.gpu_count > 0;
}

uint64_t placement_group_zones(const struct state *state,
                               const struct group *group,
                               const struct class *class)
{
    uint64_t zones = UINT64_MAX;
    uint64_t open = 0;

    if (group->zone_mask != 0) {
        zones &= group->zone_mask;
    }
    if (group->disk_zone_mask != 0) {
        zones &= group->disk_zone_mask;
    }
    if (class != NULL && class->zone_mask != 0) {
        zones &= class->zone_mask;
    }
    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        const struct zone *zone = state_zone_at(state, i);

        if (zone != NULL && zone->state == ZONE_UP && !zone->cordoned &&
            !zone->draining && zone->host_up_count > 0) {
            open |= UINT64_C(1) << i;
        }
    }
    return zones & open;
}

static uint32_t zone_of(const struct placement_query *query,
                        uint32_t host_plus1)
{
    return fleet_hosts(query->placer->fleet)[host_plus1 - 1].zone;
}

/* All members; those that move: see placement/counts.c. */
static void count_all(struct placement_query *query)
{
    const struct placer *placer = query->placer;
    bool claims = counts_claims(placer, query->group_slot);

    for (uint32_t i = 0; i < state_zone_slots(query->state); i++) {
        query->counts[i] = query->group->zone_counts[i];
        query->taken[i] = query->counts[i];
        if (claims) {
            query->counts[i] +=
                (uint32_t)counts_coming(placer, query->group_slot, i);
            query->taken[i] += counts_claimed(placer, query->group_slot, i);
        }
    }
}

static void leave_out_itself(struct placement_query *query)
{
    const struct known_vm *self = &query->self;
    bool comes = self->claim_plus1 != 0 &&
                 (self->host_plus1 == 0 || self->leaves_zone_plus1 != 0);

    if (self->host_plus1 != 0) {
        query->taken[zone_of(query, self->host_plus1)]--;
    }
    if (self->claim_plus1 != 0) {
        query->taken[self->claim_zone_plus1 - 1]--;
    }
    if (comes) {
        query->counts[self->claim_zone_plus1 - 1]--;
    } else if (self->host_plus1 != 0) {
        query->counts[zone_of(query, self->host_plus1)]--;
    }
}

static void count_zones(struct placement_query *query)
{
    const struct state *state = query->state;
    uint64_t zones = placement_group_zones(state, query->group, query->class);
    uint32_t least = UINT32_MAX;

    if (query->vm->disk_zone_mask != 0) {
        zones &= query->vm->disk_zone_mask;
    }
    count_all(query);
    leave_out_itself(query);
    for (uint32_t i = 0; i < state_zone_slots(state); i++) {
        uint32_t count = query->counts[i];

        query->most = count > query->most ? count : query->most;
        if ((zones >> i & 1) != 0 && count < least) {
            least = count;
        }
    }
    query->least = least == UINT32_MAX ? 0 : least;
}

static void take_group(struct placement_query *query)
{
    const struct group *group = query->group;
    struct placer *placer = query->placer;

    query->group_slot = uid_slot(group->uid);
    if (query->vm->uid != 0) {
        query->self = known_get(&placer->known, uid_slot(query->vm->uid));
    }
    if (query->self.group_plus1 != query->vm->group_plus1) {
        query->self = (struct known_vm){0};
    }
    count_zones(query);
    query->domain_soft = group->domain_mode == RULE_MODE_BEST_EFFORT;
    query->host_soft = group->host_mode == RULE_MODE_BEST_EFFORT;
    if (group->domain_mode == RULE_MODE_STRICT) {
        query->domain_max = group->domain_max;
    }
    if (group->host_mode == RULE_MODE_STRICT) {
        query->host_max = group->host_max;
    }
    if (query->domain_soft || query->host_soft || query->domain_max > 0 ||
        query->host_max > 0) {
        counts_open(placer, query->state, query->group_slot);
    }
}

void query_init(struct placement_query *query, struct placer *placer,
                const struct state *state, const struct vm *vm,
                uint32_t prefer_zone)
{
    reserve_find(placer, state);
    query->placer = placer;
    query->state = state;
    query->vm = vm;
    query->class = state_class_at(state, vm->class_slot);
    query->group = NULL;
    query->self = (struct known_vm){0};
    query->selected =
        vm->selector_blob == 0
            ? NULL
            : fleet_selected(placer->fleet, state, vm->selector_blob);
    query->view = query_view(vm);
    query->prefer_zone = prefer_zone;
    query->group_slot = SLOT_NONE;
    query->domain_max = 0;
    query->host_max = 0;
    query->domain_soft = false;
    query->host_soft = false;
    query->least = 0;
    query->most = 0;
    take_amounts(query);
    if (vm->group_plus1 != 0) {
        query->group = state_group_at(state, vm->group_plus1 - 1);
        take_group(query);
    }
}

static uint32_t domain_of(const struct placement_query *query, uint32_t host)
{
    return fleet_hosts(query->placer->fleet)[host].domain;
}

uint32_t query_domain_count(const struct placement_query *query,
                            uint32_t domain)
{
    uint32_t count = counts_of_domain(query->placer, query->group_slot, domain);
    uint32_t host1 = query->self.host_plus1;
    uint32_t claim1 = query->self.claim_plus1;

    count -= host1 != 0 && domain_of(query, host1 - 1) == domain;
    count -= claim1 != 0 && domain_of(query, claim1 - 1) == domain;
    return count;
}

uint32_t query_host_count(const struct placement_query *query, uint32_t host)
{
    uint32_t count = counts_of_host(query->placer, query->group_slot, host);

    count -= query->self.host_plus1 == host + 1;
    count -= query->self.claim_plus1 == host + 1;
    return count;
}
