/* SPDX-License-Identifier: Apache-2.0 */
#include "base/check.h"
#include "base/memory.h"
#include "node/api_check.h"
#include "tests/sim/fleet.h"
#include "tests/sim/host.h"

#include <stdio.h>
#include <string.h>

static struct text lend(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

/* fleet.c has looked at them. */
static void keep_labels(struct sim_host *host, const Holdfast__V1__Host *spec)
{
    struct api_reply reply;

    api_reply_init(&reply);
    CHECK(api_check_labels(&reply, "labels", spec->labels, spec->n_labels,
                           &host->labels));
    api_reply_close(&reply);
}

static void keep_named(struct sim_host *host,
                       const Holdfast__V1__Resources *capacity)
{
    host->named =
        memory_alloc_array(capacity->n_named + 1, sizeof(*host->named));
    for (size_t i = 0; i < capacity->n_named; i++) {
        if (capacity->named[i]->value > 0) {
            host->named[host->named_count++] = (struct named_amount){
                lend(capacity->named[i]->key), capacity->named[i]->value};
        }
    }
}

void sim_fleet_host(struct sim_host *host)
{
    const struct sim_fleet *fleet = host->world->options.fleet;
    const Holdfast__V1__Host *spec = fleet->manifest->hosts[host->index];

    host->zone = fleet->host_zones[host->index];
    (void)snprintf(host->name, sizeof(host->name), "%s", spec->name);
    host->fault_domain = spec->fault_domain;
    host->capacity = (struct resources){
        spec->capacity->cpu_milli, spec->capacity->memory_mib,
        spec->capacity->disk_gib, spec->capacity->gpu_count};
    keep_named(host, spec->capacity);
    for (size_t i = 0; i < spec->n_drivers; i++) {
        host->driver_mask |= 1u << spec->drivers[i];
    }
    if (spec->n_drivers == 0) {
        host->driver_mask = 1 << DRIVER_EXEC | 1 << DRIVER_QEMU;
    }
    host->pools = memory_alloc_array(spec->n_pools + 1, sizeof(*host->pools));
    host->pool_count = (uint32_t)spec->n_pools;
    for (size_t i = 0; i < spec->n_pools; i++) {
        host->pools[i] = lend(spec->pools[i]);
    }
    keep_labels(host, spec);
    host->guest_count = SIM_GUESTS_MIN + 2 * fleet->guests_in_host;
}
