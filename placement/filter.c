/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that a host must pass, in the order in which a person would give
 * them as the reason. One function a reason. Choices find hosts through the
 * index, which keeps most of the rules by itself; what is left of them is
 * filter_found(). The test compares both. */
#include "placement/internal.h"

#include "base/container.h"

static bool in_mask(uint64_t mask, uint32_t bit)
{
    return mask == 0 || (mask >> bit & 1) != 0;
}

/* A zonal VM runs in its zone only. */
static bool breaks_zone_rule(const struct placement_query *query, uint32_t slot,
                             const struct fleet_host *host)
{
    (void)slot;
    return query->vm->zone != SLOT_NONE && query->vm->zone != host->zone;
}

/* A move has a target; without one, any host but the one it leaves. */
static bool breaks_move(const struct placement_query *query, uint32_t slot,
                        const struct fleet_host *host)
{
    const struct vm *vm = query->vm;

    if (slot == vm->host) {
        return true;
    }
    if (vm->moving == MOVE_NONE) {
        return false;
    }
    if (vm->move_host != SLOT_NONE) {
        return slot != vm->move_host;
    }
    if (vm->move_zone != SLOT_NONE) {
        return host->zone != vm->move_zone;
    }
    return slot == vm->last_host;
}

static bool breaks_class(const struct placement_query *query, uint32_t slot,
                         const struct fleet_host *host)
{
    (void)slot;
    return !in_mask(query->class->zone_mask, host->zone);
}

static bool zone_is_open(const struct zone *zone)
{
    return zone->state == ZONE_UP && !zone->cordoned && !zone->draining;
}

static bool breaks_zone_state(const struct placement_query *query,
                              uint32_t slot, const struct fleet_host *host)
{
    (void)slot;
    return !zone_is_open(state_zone_at(query->state, host->zone));
}

static bool breaks_host_state(const struct placement_query *query,
                              uint32_t slot, const struct fleet_host *host)
{
    (void)slot;
    (void)query;
    return !host->up;
}

static bool breaks_cordon(const struct placement_query *query, uint32_t slot,
                          const struct fleet_host *host)
{
    (void)slot;
    (void)query;
    return host->cordoned;
}

static bool breaks_driver(const struct placement_query *query, uint32_t slot,
                          const struct fleet_host *host)
{
    (void)slot;
    return (host->driver_mask >> query->vm->driver & 1) == 0;
}

static bool is_selected(const struct placement_query *query, uint32_t slot)
{
    return query->selected == NULL ||
           (query->selected[slot / 64] >> slot % 64 & 1) != 0;
}

static bool breaks_selector(const struct placement_query *query, uint32_t slot,
                            const struct fleet_host *host)
{
    (void)host;
    return !is_selected(query, slot);
}

/* Its pools; a copy in the zone; the host of its local disks. */
static bool breaks_disk(const struct placement_query *query, uint32_t slot,
                        const struct fleet_host *host)
{
    const struct vm *vm = query->vm;

    return (vm->pool_mask & ~host->pool_mask) != 0 ||
           !in_mask(vm->disk_zone_mask, host->zone) ||
           (vm->home_host_plus1 != 0 && vm->home_host_plus1 - 1 != slot);
}

static bool zone_breaks_group(const struct placement_query *query,
                              uint32_t zone)
{
    const struct group *group = query->group;

    if (group == NULL) {
        return false;
    }
    if (!in_mask(group->zone_mask, zone)) {
        return true;
    }
    if (group->zone_mode != RULE_MODE_STRICT) {
        return false;
    }
    switch (group->zone_rule) {
    case ZONE_RULE_SPREAD:
        return query->counts[zone] + 1 >
               query->least + (group->max_skew == 0 ? 1 : group->max_skew);
    case ZONE_RULE_APART:
        return query->taken[zone] > 0;
    case ZONE_RULE_TOGETHER:
        return query->counts[zone] < query->most;
    default:
        return false;
    }
}

static bool breaks_group_zone(const struct placement_query *query,
                              uint32_t slot, const struct fleet_host *host)
{
    (void)slot;
    return zone_breaks_group(query, host->zone);
}

static bool domain_is_full(const struct placement_query *query, uint32_t domain)
{
    return query->domain_max > 0 &&
           query_domain_count(query, domain) >= query->domain_max;
}

static bool breaks_group_domain(const struct placement_query *query,
                                uint32_t slot, const struct fleet_host *host)
{
    (void)slot;
    return domain_is_full(query, host->domain);
}

