/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"
#include "state/labels.h"
#include "tests/sim/fleet.h"
#include "tests/sim/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct text lend(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

static void keep_labels(struct sim_host *host, const Holdfast__V1__Host *spec)
{
    struct label *labels =
        memory_alloc_array(spec->n_labels + 1, sizeof(*labels));

    for (size_t i = 0; i < spec->n_labels; i++) {
        labels[i].key = lend(spec->labels[i]->key);
        labels[i].value = lend(spec->labels[i]->value);
    }
    /* What a real node would refuse has no labels here. */
    if (labels_encode(labels, spec->n_labels, &host->labels) != 0) {
        bytes_clear(&host->labels);
    }
    free(labels);
}

void sim_fleet_host(struct sim_host *host)
{
    const struct sim_fleet *fleet = host->world->options.fleet;
    const Holdfast__V1__Host *spec = fleet->manifest->hosts[host->index];

    host->zone = fleet->host_zones[host->index];
    (void)snprintf(host->name, sizeof(host->name), "%s", spec->name);
    host->fault_domain = spec->fault_domain;
    host->capacity = (struct resources){spec->capacity->cpu_milli,
                                        spec->capacity->memory_mib,
                                        spec->capacity->disk_gib, 0};
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
