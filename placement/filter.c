/* SPDX-License-Identifier: Apache-2.0
 *
 * The rules that a host must pass, in the order in which a person would give
 * them as the reason. One function a reason. */
#include "placement/internal.h"

#include "base/container.h"

static const struct zone *zone_of(const struct placement_query *query,
                                  const struct host *host)
{
    return state_zone_at(query->state, host->zone);
}

/* A zonal VM runs in its zone only. */
static bool breaks_zone_rule(const struct placement_query *query,
                             const struct host *host)
{
    return query->vm->zone != SLOT_NONE && query->vm->zone != host->zone;
}

/* A move has a target; without one, any host but the one it leaves. */
static bool breaks_move(const struct placement_query *query,
                        const struct host *host)
{
    const struct vm *vm = query->vm;
    uint32_t slot = uid_slot(host->uid);

    if (!vm->moving) {
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

static bool breaks_class(const struct placement_query *query,
                         const struct host *host)
{
    uint64_t mask = query->class->zone_mask;

    return mask != 0 && (mask >> host->zone & 1) == 0;
}

static bool breaks_zone_state(const struct placement_query *query,
                              const struct host *host)
{
    const struct zone *zone = zone_of(query, host);

    return zone->state != ZONE_UP || zone->cordoned;
}

static bool breaks_host_state(const struct placement_query *query,
                              const struct host *host)
{
    (void)query;
    return host->state != HOST_UP;
}

static bool breaks_cordon(const struct placement_query *query,
                          const struct host *host)
{
    (void)query;
    return host->cordoned;
}

static bool breaks_driver(const struct placement_query *query,
                          const struct host *host)
{
    return (host->driver_mask >> query->vm->driver & 1) == 0;
}

static bool breaks_disk(const struct placement_query *query,
                        const struct host *host)
{
    return (query->vm->pool_mask & ~host->pool_mask) != 0;
}

static bool lacks(uint32_t capacity, uint32_t used, uint32_t wanted)
{
    return used > capacity || wanted > capacity - used;
}

static bool lacks_cpu(const struct placement_query *query,
                      const struct host *host)
{
    return lacks(host->capacity.cpu_milli, host->used.cpu_milli,
                 query->class->resources.cpu_milli);
}

static bool lacks_memory(const struct placement_query *query,
                         const struct host *host)
{
    return lacks(host->capacity.memory_mib, host->used.memory_mib,
                 query->class->resources.memory_mib);
}

static bool lacks_local_disk(const struct placement_query *query,
                             const struct host *host)
{
    return lacks(host->capacity.disk_gib, host->used.disk_gib,
                 query->class->resources.disk_gib);
}

static bool lacks_vm_count(const struct placement_query *query,
                           const struct host *host)
{
    (void)query;
    return host->vm_count >= PLACEMENT_HOST_VMS_MAX;
}

static const struct {
    enum placement_refusal reason;
    bool (*refuses)(const struct placement_query *query,
                    const struct host *host);
} rules[] = {
    {REFUSED_ZONE_RULE, breaks_zone_rule},
    {REFUSED_MOVE, breaks_move},
    {REFUSED_CLASS, breaks_class},
    {REFUSED_ZONE_STATE, breaks_zone_state},
    {REFUSED_HOST_STATE, breaks_host_state},
    {REFUSED_CORDONED, breaks_cordon},
    {REFUSED_DRIVER, breaks_driver},
    {REFUSED_DISK, breaks_disk},
    {REFUSED_CPU, lacks_cpu},
    {REFUSED_MEMORY, lacks_memory},
    {REFUSED_LOCAL_DISK, lacks_local_disk},
    {REFUSED_VM_COUNT, lacks_vm_count},
};

enum placement_refusal filter_host(const struct placement_query *query,
                                   const struct host *host)
{
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        if (rules[i].refuses(query, host)) {
            return rules[i].reason;
        }
    }
    return PLACEMENT_REFUSAL_COUNT;
}
