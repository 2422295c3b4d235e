/* SPDX-License-Identifier: Apache-2.0
 *
 * Which of two hosts that both may take the VM is better. Numbered rules, the
 * first that tells them apart decides, the last cannot tie. Shares are compared
 * by cross-multiplication: no rounding, no floating point. */
#include "placement/internal.h"

/* A share of a whole, part / whole; compared without dividing. */
struct share {
    uint64_t part;
    uint64_t whole;
};

static int compare_shares(struct share a, struct share b)
{
    unsigned __int128 left = (unsigned __int128)a.part * b.whole;
    unsigned __int128 right = (unsigned __int128)b.part * a.whole;

    return left < right ? -1 : left > right;
}

static struct share larger(struct share a, struct share b)
{
    return compare_shares(a, b) < 0 ? b : a;
}

/* The fullest of CPU and memory: what runs out first. */
static struct share zone_load(const struct zone *zone)
{
    struct share cpu = {zone->used.cpu_milli, zone->capacity.cpu_milli};
    struct share memory = {zone->used.memory_mib, zone->capacity.memory_mib};

    return larger(cpu, memory);
}

/* What of the host would be left over, the smaller share of the two; packing
 * makes it small. */
static struct share leftover(const struct placement_query *query,
                             const struct host *host)
{
    struct share cpu = {host->capacity.cpu_milli - host->used.cpu_milli -
                            query->class->resources.cpu_milli,
                        host->capacity.cpu_milli};
    struct share memory = {host->capacity.memory_mib - host->used.memory_mib -
                               query->class->resources.memory_mib,
                           host->capacity.memory_mib};

    return compare_shares(cpu, memory) < 0 ? cpu : memory;
}

static int compare_numbers(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static bool failed_on(const struct placement_query *query,
                      const struct host *host)
{
    return query->vm->not_before_ms != 0 &&
           uid_slot(host->uid) == query->vm->last_host;
}

int compare_candidates(const struct placement_query *query,
                       const struct placement_candidate *a,
                       const struct placement_candidate *b)
{
    int order;

    /* 1. Not where it just failed. */
    order =
        compare_numbers(failed_on(query, a->host), failed_on(query, b->host));
    if (order != 0) {
        return order;
    }
    /* 2. The zone that the caller prefers: it was there, and the zone is
     * well. */
    order = compare_numbers(a->host->zone != query->prefer_zone,
                            b->host->zone != query->prefer_zone);
    if (order != 0) {
        return order;
    }
    /* 3. Across zones: spread, the least loaded zone first. */
    if (a->host->zone != b->host->zone) {
        order = compare_shares(zone_load(a->zone), zone_load(b->zone));
        if (order != 0) {
            return order;
        }
        return compare_numbers(a->host->zone, b->host->zone);
    }
    /* 4. Inside a zone: pack, so that large holes stay for large VMs. */
    order = compare_shares(leftover(query, a->host), leftover(query, b->host));
    if (order != 0) {
        return order;
    }
    /* 5. The lower slot. */
    return compare_numbers(uid_slot(a->host->uid), uid_slot(b->host->uid));
}
