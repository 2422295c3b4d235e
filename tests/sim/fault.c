/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/fault.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "tests/sim/host.h"
#include "tests/sim/node.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Largest error of a clock's rate that the leases allow for (DESIGN.md section
 * 6: e = 1 %), and with it some room for rounding. */
#define PPM_MAX 9900

struct trouble {
    struct sim_event event;
    struct sim_world *world;
    uint64_t until_us;
};

/* Something that comes to its end after a while. */
enum relief_kind {
    RELIEF_NODE,
    RELIEF_NODE_POWER,
    RELIEF_CUT,
    RELIEF_HOST_CUT,
    RELIEF_HOST_POWER,
    RELIEF_AGENT,
    RELIEF_SHIMS,
    RELIEF_ZONE_POWER,
    RELIEF_ZONE_CUT
};

struct relief {
    struct sim_event event;
    struct sim_world *world;
    enum relief_kind kind;
    uint32_t index;
    uint32_t other;
};

static struct sim_node *some_node(struct sim_world *world)
{
    return world->nodes[sim_below(world, world->node_count)];
}

static struct sim_host *some_host(struct sim_world *world)
{
    return world->hosts[sim_below(world, world->host_count)];
}

/* Mostly short, at times long. */
static uint64_t a_while(struct sim_world *world)
{
    return sim_chance(world, 700)
               ? sim_between(world, 10 * SIM_MS, 3 * SIM_SECOND)
               : sim_between(world, 3 * SIM_SECOND, 30 * SIM_SECOND);
}

void sim_zone_power(struct sim_world *world, uint32_t zone, bool on)
{
    for (uint32_t i = 0; i < world->node_count; i++) {
        if (world->nodes[i]->zone == zone) {
            sim_node_power(world->nodes[i], on);
        }
        if (world->nodes[i]->zone == zone && on) {
            sim_node_start(world->nodes[i]);
        }
    }
    for (uint32_t i = 0; i < world->host_count; i++) {
        if (world->hosts[i]->zone == zone) {
            sim_host_power(world->hosts[i], on);
        }
    }
}

void sim_zone_cut(struct sim_world *world, uint32_t zone, bool cut)
{
    for (uint32_t other = 0; other < world->zone_count; other++) {
        if (other != zone) {
            world->cut[zone][other] = cut;
            world->cut[other][zone] = cut;
        }
    }
}

static void relief_free(struct sim_event *event)
{
    free(container_of(event, struct relief, event));
}

static bool relief_run(struct sim_event *event)
{
    struct relief *relief = container_of(event, struct relief, event);
    struct sim_world *world = relief->world;

    switch (relief->kind) {
    case RELIEF_NODE:
        sim_node_start(world->nodes[relief->index]);
        break;
    case RELIEF_NODE_POWER:
        sim_node_power(world->nodes[relief->index], true);
        sim_node_start(world->nodes[relief->index]);
        break;
    case RELIEF_CUT:
        world->cut[relief->index][relief->other] = false;
        break;
    case RELIEF_HOST_CUT:
        world->hosts[relief->index]->cut = false;
        memset(world->hosts[relief->index]->cut_node, 0,
               sizeof(world->hosts[relief->index]->cut_node));
        break;
    case RELIEF_HOST_POWER:
        sim_host_power(world->hosts[relief->index], true);
        break;
    case RELIEF_AGENT:
        sim_agent_start(world->hosts[relief->index]);
        break;
    case RELIEF_SHIMS:
        world->hosts[relief->index]->shims_stopped = false;
        break;
    case RELIEF_ZONE_POWER:
        sim_zone_power(world, relief->index, true);
        break;
    case RELIEF_ZONE_CUT:
        sim_zone_cut(world, relief->index, false);
        break;
    }
    return true;
}

static void relieve(struct sim_world *world, enum relief_kind kind,
                    uint32_t index, uint32_t other)
{
    struct relief *relief = memory_alloc(sizeof(*relief));

    *relief = (struct relief){.event = {.run = relief_run, .free = relief_free},
                              .world = world,
                              .kind = kind,
                              .index = index,
                              .other = other};
    sim_world_add(world, &relief->event, world->now_us + a_while(world));
}

/* --- Nodes -------------------------------------------------------------------
 */

static void node_kill(struct sim_world *world)
{
    struct sim_node *node = some_node(world);

    if (sim_node_runs(node)) {
        sim_node_kill(node);
        relieve(world, RELIEF_NODE, node->index, 0);
    }
}

static void node_power(struct sim_world *world)
{
    struct sim_node *node = some_node(world);

    if (node->powered) {
        sim_node_power(node, false);
        relieve(world, RELIEF_NODE_POWER, node->index, 0);
    }
}

static void node_pause(struct sim_world *world)
{
    struct sim_node *node = some_node(world);

    sim_node_pause(node, world->now_us + a_while(world));
}