static bool host_is_full(const struct placement_query *query, uint32_t host)
{
    return query->host_max > 0 &&
           query_host_count(query, host) >= query->host_max;
}

static bool breaks_group_host(const struct placement_query *query,
                              uint32_t slot, const struct fleet_host *host)
{
    (void)host;
    return host_is_full(query, slot);
}

static bool lacks(uint32_t capacity, uint32_t used, uint32_t wanted)
{
    return used > capacity || wanted > capacity - used;
}

static bool lacks_cpu(const struct placement_query *query, uint32_t slot,
                      const struct fleet_host *host)
{
    (void)slot;
    return lacks(host->capacity.cpu_milli, host->used.cpu_milli,
                 query->class->resources.cpu_milli);
}

static bool lacks_memory(const struct placement_query *query, uint32_t slot,
                         const struct fleet_host *host)
{
    (void)slot;
    return lacks(host->capacity.memory_mib, host->used.memory_mib,
                 query->class->resources.memory_mib);
}

static bool lacks_local_disk(const struct placement_query *query, uint32_t slot,
                             const struct fleet_host *host)
{
    (void)slot;
    return lacks(host->capacity.disk_gib, host->used.disk_gib,
                 query->class->resources.disk_gib);
}

static bool lacks_gpu(const struct placement_query *query, uint32_t slot,
                      const struct fleet_host *host)
{
    (void)slot;
    return lacks(host->capacity.gpu_count, host->used.gpu_count,
                 query->class->resources.gpu_count);
}

static bool lacks_named(const struct placement_query *query, uint32_t slot,
                        const struct fleet_host *fleet)
{
    const struct host *host = state_host_at(query->state, slot);
    bool lacking = false;

    (void)fleet;
    if (query->named_mask == 0) {
        return false;
    }
    for (uint32_t i = 0; i < NAMED_MAX; i++) {
        lacking |= lacks(host->named_capacity.of[i], host->named_used.of[i],
                         query->class->named.of[i]);
    }
    return lacking;
}

/* Without a policy moves hold no room (state/apply_move.c). */
static bool holds_room_on(const struct placement_query *query, uint32_t host)
{
    return vm_holds_claim(query->vm) && query->vm->move_host == host &&
           state_policy(query->state)->uid != 0;
}

/* Those that are on their way here will be reported as well. */
static bool lacks_vm_count(const struct placement_query *query, uint32_t slot,
                           const struct fleet_host *host)
{
    return host->vm_count - holds_room_on(query, slot) >=
           PLACEMENT_HOST_VMS_MAX;
}

/* The VM holds room here, and has it once those who are to leave have. */
static bool lacks_own_claim(const struct placement_query *query, uint32_t slot)
{
    const struct host *host = state_host_at(query->state, slot);
    struct placer_room taken = {host->used, host->named_used};
    struct placer_room all = {host->capacity, host->named_capacity};

    room_add(&taken, &host->claimed, &host->named_claimed);
    return !room_covers(&all, &taken.resources, &taken.named);
}

/* Too little is left beside claims, and what is reserved, and held. */
static bool lacks_room(const struct placement_query *query, uint32_t slot,
                       bool reserved, bool held)
{
    struct placer_room room;

    if (holds_room_on(query, slot)) {
        return lacks_own_claim(query, slot);
    }
    placer_free(query->placer, slot, reserved, held, &room);
    return !room_covers(&room, &query->class->resources, &query->class->named);
}

static bool lacks_unclaimed(const struct placement_query *query, uint32_t slot,
                            const struct fleet_host *host)
{
    (void)host;
    return lacks_room(query, slot, true, true);
}

static bool lacks_unreserved(const struct placement_query *query, uint32_t slot,
                             const struct fleet_host *host)
{
    (void)host;
    return !view_has_reserved(query->view) &&
           lacks_room(query, slot, false, true);
}

static bool lacks_unheld(const struct placement_query *query, uint32_t slot,
                         const struct fleet_host *host)
{
    (void)host;
    return !view_has_held(query->view) &&
           lacks_room(query, slot, view_has_reserved(query->view), false);
}

