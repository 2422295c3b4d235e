/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/sim/world.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/memory.h"
#include "tests/sim/fleet.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PPM INT64_C(1000000)

const char *const sim_fault_names[SIM_FAULT_COUNT] = {
    [SIM_FAULT_NODE_KILL] = "node-kill",
    [SIM_FAULT_NODE_POWER] = "node-power",
    [SIM_FAULT_NODE_PAUSE] = "node-pause",
    [SIM_FAULT_DISK_SLOW] = "disk-slow",
    [SIM_FAULT_DISK_DIES] = "disk-dies",
    [SIM_FAULT_TRANSFER] = "transfer",
    [SIM_FAULT_WALL_CLOCK] = "wall-clock",
    [SIM_FAULT_CLOCK_RATE] = "clock-rate",
    [SIM_FAULT_CUT] = "cut",
    [SIM_FAULT_CUT_ONE_WAY] = "cut-one-way",
    [SIM_FAULT_CUT_HOST] = "cut-host",
    [SIM_FAULT_NETWORK] = "network",
    [SIM_FAULT_HOST_POWER] = "host-power",
    [SIM_FAULT_HOST_PAUSE] = "host-pause",
    [SIM_FAULT_AGENT_KILL] = "agent-kill",
    [SIM_FAULT_AGENT_PAUSE] = "agent-pause",
    [SIM_FAULT_SHIMS_STOP] = "shims-stop",
    [SIM_FAULT_VM_DIES] = "vm-dies",
    [SIM_FAULT_VM_HANGS] = "vm-hangs",
    [SIM_FAULT_VM_START] = "vm-start",
    [SIM_FAULT_ZONE_POWER] = "zone-power",
    [SIM_FAULT_ZONE_NETWORK] = "zone-network",
};

const char *const sim_fault_words[SIM_FAULT_COUNT] = {
    [SIM_FAULT_NODE_KILL] = "a node's process is killed, starts again later",
    [SIM_FAULT_NODE_POWER] = "a node's machine loses power",
    [SIM_FAULT_NODE_PAUSE] = "a node's machine stands still",
    [SIM_FAULT_DISK_SLOW] = "a node's disk takes up to 0.8 s",
    [SIM_FAULT_DISK_DIES] = "a node's disk fails in the midst of work",
    [SIM_FAULT_TRANSFER] = "leadership is handed over",
    [SIM_FAULT_WALL_CLOCK] = "a node's wall clock is wrong by up to an hour",
    [SIM_FAULT_CLOCK_RATE] = "a clock runs too fast or too slow, up to 1 %",
    [SIM_FAULT_CUT] = "two zones do not reach each other",
    [SIM_FAULT_CUT_ONE_WAY] = "the same in one direction",
    [SIM_FAULT_CUT_HOST] = "a host does not reach one node or any",
    [SIM_FAULT_NETWORK] = "loss up to 30 %, delays up to 50 ms",
    [SIM_FAULT_HOST_POWER] = "a host loses power",
    [SIM_FAULT_HOST_PAUSE] = "a host stands still",
    [SIM_FAULT_AGENT_KILL] = "an agent is killed, its guests run on",
    [SIM_FAULT_AGENT_PAUSE] = "an agent stands still, its guests run on",
    [SIM_FAULT_SHIMS_STOP] = "the shims of a host stand still",
    [SIM_FAULT_VM_DIES] = "a guest ends by itself",
    [SIM_FAULT_VM_HANGS] = "a guest hears no polite stop",
    [SIM_FAULT_VM_START] = "starts on a host fail, up to 70 %",
    [SIM_FAULT_ZONE_POWER] = "a zone loses power",
    [SIM_FAULT_ZONE_NETWORK] = "a zone is cut from the others",
};

struct sim_options sim_options_default(uint64_t seed)
{
    return (struct sim_options){
        .seed = seed,
        .zones = 3,
        .clients = 3,
        .vms = 24,
        .trouble_us = 120 * SIM_SECOND,
        .quiet_us = 100 * SIM_SECOND,
        .delay_us = 2 * SIM_MS,
    };
}