static void disk_slow(struct sim_world *world)
{
    some_node(world)->disk_us = sim_chance(world, 500)
                                    ? sim_between(world, 10, 800) * SIM_MS
                                    : 2 * SIM_MS;
}

static void disk_dies(struct sim_world *world)
{
    struct sim_node *node = some_node(world);

    if (sim_node_runs(node)) {
        sim_disk_die_at(node->disk, 1 + sim_below(world, 80),
                        sim_chance(world, 500));
        relieve(world, RELIEF_NODE, node->index, 0);
        relieve(world, RELIEF_NODE, node->index, 0);
    }
}

static void transfer(struct sim_world *world)
{
    struct sim_node *leader = sim_world_leader(world);

    if (leader != NULL) {
        sim_node_transfer(leader, sim_below(world, world->node_count + 1));
    }
}

static void wall_clock(struct sim_world *world)
{
    some_node(world)->wall_ms = (int64_t)sim_below(world, 7200000) - 3600000;
}

static void clock_rate(struct sim_world *world)
{
    int32_t ppm = (int32_t)sim_below(world, 2 * PPM_MAX + 1) - PPM_MAX;

    if (sim_chance(world, 300)) {
        sim_clock_set_rate(&some_node(world)->clock, world->now_us, ppm);
    } else {
        sim_host_set_rate(some_host(world), ppm);
    }
}

/* --- Network
 * ------------------------------------------------------------------- */

static void cut_way(struct sim_world *world, uint32_t from, uint32_t to)
{
    if (from != to) {
        world->cut[from][to] = true;
        relieve(world, RELIEF_CUT, from, to);
    }
}

static void cut_both(struct sim_world *world)
{
    uint32_t one = some_node(world)->zone;
    uint32_t other = some_node(world)->zone;

    cut_way(world, one, other);
    cut_way(world, other, one);
}

static void cut_one_way(struct sim_world *world)
{
    cut_way(world, some_node(world)->zone, some_node(world)->zone);
}

static void cut_host(struct sim_world *world)
{
    struct sim_host *host = some_host(world);

    if (sim_chance(world, 500)) {
        host->cut = true;
    } else {
        host->cut_node[sim_below(world, world->zone_count)] = true;
    }
    relieve(world, RELIEF_HOST_CUT, host->index, 0);
}

static void network(struct sim_world *world)
{
    world->loss_permille =
        sim_chance(world, 500) ? 0 : (uint32_t)sim_below(world, 300);
    world->delay_us = sim_chance(world, 500)
                          ? world->options.delay_us
                          : sim_between(world, 1, 50) * SIM_MS;
}

/* --- Hosts
 * ----------------------------------------------------------------------- */

static void host_power(struct sim_world *world)
{
    struct sim_host *host = some_host(world);

    if (host->powered) {
        sim_host_power(host, false);
        relieve(world, RELIEF_HOST_POWER, host->index, 0);
    }
}

static void host_pause(struct sim_world *world)
{
    sim_host_pause(some_host(world), world->now_us + a_while(world));
}

static void agent_kill(struct sim_world *world)
{
    struct sim_host *host = some_host(world);

    if (host->agent_up) {
        sim_agent_kill(host);
        relieve(world, RELIEF_AGENT, host->index, 0);
    }
}

static void agent_pause(struct sim_world *world)
{
    sim_agent_pause(some_host(world), world->now_us + a_while(world));
}

static void shims_stop(struct sim_world *world)
{
    struct sim_host *host = some_host(world);

    host->shims_stopped = true;
    relieve(world, RELIEF_SHIMS, host->index, 0);
}

static void vm_dies(struct sim_world *world)
{
    sim_guests_lose_one(some_host(world));
}

static void vm_hangs(struct sim_world *world)
{
    sim_guests_hang_one(some_host(world));
}

static void vm_start(struct sim_world *world)
{
    some_host(world)->start_fails_permille =
        sim_chance(world, 500) ? 0 : (uint32_t)sim_below(world, 700);
}

/* --- Zones
 * ------------------------------------------------------------------------- */

static void zone_power(struct sim_world *world)
{
    uint32_t zone = (uint32_t)sim_below(world, world->zone_count);

    if (world->nodes[world->fronts[zone]]->powered) {
        sim_zone_power(world, zone, false);
        relieve(world, RELIEF_ZONE_POWER, zone, 0);
    }
}

static void zone_network(struct sim_world *world)
{
    uint32_t zone = (uint32_t)sim_below(world, world->zone_count);

    sim_zone_cut(world, zone, true);
    relieve(world, RELIEF_ZONE_CUT, zone, 0);
}

