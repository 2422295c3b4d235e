/* SPDX-License-Identifier: Apache-2.0
 *
 * Sums of resources, and whether more fits (rule 6). */
#include "base/check.h"
#include "state/internal.h"

void resources_add(struct resources *sum, const struct resources *part,
                   int sign)
{
    if (sign > 0) {
        sum->cpu_milli += part->cpu_milli;
        sum->memory_mib += part->memory_mib;
        sum->disk_gib += part->disk_gib;
        sum->gpu_count += part->gpu_count;
        return;
    }
    CHECK(sum->cpu_milli >= part->cpu_milli &&
          sum->memory_mib >= part->memory_mib &&
          sum->disk_gib >= part->disk_gib && sum->gpu_count >= part->gpu_count);
    sum->cpu_milli -= part->cpu_milli;
    sum->memory_mib -= part->memory_mib;
    sum->disk_gib -= part->disk_gib;
    sum->gpu_count -= part->gpu_count;
}

void resource_sum_add(struct resource_sum *sum, const struct resources *part,
                      int sign)
{
    if (sign > 0) {
        sum->cpu_milli += part->cpu_milli;
        sum->memory_mib += part->memory_mib;
        sum->disk_gib += part->disk_gib;
        return;
    }
    CHECK(sum->cpu_milli >= part->cpu_milli &&
          sum->memory_mib >= part->memory_mib &&
          sum->disk_gib >= part->disk_gib);
    sum->cpu_milli -= part->cpu_milli;
    sum->memory_mib -= part->memory_mib;
    sum->disk_gib -= part->disk_gib;
}

void amounts_add(struct amounts *sum, const struct amounts *part, int sign)
{
    for (int i = 0; i < NAMED_MAX; i++) {
        CHECK(sign > 0 || sum->of[i] >= part->of[i]);
        sum->of[i] += sign > 0 ? part->of[i] : 0u - part->of[i];
    }
}

/* `taken` may be more than the capacity, for that can be lowered, and VMs that
 * wait for others to leave hold more than is free: that keeps out who asks for
 * some of it, nobody else. */
static bool part_fits(uint32_t capacity, uint64_t taken, uint32_t wanted)
{
    return wanted == 0 || (taken <= capacity && wanted <= capacity - taken);
}

/* Something that takes room. */
struct taken {
    const struct resources *resources;
    const struct amounts *named;
};

static bool fits(const struct host *host, const struct class *class,
                 struct taken a, struct taken b)
{
    const struct resources *all = &host->capacity;
    const struct resources *wanted = &class->resources;

    if (!part_fits(all->cpu_milli,
                   (uint64_t)a.resources->cpu_milli + b.resources->cpu_milli,
                   wanted->cpu_milli) ||
        !part_fits(all->memory_mib,
                   (uint64_t)a.resources->memory_mib + b.resources->memory_mib,
                   wanted->memory_mib) ||
        !part_fits(all->disk_gib,
                   (uint64_t)a.resources->disk_gib + b.resources->disk_gib,
                   wanted->disk_gib) ||
        !part_fits(all->gpu_count,
                   (uint64_t)a.resources->gpu_count + b.resources->gpu_count,
                   wanted->gpu_count)) {
        return false;
    }
    for (int i = 0; i < NAMED_MAX; i++) {
        if (!part_fits(host->named_capacity.of[i],
                       (uint64_t)a.named->of[i] + b.named->of[i],
                       class->named.of[i])) {
            return false;
        }
    }
    return true;
}

static const struct resources no_resources;
static const struct amounts no_amounts;
static const struct taken nothing = {&no_resources, &no_amounts};

bool host_fits(const struct host *host, const struct class *class)
{
    return fits(host, class, (struct taken){&host->used, &host->named_used},
                nothing);
}

bool state_claim_fits(const struct host *host, const struct class *class)
{
    return fits(host, class, (struct taken){&host->used, &host->named_used},
                (struct taken){&host->claimed, &host->named_claimed});
}

bool host_fits_claims(const struct host *host, const struct class *class)
{
    return fits(host, class, nothing,
                (struct taken){&host->claimed, &host->named_claimed});
}