/* --- The heap of what is to come ----------------------------------------- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void sim_world_add(struct sim_world *world, struct sim_event *event,
                   uint64_t at_us)
{
    size_t at = world->heap_count++;

    if (world->heap_count > world->heap_capacity) {
        world->heap_capacity =
            world->heap_capacity == 0 ? 1024 : 2 * world->heap_capacity;
        world->heap = memory_realloc_array(world->heap, world->heap_capacity,
                                           sizeof(struct sim_event *));
    }
    event->at_us = at_us < world->now_us ? world->now_us : at_us;
    event->number = ++world->numbers;
    while (at > 0 && before(event, world->heap[(at - 1) / 2])) {
        world->heap[at] = world->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    world->heap[at] = event;
}

static struct sim_event *take(struct sim_world *world)
{
    struct sim_event *first = world->heap[0];
    struct sim_event *last = world->heap[--world->heap_count];
    size_t at = 0;

    while (2 * at + 1 < world->heap_count) {
        size_t child = 2 * at + 1;

        if (child + 1 < world->heap_count &&
            before(world->heap[child + 1], world->heap[child])) {
            child++;
        }
        if (!before(world->heap[child], last)) {
            break;
        }
        world->heap[at] = world->heap[child];
        at = child;
    }
    if (world->heap_count > 0) {
        world->heap[at] = last;
    }
    return first;
}

void sim_world_run_until(struct sim_world *world, uint64_t until_us)
{
    while (world->violation[0] == '\0' && world->heap_count > 0 &&
           world->heap[0]->at_us <= until_us) {
        struct sim_event *event = take(world);

        CHECK(event->at_us >= world->now_us);
        world->now_us = event->at_us;
        world->figures.events++;
        if (event->run(event)) {
            event->free(event);
        }
    }
    if (world->violation[0] == '\0') {
        world->now_us = until_us;
    }
}

/* --- What happened ------------------------------------------------------- */

void sim_trace(struct sim_world *world, const char *format, ...)
{
    char *line = world->trace[world->trace_count % SIM_TRACE_LINES];
    int len = snprintf(line, SIM_TRACE_BYTES, "%4" PRIu64 ".%06" PRIu64 "  ",
                       world->now_us / SIM_SECOND, world->now_us % SIM_SECOND);
    va_list arguments;

    CHECK(len > 0 && len < SIM_TRACE_BYTES);
    va_start(arguments, format);
    (void)vsnprintf(line + len, SIM_TRACE_BYTES - (size_t)len, format,
                    arguments);
    va_end(arguments);
    world->trace_count++;
    world->trace_hash = hash_bytes(line, strlen(line), world->trace_hash);
    if (world->options.verbose) {
        (void)fprintf(stderr, "%s\n", line);
    }
}

void sim_violation(struct sim_world *world, const char *rule,
                   const char *format, ...)
{
    va_list arguments;
    int len;

    if (world->violation[0] != '\0') {
        return;
    }
    len = snprintf(world->violation, sizeof(world->violation), "%s: ", rule);
    CHECK(len > 0 && (size_t)len < sizeof(world->violation));
    va_start(arguments, format);
    (void)vsnprintf(world->violation + len,
                    sizeof(world->violation) - (size_t)len, format, arguments);
    va_end(arguments);
    sim_trace(world, "VIOLATION %.150s", world->violation);
}

/* --- Chance -------------------------------------------------------------- */

uint64_t sim_below(struct sim_world *world, uint64_t bound)
{
    return random_below(&world->random, bound);
}

uint64_t sim_between(struct sim_world *world, uint64_t low, uint64_t high)
{
    CHECK(low <= high);
    return low + random_below(&world->random, high - low + 1);
}

bool sim_chance(struct sim_world *world, uint32_t permille)
{
    return random_below(&world->random, 1000) < permille;
}

uint64_t sim_latency(struct sim_world *world, uint32_t from, uint32_t to)
{
    if (from == to) {
        return sim_between(world, 50, 200);
    }
    return sim_between(world, world->delay_us / 4, world->delay_us);
}

/* --- Zones --------------------------------------------------------------- */

const char *sim_zone_name(const struct sim_world *world, uint32_t zone)
{
    static const char *const names[SIM_ZONES_MAX] = {"z1", "z2", "z3", "z4",
                                                     "z5"};

    CHECK(zone < world->zone_count);
    return world->options.fleet == NULL
               ? names[zone]
               : world->options.fleet->manifest->zones[zone]->name;
}

uint32_t sim_zone_index(const struct sim_world *world, const char *name)
{
    for (uint32_t i = 0; i < world->zone_count; i++) {
        if (strcmp(sim_zone_name(world, i), name) == 0) {
            return i;
        }
    }
    CHECK_UNREACHABLE("a zone of the world");
}

/* --- Clocks -------------------------------------------------------------- */

uint64_t sim_clock_local(const struct sim_clock *clock, uint64_t world_us)
{
    int64_t since_us = (int64_t)(world_us - clock->world_us);

    return clock->local_us + (uint64_t)(since_us + since_us * clock->ppm / PPM);
}

/* The first moment at which it shows `local_us` or more. */
uint64_t sim_clock_world(const struct sim_clock *clock, uint64_t local_us)
{
    int64_t left_us = (int64_t)(local_us - clock->local_us);
    uint64_t world_us;

    if (local_us <= clock->local_us) {
        return clock->world_us;
    }
    world_us = clock->world_us + (uint64_t)(left_us * PPM / (PPM + clock->ppm));
    while (sim_clock_local(clock, world_us) < local_us) {
        world_us++;
    }
    return world_us;
}

void sim_clock_set_rate(struct sim_clock *clock, uint64_t world_us, int32_t ppm)
{
    clock->local_us = sim_clock_local(clock, world_us);
    clock->world_us = world_us;
    clock->ppm = ppm;
}