static const struct {
    enum placement_refusal reason;
    bool (*refuses)(const struct placement_query *query, uint32_t slot,
                    const struct fleet_host *host);
} rules[] = {
    {REFUSED_ZONE_RULE, breaks_zone_rule},
    {REFUSED_MOVE, breaks_move},
    {REFUSED_CLASS, breaks_class},
    {REFUSED_ZONE_STATE, breaks_zone_state},
    {REFUSED_HOST_STATE, breaks_host_state},
    {REFUSED_CORDONED, breaks_cordon},
    {REFUSED_DRIVER, breaks_driver},
    {REFUSED_SELECTOR, breaks_selector},
    {REFUSED_DISK, breaks_disk},
    {REFUSED_GROUP_ZONE, breaks_group_zone},
    {REFUSED_GROUP_DOMAIN, breaks_group_domain},
    {REFUSED_GROUP_HOST, breaks_group_host},
    {REFUSED_CPU, lacks_cpu},
    {REFUSED_MEMORY, lacks_memory},
    {REFUSED_LOCAL_DISK, lacks_local_disk},
    {REFUSED_GPU, lacks_gpu},
    {REFUSED_NAMED, lacks_named},
    {REFUSED_VM_COUNT, lacks_vm_count},
    {REFUSED_CLAIMED, lacks_unclaimed},
    {REFUSED_RESERVED, lacks_unreserved},
    {REFUSED_HEADROOM, lacks_unheld},
};

enum placement_refusal filter_host(const struct placement_query *query,
                                   uint32_t slot)
{
    const struct fleet_host *host = &fleet_hosts(query->placer->fleet)[slot];

    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].refuses(query, slot, host)) {
            return rules[i].reason;
        }
    }
    return PLACEMENT_REFUSAL_COUNT;
}

bool filter_but_room(const struct placement_query *query, uint32_t slot)
{
    const struct fleet_host *host = &fleet_hosts(query->placer->fleet)[slot];

    for (size_t i = 0; rules[i].reason < REFUSED_CPU; i++) {
        if (rules[i].refuses(query, slot, host)) {
            return false;
        }
    }
    return true;
}

static uint64_t mask_or_all(uint64_t mask)
{
    return mask == 0 ? UINT64_MAX : mask;
}

uint64_t filter_zones(const struct placement_query *query)
{
    const struct vm *vm = query->vm;
    uint64_t zones =
        mask_or_all(query->class->zone_mask) & mask_or_all(vm->disk_zone_mask);

    if (vm->zone != SLOT_NONE) {
        zones &= UINT64_C(1) << vm->zone;
    }
    if (vm->moving != MOVE_NONE && vm->move_zone != SLOT_NONE) {
        zones &= UINT64_C(1) << vm->move_zone;
    }
    return zones;
}

bool filter_zone(const struct placement_query *query, uint32_t zone,
                 const struct zone *record)
{
    return zone_is_open(record) &&
           (query->group == NULL || !zone_breaks_group(query, zone));
}

bool filter_kind(const struct placement_query *query,
                 const struct placer_kind *kind)
{
    return (kind->driver_mask >> query->vm->driver & 1) != 0 &&
           (query->vm->pool_mask & ~kind->pool_mask) == 0 &&
           (kind->gpu || query->class->resources.gpu_count == 0) &&
           (query->named_mask & ~kind->named_mask) == 0;
}

/* More than CPU and memory, which the index knows. */
static bool covers_all(const struct placement_query *query, uint32_t host,
                       const struct fleet_host *at)
{
    const struct resources *wanted = &query->class->resources;
    struct placer_room room;

    if (query->named_mask == 0 && !placer_takes_off(query->placer)) {
        return at->free.disk_gib >= wanted->disk_gib &&
               at->free.gpu_count >= wanted->gpu_count;
    }
    placer_free(query->placer, host, view_has_reserved(query->view),
                view_has_held(query->view), &room);
    return room_covers(&room, wanted, &query->class->named);
}

bool filter_found(const struct placement_query *query, uint32_t host)
{
    const struct fleet_host *at = &fleet_hosts(query->placer->fleet)[host];
    const struct vm *vm = query->vm;

    if ((at->driver_mask >> vm->driver & 1) == 0 ||
        (vm->pool_mask & ~at->pool_mask) != 0 ||
        at->vm_count >= PLACEMENT_HOST_VMS_MAX || !is_selected(query, host)) {
        return false;
    }
    if (host == vm->host || compare_failed_on(vm, host) ||
        (vm->moving != MOVE_NONE && host == vm->last_host &&
         vm->move_zone == SLOT_NONE)) {
        return false;
    }
    if ((query->domain_max > 0 && domain_is_full(query, at->domain)) ||
        (query->host_max > 0 && host_is_full(query, host))) {
        return false;
    }
    return !query->more_amounts || covers_all(query, host, at);
}
