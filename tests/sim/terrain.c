/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/terrain.h"

#include "base/check.h"
#include "base/container.h"
#include "base/hash.h"
#include "base/memory.h"
#include "state/labels.h"
#include "tests/sim/host.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Rebalancing begins when the zones that came back were held for a minute. */
#define RICH_QUIET_US (210 * SIM_SECOND)

const char *const sim_tiers[2] = {"gold", "iron"};

const struct sim_class sim_classes[SIM_CLASSES] = {
    {"small", 1000, 1024, 0, 0, 0},
    {"large", 3000, 3072, 10, 0, 0},
    {"gpu", 1000, 1024, 0, 1, 0},
    {"licensed", 500, 512, 0, 0, 1},
};

static const struct resources sizes[] = {
    {16000, 16384, 100, 0}, {8000, 8192, 60, 0}, {5000, 5120, 40, 0}};

void sim_terrain_init(struct sim_world *world)
{
    struct sim_options *options = &world->options;
    struct random random;

    random_init(&random, hash_u64(options->seed ^ 0x7e44a1));
    world->rich = options->variety == SIM_RICH ||
                  (options->variety == SIM_BY_SEED && options->fleet == NULL &&
                   !options->only_zone_loss && random_below(&random, 4) != 0);
    world->rebuilds =
        options->rebuild == SIM_REBUILD ||
        (options->rebuild == SIM_REBUILD_BY_SEED && options->fleet == NULL &&
         !options->only_zone_loss && hash_u64(options->seed ^ 0x3a50) % 3 == 0);
    world->plans = world->rich && hash_u64(options->seed ^ 0x91a2) % 2 == 0;
    world->host_size = (uint32_t)random_below(&random, ARRAY_LEN(sizes));
    if (options->hosts_in_zone == 0) {
        options->hosts_in_zone =
            world->rich ? 2 + (uint32_t)random_below(&random, 3) : 2;
    }
    if (world->rich && options->quiet_us < RICH_QUIET_US) {
        options->quiet_us = RICH_QUIET_US;
    }
}

static struct text lend(const char *string)
{
    return (struct text){string, (uint32_t)strlen(string)};
}

/* Within a zone: the racks take turns, every second host has the licences, the
 * first one GPUs, the last one does not reach the shared pool. */
static void be_rich(struct sim_host *host, uint32_t number, uint32_t count)
{
    static const char *const racks[] = {"r1", "r2", ""};
    struct label label = {lend(SIM_LABEL), lend(sim_tiers[number % 2])};
    uint32_t pools = 0;

    host->fault_domain = racks[number < 2 ? number : number == 2 ? 0 : 2];
    host->capacity = sizes[host->world->host_size];
    host->capacity.gpu_count = number == 0 ? 2 : 0;
    host->named = memory_alloc(sizeof(*host->named));
    *host->named = (struct named_amount){lend(SIM_NAMED), 4};
    host->named_count = number % 2;
    host->pools = memory_alloc_array(SIM_POOLS, sizeof(*host->pools));
    host->pools[pools++] = lend(SIM_POOL_REPLICATED);
    host->pools[pools++] = lend(SIM_POOL_LOCAL);
    if (count == 1 || number + 1 < count || host->zone == 0) {
        host->pools[pools++] = lend(SIM_POOL_SHARED);
    }
    host->pool_count = pools;
    CHECK(labels_encode(&label, 1, &host->labels) == 0);
    host->guest_count = 2 * SIM_GUESTS_MIN;
}

void sim_terrain_host(struct sim_host *host)
{
    uint32_t count = host->world->options.hosts_in_zone;
    uint32_t number = host->index % count;

    host->zone = host->index / count;
    (void)snprintf(host->name, sizeof(host->name), "z%" PRIu32 "-h%" PRIu32,
                   host->zone + 1, number + 1);
    host->fault_domain = "";
    host->capacity = sizes[0];
    host->driver_mask = 1 << DRIVER_EXEC;
    host->guest_count = SIM_GUESTS_MIN;
    if (host->world->rich) {
        be_rich(host, number, count);
    }
}