static const struct {
    void (*happens)(struct sim_world *world);
    uint32_t weight;
} faults[SIM_FAULT_COUNT] = {
    [SIM_FAULT_NODE_KILL] = {node_kill, 8},
    [SIM_FAULT_NODE_POWER] = {node_power, 6},
    [SIM_FAULT_NODE_PAUSE] = {node_pause, 6},
    [SIM_FAULT_DISK_SLOW] = {disk_slow, 4},
    [SIM_FAULT_DISK_DIES] = {disk_dies, 4},
    [SIM_FAULT_TRANSFER] = {transfer, 6},
    [SIM_FAULT_WALL_CLOCK] = {wall_clock, 3},
    [SIM_FAULT_CLOCK_RATE] = {clock_rate, 6},
    [SIM_FAULT_CUT] = {cut_both, 6},
    [SIM_FAULT_CUT_ONE_WAY] = {cut_one_way, 6},
    [SIM_FAULT_CUT_HOST] = {cut_host, 10},
    [SIM_FAULT_NETWORK] = {network, 5},
    [SIM_FAULT_HOST_POWER] = {host_power, 6},
    [SIM_FAULT_HOST_PAUSE] = {host_pause, 6},
    [SIM_FAULT_AGENT_KILL] = {agent_kill, 8},
    [SIM_FAULT_AGENT_PAUSE] = {agent_pause, 6},
    [SIM_FAULT_SHIMS_STOP] = {shims_stop, 6},
    [SIM_FAULT_VM_DIES] = {vm_dies, 6},
    [SIM_FAULT_VM_HANGS] = {vm_hangs, 4},
    [SIM_FAULT_VM_START] = {vm_start, 4},
    [SIM_FAULT_ZONE_POWER] = {zone_power, 4},
    [SIM_FAULT_ZONE_NETWORK] = {zone_network, 4},
};

static uint32_t weight_of(const struct sim_world *world, int fault)
{
    uint32_t wanted = world->options.faults;

    return wanted == 0 || (wanted >> fault & 1) != 0 ? faults[fault].weight : 0;
}

static enum sim_fault some_fault(struct sim_world *world)
{
    uint32_t sum = 0;
    uint64_t dice;
    int fault = 0;

    for (int i = 0; i < SIM_FAULT_COUNT; i++) {
        sum += weight_of(world, i);
    }
    for (dice = sim_below(world, sum); dice >= weight_of(world, fault);
         fault++) {
        dice -= weight_of(world, fault);
    }
    return (enum sim_fault)fault;
}

static void trouble_free(struct sim_event *event)
{
    free(container_of(event, struct trouble, event));
}

/* Each fault has its own chance, so that the others stay as they are when one
 * is left out. */
static bool trouble_run(struct sim_event *event)
{
    struct trouble *trouble = container_of(event, struct trouble, event);
    struct sim_world *world = trouble->world;
    const struct sim_options *options = &world->options;
    struct random rest = world->random;
    size_t number = world->fault_count;
    enum sim_fault fault;
    uint64_t pause_us;

    if (world->now_us >= trouble->until_us) {
        return true;
    }
    world->fault_count++;
    random_init(&world->random, hash_u64(options->seed) ^ number);
    fault = some_fault(world);
    pause_us = sim_between(world, SIM_MS, 4 * SIM_SECOND);
    if (options->keep_count == 0 ||
        (number < options->keep_count && options->keep[number])) {
        world->figures.faults[fault]++;
        sim_trace(world, "FAULT %zu %s", number, sim_fault_names[fault]);
        faults[fault].happens(world);
    }
    world->random = rest;
    sim_world_add(world, event, world->now_us + pause_us);
    return false;
}

void sim_faults_start(struct sim_world *world, uint64_t until_us)
{
    struct trouble *trouble = memory_alloc(sizeof(*trouble));

    *trouble =
        (struct trouble){.event = {.run = trouble_run, .free = trouble_free},
                         .world = world,
                         .until_us = until_us};
    sim_world_add(world, &trouble->event, world->now_us);
}

static void heal_host(struct sim_host *host)
{
    host->cut = false;
    memset(host->cut_node, 0, sizeof(host->cut_node));
    host->shims_stopped = false;
    host->start_fails_permille = 0;
    if (!host->powered) {
        sim_host_power(host, true);
    } else if (!host->agent_up) {
        sim_agent_start(host);
    }
}

void sim_faults_heal(struct sim_world *world)
{
    sim_trace(world, "all is healed");
    memset(world->cut, 0, sizeof(world->cut));
    world->loss_permille = 0;
    world->delay_us = world->options.delay_us;
    for (uint32_t i = 0; i < world->node_count; i++) {
        struct sim_node *node = world->nodes[i];

        node->disk_us = 2 * SIM_MS;
        sim_disk_die_at(node->disk, 0, false);
        if (sim_disk_dead(node->disk)) {
            sim_node_kill(node); /* It had not noticed yet. */
        }
        sim_node_power(node, true);
        sim_node_start(node);
    }
    for (uint32_t i = 0; i < world->host_count; i++) {
        heal_host(world->hosts[i]);
    }
}
